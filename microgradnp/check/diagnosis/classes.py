"""The mistakes that people make in deriving a softmax with cross-entropy by hand.

By the scores z the gradient is ``c (p - y)``, with ``y`` one-hot and p the softmax of z, however the loss was written.
So the scores are found by their gradient, and each mistake is another one in its place.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from microgradnp.check.diagnosis.program import Graph
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

# What is said of each, and what it makes of c (p - y).
MISTAKES: dict[str, tuple[str, Delta]] = {
    "softmax axis": (
        "the softmax is taken over the whole batch: it is divided by the sum of all, not by that of each data point",
        lambda s: s.c * (softmax(s.z, axis=None) - s.y),
    ),
    "softmax axis 0": (
        "the softmax is taken along axis 0, over the data points instead of the classes",
        lambda s: s.c * (softmax(s.z, axis=0) - s.y),
    ),
    "one-hot": (
        "the labels themselves are subtracted where one-hot ones are meant: p - y[:, None]",
        lambda s: s.c * (s.p - s.labels),
    ),
    "one-hot 2": (
        "the labels themselves are subtracted where one-hot ones are meant: p - y, one label for each column",
        lambda s: s.c * (s.p - s.labels[..., 0]) if s.p.shape[0] == s.p.shape[-1] else None,
    ),
    "one-hot 3": (
        "1 is subtracted in the columns of all labels: p[:, y] -= 1 where p[np.arange(N), y] -= 1, one-hot, is meant",
        lambda s: s.c * (s.p - s.y.max(axis=0)),
    ),
    "missing term": ("the one-hot labels are not subtracted: p stands for p - y", lambda s: s.c * s.p),
    "missing function": ("the softmax is missing: z - y stands for p - y", lambda s: s.c * (s.z - s.y)),
    "missing normalisation": (
        "the softmax is not divided by its sum: exp(z) - y stands for p - y",
        lambda s: s.c * (np.exp(s.z) - s.y),
    ),
    "softmax element-wise": (
        "the derivative of the softmax is taken element-wise, as p (1 - p): it is a full matrix, and this its diagonal",
        lambda s: -s.c * s.y * (1 - s.p),
    ),
    "extra derivative": (
        "there is a factor p (1 - p) too many: p - y holds the derivative of the softmax already",
        lambda s: s.c * (s.p - s.y) * s.p * (1 - s.p),
    ),
}


def class_mistakes(line: int) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """The kind of each mistake in the gradient by the scores, what to say about it, and how to make it."""
    for name, (text, delta) in MISTAKES.items():
        yield name.rstrip(" 0123456789"), text, partial(_made, line, delta)


def _made(line: int, delta: Delta, p: Any, k: int) -> Any:
    """The gradient that a mistake in the gradient by the scores leads to, at a point of `mistakes.Point`."""
    if p.graph is None or line not in p.graph.groups:
        return None
    found = scores_at(p.graph, p.graph.groups[line][0].result)
    if found is None:
        return None
    changed = delta(found)
    return None if changed is None else p.graph.passing({found.node: lambda g: [(found.node, changed)]})[k]
