"""SciPy's minimisers: they are given the loss and the right gradient, by any method, and told when to stop."""

import sys

import numpy as np
import pytest
from helpers import both_dtypes

from microgradnp import nn

optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed")

X = np.linspace(-1, 1, 20)[:, None]
Y = np.sin(3 * X) + X**2 + 0.3
mse = nn.losses.mean_squared_error
METHODS = (
    "Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "SLSQP", "trust-constr",
    "trust-ncg", "trust-exact", "trust-krylov",
)  # fmt: skip


def network(dtype=np.float64):
    return nn.Sequential(nn.Linear(1, 3, rng=0, dtype=dtype), nn.Tanh(), nn.Linear(3, 1, rng=1, dtype=dtype))


def minimize(model, **options):
    return nn.minimize(model, X, Y, **{"loss": mse, **options})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_down_recorded_or_not(method):
    ends = []
    for compiled in (False, True):
        model = network()
        history = minimize(model, method=method, iterations=30 if method == "COBYLA" else 4, compile=compiled)
        np.testing.assert_allclose(history.losses[-1], mse(model(X), Y).item(), rtol=1e-12)
        np.testing.assert_allclose(history.losses[0], mse(network()(X), Y).item(), rtol=1e-12)
        assert history.losses[-1] < history.losses[0]
        assert history.epochs == 4 or method in ("Nelder-Mead", "COBYLA")
        assert (history.result is None) == (method == "TNC")
        ends.append(nn.flat(model)[0])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)  # the sums of squares differ in their last digit


@pytest.mark.parametrize("seed", range(20))
def test_lbfgs_walks_as_with_a_gradient_by_hand(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 1))
    model = nn.Linear(4, 1, rng=seed)

    def by_hand(v):
        residual = x @ v[:4] + v[4] - y[:, 0]
        return residual @ residual, 2 * np.append(x.T @ residual, residual.sum())

    walk = []
    optimize.minimize(
        by_hand, nn.flat(model)[0], jac=True, method="L-BFGS-B", tol=1e-8, callback=lambda v: walk.append(v)
    )
    points = []
    history = nn.minimize(
        model,
        x,
        y,
        loss=nn.losses.sum_squared_error,
        tol=1e-8,
        callbacks=[lambda run: points.append(nn.flat(run.model)[0])],
    )
    np.testing.assert_allclose(points, walk, rtol=1e-9, atol=1e-10)
    best = np.linalg.lstsq(np.column_stack([x, np.ones(30)]), y[:, 0])[0]
    np.testing.assert_allclose(nn.flat(model)[0], best, rtol=1e-3, atol=1e-4)
    assert history.result.success


@both_dtypes
def test_dtypes_stay_and_options_arrive(dtype):
    model = network(dtype)
    history = minimize(model, iterations=20, options={"maxcor": 1, "maxfun": 7})
    assert all((p.dtype == dtype and p.grad is None) or p.grad.dtype == dtype for p in model.parameters())
    assert history.result.nfev < 12
    assert "EVALUATIONS EXCEEDS LIMIT" in history.result.message
    assert repr(history).startswith("History(epochs=")


def test_a_penalty_on_the_weights_counts():
    for method in ("L-BFGS-B", "trust-exact"):
        model = network()

        def loss(prediction, target, model=model):
            return mse(prediction, target) + 10 * sum(np.sum(p**2) for p in model.parameters())

        if method == "trust-exact":
            with pytest.raises(ValueError, match="method='trust-exact' takes second derivatives, and the loss depends"):
                minimize(model, loss=loss, method=method)
        else:
            minimize(model, loss=loss, method=method)
            np.testing.assert_allclose(nn.flat(model)[0], [*np.zeros(9), Y.mean() / 11], atol=1e-6)


def test_weights_of_rows_count():
    model = nn.Linear(1, 1, rng=0)
    nn.minimize(model, [[1.0], [1.0]], [[0.0], [3.0]], loss=mse, sample_weight=[2.0, 1.0], tol=1e-12)
    assert model.predict([[1.0]]).item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("method", ["L-BFGS-B", "Nelder-Mead", "TNC", "SLSQP"])
def test_callbacks_see_each_iteration_and_may_stop_it(method):
    seen = []

    def stop(run):
        seen.append((run.epoch, run.logs["loss"], mse(run.model(X), Y).item()))
        if run.epoch == 3:
            run.stop()

    history = minimize(model := network(), method=method, callbacks=[stop])
    assert [epoch for epoch, *_ in seen] == [1, 2, 3]
    np.testing.assert_allclose([a for _, a, _ in seen], [b for *_, b in seen], rtol=1e-12)
    np.testing.assert_allclose(history.losses[1:], [a for _, a, _ in seen], rtol=1e-12)
    assert mse(model(X), Y).item() == pytest.approx(history.losses[-1])


def test_early_stopping_puts_the_best_back():
    stopping = nn.EarlyStopping(patience=2, monitor="loss", min_delta=0.01)
    history = minimize(model := network(), callbacks=[stopping])
    assert history.epochs == stopping.best_epoch + 2
    assert mse(model(X), Y).item() == pytest.approx(history.losses[stopping.best_epoch])


@pytest.mark.filterwarnings("ignore:the optimizer does not train")
def test_what_cannot_be_minimised_is_told():
    with pytest.raises(nn.DivergenceError, match="the loss is nan before the first iteration"):
        minimize(network(), loss=lambda prediction, target: mse(prediction, target) * np.nan)
    with pytest.raises(RuntimeError, match=r"parameter 0.* of shape \(1, 3\) has no gradient"):
        minimize(network(), loss=lambda prediction, target: np.sum(0 * network()(X)))
    with pytest.raises(TypeError, match="minimize trains a Layer; got function"):
        minimize(lambda x: x)
    with pytest.raises(ValueError, match="iterations must be a positive integer; got 0"):
        minimize(network(), iterations=0)
    with pytest.raises(ValueError, match="Unknown solver"):
        minimize(network(), method="steepest")


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'microgradnp\[scipy\]'"):
        minimize(network())
