"""`compile`: record a step at its first call, replay it from then on, record anew when something is not as it was.

Every call has the program's numbers, the first one too: the step runs once to be recorded, what it wrote is put back,
and its program runs. So it makes no difference to a training where it is interrupted, and which call is audited.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import update_wrapper
from types import MethodType
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.arrays import native, plain_array
from microgradnp.compiler.audit import Audit, Finding
from microgradnp.compiler.guards import what_changed
from microgradnp.compiler.optimise import optimise
from microgradnp.compiler.program import MISS, Program
from microgradnp.compiler.record import Recorder
from microgradnp.compiler.trace import record
from microgradnp.engine.state import Machine, current, state
from microgradnp.engine.tensor import plain, wrap
from microgradnp.transforms.pullback import ARRAYS

PATIENCE = 8
"""After so many recordings in a row a compiled step complains."""

LIMIT = 16
"""How many programs one compiled step keeps: those used last."""


def _miss(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return MISS


class Inside(Machine):
    """A step runs as it is, and the compiled steps that it calls are part of it, as they are of its program."""


class Compiled:
    """A step that is recorded when first called and replayed after: what `compile` returns."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._programs: list[Program] = []  # the one used last comes first
        self._lock = threading.RLock()  # an audit replays while it holds it
        self._in_a_row = 0
        self._unfit: str | None = None  # why the last recording was of no use
        self._nested = False  # another compiled step was called within
        self._run: Callable[[tuple[Any, ...], dict[str, Any]], Any] = _miss
        self._plain = getattr(function, ARRAYS, False)
        update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._run(args, kwargs)
        result = self._find(args, kwargs) if result is MISS else result
        return plain(result) if self._plain and not current().machine.traces else result

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        """A compiled method of ``owner``, which is the first argument of the step."""
        return self if owner is None else MethodType(self, owner)

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
        machine = current().machine
        if type(machine) is not Machine:  # part of another program, or to be watched step by step
            if isinstance(machine, Recorder):
                machine.nested = True
            return self._uncompiled(args, kwargs)
        with self._lock:
            for program in [*self._programs]:
                result = program.replay(args, kwargs)
                if result is not MISS:
                    if program in self._programs:  # no audit has dropped it
                        self._programs.remove(program)
                        self._programs.insert(0, program)
                        self._run = program.replay
                    self._in_a_row = 0
                    return result
            self._count()
            return self._record(args, kwargs)

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the step once to make a program of it, and then the program from the same state."""
        run = record(self._function, args, kwargs)
        self._nested |= run.recorder.nested
        moved, before = run.moved(), self._unfit
        if moved is not None and before is not None:  # not only at the first call, as what is set up lazily would
            self._give_up(moved)
        guards = run.guards()
        self._unfit = moved or what_changed(guards)
        result = run.leave()
        if self._unfit is not None:  # no longer true when the step has ended
            return result
        trace = optimise(run.trace(guards, self._lock))
        audit = trace.audit = Audit(trace, self._uncompiled, self._strayed)
        program = audit.program = Program(trace)
        self._programs.insert(0, program)
        del self._programs[LIMIT:]
        self._run = _miss  # the next call looks for it, and so ends the count of recordings in a row
        return audit.first(result, run.undo, args, kwargs)

    def _uncompiled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The step itself, given Tensors as it is while it is recorded."""
        places: dict[int, Any] = {}  # an array that is given twice is one Tensor

        def lifted(x: Any) -> Any:
            if not isinstance(x, np.ndarray | np.generic):
                return x
            if id(x) not in places:
                places[id(x)] = wrap(native(plain_array(x)))
            return places[id(x)]

        alone = type(current().machine) is not Machine or not self._nested
        with nullcontext() if alone else state(machine=Inside()):
            return self._function(*tree.map(lifted, args), **tree.map(lifted, kwargs))

    # -- What is said aloud

    def _give_up(self, moved: str) -> None:
        """A replay would leave out what the step changes by itself, so it is run as it is, and says so."""
        self._run = self._uncompiled
        _warn(
            f"{self!r} runs without being compiled: it changes {moved} at every call, which a recorded program would "
            "not repeat. Keep such state in a Tensor and change it in place by Tensors (t.data += 0.1 * (x.mean(0) - "
            "t)), or keep it outside of the step."
        )

    def _strayed(self, finding: Finding, last: int, number: int) -> None:
        """A program has gone another way than its step: it is dropped, and no other would be better."""
        self._programs.clear()
        self._run = self._uncompiled
        between = f"; replays {last + 1} to {number - 1} may have repeated old values" if number - last > 1 else ""
        _warn(
            f"{self!r} runs without being compiled from now on. At replay {number} it was compared with the step "
            f"itself: {finding.what} was {_shown(finding.program)}; the step gives {_shown(finding.step)}. The step "
            "depends on something that no replay sees change, such as a clock, an iterator, a file, an attribute of a "
            "module, or an array of which NumPy alone makes something. This call returns what the step "
            f"gives{between}. Pass what changes as an argument, in an array, or keep it outside of the step."
        )

    def _count(self) -> None:
        """Say aloud that a step is recorded again and again."""
        self._in_a_row += 1
        if self._in_a_row == PATIENCE:
            changed = what_changed(self._programs[0].trace.guards) if self._programs else self._unfit
            _warn(
                f"{self!r} was recorded anew at each of the last {PATIENCE} calls, which is slower than not compiling "
                f"it. What changed last: {changed or 'the shape, dtype or value of an argument'}. Keep what changes at "
                "every call in an array that the step reads, or pass it as an array."
            )


def _warn(message: str) -> None:
    """A warning that names the line of the caller's that led here."""
    level, frame = 1, sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level += 1
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    warnings.warn(message, RuntimeWarning, stacklevel=level)


_PACKAGE = __name__.partition(".")[0]


def _shown(x: Any) -> str:
    if not isinstance(x, np.ndarray):
        return repr(x)
    return np.array2string(x, precision=8, threshold=8, edgeitems=3, separator=", ").replace("\n", "")


def compile(step: Callable[..., Any]) -> Compiled:
    """Record a function of arrays at its first call, and replay it from then on as a flat list of NumPy calls.

    A training step (forward, `backward`, ``optimizer.step()``) becomes one list of calls into memory that is planned
    once: nothing is allocated and no graph is built. ``step.program`` shows the calls.

    Parameters
    ----------
    step
        Called with arrays, or nested tuples, lists and dicts of arrays; other arguments (numbers, strings, objects) are
        part of what is recorded, a NumPy integer only where the step asks for its value (``range(n)``, ``table[n]`` of
        an array). While it is recorded, arrays arrive as Tensors. Everything that it returns as a Tensor
        comes back as a Tensor outside any graph, in memory of its own; what `grad`, its kin or a model's ``predict``
        returns as an array is an array. In a class it is a method.

    Returns
    -------
    Compiled
        Called like ``step``. Arguments of other shapes or dtypes, a parameter whose ``.data`` is another array, a model
        put into another mode or given another layer: each records anew. The 16 programs used last are kept.

    Raises
    ------
    RecordingError
        If the step does what a replay could not repeat: a Python ``if`` on a Tensor's value, a result whose shape
        depends on values, random numbers drawn without `draw`.

    Notes
    -----
    Arrays that were there before the step (parameters, an optimizer's state, a table that the step looks into) are read
    where they are: writing into them is seen. A parameter's ``.data`` and ``.grad`` arrive as Tensors that stand for
    these arrays, so that what NumPy computes from them, and writes into them, is recorded too. Numbers and objects are
    compared at each replay wherever the step finds them: arguments, closures, globals, attributes, slots, dicts, sets,
    classes and modules of your own; so are small arrays of which NumPy alone makes something.

    What no comparison sees (a clock, an iterator, a file, a part of a container of thousands, or of a hundred where the
    step is short, 1.0 in place of 1 among more than 16 numbers, a large array of which NumPy alone makes something) is
    found by an audit: at the 2nd, 3rd, 4th, 8th, 16th, ... call the step itself runs, and what it gives and writes is
    compared with its program. If they differ by more than rounding, a warning says where; the call returns what the
    step gives, and from then on the step runs without being compiled. So a step that prints or counts does so at these
    calls alone. Every call has the program's numbers, whether it is recorded, replayed or audited.

    A short list of plain numbers may be a log: what is appended to it calls for an audit, three times. ``.grad`` holds
    the gradients of the last call, in memory that the next call writes over. Calls from several threads take turns.

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
