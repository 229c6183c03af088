"""Optimizers: how a gradient changes a parameter. `base` has what all share, `methods` one class each."""

from microgradnp.nn.optim.base import Hyperparameter, Optimizer
from microgradnp.nn.optim.methods import GD, Adam

__all__ = ["GD", "Adam", "Hyperparameter", "Optimizer"]
