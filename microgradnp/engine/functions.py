"""NumPy's functions on Tensors: each brought to the form of its row, or composed of other rows.

A composition needs no derivative rule, works to any order, and is recorded as the calls that it is made of. Each function
here has NumPy's signature, less what has no meaning for a Tensor (``out=``).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradnp.engine.rules import RULES
from microgradnp.engine.tensor import CONSTANTS, Axis, Tensor, apply, constant_array, implements, plain, wrap

# mypy: allow-untyped-defs


def lift(x: Any) -> Tensor:
    """Any operand as a Tensor."""
    return x if type(x) is Tensor else wrap(np.asarray(constant_array(x)))


def stop_gradient(x: Any) -> Any:
    """The value of ``x`` as a constant: no gradient flows through."""
    return x.detach() if type(x) is Tensor else x


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...] | None:
    """A reduction's axes as the rows want them: None, or non-negative ints."""
    return None if axis is None else normalize_axis_tuple(axis, ndim)


# -- Reductions ----------------------------------------------------------------------------------------------------------


def _reduction(function: Callable[..., Any], *also: Callable[..., Any]) -> None:
    rule = RULES[function]

    @implements(function, *also)
    def reduce(a, axis=None, dtype=None, *, keepdims=False):
        a = lift(a if dtype is None else lift(a).astype(dtype))
        return apply(rule, (a,), {"axis": axes_of(axis, a.ndim), "keepdims": bool(keepdims)})


_reduction(np.sum)
_reduction(np.prod)
_reduction(np.mean)


@implements(np.max, np.amax)
def _max(a, axis=None, *, keepdims=False):
    return apply(RULES[np.max], (lift(a),), {"axis": axes_of(axis, np.ndim(a)), "keepdims": bool(keepdims)})


@implements(np.min, np.amin)
def _min(a, axis=None, *, keepdims=False):
    return apply(RULES[np.min], (lift(a),), {"axis": axes_of(axis, np.ndim(a)), "keepdims": bool(keepdims)})


@implements(np.add.reduce)
def _add_reduce(array, axis=0, dtype=None, *, keepdims=False):
    return np.sum(array, axis=axis, dtype=dtype, keepdims=keepdims)


@implements(np.multiply.reduce)
def _multiply_reduce(array, axis=0, dtype=None, *, keepdims=False):
    return np.prod(array, axis=axis, dtype=dtype, keepdims=keepdims)


@implements(np.maximum.reduce)
def _maximum_reduce(array, axis=0, *, keepdims=False):
    return np.max(array, axis=axis, keepdims=keepdims)


@implements(np.minimum.reduce)
def _minimum_reduce(array, axis=0, *, keepdims=False):
    return np.min(array, axis=axis, keepdims=keepdims)


@implements(np.add.accumulate)
def _add_accumulate(array, axis=0):
    return np.cumsum(array, axis=axis)


@implements(np.var)
def var(a, axis=None, *, ddof=0, keepdims=False):
    """Variance: the mean square of what is left after taking the mean away."""
    a = lift(a)
    rest = a - np.mean(a, axis=axis, keepdims=True)
    total = np.sum(rest * rest, axis=axis, keepdims=keepdims)
    return total / max(a.size / max(total.size, 1) - ddof, 0.0)


@implements(np.std)
def std(a, axis=None, *, ddof=0, keepdims=False):
    """Standard deviation; of constants the gradient is 0."""
    return safe_sqrt(np.var(a, axis=axis, ddof=ddof, keepdims=keepdims))


def safe_sqrt(x):
    """Square root with gradient 0 at 0, for a root of a sum of squares."""
    zero = x == 0
    return np.where(zero, 0, np.sqrt(np.where(zero, 1, x)))


@implements(np.cumsum)
def cumsum(a, axis=None, dtype=None):
    """Running sum."""
    a = lift(a if dtype is None else lift(a).astype(dtype))
    if axis is None:
        a, axis = a.ravel(), 0
    return apply(RULES[np.cumsum], (a,), {"axis": normalize_axis_index(axis, a.ndim)})


# -- Choosing ------------------------------------------------------------------------------------------------------------


@implements(np.where)
def where(condition, x=None, y=None, /):
    """Choose by a condition, which is a constant: what is not chosen gets no gradient."""
    if x is None or y is None:
        raise TypeError(
            "np.where(condition) alone gives indices; on a Tensor use np.nonzero(condition), a plain result."
        )
    return apply(RULES[np.where], (stop_gradient(condition), x, y))


@implements(np.clip)
def clip(a, a_min=None, a_max=None, *, min=None, max=None):
    """Limit to an interval; at a bound the gradient passes."""
    low = a_min if min is None else min
    high = a_max if max is None else max
    if low is None and high is None:
        return lift(a).copy()
    low = -np.inf if low is None else low
    high = np.inf if high is None else high
    return apply(RULES[np.clip], (lift(a), low, high))


# -- Shape ---------------------------------------------------------------------------------------------------------------


@implements(np.reshape)
def reshape(a, /, shape, order="C"):
    """Another shape, the elements in C order."""
    if order != "C":
        if order != "F":
            raise ValueError(f"np.reshape of a Tensor takes order 'C' or 'F'; got {order!r}.")
        return np.transpose(np.reshape(np.transpose(a), _shape(shape)[::-1]))
    a = lift(a)
    shape = _shape(shape)
    if -1 in shape:
        shape = np.empty(a.shape, np.bool).reshape(shape).shape
    return apply(RULES[np.reshape], (a,), {"shape": shape})


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(map(int, shape)) if np.iterable(shape) else (int(shape),)


@implements(np.ravel)
def ravel(a, order="C"):
    """One axis."""
    return np.reshape(a, (-1,), order=order)


@implements(np.transpose, np.permute_dims)
def transpose(a, axes=None):
    """Axes in another order."""
    a = lift(a)
    axes = tuple(range(a.ndim))[::-1] if axes is None else normalize_axis_tuple(axes, a.ndim)
    if len(axes) != a.ndim:
        raise ValueError(
            f"np.transpose with axes {axes} for a Tensor of shape {a.shape}: name each of its {a.ndim} axes once."
        )
    return apply(RULES[np.transpose], (a,), {"axes": axes})


@implements(np.matrix_transpose)
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
    return np.transpose(a, _moved(a.ndim, source, destination))


def _moved(ndim, source, destination):
    source, destination = normalize_axis_tuple(source, ndim), normalize_axis_tuple(destination, ndim)
    order = [i for i in range(ndim) if i not in source]
    for to, axis in sorted(zip(destination, source, strict=True)):
        order.insert(to, axis)
    return order


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
    return apply(RULES[np.broadcast_to], (lift(array),), {"shape": _shape(shape)})


@implements(np.atleast_1d)
def atleast_1d(*arys):
    """At least one axis."""
    out = tuple(np.reshape(lift(a), (1,)) if np.ndim(a) == 0 else lift(a) for a in arys)
    return out[0] if len(out) == 1 else out


# -- Joining and splitting -----------------------------------------------------------------------------------------------


@implements(np.concatenate, np.concat)
def concatenate(arrays, /, axis=0, *, dtype=None):
    """Join along an axis."""
    arrays = tuple(lift(a) for a in arrays)
    if axis is None:
        arrays, axis = tuple(a.ravel() for a in arrays), 0
    if not arrays or not arrays[0].ndim:
        raise ValueError(
            f"np.concatenate needs at least one Tensor of at least one axis; got {[a.shape for a in arrays]}."
        )
    out = apply(RULES[np.concatenate], arrays, {"axis": normalize_axis_index(axis, arrays[0].ndim)})
    return out if dtype is None else out.astype(dtype)


@implements(np.stack)
def stack(arrays, axis=0, *, dtype=None):
    """Join along a new axis."""
    arrays = tuple(lift(a) for a in arrays)
    if len({a.shape for a in arrays}) != 1:
        raise ValueError(
            f"np.stack needs at least one Tensor, all of one shape; got shapes {[a.shape for a in arrays]}."
        )
    axis = normalize_axis_index(axis, arrays[0].ndim + 1)
    return np.concatenate([np.expand_dims(a, axis) for a in arrays], axis=axis, dtype=dtype)


@implements(np.array_split)
def array_split(ary, indices_or_sections, axis=0):
    """Cut into parts, as views of plain slices."""
    axis = normalize_axis_index(axis, ary.ndim)
    n = ary.shape[axis]
    if np.ndim(indices_or_sections):
        cuts = [0, *map(int, indices_or_sections), n]
    else:
        each, more = divmod(n, int(indices_or_sections))
        cuts = np.cumsum([0] + [each + 1] * more + [each] * (int(indices_or_sections) - more)).tolist()
    return [ary[(slice(None),) * axis + (slice(a, b),)] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


@implements(np.split)
def split(ary, indices_or_sections, axis=0):
    """Cut into equal parts, or at given places."""
    n = ary.shape[axis]
    if not np.ndim(indices_or_sections) and n % indices_or_sections:
        raise ValueError(
            f"np.split into {indices_or_sections} equal parts of an axis of length {n}; use np.array_split."
        )
    return np.array_split(ary, indices_or_sections, axis)


@implements(np.flip)
def flip(m, axis=None):
    """The other way round along some axes: a view."""
    axes = range(m.ndim) if axis is None else normalize_axis_tuple(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(m.ndim))]


@implements(np.roll)
def roll(a, shift, axis=None):
    """Moved along axes, what leaves at one end entering at the other."""
    if axis is None:
        return np.reshape(np.roll(np.ravel(a), shift, 0), a.shape)
    shifts, axes = np.broadcast_arrays(shift, axis)
    for s, i in zip(
        shifts.ravel().tolist(), normalize_axis_tuple(axes.ravel().tolist(), a.ndim, allow_duplicate=True), strict=True
    ):
        if n := a.shape[i]:
            before = (slice(None),) * i
            a = np.concatenate((a[(*before, slice(n - s % n, None))], a[(*before, slice(None, n - s % n))]), axis=i)
    return a


@implements(np.repeat)
def repeat(a, repeats, axis=None):
    """Each element several times."""
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    return a[(slice(None),) * axis + (np.repeat(np.arange(a.shape[axis]), plain(repeats)),)]


@implements(np.tile)
def tile(A, reps):
    """The whole several times along each axis."""
    reps = _shape(reps)
    ndim = max(A.ndim, len(reps))
    shape = (1,) * (ndim - A.ndim) + A.shape
    reps = (1,) * (ndim - len(reps)) + reps
    pairs = tuple(n for i in range(ndim) for n in (1, shape[i]))
    stretched = tuple(n for i in range(ndim) for n in (reps[i], shape[i]))
    return np.reshape(
        np.broadcast_to(np.reshape(A, pairs), stretched), tuple(r * n for r, n in zip(reps, shape, strict=True))
    )


# -- Products ------------------------------------------------------------------------------------------------------------


@implements(np.dot)
def dot(a, b):
    """Inner product, matrix product or scaling, by the number of axes."""
    a, b = lift(a), lift(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if a.ndim == 1 or b.ndim <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, (-1, -2))


@implements(np.outer)
def outer(a, b):
    """Every product of an element of one with an element of the other."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@implements(np.tensordot)
def tensordot(a, b, axes=2):
    """Sum of products over pairs of axes: one matrix product between two transpositions."""
    a, b = lift(a), lift(b)
    if np.ndim(axes) == 0:
        over_a, over_b = range(a.ndim - axes, a.ndim), range(axes)
    else:
        over_a, over_b = ([i] if np.ndim(i) == 0 else i for i in axes)
    over_a, over_b = normalize_axis_tuple(over_a, a.ndim), normalize_axis_tuple(over_b, b.ndim)
    if [a.shape[i] for i in over_a] != [b.shape[i] for i in over_b]:
        raise ValueError(
            f"np.tensordot of shapes {a.shape} and {b.shape} over axes {over_a} and {over_b}: lengths differ."
        )
    kept_a = tuple(i for i in range(a.ndim) if i not in over_a)
    kept_b = tuple(i for i in range(b.ndim) if i not in over_b)
    n = int(np.prod([a.shape[i] for i in over_a]))
    rows, columns = [a.shape[i] for i in kept_a], [b.shape[i] for i in kept_b]
    left = np.reshape(np.transpose(a, kept_a + over_a), (int(np.prod(rows)), n))
    right = np.reshape(np.transpose(b, over_b + kept_b), (n, int(np.prod(columns))))
    return np.reshape(np.matmul(left, right), (*rows, *columns))


# -- Indexing ------------------------------------------------------------------------------------------------------------


@implements(np.take)
def take(a, indices, axis=None, mode="raise"):
    """Elements at integer places along an axis."""
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    n = a.shape[axis]
    indices = np.asarray(plain(indices))
    if mode != "raise":
        indices = np.clip(indices, 0, n - 1) if mode == "clip" else indices % n
    return a[(slice(None),) * axis + (indices,)]


@implements(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    """The diagonal of each matrix, as the last axis."""
    a = np.moveaxis(a, (axis1, axis2), (-2, -1))
    m, n = a.shape[-2:]
    i = np.arange(max(0, min(m, n - offset) if offset >= 0 else min(m + offset, n))) - min(offset, 0)
    return a[..., i, i + offset]


@implements(np.trace)
def trace(a, offset=0, axis1=0, axis2=1):
    """The sum of the diagonal of each matrix."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


# -- Without a gradient --------------------------------------------------------------------------------------------------

CONSTANTS.update(
    {
        np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
        np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
        np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert,
        np.sign, np.floor, np.ceil, np.trunc, np.rint, np.round, np.floor_divide, np.signbit,
        np.isfinite, np.isinf, np.isnan, np.isneginf, np.isposinf, np.isclose, np.allclose, np.array_equal,
        np.argmax, np.argmin, np.argsort, np.argwhere, np.nonzero, np.flatnonzero, np.count_nonzero, np.searchsorted,
        np.any, np.all, np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj,
        np.zeros_like, np.ones_like, np.empty_like, np.full_like, np.array2string, np.array_repr, np.array_str,
    }
)  # fmt: skip
