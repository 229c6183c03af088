"""A person's own table: columns of numbers from a file of text, and predictions back into one.

Whatever is wrong with the file is said in one line, by file, row and column, before anything is computed.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.cli.rows import Rows, TableError, fits, places, read_rows

MISSING = ("", "na", "n/a", "#n/a", "#na", "<na>", "nan", "null", "none", "-", "--", "?", ".")
WORDS = {**dict.fromkeys(MISSING, math.nan), "true": 1.0, "false": 0.0}
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # 1,234 may be a thousand and some, or one and some


def read_columns(path: str | Path, names: Sequence[str], *, gaps: bool = False) -> NDArray[np.float64]:
    """Read columns of numbers from a table with a row of names, as an array of shape (rows, len(names)).

    TRUE and FALSE are 1 and 0. A missing value is NaN where ``gaps`` are allowed.

    Raises
    ------
    TableError
        If the file cannot be read or is empty, a column is missing or named twice, or a cell is not a finite number.
        Rows are counted as a spreadsheet counts them: in most files, the names are row 1.
    """
    rows = read_rows(path, names)
    columns = [_column(rows, name) for name in names]
    if not rows.body:
        raise TableError(f"{rows.source}: no rows of numbers below the column names.")
    for number, row in rows.body:
        if not fits(row, rows.header):
            remedy = "fill it up or leave it out"
            if len(row) > len(rows.header):
                remedy = f"where a cell has a {rows.separator!r} in it, put double quotes around it, or separate by ';'"
            raise TableError(
                f"{rows.source}, row {number}, column {rows.header[columns[0]]!r}: the row has {len(row)} "
                f"cell{'s' * (len(row) != 1)}, but the header has {len(rows.header)}; {remedy}."
            )
    cells = [[row[i] for i in columns] for _, row in rows.body]
    comma = _decimal_comma([cell for row in cells for cell in row], rows.separator)
    numbers = np.empty((len(cells), len(names)))
    for k, row in enumerate(cells):
        for j, cell in enumerate(row):
            try:
                numbers[k, j] = _number(cell, comma)
            except ValueError as error:
                raise TableError(f"{rows.source}, row {rows.body[k][0]}, column {names[j]!r}: {error}") from None
    missing = np.argwhere(np.isnan(numbers))
    if len(missing) and not gaps:
        k, j = missing[0]
        text = cells[k][j]
        what = f"{text!r} is not a finite number" if text else "the cell is empty"
        count = f"{len(missing)} value{'s' * (len(missing) > 1)} in {len(set(missing[:, 0]))} of {len(cells)} rows"
        raise TableError(
            f"{rows.source}, row {rows.body[k][0]}, column {names[j]!r}: {what}; fill it in or leave the row "
            f"out. All told, {count}: --missing drop leaves them out."
        )
    return numbers


def _column(rows: Rows, name: str) -> int:
    found = places(rows.header, name)
    if len(found) == 1:
        return found[0]
    if found:
        raise TableError(
            f"{rows.source}, row {rows.top + 1}: column {name!r} is there {len(found)} times; give each its own name."
        )
    there = ", ".join(repr(cell if len(cell) <= 60 else cell[:59] + "…") for cell in rows.header[:20])
    more = f" and {len(rows.header) - 20} more" if len(rows.header) > 20 else ""
    hint = ""
    if all(re.fullmatch(r"[\d.,+-]*([eE][+-]?\d+)?", cell) for cell in rows.header):
        hint = " Give the table a row of column names (np.savetxt writes one by header=)."
    raise TableError(f"{rows.source}, row {rows.top + 1}: no column {name!r}; it has {there or 'no name'}{more}.{hint}")


def _decimal_comma(cells: list[str], separator: str) -> bool:
    """Whether 1,5 is one and a half: where no number has a point, and the commas cannot all stand for thousands.

    Semicolons between the columns are there because the comma is the decimal sign.
    """
    with_comma = [cell for cell in cells if COMMA.fullmatch(cell)]
    if any("." in cell and cell != "." for cell in cells):
        return False
    return any(separator == ";" or not GROUPED.fullmatch(cell) for cell in with_comma)


def _number(cell: str, comma: bool) -> float:
    text = cell.replace("_", "?").replace("−", "-")  # Python reads 1_000 as a number; in a table it is a slip
    try:
        value = float(text.replace(",", ".") if comma else text)
    except ValueError:
        word = cell.casefold()
        if word in WORDS:
            return WORDS[word]
        remedy = "mend it or leave the row out"
        if re.search(r"\d,\d", cell):
            remedy = "write numbers with one decimal sign, and no separator of thousands"
        raise ValueError(f"{cell!r} is not a number; {remedy}.") from None
    if math.isinf(value):
        raise ValueError(f"{cell!r} is not a finite number; fill it in or leave the row out.")
    return value


def write_predictions(
    path: str | Path, names: Sequence[str], x: NDArray[Any], y: NDArray[Any], predicted: NDArray[Any]
) -> None:
    """Write inputs, targets and predictions side by side as CSV, each number in full."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*names, f"{names[-1]} (predicted)"])
        writer.writerows(np.column_stack((x, y, predicted)).tolist())
