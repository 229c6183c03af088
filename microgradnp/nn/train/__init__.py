"""Training: the loop, the data that go through it, and what it leaves behind."""

from microgradnp.nn.train.loop import DivergenceError, History, fit

__all__ = ["DivergenceError", "History", "fit"]
