"""Optimizers: how a gradient changes a parameter. `base` has what all share, `methods` one class each."""

from microgradnp.nn.optim.base import GD, Adam, Hyperparameter, Optimizer

__all__ = ["GD", "Adam", "Hyperparameter", "Optimizer"]
