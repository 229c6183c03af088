"""Reference derivatives that need no calculus: finite differences that know their own error.

A central difference is taken at three steps and extrapolated (Richardson); how far the extrapolations disagree tells
how far to trust them. Where the two sides disagree however small the step, the function has a corner there, and the
slope on either side is what a gradient can be held against.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from microgradnp.check.problem import Array

SMOOTH, KINK, JUMP, VERTICAL, EDGE, ROUGH = range(6)
"""What a function does at a point: see `Differences.kind`."""


@dataclass(frozen=True, slots=True)
class Differences:
    """Derivatives of each output (column) along each direction (row), by finite differences."""

    value: Array
    error: Array
    left: Array
    right: Array
    kind: Array
    """SMOOTH; KINK: two finite slopes; JUMP: a discontinuity; VERTICAL: a slope without bound; EDGE: the function ends
    here, and ``value`` is the slope on the inside; ROUGH: no slope can be made out."""
    jump: Array

    @property
    def settled(self) -> Array:
        """Where ``value`` is a reference."""
        settled: Array = (self.kind == SMOOTH) | (self.kind == EDGE)
        return settled

    def beside(self, rows: Sequence[int], other: "Differences", share: float) -> "Differences":
        """The same, but that some rows were found a second time, by ``other``, with other steps.

        Their error is what the two differ by, up to a share of the largest value. Where no slope was made out, that of
        ``other`` counts.
        """
        value, error, kind = self.value.copy(), self.error.copy(), self.kind.copy()
        largest = np.max(np.abs(value), initial=0.0, where=np.isfinite(value))
        found = (kind[rows] == ROUGH) & other.settled
        for mine, others in ((value, other.value), (error, other.error), (kind, other.kind)):
            mine[rows] = np.where(found, others, mine[rows])
        apart = np.abs(value[rows] - other.value)
        error[rows] = np.where(apart <= share * largest, np.fmax(error[rows], apart), error[rows])
        return replace(self, value=value, error=error, kind=kind)


def finite_differences(
    at: Callable[[int, float], tuple[float, Array]], middle: Array, scales: Array, close: Array, eps: float
) -> Differences:
    """Differentiate along several directions at once.

    Parameters
    ----------
    at
        ``at(i, t)`` gives the distance really taken along direction ``i`` (rounding may change ``t``), and the outputs.
    middle
        The outputs at the point itself.
    scales
        For each direction the distance over which the function may be thought to change: the steps are fractions of it.
    close
        For each direction the distance from zero, where many functions have a scale of their own; NaN for none.
    eps
        The precision of the outputs.
    """
    n, m = len(scales), len(middle)
    finest = round(-math.log2(eps) * 24 / 52)
    start = round(-math.log2(eps) * 8 / 52)
    ladder = [start + round((finest - start) * k / 4) for k in range(5)]
    shape = (n, m)
    value, error = np.full(shape, np.nan), np.full(shape, np.inf)
    edge_value, edge_error = np.full(shape, np.nan), np.full(shape, np.inf)
    steepest, highest = np.full(shape, np.inf), np.zeros(shape)  # over the largest steps
    kinked = np.zeros(shape, np.intp)  # on how many of the last rungs in a row the two sides disagreed
    active = np.arange(n)
    done, settled, nothing, size = np.zeros(shape, bool), np.zeros(n, bool), np.zeros((n, 1)), np.zeros(shape)
    rungs: list[_Rung] = []
    common = 4 * eps * np.abs(middle).max(initial=0.0) * 2.0 ** (start + 2) / scales[:, None]
    # Values that are nothing beside the inputs may be what cancelling has left, a few units of rounding, and these lie
    # on a line by chance, without error as it seems. Such a slope counts when a second rung has it too.
    crumb = 64 * eps * scales.max(initial=0.0)
    apart = np.full(shape, np.inf)
    near = np.where(close < scales * 2.0**-start, close, np.nan)
    fractions = [scales * 2.0**-exponent for exponent in ladder]
    # Then, for what has not settled: fractions of the distance from zero, and larger steps, against noise.
    fractions += [near * 2.0**-start, near * 2.0 ** -(start + 4), *(scales * 2.0**-e for e in (start - 3, start - 6))]
    fractions.append(np.where(scales < 2.0**-4, 2.0**-start, np.nan))
    for place, steps in enumerate(fractions):
        if place >= len(ladder):
            active = active[np.isfinite(steps[active])]
            if place >= len(ladder) + 2:
                active = active[(kinked[active] < 2).any(axis=1)]
            if not len(active):
                active = np.flatnonzero(~settled)
                continue
        rung = _Rung(at, middle, active, steps[active], eps)
        if place == 0:
            steepest, highest = rung.steepest, rung.highest
        if place < len(ladder):
            rungs.append(rung)
            kinked[active] = np.where(rung.kinked, kinked[active] + 1, 0)
        elif place < len(ladder) + 2:
            kinked[active] = np.where(rung.kinked | (rung.error == np.inf), kinked[active], 0)
        better = ~rung.kinked & (rung.error < error[active]) & ~done[active]
        if place:
            distance = np.abs(rung.value - value[active])
            apart[active] = np.where(better, distance, np.fmin(apart[active], distance))
        value[active] = np.where(better, rung.value, value[active])
        error[active] = np.where(better, rung.error, error[active])
        better = rung.edge_error < edge_error[active]
        edge_value[active] = np.where(better, rung.edge_value, edge_value[active])
        edge_error[active] = np.where(better, rung.edge_error, edge_error[active])
        size = np.abs(value) + highest / scales[:, None]
        certain = (highest > crumb) | (highest == 0) | (apart <= 1e-2 * np.abs(value))
        # What is nothing beside the other entries is the rounding of their common computation.
        largest = np.max(np.abs(value), initial=0.0, where=np.isfinite(value) & (error <= 1e-2 * size))
        nothing = np.maximum(1e-12 * largest, common)
        done = (error <= np.maximum(math.sqrt(eps) * size, nothing)) & (kinked == 0) & certain
        settled = done.all(axis=1)
        active = np.flatnonzero(~settled)
        if not len(active):
            break
    quiet = steepest <= nothing
    value, error = np.where(quiet & ~(error <= nothing), 0.0, value), np.where(quiet, np.minimum(error, nothing), error)
    smooth = np.isfinite(value) & (error <= np.maximum(1e-2 * size, nothing)) & ((kinked < 2) | quiet)
    # Where they do not, that is what they are.
    left_over = ~(smooth & certain) & (highest <= crumb)
    value, error = np.where(left_over, 0.0, value), np.where(left_over, crumb / fractions[0][:, None], error)
    smooth |= left_over
    kind = np.where(smooth, SMOOTH, ROUGH)
    left, right, jump = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
    if not smooth.all():
        # All rungs of the ladder were climbed for every direction with an entry that is not smooth.
        rows = np.flatnonzero(~smooth.all(axis=1))
        last = [(r, np.searchsorted(r.rows, rows)) for r in rungs[-2:]]
        minus, plus = [r.minus[:, i] for r, i in last], [r.plus[:, i] for r, i in last]
        side_left, slope_left, jump_left = _side(minus, [r.tm[:, i] for r, i in last], middle, eps)
        side_right, slope_right, jump_right = _side(plus, [r.tp[:, i] for r, i in last], middle, eps)
        both = np.stack([side_left, side_right])
        either = [(both == kind).any(axis=0) for kind in (JUMP, VERTICAL, EDGE, ROUGH)]
        either.insert(2, (both == EDGE).all(axis=0))
        found = np.select(either, [JUMP, VERTICAL, ROUGH, EDGE, ROUGH], KINK)
        same = np.abs(slope_right - slope_left) <= 1e-4 * (np.abs(slope_right) + np.abs(slope_left))
        found[(found == KINK) & same & (kinked[rows] < 2)] = ROUGH
        rough = ~smooth[rows]
        kind[rows] = np.where(rough, found, kind[rows])
        left[rows], right[rows] = 0.0 - slope_left, 0.0 + slope_right
        jump[rows] = np.where(both[1] == JUMP, jump_right, 0) - np.where(both[0] == JUMP, jump_left, 0)
        edge = kind == EDGE
        value, error = np.where(edge, edge_value, value), np.where(edge, edge_error, error)
        kind[edge & ~(error <= 1e-2 * (np.abs(value) + highest / scales[:, None]))] = ROUGH
    return Differences(value, error, left, right, kind, jump)


class _Rung:
    """Differences at the steps h, h/2 and h/4, extrapolated."""

    def __init__(
        self,
        at: Callable[[int, float], tuple[float, Array]],
        middle: Array,
        active: Array,
        steps: Array,
        eps: float,
    ) -> None:
        k, m = len(active), len(middle)
        self.rows = active
        self.plus, self.minus = np.empty((3, k, m)), np.empty((3, k, m))
        self.tp, self.tm = np.empty((3, k, 1)), np.empty((3, k, 1))
        for row, i in enumerate(active.tolist()):
            for j in range(3):
                h = float(steps[row]) / 2**j
                self.tp[j, row], self.plus[j, row] = at(i, h)
                self.tm[j, row], self.minus[j, row] = at(i, -h)
        self.tm *= -1
        fp, fm, tp, tm = self.plus, self.minus, self.tp, self.tm
        central = (fp - fm) / (tp + tm)
        once = (4 * central[1:] - central[:2]) / 3
        twice = (16 * once[1] - once[0]) / 15
        around = np.concatenate([fp, fm, np.broadcast_to(middle, (1, k, m))])
        self.highest = highest = np.abs(around).max(axis=0, initial=0.0, where=np.isfinite(around))
        rounding = eps * (4 * highest + np.abs(middle).max(initial=0.0)) / tp[2]
        right, left = (fp - middle) / tp, (middle - fm) / tm
        steepest = np.maximum(np.abs(right), np.abs(left)).max(axis=0)
        self.steepest = np.where(np.isfinite(steepest), steepest, np.inf)
        # The difference of the slopes is a series in h, h**3, ...: what is left at h = 0 is a corner.
        bend = right - left
        first = 2 * bend[1:] - bend[:2]
        corner = (8 * first[1] - first[0]) / 7
        doubt = rounding + np.abs(first[1] - first[0])
        # Where there is no corner, what seems one is noise: another sample of it, independent of the slope's.
        error = np.abs(twice - once[1]) + np.abs(corner) + rounding
        # Of x * abs(x) the slope is a series in h, not in h**2: then it halves with the step.
        halved = central[:2] - central[1:]
        slow = (np.abs(halved[0] - 2 * halved[1]) <= 0.1 * np.abs(halved[0])) & (np.abs(halved[1]) > 8 * rounding)
        ends = 2 * central[1:] - central[:2]
        steady = (4 * ends[1] - ends[0]) / 3
        error = np.where(slow, np.abs(steady - ends[1]) + np.abs(corner) + rounding, error)
        twice = np.where(slow, steady, twice)
        finite_right, finite_left = np.isfinite(right).all(axis=0), np.isfinite(left).all(axis=0)
        finite = finite_right & finite_left
        with np.errstate(invalid="ignore"):
            self.kinked = finite & (np.abs(corner) > 10 * doubt + 1e-7 * np.abs(twice))
        self.value = twice
        self.error = np.where(finite & np.isfinite(error), error, np.inf)
        side = np.where(finite_right, right, left)
        first = 2 * side[1:] - side[:2]
        self.edge_value = (4 * first[1] - first[0]) / 3
        edge_error = np.abs(self.edge_value - first[1]) + rounding
        self.edge_error = np.where((finite_right ^ finite_left) & np.isfinite(edge_error), edge_error, np.inf)


def _side(values: list[Array], steps: list[Array], middle: Array, eps: float) -> tuple[Array, Array, Array]:
    """What a function does on one side of a point: its kind, the slope away from the point, and how far it jumps."""
    (coarse, fine), (t_coarse, t_fine) = values, steps
    rise_coarse, rise = coarse[2] - middle, fine[2] - middle
    real = np.abs(rise) > 64 * eps * (np.abs(middle) + np.abs(fine[2]))
    slope = (coarse[2] - coarse[1]) / (t_coarse[2] - t_coarse[1])  # without the point itself, where it may jump
    through = 2 * rise_coarse / t_coarse[2] - (coarse[1] - middle) / t_coarse[1]
    # The rise is as step**power: 1 for a slope, 0 for a jump, between them for a slope without bound.
    zoom = np.log(t_coarse[2] / t_fine[2])
    power = np.log(np.abs(rise_coarse) / np.abs(rise)) / zoom
    steady = np.abs(fine[0] - fine[2]) <= 0.05 * np.abs(rise)
    finite = np.isfinite(rise) & np.isfinite(rise_coarse)
    flat, steep = real & (power < 0.05), real & (power < 0.9)
    kind = np.select([~finite, flat & steady, flat, steep], [EDGE, JUMP, ROUGH, VERTICAL], KINK)
    slope = np.where(kind == JUMP, slope, through)
    slope = np.where(kind == VERTICAL, np.copysign(np.inf, rise), slope)
    return kind, slope, np.where(kind == JUMP, rise, 0.0)
