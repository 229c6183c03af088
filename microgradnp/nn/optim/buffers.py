"""Where the parameters of an optimizer live: those of one dtype and one group in one flat buffer, each a view of it.

So a step is a dozen NumPy calls for the whole model, instead of a dozen for each parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.engine.state import current
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.optim.hyperparameters import Settings

_FROZEN: Any = object()


class Buffer:
    """The parameters of one dtype and one group, their flat buffer and the optimizer's state for it.

    What never changes stands in tuples, which a recorded program need not compare.
    """

    def __init__(self, name: str, parameters: list[tuple[int, Tensor]], settings: Settings) -> None:
        self.name, self.settings = name, settings
        self.parameters = tuple(p for _, p in parameters)
        self.numbers = tuple(i for i, _ in parameters)
        self.state: dict[str, Array] = {}
        self.move_in()

    def move_in(self) -> None:
        """Make the flat buffer from the parameters' values, and each parameter a view of it."""
        self.flat = np.concatenate([p.data.ravel() for p in self.parameters])
        self.views = self.split(self.flat)
        self.adopt()

    # An array that is copied or pickled is a view no more: what shares memory is left out, and made again there.

    def __getstate__(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if name not in ("flat", "views")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.move_in()

    def split(self, flat: Array) -> tuple[Array, ...]:
        """Views of a flat vector in the shapes of the parameters."""
        ends = np.cumsum([p.size for p in self.parameters])
        return tuple(flat[end - p.size : end].reshape(p.shape) for p, end in zip(self.parameters, ends, strict=True))

    def adopt(self) -> None:
        """Take over the values of parameters that live elsewhere: at first, or since ``.data`` was set."""
        for _, p, view in self.members():
            if p._value is not view:
                self._take_over()
                return

    def _take_over(self) -> None:
        strangers = [member for member in self.members() if member[1]._value is not member[2]]
        for i, p, _ in strangers:
            for other, _, view in self.members():
                if other != i and p.size and _start(view) == _start(p._value):
                    raise ValueError(_tied(i, p, f"parameter {other}"))
        for i, p, view in strangers:
            if p._value.dtype != view.dtype:
                raise TypeError(
                    f"{described(i, p)} was {view.dtype} when the optimizer was made, and is {p._value.dtype} now: "
                    "make a new optimizer with model.parameters()."
                )
            current().machine.move(p, view)

    def gather(self) -> tuple[Any, Array | None]:
        """The gradients of all parameters as one vector; and where it counts, if some parameters are frozen since."""
        gradients: list[Any] = [p.grad if p.requires_grad else _FROZEN for p in self.parameters]
        moving = None
        for i, (g, view) in enumerate(zip(gradients, self.views, strict=True)):
            if g is _FROZEN:
                gradients[i] = np.zeros_like(view)
                moving = np.concatenate([np.full(p.size, p.requires_grad) for p in self.parameters])
            elif type(g) is not np.ndarray or g.shape != view.shape or g.dtype is not view.dtype:
                _check_gradient(self.numbers[i], self.parameters[i], g)
        return np.concatenate(gradients, axis=None), moving

    def members(self) -> Iterable[tuple[int, Tensor, Array]]:
        """The parameters, each with its number and its place in the buffer."""
        return zip(self.numbers, self.parameters, self.views, strict=True)


def described(i: int, p: Tensor) -> str:
    """A parameter in a sentence."""
    return f"parameter {i}{f' ({p.name})' if p.name else ''} of shape {p.shape}"


def _check_gradient(i: int, p: Tensor, g: Any) -> None:
    if g is None:
        raise RuntimeError(
            f"{described(i, p)} has no gradient: call loss.backward() before step(), and check that the loss depends "
            "on it. If its layer was replaced since the optimizer was made, make a new optimizer with "
            "model.parameters()."
        )
    array = isinstance(g, np.ndarray | np.generic | Tensor) and not isinstance(g, np.ma.MaskedArray)
    if not array or g.dtype.kind not in "fiub":
        raise TypeError(
            f"{described(i, p)} has a {type(g).__name__} for a gradient"
            f"{f' of dtype {g.dtype}' if isinstance(g, np.ndarray) else ''}; it must be an array of real numbers: "
            "p.grad = np.asarray(...)."
        )
    if g.shape != p.shape:
        raise ValueError(f"{described(i, p)} has a gradient of shape {g.shape}; it must have the same shape.")


def _start(array: Array) -> int:
    """Where the numbers of an array begin: two that begin at one place share them."""
    return int(array.__array_interface__["data"][0])


def _tied(i: int, p: Tensor, other: str) -> str:
    return (
        f"{described(i, p)} shares its array with {other}, which the optimizer would take apart: to tie two weights, "
        "let both layers hold the same Tensor, b.weight = a.weight, and make the optimizer after that."
    )


def grouped(given: Any, optimizer: str) -> list[tuple[tuple[Tensor, ...], dict[str, Any]]]:
    """The parameters of each group and what is set for it; a plain list is one group, for which nothing is set."""
    entries = _listed(given, optimizer)
    if not any(isinstance(entry, Mapping) for entry in entries):
        return [(checked(entries, optimizer), {})]
    parts: list[list[Any]] = []
    for i, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or "params" not in entry:
            raise TypeError(
                f"{optimizer}'s group {i} must be a dict such as {{'params': layer.parameters(), 'lr': 0.01}}; got "
                + (
                    f"one of {', '.join(map(repr, entry))}."
                    if isinstance(entry, Mapping)
                    else f"{type(entry).__name__}."
                )
            )
        parts.append(_listed(entry["params"], f"{optimizer}'s group {i}"))
        if not parts[-1]:
            raise ValueError(f"{optimizer}'s group {i} has no parameters.")
    rest = iter(checked([p for part in parts for p in part], optimizer))
    own = [{name: value for name, value in entry.items() if name != "params"} for entry in entries]
    return [(tuple(next(rest) for _ in part), numbers) for part, numbers in zip(parts, own, strict=True)]


def _listed(parameters: Any, owner: str) -> list[Any]:
    if isinstance(parameters, Tensor | Mapping | str) or not isinstance(parameters, Iterable):
        remedy = "model.parameters()" if hasattr(parameters, "parameters") else "[w, b] or model.parameters()"
        raise TypeError(f"{owner} takes a list of Tensors, such as {remedy}; got {type(parameters).__name__}.")
    if callable(getattr(parameters, "parameters", None)):
        raise TypeError(f"{owner} takes model.parameters(); got the {type(parameters).__name__} itself.")
    return list(parameters)


def checked(parameters: list[Any], optimizer: str) -> tuple[Tensor, ...]:
    """The parameters, if each is a leaf that requires a gradient, in an array of its own."""
    found: dict[Tensor, int] = {}
    starts: dict[int, int] = {}
    for i, p in enumerate(parameters):
        if not isinstance(p, Tensor):
            hint = " Pass model.parameters(), without the names." if isinstance(p, tuple) else ""
            raise TypeError(f"{optimizer}'s parameter {i} must be a Tensor; got {type(p).__name__}.{hint}")
        if not p.requires_grad or not p.is_leaf:
            raise ValueError(
                f"{optimizer}'s {described(i, p)} must be a leaf that requires a gradient: "
                + (
                    "it is computed from other Tensors; pass these instead."
                    if p.requires_grad
                    else "make it with Tensor(data, requires_grad=True)."
                )
            )
        if p in found:
            raise ValueError(f"{optimizer}'s {described(i, p)} is given twice: it is also number {found[p]}.")
        found[p] = i
        if p.size and (first := starts.setdefault(_start(p._value), i)) != i:
            raise ValueError(f"{optimizer}'s {_tied(i, p, f'parameter {first}')}")
    if not found:
        raise ValueError(
            f"{optimizer} was given no parameters: is there a Tensor with requires_grad=True in the model?"
        )
    return tuple(found)
