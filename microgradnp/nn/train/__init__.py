"""Training: the loop, the data that go through it, what is done between its epochs, and what it leaves behind."""

from microgradnp.nn.train.callbacks import CSVLog, EarlyStopping, ModelCheckpoint
from microgradnp.nn.train.history import DivergenceError, History
from microgradnp.nn.train.loop import fit
from microgradnp.nn.train.minimizers import Minimization, minimize
from microgradnp.nn.train.rates import RateSearch, find_lr
from microgradnp.nn.train.run import Callback, Run

__all__ = [
    "CSVLog",
    "Callback",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "Minimization",
    "ModelCheckpoint",
    "RateSearch",
    "Run",
    "find_lr",
    "fit",
    "minimize",
]
