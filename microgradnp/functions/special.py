"""Rows that nothing else is composed with: special functions, and relatives of common ones with habits of their own."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from microgradnp.engine.rules import defvjp, primitive
from microgradnp.engine.table import less_one, log_of, spread, won

# -- Arithmetic and choosing -------------------------------------------------------------------------------------------

# fmt: off
defvjp(np.cbrt,         lambda g, y, x: g / (3 * y * y))
defvjp(np.fabs,         lambda g, y, x: g * np.sign(x))
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

# fmt: off
defvjp(np.logaddexp,    lambda g, y, a, b: _evenly(g * np.exp(_below(a, y)), a, b),
                        lambda g, y, a, b: _evenly(g * np.exp(_below(b, y)), a, b))
defvjp(np.logaddexp2,   lambda g, y, a, b: _evenly(g * np.exp2(_below(a, y)), a, b),
                        lambda g, y, a, b: _evenly(g * np.exp2(_below(b, y)), a, b))
# fmt: on


def _below(a: Any, y: Any) -> Any:
    """a - y, where a cannot be above y; 0 for two infinities, but -inf where all is -inf, so that it has no share."""
    most = float(np.finfo(y.dtype).max)
    return np.minimum(a - np.clip(y, -most, most), 0)


def _evenly(gx: Any, a: Any, b: Any) -> Any:
    """Half of a gradient where both arguments are inf: a tie is split evenly, there too."""
    return np.where((a == b) & (a == math.inf), 0.5 * gx, gx)


# -- Special functions ------------------------------------------------------------------------------------------------

# fmt: off
defvjp(np.i0,           lambda g, y, x: g * _bessel_1(x))
defvjp(np.sinc,         lambda g, y, x: g * _sinc_slope(y, x))
defvjp(np.unwrap,       lambda g, y, x, **options: g)
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


# -- Along an axis -----------------------------------------------------------------------------------------------------

_multiply: Any = np.multiply.reduce

# fmt: off
defvjp(np.prod,         lambda g, y, x, axis, keepdims: spread(g, x, axis, keepdims) * product_of_others(x, axis),
       forward=lambda x, axis, keepdims: _multiply(x, axis, None, None, keepdims))
defvjp(np.cumprod,      lambda g, y, x, axis: _running_product_vjp(g, y, x, axis))
defvjp(np.convolve,     lambda g, y, a, b: np.convolve(g, b[::-1], "valid"),
                        lambda g, y, a, b: np.convolve(g, a[::-1], "valid"))
# fmt: on


def _running_product_vjp(g: Any, y: Any, x: Any, axis: int) -> Any:
    """For each j: prod(x[:j]) * s[j], where s[j] = g[j] + x[j + 1] * s[j + 1]; no division, so zeros are exact."""
    g, y, x = (np.swapaxes(a, axis, -1) for a in (g, y, x))
    one = np.ones_like(x[..., :1])
    s, m = g[..., ::-1], np.concatenate((one, x[..., :0:-1]), axis=-1)
    step = 1
    while step < x.shape[-1]:  # the recurrence by doubling: after each pass s reaches twice as far
        s = np.concatenate((s[..., :step], s[..., step:] + m[..., step:] * s[..., :-step]), axis=-1)
        m = np.concatenate((m[..., :step], m[..., step:] * m[..., :-step]), axis=-1)
        step *= 2
    return np.swapaxes(np.concatenate((one, y[..., :-1]), axis=-1) * s[..., ::-1], axis, -1)


def product_of_others(x: Any, axis: tuple[int, ...] | None) -> Any:
    """For each element the product of all the others along ``axis``, exact where some are 0, for any order.

    A prefix product times a suffix product, each by doubling: log2(n) multiplications and no division.
    """
    axes = tuple(range(x.ndim)) if axis is None else axis
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = kept + axes
    rows = np.transpose(x, order)
    flat = rows.reshape((*rows.shape[: len(kept)], math.prod(rows.shape[len(kept) :])))
    before = _exclusive_product(flat)
    after = _exclusive_product(flat[..., ::-1])[..., ::-1]
    return np.transpose((before * after).reshape(rows.shape), np.argsort(order))


def _exclusive_product(x: Any) -> Any:
    """Along the last axis: the product of all elements before each one."""
    n = x.shape[-1]
    p = np.concatenate((np.ones_like(x[..., :1]), x[..., :-1]), axis=-1)
    step = 1
    while step < n:
        p = np.concatenate((p[..., :step], p[..., step:] * p[..., :-step]), axis=-1)
        step *= 2
    return p


# -- Sums of products --------------------------------------------------------------------------------------------------

# Here no operand repeats a label, and none has a label of its own: see the front in functions.py.
# fmt: off
defvjp(np.einsum,       each=lambda i, g, y, *xs, subscripts, optimize: _einsum_vjp(i, g, xs, subscripts, optimize),
       forward=lambda *xs, subscripts, optimize: np.einsum(subscripts, *xs, optimize=optimize))
# fmt: on


def _einsum_vjp(i: int, g: Any, xs: Sequence[Any], subscripts: str, optimize: Any) -> Any:
    """The gradient of a sum of products is a sum of products: the output's place and operand i's are exchanged."""
    operands, result = subscripts.split("->")
    labels = operands.split(",")
    others = (result, *labels[:i], *labels[i + 1 :])
    gx = np.einsum(f"{','.join(others)}->{labels[i]}", g, *xs[:i], *xs[i + 1 :], optimize=optimize)
    return np.broadcast_to(gx, np.broadcast_shapes(gx.shape, xs[i].shape))  # where an operand of length 1 stretched


# -- Computed places ---------------------------------------------------------------------------------------------------

# Indices that are known beforehand are an option of getitem; those that are themselves computed (an argsort) or fed to
# a compiled step (labels) are an argument of take and take_along_axis. Each has its transpose, which adds up.


@primitive
def scatter_take(g: Any, indices: Any, *, axis: int, length: int) -> Any:
    """The transpose of ``np.take`` along an axis of that length."""
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + np.ndim(indices) :]), g.dtype)
    np.add.at(out, (slice(None),) * axis + (indices,), g)
    return out


@primitive
def scatter_along_axis(g: Any, indices: Any, *, axis: int, length: int) -> Any:
    """The transpose of ``np.take_along_axis`` along an axis of that length."""
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype)
    index: list[Any] = list(np.ogrid[tuple(slice(n) for n in g.shape)])
    index[axis] = indices
    np.add.at(out, tuple(index), g)
    return out


# fmt: off
defvjp(np.take,            lambda g, y, x, i, axis: scatter_take(g, i, axis=axis, length=x.shape[axis]),       None)
defvjp(scatter_take,       lambda g, y, x, i, axis, length: np.take(g, i, axis=axis),                         None)
defvjp(np.take_along_axis, lambda g, y, x, i, axis: scatter_along_axis(g, i, axis=axis, length=x.shape[axis]), None)
defvjp(scatter_along_axis, lambda g, y, x, i, axis, length: np.take_along_axis(g, i, axis),                   None)
# fmt: on
