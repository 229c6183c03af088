"""Optimizers: how a gradient changes a parameter.

`base` has what all share, `methods` one class each, and `schedules` how learning rates change meanwhile.
"""

from microgradnp.hints import OPTIM as _OPTIM
from microgradnp.hints import public as _public
from microgradnp.nn.optim.base import Optimizer
from microgradnp.nn.optim.clipping import clip_grad_norm, clip_grad_value
from microgradnp.nn.optim.hyperparameters import Hyperparameter, ParameterGroup
from microgradnp.nn.optim.methods import GD, Adam, AdamW, RMSprop
from microgradnp.nn.optim.schedules import (
    CosineLR,
    ExponentialLR,
    LambdaLR,
    OneCycleLR,
    ReduceLROnPlateau,
    Schedule,
    StepLR,
)

__all__ = [
    "GD",
    "Adam",
    "AdamW",
    "CosineLR",
    "ExponentialLR",
    "Hyperparameter",
    "LambdaLR",
    "OneCycleLR",
    "Optimizer",
    "ParameterGroup",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "StepLR",
    "clip_grad_norm",
    "clip_grad_value",
]

_public(globals(), __all__, _OPTIM)
