"""Recipes for functions that pick or replace elements by their places."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from microgradnp.check.strategies import dtypes
from microgradnp.engine import table
from microgradnp.functions.places import put, put_along_axis, scatter_along_axis, scatter_take
from recipes.drawing import Case, array, axis_of, recipe

INDICES = [
    0, -1, slice(None), slice(None, None, -1), slice(0, 0), (0, 1), (slice(1, 3), None, -1), (Ellipsis, 0), None, (),
    [0, 0, 2], (np.array([[0, 1], [1, 0]]), np.array([0, 3])), (slice(None), [1, 1]), np.array([True, False, True]),
    ([0, 2], slice(1, 2)), (0, slice(None, None, 2)), np.arange(12).reshape(3, 4) % 5 == 0, np.int64(1),
    (slice(None, None, 2), [0, 1], None),
]  # fmt: skip


@recipe(table.getitem)
def _getitem(draw, f):
    index = draw(st.sampled_from(INDICES))
    return Case(lambda x: x[index], array(draw, (3, 4)))


@recipe(table.scatter)
def _scatter(draw, f):
    index = draw(st.sampled_from(INDICES))
    x = array(draw, np.empty((3, 4))[index].shape)
    return Case(lambda g: table.scatter(g, index=index, shape=(3, 4)), x)


@recipe(table.setitem)
def _setitem(draw, f):
    index = draw(st.sampled_from(INDICES))
    shape = np.empty((3, 4))[index].shape
    value = array(draw, draw(st.sampled_from([shape, shape[-1:], ()])))
    return Case(lambda x, value: f(x, value, index=index), array(draw, (3, 4)), value)


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


@recipe(scatter_take)
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


@recipe(scatter_along_axis)
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
