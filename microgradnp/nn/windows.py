"""Windows that slide over images: what convolution and pooling share.

Images are arrays of shape (N, channels, height, width). All windows of all images are one strided view of shape (N,
channels, rows, columns, *kernel), where rows and columns count the windows; nothing is copied to make it. What works
on it does so a few images at a time, so that its copies stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from microgradnp.arrays import plain_array
from microgradnp.engine.tensor import Tensor

Pair: TypeAlias = tuple[int, int]

CACHED = 2**17
"""Elements that are worked on at once: 1 MB in float64. Half or double of it costs up to a third more."""


class Windows(NamedTuple):
    """How windows lie in an image: their size, and the steps between them and between their elements."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @property
    def reach(self) -> Pair:
        """The height and width that a window spans."""
        (h, w), (d, e) = self.kernel, self.dilation
        return d * (h - 1) + 1, e * (w - 1) + 1

    def grid(self, size: tuple[int, ...]) -> Pair:
        """How many rows and columns of windows an image of that height and width has."""
        (h, w), (m, n) = self.padded(size), self.reach
        return (h - m) // self.stride[0] + 1, (w - n) // self.stride[1] + 1

    def inside(self, size: tuple[int, ...]) -> tuple[Any, ...]:
        """The index of the images within padded ones."""
        (h, w), (p, q) = size, self.padding
        return ..., slice(p, p + h), slice(q, q + w)

    def padded(self, size: tuple[int, ...]) -> Pair:
        """The height and width of padded images."""
        return size[0] + 2 * self.padding[0], size[1] + 2 * self.padding[1]

    def of(self, x: NDArray[Any], *, writeable: bool = False) -> NDArray[Any]:
        """The view of all windows of images that are padded already."""
        (s, t), (d, e) = self.stride, self.dilation
        return sliding_window_view(x, self.reach, (2, 3), writeable=writeable)[:, :, ::s, ::t, ::d, ::e]

    def elements(self, windows: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """From the view of all windows their first elements, their second ones, and so on, row by row."""
        for i, j in np.ndindex(*self.kernel):
            yield windows[..., i, j]


def blocks(images: int, elements: int) -> list[slice]:
    """Parts of so many images, each of so many elements, as many at a time as are worked on at once."""
    many = max(1, CACHED // max(elements, 1))
    return [slice(start, min(start + many, images)) for start in range(0, images, many)]


def windows_of(
    x: NDArray[Any], windows: Windows, dtype: Any, elements: int, padding: float = 0
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Parts of the images and the windows of each part, padded with a number, in memory that is used again."""
    parts = blocks(len(x), elements)
    if not parts:
        return
    if windows.padding == (0, 0) and x.dtype == dtype:
        whole = windows.of(x)
        yield from ((part, whole[part]) for part in parts)
        return
    size = x.shape[2:]
    padded = np.full((parts[0].stop, x.shape[1], *windows.padded(size)), padding, dtype)
    inside, view = padded[windows.inside(size)], windows.of(padded)
    for part in parts:
        n = part.stop - part.start
        inside[:n] = x[part]
        yield part, view[:n]


def images(x: Any) -> Any:
    """Images as a Tensor or an array."""
    return x if isinstance(x, Tensor) else plain_array(x)


def windows_over(who: str, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = 1) -> Windows:
    """The windows that a function's arguments speak of; images that they do not fit, and bad numbers, raise."""
    windows = Windows(
        pair(who, "kernel_size", kernel, 1),
        pair(who, "stride", stride, 1),
        pair(who, "padding", padding, 0),
        pair(who, "dilation", dilation, 1),
    )
    if x.ndim != 4:
        raise ValueError(
            f"{who} takes images of shape (N, channels, height, width); got shape {x.shape}."
            + (" Write x[None] for a single image, x[:, None] for images of one channel." if x.ndim == 3 else "")
        )
    if any(r > n for r, n in zip(windows.reach, windows.padded(x.shape[2:]), strict=True)):
        h, w = windows.padded(x.shape[2:])
        raise ValueError(
            f"{who}: a window of {windows.reach[0]} x {windows.reach[1]} does not fit into images of {h} x {w}"
            + (", padding included." if any(windows.padding) else ": make it smaller, or pad the images.")
        )
    return windows


def pair(who: str, what: str, given: Any, least: int) -> Pair:
    """One whole number for both directions, or two, for height and width."""
    both = given if isinstance(given, tuple | list) else (given, given)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in both)
    if len(both) != 2 or not whole or min(both) < least:
        raise ValueError(
            f"{who}: {what} is a whole number from {least} on, or two, for height and width; got {given!r}."
        )
    return int(both[0]), int(both[1])


def half_at_most(who: str, padding: Pair, kernel: Pair) -> Pair:
    """The padding of a pooling, of which no window may see nothing else."""
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(
            f"{who}: padding may be half of kernel_size at most, so that no window lies in the frame alone; got "
            f"padding={padding} and kernel_size={kernel}."
        )
    return padding
