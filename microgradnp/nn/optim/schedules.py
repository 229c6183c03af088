"""Schedules: how the learning rates change while a training goes on.

A schedule is a factor for each number of steps done. It sets ``optimizer.lr``, and the rates of groups that have their
own, to that factor times what they were when it was made. It steps by itself among the callbacks of `nn.fit`, after
each epoch or each batch; in a loop of one's own it steps by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.nn.checkpoint import load_into
from microgradnp.nn.optim.base import Optimizer


class Rates:
    """What all schedules share: the rates that they began with, their place among callbacks and in a checkpoint."""

    _kept: tuple[str, ...] = ()
    """The attributes that are saved, numbers all."""
    last = False  # among callbacks they are called in the order in which they are given

    def __init__(self, optimizer: Optimizer, by: str = "epoch") -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__} takes an Optimizer first; got {type(optimizer).__name__}.")
        if by not in ("epoch", "batch"):
            raise ValueError(f"{type(self).__name__}'s by must be 'epoch' or 'batch'; got {by!r}.")
        self.optimizer, self.by = optimizer, by
        self.rates = {name: float(array) for name, array in optimizer.places("lr").items()}

    def scale(self, factor: float, least: float = 0.0) -> None:
        """Set the rates to what they were at the start, times a factor."""
        places = self.optimizer.places("lr")
        for name, rate in self.rates.items():
            Optimizer.lr.check(self.optimizer, rate * factor)
            places[name][...] = max(rate * factor, min(rate, least))

    # -- As a callback of a training

    def begin(self, run: Any) -> None:
        """Before the first epoch: a schedule of another optimizer would do nothing."""
        if run.optimizer is not self.optimizer:
            raise ValueError(
                f"the {type(self).__name__} among the callbacks was made for another optimizer than the one that "
                "trains: make it with that one."
            )

    def step_end(self, run: Any) -> None:
        """After a batch."""
        if self.by == "batch":
            self.advance(run)

    def epoch_end(self, run: Any) -> None:
        """After an epoch."""
        if self.by == "epoch":
            self.advance(run)

    def end(self, run: Any) -> None:
        """After the last epoch: the schedule stays where it is, for another `fit` that goes on."""

    def advance(self, run: Any) -> None:
        """Step on, as the training stands."""
        raise NotImplementedError

    # -- Saving

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Where the schedule stands, and the rates that it began with."""
        return {name: np.array(getattr(self, name), float) for name in self._kept} | {
            f"from.{name}": np.array(rate) for name, rate in self.rates.items()
        }

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Go on from what `state_dict` has saved, and set the rates."""
        mine = self.state_dict()
        load_into(mine, state, type(self).__name__)
        for name in self._kept:
            setattr(self, name, type(getattr(self, name))(mine[name]))
        self.rates = {name: float(mine[f"from.{name}"]) for name in self.rates}
        self.set()

    def set(self) -> None:
        """Set the rates to what they are to be now."""
        raise NotImplementedError

    def __repr__(self) -> str:
        now = ", ".join(f"{name}={float(array):g}" for name, array in self.optimizer.places("lr").items())
        kept = ", ".join(f"{name}={getattr(self, name):g}" for name in self._kept)
        return f"{type(self).__name__}({kept}; {now})"


class Schedule(Rates):
    """Rates by a formula: a subclass defines `factor`, what the rates are multiplied by after ``k`` steps.

    Parameters
    ----------
    optimizer
        Whose rates it sets, at once.
    by
        When it steps as a callback of `nn.fit`: after each ``"epoch"`` or each ``"batch"``.
    warmup
        Over how many steps the rates grow from ``lr / (warmup + 1)`` to ``lr``, before the formula begins.

    Examples
    --------
    A schedule of one's own: as 1 over the root of the number of epochs.

    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> class InverseRoot(optim.Schedule):
    ...     def factor(self, k):
    ...         return (1 + k) ** -0.5
    >>> optimizer = optim.GD([mg.Tensor(1.0, requires_grad=True)], lr=0.1)
    >>> schedule = InverseRoot(optimizer)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> optimizer.lr
    0.05
    """

    _kept = ("steps",)

    def __init__(self, optimizer: Optimizer, *, by: str = "epoch", warmup: int = 0) -> None:
        super().__init__(optimizer, by)
        self.warmup = _count("warmup", warmup, 0)
        self.steps = 0
        self.set()

    def factor(self, k: int) -> float:
        """What the rates are multiplied by after ``k`` steps, beyond those of the warm-up."""
        raise NotImplementedError(f"{type(self).__name__} must define factor(k).")

    def step(self) -> None:
        """One more epoch, or batch, is done: set the rates for the next."""
        self.steps += 1
        self.set()

    def set(self) -> None:
        """Set the rates to what they are to be now."""
        k = self.steps - self.warmup
        self.scale(self.factor(k) if k >= 0 else (self.steps + 1) / (self.warmup + 1))

    def advance(self, run: Any) -> None:
        """Step on."""
        self.step()


class LambdaLR(Schedule):
    """Rates by a function: after ``k`` steps they are ``function(k)`` times what they were.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> optimizer = optim.GD([mg.Tensor(1.0, requires_grad=True)], lr=0.1)
    >>> schedule = optim.LambdaLR(optimizer, lambda k: 1 / (1 + k))
    >>> schedule.step()
    >>> optimizer.lr
    0.05
    """

    def __init__(
        self, optimizer: Optimizer, function: Callable[[int], float], *, by: str = "epoch", warmup: int = 0
    ) -> None:
        self.function = function
        super().__init__(optimizer, by=by, warmup=warmup)

    def factor(self, k: int) -> float:
        """What the function says."""
        return self.function(k)


class StepLR(Schedule):
    """Rates in steps: every ``step_size`` steps, or at each number of a list, they are multiplied by ``gamma``.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> optimizer = optim.GD([mg.Tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = optim.StepLR(optimizer, step_size=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> optimizer.lr
    0.125
    """

    def __init__(
        self,
        optimizer: Optimizer,
        step_size: int | Sequence[int],
        gamma: float = 0.1,
        *,
        by: str = "epoch",
        warmup: int = 0,
    ) -> None:
        if isinstance(step_size, Sequence):
            self.step_size: Any = sorted(_count("step_size", size, 1) for size in step_size)
        else:
            self.step_size = _count("step_size", step_size, 1)
        self.gamma = _positive("gamma", gamma)
        super().__init__(optimizer, by=by, warmup=warmup)

    def factor(self, k: int) -> float:
        """``gamma`` to the number of steps down."""
        down = sum(k >= at for at in self.step_size) if isinstance(self.step_size, list) else k // self.step_size
        return float(self.gamma**down)


class ExponentialLR(Schedule):
    """Rates that shrink by the same factor in each step: ``gamma**k`` times what they were.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> optimizer = optim.GD([mg.Tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule.step()
    >>> optimizer.lr
    0.25
    """

    def __init__(self, optimizer: Optimizer, gamma: float, *, by: str = "epoch", warmup: int = 0) -> None:
        self.gamma = _positive("gamma", gamma)
        super().__init__(optimizer, by=by, warmup=warmup)

    def factor(self, k: int) -> float:
        """The same factor ``k`` times."""
        return self.gamma**k


class CosineLR(Schedule):
    """Rates that go down along half a cosine, after a linear warm-up if one is asked for.

    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5.

    Parameters
    ----------
    optimizer, by, warmup
        As for `Schedule`.
    total
        In how many steps they go down, those of the warm-up included; there they stay.
    end
        Where they end, as a share of where they began.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> optimizer = optim.Adam([mg.Tensor(1.0, requires_grad=True)], lr=0.1)
    >>> schedule = optim.CosineLR(optimizer, total=6, warmup=2)
    >>> rates = []
    >>> for _ in range(7):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [0.033, 0.067, 0.1, 0.085, 0.05, 0.015, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, total: int, *, end: float = 0.0, by: str = "epoch", warmup: int = 0
    ) -> None:
        self.total, self.end_share = _count("total", total, _count("warmup", warmup, 0) + 1), end
        if not 0 <= end <= 1:
            raise ValueError(f"end must be a share of the rates, from 0 to 1; got {end!r}.")
        super().__init__(optimizer, by=by, warmup=warmup)

    def factor(self, k: int) -> float:
        """Half a cosine, from 1 to ``end``."""
        return _between(1.0, self.end_share, k / (self.total - self.warmup))


class OneCycleLR(Schedule):
    """Rates that go up to the optimizer's ``lr`` and down, far below where they began, in one cycle.

    L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    2018; the halves are cosines, as in PyTorch.

    Parameters
    ----------
    optimizer
        Whose ``lr`` is the highest rate.
    total
        Of how many steps the training is: with ``by="batch"``, epochs times batches.
    pct_start
        The share of them in which the rates go up.
    div_factor
        By how much the first rate is below the highest.
    final_div_factor
        By how much the last one is below the first.
    momentum
        A pair ``(low, high)`` to cycle the optimizer's momentum, or its ``beta1``: low where the rates are high.
    by
        As for `Schedule`, here each batch unless said otherwise.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> optimizer = optim.GD([mg.Tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = optim.OneCycleLR(optimizer, total=10)
    >>> rates = []
    >>> for _ in range(10):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [0.02, 0.26, 0.5, 0.475, 0.406, 0.306, 0.194, 0.094, 0.025, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total: int,
        *,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        momentum: tuple[float, float] | None = None,
        by: str = "batch",
    ) -> None:
        self.total = _count("total", total, 2)
        if not 0 < pct_start < 1:
            raise ValueError(f"pct_start must be a share between 0 and 1; got {pct_start!r}.")
        self.pct_start, self.momentum = pct_start, momentum
        self.start = 1 / _positive("div_factor", div_factor)
        self.final = self.start / _positive("final_div_factor", final_div_factor)
        self.cycled = "beta1" if hasattr(optimizer, "beta1") else "momentum"
        if momentum is not None and not (hasattr(optimizer, self.cycled) and optimizer.uses(self.cycled)):
            raise ValueError(f"{type(optimizer).__name__} has no momentum to cycle, or one of 0.")
        super().__init__(optimizer, by=by)

    def factor(self, k: int) -> float:
        """Up along half a cosine, and down along another."""
        return self._cycle(k, self.start, 1.0, self.final)

    def set(self) -> None:
        """Set the rates, and the momentum if it is cycled."""
        super().set()
        if self.momentum is not None:
            low, high = self.momentum
            setattr(self.optimizer, self.cycled, self._cycle(self.steps, high, low, high))

    def _cycle(self, k: int, first: float, middle: float, last: float) -> float:
        top = self.pct_start * self.total - 1
        if k <= top:
            return _between(first, middle, k / top if top else 1.0)
        return _between(middle, last, (k - top) / (self.total - 1 - top))


class ReduceLROnPlateau(Rates):
    """Rates that are reduced when a number has stopped to improve.

    Parameters
    ----------
    optimizer
        Whose rates it sets.
    monitor
        The number to look at, of those of the epoch: ``"val_loss"``, ``"loss"``, ``"val_accuracy"``.
    mode
        ``"min"`` if smaller is better, ``"max"`` if larger is; by default the latter for accuracy, F1 and R2.
    factor
        What the rates are multiplied by.
    patience
        How many epochs without a new best are borne; the next one reduces the rates.
    threshold
        By which share of the best a number must be better to count.
    cooldown
        For how many epochs after a reduction none counts as bad.
    min_lr
        No rate goes below.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> optimizer = optim.GD([mg.Tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = optim.ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.05
    """

    _kept = ("reduction", "best", "bad", "rest")

    def __init__(
        self,
        optimizer: Optimizer,
        monitor: str = "val_loss",
        *,
        mode: str | None = None,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max'; got {mode!r}.")
        if not 0 < factor < 1:
            raise ValueError(f"factor must be between 0 and 1, so that the rates go down; got {factor!r}.")
        super().__init__(optimizer)
        larger = monitor.removeprefix("val_") in ("accuracy", "f1", "r2")
        self.sign = -1.0 if (mode == "max" if mode else larger) else 1.0
        self.monitor, self.factor, self.threshold, self.min_lr = monitor, factor, threshold, min_lr
        self.patience, self.cooldown = _count("patience", patience, 0), _count("cooldown", cooldown, 0)
        self.reduction, self.best, self.bad, self.rest = 1.0, math.inf, 0, 0

    def step(self, value: float) -> None:
        """An epoch gave this number."""
        value = self.sign * float(value)
        better = value < self.best - (self.threshold * abs(self.best) if math.isfinite(self.best) else 0)
        self.best, self.bad = (value, 0) if better else (self.best, self.bad + 1)
        if self.rest:
            self.rest, self.bad = self.rest - 1, 0
        if self.bad > self.patience:
            self.reduction *= self.factor
            self.rest, self.bad = self.cooldown, 0
            self.set()

    def set(self) -> None:
        """Set the rates to what they are to be now."""
        self.scale(self.reduction, self.min_lr)

    def advance(self, run: Any) -> None:
        """Look at the number of this epoch."""
        if self.monitor not in run.logs:
            raise KeyError(
                f"there is no {self.monitor!r} for ReduceLROnPlateau to look at; there is {', '.join(run.logs)}. For "
                "val_loss give fit(validation=...), for a metric fit(metrics=...)."
            )
        self.step(run.logs[self.monitor])


def _between(first: float, last: float, share: float) -> float:
    """From one number to another along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be an integer, {least} or more; got {value!r}.")
    return int(value)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a finite number above 0; got {value!r}.")
    return float(value)
