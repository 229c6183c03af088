"""`Sequential`: layers one after another, which is what most networks are.

It knows what a layer by itself cannot: which activation follows, and so how to draw the first weights; and the seed and
the dtype of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from microgradnp.engine.state import current
from microgradnp.nn.layers.activations import Function, suited
from microgradnp.nn.layers.base import Layer, named_tensors
from microgradnp.nn.layers.drawn import DrawnLayer


class Sequential(Layer):
    """Layers one after another, each fed with the output of the one before.

    A `Linear` without a ``weight_init`` of its own is drawn as suits the activation that follows it: by He for ReLU and
    its kin, by LeCun for SELU, by Glorot for all else. Weights that were set, loaded or trained stay as they are.

    Parameters
    ----------
    *layers
        Layers; or functions of one array, each of which becomes a `Function`.
    rng
        A `numpy.random.Generator`, or a seed for one, for all layers inside that were given none: their first weights
        and the noise of a `Dropout`. What it makes is the same at each run, bit for bit.
    dtype
        float64 or float32, for all parameters inside; by default each layer has its own.

    Examples
    --------
    >>> from microgradnp import nn
    >>> model = nn.Sequential(nn.Linear(1, 8), nn.Sigmoid(), nn.Linear(8, 1), rng=0)
    >>> len(model), model[0], len(model[:2])
    (3, Linear(1, 8), 2)
    """

    def __init__(
        self,
        *layers: Layer | Callable[[Any], Any],
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.rng = None if rng is None else np.random.default_rng(rng)
        self.dtype = None if dtype is None else np.dtype(dtype)
        if self.dtype not in (None, np.float64, np.float32):
            raise TypeError(f"Sequential(dtype={self.dtype}): parameters are float64 or float32.")
        self._layers: list[Layer] = []
        for layer in layers:
            self.append(layer)

    def append(self, layer: Layer | Callable[[Any], Any]) -> Sequential:
        """Add a layer, or a function, at the end; return the model."""
        layer = as_layer(layer, f"Sequential takes layers; its number {len(self._layers)}")
        if self.dtype is not None:
            _cast(layer, self.dtype)
        if self.rng is not None:
            for _, part in layer.named_layers():
                part.draw_from(self.rng)
        if isinstance(layer, DrawnLayer):
            layer.placed()
        initializer, before = suited(_first(layer)), _last(self._layers)
        if initializer and isinstance(before, DrawnLayer):
            before.suit(initializer)
        self._layers.append(layer)
        return self

    def forward(self, x: Any) -> Any:
        """Run the layers in order."""
        for layer in self._layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self._layers[index]) if isinstance(index, slice) else self._layers[index]

    def _members(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for name, value in vars(self).items():
            found += ((str(i), layer) for i, layer in enumerate(value)) if name == "_layers" else [(name, value)]
        return found


def as_layer(value: Any, what: str) -> Layer:
    """A layer, or a function as a layer; anything else raises and says what it was to be."""
    if isinstance(value, Layer):
        return value
    if isinstance(value, type):
        if issubclass(value, Layer):
            raise TypeError(f"{what} is the class {value.__name__}: make one, {value.__name__}(...).")
    elif callable(value):
        return Function(value)
    if isinstance(value, list | tuple):
        raise TypeError(f"{what} is a {type(value).__name__}: pass the layers themselves, with a star: *layers.")
    raise TypeError(f"{what} is {value!r}, neither a layer nor a function of one array.")


def _first(layer: Layer) -> Layer:
    """The layer that runs first, of those that do more than to pass on what comes at the same scale."""
    while isinstance(layer, Sequential) and (inner := [x for x in layer if not x.keeps_scale]):
        layer = inner[0]
    return layer


def _last(layers: list[Layer]) -> Layer | None:
    """The layer that runs last, of those that do more than to pass on what comes at the same scale."""
    for layer in reversed(layers):
        if not layer.keeps_scale:
            return _last(layer._layers) if isinstance(layer, Sequential) else layer
    return None


def _cast(layer: Layer, dtype: np.dtype[Any]) -> None:
    for tensor in named_tensors(layer).values():
        if tensor.dtype.kind == "f" and tensor.dtype != dtype:
            current().machine.move(tensor, np.empty(tensor.shape, dtype))
            tensor.grad = None
