"""``microgradnp fit DATA.csv``: a regression on a person's own table, from the command line.

The columns are brought to one scale, a network is trained on them, and it predicts in the table's own units.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from microgradnp import nn
from microgradnp.cli.output import InputError, out_option, publishing, show, table_of
from microgradnp.cli.rows import TableError, source_of
from microgradnp.cli.table import read_columns, write_predictions
from microgradnp.nn import initializers, losses, optim

ACTIVATIONS: dict[str, type[nn.Layer]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
MEMORY = 8 * 10**9  # bytes that a training may take
OPTIMIZERS: dict[str, type[optim.Optimizer]] = {"gd": optim.GD, "adam": optim.Adam}


@dataclass(frozen=True, eq=False)
class Scale:
    """The mean and standard deviation of each column, to bring it to mean 0 and standard deviation 1 and back."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, table: NDArray[np.float64], names: Sequence[str]) -> Scale:
        """Measure a table; a column of equal values has no scale, and raises `TableError`."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = np.mean(table, axis=0), np.std(table, axis=0)
        for name, column, deviation in zip(names, table.T, std, strict=True):
            if np.all(column == column[0]):
                raise TableError(
                    f"column {name!r} has the same value {column[0]:g} in every row (there are {len(column)}): nothing "
                    "can be learned from it."
                )
            if not (math.isfinite(deviation) and deviation > 0):
                raise TableError(f"column {name!r} has values too large or too close to bring to one scale.")
        return cls(mean, std)

    def down(self, table: NDArray[Any]) -> NDArray[Any]:
        """From the data's own units to the standard scale."""
        return (table - self.mean) / self.std

    def up(self, table: NDArray[Any]) -> NDArray[Any]:
        """From the standard scale back to the data's own units."""
        return table * self.std + self.mean


@dataclass(frozen=True, eq=False)
class Regression:
    """A network trained on a table, with what it takes to use it on numbers in the table's own units."""

    model: nn.Sequential
    inputs: Scale
    target: Scale
    history: nn.History

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Predictions of shape (N,) for inputs of shape (N, columns), both in the data's own units."""
        return self.target.up(self.model.predict(self.inputs.down(x)))[:, 0]

    @property
    def mean_squared_errors(self) -> NDArray[np.float64]:
        """The loss after each epoch, in the square of the target's own unit."""
        return np.asarray(self.history.losses * self.target.std[0] ** 2)


def regress(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    names: Sequence[str],
    *,
    hidden: Sequence[int],
    activation: str,
    optimizer: str,
    lr: float,
    epochs: int,
    seed: int,
    progress: bool = False,
) -> Regression:
    """Train a network of the given hidden widths on inputs of shape (N, columns) and targets of shape (N,)."""
    inputs, target = Scale.of(x, names[:-1]), Scale.of(y[:, None], names[-1:])
    rng = np.random.default_rng(seed)
    init = initializers.he_normal if activation == "relu" else initializers.glorot_uniform
    model = nn.Sequential()
    width = x.shape[1]
    for wider in hidden:
        model.append(nn.Linear(width, wider, weight_init=init, rng=rng)).append(ACTIVATIONS[activation]())
        width = wider
    model.append(nn.Linear(width, 1, rng=rng))
    history = nn.fit(
        model,
        inputs.down(x),
        target.down(y[:, None]),
        loss=losses.mean_squared_error,
        optimizer=OPTIMIZERS[optimizer](model.parameters(), lr),
        epochs=epochs,
        progress=progress,
    )
    return Regression(model, inputs, target, history)


# -- The command -------------------------------------------------------------------------------------------------------


def _names(text: str) -> list[str]:
    """Column names as a CSV file has them in its first line; white space in them counts as one space."""
    return [name.strip() for name in next(csv.reader([" ".join(text.split())], skipinitialspace=True), [""])]


def _column(context: click.Context, parameter: click.Parameter, text: str) -> str:
    names = _names(text)
    name = names[0] if len(names) == 1 else " ".join(text.split())  # only one is asked for, so a comma needs no quotes
    if not name:
        raise InputError(f"--{parameter.name} {text!r}: give the name of a column.")
    return name


def _columns(context: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    names = _names(text)
    if not names or not all(names):
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
    if min(widths) < 1 or len(widths) > 100:
        many = f"{len(widths):,} hidden layers are more than will learn; " if len(widths) > 100 else ""
        raise InputError(f"--hidden {text[:60]!r}: {many}give the width of each hidden layer, such as 8 or 8,8.")
    return widths


def _without_gaps(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = columns[~np.isnan(columns).any(axis=1)]
    left_out = len(columns) - len(whole)
    if not len(whole):
        raise TableError(f"--missing drop: a value is missing in each of the {left_out} rows.")
    if left_out:
        click.echo(f"Note: {left_out} of {len(columns)} rows left out, in which a value is missing.", err=True)
    return whole


def _check_size(rows: int, inputs: int, hidden: Sequence[int]) -> None:
    """Refuse a network that would not fit into memory, before the system ends the process without a word."""
    widths = [inputs, *hidden, 1]
    weights = sum((a + 1) * b for a, b in pairwise(widths))
    size = 8 * (4 * weights + 4 * rows * sum(widths))  # a gradient and Adam's two means for each; values and gradients
    if size > MEMORY:
        raise InputError(
            f"--hidden {','.join(map(str, hidden))[:60]}: a network with {weights:,} weights, which takes some "
            f"{size // 10**9:,} GB on {rows:,} rows; give fewer or narrower layers, such as 8 or 32,32."
        )


@click.command()
@click.argument("data")
@click.option("--x", required=True, metavar="COLUMN[,COLUMN]", callback=_columns, help="The input columns.")
@click.option("--y", required=True, metavar="COLUMN", callback=_column, help="The column to predict.")
@click.option(
    "--missing",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    show_default=True,
    help="What to do about rows in which a value is missing.",
)
@click.option("--hidden", default="8", show_default=True, callback=_widths, help="Widths of the hidden layers: 8,8.")
@click.option("--activation", type=click.Choice([*ACTIVATIONS]), default="tanh", show_default=True)
@click.option("--optimizer", type=click.Choice([*OPTIMIZERS]), default="adam", show_default=True)
@click.option("--lr", type=float, default=0.05, show_default=True, help="The learning rate.")
@click.option("--epochs", type=click.IntRange(min=0), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For the initial weights.")
@out_option("fit")
def fit(data: str, x: list[str], y: str, missing: str, out: Path, lr: float, **options: Any) -> None:
    """Train a network on the columns of the table DATA, and predict.

    DATA is a text file (or - for standard input, and gzip will do) with the names of the columns above the numbers. Its
    encoding and its separator - comma, semicolon, tab, |, spaces - are found by the names.

    Writes the predictions as CSV, and a figure: the fitted curve for one input column, predictions against observations
    for several.
    """
    import tqdm  # noqa: F401  (now: a signal in the middle of an import is lost, and files are being made later)

    from microgradnp.show import figures

    if y in x:
        raise InputError(f"--y {y!r} is also one of the inputs; predict a column from the others.")
    names = [*x, y]
    columns = _without_gaps(read_columns(data, names, gaps=missing == "drop"))
    _check_size(len(columns), len(x), options["hidden"])
    inputs, observed = columns[:, :-1], columns[:, -1]

    with publishing(out) as folder:
        try:
            result = regress(inputs, observed, names, lr=lr, progress=True, **options)
        except TableError as error:
            raise TableError(f"{source_of(data)}: {error}") from None
        except nn.DivergenceError as error:
            raise click.ClickException(f"training on {source_of(data)} went wrong: {error}") from None
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
                figure = figures.predicted_against_observed(observed, predicted, y, "training rows")
            figures.save(figure, folder / name)

    for note in notes:
        click.echo(f"Note: {note.message}", err=True)
    before, after = result.mean_squared_errors[[0, -1]]
    table = table_of(f"{len(observed)} rows", "unit", "before training", f"after {options['epochs']} epochs")
    table.add_row("mean squared error", f"({y})^2", f"{before:.6g}", f"{after:.6g}")
    table.add_row("root mean squared error", y, f"{np.sqrt(before):.6g}", f"{np.sqrt(after):.6g}")
    show(table, f"Saved in {out}: {name}, predictions.csv")
