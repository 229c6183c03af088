"""Convolution of images: each window of an image times a kernel, as one product of matrices.

As everywhere in machine learning the kernel is not turned around: it is a cross-correlation. It is linear in the image
and in the weight; so are its two derivatives, each of which is differentiated by the other two. Three rows of the table
are thus all, to any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.engine.rules import defvjp, primitive
from microgradnp.nn.windows import Pair, Windows, blocks, images, windows_of, windows_over


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> Any:
    """The products of a weight with all windows of images, each summed over the window and the channels.

    Parameters
    ----------
    x
        Images of shape (N, in, height, width).
    weight
        Of shape (kernel height, kernel width, in, out): like every weight here it ends in (in, out). PyTorch's is
        ``weight.transpose(2, 3, 1, 0)``.
    bias
        Of shape (out,), or None.
    stride, padding, dilation
        The step between windows, the zeros around an image, and the step between the elements of a window: one number,
        or one for the height and one for the width.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a number is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp.nn import functional
    >>> image = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> functional.conv2d(image, np.ones((3, 3, 1, 1)))
    array([[[[45., 54.],
             [81., 90.]]]])
    """
    x, weight = images(x), images(weight)
    if weight.ndim != 4:
        raise ValueError(f"conv2d takes a weight of shape (height, width, in, out); got shape {weight.shape}.")
    windows = windows_over("conv2d", x, weight.shape[:2], stride, padding, dilation)
    if x.shape[1] != weight.shape[2]:
        raise ValueError(
            f"conv2d: images of shape {x.shape} have {x.shape[1]} channels, and a weight of shape {weight.shape} takes "
            f"{weight.shape[2]}. A weight has the shape (height, width, in, out)."
        )
    if bias is None:
        return convolution(x, weight, **windows._asdict())
    bias = images(bias)
    if bias.shape != weight.shape[3:]:
        raise ValueError(f"conv2d: the bias must have shape {weight.shape[3:]}; got {bias.shape}.")
    return convolution(x, weight, bias, **windows._asdict())


@primitive
def convolution(x: Any, weight: Any, bias: Any = None, **geometry: Pair) -> Any:
    """Each window of ``x`` times ``weight``, and ``bias`` added."""
    windows = Windows(**geometry)
    dtype = _floating(*(x, weight) if bias is None else (x, weight, bias))
    rows = _rows(weight)
    y = np.empty((len(x), len(rows), *windows.grid(x.shape[2:])), dtype)
    for part, columns in _columns(x, windows, dtype):
        here = y[part].reshape(len(columns), len(rows), columns.shape[2])
        np.matmul(rows, columns, here)
        if bias is not None:  # while it is in the cache
            here += bias[:, None]
    return y


@primitive
def image_gradient(g: Any, weight: Any, *, size: tuple[int, ...], **geometry: Pair) -> Any:
    """What `convolution` passes on to its images, of that height and width."""
    windows = Windows(**geometry)
    frame = windows.reach[0] - 1 - windows.padding[0], windows.reach[1] - 1 - windows.padding[1]
    if windows.stride == (1, 1) and min(frame) >= 0:  # a convolution with the kernel turned around: 1.5 times as fast
        turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)
        return convolution(g, turned, **windows._replace(padding=frame)._asdict())
    rows, dtype = _rows(weight), _floating(g, weight)
    channels = weight.shape[2]
    y = np.zeros((len(g), channels, *windows.padded(size)), dtype)
    places = windows.of(y, writeable=True)
    for part in blocks(len(g), rows.shape[1] * g.shape[2] * g.shape[3]):
        here = g[part]
        columns = np.matmul(rows.T, here.reshape(len(here), len(rows), -1))
        columns = columns.reshape(len(here), channels, *windows.kernel, *g.shape[2:])
        for i, j in np.ndindex(*windows.kernel):
            places[part, ..., i, j] += columns[:, :, i, j]
    return y[windows.inside(size)]


@primitive
def weight_gradient(g: Any, x: Any, **geometry: Pair) -> Any:
    """What `convolution` passes on to its weight."""
    windows = Windows(**geometry)
    dtype = _floating(g, x)
    out, channels = g.shape[1], x.shape[1]
    y = np.zeros((out, channels * windows.kernel[0] * windows.kernel[1]), dtype)
    for part, columns in _columns(x, windows, dtype):
        y += np.matmul(g[part].reshape(len(columns), out, columns.shape[2]), columns.mT).sum(axis=0)
    return y.reshape(out, channels, *windows.kernel).transpose(2, 3, 1, 0)


# fmt: off
defvjp(convolution,     lambda g, y, x, weight, bias=None, **windows:
                            image_gradient(g, weight, size=x.shape[2:], **windows),
                        lambda g, y, x, weight, bias=None, **windows: weight_gradient(g, x, **windows),
                        lambda g, y, x, weight, bias, **windows: np.sum(g, axis=(0, 2, 3)))
defvjp(image_gradient,  lambda g, y, h, weight, size, **windows: convolution(g, weight, **windows),
                        lambda g, y, h, weight, size, **windows: weight_gradient(h, g, **windows))
defvjp(weight_gradient, lambda g, y, h, x, **windows: convolution(x, g, **windows),
                        lambda g, y, h, x, **windows: image_gradient(h, g, size=x.shape[2:], **windows))
# fmt: on


def _columns(x: NDArray[Any], windows: Windows, dtype: Any) -> Iterator[tuple[slice, NDArray[Any]]]:
    """A few images at a time, the windows of each as the columns of a matrix: in memory that is used again."""
    height, width = math.prod((x.shape[1], *windows.kernel)), math.prod(windows.grid(x.shape[2:]))
    memory = None
    for part, some in windows_of(x, windows, dtype, height * width):
        by_window = some.transpose(0, 1, 4, 5, 2, 3)
        if memory is None:
            memory = np.empty(by_window.shape, dtype)
        columns = memory[: len(some)]
        np.copyto(columns, by_window)
        yield part, columns.reshape(len(some), height, width)


def _rows(weight: NDArray[Any]) -> NDArray[Any]:
    """A weight as a matrix of shape (out, in * kernel)."""
    return np.ascontiguousarray(weight.transpose(3, 2, 0, 1)).reshape(weight.shape[3], -1)


def _floating(*arrays: NDArray[Any]) -> np.dtype[Any]:
    dtype = np.result_type(*arrays)
    return dtype if dtype.kind == "f" else np.dtype(np.float64)
