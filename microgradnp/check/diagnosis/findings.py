"""Which term of a derivative written by hand is wrong, and how?

The program that computes the function is known, as a graph. So each mistake that people make in deriving it by hand can
be made in a backward pass over that graph: an activation's derivative left out, a factor from the neighbouring index, a
data point that is not added up. The mistake whose gradient equals the one by hand, number by number at several drawn
points, is the diagnosis. If none does, that is what the report says.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.check.diagnosis.mistakes import Candidate, Point, candidates
from microgradnp.check.diagnosis.program import Graph
from microgradnp.check.hint import fraction, share, times
from microgradnp.check.problem import Array, Function, Leaf, NotFiniteError, Problem, require_function
from microgradnp.check.report import Outcome
from microgradnp.engine.state import state
from microgradnp.engine.tensor import wrap
from microgradnp.transforms.graph import is_tracked

# -- The report --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Finding:
    """What is wrong with the gradient by one parameter."""

    parameter: str
    kind: str
    """The pattern, such as ``sign`` or ``missing derivative``; ``unknown`` if none fits."""
    text: str
    sure: str
    """``certain``, ``likely`` or ``unknown``."""
    evidence: str
    example: str
    alternatives: list[str] = field(default_factory=list)


@dataclass(slots=True, repr=False)
class Diagnosis(Outcome):
    """What `microgradnp.check.diagnose` found; prints as text."""

    hand: str
    function: str
    parameters: tuple[str, ...]
    findings: list[Finding]
    points: int
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all gradients by hand are right."""
        return not self.findings

    @property
    def title(self) -> str:
        """The verdict in one line."""
        right = [p for p in self.parameters if p not in {f.parameter for f in self.findings}]
        if self.ok:
            return f"{self.hand} is right: the gradients of {self.function} by {_list(right)}, at {self.points} points"
        wrong = _list([f.parameter for f in self.findings])
        also = f"; by {_list(right)} it is right" if right else ""
        return f"{self.hand} is wrong: the gradient of {self.function} by {wrong}{also}"

    def rows(self) -> list[tuple[str, ...]]:
        """What is known about each wrong parameter, as labels and texts."""
        out: list[tuple[str, ...]] = []
        for finding in self.findings:
            out += [(finding.parameter, finding.text), ("", f"{finding.sure}: {finding.evidence}")]
            out += [("", f"or: {text}") for text in finding.alternatives]
            out.append(("", finding.example))
        return out + [("note", note) for note in self.notes]


def _list(names: Sequence[str]) -> str:
    return " and ".join(([", ".join(names[:-1])] if len(names) > 1 else []) + list(names[-1:]))


# -- The diagnosis -----------------------------------------------------------------------------------------------------


def diagnose(
    hand: Function,
    f: Function,
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    points: int = 4,
    seed: int = 0,
    **options: Any,
) -> Diagnosis:
    """Say which gradient of a derivative written by hand is wrong, what the mistake is, and how sure that is.

    Parameters
    ----------
    hand
        ``hand(*args)`` returns the gradients of ``f``, as for `gradients`.
    f
        The function, written so that it runs on Tensors; else only what the numbers alone show is found.
    *args, **options
        What to call both with.
    argnums
        Which arguments the gradients are by; all with floats, if None.
    points
        At how many points to compare: the given one and others drawn around it.
    seed
        For drawing them.

    Returns
    -------
    Diagnosis
        For each wrong parameter the mistake that explains every number, or that none of the known ones does.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import check
    >>> x, t = np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.0, 2.0])
    >>> def loss(w, b):
    ...     return np.sum((np.tanh(w * x + b) - t) ** 2)
    >>> def hand(w, b):
    ...     y = np.tanh(w * x + b)
    ...     return np.sum(2 * (y - t) * (1 - y ** 2) * x), np.sum(2 * (y - t))
    >>> print(check.diagnose(hand, loss, 0.5, -1.0))
    hand is wrong: the gradient of loss by b; by w it is right
      b  the derivative of tanh(z) by z is missing: a factor of the chain rule
         certain: ...
    """
    require_function(hand)
    problem = Problem(f, args, options, argnums)
    notes: list[str] = []
    first = _point(problem, notes)
    notes += [f"hand changes {name} in place: work on a copy" for name in first.ask(hand)]
    rng = np.random.default_rng(seed)
    drawn = [first, *_elsewhere(problem, hand, points - 1, (0.3, 1.0), rng)]
    further: list[Point] = []
    name = getattr(hand, "__name__", "hand")
    report = Diagnosis(name, problem.name, tuple(leaf.name for leaf in problem.leaves), [], len(drawn), notes)
    rtol = 1e-3 if problem.singles.any() else 1e-6
    largest = _largest(g for p in drawn for g in p.right)
    for k, leaf in enumerate(problem.leaves):
        # What is nothing beside the other gradients is the rounding of their common computation.
        near = _Near(rtol, max(1e-5 * largest, _largest(p.right[k] for p in drawn)))
        if all(near(p.hand[k], p.right[k]) for p in drawn):
            continue
        near = _Near(rtol, max(near.magnitude, *(p.magnitude(k) for p in drawn)))
        wrong = [p for p in drawn if not near(p.hand[k], p.right[k])]
        if wrong:
            further = further or _elsewhere(problem, hand, 4, (-0.5, 1.0, 3.0), rng)
            at = [wrong[0], *(p for p in drawn if p is not wrong[0])]
            report.findings.append(_explain(leaf, k, at, further, near))
    return report


def _elsewhere(
    problem: Problem, hand: Function, n: int, widths: Sequence[float], rng: "np.random.Generator"
) -> list[Point]:
    """Points drawn around the given one, near by and far off in turn, where all is finite."""

    def at(moved: Problem) -> Point | None:
        point = _point(moved, [])
        point.ask(hand)
        return point if all(np.isfinite(g).all() for g in point.hand) else None

    narrower = (widths[i % len(widths)] / 2 ** (i // (n + 1)) for i in range(8 * n))
    return problem.others(n, narrower, rng, at)


@dataclass(frozen=True, slots=True)
class _Near:
    """Whether two gradients are the same, to a relative tolerance and a share of the largest number."""

    rtol: float
    magnitude: float

    def __call__(self, a: Array, b: Array) -> bool:
        if a.shape != b.shape:
            return False
        with np.errstate(all="ignore"):
            allowed = np.maximum(np.abs(a), np.abs(b)) + 1e-3 * self.magnitude
            return bool(np.all(np.abs(a - b) <= self.rtol * allowed))


def _largest(arrays: Iterable[Array]) -> float:
    return max((float(np.abs(a).max(initial=0)) for a in arrays), default=0.0)


def _point(problem: Problem, notes: list[str]) -> Point:
    variables = [wrap(np.array(leaf.value)) for leaf in problem.leaves]
    for v in variables:
        v.requires_grad = True
    results: list[Any] = []
    reason = "its result does not depend on them"
    with state(recording=True), np.errstate(all="ignore"):
        try:
            results = [r for r in tree.leaves(problem.call(variables)) if is_tracked(r)]
        except Exception as error:  # it is written in another library, or for plain arrays alone
            reason = shorten(f"{type(error).__name__}: {error}", 120)
        totals = [r if r.size == 1 else np.sum(r) for r in results] or [wrap(np.zeros(()))]
        root = sum(totals[1:], totals[0])
    if not results:
        notes.append(f"only the numbers were looked at: {problem.name} does not run on Tensors ({reason})")
    point = Point(problem, Graph(problem, variables, root))
    if not all(np.isfinite(g).all() for g in point.right):
        raise NotFiniteError(f"the gradient of {problem.name} is not finite at the given arguments.")
    return point


def _explain(leaf: Leaf, k: int, points: list[Point], further: list[Point], near: _Near) -> Finding:
    """The plainest of the mistakes that explain the gradient by hand, which is wrong at the first of the points.

    What explains it at the points, by a factor chosen there, must do so at further ones.
    """
    bad = points[0]
    found = [(c, factor) for c in candidates(bad, k) if (factor := _fit(c, k, points, near))]
    if found:
        for p in further:
            wide = _Near(near.rtol, max(near.magnitude, p.magnitude(k)))
            found = [(c, f) for c, f in found if (made := _made(c, p, k)) is not None and wide(p.hand[k], f * made)]
    plain = [(c, factor) for c, factor in found if (factor == 1.0) != (c.kind == "right")]
    # A factor beside another mistake counts if it is a simple one: any other is a number that was chosen to fit.
    moving = any(not np.array_equal(p.hand[k], bad.hand[k]) for p in points)
    scaled = [(c, factor) for c, factor in found if factor != 1.0 and c.kind != "right" and times(factor, bad.sizes)[0]]
    scaled = scaled if moving else []
    numbers = sum(p.right[k].size for p in points)
    example = _example(leaf, bad, k)
    if not plain and not scaled:
        text, evidence = "none of the known patterns explains it", f"{numbers} numbers compared"
        return Finding(leaf.name, "unknown", text, "unknown", evidence, example)
    (kind, text), *words = (_words(candidate, factor, bad.sizes) for candidate, factor in plain or scaled)
    # Another text of the same kind says the same again, unless it names other data.
    shifted = "it computes with"
    rivals = [t for other, t in words if other != kind or (shifted in t and shifted in text and t != text)]
    evidence = f"this explains {'all ' if numbers > 1 else ''}{numbers} numbers at {len(points)} points"
    evidence += ", but it is not the only mistake that does" if rivals else ", and no other known mistake does"
    candidate, factor = (plain or scaled)[0]
    # One number that is the same at every point is explained by any factor.
    several = numbers > 1 and (moving or bad.hand[k].size > 1 or not bad.hand[k].any())
    proven = bool(plain) and not rivals and not candidate.fitted and several
    sure = "certain" if proven else "likely"
    return Finding(leaf.name, kind, text, sure, evidence, example, list(dict.fromkeys(rivals))[:3])


def _fit(candidate: Candidate, k: int, points: list[Point], near: _Near) -> float | None:
    """The factor with which a candidate explains the gradient by hand at every point, or None."""
    close = _Near(near.rtol, min(near.magnitude, _largest(p.hand[k] for p in points)))
    pairs: list[tuple[Array, Array]] = []
    for p in points:
        made = _made(candidate, p, k)
        if made is None or not (near(p.hand[k], made) or close(p.hand[k], share(p.hand[k], made) * made)):
            return None
        pairs.append((p.hand[k], made))
    if all(near(hand, made) for hand, made in pairs):
        return 1.0
    # What is nothing but rounding, times a large factor, would explain anything.
    largest = _largest(made for _, made in pairs)
    if largest <= 1e-6 * near.magnitude:
        return None
    stacked = [np.concatenate([np.ravel(each[i]) for each in pairs]) for i in (0, 1)]
    factor = share(*stacked)
    return factor if 1e-6 < abs(factor) < 1e6 and close(stacked[0], factor * stacked[1]) else None


def _made(candidate: Candidate, p: Point, k: int) -> Array | None:
    """The gradient that a mistake leads to; None if it cannot be made, or leads to another shape or no number."""
    try:
        with np.errstate(all="ignore"):
            made = candidate.make(p, k)
    except (ValueError, TypeError, IndexError, KeyError):
        return None
    usable = made is not None and np.shape(made) == p.hand[k].shape and np.isfinite(made).all()
    return np.asarray(made) if usable else None


def _words(candidate: Candidate, factor: float, sizes: Sequence[tuple[int, str]]) -> tuple[str, str]:
    """What to say of a mistake and the factor beside it."""
    if candidate.kind != "right":
        beside = f"; and a factor of {fraction(factor) or f'{factor:.6g}'} beside it" if factor != 1.0 else ""
        return candidate.kind, candidate.text + beside
    if math.isclose(factor, -1, rel_tol=1e-6):
        return "sign", "the sign is wrong: it is minus the gradient"
    amount, why = times(factor, sizes)
    if why == "everywhere" or not amount:
        return "factor", f"it is {amount or f'{factor:.6g} times'} the gradient, everywhere"
    return "factor", f"it is {amount} the gradient: {why}"


def _example(leaf: Leaf, p: Point, k: int) -> str:
    if p.hand[k].shape != p.right[k].shape:
        return f"{leaf.name} has shape {p.right[k].shape}, the gradient by hand {p.hand[k].shape}"
    i = int(np.argmax(np.abs(p.hand[k] - p.right[k])))
    return f"{leaf.entry(i)}: by hand {p.hand[k].ravel()[i]:.6g}, right {p.right[k].ravel()[i]:.6g}"
