"""Places: NumPy's functions that choose elements, by index, by condition or by order, and put others in their place."""

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradnp.engine.dispatch import implements
from microgradnp.engine.rules import RULES, defvjp, primitive
from microgradnp.engine.state import current
from microgradnp.engine.table import scatter, setitem
from microgradnp.engine.tensor import Tensor, apply, constant, plain
from microgradnp.functions.common import detached, fixed, in_line, lift, shape_of, with_length

# mypy: allow-untyped-defs, allow-untyped-calls

# -- Rows --------------------------------------------------------------------------------------------------------------

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


# -- By index ----------------------------------------------------------------------------------------------------------


def _indices(indices):
    """Indices as an array, or as a Tensor that needs no gradient."""
    return detached(indices) if type(indices) is Tensor else np.asarray(indices)


def _numbers(indices):
    """Indices as whole numbers, which they are for NumPy: True is 1, and an empty list holds none."""
    indices = _indices(indices)
    return indices.astype(np.intp) if indices.dtype == np.bool or not indices.size else indices


def _inside(indices, n, mode, name):
    """Indices brought to 0, ..., n - 1 as a mode says."""
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"{name} takes mode 'raise', 'wrap' or 'clip'; got {mode!r}.")
    if mode == "raise":
        return indices
    return np.clip(indices, 0, n - 1) if mode == "clip" else np.remainder(indices, n)


@implements(np.take)
def take(a, indices, axis=None, *, mode="raise"):
    """Elements at integer places along an axis."""
    a, axis = in_line(a, axis)
    indices = _inside(_numbers(indices), a.shape[axis], mode, "np.take")
    return apply(RULES[np.take], (a, indices), {"axis": axis})


@implements(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    """Elements at integer places along an axis, other places for each row."""
    arr, axis = in_line(arr, axis)
    indices = _indices(indices)
    if np.ndim(indices) != arr.ndim:
        raise ValueError(
            f"np.take_along_axis: indices of shape {np.shape(indices)} for a Tensor of shape {arr.shape}: as many axes "
            "are needed."
        )
    return apply(RULES[np.take_along_axis], (arr, indices), {"axis": axis})


def put(t: Any, index: Any, value: Any) -> Any:
    """A copy of ``t`` in which ``t[index] = value``: the gradient goes to ``value`` there, and to ``t`` elsewhere.

    Parameters
    ----------
    t
        A Tensor or an array.
    index
        What stands between brackets: ints, slices, arrays of ints or booleans, or a tuple of them.
    value
        A Tensor, an array or a number that broadcasts to ``t[index]``. Where ``index`` names a place twice, the last
        value stays, as in NumPy.

    Returns
    -------
    Tensor
        Of the shape and dtype of ``t``.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.put(np.zeros(3), 1, 5.0).data
    array([0., 5., 0.])
    >>> mg.grad(lambda v: np.sum(mg.put(np.ones(3), [0, 2], v) ** 2))(np.array([2.0, 3.0]))
    array([4., 6.])
    """
    return setitem(lift(t), value, index=fixed(index, "the index of put"))


def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> Any:
    """A copy of ``arr`` with ``values`` at ``indices`` along an axis: `numpy.put_along_axis` as a function.

    The gradient goes to ``values`` there, and to ``arr`` elsewhere.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.put_along_axis(np.zeros((2, 2)), np.array([[0], [1]]), 5.0, axis=1).data
    array([[5., 0.],
           [0., 5.]])
    """
    arr = lift(arr)
    if axis is None:
        return np.reshape(put_along_axis(np.ravel(arr), indices, values, 0), arr.shape)
    places, shape = constant(_slots, (detached(indices),), {"shape": arr.shape, "axis": axis})
    values = np.ravel(np.broadcast_to(lift(values).astype(arr.dtype), shape))
    if not values.size:
        return arr.copy()
    return np.where(places >= 0, np.take(values, np.maximum(places, 0)), arr)


def _slots(indices, shape, axis):
    """For each place of an array the number of the value put there, or -1; and the shape of the values."""
    places = np.full(shape, -1)
    values = np.take_along_axis(places, indices, axis).shape
    np.put_along_axis(places, indices, np.arange(math.prod(values)).reshape(values), axis)
    return places, values


@implements(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    """Counts of whole numbers, or for each the sum of its weights."""
    x = np.asarray(fixed(x, "the numbers that np.bincount counts"))
    x = x.astype(np.intp) if x.dtype == np.bool else x
    counts = np.bincount(x, minlength=minlength)
    if weights is None:
        return counts
    weights = lift(weights).astype(np.float64)
    if weights.shape != x.shape:
        raise ValueError(f"np.bincount: weights of shape {weights.shape} for numbers of shape {x.shape}.")
    return apply(RULES[scatter_take], (weights, x), {"axis": 0, "length": len(counts)})


@implements(np.sort)
def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    """In ascending order."""
    a, axis = in_line(a, axis)
    places = constant(np.argsort, (a,), {"axis": axis, "kind": kind, "order": order, "stable": stable})
    return np.take_along_axis(a, places, axis)


@implements(np.partition)
def partition(a, kth, axis=-1, kind="introselect", order=None):
    """So ordered that the element ``kth`` stands where sorting would put it, the smaller before it."""
    a, axis = in_line(a, axis)
    places = constant(np.argpartition, (a, kth), {"axis": axis, "kind": kind, "order": order})
    return np.take_along_axis(a, places, axis)


@implements(np.compress)
def compress(condition, a, axis=None):
    """The slices along an axis for which the condition holds."""
    places = np.flatnonzero(fixed(condition, "the condition of np.compress"))
    return np.take(lift(a), places, axis=axis)


@implements(np.delete)
def delete(arr, obj, axis=None):
    """Without the slices at some places along an axis."""
    arr, axis = in_line(arr, axis)
    return np.take(arr, np.delete(np.arange(arr.shape[axis]), fixed(obj, "the places of np.delete")), axis=axis)


@implements(np.insert)
def insert(arr, obj, values, axis=None):
    """With values put in before some places along an axis."""
    arr, axis = in_line(arr, axis)
    values, n = lift(values), arr.shape[axis]
    obj = fixed(obj, "the places of np.insert")
    values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
    if isinstance(obj, slice):
        count = len(range(*obj.indices(n)))
    elif np.ndim(obj) == 0:
        values = np.moveaxis(values, 0, axis)
        count = 1
    else:
        count = int(np.count_nonzero(obj)) if np.asarray(obj).dtype == np.bool else np.size(obj)
    count = values.shape[axis] if count == 1 else count
    values = np.broadcast_to(values.astype(arr.dtype), with_length(arr.shape, axis, count))
    order = np.insert(np.arange(n), obj, n + np.arange(count))
    return np.take(np.concatenate((arr, values), axis=axis), order, axis=axis)


@implements(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    """The diagonal of each matrix, as the last axis."""
    a = np.moveaxis(lift(a), (axis1, axis2), (-2, -1))
    m, n = a.shape[-2:]
    i = np.arange(max(0, min(m, n - offset) if offset >= 0 else min(m + offset, n))) - min(offset, 0)
    return a[..., i, i + offset]


@implements(np.trace)
def trace(a, offset=0, axis1=0, axis2=1, dtype=None):
    """The sum of the diagonal of each matrix."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@implements(np.diag)
def diag(v, k=0):
    """The diagonal of a matrix, or a matrix of that diagonal."""
    if v.ndim == 1:
        n = len(v) + abs(k)
        i = np.arange(len(v)) + max(0, -k)
        return scatter(v, index=(i, i + k), shape=(n, n))
    if v.ndim != 2:
        raise ValueError(
            f"np.diag takes one or two axes; got shape {v.shape}. For a stack of matrices use np.diagonal."
        )
    return np.diagonal(v, k)


implements(np.diagflat)(lambda v, k=0: np.diag(np.ravel(v), k))


@implements(np.apply_along_axis)
def apply_along_axis(func1d, axis, arr, *args, **kwargs):
    """A function of one row applied to each along an axis."""
    axis = normalize_axis_index(axis, arr.ndim)
    arr = np.moveaxis(arr, axis, -1)
    outer_shape = arr.shape[:-1]
    rows = [func1d(arr[index], *args, **kwargs) for index in np.ndindex(outer_shape)]
    if not rows:
        raise ValueError(f"np.apply_along_axis: shape {arr.shape} holds no row to apply the function to.")
    shape = np.shape(rows[0])
    y = np.reshape(np.stack([lift(row) for row in rows]), outer_shape + shape)
    return np.moveaxis(y, range(len(outer_shape), y.ndim), range(axis, axis + len(shape)))


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False):
    """All windows of a shape, as new last axes."""
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    windows = shape_of(window_shape)
    if len(windows) != len(axes):
        raise ValueError(f"sliding_window_view of shape {x.shape}: {len(windows)} window lengths for {len(axes)} axes.")
    for width, i in zip(windows, axes, strict=True):
        n = x.shape[i] - width + 1
        if n < 1 or width < 0:
            raise ValueError(f"sliding_window_view: a window of {width} does not fit an axis of length {x.shape[i]}.")
        x = np.moveaxis(np.take(x, np.arange(n)[:, None] + np.arange(width), axis=i), i + 1, -1)
    return x


# -- By condition ------------------------------------------------------------------------------------------------------


def _common(choices):
    """The dtype of a choice between arrays and Python numbers, which do not decide it."""
    return np.result_type(*(c if type(c) in (int, float, bool) else lift(c).dtype for c in choices))


@implements(np.choose)
def choose(a, choices, *, mode="raise"):
    """From several arrays, at each place the one with that number."""
    dtype = _common(choices)
    choices = [lift(c).astype(dtype, copy=False) for c in choices]
    a = _inside(_numbers(a), len(choices), mode, "np.choose")
    if not current().machine.traces and np.any(a < 0):
        raise ValueError(f"np.choose: {np.min(plain(a))} is no number of a choice; they count from 0.")
    shape = np.broadcast_shapes(np.shape(a), *(c.shape for c in choices))
    stacked = np.stack([np.broadcast_to(c, shape) for c in choices])
    return np.take_along_axis(stacked, np.broadcast_to(a, shape)[np.newaxis], axis=0)[0]


@implements(np.select)
def select(condlist, choicelist, default=0):
    """The first choice whose condition holds."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            f"np.select needs as many conditions as choices, at least one; got {len(condlist)} and {len(choicelist)}."
        )
    y = lift(default).astype(_common([*choicelist, default]))
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        y = np.where(condition, choice, y)
    return lift(y)
