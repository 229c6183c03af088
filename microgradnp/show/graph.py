"""The graph drawn: operations and what goes into them, in layers from the inputs down to the result.

The layers are those of Sugiyama, Tagawa and Toda: every node below its inputs, crossings reduced by moving each node to
the middle of its neighbours. A graph too large to read is drawn in boxes, one for each layer of weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from microgradnp.engine.rules import name_of
from microgradnp.engine.sweep import FREED
from microgradnp.engine.tensor import Tensor
from microgradnp.show.explain import Step, _constant, _names, _steps, nodes_of
from microgradnp.show.figures import ORANGE, SKY, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READABLE = 60
"""So many nodes are drawn one by one; of more, each layer becomes a box."""

# Kinds of node: fill, outline, how the outline is drawn. Told apart in grey too, by the outline.
STYLES: dict[str, tuple[str, str, Literal["solid", "dashed"]]] = {
    "parameter": ("#FBE3B6", ORANGE, "solid"),
    "constant": ("#F2F2F2", "#777777", "dashed"),
    "operation": ("#DDEFFA", SKY, "solid"),
    "layer": ("#DDEFFA", SKY, "solid"),
    "result": ("#FFFFFF", "#000000", "solid"),
}


@dataclass(eq=False)
class Box:
    """One node of the drawing."""

    kind: str
    lines: list[str]
    inputs: list[Box] = field(default_factory=list)
    layer: int = 0
    x: float = 0.0

    @property
    def width(self) -> float:
        """In inches, for text of 8 points."""
        return max(0.075 * max(map(len, self.lines)) + 0.2, 0.55)

    @property
    def height(self) -> float:
        """In inches."""
        return 0.15 * len(self.lines) + 0.12


def graph(loss: Tensor) -> Figure:
    """Draw the graph of a Tensor as a matplotlib Figure.

    Each operation shows what it is called and the shape of its value; a leaf that wants a gradient, its name and shape;
    a number stands within the operation that takes it in. A graph of more than 60 nodes is drawn in boxes, one for each
    layer of weights.

    Raises
    ------
    TypeError
        If ``loss`` is no Tensor.
    RuntimeError
        If it is not part of a graph, or its graph is freed.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import show
    >>> w = mg.Tensor([1.0, 2.0], requires_grad=True, name="w")
    >>> figure = show.graph(np.sum(w * w))
    >>> figure.savefig("graph.png")  # doctest: +SKIP
    """
    boxes = _boxes(loss)
    rows, bends = _layered(boxes)
    tops = _placed(rows, bends)
    everything = [box for row in rows for box in row]
    left, right = min(b.x - b.width / 2 for b in everything), max(b.x + b.width / 2 for b in everything)
    bottom = tops[-1] + max(box.height for box in rows[-1])
    width, height = max(right - left + 0.3, 4.2), bottom + 0.6
    figure = blank(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    middle = (left + right) / 2
    axes.set(xlim=(middle - width / 2, middle + width / 2), ylim=(bottom + 0.15, -0.45), aspect="equal")
    _draw(axes, boxes, bends, tops)
    _legend(axes, boxes, middle)
    return figure


def dot(loss: Tensor) -> str:
    """The same graph as text for Graphviz: ``dot -Tsvg`` draws it.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import show
    >>> print(show.dot(np.exp(mg.Tensor(1.0, requires_grad=True, name="w"))))
    digraph {
      node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];
      n0 [label="w", fillcolor="#FBE3B6", color="#E69F00"];
      n1 [label="f = exp", fillcolor="#FFFFFF", color="#000000"];
      n0 -> n1;
    }
    """
    boxes = _boxes(loss)
    number = {box: k for k, box in enumerate(boxes)}
    lines = ["digraph {", '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];']
    for box in boxes:
        fill, colour, outline = STYLES[box.kind]
        label = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in box.lines)
        dashed = ', style="rounded,filled,dashed"' if outline == "dashed" else ""
        lines.append(f'  n{number[box]} [label="{label}", fillcolor="{fill}", color="{colour}"{dashed}];')
    lines += [f"  n{number[x]} -> n{number[box]};" for box in boxes for x in box.inputs]
    return "\n".join([*lines, "}"])


# -- What is drawn ----------------------------------------------------------------------------


def _boxes(loss: Tensor) -> list[Box]:
    """The boxes of a graph, inputs before what uses them."""
    if not isinstance(loss, Tensor):
        raise TypeError(f"a graph is drawn of a Tensor; got {type(loss).__name__}.")
    nodes = nodes_of(loss) if loss._tracked else []
    if not loss._tracked or any(node._rule is FREED for node in nodes):
        raise RuntimeError(
            "this Tensor has no graph to draw: nothing it was computed from wants a gradient, or backward() has freed "
            "it. Draw before backward(), or keep the graph with backward(retain_graph=True)."
        )
    if loss._rule is None:
        return [Box("parameter", [loss.name or "leaf", *_shape(loss)])]
    steps = _steps(nodes)[::-1]
    names = _names(steps[::-1])
    boxes = _one_by_one(steps, names)
    return boxes if len(boxes) <= READABLE else _collapsed(steps, names)


def _one_by_one(steps: list[Step], names: dict[Any, str]) -> list[Box]:
    boxes: dict[Any, Box] = {}
    for step in steps:
        for x in step.inputs:
            key = x if isinstance(x, Tensor) else id(x)
            if key not in boxes and _constant(x) is None:
                kind = "parameter" if isinstance(x, Tensor) and x._tracked else "constant"
                boxes[key] = Box(kind, [names[key], *_shape(x)])
        node = step.node
        called = f"{names[node]} = {_operation(step)}" if node.name or node is steps[-1].node else _operation(step)
        inputs = [boxes[x if isinstance(x, Tensor) else id(x)] for x in step.inputs if _constant(x) is None]
        kind = "result" if node is steps[-1].node else "operation"
        boxes[node] = Box(kind, [called, *_shape(node)], list(dict.fromkeys(inputs)))
    return list(boxes.values())


def _shape(x: Any) -> list[str]:
    shape = np.shape(x)
    return [" × ".join(map(str, shape))] if shape else []


_SIGNS = {np.add: "+", np.subtract: "−", np.multiply: "×", np.divide: "/", np.power: "^", np.matmul: "@"}


def _function(step: Step) -> Any:
    rule = step.node._rule
    assert rule is not None
    return rule.function


def _operation(step: Step) -> str:
    """The operation by its sign or name, a number that it takes in beside it."""
    if len(step.inputs) == 1 and step.edges[0][0] is not step.node:
        return "σ"  # several operations that are read as one
    function = _function(step)
    sign = _SIGNS.get(function)
    numbers = [_constant(x) for x in step.inputs]
    if sign and len(numbers) == 2:
        texts = ["" if n is None else _number(n) for n in numbers]
        return f"{texts[0]} {sign} {texts[1]}".strip()
    name = name_of(function).removeprefix("np.")
    beside = ", ".join(_number(n) for n in numbers if n is not None)
    return f"{name}({beside})" if beside else name


def _number(n: Any) -> str:
    return f"(−{-n:.3g})" if n < 0 else f"{n:.3g}"


def _collapsed(steps: list[Step], names: dict[Any, str]) -> list[Box]:
    """One box for all operations behind the same number of weights; without weights, for as many steps each."""
    depth: dict[Tensor, int] = {}
    rank: dict[Tensor, int] = {}
    for step in steps:
        inner = [x for x in step.inputs if isinstance(x, Tensor) and x in depth]
        weighs = _function(step) in (np.matmul, np.einsum, np.convolve) and any(
            isinstance(x, Tensor) and x._tracked and x._rule is None for x in step.inputs
        )
        depth[step.node] = max((depth[x] for x in inner), default=0) + weighs
        rank[step.node] = max((rank[x] for x in inner), default=-1) + 1
    if not max(depth.values()):
        depth = rank
    most = READABLE // 3
    size = -(-(max(depth.values()) + 1) // most)
    groups: dict[int, list[Step]] = {}
    for step in steps:
        groups.setdefault(depth[step.node] // size, []).append(step)
    boxes: dict[int, Box] = {}
    for k in sorted(groups):
        boxes[k] = _group(groups[k], names, steps[-1])
    own = {step.node: k for k, group in groups.items() for step in group}
    for k, group in groups.items():
        before = {own[x] for step in group for x in step.inputs if isinstance(x, Tensor) and x in own} - {k}
        boxes[k].inputs = [boxes[j] for j in sorted(before)]
    return [boxes[k] for k in sorted(boxes)]


def _group(steps: list[Step], names: dict[Any, str], last: Step) -> Box:
    leaves = dict.fromkeys(
        x for step in steps for x in step.inputs if isinstance(x, Tensor) and x._tracked and x._rule is None
    )
    counts = Counter(
        _operation(step) if not any(c.isdigit() for c in _operation(step)) else _plain(step) for step in steps
    )
    shown = [f"{name} ({n})" if n > 1 else name for name, n in counts.most_common(6)]
    lines = [", ".join(part) for part in _in_rows(shown + (["…"] if len(counts) > 6 else []), 3)]
    parameters = [f"{names[x]} {' × '.join(map(str, x.shape))}".strip() for x in list(leaves)[:4]]
    lines += [", ".join(part) for part in _in_rows(parameters + (["…"] if len(leaves) > 4 else []), 2)]
    return Box("result" if last in steps else "layer", lines)


def _plain(step: Step) -> str:
    return _SIGNS.get(_function(step)) or name_of(_function(step)).removeprefix("np.")


def _in_rows(parts: list[str], n: int) -> Iterable[list[str]]:
    return (parts[i : i + n] for i in range(0, len(parts), n))


# -- Where it is drawn --------------------------------------------------------------------------


def _layered(boxes: list[Box]) -> tuple[list[list[Box]], dict[tuple[Box, Box], list[Box]]]:
    """The boxes by rows, and for every edge the bends where it passes through rows between."""
    users: dict[Box, list[Box]] = {box: [] for box in boxes}
    for box in boxes:
        box.layer = max((x.layer for x in box.inputs), default=-1) + 1
        for x in box.inputs:
            users[x].append(box)
    for box in reversed(boxes):
        if not box.inputs and users[box]:  # a leaf stands right above what uses it first
            box.layer = min(u.layer for u in users[box]) - 1
    lowest = min(box.layer for box in boxes)
    rows: list[list[Box]] = [[] for _ in range(max(box.layer for box in boxes) - lowest + 1)]
    for box in boxes:
        box.layer -= lowest
        rows[box.layer].append(box)
    bends: dict[tuple[Box, Box], list[Box]] = {}
    for box in boxes:
        for x in box.inputs:
            bends[x, box] = [Box("bend", [""], layer=k) for k in range(x.layer + 1, box.layer)]
            for bend in bends[x, box]:
                rows[bend.layer].append(bend)
    return rows, bends


def _placed(rows: list[list[Box]], bends: dict[tuple[Box, Box], list[Box]], gap: float = 0.25) -> list[float]:
    """Order each row by the middle of its neighbours, give every box its ``x``; return the top of each row."""
    neighbours = _neighbours(bends)
    for row in rows:
        _spread(row, [float(k) for k in range(len(row))], gap)
    for sweep in range(60):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = {box: _middle(box, neighbours.get(box, [])) for box in row}
            row.sort(key=wanted.__getitem__)
            _spread(row, [wanted[box] for box in row], gap)
    tops, top = [], 0.0
    for row in rows:
        tops.append(top)
        top += max(box.height for box in row) + 0.38
    return tops


def _middle(box: Box, near: list[Box]) -> float:
    """Where a box wants to be: amid its neighbours, those with no inputs aside."""
    firm = [n for n in near if n.inputs or n.kind == "bend"] or near
    return sum(n.x for n in firm) / len(firm) if firm else box.x


def _neighbours(bends: dict[tuple[Box, Box], list[Box]]) -> dict[Box, list[Box]]:
    near: dict[Box, list[Box]] = {}
    for (start, end), between in bends.items():
        for a, b in pairwise((start, *between, end)):
            near.setdefault(a, []).append(b)
            near.setdefault(b, []).append(a)
    return near


def _spread(row: list[Box], wanted: list[float], gap: float) -> None:
    """Place a row's boxes, in their order, as near as they fit to where they want to be.

    Less the room that those before it take, no box may stand left of the one before: the nearest such places, in the
    mean of squares, come from pooling neighbours that want to pass each other. What has no inputs gives way.
    """
    room = [0.0]
    for a, b in pairwise(row):
        room.append(room[-1] + (a.width + b.width) / 2 + gap)
    pools: list[tuple[float, float, int]] = []  # place, weight, how many boxes
    for box, x, before in zip(row, wanted, room, strict=True):
        pool = (x - before, 1.0 if box.inputs or box.kind == "bend" else 0.01, 1)
        while pools and pools[-1][0] > pool[0]:
            place, weight, n = pools.pop()
            total = weight + pool[1]
            pool = ((place * weight + pool[0] * pool[1]) / total, total, n + pool[2])
        pools.append(pool)
    places = [place for place, _, n in pools for _ in range(n)]
    for box, place, before in zip(row, places, room, strict=True):
        box.x = place + before


# -- Drawing --------------------------------------------------------------------------------------


def _draw(axes: Axes, boxes: list[Box], bends: dict[tuple[Box, Box], list[Box]], tops: list[float]) -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path

    for (start, end), between in bends.items():
        points = [(start.x, tops[start.layer] + start.height)]
        points += [(b.x, tops[b.layer] + 0.15) for b in between]
        points.append((end.x, tops[end.layer]))
        vertices, codes = [points[0]], [Path.MOVETO]
        for (x0, y0), (x1, y1) in pairwise(points):
            half = (y0 + y1) / 2
            vertices += [(x0, half), (x1, half), (x1, y1)]
            codes += [Path.CURVE4] * 3
        path = Path(vertices, codes)
        axes.add_patch(
            FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=8, color="#444444", linewidth=0.9, zorder=1)
        )
    for box in boxes:
        fill, colour, outline = STYLES[box.kind]
        corner = (box.x - box.width / 2, tops[box.layer])
        axes.add_patch(
            FancyBboxPatch(
                corner, box.width, box.height, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=fill, edgecolor=colour, linestyle=outline, linewidth=1.4, zorder=2,
            )
        )  # fmt: skip
        for k, line in enumerate(box.lines):
            y = tops[box.layer] + 0.06 + 0.15 * (k + 0.5)
            axes.text(box.x, y, line, fontsize=8, ha="center", va="center", zorder=3, color="black", parse_math=False)


def _legend(axes: Axes, boxes: list[Box], middle: float) -> None:
    from matplotlib.patches import Patch

    kinds = [kind for kind in STYLES if any(box.kind == kind for box in boxes)]
    handles = [
        Patch(facecolor=STYLES[k][0], edgecolor=STYLES[k][1], linestyle=STYLES[k][2], linewidth=1.4, label=k)
        for k in kinds
    ]
    axes.legend(
        handles=handles, loc="upper center", ncols=len(handles), fontsize=8, frameon=False, borderaxespad=0.2,
        handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip
