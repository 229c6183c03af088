"""Activations: what they are, far out too, and that a layer, a function and PyTorch's say the same."""

import math
import pickle
import warnings

import numpy as np
import pytest
from helpers import assert_same, both_dtypes, gradient, second
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check, nn
from microgradnp.nn import functional

inf = np.inf
FUNCTIONS = {
    nn.Sigmoid(): functional.sigmoid,
    nn.Tanh(): np.tanh,
    nn.ReLU(): functional.relu,
    nn.LeakyReLU(): functional.leaky_relu,
    nn.LeakyReLU(0.2): lambda x: functional.leaky_relu(x, slope=0.2),
    nn.ELU(): functional.elu,
    nn.ELU(1.5): lambda x: functional.elu(x, alpha=1.5),
    nn.SELU(): functional.selu,
    nn.GELU(): functional.gelu,
    nn.GELU("tanh"): lambda x: functional.gelu(x, approximate="tanh"),
    nn.SiLU(): functional.silu,
    nn.Softplus(): functional.softplus,
    nn.Softmax(): functional.softmax,
    nn.Softmax(0): lambda x: functional.softmax(x, axis=0),
    nn.LogSoftmax(): functional.log_softmax,
    nn.Function(np.arctan): np.arctan,
    nn.Function(lambda x: x * x): lambda x: x * x,
}
layers = pytest.mark.parametrize("layer", FUNCTIONS, ids=repr)
elementwise = pytest.mark.parametrize(
    "f",
    [
        pytest.param(f, id=repr(layer))
        for layer, f in FUNCTIONS.items()
        if not isinstance(layer, nn.Softmax | nn.Function)
    ],
)


@layers
@both_dtypes
def test_a_layer_is_its_function_eagerly_and_compiled(layer, dtype):
    x = np.random.default_rng(0).normal(0, 3, (4, 3)).astype(dtype)
    expected = FUNCTIONS[layer](x)
    np.testing.assert_array_equal(layer.predict(x), expected, strict=True)

    def value_and_slope(x):
        value, pullback = mg.vjp(layer, x)
        return value, pullback(np.cos(value))[0]

    compiled = mg.compile(value_and_slope)
    for z in (x, x + 1, x - 1):
        assert_same(compiled(z), value_and_slope(z))


@layers
def test_gradients_of_both_orders(layer):
    x = np.random.default_rng(0).normal(0, 2, (3, 2))
    check.gradients(lambda x: np.sin(layer(x)), x, order=2, atol=1e-12)


@layers
def test_a_layer_is_printed_as_it_is_made_and_pickled(layer):
    if "lambda" not in repr(layer):
        again = eval(repr(layer), vars(nn) | {"np": np})
        assert repr(again) == repr(pickle.loads(pickle.dumps(layer))) == repr(layer)


# -- What they are -----------------------------------------------------------------------------------------------------


@given(st.floats(-37, 37))
def test_the_distribution_function_to_its_last_digits(x):
    expected = 0.5 * math.erfc(-x / math.sqrt(2))
    assert functional.normal_cdf(x) == pytest.approx(expected, rel=1e-14 if x > -11 else 1e-9)
    assert functional.normal_cdf(x) + functional.normal_cdf(-x) == pytest.approx(1, abs=2e-16)


def test_single_precision_is_single_precision():
    x = np.linspace(-12, 12, 999)
    for f in (functional.normal_cdf, functional.gelu, functional.silu, functional.elu, functional.selu):
        single = f(x.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, f(x.astype(np.float32).astype(float)), rtol=2e-5, atol=1e-30)


def test_formulas():
    x = np.linspace(-5, 5, 101)
    below, above = np.minimum(x, 0), np.maximum(x, 0)
    erf = np.vectorize(math.erf)
    expected = {
        functional.leaky_relu: above + 0.01 * below,
        functional.elu: above + np.exp(below) - 1,
        functional.selu: 1.0507009873554805 * (above + 1.6732632423543772 * (np.exp(below) - 1)),
        functional.gelu: x * (1 + erf(x / np.sqrt(2))) / 2,
        functional.silu: x / (1 + np.exp(-x)),
    }
    for f, y in expected.items():
        np.testing.assert_allclose(f(x), y, rtol=1e-13, atol=1e-15)
    near = functional.gelu(x, approximate="tanh")
    np.testing.assert_allclose(near, x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2, atol=1e-15)
    assert 1e-4 < np.max(np.abs(near - functional.gelu(x))) < 5e-4


def test_selu_keeps_mean_0_and_variance_1():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 200))
    for _ in range(10):
        x = nn.Sequential(nn.Linear(200, 200, rng=rng), nn.SELU()).predict(x)
    assert abs(np.mean(x)) < 0.1
    assert 0.8 < np.var(x) < 1.2


@elementwise
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_far_out_all_orders_are_finite_and_quiet(f, dtype):
    x = np.array([-1e30, -1000, -100, 100, 1000, 1e30], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, slope, curvature = f(x), gradient(f, x, dtype=dtype), second(f, x, dtype)
    assert y.dtype == dtype
    assert np.isfinite(y).all()
    right = slope[x > 0]
    np.testing.assert_allclose(right, right[0], rtol=1e-6)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(curvature, 0, atol=1e-30)


@elementwise
def test_a_masked_entry_is_an_ordinary_value(f):
    x = np.array([-inf, 0.5])
    y, slope = f(x), gradient(f, x)
    assert not np.isnan(y).any()
    assert not np.isnan(slope).any()
    np.testing.assert_array_equal(y[1], f(np.array([0.5]))[0])
    assert np.isnan(f(np.array([np.nan]))).all()


@elementwise
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_floating_dtypes_stay(f, dtype):
    x = np.array([-60, -0.5, 1.0, 60], dtype)
    assert f(x).dtype == f(dtype(0.5)).dtype == dtype
    np.testing.assert_allclose(f(x).astype(float), f(x.astype(float)), rtol=3e-3, atol=1e-6)


@elementwise
def test_numbers_and_lists_are_float64_arrays(f):
    np.testing.assert_array_equal(f([0, 1]), f(np.array([0.0, 1.0])))
    np.testing.assert_array_equal(f(np.array([0, 200], "u1")), f(np.array([0.0, 200.0])))


# -- Functions in a model ----------------------------------------------------------------------------------------------


def test_a_function_counts_as_a_layer():
    model = nn.Sequential(nn.Linear(2, 3, rng=0), np.tanh, nn.Linear(3, 1, rng=1), functional.silu, lambda x: x - 1)
    same = nn.Sequential(model[0], nn.Tanh(), model[2], nn.SiLU())
    x = np.ones((4, 2))
    np.testing.assert_array_equal(model.predict(x), same.predict(x) - 1)
    assert [repr(model[i]) for i in (1, 3)] == ["Function(np.tanh)", "Function(silu)"]


def test_parameters_hidden_in_a_function_are_told():
    hidden = nn.Linear(2, 2)
    with pytest.warns(RuntimeWarning, match=r"not among the parameters: the variable hidden of .*weight"):
        nn.Sequential(lambda x: hidden(x)).parameters()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LeakyReLU("a"), TypeError, "slope must be a number"),
        (lambda: nn.ELU(inf), ValueError, "alpha must be finite"),
        (lambda: nn.GELU("sigmoid"), ValueError, '\'sigmoid\'.*"none".*"tanh"'),
        (lambda: functional.gelu(1.0, approximate=True), ValueError, "approximate=True"),
        (lambda: nn.Function(nn.Tanh), TypeError, "takes a function"),
        (lambda: nn.Function(3), TypeError, "got 3"),
        (lambda: nn.Sequential(nn.Linear(1, 1), "tanh"), TypeError, "number 1 is 'tanh', neither a layer nor"),
        (lambda: nn.Sequential(dict), TypeError, "number 0 is <class 'dict'>, neither"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
