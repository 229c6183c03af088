"""Layers that bring what passes to mean 0 and variance 1: over the rows of a batch, or within each row.

Both end in a weight and a bias for each feature, so that the network can undo it where that is better. Features lie on
the last axis, or for `BatchNorm1d` on one that is named, as channels do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from microgradnp.engine.state import no_grad
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.layers.activations import finite
from microgradnp.nn.layers.base import InputShapeError, Layer


class BatchNorm1d(Layer):
    """Brings each feature to mean 0 and variance 1 over the batch; in prediction mode by what training has seen.

    S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", ICML 2015: ``(x - mean) / sqrt(variance + eps) * weight + bias``.

    Parameters
    ----------
    num_features
        The length of the input's ``axis``; mean and variance are over all the others.
    eps
        Added to the variance.
    momentum
        The share that each batch has in the running mean and variance, which prediction mode uses; as PyTorch's, in
        which the running variance is the unbiased one.
    affine
        Whether to multiply by a weight and to add a bias, which are trained.
    axis
        Where the features lie: the last axis, or 1 for the channels of images of shape (N, channels, height, width).
    dtype
        float64 or float32.

    Attributes
    ----------
    weight, bias : Tensor of shape (num_features,), or None
    running_mean, running_var : Tensor of shape (num_features,), saved with the model and not trained

    Raises
    ------
    InputShapeError
        When called with an input whose ``axis`` is not ``num_features`` long, or in training mode with one row alone,
        which has no variance.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> layer = nn.BatchNorm1d(2)
    >>> layer(np.array([[1.0, 10.0], [3.0, 30.0]])).data.round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> layer.running_mean.data
    array([0.2, 2. ])
    """

    keeps_scale = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        axis: int = -1,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.num_features = positive("BatchNorm1d", "num_features", num_features)
        self.eps, self.momentum = _eps("BatchNorm1d", eps), finite("BatchNorm1d", "momentum", momentum)
        if not 0 <= momentum <= 1:
            raise ValueError(f"BatchNorm1d: momentum must be from 0 to 1; got {momentum!r}.")
        if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
            raise ValueError(f"BatchNorm1d: axis must be an integer, and not 0, that of the batch; got {axis!r}.")
        self.axis, shape = axis, (self.num_features,)
        self.weight = Tensor(np.ones(shape), requires_grad=True, dtype=dtype, name="weight") if affine else None
        self.bias = Tensor(np.zeros(shape), requires_grad=True, dtype=dtype, name="bias") if affine else None
        self.running_mean = Tensor(np.zeros(shape), dtype=dtype, name="running_mean")
        self.running_var = Tensor(np.ones(shape), dtype=dtype, name="running_var")

    def forward(self, x: Any) -> Any:
        """Normalise; the input has shape (N, ..., num_features), or the features on another axis."""
        shape = np.shape(x)
        axis = self.axis if self.axis > 0 else self.axis + len(shape)
        if not 0 < axis < len(shape) or shape[axis] != self.num_features:
            raise InputShapeError(self, self._misfit(shape))
        along = (self.num_features, *(1,) * (len(shape) - 1 - axis))
        if not self.training:
            return self._scaled(x - self.running_mean.reshape(along), self.running_var.reshape(along), along)
        n = math.prod(shape) // self.num_features
        if n < 2:
            raise InputShapeError(
                self,
                f"in training mode takes two rows or more, of which there is a variance; got shape {shape}. Use larger "
                "batches, or model.eval() to predict.",
            )
        axes = tuple(i for i in range(len(shape)) if i != axis)
        mean = np.mean(x, axis=axes, keepdims=True)
        centred = x - mean
        variance = np.mean(centred * centred, axis=axes, keepdims=True)
        with no_grad():
            _follow(self.running_mean, mean, self.momentum)
            _follow(self.running_var, variance * (n / (n - 1)), self.momentum)
        return self._scaled(centred, variance, along)

    def _scaled(self, centred: Any, variance: Any, along: tuple[int, ...]) -> Any:
        y = centred / np.sqrt(variance + self.eps)
        if self.weight is None or self.bias is None:
            return y
        return y * self.weight.reshape(along) + self.bias.reshape(along)

    def _misfit(self, shape: tuple[int, ...]) -> str:
        n = self.num_features
        wanted = f"shape (N, {n}) or (N, ..., {n})" if self.axis == -1 else f"{n} features on axis {self.axis}"
        channels = self.axis == -1 and len(shape) == 4 and shape[1] == n
        return f"expects inputs of {wanted}; got {shape}." + (" For the channels of images: axis=1." * channels)

    @property
    def affine(self) -> bool:
        """Whether there are a weight and a bias."""
        return self.weight is not None

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the running mean, and of all else."""
        return self.running_mean.dtype

    def default_input_shape(self) -> tuple[int, ...] | None:
        """``(num_features,)``, unless there are other axes."""
        return (self.num_features,) if self.axis == -1 else None

    def extra_repr(self) -> str:
        """``num_features``, and what is not as by default."""
        axis = "" if self.axis == -1 else f", axis={self.axis}"
        return f"{self.num_features}{'' if self.affine else ', affine=False'}{axis}"


class LayerNorm(Layer):
    """Brings each row to mean 0 and variance 1 over its features, in training and prediction alike.

    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", 2016: ``(x - mean) / sqrt(variance + eps) * weight +
    bias``.

    Parameters
    ----------
    normalized_shape
        The length of the input's last axis, or the lengths of several last axes.
    eps
        Added to the variance.
    affine
        Whether to multiply by a weight and to add a bias, which are trained.
    dtype
        float64 or float32.

    Attributes
    ----------
    weight, bias : Tensor of shape ``normalized_shape``, or None

    Raises
    ------
    InputShapeError
        When called with an input whose last axes are not ``normalized_shape`` long.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> nn.LayerNorm(2)(np.array([[1.0, 3.0], [10.0, 30.0]])).data.round(3)
    array([[-1.,  1.],
           [-1.,  1.]])
    """

    keeps_scale = True

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: DTypeLike = np.float64,
    ) -> None:
        lengths = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        self.normalized_shape = tuple(positive("LayerNorm", "normalized_shape", n) for n in lengths)
        if not lengths:
            raise ValueError("LayerNorm: normalized_shape is (), which leaves nothing to normalise over.")
        self.eps, shape = _eps("LayerNorm", eps), self.normalized_shape
        self.weight = Tensor(np.ones(shape), requires_grad=True, dtype=dtype, name="weight") if affine else None
        self.bias = Tensor(np.zeros(shape), requires_grad=True, dtype=dtype, name="bias") if affine else None

    def forward(self, x: Any) -> Any:
        """Normalise; the input has shape (..., *normalized_shape)."""
        shape, last = np.shape(x), self.normalized_shape
        if shape[-len(last) :] != last:
            raise InputShapeError(self, f"expects inputs of shape (..., {', '.join(map(str, last))}); got {shape}.")
        axes = tuple(range(-len(last), 0))
        centred = x - np.mean(x, axis=axes, keepdims=True)
        y = centred / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + self.eps)
        return y if self.weight is None else y * self.weight + self.bias

    @property
    def affine(self) -> bool:
        """Whether there are a weight and a bias."""
        return self.weight is not None

    def default_input_shape(self) -> tuple[int, ...]:
        """``normalized_shape``."""
        return self.normalized_shape

    def extra_repr(self) -> str:
        """``normalized_shape``, and what is not as by default."""
        shape = self.normalized_shape
        return f"{shape[0] if len(shape) == 1 else shape}" + ("" if self.affine else ", affine=False")


def _follow(running: Tensor, seen: Any, share: float) -> None:
    """Move a running value towards what a batch has, where it stands, so that a recorded step does it too."""
    running.data += share * (np.reshape(seen, running.shape) - running)


def _eps(layer: str, eps: Any) -> float:
    if finite(layer, "eps", eps) < 0:
        raise ValueError(f"{layer}: eps must not be negative; got {eps!r}.")
    return float(eps)


def positive(layer: str, name: str, value: Any) -> int:
    """A size that a layer is made with, as an int."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{layer}: {name} must be a positive integer; got {value!r}.")
    return int(value)
