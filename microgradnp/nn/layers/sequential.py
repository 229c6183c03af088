"""`Sequential`: layers one after another, which is what most networks are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from microgradnp.nn.layers.base import Layer


class Sequential(Layer):
    """Layers one after another, each fed with the output of the one before.

    Examples
    --------
    >>> from microgradnp import nn
    >>> model = nn.Sequential(nn.Linear(1, 8), nn.Sigmoid(), nn.Linear(8, 1))
    >>> len(model), model[0], len(model[:2])
    (3, Linear(1, 8), 2)
    """

    def __init__(self, *layers: Layer) -> None:
        self._layers: list[Layer] = []
        for layer in layers:
            self.append(layer)

    def append(self, layer: Layer) -> Sequential:
        """Add a layer at the end; return the model."""
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential takes layers; its number {len(self._layers)} is {_not_a_layer(layer)}")
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


def _not_a_layer(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, Layer):
        return f"the class {value.__name__}: make one, {value.__name__}(...)."
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__}: pass the layers themselves, Sequential(*layers)."
    return f"{getattr(value, '__name__', repr(value))}: wrap a function in a Layer whose forward() calls it."
