"""Networks as scikit-learn's estimators: its own checks, its own networks as the reference, its tools around them."""

import pickle
import subprocess
import sys
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import nn, optim

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")

from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from microgradnp import sklearn as ours
from microgradnp.sklearn import MLPClassifier, MLPRegressor
from microgradnp.sklearn.network import ACTIVATIONS, SOLVERS

pytestmark = pytest.mark.filterwarnings("ignore:.* went through the data max_iter=.*")

DATA = ("digits", "breast_cancer", "wine", "diabetes")


def standardized(name):
    """A table with columns of mean 0 and spread 1, a regression's target too; and the estimator for it."""
    x, y = getattr(mg.datasets, name)()
    regression = name == "diabetes"
    y = (y - y.mean()) / y.std() if regression else y
    return StandardScaler().fit_transform(x), y, "MLPRegressor" if regression else "MLPClassifier"


# -- What scikit-learn asks of every estimator -------------------------------------------------------------------------


@parametrize_with_checks(
    [
        MLPRegressor(max_iter=50, learning_rate_init=0.01),
        MLPClassifier(max_iter=50, learning_rate_init=0.01),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# -- Beside scikit-learn's own networks --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(("activation", "alpha"), [("relu", 0.0), ("tanh", 1.0), ("logistic", 1e-4), ("identity", 3.0)])
@pytest.mark.parametrize(("solver", "weighted"), [("sgd", False), ("sgd", True), ("lbfgs", True)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_from_the_same_weights_it_goes_the_same_way(name, activation, alpha, solver, weighted):
    x, y, kind = standardized(name)
    x, y = x[:250], y[:250]  # a full batch and a short one
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(x)) if weighted else None
    options = {"hidden_layer_sizes": (20, 10), "activation": activation, "alpha": alpha, "solver": solver, "tol": 0.0}
    options |= {"learning_rate_init": 0.05, "shuffle": False, "warm_start": True, "max_iter": 1, "n_iter_no_change": 50}
    a = getattr(ours, kind)(**options | {"solver": "gd"}, random_state=0).fit(x, y).set_params(solver=solver)
    b = getattr(theirs, kind)(**options).fit(x, y)
    b.coefs_, b.intercepts_ = ([w.copy() for w in part] for part in (a.coefs_, a.intercepts_))
    for estimator in (a, b):
        estimator.set_params(max_iter=12).fit(x, y, weight)
    if solver == "lbfgs":
        np.testing.assert_allclose(a.loss_, b.loss_, rtol=1e-9)
    else:
        np.testing.assert_allclose(a.loss_curve_[1:], b.loss_curve_[1:], rtol=1e-12)
    for mine, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-12)
    np.testing.assert_allclose(a.predict(x), b.predict(x), atol=1e-12)
    if kind == "MLPClassifier":
        np.testing.assert_allclose(a.predict_proba(x), b.predict_proba(x), atol=1e-12)
        if solver == "sgd":  # where a probability is nearly 1, theirs takes the logarithm of rounding
            np.testing.assert_allclose(a.predict_log_proba(x), b.predict_log_proba(x), atol=1e-9)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_worse_than_scikit_learns_within_its_spread(name):
    x, y, kind = standardized(name)
    x, y = x[:900], y[:900]
    options = {"hidden_layer_sizes": (30,), "max_iter": 30, "learning_rate_init": 0.01, "random_state": 0}
    with threadpool_limits(1):  # more threads than free cores wait for one another
        mine, other = (cross_val_score(getattr(m, kind)(**options), x, y, cv=3) for m in (ours, theirs))
    assert mine.mean() >= other.mean() - max(other.std(), 1 / len(x))


# -- Training ----------------------------------------------------------------------------------------------------------


def small(kind=MLPClassifier, n=60, **options):
    """An estimator that learns fast, and data for it."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 4))
    target = x[:, 0] * x[:, 1] + 0.5 * x[:, 2]
    y = np.array(["low", "middle", "high"])[np.digitize(target, [-0.5, 0.5])] if kind is MLPClassifier else target
    return kind(**({"hidden_layer_sizes": (8,), "max_iter": 12, "batch_size": 25, "random_state": 3} | options)), x, y


def close(a, b):
    """Two estimators with the same weights, to rounding: short trainings are not recorded, longer ones are."""
    for mine, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_training_in_parts_is_the_training(kind):
    whole, x, y = small(kind)
    whole.fit(x, y)
    warm = clone(whole).set_params(warm_start=True, max_iter=5).fit(x, y).set_params(max_iter=7).fit(x, y)
    online = clone(whole)
    for i in range(12):
        online.partial_fit(x, y, **({"classes": np.unique(y)} if kind is MLPClassifier and not i else {}))
    for other in (warm, online):
        close(whole, other)
        np.testing.assert_allclose(whole.loss_curve_, other.loss_curve_, rtol=1e-9)
    assert (whole.n_iter_, warm.n_iter_, online.n_iter_) == (12, 7, 1)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["adam", "sgd", partial(optim.RMSprop, momentum=0.5)])
def test_what_was_pickled_goes_on_alike(kind, solver):
    estimator, x, y = small(kind, warm_start=True, solver=solver, activation=nn.LeakyReLU(0.1))
    estimator.fit(x, y)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.predict(x), estimator.predict(x))
    close(copy.fit(x, y), estimator.fit(x, y))
    assert len(copy.loss_curve_) == 24


def test_a_seed_makes_it_the_same_to_the_last_bit():
    estimator, x, y = small(max_iter=60)
    again = clone(estimator).fit(x, y)
    for a, b in zip(estimator.fit(x, y).coefs_, again.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    other = clone(estimator).set_params(random_state=4).fit(x, y)
    assert not np.array_equal(other.coefs_[0], again.coefs_[0])


def test_weights_of_classes_are_weights_of_rows():
    estimator, x, y = small()
    weight = {"low": 3.0, "middle": 0.5, "high": 0.0}
    by_class = clone(estimator).set_params(class_weight=weight).fit(x, y)
    close(by_class, estimator.fit(x, y, [weight[label] for label in y]))
    counts = dict(zip(*np.unique(y, return_counts=True), strict=True))
    balanced = clone(estimator).set_params(class_weight="balanced").fit(x, y)
    close(balanced, estimator.fit(x, y, [len(y) / 3 / counts[label] for label in y]))


def test_a_row_of_weight_0_is_not_there():
    estimator, x, y = small(MLPRegressor)
    weight = np.ones(len(y))
    weight[40:] = 0
    close(clone(estimator).fit(x, y, weight), estimator.fit(x[:40], y[:40]))


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_early_stopping_keeps_the_best(kind):
    estimator, x, y = small(kind, n=200, max_iter=500, learning_rate_init=0.05, early_stopping=True, tol=0.0)
    weight = np.random.default_rng(0).uniform(0.1, 9, len(y))
    estimator.fit(x, y, weight)
    scores = estimator.validation_scores_
    assert len(scores) == estimator.n_iter_ < 500
    assert estimator.n_iter_ - np.argmax(scores) - 1 == estimator.n_iter_no_change
    assert estimator.score(x, y) > 0.5
    # From the same seed, the training that ends with the best epoch has its weights.
    short = clone(estimator).set_params(max_iter=int(np.argmax(scores)) + 1)
    close(short.fit(x, y, weight), estimator)
    # The rows that were set aside count by their weights.
    classes = y if kind is MLPClassifier else None
    _, held = train_test_split(np.arange(200), test_size=0.1, random_state=estimator._split, stratify=classes)
    np.testing.assert_allclose(estimator.score(x[held], y[held], weight[held]), max(scores))
    assert abs(estimator.score(x[held], y[held]) - max(scores)) > 1e-6


def test_it_stops_when_nothing_improves():
    estimator, x, y = small(MLPRegressor, max_iter=5000, learning_rate_init=0.05, tol=0.01)
    estimator.fit(x, y)
    assert estimator.n_iter_ < 5000
    assert min(estimator.loss_curve_[:-10]) - 0.01 <= min(estimator.loss_curve_[-10:])
    assert clone(estimator).set_params(tol=0.0001).fit(x, y).n_iter_ > estimator.n_iter_
    with pytest.warns(ConvergenceWarning, match="max_iter=5 times"):
        clone(estimator).set_params(max_iter=5).fit(x, y)


# -- What may be given -------------------------------------------------------------------------------------------------


def squashed(x):
    """An activation of a user's own."""
    return x / (1 + np.abs(x))


@pytest.mark.parametrize("activation", [*ACTIVATIONS, squashed, np.sin, nn.GELU, nn.LeakyReLU(0.2)])
def test_any_activation(activation):
    estimator, x, y = small(activation=activation, hidden_layer_sizes=(6, 5, 4))
    estimator.fit(x, y)
    assert [w.shape for w in estimator.coefs_] == list(pairwise((4, 6, 5, 4, 3)))
    assert estimator.predict_proba(x).shape == (60, 3)


@pytest.mark.parametrize(("activation", "gain"), [("relu", 6), ("logistic", 2), ("tanh", 6), ("identity", 6)])
def test_first_weights_are_spread_as_scikit_learns(activation, gain):
    x, y = np.random.default_rng(0).normal(size=(2, 30)), np.array([0.0, 1.0])
    options = {"activation": activation, "max_iter": 1, "learning_rate_init": 1e-12}
    estimator = MLPRegressor((200,), **options, random_state=0).fit(x, y)
    first, second = np.sqrt(gain / 230), np.sqrt(gain / 201)
    for drawn, limit in (
        (estimator.coefs_[0], first),
        (estimator.intercepts_[0], first),
        (estimator.coefs_[1], second),
    ):
        assert 0.95 * limit < np.abs(drawn).max() < limit
    he = MLPRegressor((200,), **options, weight_init="he_uniform", random_state=0).fit(x, y)
    assert 0.95 * np.sqrt(6 / 30) < np.abs(he.coefs_[0]).max() < np.sqrt(6 / 30)
    assert np.abs(he.intercepts_[0]).max() < 1e-9


@pytest.mark.parametrize("solver", [*SOLVERS, optim.Adam, optim.GD, partial(optim.Adam, betas=(0.5, 0.9))])
def test_any_optimizer(solver):
    estimator, x, y = small(MLPRegressor, solver=solver, learning_rate_init=0.01)
    estimator.fit(x, y)
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]


def absolute(prediction, target, weight=None):
    """A loss of a user's own."""
    losses = np.abs(prediction - target)[:, 0]
    return np.mean(losses) if weight is None else np.sum(weight * losses) / np.sum(weight)


def test_a_loss_of_ones_own():
    options = {"hidden_layer_sizes": (), "loss": absolute, "max_iter": 400, "learning_rate_init": 0.05, "alpha": 0.0}
    estimator, x, y = small(MLPRegressor, n=151, **options)
    y[:20] += 100.0  # outliers hardly pull at an absolute error
    estimator.fit(x, y)
    assert np.median(np.abs(estimator.predict(x) - y)) < 1
    close(clone(estimator).fit(x, y, np.full(len(y), 2.0)), estimator)


def test_no_hidden_layer_is_a_linear_model():
    options = {"hidden_layer_sizes": (), "max_iter": 1000, "learning_rate_init": 0.05, "alpha": 0.0, "tol": 1e-9}
    estimator, x, _ = small(MLPRegressor, batch_size=60, **options)
    y = np.stack([x @ [1.0, -2.0, 0.5, 0.0] + 3, x[:, 0]], axis=1)
    np.testing.assert_allclose(estimator.fit(x, y).predict(x), y, atol=0.01)


def test_several_labels():
    estimator, x, _ = small(max_iter=400, learning_rate_init=0.02)
    y = (x[:, :3] > 0).astype(int)
    estimator.fit(x, y)
    assert estimator.score(x, y) > 0.9
    probabilities = estimator.predict_proba(x)
    np.testing.assert_array_equal(probabilities > 0.5, estimator.predict(x))
    np.testing.assert_allclose(np.exp(estimator.predict_log_proba(x)), probabilities)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_float32_stays_float32(kind):
    estimator, x, y = small(kind)
    estimator.fit(x.astype(np.float32), y, np.ones(len(y)))
    results = [*estimator.coefs_, *estimator.intercepts_]
    results.append(estimator.predict(x) if kind is MLPRegressor else estimator.predict_proba(x))
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


def test_the_network_can_be_written_out(tmp_path):
    estimator, x, y = small(MLPRegressor)
    estimator.fit(x, y)
    nn.save(tmp_path / "model.npz", estimator.model_)
    np.testing.assert_array_equal(nn.load(tmp_path / "model.npz").model.predict(x)[:, 0], estimator.predict(x))


# -- Tools around them -------------------------------------------------------------------------------------------------


def test_a_search_over_optimizers_and_activations():
    estimator, x, y = small(learning_rate_init=0.02)
    model = make_pipeline(StandardScaler(), estimator)
    grid = {"mlpclassifier__solver": ["adam", optim.GD], "mlpclassifier__activation": ["tanh", squashed]}
    search = GridSearchCV(model, grid, cv=3).fit(x, y)
    assert search.best_params_["mlpclassifier__solver"] == "adam"
    assert search.best_estimator_.score(x, y) == search.score(x, y) > 0.5


def test_processes_of_joblib_give_what_one_process_gives():
    estimator, x, y = small(MLPRegressor, solver=partial(optim.Adam, eps=1e-6), activation=nn.GELU)
    one, two = (cross_val_score(estimator, x, y, cv=3, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


# -- What is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"activation": "relv"}, "there is no activation 'relv'; the names are identity, relu"),
        ({"activation": 3}, "activation must be a function, a class or one of"),
        ({"solver": "newton"}, "there is no solver 'newton'; the names are adam, adamw, rmsprop, sgd, gd, lbfgs"),
        ({"solver": "lbfgs", "early_stopping": True}, "has neither partial_fit nor early_stopping"),
        ({"solver": None}, "solver must be a function"),
        ({"hidden_layer_sizes": (8, 0)}, "must be a positive integer"),
        ({"hidden_layer_sizes": (8, 2.5)}, "must be a positive integer"),
        ({"learning_rate_init": -1.0}, "lr must be a finite number"),
        ({"alpha": -1.0}, "alpha must be a finite number, 0 or more; got -1.0"),
        ({"tol": "small"}, "tol must be a finite number"),
        ({"batch_size": 0}, "batch_size must be a positive integer"),
        ({"batch_size": "all"}, "batch_size must be 'auto' or a positive integer; got 'all'"),
        ({"max_iter": 0}, "max_iter must be a positive integer; got 0"),
        ({"n_iter_no_change": 0}, "patience must be 1 or more"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "should be greater or equal to the number of classes"),
    ],
)
def test_parameters_that_are_none(options, said):
    estimator, x, y = small(**options)
    with pytest.raises((ValueError, TypeError), match=said):
        estimator.fit(x, y)


def test_data_that_do_not_fit():
    estimator, x, y = small()
    with pytest.raises(NotFittedError):
        estimator.predict(x)
    with pytest.raises(AttributeError, match="no weights yet: call fit first"):
        estimator.coefs_  # noqa: B018
    with pytest.raises(ValueError, match="at least two classes; there is one class only, low"):
        estimator.fit(x, np.full(len(x), "low"))
    with pytest.raises(ValueError, match="one class only"):
        estimator.fit(x, y, (y == "low").astype(float))
    with pytest.raises(ValueError, match=r"all of sample_weight is 0|at least one non-zero number"):
        estimator.fit(x, y, np.zeros(len(y)))
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        clone(estimator).partial_fit(x, y)
    with pytest.raises(ValueError, match="needs all data at once"):
        clone(estimator).set_params(class_weight="balanced").partial_fit(x, y, classes=np.unique(y))
    estimator.set_params(warm_start=True).fit(x, y)
    with pytest.raises(ValueError, match="must have the classes"):
        estimator.fit(x, np.where(y == "low", "lower", y))
    with pytest.raises(ValueError, match="not the same as on the first call"):
        estimator.partial_fit(x, y, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"hidden layers of \[8\]"):
        estimator.set_params(hidden_layer_sizes=(9,)).fit(x, y)
    regressor, x, y = small(MLPRegressor, warm_start=True)
    regressor.fit(x, y)
    with pytest.raises(ValueError, match="y has 2 outputs, and was of 1 before"):
        regressor.fit(x, np.stack([y, y], axis=1))
    regressor.set_params(warm_start=False, early_stopping=True, validation_fraction=0.01)
    with pytest.raises(ValueError, match=r"validation_fraction=0\.01 of 60 rows is too small"):
        regressor.fit(x, y)
    with pytest.raises(ValueError, match="multilabel"):
        clone(estimator).fit(x, np.arange(120).reshape(60, 2) % 3)


def test_a_training_that_runs_away_says_so():
    estimator, x, y = small(MLPRegressor, solver="sgd", learning_rate_init=1e6)
    with pytest.raises(nn.DivergenceError, match="smaller learning rate"):
        estimator.fit(x, y)


def test_without_scikit_learn_the_extra_is_named():
    code = "import sys; sys.modules['sklearn'] = None; import microgradnp.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'microgradnp[sklearn]'" in done.stderr
