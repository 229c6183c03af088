"""Neural networks: layers, losses, optimizers and training."""

from microgradnp.nn import functional, initializers, losses, optim
from microgradnp.nn.layers import InputShapeError, Layer, Linear, ReLU, Sequential, Sigmoid, Tanh
from microgradnp.nn.train import DivergenceError, History, fit

__all__ = [
    "DivergenceError",
    "History",
    "InputShapeError",
    "Layer",
    "Linear",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "fit",
    "functional",
    "initializers",
    "losses",
    "optim",
]
