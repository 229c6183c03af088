"""The derivation of a gradient, written out: the chain rule walked backwards over a real graph.

Twice, side by side. With numbers: what flows into and out of each step, and a finite difference of the graph itself
that must say the same. With letters: the local derivatives multiplied up, from the result to each leaf, in index
notation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from typing import Any, TypeAlias

import numpy as np

from microgradnp.engine.rules import name_of
from microgradnp.engine.sweep import FREED, Watcher, _repair, sweep
from microgradnp.engine.tensor import Tensor
from microgradnp.nn import functional
from microgradnp.show.formulas import (
    FORMULAS,
    Chain,
    Expression,
    Formula,
    Index,
    Number,
    Symbol,
    Writer,
    added,
    expression,
    has_total,
    multiplied,
    totalled,
)

INLINE = 4
"""A value of at most so many symbols, and no sum, is written out within a formula; any other is called by its step."""

LONG = 10
"""A gradient of more symbols than this gets a line of its own."""


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

# -- The steps ----------------------------------------------------------------------------


@dataclass
class Argument:
    """One tracked argument of a step: what flows out to it, and what a finite difference says."""

    symbol: str
    local: tuple[Expression, Expression]
    at: tuple[int, ...]
    gradient: float
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether the gradient is the finite difference, to its precision."""
        return abs(self.gradient - self.difference) <= 1e-5 * max(1.0, abs(self.gradient))


@dataclass(eq=False)
class Step:
    """One operation of the graph, or several that are read as one (the sigmoid)."""

    node: Tensor
    symbol: str
    inputs: tuple[Any, ...]
    edges: tuple[tuple[Tensor, int], ...]  # of each input: the node and the place that take it in
    meaning: Meaning | None
    equation: tuple[Expression, Expression] = (Number(0), Number(0))
    gradient: tuple[float, tuple[int, ...]] = (0.0, ())
    arguments: list[Argument] = field(default_factory=list)


@dataclass
class Meaning:
    """A step in index notation: labels for the axes of its result and inputs (None for length 1), and its formula."""

    out: tuple[Any, ...]
    into: tuple[tuple[Any, ...], ...]
    formula: Formula

    @property
    def bound(self) -> list[Any]:
        """The labels that are summed: those of the inputs that the result lacks."""
        return [label for labels in self.into for label in labels if label is not None and label not in self.out]


class Derivation:
    """What `derivation` found: ``steps`` from the result backwards, ``lines`` of symbols, ``formulas`` as text."""

    def __init__(self, loss: Tensor) -> None:
        if not isinstance(loss, Tensor):
            raise TypeError(f"derivation takes a Tensor; got {type(loss).__name__}.")
        if not loss._tracked or loss._rule is None:
            raise RuntimeError(
                "derivation needs a Tensor computed from others that have requires_grad=True; this one is not part of "
                "a graph."
            )
        if loss.size != 1:
            raise ValueError(f"derivation needs a single number; this Tensor has shape {loss.shape}. Reduce it first.")
        self.loss = loss
        self.nodes = nodes_of(loss)
        if any(node._rule is FREED for node in self.nodes):
            raise RuntimeError(
                "derivation came to a part of the graph that backward() has freed. Derive before backward(), or keep "
                "the graph with backward(retain_graph=True)."
            )
        self.steps = _steps(self.nodes)
        self.names = _names(self.steps)
        self._letters = _letters(self.steps)
        self.lines: list[tuple[str, Expression, Expression]] = []
        self._derive_numbers()
        self._derive_formulas()

    @property
    def agrees(self) -> bool:
        """Whether every gradient is its finite difference."""
        return all(argument.agrees for step in self.steps for argument in step.arguments)

    @property
    def formulas(self) -> dict[str, str]:
        """The gradient by each named leaf, and by each step that is worth a line: as text."""
        writer = Writer()
        return {name: writer.equation(left, right) for name, left, right in self.lines}

    # -- In numbers

    def _derive_numbers(self) -> None:
        flow = _Flow()
        sweep({self.loss: np.ones(self.loss.shape, self.loss.dtype)}, retain=True, watch=flow)
        for step in self.steps:
            step.symbol = self.names[step.node]
            step.gradient = _largest(flow.into[step.node])
            step.equation = self._equation(step)
            locals_ = self._locals(step)
            for x, edge, local in zip(step.inputs, step.edges, locals_, strict=True):
                if isinstance(x, Tensor) and x._tracked:
                    gradient, at = _largest(flow.out[edge])
                    difference = _difference(self.nodes, self.loss, edge, at)
                    step.arguments.append(Argument(self.names[x], local, at, gradient, difference))

    def _equation(self, step: Step) -> tuple[Expression, Expression]:
        """The step as an equation in the symbols of its inputs."""
        if step.meaning is None:
            return self._symbol(step.node), Symbol(_call(step, self.names))
        letters = self._indices(step)
        value = step.meaning.formula.value(*(self._symbol(x, at) for x, at in self._placed(step, letters)))
        bound = [letters[label] for label in step.meaning.bound]
        return self._symbol(step.node, _at(step.meaning.out, letters)), totalled(bound, expression(value))

    def _locals(self, step: Step) -> list[tuple[Expression, Expression]]:
        """The local derivatives, entry by entry, in the symbols of the step's own inputs."""
        name = self.names[step.node]
        head = [Symbol(f"∂{name}/∂{self.names[x]}") if isinstance(x, Tensor) else None for x in step.inputs]
        if step.meaning is None:
            return [(h, Symbol(f"the rule of {_function(step)}")) if h else _NOTHING for h in head]
        letters = self._indices(step)
        arguments = [self._symbol(x, at) for x, at in self._placed(step, letters)]
        y = self._symbol(step.node, _at(step.meaning.out, letters))
        partials = step.meaning.formula.partials
        return [(h, expression(p(y, *arguments))) if h else _NOTHING for h, p in zip(head, partials, strict=True)]

    # -- In letters

    def _indices(self, step: Step) -> dict[Any, Index]:
        """An index for each label of a step, wanting the letter that this axis has elsewhere."""
        assert step.meaning is not None
        letters: dict[Any, Index] = {}
        for x, labels in ((step.node, step.meaning.out), *zip(step.inputs, step.meaning.into, strict=True)):
            for label, letter in zip(labels, self._letters[id(x)], strict=True):
                if label is not None and label not in letters:
                    letters[label] = Index(letter)
        return letters

    def _placed(self, step: Step, letters: dict[Any, Index]) -> Iterator[tuple[Any, tuple[Index, ...]]]:
        assert step.meaning is not None
        for x, labels in zip(step.inputs, step.meaning.into, strict=True):
            yield x, _at(labels, letters)

    def _symbol(self, x: Any, at: tuple[Index, ...] = ()) -> Expression:
        number = _constant(x)
        if number is not None:
            return expression(number)
        return Symbol(self.names[x] if isinstance(x, Tensor) else self.names[id(x)], at)

    def _expand(self, x: Any, at: tuple[Index, ...], depth: int = 3) -> Expression:
        """A value in the symbols that it was computed from, if that is short, else by its own."""
        symbol = self._symbol(x, at)
        step = self._step_of.get(x) if isinstance(x, Tensor) else None
        if step is None or step.meaning is None or x.name or not depth:
            return symbol
        letters = self._indices(step)
        letters.update(zip([label for label in step.meaning.out if label is not None], at, strict=True))
        arguments = [self._expand(part, where, depth - 1) for part, where in self._placed(step, letters)]
        bound = [letters[label] for label in step.meaning.bound]
        value = totalled(bound, expression(step.meaning.formula.value(*arguments)))
        return symbol if value.size() > INLINE or has_total(value) else value

    def _derive_formulas(self) -> None:
        """Multiply the local derivatives up, from the result to the leaves."""
        self._step_of = {step.node: step for step in self.steps}
        flowing: dict[Tensor, list[Flowing]] = {self.loss: [((), Number(1))]}
        for step in self.steps:
            uses = len(flowing[step.node])
            at, total = self._gathered(step.node, flowing.pop(step.node))
            if step.meaning is None or uses > 1 or total.size() > LONG:
                total = self._line(step.node, at, total)
            for x, _, (place, gradient) in zip(step.inputs, step.edges, self._passed(step, at, total), strict=True):
                if isinstance(x, Tensor) and x._tracked:
                    flowing.setdefault(x, []).append((place, gradient))
        for leaf in sorted(flowing, key=lambda t: -t._order):
            self._line(leaf, *self._gathered(leaf, flowing[leaf]))

    def _gathered(self, x: Tensor, parts: Sequence[Flowing]) -> Flowing:
        """What flows to ``x`` from all its uses, under one set of indices; like terms are gathered."""
        at = self._free(x)
        numbers: dict[str, Any] = {}
        bodies: dict[str, Expression] = {}
        for place, part in parts:
            number, body = part.rename(dict(zip(place, at, strict=True))).scaled()
            key = Writer().equation(Symbol("", at), body)
            numbers[key] = numbers.get(key, 0) + number
            bodies.setdefault(key, body)
        return at, added(*_alike([multiplied(Number(numbers[key]), body) for key, body in bodies.items()], at))

    def _free(self, x: Any) -> tuple[Index, ...]:
        """Fresh indices for the axes of ``x``, as the letters go along the graph."""
        return tuple(Index(a) for a, n in zip(self._letters[id(x)], np.shape(x), strict=True) if n != 1)

    def _line(self, x: Tensor, at: tuple[Index, ...], total: Expression) -> Expression:
        """Write the gradient by ``x`` on a line of its own, and go on with its name."""
        symbol = Symbol(f"∂f/∂{self.names[x]}", at)
        if not isinstance(total, Symbol):
            self.lines.append((self.names[x], symbol, total))
            return symbol
        if x._rule is None:
            self.lines.append((self.names[x], symbol, total))
        return total

    def _passed(self, step: Step, at: tuple[Index, ...], total: Expression) -> Iterator[Flowing]:
        """For each input of a step: the gradient, times the local derivative, summed over what the input lacks."""
        if step.meaning is None:
            for x in step.inputs:
                tracked = isinstance(x, Tensor) and x._tracked
                place = self._free(x) if tracked else ()
                inner = f"∂{self.names[step.node]}/∂{self.names[x]}" if tracked else ""
                yield place, Chain(Symbol(f"∂f/∂{self.names[step.node]}"), Symbol(inner), place)
            return
        meaning = step.meaning
        letters = self._indices(step)
        letters.update(zip([k for k in meaning.out if k is not None], at, strict=True))
        arguments = [self._expand(x, place) for x, place in self._placed(step, letters)]
        y = self._expand(step.node, at)
        lengths = {
            label: n
            for x, labels in ((step.node, meaning.out), *zip(step.inputs, meaning.into, strict=True))
            for label, n in zip(labels, np.shape(x), strict=True)
            if label is not None
        }
        for labels, partial in zip(meaning.into, meaning.formula.partials, strict=True):
            product = multiplied(total, expression(partial(y, *arguments)))
            used = set(product.indices())
            gone = [label for label in lengths if label not in labels]
            repeats = math.prod(lengths[label] for label in gone if letters[label] not in used and label in meaning.out)
            summed = [letters[label] for label in gone if letters[label] in used]
            yield _at(labels, letters), totalled(summed, multiplied(Number(repeats), product))

    # -- On paper

    def __str__(self) -> str:
        writer = Writer()
        rows = [["step", "shape", "value", "local derivative", "gradient in", "gradient out", "finite difference"]]
        rows += self._rows(writer)
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        table.insert(1, "  ".join("─" * w for w in widths))
        formulas = list(self.formulas.values())
        if any("σ" in line for line in formulas):
            formulas += ["", "with σ(z) = 1 / (1 + exp(−z)) and σ'(z) = exp(−z) / (1 + exp(−z))²"]
        return "\n".join([self._title(), "", *table, "", self._verdict(), "", *formulas])

    def _title(self) -> str:
        leaves = [self.names[x] for x in _leaves(self.nodes)]
        return f"f = {self.loss._value.item():.6g}, derived by {', '.join(leaves)}: the chain rule from f backwards."

    def _verdict(self) -> str:
        if self.agrees:
            return "Every gradient agrees with its finite difference."
        wrong = ", ".join(step.symbol for step in self.steps if not all(a.agrees for a in step.arguments))
        return f"Gradients and finite differences disagree at {wrong}: a wrong rule, or a kink."

    def _rows(self, writer: Writer) -> Iterator[list[str]]:
        dollar = (lambda text: f"${text}$") if writer.tex else (lambda text: text)
        for step in self.steps:
            node = step.node
            row = [
                dollar(writer.equation(*step.equation)),
                _shape(node),
                _range(node),
                "",
                _entry(*step.gradient),
                "",
                "",
            ]
            for argument in step.arguments:
                row[3] = dollar(writer.equation(*argument.local))
                row[5] = _entry(argument.gradient, argument.at)
                row[6] = f"{argument.difference:.6g}" + ("" if argument.agrees else "  ✗")
                yield row
                row = [""] * 7

    def markdown(self) -> str:
        """The derivation as Markdown with LaTeX formulas, for a notebook or a file."""
        writer = Writer(tex=True)
        head = ["step", "shape", "value", "local derivative", "gradient in", "gradient out", "finite difference"]
        rows = [head, ["---"] * 7, *self._rows(writer)]
        table = ["| " + " | ".join(cell.replace("|", "\\vert ") for cell in row) + " |" for row in rows]
        lines = [writer.equation(left, right).replace(" = ", " &= ", 1) for _, left, right in self.lines]
        if any("\\sigma" in line for line in lines):
            lines.append("\\sigma(z) &= \\frac{1}{1 + e^{-z}}, \\quad \\sigma'(z) = \\frac{e^{-z}}{(1 + e^{-z})^2}")
        aligned = " \\\\\n".join(lines)
        formulas = f"$$\n\\begin{{aligned}}\n{aligned}\n\\end{{aligned}}\n$$"
        title, verdict = (re.sub(r"([\\`*_|<>\[\]$~])", r"\\\1", text) for text in (self._title(), self._verdict()))
        return "\n".join([title, "", *table, "", verdict, "", formulas, ""])

    _repr_markdown_ = markdown

    def __repr__(self) -> str:
        return str(self)


_NOTHING = (Number(0), Number(0))


def _shape(x: Tensor) -> str:
    return f"({', '.join(map(str, x.shape))}{',' if x.ndim == 1 else ''})"


def _range(x: Tensor) -> str:
    """The value of a number; of an array its least and its largest."""
    if x.size == 1:
        return f"{x._value.item():.5g}"
    return f"{x._value.min():.3g} … {x._value.max():.3g}" if x.size else ""


def _entry(value: float, at: tuple[int, ...]) -> str:
    return f"{value:.6g}" + (f" at [{', '.join(map(str, at))}]" if at else "")


# -- The graph, its symbols and letters -----------------------------------------------------


def nodes_of(result: Tensor) -> list[Tensor]:
    """The operations that a Tensor was computed by, oldest first."""
    found = {result}
    walk = [result]
    while walk:
        for x in walk.pop()._inputs:
            if isinstance(x, Tensor) and x._tracked and x._rule is not None and x not in found:
                found.add(x)
                walk.append(x)
    return sorted(found, key=lambda t: -t._order)


def _leaves(nodes: Sequence[Tensor]) -> list[Tensor]:
    leaves = {x for node in nodes for x in node._inputs if isinstance(x, Tensor) and x._tracked and x._rule is None}
    return sorted(leaves, key=lambda t: -t._order)


def _steps(nodes: Sequence[Tensor]) -> list[Step]:
    """The steps, newest first; what hides within a sigmoid is none of its own."""
    uses: dict[Tensor, int] = {}
    for node in nodes:
        for x in node._inputs:
            if isinstance(x, Tensor):
                uses[x] = uses.get(x, 0) + 1
    hidden: set[Tensor] = set()
    steps = []
    for node in reversed(nodes):
        if node in hidden:
            continue
        inner = _sigmoid(node, uses)
        edges: tuple[tuple[Tensor, int], ...]
        if inner:
            hidden.update(inner)
            inputs, edges = inner[-1]._inputs, ((inner[-1], 0),)
            meaning = _meaning(functional.sigmoid, inputs, node, {})
        else:
            rule = node._rule
            assert rule is not None
            inputs = node._inputs
            edges = tuple((node, i) for i in range(len(inputs)))
            meaning = _meaning(rule.function, inputs, node, node._options)
        steps.append(Step(node, "", inputs, edges, meaning))
    return steps


def _sigmoid(node: Tensor, uses: dict[Tensor, int]) -> list[Tensor]:
    """The nodes within ``1 / (1 + exp(-z))``, the negation last; none if that is not what ``node`` computes."""

    def only(x: Any, *functions: Callable[..., Any]) -> bool:
        inside = isinstance(x, Tensor) and x._rule is not None and not x.name and uses.get(x) == 1
        return inside and x._rule.function in functions

    def beside_one(x: Tensor) -> Any:
        return next((x._inputs[1 - k] for k in (0, 1) if _constant(x._inputs[k]) == 1), None)

    function = node._rule.function if node._rule is not None else None
    plus = node._inputs[-1]
    if not (function is np.reciprocal or (function is np.divide and _constant(node._inputs[0]) == 1)):
        return []
    if (
        not only(plus, np.add)
        or not only(e := beside_one(plus), np.exp)
        or not only(minus := e._inputs[0], np.negative)
    ):
        return []
    return [plus, e, minus]


def _names(steps: Sequence[Step]) -> dict[Any, str]:
    """A symbol for every step and input: its name, or the next number, counted forwards."""
    names: dict[Any, str] = {}
    taken: set[str] = set()

    def call(key: Any, name: str | None, letter: str) -> None:
        if key in names:
            return
        candidates = [name, *(f"{name}_{k}" for k in range(2, 100))] if name else (f"{letter}{k}" for k in count(1))
        names[key] = next(c for c in candidates if c not in taken)
        taken.add(names[key])

    for step in reversed(steps):
        for x in step.inputs:
            if isinstance(x, Tensor):  # by id too, for a plain array beside it
                call(x, x.name, "p" if x._tracked else "c")
                names[id(x)] = names[x]
            elif _constant(x) is None:
                call(id(x), None, "c")
        call(step.node, step.node.name, "z")
    names[steps[0].node] = steps[0].node.name or "f"
    return names


def _letters(steps: Sequence[Step]) -> dict[int, tuple[str, ...]]:
    """A letter for each axis, the same along the graph: the axis that the result sums last is ``i``."""
    letters: dict[int, tuple[str, ...]] = {}
    fresh = iter("ijklmnpqrstuvwabcdeh" * 1000)
    for step in steps:
        if id(step.node) not in letters:
            letters[id(step.node)] = tuple("" if n == 1 else next(fresh) for n in step.node.shape)
        if step.meaning is None:
            for x in step.inputs:
                if id(x) not in letters:
                    letters[id(x)] = tuple("" if n == 1 else next(fresh) for n in np.shape(x))
            continue
        of_label = dict(zip(step.meaning.out, letters[id(step.node)], strict=True))
        for x, labels in zip(step.inputs, step.meaning.into, strict=True):
            if id(x) not in letters:
                for label in labels:
                    if label is not None and label not in of_label:
                        of_label[label] = next(fresh)
                letters[id(x)] = tuple("" if label is None else of_label[label] for label in labels)
            of_label.update(zip(labels, letters[id(x)], strict=True))
    return letters


def _constant(x: Any) -> Any:
    """The value of a constant that is a single number, else None."""
    if isinstance(x, Tensor):
        return x._value.item() if not x._tracked and x.size == 1 and not x.name else None
    return np.asarray(x).item() if np.size(x) == 1 else None


def _function(step: Step) -> str:
    return name_of(step.node._rule.function) if step.node._rule is not None else ""


def _call(step: Step, names: dict[Any, str]) -> str:
    """A step that has no formula here, as the call that it was."""
    if _function(step) == "getitem":
        index = step.node._options["index"]
        return f"{names[step.inputs[0]]}[{index if isinstance(index, int) else '…'}]"
    parts = [names.get(x if isinstance(x, Tensor) else id(x), str(x)) for x in step.inputs]
    parts += [f"{key}={value}" for key, value in step.node._options.items() if np.size(value) < 4 and value is not None]
    return f"{_function(step)}({', '.join(parts)})"


def _at(labels: Sequence[Any], letters: dict[Any, Index]) -> tuple[Index, ...]:
    return tuple(letters[label] for label in labels if label is not None)


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


# -- What each row means in index notation ----------------------------------------------------


def _meaning(function: Any, inputs: Sequence[Any], y: Tensor, options: dict[str, Any]) -> Meaning | None:
    """The step in index notation, or None where no formula is written here."""
    shapes = [np.shape(x) for x in inputs]
    if function is np.broadcast_to:
        return _elementwise(FORMULAS[np.positive], shapes, y.shape)
    if function in FORMULAS:
        return _elementwise(FORMULAS[function], shapes, y.shape)
    if function in (np.sum, np.mean):
        labels = _labelled(shapes[0])
        axes = range(len(labels)) if options["axis"] is None else options["axis"]
        kept = [None if k in axes else label for k, label in enumerate(labels)]
        out = kept if options["keepdims"] else [label for k, label in enumerate(kept) if k not in axes]
        n = math.prod(shapes[0][k] for k in axes) if function is np.mean else 1
        part = Number(Fraction(1, max(n, 1)))
        return Meaning(tuple(out), (labels,), Formula(lambda x: part * x, (lambda y, x: part,)))
    if function is np.matmul:
        return _matmul(*shapes)
    if function is np.einsum:
        into, _, out = options["subscripts"].partition("->")
        places = tuple(_shown(labels, shape) for labels, shape in zip(into.split(","), shapes, strict=True))
        return Meaning(_shown(out, y.shape), places, _product_of(len(inputs)))
    if function is np.transpose:
        labels = _labelled(shapes[0])
        return Meaning(tuple(labels[k] for k in options["axes"]), (labels,), FORMULAS[np.positive])
    if function is np.reshape and [n for n in shapes[0] if n != 1] == [n for n in y.shape if n != 1]:
        labels = _labelled(shapes[0])
        rest = iter([label for label in labels if label is not None])
        return Meaning(tuple(None if n == 1 else next(rest) for n in y.shape), (labels,), FORMULAS[np.positive])
    return None


def _labelled(shape: Sequence[int]) -> tuple[Any, ...]:
    return tuple(None if n == 1 else k for k, n in enumerate(shape))


def _shown(labels: Sequence[Any], shape: Sequence[int]) -> tuple[Any, ...]:
    return tuple(None if n == 1 else label for label, n in zip(labels, shape, strict=True))


def _elementwise(formula: Formula, shapes: Sequence[tuple[int, ...]], out: tuple[int, ...]) -> Meaning:
    labels = _labelled(out)
    into = tuple(_shown(labels[len(out) - len(shape) :], shape) for shape in shapes)
    return Meaning(labels, into, formula)


def _matmul(a: tuple[int, ...], b: tuple[int, ...]) -> Meaning:
    stack = "".join(chr(ord("A") + k) for k in range(max(len(a), len(b)) - 2))
    left = stack[len(stack) - len(a) + 2 :] + "ij" if len(a) > 1 else "j"
    right = stack[len(stack) - len(b) + 2 :] + "jk" if len(b) > 1 else "j"
    out = stack + ("i" if len(a) > 1 else "") + ("k" if len(b) > 1 else "")
    lengths: dict[str, int] = {}
    for label, n in (*zip(left, a, strict=True), *zip(right, b, strict=True)):
        lengths[label] = max(n, lengths.get(label, 1))
    return Meaning(
        tuple(None if lengths[label] == 1 else label for label in out),
        (_shown(left, a), _shown(right, b)),
        _product_of(2),
    )


def _product_of(n: int) -> Formula:
    def but(k: int) -> Callable[..., Expression]:
        return lambda y, *xs: multiplied(*(x for i, x in enumerate(xs) if i != k))

    return Formula(lambda *xs: multiplied(*xs), tuple(but(k) for k in range(n)))


# -- The numbers --------------------------------------------------------------------------------


class _Flow(Watcher):
    """Hangs in a sweep and keeps what flows into each node and out to each of its inputs."""

    def __init__(self) -> None:
        self.into: dict[Tensor, Any] = {}
        self.out: dict[tuple[Tensor, int], Any] = {}

    def check_unchanged(self, node: Tensor, g: Any) -> None:
        self.into[node] = g

    def check_gradient(self, node: Tensor, i: int, g: Any, gx: Any) -> None:
        assert node._rule is not None
        self.out[node, i] = np.array(_repair(gx, node._values[i], node._rule, i))


def _largest(g: Any) -> tuple[float, tuple[int, ...]]:
    """The entry of largest magnitude, and where it is."""
    if not g.size:
        return 0.0, ()
    at = tuple(int(k) for k in np.unravel_index(np.argmax(np.abs(g)), g.shape))
    return float(g[at]), at


def _difference(nodes: Sequence[Tensor], loss: Tensor, edge: tuple[Tensor, int], at: tuple[int, ...]) -> float:
    """The slope of the result by one entry of what one step takes in: central differences, extrapolated once.

    The step starts at 1e-4 of the entry, and shrinks where the extrapolation says that it was too large.
    """
    node, i = edge
    x = np.array(node._values[i], np.float64)
    if not x.size:
        return 0.0
    later = [n for n in nodes if n._order < node._order]

    def slope(h: float) -> float:
        ends = []
        for move in (h, -h):
            moved = x.copy()
            moved[at] += move
            ends.append(_recomputed(node, later, loss, i, moved))
        return (ends[0] - ends[1]) / (2 * h)

    best = (math.inf, math.nan)
    with np.errstate(all="ignore"):
        for size in (1e-4, 1e-5, 1e-6, 1e-7):
            h = size * max(1.0, abs(float(x[at])))
            coarse, fine = slope(h), slope(h / 2)
            best = min(best, (abs(fine - coarse), (4 * fine - coarse) / 3))
            if best[0] <= 1e-7 * abs(fine):
                break
    return best[1]


def _recomputed(node: Tensor, later: Sequence[Tensor], loss: Tensor, i: int, moved: Any) -> float:
    """The result with one input of ``node`` replaced, in float64; only what depends on it is computed anew."""
    changed: dict[Tensor, Any] = {}
    for n in (node, *later):
        rule = n._rule
        assert rule is not None
        if n is node:
            values = [moved if k == i else _wide(v) for k, v in enumerate(n._values)]
        elif any(isinstance(x, Tensor) and x in changed for x in n._inputs):
            values = [
                changed[x] if isinstance(x, Tensor) and x in changed else _wide(v)
                for x, v in zip(n._inputs, n._values, strict=True)
            ]
        else:
            continue
        changed[n] = np.asarray(rule.forward(*values, **n._options))
    return float(changed[loss].item())


def _wide(v: Any) -> Any:
    return v.astype(np.float64) if isinstance(v, np.ndarray) and v.dtype == np.float32 else v
