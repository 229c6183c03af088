"""The mistakes that people make in deriving a softmax with cross-entropy by hand.

By the scores z the gradient is ``c (p - y)``, with ``y`` one-hot and p the softmax of z, however the loss was written.
So the scores are found by their gradient, and each mistake is another one in its place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradnp.check.diagnosis.program import Gradients, Graph
from microgradnp.check.problem import Array
from microgradnp.engine.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a classification, one row for each data point, and what the loss makes of them."""

    node: Tensor
    z: Array
    p: Array
    """Their softmax."""
    y: Array
    """The labels, one-hot."""
    c: float
    """The factor before the loss, such as 1/N."""

    @property
    def labels(self) -> Array:
        """The label of each data point, in the shape that broadcasts against the rows."""
        labels: Array = np.argmax(self.y, axis=-1)[..., None]
        return labels


def softmax(z: Array, axis: int | None = -1) -> Array:
    """Shares that add up to 1 along an axis, or altogether."""
    e = np.exp(z - np.max(z, axis=axis, keepdims=True))
    shares: Array = e / np.sum(e, axis=axis, keepdims=True)
    return shares


def scores_of(graph: Graph) -> tuple[int, Scores] | None:
    """The first result whose gradient is that of a softmax with cross-entropy, after its line of the program."""
    if not any("exp" in o.name or "softmax" in o.name for o in graph.operations):
        return None
    for line, group in graph.groups.items():
        if len(group) == 1 and (found := scores_at(graph, group[0].result)) is not None:
            return line, found
    return None


def scores_at(graph: Graph, node: Tensor) -> Scores | None:
    """What a result is the scores of; None if its gradient is another."""
    if node.ndim not in (1, 2) or node.shape[-1] < 2 or not node.size:
        return None
    z = np.asarray(node.data, np.float64)
    with np.errstate(all="ignore"):
        p, g = softmax(z), graph.gradient_at(node)
        c = float(np.max(g / p))  # where the label is another class
        y = p - g / c
    one_hot = np.isfinite(y).all() and c > 0 and np.allclose(y, np.round(y), atol=1e-4)
    if not one_hot or (np.round(y) < 0).any() or (np.sum(np.round(y), axis=-1) != 1).any():
        return None
    return Scores(node, z, p, np.round(y), c)


Delta = Callable[[Scores], Any]
"""The gradient by the scores that a mistake leads to."""

# The kind, what is said of it, and what it makes of c (p - y).
MISTAKES: tuple[tuple[str, str, Delta], ...] = (
    (
        "softmax axis",
        "the softmax is taken over the whole batch: it is divided by the sum of all, not by that of each data point",
        lambda s: s.c * (softmax(s.z, axis=None) - s.y),
    ),
    (
        "softmax axis",
        "the softmax is taken along axis 0, over the data points instead of the classes",
        lambda s: s.c * (softmax(s.z, axis=0) - s.y),
    ),
    (
        "one-hot",
        "the labels themselves are subtracted where one-hot ones are meant: p - y[:, None]",
        lambda s: s.c * (s.p - s.labels),
    ),
    (
        "one-hot",
        "the labels themselves are subtracted where one-hot ones are meant: p - y, one label for each column",
        lambda s: s.c * (s.p - s.labels[..., 0]),
    ),
    (
        "one-hot",
        "1 is subtracted in the columns of all labels: p[:, y] -= 1 where p[np.arange(N), y] -= 1, one-hot, is meant",
        lambda s: s.c * (s.p - s.y.max(axis=0)),
    ),
    ("missing term", "the one-hot labels are not subtracted: p stands for p - y", lambda s: s.c * s.p),
    ("missing function", "the softmax is missing: z - y stands for p - y", lambda s: s.c * (s.z - s.y)),
    (
        "missing normalisation",
        "the softmax is not divided by its sum: exp(z) - y stands for p - y",
        lambda s: s.c * (np.exp(s.z) - s.y),
    ),
    (
        "softmax element-wise",
        "the derivative of the softmax is taken element-wise, as p (1 - p): it is a full matrix, and this its diagonal",
        lambda s: -s.c * s.y * (1 - s.p),
    ),
    (
        "extra derivative",
        "there is a factor p (1 - p) too many: p - y holds the derivative of the softmax already",
        lambda s: s.c * (s.p - s.y) * s.p * (1 - s.p),
    ),
)


def gradients_with(line: int, delta: Delta, graph: Graph) -> Gradients:
    """The gradients that a mistake in the gradient by the scores leads to, which stand at a line of the program."""
    (scores,) = filter(None, (scores_at(graph, o.result) for o in graph.groups[line]))
    return graph.gradients({scores.node: lambda g: [(scores.node, delta(scores))]})
