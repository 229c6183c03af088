"""Writing calls: each operation as lines of NumPy that put its result into a given array, or as one readable line.

A *writer* gives the lines for one function, with ``{0}``, ``{1}``, ... for the arguments and ``{y}`` for the result's
array. A function without a writer is called as it is, and its result is copied into place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp.compiler.ir import Operation, Value, assignment, copied, sum_of_squares
from microgradnp.engine.rules import astype, getitem, is_basic, scatter

Lines = list[str]
Writer = Callable[[Operation], Lines]

WRITERS: dict[Callable[..., Any], Writer] = {}
SHARES: dict[Callable[..., Any], tuple[int, ...]] = {}
"""Which arguments may lie in the very place of the result."""


def writer(function: Callable[..., Any], *shares: int) -> Callable[[Writer], Writer]:
    """Register how ``function`` is written."""

    def register(f: Writer) -> Writer:
        WRITERS[function] = f
        SHARES[function] = shares
        return f

    return register


def lines_of(operation: Operation) -> Lines:
    """The lines that compute an operation into ``{y}``."""
    function = operation.function
    found = WRITERS.get(function)
    if found is not None:
        return found(operation)
    if is_ufunc(operation):
        out = (
            "out=" if function in (np.maximum, np.minimum) else ""
        )  # NumPy deprecates it as a positional argument there
        return [f"np.{function.__name__}({_places(operation)}, {out}{{y}})"]
    if operation.function in _REDUCTIONS:
        return _reduction(operation)
    return ["store({y}, {call})"]


def shares(operation: Operation) -> tuple[int, ...]:
    """Which arguments of an operation may lie in the very place of its result."""
    found = SHARES.get(operation.function)
    if found is not None:
        return found
    return tuple(range(len(operation.arguments))) if is_ufunc(operation) else ()


def is_ufunc(operation: Operation) -> bool:
    """Whether the operation is a plain call of one of NumPy's elementwise functions."""
    f = operation.function
    return (
        isinstance(f, np.ufunc)
        and f is operation.forward
        and f.nout == 1
        and f.signature is None
        and not operation.options
        and getattr(np, f.__name__, None) is f
    )


def _places(operation: Operation) -> str:
    return ", ".join(f"{{{i}}}" for i in range(len(operation.arguments)))


SCALAR: dict[Callable[..., Any], str] = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.power: "**",
}


def is_scalar(operation: Operation) -> bool:
    """Whether an operation takes and gives single floats: NumPy's scalars do that in a fifth of a ufunc's time."""
    y = operation.result
    if y is None or y.array.ndim or y.dtype not in (np.float64, np.float32):
        return False
    if operation.function in SCALAR or operation.function is np.negative:
        if operation.options or operation.errstate:
            return False
        dtypes = {x.dtype for x in operation.reads}
        return dtypes == {y.dtype} and all(x.array.ndim == 0 and x.base is None for x in operation.reads)
    return (
        operation.function is astype
        and operation.reads[0].dtype in (np.float64, np.float32)
        and (operation.reads[0].base is None)
    )


def store(y: Any, value: Any) -> None:
    """Put the result of a call that cannot write into a given array where it belongs."""
    if np.shape(value) != y.shape:
        raise RuntimeError(
            f"a call in a replayed program gave shape {np.shape(value)} where it gave {y.shape} when it was recorded: "
            "the shape of its result depends on values. Leave that call outside the compiled step."
        )
    y[...] = value


# -- Reductions

_REDUCTIONS = {np.sum: "add", np.prod: "multiply", np.max: "maximum", np.min: "minimum"}


MANY = 4096  # terms: up to here a sum by dot is as exact as NumPy's own, and takes a third of the time


def _reduction(operation: Operation) -> Lines:
    x, y = operation.arguments[0], operation.result
    axis, keepdims = operation.options["axis"], operation.options["keepdims"]
    assert y is not None
    if operation.function is np.sum and floats(x) and x.dtype == y.dtype:
        if y.array.size == 1 and contiguous(x) and x.array.size <= MANY:
            return [f"{{ones:{x.array.size}}}.dot({{flat:0}}, {{only}})"]
        if x.array.ndim == 2 and len(axis or ()) == 1 and x.array.flags.c_contiguous and x.shape[axis[0]] <= MANY:
            ones = f"{{ones:{x.shape[axis[0]]}}}"
            return [f"{ones}.dot({{0}}, {{all}})" if axis == (0,) else f"{{0}}.dot({ones}, {{all}})"]
    name = _REDUCTIONS[operation.function]
    return [f"np.{name}.reduce({{0}}, {_axis(axis, x)}, None, {{y}}, {keepdims})"]


def floats(x: Any) -> bool:
    """Whether a value is a non-empty array of the program's own, of a dtype that BLAS computes with."""
    return type(x) is Value and bool(x.array.size) and x.dtype in (np.float64, np.float32) and x.root.kind != "input"


def contiguous(x: Any) -> bool:
    """Whether a value's elements lie without gaps, in C or in Fortran order."""
    return bool(x.array.flags.c_contiguous or x.array.flags.f_contiguous)


def _axis(axis: Any, x: Any) -> str:
    if axis is not None and len(axis) == 1:
        return str(axis[0])
    return str(axis)


@writer(np.mean)
def _mean(operation: Operation) -> Lines:
    x, y = operation.arguments[0], operation.result
    assert y is not None
    if x.dtype.kind != "f" or not x.array.size:
        return ["store({y}, {call})"]
    total = Operation(np.sum, operation.arguments, operation.options, y)
    return [*_reduction(total), f"np.divide({{y}}, {{number:{x.array.size // y.array.size}}}, {{y}})"]


@writer(sum_of_squares)
def _sum_of_squares(operation: Operation) -> Lines:
    count = operation.options["count"]
    divide = [f"np.divide({{y}}, {{number:{count}}}, {{y}})"] if count else []
    return ["{flat:0}.dot({flat:0}, {only})", *divide]


@writer(np.cumsum)
def _cumsum(operation: Operation) -> Lines:
    return [f"np.add.accumulate({{0}}, {operation.options['axis']}, None, {{y}})"]


# -- Choosing


@writer(np.where, 2)
def _where(operation: Operation) -> Lines:
    return ["np.copyto({y}, {2})", "np.copyto({y}, {1}, where={0})"]


@writer(np.clip, 0)
def _clip(operation: Operation) -> Lines:
    return ["np.maximum({0}, {1}, out={y})", "np.minimum({y}, {2}, out={y})"]


# -- Products


@writer(np.matmul)
def _matmul(operation: Operation) -> Lines:
    a, b = operation.arguments
    y = operation.result
    assert y is not None
    plain = a.array.ndim == b.array.ndim == 2 and y.array.flags.c_contiguous and a.dtype == b.dtype == y.dtype
    if plain and y.array.size and all(map(_dense_matrix, (a.array, b.array))):
        # np.dot looks for overrides first, which takes as long again; np.matmul takes four times as long.
        return ["{0}.dot({1}, {y})"]
    return ["np.matmul({0}, {1}, {y})"]


def _dense_matrix(a: Any) -> bool:
    return bool(a.size and (a.flags.c_contiguous or a.flags.f_contiguous))


# -- Shape and place


@writer(np.reshape)
@writer(np.transpose)
@writer(np.broadcast_to)
def _copy(operation: Operation) -> Lines:
    return ["np.copyto({y}, {call})"]


@writer(copied)
@writer(astype)
def _astype(operation: Operation) -> Lines:
    return ["np.copyto({y}, {0}, 'unsafe')"]


@writer(np.concatenate)
def _concatenate(operation: Operation) -> Lines:
    axis = operation.options["axis"]
    lines, start = [], 0
    for i, piece in enumerate(operation.arguments):
        n = piece.shape[axis]
        if piece.array.size:
            lines.append(f"np.copyto({{part:{axis}:{start}:{start + n}}}, {{{i}}})")
        start += n
    return lines


@writer(getitem)
def _getitem(operation: Operation) -> Lines:
    if is_basic(operation.options["index"]):
        return ["np.copyto({y}, {call})"]
    return ["store({y}, {call})"]


@writer(scatter)
def _scatter(operation: Operation) -> Lines:
    if is_basic(operation.options["index"]):
        return ["{y}.fill(0)", "{y}[{option:index}] = {0}"]
    return ["{y}.fill(0)", "np.add.at({y}, {option:index}, {0})"]


# -- Random numbers and assignment


@writer(assignment)
def _assign(operation: Operation) -> Lines:
    return ["np.copyto({0}, {1}, 'same_kind')"]
