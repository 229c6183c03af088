"""The one table of rules, run on letters: a row's value and its derivatives as expressions, of one entry of each array.

A rule is plain NumPy, so it runs on anything that answers NumPy's calls. Here that is an `Entry`, which writes down
what it is asked to compute. So the letters are those of the rule that runs on the numbers, a custom one's too; and a
rule that asks for more than an entry (a shape, a neighbour, a value to decide by) has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from microgradnp.engine.rules import Rule, astype, identity, name_of
from microgradnp.engine.sweep import _rule_for as rule_for
from microgradnp.nn import functional
from microgradnp.show.expressions import (
    Addition,
    Argument,
    Expression,
    Function,
    Number,
    Product,
    Symbol,
    added,
    expression,
    multiplied,
    named,
    where,
)

GRADIENT = Argument(-1, moves=False)
"""The gradient that flows in, while a rule runs."""


class NotInLettersError(TypeError):
    """An entry cannot answer this."""


class Entry(np.lib.mixins.NDArrayOperatorsMixin):
    """One entry of an array, in letters: it answers NumPy's elementwise functions, and nothing else."""

    dtype = np.dtype(np.float64)

    def __init__(self, letters: Expression) -> None:
        self.letters = letters

    def astype(self, dtype: Any) -> Entry:
        """The same."""
        return self

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Entry:
        if method != "__call__" or options or ufunc.signature is not None or ufunc.nout != 1:
            raise NotInLettersError(f"{ufunc.__name__} is not computed entry by entry here")
        return Entry(value_of(ufunc, *map(letters_of, inputs)))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Entry:
        if function not in VALUES or not options.keys() <= {"dtype"}:  # letters have no precision
            raise NotInLettersError(f"{name_of(function)} is not computed entry by entry here")
        return Entry(value_of(function, *map(letters_of, args)))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise NotInLettersError("an entry in letters has no value")

    def __bool__(self) -> bool:
        raise NotInLettersError("an entry in letters is neither true nor false")


def letters_of(x: Any) -> Expression:
    """What a rule computes with, as an expression: a float that is a plain fraction is written as one."""
    if isinstance(x, Entry):
        return x.letters
    if np.ndim(x) or not isinstance(x, bool | int | float | np.generic | np.ndarray):
        raise NotInLettersError(f"no single number: {x!r}")
    number = np.asarray(x).item()
    if isinstance(number, float) and math.isfinite(number):
        fraction = Fraction(number)
        if 1 < fraction.denominator <= 64:
            return Number(fraction)
    return expression(int(number) if isinstance(number, bool) else number)


# -- What NumPy's functions are called, and what they say of one entry -------------------------------------------------

exp, log, sqrt, sigma = map(named, ("exp", "log", "sqrt", "σ"))


def above(a: Expression, b: Expression, sign: str = ">") -> Expression:
    """1 where ``a > b``, else 0."""
    return where(named(sign)(a, b))


def level(a: Expression, b: Expression) -> Expression:
    """1 where ``a == b``, else 0: so it is everywhere but at a kink, if one of them moves and neither has a plateau."""
    if a == b or (isinstance(a, Number) and isinstance(b, Number)):
        return Number(int(a == b))
    smooth = not (a.holds(Function) or b.holds(Function))
    return Number(0) if smooth and (_moves(a) or _moves(b)) else above(a, b, "=")


def _moves(x: Expression) -> bool:
    return x.moves if isinstance(x, Argument) else any(map(_moves, x.parts()))


def truth(x: Expression) -> Expression:
    """A condition as 0 or 1."""
    if isinstance(x, Number):
        return Number(int(bool(x.value)))
    return x if _is_truth(x) else where(x)


def _is_truth(x: Expression) -> bool:
    if isinstance(x, Product | Addition):
        return all(map(_is_truth, x.parts()))
    return isinstance(x, Function) and x.name == "[]"


def both(a: Expression, b: Expression) -> Expression:
    """1 where both conditions hold, else 0."""
    return truth(a) * truth(b)


def either(a: Expression, b: Expression) -> Expression:
    """1 where one condition holds or both, else 0."""
    return truth(a) + truth(b) - both(a, b)


def choice(condition: Expression, a: Expression, b: Expression) -> Expression:
    """``a`` where the condition holds, else ``b``; a ``b`` that was only kept from being 0 is itself."""
    if isinstance(condition, Number):
        return a if condition.value else b
    if condition == above(b, Number(0), "="):
        return b
    if b == Number(0):
        return truth(condition) * a
    if a == Number(0):
        return (1 - truth(condition)) * b
    bare = isinstance(condition, Function) and condition.name == "[]"
    return named("where")(condition.parts()[0] if bare else condition, a, b)


def clipped(x: Expression, low: Expression, high: Expression) -> Expression:
    """``x`` between two bounds, if they are any: the largest float is none."""
    largest = float(np.finfo(np.float64).max)
    none = isinstance(low, Number) and isinstance(high, Number) and -low.value == largest == high.value
    return x if none else named("clip")(x, low, high)


# fmt: off
VALUES: dict[Any, Callable[..., Expression]] = {
    np.add:           lambda a, b: a + b,                 np.subtract:     lambda a, b: a - b,
    np.multiply:      lambda a, b: a * b,                 np.divide:       lambda a, b: a / b,
    np.power:         lambda a, b: a**b,                  np.float_power:  lambda a, b: a**b,
    np.negative:      lambda x: -x,                       np.positive:     lambda x: x,
    np.conjugate:     lambda x: x,                        identity:        lambda x: x,
    astype:           lambda x: x,                        np.broadcast_to: lambda x: x,
    np.square:        lambda x: x**2,                     np.reciprocal:   lambda x: 1 / x,
    np.expm1:         lambda x: exp(x) - 1,               np.log1p:        lambda x: log(1 + x),
    np.hypot:         lambda a, b: sqrt(a**2 + b**2),     np.ldexp:        lambda x, n: x * expression(2) ** n,
    np.logaddexp:     lambda a, b: log(exp(a) + exp(b)),  np.floor_divide: lambda a, b: named("floor")(a / b),
    np.absolute:      named("abs"),                       np.fabs:         named("abs"),
    np.maximum:       named("max"),                       np.fmax:         named("max"),
    np.minimum:       named("min"),                       np.fmin:         named("min"),
    np.greater:       above,                              np.less:         lambda a, b: above(b, a),
    np.greater_equal: lambda a, b: above(a, b, "≥"),      np.less_equal:   lambda a, b: above(b, a, "≥"),
    np.equal:         level,                              np.not_equal:    lambda a, b: 1 - level(a, b),
    np.bitwise_and:   both,                               np.logical_and:  both,
    np.bitwise_or:    either,                             np.logical_or:   either,
    np.invert:        lambda a: 1 - truth(a),             np.logical_not:  lambda a: 1 - truth(a),
    np.where:         choice,                             np.clip:         clipped,
    np.zeros_like:    lambda x: Number(0),                np.ones_like:    lambda x: Number(1),
    functional.sigmoid:  sigma,                           functional.relu: lambda x: named("max")(0, x),
    functional.softplus: lambda x: log(1 + exp(x)),
}
# fmt: on
"""The functions that are not written by their names."""


def value_of(function: Callable[..., Any], *arguments: Expression) -> Expression:
    """A function of single entries."""
    if function in VALUES:
        return VALUES[function](*arguments)
    return Function(name_of(function).removeprefix("np."), arguments)


SHORTER: dict[Any, list[tuple[Callable[..., Expression], Callable[..., Expression]]]] = {
    functional.sigmoid: [(lambda x: sigma(x) * (1 - sigma(x)), named("σ'"))],
    np.arcsin: [(lambda x: (1 - x) * (1 + x), lambda x: 1 - x**2)],
    np.arccos: [(lambda x: (1 - x) * (1 + x), lambda x: 1 - x**2)],
    np.logaddexp: [
        (lambda a, b: exp(named("min")(a - value_of(np.logaddexp, a, b), 0)), lambda a, b: exp(a) / (exp(a) + exp(b))),
        (lambda a, b: exp(named("min")(b - value_of(np.logaddexp, a, b), 0)), lambda a, b: exp(b) / (exp(a) + exp(b))),
    ],
}
"""What a row's rule comes to, and the same as it is better read."""


# -- A row in letters --------------------------------------------------------------------------------------------------


def row_in_letters(
    rule: Rule, arguments: Sequence[Expression], options: dict[str, Any]
) -> tuple[Expression, tuple[Expression | None, ...]] | None:
    """The value of an elementwise row and its derivative by each `Argument` that moves.

    None where a rule has no letters: it asks for more than one entry of each array.
    """
    shown = () if rule.function in VALUES else [Symbol(f"{key}={value}") for key, value in options.items()]
    value = value_of(rule.function, *arguments, *shown)
    shorter = {long(*arguments): short(*arguments) for long, short in SHORTER.get(rule.function, ())}
    entries = [Entry(x) for x in arguments]
    partials: list[Expression | None] = []
    for i, x in enumerate(arguments):
        if not _moves(x):
            partials.append(None)
            continue
        try:
            flowing = rule_for(rule, i)(Entry(GRADIENT), Entry(value), *entries, **options)
            partials.append(_slope(letters_of(flowing)).put(shorter))
        except Exception:  # whatever a rule stumbles over that was written for arrays
            return None
    return value, tuple(partials)


def _slope(x: Expression) -> Expression:
    """By what the gradient that flows in is multiplied."""
    if x == GRADIENT:
        return Number(1)
    if isinstance(x, Addition):
        return added(*map(_slope, x.terms))
    if isinstance(x, Product):
        factors = [_slope(f) if _holds_gradient(f) else f for f in x.factors]
        if sum(map(_holds_gradient, x.factors)) == 1:
            return multiplied(Number(x.number), *factors)
    if isinstance(x, Function) and x.name == "where" and not _holds_gradient(x.arguments[0]):
        return choice(x.arguments[0], *map(_slope, x.arguments[1:]))
    if x == Number(0):
        return x
    raise NotInLettersError("a rule that is not linear in the gradient")


def _holds_gradient(x: Expression) -> bool:
    return x == GRADIENT or any(map(_holds_gradient, x.parts()))
