"""Neural networks: layers are functions with parameters, losses judge them, optimizers change them, `fit` trains them.

All of it is written in plain NumPy on Tensors, as a user would write it: nothing here knows how a gradient is computed.
"""

from microgradnp.hints import NN as _NN
from microgradnp.hints import public as _public
from microgradnp.nn import functional, initializers, losses, metrics, optim
from microgradnp.nn.data import Standardizer, batches, one_hot, split
from microgradnp.nn.deploy.onnx import to_onnx
from microgradnp.nn.layers import (
    ELU,
    GELU,
    SELU,
    AvgPool2d,
    BatchNorm1d,
    Conv2d,
    Dropout,
    Flatten,
    Function,
    InputShapeError,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
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
from microgradnp.nn.train import Callback, CSVLog, DivergenceError, EarlyStopping, History, ModelCheckpoint, Run, fit

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "AvgPool2d",
    "BatchNorm1d",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "Conv2d",
    "DivergenceError",
    "Dropout",
    "EarlyStopping",
    "Flatten",
    "Function",
    "History",
    "InputShapeError",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "ModelCheckpoint",
    "Parallel",
    "ReLU",
    "Residual",
    "Run",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Standardizer",
    "Tanh",
    "batches",
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
    "one_hot",
    "optim",
    "save",
    "split",
    "to_onnx",
    "to_safetensors",
]

__getattr__, __dir__ = _public(__name__, __all__, _NN)
