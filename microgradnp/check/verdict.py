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
from microgradnp.check.problem import Array, Direction, Function, Problem
from microgradnp.check.references import EPS, Reference, Sight
from microgradnp.check.report import Entry
from microgradnp.check.returned import Slopes
from microgradnp.engine.state import Machine


@dataclass(frozen=True, slots=True)
class Settings:
    """How to examine: see `microgradnp.check.gradients`, whose arguments these are."""

    hand: Function | None = None
    order: int = 1
    rtol: float | None = None
    atol: float = 0.0
    seed: int = 0
    machine: Machine | None = None
    """What the backward passes run on: debug mode, if None."""


@dataclass(slots=True)
class Verdict:
    """What comes of holding derivatives against their reference."""

    sight: Sight
    settings: Settings
    directions: Sequence[Direction]
    returned: dict[str, Slopes]
    """The derivatives by each source, (direction, output)."""
    reference: Reference
    failures: list[Entry] = field(default_factory=list, init=False)
    kinks: list[Entry] = field(default_factory=list, init=False)
    bad: dict[str, Array] = field(default_factory=dict, init=False)
    """By each source, (direction, output), whether it fails."""
    worst: Entry | None = field(default=None, init=False)
    where: tuple[str, int] = field(default=("", 0), init=False)
    """The worst entry's source and direction."""

    def __post_init__(self) -> None:
        found, value = self.reference.found, self.reference.value
        floor, rtol = _floor(self), self.settings.rtol
        smooth = np.isfinite(value)
        low, high = np.minimum(found.left, found.right), np.maximum(found.left, found.right)
        # A derivative that jumps is a kink of the function.
        corner = ((found.kind == KINK) | ((found.kind == JUMP) & (self.sight.order > 1))) & ~smooth
        vertical = (found.kind == VERTICAL) & ~smooth
        worst = -1.0
        for source, slopes in self.returned.items():
            got, given = slopes.values, slopes.given
            with np.errstate(invalid="ignore", over="ignore"):
                size = np.maximum(np.abs(got), np.abs(value))
                allowed = floor + (self.sight.share if rtol is None else rtol) * np.where(np.isfinite(size), size, 0.0)
                difference = np.abs(got - value)
                slack = floor + 1e-6 * np.maximum(np.abs(low), np.abs(high))
                between = (got >= low - slack) & (got <= high + slack)
                one_sided = np.isnan(low) & ((got == found.left) | (got == found.right))
                ok = np.where(smooth, difference <= allowed, (corner & between) | (vertical & (between | one_sided)))
                ratio = np.where(smooth, difference / (allowed + 1e-300), -0.5)
            ok |= ~given
            ratio = np.where(ok, ratio, 1e9 + np.where(np.isfinite(ratio), ratio, np.inf))
            ratio[~given] = -1.0
            self.bad[source] = ~ok
            for i, j in np.argwhere(~ok | ((corner | vertical) & given)).tolist():
                (self.kinks if ok[i, j] else self.failures).append(_entry(self, source, i, j))
            if ratio.size and ratio.max() > worst:
                worst = float(ratio.max())
                i, j = divmod(int(np.argmax(ratio)), ratio.shape[1])
                self.where, self.worst = (source, i), _entry(self, source, i, j)

    @property
    def failing(self) -> list[int]:
        """The directions along which something is wrong."""
        return [i for i in range(len(self.directions)) if any(bad[i].any() for bad in self.bad.values())]


def _floor(verdict: Verdict) -> Array:
    """What to allow however small the derivative is."""
    sight, found, value = verdict.sight, verdict.reference.found, verdict.reference.value
    lengths = np.array([u.length for u in verdict.directions])[:, None]
    error = np.where(np.isfinite(found.error), found.error, 0.0)
    floor: Array = verdict.settings.atol + 10 * error + 32 * sight.noise / np.minimum(lengths, 1.0)
    # Beside a large entry a small one is rounding: they come out of the same computation.
    largest = np.max(np.abs(value), initial=0.0, where=np.isfinite(value))
    floor = floor + max(1e4 * EPS, 100 * sight.precision) * largest
    if largest <= (sight.precision > EPS) * 1e-13:  # all are zero, or what float64 has left of zero
        floor = floor + 100 * sight.precision
    return floor


# -- In words ----------------------------------------------------------------------------------------------------------


def _entry(verdict: Verdict, source: str, i: int, j: int) -> Entry:
    reference, found, label = verdict.reference, verdict.reference.found, verdict.sight.labels[j]
    values = {key: float(slopes.values[i, j]) for key, slopes in verdict.returned.items() if slopes.given[i, j]}
    settled = found.kind[i, j] in (SMOOTH, EDGE)
    if settled:
        values["finite differences"] = float(found.value[i, j])
    if reference.exact is not None and reference.value[i, j] == reference.exact[i, j]:
        values["complex step"] = float(reference.exact[i, j])
    name, place = _names(verdict.sight.problem, verdict.directions[i])
    word, note = _words(verdict, i, j, values[source], not verdict.bad[source][i, j])
    uncertainty = float(found.error[i, j]) if settled else 0.0
    at = f"at {place}: {note}" if note else ""
    return Entry(name + (f" of {label}" if label else ""), source, word, values, uncertainty, at)


def _words(verdict: Verdict, i: int, j: int, got: float, ok: bool) -> tuple[str, str]:
    """One word, and what to say where the function is not smooth."""
    found, kind = verdict.reference.found, int(verdict.reference.found.kind[i, j])
    settled = bool(np.isfinite(verdict.reference.value[i, j]))
    jump = found.jump[i, j]
    if kind == JUMP and verdict.sight.order == 1:
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
    name = f"a random direction in {', '.join(leaf.name for leaf in problem.leaves)}"
    return name, name


def hint(verdict: Verdict, others: Sequence[Verdict]) -> str:
    """What the mistake might be, from the entries of the worst one's array, at other points too; empty if unknown."""
    source, i = verdict.where
    u = verdict.directions[i].entry
    if verdict.worst is None or not math.isfinite(verdict.worst.reference) or u is None:
        return ""
    leaf = verdict.sight.problem.leaf_of(u)
    returned, right, whole = [], [], True
    for each in (verdict, *others):
        same = [k for k, v in enumerate(each.directions) if v.entry is not None and leaf.has(v.entry)]
        got, value = each.returned[source], each.reference.value
        known = got.given[same] & np.isfinite(value[same])
        whole = whole and known.shape == (leaf.array.size, 1) and bool(known.all())
        returned.append(got.values[same][known])
        right.append(value[same][known])
    return perhaps(returned, right, leaf.array.shape if whole else ())
