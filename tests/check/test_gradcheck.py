"""`check.gradients` lets right gradients pass and wrong ones fail, and says what is the case at kinks and jumps."""

import contextlib
import itertools
import math
import subprocess
import sys
from typing import Any

import handwritten
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.check import references, strategies
from microgradnp.functions.linalg import cofactors

SMOOTH = {
    np.sin: {},
    np.tanh: {},
    np.exp: {},
    np.log: {"low": 0.25},
    np.sqrt: {"low": 0.25},
    np.arctan: {},
    np.reciprocal: {"away_from": 0.0},
    np.square: {},
}
smooth_functions = st.sampled_from(list(SMOOTH)).flatmap(
    lambda f: st.tuples(st.just(f), strategies.arrays(min_side=1, dtype=strategies.dtypes, **SMOOTH[f]))
)


# -- What is right passes, what is wrong fails -------------------------------------------------------------------------


@given(smooth_functions, st.integers(1, 3))
def test_right_gradients_pass_at_every_order(drawn: Any, order: int) -> None:
    f, x = drawn
    report = check.gradients(f, x, order=order)
    assert report.ok
    assert report.entries >= order * x.size**2


@given(strategies.programs(kinks=True, dtype=strategies.dtypes))
def test_random_programs_pass(program: Any) -> None:
    assert check.gradients(program, *program.args).ok


@given(strategies.programs(scalar=True))
def test_random_programs_pass_at_order_two(program: Any) -> None:
    assert check.gradients(program, *program.args, order=2).ok


@given(strategies.networks())
def test_random_networks_pass(network: Any) -> None:
    assert check.gradients(network, *network.args, argnums=0).ok


@given(smooth_functions, st.sampled_from([1e-6, -1e-6, 1e-3, -2.0, 1.0]), st.data())
def test_a_gradient_with_one_wrong_entry_fails_at_that_entry(drawn: Any, error: float, data: Any) -> None:
    f, x = drawn
    x = x.astype(np.float64)
    right = np.asarray(mg.grad(lambda x: np.sum(f(x)))(x))
    place = data.draw(st.sampled_from(list(np.ndindex(x.shape))))
    wrong = right.copy()
    # Relative to the largest too: an entry that is nothing beside the others cannot be told from zero.
    wrong[place] += error * (abs(right[place]) + 1e-3 * np.abs(right).max() + 1e-6)
    with pytest.raises(check.GradientError) as caught:
        check.gradients(lambda x: np.sum(f(x)), x, hand=lambda x: wrong)
    worst = caught.value.report.worst
    assert worst.source == "hand"
    assert worst.name == ("x" if not place else f"x[{', '.join(map(str, place))}]")
    assert worst.returned == wrong[place]
    assert worst.absolute == pytest.approx(abs(wrong[place] - right[place]), rel=1e-2)


@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5, 0.99, 1.01, 2.0, 1 + 1e-6, math.nan, math.inf])
@pytest.mark.parametrize("size", [3, 1000])
def test_factors_are_caught_in_small_and_in_large_inputs(factor: float, size: int) -> None:
    x = np.random.default_rng(0).standard_normal(size)
    with pytest.raises(check.GradientError):
        check.gradients(lambda x: np.sum(np.sin(x)), x, hand=lambda x: factor * np.cos(x))


@given(st.integers(0, 999))
def test_one_wrong_entry_of_a_large_input_is_found_and_named(i: int) -> None:
    x = np.linspace(-2, 2, 1000)
    with pytest.raises(check.GradientError, match=rf"worst entry +x\[{i}\]\n"):
        check.gradients(
            lambda x: np.sum(np.sin(x)), x, hand=lambda x: np.where(np.arange(1000) == i, 0.5, 1) * np.cos(x)
        )


@pytest.mark.parametrize("layer", [0, 1])
def test_one_percent_in_one_of_thousands_of_weights(layer: int) -> None:
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((30, 20)), rng.standard_normal((30, 3))
    weights = [rng.standard_normal((20, 60)) / 5, rng.standard_normal((60, 3)) / 8]

    def loss(weights: Any) -> Any:
        return np.mean((np.maximum(x @ weights[0], 0) @ weights[1] - t) ** 2)

    def hand(weights: Any, error: float) -> Any:
        h = np.maximum(x @ weights[0], 0)
        d = 2 * (h @ weights[1] - t) / t.size
        gradients = [x.T @ (d @ weights[1].T * (h > 0)), h.T @ d]
        gradients[layer][2, 1] *= 1 + error
        return gradients

    assert check.gradients(loss, weights, hand=lambda w: hand(w, 0.0)).ok
    with pytest.raises(check.GradientError, match=rf"worst entry +weights\[{layer}\]\[2, 1\]\n"):
        check.gradients(loss, weights, hand=lambda w: hand(w, 0.01))


@pytest.mark.parametrize("shape", [(200,), (20, 100)])
def test_large_inputs_and_outputs(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    assert check.gradients(np.sin, x, order=2, hand=np.cos).ok
    with pytest.raises(check.GradientError, match=r"output|sum"):
        check.gradients(np.sin, x, hand=lambda x: np.cos(x) * np.where(np.arange(x.shape[-1]) == 7, 1.01, 1))


def test_many_kinks_at_once() -> None:
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal(2000), 0)  # half of it at the kink
    v = rng.standard_normal(2000)

    def f(x: Any) -> Any:
        return np.sum(v * np.maximum(x, 0))

    report = check.gradients(f, x, hand=lambda x: v * (x > 0))  # another choice at 0 than np.maximum's
    assert report.kinks
    assert "cross kinks" in str(report)
    with pytest.raises(check.GradientError):
        check.gradients(f, x, hand=lambda x: v * (x > 0) * np.where(np.arange(2000) == 77, 1.01, 1.0))
    with pytest.raises(check.GradientError):
        check.gradients(f, x, hand=lambda x: v * np.where(x > 0, 1, 1.5))


def test_the_seed_decides_the_projections() -> None:
    x = np.linspace(-1, 1, 500)
    one, same, other = (check.gradients(np.tanh, x, seed=seed).worst for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_a_wrong_rule_of_the_engine_is_caught() -> None:
    @mg.custom_vjp(lambda g, y, x: g * np.cos(x) * 1.01)
    def sine(x: Any) -> Any:
        return np.sin(x)

    with pytest.raises(check.GradientError, match=r"perhaps +a factor: it is 1\.01 times the derivative"):
        check.gradients(sine, np.array([0.5, 1.0]))


def test_a_rule_wrong_at_second_order_alone_is_caught_there() -> None:
    @mg.custom_vjp(lambda g, y, x: g * np.cos(mg.stop_gradient(x)))
    def sine(x: Any) -> Any:
        return np.sin(x)

    x = np.array([0.5, 1.0])
    assert check.gradients(sine, x).ok
    with pytest.raises(check.GradientError, match="first derivative by x"):
        check.gradients(sine, x, order=2)


# -- Kinks and jumps ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relu", [handwritten.relu, lambda z: np.maximum(z, 0), lambda z: z * np.heaviside(z, 0.5)])
def test_a_correct_relu_at_zero_passes_with_the_note(relu: Any) -> None:
    report = check.gradients(relu, np.array([1.0, -2.0, 0.5, 0.0]))
    (kink,) = report.kinks
    assert kink.verdict == "kink"
    assert f"[3] = 0: left slope 0, right slope 1, returned {kink.returned:.6g}, between them" in str(report)


@given(st.floats(-3, 3))
def test_at_a_kink_what_lies_between_the_slopes_passes(slope: float) -> None:
    try:
        check.gradients(np.abs, 0.0, hand=lambda x: slope)
        passes = True
    except check.GradientError as error:
        assert "left slope -1, right slope 1" in str(error)  # noqa: PT017
        assert "outside them" in str(error)  # noqa: PT017
        passes = False
    # A hair's breadth outside is within what finite differences can tell.
    assert passes == (abs(slope) <= 1) or abs(abs(slope) - 1) < 1e-5


@given(st.floats(-1, 1), st.sampled_from([0.0, 1e-3, 1e-6, 1e-9]), st.sampled_from([-1, 1]))
def test_close_to_a_kink_only_the_slope_there_passes(wrong: float, distance: float, side: int) -> None:
    x = side * distance
    if distance and abs(wrong - side) > 1e-3:
        with pytest.raises(check.GradientError):
            check.gradients(np.abs, x, hand=lambda x: wrong)
    assert check.gradients(np.abs, x).ok


def test_ties_of_max_pass_and_are_noted() -> None:
    report = check.gradients(np.max, np.array([1.0, 3.0, 3.0]))
    assert [kink.name for kink in report.kinks] == ["a[1]", "a[2]"]


def test_a_discontinuity_is_called_so() -> None:
    with pytest.raises(check.GradientError, match=r"at x\[1\] = 2: a discontinuity, the function jumps by 1") as caught:
        check.gradients(np.floor, np.array([0.5, 2.0]))
    assert caught.value.report.worst.verdict == "discontinuity"


def test_a_derivative_that_jumps_is_a_kink_of_the_function() -> None:
    x = np.array([0.0, 0.5, -1.0])
    report = check.gradients(lambda x: np.sum(np.maximum(x, 0) ** 2 + np.abs(x)), x, order=2)
    assert any("the derivative jumps by 2, left slope 0, right slope 2, returned" in kink.note for kink in report.kinks)


def test_a_slope_without_bound_is_called_so() -> None:
    with pytest.raises(check.GradientError, match="right slope inf, returned 0, which is neither"):
        check.gradients(np.sqrt, 0.0, hand=lambda x: 0.0)


def test_at_the_edge_of_the_domain_the_inner_slope_counts() -> None:
    def f(x: Any) -> Any:
        x = np.asarray(x, np.float64)  # not through the engine, whose rule gives 0 * inf here
        return np.sum(x * np.sqrt(x))

    x = np.array([0.0, 1.0])
    check.gradients(f, x, hand=lambda x: 1.5 * np.sqrt(x))
    with pytest.raises(check.GradientError, match=r"x\[0\] = 0: the function ends here"):
        check.gradients(f, x, hand=lambda x: 1.5 * np.sqrt(x) + (x == 0))


def test_a_function_may_raise_where_its_domain_ends() -> None:
    report = check.gradients(math.sqrt, 2.0**-9, hand=lambda x: 0.5 / math.sqrt(x))  # some steps go below zero
    assert report.ok
    assert "the domain of sqrt was taken to end where it raised ValueError: math domain error" in str(report)
    with pytest.raises(check.GradientError, match="math domain error"):
        check.gradients(math.sqrt, 2.0**-9, hand=lambda x: 0.6 / math.sqrt(x))
    with pytest.raises(TypeError, match="mistake"):  # what no domain explains is not taken for its end
        check.gradients(lambda x: x if x == 1.0 else raise_(TypeError("a mistake")), 1.0, hand=np.ones_like)


def raise_(error: Exception) -> Any:
    raise error


def test_what_cannot_be_told_is_not_passed() -> None:
    with pytest.raises(check.GradientError, match="settle on no slope") as caught:
        check.gradients(lambda x: float(np.random.default_rng(abs(hash(float(x)))).normal()), 0.5, hand=lambda x: 0.0)
    assert caught.value.report.worst.verdict == "unsettled"


# -- Precision ---------------------------------------------------------------------------------------------------------


# Further out tanh is so flat that float32's rounding of it is more than a percent of its slope.
@given(strategies.arrays(min_side=1, dtype=np.float32, low=-2.0, high=2.0))
def test_a_correct_float32_function_passes_and_1_percent_does_not(x: Any) -> None:
    assert check.gradients(np.tanh, x).ok
    with pytest.raises(check.GradientError):
        check.gradients(np.tanh, x + np.float32(0.125), hand=lambda x: 1.01 * (1 - np.tanh(x) ** 2))


def test_a_function_that_computes_in_float32_whatever_it_is_given() -> None:
    def f(x: Any) -> Any:
        return np.sin(x.astype(np.float32))

    x = np.array([0.5, 1.0, 2.0], np.float32)
    report = check.gradients(f, x)
    assert "float32 whatever it is given" in str(report)
    with pytest.raises(check.GradientError):
        check.gradients(f, x, hand=lambda x: 1.01 * np.cos(x))


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6])
def test_inputs_of_any_scale(scale: float) -> None:
    x = scale * np.array([0.5, -1.0, 3.0])
    check.gradients(lambda x: np.sum(np.sin(x / scale)), x)
    check.gradients(np.square, x)
    check.gradients(np.cos, x)
    with pytest.raises(check.GradientError):
        check.gradients(np.square, x, hand=lambda x: 2.0001 * x)


@given(st.floats(1e-9, 1e3))
def test_a_pole_close_by(x: float) -> None:
    check.gradients(np.log, x)
    check.gradients(np.reciprocal, x)


def test_the_complex_step_is_used_where_it_is_exact_and_nowhere_else() -> None:
    x = np.array([0.5, -1.0])
    assert "complex step" in check.gradients(np.sin, x).compared
    for f in (np.abs, np.maximum, lambda x: np.linalg.norm(x), lambda x: x.real + 0, lambda x: np.sort(x)):
        args = (x, x + 1) if f is np.maximum else (x,)
        report = check.gradients(f, *args)
        assert "complex step" not in report.compared
        assert any("no complex step" in note for note in report.notes)
    # Through np.asarray the guard cannot see the absolute value; the comparison with finite differences does.
    report = check.gradients(lambda x: x + np.abs(np.asarray(x)), x, hand=lambda x: 1 + np.sign(x))
    assert "complex step" not in report.worst.values


# -- What else is checked ----------------------------------------------------------------------------------------------


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

    double = mg.custom_vjp(in_place)(lambda x: 2 * x)
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


def test_what_cancels_leaves_rounding_and_that_is_no_mistake() -> None:
    x = np.array([[0.0, 2.0], [1.0, 2.28125]], np.float32)
    assert check.gradients(lambda x: np.std(x, axis=0), x, order=2).ok  # |a - b| / 2: all second derivatives are 0
    assert check.gradients(np.linalg.det, np.ones((3, 3)), order=2).ok  # of rank 1: so are all first ones
    assert check.gradients(lambda x: np.sum(x - np.mean(x)), np.array([0.1, 0.2, 0.4])).ok
    assert check.gradients(lambda x: np.sum(np.exp(x) / np.sum(np.exp(x))), x, order=2).ok


@given(st.integers(0, 4), st.integers(1, 4), st.lists(st.integers(-4, 4), min_size=1))
def test_rounding_that_lies_on_a_line_is_no_slope(rung: int, slope: int, noise: list[int]) -> None:
    """Values of a few units of rounding, at the steps of one rung in proportion to the step."""
    h = 2.0 ** -(8 + 4 * rung)
    taken = itertools.count()

    def at(_: int, t: float) -> tuple[float, Any]:
        on_the_line = abs(t) in (h, h / 2, h / 4)
        units = 4 * slope * t / h if on_the_line else noise[next(taken) % len(noise)]
        return t, np.array([units * 2.0**-53])

    found = references.differences(at, np.zeros(1), np.ones(1), np.full(1, np.nan), 2.0**-52)
    if found.kind[0, 0] == references.SMOOTH:
        assert abs(found.value[0, 0]) <= 10 * found.error[0, 0]


@given(st.floats(1e-30, 1e-14), st.floats(0.1, 2.0), st.sampled_from([0.99, 1.01, -1.0, 0.0]))
def test_a_wrong_gradient_of_a_tiny_function_is_caught(size: float, x: float, factor: float) -> None:
    check.gradients(lambda x: size * np.sin(x) + size * x, x)
    with pytest.raises(check.GradientError):
        check.gradients(lambda x: size * np.exp(x), x, hand=lambda x: factor * size * np.exp(x))


def test_a_result_that_depends_on_nothing_is_noted() -> None:
    assert "all derivatives are zero: does the result depend on w?" in str(check.gradients(lambda w: np.ones(2), 1.0))
    assert "all derivatives" not in str(check.gradients(lambda w: w * np.array([0.0, 1.0]), 1.0))


def test_empty_inputs() -> None:
    assert check.gradients(np.tanh, np.zeros((0, 3))).ok
    assert check.gradients(np.sum, np.zeros((0, 3)), order=2).ok


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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_argument_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match=rf"w\[1\] is {value}: there is no slope"):
        check.gradients(lambda w: np.nansum(w**2), np.array([1.0, value]))


def noisy(seed, slope):
    """A linear function that comes with noise of 1e-12, which looks random and is the same at each call."""
    matrix = np.tril(np.ones((8, 8)))

    @mg.custom_vjp(lambda g, y, x: slope * (g @ matrix))
    def f(x):
        noise = np.random.default_rng([seed, *np.asarray(x, np.float64).view(np.uint64)]).uniform(-5e-13, 5e-13, 8)
        return matrix @ x + noise

    return f


@pytest.mark.parametrize("seed", [60, 65, 86, 139, 144, 160, 188, 192])  # of 300 those in which it happens
def test_noise_that_lies_on_a_line_by_chance_condemns_nobody(seed):
    """Beside true slopes of 1 and 0: among many differences, some err by far more than they show."""
    x = np.random.default_rng(seed).uniform(0.5, 2, 8)
    check.gradients(noisy(seed, 1.0), x, atol=0.0)
    with pytest.raises(check.GradientError):
        check.gradients(noisy(seed, 1 + 1e-6), x, atol=0.0)


def test_where_one_choice_of_steps_settles_on_no_slope_another_may():
    """The third derivatives of minors by way of a singular value decomposition: many are zero but for its rounding."""
    matrix = np.array([[1.80859375, 0.21875, 0.08203125], [-0.01171875, 4.11328125, 0], [-0.15625, 0, 6]])
    check.gradients(cofactors, matrix, order=3, atol=1e-11)
