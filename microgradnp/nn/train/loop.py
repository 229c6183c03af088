"""The loop of a training: `fit` takes a step on each batch, epoch after epoch, and says how the loss went."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from microgradnp.engine.state import no_grad
from microgradnp.engine.tensor import plain
from microgradnp.nn.layers import Layer
from microgradnp.nn.layers.base import dtype_among, mode_of, named_tensors, walk
from microgradnp.nn.optim import Optimizer
from microgradnp.nn.saving import load
from microgradnp.nn.train.callbacks import Progress
from microgradnp.nn.train.data import Data, as_data
from microgradnp.nn.train.history import History, check_end, diverged
from microgradnp.nn.train.origin import Trail
from microgradnp.nn.train.run import Run, generator_of, patient_interrupt
from microgradnp.nn.train.step import Loss, Steps, steps_of


def fit(
    model: Layer,
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int | None = None,
    shuffle: bool = True,
    validation: tuple[ArrayLike, ArrayLike] | float | None = None,
    metrics: Mapping[str, Callable[..., float]] | Iterable[Callable[..., float]] = (),
    callbacks: Iterable[Any] = (),
    sample_weight: ArrayLike | None = None,
    accumulate: int = 1,
    rng: np.random.Generator | int | None = None,
    resume: str | PathLike[str] | Mapping[str, ArrayLike] | None = None,
    compile: bool = True,
    progress: bool = False,
) -> History:
    """Train ``model``, on all data at once or in mini-batches, ``epochs`` times, and return how it went.

    Called again it goes on: 400 epochs and then 600 are 1000, to the last bit.

    Parameters
    ----------
    model
        A layer; its parameters are changed in place. It is in training mode meanwhile.
    x, y
        Inputs and targets, one row each for every data point. Floating data are converted to the parameters' dtype;
        integer targets (class labels) stay integers. A `numpy.memmap` is read batch by batch.
    loss
        Called as ``loss(model(x), y)``; see `microgradnp.nn.losses`.
    optimizer
        Made with ``model.parameters()``.
    epochs
        How often to go through the data.
    batch_size
        How many rows a step takes; the last batch of an epoch may have fewer. By default all.
    shuffle
        Whether mini-batches take the rows in a new order each epoch.
    validation
        A pair ``(x, y)`` of data to judge by after each epoch and not to train on; or the share of the rows, between 0
        and 1, to be set aside for that: always the same ones of as many rows, so that another `fit` does not train
        on them.
    metrics
        Functions of ``(prediction, target)``, such as `microgradnp.nn.metrics.accuracy`, in a list or a dict by name.
        They are computed after each epoch: on the validation data, as ``"val_accuracy"``, or where there are none on
        those that are trained on.
    callbacks
        Functions of the `Run` called after each epoch, or `Callback`, or schedules such as `optim.CosineLR`.
    sample_weight
        A weight for each row, handed to the loss as ``weight=``.
    accumulate
        How many batches to add up the gradients of before a step, whose gradient is then their mean.
    rng
        The Generator, or a seed for one, that shuffles. By default ``model.rng``, if there is one, or else one
        that the optimizer keeps, so that another `fit` does not shuffle alike.
    resume
        A file of `ModelCheckpoint`: the training goes on from there as if it had never ended, in the middle of an
        epoch too. Model and optimizer take over what was saved; the other arguments must be the same. Or what
        ``run.state_dict()`` gave, where model and optimizer are as they were already.
    compile
        Record the first step and replay it from then on, with the same result; the optimizer keeps what was recorded
        for the next `fit` of the same model and loss. False trains step by step, in which an error inside the model is
        easier to find.
    progress
        Show a progress bar in a notebook, or where the output is a terminal; needs tqdm.

    Raises
    ------
    DivergenceError
        If the loss becomes NaN or infinite, with epoch, batch, and the layer and operation where that began; or if it
        ends 10,000 times above where it began.
    KeyboardInterrupt
        If it is stopped by Ctrl-C, after the step that is under way; the exception's ``.history`` has the epochs so
        far.
    ValueError
        If the data are empty, differ in length or contain NaN or inf, or a number is out of range.
    TypeError
        If an argument is not of its kind, or the step cannot be recorded, which ``compile=False`` does without.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import nn, optim
    >>> x, y = mg.datasets.noisy_sine(40, noise=0.05, seed=1234)
    >>> model = nn.Sequential(nn.Linear(1, 8, rng=0), nn.Tanh(), nn.Linear(8, 1, rng=1))
    >>> optimizer = optim.Adam(model.parameters(), lr=0.05)
    >>> x, y = x[:, None], y[:, None]
    >>> history = nn.fit(model, x, y, loss=nn.losses.sum_squared_error, optimizer=optimizer, epochs=300)
    >>> bool(history.losses[-1] < 0.2 < history.losses[0])
    True
    """
    _check_kinds(model, loss, optimizer, epochs)
    for name, number in (("batch_size", batch_size), ("accumulate", accumulate)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1):
            raise ValueError(f"{name} must be a positive integer; got {number!r}.")
    run = Run(
        model, optimizer, epochs, [*callbacks, *([Progress()] if progress else [])], generator_of(rng, model, optimizer)
    )
    parts = walk(model)
    tensors = named_tensors(model, parts)
    dtype = dtype_among(tensors)
    data, judged = _set_aside(as_data(x, y, sample_weight, dtype), validation)
    if batch_size is not None and batch_size >= len(data):
        batch_size = None
    if accumulate > 1 and batch_size is None:
        raise ValueError(f"accumulate={accumulate} needs mini-batches: give a batch_size below {len(data)}.")
    if isinstance(resume, Mapping):
        run.load_state_dict(resume)
    elif resume is not None:
        run.load_state_dict(load(resume, model=model, optimizer=optimizer).run)
    steps = steps_of(model, loss, optimizer, record=compile)
    layers = [part for _, part in parts if isinstance(part, Layer)]
    trail = Trail(model, tensors.values(), optimizer)
    training = _Training(run, layers, trail, steps, data, judged, batch_size, shuffle, _named(metrics), accumulate)
    # Overflow on the way to divergence is reported once, by the error.
    with mode_of(layers, training=True), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            with patient_interrupt() as check_interrupt:
                training.go(check_interrupt)
        except KeyboardInterrupt as stop:
            stop.history = run.history()  # type: ignore[attr-defined]  # put on it here
            done = len(stop.history.losses)  # type: ignore[attr-defined]  # put on it here
            stop.add_note(f"fit was interrupted after {done} of {epochs} epochs; this exception's .history has them.")
            raise
    history = run.history()
    if not isinstance(data.arrays[1], np.memmap):
        check_end(history, training.start, data.arrays[1])
    return history


@dataclass
class _Training:
    """The loop, and what it needs of `fit`'s arguments."""

    run: Run
    layers: list[Layer]
    trail: Trail
    steps: Steps
    data: Data
    judged: Data | None
    size: int | None
    shuffle: bool
    metrics: Mapping[str, Callable[..., float]]
    accumulate: int
    start: float | None = None  # the loss before the first step

    def go(self, check_interrupt: Callable[[], None]) -> None:
        """Epoch after epoch, until all are done or a callback stops it."""
        run = self.run
        self.step = self.steps.first
        if not run.columns["loss"] and not run.batch:
            run.note(self.judge())
        run.tell("begin")
        try:
            while run.epoch < run.epochs and not run.stopped:
                self.epoch(check_interrupt)
                run.tell("epoch_end")
        finally:
            run.tell("end")
        loss, _ = self.evaluate(self.data, self.steps.judge_once, {})
        run.columns["loss"].append(loss)
        self.check(loss)

    def epoch(self, check_interrupt: Callable[[], None]) -> None:
        """A step on each batch."""
        run, data = self.run, self.data
        self.trail.epoch()
        order = run.shuffled(len(data)) if self.shuffle and self.size else None
        size = self.size or len(data)
        for start in range(run.batch * size, len(data), size):
            rows = slice(start, start + size) if order is None else order[start : start + size]
            options = self.share(start, size) if self.accumulate > 1 else {}
            self.trail.steps.append((rows, options))
            loss = float(self.step(*(data[rows] if self.size else data.arrays), **options).item())
            self.step = self.steps.later
            self.start = loss if self.start is None else self.start
            self.check(loss)
            run.total += loss * (min(start + size, len(data)) - start)
            run.batch += 1
            run.tell("step_end")
            check_interrupt()
        mean = run.total / len(data) if self.size else loss
        run.columns["loss"].append(mean)
        run.epoch, run.batch, run.total = run.epoch + 1, 0, 0.0
        run.logs = {"loss": mean, **run.note(self.judge())}

    def share(self, start: int, size: int) -> dict[str, Any]:
        """What a batch is of those whose gradients add up to one."""
        first = start - start % (size * self.accumulate)
        end = min(first + size * self.accumulate, len(self.data))
        share = (min(start + size, end) - start) / (end - first)
        return {"begins": start == first, "ends": start + size >= end, "share": share}

    def check(self, loss: float) -> None:
        """Raise `DivergenceError` if a loss is no number."""
        if math.isfinite(loss):
            return
        run = self.run
        batch = run.batch if self.size and run.epoch < run.epochs else None
        origin = self.trail.origin(self.steps.eager, self.data)
        if len(run.columns["loss"]) == run.epoch:
            run.columns["loss"].append(loss)
        raise diverged(run.history(), batch, origin)

    def judge(self) -> dict[str, float]:
        """The loss on data that are not trained on, and the metrics; ``{}`` where none is asked for."""
        if self.judged is not None:
            loss, numbers = self.evaluate(self.judged, self.steps.judge, self.metrics)
            return {"val_loss": loss, **{f"val_{name}": number for name, number in numbers.items()}}
        return self.evaluate(self.data, self.steps.judge, self.metrics)[1] if self.metrics else {}

    def evaluate(
        self, data: Data, judge: Callable[..., Any], metrics: Mapping[str, Callable[..., float]]
    ) -> tuple[float, dict[str, float]]:
        """The loss and the metrics, in prediction mode."""
        total, predictions = 0.0, []
        with no_grad(), mode_of(self.layers, training=False):
            for batch in data.batches(self.size):
                loss, prediction = judge(*batch)
                total += loss.item() * len(batch[0]) if self.size else loss.item()
                predictions.append(plain(prediction))
        if not metrics:
            return total / (len(data) if self.size else 1), {}
        prediction = predictions[0] if len(predictions) == 1 else np.concatenate(predictions)
        numbers = {name: float(metric(prediction, data.arrays[1])) for name, metric in metrics.items()}
        return total / (len(data) if self.size else 1), numbers


def _set_aside(data: Data, validation: Any) -> tuple[Data, Data | None]:
    """The data to train on and those to judge by."""
    if validation is None:
        return data, None
    if isinstance(validation, tuple | list):
        if len(validation) not in (2, 3):
            raise ValueError(
                f"validation must be a pair (x, y), or (x, y, sample_weight); got {len(validation)} parts."
            )
        x, y, weight = (*validation, None)[:3]
        return data, as_data(x, y, weight, data.dtype)
    if isinstance(validation, bool) or not isinstance(validation, int | float | np.number) or not 0 < validation < 1:
        raise ValueError(
            f"validation must be a pair (x, y) or a share of the rows between 0 and 1; got {validation!r}."
        )
    count = round(len(data) * float(validation))
    if not 0 < count < len(data):
        raise ValueError(f"validation={validation} of {len(data)} rows leaves no row on one side.")
    if any(isinstance(array, np.memmap) for array in data.arrays):
        raise ValueError(
            "validation as a share is chosen among all rows, which a memmap is too large for: give a pair."
        )
    order = np.random.default_rng(len(data)).permutation(len(data))
    return Data(data[order[count:]], data.dtype), Data(data[order[:count]], data.dtype)


def _named(metrics: Any) -> Mapping[str, Callable[..., float]]:
    if isinstance(metrics, Mapping):
        return metrics
    named: dict[str, Callable[..., float]] = {}
    for metric in metrics:
        name = getattr(metric, "__name__", None)
        if not callable(metric) or name is None or name in named:
            raise TypeError(f"metrics must be functions of different names, or a dict by name; got {metric!r}.")
        named[name] = metric
    return named


def _check_kinds(model: Any, loss: Any, optimizer: Any, epochs: Any) -> None:
    if not isinstance(model, Layer):
        raise TypeError(f"fit trains a Layer; got {type(model).__name__}.")
    if not callable(loss):
        raise TypeError(f"loss must be a function of (prediction, target); got {loss!r}.")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be an Optimizer, such as optim.Adam(model.parameters()); got {type(optimizer).__name__}."
        )
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer):
        raise TypeError(f"epochs must be an integer; got {epochs!r}.")
    if epochs < 0:
        raise ValueError(f"epochs must be 0 or more; got {epochs}.")
