"""What has no name in NumPy, as the text of a function that a deployed file gets when it needs it.

Here all windows are looked at at once; what `microgradnp.nn.functional` calls does it a few images at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from microgradnp.nn import functional
from microgradnp.nn.convolution import convolution
from microgradnp.nn.pooling import first_maxima, sums_of_windows

WINDOWS = '''
def _windows(x, kernel, stride, padding, dilation=(1, 1), frame=0):
    """A view of all windows of images: of shape (n, channels, rows, columns, *kernel)."""
    (h, w), (s, t), (p, q), (d, e) = kernel, stride, padding, dilation
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (q, q)), constant_values=frame)
    reach = (d * (h - 1) + 1, e * (w - 1) + 1)
    return np.lib.stride_tricks.sliding_window_view(x, reach, (2, 3))[:, :, ::s, ::t, ::d, ::e]

'''


def _lines(numbers: tuple[float, ...]) -> str:
    """Numbers in parentheses, some on each line."""
    rows = [", ".join(map(repr, numbers[i : i + 4])) for i in range(0, len(numbers), 4)]
    return f"({(',' + chr(10) + ' ' * 8).join(rows)})"


HELPERS: dict[Callable[..., Any], str] = {
    functional.sigmoid: '''
def helper(x):
    """The logistic function."""
    with np.errstate(over="ignore"):  # exp(1000) is inf, and 1 / inf is the right 0
        return 1 / (1 + np.exp(-x))

''',
    functional.softplus: '''
def helper(x):
    """log(1 + exp(x)), without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))

''',
    functional.softmax: '''
def helper(x, axis=-1):
    """Exponentials that sum to 1 along an axis."""
    top = np.max(x, axis=axis, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):  # where several are infinite, they share
        e = np.exp(np.where(x == top, 0, x - top))
    return e / np.sum(e, axis=axis, keepdims=True)

''',
    functional.log_softmax: '''
def helper(x, axis=-1):
    """The logarithm of exponentials that sum to 1 along an axis."""
    top = np.max(x, axis=axis, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        rest = np.where(x == top, 0, x - top)
    return rest - np.log(np.sum(np.exp(rest), axis=axis, keepdims=True))

''',
    functional.normal_cdf: f'''
def helper(x):
    """The distribution function of the standard normal distribution (Cephes, ndtr.c)."""

    def polynomial(coefficients, x):
        y = coefficients[0]
        for c in coefficients[1:]:
            y = y * x + c
        return y

    erf = {_lines(functional._ERF)}
    erf_below = {_lines(functional._ERF_BELOW)}
    erfc = {_lines(functional._ERFC)}
    erfc_below = {_lines(functional._ERFC_BELOW)}
    z = np.clip(np.abs(x) * {math.sqrt(0.5)!r}, 0, 110)
    near = np.minimum(z, 1)
    half_erf = 0.5 * near * polynomial(erf, near * near) / polynomial(erf_below, near * near)
    tail = 0.5 * np.exp(-z * z) * polynomial(erfc, z) / polynomial(erfc_below, z)
    tail = np.where(z < 1, 0.5 - half_erf, tail)
    return np.where(x < 0, tail, np.where(z < 1, 0.5 + half_erf, 1 - tail))

''',
    convolution: '''
def helper(x, weight, bias=None, **windows):
    """The products of a weight of shape (height, width, in, out) with all windows of images."""
    y = np.moveaxis(np.tensordot(_windows(x, **windows), weight, ((1, 4, 5), (2, 0, 1))), -1, 1)
    return y if bias is None else y + bias[:, None, None]

''',
    first_maxima: '''
def helper(x, **windows):
    """Where the maximum of each window lies among all elements of x."""
    view = _windows(x, **windows, frame=-np.inf)
    places = _windows(np.arange(x.size).reshape(x.shape), **windows)
    first = view.reshape(*view.shape[:4], -1).argmax(axis=-1)[..., None]
    return np.take_along_axis(places.reshape(*view.shape[:4], -1), first, -1)[..., 0]

''',
    sums_of_windows: '''
def helper(x, **windows):
    """The sum of each window."""
    return _windows(x, **windows).sum(axis=(4, 5))

''',
}
"""By our function: a function of plain NumPy, called ``helper``, with the same arguments."""
