"""The graph of a Tensor drawn by matplotlib, or as text for Graphviz."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from microgradnp.engine.tensor import Tensor
from microgradnp.show.boxes import Box, boxes_of
from microgradnp.show.figures import ORANGE, SKY, blank
from microgradnp.show.layout import layered, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Kinds of node: fill, outline, how the outline is drawn. Told apart in grey too, by the outline.
STYLES: dict[str, tuple[str, str, Literal["solid", "dashed"]]] = {
    "parameter": ("#FBE3B6", ORANGE, "solid"),
    "constant": ("#F2F2F2", "#777777", "dashed"),
    "operation": ("#DDEFFA", SKY, "solid"),
    "layer": ("#DDEFFA", SKY, "solid"),
    "result": ("#FFFFFF", "#000000", "solid"),
}


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
    boxes = boxes_of(loss)
    rows, bends = layered(boxes)
    place(rows, bends)
    everything = [box for row in rows for box in row]
    left, right = min(b.x - b.width / 2 for b in everything), max(b.x + b.width / 2 for b in everything)
    bottom = max(box.y + box.height for box in rows[-1])
    width, height = max(right - left + 0.3, 4.2), bottom + 0.6
    figure = blank(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    middle = (left + right) / 2
    axes.set(xlim=(middle - width / 2, middle + width / 2), ylim=(bottom + 0.15, -0.45), aspect="equal")
    _draw(axes, boxes, bends)
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
    boxes = boxes_of(loss)
    number = {box: k for k, box in enumerate(boxes)}
    lines = ["digraph {", '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];']
    for box in boxes:
        fill, colour, outline = STYLES[box.kind]
        label = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in box.lines)
        dashed = ', style="rounded,filled,dashed"' if outline == "dashed" else ""
        lines.append(f'  n{number[box]} [label="{label}", fillcolor="{fill}", color="{colour}"{dashed}];')
    lines += [f"  n{number[x]} -> n{number[box]};" for box in boxes for x in box.inputs]
    return "\n".join([*lines, "}"])


def _draw(axes: Axes, boxes: list[Box], bends: dict[tuple[Box, Box], list[Box]]) -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path

    for (start, end), between in bends.items():
        points = [(start.x, start.y + start.height), *((b.x, b.y + 0.15) for b in between), (end.x, end.y)]
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
        axes.add_patch(
            FancyBboxPatch(
                (box.x - box.width / 2, box.y), box.width, box.height, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=fill, edgecolor=colour, linestyle=outline, linewidth=1.4, zorder=2,
            )
        )  # fmt: skip
        for k, line in enumerate(box.lines):
            y = box.y + 0.06 + 0.15 * (k + 0.5)
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
