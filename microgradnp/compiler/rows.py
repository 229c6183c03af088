"""A trace for any number of rows, of traces for a few: what differs between them must go along with the number.

A recording knows sizes, not where they come from. But a step that was recorded with 5, 7 and 11 rows says in each of
its numbers whether it depends on them: 10, 14 and 22 are twice the rows, 8, 8 and 8 a width of the network's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.compiler.ir import Operation, Trace, Value, values_in

SIZES = (5, 7, 11)
"""With how many rows a step is recorded."""
NAME = "n"
"""What the number of rows is called in expressions."""


class DependsOnRows(TypeError):
    """Something depends on the number of rows in another way than that it grows with them."""


class _Text:
    """An expression that stands for an array."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class _Integer(int):
    """An integer that is written as an expression."""

    text: str

    def __repr__(self) -> str:
        return self.text


class _Float(float):
    """A number that is written as an expression."""

    text: str

    def __repr__(self) -> str:
        return self.text


def for_any_rows(traces: Sequence[Trace]) -> Trace:
    """The first of traces of one step, recorded with `SIZES` rows, with expressions in place of what grows with them.

    Raises
    ------
    DependsOnRows
        If the traces differ otherwise.
    """
    first = traces[0]
    operations = [trace.operations for trace in traces]
    if len({len(each) for each in operations}) > 1:
        raise DependsOnRows("it computes in another way for other numbers of rows")
    merged = [_operation(each) for each in zip(*operations, strict=True)]
    return replace(first, operations=merged, result=_merged([trace.result for trace in traces], "the result"))


def _operation(same: Sequence[Operation]) -> Operation:
    first = same[0]
    if any(other.function != first.function for other in same):
        raise DependsOnRows("it computes in another way for other numbers of rows")
    what = getattr(first.function, "__name__", "a function")
    arguments = _merged([operation.arguments for operation in same], what)
    options = _merged([operation.options for operation in same], what)
    new = replace(first, arguments=arguments, options=options, reads=tuple(values_in([arguments, options])))
    if first.result is not None:
        first.result.operation = new
    return new


def _merged(parts: Sequence[Any], what: str) -> Any:
    """One for all: what is the same in each, or goes along with the number of rows."""
    first, kind = parts[0], type(parts[0])
    if any(type(part) is not kind for part in parts):
        raise DependsOnRows(f"an argument of {what} depends on the number of rows")
    if kind is Value:
        return _value(parts, what)
    if kind is slice:
        return slice(*(_merged([getattr(part, end) for part in parts], what) for end in ("start", "stop", "step")))
    if isinstance(first, dict):
        return {key: _merged([part[key] for part in parts], what) for key in first}
    if isinstance(first, tree.SEQUENCES) and len({len(part) for part in parts}) == 1:
        make: Callable[[Any], Any] = getattr(first, "_make", kind)
        return make([_merged(each, what) for each in zip(*parts, strict=True)])
    if kind in (int, float):
        return _number(parts, what)
    if kind is np.ndarray and all(np.array_equal(first, part) for part in parts):
        return first
    if kind is not np.ndarray and all(part is first or part == first for part in parts):
        return first
    raise DependsOnRows(f"an argument of {what} depends on the number of rows")


def _number(parts: Sequence[Any], what: str) -> Any:
    first, second, *_ = parts
    if all(part == first for part in parts):
        return first
    slope, rest = divmod(second - first, SIZES[1] - SIZES[0])
    start = first - slope * SIZES[0]
    if rest or any(start + slope * n != part for n, part in zip(SIZES, parts, strict=True)):
        raise DependsOnRows(f"a number in {what} depends on the number of rows, and is no multiple of it")
    number = (_Integer if type(first) is int else _Float)(first)
    text = NAME if slope == 1 else f"{slope} * {NAME}"
    number.text = text if not start else f"({text} {'-' if start < 0 else '+'} {abs(start)})"
    return number


def _value(parts: Sequence[Value], what: str) -> Any:
    first = parts[0]
    if any((v.name, v.kind) != (first.name, first.kind) for v in parts):
        raise DependsOnRows("it computes in another way for other numbers of rows")
    arrays = [v.array for v in parts]
    if first.kind in ("input", "result") or all(np.array_equal(arrays[0], array, equal_nan=True) for array in arrays):
        return first
    values = np.unique(np.concatenate([array.ravel() for array in arrays]))
    if len(values) != 1 or len({array.ndim for array in arrays}) > 1:
        raise DependsOnRows(f"an array that {what} takes depends on the number of rows")
    shape = _merged([array.shape for array in arrays], what)
    return _Text(f"np.full({shape!r}, {values.item()!r}, np.{first.dtype})")


def along_rows(x: Any) -> bool:
    """Whether a number, or an array, is one that goes along with the number of rows."""
    return isinstance(x, _Integer | _Float | _Text)
