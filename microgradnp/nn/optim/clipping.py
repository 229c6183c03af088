"""Clipping: gradients that are too large are made smaller, element by element or all together.

Optimizers do it for themselves, by ``clip_value=`` and ``clip_norm=``; in a loop of one's own there are functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from microgradnp.engine.tensor import Tensor

MARGIN = 1e-6  # PyTorch's: a gradient of 0 is divided by it


def bounded(gradients: Sequence[Any], most: Any) -> list[Any]:
    """The gradients, of which no element is above ``most`` or below ``-most``; float64 or a Python number."""
    bounds = [most if type(most) is float else most.astype(g.dtype) for g in gradients]
    return [np.clip(g, -bound, bound) for g, bound in zip(gradients, bounds, strict=True)]


def norm_of(gradients: Sequence[Any]) -> Any:
    """The Euclidean norm of all elements together, in float64: squares of large float32 would overflow."""
    flat = [np.reshape(g if g.dtype == np.float64 else g.astype(np.float64), -1) for g in gradients]
    return np.sqrt(sum(np.vdot(g, g) for g in flat))


def shrunk(gradients: Sequence[Any], norm: Any, most: Any) -> list[Any]:
    """The gradients, whose norm is given, times one number, such that it is at most ``most``."""
    factor = np.minimum(1.0, most / (norm + MARGIN))
    return [g * factor.astype(g.dtype) for g in gradients]


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> Any:
    """Make the gradients smaller, all by one factor, if their norm is above ``max_norm``; return what it was.

    Call it between ``backward()`` and ``step()``; an optimizer does the same by itself with ``clip_norm=``.

    Parameters
    ----------
    parameters
        Tensors whose ``.grad`` is replaced; those that have none are left out.
    max_norm
        The norm of all gradients together that is allowed, above 0.

    Returns
    -------
    float
        The norm before, a 0-d Tensor while a program is recorded.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import optim
    >>> w = mg.Tensor([1.0, 1.0], requires_grad=True)
    >>> w.grad = np.array([3.0, 4.0])
    >>> float(optim.clip_grad_norm([w], 1.0))
    5.0
    >>> w.grad.round(4)
    array([0.6, 0.8])
    """
    having = _having(parameters, max_norm, "max_norm")
    gradients = [p.grad for p in having]
    norm = norm_of(gradients)
    for p, g in zip(having, shrunk(gradients, norm, max_norm), strict=True):
        p.grad = g
    return norm


def clip_grad_value(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Bring each element of the gradients into the range from ``-clip_value`` to ``clip_value``.

    An optimizer does the same by itself with ``clip_value=``.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import optim
    >>> w = mg.Tensor([1.0, 1.0], requires_grad=True)
    >>> w.grad = np.array([3.0, -0.5])
    >>> optim.clip_grad_value([w], 1.0)
    >>> w.grad
    array([ 1. , -0.5])
    """
    for p in _having(parameters, clip_value, "clip_value"):
        (p.grad,) = bounded([p.grad], float(clip_value))


def _having(parameters: Iterable[Tensor], bound: float, name: str) -> list[Tensor]:
    if isinstance(bound, bool) or not isinstance(bound, int | float | np.number) or not 0 < bound <= math.inf:
        raise ValueError(f"{name} must be a number above 0; got {bound!r}.")
    if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable):
        raise TypeError(
            f"clipping takes a list of Tensors, such as model.parameters(); got {type(parameters).__name__}."
        )
    found = list(parameters)
    for p in found:
        if not isinstance(p, Tensor):
            raise TypeError(f"clipping takes a list of Tensors, such as model.parameters(); it has {type(p).__name__}.")
    return [p for p in found if p.grad is not None]
