"""Rows in letters: what a rule writes when it runs on letters is what it computes when it runs on numbers."""

import dataclasses

import numpy as np
import pytest
from formulas import check, evaluate, leaf

import microgradnp as mg
from microgradnp import show
from microgradnp.engine.rules import RULES
from microgradnp.engine.table import astype, identity
from microgradnp.nn import functional
from microgradnp.show import expressions as fo
from microgradnp.show.letters import SHORTER, Entry, row_in_letters
from microgradnp.show.writing import Writer

COMMON = [np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum, np.where, np.positive]
COMMON += [np.negative, np.square, np.reciprocal, np.sqrt, np.absolute, np.exp, np.expm1, np.log, np.log1p]
COMMON += [np.sin, np.cos, np.tan, np.arctan, np.arcsin, np.arccos, np.sinh, np.cosh, np.tanh, np.logaddexp]
COMMON += [identity, astype, functional.sigmoid, functional.relu, functional.softplus]
UFUNCS = [f for f in RULES if getattr(np, f.__name__, None) is f and isinstance(f, np.ufunc) and f.signature is None]
ROWS = [*COMMON, *(f for f in UFUNCS if f not in COMMON)]
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
        (lambda g, y, x: g * np.where(y == 0, 0.5, y), "∂f/∂v_i = where(h(v_i) = 0, 1/2, h(v_i))"),
        (lambda g, y, x: g / np.where(y == 0, 1, y), "∂f/∂v_i = 1 / h(v_i)"),
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
        lambda g, y, x: g * (g * x + g),
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
