"""Recipes for functions of sequences: differences, interpolation, spaced numbers, polynomials."""

import numpy as np
from hypothesis import strategies as st

from microgradnp.check.strategies import dtypes
from recipes.drawing import Case, array, axis_of, booleans, group, recipe


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
