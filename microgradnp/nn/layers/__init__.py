"""Layers: functions that carry their own parameters, one family a file; `base` has what they share."""

from microgradnp.nn.layers.activations import (
    ELU,
    GELU,
    SELU,
    Function,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from microgradnp.nn.layers.base import InputShapeError, Layer
from microgradnp.nn.layers.composition import Parallel, Residual
from microgradnp.nn.layers.dropout import Dropout
from microgradnp.nn.layers.flatten import Flatten
from microgradnp.nn.layers.images import AvgPool2d, Conv2d, MaxPool2d
from microgradnp.nn.layers.linear import Linear
from microgradnp.nn.layers.normalization import BatchNorm1d, LayerNorm
from microgradnp.nn.layers.sequential import Sequential

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "AvgPool2d",
    "BatchNorm1d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Function",
    "InputShapeError",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "Parallel",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]
