"""`check.gradients` passes what is right and fails what is wrong: at kinks, in float32, at any scale."""

import itertools
import math
from typing import Any

import handwritten
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.check import differences, strategies
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

    found = differences.finite_differences(at, np.zeros(1), np.ones(1), np.full(1, np.nan), 2.0**-52)
    if found.kind[0, 0] == differences.SMOOTH:
        assert abs(found.value[0, 0]) <= 10 * found.error[0, 0]


@given(st.floats(1e-30, 1e-14), st.floats(0.1, 2.0), st.sampled_from([0.99, 1.01, -1.0, 0.0]))
def test_a_wrong_gradient_of_a_tiny_function_is_caught(size: float, x: float, factor: float) -> None:
    check.gradients(lambda x: size * np.sin(x) + size * x, x)
    with pytest.raises(check.GradientError):
        check.gradients(lambda x: size * np.exp(x), x, hand=lambda x: factor * size * np.exp(x))


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


def test_what_the_function_captures_may_want_a_gradient_too() -> None:
    w = mg.Tensor([1.0, -2.0], requires_grad=True)  # a layer's weights, say

    def loss(x: Any) -> Any:
        return np.sum(np.tanh(w * x))

    x = np.array([0.5, -0.25])
    assert check.gradients(loss, x, order=2).ok
    assert check.mutants(loss, x).ok  # what flows to the weights alone is not asked for
    assert w.grad is None


@pytest.mark.parametrize("at", [0.0, np.zeros(2), np.array([0.0, 1.0, -2.0])])
@pytest.mark.parametrize(
    "bent",
    [
        lambda x: np.sum(x * np.abs(x)),
        lambda x: np.sum(np.where(x > 0, x**2, 0 * x)),
        lambda x: np.sum(3 * x + np.maximum(x, 0) ** 2 - np.sin(x) * np.abs(x)),
    ],
)
def test_a_derivative_that_has_a_corner_is_no_false_alarm(bent: Any, at: Any) -> None:
    assert check.gradients(bent, at).ok
    with pytest.raises(check.GradientError):
        check.gradients(bent, at, hand=lambda x: mg.grad(bent)(x) + 1e-5)
