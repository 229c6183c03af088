"""`numpy.pad`: axis by axis, each mode a function of a Tensor, an axis and the two lengths to add."""

from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradnp.engine.dispatch import implements
from microgradnp.engine.table import scatter
from microgradnp.engine.tensor import tensors_in
from microgradnp.functions.common import along, fixed, holds_tensors, lift, with_length

# mypy: allow-untyped-defs, allow-untyped-calls


@implements(np.pad)
def pad(array, pad_width, mode="constant", **options):
    """Enlarged at the ends of the axes, in every mode of NumPy's but "empty" and a function of one's own."""
    a = lift(array)
    widths = _widths(pad_width, a.ndim)
    if mode not in _MODES:
        raise ValueError(
            f"np.pad of a Tensor does not take mode={mode!r}; it takes 'constant', 'edge', 'reflect', 'symmetric', "
            "'wrap', 'linear_ramp', 'maximum', 'minimum', 'mean' and 'median'. Or join parts with np.concatenate."
        )
    enlarged, option = _MODES[mode]
    if unknown := options.keys() - {option}:
        raise ValueError(f"np.pad with mode={mode!r} does not take {', '.join(sorted(unknown))}.")
    value = options.get(option, 0)
    if mode == "constant" and not holds_tensors(value) and not np.any(value):
        index = tuple(slice(before, before + n) for (before, _), n in zip(widths, a.shape, strict=True))
        whole = tuple(before + n + after for (before, after), n in zip(widths, a.shape, strict=True))
        return scatter(a, index=index, shape=whole)
    values = [value] * a.ndim if option == "reflect_type" or not options else _per_axis(value, a.ndim)
    for axis, (before, after) in enumerate(widths):
        if not a.shape[axis] and before + after and mode != "constant":
            raise ValueError(f"np.pad of shape {a.shape} with mode={mode!r}: axis {axis} has no element to pad with.")
        a = enlarged(a, axis, before, after, **({option: values[axis]} if options else {}))
    return a


def _widths(pad_width, ndim):
    """The lengths to add to each axis, before and after."""
    if isinstance(pad_width, dict):
        given = {normalize_axis_index(i, ndim): n for i, n in pad_width.items()}
        pad_width = [np.broadcast_to(given.get(i, 0), 2) for i in range(ndim)]
    pad_width = np.asarray(fixed(pad_width, "the pad_width of np.pad"))
    if pad_width.dtype.kind not in "iu":
        raise TypeError(f"np.pad takes whole numbers as pad_width; got dtype {pad_width.dtype}.")
    widths = np.broadcast_to(pad_width, (ndim, 2)).tolist()
    if any(n < 0 for pair in widths for n in pair):
        raise ValueError(f"np.pad: widths may not be negative; got {widths}.")
    return widths


def _per_axis(value, ndim):
    """An option for each axis: before and after."""
    if not holds_tensors(value):
        return np.broadcast_to(np.asarray(value), (ndim, 2)).tolist()
    return np.broadcast_to(np.array(value, like=next(tensors_in(value))), (ndim, 2))


# -- The modes ---------------------------------------------------------------------------------------------------------


def _constant(a, axis, before, after, constant_values):
    """``a`` between ``before`` times one value and ``after`` times another."""
    first, last = (
        np.broadcast_to(lift(value).astype(a.dtype), with_length(a.shape, axis, n))
        for n, value in zip((before, after), constant_values, strict=True)
    )
    return np.concatenate((first, a, last), axis=axis)


def _statistic(statistic, a, axis, before, after, stat_length=(None, None)):
    """Between a statistic of the first elements and one of the last."""
    if any(k is not None and k < 0 for k in stat_length):
        raise ValueError(f"np.pad takes no negative stat_length; got {tuple(stat_length)}.")
    n = a.shape[axis]
    low, high = (n if k is None else min(k, n) for k in stat_length)
    ends = a[along(axis, slice(low))], a[along(axis, slice(n - high, None))]
    return _constant(a, axis, before, after, [statistic(end, axis=axis, keepdims=True) for end in ends])


def _ramp(a, axis, before, after, end_values=(0, 0)):
    """Between straight lines from one value and to another."""
    rising, falling = (
        np.linspace(end, a[along(axis, place)], n, endpoint=False, dtype=a.dtype, axis=axis)
        for end, place, n in zip(end_values, (0, -1), (before, after), strict=True)
    )
    return np.concatenate((rising, a, np.flip(falling, axis)), axis=axis)


def _copied(mode, a, axis, before, after, reflect_type="even"):
    """The elements again; or, where they are reflected in the end points, sums of a few of them."""
    if reflect_type != "odd":
        return np.take(a, np.pad(np.arange(a.shape[axis]), (before, after), mode), axis=axis)
    matrix = np.pad(np.eye(a.shape[axis]), ((before, after), (0, 0)), mode, reflect_type="odd")
    y = lift(np.zeros((), a.dtype))
    for i in np.argsort(matrix == 0, axis=1, kind="stable")[:, :3].T:  # NumPy's own rows: 3 numbers other than 0 each
        factor = np.reshape(matrix[np.arange(len(i)), i].astype(a.dtype), (-1,) + (1,) * (a.ndim - axis - 1))
        y = y + factor * np.where(factor == 0, 0, np.take(a, i, axis=axis))
    return y


_MODES: dict[Any, tuple[Any, str]] = {
    "constant": (_constant, "constant_values"),
    "edge": (partial(_copied, "edge"), ""),
    "wrap": (partial(_copied, "wrap"), ""),
    "reflect": (partial(_copied, "reflect"), "reflect_type"),
    "symmetric": (partial(_copied, "symmetric"), "reflect_type"),
    "linear_ramp": (_ramp, "end_values"),
    "maximum": (partial(_statistic, np.max), "stat_length"),
    "minimum": (partial(_statistic, np.min), "stat_length"),
    "mean": (partial(_statistic, np.mean), "stat_length"),
    "median": (partial(_statistic, np.median), "stat_length"),
}
"""How each mode enlarges, and the one option that it takes."""
