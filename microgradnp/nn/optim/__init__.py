"""Optimizers: how a gradient changes a parameter. `base` has what all share, `methods` one class each."""

from microgradnp.hints import OPTIM as _OPTIM
from microgradnp.hints import public as _public
from microgradnp.nn.optim.base import Optimizer
from microgradnp.nn.optim.clipping import clip_grad_norm, clip_grad_value
from microgradnp.nn.optim.hyperparameters import Hyperparameter, ParameterGroup
from microgradnp.nn.optim.methods import GD, Adam, AdamW, RMSprop

__all__ = [
    "GD",
    "Adam",
    "AdamW",
    "Hyperparameter",
    "Optimizer",
    "ParameterGroup",
    "RMSprop",
    "clip_grad_norm",
    "clip_grad_value",
]

__getattr__, __dir__ = _public(__name__, __all__, _OPTIM)
