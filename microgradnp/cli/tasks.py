"""What the target column makes of a training: a regression to numbers, or a classification into classes.

Each knows its loss, what the network's outputs stand for, and how predictions are judged, written and drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.nn import Standardizer, functional, losses, metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]
Class = str | int | float
Predict = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows of a table as numbers: inputs (N, columns), the target (N,), and which of them are not trained on."""

    x: Array
    y: Array
    held_out: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Regression:
    """The target is a number, which the network is trained on at mean 0 and spread 1."""

    target: str
    scale: Standardizer

    width = 1
    loss = staticmethod(losses.mean_squared_error)

    def encoded(self, y: Array) -> Array:
        """The targets that the network is trained on."""
        return np.asarray(self.scale(y[:, None]))

    def decoded(self, outputs: Array) -> Array:
        """What its outputs say: numbers in the target's own unit, of shape (N,)."""
        return np.asarray(self.scale.inverse(outputs)[:, 0])

    def values(self, y: Array) -> list[Any]:
        """The target column, as it stood in the table."""
        return list(y.tolist())

    def columns(self, predicted: Array) -> list[tuple[str, list[Any]]]:
        """Predictions as columns of a table, with their names."""
        return [(f"{self.target} (predicted)", predicted.tolist())]

    def headline(self, predicted: Array, y: Array) -> str:
        """The one number that counts."""
        r2 = f"; R2 {metrics.r2(predicted, y):.4g}" if len(y) > 1 else ""
        return f"error {metrics.rmse(predicted, y):.6g} {self.target} (root mean squared{r2})"

    def measures(self, predicted: Array, y: Array) -> dict[tuple[str, str], str]:
        """Numbers to judge by, with their names and units."""
        error = metrics.rmse(predicted, y)
        return {
            ("root mean squared error", self.target): f"{error:.6g}",
            ("mean squared error", f"({self.target})^2"): f"{error**2:.6g}",
        }

    def figure(self, sample: Sample, columns: Sequence[str], predict: Predict) -> tuple[str, Figure]:
        """The fitted curve for one input column, predictions against observations for several; its file's name."""
        from microgradnp.show import figures

        held = sample.held_out
        if len(columns) == 1:
            grid = np.linspace(sample.x.min(), sample.x.max(), 500)
            lines = {"network": (grid, predict(grid[:, None]))}
            return "curve.png", figures.curves(sample.x[:, 0], sample.y, lines, columns[0], self.target, held_out=held)
        figure = figures.predicted_against_observed(
            sample.y, predict(sample.x), self.target, "training rows", held_out=held
        )
        return "predicted-against-observed.png", figure


@dataclass(frozen=True, eq=False)
class Classification:
    """The target is one of several classes, of which the network gives the probabilities."""

    target: str
    classes: list[Class]

    loss = staticmethod(losses.cross_entropy)

    @property
    def width(self) -> int:
        """How many outputs the network has."""
        return len(self.classes)

    def encoded(self, y: Array) -> Array:
        """The targets that the network is trained on."""
        return y.astype(np.int64)

    def decoded(self, outputs: Array) -> Array:
        """What its outputs say: scores of shape (N, classes), whose softmax are probabilities."""
        return outputs

    def values(self, y: Array) -> list[Any]:
        """The target column, as it stood in the table."""
        return [self.classes[int(place)] for place in y]

    def columns(self, predicted: Array) -> list[tuple[str, list[Any]]]:
        """Predictions as columns of a table, with their names."""
        names = [f"probability of {name}" for name in self.classes]
        probabilities = np.asarray(functional.softmax(predicted)).T.tolist()
        best = self.values(predicted.argmax(axis=1))
        return [(f"{self.target} (predicted)", best), *zip(names, probabilities, strict=True)]

    def headline(self, predicted: Array, y: Array) -> str:
        """The one number that counts."""
        right = int(np.sum(predicted.argmax(axis=1) == y))
        commonest = np.bincount(y.astype(np.int64)).max() / len(y)
        return f"accuracy {right / len(y):.2%} ({right} of {len(y)}; the commonest class is {commonest:.2%})"

    def measures(self, predicted: Array, y: Array) -> dict[tuple[str, str], str]:
        """Numbers to judge by, with their names and units."""
        labels = self.encoded(y)
        return {
            ("accuracy", ""): f"{metrics.accuracy(predicted, labels):.2%}",
            ("cross-entropy", "nat"): f"{losses.cross_entropy(predicted, labels).item():.6g}",
        }

    def figure(self, sample: Sample, columns: Sequence[str], predict: Predict) -> tuple[str, Figure]:
        """The confusion matrix of the rows that were held out or, if none was, of all."""
        from microgradnp.show import figures

        judged = sample.held_out if sample.held_out.any() else ~sample.held_out
        counts = metrics.confusion_matrix(predict(sample.x[judged]), self.encoded(sample.y[judged]), self.width)
        which = "held-out rows" if sample.held_out.any() else "training rows"
        names = [str(name) for name in self.classes]
        return "confusion-matrix.png", figures.confusion(counts, names, self.target, which)


Task = Regression | Classification
