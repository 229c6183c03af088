"""The command line: ``microgradnp document`` repeats the chapter, ``microgradnp fit`` does it for data of your own.

What goes wrong with a user's input ends in one line and exit code 2. All output files are made in a temporary folder
and moved to their place at the end, so that an error leaves nothing half-written.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import click

from microgradnp import __version__
from microgradnp.cli.check import InputError, check

if TYPE_CHECKING:
    from rich.table import Table

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Automatic differentiation on NumPy, with gradients that can be checked."""


main.add_command(check)


def _out(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=default,
        show_default=True,
        help="Folder for the output; made if it is not there.",
    )


# -- document ----------------------------------------------------------------------------------------------------------


@main.command()
@_out("figures")
@click.option("--svg", is_flag=True, help="Save each figure as SVG too.")
def document(out: Path, svg: bool) -> None:
    """Repeat the chapter's experiment and compare every number that it prints.

    Exits 1 if a number does not agree.
    """
    from microgradnp.cli.document import figures, run
    from microgradnp.show.figures import save

    with _publishing(out) as folder:
        chapter = run()
        for name, figure in figures(chapter).items():
            for suffix in ("png", "svg") if svg else ("png",):
                save(figure, folder / f"{name}.{suffix}")
        names = sorted(path.name for path in folder.iterdir())

    table = _table("quantity", "document", "this run", "rel. diff.", "verdict")
    for row in chapter.rows:
        wanted = "all digits" if row.tolerance is None else f"{row.tolerance:.0e}"
        verdict = f"{'agrees' if row.agrees else 'DIFFERS'} ({wanted})"
        cells = (row.quantity, row.printed, repr(float(row.value)), f"{row.difference:.1e}", verdict)
        table.add_row(*cells, style=None if row.agrees else "bold red")
    agreeing = sum(row.agrees for row in chapter.rows)
    _print(table, f"{agreeing} of {len(chapter.rows)} numbers agree.", f"Figures in {out}: {', '.join(names)}")
    if agreeing < len(chapter.rows):
        sys.exit(1)


# -- fit ---------------------------------------------------------------------------------------------------------------


def _names(text: str) -> list[str]:
    """Column names as a CSV file has them in its first line."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [""])]


def _column(context: click.Context, parameter: click.Parameter, text: str) -> str:
    names = _names(text)
    return names[0] if len(names) == 1 else text.strip()  # only one is asked for, so a comma needs no quotes


def _columns(context: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    names = _names(text)
    if not all(names):
        raise InputError(
            f"--{parameter.name} {text!r}: give column names, separated by commas; put double quotes around one "
            "that has a comma itself."
        )
    if len(set(names)) < len(names):
        raise InputError(f"--{parameter.name} {text!r}: a column is given twice.")
    return names


def _widths(context: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    try:
        widths = [int(width) for width in text.split(",")]
    except ValueError:
        widths = [0]
    if min(widths) < 1:
        raise InputError(f"--hidden {text!r}: give the width of each hidden layer, such as 8 or 8,8.")
    return widths


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--x", required=True, metavar="COLUMN[,COLUMN]", callback=_columns, help="The input columns.")
@click.option("--y", required=True, metavar="COLUMN", callback=_column, help="The column to predict.")
@click.option("--hidden", default="8", show_default=True, callback=_widths, help="Widths of the hidden layers: 8,8.")
@click.option("--activation", type=click.Choice(["sigmoid", "relu", "tanh"]), default="tanh", show_default=True)
@click.option("--optimizer", type=click.Choice(["gd", "adam"]), default="adam", show_default=True)
@click.option("--lr", type=float, default=0.05, show_default=True, help="The learning rate.")
@click.option("--epochs", type=click.IntRange(min=0), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For the initial weights.")
@_out("fit")
def fit(data: Path, x: list[str], y: str, out: Path, lr: float, **options: Any) -> None:
    """Train a network on the columns of the CSV file DATA, and predict.

    Writes the predictions as CSV, and a figure: the fitted curve for one input column, predictions against observations
    for several.
    """
    import numpy as np

    from microgradnp.cli.fit import TableError, read_columns, regress, write_predictions
    from microgradnp.nn.train.loop import DivergenceError
    from microgradnp.show import figures

    if y in x:
        raise InputError(f"--y {y!r} is also one of the inputs; predict a column from the others.")
    names = [*x, y]
    try:
        columns = read_columns(data, names)
    except TableError as error:
        raise InputError(str(error)) from None
    inputs, observed = columns[:, :-1], columns[:, -1]

    with _publishing(out) as folder:
        try:
            result = regress(inputs, observed, names, lr=lr, progress=True, **options)
        except TableError as error:
            raise InputError(f"{data}: {error}") from None
        except DivergenceError as error:
            raise click.ClickException(f"training on {data} went wrong: {error}") from None
        except ValueError as error:  # a hyperparameter out of range
            raise InputError(str(error)) from None
        predicted = result.predict(inputs)
        write_predictions(folder / "predictions.csv", names, inputs, observed, predicted)
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", figures.FontWarning)
            if len(x) == 1:
                grid = np.linspace(inputs.min(), inputs.max(), 500)
                lines = {"network": (grid, result.predict(grid[:, None]))}
                name, figure = "curve.png", figures.curves(inputs[:, 0], observed, lines, *names)
            else:
                name = "predicted-against-observed.png"
                figure = figures.predicted_against_observed(observed, predicted, y)
            figures.save(figure, folder / name)

    for note in notes:
        click.echo(f"Note: {note.message}", err=True)
    before, after = result.mean_squared_errors[[0, -1]]
    table = _table(f"{len(observed)} rows", "unit", "before training", f"after {options['epochs']} epochs")
    table.add_row("mean squared error", f"({y})^2", f"{before:.6g}", f"{after:.6g}")
    table.add_row("root mean squared error", y, f"{np.sqrt(before):.6g}", f"{np.sqrt(after):.6g}")
    _print(table, f"Saved in {out}: {name}, predictions.csv")


# -- What the commands share -------------------------------------------------------------------------------------------


@contextmanager
def _publishing(out: Path) -> Iterator[Path]:
    """A temporary folder; its files move to ``out`` when all has gone well."""
    try:
        there = next(path for path in (out, *out.absolute().parents) if path.exists())
        with _ending_in_order(), TemporaryDirectory(dir=there, prefix=".microgradnp-") as name:
            yield Path(name)
            _move(sorted(Path(name).iterdir()), out)
    except OSError as error:
        raise InputError(f"--out {error.filename2 or out}: {error.strerror or error}.") from None


def _move(files: list[Path], out: Path) -> None:
    """Move files to ``out``: all of them or, if one cannot be, none."""
    for file in files:
        if (out / file.name).is_dir():
            raise InputError(f"--out {out}: {out / file.name} is a folder; a file of that name is to be written.")
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=files[0].parent) as name:
        kept, moved = Path(name), []
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


def _table(*header: str) -> Table:
    from rich.table import Table

    table = Table()
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if 0 < i < 4 else "left", overflow="fold")
    return table


def _print(*parts: Table | str) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120  # a file or a pipe has no width of its own
    console = Console(width=width, markup=False, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
