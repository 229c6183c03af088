"""The derivation: its formulas, evaluated, are the gradients; its numbers are the finite differences."""

import contextlib
import re

import numpy as np
import pytest
from formulas import check, gradients_by_formula, leaf
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import Tensor, nn, show
from microgradnp.nn import functional

# -- The document's network ---------------------------------------------------------------------------------------


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def network(points, hidden, activation, seed=0):
    generator = np.random.default_rng(seed)
    W, V, bs = (Tensor(generator.standard_normal(hidden), requires_grad=True, name=name) for name in ("W", "V", "bs"))
    b0 = Tensor(generator.standard_normal(), requires_grad=True, name="b0")
    x = Tensor(generator.standard_normal((points, 1)), name="x")
    y = Tensor(generator.standard_normal(points), name="y")
    g = activation(W * x + bs) @ V + b0 - y
    g.name = "g"
    return np.sum(g**2), (W, V, bs, b0)


@pytest.mark.parametrize("activation", [sigmoid, functional.sigmoid])
def test_the_four_formulas_of_the_chapter(activation):
    loss, leaves = network(5, 3, activation)
    d = check(loss, *leaves)
    assert d.formulas == {
        "W": "∂f/∂W_j = Σ_i 2 g_i V_j σ'(W_j x_i + bs_j) x_i",
        "V": "∂f/∂V_j = Σ_i 2 g_i σ(W_j x_i + bs_j)",
        "bs": "∂f/∂bs_j = Σ_i 2 g_i V_j σ'(W_j x_i + bs_j)",
        "b0": "∂f/∂b0 = Σ_i 2 g_i",
    }
    text = str(d)
    assert "σ'(z) = exp(−z) / (1 + exp(−z))²" in text
    assert "Every gradient agrees with its finite difference." in text


def test_the_four_formulas_in_latex():
    d = show.derivation(network(5, 3, sigmoid)[0])
    assert r"\frac{\partial f}{\partial b_{0}} &= \sum_{i} 2 g_{i}" in d.markdown()
    assert r"\sum_{i} 2 g_{i} V_{j} \sigma'\left(W_{j} x_{i} + \mathrm{bs}_{j}\right) x_{i}" in d.markdown()
    assert d._repr_markdown_() == d.markdown()


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([sigmoid, np.tanh, functional.relu, np.sin, np.exp]))
def test_any_size_and_activation(points, hidden, activation):
    loss, leaves = network(points, hidden, activation)
    check(loss, *leaves)


def test_the_chapters_own_loop_over_points():
    """Forty points are forty terms alike: the first and the last are shown."""
    generator = np.random.default_rng(0)
    W, V, b = (Tensor(generator.standard_normal(4), requires_grad=True, name=name) for name in ("W", "V", "b"))
    b0 = Tensor(0.5, requires_grad=True, name="b0")
    x, y = generator.standard_normal(40), generator.standard_normal(40)
    loss = 0.0
    for i in range(len(x)):
        loss += (np.dot(V, sigmoid(W * x[i] + b)) + b0 - y[i]) ** 2
    d = show.derivation(loss)
    assert d.agrees
    assert "more like these) …" in d.formulas["W"]
    assert all(len(line) < 300 for line in d.formulas.values())


# -- Other graphs ---------------------------------------------------------------------------------------------------


def test_a_deep_network_of_layers():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    x, y = np.random.default_rng(0).standard_normal((2, 4, 2))
    d = check(nn.losses.mean_squared_error(model(x), y), *model.parameters())
    assert len(d.formulas) >= 6


GRAPHS = {
    "a node used twice": lambda a, v: np.sum((a @ v) * (a @ v) + np.exp(a @ v)),
    "a leaf used in many places": lambda a, v: np.sum(a.T @ a) + np.einsum("ij,i,j->", a, v, v) + np.mean(a * v),
    "an outer product of one vector": lambda a, v: np.sum(np.outer(v, v) * a),
    "means over axes": lambda a, v: np.sum(np.mean(a, axis=0) * np.sum(a, axis=1, keepdims=True) / v),
    "broadcasting up and down": lambda a, v: np.sum(v[:, None] * np.ones((3, 2)) + np.sum(a)) ** 2,
    "powers and quotients": lambda a, v: np.sum(a**3 / (1 + v) ** 0.5 - 1 / a) * 0.25 + np.sum(v**v),
    "only sums": lambda a, v: np.sum(a) + np.sum(v),
    "constants": lambda a, v: np.sum(np.array([[2.0], [3.0], [4.0]]) * a - 5.0 * v) + 1,
    "a diamond of doublings": lambda a, v: np.sum(_doubled(v, 12)) + a[0, 0] * 0,
    "a choice": lambda a, v: np.sum(np.where(np.array([True, False, True]), a, v * a) + np.maximum(a, v + 2.0)),
    "a stack of matrices": lambda a, v: np.sum(np.matmul(np.ones((2, 3, 3)), a) @ v),
}


def _doubled(x, times):
    for _ in range(times):
        x = x + x
    return x


@pytest.mark.parametrize("graph", [name for name in GRAPHS if name != "a diamond of doublings"])
@pytest.mark.parametrize("dtype", [np.float64])
def test_formulas_of_many_graphs(graph, dtype):
    a, v = leaf(3, 3, name="A", dtype=dtype), leaf(3, name="v", seed=2, dtype=dtype)
    loss = GRAPHS[graph](a, v)
    d = show.derivation(loss)
    if any(step.meaning is None for step in d.steps):
        assert d.agrees
    else:
        check(loss, a, v)


@st.composite
def readable_graphs(draw):
    """A random graph of operations that all have a formula, on two matrices, a vector and a number."""
    leaves = [leaf(2, 3, name="A"), leaf(3, 2, name="B", seed=2), leaf(3, name="v", seed=3), leaf(name="s", seed=4)]
    nodes = list(leaves)
    for _ in range(draw(st.integers(1, 7))):
        x, y = nodes[draw(st.integers(0, len(nodes) - 1))], nodes[draw(st.integers(0, len(nodes) - 1))]
        choices = [
            np.sin,
            lambda x: x * 0.5 - 1.0,
            lambda x: np.tanh(x) / 2.0,
            np.sum,
            lambda x: np.mean(x, keepdims=True),
        ]
        if x.ndim == 2:
            choices += [np.transpose, lambda x: np.sum(x, axis=0), lambda x: x @ x.T, lambda x: np.mean(x, axis=1)]
        node = choices[draw(st.integers(0, len(choices) - 1))](x)
        if x.ndim and y.ndim and x.shape[-1] == y.shape[-2 if y.ndim > 1 else 0] and draw(st.booleans()):
            node = x @ y
        elif draw(st.booleans()):
            with contextlib.suppress(ValueError):
                node = draw(st.sampled_from([np.add, np.multiply, np.subtract]))(x, y)
        nodes.append(node)
    return sum(np.sum(np.cos(node)) for node in nodes[-2:]), leaves


@given(readable_graphs())
def test_formulas_of_random_graphs(drawn):
    loss, leaves = drawn
    d = show.derivation(loss)
    loss.backward()
    found = gradients_by_formula(d)
    for x in leaves:
        if x in d.names:
            np.testing.assert_allclose(found[d.names[x]], np.squeeze(x.grad), rtol=1e-8, atol=1e-10)
        else:
            assert x.grad is None
    assert d.agrees, str(d)


@pytest.mark.parametrize("exponent", [2, 3])
def test_a_root_of_a_power_keeps_its_sign(exponent):
    """(x²)^0.5 is |x|: its slope is -1 left of 0."""
    v = Tensor([-1.5, 0.5, 2.0] if exponent == 2 else [0.5, 2.0], requires_grad=True, name="v")
    check(np.sum((v**exponent) ** 0.5), v)


def test_a_diamond_stays_short():
    v = leaf(3, name="v")
    d = check(np.sum(_doubled(v, 50)), v)
    assert len(d.formulas) <= 51
    assert max(map(len, d.formulas.values())) < 60


def test_a_step_without_a_formula_is_the_chain_rule_as_such():
    a, v = leaf(3, 3, name="A"), leaf(3, name="v")
    d = show.derivation(np.sum(np.linalg.inv(a + np.eye(3)) @ v) * np.log(v[0]))
    assert d.agrees
    assert re.search(r"\[∂f/∂(z\d) ∂\1/∂z\d\]", "".join(d.formulas.values()) + str(d))
    assert "np.linalg.inv(z1)" in str(d)
    assert "v[0]" in str(d)


def test_float32_is_judged_at_its_own_precision():
    v = leaf(3, name="v", dtype=np.float32)
    assert show.derivation(np.sum(np.tanh(v * np.float32(3.0)) ** 2)).agrees


def test_a_wrong_rule_is_named():
    @mg.custom_vjp(lambda g, y, x: g * 2.0)
    def triple(x):
        return 3.0 * x

    v = leaf(3, name="v")
    h = triple(v)
    h.name = "h"
    d = show.derivation(np.sum(np.sin(h)))
    assert not d.agrees
    assert "disagree at h" in str(d)
    assert str(d).count("✗") == 1


def test_names():
    """Given names are kept and told apart; the rest is numbered forwards."""
    a, b, c = leaf(2, name="w"), leaf(2, name="w"), leaf(2)
    d = show.derivation(np.sum(a * b * c))
    assert [d.names[x] for x in (a, b, c)] == ["w", "w_2", "p1"]
    assert d.formulas["p1"] == "∂f/∂p1_i = w_i w_2_i"


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("layer1.weight", r"\text{layer1.weight}_{i}"),
        ("coef_", r"\mathrm{coef\_}_{i}"),
        ("w_2", "w_{2,i}"),
        ("w_hat", r"\mathrm{w\_hat}_{i}"),
        ("w*", r"{\text{w} \ast}_{i}"),
        ("p|q", r"{\text{p} \vert \text{q}}_{i}"),
        (r"C:\{w}", r"{\text{C:} \backslash \lbrace \text{w} \rbrace}_{i}"),
        ("50%_$", r"\text{50\%\_\$}_{i}"),
    ],
)
def test_a_name_in_latex_keeps_its_letters_and_its_index(name, latex):
    assert rf"\partial {latex}}} &=" in show.derivation(np.sum(leaf(3, name=name) ** 2)).markdown()


def test_names_do_not_format_the_markdown_around_them():
    text = show.derivation(np.sum(leaf(3, name="*w*") * leaf(3, name="a|b") * leaf(3, name="_c_"))).markdown()
    assert r"derived by \*w\*, a\|b, \_c\_:" in text
    assert {row.count("|") for row in text.splitlines() if row.startswith("|")} == {8}


def test_it_changes_nothing():
    v = leaf(3, name="v")
    loss = np.sum(np.sin(v) * v)
    before = v.data.copy()
    show.derivation(loss)
    assert v.grad is None
    loss.backward()
    np.testing.assert_allclose(v.grad, np.cos(before) * before + np.sin(before), rtol=1e-12)
    np.testing.assert_array_equal(v.data, before)


def test_debug_mode_is_not_told_of_moved_entries():
    """A difference may step to where there is no logarithm; a smaller step is taken, and nothing has gone wrong."""
    with mg.debug():
        v = Tensor([2e-5, 1.0], requires_grad=True, name="v")
        assert show.derivation(np.sum(np.log(v * 1.0))).agrees


def test_every_formula_is_latex_that_renders():
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("agg")
    a, v = leaf(3, 3, name="A"), leaf(3, name="step_size")
    odd = leaf(3, name="a|b*{c}^`~\\d")
    graphs = [np.sum(odd * odd)]
    graphs += [f(a, v) for name, f in GRAPHS.items() if name != "a diamond of doublings"]
    for loss in (network(3, 2, sigmoid)[0], np.sum(np.sqrt(v)) * np.abs(v[1]) * np.logaddexp(v[0], 1e-9), *graphs):
        markdown = show.derivation(loss).markdown()
        formulas = re.findall(r"\$([^$]+)\$", markdown.split("$$")[0])
        formulas += markdown.split(r"\begin{aligned}")[1].split(r"\end{aligned}")[0].replace("&", "").split("\\\\\n")
        assert formulas
        for formula in formulas:
            parser.parse(f"${formula.strip()}$".replace(r"\vert", "|"))


@pytest.mark.parametrize("make", [lambda: np.sum(leaf(0) * 2.0), lambda: np.sum(np.convolve(leaf(3), leaf(2)))])
def test_empty_arrays_and_results_of_a_shape_of_their_own_are_derived(make):
    derivation = show.derivation(make())
    assert derivation.agrees
    assert repr(derivation) == str(derivation)
    assert derivation.markdown()


@pytest.mark.parametrize(
    ("make", "kind", "fact"),
    [
        (lambda: 3.0, TypeError, "float"),
        (lambda: Tensor(3.0), RuntimeError, "graph"),
        (lambda: leaf(1), RuntimeError, "graph"),
        (lambda: leaf(3) * 2.0, ValueError, r"\(3,\)"),
        (lambda: _freed(), RuntimeError, "retain_graph=True"),
    ],
)
def test_what_cannot_be_derived_is_refused(make, kind, fact):
    with pytest.raises(kind, match=fact):
        show.derivation(make())


def _freed():
    loss = np.sum(leaf(2) * 2.0)
    loss.backward()
    return loss
