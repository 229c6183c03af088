"""Shapes: NumPy's functions that reshape, join, split, repeat and create arrays, composed of a few rows."""

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradnp.engine.dispatch import implements
from microgradnp.engine.rules import RULES
from microgradnp.engine.tensor import apply, constant, plain, wrap
from microgradnp.functions.common import along, fixed, in_line, lift, shape_of
from microgradnp.tree import leaves

# mypy: allow-untyped-defs, allow-untyped-calls

# -- Shape -------------------------------------------------------------------------------------------------------------


@implements(np.reshape)
def reshape(a, /, shape, order="C", *, copy=None):
    """Another shape, the elements in C or in Fortran order."""
    if order not in ("C", "F"):
        layout = plain(lift(a)).flags
        if order not in ("A", "K") or not layout.forc:
            raise ValueError(f"np.reshape of a Tensor takes order 'C' or 'F'; got {order!r}.")
        order = "F" if layout.fnc else "C"
    if order == "F":
        return np.transpose(np.reshape(np.transpose(a), shape_of(shape)[::-1]))
    a = lift(a)
    shape = shape_of(shape)
    if -1 in shape:
        shape = np.empty(a.shape, np.bool).reshape(shape).shape
    return apply(RULES[np.reshape], (a,), {"shape": shape})


implements(np.ravel)(lambda a, order="C": np.reshape(a, (-1,), order=order))


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


@implements(np.swapaxes)
def swapaxes(a, axis1, axis2):
    """Two axes exchanged."""
    order = list(range(a.ndim))
    i, j = normalize_axis_index(axis1, a.ndim), normalize_axis_index(axis2, a.ndim)
    order[i], order[j] = order[j], order[i]
    return a if i == j else np.transpose(a, order)


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
def broadcast_to(array, shape, subok=False):
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


@implements(np.ix_)
def ix_(*args):
    """An open grid: of indices plain arrays, of values that want a gradient Tensors."""
    grid = []
    for i, x in enumerate(args):
        if np.ndim(x) != 1:
            raise ValueError(f"np.ix_ takes sequences of one axis; got one of shape {np.shape(x)}.")
        part = x if getattr(x, "requires_grad", False) else constant(np.ix_, (x,), {})[0]
        grid.append(part.reshape((1,) * i + (-1,) + (1,) * (len(args) - 1 - i)))
    return tuple(grid)


# -- Joining and splitting ---------------------------------------------------------------------------------------------


_AT_ONCE = 64


@implements(np.concatenate, *filter(None, [getattr(np, "concat", None)]))
def concatenate(arrays, /, axis=0, *, dtype=None, casting="same_kind"):
    """Join along an axis."""
    arrays = tuple(map(lift, arrays))
    if axis is None:
        arrays, axis = tuple(map(np.ravel, arrays)), 0
    if not arrays or not arrays[0].ndim:
        raise ValueError(
            f"np.concatenate needs at least one Tensor of at least one axis; got {[a.shape for a in arrays]}."
        )
    axis = normalize_axis_index(axis, arrays[0].ndim)
    while len(arrays) > _AT_ONCE:  # a rule sees all its arguments: n of them at once would cost n**2 going backward
        groups = (arrays[i : i + _AT_ONCE] for i in range(0, len(arrays), _AT_ONCE))
        arrays = tuple(apply(RULES[np.concatenate], group, {"axis": axis}) for group in groups)
    out = apply(RULES[np.concatenate], arrays, {"axis": axis})
    if dtype is not None and not np.can_cast(out.dtype, dtype, casting):
        raise TypeError(f"np.concatenate: {out.dtype} does not cast to {np.dtype(dtype)} with casting={casting!r}.")
    return out if dtype is None else out.astype(dtype)


@implements(np.stack)
def stack(arrays, axis=0, *, dtype=None, casting="same_kind"):
    """Join along a new axis."""
    arrays = tuple(map(lift, arrays))
    if len({a.shape for a in arrays}) != 1:
        raise ValueError(
            f"np.stack needs at least one Tensor, all of one shape; got shapes {[a.shape for a in arrays]}."
        )
    axis = normalize_axis_index(axis, arrays[0].ndim + 1)
    shape = arrays[0].shape
    one = {"shape": (*shape[:axis], 1, *shape[axis:])}
    return concatenate([apply(RULES[np.reshape], (a,), one) for a in arrays], axis, dtype=dtype, casting=casting)


@implements(np.block)
def block(arrays):
    """Join a nested list of blocks: the innermost lists along the last axis, and so on outwards."""

    def depth_of(part):
        return 1 + max(map(depth_of, part)) if isinstance(part, list) else 0

    depth = depth_of(arrays)
    ndim = max(depth, *map(np.ndim, leaves(arrays)))

    def join(part, axis):
        if isinstance(part, list):
            return np.concatenate([join(each, axis + 1) for each in part], axis=axis)
        part = lift(part)
        return np.reshape(part, (1,) * (ndim - part.ndim) + part.shape)

    return join(arrays, ndim - depth)


@implements(np.roll)
def roll(a, shift, axis=None):
    """Moved along axes, what leaves at one end entering at the other."""
    a = lift(a)
    if axis is None:
        return np.reshape(np.roll(np.ravel(a), shift, 0), a.shape)
    shifts, axes = np.broadcast_arrays(shift, axis)
    order = normalize_axis_tuple(axes.ravel().tolist(), a.ndim, allow_duplicate=True)
    for s, i in zip(map(int, shifts.ravel().tolist()), order, strict=True):
        if n := a.shape[i]:
            a = np.concatenate((a[along(i, slice(n - s % n, None))], a[along(i, slice(n - s % n))]), axis=i)
    return a


@implements(np.repeat)
def repeat(a, repeats, axis=None):
    """Each element several times."""
    a, axis = in_line(a, axis)
    repeats = fixed(repeats, "the repeats of np.repeat")
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


# -- Creation with like=, and arrays made of Tensors -------------------------------------------------------------------


@implements(np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require)
def array(object, dtype=None, *_, **options):
    """``np.array([t, u], like=t)``: nested sequences of Tensors stacked, at any depth."""
    t = lift(object, dtype)
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


def _alike(function):
    @implements(function)
    def alike(a, dtype=None, order="K", subok=True, *, shape=None, device=None):
        y = function(plain(a), dtype, order, subok, shape)
        return y if dtype is not None and y.dtype.kind != "f" else wrap(y)  # no place for what wants a gradient


LIKENESS = (np.zeros_like, np.ones_like, np.empty_like)
"""Of a Tensor they make a Tensor without a gradient, to be filled: y[i] = t."""

for _like in LIKENESS:
    _alike(_like)

CREATION = (
    *(np.arange, np.empty, np.eye, np.identity, np.ones, np.tri, np.zeros),
    *(np.frombuffer, np.fromfile, np.fromfunction, np.fromiter, np.fromstring, np.genfromtxt, np.loadtxt),
)
"""With ``like=`` a Tensor they make a Tensor, which needs no gradient."""

for _function in CREATION:
    implements(_function)(lambda *args, _make=_function, **options: wrap(_make(*args, **options)))
