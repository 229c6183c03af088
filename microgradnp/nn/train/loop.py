"""Training: `fit` runs an optimizer over the whole data set, epoch after epoch, and says how the loss went."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.compiler import RecordingError
from microgradnp.compiler import compile as record_once  # `compile` is also a keyword of `fit`
from microgradnp.engine.tensor import Tensor, no_grad
from microgradnp.nn.layers import Layer
from microgradnp.nn.optim import Optimizer


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """How a training went.

    Attributes
    ----------
    losses : ndarray of shape (epochs + 1,)
        ``losses[k]`` is the loss after k epochs: ``losses[0]`` before training, ``losses[-1]`` at its end.
    """

    losses: NDArray[np.float64]

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.losses) - 1

    def __repr__(self) -> str:
        return f"History(epochs={self.epochs}, loss {self.losses[0]:.6g} -> {self.losses[-1]:.6g})"


class DivergenceError(FloatingPointError):
    """The loss became NaN or infinite; ``.history`` holds the losses up to there."""

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history


def fit(
    model: Layer,
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: Callable[[Any, Any], Any],
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
        Record the first step and replay it from then on, with the same result. False trains step by step, in which an
        error inside the model is easier to find.
    progress
        Show a progress bar where the output is a terminal; needs tqdm.

    Raises
    ------
    DivergenceError
        If the loss becomes NaN or infinite, with the epoch.
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
    inputs = model._as_input(_checked_data("x", x))
    targets = _checked_data("y", y)
    if targets.dtype.kind == "f":
        targets = model._as_input(targets)
    if len(inputs) != len(targets):
        raise ValueError(f"x has {len(inputs)} rows and y has {len(targets)}: there must be one target for each input.")

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        value = _scalar(loss(model(x), y))
        value.backward()
        optimizer.step()
        return value

    losses = np.empty(epochs + 1)
    run = _recorded(step) if compile else step
    # Overflow on the way to divergence is reported once, by the error below.
    with model.mode(training=True), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for epoch in _epochs(epochs, progress, losses):
            losses[epoch] = run(inputs, targets).item()
            _check_finite(losses, epoch)
        with no_grad():
            losses[epochs] = _scalar(loss(model(inputs), targets)).item()
        _check_finite(losses, epochs)
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


def _recorded(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The step, recorded once; what cannot be is told to somebody who may not know that anything is recorded."""
    recorded = record_once(step)

    def run(x: Any, y: Any) -> Any:
        try:
            return recorded(x, y)
        except RecordingError as error:
            raise RecordingError(
                "fit records the first step and replays it from then on, but the model or the loss does something that "
                "cannot be replayed (see the error above). Write fit(..., compile=False) to train without recording."
            ) from error

    return run


def _check_finite(losses: NDArray[np.float64], epoch: int) -> None:
    if math.isfinite(losses[epoch]):
        return
    history = History(losses[: epoch + 1].copy())
    if epoch == 0:
        raise DivergenceError(
            f"the loss is {losses[0]} before the first step: look at the model's initial values, and at the "
            "scale of the data.",
            history,
        )
    raise DivergenceError(
        f"the loss became {losses[epoch]} after epoch {epoch} (it was {losses[epoch - 1]:.6g} the epoch before, "
        f"{losses[0]:.6g} at the start): a smaller learning rate, or data brought to mean 0 and standard "
        "deviation 1, usually helps.",
        history,
    )


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"the loss returned {type(value).__name__}, not a Tensor: it must be computed from the predictions with "
            "NumPy functions, and end in one number."
        )
    if value.size != 1:
        raise ValueError(
            f"the loss returned shape {value.shape}: it must end in one number, such as np.sum or np.mean of it."
        )
    return value


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
    if not set(optimizer.parameters) & set(model.parameters()):
        raise ValueError(
            "the optimizer holds none of the model's parameters, so nothing would be trained: make it with "
            "model.parameters()."
        )


def _checked_data(name: str, data: Any) -> NDArray[Any]:
    array = data.data if isinstance(data, Tensor) else np.asarray(data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}.")
    if not array.ndim or not array.size:
        raise ValueError(f"{name} of shape {array.shape} is empty: it needs at least one row of data.")
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        place = tuple(int(i[0]) for i in np.nonzero(~np.isfinite(array)))
        raise ValueError(
            f"{name}[{', '.join(map(str, place))}] is {array[place]}: leave out or fill in missing and "
            "infinite values before training."
        )
    return array
