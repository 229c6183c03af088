"""Residual, Parallel and Flatten: what they are made of, and what does not fit together."""

import numpy as np
import pytest
from helpers import assert_same, both_dtypes

import microgradnp as mg
from microgradnp import check, nn

X = np.random.default_rng(0).normal(size=(5, 4))


def make(dtype=np.float64):
    """A model of all of them."""
    return nn.Sequential(
        nn.Residual(nn.LayerNorm(4), nn.Linear(4, 4), nn.Tanh()),
        nn.Residual(nn.Linear(4, 6), np.tanh, projection=nn.Linear(4, 6, bias=False)),
        nn.Parallel(nn.Linear(6, 2), nn.Sequential(nn.Linear(6, 3), nn.SiLU()), lambda x: x[..., :1]),
        nn.Parallel(nn.Linear(6, 2), nn.Linear(6, 2), join="sum"),
        nn.Flatten(),
        rng=0,
        dtype=dtype,
    )


@both_dtypes
def test_eager_compiled_and_row_by_row(dtype):
    model, x = make(dtype), X.astype(dtype)
    y = model.predict(x)
    assert y.dtype == dtype
    assert y.shape == (5, 2)

    def step(x):
        value, pullback = mg.vjp(model, x)
        return value, pullback(np.cos(value))[0]

    compiled = mg.compile(step)
    for z in (x, x + 1, x * 2):
        assert_same(compiled(z), step(z))
    for row, expected in zip(x, y, strict=True):
        np.testing.assert_allclose(model.predict(row[None])[0], expected, rtol=1e-5)


def test_gradients_of_both_orders():
    model = make()
    vector, parameters = nn.flat(model)
    check.gradients(lambda v, x: nn.functional_call(model, parameters(v), x), vector, X[:2])
    check.gradients(lambda x: np.sin(model(x)), X[:2], order=2)


def test_a_residual_adds_its_input_or_a_projection():
    inner = nn.Linear(4, 4, rng=0)
    np.testing.assert_array_equal(nn.Residual(inner).predict(X), X + inner.predict(X))
    np.testing.assert_array_equal(nn.Residual().predict(X), 2 * X)
    wide, past = nn.Linear(4, 6, rng=0), nn.Linear(4, 6, rng=1)
    block = nn.Residual(wide, nn.ReLU(), projection=past)
    np.testing.assert_allclose(block.predict(X), np.maximum(wide.predict(X), 0) + past.predict(X))
    assert [name for name, _ in block.named_parameters()] == [
        "inner.0.weight",
        "inner.0.bias",
        "projection.weight",
        "projection.bias",
    ]
    assert block.layers[0] is wide


def test_fifty_layers_pass_a_gradient_with_residuals_and_not_without():
    def first_gradient(wrap):
        layers = [wrap(nn.Linear(8, 8), nn.Sigmoid()) for _ in range(50)]
        model = nn.Sequential(nn.Linear(4, 8), *layers, nn.Linear(8, 1), rng=0)
        np.sum(model(X)).backward()
        return np.linalg.norm(model[0].weight.grad)

    plain, residual = (first_gradient(wrap) for wrap in (nn.Sequential, nn.Residual))
    assert residual > 1 > 1e-6 > plain


def test_branches_are_joined():
    a, b = nn.Linear(4, 2, rng=0), nn.Linear(4, 3, rng=1)
    joined = nn.Parallel(a, b).predict(X)
    np.testing.assert_array_equal(joined, np.concatenate([a.predict(X), b.predict(X)], axis=1))
    np.testing.assert_array_equal(nn.Parallel(a, a, axis=0).predict(X), np.tile(a.predict(X), (2, 1)))
    np.testing.assert_array_equal(nn.Parallel(a, np.sin, join="sum").branches[1].predict(X), np.sin(X))
    np.testing.assert_array_equal(nn.Parallel(a, a, join="sum").predict(X), 2 * a.predict(X))
    assert [name for name, _ in nn.Parallel(a, b).named_parameters()][::2] == ["branches.0.weight", "branches.1.weight"]


@pytest.mark.parametrize("shape", [(3, 2, 5), (3, 4), (3,), (0, 2, 5), (3, 0), (1, 2, 3, 4)])
def test_flatten_keeps_the_items_apart(shape):
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    np.testing.assert_array_equal(nn.Flatten().predict(x), x.reshape(shape[0], int(np.prod(shape[1:]))), strict=True)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (
            lambda: nn.Residual(nn.Linear(4, 3))(X),
            nn.InputShapeError,
            r"output of shape \(5, 3\) the input of shape \(5, 4\)",
        ),
        (
            lambda: nn.Sequential(nn.Tanh(), nn.Residual(nn.Linear(4, 1)))(X),
            nn.InputShapeError,
            r"(?s)layer 1 of Sequential.*\(5, 1\).*\(5, 4\): they must agree.*projection=Linear",
        ),
        (lambda: nn.Residual(projection=nn.Linear(4, 2))(X), nn.InputShapeError, r"its projection of shape \(5, 2\)"),
        (lambda: nn.Residual(projection=nn.Linear), TypeError, r"its projection is the class Linear: make one"),
        (lambda: nn.Parallel(), ValueError, "at least one branch"),
        (lambda: nn.Parallel(nn.Tanh(), join="mean"), ValueError, r"join='mean'"),
        (lambda: nn.Parallel(nn.Tanh(), 3), TypeError, "number 1 is 3, neither"),
        (lambda: nn.Parallel([nn.Tanh()]), TypeError, "number 0 is a list: pass the layers themselves"),
        (lambda: nn.Parallel(nn.Linear(4, 1), nn.Tanh(), join="sum")(X), nn.InputShapeError, r"\(5, 1\) and \(5, 4\)"),
        (lambda: nn.Parallel(nn.Linear(4, 1), nn.Tanh(), axis=0)(X), nn.InputShapeError, r"cannot join.*\(5, 1\)"),
        (lambda: nn.Flatten()(3.0), nn.InputShapeError, "single number"),
    ],
)
def test_what_does_not_fit(run, error, message):
    with pytest.raises(error, match=message):
        run()


def test_what_they_show():
    assert repr(make()[3]).startswith("Parallel(join='sum'\n  (branches.0): Linear(6, 2)")
    assert repr(nn.BatchNorm1d(3, affine=False)) == "BatchNorm1d(3, affine=False)"
    assert repr(nn.BatchNorm1d(3, axis=1)) == "BatchNorm1d(3, axis=1)"
    assert repr(nn.LayerNorm((3, 4))) == "LayerNorm((3, 4))"
    assert repr(nn.Dropout(0.25)) == "Dropout(0.25)"


@pytest.mark.parametrize("dtype", [None, np.float32])
def test_saved_and_loaded_without_their_code(tmp_path, dtype):
    model = nn.Sequential(
        nn.Residual(nn.LayerNorm(4), nn.Linear(4, 4, weight_init="orthogonal"), nn.Dropout(0.4), projection=np.tanh),
        nn.BatchNorm1d(4, momentum=0.3),
        nn.Parallel(nn.LeakyReLU(0.3), nn.ELU(2.0), nn.GELU("tanh"), nn.SELU(), nn.SiLU(), nn.Softplus(), join="sum"),
        nn.Dropout(0.2),
        nn.Parallel(nn.Softmax(0), nn.LogSoftmax(), nn.functional.gelu),
        nn.Flatten(),
        rng=0,
        dtype=dtype,
    )
    model(X)
    nn.save(tmp_path / "model.npz", model)
    again = nn.load(tmp_path / "model.npz").model
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X), strict=True)
    np.testing.assert_array_equal(again(X).data, model(X).data)  # the noise goes on where it was
    np.testing.assert_array_equal(again.rng.random(3), model.rng.random(3))
