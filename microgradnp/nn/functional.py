"""Activations and their relatives, each a row of the table of rules: NumPy has no function of that name.

All are right at the far ends, in float32 too: no warning, no NaN, and ``-inf`` (a masked entry) is an ordinary value.
They take arrays, numbers, nested lists and Tensors alike; integers become float64, where the result is not one of them.
"""

import math
from typing import Any

import numpy as np

from microgradnp.arrays import plain_array
from microgradnp.engine.rules import composed, defvjp
from microgradnp.engine.table import spread
from microgradnp.engine.tensor import Axis, Tensor
from microgradnp.functions.common import axes_of
from microgradnp.hints import names_in, public
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
def normal_cdf(x: Any) -> Any:
    """The distribution function of the standard normal distribution, elementwise.

    By the rational approximations of S. L. Moshier's Cephes library (ndtr.c, 1989), to the precision of float64: of
    erf near 0, and further out of erfc, times the exponential that it falls off with. NumPy has neither.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.normal_cdf(np.array([-1000.0, 0.0, 1.0])).round(4)
    array([0.    , 0.5   , 0.8413])
    """
    x = floating(x)
    if x.dtype == np.float16:  # too narrow for the polynomials on the way
        return normal_cdf(x.astype(np.float32)).astype(np.float16)
    z = np.clip(np.abs(x) * math.sqrt(0.5), 0, 110)  # erfc(110) is 0 in all precisions
    near = np.minimum(z, 1)
    half_erf = 0.5 * near * _polynomial(_ERF, near * near) / _polynomial(_ERF_BELOW, near * near)
    tail = 0.5 * np.exp(-z * z) * _polynomial(_ERFC, z) / _polynomial(_ERFC_BELOW, z)
    tail = np.where(z < 1, 0.5 - half_erf, tail)
    return np.where(x < 0, tail, np.where(z < 1, 0.5 + half_erf, 1 - tail))


# fmt: off
_ERF        = (9.60497373987051638749, 90.0260197203842689217, 2232.00534594684319226, 7003.32514112805075473,
               55592.3013010394962768)
_ERF_BELOW  = (1.0, 33.5617141647503099647, 521.357949780152679795, 4594.32382970980127987, 22629.0000613890934246,
               49267.3942608635921086)
_ERFC       = (2.46196981473530512524e-10, 0.564189564831068821977, 7.46321056442269912687, 48.6371970985681366614,
               196.520832956077098242, 526.445194995477358631, 934.528527171957607540, 1027.55188689515710272,
               557.535335369399327526)
_ERFC_BELOW = (1.0, 13.2281951154744992508, 86.7072140885989742329, 354.937778887819891062, 975.708501743205489753,
               1823.90916687909736289, 2246.33760818710981792, 1656.66309194161350182, 557.535340817727675546)
# fmt: on


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """Its value at ``x``, by Horner's rule; the highest power comes first."""
    y = coefficients[0]
    for c in coefficients[1:]:
        y = y * x + c
    return y


def leaky_relu(x: Any, *, slope: float = 0.01) -> Any:
    """``x`` where it is positive, else ``slope * x``, elementwise; its gradient at 0 is ``slope``.

    A. Maas, A. Hannun and A. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.leaky_relu(np.array([-2.0, 0.0, 3.0]))
    array([-0.02,  0.  ,  3.  ])
    """
    x = floating(x)
    return np.where(x > 0, x, slope * x)


def elu(x: Any, *, alpha: float = 1.0) -> Any:
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``, elementwise; its gradient at 0 is ``alpha``.

    D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep network learning by exponential linear
    units", ICLR 2016.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.elu(np.array([-1000.0, 0.0, 3.0]))
    array([-1.,  0.,  3.])
    """
    x = floating(x)
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


def selu(x: Any) -> Any:
    """`elu`, scaled so that mean 0 and variance 1 stay from layer to layer, elementwise.

    G. Klambauer et al., "Self-normalizing neural networks", NIPS 2017: for weights with variance 1 / in (LeCun's).

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.selu(np.array([-1000.0, 0.0, 3.0])).round(4)
    array([-1.7581,  0.    ,  3.1521])
    """
    return 1.0507009873554805 * elu(x, alpha=1.6732632423543772)


@composed
def silu(x: Any) -> Any:
    """``x * sigmoid(x)``, elementwise, also known as Swish.

    D. Hendrycks and K. Gimpel, "Gaussian error linear units", 2016.

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.silu(np.array([-1000.0, 0.0, 1000.0]))
    array([  -0.,    0., 1000.])
    """
    x = floating(x)
    return np.maximum(x, -_FAR) * sigmoid(x)


@composed
def gelu(x: Any, *, approximate: str = "none") -> Any:
    """``x`` times the probability that a standard normal number is below it, elementwise.

    D. Hendrycks and K. Gimpel, "Gaussian error linear units", 2016. ``approximate="tanh"`` is their formula
    ``0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``, which differs by up to 5e-4 and is faster.

    Raises
    ------
    ValueError
        If ``approximate`` is neither "none" nor "tanh".

    Examples
    --------
    >>> from microgradnp.nn import functional
    >>> functional.gelu(np.array([-1000.0, -1.0, 0.0, 1000.0])).round(4)
    array([-0.000e+00, -1.587e-01,  0.000e+00,  1.000e+03])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu(approximate={approximate!r}): it is "none", the exact function, or "tanh".')
    x = floating(x)
    return np.maximum(x, -_FAR) * (normal_cdf(x) if approximate == "none" else rise(_as_logistic(x)))


_FAR = 12_000
"""Below its negative a sigmoid or a distribution function is 0 in every precision, and 0 times -inf shall be 0."""


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
defvjp(rise,        lambda g, y, x: g * (y * rise(-x)))
defvjp(sigmoid,     lambda g, y, x: g * (y * (1 - y)))
defvjp(relu,        lambda g, y, x: g * (x > 0))
defvjp(softplus,    lambda g, y, x: g * rise(x))
defvjp(normal_cdf,  lambda g, y, x: g * _bell(x))
defvjp(silu,        lambda g, y, x: g * (rise(x) + np.clip(x, -_FAR, _FAR) * (rise(x) * rise(-x))))
defvjp(gelu,        lambda g, y, x, approximate="none": g * _gelu_slope(x, approximate))
defvjp(softmax,     lambda g, y, x, axis=-1: y * (g - np.sum(g * y, axis=axis, keepdims=True)))
defvjp(log_softmax, lambda g, y, x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True))
defvjp(logsumexp,   lambda g, y, x, axis=None, keepdims=False:
                        spread(g, x, axes_of(axis, x.ndim), keepdims) * softmax(x, axis=axis))


def _bell(x: Any) -> Any:
    """The density of the standard normal distribution; beyond 150 it is 0 in every precision."""
    x = np.clip(x, -150, 150)
    return np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def _as_logistic(x: Any) -> Any:
    """The number whose sigmoid is near `normal_cdf`, by a cubic polynomial; beyond 30 that is 0 or 1 in any case."""
    x = np.clip(x, -30, 30)
    return math.sqrt(8 / math.pi) * (x + 0.044715 * x * x * x)


def _gelu_slope(x: Any, approximate: str) -> Any:
    if approximate == "none":
        return normal_cdf(x) + np.clip(x, -150, 150) * _bell(x)
    u, z = np.clip(x, -30, 30), _as_logistic(x)
    return rise(z) + math.sqrt(8 / math.pi) * (u + 0.134145 * u * u * u) * (rise(z) * rise(-z))

public(globals(), [*names_in(globals()), "conv2d", "avg_pool2d", "max_pool2d"])
