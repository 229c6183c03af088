"""`compile`: record a step at its first call, replay it from then on, record anew when something is not as it was."""

from __future__ import annotations

import random
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from functools import update_wrapper
from typing import Any

import numpy as np

from microgradnp.arrays import native, plain_array
from microgradnp.compiler.guards import Surroundings, what_changed
from microgradnp.compiler.ir import Guard, Trace, Value
from microgradnp.compiler.optimise import mark_constants, optimise
from microgradnp.compiler.program import MISS, Program
from microgradnp.compiler.record import Recorder, RecordingError
from microgradnp.engine.state import Machine, State, current, state
from microgradnp.engine.tensor import Tensor, wrap
from microgradnp.signatures import parameters_of

PATIENCE = 8
"""After so many recordings in a row a compiled step complains."""

LIMIT = 16
"""How many programs one compiled step keeps: those used last."""


def _miss(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return MISS


class Compiled:
    """A step that is recorded when first called and replayed after: what `compile` returns."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._programs: list[Program] = []  # the one used last comes first
        self._lock = threading.Lock()
        self._known: dict[int, weakref.ref[Tensor]] = {}  # leaves seen in earlier recordings
        self._in_a_row = 0
        self._moved: str | None = None  # what the last recording has changed by itself
        self._run: Callable[[tuple[Any, ...], dict[str, Any]], Any] = _miss
        update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._run(args, kwargs)
        return self._find(args, kwargs) if result is MISS else result

    @property
    def program(self) -> Program:
        """The program used last."""
        if not self._programs:
            raise RuntimeError("nothing is recorded yet: call the compiled step once, then look at its program.")
        return self._programs[0]

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", repr(self._function))
        return f"<compiled {name}, {len(self._programs)} program{'s' * (len(self._programs) != 1)}>"

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        now = current()
        if type(now.machine) is not Machine:  # part of another program, or to be watched step by step
            return self._unrecorded(args, kwargs)
        for program in self._programs:
            result = program.replay(args, kwargs)
            if result is not MISS:
                self._programs.remove(program)
                self._programs.insert(0, program)
                self._run = program.replay
                self._in_a_row = 0
                return result
        self._count(args, kwargs)
        with self._lock:
            result, program, moved = self._record(args, kwargs)
            if moved is None:
                self._programs.insert(0, program)
                del self._programs[LIMIT:]
                self._run = _miss  # the next call finds it, and has its function written
            elif self._moved is not None:  # not only at the first call, as what is set up lazily would
                self._give_up(moved)
            self._moved = moved
        return result

    def _unrecorded(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The step itself, given Tensors as it is while it is recorded."""

        def lifted(x: Any) -> Any:
            return wrap(native(plain_array(x))) if isinstance(x, np.ndarray | np.generic) else x

        return self._function(*_mapped(args, lifted), **_mapped(kwargs, lifted))

    def _give_up(self, moved: str) -> None:
        """A replay would leave out what the step changes by itself, so it is run as it is, and says so."""
        self._run = self._unrecorded
        warnings.warn(
            f"{self!r} runs without being compiled: it changes {moved} at every call, which a recorded program would "
            "not repeat. Keep such state in a Tensor and change it in place by Tensors (t.data += 0.1 * (x.mean(0) - "
            "t)), or keep it outside of the step.",
            RuntimeWarning,
            stacklevel=5,
        )

    def _count(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Say aloud that a step is recorded again and again."""
        self._in_a_row += 1
        if self._in_a_row == PATIENCE:
            changed = what_changed(self._programs[0].trace.guards) or "the shape, dtype or value of an argument"
            warnings.warn(
                f"{self!r} was recorded anew at each of the last {PATIENCE} calls, which is slower than not compiling "
                f"it. What changed last: {changed}. Keep what changes at every call in an array that the step reads, "
                "or pass it as an array.",
                RuntimeWarning,
                stacklevel=4,
            )

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Program, str | None]:
        now = current()
        function = self._function
        tracer = Recorder()
        surroundings = tracer.surroundings = Surroundings(function)
        tracer.watch([random, np.random, *surroundings.generators])
        structure, arguments = _inputs((args, kwargs), tracer, [p.name for p in parameters_of(function)])
        try:
            for t in (*surroundings.tensors, *(t for r in self._known.values() if (t := r()) is not None)):
                tracer.see_gradient(t)
            with state(machine=tracer):
                result = function(*arguments[0], **arguments[1])
            tracer.check_draws()
        except BaseException:
            leaves = [t for leaf in tracer.leaves.values() if (t := leaf.tensor()) is not None]
            for t in (*tracer.gradients, *leaves):
                if isinstance(t.grad, Tensor):
                    t.grad = tracer.gradients.get(t)
            raise
        del arguments
        return self._finish(tracer, structure, result, now, surroundings)

    def _finish(
        self,
        tracer: Recorder,
        structure: Any,
        result: Any,
        now: State,
        surroundings: Surroundings,
    ) -> tuple[Any, Program, str | None]:
        moved = surroundings.changed()
        if moved is not None:
            surroundings = Surroundings(self._function)
        old = tracer.gradients
        for t, before in old.items():
            if getattr(t.grad, "_value", None) is before:
                t.grad = before
        leaves = {t: leaf for leaf in tracer.leaves.values() if (t := leaf.tensor()) is not None}
        tracer.leaves.clear()
        values: dict[Tensor, Value] = {}
        for t in {**old, **leaves}:
            if type(t.grad) is Tensor:
                values[t] = tracer._value(t.grad._value)
            elif t.grad is not old.get(t) and t.grad is not None:
                moved = moved or f"the gradient of {_describe(t)}"
        given: list[Value] = []
        stays = {*surroundings.tensors}  # what was there before the step comes back as it is

        def returned(x: Any) -> Any:
            if isinstance(x, Tensor):
                if x in stays:
                    return x
                v = tracer._value(x._value)
                given.append(v)
                return v
            if isinstance(x, np.ndarray) and id(x) in tracer.known and tracer.known[id(x)].kind in ("result", "input"):
                raise RecordingError(
                    "a compiled step returned the .data of a computed Tensor: return the Tensor itself."
                )
            if isinstance(x, Iterator):
                raise RecordingError(
                    f"a compiled step returned a {type(x).__name__}, which gives its items once, and a replay would "
                    "return it again: return a list. A function with 'yield' cannot be compiled; what it calls can."
                )
            return x

        shape = _mapped(result, returned)
        first = _mapped(result, lambda x: wrap(x._value.copy()) if isinstance(x, Tensor) and x not in stays else x)
        read = {t for t in old if id(old[t]) in tracer.known}
        for t in values:
            t.grad = None
        del result
        mark_constants(list(tracer.known.values()))
        starts = {t: tracer._value(old[t]) for t in values if t in read}
        without_gradient = [t for t in values if old.get(t) is None]
        cleared = [t for t in old if t.grad is None and t not in values]
        guards: list[Guard] = []
        for t in {**old, **leaves, **dict.fromkeys(surroundings.tensors)}:
            if t in read if t in old else t._tracked:  # one that is not there cannot be seen to be cleared
                guards += [Guard(t, "attribute", "grad", "is", old.get(t), "the gradient of " + _describe(t))]
        for t, leaf in leaves.items():
            guards += [Guard(t, "attribute", "_value", "is", leaf.array, _describe(t))]
            guards += [Guard(t, "attribute", "_tracked", "is", leaf.tracked, _describe(t))]
        guards += surroundings.guards
        self._known |= {id(t): weakref.ref(t) for t in (*old, *leaves)}
        for v in tracer.known.values():
            if v.kind == "bound" and not v.name:
                v.name = surroundings.name(v.array)
        for t, leaf in leaves.items():
            v = tracer._value(leaf.array)  # new, where the step has asked for a shape alone
            v.name = v.name or t.name or ""
        for t, v in values.items():
            if v.kind == "result" and not v.name:
                v.name = f"gradient_of_{tracer._value(t._value).name or 'a_parameter'}"
        trace = Trace(
            _function_name(self._function),
            tracer.operations,
            tracer.inputs,
            values,
            starts,
            cleared,
            shape,
            given,
            structure,
            guards,
            without_gradient,
            now,
            self._lock,
        )
        trace = optimise(trace)
        for t in values:
            if t not in trace.gradients:
                np.copyto(old[t], values[t].array)
                t.grad = old[t]
        program = Program(trace)
        for t, v in trace.gradients.items():
            t.grad = v.array.copy()
        return first, program, moved


def _describe(t: Tensor) -> str:
    return f"{t.name or 'a parameter'} of shape {t.shape}"


def _mapped(tree: Any, f: Callable[[Any], Any]) -> Any:
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_mapped(part, f) for part in tree))
    if type(tree) in (tuple, list):
        return type(tree)(_mapped(part, f) for part in tree)
    if type(tree) is dict:
        return {key: _mapped(part, f) for key, part in tree.items()}
    return f(tree)


def _function_name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return name if name.isidentifier() else "step"


def _inputs(arguments: tuple[Any, Any], tracer: Recorder, names: list[str]) -> tuple[Any, Any]:
    """The arguments with Values, and with Tensors, in place of arrays."""

    def lift(x: Any, name: str) -> tuple[Any, Any]:
        if isinstance(x, Tensor):
            if x._tracked:
                raise TypeError(
                    f"argument {name} of a compiled step is a Tensor that wants a gradient or is part of a graph: a "
                    "replay would not connect to it. Let the step use such a Tensor directly (as it does a model's "
                    "parameters), or pass its data."
                )
            x = x._value
        if isinstance(x, np.ndarray | np.generic):
            array = native(plain_array(x))
            if array.dtype.kind not in "fiub":
                raise TypeError(f"argument {name} of a compiled step must hold real numbers; got dtype {array.dtype}.")
            array = array.view()  # given twice, or read by the step besides as its own, it is another input, or none
            v = Value(array, "input", name)
            tracer.known[id(array)] = v
            tracer.inputs.append(v)
            return v, wrap(array)
        if type(x) in (tuple, list) or (isinstance(x, tuple) and hasattr(x, "_fields")):
            pairs = [lift(part, f"{name}_{i}") for i, part in enumerate(x)]
            make = getattr(x, "_make", type(x))  # of a named tuple
            return make(p[0] for p in pairs), make(p[1] for p in pairs)
        if type(x) is dict:
            items = {key: lift(part, f"{name}_{key}") for key, part in x.items()}
            return {key: p[0] for key, p in items.items()}, {key: p[1] for key, p in items.items()}
        return x, x

    args, kwargs = arguments
    named = [names[i] if i < len(names) else f"argument_{i}" for i in range(len(args))]
    pairs = [lift(x, name) for x, name in zip(args, named, strict=True)]
    options = {key: lift(x, key) for key, x in kwargs.items()}
    return (
        (tuple(p[0] for p in pairs), {key: p[0] for key, p in options.items()}),
        (tuple(p[1] for p in pairs), {key: p[1] for key, p in options.items()}),
    )


def compile(step: Callable[..., Any]) -> Compiled:
    """Record a function of arrays at its first call, and replay it from then on as a flat list of NumPy calls.

    A training step (forward, `backward`, ``optimizer.step()``) becomes one list of calls into memory that is planned
    once: nothing is allocated and no graph is built. ``step.program`` shows the calls.

    Parameters
    ----------
    step
        Called with arrays, or nested tuples, lists and dicts of arrays; other arguments (numbers, strings, objects) are
        part of what is recorded. While it is recorded, arrays arrive as Tensors. Everything that it returns as a Tensor
        comes back as a Tensor outside any graph, in memory of its own.

    Returns
    -------
    Compiled
        Called like ``step``. Arguments of other shapes or dtypes, a parameter whose ``.data`` is another array, a model
        put into another mode or given another layer: each records anew. The 16 programs used last are kept.

    Raises
    ------
    RecordingError
        If the step does what a replay could not repeat: a Python ``if`` on a Tensor's value, a result whose shape
        depends on values, random numbers drawn without `draw`, a parameter's ``.data`` written by NumPy alone.

    Notes
    -----
    Arrays that were there before the step (parameters, an optimizer's state, a table that the step looks into) are read
    where they are: writing into them is seen, and plain NumPy computations *on them alone* are done once, while
    recording. So are other effects of Python code, such as printing. Numbers and objects are compared at each replay
    wherever the step finds them: closures, globals, attributes, slots, dicts, sets, and classes of your own; but
    attributes of modules and of installed libraries' classes, deques and a function's default arguments are not. A list
    of plain numbers may be a log: what is appended to it is not looked at. ``.grad`` holds the gradients of the last
    call, in memory that the next call writes over. Calls from several threads take turns.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> w = mg.Tensor([1.0, 2.0], requires_grad=True)
    >>> @mg.compile
    ... def step(x):
    ...     w.grad = None
    ...     loss = np.sum(np.square(w * x))
    ...     loss.backward()
    ...     return loss
    >>> step(np.array([1.0, 1.0])).item()
    5.0
    >>> step(np.array([3.0, 1.0])).item()
    13.0
    >>> w.grad
    array([18.,  4.])
    """
    if not callable(step):
        raise TypeError(f"compile takes a function; got {type(step).__name__}.")
    return Compiled(step)


def draw(method: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Draw random numbers: in a compiled step anew at each replay.

    Parameters
    ----------
    method
        A method of a `numpy.random.Generator`.
    *args, **options
        What to call it with: plain numbers and shapes.

    Raises
    ------
    RecordingError
        If an argument is a Tensor while a step is recorded.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> rng = np.random.default_rng(0)
    >>> noise = mg.compile(lambda x: x + mg.draw(rng.standard_normal, x.shape))
    >>> bool(np.all(noise(np.zeros(3)).data == noise(np.zeros(3)).data))
    False
    """
    if not isinstance(getattr(method, "__self__", None), np.random.Generator):
        raise TypeError(
            f"draw takes a method of a numpy.random.Generator, such as draw(rng.standard_normal, 3); got {method!r}."
        )
    machine = current().machine
    return machine.draw(method, args, options) if isinstance(machine, Recorder) else method(*args, **options)
