"""Where a loss that is no number began: the last steps are taken again, watched, until one gives the first NaN.

A `Trail` keeps the state that a training had some steps ago, and which rows the steps since were given. That costs a
copy of the parameters now and then; the search costs nothing until there is something to search for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.debugging import debug
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.layers import Layer
from microgradnp.nn.optim import Optimizer
from microgradnp.nn.train.data import Data

STEPS = 16
"""How many steps, or one epoch if that has more, lie between two copies of the state."""


class Trail:
    """The state of some steps ago, and the rows that the steps since were given."""

    def __init__(self, model: Layer, tensors: Iterable[Tensor], optimizer: Optimizer) -> None:
        self._model, self._tensors, self._optimizer = model, list(tensors), optimizer
        self._before = [array.copy() for array in self._arrays()]
        self.steps: list[tuple[Any, dict[str, Any]]] = []

    def _arrays(self) -> list[NDArray[Any]]:
        return [*(tensor.data for tensor in self._tensors), *self._optimizer.arrays()]

    def epoch(self) -> None:
        """An epoch begins: time for a new copy, if the last one is some steps old."""
        if len(self.steps) >= STEPS:
            for old, array in zip(self._before, self._arrays(), strict=True):
                np.copyto(old, array)
            self.steps.clear()

    def origin(self, step: Callable[..., Any], data: Data) -> str:
        """A sentence on the operation that gave the first number that is none; empty if it does not come again."""
        for old, array in zip(self._before, self._arrays(), strict=True):
            np.copyto(array, old)
        for rows, options in self.steps:
            try:
                with debug():
                    step(*data[rows], **options)
            except FloatingPointError as error:
                layer = getattr(error, "layer", None)
                names = [name for name, part in self._model.named_layers() if part is layer]
                return f" It began in {f'layer {names[0]}, {layer!r}' if names else 'the step'}: {error}"
        return ""
