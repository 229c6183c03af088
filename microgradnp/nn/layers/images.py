"""Layers for images, of shape (N, channels, height, width): convolution and pooling.

What they compute, and its derivatives, stands in `nn.convolution` and `nn.pooling`; a layer holds the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from microgradnp.nn import functional
from microgradnp.nn.initializers import Initializer
from microgradnp.nn.layers.base import InputShapeError, Layer
from microgradnp.nn.layers.drawn import DrawnLayer
from microgradnp.nn.windows import Pair, half_at_most, images, pair


class Conv2d(DrawnLayer):
    """The products of a weight with all windows of images, each summed over the window and the channels, and a bias.

    Parameters
    ----------
    in_channels, out_channels
        The number of channels of the input and of the output.
    kernel_size, stride, padding, dilation
        The size of a window, the step between windows, the zeros around an image, and the step between the elements
        of a window: one number, or one for the height and one for the width. With a kernel of odd size k and
        ``padding=k // 2`` the output is as large as the input.
    bias
        Whether to add a bias to each channel.
    weight_init, bias_init, rng, dtype
        As in `Linear`.

    Attributes
    ----------
    weight : Tensor of shape (kernel height, kernel width, in_channels, out_channels)
        As in every layer it ends in (in, out); `from_torch_state` turns PyTorch's (out, in, height, width).
    bias : Tensor of shape (out_channels,), or None

    Raises
    ------
    InputShapeError
        When called with an input that is no batch of images of ``in_channels``, or smaller than a window.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> layer = nn.Conv2d(1, 8, 3, padding=1, rng=0)
    >>> layer
    Conv2d(1, 8, kernel_size=3, padding=1)
    >>> layer(np.ones((5, 1, 28, 28))).shape
    (5, 8, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        bias: bool = True,
        *,
        weight_init: Initializer | str | None = None,
        bias_init: Initializer | str | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        for what, n in (("in_channels", in_channels), ("out_channels", out_channels)):
            if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
                raise ValueError(f"Conv2d({in_channels!r}, {out_channels!r}): {what} must be a positive integer.")
        n, m = int(in_channels), int(out_channels)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = pair("Conv2d", "padding", padding, 0)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        kernel = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.draw_parameters((*kernel, n, m), (m,) if bias else None, weight_init, bias_init, rng, dtype)

    @property
    def in_channels(self) -> int:
        """The number of channels of an input."""
        return self.weight.shape[2]

    @property
    def out_channels(self) -> int:
        """The number of channels of an output."""
        return self.weight.shape[3]

    @property
    def kernel_size(self) -> Pair:
        """The height and width of a window."""
        return self.weight.shape[0], self.weight.shape[1]

    def forward(self, x: Any) -> Any:
        """Convolve images of shape (N, in_channels, height, width)."""
        x = images(x)
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            hint = " Write x[:, None] for images of one channel." if x.ndim == 3 and self.in_channels == 1 else ""
            raise InputShapeError(
                self,
                f"expects images of shape (N, {self.in_channels}, height, width); got shape {x.shape}: channels come "
                f"before height and width.{hint}",
            )
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return _fitting(self, functional.conv2d, x, self.weight, self.bias, **options)

    def extra_repr(self) -> str:
        """The channels and the size of a window, and what is not as by default."""
        options = (("stride", self.stride, 1), ("padding", self.padding, 0), ("dilation", self.dilation, 1))
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={_short(self.kernel_size)}"
            + "".join(f", {name}={_short(given)}" for name, given, usual in options if given != (usual, usual))
            + (", bias=False" if self.bias is None else "")
        )


class _Pool(Layer):
    """What both kinds of pooling are made with."""

    keeps_scale = True
    _function: Callable[..., Any]

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride, 1)
        self.padding = half_at_most(name, pair(name, "padding", padding, 0), self.kernel_size)

    def forward(self, x: Any) -> Any:
        """Pool images of shape (N, channels, height, width)."""
        options = {"stride": self.stride, "padding": self.padding}
        return _fitting(self, type(self)._function, x, self.kernel_size, **options)

    def extra_repr(self) -> str:
        """The size of a window, and what is not as by default."""
        return (
            f"kernel_size={_short(self.kernel_size)}"
            + (f", stride={_short(self.stride)}" if self.stride != self.kernel_size else "")
            + (f", padding={_short(self.padding)}" if any(self.padding) else "")
        )


class MaxPool2d(_Pool):
    """The maximum of each window of images; of equal ones the gradient goes to the first, row by row.

    Parameters
    ----------
    kernel_size, stride, padding
        The size of a window, the step between windows, by default the size, and the frame around an image, which
        never is a maximum: one number, or one for the height and one for the width.

    Raises
    ------
    InputShapeError
        When called with an input that is no batch of images, or smaller than a window.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> nn.MaxPool2d(2)(np.ones((5, 8, 28, 28))).shape
    (5, 8, 14, 14)
    """

    _function = staticmethod(functional.max_pool2d)


class AvgPool2d(_Pool):
    """The mean of each window of images; the zeros of a frame are counted.

    Parameters
    ----------
    kernel_size, stride, padding
        The size of a window, the step between windows, by default the size, and the zeros around an image: one
        number, or one for the height and one for the width.

    Raises
    ------
    InputShapeError
        When called with an input that is no batch of images, or smaller than a window.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> nn.AvgPool2d(7)(np.ones((5, 8, 28, 28))).shape
    (5, 8, 4, 4)
    """

    _function = staticmethod(functional.avg_pool2d)


def _fitting(layer: Layer, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The function's result; where images do not fit, an error that names the layer."""
    try:
        return function(*arguments, **options)
    except ValueError as error:
        raise InputShapeError(layer, str(error)) from error


def _short(both: Pair) -> int | Pair:
    """One number where both are the same."""
    return both[0] if both[0] == both[1] else both
