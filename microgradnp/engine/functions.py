"""NumPy's functions on Tensors: each brought to the form of its row, or composed of other rows.

A composition needs no derivative rule, works to any order, and is recorded as the calls that it is made of. Each
function here has NumPy's signature, less what has no meaning for a Tensor (``out=``). Here stand the functions about
arithmetic, shape and place; ``statistics.py``, ``sequences.py`` and ``linalg.py`` hold the other families.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy._core import umath
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradnp.engine.rules import RULES, name_of, scatter
from microgradnp.engine.tensor import (
    FUNCTIONS,
    Axis,
    Tensor,
    _no_python_value,
    _state,
    apply,
    constant,
    constant_array,
    implements,
    plain,
    tensors_in,
    wrap,
)

# mypy: allow-untyped-defs, allow-untyped-calls


def lift(x: Any) -> Any:
    """Any operand as a Tensor."""
    return x if type(x) is Tensor else wrap(np.asarray(constant_array(x)))


def stop_gradient(x: Any) -> Any:
    """The value of ``x`` as a constant: no gradient flows through."""
    return x.detach() if type(x) is Tensor and x._tracked else x


def fixed(x: Any, what: str) -> Any:
    """An argument that must be known beforehand (a place, a count): its plain value, or an error that says why not."""
    for t in tensors_in(x):
        if t._tracked:
            raise TypeError(f"{what} has no derivative here; pass it as a plain number or array (t.data).")
        if _state().tracer is not None:
            _no_python_value(what)
    return plain(x)


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...] | None:
    """A reduction's axes as the rows want them: None, or non-negative ints."""
    if axis is None:
        return None
    if type(axis) is int and -ndim <= axis < ndim:  # the short way: 0.1 us instead of 1.5
        return (axis % ndim,)
    return normalize_axis_tuple(axis, ndim)


# -- Reductions --------------------------------------------------------------------------------------------------------


def _reduction(
    function: Callable[..., Any], combine: np.ufunc, neutral: float | None, *also: Callable[..., Any]
) -> None:
    """Register a reduction that has a row; what ``where=`` leaves out counts as ``neutral``, or as ``initial``."""
    rule = RULES[function]

    def reduce(a, axis=None, dtype=None, *, keepdims=False, initial=None, where=True):
        a = lift(a) if dtype is None else lift(a).astype(dtype)
        options: dict[str, Any] = {"axis": axes_of(axis, a.ndim), "keepdims": bool(keepdims)}
        if where is not True:
            fill = initial if neutral is None else neutral
            if fill is None:
                raise ValueError(
                    f"{name_of(function)} with where= needs initial= too: the result where nothing is chosen."
                )
            a = np.where(where, a, fill)
        if initial is None:
            return apply(rule, (a,), options)
        if not a.size and neutral is None:
            return np.broadcast_to(lift(initial).astype(a.dtype), np.any(np.empty(a.shape), **options).shape)
        return combine(apply(rule, (a,), options), initial)

    if neutral is None:  # np.max and np.min take no dtype

        @implements(function, *also)
        def extreme(a, axis=None, *, keepdims=False, initial=None, where=True):
            return reduce(a, axis, None, keepdims=keepdims, initial=initial, where=where)

    else:
        implements(function, *also)(reduce)

    @implements(combine.reduce)
    def ufunc_reduce(array, axis=0, dtype=None, *, keepdims=False, initial=None, where=True):
        return reduce(array, axis, dtype, keepdims=keepdims, initial=initial, where=where)


_reduction(np.sum, np.add, 0)
_reduction(np.prod, np.multiply, 1)
_reduction(np.max, np.maximum, None, np.amax)
_reduction(np.min, np.minimum, None, np.amin)


@implements(np.mean)
def mean(a, axis=None, dtype=None, *, keepdims=False, where=True):
    """Mean, over the chosen elements where ``where`` is given."""
    a = lift(a) if dtype is None else lift(a).astype(dtype)
    if where is not True:
        chosen = np.broadcast_to(lift(where).astype(a.dtype), a.shape)
        return np.sum(np.where(where, a, 0), axis=axis, keepdims=keepdims) / np.sum(
            chosen, axis=axis, keepdims=keepdims
        )
    return apply(RULES[np.mean], (a,), {"axis": axes_of(axis, a.ndim), "keepdims": bool(keepdims)})


@implements(np.cumsum)
def cumsum(a, axis=None, dtype=None):
    """Running sum."""
    return _running(np.cumsum, a, axis, dtype)


@implements(np.cumprod)
def cumprod(a, axis=None, dtype=None):
    """Running product."""
    return _running(np.cumprod, a, axis, dtype)


def _running(function, a, axis, dtype):
    a = lift(a) if dtype is None else lift(a).astype(dtype)
    if axis is None:
        a, axis = a.ravel(), 0
    return apply(RULES[function], (a,), {"axis": normalize_axis_index(axis, a.ndim)})


# -- The methods of ufuncs ---------------------------------------------------------------------------------------------

ASSOCIATIVE = (np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2, np.hypot)


def fold(ufunc, a):
    """``ufunc.reduce`` along the first axis: by halving where the order does not matter, else one by one."""
    if ufunc not in ASSOCIATIVE:
        y = a[0]
        for i in range(1, len(a)):
            y = ufunc(y, a[i])
        return y
    while len(a) > 1:
        half = len(a) // 2
        pairs = ufunc(a[:half], a[half : 2 * half])
        a = np.concatenate((pairs, a[2 * half :])) if len(a) % 2 else pairs
    return a[0]


def scan(ufunc, a):
    """``ufunc.accumulate`` along the first axis: by doubling where the order does not matter, else one by one."""
    if ufunc not in ASSOCIATIVE:
        parts = [a[i] for i in range(len(a))]
        for i in range(1, len(parts)):
            parts[i] = ufunc(parts[i - 1], parts[i])
        return np.stack(parts) if parts else a
    step = 1
    while step < len(a):
        a = np.concatenate((a[:step], ufunc(a[:-step], a[step:])))
        step *= 2
    return a


def _ufunc_methods(ufunc: np.ufunc) -> None:
    def reduce(array, axis=0, *, keepdims=False, initial=None):
        a = lift(array)
        axes = axes_of(axis, a.ndim)
        axes = tuple(range(a.ndim)) if axes is None else axes
        shape = np.any(np.empty(a.shape), axis=axes, keepdims=keepdims).shape
        a = np.moveaxis(a, axes, range(len(axes)))
        a = np.reshape(a, (math.prod(a.shape[: len(axes)]), *a.shape[len(axes) :]))
        initial = ufunc.identity if initial is None and not len(a) else initial
        if initial is not None:
            a = np.concatenate((np.broadcast_to(lift(initial).astype(a.dtype), (1, *a.shape[1:])), a))
        if not len(a):
            raise ValueError(
                f"{name_of(ufunc)}.reduce of an empty axis needs initial=: {name_of(ufunc)} has no identity."
            )
        return np.reshape(fold(ufunc, a), shape)

    def accumulate(array, axis=0):
        a = lift(array)
        axis = normalize_axis_index(axis, a.ndim)
        return np.moveaxis(scan(ufunc, np.moveaxis(a, axis, 0)), 0, axis)

    def outer(A, B, /):
        a, b = lift(A), lift(B)
        return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b)

    def reduceat(array, indices, axis=0):
        a = lift(array)
        axis = normalize_axis_index(axis, a.ndim)
        a = np.moveaxis(a, axis, 0)
        starts = np.asarray(fixed(indices, f"the indices of {name_of(ufunc)}.reduceat")).tolist()
        ends = [*starts[1:], len(a)]
        parts = [ufunc.reduce(a[i : max(j, i + 1)], axis=0) for i, j in zip(starts, ends, strict=True)]
        return np.stack(parts, axis=axis)

    foldable = ufunc in ASSOCIATIVE or ufunc in (np.subtract, np.divide)
    for method in (reduce, accumulate, reduceat, outer) if foldable else (outer,):
        FUNCTIONS.setdefault(getattr(ufunc, method.__name__), method)


FUNCTIONS[np.add.accumulate] = lambda array, axis=0, dtype=None: np.cumsum(array, axis=axis, dtype=dtype)
FUNCTIONS[np.multiply.accumulate] = lambda array, axis=0, dtype=None: np.cumprod(array, axis=axis, dtype=dtype)
for _ufunc in [f for f in RULES if isinstance(f, np.ufunc) and f.nin == 2 and f.signature is None]:
    _ufunc_methods(_ufunc)


# -- Elementwise -------------------------------------------------------------------------------------------------------


@implements(np.where)
def where(condition, x=None, y=None, /):
    """Choose by a condition, which is a constant: what is not chosen gets no gradient."""
    if x is None or y is None:
        raise TypeError(
            "np.where(condition) alone gives indices; on a Tensor use np.nonzero(condition), a plain result."
        )
    return apply(RULES[np.where], (stop_gradient(condition), x, y))


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
    whole = constant(np.trunc, (x,), {})
    return np.copysign(np.where(np.isinf(x), 0, x - np.where(np.isinf(x), 0, whole)), stop_gradient(x)), whole


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
    x = np.where(np.isnan(x), nan, x)
    x = np.where(np.isposinf(x), float(limits.max) if posinf is None else posinf, x)
    return np.where(np.isneginf(x), float(limits.min) if neginf is None else neginf, x)


@implements(np.real, np.real_if_close)
def real(val, tol=100):
    """The Tensor itself: its data are real."""
    return lift(val)


@implements(np.copy)
def copy(a, order="K", subok=False):
    """A new node of the same value."""
    return lift(a).copy()


if hasattr(np, "astype"):

    @implements(np.astype)
    def astype(x, dtype, /, *, copy=True, device=None):
        """Cast; see `Tensor.astype`."""
        return lift(x).astype(dtype)


@implements(np.choose)
def choose(a, choices, mode="raise"):
    """From several arrays, at each place the one with that number."""
    choices = [lift(c) for c in choices]
    a = stop_gradient(a)
    n = len(choices)
    if mode == "clip":
        a = np.clip(a, 0, n - 1)
    elif mode == "wrap":
        a = np.remainder(a, n)
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
    y = default
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        y = np.where(condition, choice, y)
    return lift(y)


@implements(np.piecewise)
def piecewise(x, condlist, funclist, *args, **kw):
    """A function by cases, each called on the elements where its condition holds."""
    x = lift(x)
    if np.ndim(condlist) == 0 or (np.ndim(condlist[0]) == 0 and x.ndim):
        condlist = [condlist]
    conditions = [
        np.broadcast_to(np.asarray(fixed(c, "a condition of np.piecewise"), np.bool), x.shape) for c in condlist
    ]
    if len(funclist) == len(conditions) + 1:
        conditions.append(~np.any(conditions, axis=0))
    if len(funclist) != len(conditions):
        raise ValueError(
            f"np.piecewise of {len(conditions)} conditions takes as many functions or one more; got {len(funclist)}."
        )
    y = wrap(np.zeros(x.shape, x.dtype))
    for condition, function in zip(conditions, funclist, strict=True):
        y = put(y, condition, function(x[condition], *args, **kw) if callable(function) else function)
    return y


# -- Shape -------------------------------------------------------------------------------------------------------------


@implements(np.reshape)
def reshape(a, /, shape, order="C", *, copy=None):
    """Another shape, the elements in C or in Fortran order."""
    if order != "C":
        if order != "F":
            raise ValueError(f"np.reshape of a Tensor takes order 'C' or 'F'; got {order!r}.")
        return np.transpose(np.reshape(np.transpose(a), shape_of(shape)[::-1]))
    a = lift(a)
    shape = shape_of(shape)
    if -1 in shape:
        shape = np.empty(a.shape, np.bool).reshape(shape).shape
    return apply(RULES[np.reshape], (a,), {"shape": shape})


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of ints."""
    return tuple(map(int, shape)) if np.iterable(shape) else (int(shape),)


@implements(np.ravel)
def ravel(a, order="C"):
    """One axis."""
    return np.reshape(a, (-1,), order=order)


@implements(np.transpose, *filter(None, [getattr(np, "permute_dims", None)]))
def transpose(a, axes=None):
    """Axes in another order."""
    a = lift(a)
    axes = tuple(range(a.ndim))[::-1] if axes is None else normalize_axis_tuple(axes, a.ndim)
    if len(axes) != a.ndim:
        raise ValueError(
            f"np.transpose with axes {axes} for a Tensor of shape {a.shape}: name each of its {a.ndim} axes once."
        )
    return apply(RULES[np.transpose], (a,), {"axes": axes})


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x, /):
    """The last two axes exchanged."""
    return np.swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a, axis1, axis2):
    """Two axes exchanged."""
    order = list(range(a.ndim))
    i, j = normalize_axis_index(axis1, a.ndim), normalize_axis_index(axis2, a.ndim)
    order[i], order[j] = order[j], order[i]
    return np.transpose(a, order)


@implements(np.moveaxis)
def moveaxis(a, source, destination):
    """Axes moved elsewhere, the others in their order."""
    source, destination = normalize_axis_tuple(source, a.ndim), normalize_axis_tuple(destination, a.ndim)
    order = [i for i in range(a.ndim) if i not in source]
    for to, axis in sorted(zip(destination, source, strict=True)):
        order.insert(to, axis)
    return np.transpose(a, order)


@implements(np.rollaxis)
def rollaxis(a, axis, start=0):
    """One axis moved to stand before another."""
    axis = normalize_axis_index(axis, a.ndim)
    start = normalize_axis_index(start + a.ndim if start < 0 else start, a.ndim + 1)
    return np.moveaxis(a, axis, start - (axis < start))


@implements(np.expand_dims)
def expand_dims(a, axis):
    """New axes of length 1."""
    axis = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = a.ndim + len(axis)
    new = normalize_axis_tuple(axis, ndim)
    lengths = iter(a.shape)
    return np.reshape(a, tuple(1 if i in new else next(lengths) for i in range(ndim)))


@implements(np.squeeze)
def squeeze(a, axis=None):
    """Axes of length 1 left out."""
    gone = tuple(i for i, n in enumerate(a.shape) if n == 1) if axis is None else normalize_axis_tuple(axis, a.ndim)
    if any(a.shape[i] != 1 for i in gone):
        raise ValueError(
            f"np.squeeze of axis {axis} of a Tensor of shape {a.shape}: only an axis of length 1 can be left out."
        )
    return np.reshape(a, tuple(n for i, n in enumerate(a.shape) if i not in gone))


@implements(np.broadcast_to)
def broadcast_to(array, shape):
    """Stretched to a shape."""
    return apply(RULES[np.broadcast_to], (lift(array),), {"shape": shape_of(shape)})


@implements(np.broadcast_arrays)
def broadcast_arrays(*args, subok=False):
    """Stretched to a common shape."""
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(np.broadcast_to(lift(a), shape) for a in args)


@implements(np.meshgrid)
def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    """Coordinate grids."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"np.meshgrid takes indexing 'xy' or 'ij'; got {indexing!r}.")
    n = len(xi)
    grids = [np.reshape(lift(x), (1,) * i + (-1,) + (1,) * (n - 1 - i)) for i, x in enumerate(xi)]
    if indexing == "xy" and n > 1:
        grids = [np.swapaxes(g, 0, 1) for g in grids]
    return tuple(grids) if sparse else np.broadcast_arrays(*grids)


def _at_least(function, ndim, fill):
    @implements(function)
    def atleast(*arys):
        out = tuple(a if a.ndim >= ndim else np.reshape(a, fill(a.shape)) for a in map(lift, arys))
        return out[0] if len(out) == 1 else out


_at_least(np.atleast_1d, 1, lambda shape: (1,))
_at_least(np.atleast_2d, 2, lambda shape: (1,) * (2 - len(shape)) + shape)
_at_least(np.atleast_3d, 3, lambda shape: ((1, *shape, 1) if len(shape) < 2 else (*shape, 1)) if shape else (1, 1, 1))


@implements(np.resize)
def resize(a, new_shape):
    """Another shape and size, repeating the elements as often as needed."""
    a, shape = np.ravel(a), shape_of(new_shape)
    if not a.size:
        return wrap(np.zeros(shape, a.dtype))
    return np.reshape(np.take(a, np.arange(math.prod(shape)) % a.size), shape)


# -- Joining and splitting ---------------------------------------------------------------------------------------------


_AT_ONCE = 64


@implements(np.concatenate, *filter(None, [getattr(np, "concat", None)]))
def concatenate(arrays, /, axis=0, *, dtype=None, casting="same_kind"):
    """Join along an axis."""
    arrays = tuple(lift(a) for a in arrays)
    if axis is None:
        arrays, axis = tuple(a.ravel() for a in arrays), 0
    if not arrays or not arrays[0].ndim:
        raise ValueError(
            f"np.concatenate needs at least one Tensor of at least one axis; got {[a.shape for a in arrays]}."
        )
    axis = normalize_axis_index(axis, arrays[0].ndim)
    while len(arrays) > _AT_ONCE:  # a rule sees all its arguments: n of them at once would cost n**2 going backward
        groups = (arrays[i : i + _AT_ONCE] for i in range(0, len(arrays), _AT_ONCE))
        arrays = tuple(apply(RULES[np.concatenate], group, {"axis": axis}) for group in groups)
    out = apply(RULES[np.concatenate], arrays, {"axis": axis})
    return out if dtype is None else out.astype(dtype)


@implements(np.stack)
def stack(arrays, axis=0, *, dtype=None, casting="same_kind"):
    """Join along a new axis."""
    arrays = tuple(lift(a) for a in arrays)
    if len({a.shape for a in arrays}) != 1:
        raise ValueError(
            f"np.stack needs at least one Tensor, all of one shape; got shapes {[a.shape for a in arrays]}."
        )
    axis = normalize_axis_index(axis, arrays[0].ndim + 1)
    shape = arrays[0].shape
    one = {"shape": (*shape[:axis], 1, *shape[axis:])}
    return concatenate([apply(RULES[np.reshape], (a,), one) for a in arrays], axis, dtype=dtype)


@implements(np.hstack)
def hstack(tup, *, dtype=None, casting="same_kind"):
    """Join side by side."""
    arrays = [np.atleast_1d(lift(a)) for a in tup]
    return np.concatenate(arrays, axis=0 if arrays and arrays[0].ndim == 1 else 1, dtype=dtype)


@implements(np.vstack)
def vstack(tup, *, dtype=None, casting="same_kind"):
    """Join one below the other."""
    return np.concatenate([np.atleast_2d(lift(a)) for a in tup], axis=0, dtype=dtype)


@implements(np.dstack)
def dstack(tup):
    """Join along the third axis."""
    return np.concatenate([np.atleast_3d(lift(a)) for a in tup], axis=2)


@implements(np.column_stack)
def column_stack(tup):
    """Join vectors as the columns of a matrix."""
    arrays = [lift(a) for a in tup]
    return np.concatenate([a if a.ndim > 1 else np.reshape(a, (-1, 1)) for a in arrays], axis=1)


@implements(np.append)
def append(arr, values, axis=None):
    """Join at the end."""
    return np.concatenate((lift(arr), lift(values)), axis=axis)


@implements(np.block)
def block(arrays):
    """Join a nested list of blocks: the innermost lists along the last axis, and so on outwards."""

    def depth_of(part):
        return 1 + max(map(depth_of, part)) if isinstance(part, list) else 0

    def widest(part):
        return max(map(widest, part)) if isinstance(part, list) else np.ndim(part)

    depth = depth_of(arrays)
    ndim = max(depth, widest(arrays))

    def join(part, axis):
        if isinstance(part, list):
            return np.concatenate([join(each, axis + 1) for each in part], axis=axis)
        part = lift(part)
        return np.reshape(part, (1,) * (ndim - part.ndim) + part.shape)

    return join(arrays, ndim - depth)


@implements(np.array_split)
def array_split(ary, indices_or_sections, axis=0):
    """Cut into parts, as views of plain slices."""
    ary = lift(ary)
    axis = normalize_axis_index(axis, ary.ndim)
    n = ary.shape[axis]
    places = fixed(indices_or_sections, "the places at which np.array_split cuts")
    if np.ndim(places):
        cuts = [0, *map(int, places), n]
    else:
        if places <= 0:
            raise ValueError(f"np.array_split into {places} parts: it takes at least 1.")
        each, more = divmod(n, int(places))
        cuts = np.cumsum([0] + [each + 1] * more + [each] * (int(places) - more)).tolist()
    return [ary[(slice(None),) * axis + (slice(a, b),)] for a, b in pairwise(cuts)]


@implements(np.split)
def split(ary, indices_or_sections, axis=0):
    """Cut into equal parts, or at given places."""
    n = ary.shape[axis]
    if not np.ndim(indices_or_sections) and n % indices_or_sections:
        raise ValueError(
            f"np.split into {indices_or_sections} equal parts of an axis of length {n}; use np.array_split."
        )
    return np.array_split(ary, indices_or_sections, axis)


implements(np.hsplit)(lambda ary, indices_or_sections: np.split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1))
implements(np.vsplit)(lambda ary, indices_or_sections: np.split(ary, indices_or_sections, 0))
implements(np.dsplit)(lambda ary, indices_or_sections: np.split(ary, indices_or_sections, 2))

if hasattr(np, "unstack"):

    @implements(np.unstack)
    def unstack(x, /, *, axis=0):
        """The parts along an axis."""
        return tuple(np.moveaxis(x, axis, 0))


@implements(np.flip)
def flip(m, axis=None):
    """The other way round along some axes: a view."""
    axes = range(m.ndim) if axis is None else normalize_axis_tuple(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(m.ndim))]


implements(np.fliplr)(lambda m: np.flip(m, 1))
implements(np.flipud)(lambda m: np.flip(m, 0))


@implements(np.rot90)
def rot90(m, k=1, axes=(0, 1)):
    """Turned by right angles in a plane of two axes."""
    i, j = normalize_axis_tuple(axes, m.ndim)
    if k % 4 == 0:
        return m
    if k % 4 == 2:
        return np.flip(m, (i, j))
    return np.swapaxes(np.flip(m, j), i, j) if k % 4 == 1 else np.flip(np.swapaxes(m, i, j), j)


@implements(np.roll)
def roll(a, shift, axis=None):
    """Moved along axes, what leaves at one end entering at the other."""
    a = lift(a)
    if axis is None:
        return np.reshape(np.roll(np.ravel(a), shift, 0), a.shape)
    shifts, axes = np.broadcast_arrays(shift, axis)
    order = normalize_axis_tuple(axes.ravel().tolist(), a.ndim, allow_duplicate=True)
    for s, i in zip(shifts.ravel().tolist(), order, strict=True):
        if n := a.shape[i]:
            before = (slice(None),) * i
            a = np.concatenate((a[(*before, slice(n - s % n, None))], a[(*before, slice(None, n - s % n))]), axis=i)
    return a


@implements(np.repeat)
def repeat(a, repeats, axis=None):
    """Each element several times."""
    a = lift(a)
    repeats = fixed(repeats, "the repeats of np.repeat")
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    before, n, after = a.shape[:axis], a.shape[axis], a.shape[axis + 1 :]
    if np.size(repeats) != 1:
        return np.take(a, np.repeat(np.arange(n), repeats), axis=axis)
    r = int(np.reshape(repeats, ()))
    if r < 0:
        raise ValueError(f"np.repeat: repeats may not be negative; got {r}.")
    stretched = np.broadcast_to(np.reshape(a, (*before, n, 1, *after)), (*before, n, r, *after))
    return np.reshape(stretched, (*before, n * r, *after))


@implements(np.tile)
def tile(A, reps):
    """The whole several times along each axis."""
    A = lift(A)
    reps = shape_of(fixed(reps, "the repetitions of np.tile"))
    ndim = max(A.ndim, len(reps))
    shape = (1,) * (ndim - A.ndim) + A.shape
    reps = (1,) * (ndim - len(reps)) + reps
    pairs = tuple(n for i in range(ndim) for n in (1, shape[i]))
    stretched = tuple(n for i in range(ndim) for n in (reps[i], shape[i]))
    whole = tuple(r * n for r, n in zip(reps, shape, strict=True))
    return np.reshape(np.broadcast_to(np.reshape(A, pairs), stretched), whole)


@implements(np.pad)
def pad(array, pad_width, mode="constant", **options):
    """Enlarged at the ends of the axes, in every mode of NumPy's but "empty" and a function of one's own."""
    a = lift(array)
    if isinstance(pad_width, dict):
        given = {normalize_axis_index(i, a.ndim): n for i, n in pad_width.items()}
        pad_width = [np.broadcast_to(given.get(i, 0), 2) for i in range(a.ndim)]
    widths = np.broadcast_to(np.asarray(fixed(pad_width, "the pad_width of np.pad")), (a.ndim, 2)).tolist()
    if any(n < 0 for pair in widths for n in pair):
        raise ValueError(f"np.pad: widths may not be negative; got {widths}.")
    constants = options.pop("constant_values", 0) if mode == "constant" else None
    if mode == "constant" and not any(True for _ in tensors_in(constants)) and not np.any(constants) and not options:
        index = tuple(slice(before, before + n) for (before, _), n in zip(widths, a.shape, strict=True))
        whole = tuple(before + n + after for (before, after), n in zip(widths, a.shape, strict=True))
        return scatter(a, index=index, shape=whole)
    each = {key: _per_axis(value, a.ndim) for key, value in options.items() if key in ("stat_length", "end_values")}
    rest = {key: value for key, value in options.items() if key not in each}
    for axis in range(a.ndim):
        before, after = widths[axis]
        own = {key: value[axis] for key, value in each.items()} | rest
        if mode == "constant":
            low, high = _per_axis(constants, a.ndim)[axis]
            _only(own, mode)
            a = _joined(a, axis, before, after, low, high)
        elif mode in ("maximum", "minimum", "mean", "median"):
            low, high = own.pop("stat_length", (None, None))
            _only(own, mode)
            n = a.shape[axis]
            statistic: Any = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}[mode]
            first = np.take(a, np.arange(n if low is None else min(low, n)), axis=axis)
            last = np.take(a, np.arange(0 if high is None else max(n - high, 0), n), axis=axis)
            a = _joined(a, axis, before, after, *(statistic(part, axis=axis, keepdims=True) for part in (first, last)))
        elif mode in ("edge", "wrap") or (mode in ("reflect", "symmetric") and own.get("reflect_type") != "odd"):
            a = np.take(a, np.pad(np.arange(a.shape[axis]), (before, after), mode, **own), axis=axis)
        elif mode in ("linear_ramp", "reflect", "symmetric"):  # linear in the elements: NumPy pads the unit vectors
            n = a.shape[axis]
            ends = own.pop("end_values", (0, 0))
            own |= {"end_values": ((0, 0), (0, 0))} if mode == "linear_ramp" else {}
            matrix = np.pad(np.eye(n), ((before, after), (0, 0)), mode, **own).astype(a.dtype)
            a = np.moveaxis(np.tensordot(matrix, a, (1, axis)), 0, axis)
            if mode == "linear_ramp":
                ramp = np.pad(np.zeros(n), (before, after), mode, end_values=tuple(ends)).astype(a.dtype)
                a = a + np.reshape(ramp, (-1,) + (1,) * (a.ndim - axis - 1))
        else:
            raise ValueError(
                f"np.pad of a Tensor does not take mode={mode!r}; it takes 'constant', 'edge', 'reflect', 'symmetric', "
                "'wrap', 'linear_ramp', 'maximum', 'minimum', 'mean' and 'median'. Or join parts with np.concatenate."
            )
    return a


def _per_axis(value, ndim):
    """An option of np.pad for each axis: before and after."""
    if value is None or not any(True for _ in tensors_in(value)):
        return np.broadcast_to(np.asarray(value), (ndim, 2)).tolist()
    return np.broadcast_to(np.array(value, like=next(tensors_in(value))), (ndim, 2))


def _only(options, mode):
    if options:
        raise ValueError(f"np.pad with mode={mode!r} does not take {', '.join(options)}.")


def _joined(a, axis, before, after, low, high):
    """``a`` between ``before`` times ``low`` and ``after`` times ``high``."""
    ends = ((before, low), (after, high))
    parts = [np.broadcast_to(lift(v).astype(a.dtype), (*a.shape[:axis], n, *a.shape[axis + 1 :])) for n, v in ends]
    return np.concatenate((parts[0], a, parts[1]), axis=axis)


# -- Products ----------------------------------------------------------------------------------------------------------


@implements(np.dot)
def dot(a, b):
    """Inner product, matrix product or scaling, by the number of axes."""
    a, b = lift(a), lift(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if a.ndim == 1 or b.ndim <= 2:
        return apply(RULES[np.matmul], (a, b))
    return np.tensordot(a, b, (-1, -2))


@implements(np.inner)
def inner(a, b, /):
    """Sum of products over the last axes."""
    a, b = lift(a), lift(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return np.tensordot(a, b, (-1, -1))


@implements(np.vdot)
def vdot(a, b, /):
    """Sum of products of all elements."""
    return np.matmul(np.ravel(lift(a)), np.ravel(lift(b)))


@implements(np.outer)
def outer(a, b):
    """Every product of an element of one with an element of the other."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@implements(np.kron)
def kron(a, b):
    """Every product, as blocks."""
    a, b = lift(a), lift(b)
    ndim = max(a.ndim, b.ndim)
    of_a, of_b = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    left = np.reshape(a, tuple(n for m in of_a for n in (m, 1)))
    right = np.reshape(b, tuple(n for m in of_b for n in (1, m)))
    return np.reshape(left * right, tuple(m * n for m, n in zip(of_a, of_b, strict=True)))


@implements(np.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """Vector product in three dimensions."""
    a, b = lift(a), lift(b)
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(
            f"np.cross takes vectors of length 3; got shapes {a.shape} and {b.shape}. In the plane write "
            "a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]."
        )
    turned, twice = [1, 2, 0], [2, 0, 1]
    c = a[..., turned] * b[..., twice] - a[..., twice] * b[..., turned]
    return np.moveaxis(c, -1, axisc)


@implements(np.vecdot)
def vecdot(x1, x2, /, *, axis=-1):
    """Sum of products over one axis."""
    x1, x2 = np.moveaxis(lift(x1), axis, -1), np.moveaxis(lift(x2), axis, -1)
    return np.matmul(np.expand_dims(x1, -2), np.expand_dims(x2, -1))[..., 0, 0]


if hasattr(np, "matvec"):
    implements(np.matvec)(lambda x1, x2, /: np.matmul(lift(x1), np.expand_dims(lift(x2), -1))[..., 0])
    implements(np.vecmat)(lambda x1, x2, /: np.matmul(np.expand_dims(lift(x1), -2), lift(x2))[..., 0, :])


@implements(np.tensordot)
def tensordot(a, b, axes=2):
    """Sum of products over pairs of axes: one matrix product between two transpositions."""
    a, b = lift(a), lift(b)
    pairs = (range(a.ndim - axes, a.ndim), range(axes)) if np.ndim(axes) == 0 else axes
    over_a, over_b = (normalize_axis_tuple(i, x.ndim) for i, x in zip(pairs, (a, b), strict=True))
    if [a.shape[i] for i in over_a] != [b.shape[i] for i in over_b]:
        raise ValueError(
            f"np.tensordot of shapes {a.shape} and {b.shape} over axes {over_a} and {over_b}: lengths differ."
        )
    kept_a = tuple(i for i in range(a.ndim) if i not in over_a)
    kept_b = tuple(i for i in range(b.ndim) if i not in over_b)
    n = math.prod(a.shape[i] for i in over_a)
    rows, columns = [a.shape[i] for i in kept_a], [b.shape[i] for i in kept_b]
    left = np.reshape(np.transpose(a, kept_a + over_a), (math.prod(rows), n))
    right = np.reshape(np.transpose(b, over_b + kept_b), (n, math.prod(columns)))
    return np.reshape(np.matmul(left, right), (*rows, *columns))


@implements(np.einsum)
def einsum(*operands, optimize=False):
    """Sums of products by subscripts, in every form that NumPy takes.

    Ellipses are spelled out, a label repeated within an operand becomes a diagonal, and a label that stands alone is
    summed away; what is left is a row whose gradient is again an einsum.
    """
    if isinstance(operands[0], str):
        subscripts, xs = operands[0].replace(" ", ""), [lift(x) for x in operands[1:]]
    else:
        xs = [lift(x) for x in operands[0 : len(operands) - len(operands) % 2 : 2]]
        lists = operands[1::2] if len(operands) % 2 == 0 else (*operands[1::2], operands[-1])
        words = ["".join("..." if i is Ellipsis else _LETTERS[int(i)] for i in part) for part in lists]
        subscripts = ",".join(words[: len(xs)]) + "".join("->" + word for word in words[len(xs) :])
    inputs, arrow, result = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(xs):
        raise ValueError(f"np.einsum: the subscripts {subscripts!r} describe {len(terms)} operands; got {len(xs)}.")
    dots = [x.ndim - len(term) + 3 if "..." in term else 0 for x, term in zip(xs, terms, strict=True)]
    for x, term, n in zip(xs, terms, dots, strict=True):
        if n < 0 or ("..." not in term and len(term) != x.ndim):
            raise ValueError(f"np.einsum: the subscripts {term!r} do not fit an operand of shape {x.shape}.")
    unused = "".join(c for c in _LETTERS if c not in subscripts)[: max(dots)]
    terms = [term.replace("...", unused[len(unused) - n :]) for term, n in zip(terms, dots, strict=True)]
    if not arrow:
        named = "".join(terms)
        result = "..." + "".join(c for c in sorted(set(named)) if named.count(c) == 1 and c not in unused)
    elif unused and "..." not in result:
        raise ValueError(
            f"np.einsum: the subscripts {subscripts!r} leave '...' out of the result; sum those axes first."
        )
    result = result.replace("...", unused)
    for i, term in enumerate(terms):
        x, term = xs[i], term
        for c in {c for c in term if term.count(c) > 1}:
            while term.count(c) > 1:
                p, q = term.index(c), term.rindex(c)
                if x.shape[p] != x.shape[q]:
                    raise ValueError(
                        f"np.einsum: label {c!r} stands for lengths {x.shape[p]} and {x.shape[q]} of one operand."
                    )
                x = np.diagonal(x, 0, p, q)
                term = term[:p] + term[p + 1 : q] + term[q + 1 :] + c
        elsewhere = result + "".join(terms[:i] + terms[i + 1 :])
        alone = tuple(k for k, c in enumerate(term) if c not in elsewhere)
        if alone:
            x = np.sum(x, axis=alone)
            term = "".join(c for c in term if c in elsewhere)
        xs[i], terms[i] = x, term
    return apply(RULES[np.einsum], tuple(xs), {"subscripts": f"{','.join(terms)}->{result}", "optimize": optimize})


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


# -- Places ------------------------------------------------------------------------------------------------------------


@implements(np.take)
def take(a, indices, axis=None, mode="raise"):
    """Elements at integer places along an axis."""
    a = lift(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    n = a.shape[axis]
    indices = stop_gradient(indices) if type(indices) is Tensor else np.asarray(indices)
    if mode != "raise":
        indices = np.clip(indices, 0, n - 1) if mode == "clip" else np.remainder(indices, n)
    return apply(RULES[np.take], (a, indices), {"axis": axis})


@implements(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    """Elements at integer places along an axis, other places for each row."""
    arr = lift(arr)
    indices = stop_gradient(indices) if type(indices) is Tensor else np.asarray(indices)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis = normalize_axis_index(axis, arr.ndim)
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
    t = lift(t)
    return _replaced(t, constant(_slots, (), {"shape": t.shape, "index": fixed(index, "the index of put")}), value)


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
    slots = constant(_slots_along_axis, (stop_gradient(indices),), {"shape": arr.shape, "axis": axis})
    return _replaced(arr, slots, values)


def _slots(shape, index):
    """For each place of an array the number of the value put there, or -1; and the shape of the values."""
    places = np.full(shape, -1)
    values = places[index].shape
    places[index] = np.arange(math.prod(values)).reshape(values)
    return places, values


def _slots_along_axis(indices, shape, axis):
    places = np.full(shape, -1)
    values = np.take_along_axis(places, indices, axis).shape
    np.put_along_axis(places, indices, np.arange(math.prod(values)).reshape(values), axis)
    return places, values


def _replaced(t, slots, value):
    places, shape = slots
    value = np.ravel(np.broadcast_to(lift(value).astype(t.dtype), shape))
    if not value.size:
        return t.copy()
    return np.where(places >= 0, np.take(value, np.maximum(places, 0)), t)


@implements(np.sort)
def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    """In ascending order."""
    a = lift(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    places = constant(np.argsort, (a,), {"axis": axis, "kind": kind, "order": order, "stable": stable})
    return np.take_along_axis(a, places, axis)


@implements(np.partition)
def partition(a, kth, axis=-1, kind="introselect", order=None):
    """So ordered that the element ``kth`` stands where sorting would put it, the smaller before it."""
    a = lift(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(
        a, constant(np.argpartition, (a, kth), {"axis": axis, "kind": kind, "order": order}), axis
    )


@implements(np.compress)
def compress(condition, a, axis=None):
    """The slices along an axis for which the condition holds."""
    places = np.flatnonzero(fixed(condition, "the condition of np.compress"))
    return np.take(lift(a), places, axis=axis)


@implements(np.extract)
def extract(condition, arr):
    """The elements for which the condition holds."""
    return np.take(np.ravel(lift(arr)), np.flatnonzero(fixed(condition, "the condition of np.extract")))


@implements(np.delete)
def delete(arr, obj, axis=None):
    """Without the slices at some places along an axis."""
    arr = lift(arr)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis = normalize_axis_index(axis, arr.ndim)
    return np.take(arr, np.delete(np.arange(arr.shape[axis]), fixed(obj, "the places of np.delete")), axis=axis)


@implements(np.insert)
def insert(arr, obj, values, axis=None):
    """With values put in before some places along an axis."""
    arr, values = lift(arr), lift(values)
    obj = fixed(obj, "the places of np.insert")
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis = normalize_axis_index(axis, arr.ndim)
    n = arr.shape[axis]
    values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
    if isinstance(obj, slice):
        count = len(range(*obj.indices(n)))
    elif np.ndim(obj) == 0:
        values = np.moveaxis(values, 0, axis)
        count = values.shape[axis]
    else:
        count = int(np.count_nonzero(obj)) if np.asarray(obj).dtype == np.bool else np.size(obj)
        count = values.shape[axis] if count == 1 else count
    values = np.broadcast_to(values.astype(arr.dtype), (*arr.shape[:axis], count, *arr.shape[axis + 1 :]))
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


def _lower(m: Any, k: int) -> Any:
    return np.tri(*m.shape[-2:], k=k) > 0  # type: ignore[call-overload]


implements(np.diagflat)(lambda v, k=0: np.diag(np.ravel(v), k))
implements(np.tril)(lambda m, k=0: np.where(_lower(m, k), m, 0))
implements(np.triu)(lambda m, k=0: np.where(_lower(m, k - 1), 0, m))


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


@implements(np.apply_over_axes)
def apply_over_axes(func, a, axes):
    """A function of an array and an axis applied over several axes in turn."""
    for axis in normalize_axis_tuple(axes, a.ndim):
        y = func(a, axis)
        a = y if np.ndim(y) == a.ndim else np.expand_dims(y, axis)
    return a


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


# -- Creation with like=, and arrays made of Tensors -------------------------------------------------------------------


@implements(np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require)
def array(object, dtype=None, *_, **options):
    """``np.array([t, u], like=t)``: nested sequences of Tensors stacked, at any depth."""
    if isinstance(object, tuple | list) and any(True for _ in tensors_in(object)):
        t = np.stack([array(part) for part in object])
    else:
        t = lift(object)
    t = t if dtype is None else t.astype(dtype)
    ndmin = options.get("ndmin", 0)
    return t if t.ndim >= ndmin else np.reshape(t, (1,) * (ndmin - t.ndim) + t.shape)


@implements(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """The value stretched to the shape of ``a``."""
    value = lift(fill_value).astype(plain(a).dtype if dtype is None else dtype)
    return np.broadcast_to(value, np.shape(a) if shape is None else shape_of(shape))


@implements(np.full)
def full(shape, fill_value, dtype=None, order="C", *, device=None):
    """``np.full(shape, value, like=t)``: the value stretched to a shape."""
    return full_like(lift(fill_value), fill_value, dtype, shape=shape)


CREATION = (
    *(np.arange, np.empty, np.eye, np.identity, np.ones, np.tri, np.zeros),
    *(np.frombuffer, np.fromfile, np.fromfunction, np.fromiter, np.fromstring, np.genfromtxt, np.loadtxt),
)
"""With ``like=`` a Tensor they make a Tensor, which needs no gradient."""

for _function in CREATION:
    implements(_function)(lambda *args, _make=_function, **options: wrap(_make(*args, **options)))
