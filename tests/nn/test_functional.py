"""Activations and their relatives: what they are, their gradients, and what they give far out and at NaN."""

import warnings

import numpy as np
import pytest
from helpers import seeds
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check, nn
from microgradnp.nn import functional
from microgradnp.nn.functional import log_softmax, logsumexp, relu, sigmoid, softmax, softplus

ELEMENTWISE = [sigmoid, relu, softplus]
ALONG_AXIS = [softmax, log_softmax, logsumexp]
inf = np.inf


@st.composite
def tables(draw):
    """Arrays of one to three axes, none of them empty, and one of their axes."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    x = np.random.default_rng(draw(seeds)).normal(0, draw(st.sampled_from([0.1, 3.0, 50.0])), shape)
    return x, draw(st.sampled_from([None, *range(-len(shape), len(shape))]))


@pytest.mark.parametrize("f", ELEMENTWISE)
@given(seeds, st.sampled_from([(), (0,), (3,), (2, 1, 3)]), st.sampled_from([np.float64, np.float32]))
def test_elementwise_gradients(f, seed, shape, dtype):
    x = np.asarray(np.random.default_rng(seed).normal(0, 3, shape), dtype)
    check.gradients(f, x, order=2)


@pytest.mark.parametrize("f", ALONG_AXIS)
@given(tables())
def test_gradients_along_an_axis(f, table):
    x, axis = table
    x = np.clip(x, -5, 5)  # beyond, second differences of a number near 1 have no digits left
    # Through a sine, since the sum of a softmax is constant. The derivative of softmax is a difference of numbers of
    # size 1, so that its error is 1e-16 of these, however small it is itself.
    check.gradients(lambda x: np.sin(f(x, axis=axis)), x, order=2, atol=1e-12)


@given(tables())
def test_softmax_and_its_kin_agree(table):
    x, axis = table
    y = softmax(x, axis=axis)
    np.testing.assert_allclose(np.sum(y, axis=axis), 1)
    np.testing.assert_allclose(np.exp(log_softmax(x, axis=axis)), y, rtol=1e-12, atol=1e-300)
    total = logsumexp(x, axis=axis, keepdims=True)
    np.testing.assert_allclose(x - total, log_softmax(x, axis=axis), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(softmax(x + 1000.0, axis=axis), y, rtol=1e-11)


@given(st.floats(-30, 30))
def test_sigmoid_and_softplus_are_what_they_are(x):
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1)
    assert softplus(x) - softplus(-x) == pytest.approx(x, abs=1e-14)
    assert mg.grad(softplus)(x) == pytest.approx(sigmoid(x))
    assert sigmoid(x) == pytest.approx((1 + np.tanh(x / 2)) / 2)


@pytest.mark.parametrize("f", [sigmoid, softplus, *ALONG_AXIS])
@pytest.mark.parametrize(
    "given", [0, True, 2.5, [0, 1], [[True], [False]], (1.5, -2), np.uint8(3), np.array([0, 200], "u1")]
)
def test_numbers_and_lists_are_float64_arrays(f, given):
    y = f(given)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, f(np.array(given, float)))
    if np.ndim(given):
        np.testing.assert_array_equal(mg.compile(f)(np.asarray(given)), y)


@pytest.mark.parametrize("f", [*ELEMENTWISE, *ALONG_AXIS])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_floating_dtypes_stay(f, dtype):
    assert f(np.array([0.5, 1.0], dtype)).dtype == f(dtype(0.5)).dtype == dtype


def test_relu_keeps_integers():
    np.testing.assert_array_equal(relu([-1, 2]), [0, 2], strict=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("f", "values", "slopes"),
    [
        (sigmoid, [0, 0.5, 1], [0, 0.25, 0]),
        (softplus, [0, np.log(2), 1000], [0, 0.5, 1]),
        (relu, [0, 0, 1000], [0, 0, 1]),  # at 0 the slope is 0
    ],
)
def test_far_out_there_is_no_warning_and_no_nan(f, values, slopes, dtype):
    x = mg.Tensor(np.array([-1000, 0, 1000], dtype), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = f(x)
        y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    np.testing.assert_allclose(y.data, values, rtol=1e-6)
    np.testing.assert_allclose(x.grad, slopes, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("x", "share", "total"),
    [
        ([1e30, -1e30], [1, 0], 1e30),
        ([-1e30, -1e30], [0.5, 0.5], -1e30),
        ([0, -inf], [1, 0], 0),  # a masked entry
        ([-inf, -inf], [0.5, 0.5], -inf),
        ([inf, 0], [1, 0], inf),
        ([7], [1], 7),
        ([-inf], [1], -inf),
    ],
)
def test_softmax_and_logsumexp_at_the_ends(x, share, total, dtype):
    x = mg.Tensor(np.array(x, dtype), requires_grad=True)
    logsumexp(x).backward()
    np.testing.assert_array_equal(softmax(x).data, share)
    np.testing.assert_array_equal(logsumexp(x).data, dtype(total))
    np.testing.assert_array_equal(x.grad, share)  # the gradient of logsumexp is softmax
    assert x.grad.dtype == softmax(x).dtype == logsumexp(x).dtype == dtype


def test_nan_stays_nan():
    for f in ELEMENTWISE + ALONG_AXIS:
        assert np.isnan(f(np.array([np.nan, 1.0]))).any()


def test_masked_entries_get_no_gradient():
    x = mg.Tensor([1.0, -inf, 2.0], requires_grad=True)
    log_softmax(x)[2].backward()
    np.testing.assert_allclose(x.grad, [-sigmoid(-1.0), 0, sigmoid(-1.0)])


def test_difference_beyond_the_largest_number():
    np.testing.assert_array_equal(softmax(np.array([1.5e308, -1.5e308])), [1, 0])


def test_activations_of_layers_are_the_functions():
    x = np.linspace(-2, 2, 5)
    for layer, f in ((nn.Sigmoid(), functional.sigmoid), (nn.ReLU(), functional.relu), (nn.Tanh(), np.tanh)):
        np.testing.assert_array_equal(layer.predict(x), f(x))
