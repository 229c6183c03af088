"""``microgradnp fit DATA.csv``: a network trained on a person's own table, from the command line.

The table is prepared, a network built and trained, and what it makes of the rows is judged, written and drawn: one
function for each of these stages.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import click

from microgradnp import nn
from microgradnp.cli.output import InputError, check_place, missing_option, out_option, publishing, show, table_of
from microgradnp.cli.predictor import Predictor
from microgradnp.cli.prepare import HELD_OUT, LEAST, prepare
from microgradnp.cli.rows import source_of
from microgradnp.cli.table import as_csv, read_table, reading
from microgradnp.cli.tasks import Array, Sample, Task
from microgradnp.nn import optim

ACTIVATIONS: dict[str, type[nn.Layer]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
MEMORY = 8 * 10**9  # bytes that a training may take
OPTIMIZERS: dict[str, type[optim.Optimizer]] = {"gd": optim.GD, "adam": optim.Adam}


def build(
    sample: Sample,
    task: Task,
    columns: list[str],
    hidden: Sequence[int],
    activation: str,
    seed: int,
) -> Predictor:
    """An untrained network of the given hidden widths."""
    widths = [len(columns), *hidden, task.width]
    model = nn.Sequential(rng=seed)
    for i, (width, wider) in enumerate(pairwise(widths)):
        if i:
            model.append(ACTIVATIONS[activation]())
        model.append(nn.Linear(width, wider))
    return Predictor(model, columns, nn.Standardizer(sample.x[~sample.held_out]), task)


def train(
    predictor: Predictor,
    sample: Sample,
    optimizer: optim.Optimizer,
    *,
    epochs: int,
    batch_size: int | None = None,
    patience: int | None = None,
    progress: bool = False,
) -> tuple[int, str]:
    """Train the network; return which epoch its weights are of, and a sentence on it if it is not simply the last."""
    inputs, targets = predictor.inputs(sample.x), predictor.task.encoded(sample.y)
    held_out = sample.held_out
    stopping = [] if patience is None else [nn.EarlyStopping(patience)]
    history = nn.fit(
        predictor.model,
        inputs[~held_out],
        targets[~held_out],
        loss=predictor.task.loss,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        validation=(inputs[held_out], targets[held_out]) if held_out.any() else None,
        callbacks=stopping,
        progress=progress,
    )
    if not (stopping and history.epochs):
        return history.epochs, ""
    best = stopping[0].best_epoch
    return best, (
        f"Epoch {best} of {history.epochs} was the best on the held-out rows, and its weights were "
        "kept; so their error is a little flattered."
    )


def report(predictor: Predictor, sample: Sample, before: Array, after: Array, epochs: int, *lines: str) -> None:
    """Print how good the predictions are, first on the rows that were held out."""
    task = predictor.task
    parts = {"held out": sample.held_out, "trained on": ~sample.held_out}
    parts = {name: rows for name, rows in parts.items() if rows.any()}
    table = table_of(f"{len(sample.y):,} rows", "unit", "before training", f"after {epochs} epochs")
    for name, rows in parts.items():
        table.add_row(f"{rows.sum():,} {name}")
        then = task.measures(before[rows], sample.y[rows])
        for (measure, unit), number in task.measures(after[rows], sample.y[rows]).items():
            table.add_row(measure, unit, then[measure, unit], number)
        table.add_section()
    name, rows = next(iter(parts.items()))
    headline = task.headline(after[rows], sample.y[rows])
    if name == "held out":
        show(f"Held-out {headline}", table, *lines)
    else:
        show(f"Training {headline}", "It is of rows trained on; --validation 0.2 holds some out.", table, *lines)


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


def _check_size(rows: int, batch: int, widths: Sequence[int]) -> None:
    """Refuse a network that would not fit into memory, before the system ends the process without a word."""
    weights = sum((a + 1) * b for a, b in pairwise(widths))
    # A gradient and Adam's two means for each weight; values and gradients of a batch; a prediction of all rows.
    size = 8 * (4 * weights + 4 * batch * sum(widths) + 2 * rows * max(widths))
    if size > MEMORY:
        raise InputError(
            f"--hidden {','.join(map(str, widths[1:-1]))[:60]}: a network with {weights:,} weights, which takes some "
            f"{size // 10**9:,} GB on {rows:,} rows; give fewer or narrower layers, such as 8 or 32,32."
        )


def _check_extras() -> None:
    """What is needed after the training is looked for before it."""
    for package in ("rich", "tqdm", "matplotlib"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(name=package)


@click.command()
@click.argument("data")
@click.option("--x", required=True, metavar="COLUMN[,COLUMN]", callback=_columns, help="The input columns.")
@click.option("--y", required=True, metavar="COLUMN", callback=_column, help="The column to predict.")
@click.option(
    "--task",
    type=click.Choice(["regression", "classification"]),
    help="What the column to predict holds: numbers, or classes. By default classes if it holds words or few integers.",
)
@missing_option
@click.option("--hidden", default="8", show_default=True, callback=_widths, help="Widths of the hidden layers: 8,8.")
@click.option("--activation", type=click.Choice([*ACTIVATIONS]), default="tanh", show_default=True)
@click.option("--optimizer", type=click.Choice([*OPTIMIZERS]), default="adam", show_default=True)
@click.option("--lr", type=float, default=0.05, show_default=True, help="The learning rate.")
@click.option("--epochs", type=click.IntRange(min=0), default=2000, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), help="How many rows a step takes. By default all.")
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    help=f"The share of the rows to hold out and judge by; 0 for none. By default {HELD_OUT} of {LEAST} rows or more.",
)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    metavar="EPOCHS",
    help="Stop after so many epochs without a better loss on the held-out rows, and go back to the best.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="For the initial weights, the rows that are held out and the order of batches.",
)
@click.option("--save", type=click.Path(path_type=Path), metavar="MODEL.npz", help="Save the network for `predict`.")
@out_option("fit")
def fit(
    data: str,
    x: list[str],
    y: str,
    task: str | None,
    missing: str,
    hidden: list[int],
    activation: str,
    optimizer: str,
    lr: float,
    epochs: int,
    batch_size: int | None,
    validation: float | None,
    patience: int | None,
    seed: int,
    save: Path | None,
    out: Path,
) -> None:
    """Train a network on the columns of the table DATA, and predict.

    DATA is a text file (or - for standard input, and gzip will do) with the names of the columns above the numbers. Its
    encoding and its separator - comma, semicolon, tab, |, spaces - are found by the names.

    Prints the error on rows that were held out, and writes the predictions as CSV and a figure: the fitted curve for
    one input column, predictions against observations for several, the confusion matrix of a classification.
    """
    _check_extras()
    if y in x:
        raise InputError(f"--y {y!r} is also one of the inputs; predict a column from the others.")
    check_place("--out", out, folder=True)
    if save:
        check_place("--save", save)
    reading(data)
    table = read_table(data, [*x, y])
    sample, goal, why = prepare(table, x, y, task=task, missing=missing, validation=validation, seed=seed)
    rows, held_out = len(sample.y), int(sample.held_out.sum())
    if patience and not held_out:
        raise InputError("--patience looks at rows that are held out, and there are none: give --validation 0.2.")
    _check_size(rows, min(rows, batch_size or rows), [len(x), *hidden, goal.width])
    predictor = build(sample, goal, x, hidden, activation, seed)
    try:
        method = OPTIMIZERS[optimizer](predictor.model.parameters(), lr)
    except ValueError as error:  # a hyperparameter out of range
        raise InputError(str(error)) from None
    apart = f"{held_out:,}" if held_out else "none"
    print(why, f"{rows:,} rows: {rows - held_out:,} to train on, {apart} held out.", sep="\n", flush=True)

    import tqdm.auto  # noqa: F401  (now: a signal in the middle of an import is lost, and files are being made later)

    with publishing(out) as folder:
        before = predictor(sample.x)
        try:
            epoch, note = train(
                predictor, sample, method, epochs=epochs, batch_size=batch_size, patience=patience, progress=True
            )
        except nn.DivergenceError as error:
            raise click.ClickException(f"training on {source_of(data)} went wrong: {error}") from None
        after = predictor(sample.x)
        (folder / "predictions.csv").write_bytes(_predictions(predictor, sample, after))
        name = _draw(predictor, sample, folder)
        if save:
            predictor.save(save)
    lines = [note] if note else []
    lines.append(f"Saved in {out}: {name}, predictions.csv")
    if save:
        lines.append(f"Saved the network in {save}: microgradnp predict {save} NEW.csv")
    report(predictor, sample, before, after, epoch, *lines)


def _predictions(predictor: Predictor, sample: Sample, predicted: Array) -> bytes:
    """The rows, what is predicted for them and, if some were held out, which."""
    task = predictor.task
    columns = [*zip(predictor.columns, sample.x.T.tolist(), strict=True), (task.target, task.values(sample.y))]
    if sample.held_out.any():
        columns.append(("held out", sample.held_out.tolist()))
    return as_csv([*columns, *task.columns(predicted)])


def _draw(predictor: Predictor, sample: Sample, folder: Path) -> str:
    from microgradnp.show import figures

    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", figures.FontWarning)
        name, figure = predictor.task.figure(sample, predictor.columns, predictor)
        figures.save(figure, folder / name)
    for note in notes:
        click.echo(f"Note: {note.message}", err=True)
    return name
