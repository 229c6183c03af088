"""Optimizers: how a gradient changes a parameter.

An optimizer is two small functions: `Optimizer.init_single` makes the state for one vector, and
`Optimizer.apply_single` computes the new vector and the new state, in plain NumPy. The base class does the rest. All
parameters of one dtype live in one flat buffer, each parameter a view of it, so that a step is a dozen NumPy calls for
the whole model instead of a dozen for each parameter. Hyperparameters and step counters live in 0-d arrays that are
written in place: a recorded program reads them where they are, so that changing ``lr`` needs no new recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp import tree
from microgradnp.arrays import Array
from microgradnp.engine.state import current
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.checkpoint import load_into
from microgradnp.nn.optim.buffers import Buffer, grouped
from microgradnp.nn.optim.clipping import bounded, norm_of, shrunk
from microgradnp.nn.optim.hyperparameters import Bound, Hyperparameter, ParameterGroup, Settings, is_hyperparameter
from microgradnp.nn.optim.programs import Programs
from microgradnp.versions import renewed

_NUMBERS = (int, float, np.number, np.bool, np.ndarray, Tensor)
_CLIPPING = frozenset(["clip_norm", "clip_value"])


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
        optimizer's: values, shapes and dtypes stay. Or groups of them with hyperparameters of their own,
        ``[{"params": layer.parameters(), "lr": 0.01}, ...]``; what a group does not set is as for all.
    lr
        The learning rate.
    clip_norm
        The most that the norm of all gradients together may be: above it they are made smaller, all by one factor.
    clip_value
        The most that an element of a gradient may be, up or down. It comes before ``clip_norm``, if both are given.
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
    clip_norm = Bound()
    clip_value = Bound()

    _settings: Settings  # of the parameters that are being updated; between steps those of all that have no own
    _dtype: np.dtype[Any] = np.dtype(np.float64)

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float,
        *,
        clip_norm: float = math.inf,
        clip_value: float = math.inf,
        **hyperparameters: Any,
    ) -> None:
        self.__dict__.pop("_complete", None)  # it may be made anew in its place
        self._set({"lr": lr, **hyperparameters, "clip_norm": clip_norm, "clip_value": clip_value})
        given = grouped(parameters, type(self).__name__)
        self.parameters = tuple(p for members, _ in given for p in members)
        groups, buffers, first = [], [], 0
        for i, (members, numbers) in enumerate(given):
            settings = self._settings if len(given) == 1 and not numbers else Settings(self._settings)
            with self.within(settings):
                self._set(numbers, of_groups=True)
            by_dtype: dict[np.dtype[Any], list[tuple[int, Tensor]]] = {}
            for number, p in enumerate(members, first):
                by_dtype.setdefault(p.dtype, []).append((number, p))
            prefix = "" if settings is self._settings else f"group{i}."
            buffers += [Buffer(f"{prefix}{dtype}", part, settings) for dtype, part in by_dtype.items()]
            groups.append((settings, members))
            first += len(members)
        self._groups, self._buffers = tuple(groups), tuple(buffers)
        self._dtype = buffers[-1].flat.dtype
        self.programs = Programs()
        for settings in self._all_settings().values():
            settings.look(type(self))
        for buffer in buffers:
            buffer.state = self._state_for(buffer)

    def _set(self, numbers: Mapping[str, Any], *, of_groups: bool = False) -> None:
        kind = type(self)
        for name, value in numbers.items():
            if not is_hyperparameter(kind, name, of_groups=of_groups):
                known = ", ".join(name for name in dir(kind) if is_hyperparameter(kind, name, of_groups=of_groups))
                where = " of a group's own" if of_groups else ""
                raise TypeError(f"{kind.__name__} has no hyperparameter {name!r}{where}; it has {known}.")
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_complete" in self.__dict__:
            kind = type(self).__name__
            if name == "parameters":
                raise AttributeError(f"the parameters of {kind} stay those it was made with: make a new one.", obj=self)
            known = name in self.__dict__ or hasattr(type(self), name) or name in _names_read_by(type(self))
            if not known and any(isinstance(x, _NUMBERS) for x in tree.leaves(value)):
                raise AttributeError(
                    f"{kind} has no attribute {name!r}, so that setting it would do nothing: it has "
                    f"{', '.join(self._settings.names())}. (A class of your own sets its attributes in __init__.)",
                    name=name,
                    obj=self,
                )
        super().__setattr__(name, value)

    # -- Hyperparameters

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """The groups of parameters, whose hyperparameters can be read and set: ``optimizer.groups[1]["lr"] = 0.01``."""
        return tuple(ParameterGroup(self, settings, members) for settings, members in self._groups)

    def places(self, name: str) -> dict[str, Array]:
        """The arrays of a hyperparameter: the optimizer's, and those of groups that have their own, ``"group1.lr"``."""
        return {
            f"{prefix}{name}": settings.own[name]
            for prefix, settings in self._all_settings().items()
            if name in settings.own
        }

    def uses(self, name: str) -> bool:
        """Whether a hyperparameter of the parameters that are being updated is not off, such as a momentum of 0 is."""
        return name in self._settings.used

    def exact(self, name: str) -> Any:
        """A hyperparameter in float64, for computing with it before it meets parameters of another dtype."""
        own = self._settings.own
        array = own[name] if name in own else self._settings[name]
        number = current().machine.lift(array)
        return float(array) if number is array else number

    def single(self, number: Any) -> Any:
        """A float64 number in the dtype of the parameters that are being updated, which a Python number has anyway."""
        return number if type(number) is float else number.astype(self._dtype)

    @contextmanager
    def within(self, settings: Settings) -> Iterator[None]:
        """Hyperparameters read as those of a group for a while."""
        attributes = vars(self)
        before = attributes["_settings"]
        attributes["_settings"] = settings
        try:
            yield
        finally:
            attributes["_settings"] = before

    def settle(self) -> None:
        """Hold the state that is needed now that a hyperparameter is off, or no longer."""
        if "_complete" not in self.__dict__:
            return
        changed = [settings for settings in self._all_settings().values() if settings.look(type(self))]
        for buffer in self._buffers:
            if buffer.settings in changed:
                buffer.state = {key: buffer.state.get(key, x) for key, x in self._state_for(buffer).items()}

    def _state_for(self, buffer: Buffer) -> dict[str, Array]:
        with self.within(buffer.settings):
            return {key: np.array(value) for key, value in self.init_single(buffer.flat).items()}

    def _all_settings(self) -> dict[str, Settings]:
        """The optimizer's and the groups', by what stands before their names."""
        shared = self._groups[0][0].shared or self._settings
        own = {f"group{i}.": settings for i, (settings, _) in enumerate(self._groups) if settings is not shared}
        return {"": shared, **own}

    # -- What a subclass defines

    def init_single(self, parameter: Array) -> dict[str, Array]:
        """The state for one vector of parameters: arrays of its shape, or 0-d float64 counters."""
        return {}

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The new parameters and the new state: pure, elementwise plain NumPy that keeps dtypes and shapes."""
        raise NotImplementedError(f"{type(self).__name__} must define apply_single(gradient, parameter, state).")

    def decayed(self, gradient: Any, parameter: Any) -> Any:
        """The gradient, with that of the L2 penalty if the class has ``weight_decay`` and it is not off."""
        if "weight_decay" not in self._settings.used:
            return gradient
        return gradient + self.weight_decay * parameter  # type: ignore[attr-defined]  # of a subclass

    # -- A step

    def step(self) -> None:
        """Change the parameters by their gradients.

        Raises
        ------
        RuntimeError
            If a parameter has no gradient.
        """
        gradients = [buffer.gather() for buffer in self._buffers]  # all are there before anything changes
        # One vector for each dtype: machines that train together would put the average over all of them in its place.
        if not _CLIPPING.isdisjoint(self._settings.used):
            gradients = self._clipped(gradients)
        for buffer, (gradient, moving) in zip(self._buffers, gradients, strict=True):
            if buffer.settings is self._settings:
                self._apply(buffer, gradient, moving)
            else:
                with self.within(buffer.settings):
                    self._apply(buffer, gradient, moving)

    def _clipped(self, given: list[Any]) -> list[Any]:
        gradients = [gradient for gradient, _ in given]
        if self.uses("clip_value"):
            gradients = bounded(gradients, self.exact("clip_value"))
        if self.uses("clip_norm"):
            gradients = shrunk(gradients, norm_of(gradients), self.exact("clip_norm"))
        return [(gradient, moving) for gradient, (_, moving) in zip(gradients, given, strict=True)]

    def _apply(self, buffer: Buffer, gradient: Any, moving: Array | None) -> None:
        machine = current().machine
        buffer.adopt()
        if self._dtype is not buffer.flat.dtype:
            self._dtype = buffer.flat.dtype
        before = {key: machine.lift(array) for key, array in buffer.state.items()}
        parameter, after = self.apply_single(gradient, machine.lift(buffer.flat), before)
        self._check_result(buffer, parameter, after)
        if moving is not None:
            parameter = np.where(moving, parameter, machine.lift(buffer.flat))
        machine.assign(buffer.flat, parameter)
        for key, array in buffer.state.items():
            if after[key] is not before[key]:
                if moving is not None and array.shape == buffer.flat.shape:
                    after[key] = np.where(moving, after[key], before[key])
                machine.assign(array, after[key])
        for p in buffer.parameters:
            renewed(p)

    def _check_result(self, buffer: Buffer, parameter: Any, state: dict[str, Any]) -> None:
        fits = _shape(parameter) == buffer.flat.shape and len(state) == len(buffer.state)
        for key, array in buffer.state.items() if fits else ():
            fits = fits and key in state and getattr(state[key], "shape", ()) == array.shape
        if not fits:
            wanted = {key: array.shape for key, array in buffer.state.items()}
            got = {key: _shape(array) for key, array in state.items()}
            raise ValueError(
                f"{type(self).__name__}.apply_single returned parameters of shape {_shape(parameter)} and state of "
                f"shapes {got}; it must return parameters of shape {buffer.flat.shape} and state of shapes {wanted}."
            )

    def zero_grad(self) -> None:
        """Forget the gradients: set each ``.grad`` to None."""
        for buffer in self._buffers:
            buffer.adopt()
            for p in buffer.parameters:
                p.grad = None

    # -- Saving

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of hyperparameters, of each parameter's state (``"0.mean"``) and of counters (``"float64.steps"``)."""
        return {name: array.copy() for name, array in self._named_arrays().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over the values of `state_dict`; names, shapes, dtypes and ranges must fit, or nothing is changed."""
        owner, groups = type(self).__name__, self._all_settings()
        later = {}  # what a group was given of its own after it was made
        for name in state if isinstance(state, Mapping) else ():
            prefix, _, number = name.rpartition(".")
            if f"{prefix}." in groups and is_hyperparameter(type(self), number, of_groups=True):
                later[name] = np.zeros(())
        load_into(later | self.state_dict(), state, owner)  # all that can be wrong is found before a change
        numbers = later | {f"{prefix}{name}": x for prefix, s in groups.items() for name, x in s.own.items()}
        for name in numbers:
            getattr(type(self), name.rpartition(".")[2]).check(self, np.asarray(state[name])[()])
        for name, array in later.items():
            prefix, _, number = name.rpartition(".")
            groups[f"{prefix}."].own.setdefault(number, array)
        load_into(self._named_arrays(), state, owner)
        for name, value in self._plain_numbers().items():
            setattr(self, name, type(value)(np.asarray(state[name])[()]))
        self.settle()

    def arrays(self) -> list[Array]:
        """The arrays in which the state lives."""
        return [array for buffer in self._buffers for array in buffer.state.values()]

    def _named_arrays(self) -> dict[str, Array]:
        arrays = {f"{prefix}{name}": x for prefix, s in self._all_settings().items() for name, x in s.own.items()}
        arrays |= {name: np.array(value) for name, value in self._plain_numbers().items()}
        arrays |= {name: x for name, x in vars(self).items() if isinstance(x, np.ndarray) and not name.startswith("_")}
        for buffer in self._buffers:
            for key, array in buffer.state.items():
                if array.shape == buffer.flat.shape:
                    parts = zip(buffer.numbers, buffer.split(array), strict=True)
                    arrays |= {f"{i}.{key}": part for i, part in parts}
                else:
                    arrays[f"{buffer.name}.{key}"] = array
        return arrays

    def _plain_numbers(self) -> dict[str, Any]:
        """What a class of a user's own, or an option, has set as an attribute: ``nesterov``."""
        return {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and isinstance(value, bool | int | float | np.number | np.bool)
        }

    def __repr__(self) -> str:
        used = [name for name in self._settings.names() if self.uses(name)]
        values = [f"{name}={float(self._settings[name]):g}" for name in used]
        values += [f"{name}={value}" for name, value in self._plain_numbers().items() if value is not False]
        n, groups = len(self.parameters), len(self._groups)
        count = f"{n} parameter{'s' * (n != 1)}" + f" in {groups} groups" * (groups > 1)
        return f"{type(self).__name__}({', '.join([count, *values])})"


def _names_read_by(kind: type) -> set[str]:
    """The attributes that the methods of a class, and of those it is derived from, may read."""
    codes = (getattr(method, "__code__", None) for base in kind.__mro__ for method in vars(base).values())
    return {name for code in codes if code is not None for name in code.co_names}


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())
