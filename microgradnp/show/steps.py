"""A graph as a reader reads it: its steps, a symbol for every value, a letter for every axis.

A step is an operation, or several that are read as one (the sigmoid), with its meaning entry by entry. Derivations are
written from it, and drawings made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Any

import numpy as np

from microgradnp.engine.rules import RULES, Rule
from microgradnp.engine.tensor import Tensor
from microgradnp.nn import functional
from microgradnp.show.expressions import (
    Argument,
    Expression,
    Index,
    Number,
    Symbol,
    expression,
    multiplied,
)
from microgradnp.show.letters import row_in_letters
from microgradnp.show.writing import AXES
from microgradnp.transforms.graph import Operation, is_tracked


@dataclass
class Meaning:
    """A step in index notation: labels for the axes of its result and inputs (None for length 1), and its letters.

    ``value`` and ``partials``, the derivative by each input that a gradient flows to, are written in `Argument`.
    """

    out: tuple[Any, ...]
    into: tuple[tuple[Any, ...], ...]
    value: Expression
    partials: tuple[Expression | None, ...]

    @property
    def bound(self) -> list[Any]:
        """The labels that are summed: those of the inputs that the result lacks."""
        return [label for labels in self.into for label in labels if label is not None and label not in self.out]


@dataclass(eq=False)
class Step:
    """One operation of the graph, or several that are read as one; ``entrances`` are those that take the inputs in."""

    operation: Operation
    inputs: tuple[Any, ...]
    entrances: tuple[tuple[Operation, int], ...]
    meaning: Meaning | None

    @property
    def node(self) -> Tensor:
        """Its result."""
        return self.operation.result

    @property
    def is_sigmoid(self) -> bool:
        """Whether it is several operations that are read as one."""
        return self.entrances[0][0] is not self.operation


class Reading:
    """The steps of a graph, newest first, and how its values and axes are called."""

    def __init__(self, graph: Sequence[Operation]) -> None:
        self.steps = _steps(graph)
        self.names = _names(self.steps)
        self.step_of = {step.node: step for step in self.steps}
        self._letters = _letters(self.steps)

    def name(self, x: Any) -> str:
        """The symbol of an input or result."""
        return self.names[x if isinstance(x, Tensor) else id(x)]

    def symbol(self, x: Any, at: tuple[Index, ...] = ()) -> Expression:
        """A value, or one entry of it; a constant that is a single number, by that number."""
        number = constant(x)
        return Symbol(self.name(x), at) if number is None else expression(number)

    def free(self, x: Any) -> tuple[Index, ...]:
        """Fresh indices for the axes of ``x``, as the letters go along the graph."""
        return tuple(Index(a) for a, n in zip(self._letters[id(x)], np.shape(x), strict=True) if n != 1)

    def indices(self, step: Step, at: Sequence[Index] | None = None) -> dict[Any, Index]:
        """An index for each label of a step, wanting the letter that this axis has elsewhere; ``at`` for its result."""
        assert step.meaning is not None
        letters: dict[Any, Index] = {}
        for x, labels in ((step.node, step.meaning.out), *zip(step.inputs, step.meaning.into, strict=True)):
            for label, letter in zip(labels, self._letters[id(x)], strict=True):
                if label is not None and label not in letters:
                    letters[label] = Index(letter)
        if at is not None:
            letters.update(zip([label for label in step.meaning.out if label is not None], at, strict=True))
        return letters

    def placed(self, step: Step, letters: dict[Any, Index]) -> Iterator[tuple[Any, tuple[Index, ...]]]:
        """Each input of a step with its indices."""
        assert step.meaning is not None
        for x, labels in zip(step.inputs, step.meaning.into, strict=True):
            yield x, indices_at(labels, letters)


def indices_at(labels: Sequence[Any], letters: dict[Any, Index]) -> tuple[Index, ...]:
    """The indices of some labels; an axis of length 1 has none."""
    return tuple(letters[label] for label in labels if label is not None)


def constant(x: Any) -> Any:
    """The value of a constant that is a single number, else None."""
    if isinstance(x, Tensor):
        return x.data.item() if not is_tracked(x) and x.size == 1 and not x.name else None
    return np.asarray(x).item() if np.size(x) == 1 else None


# -- The steps ---------------------------------------------------------------------------------------------------------


def _steps(graph: Sequence[Operation]) -> list[Step]:
    """The steps, newest first; what hides within a sigmoid is none of its own."""
    uses: dict[Tensor, int] = {}
    for o in graph:
        for x in o.tracked:
            uses[x] = uses.get(x, 0) + 1
    by_result = {o.result: o for o in graph if not o.result.name and uses.get(o.result) == 1}
    hidden: set[Operation] = set()
    steps = []
    for o in reversed(graph):
        if o in hidden:
            continue
        inside = _inside_sigmoid(o, by_result)
        hidden.update(inside)
        if inside:
            negation = inside[-1]
            meaning = _elementwise(RULES[functional.sigmoid], negation.inputs, {}, o.result)
            steps.append(Step(o, negation.inputs, ((negation, 0),), meaning))
        else:
            steps.append(Step(o, o.inputs, tuple((o, i) for i in range(len(o.inputs))), _meaning(o)))
    return steps


def _inside_sigmoid(o: Operation, used_once: dict[Tensor, Operation]) -> list[Operation]:
    """The operations within ``1 / (1 + exp(-z))``, the negation last; none if that is not what ``o`` computes."""
    function = o.rule.function
    if not (function is np.reciprocal or (function is np.divide and constant(o.inputs[0]) == 1)):
        return []
    found: list[Operation] = []
    x = o.inputs[-1]
    for wanted in (np.add, np.exp, np.negative):
        inner = used_once.get(x) if isinstance(x, Tensor) else None
        if inner is None or inner.rule.function is not wanted:
            return []
        found.append(inner)
        x = inner.inputs[0]
        if wanted is np.add:
            x = next((inner.inputs[1 - k] for k in (0, 1) if constant(inner.inputs[k]) == 1), None)
    return found


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
            if isinstance(x, Tensor):
                call(x, x.name, "p" if is_tracked(x) else "c")
            elif constant(x) is None:
                call(id(x), None, "c")
        call(step.node, step.node.name, "z")
    names[steps[0].node] = steps[0].node.name or "f"
    return names


def _letters(steps: Sequence[Step]) -> dict[int, tuple[str, ...]]:
    """A letter for each axis, the same along the graph: the axis that the result sums last is ``i``."""
    letters: dict[int, tuple[str, ...]] = {}
    fresh = iter(AXES * 1000)
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


# -- What each row means in index notation -----------------------------------------------------------------------------

# Rows that contract or move axes are linear in each input: the derivative is what stands beside it.


def _meaning(o: Operation) -> Meaning | None:
    """An operation in index notation, or None where it has none."""
    function, y = o.rule.function, o.result
    shapes = [np.shape(x) for x in o.inputs]
    if function in (np.sum, np.mean):
        labels = _labelled(shapes[0])
        axes = range(len(labels)) if o.options["axis"] is None else o.options["axis"]
        kept = [None if k in axes else label for k, label in enumerate(labels)]
        out = kept if o.options["keepdims"] else [label for k, label in enumerate(kept) if k not in axes]
        n = math.prod(shapes[0][k] for k in axes) if function is np.mean else 1
        return _linear(out, [labels], Fraction(1, max(n, 1)))
    if function is np.matmul:
        return _linear(*_matmul(*shapes))
    if function is np.einsum:
        into, _, result = o.options["subscripts"].partition("->")
        places = [_shown(labels, shape) for labels, shape in zip(into.split(","), shapes, strict=True)]
        return _linear(_shown(result, y.shape), places)
    if function is np.transpose:
        labels = _labelled(shapes[0])
        return _linear([labels[k] for k in o.options["axes"]], [labels])
    if function is np.reshape and [n for n in shapes[0] if n != 1] == [n for n in y.shape if n != 1]:
        labels = _labelled(shapes[0])
        rest = iter([label for label in labels if label is not None])
        return _linear([None if n == 1 else next(rest) for n in y.shape], [labels])
    return _elementwise(o.rule, o.inputs, o.options, y)


def _linear(out: Sequence[Any], into: Sequence[tuple[Any, ...]], number: Any = 1) -> Meaning:
    places = [Argument(k) for k in range(len(into))]
    value = multiplied(number, *places)
    return Meaning(tuple(out), tuple(into), value, tuple(value.put({x: Number(1)}) for x in places))


def _elementwise(rule: Rule, inputs: Sequence[Any], options: dict[str, Any], y: Tensor) -> Meaning | None:
    shapes = [np.shape(x) for x in inputs]
    labels = _labelled(y.shape)
    try:
        if np.broadcast_shapes(y.shape, *shapes) != y.shape:
            return None
    except ValueError:
        return None
    numbers = [constant(x) for x in inputs]
    arguments = [
        Argument(k, is_tracked(x)) if number is None else expression(number)
        for k, (x, number) in enumerate(zip(inputs, numbers, strict=True))
    ]
    letters = row_in_letters(rule, arguments, options)
    into = tuple(_shown(labels[len(labels) - len(shape) :], shape) for shape in shapes)
    return None if letters is None else Meaning(labels, into, *letters)


def _labelled(shape: Sequence[int]) -> tuple[Any, ...]:
    return tuple(None if n == 1 else k for k, n in enumerate(shape))


def _shown(labels: Sequence[Any], shape: Sequence[int]) -> tuple[Any, ...]:
    return tuple(None if n == 1 else label for label, n in zip(labels, shape, strict=True))


def _matmul(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[Sequence[Any], list[tuple[Any, ...]]]:
    stack = "".join(chr(ord("A") + k) for k in range(max(len(a), len(b)) - 2))
    left = stack[len(stack) - len(a) + 2 :] + "ij" if len(a) > 1 else "j"
    right = stack[len(stack) - len(b) + 2 :] + "jk" if len(b) > 1 else "j"
    out = stack + ("i" if len(a) > 1 else "") + ("k" if len(b) > 1 else "")
    lengths: dict[str, int] = {}
    for label, n in (*zip(left, a, strict=True), *zip(right, b, strict=True)):
        lengths[label] = max(n, lengths.get(label, 1))
    return [None if lengths[label] == 1 else label for label in out], [_shown(left, a), _shown(right, b)]
