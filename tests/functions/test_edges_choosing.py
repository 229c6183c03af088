"""Where elements are chosen: ties, bounds, the branch not taken, order statistics and places."""

import math
from typing import Any

import numpy as np
import pytest
from helpers import both_dtypes, gradient, same_as_numpy

import microgradnp as mg


@both_dtypes
def test_ties_are_split_evenly(dtype: Any) -> None:
    for f in (np.maximum, np.minimum, np.fmax, np.fmin):
        a, b = gradient(f, [1.0, 2.0], [1.0, 2.0], argnums=(0, 1), dtype=dtype)
        assert (a.tolist(), b.tolist()) == ([0.5, 0.5], [0.5, 0.5])
        assert gradient(lambda x, f=f: f(x, x), [1.0, -3.0], dtype=dtype).tolist() == [1, 1]
    x = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    third = dtype(1) / dtype(3)
    for f in (
        lambda x: np.max(x, axis=1),
        lambda x: np.min(-x, axis=1),
        lambda x: np.maximum.reduce(x.T),
        lambda x: np.fmax.reduce(x.T),
        lambda x: np.fmin.reduce(-x, axis=1),
        lambda x: np.nanmax(x, axis=1),
    ):
        g = np.abs(gradient(f, x, dtype=dtype))
        np.testing.assert_array_equal(g, np.array([[0, 0.5, 0.5], [third, third, third]], dtype))
    assert gradient(np.max, [[2.0, 2.0], [2.0, 2.0]], dtype=dtype).tolist() == [[0.25, 0.25], [0.25, 0.25]]
    for order in (2, -2):  # the largest and the smallest singular value
        assert gradient(lambda x, order=order: np.linalg.norm(x, order), np.eye(2), dtype=dtype).tolist() == [
            [0.5, 0],
            [0, 0.5],
        ]
    assert gradient(lambda x: np.max(x, axis=0) - np.min(x, axis=0), [1.0, 1.0], dtype=dtype).tolist() == [0, 0]


@both_dtypes
def test_a_bound_belongs_to_the_inside(dtype: Any) -> None:
    assert gradient(lambda x: np.clip(x, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0], dtype=dtype).tolist() == [0, 1, 1, 1, 0]
    assert gradient(lambda x: np.clip(x, None, 1), [1.0, 2.0], dtype=dtype).tolist() == [1, 0]
    x, low, high = gradient(np.clip, [-2.0, -1.0, 1.0, 2.0], [-1.0], [1.0], argnums=(0, 1, 2), dtype=dtype)
    assert (x.tolist(), low.tolist(), high.tolist()) == ([0, 1, 1, 0], [1], [1])
    x, low, high = gradient(np.clip, [0.0], [2.0], [1.0], argnums=(0, 1, 2), dtype=dtype)  # NumPy: the upper bound wins
    assert (x.tolist(), low.tolist(), high.tolist()) == ([0], [0], [1])


@both_dtypes
def test_nan_in_the_branch_not_taken_reaches_the_gradient_as_nan(dtype: Any) -> None:
    """The product of the chain rule has a factor 0 there, and the other one is not a number: choose the argument."""
    with np.errstate(all="ignore"):
        bad = gradient(lambda x: np.where(x > 0, np.sqrt(x), 0.0), [0.0, 4.0], dtype=dtype)
    assert np.isnan(bad[0])
    assert bad[1] == 0.25
    good = gradient(lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0), [0.0, 4.0], dtype=dtype)
    assert good.tolist() == [0, 0.25]


@both_dtypes
def test_sorting_equal_elements_is_a_permutation(dtype: Any) -> None:
    x = [2.0, 1.0, 2.0, 1.0]
    g = gradient(lambda x: np.sort(x) * np.array([1, 2, 3, 4], dtype), x, dtype=dtype)
    assert sorted(g.tolist()) == [1, 2, 3, 4]
    assert set(g[[1, 3]].tolist()) == {1, 2}
    assert gradient(np.median, x, dtype=dtype).sum() == 1


def test_any_number_is_a_condition():
    x = np.array([1.0, 2.0, 3.0])
    for condition in (np.array([0, 1, 2]), np.array([0.0, 1.0, np.nan]), [0, 1, 1], 1, True, 0.0):
        f = mg.compile(lambda x, condition=condition: np.where(condition, x, 0))
        for _ in range(3):
            np.testing.assert_array_equal(f(mg.Tensor(x)).data, np.where(condition, x, 0))


def test_true_is_the_index_1_where_numpy_counts():
    for places in ([True, False, True], [True, True, True]):
        same_as_numpy(lambda x, i=places: np.take(x, np.array(i)), np.array([1.0, 2.0, 3.0]))
        same_as_numpy(lambda w, i=places: np.bincount(np.array(i), w), np.array([1.0, 2.0, 3.0]))
        got = gradient(lambda x, i=places: np.sum(np.take(x, np.array(i)) * [1.0, 2.0, 4.0]), [5.0, 6.0, 7.0])
        expected = np.bincount(np.array(places), [1.0, 2.0, 4.0], minlength=3)
        assert got.tolist() == expected.tolist()
    same_as_numpy(lambda x: np.choose(np.array([True, False]), [x, 2 * x]), np.array([1.0, 2.0]))
    same_as_numpy(lambda x: np.take(x, []), np.array([1.0, 2.0]))
    same_as_numpy(lambda x: np.take(x, [], axis=0), np.ones((2, 3)))


# -- Order statistics --------------------------------------------------------------------------------------------------


NUMBERS = (0.5, 1, 0, True, [0.5], [0.25, 0.75], (0.1,), [0, 1], np.float32(0.5), np.float64(0.5), np.int64(1))
LISTS = (np.array(0.5, "f4"), np.array([0.5], "f4"), np.array([0.5]), np.array([1]), np.array([[0.25], [1.0]]))


@both_dtypes
@pytest.mark.parametrize("f", [np.quantile, np.nanquantile, np.percentile, np.nanpercentile])
@pytest.mark.parametrize("q", [*NUMBERS, *LISTS], ids=repr)
def test_quantiles_have_numpys_dtype(f: Any, q: Any, dtype: Any) -> None:
    same_as_numpy(lambda x: f(x, q), np.arange(6, dtype=dtype))
    if "nan" not in f.__name__:
        same_as_numpy(lambda x: f(x, q, method="lower"), np.arange(6, dtype=dtype))


@both_dtypes
@pytest.mark.parametrize("method", ["lower", "higher", "nearest", "midpoint", "inverted_cdf", "averaged_inverted_cdf"])
def test_quantiles_choose_the_elements_that_numpy_chooses(method: str, dtype: Any) -> None:
    for n in (24, 25, 26):  # 0.6 * 25 is 15, and in float32 a little more
        for q in range(0, 101, 5):
            same_as_numpy(lambda x, q=q: np.percentile(x, q, method=method), np.arange(n, dtype=dtype))
            same_as_numpy(lambda x, q=q: np.quantile(x, q / 100, method=method), np.arange(n, dtype=dtype))


@both_dtypes
def test_order_statistics_beside_infinity_and_nan_are_numpys(dtype: Any) -> None:
    inf, nan = math.inf, math.nan
    rows = ([1, 2, inf], [-inf, 2, 3], [1, inf, inf, inf], [-inf, -inf, -inf, 0], [-inf, -inf, 3, inf, inf])
    for row in rows:
        same_as_numpy(np.median, np.array(row, dtype))
        same_as_numpy(np.nanmedian, np.array(row, dtype))
        same_as_numpy(lambda x: np.quantile(x, [0, 1]), np.array(row, dtype))
    for row in ([1, nan], [1, nan, 2, 3], [nan, 1, nan], [1, nan, inf, 2]):
        same_as_numpy(np.nanmedian, np.array(row, dtype))
    assert gradient(np.median, [1.0, 2.0, inf], dtype=dtype).tolist() == [0, 1, 0]
    assert gradient(np.nanmedian, [1.0, nan, 3.0, 2.0], dtype=dtype).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("f", [np.median, np.nanmedian])
def test_a_median_is_the_mean_of_the_middle_to_the_bit(f: Any) -> None:
    rows = np.sin(np.arange(60.0)).reshape(10, 6)
    for x in (rows, rows[:, :5], rows.astype(np.float32), np.array([[-1.7e308, 1.7e308]]), np.array([[True, False]])):
        got = f(mg.Tensor(x, requires_grad=x.dtype.kind == "f"), axis=1)
        np.testing.assert_array_equal(got.data, f(x, axis=1))
        assert got.dtype == f(x, axis=1).dtype


def test_the_median_of_nothing_is_nan():
    with pytest.warns(RuntimeWarning):
        assert np.isnan(np.median(mg.Tensor(np.zeros(0), requires_grad=True)).item())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_median_of_nothing_but_nan_and_of_nothing():
    for f in (np.nanmedian, lambda x, **options: np.nanquantile(x, 0.5, **options)):
        same_as_numpy(f, np.zeros(0))
        same_as_numpy(f, np.full(3, np.nan))
        same_as_numpy(lambda x, f=f: f(x, axis=0, keepdims=True), np.full((2, 3), np.nan))
