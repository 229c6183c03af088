"""A training under way: what callbacks look at and may stop, and what a checkpoint needs to go on from here.

A callback is a function of the `Run`, called after each epoch; or a `Callback`, whose methods are called at the start,
after each step and epoch, and at the end.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.nn.layers import Layer
from microgradnp.nn.optim import Optimizer
from microgradnp.nn.train.history import History


class Callback:
    """What is called during a training: define those of the four methods that you need.

    Examples
    --------
    >>> from microgradnp import nn
    >>> class Halving(nn.Callback):
    ...     def epoch_end(self, run):
    ...         if run.epoch % 100 == 0:
    ...             run.optimizer.lr /= 2
    """

    last = False
    """Whether it is called after all that are not."""

    def begin(self, run: Run) -> None:
        """Before the first epoch."""

    def step_end(self, run: Run) -> None:
        """After each step; ``run.batch`` batches of the epoch are done."""

    def epoch_end(self, run: Run) -> None:
        """After each epoch; ``run.logs`` has its numbers."""

    def end(self, run: Run) -> None:
        """After the last epoch, also of a training that was stopped or interrupted."""


class _Function(Callback):
    def __init__(self, function: Callable[[Run], Any]) -> None:
        self.function = function

    def epoch_end(self, run: Run) -> None:
        self.function(run)


class Run:
    """A training under way.

    Attributes
    ----------
    model, optimizer
        What is trained, and by what.
    epochs
        How many epochs there shall be.
    epoch
        How many are done.
    batch
        How many batches of the present epoch are done.
    logs : dict
        The numbers of the epoch that was just done: ``"loss"``, the mean over its batches as they were passed, and
        ``"val_loss"`` and the metrics after it.
    """

    def __init__(
        self, model: Layer, optimizer: Optimizer, epochs: int, callbacks: Iterable[Any], rng: np.random.Generator
    ) -> None:
        self.rng = rng
        self.model, self.optimizer, self.epochs = model, optimizer, epochs
        self.epoch = self.batch = 0
        self.total = 0.0  # of the losses of this epoch's batches, times their sizes
        self.logs: dict[str, float] = {}
        self.columns: dict[str, list[float]] = {"loss": []}
        self.shuffling: dict[str, Any] = {}  # the state of the generator that has shuffled this epoch
        self.stopped = False
        found = [c if hasattr(c, "epoch_end") else _Function(c) for c in callbacks]
        self.callbacks = sorted(found, key=lambda callback: callback.last)
        self._after_steps = [c for c in self.callbacks if type(c).step_end is not Callback.step_end]

    def stop(self) -> None:
        """Let the present epoch be the last."""
        self.stopped = True

    def tell(self, what: str) -> None:
        """Call the callbacks' method of that name."""
        for callback in self._after_steps if what == "step_end" else self.callbacks:
            getattr(callback, what)(self)

    def note(self, numbers: Mapping[str, float]) -> Mapping[str, float]:
        """Add numbers to the history's columns; return them."""
        for name, number in numbers.items():
            self.columns.setdefault(name, []).append(number)
        return numbers

    def shuffled(self, n: int) -> NDArray[np.int64]:
        """The order of the rows in this epoch; where an epoch is gone on with, the order that it began with."""
        if not self.batch:
            self.shuffling = dict(self.rng.bit_generator.state)
            return self.rng.permutation(n)
        bits = type(self.rng.bit_generator)()
        bits.state = self.shuffling
        return np.random.Generator(bits).permutation(n)

    def history(self) -> History:
        """How the training has gone so far."""
        columns = {name: np.array(column) for name, column in self.columns.items()}
        return History(columns.pop("loss"), columns)

    # -- Going on where it stands

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Where the training stands: epoch, batch, shuffling and history, and the state of callbacks that have one."""
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "batch": self.batch,
            "total": self.total,
            "stopped": self.stopped,
            "shuffling": _bytes_of(self.shuffling),
            "rng": _bytes_of(self.rng.bit_generator.state),
        }
        state |= {f"history.{name}": np.array(column) for name, column in self.columns.items()}
        for name, callback in self._stateful():
            state |= {f"{name}.{key}": value for key, value in callback.state_dict().items()}
        return {name: np.asarray(value) for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Go on from what `state_dict` has saved; the callbacks must be of the same kinds, in the same order."""
        kept = {name: np.asarray(value) for name, value in state.items()}
        callbacks = dict(self._stateful())
        unknown = [name for name in kept if (part := name.split(".")[0]) not in _OWN and part not in callbacks]
        if unknown:
            raise ValueError(f"the saved run has {', '.join(unknown)}, of which no callback here is the owner.")
        self.epoch, self.batch = int(kept["epoch"]), int(kept["batch"])
        self.total, self.stopped = float(kept["total"]), bool(kept["stopped"])
        self.shuffling = json.loads(kept["shuffling"].tobytes())
        self.rng.bit_generator.state = json.loads(kept["rng"].tobytes())
        self.columns = {
            name.removeprefix("history."): kept[name].tolist() for name in kept if name.startswith("history.")
        }
        for part, callback in callbacks.items():
            prefix = f"{part}."
            callback.load_state_dict({n.removeprefix(prefix): v for n, v in kept.items() if n.startswith(prefix)})

    def _stateful(self) -> list[tuple[str, Any]]:
        return [(f"callback{i}", c) for i, c in enumerate(self.callbacks) if hasattr(c, "state_dict")]


_OWN = {"epoch", "batch", "total", "stopped", "shuffling", "rng", "history"}


def _bytes_of(state: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(state, default=list).encode(), np.uint8)


def generator_of(rng: Any, model: Layer, optimizer: Optimizer) -> np.random.Generator:
    """The Generator that a training shuffles with: the one given, the model's, or one that stays with the optimizer."""
    if rng is None:
        rng = getattr(model, "rng", None)
    if rng is None and "_rng" not in vars(optimizer):
        vars(optimizer)["_rng"] = np.random.default_rng()
    return np.random.default_rng(vars(optimizer)["_rng"] if rng is None else rng)


@contextmanager
def patient_interrupt() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait until a step is whole: the function that is given raises then. A second one does not wait.

    Only where Ctrl-C would have raised: not in a thread, and not where a program handles it in its own way.
    """
    pending: list[int] = []

    def handler(number: int, frame: Any) -> None:
        if pending:
            raise KeyboardInterrupt
        pending.append(number)

    def check() -> None:
        if pending:
            pending.clear()
            raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield check
        check()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
