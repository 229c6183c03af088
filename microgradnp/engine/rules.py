"""A row of the table of derivative rules: what it is, and how one is written.

A rule is called as ``rule(g, y, *arguments, **options)``: ``g`` is the gradient flowing in, ``y`` the output, then the
arguments as the function got them. It returns the gradient that flows on to one argument. It knows nothing of Tensors,
so that the same text serves arrays (a plain backward pass) and Tensors (a recorded one: gradients of gradients).

Three things keep rows short. A broadcast argument's gradient is summed back to its shape by the sweep, never by a rule.
A rule never asks for a value in an ``if`` (only for shapes and options), so it can be recorded and replayed. And a
function that can be *composed* of others is composed, in ``functions/``, and needs no row at all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import numpy as np

from microgradnp.signatures import check_signatures, name_of

Vjp = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: how to compute ``function`` on arrays, and a vector-Jacobian product for each array argument.

    A row of the table that works element by element is ``pointwise``: where a single array goes in, its gradient has
    that array's shape and dtype, and the sweep takes it without a look. One whose function is ``composed`` of NumPy
    calls is recorded as these calls. One whose function may give a ``view`` is told of in ``versions.py``.
    """

    function: Callable[..., Any]
    forward: Callable[..., Any]
    vjps: Sequence[Vjp | None]
    pointwise: bool = False
    composed: bool = False
    view: bool = False

    @property
    def name(self) -> str:
        """The function's public name, such as ``np.add`` or ``np.linalg.inv``."""
        return name_of(self.function)


RULES: dict[Callable[..., Any], Rule] = {}

ARRAYS = frozenset({np.ndarray, np.float64, np.float32})
"""What a rule returns as it should: an array, or what NumPy makes of one without axes."""


@dataclass(frozen=True, slots=True)
class _Each(Sequence[Vjp]):
    """The rules of a function of any number of arrays: ``rule(i, g, y, *arrays)`` serves argument i."""

    rule: Vjp

    def __getitem__(self, i: Any) -> Any:
        return partial(self.rule, i)

    def __len__(self) -> int:
        raise TypeError("a rule for each of any number of arguments has no length")


def defvjp(
    function: Callable[..., Any],
    *rules: Vjp | None,
    each: Vjp | None = None,
    forward: Callable[..., Any] | None = None,
) -> None:
    """Write one row of the table: the derivative of ``function`` with respect to each of its array arguments.

    Parameters
    ----------
    function
        A NumPy ufunc (NumPy's own or another library's), a NumPy function, or one made by `primitive`: something that
        lets Tensors take over. A plain Python function does not; decorate it with `custom_vjp` instead.
    *rules
        One callable ``rule(g, y, *arguments, **options)`` an argument, in order: it returns the gradient with respect
        to that argument, of that argument's shape or of one that sums to it by undoing a broadcast. None stands for an
        argument that has no derivative; asking for it raises.
    each
        Instead of ``rules``, for a function of any number of arrays: ``each(i, g, y, *arguments, **options)``.
    forward
        What computes the value on arrays, where that is not ``function`` itself.

    Raises
    ------
    TypeError
        If ``function`` gives Tensors no way to take over, no rule is given, or a rule takes other arguments.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> square_plus = np.frompyfunc(lambda x: x * x + x, 1, 1)   # any ufunc will do
    >>> mg.defvjp(square_plus, lambda g, y, x: g * (2 * x + 1), forward=lambda x: x * x + x)
    >>> float(mg.grad(square_plus)(3.0))
    7.0
    """
    overridable = isinstance(function, np.ufunc) or hasattr(function, "_implementation")
    if not overridable:
        raise TypeError(
            f"defvjp({name_of(function)}): a plain Python function gives Tensors no way to take over, so its rule "
            "would never be used. Decorate it instead: @microgradnp.custom_vjp(rule, ...)."
        )
    if (not rules) == (each is None) or not all(rule is None or callable(rule) for rule in (*rules, each)):
        raise TypeError(
            f"defvjp({name_of(function)}): give one callable rule(g, y, *arguments) for each array argument "
            f"(None where there is no derivative), or each=; got {len(rules)} rules and each={each!r}."
        )
    n = function.nin if isinstance(function, np.ufunc) else None
    check_signatures(f"defvjp({name_of(function)})", rules, n or 1, n or math.inf)
    own = hasattr(function, "_composed")  # made by `primitive`: what it looks for, Tensors, are no longer there
    forward = forward or (function._implementation if own else function)  # type: ignore[attr-defined]
    RULES[function] = Rule(function, forward, _Each(each) if each else rules, composed=own and function._composed)  # type: ignore[attr-defined]


def primitive(function: Callable[..., Any], *, composed: bool = False) -> Callable[..., Any]:
    """Let Tensors take over a plain function of arrays, as they take over NumPy's own functions (NEP 18).

    Arrays travel as positional arguments, everything else as keywords.
    """

    @wraps(function)
    def overridable(*arrays: Any, **options: Any) -> Any:
        for a in arrays:
            if type(a) is not np.ndarray and hasattr(a, "__array_function__") and not isinstance(a, np.ndarray):
                return a.__array_function__(overridable, (type(a),), arrays, options)
        return function(*arrays, **options)

    overridable._implementation = function  # type: ignore[attr-defined]  # the mark NumPy's own functions carry
    overridable._composed = composed  # type: ignore[attr-defined]  # read by `defvjp`
    return overridable


def composed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`primitive` for a function that is made of NumPy calls alone: a program records these in its place."""
    return primitive(function, composed=True)


SYMBOLS: dict[Callable[..., Any], str] = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.power: "**", np.matmul: "@",
    np.remainder: "%", np.floor_divide: "//", np.bitwise_and: "&", np.bitwise_or: "|",
    np.greater: ">", np.greater_equal: ">=", np.less: "<", np.less_equal: "<=", np.equal: "==", np.not_equal: "!=",
}  # fmt: skip
"""The functions of two arguments that Python writes as a sign between them."""
