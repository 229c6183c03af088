"""Expressions on paper: as plain text, or as LaTeX.

One `Writer` serves both; it gives each index the letter that it likes, or the next that is free.
"""

from __future__ import annotations

import re
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
)

_LETTERS = "ijklmnpqrstuvwabcdeh"
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_GREEK = {
    "alpha", "beta", "gamma", "delta", "eta", "theta", "lambda", "mu", "nu", "rho", "sigma", "tau", "phi", "omega",
}  # fmt: skip
_RELATIONS = {">": ">", "≥": r"\ge", "=": "="}
_TEX_FUNCTIONS = {
    "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "max", "min",
}  # fmt: skip

_SIGNS = {
    "|": r"\vert",
    "*": r"\ast",
    "\\": r"\backslash",
    "{": r"\lbrace",
    "}": r"\rbrace",
    "^": r"\wedge",
    "~": r"\sim",
    "`": r"\prime",
}
"""What neither LaTeX's text nor a table in Markdown takes as it is."""

SUM, PRODUCT, POWER, ATOM = range(4)


def _word(name: str, font: str = "text") -> str:
    """A name in upright letters."""
    parts = []
    for part in re.split(r"([|*\\{}^~`])", name):
        if part in _SIGNS:
            parts.append(_SIGNS[part])
        elif part:
            escaped = re.sub(r"([_%&#$])", r"\\\1", part)
            parts.append(f"\\{font}{{{escaped}}}")
    return parts[0] if len(parts) == 1 else f"{{{' '.join(parts)}}}"


class Writer:
    """Writes expressions as plain text or as LaTeX, each index by a letter of its own."""

    def __init__(self, tex: bool = False) -> None:
        self.tex = tex
        self.letters: dict[Index, str] = {}

    def equation(self, left: Expression, right: Expression) -> str:
        """``left = right``, with fresh letters."""
        self.letters = {}
        return f"{self.write(left)} = {self.write(right)}"

    def letter(self, index: Index) -> str:
        """The letter of an index: the one it likes, or the next that is free."""
        if index not in self.letters:
            taken = set(self.letters.values())
            self.letters[index] = next(a for a in (index.letter, *_LETTERS) if a not in taken)
        return self.letters[index]

    def write(self, x: Expression, inside: int = SUM) -> str:
        """``x``, in parentheses where it binds less than what it stands in."""
        text, strength = self._written(x)
        if strength >= inside:
            return text
        return f"\\left({text}\\right)" if self.tex else f"({text})"

    def _written(self, x: Expression) -> tuple[str, int]:
        if isinstance(x, Number):
            return self.number(x.value), ATOM if not str(x.value).startswith("-") and "/" not in str(x.value) else SUM
        if isinstance(x, Symbol):
            return self.symbol(x), ATOM
        if isinstance(x, Chain):
            product = f"{self.symbol(x.outer)} {self.symbol(x.inner)}"
            letters = "".join(self.letter(i) for i in x.at)
            if self.tex:
                return f"\\left[{product}\\right]_{{{letters}}}", ATOM
            return f"[{product}]" + (f"_{letters}" if letters else ""), ATOM
        if isinstance(x, Function):
            return self.function(x), ATOM
        if isinstance(x, Power):
            return self.power(x)
        if isinstance(x, Total):
            letters = "".join(sorted(self.letter(i) for i in x.over))
            body = self.write(x.body, PRODUCT)
            for i in x.over:  # outside this sum its letters are free again
                del self.letters[i]
            return (f"\\sum_{{{letters}}} {body}" if self.tex else f"Σ_{letters} {body}"), PRODUCT
        if isinstance(x, Product):
            return self.product(x)
        assert isinstance(x, Addition)
        text = ""
        for term in x.terms:
            part = self.write(term, SUM)
            minus = "-" if self.tex else "−"
            if not text:
                text = part
            elif part.startswith(minus):
                text += f" {minus} {part[1:].lstrip()}"
            else:
                text += f" + {part}"
        return text, SUM

    def number(self, value: Any) -> str:
        """A constant: whole, a fraction, or four digits of it."""
        if isinstance(value, Fraction):
            value = value.numerator if value.denominator == 1 else value
        if isinstance(value, Fraction):
            sign = "-" if value < 0 else ""
            text = f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}" if self.tex else str(value)
        else:
            text = str(value) if isinstance(value, int) else f"{value:.4g}"
            if self.tex and "e" in text:
                mantissa, _, power = text.partition("e")
                text = f"{mantissa} \\cdot 10^{{{int(power)}}}"
        return text if self.tex else text.replace("-", "−")

    def symbol(self, x: Symbol) -> str:
        """A name with its indices: ``b0``, ``W_j``, ``∂f/∂z3_ij``."""
        letters = "".join(self.letter(i) for i in x.at)
        if not self.tex:
            return f"{x.name}_{letters}" if letters else x.name
        above, slash, below = x.name.partition("/")
        if slash and above.startswith("∂"):
            return f"\\frac{{\\partial {self.named(above[1:], '')}}}{{\\partial {self.named(below[1:], letters)}}}"
        return self.named(x.name, letters)

    def named(self, name: str, letters: str) -> str:
        """A name in LaTeX: ``z3`` as a numbered step, ``b0`` with a subscript, a word upright."""
        if not name.replace("_", "").isalnum():
            return _word(name) + (f"_{{{letters}}}" if letters else "")
        step = re.fullmatch(r"z(\d+)", name)
        if step:
            return f"z^{{({step[1]})}}" + (f"_{{{letters}}}" if letters else "")
        stem, digits = re.fullmatch(r"(.*?)(?:_?(\d+))?", name, re.DOTALL).groups()  # type: ignore[union-attr]  # any name fits
        below = ",".join(part for part in (digits, letters) if part)
        if stem in _GREEK:
            stem = f"\\{stem}"
        elif len(stem) > 1:
            stem = _word(stem, "mathrm")
        return stem + (f"_{{{below}}}" if below else "")

    def function(self, x: Function) -> str:
        """A function of its arguments."""
        arguments = ", ".join(self.write(a) for a in x.arguments)
        if x.name == "[]":
            return f"[{arguments}]"
        if x.name in _RELATIONS:
            return f" {_RELATIONS[x.name] if self.tex else x.name} ".join(self.write(a) for a in x.arguments)
        if x.name == "abs":
            return f"|{arguments}|"
        if not self.tex:
            return f"{x.name}({arguments})"
        if x.name == "sqrt":
            return f"\\sqrt{{{arguments}}}"
        prime = "'" if x.name.endswith("'") else ""
        name = x.name.rstrip("'")
        head = "\\sigma" if name == "σ" else f"\\{name}" if name in _TEX_FUNCTIONS else _word(name, "operatorname")
        return f"{head}{prime}\\left({arguments}\\right)"

    def power(self, x: Power) -> tuple[str, int]:
        """A power, or a quotient where the exponent is a negative number."""
        if isinstance(x.exponent, Number) and not isinstance(x.exponent.value, complex) and x.exponent.value < 0:
            return self.product(Product(1, (x,)))
        exponent = self.write(x.exponent)
        base = self.write(x.base, ATOM)
        if isinstance(x.base, Function) and x.base.name not in ("[]", "abs"):
            base = f"\\left({base}\\right)" if self.tex else base
        if self.tex:
            return f"{{{base}}}^{{{exponent}}}", POWER
        raised = exponent.replace("−", "-")
        if re.fullmatch(r"-?\d+", raised):
            return f"{base}{raised.translate(_RAISED)}", POWER
        return f"{base}^{self.write(x.exponent, ATOM)}", POWER

    def product(self, x: Product) -> tuple[str, int]:
        """Factors side by side, what has a negative exponent below a line."""
        above, below = [], []
        for factor in x.factors:
            exponent = factor.exponent if isinstance(factor, Power) else None
            if isinstance(factor, Power) and isinstance(exponent, Number) and exponent.value < 0:
                below.append(factor.base ** (-exponent.value))
            else:
                above.append(factor)
        value = x.number
        minus = ("-" if self.tex else "−") if value < 0 else ""
        value = abs(value)
        if isinstance(value, Fraction) and value.denominator == 1:
            value = value.numerator
        if isinstance(value, Fraction) and (below or not self.tex):
            if value.denominator != 1:
                below.insert(0, Number(value.denominator))
            value = value.numerator
        top = [
            self.write(f, PRODUCT if self.tex and below and len(above) == 1 and value == 1 else POWER) for f in above
        ]
        if value != 1 or not top:
            top.insert(0, self.number(value))
        joined = " ".join(top)
        if not below:
            return minus + joined, SUM if minus else PRODUCT
        if self.tex:
            bottom = " ".join(self.write(f, POWER if len(below) > 1 else SUM) for f in below)
            return f"{minus}\\frac{{{joined}}}{{{bottom}}}", SUM if minus else PRODUCT
        bottom = " ".join(self.write(f, POWER) for f in below)
        bottom = f"({bottom})" if len(below) > 1 else bottom
        return f"{minus}{joined} / {bottom}", SUM if minus else PRODUCT
