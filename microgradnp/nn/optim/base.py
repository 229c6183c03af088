"""Optimizers: how a gradient changes a parameter.

An optimizer is two small functions: `Optimizer.init_single` makes the state for one vector, and
`Optimizer.apply_single` computes the new vector and the new state, in plain NumPy. The base class does the rest. All
parameters of one dtype live in one flat buffer, each parameter a view of it, so that a step is a dozen NumPy calls for
the whole model instead of a dozen for each parameter. Hyperparameters and step counters live in 0-d arrays that are
written in place: a recorded program reads them where they are, so that changing ``lr`` needs no new recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.arrays import Array
from microgradnp.engine.state import current
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.checkpoint import load_into
from microgradnp.nn.optim.programs import Programs
from microgradnp.versions import renewed


class Hyperparameter:
    """A number of an optimizer, checked when it is set.

    It reads as a Python float, and while a program is recorded as the 0-d array that it lives in, in the dtype of the
    parameters that are being updated.
    """

    def __init__(self, low: float, high: float, wanted: str, *, open_low: bool = False) -> None:
        self.low, self.high, self.wanted, self.open_low = low, high, wanted, open_low

    def __set_name__(self, owner: type[Optimizer], name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, owner: type[Optimizer]) -> Any:
        if optimizer is None:
            return self
        array = optimizer._hyperparameters[self.name]
        number = current().machine.lift(array)
        return float(number) if number is array else number.astype(optimizer._dtype)

    def __set__(self, optimizer: Optimizer, value: Any) -> None:
        self.check(optimizer, value)
        values = optimizer.__dict__.setdefault("_hyperparameters", {})
        values.setdefault(self.name, np.zeros(()))[...] = value

    def check(self, optimizer: Optimizer, value: Any) -> None:
        """Raise unless ``value`` is a number in range."""
        if isinstance(value, bool | np.bool) or not isinstance(
            value, int | float | np.integer | np.floating | np.ndarray
        ):
            raise TypeError(
                f"{type(optimizer).__name__}'s {self.name} must be {self.wanted}; got {value!r}, "
                f"a {type(value).__name__}."
            )
        above = self.low < value if self.open_low else self.low <= value
        if np.ndim(value) or not (above and value < self.high):  # NaN fails every comparison
            raise ValueError(f"{type(optimizer).__name__}'s {self.name} must be {self.wanted}; got {value!r}.")


class _Group:
    """The parameters of one dtype, their flat buffer and the optimizer's state for it.

    What never changes stands in tuples, which a recorded program need not compare.
    """

    def __init__(self, parameters: list[tuple[int, Tensor]]) -> None:
        self.parameters = tuple(p for _, p in parameters)
        self.numbers = tuple(i for i, _ in parameters)
        self.state: dict[str, Array] = {}
        self.move_in()

    def move_in(self) -> None:
        """Make the flat buffer from the parameters' values, and each parameter a view of it."""
        self.shapes = tuple(p.shape for p in self.parameters)
        self.flat = np.concatenate([p.data.ravel() for p in self.parameters])
        self.views = self.split(self.flat)
        self.adopt()

    # An array that is copied or pickled is a view no more: what shares memory is left out, and made again there.

    def __getstate__(self) -> dict[str, Any]:
        return {"parameters": self.parameters, "numbers": self.numbers, "state": self.state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.move_in()

    def split(self, flat: Array) -> tuple[Array, ...]:
        """Views of a flat vector in the shapes of the parameters."""
        ends = np.cumsum([p.size for p in self.parameters])
        return tuple(flat[end - p.size : end].reshape(p.shape) for p, end in zip(self.parameters, ends, strict=True))

    def adopt(self) -> None:
        """Take over the values of parameters that live elsewhere: at first, or since ``.data`` was set."""
        machine = current().machine
        for p, view in zip(self.parameters, self.views, strict=True):
            if p._value is not view:
                machine.move(p, view)

    def gather(self) -> Any:
        """The gradients of all parameters as one vector."""
        gradients = [p.grad for p in self.parameters]
        for i, (g, shape) in enumerate(zip(gradients, self.shapes, strict=True)):
            if g is None:
                raise RuntimeError(
                    f"{_describe(self.numbers[i], self.parameters[i])} has no gradient: call loss.backward() before "
                    "step(), and check that the loss depends on it."
                )
            if g.shape != shape:
                raise ValueError(
                    f"{_describe(self.numbers[i], self.parameters[i])} has a gradient of shape {g.shape}; it must have "
                    "the same shape."
                )
        return np.concatenate(gradients, axis=None)  # type: ignore[arg-type]  # none is None


class Optimizer:
    """Base of all optimizers: a subclass defines `init_single` and `apply_single`.

    Parameters
    ----------
    parameters
        Tensors that require a gradient, such as ``model.parameters()``. Their data move into a buffer of the
        optimizer's: values, shapes and dtypes stay.
    lr
        The learning rate.

    Raises
    ------
    TypeError
        If something among ``parameters`` is not a Tensor, or a hyperparameter is not a number.
    ValueError
        If there are no parameters, one is given twice or is no leaf that requires a gradient, or a hyperparameter is
        out of range.

    Examples
    --------
    Gradient descent by the sign of the gradient, as an optimizer of one's own:

    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import optim
    >>> class SignDescent(optim.Optimizer):
    ...     def apply_single(self, gradient, parameter, state):
    ...         return parameter - self.lr * np.sign(gradient), state
    >>> w = mg.Tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([w], lr=0.5)
    >>> np.sum(w * w).backward()
    >>> optimizer.step()
    >>> w.data
    array([ 0.5, -1.5])
    """

    lr = Hyperparameter(0, math.inf, "a finite number, 0 or more")

    _hyperparameters: dict[str, Array]
    _dtype: np.dtype[Any] = np.dtype(np.float64)  # of the group that is being updated

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.lr = lr
        self.parameters = _checked(parameters, type(self).__name__)
        groups: dict[np.dtype[Any], list[tuple[int, Tensor]]] = {}
        for i, p in enumerate(self.parameters):
            groups.setdefault(p.dtype, []).append((i, p))
        self._groups = tuple(_Group(members) for members in groups.values())
        self._dtype = self._groups[-1].flat.dtype
        self.programs = Programs()
        for group in self._groups:
            group.state = {key: np.array(value) for key, value in self.init_single(group.flat).items()}

    def init_single(self, parameter: Array) -> dict[str, Array]:
        """The state for one vector of parameters: arrays of its shape, or 0-d float64 counters."""
        return {}

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The new parameters and the new state: pure, elementwise plain NumPy that keeps dtypes and shapes."""
        raise NotImplementedError(f"{type(self).__name__} must define apply_single(gradient, parameter, state).")

    def step(self) -> None:
        """Change the parameters by their gradients.

        Raises
        ------
        RuntimeError
            If a parameter has no gradient.
        """
        gradients = [group.gather() for group in self._groups]  # all are there before anything changes
        # One vector for each dtype: machines that train together would put the average over all of them in its place.
        for group, gradient in zip(self._groups, gradients, strict=True):
            self._apply(group, gradient)

    def _apply(self, group: _Group, gradient: Any) -> None:
        machine = current().machine
        group.adopt()
        self._dtype = group.flat.dtype
        before = {key: machine.lift(array) for key, array in group.state.items()}
        parameter, after = self.apply_single(gradient, machine.lift(group.flat), before)
        self._check_result(group, parameter, after)
        machine.assign(group.flat, parameter)
        for key, array in group.state.items():
            if after[key] is not before[key]:
                machine.assign(array, after[key])
        for p in group.parameters:
            renewed(p)

    def _check_result(self, group: _Group, parameter: Any, state: dict[str, Any]) -> None:
        fits = _shape(parameter) == group.flat.shape and state.keys() == group.state.keys()
        if not fits or any(_shape(state[key]) != array.shape for key, array in group.state.items()):
            wanted = {key: array.shape for key, array in group.state.items()}
            got = {key: _shape(array) for key, array in state.items()}
            raise ValueError(
                f"{type(self).__name__}.apply_single returned parameters of shape {_shape(parameter)} and state of "
                f"shapes {got}; it must return parameters of shape {group.flat.shape} and state of shapes {wanted}."
            )

    def zero_grad(self) -> None:
        """Forget the gradients: set each ``.grad`` to None."""
        for group in self._groups:
            group.adopt()
            for p in group.parameters:
                p.grad = None

    # -- Saving

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of hyperparameters, of each parameter's state (``"0.mean"``) and of counters (``"float64.steps"``)."""
        return {name: array.copy() for name, array in self._named_arrays().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over the values of `state_dict`; names, shapes, dtypes and ranges must fit, or nothing is changed."""
        load_into({name: array.copy() for name, array in self._named_arrays().items()}, state, type(self).__name__)
        for name in self._hyperparameters:
            getattr(type(self), name).check(self, np.asarray(state[name])[()])
        load_into(self._named_arrays(), state, type(self).__name__)

    def _named_arrays(self) -> dict[str, Array]:
        arrays = dict(self._hyperparameters)
        for group in self._groups:
            for key, array in group.state.items():
                if array.shape == group.flat.shape:
                    arrays.update(
                        {f"{i}.{key}": part for i, part in zip(group.numbers, group.split(array), strict=True)}
                    )
                else:
                    arrays[f"{group.flat.dtype}.{key}"] = array
        return arrays

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={float(array):g}" for name, array in self._hyperparameters.items())
        n = len(self.parameters)
        return f"{type(self).__name__}({n} parameter{'s' * (n != 1)}, {values})"


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())


def _describe(i: int, p: Tensor) -> str:
    return f"parameter {i}{f' ({p.name})' if p.name else ''} of shape {p.shape}"


def _checked(parameters: Any, optimizer: str) -> tuple[Tensor, ...]:
    if isinstance(parameters, Tensor | Mapping | str) or not isinstance(parameters, Iterable):
        remedy = "model.parameters()" if hasattr(parameters, "parameters") else "[w, b] or model.parameters()"
        raise TypeError(f"{optimizer} takes a list of Tensors, such as {remedy}; got {type(parameters).__name__}.")
    if callable(getattr(parameters, "parameters", None)):
        raise TypeError(f"{optimizer} takes model.parameters(); got the {type(parameters).__name__} itself.")
    found: dict[Tensor, int] = {}
    for i, p in enumerate(parameters):
        if not isinstance(p, Tensor):
            hint = " Pass model.parameters(), without the names." if isinstance(p, tuple) else ""
            raise TypeError(f"{optimizer}'s parameter {i} must be a Tensor; got {type(p).__name__}.{hint}")
        if not p.requires_grad or not p.is_leaf:
            raise ValueError(
                f"{optimizer}'s {_describe(i, p)} must be a leaf that requires a gradient: "
                + (
                    "it is computed from other Tensors; pass these instead."
                    if p.requires_grad
                    else "make it with Tensor(data, requires_grad=True)."
                )
            )
        if p in found:
            raise ValueError(f"{optimizer}'s {_describe(i, p)} is given twice: it is also number {found[p]}.")
        found[p] = i
    if not found:
        raise ValueError(
            f"{optimizer} was given no parameters: is there a Tensor with requires_grad=True in the model?"
        )
    return tuple(found)
