"""Rows of elementwise functions that nothing else is composed of: special ones, and some with habits of their own.

Rows that belong to one family (products, running sums, places, linear algebra) stand in its file, beside their fronts.
"""

import math
import warnings
from functools import cache
from typing import Any

import numpy as np

from microgradnp.engine.rules import composed, defvjp, primitive
from microgradnp.engine.table import but_zero, less_one, log_of, won

# -- Slopes by convention ----------------------------------------------------------------------------------------------

# At a kink, the root of 0 say, the slope is 0 by convention, and so is the slope of that slope. But `norm(x)**2` is
# smooth at 0, and to differentiate the convention would make its second derivative 0 without a word. It is NaN instead:
# wherever the gradient that comes in depends on the argument too, as that of the square does.


@composed
def held(slope: Any, flat: Any) -> Any:
    """A slope, and where ``flat`` says so 0, by convention."""
    return np.where(flat, 0, slope)


@primitive
def signed(g: Any, x: Any) -> Any:
    """A gradient times the sign of ``x``: what passes an absolute value."""
    return g * np.sign(x)


@primitive
def root(x: Any, *, order: float = 2.0) -> Any:
    """The root of a sum of powers: its slope at 0 is 0."""
    return np.sqrt(x) if order == 2 else x ** (1 / order)


# fmt: off
defvjp(held,            lambda g, y, slope, flat: g * np.where(flat, math.nan, np.ones_like(g)),           None)
defvjp(signed,          lambda v, y, g, x: v * np.sign(x),
                        lambda v, y, g, x: v * np.where(x == 0, math.nan, np.zeros_like(v)))
defvjp(root,            lambda g, y, x, order=2.0: _passed_by_slope(g, y / (order * but_zero(x)), x == 0))
defvjp(np.absolute,     lambda g, y, x: _passed_by_sign(g, x))
# fmt: on


def _passed_by_sign(g: Any, x: Any) -> Any:
    return signed(g, x) if _depends(g) else g * np.sign(x)


def _passed_by_slope(g: Any, slope: Any, flat: Any) -> Any:
    """Here the slope is 0 where it is flat."""
    return g * (held(slope, flat) if _depends(g) else slope)


def _depends(g: Any) -> bool:
    return bool(getattr(g, "requires_grad", False))


@primitive
def over(m: Any, d: Any) -> Any:
    """m / d, where the divisors are differences of values: 0 / 0 is 0, and all else over 0 NaN, with a warning.

    What depends on the values alone has 0 there; what depends on their vectors has a slope that their choice leaves
    undetermined.
    """
    if np.any((d == 0) & (m != 0)):
        warnings.warn(
            "the derivative of eigenvectors or singular vectors that belong to equal values is undetermined, or to a "
            "value of 0 where the matrix is not square, and NaN here: use a function of the values alone (eigvalsh, "
            "svdvals), or one that needs no decomposition.",
            RuntimeWarning,
            stacklevel=2,
        )
    return np.where(d != 0, m / but_zero(d), np.where(m == 0, 0, math.nan)).astype(m.dtype)


defvjp(over, lambda g, y, m, d: over(g, d), lambda g, y, m, d: -over(g * y, d))

# -- Triangles and their inverses -------------------------------------------------------------------------------------


@primitive
def leg(a: Any, b: Any) -> Any:
    """a / hypot(a, b), and 0 at the origin; its own slope does not cancel where b is small."""
    return a / but_zero(np.hypot(a, b))


# fmt: off
defvjp(np.hypot,        lambda g, y, a, b: _passed_by_slope(g, leg(a, b), y == 0),
                        lambda g, y, a, b: _passed_by_slope(g, leg(b, a), y == 0))
defvjp(leg,             lambda g, y, a, b: g * (leg(b, a) * leg(b, a) / but_zero(np.hypot(a, b))),
                        lambda g, y, a, b: -g * (y * leg(b, a) / but_zero(np.hypot(a, b))))
defvjp(np.arctan2,      lambda g, y, a, b: g * _quarter(a, b),             lambda g, y, a, b: -g * _quarter(b, a))
defvjp(np.arcsin,       lambda g, y, x: g / np.sqrt((1 - x) * (1 + x)))
defvjp(np.arccos,       lambda g, y, x: -g / np.sqrt((1 - x) * (1 + x)))
defvjp(np.arctan,       lambda g, y, x: g * _quarter(x, 1))
defvjp(np.sinh,         lambda g, y, x: g * np.cosh(x))
defvjp(np.cosh,         lambda g, y, x: g * np.sinh(x))
defvjp(np.arcsinh,      lambda g, y, x: g / np.hypot(1, x))
defvjp(np.arccosh,      lambda g, y, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)))
defvjp(np.arctanh,      lambda g, y, x: g / ((1 - x) * (1 + x)))
# fmt: on


def _quarter(a: Any, b: Any) -> Any:
    """b / (a**2 + b**2) without overflow, and 0 at the origin."""
    r = but_zero(np.hypot(a, b))
    return b / r / r


# -- Arithmetic and choosing -------------------------------------------------------------------------------------------

# fmt: off
defvjp(np.cbrt,         lambda g, y, x: g / (3 * y * y))
defvjp(np.fabs,         lambda g, y, x: _passed_by_sign(g, x))
defvjp(np.deg2rad,      lambda g, y, x: g * (math.pi / 180))
defvjp(np.rad2deg,      lambda g, y, x: g * (180 / math.pi))
defvjp(np.radians,      lambda g, y, x: g * (math.pi / 180))
defvjp(np.degrees,      lambda g, y, x: g * (180 / math.pi))
defvjp(np.exp2,         lambda g, y, x: g * (y * math.log(2)))
defvjp(np.log2,         lambda g, y, x: g / (x * math.log(2)))
defvjp(np.log10,        lambda g, y, x: g * (1 / math.log(10) / x))
defvjp(np.fmod,         lambda g, y, a, b: g,                              lambda g, y, a, b: -g * np.rint((a - y) / b))
defvjp(np.float_power,  lambda g, y, a, b: g * (b * np.float_power(a, less_one(a, b, y))),
                        lambda g, y, a, b: g * (y * log_of(a, y)))
defvjp(np.ldexp,        lambda g, y, x, n: np.ldexp(g, n),                 None)
defvjp(np.fmax,         lambda g, y, a, b: won(g, (a > b) | (b != b), a == b),
                        lambda g, y, a, b: won(g, (b > a) | (a != a), a == b))
defvjp(np.fmin,         lambda g, y, a, b: won(g, (a < b) | (b != b), a == b),
                        lambda g, y, a, b: won(g, (b < a) | (a != a), a == b))
defvjp(np.copysign,     lambda g, y, a, b: g * (np.sign(a) * np.sign(y)),  lambda g, y, a, b: np.zeros_like(g))
defvjp(np.heaviside,    lambda g, y, x, h: np.zeros_like(g),               lambda g, y, x, h: np.where(x == 0, g, 0))
# fmt: on

# -- Sums of exponentials ----------------------------------------------------------------------------------------------


_LOG_2 = math.log(2)


@primitive
def share(a: Any, b: Any) -> Any:
    """exp(a) / (exp(a) + exp(b)), which has no digits to lose at either end; -inf has no share even in two of them."""
    with np.errstate(invalid="ignore"):
        ahead = np.where(a == b, 0, a - b)
    e = np.exp(-np.absolute(ahead))
    return np.where((a == b) & (a == -math.inf), 0, np.where(ahead < 0, e, 1) / (1 + e))


def _share_slope(y: Any, a: Any, b: Any) -> Any:
    """Of a tie of infinities it is 0."""
    return np.where((a == b) & np.isinf(a), 0, y * share(b, a))


# fmt: off
defvjp(share,           lambda g, y, a, b: g * _share_slope(y, a, b),
                        lambda g, y, a, b: -g * _share_slope(y, a, b))
defvjp(np.logaddexp,    lambda g, y, a, b: g * share(a, b),                lambda g, y, a, b: g * share(b, a))
defvjp(np.logaddexp2,   lambda g, y, a, b: g * share(a * _LOG_2, b * _LOG_2),
                        lambda g, y, a, b: g * share(b * _LOG_2, a * _LOG_2))
# fmt: on

# -- Special functions ------------------------------------------------------------------------------------------------

# fmt: off
defvjp(np.i0,           lambda g, y, x: g * _bessel_1(x))
defvjp(np.sinc,         lambda g, y, x: g * _sinc_slope(y, x))
# fmt: on

_COSINES = [math.cos(math.pi * (k + 0.5) / 256) for k in range(128)]


def _bessel_1(x: Any) -> Any:
    """The derivative of i0: the integral of cos(t) sinh(x cos(t)) dt over a quarter turn, times 2 / pi (DLMF 10.32.2).

    The midpoint rule converges faster than any power of the step, since the integrand is periodic and smooth.
    """
    cosines = np.array(_COSINES, x.dtype)
    return np.sum(cosines * np.sinh(x.reshape((*x.shape, 1)) * cosines), axis=-1) / 128


@cache
def _gauss() -> tuple[Any, Any]:
    """Gauss's nodes and weights for an integral over [0, 1] (the module is imported only here: it takes 3 ms)."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    return 0.5 + 0.5 * nodes, 0.5 * weights


def _sinc_slope(y: Any, x: Any) -> Any:
    """The derivative of sinc: (cos(pi x) - sinc(x)) / x, and near 0, where that cancels, an integral.

    sinc(x) is the integral of cos(pi x t) dt over [0, 1], so its slope is that of -pi t sin(pi x t), by Gauss's rule.
    """
    near = np.absolute(x) < 0.5
    nodes, weights = _gauss()
    t, w = (v.astype(x.dtype) for v in (math.pi * nodes, math.pi * nodes * weights))
    inside = np.where(near, x, 0)
    outside = np.where(near, 1, x)
    slope = -np.sum(w * np.sin(inside.reshape((*x.shape, 1)) * t), axis=-1)
    return np.where(near, slope, (np.cos(math.pi * outside) - y) / outside)
