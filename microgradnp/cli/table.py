"""A person's own table: columns of numbers from a CSV file, and predictions back into one.

Whatever is wrong with the file is said in one line, by file, row and column, before anything is computed.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class TableError(ValueError):
    """A table that cannot be used; the message says in one line where and why."""


def read_columns(path: str | Path, names: Sequence[str]) -> NDArray[np.float64]:
    """Read columns of numbers from a CSV file with a header, as an array of shape (rows, len(names)).

    Raises
    ------
    TableError
        If the file cannot be read or is empty, a column is missing or named twice, or a cell is not a finite number.
        Rows are counted as a spreadsheet counts them: the header is row 1.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, skipinitialspace=True))
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path}: not a CSV file in UTF-8 ({error}).") from None
    while rows and not any(cell.strip() for cell in rows[-1]):  # a spreadsheet may leave commas below the table
        rows.pop()
    if not rows:
        raise TableError(f"{path}: the file is empty; it needs a row of column names and rows of numbers below it.")
    top = next(i for i, row in enumerate(rows) if not _blank(row))
    header = [name.strip() for name in rows[top]]
    places = [_place(path, header, name) for name in names]
    numbers = [
        [_number(path, number, row, i, header) for i in places]
        for number, row in enumerate(rows[top + 1 :], start=top + 2)
        if not _blank(row)
    ]
    if not numbers:
        raise TableError(f"{path}: no rows of numbers below the column names.")
    return np.array(numbers)


def _blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _place(path: str | Path, header: list[str], name: str) -> int:
    n = header.count(name)
    if n == 1:
        return header.index(name)
    if n > 1:
        raise TableError(f"{path}, row 1: column {name!r} is there {n} times; give each its own name.")
    only = header[0] if len(header) == 1 else ""
    separator = next((s for s in (";", "\t") if s in only), None)
    hint = f" Separate the columns by ',' instead of {separator!r}." if separator else ""
    raise TableError(f"{path}, row 1: no column {name!r}; it has {', '.join(map(repr, header))}.{hint}")


def _number(path: str | Path, number: int, row: list[str], i: int, header: list[str]) -> float:
    where = f"{path}, row {number}, column {header[i]!r}"
    if len(row) != len(header):
        raise TableError(
            f"{where}: the row has {len(row)} cell{'s' * (len(row) != 1)}, but the header has {len(header)}."
        )
    text = row[i].strip()
    if not text:
        raise TableError(f"{where}: the cell is empty; fill it in or leave the row out.")
    try:
        value = float(text.replace("_", "?"))  # Python reads 1_000 as a number; in a table it is a slip
    except ValueError:
        raise TableError(f"{where}: {text!r} is not a number.") from None
    if not math.isfinite(value):
        raise TableError(f"{where}: {text!r} is not a finite number; fill it in or leave the row out.")
    return value


def write_predictions(
    path: str | Path, names: Sequence[str], x: NDArray[Any], y: NDArray[Any], predicted: NDArray[Any]
) -> None:
    """Write inputs, targets and predictions side by side as CSV, each number in full."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, f"{names[-1]} (predicted)"])
        writer.writerows(np.column_stack((x, y, predicted)).tolist())
