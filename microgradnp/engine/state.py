"""What happens around an operation: a `Machine`, asked by the door and the sweep, which others subclass.

The plain machine computes and does nothing else. One that records a program, watches for mistakes, breaks a rule on
purpose or writes a derivation down is a subclass; nothing else in the heart knows that there are such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from microgradnp.engine.rules import Rule, Vjp
from microgradnp.scopes import Scope


class Machine:
    """What happens around an operation; here, only the operation."""

    traces: bool = False
    """Whether backward passes run on Tensors, so that the machine is told of their operations; it shows no values."""

    # -- Forward

    def run(self, rule: Rule, values: list[Any], options: dict[str, Any]) -> Any:
        """Compute a row of the table on arrays and numbers."""
        try:
            return rule.forward(*values, **options)
        except ValueError as error:
            raise with_shapes(error, rule, values) from None

    def ran(self, t: Any, rule: Rule, inputs: tuple[Any, ...], values: list[Any], options: dict[str, Any]) -> None:
        """The row gave the Tensor ``t`` for these inputs, whose arrays and numbers are ``values``."""

    def constant(self, function: Callable[..., Any], args: Any, options: Any, tensors: Iterable[Any]) -> Any:
        """Call a function that has no gradient on plain arguments; ``tensors`` are those that stood among them."""
        return function(*args, **options)

    # -- Values that leave the graph

    def read(self, t: Any, what: str) -> Any:
        """The array of ``t``, of which ``what`` is about to make a Python value or a plain array."""
        return t._value

    def data(self, t: Any) -> Any:
        """What ``t.data`` is."""
        return t._value

    # -- Arrays that are read and written where they are

    def lift(self, array: Any) -> Any:
        """What to compute with for an array that was there before: the array, or a Tensor that stands for it."""
        return array

    def is_place(self, x: Any) -> bool:
        """Whether ``x`` stands for an array that was there before, to which in-place operations `assign`."""
        return False

    def assign(self, target: Any, value: Any, index: Any = ...) -> None:
        """Write ``value``, an array or a Tensor, into ``target``, an array or a place, or into a part of it."""
        np.copyto(target if index is ... else target[index], getattr(value, "_value", value), casting="same_kind")

    def move(self, leaf: Any, array: Any) -> None:
        """Let the values of a leaf live in ``array`` from now on."""
        np.copyto(array, leaf._value)
        leaf._value = array

    # -- Backward

    def reached(self, node: Any, g: Any) -> None:
        """The sweep has come to ``node``, whose gradient is ``g``."""

    def passed(self, node: Any, i: int, vjp: Vjp, g: Any, y: Any, arguments: Any) -> Any:
        """The gradient that flows from ``node`` to its input ``i``: what the rule ``vjp`` makes of ``g``."""
        return vjp(g, y, *arguments, **node._options)

    def added(self, x: Any, a: Any, b: Any) -> Any:
        """The sum of two gradients of ``x``."""
        return a + b

    def deposit(self, leaf: Any, g: Any) -> None:
        """A gradient has come to a leaf: add it to what stands in ``.grad``."""
        leaf._deposit(g)

    def gradient(self, t: Any) -> Any:
        """What ``t.grad`` is."""
        return t._grad

    def set_gradient(self, t: Any, value: Any) -> None:
        """Let ``t.grad`` be ``value``."""
        t._grad = value


def with_shapes(error: ValueError, rule: Rule, values: list[Any]) -> ValueError:
    """NumPy's complaint, with the operation's name and the shapes that it got; a special exception as it is."""
    if type(error) is not ValueError:
        return error
    return ValueError(f"{rule.name} of shapes {', '.join(str(np.shape(v)) for v in values)}: {error}")


class State(NamedTuple):
    """The machine at work, and whether operations are connected to a graph: for each thread and each async task."""

    machine: Machine = Machine()
    recording: bool = True


PLAIN = State()
_STATE: ContextVar[State] = ContextVar("microgradnp_state", default=PLAIN)
current = _STATE.get


class state:
    """Change the current state for a while; put it back whatever happens."""

    __slots__ = ("_changes", "_token")

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __enter__(self) -> None:
        new = current()._replace(**self._changes)
        self._token = _STATE.set(PLAIN if new == PLAIN else new)

    def __exit__(self, *_: object) -> None:
        _STATE.reset(self._token)


def no_grad() -> Scope:
    """Compute without recording, as a context or a decorator: results inside need no gradient.

    Examples
    --------
    >>> import microgradnp as mg
    >>> w = mg.Tensor([1.0, 2.0], requires_grad=True)
    >>> with mg.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """
    return Scope(lambda: state(recording=False))
