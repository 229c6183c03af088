"""Which learning rate to take: steps with larger and larger ones, until the loss grows; then all is put back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.nn.layers import Layer
from microgradnp.nn.layers.base import dtype_among, mode_of, named_tensors
from microgradnp.nn.optim import Optimizer
from microgradnp.nn.saving.architecture import generators
from microgradnp.nn.train.data import as_data
from microgradnp.nn.train.step import Loss, steps_of

KEPT = 0.9
"""How much of the running mean of the losses each step keeps."""

WORSE = 4.0
"""How far above its best, as a multiple, the smoothed loss may go before the search ends: fastai's."""


@dataclass(frozen=True, eq=False, repr=False)
class RateSearch:
    """What `find_lr` has seen.

    Attributes
    ----------
    rates : ndarray
        The learning rates, each larger than the one before by the same factor.
    losses : ndarray
        The loss after the steps with all rates before.
    smoothed : ndarray
        Their running mean.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]

    @property
    def suggestion(self) -> float:
        """The rate at which the loss falls fastest, by the logarithm of the rate: the middle of the steepest stretch.

        Raises
        ------
        ValueError
            If it falls nowhere.
        """
        slopes = self._slopes()
        if not self._falls():
            raise ValueError(
                f"the loss falls nowhere from lr={self.rates[0]:g} to lr={self.rates[-1]:g}: begin lower, and look at "
                "the gradient (check.gradients)."
            )
        return float(self.rates[slopes.argmin() + (len(self.rates) - len(slopes)) // 2])

    def _slopes(self) -> NDArray[np.float64]:
        """Of the line through each stretch of an eighth of the losses: one loss alone may be low by chance."""
        width = min(max(3, len(self.losses) // 8), len(self.losses))
        places = np.arange(width) - (width - 1) / 2
        return np.correlate(self.losses, places / max(np.sum(places**2), 1.0))

    def _falls(self) -> bool:
        return bool(self._slopes().min() < -1e-9 * np.abs(self.losses).max())

    def plot(self) -> Any:
        """Draw the losses against the rate, and the suggestion; return the Figure. Needs matplotlib."""
        try:
            import matplotlib.pyplot as plt
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("plot() draws with matplotlib: pip install 'microgradnp[plot]'.") from error
        figure, axes = plt.subplots(layout="constrained")
        axes.plot(self.rates, self.losses, color="0.7", label="loss")
        axes.plot(self.rates, self.smoothed, color="#0072B2", label="running mean")
        if self._falls():
            said = f"falls fastest at {self.suggestion:.2g}"
            axes.axvline(self.suggestion, color="#D55E00", linestyle="--", label=said)
        axes.set(xlabel="learning rate", ylabel="loss", xscale="log")
        if span := float(np.ptp(self.smoothed)):  # the last loss may be far above all others
            axes.set_ylim(top=self.smoothed.max() + 0.5 * span)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        return figure

    def __repr__(self) -> str:
        span = f"{len(self.rates)} rates from {self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return (
            f"RateSearch({span}, {f'suggestion {self.suggestion:.3g}' if self._falls() else 'the loss falls nowhere'})"
        )


def find_lr(
    model: Layer,
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss,
    optimizer: Optimizer,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    rng: np.random.Generator | int | None = None,
    compile: bool = True,
) -> RateSearch:
    """Train for some steps with growing learning rates, look at the loss, and put model and optimizer back.

    A good rate is somewhat below the one at which the loss begins to grow: where it falls fastest, say.

    L. N. Smith, "Cyclical learning rates for training neural networks", 2015, section 3.3.

    Parameters
    ----------
    model, x, y, loss, optimizer, batch_size, sample_weight, compile
        As for `fit`. Where groups have rates of their own, these keep their ratios to ``optimizer.lr``.
    low, high
        The first rate and the last. It ends before, when the smoothed loss is 4 times its best, or no number.
    steps
        How many rates there are, evenly on a logarithmic scale.
    rng
        The Generator, or a seed for one, that shuffles mini-batches.

    Returns
    -------
    RateSearch
        ``search.suggestion``, and ``search.plot()``. Parameters, buffers, gradients, the optimizer's state and the
        layers' random Generators are as they were.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import nn, optim
    >>> x, y = mg.datasets.noisy_sine(40, noise=0.05, seed=1234)
    >>> model = nn.Sequential(nn.Linear(1, 8, rng=0), nn.Tanh(), nn.Linear(8, 1, rng=1))
    >>> optimizer = optim.Adam(model.parameters())
    >>> search = nn.find_lr(model, x[:, None], y[:, None], loss=nn.losses.mean_squared_error, optimizer=optimizer)
    >>> 1e-3 < search.suggestion < 1
    True
    >>> optimizer.lr = search.suggestion
    """
    if not isinstance(model, Layer) or not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"find_lr takes a Layer and optimizer=an Optimizer; got {type(model).__name__}, {type(optimizer).__name__}."
        )
    if not 0 < low < high < math.inf:
        raise ValueError(f"low must be above 0 and below high; got low={low!r} and high={high!r}.")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"steps must be an integer, 2 or more; got {steps!r}.")
    data = as_data(x, y, sample_weight, dtype_among(named_tensors(model)))
    size = None if batch_size is None or batch_size >= len(data) else batch_size
    rng = np.random.default_rng(rng)

    def batches() -> Iterator[tuple[NDArray[Any], ...]]:
        while True:
            yield from data.batches(size, None if size is None else rng.permutation(len(data)))

    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    smoothed: list[float] = []
    run = steps_of(model, loss, optimizer, record=compile)
    layers = [layer for _, layer in model.named_layers()]
    places, total = optimizer.places("lr"), 0.0
    ratios = {name: float(array) / optimizer.lr if optimizer.lr else 1.0 for name, array in places.items()}
    with _put_back(model, optimizer), mode_of(layers, training=True), np.errstate(all="ignore"):
        for k, (rate, batch) in enumerate(zip(rates, batches(), strict=False)):
            for name, ratio in ratios.items():
                places[name][...] = rate * ratio
            value = float((run.later if k else run.first)(*batch).item())
            total = KEPT * total + (1 - KEPT) * value
            mean = total / (1 - KEPT ** (k + 1))
            if not math.isfinite(mean) or (k and mean > WORSE * min(smoothed)):
                break
            losses.append(value)
            smoothed.append(mean)
    if not losses:
        raise ValueError(f"the loss is {value} before the first step: look at the initial values and the data.")
    return RateSearch(rates[: len(losses)], np.array(losses), np.array(smoothed))


@contextmanager
def _put_back(model: Layer, optimizer: Optimizer) -> Iterator[None]:
    """Whatever is done to model and optimizer meanwhile is undone."""
    weights, state = model.state_dict(), optimizer.state_dict()
    gradients = [(p, p.grad if p.grad is None else np.array(p.grad)) for p in optimizer.parameters]
    draws = [(generator, generator.bit_generator.state) for generator in generators(model).values()]
    try:
        yield
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
        for p, gradient in gradients:
            p.grad = gradient
        for generator, drawn in draws:
            generator.bit_generator.state = drawn
