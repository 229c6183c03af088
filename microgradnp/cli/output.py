"""What the commands share: where their output goes, and how it is shown.

All output files are made in a temporary folder and moved to their place at the end, so that an error leaves nothing
half-written. What goes wrong with a user's input is an `InputError`: one line, and exit code 2.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.table import Table

Command = TypeVar("Command", bound=Callable[..., Any])


class InputError(click.ClickException):
    """Something that the user gave cannot be used: one line, exit code 2."""

    exit_code = 2


def out_option(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=default,
        show_default=True,
        help="Folder for the output; made if it is not there.",
    )


missing_option = click.option(
    "--missing",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    show_default=True,
    help="What to do about rows in which a value is missing.",
)


def check_place(option: str, path: Path, *, folder: bool = False) -> None:
    """Refuse at once, and not after a training, a file or folder that could not be written in the end."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if there == path and not folder:
        if there.is_dir():
            raise InputError(f"{option} {path} is a folder; a file of that name is to be written.")
    elif not there.is_dir():
        raise InputError(f"{option} {path}: Not a directory.")


@contextmanager
def publishing(out: Path) -> Iterator[Path]:
    """A temporary folder; its files move to ``out`` when all has gone well."""
    try:
        there = next(path for path in (out, *out.absolute().parents) if path.exists())
        with _ending_in_order(), _temporary_folder(there) as folder:
            yield folder
            _move(sorted(folder.iterdir()), out)
    except OSError as error:
        raise InputError(f"--out {error.filename2 or out}: {error.strerror or error}.") from None


@contextmanager
def _temporary_folder(inside: Path) -> Iterator[Path]:
    """A folder that is gone afterwards; named before it is made, so that a signal between the two leaves nothing."""
    folder = inside / f".microgradnp-{os.urandom(8).hex()}"
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(files: list[Path], out: Path) -> None:
    """Move files to ``out``: all of them or, if one cannot be, none."""
    for file in files:
        if (out / file.name).is_dir():
            raise InputError(f"--out {out}: {out / file.name} is a folder; a file of that name is to be written.")
    out.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(files[0].parent) as kept:
        moved = []
        try:
            for file in files:
                target = out / file.name
                if target.exists():
                    shutil.copy2(target, kept / file.name)
                moved.append(target)
                os.replace(file, target)
        except BaseException:
            for target in moved:
                if (kept / target.name).exists():
                    os.replace(kept / target.name, target)
                else:
                    target.unlink(missing_ok=True)
            raise


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let a signal that ends the process do so as Ctrl-C does, so that nothing temporary stays behind."""
    caught = []
    if threading.current_thread() is threading.main_thread():  # elsewhere Python sets no handlers
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, lambda number, frame: sys.exit(128 + number))
                caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def table_of(*header: str) -> Table:
    from rich.table import Table

    table = Table()
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if 0 < i < 4 else "left", overflow="fold")
    return table


def show(*parts: Table | str) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120  # a file or a pipe has no width of its own
    console = Console(width=width, markup=False, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
