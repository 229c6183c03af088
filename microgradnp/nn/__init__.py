"""Neural networks: layers are functions with parameters, losses judge them, optimizers change them, `fit` trains them.

All of it is written in plain NumPy on Tensors, as a user would write it: nothing here knows how a gradient is computed.
"""

from microgradnp.nn import functional, initializers, losses, metrics, optim
from microgradnp.nn.layers import InputShapeError, Layer, Linear, ReLU, Sequential, Sigmoid, Tanh
from microgradnp.nn.parameters import flat, functional_call
from microgradnp.nn.saving import (
    Checkpoint,
    CheckpointError,
    from_safetensors,
    from_torch_state,
    load,
    save,
    to_safetensors,
)
from microgradnp.nn.train import Callback, CSVLog, DivergenceError, EarlyStopping, History, Run, fit

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "CheckpointError",
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
    "from_safetensors",
    "from_torch_state",
    "functional",
    "functional_call",
    "initializers",
    "load",
    "losses",
    "metrics",
    "optim",
    "save",
    "to_safetensors",
]
