"""Reductions and running sums: the rows for sum, prod, max, min and mean with all that NumPy's arguments ask of them.

What ``where=`` leaves out is filled with what changes nothing, so that a row need not know of it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp.engine.dispatch import implements
from microgradnp.engine.rules import RULES, defvjp
from microgradnp.engine.table import spread
from microgradnp.engine.tensor import Tensor, apply
from microgradnp.functions.common import axes_of, in_line, lift, weakly
from microgradnp.signatures import name_of

# mypy: allow-untyped-defs, allow-untyped-calls

# -- Rows --------------------------------------------------------------------------------------------------------------

_multiply: Any = np.multiply.reduce

# fmt: off
defvjp(np.prod,         lambda g, y, x, axis, keepdims: spread(g, x, axis, keepdims) * product_of_others(x, axis),
       forward=lambda x, axis, keepdims: _multiply(x, axis, None, None, keepdims))
defvjp(np.cumprod,      lambda g, y, x, axis: _running_product_vjp(g, y, x, axis))
# fmt: on


def _running_product_vjp(g: Any, y: Any, x: Any, axis: int) -> Any:
    """For each j: prod(x[:j]) * s[j], where s[j] = g[j] + x[j + 1] * s[j + 1]; no division, so zeros are exact."""
    g, y, x = (np.swapaxes(a, axis, -1) for a in (g, y, x))
    one = np.ones_like(x[..., :1])
    s, m = g[..., ::-1], np.concatenate((one, x[..., :0:-1]), axis=-1)
    step = 1
    while step < x.shape[-1]:  # the recurrence by doubling: after each pass s reaches twice as far
        s = np.concatenate((s[..., :step], s[..., step:] + m[..., step:] * s[..., :-step]), axis=-1)
        m = np.concatenate((m[..., :step], m[..., step:] * m[..., :-step]), axis=-1)
        step *= 2
    return np.swapaxes(np.concatenate((one, y[..., :-1]), axis=-1) * s[..., ::-1], axis, -1)


def product_of_others(x: Any, axis: tuple[int, ...] | None) -> Any:
    """For each element the product of all the others along ``axis``, exact where some are 0, for any order.

    A prefix product times a suffix product, and no division.
    """
    axes = tuple(range(x.ndim)) if axis is None else axis
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = kept + axes
    rows = np.transpose(x, order)
    flat = rows.reshape((*rows.shape[: len(kept)], math.prod(rows.shape[len(kept) :])))
    one = np.ones_like(flat[..., :1])
    before = np.cumprod(np.concatenate((one, flat[..., :-1]), axis=-1), axis=-1)
    after = np.cumprod(np.concatenate((one, flat[..., :0:-1]), axis=-1), axis=-1)[..., ::-1]
    return np.transpose((before * after).reshape(rows.shape), np.argsort(order))


# -- Reductions --------------------------------------------------------------------------------------------------------

_WHOLE: dict[str, Any] = {"axis": None, "keepdims": False}


def _reduction(
    function: Callable[..., Any], combine: np.ufunc, neutral: float | None, *also: Callable[..., Any]
) -> None:
    """Register a reduction that has a row; what ``where=`` leaves out counts as ``neutral``, or as ``initial``."""
    rule = RULES[function]

    def reduce(a, axis=None, dtype=None, *, keepdims=False, initial=None, where=True):
        if type(a) is Tensor and axis is None is dtype is initial and keepdims is False and where is True:
            return apply(rule, (a,), _WHOLE)  # as in most losses
        a = lift(a, dtype)
        initial = None if initial is None else weakly(initial, a.dtype)
        options: dict[str, Any] = {"axis": axes_of(axis, a.ndim), "keepdims": bool(keepdims)}
        if where is not True:
            a = chosen(function, a, where, initial if neutral is None else neutral)
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


def chosen(function, a, where, fill):
    """``a`` with ``fill`` in place of what ``where`` leaves out."""
    if fill is None:
        raise ValueError(f"{name_of(function)} with where= needs initial= too: the result where nothing is chosen.")
    return np.where(where, a, fill)


_reduction(np.sum, np.add, 0)
_reduction(np.prod, np.multiply, 1)
_reduction(np.max, np.maximum, None, np.amax)
_reduction(np.min, np.minimum, None, np.amin)


@implements(np.mean)
def mean(a, axis=None, dtype=None, *, keepdims=False, where=True):
    """Mean, over the chosen elements where ``where`` is given."""
    a = lift(a, dtype)
    if where is not True:
        total = np.sum(chosen(np.mean, a, where, 0), axis=axis, keepdims=keepdims)
        return total / count(a, axis, keepdims, where)
    return apply(RULES[np.mean], (a,), {"axis": axes_of(axis, a.ndim), "keepdims": bool(keepdims)})


def count(a, axis, keepdims=False, where=True):
    """How many elements each result is made of: a number, or for each the number of those that are chosen."""
    if where is not True:
        return np.sum(np.broadcast_to(lift(where).astype(a.dtype), a.shape), axis=axis, keepdims=keepdims)
    axes = axes_of(axis, a.ndim)
    return a.size if axes is None else math.prod(a.shape[i] for i in axes)


# -- Running sums and products -----------------------------------------------------------------------------------------


def _running(function: Any, ufunc: np.ufunc) -> None:
    """Register a running sum or product, and the ufunc's method."""

    @implements(function)
    def running(a, axis=None, dtype=None):
        a = lift(a, dtype)
        a, axis = in_line(a, None if not a.ndim and axis in (0, -1) else axis)  # as NumPy's of a number
        return apply(RULES[function], (a,), {"axis": axis})

    @implements(ufunc.accumulate)
    def accumulate(array, axis=0, dtype=None):
        return running(array, axis, dtype)


_running(np.cumsum, np.add)
_running(np.cumprod, np.multiply)
