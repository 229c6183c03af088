"""What a training leaves behind: the losses, and the error that says that they went astray."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """How a training went.

    Attributes
    ----------
    losses : ndarray of shape (epochs + 1,)
        ``losses[k]`` is the loss after k epochs: ``losses[0]`` before training, ``losses[-1]`` at its end.
    """

    losses: NDArray[np.float64]

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.losses) - 1

    def __repr__(self) -> str:
        if not len(self.losses):
            return "History(no epoch)"
        return f"History(epochs={self.epochs}, loss {self.losses[0]:.6g} -> {self.losses[-1]:.6g})"


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


def check_end(losses: NDArray[np.float64], targets: NDArray[Any]) -> None:
    """Raise `DivergenceError` if the training ended far above where it began, in finite numbers."""
    size = max(abs(losses[0]), float(np.mean(np.square(targets, dtype=np.float64))))
    if losses[-1] > ABSURD * size:
        raise DivergenceError(
            f"the loss ended at {losses[-1]:.6g} after epoch {len(losses) - 1} (it was {losses[0]:.6g} at the start, "
            f"{losses.min():.6g} at its best): the training ran away. {_REMEDY.capitalize()}",
            History(losses),
        )


def check_finite(losses: NDArray[np.float64], epoch: int) -> None:
    """Raise `DivergenceError` if the loss after so many epochs is no number."""
    if math.isfinite(losses[epoch]):
        return
    history = History(losses[: epoch + 1].copy())
    if epoch == 0:
        raise DivergenceError(
            f"the loss is {losses[0]} before the first step: look at the model's initial values, and at the "
            "scale of the data.",
            history,
        )
    raise DivergenceError(
        f"the loss became {losses[epoch]} after epoch {epoch} (it was {losses[epoch - 1]:.6g} the epoch before, "
        f"{losses[0]:.6g} at the start): {_REMEDY}",
        history,
    )
