"""Metrics against scikit-learn's, where it is installed, and against what they say by definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgradnp.nn import metrics

seeds = st.integers(0, 10**6)


@given(seeds, st.integers(2, 5), st.integers(2, 40))
def test_classification_as_in_scikit_learn(seed, classes, n):
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(n, classes)), rng.integers(0, classes, n)
    predicted = scores.argmax(axis=1)
    assert metrics.accuracy(scores, labels) == pytest.approx(theirs.accuracy_score(labels, predicted))
    expected = theirs.confusion_matrix(labels, predicted, labels=np.arange(classes))
    np.testing.assert_array_equal(metrics.confusion_matrix(scores, labels), expected)
    average = "binary" if classes == 2 else "macro"
    f1 = theirs.f1_score(labels, predicted, average=average, zero_division=0.0)
    assert metrics.f1(scores, labels) == pytest.approx(f1)


@given(seeds, st.integers(2, 20), st.integers(1, 3))
def test_regression_as_in_scikit_learn(seed, n, columns):
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    p, t = rng.normal(size=(2, n, columns))
    assert metrics.rmse(p, t) == pytest.approx(np.sqrt(theirs.mean_squared_error(t, p)))
    assert metrics.mae(p, t) == pytest.approx(theirs.mean_absolute_error(t, p))
    assert metrics.r2(p, t) == pytest.approx(theirs.r2_score(t, p))


@given(seeds)
def test_metrics_do_not_depend_on_the_order_of_rows(seed):
    rng = np.random.default_rng(seed)
    p, t, order = rng.normal(size=(9, 3)), rng.integers(0, 3, 9), rng.permutation(9)
    for metric in (metrics.accuracy, metrics.f1, metrics.confusion_matrix):
        np.testing.assert_allclose(metric(p[order], t[order]), metric(p, t))


def test_one_score_a_row_is_a_logit():
    assert metrics.accuracy([[-1.0], [2.0], [0.5]], [0, 1, 0]) == pytest.approx(2 / 3)
    assert metrics.accuracy(np.array([-1.0, 2.0]), [[0], [1]]) == 1
    assert metrics.accuracy([True, False], [1, 0]) == 1


def test_what_does_not_vary():
    assert metrics.r2([2.0, 2.0], [2.0, 2.0]) == 1
    assert metrics.r2([2.0, 3.0], [2.0, 2.0]) == 0


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.rmse, metrics.r2, metrics.mae, metrics.f1])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match=r"shape \(3,\) against targets of shape \(2,\)"):
        metric(np.ones(3, int), np.ones(2, int))


def test_labels_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"labels must be 0 to 1; got 0 to 2"):
        metrics.confusion_matrix([0, 1], [0, 2], classes=2)
