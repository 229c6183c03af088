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

from microgradnp import tree
from microgradnp.arrays import Array
from microgradnp.engine.state import current
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.checkpoint import load_into
from microgradnp.nn.optim.programs import Programs
from microgradnp.versions import renewed

_FROZEN: Any = object()
_NUMBERS = (int, float, np.number, np.bool, np.ndarray, Tensor)


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
        return float(array) if number is array else number.astype(optimizer._dtype)

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
        for _, p, view in strangers:
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


class _Complete(type):
    """The class of optimizers: once one is made, it takes no numbers under names that nothing would read."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        optimizer = super().__call__(*args, **options)
        optimizer.__dict__["_complete"] = True
        return optimizer


class Optimizer(metaclass=_Complete):
    """Base of all optimizers: a subclass defines `init_single` and `apply_single`.

    Parameters
    ----------
    parameters
        Tensors that require a gradient, such as ``model.parameters()``. Their data move into a buffer of the
        optimizer's: values, shapes and dtypes stay.
    lr
        The learning rate.
    **hyperparameters
        Those of the subclass, under their names.

    Raises
    ------
    TypeError
        If something among ``parameters`` is not a Tensor, or a hyperparameter is not a number, or the class has none
        of that name.
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

    def __init__(self, parameters: Iterable[Tensor], lr: float, **hyperparameters: Any) -> None:
        self.__dict__.pop("_complete", None)  # it may be made anew in its place
        for name, value in {"lr": lr, **hyperparameters}.items():
            if not _is_hyperparameter(type(self), name):
                known = ", ".join(name for name in dir(type(self)) if _is_hyperparameter(type(self), name))
                raise TypeError(f"{type(self).__name__} has no hyperparameter {name!r}; it has {known}.")
            setattr(self, name, value)
        self.parameters = _checked(parameters, type(self).__name__)
        groups: dict[np.dtype[Any], list[tuple[int, Tensor]]] = {}
        for i, p in enumerate(self.parameters):
            groups.setdefault(p.dtype, []).append((i, p))
        self._groups = tuple(_Group(members) for members in groups.values())
        self._dtype = self._groups[-1].flat.dtype
        self.programs = Programs()
        for group in self._groups:
            group.state = {key: np.array(value) for key, value in self.init_single(group.flat).items()}

    def __setattr__(self, name: str, value: Any) -> None:
        if "_complete" in self.__dict__:
            kind = type(self).__name__
            if name == "parameters":
                raise AttributeError(f"the parameters of {kind} stay those it was made with: make a new one.", obj=self)
            known = name in self.__dict__ or hasattr(type(self), name) or name in _names_read_by(type(self))
            if not known and any(isinstance(x, _NUMBERS) for x in tree.leaves(value)):
                raise AttributeError(
                    f"{kind} has no attribute {name!r}, so that setting it would do nothing: it has "
                    f"{', '.join(self._hyperparameters)}. (A class of your own sets its attributes in __init__.)",
                    name=name,
                    obj=self,
                )
        super().__setattr__(name, value)

    def exact(self, name: str) -> Any:
        """A hyperparameter in float64, for computing with it before it meets parameters of another dtype."""
        array = self._hyperparameters[name]
        number = current().machine.lift(array)
        return float(array) if number is array else number

    def single(self, number: Any) -> Any:
        """A float64 number in the dtype of the parameters that are being updated, which a Python number has anyway."""
        return number if type(number) is float else number.astype(self._dtype)

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
        for group, (gradient, moving) in zip(self._groups, gradients, strict=True):
            self._apply(group, gradient, moving)

    def _apply(self, group: _Group, gradient: Any, moving: Array | None) -> None:
        machine = current().machine
        group.adopt()
        if self._dtype is not group.flat.dtype:
            self._dtype = group.flat.dtype
        before = {key: machine.lift(array) for key, array in group.state.items()}
        parameter, after = self.apply_single(gradient, machine.lift(group.flat), before)
        self._check_result(group, parameter, after)
        if moving is not None:
            parameter = np.where(moving, parameter, machine.lift(group.flat))
        machine.assign(group.flat, parameter)
        for key, array in group.state.items():
            if after[key] is not before[key]:
                if moving is not None and array.shape == group.flat.shape:
                    after[key] = np.where(moving, after[key], before[key])
                machine.assign(array, after[key])
        for p in group.parameters:
            renewed(p)

    def _check_result(self, group: _Group, parameter: Any, state: dict[str, Any]) -> None:
        fits = state.keys() == group.state.keys() and _shape(parameter) == group.flat.shape
        if not fits or [_shape(state[key]) for key in group.state] != [array.shape for array in group.state.values()]:
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
        load_into(self.state_dict(), state, type(self).__name__)  # all that can be wrong is found before a change
        for name in self._hyperparameters:
            getattr(type(self), name).check(self, np.asarray(state[name])[()])
        load_into(self._named_arrays(), state, type(self).__name__)

    def arrays(self) -> list[Array]:
        """The arrays in which the state lives."""
        return [array for group in self._groups for array in group.state.values()]

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


def _names_read_by(kind: type) -> set[str]:
    """The attributes that the methods of a class, and of those it is derived from, may read."""
    codes = (getattr(method, "__code__", None) for base in kind.__mro__ for method in vars(base).values())
    return {name for code in codes if code is not None for name in code.co_names}


def _is_hyperparameter(kind: type, name: str) -> bool:
    """Whether a class says what is done with a number of that name; a property stands for several, as betas do."""
    return isinstance(getattr(kind, name, None), Hyperparameter | property)


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())


def described(i: int, p: Tensor) -> str:
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


def _checked(parameters: Any, optimizer: str) -> tuple[Tensor, ...]:
    if isinstance(parameters, Tensor | Mapping | str) or not isinstance(parameters, Iterable):
        remedy = "model.parameters()" if hasattr(parameters, "parameters") else "[w, b] or model.parameters()"
        raise TypeError(f"{optimizer} takes a list of Tensors, such as {remedy}; got {type(parameters).__name__}.")
    if callable(getattr(parameters, "parameters", None)):
        raise TypeError(f"{optimizer} takes model.parameters(); got the {type(parameters).__name__} itself.")
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
