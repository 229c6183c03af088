"""Reductions and running sums: the rows for sum, prod, max, min and mean with all that NumPy's arguments ask of them.

What ``where=`` leaves out is filled with what changes nothing, so that a row need not know of it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradnp.engine.rules import RULES, name_of
from microgradnp.engine.tensor import Tensor, apply, implements, unary
from microgradnp.functions.common import axes_of, lift, weakly

# mypy: allow-untyped-defs, allow-untyped-calls

_WHOLE: dict[str, Any] = {"axis": None, "keepdims": False}


def _reduction(
    function: Callable[..., Any], combine: np.ufunc, neutral: float | None, *also: Callable[..., Any]
) -> None:
    """Register a reduction that has a row; what ``where=`` leaves out counts as ``neutral``, or as ``initial``."""
    rule = RULES[function]

    def reduce(a, axis=None, dtype=None, *, keepdims=False, initial=None, where=True):
        if type(a) is Tensor and axis is None is dtype is initial and keepdims is False and where is True:
            return unary(a, rule, _WHOLE)  # as in most losses
        a = lift(a) if dtype is None else lift(a).astype(dtype)
        initial = None if initial is None else weakly(initial, a.dtype)
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
    if axis is None or (not a.ndim and axis in (0, -1)):  # as NumPy's of a number
        a, axis = a.ravel(), 0
    return apply(RULES[function], (a,), {"axis": normalize_axis_index(axis, a.ndim)})


implements(np.add.accumulate)(lambda array, axis=0, dtype=None: np.cumsum(array, axis=axis, dtype=dtype))
implements(np.multiply.accumulate)(lambda array, axis=0, dtype=None: np.cumprod(array, axis=axis, dtype=dtype))


def _cumulative(name, running, first):
    def cumulative(x, /, *, axis=None, dtype=None, include_initial=False):
        x = np.atleast_1d(lift(x))
        if axis is None:
            if x.ndim != 1:
                raise ValueError(f"np.{name} of shape {x.shape} needs axis=: which axis to run along.")
            axis = 0
        axis = normalize_axis_index(axis, x.ndim)
        y = running(x, axis=axis, dtype=dtype)
        if not include_initial:
            return y
        start = np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), first, y.dtype)
        return np.concatenate((start, y), axis=axis)

    if hasattr(np, name):
        implements(getattr(np, name))(cumulative)


_cumulative("cumulative_sum", np.cumsum, 0)
_cumulative("cumulative_prod", np.cumprod, 1)
