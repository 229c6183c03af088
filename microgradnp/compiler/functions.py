"""What the compiler knows about each function: one record a function, which optimiser, planner and lowering ask.

The record's *writer* gives the calls that put the result of an operation into a given array. A function without a
record is called as it is, and its result is copied into place.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from microgradnp.compiler.ir import Call, Literal, Operation, Value, View, assignment, copied, sum_of_squares
from microgradnp.engine.table import astype, getitem, identity, is_basic, scatter

MANY = 4096  # terms: up to here a sum by dot is as exact as NumPy's own, and takes a third of the time

Writer: TypeAlias = Callable[[Operation, Value], list[Call]]
"""From an operation and the value that it writes, its result or what it assigns to, to calls."""


@dataclass(frozen=True, slots=True)
class Function:
    """How a function is called, and what may be done with its arguments' memory."""

    write: Writer
    shares: tuple[int, ...] = ()  # the arguments that may lie in the very place of the result
    is_view: bool = False  # its result may be a view of its argument
    is_ufunc: bool = False  # one of NumPy's elementwise functions, called as it is


def known(operation: Operation) -> Function:
    """What is known about the function of an operation."""
    function = operation.function
    found = FUNCTIONS.get(function, OTHER)
    if found.is_ufunc and (operation.options or operation.forward is not function):
        return OTHER
    return found


def floats(x: Any) -> bool:
    """Whether a value is a non-empty array of the program's own, of a dtype that BLAS computes with."""
    return type(x) is Value and bool(x.array.size) and x.dtype in (np.float64, np.float32) and x.root.kind != "input"


def contiguous(x: Value) -> bool:
    """Whether a value's elements lie without gaps, in C or in Fortran order."""
    return x.array.flags.forc


def summed_at_once(x: Any) -> bool:
    """Whether all elements of a value can be summed by a scalar product."""
    return floats(x) and contiguous(x) and x.array.size <= MANY


# -- Any function


def store(y: Any, value: Any) -> None:
    """Put the result of a call that cannot write into a given array where it belongs."""
    if np.shape(value) != y.shape:
        raise RuntimeError(
            f"a call in a replayed program gave shape {np.shape(value)} where it gave {y.shape} when it was recorded: "
            "the shape of its result depends on values. Leave that call outside the compiled step."
        )
    y[...] = value


def stored(operation: Operation, y: Value) -> list[Call]:
    """Call the function as it is, and put its result into place."""
    return [Call(operation.forward, operation.arguments, y, operation.options, store)]


# -- Element by element


def elementwise(operation: Operation, y: Value) -> list[Call]:
    """Call a ufunc."""
    function, arguments = operation.function, operation.arguments
    kinds = tuple([x.dtype if type(x) is Value else type(x) for x in arguments])
    operands = []
    for x, dtype in zip(arguments, _loop(function, kinds), strict=True):
        spread = type(x) is Value and x.array.size == 1 and x.array.ndim and y.array.size > 1
        operands.append(View(x, "0d") if spread else _number(x, dtype))
    if function in (np.maximum, np.minimum):  # NumPy deprecates the third positional argument there
        return [Call(function, tuple(operands), y, {"out": y})]
    return [Call(function, (*operands, y), y)]


@cache
def _loop(function: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """The dtypes in which a ufunc takes arguments of these dtypes and of Python's kinds of numbers."""
    try:
        return tuple(function.resolve_dtypes((*kinds, None))[: len(kinds)])
    except (TypeError, ValueError):
        return (None,) * len(kinds)


def _number(x: Any, dtype: Any) -> Any:
    """A Python number as an array of the dtype in which it is computed with."""
    return x if dtype is None or type(x) not in (int, float, bool) else Literal(repr(x), np.array(x, dtype))


def _where(operation: Operation, y: Value) -> list[Call]:
    condition = operation.arguments[0]
    a, b = (_number(x, y.dtype) for x in operation.arguments[1:])
    return [Call(np.copyto, (y, b), y), Call(np.copyto, (y, a), y, {"where": condition})]


def _clip(operation: Operation, y: Value) -> list[Call]:
    x, least, most = (_number(a, y.dtype) for a in operation.arguments)
    return [Call(np.maximum, (x, least), y, {"out": y}), Call(np.minimum, (y, most), y, {"out": y})]


def _copy(casting: str, operation: Operation, y: Value) -> list[Call]:
    return [Call(np.copyto, (y, operation.arguments[-1], casting), y)]


# -- Sums and products

_ADD_REDUCE, _ADD_AT, _ACCUMULATE = np.add.reduce, np.add.at, np.add.accumulate  # another object at each look


def _reduced(reduce: Any, operation: Operation, y: Value) -> list[Call]:
    axis, keepdims = operation.options["axis"], operation.options["keepdims"]
    if axis is not None and len(axis) == 1:
        axis = axis[0]
    return [Call(reduce, (operation.arguments[0], axis, None, y, keepdims), y)]


def _sum(operation: Operation, y: Value) -> list[Call]:
    x, axis = operation.arguments[0], operation.options["axis"]
    if floats(x) and x.dtype == y.dtype:
        if y.array.size == 1 and summed_at_once(x):
            return [_dot(_ones(x.array.size, y.dtype), View(x, "1d"), View(y, "0d"))]
        if x.array.ndim == 2 and len(axis or ()) == 1 and x.array.flags.c_contiguous and x.shape[axis[0]] <= MANY:
            ones, row = _ones(x.shape[axis[0]], y.dtype), View(y, "1d")
            return [_dot(ones, x, row) if axis == (0,) else _dot(x, ones, row)]
    return _reduced(_ADD_REDUCE, operation, y)


@lru_cache(maxsize=32)
def _ones(count: int, dtype: Any) -> Literal:
    """A vector of ones, with which BLAS sums: the same for all who ask."""
    return Literal("ones", np.ones(count, dtype))


def _mean(operation: Operation, y: Value) -> list[Call]:
    x = operation.arguments[0]
    if x.dtype.kind != "f" or not x.array.size:
        return stored(operation, y)
    return [*_sum(operation, y), _divided(y, x.array.size // y.array.size)]


def _sum_of_squares(operation: Operation, y: Value) -> list[Call]:
    row, count = View(operation.arguments[0], "1d"), operation.options["count"]
    total = _dot(row, row, View(y, "0d"))
    return [total, _divided(y, count)] if count else [total]


def _divided(y: Value, count: int) -> Call:
    return Call(np.divide, (y, _number(count, y.dtype), y), y)


def _dot(a: Any, b: Any, y: Any) -> Call:
    # np.dot looks for overrides first, which takes as long again; np.matmul takes four times as long.
    return Call(np.ndarray.dot, (a, b, y), y)


def _matmul(operation: Operation, y: Value) -> list[Call]:
    a, b = operation.arguments
    plain = a.array.ndim == b.array.ndim == 2 and y.array.flags.c_contiguous and a.dtype == b.dtype == y.dtype
    if plain and y.array.size and a.array.size and contiguous(a) and contiguous(b):
        return [_dot(a, b, y)]
    return [Call(np.matmul, (a, b, y), y)]


def _cumsum(operation: Operation, y: Value) -> list[Call]:
    return [Call(_ACCUMULATE, (operation.arguments[0], operation.options["axis"], None, y), y)]


# -- Shape and place


def _concatenate(operation: Operation, y: Value) -> list[Call]:
    axis = operation.options["axis"]
    calls, start = [], 0
    for piece in operation.arguments:
        stop = start + piece.shape[axis]
        if piece.array.size:
            part = View(y, (axis, start, stop))
            calls.append(Call(np.copyto, (part, piece), part))
        start = stop
    return calls


def _scatter(operation: Operation, y: Value) -> list[Call]:
    g, index = operation.arguments[0], operation.options["index"]
    put = operator.setitem if is_basic(index) else _ADD_AT
    return [Call(np.ndarray.fill, (y, 0), y), Call(put, (y, index, g), y)]


# -- The records

OTHER = Function(stored)

FUNCTIONS: dict[Callable[..., Any], Function] = {
    f: Function(elementwise, shares=tuple(range(f.nin)), is_ufunc=True)
    for f in vars(np).values()
    if isinstance(f, np.ufunc) and f.nout == 1 and f.signature is None
} | {
    np.where:        Function(_where, shares=(2,)),
    np.clip:         Function(_clip, shares=(0,)),
    astype:          Function(partial(_copy, "unsafe")),
    copied:          Function(partial(_copy, "unsafe")),
    np.sum:          Function(_sum),
    np.prod:         Function(partial(_reduced, np.multiply.reduce)),
    np.max:          Function(partial(_reduced, np.maximum.reduce)),
    np.min:          Function(partial(_reduced, np.minimum.reduce)),
    np.mean:         Function(_mean),
    sum_of_squares:  Function(_sum_of_squares),
    np.matmul:       Function(_matmul),
    np.cumsum:       Function(_cumsum),
    np.reshape:      Function(stored, is_view=True),
    np.transpose:    Function(stored, is_view=True),
    np.broadcast_to: Function(stored, is_view=True),
    getitem:         Function(stored, is_view=True),
    identity:        Function(stored, is_view=True),
    np.concatenate:  Function(_concatenate),
    scatter:         Function(_scatter),
    assignment:      Function(partial(_copy, "same_kind")),
}  # fmt: skip
