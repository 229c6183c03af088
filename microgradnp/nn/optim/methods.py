"""The methods: each says how one vector of parameters changes by its gradient, and what it remembers between steps.

They are plain NumPy, and read like the formulas in the papers; `base` has everything else. What they are called, and
what they do to the last detail, is as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from microgradnp.arrays import Array
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.optim.base import Optimizer
from microgradnp.nn.optim.hyperparameters import Decay, Hyperparameter

Parameters: TypeAlias = Iterable[Tensor] | Iterable[Mapping[str, Any]]

_SHARE = "a number from 0 to below 1"


class GD(Optimizer):
    """Gradient descent: ``w = w - lr * gradient``, or by a velocity that adds up gradients, with momentum.

    With momentum ``velocity = momentum * velocity + gradient`` takes the gradient's place, and with Nesterov's
    ``gradient + momentum * velocity``.

    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    Parameters
    ----------
    parameters, lr, clip_norm, clip_value
        As for `Optimizer`.
    momentum
        How much of the velocity each step keeps; at 0 there is none.
    nesterov
        Whether the step looks ahead along the velocity; needs a momentum.
    weight_decay
        The factor of an L2 penalty, ``weight_decay / 2 * sum(w**2)``, whose gradient is added.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> w = mg.Tensor(3.0, requires_grad=True)
    >>> optimizer = optim.GD([w], lr=0.25)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w.item()
    1.5
    """

    momentum = Hyperparameter(0, 1, _SHARE, off=0)
    weight_decay = Decay()

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        clip_norm: float = math.inf,
        clip_value: float = math.inf,
    ) -> None:
        self.nesterov = nesterov
        super().__init__(
            parameters, lr, momentum=momentum, weight_decay=weight_decay, clip_norm=clip_norm, clip_value=clip_value
        )
        if nesterov and not any(group["momentum"] for group in self.groups):
            raise ValueError("GD's nesterov=True needs a momentum above 0, such as momentum=0.9.")

    def init_single(self, parameter: Array) -> dict[str, Array]:
        """The velocity, where there is momentum."""
        return {"velocity": np.zeros_like(parameter)} if self.uses("momentum") else {}

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One step against the gradient, or along the velocity."""
        gradient = self.decayed(gradient, parameter)
        if not self.uses("momentum"):
            return parameter - self.lr * gradient, state
        velocity = self.momentum * state["velocity"] + gradient
        direction = gradient + self.momentum * velocity if self.nesterov else velocity
        return parameter - self.lr * direction, {"velocity": velocity}


class Adam(Optimizer):
    """Adam: each step is a running mean of the gradient over its running root mean square.

    Both averages are corrected for their start at 0.

    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.

    Parameters
    ----------
    parameters, lr, clip_norm, clip_value
        As for `Optimizer`.
    betas
        How much of the running mean of the gradient, and of its square, each step keeps.
    eps
        Added to the root, against division by 0.
    weight_decay
        The factor of an L2 penalty, ``weight_decay / 2 * sum(w**2)``, whose gradient is added. `AdamW` takes the same
        share off every weight instead.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> w = mg.Tensor(3.0, requires_grad=True)
    >>> optimizer = optim.Adam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    2.9
    """

    beta1 = Hyperparameter(0, 1, _SHARE)
    beta2 = Hyperparameter(0, 1, _SHARE)
    eps = Hyperparameter(0, math.inf, "a finite number above 0", open_low=True)
    weight_decay = Decay()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        weight_decay: float = 0.0,
        clip_norm: float = math.inf,
        clip_value: float = math.inf,
    ) -> None:
        numbers = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, lr, clip_norm=clip_norm, clip_value=clip_value, **numbers)

    @property
    def betas(self) -> tuple[float, float]:
        """``beta1`` and ``beta2`` together, as they are given."""
        return self.beta1, self.beta2

    @betas.setter
    def betas(self, betas: tuple[float, float]) -> None:
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"{type(self).__name__}'s betas must be two numbers, such as (0.9, 0.999); got {betas!r}.")
        Adam.beta1.check(self, betas[0])
        Adam.beta2.check(self, betas[1])
        self.beta1, self.beta2 = betas

    def init_single(self, parameter: Array) -> dict[str, Array]:
        """Running means of the gradient and of its square, and the number of steps taken."""
        return {"mean": np.zeros_like(parameter), "square": np.zeros_like(parameter), "steps": np.zeros(())}

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One step of algorithm 1."""
        gradient = self.decayed(gradient, parameter)
        dtype = parameter.dtype
        beta1, beta2 = self.exact("beta1"), self.exact("beta2")  # 1 - 0.999 has three digits less in float32
        steps = state["steps"] + 1
        mean = self.single(beta1) * state["mean"] + self.single(1 - beta1) * gradient
        square = self.single(beta2) * state["square"] + self.single(1 - beta2) * np.square(gradient)
        mean_hat = mean / (1 - beta1**steps).astype(dtype)
        square_hat = square / (1 - beta2**steps).astype(dtype)
        parameter = parameter - self.lr * (mean_hat / (np.sqrt(square_hat) + self.eps))
        return parameter, {"mean": mean, "square": square, "steps": steps}


class AdamW(Adam):
    """Adam with decoupled weight decay: each step takes the share ``lr * weight_decay`` off every weight.

    A penalty in the loss, as `Adam` has it, would be divided by the running root mean square with the rest, so that
    weights with large gradients would hardly decay.

    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.

    Parameters
    ----------
    parameters, lr, betas, eps, clip_norm, clip_value
        As for `Adam`.
    weight_decay
        How much, times ``lr``, a step takes off every weight.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import optim
    >>> w = mg.Tensor(3.0, requires_grad=True)
    >>> optimizer = optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> w.grad = np.array(0.0)
    >>> optimizer.step()
    >>> round(w.item(), 6)
    2.85
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        weight_decay: float = 1e-2,
        clip_norm: float = math.inf,
        clip_value: float = math.inf,
    ) -> None:
        numbers = {"weight_decay": weight_decay, "clip_norm": clip_norm, "clip_value": clip_value}
        super().__init__(parameters, lr, betas, eps, **numbers)

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One step of algorithm 2."""
        if self.uses("weight_decay"):
            parameter = parameter * self.single(1 - self.exact("lr") * self.exact("weight_decay"))
        return super().apply_single(gradient, parameter, state)

    def decayed(self, gradient: Any, parameter: Any) -> Any:
        """The gradient as it is: there is no penalty."""
        return gradient


class RMSprop(Optimizer):
    """RMSprop: each step is the gradient over its running root mean square.

    T. Tieleman and G. Hinton, "Neural networks for machine learning", lecture 6.5, 2012; centered as in A. Graves,
    "Generating sequences with recurrent neural networks", 2013, equations 38 to 45.

    Parameters
    ----------
    parameters, lr, clip_norm, clip_value
        As for `Optimizer`.
    alpha
        How much of the running mean of the square each step keeps.
    eps
        Added to the root, against division by 0.
    momentum
        How much of a velocity of such steps each step keeps; at 0 there is none.
    centered
        Whether to divide by the running standard deviation instead.
    weight_decay
        The factor of an L2 penalty, ``weight_decay / 2 * sum(w**2)``, whose gradient is added.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import optim
    >>> w = mg.Tensor(3.0, requires_grad=True)
    >>> optimizer = optim.RMSprop([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    2.0
    """

    alpha = Hyperparameter(0, 1, _SHARE)
    eps = Hyperparameter(0, math.inf, "a finite number above 0", open_low=True)
    momentum = Hyperparameter(0, 1, _SHARE, off=0)
    weight_decay = Decay()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        *,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
        clip_norm: float = math.inf,
        clip_value: float = math.inf,
    ) -> None:
        self.centered = centered
        numbers = {"alpha": alpha, "eps": eps, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, lr, clip_norm=clip_norm, clip_value=clip_value, **numbers)

    def init_single(self, parameter: Array) -> dict[str, Array]:
        """The running mean of the square, and if it is asked for that of the gradient, and the velocity."""
        names = ["square", *["mean"] * self.centered, *["velocity"] * self.uses("momentum")]
        return {name: np.zeros_like(parameter) for name in names}

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One step against the scaled gradient, or along the velocity."""
        gradient = self.decayed(gradient, parameter)
        alpha = self.exact("alpha")
        keep, take = self.single(alpha), self.single(1 - alpha)
        new = {"square": keep * state["square"] + take * np.square(gradient)}
        square = new["square"]
        if self.centered:
            new["mean"] = keep * state["mean"] + take * gradient
            square = np.maximum(square - np.square(new["mean"]), 0)  # by rounding a variance may be below 0
        direction = gradient / (np.sqrt(square) + self.eps)
        if self.uses("momentum"):
            direction = new["velocity"] = self.momentum * state["velocity"] + direction
        return parameter - self.lr * direction, new
