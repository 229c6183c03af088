"""An input recipe for every row of the table and every function composed of rows: what `check.gradients` is run on.

A recipe draws a `Case`: a function of float arrays (the NumPy function with its other arguments chosen) and the arrays.
Arrays are 0-d, empty, broadcast, transposed, with gaps, backwards or read-only, in float64 and float32; values stay
away from kinks and poles, which ``test_edges.py`` visits on purpose. A row or function without a recipe fails
``test_rules.py``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from microgradnp.check.strategies import LAYOUTS, arrays, broadcastable, dtypes, lay
from microgradnp.engine import rules
from microgradnp.engine.tensor import FUNCTIONS
from microgradnp.functions import linalg
from microgradnp.functions.common import FOLDABLE
from microgradnp.functions.places import put, put_along_axis
from microgradnp.functions.shapes import CREATION
from microgradnp.nn import functional


@dataclass
class Case:
    """A function of float arrays, the arrays, and whether the value may differ from NumPy's in its dtype."""

    f: Callable[..., Any]
    args: tuple[Any, ...]

    def __init__(self, f: Callable[..., Any], *args: Any) -> None:
        self.f, self.args = f, args


def _from_a_test(f: Any) -> bool:
    return str(getattr(f, "__module__", "")).startswith("test_")


RECIPES: dict[Callable[..., Any], list[st.SearchStrategy[Case]]] = {}


def recipe(*functions: Any) -> Any:
    """Register a recipe: ``recipe(draw, function)`` for each of the functions."""

    def register(build: Any) -> Any:
        for function in functions:
            RECIPES.setdefault(function, []).append(st.composite(build)(function))
        return build

    return register


def numpy_has(*names: str, module: Any = np) -> list[Any]:
    """Those of the functions that this NumPy has."""
    return [getattr(module, name) for name in names if hasattr(module, name)]


def array(
    draw: Any, shape: Any = None, *, dims: tuple[int, int] = (0, 2), sides: tuple[int, int] = (0, 3), **options: Any
) -> Any:
    """One array; every fifth is read-only."""
    options.setdefault("dtype", dtypes)
    sizes = (
        {"min_dims": dims[0], "max_dims": dims[1], "min_side": sides[0], "max_side": sides[1]} if shape is None else {}
    )
    x = draw(arrays(shape, **sizes, **options))
    if draw(st.integers(0, 4)) == 0:
        x.flags.writeable = False
    return x


def group(draw: Any, *each: dict[str, Any], dims: int = 2, side: int = 3) -> tuple[Any, ...]:
    """Arrays that broadcast together, all of one dtype."""
    dtype = draw(dtypes)
    return draw(broadcastable(len(each), each=list(each), dtype=dtype, max_dims=dims, max_side=side))


def axis_of(draw: Any, x: Any, none: bool = False) -> Any:
    """One axis of ``x``, counted from either end."""
    choices = st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.nothing()
    return draw(st.none() | choices if none or not x.ndim else choices)


def axes_of(draw: Any, x: Any) -> Any:
    """The axes of a reduction: None, one or several."""
    several = st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1).map(tuple) if x.ndim else st.just(())
    return draw(st.none() | several | (st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.nothing()))


def full(shape: tuple[int, ...], axis: Any) -> bool:
    """Whether a reduction over these axes has something to reduce."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return all(shape[i] for i in axes)


booleans = st.booleans()

BUILT_IN = [f for f in {**rules.RULES, **FUNCTIONS} if f not in CREATION and not _from_a_test(f)]
"""What needs a recipe: every row and every function, but those that make arrays out of nothing."""

# -- Elementwise: a domain, away from kinks and poles ------------------------------------------------------------------

# fmt: off
UNARY: dict[Any, dict[str, Any]] = {
    np.positive: {}, np.negative: {}, np.conjugate: {}, np.square: {}, np.deg2rad: {}, np.rad2deg: {}, np.radians: {},
    np.degrees: {}, np.sin: {}, np.cos: {}, np.arctan: {}, np.tanh: {}, np.arcsinh: {}, np.sinc: {}, np.real: {},
    np.real_if_close: {}, np.copy: {}, np.nan_to_num: {}, rules.identity: {},
    np.exp: {"high": 2.0}, np.exp2: {}, np.expm1: {"high": 2.0}, np.sinh: {"low": -2.0, "high": 2.0},
    np.cosh: {"low": -2.0, "high": 2.0}, np.i0: {"low": -3.0, "high": 3.0},
    np.reciprocal: {"away_from": 0.0}, np.absolute: {"away_from": 0.0}, np.fabs: {"away_from": 0.0},
    np.cbrt: {"away_from": 0.0}, np.sqrt: {"low": 0.25}, np.log: {"low": 0.25}, np.log2: {"low": 0.25},
    np.log10: {"low": 0.25}, np.log1p: {"low": -0.5}, np.tan: {"low": -1.0, "high": 1.0},
    np.arcsin: {"low": -0.75, "high": 0.75}, np.arccos: {"low": -0.75, "high": 0.75},
    np.arctanh: {"low": -0.75, "high": 0.75}, np.arccosh: {"low": 1.25},
    functional.sigmoid: {}, functional.softplus: {}, functional.relu: {"away_from": 0.0},
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


@recipe(*BINARY)
def _binary(draw, f):
    if draw(st.integers(0, 3)) == 0:
        return Case(f, *_telling(draw, *BINARY[f]))
    return Case(f, *group(draw, *BINARY[f]))


def _telling(draw: Any, *each: dict[str, Any]) -> tuple[Any, ...]:
    """One array of shape (2, 3) and others that broadcast to it, entries distinct: no sum or order goes unnoticed."""
    dtype, place = draw(dtypes), draw(st.integers(0, len(each) - 1))
    shapes = [(2, 3) if i == place else draw(st.sampled_from(_PARTS)) for i in range(len(each))]
    return tuple(
        array(draw, shape, dtype=dtype, distinct=True, **options) for shape, options in zip(shapes, each, strict=True)
    )


_PARTS = [(2, 3), (3,), (2, 1), (1, 3), ()]


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


@recipe(np.ldexp)
def _ldexp(draw, f):
    n = draw(st.integers(-3, 3) | hnp.arrays(np.int64, (3,), elements=st.integers(-3, 3)))
    return Case(lambda x: f(x, n), array(draw, (draw(st.sampled_from([1, 3])),)))


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
    return Case(lambda x, y: f(condition, x, y), *_telling(draw, {}, {}))


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


@recipe(*numpy_has("astype"))
def _np_astype(draw, f):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return Case(lambda x: f(x, dtype), array(draw))


@recipe(rules.astype)
def _astype(draw, f):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return Case(lambda x: rules.astype(x, dtype=dtype), array(draw))


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


# -- Reductions --------------------------------------------------------------------------------------------------------


def spread(draw: Any, shape: Any = None, **options: Any) -> Any:
    """Distinct entries for a standard deviation s, whose third derivative is made of terms as large as s**-2.

    They cancel, to exactly 0 where two entries are left, and float32 leaves 6e-8 of them: in float32 no two entries are
    closer than 1/4, so that this stays below the tolerance of 1e-5. In float64 they may be as close as the grid has it.
    """
    dtype = draw(dtypes)
    if dtype == np.float64:
        return array(draw, shape, dtype=dtype, **options)
    return lay(array(draw, shape, dtype=dtype, low=-0.25, high=0.25, **options) * 16, draw(st.sampled_from(LAYOUTS)))


@recipe(np.sum, np.prod, np.mean, np.max, np.min, np.var, np.std, np.ptp, np.amax, np.amin, np.median)
def _reduction(draw, f):
    extremes = f in (np.max, np.min, np.amax, np.amin, np.ptp, np.median)
    sides = (0 if f in (np.sum, np.prod) else 3 if f is np.std else 1, 3)
    x = (spread if f is np.std else array)(draw, dims=(0, 3), sides=sides, distinct=extremes or f is np.std)
    if f is np.std and x.ndim == 0:
        x = np.array([1.0, 2.5], x.dtype)
    axis, keepdims = axes_of(draw, x), draw(booleans)
    axis = None if axis == () and f is not np.sum else axis
    extra = {"ddof": draw(st.sampled_from([0, 0.5]))} if f in (np.var, np.std) else {}
    return Case(lambda x: f(x, axis=axis, keepdims=keepdims, **extra), x)


@recipe(np.sum, np.prod, np.max, np.min)
def _initial(draw, f):
    x = array(draw, dims=(1, 2), distinct=True)
    axis, initial = axis_of(draw, x, none=True), {np.max: -5.0, np.min: 5.0}.get(f, 2.0)
    mask = draw(hnp.arrays(bool, x.shape)) if draw(booleans) else True
    return Case(lambda x: f(x, axis=axis, initial=initial, where=mask), x)


@recipe(np.mean, np.var, np.std)
def _where_of(draw, f):
    x = (spread if f is np.std else array)(draw, (3, 3), distinct=True)
    mask = draw(hnp.arrays(bool, (3, 3)))
    mask[0], mask[1, 1], mask[2, 0], mask[0, 2] = True, True, True, True
    mask[:, 2] = mask[2, :] = True
    axis = draw(st.sampled_from([None, 0, 1]))
    return Case(lambda x: f(x, axis=axis, where=mask), x)


@recipe(np.var, np.std)
def _mean_given(draw, f):
    x = (spread if f is np.std else array)(draw, (3, 2), distinct=True)
    return Case(lambda x: f(x, axis=0, mean=np.mean(x, axis=0, keepdims=True), correction=1), x)


@recipe(np.cumsum, np.cumprod)
def _running(draw, f):
    x = array(draw, dims=(0, 3))
    axis = axis_of(draw, x, none=True)
    return Case(lambda x: f(x, axis=axis), x)


@recipe(*numpy_has("cumulative_sum", "cumulative_prod"))
def _cumulative(draw, f):
    x = array(draw, dims=(1, 2))
    axis = None if x.ndim == 1 and draw(booleans) else axis_of(draw, x)
    first = draw(booleans)
    return Case(lambda x: f(x, axis=axis, include_initial=first), x)


@recipe(np.average)
def _average(draw, f):
    x = array(draw, dims=(2, 2), sides=(2, 3))
    if draw(booleans):
        axis = draw(st.sampled_from([None, 0, 1, (0, 1)]))
        return Case(lambda x: f(x, axis=axis, returned=True)[0], x)
    axis = draw(st.sampled_from([0, -1]))
    shape = x.shape if draw(booleans) else (x.shape[axis],)
    w = array(draw, shape, low=0.5, dtype=x.dtype)
    return Case(lambda x, w: f(x, axis=axis, weights=w, returned=True, keepdims=True), x, w)


METHODS = ["linear", "lower", "higher", "midpoint", "nearest", "hazen", "weibull", "inverted_cdf", "median_unbiased"]


@recipe(np.quantile, np.percentile)
def _quantile(draw, f):
    x = array(draw, dims=(0, 3), sides=(1, 3), distinct=True)
    axis, keepdims = axes_of(draw, x), draw(booleans)
    axis = None if axis == () else axis
    q = draw(st.sampled_from([0.0, 0.3, 0.5, 1.0, [0.25, 0.75], [[0.1], [0.9]]]))
    q = q if f is np.quantile else (np.asarray(q) * 100).tolist()
    method = draw(st.sampled_from(METHODS))
    return Case(lambda x: f(x, q, axis=axis, keepdims=keepdims, method=method), x)


@recipe(np.nansum, np.nanprod, np.nanmax, np.nanmin, np.nanmean, np.nanvar, np.nanstd, np.nanmedian)
def _nan_reduction(draw, f):
    x = (spread if f is np.nanstd else array)(draw, dims=(2, 3), sides=(3, 3), distinct=True)
    axis, keepdims = axes_of(draw, x), draw(booleans)
    mask = _holes(draw, x.shape)
    extra = {"ddof": 0.5} if f in (np.nanvar, np.nanstd) else {}
    if f is not np.nanmedian and draw(st.integers(0, 3)) == 0:  # a variance needs two of the three that are left
        chosen = np.ones(x.shape, bool)
        chosen[(0,) * x.ndim] = False
        mask = np.zeros_like(mask) if f in (np.nanvar, np.nanstd) else mask
        initial = {np.nanmax: -5.0, np.nanmin: 5.0, np.nansum: 2.0, np.nanprod: 2.0}.get(f)
        extra = {**extra, "where": chosen, **({} if initial is None else {"initial": initial})}
    return Case(lambda x: f(np.where(mask, math.nan, x), axis=axis, keepdims=keepdims, **extra), x)


def _holes(draw, shape):
    """Some places, but never more than one of three along an axis."""
    grid = sum(np.meshgrid(*map(np.arange, shape), indexing="ij")) % 3
    return (grid == draw(st.integers(0, 2))) & draw(hnp.arrays(bool, shape))


@recipe(np.nanquantile, np.nanpercentile)
def _nan_quantile(draw, f):
    x = array(draw, dims=(2, 3), sides=(3, 3), distinct=True)
    axis, keepdims = axes_of(draw, x), draw(booleans)
    mask = _holes(draw, x.shape)
    q = draw(st.sampled_from([0.3, 0.5, [0.25, 0.75]]))
    q = q if f is np.nanquantile else (np.asarray(q) * 100).tolist()
    return Case(lambda x: f(np.where(mask, math.nan, x), q, axis=axis, keepdims=keepdims), x)


@recipe(np.nancumsum, np.nancumprod)
def _nan_running(draw, f):
    x = array(draw, dims=(2, 3), sides=(3, 3))
    mask, axis = _holes(draw, x.shape), axis_of(draw, x, none=True)
    return Case(lambda x: f(np.where(mask, math.nan, x), axis=axis), x)


@recipe(np.corrcoef)
def _corrcoef(draw, f):
    """Rows far from constant, where a correlation has a pole; without the diagonal, which is 1 but for rounding."""
    x = array(draw, (2, 4), distinct=True) - np.array([[8.0, 0.0, 0.0, 0.0], [0.0, 0.0, 8.0, 0.0]], np.float32)
    if draw(booleans):
        return Case(lambda x: f(x.T, rowvar=False)[0, 1:], x)
    return Case(lambda x, y: f(x[0], y)[0, 1:], x, x[1])


@recipe(np.cov)
def _cov(draw, f):
    x = array(draw, (draw(st.integers(2, 3)), 4), distinct=True)
    options = {"rowvar": draw(booleans)}
    if draw(booleans):
        n = x.shape[1] if options["rowvar"] else x.shape[0]
        options |= {"fweights": np.arange(1, n + 1), "aweights": np.linspace(1, 2, n), "bias": draw(booleans)}
    if draw(booleans):
        return Case(lambda x, y: f(x, y, **options), x, array(draw, x.shape, dtype=x.dtype, distinct=True) ** 3)
    return Case(lambda x: f(x, **options), x)


# -- The methods of ufuncs ---------------------------------------------------------------------------------------------

METHOD_DOMAIN: dict[str, Any] = {"low": 0.5, "high": 2.0, "distinct": True}


@recipe(*(f.reduce for f in FOLDABLE))
def _ufunc_reduce(draw, f):
    x = array(draw, dims=(1, 2), sides=(1, 4), **METHOD_DOMAIN)
    reorderable = f not in (np.subtract.reduce, np.divide.reduce)
    axis = axes_of(draw, x) if reorderable else axis_of(draw, x)
    options = {"initial": 0.25} if draw(booleans) else {}
    return Case(lambda x: f(x, axis=axis, keepdims=True, **options), x)


@recipe(*(f.accumulate for f in FOLDABLE))
def _ufunc_accumulate(draw, f):
    x = array(draw, dims=(1, 2), sides=(1, 4), **METHOD_DOMAIN)
    axis = axis_of(draw, x)
    return Case(lambda x: f(x, axis), x)


@recipe(*(f.outer for f in BINARY if f is not np.divmod))
def _ufunc_outer(draw, f):
    first, second = BINARY[f.__self__]
    a = array(draw, **first)
    return Case(f, a, array(draw, dtype=a.dtype, **second))


@recipe(*(f.outer for f in (np.maximum, np.minimum, np.fmax, np.fmin)))
def _outer_choice(draw, f):
    a = array(draw, low=0.5, high=2.0)
    return Case(f, a, array(draw, low=2.25, high=4.0, dtype=a.dtype))


@recipe(np.ldexp.outer)
def _outer_ldexp(draw, f):
    return Case(lambda x: f(x, [1, -2]), array(draw))


@recipe(*(f.reduceat for f in FOLDABLE))
def _ufunc_reduceat(draw, f):
    x = array(draw, (5,), **METHOD_DOMAIN)
    places = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    return Case(lambda x: f(x, places), x)


# -- Shape -------------------------------------------------------------------------------------------------------------


@recipe(np.reshape)
def _reshape(draw, f):
    x = array(draw, (2, 3, 2))
    shape = draw(st.sampled_from([(12,), (3, 4), (-1, 6), (2, 1, 3, 2), (12, 1), -1]))
    order = draw(st.sampled_from("CF"))
    return Case(lambda x: f(x, shape, order=order), x)


@recipe(np.ravel, np.fliplr, np.flipud, np.matrix_transpose, np.linalg.matrix_transpose)
def _of_a_matrix(draw, f):
    return Case(f, array(draw, dims=(2, 3)))


@recipe(np.transpose, *numpy_has("permute_dims"))
def _transpose(draw, f):
    x = array(draw, dims=(0, 3))
    axes = draw(st.none() | st.permutations(range(x.ndim)))
    return Case(lambda x: f(x, axes), x)


@recipe(np.swapaxes, np.moveaxis, np.rollaxis)
def _two_axes(draw, f):
    x = array(draw, dims=(1, 3))
    i, j = axis_of(draw, x), axis_of(draw, x)
    return Case(lambda x: f(x, i, j), x)


@recipe(np.expand_dims)
def _expand_dims(draw, f):
    x = array(draw)
    axis = draw(st.sampled_from([0, -1, (0, -1)]))
    return Case(lambda x: f(x, axis), x)


@recipe(np.squeeze)
def _squeeze(draw, f):
    shape = draw(st.sampled_from([(1,), (1, 3), (2, 1, 1), (1, 0)]))
    axis = draw(st.sampled_from([None, shape.index(1)]))
    return Case(lambda x: f(x, axis), array(draw, shape))


@recipe(np.broadcast_to)
def _broadcast_to(draw, f):
    shape, target = draw(
        st.sampled_from([((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1,), (0,)), ((2, 3), (2, 3))])
    )
    return Case(lambda x: f(x, target), array(draw, shape))


@recipe(np.broadcast_arrays)
def _broadcast_arrays(draw, f):
    return Case(f, *group(draw, {}, {}, {}))


@recipe(np.meshgrid)
def _meshgrid(draw, f):
    n, sparse, indexing = draw(st.integers(1, 3)), draw(booleans), draw(st.sampled_from(["xy", "ij"]))
    xs = [array(draw, dims=(1, 1), sides=(1, 3), dtype=np.float64) for _ in range(n)]
    return Case(lambda *xs: f(*xs, sparse=sparse, indexing=indexing), *xs)


@recipe(np.atleast_1d, np.atleast_2d, np.atleast_3d)
def _atleast(draw, f):
    if draw(booleans):
        return Case(f, array(draw, dims=(0, 3)))
    return Case(f, array(draw), array(draw))


@recipe(np.resize)
def _resize(draw, f):
    shape = draw(st.sampled_from([(4,), (2, 3), 5, ()]))
    return Case(lambda x: f(x, shape), array(draw))


# -- Joining and splitting ---------------------------------------------------------------------------------------------


@recipe(np.concatenate, *numpy_has("concat"))
def _concatenate(draw, f):
    n, axis = draw(st.integers(1, 3)), draw(st.sampled_from([0, 1, -1, None]))
    xs = [
        array(draw, (2, draw(st.integers(0, 2))) if axis in (1, -1, None) else (draw(st.integers(0, 2)), 2))
        for _ in range(n)
    ]
    return Case(lambda *xs: f(xs, axis=axis), *xs)


@recipe(np.stack, np.hstack, np.vstack, np.dstack, np.column_stack)
def _stack(draw, f):
    n, shape = draw(st.integers(1, 3)), draw(st.sampled_from([(), (2,), (2, 2), (0, 2)]))
    if f is np.column_stack and shape == ():
        shape = (3,)
    xs = [array(draw, shape) for _ in range(n)]
    options = {"axis": draw(st.integers(-1, len(shape)))} if f is np.stack else {}
    return Case(lambda *xs: f(xs, **options), *xs)


@recipe(np.append)
def _append(draw, f):
    a, b = array(draw, (2, 2)), array(draw, (1, 2))
    axis = draw(st.sampled_from([None, 0]))
    return Case(lambda a, b: f(a, b, axis=axis), a, b)


@recipe(np.block)
def _block(draw, f):
    a, b, c, d = (array(draw, shape) for shape in ((2, 2), (2, 1), (1, 2), ()))
    return Case(lambda a, b, c, d: f([[a, b], [c, d]]), a, b, c, d)


@recipe(np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit)
def _split(draw, f):
    x = array(draw, (4, 4, 2))
    places = draw(st.sampled_from([2, [1, 1], [1]] + [3] * (f is np.array_split)))
    options = {"axis": draw(st.sampled_from([0, 1]))} if f in (np.split, np.array_split) else {}
    return Case(lambda x: f(x, places, **options), x)


@recipe(*numpy_has("unstack"))
def _unstack(draw, f):
    x = array(draw, dims=(1, 2), sides=(1, 3))
    axis = axis_of(draw, x)
    return Case(lambda x: f(x, axis=axis), x)


@recipe(np.flip)
def _flip(draw, f):
    x = array(draw)
    axis = axes_of(draw, x)
    return Case(lambda x: f(x, axis), x)


@recipe(np.rot90)
def _rot90(draw, f):
    k = draw(st.integers(-1, 4))
    return Case(lambda x: f(x, k), array(draw, (2, 3)))


@recipe(np.roll)
def _roll(draw, f):
    x = array(draw)
    axis = draw(st.sampled_from([None, *range(x.ndim), *([(0, 1)] if x.ndim == 2 else [])]))
    shift = draw(st.integers(-4, 4))
    return Case(lambda x: f(x, shift, axis), x)


@recipe(np.repeat)
def _repeat(draw, f):
    x = array(draw)
    axis = axis_of(draw, x, none=True)
    n = x.size if axis is None else x.shape[axis]
    repeats = draw(st.integers(0, 3) | st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return Case(lambda x: f(x, repeats, axis), x)


@recipe(np.tile)
def _tile(draw, f):
    reps = draw(st.sampled_from([2, 0, (2,), (2, 1), (1, 2, 2)]))
    return Case(lambda x: f(x, reps), array(draw))


@recipe(np.pad)
def _pad(draw, f):
    mode = draw(
        st.sampled_from(
            ["constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "minimum", "mean", "median"]
        )
    )
    x = array(draw, dims=(0, 2), sides=(2 if mode != "constant" else 0, 3), distinct=True)
    width = draw(st.sampled_from([0, 1, 3, (1, 2)]))
    options: dict[str, Any] = {}
    if mode == "constant":
        options = draw(st.sampled_from([{}, {"constant_values": 1.5}, {"constant_values": (1.0, 2.0)}]))
    elif mode in ("reflect", "symmetric"):
        options = {"reflect_type": draw(st.sampled_from(["even", "odd"]))}
    elif mode == "linear_ramp":
        options = draw(st.sampled_from([{}, {"end_values": (1.0, 3.0)}]))
    elif mode in ("maximum", "minimum", "mean", "median"):
        options = draw(st.sampled_from([{}, {"stat_length": 2}, {"stat_length": (1, 2)}]))
    return Case(lambda x: f(x, width, mode=mode, **options), x)


@recipe(np.pad)
def _pad_with(draw, f):
    x = array(draw, (2, 3))
    v = array(draw, (), dtype=x.dtype)
    return (
        Case(lambda x, v: f(x, ((1, 0), (2, 1)), constant_values=v), x, v)
        if draw(booleans)
        else Case(lambda x: f(x, [(1, 0), (2, 1)]), x)
    )


# -- Products ----------------------------------------------------------------------------------------------------------

sides = st.integers(0, 3)


@recipe(np.matmul, np.linalg.matmul)
def _matmul(draw, f):
    k, m, n = draw(sides), draw(sides), draw(sides)
    shapes = [((m, k), (k, n)), ((2, m, k), (k, n)), ((2, 1, m, k), (3, k, n))]
    shapes += [((k,), (k,)), ((k,), (k, n)), ((m, k), (k,)), ((2, m, k), (k,)), ((k,), (2, k, n))] * (f is np.matmul)
    a, b = draw(st.sampled_from(shapes))
    dtype = draw(dtypes)
    return Case(f, array(draw, a, dtype=dtype), array(draw, b, dtype=dtype))


@recipe(np.dot, np.inner)
def _dot(draw, f):
    k, m, n = draw(sides), draw(sides), draw(sides)
    shapes = [((), (m, k)), ((m, k), ()), ((k,), (k,))]
    shapes += (
        [((m, k), (k, n)), ((m, k), (k,)), ((m, k), (2, k, n))]
        if f is np.dot
        else [((m, k), (n, k)), ((2, m, k), (k,))]
    )
    a, b = draw(st.sampled_from(shapes))
    dtype = draw(dtypes)
    return Case(f, array(draw, a, dtype=dtype), array(draw, b, dtype=dtype))


@recipe(np.vdot, np.outer, np.kron)
def _flat_product(draw, f):
    dtype, shape = draw(dtypes), draw(st.sampled_from([(2,), (2, 2), (), (0,)]))
    other = shape if f is np.vdot else draw(st.sampled_from([(3,), (2, 1), ()]))
    if f is np.kron and shape == (0,):
        shape = (1, 2, 1)
    return Case(f, array(draw, shape, dtype=dtype), array(draw, other, dtype=dtype))


@recipe(np.linalg.outer)
def _outer(draw, f):
    dtype = draw(dtypes)
    return Case(f, array(draw, dims=(1, 1), dtype=dtype), array(draw, dims=(1, 1), dtype=dtype))


@recipe(np.cross, np.linalg.cross)
def _cross(draw, f):
    dtype = draw(dtypes)
    if draw(booleans):
        return Case(f, array(draw, (2, 3), dtype=dtype), array(draw, (3,), dtype=dtype))
    return Case(lambda a, b: f(a, b, axis=0), array(draw, (3, 2), dtype=dtype), array(draw, (3, 2), dtype=dtype))


@recipe(np.vecdot, np.linalg.vecdot, *numpy_has("matvec", "vecmat"))
def _vector_product(draw, f):
    dtype, k, m = draw(dtypes), draw(st.integers(1, 3)), draw(sides)
    shapes = {"matvec": ((2, m, k), (k,)), "vecmat": ((k,), (2, k, m)), "vecdot": ((m, k), (k,))}[f.__name__]
    return Case(f, *(array(draw, shape, dtype=dtype) for shape in shapes))


@recipe(np.tensordot, np.linalg.tensordot)
def _tensordot(draw, f):
    a, b, axes = draw(
        st.sampled_from(
            [
                ((2, 3), (3, 2), 1),
                ((2, 3), (2, 3), 2),
                ((2,), (3,), 0),
                ((2, 3, 2), (3, 2, 2), ([1, 0], [0, 1])),
                ((2, 3), (2, 3), (-1, 1)),
            ]
        )
    )
    dtype = draw(dtypes)
    return Case(lambda a, b: f(a, b, axes=axes), array(draw, a, dtype=dtype), array(draw, b, dtype=dtype))


EINSUMS = [
    "ij,jk->ik", "ij,jk", "ij->ji", "ij->", "ii->i", "ii", "ii->", "i,i->", "i,j->ij", "ij,ij->ij", "bij,bjk->bik",
    "...ij,...jk->...ik", "...i->...", "i...->...", "...", "ij,j", "ij,kl->jl", "iij,j->i", "iii->i", "ij,jk,kl->il",
    "a,ab,b->", "ij, jk -> ki", ",ij->ij", "->", "i,->i", "ab...,b...->a...", "ji,i...->j...",
]  # fmt: skip


@recipe(np.einsum)
def _einsum(draw, f):
    subscripts = draw(st.sampled_from(EINSUMS))
    terms = subscripts.replace(" ", "").split("->")[0].split(",")
    lengths = {c: draw(st.integers(0 if c not in "bi" else 1, 3)) for c in sorted(set("".join(terms)) - {"."})}
    dots = draw(st.sampled_from([(), (2,), (2, 3)]))

    def shape_of(i, term):
        head, dotted, tail = term.partition("...")
        between = dots[draw(st.integers(0, len(dots))) if i else 0 :] if dotted else ()
        return (*(lengths[c] for c in head), *between, *(lengths[c] for c in tail))

    dtype = draw(dtypes)
    nonzero = {"away_from": 0.0} if len(terms) > 2 else {}  # a factor 0 hides the derivatives by all the others
    xs = [array(draw, shape_of(i, term), dtype=dtype, **nonzero) for i, term in enumerate(terms)]
    optimize = draw(st.sampled_from([False, True]))
    return Case(lambda *xs: f(subscripts, *xs, optimize=optimize), *xs)


@recipe(np.einsum)
def _einsum_sublists(draw, f):
    a, b = array(draw, (2, 3), dtype=np.float64), array(draw, (3, 1), dtype=np.float64)
    result = draw(st.sampled_from([[], [[0, 2]], [[2, 0]], [[]], [[0, 1, 2]]]))
    if draw(booleans):
        return Case(lambda a, b: f(a, [Ellipsis, 1], b, [1, 2], [Ellipsis, 2]), a, b)
    return Case(lambda a, b: f(a, [0, 1], b, [1, 2], *result), a, b)


# -- Places ------------------------------------------------------------------------------------------------------------

INDICES = [
    0, -1, slice(None), slice(None, None, -1), slice(0, 0), (0, 1), (slice(1, 3), None, -1), (Ellipsis, 0), None, (),
    [0, 0, 2], (np.array([[0, 1], [1, 0]]), np.array([0, 3])), (slice(None), [1, 1]), np.array([True, False, True]),
    ([0, 2], slice(1, 2)), (0, slice(None, None, 2)), np.arange(12).reshape(3, 4) % 5 == 0, np.int64(1),
    (slice(None, None, 2), [0, 1], None),
]  # fmt: skip


@recipe(rules.getitem)
def _getitem(draw, f):
    index = draw(st.sampled_from(INDICES))
    return Case(lambda x: x[index], array(draw, (3, 4)))


@recipe(rules.scatter)
def _scatter(draw, f):
    index = draw(st.sampled_from(INDICES))
    x = array(draw, np.empty((3, 4))[index].shape)
    return Case(lambda g: rules.scatter(g, index=index, shape=(3, 4)), x)


@recipe(np.take)
def _take(draw, f):
    x = array(draw, dims=(1, 3), sides=(1, 3))
    axis = axis_of(draw, x, none=True)
    n = x.size if axis is None else x.shape[axis]
    mode = draw(st.sampled_from(["raise", "clip", "wrap"]))
    low, high = (-n, n - 1) if mode == "raise" else (-5, 5)
    places = draw(
        hnp.arrays(
            np.int64, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3), elements=st.integers(low, high)
        )
    )
    return Case(lambda x: f(x, places, axis=axis, mode=mode), x)


@recipe(rules.scatter_take)
def _scatter_take(draw, f):
    places = draw(hnp.arrays(np.int64, (2, 2), elements=st.integers(-3, 2)))
    return Case(lambda g: f(g, places, axis=1, length=3), array(draw, (2, 2, 2)))


@recipe(np.take_along_axis)
def _take_along_axis(draw, f):
    x = array(draw, (3, 2))
    axis = draw(st.sampled_from([0, 1, -1]))
    shape = draw(st.sampled_from([(2, 2), (3, 1)] if axis else [(1, 2), (2, 2)]))
    shape = (3, shape[1]) if axis else (shape[0], 2)
    places = draw(hnp.arrays(np.int64, shape, elements=st.integers(-x.shape[axis], x.shape[axis] - 1)))
    return Case(lambda x: f(x, places, axis), x)


@recipe(rules.scatter_along_axis)
def _scatter_along_axis(draw, f):
    places = draw(hnp.arrays(np.int64, (2, 3), elements=st.integers(-4, 3)))
    return Case(lambda g: f(g, places, axis=1, length=4), array(draw, (2, 3)))


@recipe(put)
def _put(draw, f):
    index = draw(st.sampled_from(INDICES))
    dtype = draw(dtypes)
    shape = np.empty((3, 4))[index].shape
    return Case(
        lambda t, v: f(t, index, v),
        array(draw, (3, 4), dtype=dtype),
        array(draw, draw(st.sampled_from([shape, ()])), dtype=dtype),
    )


@recipe(put_along_axis)
def _put_along_axis(draw, f):
    axis = draw(st.sampled_from([0, 1, None]))
    places = draw(
        hnp.arrays(np.int64, (2,) if axis is None else (2, 4) if axis == 0 else (3, 2), elements=st.integers(0, 2))
    )
    dtype = draw(dtypes)
    return Case(
        lambda t, v: f(t, places, v, axis), array(draw, (3, 4), dtype=dtype), array(draw, places.shape, dtype=dtype)
    )


@recipe(np.sort, np.partition)
def _sort(draw, f):
    x = array(draw, dims=(1, 2), sides=(1, 4), distinct=True)
    axis = axis_of(draw, x, none=True)
    kth = () if f is np.sort else (draw(st.integers(0, (x.size if axis is None else x.shape[axis]) - 1)),)
    return Case(lambda x: f(x, *kth, axis=axis), x)


@recipe(np.compress, np.extract)
def _compress(draw, f):
    x = array(draw, (3, 2))
    if f is np.extract:
        mask = draw(hnp.arrays(bool, (3, 2)))
        return Case(lambda x: f(mask, x), x)
    axis = draw(st.sampled_from([None, 0]))
    mask = draw(hnp.arrays(bool, (3,)))
    return Case(lambda x: f(mask, x, axis=axis), x)


@recipe(np.delete)
def _delete(draw, f):
    places, axis = draw(
        st.sampled_from([(0, 0), ([0, 2], 1), (slice(0, 2), None), ([], 0), (np.array([True, False]), 0)])
    )
    return Case(lambda x: f(x, places, axis=axis), array(draw, (2, 3)))


@recipe(np.insert)
def _insert(draw, f):
    ways = [(1, (), 0), (1, (3,), 0), (1, (2, 3), 0), ([0, 2], (2, 2), 1), ([0, 2], (), None), (1, (2, 1), 1)]
    places, shape, axis = draw(st.sampled_from([*ways, (slice(0, 2), (), 1), (1, (2,), 1)]))
    dtype = draw(dtypes)
    return Case(
        lambda x, v: f(x, places, v, axis=axis), array(draw, (2, 3), dtype=dtype), array(draw, shape, dtype=dtype)
    )


@recipe(np.diagonal, np.trace, np.linalg.diagonal, np.linalg.trace)
def _diagonal(draw, f):
    x = array(draw, dims=(2, 3))
    offset = draw(st.integers(-2, 3))
    return Case(lambda x: f(x, offset=offset), x)


@recipe(np.diag, np.diagflat)
def _diag(draw, f):
    k = draw(st.integers(-2, 2))
    return Case(lambda x: f(x, k), array(draw, dims=(1, 2)))


@recipe(np.tril, np.triu)
def _tril(draw, f):
    k = draw(st.integers(-2, 2))
    return Case(lambda x: f(x, k), array(draw, dims=(1, 3)))


@recipe(np.apply_along_axis)
def _apply_along_axis(draw, f):
    x = array(draw, (2, 3))
    axis = draw(st.sampled_from([0, 1]))
    function = draw(st.sampled_from([np.sum, np.cumsum, lambda v: np.multiply.outer(v, v)]))
    return Case(lambda x: f(function, axis, x), x)


@recipe(np.apply_over_axes)
def _apply_over_axes(draw, f):
    return Case(lambda x: f(np.sum, x, [0, 2]), array(draw, dims=(3, 3)))


@recipe(np.lib.stride_tricks.sliding_window_view)
def _sliding_window_view(draw, f):
    options = draw(
        st.sampled_from([{"window_shape": (2, 2)}, {"window_shape": 2, "axis": 1}, {"window_shape": 3, "axis": 0}])
    )
    return Case(lambda x: f(x, **options), array(draw, (3, 4)))


# -- Sequences ---------------------------------------------------------------------------------------------------------


@recipe(np.diff)
def _diff(draw, f):
    x = array(draw, dims=(1, 2))
    n, axis = draw(st.integers(0, 2)), axis_of(draw, x)
    options = draw(st.sampled_from([{}, {"prepend": 0.5}, {"append": 1.0, "prepend": 2.0}]))
    return Case(lambda x: f(x, n=n, axis=axis, **options), x)


@recipe(np.ediff1d)
def _ediff1d(draw, f):
    options = draw(st.sampled_from([{}, {"to_begin": 1.0}, {"to_end": [1.0, 2.0]}]))
    return Case(lambda x: f(x, **options), array(draw, dims=(1, 2), sides=(1, 3), dtype=np.float64))


@recipe(np.gradient)
def _gradient(draw, f):
    x = array(draw, (4, 3))
    edge_order = draw(st.sampled_from([1, 2]))
    if draw(booleans):
        spacing = draw(st.sampled_from([(), (0.5,), (0.5, 2.0)]))
        return Case(lambda x: f(x, *spacing, edge_order=edge_order), x)
    places = np.array([0.0, 0.5, 2.0, 2.5], x.dtype)
    return Case(lambda x, t: f(x, t, axis=0, edge_order=edge_order), x, places)


@recipe(np.trapezoid)
def _trapezoid(draw, f):
    y = array(draw, (2, 3))
    if draw(booleans):
        axis = draw(st.sampled_from([0, 1]))
        return Case(lambda y: f(y, dx=0.5, axis=axis), y)
    return Case(lambda y, x: f(y, x), y, array(draw, draw(st.sampled_from([(3,), (2, 3)])), dtype=y.dtype))


@recipe(np.unwrap)
def _unwrap(draw, f):
    x = array(draw, (2, 3)) * 2 + np.array([0.0, 5.0, 11.0])
    x = np.round(x * 2) / 2 + 0.0625
    axis = draw(st.sampled_from([0, 1]))
    return Case(lambda x: f(x, axis=axis), x)


@recipe(np.convolve, np.correlate)
def _convolve(draw, f):
    dtype = draw(dtypes)
    mode = draw(st.sampled_from(["full", "same", "valid"]))
    a, b = (array(draw, (draw(st.integers(1, 4)),), dtype=dtype) for _ in range(2))
    return Case(lambda a, b: f(a, b, mode), a, b)


@recipe(np.bincount)
def _bincount(draw, f):
    places = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda v: np.array(v, np.int64)))
    return Case(lambda w: f(places, w, minlength=2), array(draw, places.shape))


@recipe(np.trim_zeros)
def _trim_zeros(draw, f):
    trim = draw(st.sampled_from(["fb", "f", "b"]))
    zeros = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    x = array(draw, (3,), away_from=0.0)
    return Case(lambda x: f(np.pad(x, zeros), trim), x)


@recipe(np.interp)
def _interp(draw, f):
    x = array(draw, low=-2.9, high=2.9, away_from=(-2.0, -0.5, 1.0, 2.0))
    places = np.array([-2.0, -0.5, 1.0, 2.0], x.dtype)
    values = array(draw, (4,), dtype=x.dtype)
    options = draw(st.sampled_from([{}, {"left": 0.5, "right": -1.0}, {"period": 6.5}]))
    return Case(lambda x, xp, fp: f(x, xp, fp, **options), x, places, values)


@recipe(np.linspace)
def _linspace(draw, f):
    a, b = group(draw, {}, {"low": 4.5, "high": 6.0})
    n, endpoint = draw(st.integers(0, 4)), draw(booleans)
    axis = draw(st.sampled_from([0, -1]))
    return Case(lambda a, b: f(a, b, n, endpoint=endpoint, axis=axis), a, b)


@recipe(np.logspace, np.geomspace)
def _logspace(draw, f):
    a, b = group(draw, {"low": 0.25, "high": 1.0}, {"low": 1.25, "high": 2.0})
    n = draw(st.integers(1, 4))
    return Case(lambda a, b: f(a, b, n), a, b)


@recipe(np.polyval)
def _polyval(draw, f):
    p = array(draw, dims=(1, 1))
    return Case(f, p, array(draw, dtype=p.dtype, low=-2.0, high=2.0))


@recipe(np.polyadd, np.polysub, np.polymul)
def _polynomials(draw, f):
    dtype = draw(dtypes)
    a, b = (array(draw, (draw(st.integers(1, 3)),), dtype=dtype, away_from=0.0) for _ in range(2))
    return Case(f, a, b)


@recipe(np.polydiv)
def _polydiv(draw, f):
    a, b = (array(draw, (draw(st.integers(1, 4)),), dtype=np.float64, away_from=0.0) for _ in range(2))
    return Case(lambda a, b: f(a, b)[0], a, b)


@recipe(np.polyder, np.polyint)
def _polyder(draw, f):
    m = draw(st.integers(0, 2))
    return Case(lambda p: f(p, m), array(draw, dims=(1, 1), sides=(1, 4), away_from=0.0))


@recipe(np.poly)
def _poly(draw, f):
    return Case(f, array(draw, dims=(1, 1)))


@recipe(np.vander)
def _vander(draw, f):
    options = {"increasing": draw(booleans), "N": draw(st.none() | st.integers(0, 3))}
    return Case(lambda x: f(x, **options), array(draw, dims=(1, 1), sides=(1, 3), low=-2.0, high=2.0))


@recipe(np.polyfit)
def _polyfit(draw, f):
    x = np.array([-1.5, -0.25, 0.5, 1.75])
    y = array(draw, draw(st.sampled_from([(4,), (4, 2)])), dtype=np.float64)
    w = draw(st.sampled_from([None, np.array([1.0, 2.0, 1.0, 0.5])]))
    deg = draw(st.integers(0, 2))
    return Case(lambda x, y: f(x, y, deg, w=w), x, y)


# -- Linear algebra: well-conditioned matrices -------------------------------------------------------------------------


def stack_of(draw: Any, m: int, n: int, **options: Any) -> Any:
    """Matrices of that shape, alone or in a stack."""
    outer = draw(st.sampled_from([(), (2,), (1, 2)] + [(0,)] * (options.pop("empty", True))))
    return array(draw, (*outer, m, n), low=-1.0, high=1.0, **options)


def regular(draw: Any, n: int | None = None, **options: Any) -> Any:
    """Square matrices whose diagonal dominates, with distinct eigenvalues and singular values."""
    n = draw(st.integers(1, 3)) if n is None else n
    x = stack_of(draw, n, n, **options)
    return lay(x / 4 + np.diag(np.arange(1, n + 1) * 2.0).astype(x.dtype), draw(st.sampled_from(LAYOUTS)))


def tall(draw: Any, m: int, n: int, **options: Any) -> Any:
    """Matrices of full rank with distinct singular values."""
    x = stack_of(draw, m, n, **options)
    return x / 4 + np.eye(m, n, dtype=x.dtype) * np.arange(1, n + 1, dtype=x.dtype) * 2


@recipe(np.linalg.inv, np.linalg.det, linalg.logabsdet, linalg.cofactors)
def _square(draw, f):
    return Case(f, regular(draw))


@recipe(np.linalg.det)
def _det_of_any(draw, f):
    """Singular matrices among them: entries are often equal or zero."""
    n = draw(st.integers(0, 3))
    return Case(f, np.round(stack_of(draw, n, n)))


@recipe(np.linalg.slogdet)
def _slogdet(draw, f):
    return Case(lambda x: f(x)[1], regular(draw))


@recipe(np.linalg.solve)
def _solve(draw, f):
    a = regular(draw)
    n = a.shape[-1]
    shape = draw(st.sampled_from([(n,), (n, 2), (*a.shape[:-2], n, 1)]))
    return Case(f, a, array(draw, shape, dtype=a.dtype))


@recipe(np.linalg.cholesky)
def _cholesky(draw, f):
    upper = {"upper": True} if draw(booleans) else {}
    return Case(lambda x: f(x, **upper), regular(draw))


@recipe(np.linalg.eigh, linalg.eigh_packed)
def _eigh(draw, f):
    """Eigenvectors have a sign of their own: the check sees their squares."""
    if f is linalg.eigh_packed:
        return Case(lambda x: np.square(f(x + x.mT, lower=True)), regular(draw))
    letter = draw(st.sampled_from("LU"))

    def of(x):
        values, vectors = f(x, letter)
        return values, vectors * vectors

    return Case(of, regular(draw))


@recipe(np.linalg.eigvalsh, np.linalg.svdvals)
def _values(draw, f):
    return Case(f, regular(draw) if f is np.linalg.eigvalsh else tall(draw, 3, 2))


@recipe(np.linalg.svd, linalg.svd_packed)
def _svd(draw, f):
    m, n = draw(st.sampled_from([(2, 2), (3, 2), (2, 3), (1, 1), (3, 1)]))
    x = tall(draw, m, n)
    if f is linalg.svd_packed:
        return Case(lambda x: np.square(f(x)), x)

    def of(x):
        u, s, vt = f(x, full_matrices=False)
        return u * u, s, vt * vt, np.matmul(u, vt)

    return Case(of, x)


@recipe(np.linalg.qr, linalg.qr_packed)
def _qr(draw, f):
    m, n = draw(st.sampled_from([(2, 2), (3, 2), (2, 3), (1, 1), (3, 1)]))
    if f is linalg.qr_packed:
        return Case(f, tall(draw, max(m, n), min(m, n), away_from=0.0))
    options = {"mode": "r"} if draw(booleans) else {}
    return Case(lambda x: f(x, **options), tall(draw, m, n, away_from=0.0))  # at 0 a column needs no reflection


@recipe(np.linalg.pinv)
def _pinv(draw, f):
    m, n = draw(st.sampled_from([(2, 2), (3, 2), (2, 3)]))
    return Case(f, tall(draw, m, n))


@recipe(np.linalg.lstsq)
def _lstsq(draw, f):
    m, n = draw(st.sampled_from([(2, 2), (3, 2), (2, 3)]))
    x = tall(draw, m, n, empty=False)
    x = x.reshape(-1, m, n)[0]
    b = array(draw, draw(st.sampled_from([(m,), (m, 2)])), dtype=x.dtype)
    return Case(lambda a, b: (lambda r: (r[0], r[1], r[3]))(f(a, b)), x, b)


@recipe(np.linalg.cond)
def _cond(draw, f):
    p = draw(st.sampled_from([None, 2, -2, "fro", 1]))
    return Case(lambda x: f(x, p), regular(draw, empty=False, away_from=0.0))


@recipe(np.linalg.matrix_power)
def _matrix_power(draw, f):
    n = draw(st.integers(-2, 4))
    return Case(lambda x: f(x, n), regular(draw, 2))


@recipe(np.linalg.multi_dot)
def _multi_dot(draw, f):
    dtype, n = draw(dtypes), draw(st.integers(2, 4))
    shapes = [(2, 3), (3, 1), (1, 4), (4, 2)][:n]
    shapes[0] = draw(st.sampled_from([shapes[0], shapes[0][1:]]))
    shapes[-1] = draw(st.sampled_from([shapes[-1], shapes[-1][:1]]))
    return Case(lambda *xs: f(xs), *(array(draw, shape, dtype=dtype) for shape in shapes))


@recipe(np.linalg.tensorinv)
def _tensorinv(draw, f):
    return Case(lambda x: f(x, ind=1), regular(draw, 4, empty=False).reshape(-1, 4, 2, 2)[0])


@recipe(np.linalg.tensorsolve)
def _tensorsolve(draw, f):
    a = regular(draw, 4, empty=False).reshape(-1, 2, 2, 2, 2)[0]
    return Case(f, a, array(draw, (2, 2), dtype=a.dtype))


@recipe(np.linalg.norm)
def _norm(draw, f):
    x = array(draw, (3, 2), away_from=0.0, distinct=True) + np.eye(3, 2, dtype=np.float32) * 8
    kind = draw(st.sampled_from(["all", "vector", "matrix"]))
    if kind == "all":
        return Case(f, x)
    keepdims = draw(booleans)
    if kind == "vector":
        order, axis = draw(st.sampled_from([None, 1, 2, 3, 0.5, np.inf, -np.inf])), draw(st.sampled_from([0, 1]))
    else:
        order, axis = (
            draw(st.sampled_from([None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])),
            draw(st.sampled_from([(0, 1), (1, 0)])),
        )
    return Case(lambda x: f(x, ord=order, axis=axis, keepdims=keepdims), x)


@recipe(np.linalg.vector_norm, np.linalg.matrix_norm)
def _norm_of(draw, f):
    vector = f is np.linalg.vector_norm
    order = draw(st.sampled_from([1, 2, 3, np.inf, -np.inf] if vector else ["fro", "nuc", 1, -1, 2, -2]))
    x = array(draw, (3, 2), away_from=0.0, distinct=True) + np.eye(3, 2, dtype=np.float32) * 8
    keepdims = draw(booleans)
    return Case(lambda x: f(x, ord=order, keepdims=keepdims), x)


# -- Networks ----------------------------------------------------------------------------------------------------------


@recipe(functional.softmax, functional.log_softmax, functional.logsumexp)
def _softmax(draw, f):
    x = array(draw, dims=(1, 3), sides=(1, 3))
    axis = axis_of(draw, x, none=f is functional.logsumexp)
    return Case(lambda x: f(x, axis=axis), x)


# -- Creation ----------------------------------------------------------------------------------------------------------


@recipe(np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray)
def _array_of(draw, f):
    shape, dtype = draw(st.sampled_from([(), (2,), (0,)])), draw(dtypes)
    a, b = array(draw, shape, dtype=dtype), array(draw, shape, dtype=dtype)
    return Case(lambda a, b: f([[a, b], [b, a]], like=a), a, b)


@recipe(np.require)
def _require(draw, f):
    return Case(lambda a: f(a, like=a), array(draw))


@recipe(np.full)
def _full(draw, f):
    return Case(lambda v: f((2, 3), v, like=v), array(draw, ()))


@recipe(np.full_like)
def _full_like(draw, f):
    x = array(draw)
    shape = draw(st.sampled_from([None, (2, 2)]))
    return Case(lambda x, v: f(x, v, shape=shape) + x[..., None, None].sum() * 0, x, array(draw, (), dtype=x.dtype))
