"""`check.diagnose` names the mistakes in a derivative by hand, seeded one by one into the chapter's `calc_der`."""

import inspect
from typing import Any

import handwritten
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check

SOURCE = inspect.getsource(handwritten.calc_der)
DV = "tdv[jth] += 2.0 * g * acf(tW[jth] * x[i] + tbs[jth])"
SLOPE = "acfder(tW[jth] * x[i] + tbs[jth])"
AT_OUTPUT = "acfder(acf(tW[jth] * x[i] + tbs[jth]))"
DW = "tdw[jth] += 2.0 * g * tV[jth] * acfder(tW[jth] * x[i] + tbs[jth]) * x[i]"
DB = "tdbs[jth] += 2.0 * g * tV[jth] * acfder(tW[jth] * x[i] + tbs[jth])\n"
D0 = "tdb0 += 2.0 * g"
FOR = "for i in range(len(x)):"


# What is written, what should be written, which parameters are then wrong, and the kind of mistake.
# fmt: off
MISTAKES: dict[str, tuple[str, str, str, str]] = {
    "W: factor 2": (DW, DW.replace("2.0 * ", ""), "W", "factor"),
    "V: factor 2": (DV, DV.replace("2.0 * ", ""), "V", "factor"),
    "bs: factor 2": (DB, DB.replace("2.0 * ", ""), "bs", "factor"),
    "b0: factor 2": (D0, D0.replace("2.0 * ", ""), "b0", "factor"),
    "W: 1/N": (DW, DW + " / len(x)", "W", "factor"),
    "V: 1/N": (DV, DV + " / len(x)", "V", "factor"),
    "b0: 1/N": (D0, D0 + " / len(x)", "b0", "factor"),
    "W: sign": (DW, DW.replace("+=", "-="), "W", "sign"),
    "V: sign": (DV, DV.replace("+=", "-="), "V", "sign"),
    "bs: sign": (DB, DB.replace("+=", "-="), "bs", "sign"),
    "b0: sign": (D0, D0.replace("+=", "-="), "b0", "sign"),
    "W: unsummed": (DW, DW.replace("+=", "="), "W", "unsummed"),
    "V: unsummed": (DV, DV.replace("+=", "="), "V", "unsummed"),
    "bs: unsummed": (DB, DB.replace("+=", "="), "bs", "unsummed"),
    "b0: unsummed": (D0, D0.replace("+=", "="), "b0", "unsummed"),
    "W: activation's derivative": (DW, DW.replace(SLOPE + " * ", ""), "W", "missing derivative"),
    "bs: activation's derivative": (DB, DB.replace(" * " + SLOPE, ""), "bs", "missing derivative"),
    "W: derivative at output": (DW, DW.replace(SLOPE, AT_OUTPUT), "W", "derivative at output"),
    "bs: derivative at output": (DB, DB.replace(SLOPE, AT_OUTPUT), "bs", "derivative at output"),
    "W: index of V": (DW, DW.replace("tV[jth]", "tV[jth - 1]"), "W", "shifted index"),
    "bs: index of V": (DB, DB.replace("tV[jth]", "tV[jth - 1]"), "bs", "shifted index"),
    "W: index of x": (DW, DW.removesuffix("[i]") + "[i - 1]", "W", "shifted index"),
    "W: place": (DW, DW.replace("tdw[jth]", "tdw[jth - 1]"), "W", "shifted index"),
    "V: place": (DV, DV.replace("tdv[jth]", "tdv[jth - 1]"), "V", "shifted index"),
    "bs: place": (DB, DB.replace("tdbs[jth]", "tdbs[jth - 1]"), "bs", "shifted index"),
    "all: range of hidden nodes": ("range(nhl)", "range(nhl - 1)", "W V bs", "shifted index"),
    "all: first point left out": (FOR, "for i in range(1, len(x)):", "W V bs b0", "left out"),
    "all: last point left out": (FOR, "for i in range(len(x) - 1):", "W V bs b0", "left out"),
    "V: third point left out": (DV, "if i != 2:\n                " + DV, "V", "left out"),
    "b0: last point left out": (D0, "if i < len(x) - 1:\n            " + D0, "b0", "left out"),
    "W: derivative and sign": (DW, DW.replace("+=", "-=").replace(SLOPE + " * ", ""), "W", "missing derivative"),
    "W: factor x": (DW, DW.removesuffix(" * x[i]"), "W", "missing factor"),
    "W: factor V": (DW, DW.replace("tV[jth] * ", ""), "W", "missing factor"),
    "V: activation": (DV, DV.replace("acf(", "("), "V", "missing function"),
    "W: function for derivative": (DW, DW.replace("acfder(", "acf("), "W", "function for derivative"),
    "all: b0 in the residual": ("+ tb0 - y[i]", "- y[i]", "W V bs b0", "missing term"),
    "all: order of the results": ("return tdw, tdv,", "return tdv, tdw,", "W V", "swapped"),
    "V: never written": (DV, "pass", "V", "zero"),
}
# fmt: on


def hand_with(right: str, wrong: str) -> Any:
    """`calc_der` with one mistake."""
    assert right in SOURCE
    scope = vars(handwritten).copy()
    exec(SOURCE.replace(right, wrong), scope)
    return scope["calc_der"]


def problem(seed: int, points: int = 7, hidden: int = 4, acf: str = "sigmoid") -> tuple[Any, Any, tuple[Any, ...]]:
    """The chapter's loss, a way to call a hand-written derivative alike, and parameters."""
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.uniform(-1, 1, points)), rng.standard_normal(points)
    args = (*(rng.standard_normal(hidden) for _ in range(3)), float(rng.standard_normal()))

    f, slope = getattr(handwritten, acf), getattr(handwritten, f"{acf}_der")

    def loss(W: Any, V: Any, bs: Any, b0: Any) -> Any:
        return handwritten.calc_tloss(x, y, W, V, bs, b0, f)

    def by(calc_der: Any) -> Any:
        return lambda *p: calc_der(x, y, *p, f, slope)

    return loss, by, args


@pytest.mark.parametrize("name", MISTAKES)
def test_a_seeded_mistake_is_named(name: str) -> None:
    right, wrong, parameters, kind = MISTAKES[name]
    loss, by, args = problem(seed=len(name))
    report = check.diagnose(by(hand_with(right, wrong)), loss, *args)
    assert [finding.parameter for finding in report.findings] == parameters.split()
    assert {finding.kind for finding in report.findings} == {kind}, str(report)
    assert not report.ok


def test_the_words_say_what_to_change() -> None:
    loss, by, args = problem(0)

    def said(name: str) -> str:
        return str(check.diagnose(by(hand_with(*MISTAKES[name][:2])), loss, *args))

    assert "half the gradient: a factor 2 is missing" in said("W: factor 2")
    assert "1/7 of the gradient: there is a 1/N too many, N = 7 being the number of data points" in said("V: 1/N")
    assert "the derivative of 1 / (1 + exp(-z)) by z is missing" in said("W: activation's derivative")
    assert "an index is off by one: V[j-1] stands for V[j]" in said("bs: index of V")
    assert "an index is off by one: x[i-1] stands for x[i]" in said("W: index of x")
    assert "data point 2 of 7 is left out" in said("V: third point left out")
    assert "and a factor of -1 beside it" in said("W: derivative and sign")
    assert "only the last of 7 data points counts: = stands where += is meant" in said("b0: unsummed")
    text = said("b0: sign")
    assert text.splitlines()[0].endswith("is wrong: the gradient of loss by b0; by W, V and bs it is right")
    assert "certain: this explains all 4 numbers at 4 points, and no other known mistake does" in text


def no_alarm(seed: int, acf: str) -> None:
    loss, by, args = problem(seed, points=2 + seed % 7, hidden=1 + seed % 8, acf=acf)
    report = check.diagnose(by(handwritten.calc_der), loss, *args)
    assert report.ok, str(report)


draws = given(st.integers(0, 10**6), st.sampled_from(["sigmoid", "relu"]))
test_correct_derivatives_raise_no_alarm = draws(no_alarm)
test_correct_derivatives_raise_no_alarm_1000_times = pytest.mark.slow(settings(max_examples=1000)(draws(no_alarm)))


def test_at_a_minimum_rounding_is_no_mistake() -> None:
    x, t = np.linspace(-1, 1, 9), np.linspace(-1, 1, 9) ** 2

    def loss(a: Any, b: Any) -> Any:
        return np.sum((a * x**2 + b - t) ** 2)

    def hand(a: Any, b: Any) -> Any:
        r = a * x**2 + b - t
        return 2 * np.sum(r * x**2), 2 * np.sum(r)

    assert check.diagnose(hand, loss, 1.0, 1e-15).ok


# -- Vectorised: matrices, transposes, biases that are not summed ------------------------------------------------------


def network(mistake: str = "") -> tuple[Any, Any, tuple[Any, ...]]:
    """A layer of tanh between two matrices, with a derivative by hand that may have a mistake."""
    rng = np.random.default_rng(3)
    X, T = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))

    def loss(W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        return np.sum((np.tanh(X @ W1 + b1) @ W2 + b2 - T) ** 2)

    def hand(W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        h = np.tanh(X @ W1 + b1)
        r = 2 * (h @ W2 + b2 - T)
        d = r @ W2.T * (1 - (np.tanh(h) if mistake == "at output" else h) ** 2)
        if mistake == "no derivative":
            d = r @ W2.T
        gW1, gb1, gW2, gb2 = X.T @ d, d.sum(axis=0), h.T @ r, r.sum(axis=0)
        if mistake == "transposed":
            gW1 = gW1.T
        if mistake == "transposed, other shape":
            gW2 = gW2.T
        if mistake == "unsummed":
            gb1 = d
        if mistake == "mean":
            gb2 = gb2 / 6
        if mistake == "left out":
            gW2 = h[1:].T @ r[1:]
        if mistake == "shifted":
            gW1 = np.roll(X, 1, axis=0).T @ d
        if mistake == "column":
            gb2 = gb2[:, None]
        return gW1, gb1, gW2, gb2

    args = rng.standard_normal((3, 3)), rng.standard_normal(3), rng.standard_normal((3, 2)), rng.standard_normal(2)
    return loss, hand, args


@pytest.mark.parametrize(
    ("mistake", "found"),
    [
        ("", {}),
        ("transposed", {"W1": "transposed"}),
        ("transposed, other shape", {"W2": "transposed"}),
        ("unsummed", {"b1": "unsummed"}),
        ("mean", {"b2": "factor"}),
        ("left out", {"W2": "left out"}),
        ("shifted", {"W1": "shifted index"}),
        ("column", {"b2": "shape"}),
        ("no derivative", {"W1": "missing derivative", "b1": "missing derivative"}),
        ("at output", {"W1": "derivative at output", "b1": "derivative at output"}),
    ],
)
def test_mistakes_in_vectorised_code_are_named(mistake: str, found: dict[str, str]) -> None:
    loss, hand, args = network(mistake)
    report = check.diagnose(hand, loss, *args)
    assert {finding.parameter: finding.kind for finding in report.findings} == found, str(report)


# -- Honesty -----------------------------------------------------------------------------------------------------------


def test_none_of_the_known_patterns_is_an_answer() -> None:
    loss, by, args = problem(5)

    def hand(*p: Any) -> Any:
        gW, gV, gbs, gb0 = by(handwritten.calc_der)(*p)
        return gW * np.arange(1.0, 5.0) ** 1.5, gV, gbs, gb0

    (finding,) = check.diagnose(hand, loss, *args).findings
    assert (finding.parameter, finding.kind, finding.sure) == ("W", "unknown", "unknown")
    assert finding.text == "none of the known patterns explains it"


def test_two_explanations_are_both_given() -> None:
    # With one data point, leaving out 1/N and nothing else cannot be told apart; with two, half is also one left out of
    # two equal ones.
    def loss(w: Any) -> Any:
        return np.sum((w * np.ones(2) - 3.0) ** 2)

    (finding,) = check.diagnose(lambda w: 2 * (w - 3.0), loss, 1.0).findings
    assert finding.sure == "likely"
    assert finding.alternatives


def test_a_function_that_does_not_run_on_tensors() -> None:
    def foreign(w: Any, b: Any) -> Any:
        if not isinstance(w, np.ndarray | float):
            raise RuntimeError("not a tensor of mine")
        return float(np.sum(np.sin(w)) * b)

    w = np.array([0.5, 1.0, 2.0])
    assert check.diagnose(lambda w, b: (b * np.cos(w), np.sin(w).sum()), foreign, w, 2.0).ok
    report = check.diagnose(lambda w, b: (-b * np.cos(w), np.sin(w).sum()), foreign, w, 2.0)
    assert report.findings[0].kind == "sign"
    assert "foreign does not run on Tensors (RuntimeError" in str(report)


def test_argnums_and_nested_arguments() -> None:
    def loss(p: Any, x: Any) -> Any:
        return np.sum((p["w"] * x + p["b"]) ** 2)

    x = np.array([1.0, 2.0, 4.0])

    def hand(p: Any, x: Any) -> Any:
        r = p["w"] * x + p["b"]
        return {"w": np.sum(2 * r * x), "b": np.sum(r)}

    report = check.diagnose(hand, loss, {"w": 0.5, "b": 1.0}, x, argnums=0)
    assert [(f.parameter, f.kind) for f in report.findings] == [("p['b']", "factor")]


def test_what_the_function_captures_may_want_a_gradient_too() -> None:
    w = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)  # a layer's weights, say

    def loss(x: Any) -> Any:
        return np.sum(np.tanh(w * x) ** 2)

    def hand(x: Any) -> Any:
        return 2 * np.tanh(w.data * x) * w.data

    (finding,) = check.diagnose(hand, loss, np.array([0.5, -0.25, 0.125])).findings
    assert finding.kind == "missing derivative"
    assert finding.text.startswith("the derivative of tanh(z) by z is missing")


def test_the_report_is_html_too() -> None:
    loss, by, args = problem(0)
    html = check.diagnose(by(hand_with(*MISTAKES["b0: sign"][:2])), loss, *args)._repr_html_()
    assert html.startswith("<div")
    assert "&lt;lambda&gt; is wrong" in html
