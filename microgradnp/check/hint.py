"""What a wrong gradient might be, from its ratio to the right one: a sign, a factor, a transposition."""

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np

from microgradnp.check.problem import Array


def perhaps(points: Sequence[Array], references: Sequence[Array], shape: tuple[int, ...] = ()) -> str:
    """What a wrong gradient might be, from the ratio to the right one at several points; empty if nothing fits.

    The first point is the one that is talked of.
    """
    if not np.isfinite(points[0]).all():
        return "not a number: a division by zero, an overflow or 0 * inf on the way"
    returned, reference = np.concatenate(points), np.concatenate(references)
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
        entries = f", in all {points[0].size} entries" if points[0].size > 1 else ""
        return f"a factor: it is {fraction(factor) or format(factor, '.6g')} times the derivative{entries}"
    if np.allclose(np.abs(ratio), 1, rtol=1e-5):
        return "the sign, in some of the entries"
    pairs = [(a.reshape(shape), b.reshape(shape)) for a, b in zip(points, references, strict=True) if len(shape) == 2]
    if pairs and shape == shape[::-1] and all(np.allclose(a, b.T) for a, b in pairs):
        return "it is transposed"
    return ""


def share(a: Array, b: Array) -> float:
    """How many times ``b`` is nearest to ``a``."""
    length = float(np.vdot(b, b))
    return float(np.vdot(b, a)) / length if length else 0.0


def fraction(ratio: float) -> str:
    """A ratio as a small whole number, one over one, or a number of halves; empty if it is none of these."""
    for over in (1, 2):
        if _is_whole(ratio * over):
            return f"{round(ratio * over)}" + ("/2" if over == 2 else "")
    if ratio and _is_whole(1 / ratio):
        return f"{'-' if ratio < 0 else ''}1/{abs(round(1 / ratio))}"
    return ""


def _is_whole(number: float) -> bool:
    return abs(number) < 1000.5 and round(number) != 0 and math.isclose(number, round(number), rel_tol=1e-6)


def times(factor: float, sizes: Sequence[tuple[int, str]]) -> tuple[str, str]:
    """A factor in words, and what it says of the mistake, all that it may be; empty texts if it is no simple one.

    ``sizes`` are numbers that a factor may stand for, each with words that begin with its letter.
    """
    size = abs(factor)
    known = [(0.5, "half", "a factor 2 is missing"), (2.0, "twice", "there is a factor 2 too many")]
    for n, what in sizes:
        mean = " (a mean over the classes)" if what[0] == "K" else ""
        known.append((n, f"{n} times", f"1/{what[0]} is missing, {what}"))
        known.append((1 / n, f"1/{n} of", f"there is a 1/{what[0]} too many{mean}, {what}"))
    for (n, what), (m, other) in permutations(sizes, 2):
        known.append((n / m, f"{n}/{m} of", f"it is divided by {m} instead of {n}, {other}, and {what}"))
    fitting = [(amount, why) for value, amount, why in known if math.isclose(size, value, rel_tol=1e-6)]
    if fitting:
        return ("minus " if factor < 0 else "") + fitting[0][0], ", or ".join(why for _, why in fitting)
    simple = fraction(factor)
    return (f"{simple} times", "everywhere") if simple else ("", "")
