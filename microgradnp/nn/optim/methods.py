"""The methods: each says how one vector of parameters changes by its gradient, and what it remembers between steps.

They are plain NumPy, and read like the formulas in the papers; `base` has everything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.optim.base import Hyperparameter, Optimizer


class GD(Optimizer):
    """Gradient descent: ``w = w - lr * gradient``.

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

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One step against the gradient."""
        return parameter - self.lr * gradient, state


class Adam(Optimizer):
    """Adam: each step is a running mean of the gradient over its running root mean square.

    Both averages are corrected for their start at 0.

    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.

    Parameters
    ----------
    parameters, lr
        As for `Optimizer`.
    betas
        How much of the running mean of the gradient, and of its square, each step keeps.
    eps
        Added to the root, against division by 0.

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

    beta1 = Hyperparameter(0, 1, "a number from 0 to below 1")
    beta2 = Hyperparameter(0, 1, "a number from 0 to below 1")
    eps = Hyperparameter(0, math.inf, "a finite number above 0", open_low=True)

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps)

    @property
    def betas(self) -> tuple[float, float]:
        """``beta1`` and ``beta2`` together, as they are given."""
        return self.beta1, self.beta2

    @betas.setter
    def betas(self, betas: tuple[float, float]) -> None:
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"Adam's betas must be two numbers, such as (0.9, 0.999); got {betas!r}.")
        Adam.beta1.check(self, betas[0])
        Adam.beta2.check(self, betas[1])
        self.beta1, self.beta2 = betas

    def init_single(self, parameter: Array) -> dict[str, Array]:
        """Running means of the gradient and of its square, and the number of steps taken."""
        return {"mean": np.zeros_like(parameter), "square": np.zeros_like(parameter), "steps": np.zeros(())}

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """One step of algorithm 1."""
        dtype = parameter.dtype
        beta1, beta2 = self.exact("beta1"), self.exact("beta2")  # 1 - 0.999 has three digits less in float32
        steps = state["steps"] + 1
        mean = self.single(beta1) * state["mean"] + self.single(1 - beta1) * gradient
        square = self.single(beta2) * state["square"] + self.single(1 - beta2) * np.square(gradient)
        mean_hat = mean / (1 - beta1**steps).astype(dtype)
        square_hat = square / (1 - beta2**steps).astype(dtype)
        parameter = parameter - self.lr * (mean_hat / (np.sqrt(square_hat) + self.eps))
        return parameter, {"mean": mean, "square": square, "steps": steps}
