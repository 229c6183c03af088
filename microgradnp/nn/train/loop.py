"""The loop of a training: `fit` takes a step on the whole data set, epoch after epoch, and says how the loss went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.engine.state import no_grad
from microgradnp.nn.layers import Layer
from microgradnp.nn.optim import Optimizer
from microgradnp.nn.train.data import as_arrays
from microgradnp.nn.train.history import History, check_end, check_finite
from microgradnp.nn.train.step import Loss, training


def fit(
    model: Layer,
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int,
    compile: bool = True,
    progress: bool = False,
) -> History:
    """Train ``model`` on all data at once, ``epochs`` times, and return how the loss went.

    Parameters
    ----------
    model
        A layer; its parameters are changed in place. It is in training mode meanwhile.
    x, y
        Inputs and targets, one row each for every data point. Floating data are converted to the parameters' dtype;
        integer targets (class labels) stay integers.
    loss
        Called as ``loss(model(x), y)``; see `microgradnp.nn.losses`.
    optimizer
        Made with ``model.parameters()``.
    epochs
        How many steps to take.
    compile
        Record the first step and replay it from then on, with the same result; the optimizer keeps what was recorded
        for the next `fit` of the same model and loss. False trains step by step, in which an error inside the model is
        easier to find.
    progress
        Show a progress bar where the output is a terminal; needs tqdm.

    Raises
    ------
    DivergenceError
        If the loss becomes NaN or infinite, with the epoch, or ends 10,000 times above where it began.
    KeyboardInterrupt
        If it is stopped by Ctrl-C; the exception's ``.history`` has the losses so far.
    ValueError
        If the data are empty, differ in length or contain NaN or inf, or ``epochs`` is negative.
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
    inputs, targets = as_arrays(x, y, model)

    losses = np.empty(epochs + 1)
    first, later, loss_alone = training(model, loss, optimizer, record=compile)
    # Overflow on the way to divergence is reported once, by the error below.
    with model.mode(training=True), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        known = 0
        try:
            for epoch in _epochs(epochs, progress, losses):
                step = later if epoch else first
                losses[epoch] = step(inputs, targets).item()
                known = epoch + 1
                check_finite(losses, epoch)
            with no_grad():
                losses[epochs] = loss_alone(inputs, targets).item()
        except KeyboardInterrupt as stop:
            stop.history = History(losses[:known].copy())  # type: ignore[attr-defined]
            stop.add_note(f"fit was interrupted after {known} of {epochs} epochs; this exception's .history has them.")
            raise
        check_finite(losses, epochs)
    check_end(losses, targets)
    return History(losses)


def _epochs(epochs: int, progress: bool, losses: NDArray[np.float64]) -> Iterator[int]:
    if not progress:
        yield from range(epochs)
        return
    try:
        from tqdm import tqdm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("progress=True shows a bar by tqdm: pip install tqdm.", name="tqdm") from error

    with tqdm(total=epochs, disable=None, unit="epoch") as bar:  # None: quiet where the output is not a terminal
        for epoch in range(epochs):
            yield epoch
            bar.set_postfix_str(f"loss {losses[epoch]:.4g}", refresh=False)
            bar.update()


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
