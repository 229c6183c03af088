"""Recording: what a step computes, as a list of operations on numbered values.

The step runs once, as always, on Tensors; the `Recorder` is the machine that is told of every operation. Arrays are
known by identity: one that an operation of this run returned is a *result*, an argument of the step is an *input*, and
any other was there before, so it is bound by reference (a parameter, an optimizer's state, a table).

What is an array in eager mode (a parameter's ``.data``, a ``.grad``, and all that is computed from these alone) is a
Tensor here, a *place*: what becomes of it is recorded, and what is written into it is seen by all who hold it.
"""

from __future__ import annotations

import random
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from microgradnp import tree
from microgradnp.arrays import Array
from microgradnp.compiler.generators import state_of
from microgradnp.compiler.guards import Surroundings
from microgradnp.compiler.ir import Operation, Part, Site, Value, assignment, copied, owner, values_in
from microgradnp.engine.rules import Rule, Vjp
from microgradnp.engine.state import Machine, current, state
from microgradnp.engine.sweep import fitted
from microgradnp.engine.table import getitem, identity, is_basic, setitem
from microgradnp.engine.tensor import Tensor, wrap
from microgradnp.functions.places import put
from microgradnp.signatures import name_of
from microgradnp.transforms.graph import is_tracked, operation
from microgradnp.transforms.pullback import vjp as pullback_of

FIXED: set[Callable[..., Any]] = {
    np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj, np.zeros_like, np.ones_like,
    np.empty_like, np.array2string, np.array_repr, np.array_str,
}  # fmt: skip
"""Functions of an array's shape and dtype alone, whose results are constants of the program, and texts for people."""

BY_VALUE: set[Callable[..., Any]] = {np.argwhere, np.flatnonzero, np.nonzero, np.unique}
VIEWS: set[Callable[..., Any]] = {np.reshape, np.transpose, np.broadcast_to, getitem, identity}
"""Functions that may return a view of their argument."""


class RecordingError(TypeError):
    """A step does something that a recorded program could not repeat."""


class Leaf(NamedTuple):
    """A Tensor that was there before the step: how it was found, so that a replay can see whether it still is so."""

    tensor: Any  # a weak reference: Tensors made by the step itself vanish with it
    array: Array
    tracked: bool


@dataclass(slots=True)
class Gradient:
    """The ``.grad`` of a Tensor, as a step finds it and leaves it."""

    tensor: Any  # a weak reference
    before: Any
    now: Any = None
    read: bool = False  # the step has looked at what stood there, and so depends on it
    written: bool = False


class Recorder(Machine):
    """The machine that writes down everything that a step computes."""

    traces = True

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.inputs: list[Value] = []
        self.operations: list[Operation] = []
        self.leaves: dict[int, Leaf] = {}
        self.gradients: dict[int, Gradient] = {}
        self.before: dict[int, tuple[Value, Array]] = {}  # what stood in the places that are written into
        self.known: dict[int, Value] = {}  # by the identity of its array
        self.numbers: dict[int, Value | None] = {}  # given as NumPy's integers: None until the step asks for the number
        self.nested = False  # another compiled step was called, and became part of this one
        self._bound: dict[Any, Value] = {}  # by its place in memory: several arrays may show it
        self._places: dict[int, Tensor] = {}  # by their own identity: what is an array in eager mode
        self._lifted: dict[int, tuple[Any, Tensor]] = {}  # arrays, and what stands for each
        self._shared: set[int] = set()  # results that lie in one memory with another
        self._kept_alive: list[Any] = []  # whose identity stands for something
        self._failures: list[tuple[str, Exception]] = []  # errors of operations, which the step has not let through
        self._swept: Tensor | None = None  # whose rule is running
        self._errors: dict[str, Any] = dict(np.geterr())
        self.draws: dict[int, tuple[Any, Any]] = {}  # the generators drawn from, each with its state before
        # Each with its state after the last draw that was recorded.
        self._generators = {id(g): (g, state_of(g)) for g in (random, np.random, *surroundings.generators)}

    # -- Operations

    def run(self, rule: Rule, values: list[Any], options: dict[str, Any]) -> Any:
        """Compute a row of the table, and note that it fails."""
        try:
            return super().run(rule, values, options)
        except Exception as error:
            self._failures.append((rule.name, error))
            raise

    def check(self) -> None:
        """Raise if the step has caught an error of an operation, or drawn from a generator directly."""
        if self._failures:
            name, error = self._failures[0]
            raise RecordingError(
                f"the step goes on after an error in {name} ({type(error).__name__}: {error}): a replay would go the "
                "same way for ever. Let what may fail stand outside the step, or compile what cannot."
            )
        for key in self._generators:
            self._check_draws(key)

    def ran(self, t: Tensor, rule: Rule, inputs: tuple[Any, ...], arrays: list[Any], options: dict[str, Any]) -> None:
        """An operation of the table, that gave ``t``."""
        tensors = [x for x in inputs if type(x) is Tensor]
        others = [x for x in tensors if id(x) not in self._places]
        for x in others:
            self._see_leaf(x)
        if tensors and not others:
            self._places[id(t)] = t
            if rule.function in VIEWS and self._is_view(t._value, arrays[0]):
                return
        if id(t._value) in self.known:  # handed on as it is
            return
        if rule.composed and self._expand(t, rule, arrays, options):
            return
        arguments = tuple(map(self.value, arrays))
        if options:  # an index of NumPy's integers is one of numbers
            options = tree.map(lambda x: int(x) if isinstance(x, np.integer) else self.value(x), options)
        places = rule.function is setitem and is_tracked(inputs[1]) and values_in(options["index"])
        if places and any(v.kind in ("input", "result") for v in places):
            raise RecordingError(
                "t[i] = v at computed places, where v wants a gradient: a program would keep which values stay where i "
                "names a place twice. Choose with np.where, look up (v[j]), or leave that line outside the step."
            )
        self._add(Operation(rule.function, arguments, options, None, rule=rule), t._value)

    def _is_view(self, y: Array, x: Array) -> bool:
        """Whether ``y`` is a part of an array that was there before: no operation, but a place of its own."""
        if not np.may_share_memory(y, x):
            return False
        if self.value(x).kind == "bound":
            return True
        self._shared |= {id(y), id(x)}
        return False

    def constant(self, function: Callable[..., Any], arrays: Any, options: Any, tensors: Iterable[Any]) -> Any:
        """A function with gradient zero: computed again at each replay, unless the shape alone decides."""
        for t in tensors:
            self._see_leaf(t)
        y = function(*arrays, **options)
        if function in FIXED:
            return y
        if function in BY_VALUE:
            raise RecordingError(
                f"{name_of(function)} in a compiled step: the shape of its result depends on values, which change from "
                "replay to replay. Choose with np.where or multiply by a mask, or leave that line outside the step."
            )
        arguments, values = tree.map(self.value, (arrays, options))
        if isinstance(y, tuple):  # several results: each a call of its own, of which the needed ones remain
            return tuple(
                self._constant(Part(function, i), arguments, values, part)
                if isinstance(part, np.ndarray | np.generic)
                else part
                for i, part in enumerate(y)
            )
        return self._constant(function, arguments, values, y)

    def _constant(
        self, function: Callable[..., Any], arguments: Any, options: Any, y: Any, pure: bool = True
    ) -> Tensor:
        y = np.asarray(y)
        t = wrap(y if y.base is None else y.copy())
        if pure:
            self._places[id(t)] = t
        self._add(Operation(function, arguments, options, None, pure=pure), t._value)
        return t

    def draw(self, method: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Random numbers, drawn anew at each replay."""
        if any(type(x) is Tensor for x in (*args, *options.values())):
            raise RecordingError(
                f"draw({method.__name__}) in a compiled step takes plain numbers and shapes, not Tensors: draw "
                "standard numbers and scale them, such as mean + deviation * draw(rng.standard_normal, shape)."
            )
        generator: Any = method.__self__  # type: ignore[attr-defined]  # a bound method
        if id(generator) in self._generators:
            self._check_draws(id(generator))
        self.draws.setdefault(id(generator), (generator, state_of(generator)))
        y = method(*args, **options)
        self._generators[id(generator)] = generator, state_of(generator)
        return self._constant(method, args, options, y, pure=False)

    def _check_draws(self, key: int) -> None:
        generator, before = self._generators[key]
        if state_of(generator) == before:
            return
        names = {id(random): "Python's random module", id(np.random): "NumPy's global random state"}
        raise RecordingError(
            f"the step draws random numbers from {names.get(key, type(generator).__name__)} directly: a replay would "
            "use the same numbers for ever. Draw them with microgradnp.draw(rng.standard_normal, size=...), rng being "
            "a numpy.random.Generator; then each replay draws anew. Or draw outside the step, and pass the numbers as "
            "an argument."
        )

    # -- Values that leave the graph

    def read(self, t: Tensor, what: str) -> Any:
        """No Python value and no plain array: it would stay in the program. Of a number, the program is made for it."""
        places = t.dtype.kind in "iu"
        if what == "indexing with a computed Tensor" and places:
            return t._value  # known to the program, which looks the places up anew at each replay
        v = self.known.get(id(t._value))
        if v is not None and id(v) in self.numbers:
            self.numbers[id(v)] = v
            return t._value
        if what == "__array__":
            raise RecordingError(
                "a Tensor cannot become an ndarray while a program is recorded: its value would be frozen into the "
                "program. Use NumPy functions on the Tensor itself"
                + (": microgradnp.Tensor(array)[places] looks places up anew at each replay." if places else ".")
            )
        raise RecordingError(
            f"{what} asks for a Tensor's value while a program is recorded; the program would keep the value of the "
            "first call for ever. Write the choice with np.where, np.maximum or np.clip, or leave that line outside "
            "the compiled step."
        )

    def data(self, t: Tensor) -> Any:
        """What stands for the array of ``t``, one that was there before, such as a parameter."""
        v = self.known.get(id(t._value))
        if v is not None and v.kind != "bound":
            raise RecordingError(
                "the .data of a computed Tensor is asked for while a program is recorded; the program would keep the "
                "values of the first call for ever. Use NumPy functions on the Tensor itself, or .detach() to stop its "
                "gradient."
            )
        self._see_leaf(t)
        return self.lift(t._value)

    # -- Places

    def lift(self, array: Any) -> Tensor:
        """A Tensor that stands for an array."""
        if id(array) not in self._lifted:
            place = wrap(np.asarray(array))
            self._places[id(place)] = place
            self._lifted[id(array)] = array, place
        return self._lifted[id(array)][1]

    def is_place(self, x: Any) -> bool:
        """Whether ``x`` is changed in place: an array, what stands for one, a parameter outside of graphs."""
        if type(x) is not Tensor:
            return isinstance(x, np.ndarray)
        return id(x) in self._places or (x.requires_grad and x.is_leaf and not current().recording)

    def assign(self, target: Any, value: Any, index: Any = ...) -> None:
        """``value`` is written into ``target``, or into a part of it: an operation if it was there before the step."""
        array = target._value if type(target) is Tensor else target
        place = self.value(array)
        if place.kind == "bound" and (index is ... or is_basic(index)):
            self._write(_part(array, index), value)
        elif place.kind == "bound":
            self._write(array, put(self.lift(array), index, value))
        elif place.kind == "input" or type(target) is not Tensor:
            raise RecordingError(
                "a compiled step can write only into arrays that were there before it, such as a parameter's data; "
                f"this one is an {place.kind} of the step."
            )
        elif id(array) in self._shared:
            raise RecordingError(
                "a compiled step cannot write into an array that it computed itself and shows in parts: a view of it "
                "would not change with it. Make a new one instead, as in a = a * 2."
            )
        else:  # computed by the step: from now on, all who hold it hold the new value
            new: Any = value if index is ... else put(target, index, value)
            new = np.broadcast_to(new if type(new) is Tensor else self.lift(np.asarray(new)), target.shape)
            target._value = new.astype(target.dtype)._value

    def _write(self, array: Array, value: Any) -> None:
        source = value._value if type(value) is Tensor else value
        if type(source) is np.ndarray and _place(source) == _place(array):  # t.data[1:] += x ends so
            return
        if type(source) is np.ndarray and np.may_share_memory(source, array):  # data[1:] = data[:-1]
            aside = source.copy()
            self._add(Operation(copied, (self.value(source),), {}, None), aside)
            source = aside
        place = self.value(array)
        operation = Operation(assignment, (place, self.value(source)), {}, None, pure=False)
        operation.site = self._site()
        if id(place) not in self.before:
            self.before[id(place)] = place, array.copy()
        self.surroundings.memory.writing(array)
        assignment(array, source)
        self.operations.append(operation)

    def move(self, leaf: Tensor, array: Any) -> None:
        """No part of a program: a replay needs the array that was there when it was recorded."""
        self.surroundings.memory.writing(array)
        super().move(leaf, array)

    # -- Backward

    def passed(self, node: Tensor, i: int, vjp: Vjp, g: Any, y: Any, arguments: Any) -> Any:
        """A rule runs: what it computes belongs to the line of the operation swept."""
        done = operation(node)
        assert done is not None
        with self._sweeping(node):
            return fitted(super().passed(node, i, vjp, g, y, arguments), arguments[i]._value, done.rule, i)

    def added(self, x: Tensor, a: Any, b: Any) -> Any:
        """The sum of two gradients belongs to the line of what they are gradients of."""
        with self._sweeping(x):
            return super().added(x, a, b)

    @contextmanager
    def _sweeping(self, node: Tensor) -> Iterator[None]:
        outer, self._swept = self._swept, node
        try:
            yield
        finally:
            self._swept = outer

    def deposit(self, leaf: Tensor, g: Any) -> None:
        """Add to what stands in ``.grad``, for all who hold it."""
        if type(g) is not Tensor:  # a rule's zeros: of a shape alone
            g = self.lift(np.array(g))
        old = self.gradient(leaf)
        if old is None:
            self.set_gradient(leaf, +g)
        elif type(old) is not Tensor or old.shape != leaf.shape or old.dtype != leaf.dtype:
            probe = wrap(leaf._value)
            probe._grad = getattr(old, "_value", old)
            super().deposit(probe, g._value)  # which says what is wrong
        else:
            self.assign(old, old + g)

    def gradient(self, t: Tensor) -> Any:
        """What stands in ``.grad``: a Tensor in place of an array."""
        found = self._gradient_of(t)
        if not (found.written or found.read):
            found.read = True
            found.now = self.lift(found.before) if isinstance(found.before, np.ndarray | np.generic) else found.before
        return found.now

    def set_gradient(self, t: Tensor, value: Any) -> None:
        """Something is put into ``.grad``, whatever stood there."""
        found = self._gradient_of(t)
        found.written = True
        found.now = self.lift(value) if isinstance(value, np.ndarray | np.generic) else value
        if type(value) is Tensor:
            self._places[id(value)] = value

    def _gradient_of(self, t: Tensor) -> Gradient:
        found = self.gradients.get(id(t))
        if found is None or found.tensor() is not t:
            self._see_leaf(t)
            found = self.gradients[id(t)] = Gradient(weakref.ref(t), t._grad)
        return found

    # -- At the end

    def is_array(self, t: Tensor) -> bool:
        """Whether ``t`` stands for an array that was there before."""
        return id(t) in self._places and self.value(t._value).kind == "bound"

    def let_go(self) -> None:
        """Hold no array any longer but as a Value: what nobody else holds is a constant."""
        self.leaves = {key: leaf for key, leaf in self.leaves.items() if leaf.tensor() is not None}
        self._places.clear()
        self._lifted.clear()

    # -- Inside

    def value(self, x: Any) -> Any:
        """The Value of an array; anything else is itself."""
        if isinstance(x, np.ndarray):
            v = self.known.get(id(x))
            if v is None:
                v = self.known[id(x)] = self._bound.setdefault(_place(x), Value(x, "bound"))
                if v.array is not x:
                    self._kept_alive.append(x)
            return v
        return Value(np.asarray(x), "constant") if isinstance(x, np.generic) else x

    def _see_leaf(self, t: Tensor) -> None:
        v = self.known.get(id(t._value))
        new = t.is_leaf and id(t) not in self.leaves and id(t) not in self._places
        if new and (v is None or v.kind == "bound"):
            self.leaves[id(t)] = Leaf(weakref.ref(t), t._value, t.requires_grad)

    def _add(self, operation: Operation, array: Array) -> None:
        operation.site = self._site()
        errors = np.geterr()
        if errors != self._errors:
            operation.errstate = tuple((key, how) for key, how in errors.items() if how != self._errors[key])
        operation.result = self.known[id(array)] = Value(array, "result", operation=operation)
        self.operations.append(operation)

    def _expand(self, t: Tensor, rule: Rule, arrays: list[Any], options: dict[str, Any]) -> bool:
        """Record, in place of one of the package's own operations, the NumPy calls that it is made of."""
        count, failures = len(self.operations), len(self._failures)
        tensors = [wrap(a) if isinstance(a, np.ndarray) else a for a in arrays]
        y: Any = None
        with suppress(TypeError), state(recording=False):  # written for arrays only: it stays one call
            y = getattr(rule.forward, "_implementation", rule.forward)(*tensors, **options)
        v = self.value(y._value) if type(y) is Tensor and y.shape == t.shape and y.dtype == t.dtype else None
        if v is None or v.kind != "result":
            del self.operations[count:], self._failures[failures:]
            return False
        self.known[id(t._value)] = v
        v.array = t._value
        self._kept_alive.append(y._value)
        return True

    def _site(self) -> Site | None:
        """The line, outside the heart, that an operation comes from; in a sweep, that of the operation swept."""
        if self._swept is not None:
            v = self.known.get(id(self._swept._value))
            if v is not None and v.operation is not None and v.operation.site is not None:
                return (*v.operation.site[:2], True)
        frame = sys._getframe(2)
        while frame is not None:
            if not _is_inner(frame.f_globals.get("__package__")):
                return (frame.f_code.co_filename, frame.f_lineno, False)
            frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
        return None


_PACKAGES = {sys.modules[f.__module__].__package__ for f in (Tensor, put, pullback_of, Surroundings)}


@cache
def _is_inner(package: str | None) -> bool:
    """Whether a package's lines say nothing of what is computed: the heart, NumPy and its functions, this one."""
    return package in _PACKAGES or (package or "").partition(".")[0] == np.__name__


def _place(array: Array) -> Any:
    """Where an array lies: arrays of one place show the same."""
    return id(owner(array)), array.__array_interface__["data"][0], array.shape, array.strides, array.dtype


def _part(array: Array, index: Any) -> Array:
    """The view ``array[index]``, also of a single element."""
    parts = index if type(index) is tuple else (index,)
    return array[parts if any(part is ... for part in parts) else (*parts, ...)]
