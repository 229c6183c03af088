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

from microgradnp.engine.rules import Rule
from microgradnp.engine.sweep import vjp_of
from microgradnp.engine.table import astype, identity
from microgradnp.functions.special import leg, share
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
    raised,
)
from microgradnp.signatures import name_of

LARGEST = float(np.finfo(np.float64).max)


class Entry(np.lib.mixins.NDArrayOperatorsMixin):
    """One entry of an array, in letters: it answers NumPy's elementwise functions, and nothing else."""

    dtype = np.dtype(np.float64)

    def __init__(self, letters: Expression) -> None:
        self.letters = letters

    def astype(self, dtype: Any) -> Entry:
        """The same: letters have no precision."""
        return self

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.signature is not None or ufunc.nout != 1:
            raise TypeError(f"{ufunc.__name__} is not computed entry by entry here")
        return value_of(ufunc, *map(entry, inputs))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function not in VALUES or not options.keys() <= {"dtype"}:
            raise TypeError(f"{name_of(function)} is not computed entry by entry here")
        return value_of(function, *map(entry, args))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("an entry in letters has no value")

    def __bool__(self) -> bool:
        raise TypeError("an entry in letters is neither true nor false")


def entry(x: Any) -> Entry:
    """What a rule computes with, in letters: a float that is a plain fraction is written as one."""
    if isinstance(x, Entry):
        return x
    if np.ndim(x) or not isinstance(x, bool | int | float | np.generic | np.ndarray):
        raise TypeError(f"no single number: {x!r}")
    number = np.asarray(x).item()
    plain = isinstance(number, float) and math.isfinite(number) and Fraction(number).denominator <= 64
    return Entry(expression(Fraction(number) if plain and abs(number) < 1e6 else number))


# -- What NumPy's functions are called, and what they say of one entry -------------------------------------------------


def written(f: Callable[..., Expression]) -> Callable[..., Entry]:
    """A function of expressions as one of entries."""
    return lambda *entries: Entry(f(*(x.letters for x in entries)))


def named(name: str) -> Callable[..., Entry]:
    """The function of that name; ``[]`` is the bracket that is 1 where its condition holds, and 0 elsewhere."""
    return written(lambda *arguments: Function(name, arguments))


def compared(sign: str) -> Callable[..., Entry]:
    """1 where a relation holds, else 0."""
    return written(lambda a, b: Function("[]", (Function(sign, (a, b)),)))


bracket, above, at_least, tie = named("[]"), compared(">"), compared("≥"), compared("=")


def equal(a: Entry, b: Entry) -> Entry:
    """1 where ``a == b``, else 0: so it is everywhere but at a kink, if one of them moves and neither has a plateau."""
    both = Function("=", (a.letters, b.letters))
    if a.letters == b.letters or all(isinstance(x, Number) for x in both.arguments):
        return entry(int(a.letters == b.letters))
    inside = [x for part in both.arguments for x in part.everything()]
    smooth = not any(isinstance(x, Function) for x in inside)
    return entry(0) if smooth and any(map(_moves, inside)) else bracket(Entry(both))


def _moves(x: Expression) -> bool:
    return isinstance(x, Argument) and x.moves


def truth(x: Entry) -> Entry:
    """A condition as 0 or 1: what comparisons have made is so already."""
    return x if _is_truth(x.letters) else bracket(x)


def _is_truth(x: Expression) -> bool:
    if isinstance(x, Addition | Product):
        return all(map(_is_truth, x.parts()))
    return isinstance(x, Number) or (isinstance(x, Function) and x.name == "[]")


def either(a: Entry, b: Entry) -> Any:
    """1 where one condition holds or both, else 0."""
    return truth(a) + truth(b) - truth(a) * truth(b)


def choice(condition: Entry, a: Entry, b: Entry) -> Any:
    """``a`` where the condition holds, else ``b``; a divisor that 1 keeps from being 0 is itself."""
    zero, letters = Number(0), condition.letters
    if isinstance(letters, Number):
        return a if letters.value else b
    if a.letters == Number(1) and letters == tie(b, entry(0)).letters:
        return b
    if zero in (a.letters, b.letters):
        return truth(condition) * a + (1 - truth(condition)) * b
    bare = isinstance(letters, Function) and letters.name == "[]"
    return named("where")(Entry(letters.parts()[0] if bare else letters), a, b)


def clipped(x: Entry, low: Entry, high: Entry) -> Entry:
    """``x`` between two bounds, if they are any: the largest float is none."""
    none = [low.letters, high.letters] == [Number(-LARGEST), Number(LARGEST)]
    return x if none else named("clip")(x, low, high)


# fmt: off
VALUES: dict[Any, Callable[..., Any]] = {
    np.add:           written(added),                     np.subtract:     lambda a, b: a + -b,
    np.multiply:      written(multiplied),                np.divide:       lambda a, b: a * b**-1,
    np.power:         written(raised),                    np.float_power:  written(raised),
    np.negative:      lambda x: -1 * x,                   np.positive:     lambda x: x,
    np.square:        lambda x: x**2,                     np.reciprocal:   lambda x: x**-1,
    np.conjugate:     lambda x: x,                        np.broadcast_to: lambda x: x,
    identity:         lambda x: x,                        astype:          lambda x: x,
    np.expm1:         lambda x: np.exp(x) - 1,            np.log1p:        lambda x: np.log(1 + x),
    np.hypot:         lambda a, b: np.sqrt(a**2 + b**2),  np.ldexp:        lambda x, n: x * 2**n,
    np.logaddexp:     lambda a, b: np.log(np.exp(a) + np.exp(b)),
    share:            lambda a, b: np.exp(a) / (np.exp(a) + np.exp(b)),
    leg:              lambda a, b: a / np.sqrt(a**2 + b**2),
    np.floor_divide:  lambda a, b: named("floor")(a / b),
    np.absolute:      named("abs"),                       np.fabs:         named("abs"),
    np.maximum:       named("max"),                       np.fmax:         named("max"),
    np.minimum:       named("min"),                       np.fmin:         named("min"),
    np.greater:       above,                              np.less:         lambda a, b: above(b, a),
    np.greater_equal: at_least,                           np.less_equal:   lambda a, b: at_least(b, a),
    np.equal:         equal,                              np.not_equal:    lambda a, b: 1 - equal(a, b),
    np.bitwise_and:   lambda a, b: truth(a) * truth(b),   np.logical_and:  lambda a, b: truth(a) * truth(b),
    np.bitwise_or:    either,                             np.logical_or:   either,
    np.invert:        lambda a: 1 - truth(a),             np.logical_not:  lambda a: 1 - truth(a),
    np.where:         choice,                             np.clip:         clipped,
    np.zeros_like:    lambda x: entry(0),                 np.ones_like:    lambda x: entry(1),
    functional.sigmoid:  named("σ"),                      functional.relu: lambda x: named("max")(entry(0), x),
    functional.softplus: lambda x: np.log(1 + np.exp(x)), functional.rise: named("σ"),
    functional.normal_cdf: named("Φ"),                    functional.silu: lambda x: x * named("σ")(x),
}
# fmt: on
"""The functions that are not written by their names."""


def value_of(function: Callable[..., Any], *arguments: Entry) -> Any:
    """A function of single entries."""
    spelled = VALUES.get(function) or named(name_of(function).removeprefix("np."))
    return spelled(*arguments)


SHORTER: dict[Any, list[tuple[Callable[..., Any], Callable[..., Any]]]] = {
    functional.sigmoid: [(lambda x: named("σ")(x) * (1 - named("σ")(x)), named("σ'"))],
    functional.silu: [(lambda x: np.clip(x, -12_000, 12_000), lambda x: x)],  # where it is clipped, all else is 0
    functional.gelu: [(lambda x: np.clip(x, -150, 150), lambda x: x), (lambda x: np.clip(x, -30, 30), lambda x: x)],
    functional.normal_cdf: [(lambda x: np.clip(x, -150, 150), lambda x: x)],
    np.arcsin: [(lambda x: (1 - x) * (1 + x), lambda x: 1 - x**2)],
    np.arccos: [(lambda x: (1 - x) * (1 + x), lambda x: 1 - x**2)],
    np.hypot: [(lambda a, b: b / np.sqrt(b**2 + a**2), lambda a, b: b / np.sqrt(a**2 + b**2))],
    np.logaddexp: [
        (lambda a, b: np.exp(b) / (np.exp(b) + np.exp(a)), lambda a, b: np.exp(b) / (np.exp(a) + np.exp(b)))
    ],
}
"""What a row's rule comes to, and the same as it is better read."""


# -- A row in letters --------------------------------------------------------------------------------------------------

GRADIENT = Argument(-1, moves=False)
"""The gradient that flows in, while a rule runs."""


def row_in_letters(
    rule: Rule, arguments: Sequence[Expression], options: dict[str, Any]
) -> tuple[Expression, tuple[Expression | None, ...]] | None:
    """The value of an elementwise row and its derivative by each `Argument` that moves.

    None where a rule has no letters: it asks for more than one entry of each array.
    """
    entries = [Entry(x) for x in arguments]
    shown = () if rule.function in VALUES else [Entry(Symbol(f"{key}={value}")) for key, value in options.items()]
    y = value_of(rule.function, *entries, *shown)
    shorter = {long(*entries).letters: short(*entries).letters for long, short in SHORTER.get(rule.function, ())}
    partials: list[Expression | None] = [None] * len(arguments)
    for i, x in enumerate(arguments):
        if _moves(x):
            try:
                flowing = entry(vjp_of(rule, i)(Entry(GRADIENT), y, *entries, **options))
                partials[i] = _slope(flowing.letters).put(shorter)
            except Exception:  # whatever a rule stumbles over that was written for arrays
                return None
    return y.letters, tuple(partials)


def _slope(x: Expression) -> Expression:
    """By what the gradient that flows in is multiplied."""
    flows = [GRADIENT in part.everything() for part in x.parts()]
    if x == GRADIENT:
        return Number(1)
    if isinstance(x, Addition):
        return added(*map(_slope, x.terms))
    if isinstance(x, Product) and sum(flows) == 1:
        return multiplied(x.number, *(_slope(f) if flow else f for f, flow in zip(x.factors, flows, strict=True)))
    if isinstance(x, Function) and x.name == "where" and not flows[0]:
        condition, *ways = x.arguments
        return entry(choice(Entry(condition), *(Entry(_slope(way)) for way in ways))).letters
    if x == Number(0):
        return x
    raise TypeError("a rule that is not linear in the gradient")
