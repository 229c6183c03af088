"""``microgradnp predict MODEL.npz NEW.csv``: what ``fit --save`` has saved, used on another table."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from microgradnp.cli.output import InputError, check_place, missing_option
from microgradnp.cli.predictor import Predictor
from microgradnp.cli.table import as_csv, read_table, reading
from microgradnp.nn.saving.archive import replacing


@click.command()
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL.npz")
@click.argument("data", metavar="NEW.csv")
@missing_option
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="The file to write, in place of standard output."
)
def predict(model: Path, data: str, missing: str, out: Path | None) -> None:
    """Predict for the rows of the table NEW.csv by a network that `fit --save MODEL.npz` has saved.

    NEW.csv is read as `fit` reads a table, or - for standard input. It needs the columns that the network was trained
    on, by name and in any order; others are of no account.

    Writes these columns and the predictions as CSV in UTF-8; of a classification the probabilities too.
    """
    predictor = Predictor.load(model)
    if out:
        check_place("--out", out)
    reading(data)
    table = read_table(data, predictor.columns)
    x = table.whole(table.numbers(predictor.columns), missing)
    try:
        predicted = predictor.task.columns(predictor(x))
    except ValueError as error:  # parts of the file that do not fit each other
        raise InputError(f"{model}: {error}") from None
    text = as_csv([*zip(predictor.columns, x.T.tolist(), strict=True), *predicted])
    if not out:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    try:
        with replacing(out) as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror or error}.") from None
