"""What a wrong gradient might be, from its ratio to the right one: a sign, a factor, a transposition."""

import math

import numpy as np

from microgradnp.check.problem import Array


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
        if _is_whole(ratio * over):
            return f"{round(ratio * over)}" + ("/2" if over == 2 else "")
    if ratio and _is_whole(1 / ratio):
        return f"{'-' if ratio < 0 else ''}1/{abs(round(1 / ratio))}"
    return ""


def _is_whole(number: float) -> bool:
    return abs(number) < 1000.5 and round(number) != 0 and math.isclose(number, round(number), rel_tol=1e-6)
