"""Recipes for reductions, running reductions, statistics, and the methods of ufuncs."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from microgradnp.functions.ufuncs import FOLDABLE
from recipes.drawing import Case, array, axes_of, axis_of, booleans, numpy_has, recipe, spread
from recipes.elementwise import BINARY


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
