"""Small symbolic expressions in index notation.

An array's axes carry indices, a product of arrays is a product of entries, and what is contracted stands under a sum:
so a matrix product and a broadcast sum are written as a textbook writes them. An axis of length 1 carries no index.
Expressions are values: two that are built alike are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


class Index:
    """One axis, summed or free; ``letter`` is the one it would like to be written with."""

    def __init__(self, letter: str) -> None:
        self.letter = letter


class Expression:
    """Something that is written in letters."""

    def parts(self) -> tuple[Expression, ...]:
        """What it is made of."""
        return ()

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        """The same, made of other parts."""
        return self

    def everything(self) -> Iterator[Expression]:
        """Itself, and all that it is made of, in the order of writing."""
        yield self
        for part in self.parts():
            yield from part.everything()

    def put(self, values: Mapping[Expression, Expression]) -> Expression:
        """The same with other expressions in place of some."""
        return values[self] if self in values else self.made_of([part.put(values) for part in self.parts()])

    def rename(self, names: Mapping[Index, Index]) -> Expression:
        """The same with other indices."""
        return self.made_of([part.rename(names) for part in self.parts()])

    def indices(self) -> set[Index]:
        """The indices that stand in it, summed or free."""
        return {index for x in self.everything() if isinstance(x, Symbol | Chain | Total) for index in x.at}

    def size(self) -> int:
        """How many symbols a reader has to read."""
        return sum(2 if isinstance(x, Chain) else isinstance(x, Symbol) for x in self.everything())


@dataclass(frozen=True)
class Number(Expression):
    """A constant."""

    value: Any


@dataclass(frozen=True)
class Symbol(Expression):
    """A named array, or one entry of it."""

    name: str
    at: tuple[Index, ...] = ()

    def rename(self, names: Mapping[Index, Index]) -> Expression:
        return Symbol(self.name, tuple(names.get(i, i) for i in self.at))


@dataclass(frozen=True)
class Function(Expression):
    """A function of other expressions; ``[]`` as its name is the bracket that is 1 where its condition holds."""

    name: str
    arguments: tuple[Expression, ...]

    def parts(self) -> tuple[Expression, ...]:
        return self.arguments

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        return Function(self.name, tuple(parts))


@dataclass(frozen=True)
class Power(Expression):
    """A power; with exponent -1 a quotient."""

    base: Expression
    exponent: Expression

    def parts(self) -> tuple[Expression, ...]:
        return self.base, self.exponent

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        return raised(*parts)


@dataclass(frozen=True)
class Product(Expression):
    """A number times factors."""

    number: Any
    factors: tuple[Expression, ...]

    def parts(self) -> tuple[Expression, ...]:
        return self.factors

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        return multiplied(self.number, *parts)


@dataclass(frozen=True)
class Addition(Expression):
    """A sum of two terms or more."""

    terms: tuple[Expression, ...]

    def parts(self) -> tuple[Expression, ...]:
        return self.terms

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        return added(*parts)


@dataclass(frozen=True)
class Total(Expression):
    """A sum over the indices ``at``."""

    at: tuple[Index, ...]
    body: Expression

    def parts(self) -> tuple[Expression, ...]:
        return (self.body,)

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        return totalled(self.at, parts[0])

    def rename(self, names: Mapping[Index, Index]) -> Expression:
        return totalled([names.get(i, i) for i in self.at], self.body.rename(names))


@dataclass(frozen=True)
class Chain(Expression):
    """A product of two derivatives for which no formula is written: the chain rule as such."""

    outer: Symbol
    inner: Symbol
    at: tuple[Index, ...]

    def rename(self, names: Mapping[Index, Index]) -> Expression:
        return Chain(self.outer, self.inner, tuple(names.get(i, i) for i in self.at))


@dataclass(frozen=True)
class Argument(Expression):
    """Stands for argument ``place`` of a row until the row is read in a graph; ``moves`` if a gradient flows to it."""

    place: int
    moves: bool = field(default=True, compare=False)


def expression(x: Any) -> Expression:
    """A number as an expression, and an expression as itself."""
    return x if isinstance(x, Expression) else Number(_plain(x))


def _plain(x: Any) -> Any:
    """A number as an integer, where it is one."""
    if not isinstance(x, int) and -1e6 < x < 1e6 and x == int(x):
        return int(x)
    return x


# -- Arithmetic, which simplifies a little -----------------------------------------------------------------------------


def multiplied(*factors: Any) -> Expression:
    """A product: numbers gathered in front, equal factors become a power, sums are drawn outside."""
    over: list[Index] = []
    powers: dict[Expression, Any] = {}
    number: Any = 1
    for factor in map(expression, factors):
        while isinstance(factor, Total):  # every sum has indices of its own
            over += factor.at
            factor = factor.body
        n, parts = factored(factor)
        number = number * n
        for part in parts:
            whole = isinstance(part, Power) and isinstance(part.exponent, Number)
            base, exponent = (part.base, part.exponent.value) if whole else (part, 1)  # type: ignore[attr-defined]  # a power
            powers[base] = powers.get(base, 0) + exponent
    return totalled(over, _product(number, [raised(x, exponent) for x, exponent in powers.items() if exponent != 0]))


def factored(x: Expression) -> tuple[Any, tuple[Expression, ...]]:
    """The number in front, and the other factors."""
    if isinstance(x, Number):
        return x.value, ()
    return (x.number, x.factors) if isinstance(x, Product) else (1, (x,))


def scaled(x: Expression) -> tuple[Any, Expression]:
    """The number in front, drawn out of a sum, and the rest."""
    if isinstance(x, Total):
        number, body = scaled(x.body)
        return number, Total(x.at, body)
    number, factors = factored(x)
    return number, _product(1, factors)


def _product(number: Any, factors: Sequence[Expression]) -> Expression:
    if number == 0 or not factors:
        return expression(number)
    return factors[0] if number == 1 and len(factors) == 1 else Product(_plain(number), tuple(factors))


def added(*terms: Any) -> Expression:
    """A sum of terms, equal ones gathered."""
    gathered: dict[tuple[Expression, ...], Any] = {}
    for term in map(expression, terms):
        for t in term.terms if isinstance(term, Addition) else (term,):
            n, factors = factored(t)
            gathered[factors] = gathered.get(factors, 0) + n
    rest = [_product(n, factors) for factors, n in gathered.items() if n != 0]
    return rest[0] if len(rest) == 1 else Addition(tuple(rest)) if rest else Number(0)


def raised(base: Expression, exponent: Any) -> Expression:
    """A power. Of a power it is one only where the exponent is whole: (x²)^0.5 is |x|, and not x."""
    exponent = expression(exponent)
    n = exponent.value if isinstance(exponent, Number) else None
    if n == 0 or n == 1:
        return base if n else Number(1)
    if isinstance(n, int):
        if isinstance(base, Number) and base.value:
            return expression(Fraction(base.value) ** n)
        if isinstance(base, Power) and isinstance(base.exponent, Number):
            return raised(base.base, base.exponent.value * n)
        if isinstance(base, Function) and base.name == "sqrt" and n % 2 == 0:
            return raised(base.arguments[0], n // 2)
    return Power(base, exponent)


def totalled(over: Iterable[Index], body: Expression) -> Expression:
    """A sum over indices, if there are any."""
    over = tuple(dict.fromkeys(over))
    if not over or body == Number(0):
        return body
    return Total(over + body.at, body.body) if isinstance(body, Total) else Total(over, body)
