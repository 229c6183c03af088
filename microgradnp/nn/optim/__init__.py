"""Optimizers: how a gradient changes a parameter. `base` has what all share, `methods` one class each."""

from microgradnp.hints import OPTIM as _OPTIM
from microgradnp.hints import public as _public
from microgradnp.nn.optim.base import Hyperparameter, Optimizer
from microgradnp.nn.optim.methods import GD, Adam

__all__ = ["GD", "Adam", "Hyperparameter", "Optimizer"]

__getattr__, __dir__ = _public(__name__, __all__, _OPTIM)
