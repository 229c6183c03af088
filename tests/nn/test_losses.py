"""Losses: their values, their gradients, and the shapes that they refuse."""

import numpy as np
import pytest
from helpers import seeds
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.nn.functional import softmax
from microgradnp.nn.losses import cross_entropy, mean_squared_error, sum_squared_error

shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@given(seeds, shapes)
def test_squared_errors(seed, shape):
    a, b = np.random.default_rng(seed).normal(size=(2, *shape))
    assert sum_squared_error(a, b) == pytest.approx(np.linalg.norm(np.ravel(a - b)) ** 2)
    assert mean_squared_error(a, b) * a.size == pytest.approx(sum_squared_error(a, b))
    check.gradients(sum_squared_error, a, b, hand=lambda a, b: (2 * (a - b), 2 * (b - a)), order=2)
    check.gradients(mean_squared_error, a, b, order=2)


@pytest.mark.parametrize("loss", [sum_squared_error, mean_squared_error])
@pytest.mark.parametrize(
    ("prediction", "target", "remedy"),
    [
        ((40, 1), (40,), r"Make the targets a column: y\[:, None\]"),
        ((40,), (40, 1), r"y\[:, 0\]"),
        ((40, 1), (39, 1), "must have the same shape"),
        ((40, 1), (), "must have the same shape"),
    ],
)
def test_shapes_that_would_broadcast_raise(loss, prediction, target, remedy):
    with pytest.raises(ValueError, match=remedy) as error:
        loss(mg.Tensor(np.ones(prediction), requires_grad=True), np.ones(target))
    assert f"predictions of shape {prediction} against targets of shape {target}" in str(error.value)


@st.composite
def classified(draw):
    rng = np.random.default_rng(draw(seeds))
    n, classes = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    logits = rng.normal(0, draw(st.sampled_from([0.1, 1.0, 5.0])), (n, classes))
    return logits, rng.integers(0, classes, n)


@given(classified())
def test_cross_entropy(drawn):
    logits, labels = drawn
    n = len(labels)
    right = softmax(logits)[np.arange(n), labels]
    assert cross_entropy(logits, labels) == pytest.approx(-np.mean(np.log(right)), rel=1e-9, abs=1e-12)

    def by_hand(logits):
        one_hot = np.eye(logits.shape[1])[labels]
        return (softmax(logits) - one_hot) / n

    # Of a class that is all but certain, the gradient is a difference of numbers of size 1.
    check.gradients(lambda z: cross_entropy(z, labels), logits, hand=by_hand, atol=1e-13)


@given(classified())
def test_cross_entropy_does_not_mind_a_shift_of_all_logits(drawn):
    logits, labels = drawn
    assert cross_entropy(logits + 300.0, labels) == pytest.approx(cross_entropy(logits, labels), rel=1e-9, abs=1e-11)


def test_cross_entropy_of_huge_and_masked_logits():
    assert cross_entropy(np.array([[1e300, -1e300], [0.0, -np.inf]]), np.array([0, 0])) == 0
    z = mg.Tensor([[5.0, -np.inf]], requires_grad=True)
    cross_entropy(z, [0]).backward()
    np.testing.assert_array_equal(z.grad, [[0, 0]])


def test_losses_keep_float32():
    z = mg.Tensor(np.ones((3, 2)), requires_grad=True, dtype=np.float32)
    for loss, target in (
        (sum_squared_error, np.zeros((3, 2), np.float32)),
        (mean_squared_error, np.zeros((3, 2), np.float32)),
        (cross_entropy, np.array([0, 1, 1])),
    ):
        assert loss(z, target).dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([0, 3, 1, 1]), ValueError, "takes labels from 0 to 2; got labels from 0 to 3"),
        (np.array([0, -1, 1, 1]), ValueError, "from -1 to 1"),
        (np.array([0.0, 1, 1, 1]), TypeError, r"float64.*astype\(int\)"),
        (np.array([[0], [1], [1], [1]]), ValueError, r"labels of shape \(4, 1\).*argmax"),
        (np.array([0, 1]), ValueError, r"logits of shape \(4, 3\) and labels of shape \(2,\)"),
    ],
)
def test_labels_that_cross_entropy_refuses(labels, error, message):
    with pytest.raises(error, match=message):
        cross_entropy(np.ones((4, 3)), labels)
