"""What a training leaves behind: the losses, and the error that says that they went astray."""

import math
from dataclasses import dataclass

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
        return f"History(epochs={self.epochs}, loss {self.losses[0]:.6g} -> {self.losses[-1]:.6g})"


class DivergenceError(FloatingPointError):
    """The loss became NaN or infinite; ``.history`` holds the losses up to there."""

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history


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
        f"{losses[0]:.6g} at the start): a smaller learning rate, or data brought to mean 0 and standard "
        "deviation 1, usually helps.",
        history,
    )
