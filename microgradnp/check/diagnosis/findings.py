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
from microgradnp.check.diagnosis.mistakes import Candidate, Point, candidates, data_names
from microgradnp.check.diagnosis.program import Graph
from microgradnp.check.hint import fraction
from microgradnp.check.problem import Array, Function, Leaf, NotFiniteError, Problem
from microgradnp.check.references import gradient_by_differences
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
    problem = Problem(f, args, options, argnums)
    notes: list[str] = []
    drawn = [_point(problem, hand, [leaf.value for leaf in problem.leaves], notes)]
    rng = np.random.default_rng(seed)
    for attempt in range(8 * points):
        if len(drawn) == points:
            break
        gently = attempt > 4 * points
        try:
            drawn.append(_point(problem, hand, [_moved(leaf, rng, gently) for leaf in problem.leaves], notes))
        except NotFiniteError:
            continue
    name = getattr(hand, "__name__", "hand")
    report = Diagnosis(name, problem.name, tuple(leaf.name for leaf in problem.leaves), [], len(drawn), notes[:1])
    rtol = 1e-3 if problem.singles.any() else 1e-6
    for k, leaf in enumerate(problem.leaves):
        near = _Near(rtol, _largest(p.right[k] for p in drawn))
        if all(near(p.hand[k], p.right[k]) for p in drawn):
            continue
        for p in drawn:
            p.look_closer()
        # Close to a minimum the data points' parts cancel, and their rounding does not: it is measured by the parts.
        near = _Near(rtol, max(near.magnitude, _largest(term[k] for p in drawn for term in p.terms)))
        wrong = [p for p in drawn if not near(p.hand[k], p.right[k])]
        if wrong:
            at = [wrong[0], *(p for p in drawn if p is not wrong[0])]
            report.findings.append(_explain(problem, leaf, k, at, near))
    return report


@dataclass(frozen=True, slots=True)
class _Near:
    """Whether two gradients are the same, to a relative tolerance and a share of the largest number."""

    rtol: float
    magnitude: float

    def __call__(self, a: Array, b: Array, factor: float = 1.0) -> bool:
        if a.shape != b.shape:
            return False
        with np.errstate(all="ignore"):
            allowed = np.maximum(np.abs(a), np.abs(b)) + 1e-3 * self.magnitude * max(1.0, abs(factor))
            return bool(np.all(np.abs(a - b) <= self.rtol * allowed))


def _largest(arrays: Iterable[Array]) -> float:
    return max((float(np.abs(a).max(initial=0)) for a in arrays), default=0.0)


def _moved(leaf: Leaf, rng: "np.random.Generator", gently: bool) -> Any:
    """A point near the given one, of the same sign."""
    x = leaf.array
    size = np.abs(x) + (0.0 if gently else 0.1 * (np.abs(x).mean() if x.size and x.any() else 1.0))
    stretch = np.exp((0.1 if gently else 0.3) * rng.standard_normal(x.shape))
    return leaf.holding(np.ravel(x * stretch + 0.1 * size * rng.standard_normal(x.shape)))


def _point(problem: Problem, hand: Function, leaves: list[Any], notes: list[str]) -> Point:
    point = Point(problem, hand, leaves)
    variables = [wrap(np.array(leaf)) for leaf in leaves]
    for v in variables:
        v.requires_grad = True
    results: list[Any] = []
    reason = "its result does not depend on them"
    try:
        with state(recording=True), np.errstate(all="ignore"):
            results = [r for r in tree.leaves(problem.call(variables)) if is_tracked(r)]
    except Exception as error:  # it is written in another library, or for plain arrays alone
        reason = shorten(f"{type(error).__name__}: {error}", 120)
    if results:
        with state(recording=True):
            totals = [r if r.size == 1 else np.sum(r) for r in results]
            point.use(Graph(problem, variables, sum(totals[1:], totals[0])))
    else:
        notes.append(f"only the numbers were looked at: {problem.name} does not run on Tensors ({reason})")
        point.right = gradient_by_differences(problem, leaves)
    if not all(np.isfinite(g).all() for g in point.right):
        raise NotFiniteError(f"the gradient of {problem.name} is not finite at the given arguments.")
    return point


def _explain(problem: Problem, leaf: Leaf, k: int, points: list[Point], near: _Near) -> Finding:
    """The plainest of the mistakes that explain the gradient by hand; it is wrong at the first of the points."""
    bad = points[0]
    plain: list[tuple[Candidate, float]] = []
    scaled: list[tuple[Candidate, float]] = []
    """Those that explain it together with a factor."""
    for candidate in candidates(problem, bad, k):
        factor = _fit(candidate, k, points, near)
        if factor and candidate.kind == "right" and factor != 1.0:
            plain.append((candidate, factor))
        elif factor and candidate.kind != "right":
            (plain if factor == 1.0 else scaled).append((candidate, factor))
    numbers = sum(p.right[k].size for p in points)
    example = _example(leaf, bad, k)
    if not plain and not scaled:
        text, evidence = "none of the known patterns explains it", f"{numbers} numbers compared"
        return Finding(leaf.name, "unknown", text, "unknown", evidence, example)
    (kind, text), *words = (_words(candidate, factor, problem, bad) for candidate, factor in plain or scaled)
    # Another text of the same kind says the same again, unless it names other data.
    shifted = "it computes with"
    others = [t for other, t in words if other != kind or (shifted in t and shifted in text)]
    rivals = [t for other, t in words if other != kind]
    evidence = f"this explains {'all ' if numbers > 1 else ''}{numbers} numbers at {len(points)} points"
    evidence += ", but it is not the only mistake that does" if rivals else ", and no other known mistake does"
    sure = "certain" if not rivals and numbers > 1 else "likely"
    return Finding(leaf.name, kind, text, sure, evidence, example, list(dict.fromkeys(others))[:3])


def _fit(candidate: Candidate, k: int, points: list[Point], near: _Near) -> float | None:
    """The factor with which a candidate explains the gradient by hand at every point, or None."""
    factor: float | None = None
    for p in points:
        made = _made(candidate, p, k)
        if made is None:
            return None
        if factor is None:
            factor = 1.0 if near(p.hand[k], made) else _share(p.hand[k], made)
        if not factor or not near(p.hand[k], factor * made, factor):
            return None
    return factor


def _made(candidate: Candidate, p: Point, k: int) -> Array | None:
    """The gradient that a mistake leads to; None if it cannot be made, or leads to another shape or no number."""
    try:
        with np.errstate(all="ignore"):
            made = candidate.make(p, k)
    except (ValueError, TypeError, IndexError):
        return None
    usable = made is not None and np.shape(made) == p.hand[k].shape and np.isfinite(made).all()
    return np.asarray(made) if usable else None


def _share(a: Array, b: Array) -> float:
    """How many times ``b`` is nearest to ``a``."""
    length = float(np.vdot(b, b))
    return float(np.vdot(b, a)) / length if length else 0.0


def _words(candidate: Candidate, factor: float, problem: Problem, point: Point) -> tuple[str, str]:
    """What to say of a mistake and the factor beside it."""
    if candidate.kind != "right":
        if factor == 1.0:
            return candidate.kind, candidate.text
        return candidate.kind, f"{candidate.text}; and a factor of {fraction(factor) or f'{factor:.6g}'} beside it"
    if math.isclose(factor, -1, rel_tol=1e-6):
        return "sign", "the sign is wrong: it is minus the gradient"
    sign = "minus " if factor < 0 else ""
    size = abs(factor)
    for n in dict.fromkeys([len(point.terms), *map(len, data_names(problem).values())]):
        what = f"N = {n} being the number of data points"
        if n > 2 and math.isclose(size, n, rel_tol=1e-6):
            return "factor", f"it is {sign}{n} times the gradient: 1/N is missing, {what}"
        if n > 2 and math.isclose(size * n, 1, rel_tol=1e-6):
            return "factor", f"it is {sign}1/{n} of the gradient: there is a 1/N too many, {what}"
    if math.isclose(size, 0.5, rel_tol=1e-6):
        return "factor", f"it is {sign}half the gradient: a factor 2 is missing"
    if math.isclose(size, 2, rel_tol=1e-6):
        return "factor", f"it is {sign}twice the gradient: there is a factor 2 too many"
    return "factor", f"it is {fraction(factor) or f'{factor:.6g}'} times the gradient, everywhere"


def _example(leaf: Leaf, p: Point, k: int) -> str:
    if p.hand[k].shape != p.right[k].shape:
        return f"{leaf.name} has shape {p.right[k].shape}, the gradient by hand {p.hand[k].shape}"
    i = int(np.argmax(np.abs(p.hand[k] - p.right[k])))
    return f"{leaf.entry(i)}: by hand {p.hand[k].ravel()[i]:.6g}, right {p.right[k].ravel()[i]:.6g}"
