"""The derivation of a gradient, written out: the chain rule walked backwards over a real graph.

Twice, side by side. With numbers: what flows into and out of each step, and a finite difference of the graph itself
that must say the same. With letters: the local derivatives multiplied up, from the result to each leaf, in index
notation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from microgradnp.engine.table import getitem
from microgradnp.engine.tensor import Tensor
from microgradnp.show.expressions import (
    Chain,
    Expression,
    Index,
    Number,
    Symbol,
    Total,
    added,
    multiplied,
    scaled,
    totalled,
)
from microgradnp.show.measured import Flow, difference, largest
from microgradnp.show.steps import Reading, Step, graph_of, key
from microgradnp.show.writing import Writer
from microgradnp.transforms.graph import is_tracked, variables

INLINE = 4
"""A value of at most so many symbols, and no sum, is written out within a formula; any other is called by its step."""

LONG = 10
"""A gradient of more symbols than this gets a line of its own."""

HEAD = ["step", "shape", "value", "local derivative", "gradient in", "gradient out", "finite difference"]


def derivation(loss: Tensor) -> Derivation:
    """Derive the gradient of a scalar Tensor, step by step, from its graph.

    The result prints as text, and as LaTeX in a notebook (``.markdown()`` gives that text). Tensors are called by their
    names: ``Tensor(W, requires_grad=True, name="W")`` for leaves and constants, ``g.name = "g"`` for a step. The graph
    and all ``.grad`` stay as they are.

    Parameters
    ----------
    loss
        A Tensor of one element whose graph is still there: derive before ``backward()``, or after one with
        ``retain_graph=True``.

    Raises
    ------
    TypeError
        If ``loss`` is no Tensor.
    RuntimeError
        If it is not part of a graph, or its graph is freed.
    ValueError
        If it has several elements.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import show
    >>> x = mg.Tensor([1.0, 2.0, 3.0], name="x")
    >>> w = mg.Tensor([0.5, -0.5, 1.0], requires_grad=True, name="w")
    >>> for line in show.derivation(np.sum((w * x) ** 2)).formulas.values():
    ...     print(line)
    ∂f/∂w_i = 2 w_i x_i²
    """
    return Derivation(loss)


Flowing: TypeAlias = tuple[tuple[Index, ...], Expression]
"""A gradient in letters, and its free indices."""


@dataclass
class Derivative:
    """By one tracked input of a step: the local derivative, what flows out, and what a finite difference says."""

    local: tuple[Expression, Expression]
    at: tuple[int, ...]
    gradient: float
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether the gradient is the finite difference, to its precision."""
        return abs(self.gradient - self.difference) <= 1e-5 * max(1.0, abs(self.gradient))


class Derivation:
    """What `derivation` found: ``steps`` from the result backwards, ``lines`` of symbols, ``formulas`` as text."""

    def __init__(self, loss: Tensor) -> None:
        self.loss, self.graph = loss, graph_of(loss, "derivation")
        if not self.graph:
            raise RuntimeError("derivation needs a Tensor computed from others; this one is the only one in its graph.")
        if loss.size != 1:
            raise ValueError(f"derivation needs a single number; this Tensor has shape {loss.shape}. Reduce it first.")
        self.leaves = variables(self.graph)
        self.reading = Reading(self.graph)
        self.steps, self.names = self.reading.steps, self.reading.names
        flow = Flow(loss)
        self.gradients = {step: largest(flow.into[step.node]) for step in self.steps}
        self.derivatives = {step: self._derivatives(step, flow) for step in self.steps}
        self.lines: list[tuple[str, Expression, Expression]] = []
        self._derive_formulas()

    @property
    def agrees(self) -> bool:
        """Whether every gradient is its finite difference."""
        return not self._wrong()

    @property
    def formulas(self) -> dict[str, str]:
        """The gradient by each named leaf, and by each step that is worth a line: as text."""
        writer = Writer()
        return {name: writer.equation(left, right) for name, left, right in self.lines}

    # -- Step by step

    def _equation(self, step: Step) -> tuple[Expression, Expression, Sequence[Any]]:
        """The step as an equation in the symbols of its inputs, and its derivative by each of them."""
        if step.meaning is None:
            rule = Symbol(f"the rule of {step.operation.name}")
            return self.reading.symbol(step.node), Symbol(self._call(step)), [rule] * len(step.inputs)
        entries = self.reading.entries(step, self.reading.symbol)
        return self.reading.symbol(step.node, entries.out), entries.value, entries.partials

    def _call(self, step: Step) -> str:
        """A step that has no formula here, as the call that it was."""
        options = step.operation.options
        if step.operation.rule.function is getitem:
            index = options["index"]
            return f"{self.reading.name(step.inputs[0])}[{index if isinstance(index, int) else '…'}]"
        parts = [self.names.get(key(x), str(x)) for x in step.inputs]
        parts += [f"{name}={value}" for name, value in options.items() if np.size(value) < 4 and value is not None]
        return f"{step.operation.name}({', '.join(parts)})"

    def _derivatives(self, step: Step, flow: Flow) -> list[Derivative]:
        """For each tracked input: the local derivative in the symbols of the step's own inputs, and the numbers."""
        _, _, partials = self._equation(step)
        found = []
        for x, (operation, i), partial in zip(step.inputs, step.entrances, partials, strict=True):
            if is_tracked(x):
                left = Symbol(f"∂{self.names[step.node]}/∂{self.names[x]}")
                gradient, at = largest(flow.out[operation.result, i])
                slope = difference(self.graph, self.loss, (operation, i), at)
                found.append(Derivative((left, partial), at, gradient, slope))
        return found

    # -- From the result to the leaves

    def _derive_formulas(self) -> None:
        """Multiply the local derivatives up."""
        flowing: dict[Tensor, list[Flowing]] = {self.loss: [((), Number(1))]}
        for step in self.steps:
            uses = len(flowing[step.node])
            at, total = self._gathered(step.node, flowing.pop(step.node))
            if step.meaning is None or uses > 1 or total.size() > LONG:
                total = self._line(step.node, at, total)
            for x, part in self._passed(step, at, total):
                flowing.setdefault(x, []).append(part)
        for leaf in self.leaves:
            self._line(leaf, *self._gathered(leaf, flowing[leaf]))

    def _gathered(self, x: Tensor, parts: Sequence[Flowing]) -> Flowing:
        """What flows to ``x`` from all its uses, under one set of indices; like terms are gathered."""
        at = self.reading.free(x)
        numbers: dict[str, Any] = {}
        bodies: dict[str, Expression] = {}
        for place, part in parts:
            number, body = scaled(part.rename(dict(zip(place, at, strict=True))))
            text = Writer().equation(Symbol("", at), body)
            numbers[text] = numbers.get(text, 0) + number
            bodies.setdefault(text, body)
        return at, added(*_alike([multiplied(numbers[text], body) for text, body in bodies.items()], at))

    def _line(self, x: Tensor, at: tuple[Index, ...], total: Expression) -> Expression:
        """Write the gradient by ``x`` on a line of its own, and go on with its name."""
        symbol = Symbol(f"∂f/∂{self.names[x]}", at)
        named = isinstance(total, Symbol)
        if x.is_leaf or not named:
            self.lines.append((self.names[x], symbol, total))
        return total if named else symbol

    def _passed(self, step: Step, at: tuple[Index, ...], total: Expression) -> Iterator[tuple[Tensor, Flowing]]:
        """To each tracked input: the gradient, times the local derivative, summed over what the input lacks."""
        if step.meaning is None:
            for x in step.inputs:
                if is_tracked(x):
                    place = self.reading.free(x)
                    inner = Symbol(f"∂{self.names[step.node]}/∂{self.names[x]}")
                    yield x, (place, Chain(Symbol(f"∂f/∂{self.names[step.node]}"), inner, place))
            return
        entries = self.reading.entries(step, self._expand, at)
        lengths = {
            i: n
            for x, place in zip((step.node, *step.inputs), (entries.out, *entries.into), strict=True)
            for i, n in zip(place, (n for n in np.shape(x) if n != 1), strict=True)
        }
        for x, place, partial in zip(step.inputs, entries.into, entries.partials, strict=True):
            if is_tracked(x):
                product = multiplied(total, partial)
                used = product.indices()
                gone = [i for i in lengths if i not in place]
                repeats = math.prod(lengths[i] for i in gone if i not in used and i in entries.out)
                yield x, (place, totalled([i for i in gone if i in used], multiplied(repeats, product)))

    def _expand(self, x: Any, at: tuple[Index, ...], depth: int = 3) -> Expression:
        """A value in the symbols that it was computed from, if that is short, else by its own."""
        symbol = self.reading.symbol(x, at)
        step = self.reading.step_of.get(x) if isinstance(x, Tensor) else None
        if step is None or step.meaning is None or x.name or not depth:
            return symbol
        value = self.reading.entries(step, lambda part, place: self._expand(part, place, depth - 1), at).value
        return symbol if value.size() > INLINE or any(isinstance(part, Total) for part in value.everything()) else value

    # -- On paper

    def __str__(self) -> str:
        writer = Writer()
        rows = [HEAD, *self._rows(writer)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(HEAD))]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        table.insert(1, "  ".join("─" * w for w in widths))
        formulas = list(self.formulas.values())
        if any("σ" in line for line in formulas):
            formulas += ["", "with σ(z) = 1 / (1 + exp(−z)) and σ'(z) = exp(−z) / (1 + exp(−z))²"]
        return "\n".join([self._title(), "", *table, "", self._verdict(), "", *formulas])

    def _title(self) -> str:
        leaves = ", ".join(self.names[x] for x in self.leaves)
        return f"f = {self.loss.data.item():.6g}, derived by {leaves}: the chain rule from f backwards."

    def _verdict(self) -> str:
        if self.agrees:
            return "Every gradient agrees with its finite difference."
        wrong = ", ".join(self.names[step.node] for step in self._wrong())
        return f"Gradients and finite differences disagree at {wrong}: a wrong rule, or a kink."

    def _wrong(self) -> list[Step]:
        return [step for step in self.steps if not all(d.agrees for d in self.derivatives[step])]

    def _rows(self, writer: Writer) -> Iterator[list[str]]:
        dollar = (lambda text: f"${text}$") if writer.tex else (lambda text: text)
        for step in self.steps:
            node = step.node
            value = [dollar(writer.equation(*self._equation(step)[:2])), _shape(node), _range(node)]
            flowing_in = _entry(*self.gradients[step])
            for d in self.derivatives[step]:
                difference = f"{d.difference:.6g}" + ("" if d.agrees else "  ✗")
                yield [*value, dollar(writer.equation(*d.local)), flowing_in, _entry(d.gradient, d.at), difference]
                value, flowing_in = ["", "", ""], ""

    def markdown(self) -> str:
        """The derivation as Markdown with LaTeX formulas, for a notebook or a file."""
        writer = Writer(tex=True)
        rows = [HEAD, ["---"] * len(HEAD), *self._rows(writer)]
        table = ["| " + " | ".join(cell.replace("|", "\\vert ") for cell in row) + " |" for row in rows]
        lines = [writer.equation(left, right).replace(" = ", " &= ", 1) for _, left, right in self.lines]
        if any("\\sigma" in line for line in lines):
            lines.append("\\sigma(z) &= \\frac{1}{1 + e^{-z}}, \\quad \\sigma'(z) = \\frac{e^{-z}}{(1 + e^{-z})^2}")
        aligned = " \\\\\n".join(lines)
        formulas = f"$$\n\\begin{{aligned}}\n{aligned}\n\\end{{aligned}}\n$$"
        title, verdict = (re.sub(r"([\\`*_|<>\[\]$~])", r"\\\1", text) for text in (self._title(), self._verdict()))
        return "\n".join([title, "", *table, "", verdict, "", formulas, ""])

    _repr_markdown_ = markdown
    __repr__ = __str__


def _shape(x: Tensor) -> str:
    return f"({', '.join(map(str, x.shape))}{',' if x.ndim == 1 else ''})"


def _range(x: Tensor) -> str:
    """The value of a number; of an array its least and its largest."""
    if x.size == 1:
        return f"{x.data.item():.5g}"
    return f"{x.data.min():.3g} … {x.data.max():.3g}" if x.size else ""


def _entry(value: float, at: tuple[int, ...]) -> str:
    return f"{value:.6g}" + (f" at [{', '.join(map(str, at))}]" if at else "")


def _alike(terms: list[Expression], at: tuple[Index, ...]) -> list[Expression]:
    """Of many terms that differ in numbers and steps only, the first and the last."""
    groups: dict[str, list[Expression]] = {}
    for term in terms:
        text = Writer().equation(Symbol("", at), term)
        groups.setdefault(re.sub(r"([+−] ?)?\d+(\.\d+)?(e[+−]?\d+)?", "#", text), []).append(term)
    short: list[Expression] = []
    for group in groups.values():
        if len(group) < 4:
            short += group
        else:
            short += [group[0], Symbol(f"… ({len(group) - 2} more like these) …"), group[-1]]
    return short
