"""Standardizing, splitting, one-hot and batches: laws, and scikit-learn's words for the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check, nn

seeds = st.integers(0, 10**6)


@given(seeds, st.integers(2, 20), st.sampled_from([(), (3,), (2, 2)]), st.sampled_from([np.float32, np.float64]))
def test_standardized_rows_have_mean_0_and_spread_1(seed, n, shape, dtype):
    x = (np.random.default_rng(seed).normal(size=(n, *shape)) * 7 + 3).astype(dtype)
    standardizer = nn.Standardizer(x)
    z = standardizer(x)
    tolerance = 1e-12 if dtype is np.float64 else 1e-4  # a mean of float32 numbers near 3
    assert z.dtype == dtype
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=tolerance)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=tolerance)
    np.testing.assert_allclose(standardizer.inverse(z), x, atol=10 * tolerance)


def test_a_standardizer_is_of_the_rows_it_was_made_of():
    x = np.arange(10.0)[:, None]
    standardizer = nn.Standardizer(x[:5])
    np.testing.assert_allclose(standardizer([[2.0], [4.0]]), (np.array([[2.0], [4.0]]) - 2) / np.sqrt(2))
    np.testing.assert_array_equal(nn.Standardizer(np.full((4, 1), 3.0))([[3.0], [5.0]]), [[0.0], [2.0]])
    with pytest.raises(ValueError, match=r"rows of shape \(1,\); got shape \(3, 2\)"):
        standardizer(np.ones((3, 2)))
    other = nn.Standardizer(np.zeros((1, 1)))
    other.load_state_dict(standardizer.state_dict())
    np.testing.assert_array_equal(other(x), standardizer(x))


def test_gradients_flow_through_a_standardizer():
    standardizer = nn.Standardizer(np.random.default_rng(0).normal(size=(5, 2)))
    check.gradients(lambda x: np.sum(np.sin(standardizer(x)) + standardizer.inverse(x) ** 2), np.ones((3, 2)), order=2)
    compiled = mg.compile(lambda x: standardizer(x))
    for k in range(4):
        np.testing.assert_array_equal(compiled(np.full((2, 2), k)), standardizer(np.full((2, 2), k)))


@given(seeds, st.integers(2, 40), st.floats(0.05, 0.95))
def test_each_row_is_on_one_side(seed, n, share):
    if not 0 < round(n * share) < n:
        with pytest.raises(ValueError, match="leaves no row on one side"):
            nn.split(np.arange(n), share=share)
        return
    x = np.arange(n)
    x_train, x_test, y_train, y_test = nn.split(x, -x, share=share, rng=seed)
    assert len(x_test) == round(n * share)
    assert sorted([*x_train, *x_test]) == list(range(n))
    np.testing.assert_array_equal(y_train, -x_train)
    np.testing.assert_array_equal(y_test, -x_test)


@given(seeds, st.lists(st.integers(4, 30), min_size=1, max_size=4))
def test_a_stratified_split_has_each_class_in_its_share(seed, counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    _, test = nn.split(labels, share=0.25, rng=seed, stratify=labels)
    for k, count in enumerate(counts):
        assert abs((test == k).sum() - count / 4) <= 1


@given(st.integers(1, 20), st.integers(1, 8), st.one_of(st.none(), seeds))
def test_batches_hold_each_row_once(n, size, rng):
    x = np.arange(n)
    parts = list(nn.batches(x, 2 * x, size=size, rng=rng))
    assert [len(a) for a, _ in parts[:-1]] == [size] * (len(parts) - 1)
    assert sorted(np.concatenate([a for a, _ in parts])) == list(range(n))
    assert all((2 * a == b).all() for a, b in parts)
    if rng is None:
        np.testing.assert_array_equal(np.concatenate([a for a, _ in parts]), x)


def test_one_hot():
    np.testing.assert_array_equal(nn.one_hot([1, 0, 1], 3), [[0, 1, 0], [1, 0, 0], [0, 1, 0]])
    with pytest.raises(ValueError, match="label 3 at place 1: classes are 0 to 2"):
        nn.one_hot([1, 3], 3)
    with pytest.raises(ValueError, match="labels must be integers"):
        nn.one_hot([1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.split([1, 2], [1]), "as many rows; got 2, 1"),
        (lambda: nn.batches([1, 2], [1], size=1), "as many rows; got 2, 1"),
        (lambda: nn.batches([1, 2], size=0), "size must be a positive integer; got 0"),
        (lambda: nn.Standardizer(3.0), r"Standardizer takes rows of data; got shape \(\)"),
        (lambda: nn.split([1, 2], share=0.5, stratify=[1]), "one label for each of 2 rows"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
