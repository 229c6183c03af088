"""Recipes for elementwise functions, away from kinks and poles: of one array, of two, and those that choose."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from microgradnp.check.strategies import LAYOUTS, dtypes, lay
from microgradnp.engine import table
from microgradnp.functions import special
from microgradnp.nn import functional
from recipes.drawing import Case, array, booleans, group, numpy_has, recipe, telling

# fmt: off
UNARY: dict[Any, dict[str, Any]] = {
    np.positive: {}, np.negative: {}, np.conjugate: {}, np.square: {}, np.deg2rad: {}, np.rad2deg: {}, np.radians: {},
    np.degrees: {}, np.sin: {}, np.cos: {}, np.arctan: {}, np.tanh: {}, np.arcsinh: {}, np.sinc: {}, np.real: {},
    np.real_if_close: {}, np.copy: {}, np.nan_to_num: {}, table.identity: {},
    np.exp: {"high": 2.0}, np.exp2: {}, np.expm1: {"high": 2.0}, np.sinh: {"low": -2.0, "high": 2.0},
    np.cosh: {"low": -2.0, "high": 2.0}, np.i0: {"low": -3.0, "high": 3.0},
    np.reciprocal: {"away_from": 0.0}, np.absolute: {"away_from": 0.0}, np.fabs: {"away_from": 0.0},
    np.cbrt: {"away_from": 0.0}, np.sqrt: {"low": 0.25}, np.log: {"low": 0.25}, np.log2: {"low": 0.25},
    np.log10: {"low": 0.25}, np.log1p: {"low": -0.5}, np.tan: {"low": -1.0, "high": 1.0},
    np.arcsin: {"low": -0.75, "high": 0.75}, np.arccos: {"low": -0.75, "high": 0.75},
    np.arctanh: {"low": -0.75, "high": 0.75}, np.arccosh: {"low": 1.25},
    functional.sigmoid: {}, functional.rise: {}, functional.softplus: {}, functional.relu: {"away_from": 0.0},
    functional.normal_cdf: {}, functional.silu: {}, functional.gelu: {}, special.root: {"low": 0.25},
    np.modf: {"low": -0.9375, "high": 1.9375, "away_from": (0.0, 1.0)}, np.frexp: {"low": 1.125, "high": 1.875},
}
BINARY: dict[Any, tuple[dict[str, Any], dict[str, Any]]] = {
    np.add: ({}, {}), np.subtract: ({}, {}), np.multiply: ({}, {}), np.divide: ({}, {"away_from": 0.0}),
    np.logaddexp: ({}, {}), np.logaddexp2: ({}, {}),
    np.hypot: ({"away_from": 0.0}, {"away_from": 0.0}), np.arctan2: ({"away_from": 0.0}, {"away_from": 0.0}),
    np.power: ({"low": 0.25, "high": 2.0}, {"low": -2.0, "high": 2.0}),
    np.float_power: ({"low": 0.25, "high": 2.0}, {"low": -2.0, "high": 2.0}),
    np.remainder: ({"low": -2.75, "high": -2.25}, {"low": 1.5, "high": 2.0}),
    np.fmod: ({"low": -2.75, "high": -2.25}, {"low": 1.5, "high": 2.0}),
    np.divmod: ({"low": -2.75, "high": -2.25}, {"low": 1.5, "high": 2.0}),
    np.copysign: ({"away_from": 0.0}, {"away_from": 0.0}), np.heaviside: ({"away_from": 0.0}, {}),
}
# fmt: on


@recipe(*UNARY)
def _unary(draw, f):
    if draw(st.integers(0, 3)) == 0:  # entries of which none stands for another, so that no change of order is lost
        return Case(f, array(draw, (2, 3), distinct=True, **UNARY[f]))
    return Case(f, array(draw, **UNARY[f]))


@recipe(special.leg, special.share)
def _of_two(draw, f):
    return Case(f, *telling(draw, {"away_from": 0.0}, {"away_from": 0.0}))


@recipe(special.signed)
def _signed(draw, f):
    return Case(f, *telling(draw, {}, {"away_from": 0.0}))


@recipe(special.held)
def _held(draw, f):
    return Case(lambda slope: f(slope, np.zeros(slope.shape, np.bool)), array(draw))


@recipe(*BINARY)
def _binary(draw, f):
    if draw(st.integers(0, 3)) == 0:
        return Case(f, *telling(draw, *BINARY[f]))
    return Case(f, *group(draw, *BINARY[f]))


@recipe(*BINARY)
def _with_a_number(draw, f):
    """A Python number beside an array: it does not decide the dtype."""
    number = draw(st.sampled_from([1.625, 1.75]))
    first, second = BINARY[f]
    if f in (np.remainder, np.fmod, np.divmod) or draw(booleans):
        return Case(lambda x: f(x, number), array(draw, **first))
    return Case(lambda x: f(number, x), array(draw, **second))


@recipe(np.power)
def _whole_power(draw, f):
    n = draw(st.integers(-2, 4))
    return Case(lambda x: f(x, n) if n < 0 else x**n, array(draw, away_from=0.0))


@recipe(np.ldexp)
def _ldexp(draw, f):
    n = draw(st.integers(-3, 3) | hnp.arrays(np.int64, (3,), elements=st.integers(-3, 3)))
    return Case(lambda x: f(x, n), array(draw, (draw(st.sampled_from([1, 3])),)))


@recipe(*numpy_has("astype"))
def _np_astype(draw, f):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return Case(lambda x: f(x, dtype), array(draw))


@recipe(table.astype)
def _astype(draw, f):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return Case(lambda x: table.astype(x, dtype=dtype), array(draw))


# -- Chosen elements ---------------------------------------------------------------------------------------------------


@recipe(np.maximum, np.minimum, np.fmax, np.fmin)
def _chosen(draw, f):
    a, b = group(draw, {}, {})
    return Case(f, np.round(a * 2) / 2, np.round(b * 2) / 2 + a.dtype.type(0.25))


@recipe(np.maximum, np.minimum, np.fmax, np.fmin)
def _chosen_from_one(draw, f):
    """One element against many, so that several parts of its gradient are summed."""
    x = np.round(array(draw, (2, 3)) * 2) / 2
    one = np.asarray(draw(st.sampled_from([-0.25, 0.25])), x.dtype)
    return Case(f, x, one) if draw(booleans) else Case(f, one, x)


@recipe(np.where)
def _where(draw, f):
    a, b = group(draw, {}, {})
    shape = np.broadcast_shapes(a.shape, b.shape)
    condition = draw(hnp.arrays(bool, shape[draw(st.integers(0, len(shape))) :]))
    if draw(st.integers(0, 3)) == 0:
        return Case(lambda x: f(condition, x, 1.5), np.broadcast_to(a, shape).copy())
    return Case(lambda x, y: f(condition, x, y), a, b)


@recipe(np.where)
def _where_both_ways(draw, f):
    """Each side is taken in every row and in every column but one, so that no part of its gradient is a part unseen."""
    condition = (np.indices((2, 3)).sum(axis=0) + draw(st.integers(0, 1))) % 2 == 0
    return Case(lambda x, y: f(condition, x, y), *telling(draw, {}, {}))


@recipe(np.clip, np._core.umath.clip)
def _clip(draw, f):
    if draw(booleans):
        low, high = draw(st.sampled_from([(-1.0, 1.0), (-1, 1)] + [(None, 1.0), (-1.0, None)] * (f is np.clip)))
        return Case(lambda x: f(x, low, high), array(draw, away_from=(-1.0, 1.0)))
    x, low, high = group(draw, {}, {"low": -1.0, "high": -0.5}, {"low": 0.5, "high": 1.0})
    return Case(f, np.round(x) * 2 - x.dtype.type(0.25), low, high)


@recipe(np.clip, np._core.umath.clip)
def _clip_at_each_bound(draw, f):
    """In each row an entry below the bounds, one between them and one above; not all where a transpose leaves them."""
    shape, *shapes = draw(st.sampled_from(_BOUNDED))
    kinds = (np.arange(3) * 2 + np.arange(2)[:, None] + draw(st.integers(0, 2))) % 3
    x, dtype = (kinds if shape == (2, 3) else kinds[0]) * 2 - 2, draw(dtypes)
    bounds = [{"low": -1.0, "high": -0.5}, {"low": 0.5, "high": 1.0}]
    low, high = (array(draw, shape, dtype=dtype, **bound) for shape, bound in zip(shapes, bounds, strict=True))
    return Case(f, lay(x.astype(dtype), draw(st.sampled_from(LAYOUTS))), low, high)


_BOUNDED = [((2, 3), (2, 3), (2, 3)), ((2, 3), (3,), (2, 1)), ((2, 3), (2, 1), ()), ((2, 3), (), (3,))]
_BOUNDED += [((3,), (2, 1), (2, 3)), ((3,), (2, 3), (2, 1))]


@recipe(np.clip)
def _clip_at_one_bound(draw, f):
    x = array(draw, (2, 3)) + np.float32(1 / 128)
    low = array(draw, (), low=-1.0, high=-0.5, dtype=x.dtype)
    return Case(lambda x, low, high: f(x, low, high), x, low, low + 1)


@recipe(np.heaviside)
def _heaviside_at_zero(draw, f):
    where = draw(hnp.arrays(np.int64, (2, 3), elements=st.integers(-1, 1)))
    return Case(lambda h: f(where, h), array(draw, draw(st.sampled_from([(2, 3), (3,), ()])), dtype=np.float64))


@recipe(np.choose)
def _choose(draw, f):
    a, b, c = group(draw, {}, {}, {})
    shape = np.broadcast_shapes(a.shape, b.shape, c.shape)
    mode = draw(st.sampled_from(["raise", "clip", "wrap"]))
    n = 2 if mode == "raise" else 5
    which = draw(hnp.arrays(np.int64, shape, elements=st.integers(0 if mode == "raise" else -n, n)))
    return Case(lambda *xs: f(which, xs, mode=mode), a, b, c)


@recipe(np.select)
def _select(draw, f):
    a, b, c = group(draw, {}, {}, {})
    shape = np.broadcast_shapes(a.shape, b.shape, c.shape)
    conditions = [draw(hnp.arrays(bool, shape)) for _ in range(2)]
    return Case(lambda a, b, c: f(conditions, [a, b], c), a, b, c)


@recipe(np.piecewise)
def _piecewise(draw, f):
    x = array(draw, dims=(1, 2), sides=(1, 3), away_from=(-1.0, 1.0))
    if draw(booleans):
        return Case(lambda x: f(x, [x < -1, x > 1], [np.square, lambda v: np.exp(-v), 2.0]), x)
    return Case(lambda x: f(x, [x > 1], [lambda v, k: v * k, lambda v, k: v / k], 3.0), x)
