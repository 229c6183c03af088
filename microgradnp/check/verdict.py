"""The verdict: derivatives beside their reference, each right, wrong, or at a kink and between its slopes.

A difference is held against what the reference itself is not sure of, what rounding does to the function, and the
tolerance. Where there is no slope but one on either side, a gradient between the two is as good as any.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from microgradnp.check.differences import EDGE, JUMP, KINK, ROUGH, SMOOTH, VERTICAL
from microgradnp.check.hint import perhaps
from microgradnp.check.problem import Array, Direction, Problem
from microgradnp.check.references import EPS, Reference
from microgradnp.check.report import Entry
from microgradnp.check.returned import Slopes


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a gradient may be from its reference."""

    rtol: float
    atol: float
    eps: float
    """The precision at which the function is judged."""
    noise: Array
    """What rounding at that precision does to each output."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: the derivatives by each source, (direction, output), and beside them the reference."""

    problem: Problem
    order: int
    """Which derivative they are."""
    labels: list[str]
    """What each output is."""
    tolerance: Tolerance
    directions: Sequence[Direction]
    returned: dict[str, Slopes]
    reference: Reference


@dataclass(slots=True)
class Verdict:
    """What a comparison found."""

    case: Case
    failures: list[Entry] = field(default_factory=list)
    kinks: list[Entry] = field(default_factory=list)
    bad: dict[str, Array] = field(default_factory=dict)
    """By each source, (direction, output), whether it fails."""
    worst: Entry | None = None
    where: tuple[str, int] = "", 0
    """The worst entry's source and direction."""

    def fails(self, i: int) -> bool:
        """Whether anything is wrong along direction ``i``."""
        return any(bool(bad[i].any()) for bad in self.bad.values())

    @property
    def failing(self) -> list[int]:
        """The directions along which something is wrong."""
        return [i for i in range(len(self.case.directions)) if self.fails(i)]


def judge(case: Case) -> Verdict:
    """Hold each derivative against the reference."""
    found, value = case.reference.found, case.reference.value
    floor = _floor(case)
    smooth = np.isfinite(value)
    low, high = np.minimum(found.left, found.right), np.maximum(found.left, found.right)
    # A derivative that jumps is a kink of the function.
    corner = ((found.kind == KINK) | ((found.kind == JUMP) & (case.order > 1))) & ~smooth
    vertical = (found.kind == VERTICAL) & ~smooth
    verdict = Verdict(case)
    worst = -1.0
    for source, slopes in case.returned.items():
        got, given = slopes.values, slopes.given
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.maximum(np.abs(got), np.abs(value))
            allowed = floor + case.tolerance.rtol * np.where(np.isfinite(size), size, 0.0)
            difference = np.abs(got - value)
            slack = floor + 1e-6 * np.maximum(np.abs(low), np.abs(high))
            between = (got >= low - slack) & (got <= high + slack)
            one_sided = np.isnan(low) & ((got == found.left) | (got == found.right))
            ok = np.where(smooth, difference <= allowed, (corner & between) | (vertical & (between | one_sided)))
            ratio = np.where(smooth, difference / (allowed + 1e-300), -0.5)
        ok |= ~given
        ratio = np.where(ok, ratio, 1e9 + np.where(np.isfinite(ratio), ratio, np.inf))
        ratio[~given] = -1.0
        verdict.bad[source] = ~ok
        for i, j in np.argwhere(~ok | ((corner | vertical) & given)).tolist():
            entry = _entry(case, source, i, j, bool(ok[i, j]))
            (verdict.kinks if ok[i, j] else verdict.failures).append(entry)
        if ratio.size and ratio.max() > worst:
            worst = float(ratio.max())
            i, j = divmod(int(np.argmax(ratio)), ratio.shape[1])
            verdict.where = source, i
            verdict.worst = _entry(case, source, i, j, bool(ok[i, j]))
    return verdict


def _floor(case: Case) -> Array:
    """What to allow however small the derivative is."""
    tolerance, found, value = case.tolerance, case.reference.found, case.reference.value
    lengths = np.array([u.length for u in case.directions])[:, None]
    error = np.where(np.isfinite(found.error), found.error, 0.0)
    floor: Array = tolerance.atol + 10 * error + 32 * tolerance.noise / np.minimum(lengths, 1.0)
    # Beside a large entry a small one is rounding: they come out of the same computation.
    largest = np.max(np.abs(value), initial=0.0, where=np.isfinite(value))
    floor = floor + max(1e4 * EPS, 100 * tolerance.eps) * largest
    if largest <= (tolerance.eps > EPS) * 1e-13:  # all are zero, or what float64 has left of zero
        floor = floor + 100 * tolerance.eps
    return floor


# -- In words ----------------------------------------------------------------------------------------------------------


def _entry(case: Case, source: str, i: int, j: int, ok: bool) -> Entry:
    found, reference = case.reference.found, case.reference
    values = {key: float(slopes.values[i, j]) for key, slopes in case.returned.items() if slopes.given[i, j]}
    settled = found.kind[i, j] in (SMOOTH, EDGE)
    if settled:
        values["finite differences"] = float(found.value[i, j])
    if reference.exact is not None and reference.value[i, j] == reference.exact[i, j]:
        values["complex step"] = float(reference.exact[i, j])
    name, place = _names(case.problem, case.directions[i])
    label = f" of {case.labels[j]}" if case.labels[j] else ""
    verdict, note = _verdict(case, i, j, values[source], ok)
    uncertainty = float(found.error[i, j]) if settled else 0.0
    return Entry(name + label, source, verdict, values, uncertainty, f"at {place}: {note}" if note else "")


def _verdict(case: Case, i: int, j: int, got: float, ok: bool) -> tuple[str, str]:
    """One word, and what to say where the function is not smooth."""
    found, kind = case.reference.found, int(case.reference.found.kind[i, j])
    settled = bool(np.isfinite(case.reference.value[i, j]))
    jump = found.jump[i, j]
    if kind == JUMP and case.order == 1:
        return "discontinuity", f"a discontinuity, the function jumps by {jump:.6g}; returned {got:.6g}"
    if kind == ROUGH and not settled:
        text = f"finite differences settle on no slope; returned {got:.6g}, shown neither right nor wrong"
        return "unsettled", text
    if kind in (KINK, VERTICAL, JUMP) and not settled:
        where = "between them" if ok else "outside them"
        if kind == VERTICAL:
            where = "as it is" if ok else "which is neither"
        sides = ("left", found.left[i, j]), ("right", found.right[i, j])
        slopes = ", ".join(f"{side} slope {s:.6g}" for side, s in sides if not np.isnan(s))
        what = f"the derivative jumps by {jump:.6g}, " if kind == JUMP else ""
        return "kink" if ok else "wrong", f"{what}{slopes}, returned {got:.6g}, {where}"
    if kind == EDGE and not ok:
        return "wrong", "the function ends here, and this is the slope on the inside"
    return "right" if ok else "wrong", ""


def _names(problem: Problem, direction: Direction) -> tuple[str, str]:
    """A direction's name, and the place where it is taken."""
    u = direction.entry
    if u is not None:
        leaf = problem.leaf_of(u)
        name = leaf.entry(u - leaf.part.start)
        return name, f"{name} = {problem.x[u]:.6g}"
    start, stop = direction.part.start, direction.part.stop
    leaves = [leaf for leaf in problem.leaves if max(start, leaf.part.start) < min(stop, leaf.part.stop)]
    names = ", ".join(leaf.name for leaf in leaves)
    if stop - start == problem.size:
        name = f"a random direction in {names}"
    elif len(leaves) == 1:
        before = leaves[0].part.start
        name = f"a random direction in the entries {start - before} to {stop - 1 - before} of {names}"
    else:
        name = f"a random direction in {stop - start} entries of {names}"
    return name, name


def hint(verdict: Verdict, others: Sequence[Case]) -> str:
    """What the mistake might be, from the entries of the worst one's array, at other points too; empty if unknown."""
    case = verdict.case
    source, i = verdict.where
    u = case.directions[i].entry
    if verdict.worst is None or not math.isfinite(verdict.worst.reference) or u is None:
        return ""
    leaf = case.problem.leaf_of(u)
    returned, right, whole = [], [], True
    for each in (case, *others):
        same = [k for k, v in enumerate(each.directions) if v.entry is not None and leaf.has(v.entry)]
        got, value = each.returned[source], each.reference.value
        known = got.given[same] & np.isfinite(value[same])
        whole = whole and known.shape == (leaf.array.size, 1) and bool(known.all())
        returned.append(got.values[same][known])
        right.append(value[same][known])
    return perhaps(returned, right, leaf.array.shape if whole else ())
