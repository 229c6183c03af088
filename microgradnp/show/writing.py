"""Expressions on paper: as plain text, or as LaTeX.

One `Writer` serves both; it gives each index the letter that it likes, or the next that is free.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from microgradnp.show.expressions import (
    Addition,
    Chain,
    Expression,
    Function,
    Index,
    Number,
    Power,
    Product,
    Symbol,
    Total,
    multiplied,
    raised,
)

AXES = "ijklmnpqrstuvwabcdeh"
"""The letters of axes, in the order in which they are taken."""

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_GREEK = {
    "alpha", "beta", "gamma", "delta", "eta", "theta", "lambda", "mu", "nu", "rho", "sigma", "tau", "phi", "omega",
}  # fmt: skip
_RELATIONS = {">": ">", "≥": r"\ge", "=": "="}
_TEX_FUNCTIONS = {
    "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "max", "min",
}  # fmt: skip

_SIGNS = {
    "|": r"\vert", "*": r"\ast", "\\": r"\backslash", "{": r"\lbrace", "}": r"\rbrace", "^": r"\wedge",
    "~": r"\sim", "`": r"\prime",
}  # fmt: skip
"""What neither LaTeX's text nor a table in Markdown takes as it is."""

SUM, PRODUCT, POWER, ATOM = range(4)


def _word(name: str, font: str = "text") -> str:
    """A name in upright letters."""
    parts = []
    for part in filter(None, re.split(r"([|*\\{}^~`])", name)):
        escaped = re.sub(r"([_%&#$])", r"\\\1", part)
        parts.append(_SIGNS.get(part, f"\\{font}{{{escaped}}}"))
    return parts[0] if len(parts) == 1 else f"{{{' '.join(parts)}}}"


class Writer:
    """Writes expressions as plain text or as LaTeX, each index by a letter of its own."""

    def __init__(self, tex: bool = False) -> None:
        self.tex = tex
        self.minus = "-" if tex else "−"
        self.letters: dict[Index, str] = {}

    def equation(self, left: Expression, right: Expression) -> str:
        """``left = right``, with fresh letters."""
        self.letters = {}
        return f"{self.write(left)} = {self.write(right)}"

    def write(self, x: Expression, inside: int = SUM) -> str:
        """``x``, in parentheses where it binds less than what it stands in."""
        text, strength = self._written(x)
        return text if strength >= inside else self._within("(", text, ")")

    def _written(self, x: Expression) -> tuple[str, int]:
        if isinstance(x, Number):
            text = self.number(x.value)
            return text, SUM if text.startswith(self.minus) or isinstance(x.value, Fraction) else ATOM
        if isinstance(x, Symbol):
            return self.symbol(x), ATOM
        if isinstance(x, Chain):
            product = f"{self.symbol(x.outer)} {self.symbol(x.inner)}"
            return self._within("[", product, "]") + self._below(self._letters(x.at)), ATOM
        if isinstance(x, Function):
            return self.function(x), ATOM
        if isinstance(x, Power) and not _divides(x):
            return self.power(x), POWER
        if isinstance(x, Total):
            sign = "\\sum" if self.tex else "Σ"
            text = f"{sign}{self._below(sorted(self._letters(x.at)))} {self.write(x.body, PRODUCT)}"
            for i in x.at:  # outside this sum its letters are free again
                del self.letters[i]
            return text, PRODUCT
        if isinstance(x, Addition):
            first, *rest = map(self.write, x.terms)
            for term in rest:
                minus = term.startswith(self.minus)
                first += f" {self.minus} {term[1:].lstrip()}" if minus else f" + {term}"
            return first, SUM
        return self.product(x if isinstance(x, Product) else Product(1, (x,)))

    def _letters(self, indices: Iterable[Index]) -> list[str]:
        """The letter of each index: the one it likes, or the next that is free."""
        for index in indices:
            if index not in self.letters:
                taken = set(self.letters.values())
                self.letters[index] = next(a for a in (index.letter, *AXES) if a not in taken)
        return [self.letters[index] for index in indices]

    def _below(self, letters: Iterable[str], between: str = "") -> str:
        text = between.join(letters)
        return "" if not text else f"_{{{text}}}" if self.tex else f"_{text}"

    def _within(self, left: str, text: str, right: str) -> str:
        return f"\\left{left}{text}\\right{right}" if self.tex else f"{left}{text}{right}"

    def number(self, value: Any) -> str:
        """A constant: whole, a fraction, or four digits of it."""
        text = str(value) if isinstance(value, int | Fraction) else f"{value:.4g}"
        if not self.tex:
            return text.replace("-", self.minus)
        digits, e, power = re.sub(r"(\d+)/(\d+)", r"\\frac{\1}{\2}", text).partition("e")
        return f"{digits} \\cdot 10^{{{int(power)}}}" if e else digits

    def symbol(self, x: Symbol) -> str:
        """A name with its indices: ``b0``, ``W_j``, ``∂f/∂z3_ij``."""
        letters = self._letters(x.at)
        if not self.tex:
            return x.name + self._below(letters)
        above, slash, below = x.name.partition("/")
        if slash and above.startswith("∂"):
            return f"\\frac{{\\partial {self.named(above[1:], [])}}}{{\\partial {self.named(below[1:], letters)}}}"
        return self.named(x.name, letters)

    def named(self, name: str, letters: list[str]) -> str:
        """A name in LaTeX: ``z3`` as a numbered step, ``b0`` with a subscript, a word upright."""
        if not name.replace("_", "").isalnum():
            return _word(name) + self._below(letters)
        if step := re.fullmatch(r"z(\d+)", name):
            return f"z^{{({step[1]})}}" + self._below(letters)
        stem, digits = re.fullmatch(r"(.*?)(?:_?(\d+))?", name, re.DOTALL).groups()  # type: ignore[union-attr]  # any name fits
        upright = f"\\{stem}" if stem in _GREEK else _word(stem, "mathrm") if len(stem) > 1 else stem
        return upright + self._below([part for part in (digits, "".join(letters)) if part], ",")

    def function(self, x: Function) -> str:
        """A function of its arguments."""
        arguments = ", ".join(map(self.write, x.arguments))
        if x.name == "[]":
            return f"[{arguments}]"
        if x.name in _RELATIONS:
            return f" {_RELATIONS[x.name] if self.tex else x.name} ".join(map(self.write, x.arguments))
        if x.name == "abs":
            return f"|{arguments}|"
        if not self.tex:
            return f"{x.name}({arguments})"
        if x.name == "sqrt":
            return f"\\sqrt{{{arguments}}}"
        name = x.name.rstrip("'")
        head = "\\sigma" if name == "σ" else f"\\{name}" if name in _TEX_FUNCTIONS else _word(name, "operatorname")
        return head + x.name[len(name) :] + self._within("(", arguments, ")")

    def power(self, x: Power) -> str:
        """A power: in plain text with a raised number, if it is one."""
        base = self.write(x.base, ATOM)
        if self.tex:
            if isinstance(x.base, Function) and x.base.name not in ("[]", "abs"):
                base = self._within("(", base, ")")
            return f"{{{base}}}^{{{self.write(x.exponent)}}}"
        exponent = self.write(x.exponent, ATOM)
        return base + exponent.translate(_RAISED) if exponent.isdigit() else f"{base}^{exponent}"

    def product(self, x: Product) -> tuple[str, int]:
        """Factors side by side, what has a negative exponent below a line."""
        minus, number = (self.minus if x.number < 0 else ""), abs(x.number)
        above = [f for f in x.factors if not _divides(f)]
        below = multiplied(*(raised(f, -1) for f in x.factors if _divides(f)))
        divided = below != Number(1)
        if isinstance(number, Fraction) and (divided or not self.tex):
            number, below, divided = number.numerator, multiplied(number.denominator, below), True
        alone = self.tex and divided and len(above) == 1 and number == 1
        factors = [self.write(f, PRODUCT if alone else POWER) for f in above]
        if number != 1 or not factors:
            factors.insert(0, self.number(number))
        text = " ".join(factors)
        if divided:
            text = f"\\frac{{{text}}}{{{self.write(below)}}}" if self.tex else f"{text} / {self.write(below, POWER)}"
        return minus + text, SUM if minus else PRODUCT


def _divides(x: Expression) -> bool:
    """Whether a factor stands below the line."""
    return isinstance(x, Power) and isinstance(x.exponent, Number) and x.exponent.value < 0
