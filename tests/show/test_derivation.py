"""The derivation: its formulas, evaluated, are the gradients; its numbers are the finite differences."""

import contextlib
import dataclasses
import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import Tensor, nn, show
from microgradnp.engine.rules import RULES, astype, identity
from microgradnp.nn import functional
from microgradnp.show import expressions as fo
from microgradnp.show.letters import SHORTER, Entry, row_in_letters
from microgradnp.show.writing import Writer

# -- Formulas as numbers: the meaning of what is written ----------------------------------------------------------

FUNCTIONS = {
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "sign", "abs", "tan", "arctan", "arcsin", "arccos")},
    **{name: getattr(np, name) for name in ("sin", "cos", "sinh", "cosh", "tanh")},
    "σ": lambda z: 1 / (1 + np.exp(-z)),
    "σ'": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "max": max,
    "min": min,
    "where": lambda c, a, b: a if c else b,
    "floor": math.floor,
    ">": lambda a, b: a > b,
    "≥": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "[]": float,
}


def evaluate(x, values, at):
    """One entry of an expression, given its symbols' arrays and the place of each index."""
    if isinstance(x, fo.Number):
        return float(x.value)
    if isinstance(x, fo.Symbol):
        return values[x.name][tuple(at[i] for i in x.at)]
    if isinstance(x, fo.Function):
        function = FUNCTIONS[x.name] if x.name in FUNCTIONS else getattr(np, x.name)
        return function(*(evaluate(a, values, at) for a in x.arguments))
    if isinstance(x, fo.Power):
        return evaluate(x.base, values, at) ** evaluate(x.exponent, values, at)
    if isinstance(x, fo.Product):
        return float(x.number) * math.prod(evaluate(f, values, at) for f in x.factors)
    if isinstance(x, fo.Addition):
        return sum(evaluate(t, values, at) for t in x.terms)
    assert isinstance(x, fo.Total)
    lengths = [length_of(i, x.body, values) for i in x.at]
    places = itertools.product(*map(range, lengths))
    return sum(evaluate(x.body, values, at | dict(zip(x.at, place, strict=True))) for place in places)


def length_of(index, x, values):
    if isinstance(x, fo.Symbol):
        return values[x.name].shape[x.at.index(index)] if index in x.at else None
    return next((n for part in x.parts() if (n := length_of(index, part, values)) is not None), None)


def gradients_by_formula(d):
    """Every line of a derivation, evaluated in the order in which they stand."""
    values = {}
    for step in d.steps:
        for x in (step.node, *step.inputs):
            name = d.names.get(x if isinstance(x, Tensor) else id(x))
            values[name] = np.squeeze(x.data if isinstance(x, Tensor) else np.asarray(x))
    for name, left, right in d.lines:
        shape = values[name].shape
        gradient = np.empty(shape)
        for place in np.ndindex(shape):
            gradient[place] = evaluate(right, values, dict(zip(left.at, place, strict=True)))
        values[left.name] = gradient
    return {name: values[left.name] for name, left, _ in d.lines}


def check(loss, *leaves):
    """The formulas and the numbers of a derivation against backward()."""
    d = show.derivation(loss)
    assert d.agrees, str(d)
    loss.backward()
    found = gradients_by_formula(d)
    for x in leaves:
        np.testing.assert_allclose(found[d.names[x]], np.squeeze(x.grad), rtol=1e-9, atol=1e-12)
    return d


# -- Rows in letters ----------------------------------------------------------------------------------------------

COMMON = [np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum, np.where, np.positive]
COMMON += [np.negative, np.square, np.reciprocal, np.sqrt, np.absolute, np.exp, np.expm1, np.log, np.log1p]
COMMON += [np.sin, np.cos, np.tan, np.arctan, np.arcsin, np.arccos, np.sinh, np.cosh, np.tanh, np.logaddexp]
COMMON += [identity, astype, functional.sigmoid, functional.relu, functional.softplus]
ROWS = [*COMMON, *(f for f, rule in RULES.items() if rule.pointwise and f not in COMMON)]
WITHOUT_LETTERS = {np.i0, np.sinc}  # their rules sum over an axis of their own


def written(function, *arguments, **options):
    """A row in letters, of ``arguments`` or of as many moving ones as its rules say: the value and each derivative."""
    return row_in_letters(RULES[function], arguments or places(function), options)


def places(function):
    return [fo.Argument(k, vjp is not None) for k, vjp in enumerate(RULES[function].vjps)]


@pytest.mark.parametrize("function", ROWS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("numbers", [(0.3, 0.7, 1.9), (0.8, 0.2, 0.5)], ids=["rising", "falling"])
def test_the_letters_of_each_row_are_its_rule(function, numbers):
    rule = RULES[function]
    options = {"dtype": np.float64} if function is astype else {}
    points = [np.asarray(v + (function is np.arccosh)) for v in numbers[: len(rule.vjps)]]
    if function is np.where:
        points[0] = points[0] > 0.5
    if function is np.ldexp:
        points[1] = np.asarray(3)
    letters = written(function, **options)
    assert (letters is None) == (function in WITHOUT_LETTERS)
    if letters is None:
        return
    value, partials = letters
    names = {place: fo.Symbol(name) for place, name in zip(places(function), "abc", strict=False)}
    values = dict(zip("abc", points, strict=False))
    y = np.asarray(rule.forward(*points, **options))
    assert evaluate(value.put(names), values, {}) == pytest.approx(y.item(), rel=1e-12)
    for vjp, partial in zip(rule.vjps, partials, strict=True):
        assert (vjp is None) == (partial is None)
        if vjp is not None:
            expected = vjp(np.asarray(1.0), y, *points, **options)
            assert evaluate(partial.put(names), values, {}) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (np.divide, ["1 / b", "−a / b²"]),
        (np.power, ["b a^(b − 1)", "a^b log(a)"]),
        (np.sqrt, ["1 / (2 sqrt(a))"]),
        (np.tanh, ["1 − tanh(a)²"]),
        (np.arcsin, ["1 / sqrt(1 − a²)"]),
        (np.arctan, ["1 / (a² + 1)"]),
        (np.hypot, ["a / sqrt(a² + b²)", "b / sqrt(a² + b²)"]),
        (np.logaddexp, ["exp(a) / (exp(a) + exp(b))", "exp(b) / (exp(a) + exp(b))"]),
        (np.maximum, ["[a > b]", "[b > a]"]),
        (np.clip, ["[a ≥ b] [c ≥ a]", "[b > a] [c ≥ b]", "[a > c] + [b > c] − [a > c] [b > c]"]),
        (functional.sigmoid, ["σ'(a)"]),
        (functional.softplus, ["σ(a)"]),
    ],
)
def test_letters_as_a_reader_writes_them(function, expected):
    """What guards a rule against overflow, 0 / 0 and ties is not seen; what it decides by is."""
    names = {place: fo.Symbol(name) for place, name in zip(places(function), "abc", strict=False)}
    assert [Writer().write(partial.put(names)) for partial in written(function)[1]] == expected


@pytest.mark.parametrize("function", SHORTER, ids=lambda f: f.__name__)
def test_what_is_written_shorter_is_the_same(function):
    entries = [Entry(fo.Symbol(name)) for name in "ab"][: len(places(function))]
    values = {"a": np.asarray(0.3), "b": np.asarray(-0.7)}
    for pair in SHORTER[function]:
        long, short = (evaluate(f(*entries).letters, values, {}) for f in pair)
        assert long == pytest.approx(short, rel=1e-12)


def custom(rule):
    """The formula of a function of one's own with this rule, and the derivation."""

    @mg.custom_vjp(rule)
    def h(x):
        return np.ones_like(x)

    d = show.derivation(np.sum(h(leaf(3, name="v"))))
    return d.formulas["v"], d


@pytest.mark.parametrize(
    ("rule", "formula"),
    [
        (lambda g, y, x: g * np.exp(-x * x), "∂f/∂v_i = exp(−v_i²)"),
        (lambda g, y, x: g * y * (1 - y), "∂f/∂v_i = h(v_i) (1 − h(v_i))"),
        (lambda g, y, x: np.where(x > 0, g, 0.5 * g), "∂f/∂v_i = where(v_i > 0, 1, 1/2)"),
        (lambda g, y, x: g * (y == x), "∂f/∂v_i = [h(v_i) = v_i]"),
        (lambda g, y, x: g * ~((x < 0) | (x > 1)), "∂f/∂v_i = 1 − ([0 > v_i] + [v_i > 1] − [0 > v_i] [v_i > 1])"),
        (lambda g, y, x: np.where(np.sign(x), g, 0), "∂f/∂v_i = [sign(v_i)]"),
        (lambda g, y, x: g * functional.sigmoid(x), "∂f/∂v_i = σ(v_i)"),
        (lambda g, y, x: np.zeros_like(x) * g, "∂f/∂v_i = 0"),
        (lambda g, y, x: -(g + 2 * g) * np.float64(0.1), "∂f/∂v_i = −0.3"),
    ],
)
def test_an_operation_of_ones_own_has_the_letters_of_its_rule(rule, formula):
    assert custom(rule)[0] == formula


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, y, x: g * x[::-1],
        lambda g, y, x: g * np.sum(x),
        lambda g, y, x: g * x.size,
        lambda g, y, x: g if np.all(x > 0) else -g,
        lambda g, y, x: g * (x if x.ndim else 1),
        lambda g, y, x: g * np.array([1.0, 2.0, 3.0]),
        lambda g, y, x: g * np.asarray(x),
        lambda g, y, x: g * np.add.accumulate(x),
        lambda g, y, x: np.clip(g, -1, 1) * x,
        lambda g, y, x: g * g,
        lambda g, y, x: g * 0 + 1.0,
    ],
)
def test_a_rule_that_asks_for_more_than_an_entry_has_no_letters(rule):
    """Its place is held by its name, and by the chain rule as such."""
    formula, d = custom(rule)
    assert formula == "∂f/∂v_j = [∂f/∂z1 ∂z1/∂v]_j"
    assert "the rule of h" in str(d)


def test_a_condition_on_data_stays_a_condition():
    """A tie of what moves is a kink; that a mask is 1 is none."""

    @mg.custom_vjp(lambda g, y, x, mask: g * (mask == 1), None)
    def kept(x, mask):
        return x * (mask == 1)

    v = leaf(3, name="v")
    assert check(np.sum(kept(v, np.arange(3.0))), v).formulas["v"] == "∂f/∂v_i = [c1_i = 1]"


def test_a_rule_of_a_ufunc_of_ones_own_has_letters():
    cube = np.frompyfunc(lambda x: x**3, 1, 1)
    try:
        mg.defvjp(cube, lambda g, y, x: g * 3 * x**2, forward=lambda x: x**3)
        assert show.derivation(np.sum(cube(leaf(3, name="v")))).formulas["v"] == "∂f/∂v_i = 3 v_i²"
    finally:
        RULES.pop(cube, None)


def test_letters_follow_a_rule_that_is_wrong(monkeypatch):
    """They are those of the rule that ran, not of the one that should have."""
    wrong = dataclasses.replace(RULES[np.sin], vjps=(lambda g, y, x: g * np.cos(2 * x),))
    monkeypatch.setitem(RULES, np.sin, wrong)
    d = show.derivation(np.sum(np.sin(leaf(3, name="v"))))
    assert d.formulas["v"] == "∂f/∂v_i = cos(2 v_i)"
    assert not d.agrees


def test_options_stand_within_the_call():
    @mg.custom_vjp(lambda g, y, x, *, power: g * power * x ** (power - 1))
    def raised(x, *, power):
        return x**power

    d = check(np.sum(raised(v := leaf(3, name="v"), power=3)), v)
    assert d.formulas["v"] == "∂f/∂v_i = 3 v_i²"
    assert "raised(v_i, power=3)" in str(d)
    assert r"\operatorname{raised}" in d.markdown()


@pytest.mark.parametrize("exponent", [2, 3])
def test_a_root_of_a_power_keeps_its_sign(exponent):
    """(x²)^0.5 is |x|: its slope is -1 left of 0."""
    v = Tensor([-1.5, 0.5, 2.0] if exponent == 2 else [0.5, 2.0], requires_grad=True, name="v")
    check(np.sum((v**exponent) ** 0.5), v)


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


def leaf(*shape, name=None, seed=1, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).uniform(0.3, 1.2, shape), requires_grad=True, name=name, dtype=dtype)


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
