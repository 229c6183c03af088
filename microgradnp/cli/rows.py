"""A table as people have it, as rows of cells: packed or not, in any usual encoding, with any usual separator.

No such file says how it is to be read, and statistics of a few lines guess wrong. The names of the columns that are
asked for tell: right are the encoding, the separator and the row of names under which all of them are found.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import sys
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from microgradnp.cli.output import InputError

SEPARATORS = (",", ";", "\t", "|", " ")  # the last for any run of white space
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
OTHERS = ("cp932", "euc_jp", "cp1252", "gb18030", "cp949", "big5", "cp1251", "cp1250", "mac_roman", "latin-1")
NO_TEXT = {
    b"PK\x03\x04": "a workbook or an archive; save the sheet as CSV, or unpack the file",
    b"\xd0\xcf\x11\xe0": "a workbook; save the sheet as CSV",
    b"BZh": "packed by bzip2; unpack it (bunzip2)",
    b"\xfd7zXZ": "packed by xz; unpack it (unxz)",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it (unzstd)",
    b"\x93NUMPY": "an array of NumPy's; write it by np.savetxt",
    b"PAR1": "a Parquet file; write it as CSV",
    b"\x89HDF": "an HDF5 file; write the table as CSV",
    b"SQLite": "a database; write the table as CSV",
    b"%PDF": "a PDF document; save the table as CSV",
}
FORMS: tuple[Literal["NFC"], Literal["NFKC"]] = ("NFC", "NFKC")
HEAD = 200  # lines among which the row of names must be


class TableError(InputError):
    """A table that cannot be used; the message says in one line where and why."""


@dataclass(frozen=True)
class Layout:
    """Where the names stand, and what separates them and the cells below; the higher the score, the likelier."""

    score: tuple[int, ...]
    top: int
    header: list[str]
    separator: str


@dataclass(frozen=True)
class Rows(Layout):
    """The rows of a table below its names. ``body`` holds the number of each, as a spreadsheet counts them."""

    source: str
    body: list[tuple[int, list[str]]]


def read_rows(path: str | Path, names: Sequence[str]) -> Rows:
    """Read a table, so that the columns of these names are found if that can be.

    Raises
    ------
    TableError
        If the file cannot be read, is no text, or is empty.
    """
    source = source_of(path)
    best: Rows | None = None
    for encoding, text in _texts(_bytes(path, source)):
        if not re.search(r'[^\s,;|"]', text):
            raise TableError(
                f"{source}: the file is empty; it needs a row of column names and rows of numbers below it."
            )
        try:
            layout = _layout(text, names)
            if best is None or layout.score > best.score:
                guess = f": not a CSV file in UTF-8 (save it as such); read as {encoding}"
                body = _body(text, layout)
                best = Rows(**vars(layout), source=source + guess * (encoding in OTHERS), body=body)
        except csv.Error as error:
            raise TableError(f"{source}: not a CSV file in {encoding.upper()} ({error}).") from None
        if layout.score[0] == len(names):
            break
    if best is None:
        raise TableError(f"{source}: this is no table of text; save it as CSV in UTF-8.")
    return best


def source_of(path: str | Path) -> str:
    """What messages call the file: ``-`` is standard input."""
    return "standard input" if str(path) == "-" else str(path)


def places(header: Sequence[str], name: str) -> list[int]:
    """Where a column of this name stands: spelt the same or, failing that, the same but for the letters' forms."""
    for form in FORMS:
        found = [i for i, cell in enumerate(header) if _spelt(cell, form) == _spelt(name, form)]
        if found:
            return found
    return []


def split(text: str, separator: str) -> list[list[str]]:
    """The rows of a text, each as its cells; a frame of ``|`` around them makes none."""
    if separator == " ":
        lines: Iterable[str] = (" ".join(line.split()) for line in io.StringIO(text, newline=None))
    else:
        lines = io.StringIO(text, newline="")
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    if separator == "|" and all(not row[0] and not row[-1] for row in rows if len(row) > 1):
        return [row[1:-1] or row for row in rows]
    return rows


def fits(row: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row has a cell for each name, and no more but empty ones."""
    if len(row) == len(header):
        return True
    named = len(header) - next((i for i, name in enumerate(reversed(header)) if name), 0)
    filled = len(row) - next((i for i, cell in enumerate(reversed(row)) if cell), len(row))
    return len(row) >= named and filled <= len(header)


def _bytes(path: str | Path, source: str) -> bytes:
    try:
        if source == str(path):
            data = Path(path).read_bytes()
        elif sys.stdin is None:
            raise TableError("standard input is closed; give a file, or pipe the table in.")
        else:
            data = sys.stdin.buffer.read()
    except OSError as error:
        raise TableError(f"{source}: {error.strerror or error}.") from None
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise TableError(f"{source}: packed by gzip, and damaged ({error}); make or fetch it again.") from None
    for start, what in NO_TEXT.items():
        if data.startswith(start):
            raise TableError(f"{source}: this is no text but {what}.")
    return data


def _texts(data: bytes) -> Iterator[tuple[str, str]]:
    """What a file's bytes can mean, each with the name of its encoding, the likeliest first."""
    zeros = [data[i::2].count(0) for i in (0, 1)]
    marked = next((encoding for mark, encoding in MARKS.items() if data.startswith(mark)), None)
    if marked:
        encodings: tuple[str, ...] = (marked,)
    elif any(zeros):  # the digits of UTF-16
        encodings = ("utf-16-le" if zeros[1] > zeros[0] else "utf-16-be",)
    else:
        encodings = ("utf-8", *OTHERS)
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if "\0" not in text:
                yield encoding, text
            if encoding not in OTHERS:
                return


def _layout(text: str, names: Sequence[str]) -> Layout:
    """The likeliest row of names.

    A comment's sign may stand before it, and `numpy.savetxt` writes the names as they are given, so that another
    separator may stand between them than between the numbers.
    """
    head = "".join(text.splitlines(keepends=True)[:HEAD])
    readings = {separator: split(head, separator) for separator in SEPARATORS}
    layouts = []
    for order, (separator, rows) in enumerate(readings.items()):
        filled = [i for i, row in enumerate(rows) if any(row)]
        first = next((i for i in filled if not _comment(rows[i])), None)
        for top in filled:
            for header in _headers(rows[top], separator):
                found = sum(bool(places(header, name)) for name in names)
                fitting = [
                    s for s in (separator, *SEPARATORS) if found and _fits_below(readings[s][top + 1 :], header, names)
                ]
                score = (found, bool(fitting), top == first, len(header) > 1, -order)
                layouts.append(Layout(score, top, header, fitting[0] if fitting else separator))
                if found == len(names) and fitting:
                    return layouts[-1]
    return max(layouts, key=lambda layout: layout.score, default=Layout((0,), 0, [], ","))


def _body(text: str, layout: Layout) -> list[tuple[int, list[str]]]:
    body = [*enumerate(split(text, layout.separator), start=1)][layout.top + 1 :]
    while body and not any(body[-1][1]):  # a spreadsheet may leave commas below the table
        body.pop()
    return [(number, row) for number, row in body if not _idle(row, layout.header)]


def _headers(row: list[str], separator: str) -> list[list[str]]:
    """A row as one of names: without a comment's sign before it, and as it stands."""
    if not _comment(row):
        return [row]
    name = row[0].lstrip("#%").strip()
    return [row[1:] if separator == " " and not name else [name, *row[1:]], row]


def _fits_below(rows: list[list[str]], header: list[str], names: Sequence[str]) -> bool:
    row = next((row for row in rows if not _idle(row, header)), [])
    again = all(places(row, name) for name in names)  # the names in a comment, and in a row of their own below it
    return len(row) > 1 and fits(row, header) and not again


def _comment(row: list[str]) -> bool:
    return bool(row) and row[0].startswith(("#", "%"))


def _idle(row: list[str], header: list[str]) -> bool:
    """Whether a row is blank, a comment, or the line ruled below the names of a table set as text."""
    if not any(row):
        return len(row) < 2
    if _comment(row):
        return not (re.match(r"[#%]\w", row[0]) and fits(row, header))  # #1, #2: the names of samples
    return all(len(cell) > 2 and not cell.strip("-+:=") for cell in row)


def _spelt(name: str, form: Literal["NFC", "NFKC"]) -> str:
    return " ".join(unicodedata.normalize(form, name).split())
