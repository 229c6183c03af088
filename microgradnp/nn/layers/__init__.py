"""Layers: functions that carry their own parameters, one family a file; `base` has what they share."""

from microgradnp.nn.layers.activations import ReLU, Sigmoid, Tanh
from microgradnp.nn.layers.base import InputShapeError, Layer
from microgradnp.nn.layers.linear import Linear
from microgradnp.nn.layers.sequential import Sequential

__all__ = ["InputShapeError", "Layer", "Linear", "ReLU", "Sequential", "Sigmoid", "Tanh"]
