"""A user's own function of several results, with its own derivative: `custom_vjp(..., results=2)`."""

import numpy as np
import pytest
from helpers import assert_same, with_gradient
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check


@mg.custom_vjp(
    lambda g, y, a, b: (g[0] * a - g[1] * b / y[0]) / y[0],
    lambda g, y, a, b: (g[0] * b + g[1] * a / y[0]) / y[0],
    results=2,
)
def polar(a, b):
    return np.hypot(a, b), np.arctan2(b, a)


@mg.custom_vjp(lambda g, y, x, axis=0: np.expand_dims(g[0], axis) + 2 * g[1] * x, results=2)
def total_and_squares(x, axis=0):
    """Two results of different shapes."""
    return np.sum(x, axis=axis), x * x


shapes = st.sampled_from([(), (3,), (2, 3), (0,), (2, 0)])


@given(shapes, st.integers(0, 10**6), st.sampled_from([1, 2]))
def test_gradients_are_right(shape, seed, order):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.5, 2.0, (2, *shape))
    weights = rng.normal(size=(2, *shape))

    def f(a, b):
        r, angle = polar(a, b)
        return np.sum(weights[0] * r**2 + weights[1] * np.sin(angle))

    check.gradients(f, a, b, order=order)


@given(st.sampled_from([(3,), (2, 3), (0, 2)]), st.integers(0, 10**6))
def test_results_of_different_shapes(shape, seed):
    x = np.random.default_rng(seed).normal(size=shape)

    def f(x):
        total, squares = total_and_squares(x, axis=0)
        return np.sum(np.sin(total)) + np.sum(squares * x)

    check.gradients(f, x, order=2)
    for ours, plain in zip(total_and_squares(mg.Tensor(x)), (x.sum(axis=0), x * x), strict=True):
        np.testing.assert_array_equal(ours.data, plain, strict=True)


def test_one_result_may_be_left():
    assert mg.grad(lambda b: polar(3.0, b)[1])(4.0) == pytest.approx(3 / 25)
    assert mg.grad(lambda b: polar(3.0, b)[0])(4.0) == pytest.approx(4 / 5)


def test_dtypes_stay():
    a = mg.Tensor(np.ones(3, np.float32), requires_grad=True)
    r, angle = polar(a, a)
    assert r.dtype == angle.dtype == np.float32
    np.sum(r + angle).backward()
    assert a.grad.dtype == np.float32
    assert polar(np.ones(2), 1.0)[0].shape == (2,)  # plain arrays as they are


def test_in_a_compiled_step():
    step = with_gradient(lambda a, b: np.sum(polar(a, b)[0] * np.sin(polar(a, b)[1])))
    compiled = mg.compile(step)
    for k in range(5):
        args = np.linspace(1.0, 2.0 + k, 3), np.linspace(2.0, 1.0, 3)
        assert_same(compiled(*args), step(*args))


@pytest.mark.parametrize(
    ("result", "results", "message"),
    [
        ((1.0,), 2, r"strange .*results=2.*returned a tuple of 1"),
        (1.0, 2, r"results=2.*returned float"),
        ((1.0, "1"), 2, "must return arrays of numbers; got str"),
        ((1.0, 2.0), None, r"one array of numbers; got tuple.*results=2"),
    ],
)
def test_other_results_are_refused(result, results, message):
    @mg.custom_vjp(lambda g, y, x: g, results=results)
    def strange(x):
        return result

    with pytest.raises(TypeError, match=message):
        strange(mg.Tensor(1.0))


@pytest.mark.parametrize("results", [0, True, 1.5])
def test_a_number_of_results_is_one(results):
    with pytest.raises(TypeError, match="results must be a number of arrays"):
        mg.custom_vjp(lambda g, y, x: g, results=results)


def test_a_wrong_rule_is_caught():
    wrong = mg.custom_vjp(lambda g, y, x: g[0] + g[1], results=2)(lambda x: (x, 2 * x))
    with pytest.raises(check.GradientError):
        check.gradients(lambda x: np.sum(wrong(x)[0] * wrong(x)[1]), np.array([1.0, 2.0]))
