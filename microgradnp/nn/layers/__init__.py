"""Layers: functions that carry their own parameters, one family a file; `base` has what they share."""

from microgradnp.nn.layers.base import InputShapeError, Layer, Linear, ReLU, Sequential, Sigmoid, Tanh

__all__ = ["InputShapeError", "Layer", "Linear", "ReLU", "Sequential", "Sigmoid", "Tanh"]
