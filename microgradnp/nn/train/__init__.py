"""Training: the loop, the data that go through it, and what it leaves behind."""

from microgradnp.nn.train.history import DivergenceError, History
from microgradnp.nn.train.loop import fit

__all__ = ["DivergenceError", "History", "fit"]
