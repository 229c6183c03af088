"""The methods of ufuncs: ``reduce``, ``accumulate``, ``reduceat`` and ``outer`` of each that has a row.

The methods of `numpy.add`, `numpy.multiply`, `numpy.maximum` and `numpy.minimum` that have a row lead to it; the others
fold the ufunc itself.
"""

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradnp.engine.dispatch import FUNCTIONS
from microgradnp.engine.rules import RULES
from microgradnp.functions import special  # noqa: F401  (whose rows have methods too)
from microgradnp.functions.common import axes_of, fixed, lift
from microgradnp.functions.reductions import chosen
from microgradnp.signatures import name_of

# mypy: allow-untyped-defs, allow-untyped-calls

ASSOCIATIVE = (np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2, np.hypot)
FOLDABLE = (*ASSOCIATIVE, np.subtract, np.divide)
NEUTRAL: dict[np.ufunc, float] = {np.subtract: 0, np.divide: 1, np.hypot: 0}
NEUTRAL |= dict.fromkeys((np.logaddexp, np.logaddexp2), -math.inf) | dict.fromkeys((np.fmax, np.fmin), math.nan)
"""What changes nothing as the second argument: it stands where ``where=`` leaves an element out."""


def fold(ufunc, a):
    """``ufunc.reduce`` along the first axis: by halving where the order does not matter, else one by one."""
    if ufunc in (np.fmax, np.fmin):  # at once, so that all that are equal share alike
        extreme, least = (np.max, -math.inf) if ufunc is np.fmax else (np.min, math.inf)
        if a.dtype.kind != "f":
            return extreme(a, axis=0)
        missing = np.isnan(a)
        return np.where(np.all(missing, axis=0), math.nan, extreme(np.where(missing, least, a), axis=0))
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


def ufunc_methods(ufunc: np.ufunc) -> None:
    """Register the methods of a ufunc of two arguments that has a row."""

    def reduce(array, axis=0, dtype=None, *, keepdims=False, initial=None, where=True):
        a = lift(array, dtype)
        axes = axes_of(axis, a.ndim)
        axes = tuple(range(a.ndim)) if axes is None else axes
        if len(axes) > 1 and ufunc not in ASSOCIATIVE:
            raise ValueError(
                f"{name_of(ufunc)}.reduce over axes {axes} of shape {a.shape}: its result depends on the order, so it "
                "takes one axis at a time."
            )
        if where is not True:
            initial = ufunc.identity if initial is None else initial
            a = chosen(ufunc.reduce, a, where, None if initial is None else NEUTRAL[ufunc])
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

    def accumulate(array, axis=0, dtype=None):
        a = lift(array, dtype)
        axis = normalize_axis_index(axis, a.ndim)
        return np.moveaxis(scan(ufunc, np.moveaxis(a, axis, 0)), 0, axis)

    def outer(A, B, /):
        a, b = lift(A), lift(B)
        return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b)

    def reduceat(array, indices, axis=0, dtype=None):
        a = lift(array, dtype)
        axis = normalize_axis_index(axis, a.ndim)
        a = np.moveaxis(a, axis, 0)
        starts = np.asarray(fixed(indices, f"the indices of {name_of(ufunc)}.reduceat")).tolist()
        if wrong := [i for i in starts if not 0 <= i < len(a)]:
            raise IndexError(f"{name_of(ufunc)}.reduceat: index {wrong[0]} is outside of an axis of length {len(a)}.")
        if not starts:
            return np.moveaxis(a[:0], 0, axis)
        ends = [*starts[1:], len(a)]
        parts = [ufunc.reduce(a[i : max(j, i + 1)], axis=0) for i, j in zip(starts, ends, strict=True)]
        return np.stack(parts, axis=axis)

    for method in (reduce, accumulate, reduceat, outer) if ufunc in FOLDABLE else (outer,):
        FUNCTIONS.setdefault(getattr(ufunc, method.__name__), method)


for _ufunc in [f for f in RULES if isinstance(f, np.ufunc) and f.nin == 2 and f.signature is None]:
    ufunc_methods(_ufunc)
