"""A graph as a reader reads it: its steps, a symbol for every value, a letter for every axis.

A step is an operation, or several that are read as one (the sigmoid), with its meaning entry by entry. Derivations are
written from it, and drawings made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
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
    totalled,
)
from microgradnp.show.letters import row_in_letters
from microgradnp.show.writing import AXES
from microgradnp.transforms.graph import Operation, is_tracked, operations


@dataclass
class Meaning:
    """A step in index notation: labels for the axes of its result and inputs (None for length 1), and its letters.

    ``value`` and ``partials``, the derivative by each input that a gradient flows to, are written in `Argument`.
    """

    out: tuple[Any, ...]
    into: tuple[tuple[Any, ...], ...]
    value: Expression
    partials: tuple[Expression | None, ...]


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


def graph_of(loss: Any, what: str) -> list[Operation]:
    """The graph that is to be shown: no operations, if ``loss`` is a leaf.

    Raises
    ------
    TypeError
        If ``loss`` is no Tensor.
    RuntimeError
        If it is not part of a graph, or its graph is freed.
    """
    if not isinstance(loss, Tensor):
        raise TypeError(f"{what} takes a Tensor; got {type(loss).__name__}.")
    with suppress(RuntimeError):
        if is_tracked(loss):
            return operations([loss])
    raise RuntimeError(
        f"{what} finds no graph: nothing this Tensor was computed from wants a gradient, or backward() has freed it. "
        "Call it before backward(), or keep the graph with backward(retain_graph=True)."
    )


class Reading:
    """The steps of a graph, newest first, and how its values and axes are called."""

    def __init__(self, graph: Sequence[Operation]) -> None:
        self.steps = _steps(graph)
        self.names = _names(self.steps)
        self.step_of = {step.node: step for step in self.steps}
        self._letters = _letters(self.steps)

    def name(self, x: Any) -> str:
        """The symbol of an input or result."""
        return self.names[key(x)]

    def symbol(self, x: Any, at: tuple[Index, ...] = ()) -> Expression:
        """A value, or one entry of it; a constant that is a single number, by that number."""
        number = constant(x)
        return Symbol(self.name(x), at) if number is None else expression(number)

    def free(self, x: Any) -> tuple[Index, ...]:
        """Fresh indices for the axes of ``x``, as the letters go along the graph."""
        return tuple(Index(a) for a, n in zip(self._letters[id(x)], np.shape(x), strict=True) if n != 1)

    def entries(self, step: Step, read: Callable[..., Expression], at: Sequence[Index] | None = None) -> Meaning:
        """A step at the indices ``at`` of its result, or fresh ones: its meaning with indices in place of labels.

        Each input is read by ``read(x, indices)``.
        """
        meaning = step.meaning
        assert meaning is not None
        index: dict[Any, Index] = {}
        for x, labels in zip((step.node, *step.inputs), (meaning.out, *meaning.into), strict=True):
            for label, letter in zip(labels, self._letters[id(x)], strict=True):
                index.setdefault(label, Index(letter))
        if at is not None:
            index.update(zip([label for label in meaning.out if label is not None], at, strict=True))
        out, *into = (tuple(index[k] for k in labels if k is not None) for labels in (meaning.out, *meaning.into))
        inputs: dict[Expression, Expression] = {
            Argument(k): read(x, place) for k, (x, place) in enumerate(zip(step.inputs, into, strict=True))
        }
        value = totalled([i for place in into for i in place if i not in out], meaning.value.put(inputs))
        partials = tuple(None if partial is None else partial.put(inputs) for partial in meaning.partials)
        return Meaning(out, tuple(into), value, partials)


def key(x: Any) -> Any:
    """By what an input is known: a Tensor by itself, an array by its place."""
    return x if isinstance(x, Tensor) else id(x)


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

    def call(x: Any, letter: str) -> None:
        if key(x) in names:
            return
        name = getattr(x, "name", None)
        candidates = [name, *(f"{name}_{k}" for k in range(2, 100))] if name else (f"{letter}{k}" for k in count(1))
        names[key(x)] = next(c for c in candidates if c not in taken)
        taken.add(names[key(x)])

    for step in reversed(steps):
        for x in step.inputs:
            if isinstance(x, Tensor) or constant(x) is None:
                call(x, "p" if is_tracked(x) else "c")
        call(step.node, "z")
    names[steps[0].node] = steps[0].node.name or "f"
    return names


def _letters(steps: Sequence[Step]) -> dict[int, tuple[str, ...]]:
    """A letter for each axis, the same along the graph: the axis that the result sums last is ``i``."""
    letters: dict[int, tuple[str, ...]] = {}
    fresh = iter(AXES * 1000)
    for step in steps:
        values = (step.node, *step.inputs)
        if step.meaning is None:
            labelled = [_shown([object() for _ in np.shape(x)], np.shape(x)) for x in values]
        else:
            labelled = [step.meaning.out, *step.meaning.into]
        of_label: dict[Any, str] = {None: ""}
        for x, labels in zip(values, labelled, strict=True):
            if id(x) not in letters:
                letters[id(x)] = tuple(of_label[k] if k in of_label else next(fresh) for k in labels)
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
    if function in (np.matmul, np.einsum):
        subscripts = _matmul(*map(len, shapes)) if function is np.matmul else o.options["subscripts"]
        into, _, result = subscripts.partition("->")
        return _linear(_shown(result, y.shape), list(map(_shown, into.split(","), shapes)))
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


def _matmul(m: int, n: int) -> str:
    """The subscripts of a product of arrays with so many axes: stacks of matrices, matrices or vectors."""
    stack = "".join(chr(ord("A") + k) for k in range(max(m, n) - 2))
    left = stack[len(stack) - m + 2 :] + "ij" if m > 1 else "j"
    right = stack[len(stack) - n + 2 :] + "jk" if n > 1 else "j"
    return f"{left},{right}->{stack}{'i' if m > 1 else ''}{'k' if n > 1 else ''}"
