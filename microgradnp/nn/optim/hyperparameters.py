"""The numbers of an optimizer: checked when they are set, read in place by programs.

Each lives in a 0-d array that is written into, so that changing ``lr`` needs no new recording. A number at which a term
vanishes (no momentum, no weight decay, no clipping) says so by ``off``: the term is left out then, and costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from microgradnp.arrays import Array
from microgradnp.engine.state import current
from microgradnp.engine.tensor import Tensor


class Settings:
    """The hyperparameters that hold for some parameters: a group's own, and for all others those of the optimizer."""

    def __init__(self, shared: Settings | None = None) -> None:
        self.own: dict[str, Array] = {}
        self.shared = shared
        self.used: frozenset[str] = frozenset()  # those that are not off

    def __getitem__(self, name: str) -> Array:
        own = self.own
        return own[name] if name in own or self.shared is None else self.shared.own[name]

    def names(self) -> list[str]:
        """Of all hyperparameters."""
        return list(self.shared.own if self.shared else self.own)

    def look(self, kind: type) -> bool:
        """See which are off; return whether others are than before."""
        before = self.used
        self.used = frozenset(name for name in self.names() if self[name] != getattr(kind, name).off)
        return self.used != before


class HasSettings(Protocol):
    """What a hyperparameter asks of an optimizer."""

    _settings: Settings
    _dtype: np.dtype[Any]

    def settle(self) -> None:
        """A number is off, or no longer."""


class Hyperparameter:
    """A number of an optimizer, checked when it is set.

    It reads as a Python float, and while a program is recorded as the 0-d array that it lives in, in the dtype of the
    parameters that are being updated.

    Parameters
    ----------
    low, high
        The number must be at least ``low`` (above it, if ``open_low``) and below ``high``.
    wanted
        What to say that it must be, if it is not.
    off
        The number at which its term vanishes, which is allowed too; ``optimizer.uses(name)`` is False then.

    Examples
    --------
    >>> from microgradnp import optim
    >>> class Clipped(optim.Optimizer):
    ...     most = optim.Hyperparameter(0, float("inf"), "a number above 0", open_low=True)
    """

    def __init__(
        self, low: float, high: float, wanted: str, *, open_low: bool = False, off: float | None = None
    ) -> None:
        self.low, self.high, self.wanted, self.open_low, self.off = low, high, wanted, open_low, off

    of_groups = True
    """Whether a group may have a number of its own."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: HasSettings | None, owner: type) -> Any:
        if optimizer is None:
            return self
        name, own = self.name, optimizer._settings.own
        array = own[name] if name in own else optimizer._settings[name]
        number = current().machine.lift(array)
        return float(array) if number is array else number.astype(optimizer._dtype)

    def __set__(self, optimizer: HasSettings, value: Any) -> None:
        self.check(optimizer, value)
        settings = vars(optimizer).setdefault("_settings", Settings())
        settings.own.setdefault(self.name, np.zeros(()))[...] = value
        if self.off is not None:
            optimizer.settle()

    def check(self, optimizer: object, value: Any) -> None:
        """Raise unless ``value`` is a number in range."""
        if isinstance(value, bool | np.bool) or not isinstance(
            value, int | float | np.integer | np.floating | np.ndarray
        ):
            raise TypeError(
                f"{type(optimizer).__name__}'s {self.name} must be {self.wanted}; got {value!r}, "
                f"a {type(value).__name__}."
            )
        if np.ndim(value) or not self._fits(value):
            raise ValueError(f"{type(optimizer).__name__}'s {self.name} must be {self.wanted}; got {value!r}.")

    def _fits(self, value: Any) -> bool:
        above = self.low < value if self.open_low else self.low <= value
        return bool((above and value < self.high) or value == self.off)  # NaN fails every comparison


class Bound(Hyperparameter):
    """How large gradients may become, all of the optimizer's looked at together; infinity is no bound."""

    of_groups = False

    def __init__(self) -> None:
        super().__init__(0, math.inf, "a number above 0, or infinity for no clipping", open_low=True, off=math.inf)


class Decay(Hyperparameter):
    """How much of each weight a step takes away; at 0 none."""

    def __init__(self) -> None:
        super().__init__(0, math.inf, "a finite number, 0 or more", off=0)


class ParameterGroup(Mapping[str, Any]):
    """Some of an optimizer's parameters, with hyperparameters of their own: ``optimizer.groups[1]["lr"] = 0.01``.

    ``group["params"]`` are the parameters. A hyperparameter that is not the group's own is the optimizer's: setting
    ``optimizer.lr`` sets it for all groups that have not been given one.
    """

    def __init__(self, optimizer: Any, settings: Settings, parameters: tuple[Tensor, ...]) -> None:
        self._optimizer, self._settings, self._parameters = optimizer, settings, parameters

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            return self._parameters
        self._check(name)
        with self._optimizer.within(self._settings):
            return getattr(self._optimizer, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._check(name)
        with self._optimizer.within(self._settings):
            setattr(self._optimizer, name, value)

    def __iter__(self) -> Iterator[str]:
        kind = type(self._optimizer)
        return iter(["params", *(name for name in self._settings.names() if getattr(kind, name).of_groups)])

    def __len__(self) -> int:
        return len([*self])

    def __repr__(self) -> str:
        return f"ParameterGroup({dict(self)!r})"

    def _check(self, name: str) -> None:
        if not is_hyperparameter(type(self._optimizer), name, of_groups=True):
            raise KeyError(
                f"a group of {type(self._optimizer).__name__} has no hyperparameter {name!r}; it has {', '.join(self)}."
            )


def is_hyperparameter(kind: type, name: str, *, of_groups: bool = False) -> bool:
    """Whether a class says what is done with a number of that name; a property stands for several, as betas do."""
    found = getattr(kind, name, None)
    if isinstance(found, property):
        return found.fset is not None
    return isinstance(found, Hyperparameter) and (found.of_groups or not of_groups)
