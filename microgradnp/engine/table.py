"""The table: the derivatives of the functions from which everything else is composed, from simple to tricky.

A row is ``rule(g, y, *arguments)``, one an argument: see ``rules.py``. Rows that little else is composed of stand in
``functions/``, each with its family.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from microgradnp.engine.rules import RULES, defvjp, primitive
from microgradnp.versions import VIEWS

# -- What the rules below share ----------------------------------------------------------------------------------------


def spread(g: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """Undo a reduction's loss of axes: ``g`` (or ``y``), shaped like the result, stretched to the shape of ``x``."""
    if axis is not None and not keepdims:
        g = g.reshape(tuple(1 if i in axis else n for i, n in enumerate(x.shape)))
    return np.broadcast_to(g, x.shape)


def _number(x: Any) -> bool:
    return isinstance(x, int | float)


def but_zero(x: Any) -> Any:
    """``x`` with 1 in place of 0: a divisor where the quotient is known to be 0 anyway."""
    return np.where(x == 0, 1, x)


def _as(y: Any, x: Any) -> Any:
    """``x`` in the dtype of ``y``: NumPy takes the logarithm of int8 in float16, and 0 - 1 in uint8 is 255."""
    return x if x.dtype == y.dtype else x.astype(y.dtype)


def log_of(a: Any, y: Any) -> Any:
    """Logarithm for the exponent's derivative: 0 at 0, where the factor beside it decides."""
    if _number(a):  # a Python number stays one, so that float32 stays float32
        return math.log(a) if a > 0 else (0.0 if a == 0 else math.nan)
    return np.log(but_zero(_as(y, a)))


def less_one(a: Any, b: Any, y: Any) -> Any:
    """The exponent b - 1, but another at 0**0, so that ``b * a**(b - 1)`` is 0 there and right everywhere else."""
    if _number(b):
        return b - 1 if b != 0 else 0  # a**0 is 1 at any a, infinities and NaN too
    return np.where((a == 0) & (b == 0), 1, _as(y, b) - 1)


# -- Arithmetic --------------------------------------------------------------------------------------------------------

# fmt: off
defvjp(np.add,          lambda g, y, a, b: g,                              lambda g, y, a, b: g)
defvjp(np.subtract,     lambda g, y, a, b: g,                              lambda g, y, a, b: -g)
defvjp(np.multiply,     lambda g, y, a, b: g * b,                          lambda g, y, a, b: g * a)
defvjp(np.divide,       lambda g, y, a, b: g / b,                          lambda g, y, a, b: -g * y / b)
defvjp(np.remainder,    lambda g, y, a, b: g,                              lambda g, y, a, b: -g * (a // b))
defvjp(np.power,        lambda g, y, a, b: g * (b * np.power(a, less_one(a, b, y))),
                        lambda g, y, a, b: g * (y * log_of(a, y)))
defvjp(np.positive,     lambda g, y, x: g)
defvjp(np.negative,     lambda g, y, x: -g)
defvjp(np.conjugate,    lambda g, y, x: g)
defvjp(np.square,       lambda g, y, x: g * (x + x))
defvjp(np.reciprocal,   lambda g, y, x: -g * (y * y))
defvjp(np.sqrt,         lambda g, y, x: g * (0.5 / y))
# fmt: on

# -- Exponentials and logarithms ---------------------------------------------------------------------------------------

# fmt: off
defvjp(np.exp,          lambda g, y, x: g * y)
defvjp(np.expm1,        lambda g, y, x: g * np.exp(x))
defvjp(np.log,          lambda g, y, x: g / x)
defvjp(np.log1p,        lambda g, y, x: g / (1 + x))
# fmt: on


# -- Trigonometric and hyperbolic --------------------------------------------------------------------------------------

# fmt: off
defvjp(np.sin,          lambda g, y, x: g * np.cos(x))
defvjp(np.cos,          lambda g, y, x: -g * np.sin(x))
defvjp(np.tan,          lambda g, y, x: g * (1 + y * y))
defvjp(np.tanh,         lambda g, y, x: g * (1 - y * y))
# fmt: on

# -- Choosing: ties are split evenly, a bound belongs to the inside of its interval ------------------------------------

# fmt: off
defvjp(np.maximum,      lambda g, y, a, b: won(g, a > b, a == b),         lambda g, y, a, b: won(g, b > a, a == b))
defvjp(np.minimum,      lambda g, y, a, b: won(g, a < b, a == b),         lambda g, y, a, b: won(g, b < a, a == b))
defvjp(np.where,        None,
                        lambda g, y, c, a, b: np.where(c, g, 0),           lambda g, y, c, a, b: np.where(c, 0, g))
defvjp(np.clip,         lambda g, y, x, lo, hi: np.where((x >= lo) & (x <= hi), g, 0),
                        lambda g, y, x, lo, hi: np.where((x < lo) & (lo <= hi), g, 0),
                        lambda g, y, x, lo, hi: np.where((x > hi) | (lo > hi), g, 0),
       forward=lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi))
# fmt: on


def won(g: Any, strictly: Any, tie: Any) -> Any:
    return np.where(strictly, g, np.where(tie, 0.5 * g, 0))


# -- Reductions: axis is None or a tuple of non-negative ints ----------------------------------------------------------

# Called with positional arguments, which halves their overhead.
_add: Any = np.add.reduce
_maximum: Any = np.maximum.reduce
_minimum: Any = np.minimum.reduce

# fmt: off
defvjp(np.sum,          lambda g, y, x, axis, keepdims: spread(g, x, axis, keepdims),
       forward=lambda x, axis, keepdims: _add(x, axis, None, None, keepdims))
defvjp(np.mean,         lambda g, y, x, axis, keepdims: spread(g / _count(x, axis), x, axis, keepdims),
       forward=lambda x, axis, keepdims: _add(x, axis, None, None, keepdims) / _count(x, axis))
defvjp(np.max,          lambda g, y, x, axis, keepdims: _shared(g, x, axis, keepdims, x < spread(y, x, axis, keepdims)),
       forward=lambda x, axis, keepdims: _maximum(x, axis, None, None, keepdims))
defvjp(np.min,          lambda g, y, x, axis, keepdims: _shared(g, x, axis, keepdims, x > spread(y, x, axis, keepdims)),
       forward=lambda x, axis, keepdims: _minimum(x, axis, None, None, keepdims))
defvjp(np.cumsum,       lambda g, y, x, axis: np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis))
# fmt: on


def _count(x: Any, axis: tuple[int, ...] | None) -> int:
    """How many elements each mean is taken over."""
    return int(x.size) if axis is None else math.prod(x.shape[i] for i in axis)


def _shared(g: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool, lost: Any) -> Any:
    """The gradient in equal parts to all that did not lose (where the result is NaN, to all)."""
    hits = (~lost).astype(x.dtype)
    return spread(g, x, axis, keepdims) * hits / np.sum(hits, axis=axis, keepdims=True)


# -- Products of matrices ----------------------------------------------------------------------------------------------


# Of two matrices `ndarray.dot` is the same product: where they are small, in a third of the time of np.matmul.
DOT_WARNS = np.lib.NumpyVersion(np.__version__) >= "2.3.0"
"""Whether `ndarray.dot` warns of overflow, as every other function does; until NumPy 2.2 it kept silent."""


def _matrices(a: Any, b: Any) -> bool:
    return DOT_WARNS and type(a) is np.ndarray is type(b) and a.ndim == 2 == b.ndim


def _matmul(a: Any, b: Any) -> Any:
    return a.dot(b) if _matrices(a, b) else np.matmul(a, b)


def _matmul_a(g: Any, y: Any, a: Any, b: Any) -> Any:
    if _matrices(g, b) and a.ndim == 2:
        return g.dot(b.T)
    if b.ndim == 1:
        return g.reshape((*g.shape, 1)) * b
    if a.ndim == 1:
        return np.matmul(b, g.reshape((*g.shape, 1)))[..., 0]
    return np.matmul(g, b.mT)


def _matmul_b(g: Any, y: Any, a: Any, b: Any) -> Any:
    if _matrices(g, a) and b.ndim == 2:
        return a.T.dot(g)
    if a.ndim == 1:
        return a.reshape((*a.shape, 1)) * g.reshape((*g.shape[:-1], 1, *g.shape[-1:])) if b.ndim > 1 else a * g
    if b.ndim == 1:
        return np.matmul(a.mT, g.reshape((*g.shape, 1)))[..., 0]
    return np.matmul(a.mT, g)


defvjp(np.matmul, _matmul_a, _matmul_b, forward=_matmul)

# -- Shape and place ---------------------------------------------------------------------------------------------------

# fmt: off
defvjp(np.reshape,      lambda g, y, x, shape: g.reshape(x.shape),
       forward=lambda x, shape: x.reshape(shape))
defvjp(np.transpose,    lambda g, y, x, axes: np.transpose(g, _inverse(axes)),
       forward=lambda x, axes: x.transpose(axes))
defvjp(np.broadcast_to, lambda g, y, x, shape: g)
defvjp(np.concatenate,  each=lambda i, g, y, *xs, axis: g[_part(i, xs, axis)],
       forward=lambda *xs, axis: np.concatenate(xs, axis))
# fmt: on


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _part(i: int, xs: Sequence[Any], axis: int) -> tuple[slice, ...]:
    start = sum(x.shape[axis] for x in xs[:i])
    return (slice(None),) * axis + (slice(start, start + xs[i].shape[axis]),)


@primitive
def identity(x: Any) -> Any:
    """The same value as a new node of the graph."""
    return x


@primitive
def astype(x: Any, *, dtype: Any) -> Any:
    """Cast to another floating dtype; the gradient is cast back."""
    return x.astype(dtype)


@primitive
def getitem(x: Any, *, index: Any) -> Any:
    """``x[index]``, for any index that NumPy takes."""
    return x[index]


@primitive
def scatter(g: Any, *, index: Any, shape: tuple[int, ...]) -> Any:
    """The transpose of ``getitem``: zeros of ``shape`` with ``g`` added at ``index``, repeated places adding up."""
    out = np.zeros(shape, g.dtype)
    if is_basic(index) or (type(index) is np.ndarray and index.dtype == bool):  # each element once
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


@primitive
def setitem(x: Any, value: Any, *, index: Any) -> Any:
    """A copy of ``x`` in which ``x[index] = value``; where ``index`` names a place twice, the last value stays."""
    y = x.copy()
    y[index] = value
    return y


def _stays(index: Any, x: Any) -> Any:
    """Whether each of the values put at ``index`` stays: whole numbers keep a step of it, others what came last."""
    if is_basic(index) or (type(index) is np.ndarray and index.dtype == bool):
        return int(x.dtype.kind == "f")
    places = np.arange(x.size).reshape(x.shape)[index]
    last = np.empty(x.size, np.intp)
    last[places.ravel()] = np.arange(places.size)
    return (last[places].ravel() == np.arange(places.size)).reshape(places.shape) & (x.dtype.kind == "f")


def is_basic(index: Any) -> bool:
    """Whether an index is made of ints, slices, None and Ellipsis alone, so that it makes a view, each element once."""
    parts = index if type(index) is tuple else (index,)
    return all(p is None or p is Ellipsis or type(p) in (int, slice) for p in parts)


# fmt: off
defvjp(identity,           lambda g, y, x: g)
defvjp(astype,             lambda g, y, x, dtype: astype(g, dtype=x.dtype))
defvjp(getitem,            lambda g, y, x, index: scatter(g, index=index, shape=x.shape))
defvjp(scatter,            lambda g, y, x, index, shape: getitem(g, index=index))
defvjp(setitem,            lambda g, y, x, value, index: setitem(g, 0, index=index),
                           lambda g, y, x, value, index: getitem(g, index=index) * _stays(index, y))
# fmt: on

# How a view is taken, and what its base becomes when the view gets a new value: see ``versions.py``.
for _function in (getitem, np.reshape, np.transpose, np.broadcast_to):
    RULES[_function] = replace(RULES[_function], view=True)

# fmt: off
VIEWS[getitem] =         (lambda x, index: x[index],                 lambda x, v, index: setitem(x, v, index=index))
VIEWS[np.reshape] =      (lambda x, shape: x.reshape(shape),         lambda x, v, shape: v.reshape(x.shape))
VIEWS[np.transpose] =    (lambda x, axes: x.transpose(axes),         lambda x, v, axes: v.transpose(_inverse(axes)))
VIEWS[np.broadcast_to] = (lambda x, shape: np.broadcast_to(x, shape), None)
# fmt: on
