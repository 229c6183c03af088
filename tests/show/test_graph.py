"""The drawing of a graph: everything in it, nothing over anything else, readable at any size."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgradnp import Tensor, nn, show
from microgradnp.show.boxes import READABLE, boxes_of
from microgradnp.show.diagram import STYLES
from microgradnp.show.layout import layered, place


def leaf(*shape, name=None):
    return Tensor(np.random.default_rng(0).uniform(0.5, 1.0, shape), requires_grad=True, name=name)


def network(depth=2, width=3):
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(width, 1))
    return nn.losses.mean_squared_error(model(np.ones((5, width))), np.zeros((5, 1)))


def loop(points):
    W, V, b = (leaf(4, name=name) for name in ("W", "V", "b"))
    total = 0.0
    for k in range(points):
        total += (np.dot(V, 1.0 / (1.0 + np.exp(-(W * (0.5 + k) + b)))) - 1.0) ** 2
    return total


def chain(length):
    x = leaf(3, name="x")
    for _ in range(length):
        x = np.sin(x)
    return np.sum(x)


@st.composite
def random_graphs(draw):
    nodes = [leaf(2, name="a"), leaf(2), np.ones(2)]
    for _ in range(draw(st.integers(1, 25))):
        i, j = draw(st.integers(0, len(nodes) - 1)), draw(st.integers(0, len(nodes) - 1))
        nodes.append(nodes[i] * nodes[j] if draw(st.booleans()) else np.cos(nodes[i]) - nodes[j])
    return np.sum(nodes[-1] + nodes[0])


SOME = {"one": lambda: np.exp(leaf()), "network": network, "deep": lambda: network(20), "loop": lambda: loop(3)}
SOME |= {
    "long loop": lambda: loop(40),
    "chain": lambda: chain(300),
    "wide": lambda: sum(leaf(2) * 2.0 for _ in range(20)),
}


def check_layout(loss):
    boxes = boxes_of(loss)
    rows, bends = layered(boxes)
    place(rows, bends)
    assert len(boxes) <= READABLE
    assert sorted(map(id, boxes)) == sorted(id(b) for row in rows for b in row if b.kind != "bend")
    for row in rows:
        for a, b in pairwise(row):
            assert b.x - a.x >= (a.width + b.width) / 2 + 0.1, (a.lines, b.lines)
    for (start, end), between in bends.items():
        assert [b.layer for b in between] == list(range(start.layer + 1, end.layer))
    for row, below in pairwise(rows):
        assert max(b.y + b.height for b in row) < min(b.y for b in below)
    assert [b.kind for b in boxes].count("result") == 1
    assert boxes[-1].kind == "result"


@pytest.mark.parametrize("name", SOME)
def test_boxes_do_not_touch_and_edges_go_down(name):
    check_layout(SOME[name]())


@given(random_graphs())
def test_so_it_is_for_any_graph(loss):
    check_layout(loss)


@pytest.mark.parametrize("name", SOME)
def test_every_text_is_inside_its_box_and_every_box_inside_the_figure(name):
    from matplotlib.patches import FancyBboxPatch

    figure = show.graph(SOME[name]())
    (axes,) = figure.axes
    renderer = figure.canvas.get_renderer()
    frame = figure.bbox
    boxes = [p.get_window_extent(renderer) for p in axes.patches if isinstance(p, FancyBboxPatch)]
    texts = [t.get_window_extent(renderer) for t in axes.texts]
    assert boxes
    for box in [*boxes, axes.get_legend().get_window_extent(renderer)]:
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1
    for text in texts:
        assert any(b.x0 <= text.x0 and text.x1 <= b.x1 and b.y0 <= text.y0 and text.y1 <= b.y1 for b in boxes)


def test_what_the_boxes_say():
    W, b = leaf(3, name="W"), leaf(name="b0")
    x = Tensor(np.ones((5, 3)), name="x")
    y = 1.0 / (1.0 + np.exp(-(x @ W + b)))
    y.name = "y"
    boxes = boxes_of(np.sum((2.0 * y - 1.5) ** 2 / -3.0))
    lines = [box.lines for box in boxes]
    for expected in (["W", "3"], ["b0"], ["x", "5 × 3"], ["@", "5"], ["y = σ", "5"], ["− 1.5", "5"], ["/ (−3)", "5"]):
        assert expected in lines
    assert lines[-1] == ["f = sum"]
    assert [box.kind for box in boxes if box.lines[0] in ("W", "x", "@")] == ["constant", "parameter", "operation"]


def test_a_large_network_is_drawn_in_its_layers():
    boxes = boxes_of(network(depth=20))
    assert [box.kind for box in boxes[:-1]] == ["layer"] * (len(boxes) - 1)
    assert 5 <= len(boxes) <= READABLE
    assert all(box.inputs == [before] for before, box in pairwise(boxes))
    text = " ".join(line for box in boxes for line in box.lines)
    assert text.count("weight") == 21
    assert "tanh" in text


def test_dot_names_every_node_and_edge():
    loss = loop(2)
    text = show.dot(loss)
    boxes = boxes_of(loss)
    declared = re.findall(r"^  (n\d+) \[label=\"", text, re.MULTILINE)
    edges = re.findall(r"^  (n\d+) -> (n\d+);$", text, re.MULTILINE)
    assert len(declared) == len(set(declared)) == len(boxes)
    assert len(edges) == sum(len(box.inputs) for box in boxes)
    assert {n for edge in edges for n in edge} <= set(declared)
    assert text.startswith("digraph {")
    assert text.endswith("}")


def test_a_name_may_hold_anything():
    x = leaf(2, name='a "quoted" \\ $x_1$')
    assert '"a \\"quoted\\" \\\\ $x_1$\\n2"' in show.dot(np.sum(x * x))
    show.graph(np.sum(x * x)).canvas.draw()


def test_drawing_changes_nothing():
    x = leaf(2)
    loss = np.sum(x * x)
    show.graph(loss)
    show.dot(loss)
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data)


def test_kinds_can_be_told_apart_without_colour():
    assert (
        len({(outline, colour == "#000000", kind == "parameter") for kind, (_, colour, outline) in STYLES.items()}) >= 4
    )


def test_a_leaf_alone():
    assert "w" in show.dot(leaf(2, name="w"))


@pytest.mark.parametrize(
    ("loss", "kind"), [(lambda: 3.0, TypeError), (lambda: Tensor(3.0), RuntimeError), (lambda: _freed(), RuntimeError)]
)
def test_what_cannot_be_drawn_is_refused(loss, kind):
    for draw in (show.graph, show.dot):
        with pytest.raises(kind):
            draw(loss())


def _freed():
    loss = np.sum(leaf(2) * 2.0)
    loss.backward()
    return loss
