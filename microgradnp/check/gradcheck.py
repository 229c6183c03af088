"""Is this gradient right? The gradient that a program returns, held against references that cannot share its mistakes.

For a function with few entries the whole Jacobian is compared, entry by entry, so that a verdict names its entry. For a
large one the Jacobian is seen through random projections, which miss nothing but by chance, and a projection that fails
is halved until it names one.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any

import numpy as np

from microgradnp.check import differences as references
from microgradnp.check.problem import Array, Function, Leaf, NotFiniteError, Problem, flat, hand_leaves
from microgradnp.check.differences import EDGE, JUMP, KINK, ROUGH, SMOOTH, VERTICAL, Differences
from microgradnp.check.report import Entry, Report
from microgradnp.debugging import Mistake, debug
from microgradnp.engine.tensor import Tensor, _state
from microgradnp.transforms.pullback import leaves_of, like, vjp

_SMALL = 128
"""Up to so many entries of the arguments each is looked at by itself."""
_PROJECTIONS, _SINGLES = 4, 24
"""Through how many random combinations, and how many entries, larger ones are seen."""
_EPS = float(np.finfo(np.float64).eps)
_FEW = 64
"""Up to so many outputs each is looked at by itself."""
_SECOND_LOOKS = 0.7, 0.55
"""Before a reference condemns, it is taken again at so many times its steps: noise differs then, a slope does not."""


class GradientError(AssertionError):
    """A gradient that is not right; ``.report`` holds what was found."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


# -- The references ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reference:
    """The derivatives of ``weights @ outputs`` along each direction, by methods that know nothing of gradients."""

    directions: list[int] | list[Array]
    found: Differences
    exact: Array | None
    """By the complex step, where the function allows it."""
    raised: str
    """What the function raised at a point close by, where its domain was taken to end; empty if it raised nothing."""

    @property
    def value(self) -> Array:
        """The best value for each entry."""
        value = self.found.weighted()
        if self.exact is None:
            return value
        # Never taken on trust: it must agree with the differences wherever these settle.
        with np.errstate(invalid="ignore"):
            slack = 10 * self.found.error + 1e-7 * np.abs(self.exact) + 1e-300
            usable = (self.found.kind == ROUGH) | (np.abs(self.exact - value) <= slack)
        return np.where(usable, self.exact, value)


def _reference(
    problem: Problem,
    directions: list[int] | list[Array],
    weights: Array | None,
    middle: Array,
    eps: float,
    stretch: float = 1.0,
) -> tuple[Reference, str]:
    scales = problem.scales
    x = problem.x
    narrow = not problem.wide
    single = np.zeros(x.size, bool)
    for leaf in problem.leaves:
        single[leaf.part] = leaf.array.dtype == np.float32
    lengths = stretch * np.array([scales[u] if isinstance(u, int) else 1.0 for u in directions])

    close = np.array([abs(x[u]) or np.nan if isinstance(u, int) else np.nan for u in directions])

    def at(i: int, t: float) -> tuple[float, Array]:
        u = directions[i]
        z = x.copy()
        if isinstance(u, int):
            z[u] += t
            if narrow and single[u]:
                z[u] = np.float32(z[u])
            t = float(z[u] - x[u])
        else:
            z += t * scales * u
        try:
            y = problem.evaluate(z)
        except (ValueError, ArithmeticError) as error:  # math.log(-1.0): others return nan where their domain ends
            raised[type(error)] = f"{type(error).__name__}: {error}"
            y = np.full(outputs, np.nan)
        if y.size != outputs:
            raise ValueError(
                f"{problem.name} gave {outputs} outputs, and {y.size} at a point close by: they cannot be compared."
            )
        return t, y if weights is None else weights @ y

    raised: dict[type[Exception], str] = {}
    outputs = middle.size
    start = middle if weights is None else weights @ middle
    with np.errstate(all="ignore"):
        found = references.differences(at, start, lengths, close, eps)
        exact, reason = None, "" if problem.wide else "the function computes in float32"
        if problem.wide and problem.analytic:
            unit = []
            for u in directions:
                if isinstance(u, int):
                    e = np.zeros(x.size)
                    e[u] = 1
                    unit.append(e)
                else:
                    unit.append(scales * u)
            exact, reason = references.complex_step(problem.evaluate, x, middle, unit)
            if exact is not None and weights is not None:
                exact = exact @ weights.T
    return Reference(directions, found, exact, "; ".join(raised.values())), reason


def differentiate(problem: Problem, leaves: list[Any]) -> list[Array]:
    """The gradient of the sum of the outputs at another point, by the references alone, one array for each variable."""
    kept, problem.x = problem.x, np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(np.float64)
    try:
        middle = flat(problem.call(leaves))
        reference, _ = _reference(problem, list(range(problem.size)), np.ones((1, middle.size)), middle, _EPS)
    finally:
        problem.x = kept
    return [reference.value[leaf.part, 0].reshape(leaf.array.shape) for leaf in problem.leaves]


# -- The gradients that are judged -------------------------------------------------------------------------------------


def _weights(m: int, full: bool, rng: "np.random.Generator") -> Array:
    """Combinations of the outputs: each one by itself, or a few at random, of numbers exact in float32."""
    if full:
        return np.eye(m)
    weights: Array = rng.integers(4, 13, (_PROJECTIONS, m)) / 8 * rng.choice([-1.0, 1.0], (_PROJECTIONS, m))
    return weights


def _seeds(value: Any, weights: Array) -> Any:
    """A row of weights in the structure of the result."""
    out, start = [], 0
    for r in leaves_of(value):
        a = np.asarray(r)
        if a.dtype.kind == "f":
            out.append(weights[start : start + a.size].reshape(a.shape).astype(a.dtype))
            start += a.size
        else:
            out.append(np.zeros(a.shape))
    return like(value, out)


def _watched() -> AbstractContextManager[None]:
    """Debug mode; an infinite gradient is for the comparison to judge. Where the user has it on, theirs stays."""
    return debug(finite=False) if _state().watch is None else nullcontext()


def _backward(problem: Problem, weights: Array, faults: list[str], pull: Function) -> Array:
    """The engine's gradients of each combination of the outputs, one a row."""

    def at_leaves(*leaves: Any) -> Any:
        return problem.call(leaves)

    at_leaves.__name__ = problem.name  # errors name the user's function
    with _watched():
        value, pullback = pull(at_leaves, *(leaf.value for leaf in problem.leaves))
    rows = np.empty((len(weights), problem.size))
    values = leaves_of(value)
    gradients: list[Any] = []
    for k, w in enumerate(weights):
        seeds = _seeds(value, w)
        with _watched() if k == 0 else nullcontext():  # the first pass meets every change since forward, so it is seen
            gradients = leaves_of(pullback(seeds))
        for leaf, g in zip(problem.leaves, gradients, strict=True):
            rows[k, leaf.part] = np.ravel(g)
            if k == 0:
                _judge_array(g, leaf, "backward", faults)
    if not len(weights):
        return rows
    with _watched():  # and the last one what the others have changed
        again = leaves_of(pullback(seeds))
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(gradients, again, strict=True)):
        faults.append("backward gives another gradient when it runs a second time")
    _judge_aliases(gradients, problem, "backward", faults)
    if any(np.shares_memory(g, s) for g in gradients for s in leaves_of(seeds) if np.size(g) and np.size(s)):
        faults.append("backward returns the memory of the gradient that was passed in")
    nothing = leaves_of(pullback(like(value, [np.zeros(np.shape(r)) for r in values])))
    for leaf, g in zip(problem.leaves, nothing, strict=True):
        if np.any(g != 0) or not np.all(np.isfinite(g)):
            faults.append(f"{leaf.name}: a gradient of zero flows in, and {_first_nonzero(g)} comes out")
    return rows


def _first_nonzero(g: Any) -> str:
    bad = np.ravel(g)[~(np.ravel(g) == 0)]
    return f"{bad[0]:.6g}"


def _judge_array(g: Any, leaf: Leaf, source: str, faults: list[str], shape: tuple[int, ...] | None = None) -> bool:
    array = np.asarray(g)
    expected = leaf.array.shape if shape is None else shape
    if array.shape != expected:
        faults.append(f"{leaf.name}: {source} has shape {array.shape}, and the argument {leaf.array.shape}")
        return False
    plain = isinstance(g, int | float) and not isinstance(g, np.generic | bool)
    if array.dtype != leaf.array.dtype and not plain:
        faults.append(f"{leaf.name}: {source} has dtype {array.dtype}, and the argument {leaf.array.dtype}")
    return True


def _judge_aliases(gradients: Sequence[Any], problem: Problem, source: str, faults: list[str]) -> None:
    arrays = [g if isinstance(g, np.ndarray) else np.asarray(g) for g in gradients]
    for i, (leaf, g) in enumerate(zip(problem.leaves, arrays, strict=True)):
        if not g.size:
            continue
        others = [(f"the argument {other.name}", other.array) for other in problem.leaves]
        others += [(f"the gradient by {problem.leaves[j].name}", arrays[j]) for j in range(i)]
        faults += [
            f"{leaf.name}: {source} shares memory with {name}; return a copy"
            for name, other in others
            if np.may_share_memory(g, other) and np.shares_memory(g, other)
        ]


def _by_hand(
    hand: Function, problem: Problem, value: Any, weights: Array, before: list[Any], faults: list[str]
) -> tuple[Array, Array]:
    """The gradients of a function written by hand, one row for each of ``weights``, and where it gives one."""
    result = hand(*like(problem.args, problem.everything), **problem.options)
    _judge_unchanged(before, problem, "hand", faults)
    gradients = hand_leaves(result, problem)
    results = [np.shape(r) for r in leaves_of(value)]
    shape = results[0] if len(results) == 1 else ()
    rows = np.zeros((len(weights), problem.size))
    given = np.zeros(rows.shape, bool)
    total = (weights == 1).all(axis=1)
    for leaf, g in zip(problem.leaves, gradients, strict=True):
        if shape and np.shape(g) == shape + leaf.array.shape:  # the whole Jacobian
            _judge_array(g, leaf, "hand", faults, np.shape(g))
            rows[:, leaf.part] = weights @ np.reshape(g, (weights.shape[1], leaf.array.size))
            given[:, leaf.part] = True
        elif _judge_array(g, leaf, "hand", faults):
            rows[total, leaf.part] = np.ravel(g)
            given[total, leaf.part] = True
    _judge_aliases(gradients, problem, "hand", faults)
    return rows, given


def _judge_unchanged(before: list[Any], problem: Problem, who: str, faults: list[str]) -> None:
    for old, new in zip(before, problem.everything, strict=True):
        if isinstance(old, np.ndarray) and not np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
            changed = next((leaf.name for leaf in problem.leaves if leaf.value is new), "a constant argument")
            faults.append(f"{changed}: {who} changes it in place")


# -- The verdict -------------------------------------------------------------------------------------------------------


def _compare(
    problem: Problem,
    returned: dict[str, tuple[Array, Array]],
    reference: Reference,
    labels: list[str],
    tolerance: "Tolerance",
) -> "Verdicts":
    """Judge the directional derivatives by each source, (direction, output), and where it gives them."""
    found, value = reference.found, reference.value
    scales = problem.scales
    lengths = np.array([scales[u] if isinstance(u, int) else 1.0 for u in reference.directions])[:, None]
    error = np.where(np.isfinite(found.error), found.error, 0.0)
    floor = tolerance.atol + 10 * error + 32 * tolerance.noise / np.minimum(lengths, 1.0)
    # Beside a large entry a small one is rounding: they come out of the same computation.
    largest = np.max(np.abs(value), initial=0.0, where=np.isfinite(value))
    floor = floor + max(1e4 * _EPS, 100 * tolerance.eps) * largest
    if largest <= (tolerance.eps > _EPS) * 1e-13:  # all are zero, or what float64 has left of zero
        floor = floor + 100 * tolerance.eps
    smooth = np.isfinite(value)
    low, high = np.minimum(found.left, found.right), np.maximum(found.left, found.right)
    # A derivative that jumps is a kink of the function.
    corner = ((found.kind == KINK) | ((found.kind == JUMP) & (tolerance.order > 1))) & ~smooth
    vertical = (found.kind == VERTICAL) & ~smooth
    out = Verdicts()
    worst = -1.0
    for source, (got, given) in returned.items():
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.maximum(np.abs(got), np.abs(value))
            allowed = floor + tolerance.rtol * np.where(np.isfinite(size), size, 0.0)
            difference = np.abs(got - value)
            slack = floor + 1e-6 * np.maximum(np.abs(low), np.abs(high))
            between = (got >= low - slack) & (got <= high + slack)
            one_sided = np.isnan(low) & ((got == found.left) | (got == found.right))
            ok = np.where(smooth, difference <= allowed, (corner & between) | (vertical & (between | one_sided)))
            ratio = np.where(smooth, difference / (allowed + 1e-300), -0.5)
        ok |= ~given
        ratio = np.where(ok, ratio, 1e9 + np.where(np.isfinite(ratio), ratio, np.inf))
        ratio[~given] = -1.0
        out.bad[source] = ~ok
        for i, j in np.argwhere(~ok | ((corner | vertical) & given)).tolist():
            entry = _entry(problem, reference, returned, source, i, j, labels, bool(ok[i, j]), tolerance.order)
            (out.kinks if ok[i, j] else out.failures).append(entry)
        if ratio.size and ratio.max() > worst:
            worst = float(ratio.max())
            i, j = divmod(int(np.argmax(ratio)), ratio.shape[1])
            out.worst = _entry(problem, reference, returned, source, i, j, labels, bool(ok[i, j]), tolerance.order)
            out.where = source, i
    return out


@dataclass(slots=True)
class Tolerance:
    """How far a gradient may be from its reference."""

    rtol: float
    atol: float
    eps: float
    """The precision at which the function is judged."""
    noise: Array
    """What rounding at that precision does to each output."""
    order: int
    """Which derivative is judged."""


@dataclass(slots=True)
class Verdicts:
    """What a comparison found."""

    failures: list[Entry] = field(default_factory=list)
    kinks: list[Entry] = field(default_factory=list)
    worst: Entry | None = None
    where: tuple[str, int] = "", 0
    bad: dict[str, Array] = field(default_factory=dict)


def _entry(
    problem: Problem,
    reference: Reference,
    returned: dict[str, tuple[Array, Array]],
    source: str,
    i: int,
    j: int,
    labels: list[str],
    ok: bool,
    order: int,
) -> Entry:
    found, u = reference.found, reference.directions[i]
    if isinstance(u, int):
        leaf = next(leaf for leaf in problem.leaves if leaf.part.start <= u < leaf.part.stop)
        name = leaf.entry(u - leaf.part.start)
        place = f"{name} = {problem.x[u]:.6g}"
    else:
        name = place = _support(problem, u)
    values = {key: float(got[i, j]) for key, (got, given) in returned.items() if given[i, j]}
    if found.kind[i, j] in (SMOOTH, EDGE):
        values["finite differences"] = float(found.value[i, j])
    if reference.exact is not None and reference.value[i, j] == reference.exact[i, j]:
        values["complex step"] = float(reference.exact[i, j])
    kind = int(found.kind[i, j])
    got = values[source]
    left, right = found.left[i, j], found.right[i, j]
    note = ""
    verdict = "right" if ok else "wrong"
    if kind == JUMP and order == 1:
        note = f"at {place}: a discontinuity, the function jumps by {found.jump[i, j]:.6g}; returned {got:.6g}"
        verdict = "discontinuity"
    elif kind == ROUGH and not np.isfinite(reference.value[i, j]):
        note = f"at {place}: finite differences settle on no slope; returned {got:.6g}, shown neither right nor wrong"
        verdict = "unsettled"
    elif kind in (KINK, VERTICAL, JUMP) and not np.isfinite(reference.value[i, j]):
        where = "between them" if ok else "outside them"
        if kind == VERTICAL:
            where = "as it is" if ok else "which is neither"
        slopes = ", ".join(f"{side} slope {s:.6g}" for side, s in (("left", left), ("right", right)) if not np.isnan(s))
        what = f"the derivative jumps by {found.jump[i, j]:.6g}, " if kind == JUMP else ""
        note = f"at {place}: {what}{slopes}, returned {got:.6g}, {where}"
        verdict = "kink" if ok else "wrong"
    elif kind == EDGE and not ok:
        note = f"at {place}: the function ends here, and this is the slope on the inside"
    label = f" of {labels[j]}" if labels[j] else ""
    return Entry(
        name + label, source, verdict, values, float(found.error[i, j]) if kind in (SMOOTH, EDGE) else 0.0, note
    )


def _support(problem: Problem, u: Array) -> str:
    used = np.flatnonzero(u)
    leaves = [leaf for leaf in problem.leaves if ((leaf.part.start <= used) & (used < leaf.part.stop)).any()]
    if len(used) == problem.size:
        return "a random direction in " + ", ".join(leaf.name for leaf in leaves)
    if len(leaves) == 1:
        first, last = used[0] - leaves[0].part.start, used[-1] - leaves[0].part.start
        return f"a random direction in the entries {first} to {last} of {leaves[0].name}"
    return f"a random direction in {len(used)} entries of " + ", ".join(leaf.name for leaf in leaves)


def perhaps(returned: Array, reference: Array, shape: tuple[int, ...] = ()) -> str:
    """What a wrong gradient might be, from the ratio to the right one; empty if nothing fits."""
    if not np.isfinite(returned).all():
        return "not a number: a division by zero, an overflow or 0 * inf on the way"
    use = np.abs(reference) > 1e-9 * np.abs(reference).max(initial=0)
    if not use.any():
        return ""
    if not returned.any():
        return "it is zero everywhere: the term is missing, or the graph was left on the way"
    ratio = returned[use] / reference[use]
    factor = float(np.median(ratio))
    if np.allclose(ratio, factor, rtol=1e-5):
        if math.isclose(factor, -1, rel_tol=1e-5):
            return "the sign: it is minus the derivative"
        simple = fraction(factor)
        if simple or ratio.size > 1:
            entries = f", in all {ratio.size} entries" if ratio.size > 1 else ""
            return f"a factor: it is {simple or format(factor, '.6g')} times the derivative{entries}"
    if np.allclose(np.abs(ratio), 1, rtol=1e-5):
        return "the sign, in some of the entries"
    if len(shape) == 2 and shape[0] == shape[1] and np.allclose(returned.reshape(shape), reference.reshape(shape).T):
        return "it is transposed"
    return ""


def fraction(ratio: float) -> str:
    """A ratio as a small whole number, one over one, or a number of halves; empty if it is none of these."""
    for over in (1, 2):
        if (
            abs(ratio) * over < 1000.5
            and round(ratio * over)
            and math.isclose(ratio * over, round(ratio * over), rel_tol=1e-6)
        ):
            return f"{round(ratio * over)}" + ("/2" if over == 2 else "")
    if ratio and abs(1 / ratio) < 1000.5 and math.isclose(1 / ratio, round(1 / ratio), rel_tol=1e-6):
        return f"{'-' if ratio < 0 else ''}1/{abs(round(1 / ratio))}"
    return ""


# -- The check ---------------------------------------------------------------------------------------------------------


def gradients(
    f: Function,
    *args: Any,
    hand: Function | None = None,
    order: int = 1,
    argnums: int | Sequence[int] | None = None,
    strategy: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    seed: int = 0,
    **options: Any,
) -> Report:
    """Check the gradients of ``f`` at ``args`` against finite differences, the complex step and a derivative by hand.

    Forward and backward run in debug mode (see `microgradnp.debug`): an array that ``f`` changes after an operation has
    captured it, or that a derivative rule changes, is a fault that names the operation and the line that called it.

    Parameters
    ----------
    f
        Any function of arrays. If it can be run on Tensors, the gradient by `microgradnp.Tensor.backward` is checked;
        if it cannot (it is written in another library), only ``hand`` is, and the report says so.
    *args, **options
        What to call it with. The gradient is taken by floats and float arrays, also in nested tuples, lists and
        dicts; all else is held constant.
    hand
        A function that takes what ``f`` takes and returns its gradients in the same order, one array where there is one
        argument. Where ``f`` returns an array, they are the gradients of its sum or whole Jacobians, told apart by
        their shape.
    order
        Also check the second (2) and the third (3) derivatives, each against differences of the one before.
    argnums
        Which arguments to differentiate by; all with floats, if None.
    strategy
        Instead of ``args``: a hypothesis strategy that draws the argument, or a tuple of arguments.
    rtol, atol
        What to allow besides the reference's own uncertainty: by default the square root of the precision, 1.5e-8 for
        float64 and 3.5e-4 for float32. Entries below 2e-12 (float32: 1e-5) of the largest are not told from zero.
    seed
        Of the random projections through which large functions are seen.

    Returns
    -------
    Report
        What was compared, the worst entry, and the kinks that were passed.

    Raises
    ------
    GradientError
        If a gradient is wrong; it names the worst entry and what the mistake might be. If a captured array was changed;
        it names the operation.
    ValueError
        If ``f`` is not finite at ``args``, or an argument repeats its memory (stride 0).
    TypeError
        If no argument is a float, or ``hand`` returns another number of gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import check
    >>> check.gradients(np.tanh, np.array([0.5, -1.0])).ok
    True
    >>> check.gradients(np.tanh, 0.5, hand=lambda x: 1 + np.tanh(x) ** 2)
    Traceback (most recent call last):
    ...
    microgradnp.check.gradcheck.GradientError: wrong: the gradient of tanh by x, in 1 of 1 entries
      compared             backward, hand, finite differences, complex step
      worst entry          x
    ...
    """
    if strategy is not None:
        if args:
            raise TypeError("check.gradients takes the arguments themselves or a strategy that draws them, not both.")
        return _over_draws(
            strategy, f, hand=hand, order=order, argnums=argnums, rtol=rtol, atol=atol, seed=seed, **options
        )
    report = examine(f, args, options, hand, order, argnums, rtol, atol, seed)
    if not report.ok:
        raise GradientError(report)
    return report


assert_gradients = gradients
"""`gradients` under the name that reads well in a test."""


def _over_draws(strategy: Any, f: Function, **settings: Any) -> Report:
    from microgradnp.check.strategies import for_each

    reports: list[Report] = []

    def one(drawn: Any) -> None:
        args = drawn if isinstance(drawn, tuple) else (drawn,)
        reports.append(gradients(f, *args, **settings))

    for_each(strategy, one)
    report = max(reports, key=lambda r: r.worst.relative if r.worst else 0.0)
    report.draws = len(reports)
    report.entries = sum(r.entries for r in reports)
    report.kinks = [kink for r in reports for kink in r.kinks]
    return report


def examine(
    f: Function,
    args: tuple[Any, ...],
    options: dict[str, Any],
    hand: Function | None = None,
    order: int = 1,
    argnums: int | Sequence[int] | None = None,
    rtol: float | None = None,
    atol: float = 0.0,
    seed: int = 0,
) -> Report:
    """`gradients` without raising for a wrong gradient: the report says it."""
    if order not in (1, 2, 3):
        raise ValueError(f"order is 1, 2 or 3; got {order!r}.")
    return judge(Problem(f, args, options, argnums), hand, order, rtol, atol, seed)


def judge(
    problem: Problem,
    hand: Function | None = None,
    order: int = 1,
    rtol: float | None = None,
    atol: float = 0.0,
    seed: int = 0,
    pull: Function = vjp,
) -> Report:
    """`examine` for a problem that may be judged several times, with a ``pull`` that stands for the engine's `vjp`."""
    rng = np.random.default_rng(seed)
    report = Report(problem.name, problem.names, order=order)
    _examine_once(problem, report, hand, rtol, atol, rng, 1, pull)
    for k in range(2, order + 1):
        if not report.ok or not problem.size:
            break
        problem = _derivative(problem, rng)
        _examine_once(problem, report, None, rtol, atol, rng, k, pull)
    return report


def _derivative(problem: Problem, rng: "np.random.Generator") -> Problem:
    """The gradient of a fixed combination of a function's outputs, as a function of the same arguments."""
    value = problem.call([leaf.value for leaf in problem.leaves])
    w = rng.integers(4, 13, flat(value).size) / 8
    single = w.size == 1

    def gradient(*args: Any, **options: Any) -> Any:
        leaves = list(leaves_of(args))
        variables = [leaves[leaf.place] for leaf in problem.leaves]

        def inner(*values: Any) -> Any:
            now = list(leaves)
            for leaf, v in zip(problem.leaves, values, strict=True):
                now[leaf.place] = v
            return problem.f(*like(args, now), **options)

        y, pullback = vjp(inner, *variables)
        plain = like(y, [r.data if isinstance(r, Tensor) else r for r in leaves_of(y)])
        return pullback(_seeds(plain, np.ones(1) if single else w))

    out = copy(problem)
    out.f, out.known, out.wide, out.analytic = gradient, {}, True, False
    return out


def _examine_once(
    problem: Problem,
    report: Report,
    hand: Function | None,
    rtol: float | None,
    atol: float,
    rng: "np.random.Generator",
    order: int,
    pull: Function,
    beside: bool = False,
) -> None:
    """One order of derivatives; ``beside`` says that the point is already moved off the user's."""
    before = [np.array(x) if isinstance(x, np.ndarray) else x for x in problem.everything]
    start = [leaf.value for leaf in problem.leaves]
    faults = report.faults
    with np.errstate(all="ignore"):
        value = problem.call(start)
        again = flat(problem.call(start))
    _judge_unchanged(before, problem, problem.name, faults)
    middle = flat(value)
    if not np.array_equal(middle, again, equal_nan=True):
        faults.append(f"{problem.name} gives another result when it is called again with the same arguments")
    if not np.isfinite(middle).all():
        raise NotFiniteError(
            f"{problem.name} is not finite at the given arguments (it returned {middle[~np.isfinite(middle)][0]}): "
            "there is no derivative to check. Choose arguments inside its domain."
        )
    if faults:
        return
    results = [np.asarray(r.data if isinstance(r, Tensor) else r) for r in leaves_of(value)]
    results = [r for r in results if r.dtype.kind == "f"]
    single = problem.single or any(r.dtype == np.float32 for r in results)
    judged = float(np.finfo(np.float32 if single else np.float64).eps)
    noise = np.zeros(middle.size)
    if single:
        narrow, middle = middle, problem.widen(middle)
        noise = np.abs(narrow - middle) + judged * np.abs(middle)
        if not problem.wide:
            report.note(f"{problem.name} computes in float32 whatever it is given: the reference is as coarse")
    eps = _EPS if problem.wide else judged

    m, n = middle.size, problem.size
    full = m == 1 or (m <= _FEW and m * n <= 2**20)
    weights = _weights(m, full, rng)
    if hand is not None and m > 1:
        weights = np.concatenate([weights, np.ones((1, m))])
    rows: dict[str, tuple[Array, Array]] = {}
    with np.errstate(all="ignore"):
        try:
            backward = _backward(problem, weights, faults, pull)
            rows["backward"] = backward, np.ones(backward.shape, bool)
        except Mistake as mistake:
            faults.append(str(mistake))
        except Exception as error:
            if hand is None:
                raise
            reason = shorten(f"{type(error).__name__}: {error}", 120)
            report.note(f"only hand is checked: {problem.name} does not run on Tensors ({reason})")
        _judge_unchanged(before, problem, "backward", faults)
        if hand is not None:
            rows["hand"] = _by_hand(hand, problem, value, weights, before, faults)
    if not rows:
        return

    plain = full and len(weights) == m
    labels = _labels(results, problem, full, len(weights), order)
    tolerance = Tolerance(
        math.sqrt(judged) if rtol is None else rtol, atol, judged, noise if plain else np.abs(weights) @ noise, order
    )

    def compare(directions: list[Any]) -> tuple[Verdicts, Reference, dict[str, tuple[Array, Array]]]:
        key = tuple(u if isinstance(u, int) else u.tobytes() for u in directions), weights.tobytes()
        if key not in problem.known:
            problem.known[key] = _reference(problem, directions, None if plain else weights, middle, eps)
        reference, why_not = problem.known[key]
        along = {source: _along(problem, directions, got, given) for source, (got, given) in rows.items()}
        methods = [*rows, "finite differences"] + (["complex step"] if reference.exact is not None else [])
        report.compared = tuple(dict.fromkeys((*report.compared, *methods)))
        if why_not:
            report.note(f"no complex step: {why_not}")
        if reference.raised:
            report.note(
                f"the domain of {problem.name} was taken to end where it raised {shorten(reference.raised, 200)}"
            )
        report.entries += int(np.any([given for _, given in along.values()], axis=0).sum())
        verdicts = _compare(problem, along, reference, labels, tolerance)
        for stretch in _SECOND_LOOKS:
            bad = [i for i in range(len(directions)) if _any_bad(verdicts, i)]
            if not bad:
                break
            again = [directions[i] for i in bad]
            other, _ = _reference(problem, again, None if plain else weights, middle, eps, stretch)
            reference.found.look_again(bad, other.found, math.sqrt(judged))
            verdicts = _compare(problem, along, reference, labels, tolerance)
        return verdicts, reference, along

    if n <= _SMALL:
        directions: list[Any] = list(range(n))
    else:
        directions = np.sort(rng.choice(n, _SINGLES, replace=False)).tolist()
        directions += list(rng.choice([-1.0, 1.0], (_PROJECTIONS, n)))
        report.note(
            f"{n} entries: seen through {_PROJECTIONS} random projections and {_SINGLES} single entries, by seed"
        )
    if not directions or not middle.size:
        return
    verdicts, reference, along = compare(directions)
    suspects = [u for i, u in enumerate(directions) if not isinstance(u, int) and _any_bad(verdicts, i)]
    if suspects:
        named = _narrow_down(suspects[0], compare)
        if named is not None:
            kinks = verdicts.kinks
            verdicts, reference, along = named
            verdicts.kinks += kinks
        elif not beside and _passes_beside(problem, hand, rtol, atol, rng, order, pull):
            # On several kinks at once a projection need not lie between its slopes, even if each entry does.
            report.note("some projections cross kinks at this point: they were taken at a point beside it")
            verdicts, reference, along = compare([u for u in directions if isinstance(u, int)])
    if order == 1 and not verdicts.failures and np.all(reference.value == 0):
        report.note(f"all derivatives are zero: does the result depend on {', '.join(problem.names)}?")
    report.failures += verdicts.failures
    report.wrong += int(np.any(list(verdicts.bad.values()), axis=0).sum())
    report.kinks += verdicts.kinks
    worst = verdicts.worst
    if worst is not None and (verdicts.failures or report.worst is None or worst.relative > report.worst.relative):
        report.worst = worst
    if verdicts.failures and worst is not None and math.isfinite(worst.reference):
        source, i = verdicts.where
        report.hint = _hint(problem, reference, along[source], i)


def _any_bad(verdicts: Verdicts, i: int) -> bool:
    return any(bool(bad[i].any()) for bad in verdicts.bad.values())


def _along(problem: Problem, directions: list[Any], rows: Array, given: Array) -> tuple[Array, Array]:
    """Gradients (row, entry) as derivatives along directions (direction, row)."""
    if all(isinstance(u, int) for u in directions):
        return rows.T[directions], given.T[directions]
    scales = problem.scales
    out = np.empty((len(directions), len(rows)))
    known = np.empty(out.shape, bool)
    with np.errstate(all="ignore"):
        for i, u in enumerate(directions):
            out[i] = rows[:, u] if isinstance(u, int) else rows @ np.where(u == 0, 0, scales * u)
            known[i] = given[:, u] if isinstance(u, int) else given.all(axis=1)
    return out, known


def _passes_beside(problem: Problem, hand: Function | None, *how: Any) -> bool:
    """Whether all is right at a point so close that the function is the same, but for kinks."""
    moved = problem.beside(np.random.default_rng(0))
    report = Report(problem.name, problem.names)
    rtol, atol, rng, order, pull = how
    try:
        _examine_once(moved, report, hand, rtol, atol, rng, order, pull, beside=True)
    except NotFiniteError:  # at the edge of its domain
        return False
    return report.ok


def _narrow_down(u: Array, compare: Callable[[list[Any]], Any]) -> Any:
    """Halve a projection that failed until single entries are found that fail; None if there are none."""
    waiting = [u]
    for _ in range(64):
        if not waiting:
            break
        u = waiting.pop()
        used = np.flatnonzero(u)
        if len(used) <= 8:
            result = compare(used.tolist())
            if result[0].failures:
                return result
            continue
        halves = []
        for part in np.array_split(used, 2):
            half = np.zeros_like(u)
            half[part] = u[part]
            halves.append(half)
        result = compare(halves)
        waiting += [half for i, half in enumerate(halves) if _any_bad(result[0], i)]
    return None


def _labels(results: list[Array], problem: Problem, full: bool, rows: int, order: int) -> list[str]:
    """What each row is the derivative of; empty where there is but one output."""
    if not full:
        return ["a random combination of the outputs"] * _PROJECTIONS + ["the outputs' sum"] * (rows - _PROJECTIONS)
    labels = []
    for k, r in enumerate(results):
        name = "output" if len(results) == 1 else f"output {k}"
        if order > 1:
            name = f"the {'first' if order == 2 else 'second'} derivative by {problem.leaves[k].name}"
        labels += [f"{name}[{', '.join(map(str, i))}]" if i else name for i in np.ndindex(r.shape)]
    if rows == 1 and order == 1:
        return [""]
    return labels + ["the outputs' sum"] * (rows - len(labels))


def _hint(problem: Problem, reference: Reference, along: tuple[Array, Array], i: int) -> str:
    u = reference.directions[i]
    if not isinstance(u, int):
        return ""
    leaf = next(leaf for leaf in problem.leaves if leaf.part.start <= u < leaf.part.stop)
    numbers = enumerate(reference.directions)
    same = [k for k, v in numbers if isinstance(v, int) and leaf.part.start <= v < leaf.part.stop]
    got, given = along
    known = given[same] & np.isfinite(reference.value[same])
    whole = known.shape == (leaf.array.size, 1) and bool(known.all())
    return perhaps(got[same][known], reference.value[same][known], leaf.array.shape if whole else ())
