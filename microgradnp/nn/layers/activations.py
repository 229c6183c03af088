"""Activations as layers: functions of `nn.functional` and of NumPy, without parameters.

What they compute, and their derivatives, stand with the functions; a layer only gives them a place in a model.
"""

from typing import Any

import numpy as np

from microgradnp.nn import functional
from microgradnp.nn.layers.base import Layer


class Sigmoid(Layer):
    """The logistic function, ``1 / (1 + exp(-x))``, elementwise."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.sigmoid(x)


class ReLU(Layer):
    """The positive part, ``max(x, 0)``, elementwise; its gradient at 0 is 0."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.relu(x)


class Tanh(Layer):
    """The hyperbolic tangent, elementwise."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return np.tanh(x)
