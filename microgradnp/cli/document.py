"""``microgradnp document``: the chapter, start to end, a network of one hidden layer on a noisy sine.

`run` repeats the experiment with this framework and holds every number that the chapter prints against its own;
`figures` draws the chapter's figures, and one more. No derivative is written down here: gradients come from Tensors.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from microgradnp import datasets, nn
from microgradnp.cli.output import out_option, publishing, show, table_of
from microgradnp.nn import functional, losses, optim
from microgradnp.transforms.pullback import grad

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS = 2000

# What the chapter prints, as it prints it.
INITIAL = "61.29358546868393"
PER_POINT = "1.2378770684995737"
GRADIENTS = {
    "W": "5.21872673e-02 -8.03960749e+00 1.83009108e+00 1.91103332e+00 "
    "3.24927634e+00 -7.23670010e+00 -1.12232153e+00 7.58282404e-03",
    "V": "36.82875279 29.24447765 49.19261588 9.67161219 23.84412956 23.11524231 35.19158249 35.04412075",
    "bs": "2.14818071e-01 -3.23527933e+01 9.04076394e+00 8.00770445e+00 "
    "1.34159140e+01 -2.80674027e+01 -4.66782630e+00 2.97730658e-02",
    "b0": "58.69466810466825",
}
DESCENT = """
    155.20176990047585 636.6940976770327  1982.0790483266553 2056.051066857846  75.1510373285995
    41.306942787588895 40.230205073524374 40.1956281449949   40.19379266944327  40.19298621925973
    40.19221490236367  40.19144755457859  40.19068317848521  40.18992172293257  40.189163166751285
    40.188407489902666 40.18765467254862  40.186904695016516 40.186157537795744 40.18541318153565
"""
DESCENT_END = "31.426829182338306"
ADAM_END = "0.89838996"


@dataclass(frozen=True)
class Row:
    """One number of the chapter beside this run's.

    Attributes
    ----------
    quantity
        What it is.
    printed
        The number as the chapter prints it.
    value
        This run's number.
    tolerance
        The largest relative difference that still agrees; None if all printed digits must be the same (for a number
        printed in full, up to the rounding of its last bits).
    """

    quantity: str
    printed: str
    value: float
    tolerance: float | None

    @property
    def difference(self) -> float:
        """The relative difference."""
        expected = float(self.printed)
        return abs(self.value - expected) / abs(expected)

    @property
    def agrees(self) -> bool:
        """Whether this run's number is the chapter's, as far as it must be."""
        if self.tolerance is not None:
            return self.difference <= self.tolerance
        if not np.isfinite(self.value):
            return False
        if abs(self.value - float(self.printed)) <= 4 * np.spacing(abs(float(self.printed))):
            return True  # printed to the last bit, which another machine's exp may round otherwise
        printed = Decimal(self.printed)
        return Decimal(self.value).quantize(Decimal((0, (1,), int(printed.as_tuple().exponent)))) == printed


@dataclass(frozen=True, eq=False)
class Chapter:
    """The whole experiment: data, three states of the network, two trainings, and the table."""

    x: NDArray[Any]
    y: NDArray[Any]
    untrained: nn.Sequential
    descended: nn.Sequential
    adapted: nn.Sequential
    descent: nn.History
    adam: nn.History
    rows: tuple[Row, ...]

    def curve(self, model: nn.Sequential, x: NDArray[Any]) -> NDArray[Any]:
        """The network's output at the points ``x``, back on the scale of the data."""
        return np.asarray(model.predict(x[:, None])[:, 0] * np.std(self.y) + np.mean(self.y))


def network(hidden: int = 8, seed: int = 1234) -> nn.Sequential:
    """The chapter's network with the chapter's initial values.

    Examples
    --------
    >>> from microgradnp.cli import document
    >>> document.network()
    Sequential(
      (0): Linear(1, 8)
      (1): Sigmoid()
      (2): Linear(8, 1)
    )
    """
    W, V, bs, b0 = datasets.chapter_parameters(hidden, seed)
    model = nn.Sequential(nn.Linear(1, hidden), nn.Sigmoid(), nn.Linear(hidden, 1))
    model.load_state_dict({"0.weight": W[None, :], "0.bias": bs, "2.weight": V[:, None], "2.bias": np.array([b0])})
    return model


def run() -> Chapter:
    """Repeat the chapter's experiment and compare each number that it prints."""
    x, y = datasets.noisy_sine()
    inputs, targets = x[:, None], ((y - np.mean(y)) / np.std(y))[:, None]
    rows: list[Row] = []

    untrained = network()
    loss = losses.sum_squared_error(untrained(inputs), targets)
    rows.append(Row("squared error, initial values", INITIAL, loss.item(), 1e-13))
    rows.append(Row("error per data point", PER_POINT, float(np.sqrt(loss.item() / len(x))), 1e-13))
    loss.backward()
    first, last = untrained[0], untrained[2]
    for (name, printed), p in zip(GRADIENTS.items(), (first.weight, last.weight, first.bias, last.bias), strict=True):
        for i, (number, value) in enumerate(zip(printed.split(), p.grad.ravel(), strict=True)):
            rows.append(Row(f"gradient of {name}[{i}]" if p.size > 1 else f"gradient of {name}", number, value, None))

    def trained(method: Any, **hyperparameters: Any) -> tuple[nn.Sequential, nn.History]:
        model = network()
        optimizer = method(model.parameters(), **hyperparameters)
        loss = losses.sum_squared_error
        return model, nn.fit(model, inputs, targets, loss=loss, optimizer=optimizer, epochs=EPOCHS)

    descended, descent = trained(optim.GD, lr=0.01)
    rows.append(Row("gradient descent, before", INITIAL, descent.losses[0], 1e-13))
    for epoch, printed in enumerate(DESCENT.split(), start=1):
        rows.append(Row(f"gradient descent, epoch {epoch}", printed, descent.losses[epoch], 1e-10))
    rows.append(Row(f"gradient descent, epoch {EPOCHS}", DESCENT_END, descent.losses[-1], 1e-10))

    adapted, adam = trained(optim.Adam, lr=0.05, betas=(0.9, 0.999), eps=1e-6)
    rows.append(Row("Adam, before", INITIAL, adam.losses[0], 1e-13))
    # Rounding grows along 2000 steps: PyTorch, JAX and the chapter's own loops end between 0.898390 and 0.898395.
    rows.append(Row(f"Adam, epoch {EPOCHS}", ADAM_END, adam.losses[-1], 1e-4))
    return Chapter(x, y, untrained, descended, adapted, descent, adam, tuple(rows))


def figures(chapter: Chapter) -> dict[str, Figure]:
    """The chapter's figures by name, and the loss curves, which it lacks."""
    from microgradnp.show import figures as draw

    x, y = chapter.x, chapter.y
    grid = np.linspace(0.0, 0.5, 500)
    untrained = chapter.curve(chapter.untrained, grid)
    without_b0 = untrained - chapter.untrained[2].bias.data[0] * np.std(y)
    z = np.linspace(-10.0, 10.0, 501)
    activations = {"sigmoid": functional.sigmoid, "ReLU": functional.relu}
    derivatives = {name: grad(lambda z, f=f: np.sum(f(z)))(z) for name, f in activations.items()}
    curves = {
        "1-data": {},
        # The chapter forgets b0 when it draws this one figure, though not when it computes the error.
        "2-untrained": {"untrained network": untrained, "the same without b0, as the chapter draws it": without_b0},
        "3-gradient-descent": {
            f"after {EPOCHS} epochs of gradient descent": chapter.curve(chapter.descended, grid),
        },
        "4-adam": {
            f"after {EPOCHS} epochs of Adam": chapter.curve(chapter.adapted, grid),
            "ground truth, sin(2πx)": np.sin(2 * np.pi * grid),
        },
    }
    return {
        **{
            name: draw.curves(x, y, {key: (grid, line) for key, line in lines.items()})
            for name, lines in curves.items()
        },
        "5-activations": draw.side_by_side(z, {name: f(z) for name, f in activations.items()}, "z", "{}(z)"),
        "6-derivatives": draw.side_by_side(z, derivatives, "z", "derivative of {}"),
        "7-losses": draw.losses({"gradient descent, lr 0.01": chapter.descent, "Adam, lr 0.05": chapter.adam}),
    }


# -- The command -------------------------------------------------------------------------------------------------------


@click.command()
@out_option("figures")
@click.option("--svg", is_flag=True, help="Save each figure as SVG too.")
def document(out: Path, svg: bool) -> None:
    """Repeat the chapter's experiment and compare every number that it prints.

    Exits 1 if a number does not agree.
    """
    from microgradnp.show.figures import save

    with publishing(out) as folder:
        chapter = run()
        for name, figure in figures(chapter).items():
            for suffix in ("png", "svg") if svg else ("png",):
                save(figure, folder / f"{name}.{suffix}")
        names = sorted(path.name for path in folder.iterdir())

    table = table_of("quantity", "document", "this run", "rel. diff.", "verdict")
    for row in chapter.rows:
        wanted = "all digits" if row.tolerance is None else f"{row.tolerance:.0e}"
        verdict = f"{'agrees' if row.agrees else 'DIFFERS'} ({wanted})"
        cells = (row.quantity, row.printed, repr(float(row.value)), f"{row.difference:.1e}", verdict)
        table.add_row(*cells, style=None if row.agrees else "bold red")
    agreeing = sum(row.agrees for row in chapter.rows)
    show(table, f"{agreeing} of {len(chapter.rows)} numbers agree.", f"Figures in {out}: {', '.join(names)}")
    if agreeing < len(chapter.rows):
        sys.exit(1)
