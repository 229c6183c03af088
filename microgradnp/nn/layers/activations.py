"""Activations as layers: functions of `nn.functional` and of NumPy, without parameters.

What they compute, their derivatives and where they come from stand with the functions; a layer only gives them a place
in a model, and the numbers that they need. Any other function has one as a `Function`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp.nn import functional
from microgradnp.nn.initializers import Initializer, he_uniform, lecun_uniform
from microgradnp.nn.layers.base import Layer
from microgradnp.signatures import name_of


class Sigmoid(Layer):
    """The logistic function, ``1 / (1 + exp(-x))``, elementwise."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.sigmoid(x)


class Tanh(Layer):
    """The hyperbolic tangent, elementwise."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return np.tanh(x)


class ReLU(Layer):
    """The positive part, ``max(x, 0)``, elementwise; its gradient at 0 is 0."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.relu(x)


class LeakyReLU(Layer):
    """``x`` where it is positive, else ``slope * x``, elementwise."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = finite("LeakyReLU", "slope", slope)

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.leaky_relu(x, slope=self.slope)

    def extra_repr(self) -> str:
        """``slope``."""
        return f"{self.slope}"


class ELU(Layer):
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``, elementwise."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = finite("ELU", "alpha", alpha)

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.elu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """``alpha``."""
        return f"{self.alpha}"


class SELU(Layer):
    """`ELU` scaled so that mean 0 and variance 1 stay from layer to layer, elementwise."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.selu(x)


class GELU(Layer):
    """``x`` times the probability that a standard normal number is below it, elementwise.

    ``approximate="tanh"`` is a faster formula, which differs by up to 5e-4.
    """

    def __init__(self, approximate: str = "none") -> None:
        functional.gelu(0.0, approximate=approximate)  # raises if it is not known
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """``approximate``."""
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class SiLU(Layer):
    """``x * sigmoid(x)``, elementwise, also known as Swish."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.silu(x)


class Softplus(Layer):
    """The smooth positive part, ``log(1 + exp(x))``, elementwise."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.softplus(x)


class Softmax(Layer):
    """Exponentials that sum to 1 along ``axis``. The loss `nn.losses.cross_entropy` takes what comes before it."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.softmax(x, axis=self.axis)

    def extra_repr(self) -> str:
        """``axis``."""
        return "" if self.axis == -1 else f"axis={self.axis}"


class LogSoftmax(Softmax):
    """The logarithm of `Softmax`, without its underflow."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.log_softmax(x, axis=self.axis)


class Function(Layer):
    """A function as a layer; `Sequential` makes one of each function that it is given.

    It is saved with a model by its name, if it is a ufunc of NumPy's or of `nn.functional`.

    Parameters
    ----------
    function
        Called with the input.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> nn.Sequential(nn.Linear(1, 8), np.tanh, nn.Linear(8, 1))[1]
    Function(np.tanh)
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not callable(function) or isinstance(function, type | Layer):
            raise TypeError(f"Function takes a function of one array; got {function!r}.")
        self.function = function

    def forward(self, x: Any) -> Any:
        """Call it."""
        return self.function(x)

    def extra_repr(self) -> str:
        """Its name."""
        return name_of(self.function)


# -- Which first weights suit what follows -----------------------------------------------------------------------------

_SUITED: dict[Any, Initializer] = {
    **dict.fromkeys((ReLU, LeakyReLU, ELU, GELU, SiLU, Softplus), he_uniform),
    **dict.fromkeys((functional.relu, functional.leaky_relu, functional.elu), he_uniform),
    **dict.fromkeys((functional.gelu, functional.silu, functional.softplus), he_uniform),
    SELU: lecun_uniform,
    functional.selu: lecun_uniform,
}


def suited(layer: Layer) -> Initializer | None:
    """How the weights before this activation are best drawn: None is Glorot's way, that of sigmoid, tanh and none."""
    if isinstance(layer, Function):
        return _SUITED.get(layer.function)
    return next((_SUITED[kind] for kind in type(layer).__mro__ if kind in _SUITED), None)


def finite(layer: str, name: str, value: Any) -> float:
    """A number that a layer is made with, as a Python float, which leaves float32 what it is."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{layer}: {name} must be a number; got {value!r}.")
    if not math.isfinite(value):
        raise ValueError(f"{layer}: {name} must be finite; got {value!r}.")
    return float(value)
