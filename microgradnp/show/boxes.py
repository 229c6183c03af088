"""What is drawn of a graph: a box for each operation and each input, with the lines of text that stand in it.

A graph too large to read becomes boxes of several operations each, one for each layer of weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradnp.engine.rules import SYMBOLS
from microgradnp.engine.tensor import Tensor
from microgradnp.show.steps import Reading, Step, constant, graph_of, key
from microgradnp.signatures import name_of
from microgradnp.transforms.graph import is_tracked

READABLE = 60
"""So many nodes are drawn one by one; of more, each layer becomes a box."""

TYPESET = {"-": "−", "*": "×", "**": "^"}
"""The signs that stand otherwise on paper than in Python."""


@dataclass(eq=False)
class Box:
    """One node of the drawing, its middle at ``x`` and its top at ``y``."""

    kind: str
    lines: list[str]
    inputs: list[Box] = field(default_factory=list)
    layer: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        """In inches, for text of 8 points."""
        return max(0.075 * max(map(len, self.lines)) + 0.2, 0.55)

    @property
    def height(self) -> float:
        """In inches."""
        return 0.15 * len(self.lines) + 0.12


def boxes_of(loss: Tensor) -> list[Box]:
    """The boxes of a graph, inputs before what uses them."""
    graph = graph_of(loss, "a drawing")
    if not graph:
        return [Box("parameter", [loss.name or "leaf", *_shape(loss)])]
    reading = Reading(graph)
    boxes = _one_by_one(reading)
    return boxes if len(boxes) <= READABLE else _collapsed(reading)


# -- One by one --------------------------------------------------------------------------------------------------------


def _one_by_one(reading: Reading) -> list[Box]:
    boxes: dict[Any, Box] = {}
    last = reading.steps[0]
    for step in reversed(reading.steps):
        inputs = [x for x in step.inputs if constant(x) is None]
        for x in inputs:
            if key(x) not in boxes:
                boxes[key(x)] = Box("parameter" if is_tracked(x) else "constant", [reading.name(x), *_shape(x)])
        called = _operation(step)
        if step.node.name or step is last:
            called = f"{reading.name(step.node)} = {called}"
        kind = "result" if step is last else "operation"
        before = list(dict.fromkeys(boxes[key(x)] for x in inputs))
        boxes[step.node] = Box(kind, [called, *_shape(step.node)], before)
    return list(boxes.values())


def _shape(x: Any) -> list[str]:
    shape = np.shape(x)
    return [" × ".join(map(str, shape))] if shape else []


def _operation(step: Step) -> str:
    """The operation by its sign or name, a number that it takes in beside it."""
    name = _name(step)
    if step.is_sigmoid:
        return name
    numbers = [constant(x) for x in step.inputs]
    if step.operation.rule.function in SYMBOLS:
        texts = ["" if n is None else _number(n) for n in numbers]
        return f"{texts[0]} {name} {texts[1]}".strip()
    beside = ", ".join(_number(n) for n in numbers if n is not None)
    return f"{name}({beside})" if beside else name


def _name(step: Step) -> str:
    """The operation by its sign, as it is typeset, or its name."""
    if step.is_sigmoid:
        return "σ"
    function = step.operation.rule.function
    sign = SYMBOLS.get(function)
    return TYPESET.get(sign, sign) if sign else name_of(function).removeprefix("np.")


def _number(n: Any) -> str:
    return f"(−{-n:.3g})" if n < 0 else f"{n:.3g}"


# -- In groups ---------------------------------------------------------------------------------------------------------


def _collapsed(reading: Reading) -> list[Box]:
    """One box for all operations behind the same number of weights; without weights, for as many steps each."""
    steps = reading.steps[::-1]
    depth: dict[Tensor, int] = {}
    rank: dict[Tensor, int] = {}
    for step in steps:
        inner = [x for x in step.inputs if isinstance(x, Tensor) and x in depth]
        weighs = step.operation.rule.function in (np.matmul, np.einsum, np.convolve) and bool(_leaves(step))
        depth[step.node] = max((depth[x] for x in inner), default=0) + weighs
        rank[step.node] = max((rank[x] for x in inner), default=-1) + 1
    if not max(depth.values()):
        depth = rank
    size = -(-(max(depth.values()) + 1) // (READABLE // 3))
    groups: dict[int, list[Step]] = {}
    for step in steps:
        groups.setdefault(depth[step.node] // size, []).append(step)
    boxes = {k: _group(groups[k], reading) for k in sorted(groups)}
    own = {step.node: k for k, group in groups.items() for step in group}
    for k, group in groups.items():
        before = {own[x] for step in group for x in step.inputs if isinstance(x, Tensor) and x in own} - {k}
        boxes[k].inputs = [boxes[j] for j in sorted(before)]
    return list(boxes.values())


def _group(steps: list[Step], reading: Reading) -> Box:
    leaves = list(dict.fromkeys(x for step in steps for x in _leaves(step)))
    names = [_operation(step) for step in steps]
    counts = Counter(
        _name(step) if any(c.isdigit() for c in name) else name for step, name in zip(steps, names, strict=True)
    )
    shown = [f"{name} ({n})" if n > 1 else name for name, n in counts.most_common(6)]
    lines = [", ".join(part) for part in _in_rows(shown + (["…"] if len(counts) > 6 else []), 3)]
    parameters = [" ".join([reading.name(x), *_shape(x)]) for x in leaves[:4]]
    lines += [", ".join(part) for part in _in_rows(parameters + (["…"] if len(leaves) > 4 else []), 2)]
    return Box("result" if reading.steps[0] in steps else "layer", lines)


def _leaves(step: Step) -> list[Tensor]:
    return [x for x in step.inputs if is_tracked(x) and x.is_leaf]


def _in_rows(parts: list[str], n: int) -> Iterable[list[str]]:
    return (parts[i : i + n] for i in range(0, len(parts), n))
