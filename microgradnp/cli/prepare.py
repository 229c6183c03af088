"""From a table's cells to what a network is trained on: which task its target column sets, and which rows are held out.

Nobody says what a column of numbers means. What is decided here is told in one line, and ``--task`` decides otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp import nn
from microgradnp.cli.output import InputError
from microgradnp.cli.rows import TableError
from microgradnp.cli.table import Table
from microgradnp.cli.tasks import Array, Class, Classification, Regression, Sample, Task

FEW = 10
"""Up to how many different integers are taken for classes, where there are ``ROWS_EACH`` rows of each on average."""
ROWS_EACH = 5
HELD_OUT = 0.2
"""The share of the rows that is held out by default, where there are at least ``LEAST`` of them."""
LEAST = 10


def prepare(
    table: Table,
    x: list[str],
    y: str,
    *,
    task: str | None = None,
    missing: str = "refuse",
    validation: float | None = None,
    seed: int = 0,
) -> tuple[Sample, Task, str]:
    """The rows as numbers, of which some are held out, what they are for, and a sentence on why."""
    target, classes, why = read_target(table, y, task)
    columns = table.whole(np.column_stack((table.numbers(x), target)), missing)
    names = x if classes else [*x, y]
    for name, column in zip(names, columns.T, strict=False):
        _check_spread(table, name, column)
    inputs, target = columns[:, :-1], columns[:, -1]
    if classes and len(np.unique(target)) == 1:
        raise _same_value(table, y, classes[int(target[0])], len(target))
    held_out = _held_out(len(target), validation, seed, target if classes else None)
    if classes:
        return Sample(inputs, target, held_out), Classification(y, classes), why
    return Sample(inputs, target, held_out), Regression(y, nn.Standardizer(target[~held_out, None])), why


def _check_spread(table: Table, name: str, column: Array) -> None:
    """Refuse a column that cannot be brought to mean 0 and spread 1."""
    if np.all(column == column[0]):
        raise _same_value(table, name, f"{column[0]:g}", len(column))
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.std(column)
    if not (math.isfinite(deviation) and deviation > 0):
        raise TableError(f"{table.source}: column {name!r} has values too large or too close to bring to one scale.")


def _same_value(table: Table, name: str, value: Any, rows: int) -> TableError:
    return TableError(
        f"{table.source}: column {name!r} has the same value {value} in every row (there are {rows}): nothing can be "
        "learned from it."
    )


def _held_out(rows: int, share: float | None, seed: int, classes: Array | None) -> Array:
    """Which rows to judge by, and not to train on; of each class the same share, as nearly as can be."""
    if share is None:
        share = HELD_OUT if rows >= LEAST else 0.0
    held_out = np.zeros(rows, bool)
    if share:
        try:
            held_out[nn.split(np.arange(rows), share=share, rng=seed, stratify=classes)[1]] = True
        except ValueError as error:
            raise InputError(f"--validation: {error}") from None
    return held_out


# -- What the target column sets ---------------------------------------------------------------------------------------


def read_target(table: Table, target: str, asked: str | None) -> tuple[NDArray[np.float64], list[Class] | None, str]:
    """The target column, its classes, or None for a regression, and a sentence that says what was decided, and why.

    The column has numbers, or the places of the classes in their list, and NaN where a value is missing.
    """
    if table.holds_words(target) and asked != "regression":
        return _coded(table, target, table.texts(target), asked, "words")
    try:
        y = table.numbers([target])[:, 0]
    except TableError as error:
        if asked == "classification":
            return _coded(table, target, table.texts(target), asked, "texts")
        remedy = "" if asked else " Or take every text for a class: --task classification."
        raise TableError(f"{error}{remedy}") from None
    there = y[~np.isnan(y)]
    different = np.unique(there)
    integers = bool(np.all(different == np.rint(different)))
    few = integers and 1 < len(different) <= FEW and ROWS_EACH * len(different) <= len(there)
    if asked == "classification" or (few and not asked):
        values = [None if np.isnan(value) else int(value) if value.is_integer() else value for value in y.tolist()]
        return _coded(table, target, values, asked, "few integers (--task regression takes them as numbers)")
    why = f"{target!r} holds {len(different):,} different {'integers' if integers else 'numbers'}"
    return y, None, f"Regression: {'as --task says' if asked else why}."


def _coded(
    table: Table, target: str, values: Sequence[Class | None], asked: str | None, kind: str
) -> tuple[NDArray[np.float64], list[Class], str]:
    """Each value's place among the classes, these in order, and why."""
    there = [value for value in values if value is not None]
    classes: list[Any] = sorted(set(there))
    if 2 * len(classes) > len(there):
        raise TableError(
            f"{table.source}: column {target!r} has {len(classes)} classes in {len(there)} rows: two rows of each, on "
            "average, are the least to learn from."
        )
    places = {value: float(i) for i, value in enumerate(classes)}
    y = np.array([np.nan if value is None else places[value] for value in values])
    why = "as --task says" if asked else f"{target!r} holds {kind}"
    return y, classes, f"Classification into {len(classes)} classes: {why}."
