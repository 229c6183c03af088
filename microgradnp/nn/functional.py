"""Activations and their relatives, each a row of the table of rules: NumPy has no function of that name.

All are right at the far ends, in float32 too: no warning, no NaN, and ``-inf`` (a masked entry) is an ordinary value.
They take arrays, numbers, nested lists and Tensors alike; integers become float64, where the result is not one of them.
"""

from typing import Any

import numpy as np

from microgradnp.arrays import plain_array
from microgradnp.engine.rules import composed, defvjp
from microgradnp.engine.table import spread
from microgradnp.engine.tensor import Axis, Tensor
from microgradnp.functions.common import axes_of
from microgradnp.nn.convolution import conv2d as conv2d
from microgradnp.nn.pooling import avg_pool2d as avg_pool2d
from microgradnp.nn.pooling import max_pool2d as max_pool2d


@composed
def sigmoid(x: Any) -> Any:
    """The logistic function ``1 / (1 + exp(-x))``, elementwise.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    x = floating(x)
    with np.errstate(over="ignore"):  # exp(1000) is inf, and 1 / inf is the right 0
        return 1 / (1 + np.exp(-x))


@composed
def relu(x: Any) -> Any:
    """The positive part, ``max(x, 0)``, elementwise; its gradient at 0 is 0.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    return np.maximum(x, 0)


@composed
def softplus(x: Any) -> Any:
    """The smooth positive part, ``log(1 + exp(x))``, elementwise; its derivative is `sigmoid`.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.softplus(np.array([-1000.0, 0.0, 10.0])).round(3)
    array([ 0.   ,  0.693, 10.   ])
    """
    x = floating(x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@composed
def softmax(x: Any, *, axis: Axis = -1) -> Any:
    """Exponentials of ``x`` that sum to 1 along ``axis`` (an int, several, or None for all).

    Where several entries are infinite, they share evenly what is to be shared, as equal finite entries would.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.softmax(np.array([0.0, 1000.0, -np.inf]))
    array([0., 1., 0.])
    """
    e = np.exp(_below_top(floating(x), axis))
    return e / np.sum(e, axis=axis, keepdims=True)


@composed
def log_softmax(x: Any, *, axis: Axis = -1) -> Any:
    """The logarithm of `softmax`, without its underflow.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    rest = _below_top(floating(x), axis)
    return rest - np.log(np.sum(np.exp(rest), axis=axis, keepdims=True))


@composed
def logsumexp(x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """``log(sum(exp(x)))`` along ``axis``, without overflow.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.logsumexp(np.array([1000.0, 1000.0])).round(4)
    np.float64(1000.6931)
    """
    x = floating(x)
    total = np.sum(np.exp(_below_top(x, axis)), axis=axis, keepdims=keepdims)
    return np.log(total) + np.max(x, axis=axis, keepdims=keepdims)


def floating(x: Any) -> Any:
    """``x`` as an array or Tensor of floating numbers: ``-x`` of an unsigned integer would start from the other end.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.floating(np.array([1, 2], np.uint8))
    array([1., 2.])
    """
    x = x if isinstance(x, Tensor) else plain_array(x)
    return x.astype(np.float64) if x.dtype.kind in "biu" else x


def _below_top(x: Any, axis: Axis) -> Any:
    """``x`` less its maximum along ``axis``: 0 wherever it is the maximum, at infinity too."""
    top = np.max(x, axis=axis, keepdims=True)
    # inf - inf is NaN where the maximum is chosen anyway; -1e308 - 1e308 is -inf, whose exponential is the right 0.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(x == top, 0, x - top)


@composed
def rise(x: Any) -> Any:
    """`sigmoid` as the slope of `softplus`: its own slope is right at the far right too, where 1 - y would be 0.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.rise(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return sigmoid(x)


# fmt: off
defvjp(rise,       lambda g, y, x: g * (y * rise(-x)))
defvjp(sigmoid,     lambda g, y, x: g * (y * (1 - y)))
defvjp(relu,        lambda g, y, x: g * (x > 0))
defvjp(softplus,    lambda g, y, x: g * rise(x))
defvjp(softmax,     lambda g, y, x, axis=-1: y * (g - np.sum(g * y, axis=axis, keepdims=True)))
defvjp(log_softmax, lambda g, y, x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True))
defvjp(logsumexp,   lambda g, y, x, axis=None, keepdims=False:
                        spread(g, x, axes_of(axis, x.ndim), keepdims) * softmax(x, axis=axis))
