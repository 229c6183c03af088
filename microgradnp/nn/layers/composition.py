"""Layers made of layers side by side: an input that is added to the output, branches that are joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp.nn.layers.base import InputShapeError, Layer
from microgradnp.nn.layers.sequential import Sequential, as_layer


class Residual(Layer):
    """Layers one after another, to whose output the input is added: ``x + layers(x)``.

    K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR 2016.

    Parameters
    ----------
    *layers
        Layers, or functions, as in a `Sequential`.
    projection
        A layer for the input on its way past, where the widths differ: ``Residual(Linear(2, 8), projection=Linear(2,
        8))``. By default it is added as it is.

    Raises
    ------
    InputShapeError
        When called, if what is added has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> block = nn.Residual(nn.LayerNorm(4), nn.Linear(4, 4), nn.ReLU())
    >>> block(np.ones((5, 4))).shape
    (5, 4)
    """

    def __init__(self, *layers: Layer | Callable[[Any], Any], projection: Layer | None = None) -> None:
        self.inner = Sequential(*layers)
        self.projection = None if projection is None else as_layer(projection, "Residual takes layers; its projection")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers inside, less the projection."""
        return tuple(self.inner)

    def forward(self, x: Any) -> Any:
        """Add the input to what the layers make of it."""
        y = self.inner(x)
        past = x if self.projection is None else self.projection(x)
        if np.shape(y) != np.shape(past):
            raise InputShapeError(
                self,
                f"adds to its layers' output of shape {np.shape(y)} "
                f"{'the input' if self.projection is None else 'its projection'} of shape {np.shape(past)}: they must "
                "agree. Match the last layer's width, or give a layer that makes them agree: projection=Linear(in, "
                "out).",
            )
        return past + y


class Parallel(Layer):
    """Several branches, each fed with the same input; their outputs are joined.

    Parameters
    ----------
    *branches
        Layers, or functions.
    join
        "concatenate", along ``axis``, or "sum".
    axis
        Where outputs are concatenated; by default their features.

    Raises
    ------
    InputShapeError
        When called, if the outputs' shapes do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> wide = nn.Parallel(nn.Linear(2, 3), nn.Sequential(nn.Linear(2, 4), nn.Tanh()))
    >>> wide(np.ones((5, 2))).shape
    (5, 7)
    """

    def __init__(self, *branches: Layer | Callable[[Any], Any], join: str = "concatenate", axis: int = -1) -> None:
        if not branches:
            raise ValueError("Parallel needs at least one branch.")
        if join not in ("concatenate", "sum"):
            raise ValueError(f'Parallel(join={join!r}): outputs are joined by "concatenate" or "sum".')
        self.branches = tuple(
            as_layer(branch, f"Parallel takes layers; its number {i}") for i, branch in enumerate(branches)
        )
        self.join, self.axis = join, axis

    def forward(self, x: Any) -> Any:
        """Run each branch on the input, and join the outputs."""
        outputs = [branch(x) for branch in self.branches]
        shapes = [np.shape(y) for y in outputs]
        if self.join == "concatenate":
            try:
                return np.concatenate(outputs, axis=self.axis)
            except ValueError as error:
                raise InputShapeError(self, f"cannot join outputs of shapes {_listed(shapes)}: {error}") from error
        if any(shape != shapes[0] for shape in shapes):
            raise InputShapeError(self, f"cannot add outputs of shapes {_listed(shapes)}: they must agree.")
        return sum(outputs[1:], start=outputs[0])

    def extra_repr(self) -> str:
        """How outputs are joined, if not as by default."""
        if self.join == "sum":
            return "join='sum'"
        return "" if self.axis == -1 else f"axis={self.axis}"


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))
