"""The audit: now and then the step itself runs in place of its program, from the same state, and both are compared.

Guards see what changes where a step can be seen to look. Under them lies this net, for clocks, iterators, files,
attributes of modules, and what NumPy alone makes of an array: at the 2nd, 3rd, 4th, 8th, 16th, ... replay the program
runs, all that it wrote is put back, the step runs, and what they gave and wrote must agree. In n replays it costs
log2(n) steps.

A program may differ from its step by rounding, as it adds up in another order. How much rounding amounts to is not
guessed but measured: the program runs again from a state that is moved in the last bit, and with each result moved so.
What it differs from its step must be explained by what it then differs from itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from operator import length_hint
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from microgradnp import tree
from microgradnp.arrays import Array
from microgradnp.compiler.generators import set_state, state_of
from microgradnp.compiler.ir import Trace, owner
from microgradnp.compiler.trace import describe
from microgradnp.engine.state import Machine
from microgradnp.engine.tensor import Tensor

ROUNDING = 64
"""So many units in the last place of an array's largest element, or times what the shaken program differs."""

LOGGED = 3
"""A list that has grown so often without a difference is a log: that it grows on calls for no audit."""

SHAKES = 32
"""How often at the most a program that differs is run from a state moved in the last bit, until that explains it.

Of data that are symmetric a gradient may be mere rounding, and Adam makes a whole step of it: its sign is a matter of
chance, and n runs all have the same with probability 2**-n. Of 640 such trainings 4 runs condemned 164, 8 runs 22, 32
none.
"""


def wait(number: int) -> int:
    """How many replays go by from the audit of one to the next: the 2nd, 3rd, 4th, 8th, 16th, ... are compared."""
    return 0 if number < 4 else number - 1


class Finding(NamedTuple):
    """Where a program has strayed from its step."""

    what: str
    program: Any
    step: Any


class Snapshot:
    """What stands in arrays, in the ``.grad`` of leaves and in random generators at one moment."""

    def __init__(self, arrays: list[Array], leaves: list[Tensor], generators: list[Any]) -> None:
        self.arrays = [(array, array.copy()) for array in arrays]
        self.gradients = [(t, t.grad, None if t.grad is None else np.array(t.grad)) for t in leaves]
        self.generators = [(generator, state_of(generator)) for generator in generators]

    def put_back(self) -> None:
        """Let everything be what it was."""
        for array, copy in self.arrays:
            array[...] = copy
        for t, grad, content in self.gradients:
            t.grad = grad
            if isinstance(grad, np.ndarray):
                grad[...] = content
        for generator, before in self.generators:
            set_state(generator, before)


Outcome: TypeAlias = dict[str, Any]


class Side(NamedTuple):
    """A run of the step or of its program: its result, all that it gave and wrote by name, and what it left."""

    result: Any
    outcome: Outcome
    left: Snapshot


class Audit:
    """Compares one program with its step, when the turn comes."""

    def __init__(self, trace: Trace, step: Callable[..., Any], strayed: Callable[[Finding, int, int], None]) -> None:
        self.turn = [repeat(False)]  # the entry of a replay takes one of these; when none is left, an audit is due
        self.program: Any = None  # made of the trace
        self.limits: list[float] = [len(x) for x in trace.growing]  # when a list grows beyond, an audit is due as well
        self._growing = trace.growing
        self._growths = [0] * len(trace.growing)
        self._step = step
        self._strayed = strayed
        self._number, self._last = 1, 0  # of the replay to be compared, and of the last one that was
        guarded = [guard.holder for guard in trace.guards if type(guard.holder) is Tensor]
        self._leaves = list(dict.fromkeys((*guarded, *trace.gradients, *trace.cleared)))
        self._homes = [(t, t._value) for t in self._leaves]
        written = {id(array) for array in trace.written()}
        memory = {id(owner(array)) for array in trace.written()}
        values = trace.values()
        bound = {id(v.array): v for v in values if v.kind == "bound"}
        parameters = {id(array) for t, array in self._homes if t.requires_grad}
        # A gradient that is put in the place of one is written into the array that stood there: only .grad is alike.
        compared = written - {id(v.array) for v in trace.starts.values()}
        self._named = [(v.name or "an array", v.array) for v in bound.values() if id(v.array) in compared]
        self._fixed = [(v.name or "an array", v.array) for v in bound.values() if id(owner(v.array)) not in memory]
        self._moving = [  # what is put back, and moved in the last bit
            v.array
            for v in bound.values()
            if id(v.array) in written or (v.array.flags.writeable and (id(v.array) in parameters or v.array.size == 1))
        ]
        # A hyperparameter of float64 may be cast to float32: all are moved by the coarsest bit.
        self._bit = max((np.finfo(dtype).eps for dtype in {v.dtype for v in values if v.dtype.kind == "f"}), default=0)
        draws = [o.function.__self__ for o in trace.operations if not o.pure and o.result is not None]  # type: ignore[attr-defined]
        self._generators = list({id(generator): generator for generator in draws}.values())

    def first(self, result: Any, undo: Callable[[], None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The first replay, and the run that was recorded, which gave ``result``."""
        with self._uncounted():
            step = self._side(result)
            undo()
            return self._compared(step, self._snapshot(), None, args, kwargs)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The step's own run, and a replay from the same state; what the step raises is its own."""
        self._number -= length_hint(self.turn[0])  # a list has grown before the turn came
        with self._uncounted():
            for i, x in enumerate(self._growing):
                if len(x) > self.limits[i]:
                    self._growths[i] += 1
                    self.limits[i] = len(x) if self._growths[i] < LOGGED else np.inf
            before = self._snapshot()
            prints = [_print(array) for _, array in self._fixed]
            result = self._step(args, kwargs)
            for t, array in self._homes:  # t -= ... gives a leaf another array, where a program writes into its own
                if t._value is not array:
                    Machine().move(t, array)
            step, beside = self._side(result), self._written_beside(prints)
            before.put_back()
            return self._compared(step, before, beside, args, kwargs)

    @contextmanager
    def _uncounted(self) -> Iterator[None]:
        """No replay within an audit is counted; after an audit that an error has ended, the next replay is audited."""
        self.turn[0] = repeat(False)
        between = 0
        try:
            yield
            self._last, between = self._number, wait(self._number)
            self._number += between + 1
        finally:
            self.turn[0] = repeat(False, between)

    def _compared(self, step: Side, before: Snapshot, finding: Finding | None, args: Any, kwargs: Any) -> Any:
        """The result of the program, and what it leaves; if it has strayed, those of the step."""
        kept = step
        try:
            program = self._replayed(self.program, args, kwargs)
            finding = finding or self._difference(program.outcome, step.outcome, before, args, kwargs)
            if finding is None:
                kept = program
        finally:
            kept.left.put_back()
        if finding is not None:
            self._strayed(finding, self._last, self._number)
        return kept.result

    # -- What differs

    def _written_beside(self, prints: list[int]) -> Finding | None:
        """The first array that the step has changed and the program does not."""
        for (name, array), before in zip(self._fixed, prints, strict=True):
            if _print(array) != before:
                return Finding(f"{name}, which the step changes,", "left as it is", array)
        return None

    def _difference(self, ours: Outcome, theirs: Outcome, before: Snapshot, args: Any, kwargs: Any) -> Finding | None:
        """The first thing that rounding does not explain."""
        if list(ours) != list(theirs):
            return Finding("the structure of its result", ", ".join(ours), ", ".join(theirs))
        suspects = [name for name in ours if not _agree(ours[name], theirs[name])]
        shakes = self._shaken(before, args, kwargs)
        shaken: list[Outcome] = []
        for name in suspects:
            while not _agree(ours[name], theirs[name], [other[name] for other in shaken if name in other]):
                other = next(shakes, None)
                if other is None:
                    return Finding(name, ours[name], theirs[name])
                shaken.append(other)
        return None

    def _shaken(self, before: Snapshot, args: Any, kwargs: Any) -> Iterator[Outcome]:
        """What the program gives from the same state, and for the same arguments, moved in the last bit."""
        rng = np.random.default_rng(0)

        def moved(x: Any) -> Any:
            array = x.data if isinstance(x, Tensor) else x
            if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind != "f":
                return x
            bit = max(self._bit, np.finfo(array.dtype).eps)
            return np.asarray(array + array * rng.choice((-bit, bit), array.shape).astype(array.dtype))

        given: dict[int, Any] = {}

        def again(x: Any) -> Any:  # what is given twice stays one array
            if id(x) not in given:
                given[id(x)] = moved(x)
            return given[id(x)]

        for _ in range(SHAKES):
            before.put_back()
            for array in self._moving:
                array[...] = moved(array)
            given.clear()
            yield self._replayed(self.program.shaken, *tree.map(again, (args, kwargs))).outcome

    # -- What is compared

    def _replayed(self, program: Any, args: Any, kwargs: Any) -> Side:
        try:
            with np.errstate(all="ignore"):  # what NumPy has to say, the step says
                return self._side(program.replay(args, kwargs))
        except Exception as error:
            return Side(None, {"the error": error}, self._snapshot())

    def _side(self, result: Any) -> Side:
        """All that a run has given and left behind, each under the name by which people know it."""
        found = {path: _copied(x) for path, x in tree.paths(result, "the result")}
        found |= {f"the gradient of {i}, {describe(t)}": _copied(t.grad) for i, t in enumerate(self._leaves)}
        found |= {f"{name} {i}": array.copy() for i, (name, array) in enumerate(self._named)}
        found |= {f"the state of generator {i}": hash(state_of(g)) for i, g in enumerate(self._generators)}
        return Side(result, found, self._snapshot())

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._moving, self._leaves, self._generators)


def _print(array: Array) -> int:
    return hash(array.tobytes())


def _copied(x: Any) -> Any:
    x = x.data if isinstance(x, Tensor) else x
    return np.array(x) if isinstance(x, np.ndarray | np.generic) else x


def _agree(a: Any, b: Any, shaken: list[Any] | None = None) -> bool:
    """Whether what a program gave is what its step gave, to rounding."""
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return _alike(a, b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.tobytes() == b.tobytes() or shaken == []:
        return a.tobytes() == b.tobytes()
    others = [other for other in shaken or [] if isinstance(other, np.ndarray) and other.shape == a.shape]
    if a.dtype.kind != "f":
        return bool(np.all((a == b) | np.any([other != a for other in others], axis=0)))
    with np.errstate(all="ignore"):
        finite = np.isfinite(b)
        allowed = ROUNDING * np.finfo(a.dtype).eps * np.max(np.abs(b), initial=0.0, where=finite)
        for other in others:
            spread = ROUNDING * np.abs(other - a)
            allowed = np.maximum(allowed, np.where(np.isnan(spread) & (np.isnan(other) != np.isnan(a)), np.inf, spread))
        return bool(np.all((np.abs(a - b) <= allowed) | (a == b) | (np.isnan(a) & np.isnan(b))))


def _alike(a: Any, b: Any) -> bool:
    """Whether two plain things are equal, and two objects hold the same."""
    if a is b:
        return True
    try:
        if type(a) is type(b) and bool(a == b):
            return True
    except Exception:  # a comparison of arrays
        pass
    mine, yours = (getattr(x, "__dict__", {}) for x in (a, b))
    same = type(a) is type(b) and bool(mine) and mine.keys() == yours.keys()
    return same and all(_agree(_copied(mine[key]), _copied(yours[key])) for key in mine)
