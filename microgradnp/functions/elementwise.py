"""Element by element: the functions that need more than their row, or that are composed of others."""

import math

import numpy as np
from numpy._core import umath

from microgradnp.engine.dispatch import implements
from microgradnp.engine.rules import RULES
from microgradnp.engine.tensor import apply, constant
from microgradnp.functions.common import detached, lift, weakly

# mypy: allow-untyped-defs, allow-untyped-calls


@implements(np.where)
def where(condition, x=None, y=None, /):
    """Choose by a condition, which is a constant: what is not chosen gets no gradient."""
    if x is None or y is None:
        raise TypeError(
            "np.where(condition) alone gives indices; on a Tensor use np.nonzero(condition), a plain result."
        )
    condition = detached(condition)
    if getattr(condition, "dtype", None) != np.bool:  # any other number counts as true unless it is 0
        condition = constant(np.not_equal, (lift(condition), 0), {})
    return apply(RULES[np.where], (condition, x, y))


@implements(np.clip, umath.clip)  # type: ignore[attr-defined]  # the ufunc behind it
def clip(a, a_min=None, a_max=None, *, min=None, max=None):
    """Limit to an interval; at a bound the gradient passes."""
    a = lift(a)
    low = a_min if min is None else min
    high = a_max if max is None else max
    whole = a.dtype.kind in "iu"
    if low is None:
        low = int(np.iinfo(a.dtype).min) if whole else -math.inf
    if high is None:
        high = int(np.iinfo(a.dtype).max) if whole else math.inf
    return apply(RULES[np.clip], (a, low, high))


@implements(np.divmod)
def divmod_(x1, x2, /):
    """Quotient, a plain array, and remainder."""
    return constant(np.floor_divide, (x1, x2), {}), np.remainder(x1, x2)


@implements(np.modf)
def modf(x, /):
    """Fractional part, and whole part as a plain array."""
    _, whole = constant(np.modf, (x,), {})
    return np.copysign(np.where(np.isinf(x), 0, x - np.where(np.isinf(x), 0, whole)), detached(x)), whole


@implements(np.frexp)
def frexp(x, /):
    """Mantissa, and exponent as a plain array."""
    _, exponent = constant(np.frexp, (x,), {})
    return np.ldexp(x, -exponent), exponent


@implements(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """NaN and infinities replaced; what was replaced gets no gradient."""
    x = lift(x)
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    posinf, neginf = limits.max if posinf is None else posinf, limits.min if neginf is None else neginf
    y = x
    for test, value in ((np.isnan, nan), (np.isposinf, posinf), (np.isneginf, neginf)):
        y = np.where(test(x), weakly(value, x.dtype), y)
    return y


@implements(np.copy)
def copy(a, order="K", subok=False):
    """A new node of the same value."""
    return lift(a).copy()


if hasattr(np, "astype"):

    @implements(np.astype)
    def astype(x, dtype, /, *, copy=True, device=None):
        """Cast; see `Tensor.astype`."""
        return lift(x).astype(dtype)
