"""Neural networks: layers are functions with parameters, losses judge them, optimizers change them, `fit` trains them.

All of it is written in plain NumPy on Tensors, as a user would write it: nothing here knows how a gradient is computed.
"""

from microgradnp.nn import functional, initializers, losses, metrics, optim
from microgradnp.nn.layers import InputShapeError, Layer, Linear, ReLU, Sequential, Sigmoid, Tanh
from microgradnp.nn.parameters import flat, functional_call
from microgradnp.nn.train import Callback, CSVLog, DivergenceError, EarlyStopping, History, Run, fit

__all__ = [
    "CSVLog",
    "Callback",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "InputShapeError",
    "Layer",
    "Linear",
    "ReLU",
    "Run",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "fit",
    "flat",
    "functional",
    "functional_call",
    "initializers",
    "losses",
    "metrics",
    "optim",
]
