"""A person's own table: columns of numbers, or of words, from a file of text, and predictions back into one.

Whatever is wrong with the file is said in one line, by file, row and column, before anything is computed.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from microgradnp.cli.rows import Rows, TableError, fits, places, read_rows, source_of

MISSING = ("", "na", "n/a", "#n/a", "#na", "<na>", "nan", "null", "none", "-", "--", "?", ".")
WORDS = {**dict.fromkeys(MISSING, math.nan), "true": 1.0, "false": 0.0}
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # 1,234 may be a thousand and some, or one and some
LIKE_A_NUMBER = re.compile(r"[+\-−]?[.,]?(\d|inf(inity)?$)", re.IGNORECASE)  # as 12% and 1_000 are, which are none


@dataclass(frozen=True)
class Table:
    """The cells of the columns that were asked for, and which row of the file each line of them is."""

    source: str
    names: list[str]
    rows: list[int]
    cells: list[list[str]]
    comma: bool

    def numbers(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Columns of numbers, of shape (rows, len(names)), NaN where one is missing; TRUE and FALSE are 1 and 0.

        Raises
        ------
        TableError
            If a cell is neither missing nor a finite number.
        """
        columns = [self.names.index(name) for name in names]
        numbers = np.empty((len(self.cells), len(names)))
        for k, row in enumerate(self.cells):
            for j, column in enumerate(columns):
                try:
                    numbers[k, j] = _number(row[column], self.comma)
                except ValueError as error:
                    raise TableError(f"{self.source}, row {self.rows[k]}, column {names[j]!r}: {error}") from None
        return numbers

    def texts(self, name: str) -> list[str | None]:
        """The cells of a column as they stand there, None where one is missing."""
        column = self.names.index(name)
        return [None if row[column].casefold() in MISSING else row[column] for row in self.cells]

    def holds_words(self, name: str) -> bool:
        """Whether no cell of a column is, or might be meant as, a number."""
        texts = [text for text in self.texts(name) if text is not None]
        return bool(texts) and not any(map(LIKE_A_NUMBER.match, texts))

    def check_whole(self, missing: NDArray[np.bool_]) -> None:
        """Raise `TableError` for the first of the cells that are ``missing``, of shape (rows, columns)."""
        found = np.argwhere(missing)
        if not len(found):
            return
        k, j = found[0]
        text = self.cells[k][j]
        what = f"{text!r} is not a finite number" if text else "the cell is empty"
        if text and self.holds_words(self.names[j]):
            what = f"{text!r} stands for a missing value (write it otherwise if it is a word like the others)"
        count = f"{len(found)} value{'s' * (len(found) > 1)} in {len(set(found[:, 0]))} of {len(self.cells)} rows"
        raise TableError(
            f"{self.source}, row {self.rows[k]}, column {self.names[j]!r}: {what}; fill it in or leave the row "
            f"out. All told, {count}: --missing drop leaves them out."
        )

    def whole(self, columns: NDArray[np.float64], missing: str) -> NDArray[np.float64]:
        """The columns without the rows in which a value is NaN; ``missing="refuse"`` raises `TableError` instead."""
        gaps = np.isnan(columns)
        if missing == "refuse":
            self.check_whole(gaps)
        left_out = int(gaps.any(axis=1).sum())
        if left_out == len(columns):
            raise TableError(f"--missing drop: a value is missing in each of the {left_out} rows.")
        if left_out:
            click.echo(f"Note: {left_out} of {len(columns)} rows left out, in which a value is missing.", err=True)
        return columns[~gaps.any(axis=1)]


def reading(path: str) -> None:
    """Say in a terminal what is being read, which may take long, or wait for somebody to type."""
    if sys.stderr is not None and sys.stderr.isatty():
        click.echo(f"Reading {source_of(path)} ...", err=True)


def read_table(path: str | Path, names: Sequence[str]) -> Table:
    """Read the columns of these names from a table with a row of names.

    Raises
    ------
    TableError
        If the file cannot be read or is empty, a column is missing or named twice, or a row has no cell for it. Rows
        are counted as a spreadsheet counts them: in most files, the names are row 1.
    """
    rows = read_rows(path, names)
    columns = _columns(rows, names)
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
    return Table(rows.source, list(names), [number for number, _ in rows.body], cells, comma)


def read_columns(path: str | Path, names: Sequence[str], *, gaps: bool = False) -> NDArray[np.float64]:
    """Read columns of numbers from a table, as an array of shape (rows, len(names)); NaN where ``gaps`` are allowed.

    Raises
    ------
    TableError
        As `read_table` does, and if a cell is not a finite number.
    """
    table = read_table(path, names)
    numbers = table.numbers(names)
    if not gaps:
        table.check_whole(np.isnan(numbers))
    return numbers


def _columns(rows: Rows, names: Sequence[str]) -> list[int]:
    found = [places(rows.header, name) for name in names]
    for name, where in zip(names, found, strict=True):
        if len(where) > 1:
            raise TableError(
                f"{rows.source}, row {rows.top + 1}: column {name!r} is there {len(where)} times; give each its own "
                "name."
            )
    lacking = [name for name, where in zip(names, found, strict=True) if not where]
    if not lacking:
        return [where[0] for where in found]
    there = ", ".join(repr(cell if len(cell) <= 60 else cell[:59] + "…") for cell in rows.header[:20])
    more = f" and {len(rows.header) - 20} more" if len(rows.header) > 20 else ""
    hint = ""
    if all(re.fullmatch(r"[\d.,+-]*([eE][+-]?\d+)?", cell) for cell in rows.header):
        hint = " Give the table a row of column names (np.savetxt writes one by header=)."
    raise TableError(
        f"{rows.source}, row {rows.top + 1}: no column{'s' * (len(lacking) > 1)} {', '.join(map(repr, lacking))}; it "
        f"has {there or 'no name'}{more}.{hint}"
    )


def _decimal_comma(cells: list[str], separator: str) -> bool:
    """Whether 1,5 is one and a half: where no number has a point, and the commas cannot all stand for thousands.

    Semicolons between the columns are there because the comma is the decimal sign.
    """
    with_comma = [cell for cell in cells if COMMA.fullmatch(cell)]
    if any("." in cell and LIKE_A_NUMBER.match(cell) for cell in cells):
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


def as_csv(columns: Sequence[tuple[str, Sequence[Any]]]) -> bytes:
    """Columns below their names as CSV in UTF-8, each number in full."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    writer.writerows(zip(*(values for _, values in columns), strict=True))
    return text.getvalue().encode()
