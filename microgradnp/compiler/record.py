"""Recording: what a step computes, as a list of operations on numbered values.

The step runs once, as always, on Tensors; `Tracer` is told of every operation through the same door that eager mode
uses. Arrays are known by identity: one that an operation of this run returned is a *result*, an argument of the step is
an *input*, and any other was there before, so it is bound by reference (a parameter, an optimizer's state, a table).
"""

from __future__ import annotations

import random
import sys
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.ir import Operation, Part, Site, Value, assignment, mapped, owner
from microgradnp.engine.dispatch import FUNCTIONS
from microgradnp.engine.operators import Operators
from microgradnp.engine.rules import Rule, Vjp, name_of
from microgradnp.engine.state import Machine, state
from microgradnp.engine.sweep import fitted, sweep
from microgradnp.engine.tensor import Tensor, apply, plain, wrap
from microgradnp.transforms.pullback import vjp

SHAPES: set[Callable[..., Any]] = {np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj}
FILLS: set[Callable[..., Any]] = {np.zeros_like, np.ones_like, np.empty_like}
"""Functions of an array's shape and dtype alone: their results are constants of the program."""

TEXTS: set[Callable[..., Any]] = {np.array2string, np.array_repr, np.array_str}


class RecordingError(TypeError):
    """A step does something that a recorded program could not repeat."""


@dataclass(slots=True)
class Leaf:
    """A Tensor that was there before the step: how it was found, so that a replay can see whether it still is so."""

    tensor: Any  # a weak reference: Tensors made by the step itself vanish with it
    array: Array
    tracked: bool


@dataclass(slots=True)
class Draws:
    """A random generator that a step draws from, and its state after the last draw that was recorded."""

    generator: Any
    state: Any


@dataclass(eq=False)
class Recorder(Machine):
    """The machine that writes down everything that a step computes."""

    traces = True

    surroundings: Any = None
    inputs: list[Value] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    leaves: dict[int, Leaf] = field(default_factory=dict)
    gradients: dict[Tensor, Array] = field(default_factory=dict)  # what stood in .grad before the step
    assigned: dict[int, Value] = field(default_factory=dict)
    places: dict[int, Tensor] = field(default_factory=dict)  # what stands for an array that was there before
    generators: dict[int, Draws] = field(default_factory=dict)
    known: dict[int, Value] = field(default_factory=dict)  # by the identity of its array
    bound: dict[Any, Value] = field(default_factory=dict)  # by its place in memory: several arrays may show it
    _kept_alive: list[Array] = field(default_factory=list)  # arrays whose identity stands for another one's value
    swept: Tensor | None = None  # whose rule is running
    errors: dict[str, Any] = field(default_factory=lambda: dict(np.geterr()))

    # -- What is told

    def ran(self, t: Tensor, rule: Rule, inputs: tuple[Any, ...], arrays: list[Any], options: dict[str, Any]) -> None:
        """An operation of the table, that gave ``t``."""
        for x in inputs:
            if type(x) is Tensor and x._rule is None:
                self._see_leaf(x)
        if id(t._value) in self.known:  # handed on as it is
            return
        function = rule.function
        if rule.composed and self._expand(t, rule, arrays, options):
            return
        arguments = tuple(self._value(a) for a in arrays)
        options = mapped(options, self._value) if options else options
        self._add(Operation(function, arguments, options, None, rule=rule), t._value)

    def constant(self, function: Callable[..., Any], arrays: Any, options: Any, tensors: Iterable[Any]) -> Any:
        """A function with gradient zero: computed again at each replay, unless the shape alone decides."""
        for t in tensors:
            if t._rule is None:
                self._see_leaf(t)
        y = function(*arrays, **options)
        if function in SHAPES or function in TEXTS or (function in FILLS):
            return y
        if function in _SHAPE_BY_VALUE:
            raise RecordingError(
                f"{name_of(function)} in a compiled step: the shape of its result depends on values, which change from "
                "replay to replay. Choose with np.where or multiply by a mask, or leave that line outside the step."
            )
        arguments, values = mapped(arrays, self._value), mapped(options, self._value)
        if isinstance(y, tuple):  # several results: each a call of its own, of which the needed ones remain
            return tuple(
                self._constant(Part(function, i), arguments, values, part)
                if isinstance(part, np.ndarray | np.generic)
                else part
                for i, part in enumerate(y)
            )
        return self._constant(function, arguments, values, y)

    def _constant(self, function: Callable[..., Any], arguments: Any, options: Any, y: Any) -> Tensor:
        t = wrap(np.asarray(y))
        if t._value.base is not None:
            t._value = t._value.copy()
        self._add(Operation(function, arguments, options, None), t._value)
        return t

    def assign(self, target: Any, value: Any, index: Any = ...) -> None:
        """``value`` is written into ``target``, an array that was there before or a Tensor that stands for one."""
        if type(target) is Tensor and self.is_gradient(target):
            self.write_gradient(target, value)
            return
        target = (target._value if type(target) is Tensor else target)[index]
        place = self._value(target)
        if place.kind != "bound":
            raise RecordingError(
                "a compiled step can write only into arrays that were there before it, such as a parameter's data; "
                f"this one is an {place.kind} of the step."
                if place.kind == "input"
                else "a compiled step cannot write into an array that it computed itself: make a new one instead."
            )
        source = value._value if type(value) is Tensor else value
        operation = Operation(assignment, (place, self._value(source)), {}, None, pure=False)
        operation.site = _site(self)
        with self.surroundings.memory.writing(target):
            assignment(target, source)
        self.operations.append(operation)
        self.assigned[id(owner(target))] = place

    def see_gradient(self, t: Tensor) -> None:
        """Let the step find a gradient that was there before as a Tensor, so that what it does with it is recorded."""
        if type(t.grad) is np.ndarray and t not in self.gradients:
            self.gradients[t] = t.grad
            t.grad = wrap(t.grad)

    def write_gradient(self, gradient: Tensor, y: Tensor) -> None:
        """Let a gradient be ``y`` for all who hold it: in eager mode it is an array, and this writes into it."""
        if y.shape != gradient.shape:
            raise ValueError(f"a gradient of shape {gradient.shape} cannot hold a result of shape {y.shape}.")
        y = y.astype(gradient.dtype)
        if self._value(gradient._value).kind == "bound":
            self.assign(gradient._value, y)
        else:
            gradient._value = y._value

    def is_gradient(self, t: Tensor) -> bool:
        """Whether ``t`` stands in some ``.grad``."""
        leaves = (leaf.tensor() for leaf in self.leaves.values())
        return any(leaf is not None and leaf.grad is t for leaf in (*self.gradients, *leaves))

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
        place = self.lift(t._value)
        self.places[id(place)] = place
        return place

    def lift(self, array: Any) -> Tensor:
        """A Tensor that stands for an array."""
        return wrap(np.asarray(array))

    def is_place(self, x: Any) -> bool:
        """Whether ``x`` stands for an array that was there before: a ``.data``, a ``.grad``, a parameter, an array."""
        if type(x) is not Tensor:
            return isinstance(x, np.ndarray)
        return id(x) in self.places or (x._tracked and x._rule is None) or self.is_gradient(x)

    def move(self, leaf: Tensor, array: Any) -> None:
        """No part of a program: a replay needs the array that was there when it was recorded."""
        with self.surroundings.memory.writing(array):
            super().move(leaf, array)

    def read(self, t: Tensor, what: str) -> Any:
        """No Python value and no plain array: it would stay in the program."""
        if what == "__array__":
            raise RecordingError(
                "a Tensor cannot become an ndarray while a program is recorded: its value would be frozen into the "
                "program. Use NumPy functions on the Tensor itself."
            )
        raise RecordingError(
            f"{what} asks for a Tensor's value while a program is recorded; the program would keep the value of the "
            "first call for ever. Write the choice with np.where, np.maximum or np.clip, or leave that line outside "
            "the compiled step."
        )

    def passed(self, node: Tensor, i: int, vjp: Vjp, g: Any, y: Any, arguments: Any) -> Any:
        """A rule runs: what it computes belongs to the line of the operation swept."""
        outer, self.swept = self.swept, node
        rule = node._rule
        assert rule is not None
        try:
            return fitted(super().passed(node, i, vjp, g, y, arguments), arguments[i]._value, rule, i)
        finally:
            self.swept = outer

    def added(self, x: Tensor, a: Any, b: Any) -> Any:
        """The sum of two gradients belongs to the line of what they are gradients of."""
        outer, self.swept = self.swept, x
        try:
            return super().added(x, a, b)
        finally:
            self.swept = outer

    def deposit(self, leaf: Tensor, g: Any) -> None:
        """Add to what stands in ``.grad``."""
        if type(g) is not Tensor:  # a rule's zeros: of a shape alone
            g = wrap(np.array(g))
        grad = leaf._grad
        if isinstance(grad, np.generic):  # what NumPy makes of a 0-d array, in p.grad = p.grad * 0.5
            grad = leaf._grad = np.array(grad)
        if grad is None:
            leaf._grad = +g
        elif type(grad) not in (np.ndarray, Tensor) or grad.shape != leaf.shape or grad.dtype != leaf.dtype:
            leaf._deposit(plain(g))  # which says what is wrong
        elif type(grad) is Tensor:
            self.write_gradient(grad, grad + g)
        else:  # an array that the step has made by itself
            leaf._grad = grad + g

    def draw(self, method: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Random numbers, drawn anew at each replay."""
        if any(type(x) is Tensor for x in (*args, *options.values())):
            raise RecordingError(
                f"draw({method.__name__}) in a compiled step takes plain numbers and shapes, not Tensors: draw "
                "standard numbers and scale them, such as mean + deviation * draw(rng.standard_normal, shape)."
            )
        generator: Any = method.__self__  # type: ignore[attr-defined]  # a bound method
        self.check_draws([generator])
        y = np.asarray(method(*args, **options))
        self.watch([generator])
        t = wrap(y if y.base is None else y.copy())
        self._add(Operation(method, args, options, None, pure=False), t._value)
        return t

    # -- Generators

    def watch(self, generators: Iterable[Any]) -> None:
        """Note the state of random generators."""
        for generator in generators:
            self.generators[id(generator)] = Draws(generator, _state_of(generator))

    def check_draws(self, generators: Iterable[Any] | None = None) -> None:
        """Raise if a generator was drawn from behind the program's back."""
        known = self.generators
        for draws in (
            list(known.values()) if generators is None else [known[id(g)] for g in generators if id(g) in known]
        ):
            if not _equal_states(_state_of(draws.generator), draws.state):
                what = (
                    "NumPy's global random state"
                    if draws.generator is np.random
                    else (
                        "Python's random module" if draws.generator is random else f"{type(draws.generator).__name__}"
                    )
                )
                raise RecordingError(
                    f"the step draws random numbers from {what} directly: a replay would use the same numbers for "
                    "ever. Draw them with microgradnp.draw(rng.standard_normal, size=...), rng being a "
                    "numpy.random.Generator; then each replay draws anew. Or draw outside the step, and pass the "
                    "numbers as an argument."
                )

    # -- Inside

    def _value(self, x: Any) -> Any:
        """The Value of an array; anything else is itself."""
        if isinstance(x, np.ndarray):
            v = self.known.get(id(x))
            if v is None:
                v = self.known[id(x)] = self.bound.setdefault(_place(x), Value(x, "bound"))
                if v.array is not x:
                    self._kept_alive.append(x)
            if v.kind == "bound":
                self.surroundings.memory.reading(x)
            return v
        if isinstance(x, np.generic):
            return Value(np.asarray(x), "constant")
        return x

    def _see_leaf(self, t: Tensor) -> None:
        v = self.known.get(id(t._value))
        if (v is None or v.kind == "bound") and id(t) not in self.leaves:
            self.leaves[id(t)] = Leaf(weakref.ref(t), t._value, t._tracked)
            self.see_gradient(t)

    def _add(self, operation: Operation, array: Array) -> None:
        operation.site = _site(self)
        errors = np.geterr()
        if errors != self.errors:
            operation.errstate = tuple((key, how) for key, how in errors.items() if how != self.errors[key])
        operation.result = self.known[id(array)] = Value(array, "result", operation=operation)
        self.operations.append(operation)

    def _expand(self, t: Tensor, rule: Rule, arrays: list[Any], options: dict[str, Any]) -> bool:
        """Record, in place of one of the package's own operations, the NumPy calls that it is made of."""
        count = len(self.operations)
        tensors = [wrap(a) if isinstance(a, np.ndarray) else a for a in arrays]
        try:
            with state(recording=False):
                y = getattr(rule.forward, "_implementation", rule.forward)(*tensors, **options)
        except TypeError:  # written for arrays only: it stays one call
            del self.operations[count:]
            return False
        if type(y) is not Tensor or y.shape != t.shape or y.dtype != t.dtype:
            del self.operations[count:]
            return False
        v = self._value(y._value)
        if v.kind != "result":
            return False
        self.known[id(t._value)] = v
        v.array = t._value
        self._kept_alive.append(y._value)
        return True


_SHAPE_BY_VALUE = {np.argwhere, np.flatnonzero, np.nonzero, np.unique}


def _place(array: Array) -> Any:
    """Where an array lies: arrays of one place show the same."""
    return id(owner(array)), array.ctypes.data, array.shape, array.strides, array.dtype.str


def _state_of(generator: Any) -> Any:
    if generator is random:
        return random.getstate()
    if generator is np.random:
        return np.random.get_state()  # noqa: NPY002  (to see whether the step has drawn from it)
    return generator.bit_generator.state


def _equal_states(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal_states(a[key], b[key]) for key in a)
    if isinstance(a, tuple) and any(isinstance(part, np.ndarray) for part in a):
        return len(a) == len(b) and all(map(_equal_states, a, b))
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


@cache
def _inner() -> frozenset[str]:
    """The modules whose lines say nothing of what is computed: the heart, NumPy's functions, transforms, this one."""
    heart = (apply, Operators.__add__, Machine.run, sweep, vjp, _inner)
    return frozenset(f.__module__ for f in (*heart, *FUNCTIONS.values()))


def _site(recorder: Recorder) -> Site | None:
    """The line, outside the engine, that an operation comes from; in a backward sweep, that of the operation swept."""
    if recorder.swept is not None:
        v = recorder.known.get(id(recorder.swept._value))
        if v is not None and v.operation is not None and v.operation.site is not None:
            return (*v.operation.site[:2], True)
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__") not in _inner():
            return (frame.f_code.co_filename, frame.f_lineno, False)
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return None
