"""Small symbolic expressions in index notation.

An array's axes carry indices, a product of arrays is a product of entries, and what is contracted stands under a sum:
so a matrix product and a broadcast sum are written as a textbook writes them. An axis of length 1 carries no index.
Expressions are values: two that are built alike are equal. Arithmetic on them simplifies a little as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


class Index:
    """One axis, summed or free; ``letter`` is the one it would like to be written with."""

    def __init__(self, letter: str) -> None:
        self.letter = letter


class Expression:
    """Something that is written in letters; arithmetic builds larger ones, a little simplified."""

    def parts(self) -> tuple[Expression, ...]:
        """What it is made of."""
        return ()

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        """The same, made of other parts."""
        return self

    def put(self, values: Mapping[Expression, Expression]) -> Expression:
        """The same with other expressions in place of some."""
        return values[self] if self in values else self.made_of([part.put(values) for part in self.parts()])

    def rename(self, names: Mapping[Index, Index]) -> Expression:
        """The same with other indices."""
        return self.made_of([part.rename(names) for part in self.parts()])

    def holds(self, kind: type[Expression]) -> bool:
        """Whether there is an expression of that kind anywhere in it."""
        return isinstance(self, kind) or any(part.holds(kind) for part in self.parts())

    def indices(self) -> Iterator[Index]:
        """Its indices in the order of writing, repeated ones too."""
        for part in self.parts():
            yield from part.indices()

    def size(self) -> int:
        """How many symbols a reader has to read."""
        return sum(part.size() for part in self.parts())

    def scaled(self) -> tuple[Any, Expression]:
        """The number in front, and the rest."""
        if isinstance(self, Total):
            number, body = self.body.scaled()
            return number, Total(self.over, body)
        number, factors = _factored(self)
        return number, _product(1, factors)

    def __add__(self, other: Any) -> Expression:
        return added(self, expression(other))

    def __radd__(self, other: Any) -> Expression:
        return added(expression(other), self)

    def __sub__(self, other: Any) -> Expression:
        return added(self, -expression(other))

    def __rsub__(self, other: Any) -> Expression:
        return added(expression(other), -self)

    def __neg__(self) -> Expression:
        return multiplied(Number(-1), self)

    def __mul__(self, other: Any) -> Expression:
        return multiplied(self, expression(other))

    def __rmul__(self, other: Any) -> Expression:
        return multiplied(expression(other), self)

    def __truediv__(self, other: Any) -> Expression:
        return multiplied(self, expression(other) ** -1)

    def __rtruediv__(self, other: Any) -> Expression:
        return multiplied(expression(other), self**-1)

    def __pow__(self, other: Any) -> Expression:
        exponent = expression(other)
        if isinstance(exponent, Number) and exponent.value in (0, 1):
            return self if exponent.value == 1 else Number(1)
        if isinstance(self, Number) and isinstance(exponent, Number) and isinstance(exponent.value, int):
            return Number(Fraction(self.value) ** exponent.value) if self.value else Power(self, exponent)
        if not isinstance(exponent, Number) or not isinstance(exponent.value, int):
            return Power(self, exponent)  # of a power too: (x²)^0.5 is |x|, and not x
        if isinstance(self, Power) and isinstance(self.exponent, Number):
            return self.base ** Number(self.exponent.value * exponent.value)
        if exponent.value % 2 == 0 and isinstance(self, Function) and self.name == "sqrt":
            return self.arguments[0] ** Number(exponent.value // 2)
        return Power(self, exponent)


@dataclass(frozen=True)
class Number(Expression):
    """A constant."""

    value: Any

    def size(self) -> int:
        return 0


@dataclass(frozen=True)
class Symbol(Expression):
    """A named array, or one entry of it."""

    name: str
    at: tuple[Index, ...] = ()

    def rename(self, names: Mapping[Index, Index]) -> Expression:
        return Symbol(self.name, tuple(names.get(i, i) for i in self.at))

    def indices(self) -> Iterator[Index]:
        return iter(self.at)

    def size(self) -> int:
        return 1


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
        return parts[0] ** parts[1]


@dataclass(frozen=True)
class Product(Expression):
    """A number times factors."""

    number: Any
    factors: tuple[Expression, ...]

    def parts(self) -> tuple[Expression, ...]:
        return self.factors

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        return multiplied(Number(self.number), *parts)


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
    """A sum over indices."""

    over: tuple[Index, ...]
    body: Expression

    def parts(self) -> tuple[Expression, ...]:
        return (self.body,)

    def made_of(self, parts: Sequence[Expression]) -> Expression:
        return totalled(self.over, parts[0])

    def rename(self, names: Mapping[Index, Index]) -> Expression:
        return totalled([names.get(i, i) for i in self.over], self.body.rename(names))

    def indices(self) -> Iterator[Index]:
        yield from self.over
        yield from self.body.indices()


@dataclass(frozen=True)
class Chain(Expression):
    """A product of two derivatives for which no formula is written: the chain rule as such."""

    outer: Symbol
    inner: Symbol
    at: tuple[Index, ...]

    def rename(self, names: Mapping[Index, Index]) -> Expression:
        return Chain(self.outer, self.inner, tuple(names.get(i, i) for i in self.at))

    def indices(self) -> Iterator[Index]:
        return iter(self.at)

    def size(self) -> int:
        return 2


@dataclass(frozen=True)
class Argument(Expression):
    """Stands for argument ``place`` of a row until the row is read in a graph; ``moves`` if a gradient flows to it."""

    place: int
    moves: bool = field(default=True, compare=False)


def named(name: str) -> Callable[..., Expression]:
    """The function of that name, of expressions and numbers."""
    return lambda *arguments: Function(name, tuple(map(expression, arguments)))


def where(condition: Expression) -> Expression:
    """The bracket that is 1 where the condition holds and 0 elsewhere."""
    return Function("[]", (condition,))


def expression(x: Any) -> Expression:
    """A number as an expression, and an expression as itself."""
    if isinstance(x, Expression):
        return x
    return Number(int(x) if isinstance(x, float) and x.is_integer() and abs(x) < 1e6 else x)


def _factored(x: Expression) -> tuple[Any, tuple[Expression, ...]]:
    if isinstance(x, Number):
        return x.value, ()
    return (x.number, x.factors) if isinstance(x, Product) else (1, (x,))


def multiplied(*factors: Expression) -> Expression:
    """A product: numbers gathered in front, sums drawn outside."""
    over: list[Index] = []
    flat: list[Expression] = []
    number: Any = 1
    for factor in factors:
        while isinstance(factor, Total):  # every sum has indices of its own
            over += factor.over
            factor = factor.body
        n, parts = _factored(factor)
        number = number * n
        flat += parts
    body = _product(number, flat)
    return totalled(over, body)


def _product(number: Any, factors: Sequence[Expression]) -> Expression:
    if number == 0:
        return Number(0)
    powers: dict[Expression, Any] = {}  # equal factors become one power
    for factor in factors:
        whole = isinstance(factor, Power) and isinstance(factor.exponent, Number)
        base, exponent = (factor.base, factor.exponent.value) if whole else (factor, 1)  # type: ignore[attr-defined]  # a power
        powers[base] = powers.get(base, 0) + exponent
    factors = [base ** Number(exponent) for base, exponent in powers.items() if exponent != 0]
    if not factors:
        return expression(number)
    return factors[0] if number == 1 and len(factors) == 1 else Product(number, tuple(factors))


def added(*terms: Expression) -> Expression:
    """A sum of terms, equal ones gathered."""
    gathered: dict[Any, tuple[Any, list[Expression]]] = {}
    for term in terms:
        for t in term.terms if isinstance(term, Addition) else (term,):
            n, factors = _factored(t)
            key = tuple(factors)
            gathered[key] = (gathered[key][0] + n if key in gathered else n, list(factors))
    rest = [_product(n, factors) for n, factors in gathered.values() if n != 0]
    return rest[0] if len(rest) == 1 else Addition(tuple(rest)) if rest else Number(0)


def totalled(over: Iterable[Index], body: Expression) -> Expression:
    """A sum over indices, if there are any."""
    over = tuple(dict.fromkeys(over))
    if not over or (isinstance(body, Number) and body.value == 0):
        return body
    return Total(over + body.over, body.body) if isinstance(body, Total) else Total(over, body)
