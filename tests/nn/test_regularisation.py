"""Dropout and normalisation: their laws, in training and prediction, eagerly, compiled and in both dtypes."""

import numpy as np
import pytest
from helpers import assert_same, both_dtypes, plain, run_alike, seeds
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check, nn, optim

X = np.random.default_rng(0).normal(2.0, 3.0, size=(6, 4))
MAKERS = {
    "dropout": lambda **dtype: nn.Dropout(0.4, rng=0),
    "batch": lambda **dtype: nn.BatchNorm1d(4, **dtype),
    "batch, channels": lambda **dtype: nn.BatchNorm1d(3, axis=1, **dtype),
    "batch, not affine": lambda **dtype: nn.BatchNorm1d(4, eps=1e-3, momentum=0.5, affine=False, **dtype),
    "layer": lambda **dtype: nn.LayerNorm(4, **dtype),
    "layer, not affine": lambda **dtype: nn.LayerNorm((3, 4), affine=False, **dtype),
}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def inputs(layer, rng=0):
    """A batch that the layer takes."""
    several = getattr(layer, "normalized_shape", ()) == (3, 4) or getattr(layer, "axis", -1) == 1
    shape = (5, 3, 4) if several else (6, 4)
    return np.random.default_rng(rng).normal(2.0, 3.0, shape)


def with_moved_weights(layer):
    for p in layer.parameters():
        p.data[...] = np.linspace(0.5, 1.5, p.size).reshape(p.shape)
    return layer


@makers
@both_dtypes
@pytest.mark.parametrize("training", [True, False])
def test_compiled_as_eager_in_its_dtype(make, dtype, training):
    def pair():
        layer = with_moved_weights(make(dtype=dtype)).train(training)
        tensors = list(nn.layers.base.named_tensors(layer).values())

        def step(x):
            for p in layer.parameters():
                p.grad = None
            y = layer(x)
            np.sum(y * np.cos(y)).backward() if layer.parameters() else None
            return y

        return step, tensors

    layer = make(dtype=dtype)
    x = inputs(layer).astype(dtype)
    compiled = run_alike(pair, *[(x + k * x[::-1],) for k in range(5)])
    assert "1 program>" in repr(compiled)
    assert plain(layer(x)).dtype == layer.predict(x).dtype == dtype
    assert {values.dtype for values in layer.state_dict().values()} <= {np.dtype(dtype)}


@makers
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_both_orders(make, training):
    layer = with_moved_weights(make()).train(training)
    names = [name for name, _ in layer.named_parameters()]
    values = [p.data for p in layer.parameters()]

    def f(x, *parameters):
        if isinstance(layer, nn.Dropout):
            layer.rng = np.random.default_rng(3)  # the same noise each time
        return np.sin(nn.functional_call(layer, dict(zip(names, parameters, strict=True)), x))

    check.gradients(f, inputs(layer)[:3], *values, order=2)


@makers
def test_prediction_takes_each_row_by_itself(make):
    layer = with_moved_weights(make())
    x = inputs(layer)
    layer(x)
    together = layer.predict(x)
    for row, expected in zip(x, together, strict=True):
        np.testing.assert_allclose(layer.predict(row[None])[0], expected, rtol=1e-12)


# -- Dropout -----------------------------------------------------------------------------------------------------------


@given(st.floats(0, 0.95), seeds)
def test_dropout_keeps_the_mean(p, seed):
    x = np.random.default_rng(seed).uniform(1, 2, 4000)
    y = nn.Dropout(p, rng=seed)(x)
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / (1 - p))
    assert np.mean(kept) == pytest.approx(1 - p, abs=0.05)


def test_dropout_is_anew_at_each_step_and_absent_in_prediction():
    layer, x = nn.Dropout(0.5, rng=0), np.ones(50)
    for call in (layer, mg.compile(layer.forward)):
        a, b = call(x), call(x)
        assert not np.array_equal(np.asarray(a), np.asarray(b))
    np.testing.assert_array_equal(layer.predict(x), x)
    np.testing.assert_array_equal(layer.eval()(x), x)
    np.testing.assert_array_equal(nn.Dropout(0.0)(x), x)
    assert np.isfinite(nn.Dropout(0.5, rng=0)(np.full(50, 1e308) / 4)).all()


def test_what_is_dropped_gives_no_gradient_not_even_nan():
    x = mg.Tensor([np.inf, 1.0] * 10, requires_grad=True)
    y = nn.Dropout(0.5, rng=0)(x)
    y.backward(np.ones(20))
    np.testing.assert_array_equal(x.grad, np.where(y.data == 0, 0, 2))


# -- Normalisation -----------------------------------------------------------------------------------------------------


@given(seeds, st.sampled_from([(9, 4), (5, 3, 4), (2, 2, 3, 4)]))
def test_batch_norm_is_of_mean_0_and_variance_1_over_the_batch(seed, shape):
    x = np.random.default_rng(seed).normal(3, 2, shape)
    layer = nn.BatchNorm1d(4, eps=0)
    y = layer(x).data.reshape(-1, 4)
    np.testing.assert_allclose(np.mean(y, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.var(y, axis=0), 1)
    order = np.random.default_rng(seed).permutation(len(x))
    np.testing.assert_allclose(layer(x[order]).data, layer(x).data[order], atol=1e-12)
    np.testing.assert_allclose(layer(7 * x - 5).data, layer(x).data, atol=1e-11)


def test_running_statistics_come_to_those_of_the_data():
    rng = np.random.default_rng(0)
    layer = nn.BatchNorm1d(3, momentum=0.05)
    for _ in range(400):
        layer(rng.normal([1, -2, 3], [0.5, 1, 2], size=(64, 3)))
    np.testing.assert_allclose(layer.running_mean.data, [1, -2, 3], atol=0.1)
    np.testing.assert_allclose(layer.running_var.data, [0.25, 1, 4], rtol=0.1)
    before = layer.state_dict()
    layer.predict(np.ones((3, 3)))
    layer.eval()(np.zeros((3, 3)))
    assert all(np.array_equal(before[name], values) for name, values in layer.state_dict().items())
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


@given(seeds)
def test_layer_norm_is_of_mean_0_and_variance_1_in_each_row(seed):
    x = np.random.default_rng(seed).normal(3, 2, (5, 4, 8))
    y = nn.LayerNorm(8, eps=0)(x).data
    np.testing.assert_allclose(np.mean(y, axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(np.var(y, axis=-1), 1)
    mean, deviation = (f(x, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
    np.testing.assert_allclose(nn.LayerNorm((4, 8), eps=0)(x).data, (x - mean) / deviation)
    np.testing.assert_array_equal(nn.LayerNorm(8)(np.full((2, 8), 3.0)).data, 0)


@pytest.mark.parametrize("compile", [True, False])
def test_a_network_of_them_trains(compile):
    rng = np.random.default_rng(0)
    x = rng.normal(50, 10, (64, 3))
    y = np.sin(x[:, :1] / 10)
    model = nn.Sequential(nn.Linear(3, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1), rng=1)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    history = nn.fit(
        model, x, y, loss=nn.losses.mean_squared_error, optimizer=optimizer, epochs=150, batch_size=32, compile=compile
    )
    assert history.losses[-1] < 0.25 * history.losses[0]
    assert np.mean((model.predict(x) - y) ** 2) < 0.15


def test_eager_and_compiled_trainings_are_the_same():
    def weights(compile):
        model = nn.Sequential(
            nn.Linear(4, 8), nn.LayerNorm(8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.Linear(8, 4), rng=1
        )
        optimizer = optim.GD(model.parameters(), lr=0.05)
        nn.fit(model, X, X, loss=nn.losses.mean_squared_error, optimizer=optimizer, epochs=9, compile=compile)
        return list(model.state_dict().values())

    assert_same(weights(True), weights(False))


# -- What they refuse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Dropout(1.0), ValueError, "at least 0 and below 1; got 1.0"),
        (lambda: nn.Dropout(-0.1), ValueError, "below 1; got -0.1"),
        (lambda: nn.Dropout(True), TypeError, "p must be a number; got True"),
        (lambda: nn.BatchNorm1d(0), ValueError, "num_features must be a positive integer; got 0"),
        (lambda: nn.BatchNorm1d(2, momentum=2), ValueError, "momentum must be from 0 to 1; got 2"),
        (lambda: nn.BatchNorm1d(2, momentum=None), TypeError, "momentum must be a number"),
        (lambda: nn.BatchNorm1d(2, eps=-1), ValueError, "eps must not be negative"),
        (lambda: nn.BatchNorm1d(2, dtype=int), TypeError, "int64"),
        (lambda: nn.LayerNorm(()), ValueError, "leaves nothing to normalise"),
        (lambda: nn.LayerNorm((2, 0)), ValueError, "positive integer; got 0"),
        (lambda: nn.BatchNorm1d(3)(np.ones((5, 2))), nn.InputShapeError, r"BatchNorm1d\(3\).*\(N, 3\).*got \(5, 2\)"),
        (lambda: nn.BatchNorm1d(3)(np.ones(3)), nn.InputShapeError, r"got \(3,\)"),
        (lambda: nn.BatchNorm1d(3)(np.ones((1, 3))), nn.InputShapeError, r"two rows or more.*got shape \(1, 3\).*eval"),
        (lambda: nn.BatchNorm1d(3, axis=0), ValueError, "axis must be an integer, and not 0"),
        (lambda: nn.BatchNorm1d(3, axis=2)(np.ones((5, 3))), nn.InputShapeError, r"3 features on axis 2; got \(5, 3\)"),
        (lambda: nn.BatchNorm1d(3, axis=-3)(np.ones((5, 3))), nn.InputShapeError, r"3 features on axis -3"),
        (lambda: nn.BatchNorm1d(3)(np.ones((5, 3, 2, 2))), nn.InputShapeError, r"For the channels of images: axis=1"),
        (lambda: nn.LayerNorm((2, 3))(np.ones((5, 3))), nn.InputShapeError, r"\(\.\.\., 2, 3\); got \(5, 3\)"),
        (lambda: nn.LayerNorm((2, 3))(np.ones(3)), nn.InputShapeError, r"got \(3,\)"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
