"""What may be done between the epochs of a training: stop it, save it, write it down, show it."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.nn.saving import save
from microgradnp.nn.train.run import Callback, Run


class EarlyStopping(Callback):
    """Stop when a number has not improved for some epochs, and put back the weights that had the best.

    Parameters
    ----------
    patience
        After how many epochs without a new best to stop.
    monitor
        The number: ``"val_loss"``, ``"val_accuracy"``, any of ``run.logs``.
    min_delta
        By how much it must be better than the best to count.
    mode
        ``"min"`` if smaller is better, ``"max"`` if larger is; by default the latter for accuracy, F1 and R2.
    restore_best
        Whether to put the best weights back at the end.

    Raises
    ------
    KeyError
        In the first epoch, if there is no such number.

    Examples
    --------
    >>> from microgradnp import nn
    >>> stopping = nn.EarlyStopping(patience=20)
    >>> # nn.fit(..., validation=0.2, callbacks=[stopping]); stopping.best_epoch
    """

    def __init__(
        self,
        patience: int = 10,
        monitor: str = "val_loss",
        *,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience must be 1 or more epochs; got {patience!r}.")
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max'; got {mode!r}.")
        larger = monitor.removeprefix("val_") in ("accuracy", "f1", "r2")
        self.patience, self.monitor, self.min_delta, self.restore_best = patience, monitor, min_delta, restore_best
        self.sign = -1.0 if (mode == "max" if mode else larger) else 1.0
        self.best, self.best_epoch = math.inf, 0
        self.weights: dict[str, NDArray[Any]] = {}

    def begin(self, run: Run) -> None:
        """Start anew, unless an interrupted training goes on."""
        if not run.epoch and not run.batch:
            self.best, self.best_epoch, self.weights = math.inf, 0, {}

    def epoch_end(self, run: Run) -> None:
        """Look at the number, keep the weights if it is the best, stop if that was long ago."""
        value = self.sign * number(run, self.monitor)
        if value < self.best - self.min_delta:
            self.best, self.best_epoch = value, run.epoch
            if self.restore_best:
                self.weights = run.model.state_dict()
        elif run.epoch - self.best_epoch >= self.patience:
            run.stop()

    def end(self, run: Run) -> None:
        """Put the best weights back."""
        if self.weights:
            run.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """The best number, its epoch and its weights."""
        own = {"best": np.array(self.best), "best_epoch": np.array(self.best_epoch)}
        return own | {f"weights.{name}": array for name, array in self.weights.items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over what `state_dict` has saved."""
        self.best, self.best_epoch = float(np.asarray(state["best"])), int(np.asarray(state["best_epoch"]))
        self.weights = {
            name.removeprefix("weights."): np.asarray(array) for name, array in state.items() if "weights." in name
        }


class ModelCheckpoint(Callback):
    """Save all that a training needs to go on, by `microgradnp.nn.save`: ``fit(..., resume=path)`` does so.

    Parameters
    ----------
    path
        The file, which is replaced each time, whole or not at all.
    every
        After so many epochs.
    steps
        After so many steps too, in the middle of an epoch.
    best
        A number of ``run.logs``, such as ``"val_loss"``: the file is replaced only when that is smaller than before, so
        that it has the best weights. ``every`` and ``steps`` do not count then.
    **others
        What else to save, such as ``standardizer=``.

    Examples
    --------
    >>> from microgradnp import nn
    >>> keeping = nn.ModelCheckpoint("run.npz", every=10)
    >>> # nn.fit(..., callbacks=[keeping]); later, or elsewhere: nn.fit(..., callbacks=[keeping], resume="run.npz")
    """

    last = True  # so that what other callbacks note of an epoch is saved with it

    def __init__(
        self, path: str | Path, *, every: int = 1, steps: int | None = None, best: str | None = None, **others: Any
    ) -> None:
        for name, count in (("every", every), ("steps", steps)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise ValueError(f"{name} must be a positive integer; got {count!r}.")
        self.path, self.every, self.steps, self.best, self.others = path, every, steps, best, others
        self.least, self.taken = math.inf, 0

    def step_end(self, run: Run) -> None:
        """Save after so many steps."""
        self.taken += 1
        if self.best is None and self.steps is not None and self.taken % self.steps == 0:
            self.save(run)

    def epoch_end(self, run: Run) -> None:
        """Save after so many epochs, or if this one is the best."""
        if self.best is None:
            if run.epoch % self.every == 0:
                self.save(run)
        elif (value := number(run, self.best)) < self.least:
            self.least = value
            self.save(run)

    def save(self, run: Run) -> None:
        """Write the file."""
        save(self.path, run.model, optimizer=run.optimizer, run=run, **self.others)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """The smallest number, and how many steps were taken."""
        return {"least": np.array(self.least), "taken": np.array(self.taken)}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over what `state_dict` has saved."""
        self.least, self.taken = float(np.asarray(state["least"])), int(np.asarray(state["taken"]))


class CSVLog(Callback):
    """Write a line for each epoch into a CSV file: the epoch and ``run.logs``. One that goes on is added to.

    Parameters
    ----------
    path
        The file, which is replaced when a training begins.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def epoch_end(self, run: Run) -> None:
        """Write a line, after the names in the first."""
        row = {"epoch": run.epoch, **run.logs}
        with self.path.open("w" if run.epoch == 1 else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if run.epoch == 1:
                writer.writeheader()
            writer.writerow(row)


class Progress(Callback):
    """Show a bar with the numbers of the last epoch: in a notebook, or where the output is a terminal. Needs tqdm."""

    def begin(self, run: Run) -> None:
        """Show the bar."""
        try:
            from tqdm.auto import tqdm
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("progress=True shows a bar by tqdm: pip install tqdm.", name="tqdm") from error
        # None: quiet where the output is not a terminal, which that of a notebook is not either
        quiet = False if "ipykernel" in sys.modules else None
        self.bar = tqdm(total=run.epochs, initial=run.epoch, disable=quiet, unit="epoch")

    def epoch_end(self, run: Run) -> None:
        """Move it."""
        self.bar.set_postfix_str(", ".join(f"{name} {number:.4g}" for name, number in run.logs.items()), refresh=False)
        self.bar.update()

    def end(self, run: Run) -> None:
        """Leave it as it is."""
        self.bar.close()


def number(run: Run, name: str) -> float:
    """One of the numbers of an epoch, by name."""
    if name not in run.logs:
        raise KeyError(
            f"there is no {name!r} to look at; there is {', '.join(run.logs)}. For val_loss give fit(validation=...), "
            "for a metric fit(metrics=...)."
        )
    return run.logs[name]
