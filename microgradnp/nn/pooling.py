"""Pooling of images: of each window its maximum, or its mean.

Where a maximum lies is found first, on plain numbers; the maximum itself is the element at that place, so that its
derivative is that of an index. The sum over windows and the spreading over windows are each the other's derivative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradnp.engine.dispatch import CONSTANTS
from microgradnp.engine.rules import defvjp, primitive
from microgradnp.nn.windows import Pair, Windows, blocks, half_at_most, images, windows_of, windows_over


def max_pool2d(x: Any, kernel_size: Any, *, stride: Any = None, padding: Any = 0) -> Any:
    """The maximum of each window of images; of equal ones the gradient goes to the first, row by row.

    Parameters
    ----------
    x
        Images of shape (N, channels, height, width).
    kernel_size, stride, padding
        A window's size, the step between windows, by default the size, and the frame around an image, which never is
        a maximum: one number, or one for the height and one for the width.

    Raises
    ------
    ValueError
        If a window does not fit, or a number is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp.nn import functional
    >>> functional.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    x = images(x)
    places = first_maxima(x, **_pool("max_pool2d", x, kernel_size, stride, padding))
    return np.reshape(np.ravel(x)[np.ravel(places)], places.shape)


def avg_pool2d(x: Any, kernel_size: Any, *, stride: Any = None, padding: Any = 0) -> Any:
    """The mean of each window of images; the zeros of a frame are counted.

    Parameters
    ----------
    x
        Images of shape (N, channels, height, width).
    kernel_size, stride, padding
        A window's size, the step between windows, by default the size, and the zeros around an image: one number, or
        one for the height and one for the width.

    Raises
    ------
    ValueError
        If a window does not fit, or a number is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp.nn import functional
    >>> functional.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    x = images(x)
    windows = _pool("avg_pool2d", x, kernel_size, stride, padding)
    return sums_of_windows(x, **windows) / math.prod(windows["kernel"])


def _pool(who: str, x: Any, kernel_size: Any, stride: Any, padding: Any) -> dict[str, Pair]:
    windows = windows_over(who, x, kernel_size, kernel_size if stride is None else stride, padding)
    half_at_most(who, windows.padding, windows.kernel)
    return {"kernel": windows.kernel, "stride": windows.stride, "padding": windows.padding}


# -- Maxima


@primitive
def first_maxima(x: Any, **geometry: Pair) -> Any:
    """Where the maximum of each window lies among all elements of ``x``: the first, or the last NaN."""
    windows = Windows(**geometry)
    _, channels, height, width = x.shape
    (rows, columns), (h, w) = windows.grid((height, width)), windows.kernel
    top, left = (np.arange(n) * s - p for n, s, p in zip((rows, columns), windows.stride, windows.padding, strict=True))
    corners = np.arange(channels)[:, None, None] * (height * width) + top[:, None] * width + left
    offsets = (np.arange(h)[:, None] * width + np.arange(w)).ravel()
    number = np.min_scalar_type(h * w).type
    in_image = (np.maximum(-top, 0)[:, None] * w + np.maximum(-left, 0)).astype(number)  # the first that is no padding
    y = np.empty((len(x), *corners.shape), np.intp)
    for part, view in windows_of(x, windows, x.dtype, corners.size, _lowest(x.dtype)):
        here = y[part]
        most, chosen = view[..., 0, 0].copy(), np.broadcast_to(in_image, here.shape).copy()
        for n, element in enumerate(windows.elements(view)):
            # The last to be more than all before it is the first maximum. To write it where a mask says takes longer.
            np.maximum(chosen, (element > most) * number(n), out=chosen)
            np.maximum(most, element, out=most)
        if np.isnan(most).any():
            for n, element in enumerate(windows.elements(view)):
                np.copyto(chosen, number(n), where=np.isnan(element))
        np.add(corners, offsets[chosen], out=here)
        here += np.arange(part.start, part.stop)[:, None, None, None] * (channels * height * width)
    return y


def _lowest(dtype: np.dtype[Any]) -> Any:
    """The least number of a dtype."""
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


CONSTANTS.add(first_maxima)

# -- Sums


@primitive
def sums_of_windows(x: Any, **geometry: Pair) -> Any:
    """The sum of each window."""
    windows = Windows(**geometry)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    y = np.empty((*x.shape[:2], *windows.grid(x.shape[2:])), dtype)
    for part, view in windows_of(x, windows, dtype, math.prod(y.shape[1:])):
        here = y[part]
        first, *others = windows.elements(view)
        here[...] = first
        for element in others:
            here += element
    return y


@primitive
def spread_over_windows(g: Any, *, size: tuple[int, ...], **geometry: Pair) -> Any:
    """Images of that height and width, each element the sum of ``g`` over the windows in which it lies."""
    windows = Windows(**geometry)
    apart = windows.stride[0] >= windows.kernel[0] and windows.stride[1] >= windows.kernel[1]  # twice as fast then
    y = np.zeros((*g.shape[:2], *windows.padded(size)), g.dtype)
    view = windows.of(y, writeable=True)
    for part in blocks(len(g), math.prod(g.shape[1:])):
        for element in windows.elements(view[part]):
            if apart:
                element[...] = g[part]
            else:
                element += g[part]
    return y[windows.inside(size)]


# fmt: off
defvjp(sums_of_windows,     lambda g, y, x, **windows: spread_over_windows(g, size=x.shape[2:], **windows))
defvjp(spread_over_windows, lambda g, y, h, size, **windows: sums_of_windows(g, **windows))
# fmt: on
