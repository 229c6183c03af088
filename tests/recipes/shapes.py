"""Recipes for functions that give elements another place or shape, join, split, pad or make arrays."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from microgradnp.check.strategies import dtypes
from recipes.drawing import Case, array, axes_of, axis_of, booleans, group, numpy_has, recipe


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


@recipe(np.ix_)
def _ix(draw, f):
    xs = [array(draw, dims=(1, 1), sides=(1, 3), dtype=np.float64) for _ in range(draw(st.integers(1, 3)))]
    return Case(f, *xs)


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
