"""What `check.gradients` finds besides wrong numbers, the arguments that it takes, and how it reports."""

import contextlib
import math
import subprocess
import sys
from typing import Any

import handwritten
import numpy as np
import pytest
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.engine.rules import Rule
from microgradnp.engine.tensor import apply


def fault_of(f: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(check.GradientError) as caught:
        check.gradients(f, *args, **options)
    return " ".join(caught.value.report.faults)


def test_a_zero_gradient_in_gives_zero_out() -> None:
    @mg.custom_vjp(lambda g, y, x: g * np.cos(x) + 1e-3)
    def sine(x: Any) -> Any:
        return np.sin(x)

    assert "a gradient of zero flows in, and 0.001 comes out" in fault_of(sine, np.array([0.5, 1.0]))


def test_a_result_that_changes() -> None:
    state = iter(range(1000))
    assert "another result when it is called again" in fault_of(lambda x: x + next(state), 1.0, hand=lambda x: 1.0)


def test_inputs_that_change() -> None:
    def f(x: Any) -> Any:
        x *= 2
        return np.sum(x)

    def hand(x: Any) -> Any:
        x += 1
        return np.ones(3)

    assert "x: f changes it in place" in fault_of(f, np.ones(3), hand=lambda x: 2 * np.ones(3))
    assert "x: hand changes it in place" in fault_of(np.sum, np.ones(3), hand=hand).replace("a:", "x:")


def reusing(x: Any) -> Any:
    """Its value is right however often it is called, its gradient is not."""
    weights = np.ones(3)
    y = np.sum(x * weights * x)  # the line to be named
    weights[:] = 0
    return y


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("hand", [None, lambda x: 2 * x])
@pytest.mark.parametrize("watched", [False, True])
def test_a_captured_array_that_changes_is_named_with_its_operation_and_line(
    hand: Any, order: int, watched: bool
) -> None:
    line = reusing.__code__.co_firstlineno + 3
    with mg.debug() if watched else contextlib.nullcontext():
        message = fault_of(reusing, np.array([1.0, 2.0, 3.0]), hand=hand, order=order)
    assert "argument 1, of shape (3,), of np.multiply, called at" in message
    assert f"{__file__}:{line} in reusing, was changed between forward and backward" in message


def test_a_rule_that_changes_what_it_is_given_is_named() -> None:
    def in_place(g: Any, y: Any, x: Any) -> Any:
        g *= 2
        return g

    def twice(x: Any) -> Any:
        return 2 * x

    row = Rule(twice, twice, (in_place,))  # as in the table: a rule of the user's gets a gradient of its own

    def double(x: Any) -> Any:
        return apply(row, (x,))

    assert "for argument 0 (x) changed the gradient that it was given" in fault_of(double, np.array([1.0, 2.0]))

    narrow = mg.custom_vjp(lambda g, y, x: g * np.full(2, 2.0))(lambda x: 2 * x)
    assert "returned float64 from float32 alone" in fault_of(narrow, np.array([1.0, 2.0], np.float32))


def test_an_infinite_gradient_is_for_the_comparison_to_judge_but_in_the_users_own_debug_mode() -> None:
    assert "a gradient of zero flows in, and nan comes out" in fault_of(np.sqrt, 0.0)  # inf itself is the right slope
    with mg.debug(), pytest.raises(FloatingPointError, match=r"the derivative rule of np\.sqrt .* gave inf"):
        check.gradients(np.sqrt, 0.0)


def test_gradients_that_share_memory() -> None:
    x, y = np.ones(3), np.ones(3)
    assert "shares memory with the argument x" in fault_of(lambda x: np.sum(x * x) / 2, x, hand=lambda x: x)
    one = np.ones(3)
    assert "with the gradient by x" in fault_of(lambda x, y: np.sum(x + y), x, y, hand=lambda x, y: (one, one))


def test_shapes_and_dtypes_of_gradients() -> None:
    x = np.ones((2, 3), np.float32)
    assert "shape (3,), and the argument (2, 3)" in fault_of(np.sum, x, hand=lambda x: np.ones(3, np.float32))
    assert "dtype float64, and the argument float32" in fault_of(np.sum, x, hand=lambda x: np.ones((2, 3)))
    assert "dtype int64" in fault_of(np.sum, np.ones(3), hand=lambda x: np.ones(3, np.int64))


def test_stride_0_inputs_are_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match=r"x, of shape \(3, 2\), repeats the same memory along axis 0 .*Pass a copy"):
        check.gradients(np.tanh, np.broadcast_to(np.ones(2), (3, 2)))
    assert check.gradients(np.tanh, np.broadcast_to(np.ones(2), (1, 2))).ok


def test_a_function_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="log is not finite at the given arguments"):
        check.gradients(np.log, np.array([1.0, 0.0]))


# -- Arguments ---------------------------------------------------------------------------------------------------------


def test_nested_arguments_and_constants() -> None:
    def f(parameters: Any, x: Any, power: int, activation: Any) -> Any:
        return np.sum(activation(x @ parameters["W"] + parameters["b"][0]) ** power)

    parameters = {"W": np.ones((3, 2)) / 4, "b": [np.zeros(2), "a name", 3]}
    x = np.linspace(-1, 2, 6).reshape(2, 3)
    assert check.gradients(f, parameters, x, 2, np.tanh).entries == 6 + 2 + 6
    assert check.gradients(f, parameters, x, 2, np.tanh, argnums=0).entries == 6 + 2

    def hand(parameters: Any, x: Any, power: int, activation: Any) -> Any:
        y = np.tanh(x @ parameters["W"] + parameters["b"][0])
        d = 2 * y * (1 - y**2)
        return {"W": x.T @ d, "b": [-d.sum(axis=0), None, None]}

    with pytest.raises(check.GradientError, match=r"worst entry +parameters\['b'\]\[0\]\[[01]\]\n(.*\n)*.*the sign"):
        check.gradients(f, parameters, x, 2, np.tanh, argnums=0, hand=hand)


def test_the_chapters_functions_pass() -> None:
    rng = np.random.default_rng(0)
    x, y, W, V, bs = (rng.standard_normal(n) for n in (5, 5, 3, 3, 3))

    def hand(*args: Any) -> Any:
        return handwritten.calc_der(*args, handwritten.sigmoid_der)

    args = (x, y, W, V, bs, 0.5, handwritten.sigmoid)
    report = check.gradients(handwritten.calc_tloss, *args, argnums=(2, 3, 4, 5), hand=hand)
    assert report.entries == 10
    assert {"backward", "hand", "finite differences"} <= set(report.compared)


def test_jacobians_by_hand() -> None:
    A = np.arange(6.0).reshape(2, 3)
    check.gradients(lambda x: A @ x, np.ones(3), hand=lambda x: A.copy())
    check.gradients(lambda x: A @ x, np.ones(3), hand=lambda x: A.sum(axis=0))
    with pytest.raises(check.GradientError, match=r"x\[1\] of output\[1\]"):
        check.gradients(lambda x: A @ x, np.ones(3), hand=lambda x: A + np.array([[0, 0, 0], [0, 9, 0]]))


def test_a_function_of_another_library_is_checked_by_hand_alone() -> None:
    def foreign(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            raise RuntimeError("could not infer dtype of Tensor")
        return np.array([math.sin(v) for v in x.tolist()])

    x = np.array([0.5, 1.0])
    report = check.gradients(foreign, x, hand=lambda x: np.cos(x))
    assert "backward" not in report.compared
    assert "only hand is checked: foreign does not run on Tensors (RuntimeError" in str(report)
    with pytest.raises(RuntimeError, match="could not infer"):
        check.gradients(foreign, x)


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((1, 2), {}, TypeError, "no float32 or float64 argument"),
        ((1.0, 2.0), {"argnums": 5}, ValueError, "argnums=5"),
        ((1.0, 2.0), {"order": 4}, ValueError, "order is 1, 2 or 3"),
        ((1.0, 2.0), {"hand": lambda a, b: 1.0}, TypeError, r"each float argument of add .*: 2\); it returned 1\."),
        ((1.0, 2.0), {"hand": lambda a, b: (1.0, None)}, TypeError, "hand returned None"),
        ((np.ones(2, np.float16), 1.0), {}, TypeError, "float16"),
        ((1.0, 2.0), {"strategy": st.floats()}, TypeError, "not both"),
    ],
)
def test_bad_calls_say_what_is_wrong(args: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check.gradients(np.add, *args, **options)


def test_a_result_that_depends_on_nothing_is_noted() -> None:
    assert "all derivatives are zero: does the result depend on w?" in str(check.gradients(lambda w: np.ones(2), 1.0))
    assert "all derivatives" not in str(check.gradients(lambda w: w * np.array([0.0, 1.0]), 1.0))


def test_empty_inputs() -> None:
    assert check.gradients(np.tanh, np.zeros((0, 3))).ok
    assert check.gradients(np.sum, np.zeros((0, 3)), order=2).ok


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_argument_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match=rf"w\[1\] is {value}: there is no slope"):
        check.gradients(lambda w: np.nansum(w**2), np.array([1.0, value]))


# -- Strategies and reports --------------------------------------------------------------------------------------------


def test_a_strategy_draws_and_shrinks() -> None:
    report = check.gradients(np.tanh, strategy=check.arrays(max_dims=3))
    assert report.ok
    assert report.draws > 1
    with pytest.raises(check.GradientError) as caught:
        check.gradients(np.square, strategy=check.arrays(max_dims=3), hand=lambda x: np.where(x > 1, x, 2 * x))
    assert "array(2.)" in caught.value.__notes__[0]  # the smallest array and the simplest number above 1


def test_the_error_shows_the_three_values_and_what_it_might_be() -> None:
    x = np.array([[0.5, 1.0], [2.0, 3.0]])
    with pytest.raises(AssertionError) as caught:
        check.gradients(lambda weights: np.sum(weights**2), x, hand=lambda weights: weights.copy())
    lines = str(caught.value).splitlines()
    assert lines[0] == "wrong: the gradient of <lambda> by weights, in 4 of 4 entries"
    text = {line[2:22].strip(): line[22:].strip() for line in lines[1:]}
    assert text["worst entry"] == "weights[1, 1]"
    assert text["backward"] == "6"
    assert text["hand"] == "3"
    assert text["finite differences"].startswith("6 ±")
    assert text["absolute difference"] == "3"
    assert text["relative difference"] == "0.5"
    assert text["perhaps"] == "a factor: it is 1/2 times the derivative, in all 4 entries"


def test_a_name_that_begins_another_is_not_blamed() -> None:
    def loss(b: Any, b0: Any) -> Any:
        return np.sum(b * b0)

    with pytest.raises(check.GradientError, match=r"the gradient of loss by b0, in 1 of 3 entries"):
        check.gradients(loss, np.array([1.0, 2.0]), 0.5, hand=lambda b, b0: (np.full(2, b0), -np.sum(b)))


def test_a_report_is_html_in_a_notebook() -> None:
    html = check.gradients(lambda x: np.sum(np.abs(x)), np.array([0.0, 1.0]))._repr_html_()
    assert html.startswith("<div")
    assert html.count("<tr>") == html.count("</tr>") > 3
    assert "&lt;lambda&gt;" in html
    assert "<lambda>" not in html


def test_importing_the_checks_does_not_import_hypothesis() -> None:
    code = "import sys; from microgradnp import check; check.gradients(abs, 1.0); print('hypothesis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
