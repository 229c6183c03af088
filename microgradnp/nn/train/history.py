"""What a training leaves behind: its losses and metrics by epoch, and the error that says that it went astray."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class History(Mapping[str, NDArray[np.float64]]):
    """How a training went: a mapping of names to arrays with one number for each epoch, and for the start before them.

    Attributes
    ----------
    losses : ndarray of shape (epochs + 1,)
        ``losses[k]`` is the loss after k epochs: ``losses[0]`` before training, ``losses[-1]`` at its end. It is also
        ``history["loss"]``. In mini-batches it is the mean of the batches' losses as they are passed in the epoch that
        follows, weighted by their sizes.
    others : dict
        ``"val_loss"`` and the metrics after k epochs, in arrays of that shape, which may begin before training.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> history = nn.History(np.array([4.0, 2.0, 1.0]))
    >>> history, list(history), history["loss"][-1]
    (History(epochs=2, loss 4 -> 1), ['loss'], np.float64(1.0))
    """

    losses: NDArray[np.float64]
    others: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.losses) - 1

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        columns = {"loss": self.losses, **self.others}
        if name not in columns:
            raise KeyError(f"this History has no {name!r}; it has {', '.join(columns)}.")
        return columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("loss", *self.others))

    def __len__(self) -> int:
        return 1 + len(self.others)

    def __repr__(self) -> str:
        if not len(self.losses):
            return "History(no epoch)"
        parts = [f"{name} {column[0]:.6g} -> {column[-1]:.6g}" for name, column in self.items()]
        return f"History(epochs={self.epochs}, {', '.join(parts)})"

    def __str__(self) -> str:
        """A table of at most some twenty epochs, evenly spread; needs rich, without which it is the `repr`."""
        try:
            from rich.box import SIMPLE_HEAD
            from rich.console import Console
            from rich.table import Table
        except ModuleNotFoundError:
            return repr(self)
        table = Table(box=SIMPLE_HEAD)
        for name in ("epoch", *self):
            table.add_column(name, justify="right")
        for k in dict.fromkeys(np.linspace(0, self.epochs, min(self.epochs + 1, 21)).round().astype(int).tolist()):
            table.add_row(str(k), *(f"{column[k]:.6g}" for column in self.values()))
        text = StringIO()
        Console(file=text, width=80).print(table)
        return text.getvalue().strip("\n")

    def plot(self) -> Any:
        """Draw the losses against the epoch, on a log scale, and the metrics below; return the Figure.

        Needs matplotlib.
        """
        try:
            import matplotlib.pyplot as plt
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("plot() draws with matplotlib: pip install 'microgradnp[plot]'.") from error
        losses = [name for name in self if name in ("loss", "val_loss")]
        panels = [losses, [name for name in self if name not in losses]] if len(self) > len(losses) else [losses]
        figure, rows = plt.subplots(len(panels), sharex=True, squeeze=False, layout="constrained")
        for axes, names in zip(rows[:, 0], panels, strict=True):
            for name, (colour, dash) in zip(names, cycle(_LINES)):
                axes.plot(self[name], color=colour, linestyle=dash, label=name)
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
            axes.grid(alpha=0.3)
        rows[0, 0].set(ylabel="loss", yscale="log" if all((self[name] > 0).all() for name in losses) else "linear")
        rows[-1, 0].set(xlabel="epoch")
        return figure

    def to_dataframe(self) -> Any:
        """A pandas DataFrame, one row for each epoch; needs pandas."""
        try:
            from pandas import DataFrame, RangeIndex
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("to_dataframe() needs pandas: pip install pandas.") from error
        return DataFrame(dict(self), index=RangeIndex(self.epochs + 1, name="epoch"))


_LINES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"))  # colours of Okabe and Ito


class DivergenceError(FloatingPointError):
    """The loss became NaN, infinite or absurdly large; ``.history`` holds the losses up to there."""

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.history)


ABSURD = 1e4
"""How many times the loss at the start, and the square of the targets, a loss at the end may be."""

_REMEDY = "a smaller learning rate, or data brought to mean 0 and standard deviation 1, usually helps."


def check_end(history: History, start: float | None, targets: NDArray[Any]) -> None:
    """Raise `DivergenceError` if the training ended far above where it began, in finite numbers."""
    losses = history.losses
    start = losses[0] if start is None else start
    size = max(abs(start), float(np.mean(np.square(targets, dtype=np.float64))))
    if losses[-1] > ABSURD * size:
        raise DivergenceError(
            f"the loss ended at {losses[-1]:.6g} after epoch {len(losses) - 1} (it was {start:.6g} at the start, "
            f"{losses.min():.6g} at its best): the training ran away. {_REMEDY.capitalize()}",
            history,
        )


def diverged(history: History, batch: int | None, origin: str) -> DivergenceError:
    """The error for a loss, the last of ``history``, that is no number, and where that began."""
    *before, loss = history.losses
    epoch = len(before)
    if not before and not batch:
        return DivergenceError(
            f"the loss is {loss} before the first step: look at the model's initial values, and at the scale of the "
            f"data.{origin}",
            history,
        )
    place = f"after epoch {epoch}" if batch is None else f"in epoch {epoch + 1}, batch {batch + 1}"
    was = f" (it was {before[-1]:.6g} the epoch before, {before[0]:.6g} at the start)" if before else ""
    return DivergenceError(f"the loss became {loss} {place}{was}: {_REMEDY}{origin}", history)
