"""The losses of scikit-learn's networks, and its penalty of large weights.

They are negative log-likelihoods with their canonical links: of classes, of labels, and of numbers with normal noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp.nn import functional


def one_class(z: Any, y: Any, share: Any) -> Any:
    """Of softmax(z), where y has a 1 in each row."""
    return np.sum(share * (functional.logsumexp(z, axis=1)[:, None] - np.sum(y * z, axis=1, keepdims=True)))


def each_label(z: Any, y: Any, share: Any) -> Any:
    """Of sigmoid(z), where y has 0 and 1."""
    return np.sum(share * (np.logaddexp(0, z) - y * z))


def squared_error(z: Any, y: Any, share: Any) -> Any:
    """Half the squares."""
    return 0.5 * np.sum(share * np.square(z - y))


OWN = (one_class, each_label, squared_error)


class Penalized:
    """A loss, and ``alpha / 2`` times the squares of all weights over the rows of the batch, as in scikit-learn."""

    def __init__(self, loss: Callable[..., Any], weights: list[Any], alpha: float) -> None:
        self.loss, self.weights, self.alpha = loss, weights, alpha

    def __call__(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """The loss of a batch, whose rows count by their weights."""
        given = weight is not None
        if self.loss in OWN:
            value = self.loss(prediction, target, weight[:, None] / np.sum(weight) if given else 1 / len(target))
        else:
            value = self.loss(prediction, target, **({"weight": weight} if given else {}))
        if not self.alpha:
            return value
        rows = np.sum(weight) if given else len(target)
        return value + self.alpha / 2 / rows * sum(np.sum(np.square(w)) for w in self.weights)
