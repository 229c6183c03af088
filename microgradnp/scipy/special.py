"""`scipy.special` on Tensors: its functions that are no ufuncs here, every other name handed on from SciPy itself."""

import math
from typing import Any

import numpy as np
import scipy.special

from microgradnp.functions.common import detached, fixed
from microgradnp.scipy.common import operand


def __getattr__(name: str) -> Any:
    return getattr(scipy.special, name)


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """The logarithm of the sum of ``b * exp(a)`` over ``axis``, without overflow.

    Where the sum is negative the result is NaN; with ``return_sign`` it is the logarithm of its absolute value, and the
    sign (a plain array) is the second result.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.grad(logsumexp)(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    a = operand(a)
    if b is not None:
        a, b = np.broadcast_arrays(a, operand(b))
        a = np.where(b == 0, -math.inf, a)
    most = np.max(detached(a), axis=axis, keepdims=True, initial=-math.inf)
    most = np.where(np.isfinite(most), most, 0)
    terms = np.exp(a - most)
    total = np.sum(terms if b is None else np.where(b == 0, 1, b) * terms, axis=axis, keepdims=keepdims)
    sign = np.sign(total)
    if b is not None:
        total = np.where(sign < 0, -total if return_sign else math.nan, total)
    with np.errstate(divide="ignore"):  # a sum of zero has the logarithm -inf
        y = np.log(total) + (most if keepdims else np.squeeze(most, axis))
    return (y, sign) if return_sign else y


def softmax(x: Any, axis: Any = None) -> Any:
    """``exp(x)`` over its sum along ``axis``: by default over all elements.

    Examples
    --------
    >>> softmax([0.0, 0.0, 0.0, 0.0])
    array([0.25, 0.25, 0.25, 0.25])
    """
    x = operand(x)
    y = np.exp(x - np.max(detached(x), axis=axis, keepdims=True))
    return y / np.sum(y, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: Any = None) -> Any:
    """The logarithm of `softmax`, without cancellation.

    Examples
    --------
    >>> log_softmax([0.0, 1000.0])
    array([-1000.,     0.])
    """
    x = operand(x)
    x = x - np.max(detached(x), axis=axis, keepdims=True)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma at ``x``; the orders ``n`` are not differentiated by.

    Examples
    --------
    >>> import microgradnp as mg
    >>> float(mg.grad(polygamma, 1)(0, 1.0))
    1.6449340668482266
    """
    n, x = np.asarray(fixed(n, "the order n of polygamma")), operand(x)
    factor = (-1.0) ** (n + 1) * scipy.special.gamma(n + 1.0)
    return np.where(n == 0, scipy.special.psi(x), factor * scipy.special.zeta(np.where(n == 0, 2.0, n + 1.0), x))


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension ``d``; NaN where ``a`` is not above (d - 1) / 2.

    Examples
    --------
    >>> float(multigammaln(3.5, 1)) == float(scipy.special.gammaln(3.5))
    True
    """
    a = operand(a)
    a = np.where(a > 0.5 * (d - 1), a, math.nan)
    return d * (d - 1) / 4 * math.log(math.pi) + sum(scipy.special.gammaln(a - 0.5 * j) for j in range(d))
