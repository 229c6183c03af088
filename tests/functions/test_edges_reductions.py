"""Reductions of zeros, of constants, of nothing and of NaN; with weights, initial values and `where`."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import both_dtypes, gradient, leaf, same_as_numpy, second
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp import check


@both_dtypes
def test_norms_at_zero_are_flat(dtype: Any) -> None:
    zero = [[0.0, 0.0], [0.0, 0.0]]
    for order in (None, "fro"):
        assert gradient(lambda x, o=order: np.linalg.norm(x, o), zero, dtype=dtype).tolist() == zero
    for order in (1, 2, 3, 1.5):
        assert gradient(lambda x, o=order: np.linalg.norm(x, o, axis=0), zero, dtype=dtype).tolist() == zero
        assert gradient(lambda x, o=order: np.linalg.vector_norm(x, ord=o), zero, dtype=dtype).tolist() == zero
    assert second(np.linalg.norm, [0.0, 0.0], dtype).tolist() == [0, 0]
    for order in ("nuc", 2, -2, 1, -1, math.inf, -math.inf):
        assert gradient(lambda x, o=order: np.linalg.norm(x, o), zero, dtype=dtype).tolist() == zero
    for order, slope in ((0.5, 1.0), (1, 1.0), (-1, 0.0), (-2, 0.0)):  # as abs, wherever an element is 0

        def norm(x, order=order):
            return np.linalg.norm(x, order)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if order < 0 else "error")  # NumPy itself warns of 0**-1
            same_as_numpy(norm, np.array([0.0, 3.0], dtype))
            np.testing.assert_allclose(gradient(norm, [0.0, 3.0], dtype=dtype), [0, slope], rtol=1e-6)
    half = gradient(lambda x: np.linalg.norm(x, axis=1), [[0.0, 0.0], [3.0, 4.0]], dtype=dtype)
    np.testing.assert_allclose(half, [[0, 0], [0.6, 0.8]], rtol=1e-6)


@both_dtypes
@pytest.mark.parametrize("f", [np.std, np.nanstd])
def test_std_of_constants_is_flat(f: Any, dtype: Any) -> None:
    assert gradient(f, [2.0, 2.0, 2.0], dtype=dtype).tolist() == [0, 0, 0]
    assert gradient(lambda x: f(x, axis=1), [[1.0, 1.0], [1.0, 3.0]], dtype=dtype).tolist() == [[0, 0], [-0.5, 0.5]]
    assert gradient(f, [5.0], dtype=dtype).tolist() == [0]
    assert second(f, [2.0, 2.0], dtype).tolist() == [0, 0]


def others(x: Any, *left_out: int) -> float:
    """The product of all elements but some."""
    return float(np.prod(np.delete(np.asarray(x, float), left_out)))


@given(hnp.arrays(np.float64, st.integers(0, 5), elements=st.sampled_from([0.0, 1.0, -2.0, 3.0])))
def test_products_with_zeros_are_exact_to_third_order(x: Any) -> None:
    n = len(x)
    assert gradient(np.prod, x).tolist() == [others(x, i) for i in range(n)]
    hessian = [[others(x, i, j) if i != j else 0.0 for j in range(n)] for i in range(n)]
    assert mg.hessian(np.prod)(x).tolist() == hessian
    if n:
        third = mg.jacobian(mg.hessian(np.prod))(x)
        expected = [
            [[others(x, i, j, k) if len({i, j, k}) == 3 else 0.0 for k in range(n)] for j in range(n)] for i in range(n)
        ]
        assert third.tolist() == expected


@given(hnp.arrays(np.float64, st.integers(1, 5), elements=st.sampled_from([0.0, 1.0, -2.0, 3.0])))
def test_running_products_with_zeros_are_exact(x: Any) -> None:
    expected = [[others(x[: k + 1], i) if i <= k else 0.0 for i in range(len(x))] for k in range(len(x))]
    assert mg.jacobian(np.cumprod)(x).tolist() == expected


@both_dtypes
@pytest.mark.parametrize("x", [[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
def test_products_with_zeros_keep_the_dtype(x: list[float], dtype: Any) -> None:
    assert gradient(np.prod, x, dtype=dtype).tolist() == [others(x, i) for i in range(3)]
    assert gradient(lambda v: np.cumprod(v)[-1], x, dtype=dtype).tolist() == [others(x, i) for i in range(3)]
    assert gradient(np.multiply.reduce, x, dtype=dtype).tolist() == [others(x, i) for i in range(3)]


@both_dtypes
def test_reductions_of_nothing(dtype: Any) -> None:
    empty = np.empty((0, 3), dtype)
    for f in (np.sum, np.prod, np.cumsum, np.cumprod, np.linalg.norm, np.nansum):
        assert gradient(f, empty, dtype=dtype).shape == (0, 3)
    assert gradient(lambda x: np.max(x, axis=0, initial=0.0), empty, dtype=dtype).shape == (0, 3)
    with pytest.raises(ValueError, match="zero-size"):
        np.max(mg.Tensor(empty, requires_grad=True))


def test_an_axis_of_a_number():
    for f in (np.sum, np.max, np.prod):
        assert f(mg.Tensor(3.0, requires_grad=True), axis=-1).item() == f(np.float64(3.0), axis=-1)


# -- By any operation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.subtract, np.divide, np.maximum, np.logaddexp, np.hypot])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (), (0,), (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_by_any_operation_are_numpys(ufunc: Any, axis: Any, keepdims: bool) -> None:
    for shape in [(2, 3), (3,), (), (1, 3), (0, 2), (0,)]:
        same_as_numpy(
            lambda x: ufunc.reduce(x, axis=axis, keepdims=keepdims), np.arange(1.0, math.prod(shape) + 1).reshape(shape)
        )


@both_dtypes
@pytest.mark.parametrize("ufunc", [np.subtract, np.divide, np.logaddexp, np.logaddexp2, np.hypot, np.fmax, np.fmin])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_a_fold_of_what_is_chosen_is_numpys_and_leaves_out_the_rest(ufunc: Any, axis: Any, dtype: Any) -> None:
    x = np.array([[1.5, 2.0, 0.0], [3.0, 0.0, 0.5]], dtype)
    chosen = x != 0
    options: list[dict[str, Any]] = [{"initial": 0.75}] + [{}] * (ufunc.identity is not None)
    for option in options:
        for where in (chosen, np.array([True, False, False]), np.zeros((2, 3), bool), True):
            if where is True and not option:
                continue

            def f(x, where=where, option=option):
                return ufunc.reduce(x, axis=axis, where=where, keepdims=True, **option)

            if axis is None and ufunc in (np.subtract, np.divide):
                same_as_numpy(f, x)  # an error
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("error" if where is not True else "ignore")  # NumPy divides by 0
                same_as_numpy(f, x)
            if where is not True:
                got = gradient(lambda x, f=f: np.sum(f(x)), x, dtype=dtype)
                assert np.all(got[~np.broadcast_to(where, x.shape)] == 0)
                assert np.all(np.isfinite(got))
    if axis is not None:
        check.gradients(lambda x: ufunc.reduce(x, axis=axis, where=chosen, initial=0.75), x)


# -- NaN passed over ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # some are left without a number, and NumPy warns
def test_functions_that_pass_over_nan_take_numpys_options(name: str, axis: Any) -> None:
    f, chosen = getattr(np, f"nan{name}"), np.array([[True, True, False], [False, True, True]])
    x = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.nan]])
    options: list[dict[str, Any]] = [{}, {"where": chosen}, {"where": chosen[0]}]
    if name in ("var", "std"):
        options += [{"mean": 2.0}, {"correction": 1}, {"ddof": 2, "where": chosen}]
    elif name != "mean":
        options += [{"initial": 0.5}, {"initial": 0.5, "where": chosen}]
    for option in options:
        same_as_numpy(lambda x, option=option: f(x, axis=axis, keepdims=True, **option), x)
        same_as_numpy(lambda x, option=option: f(x, axis=axis, **option), np.full((2, 3), np.nan))
    gradients = gradient(
        lambda x: f(x, axis=axis, where=chosen, **({"initial": 0.5} if name in ("max", "min") else {})), x
    )
    assert np.all(gradients[~chosen | np.isnan(x)] == 0)
    assert np.all(np.isfinite(gradients[:, :2]))


@pytest.mark.parametrize("f", [np.nanmax, np.nanmin, np.nanmedian, lambda x, axis: np.nanquantile(x, 0.3, axis=axis)])
def test_nothing_but_nan_is_warned_of_as_numpy_does(f: Any) -> None:
    with pytest.warns(RuntimeWarning, match="All-NaN slice"):
        assert np.isnan(f(mg.Tensor([[math.nan, math.nan], [1.0, 2.0]], requires_grad=True), axis=1).data[0])
    for name in ("nanmax", "nanmin"):
        same_as_numpy(lambda x, name=name: getattr(np, name)(x, axis=1, initial=math.nan), np.array([[1.0, 3.0]]))


def test_more_degrees_of_freedom_than_numbers():
    for f in (np.nanvar, np.nanstd):
        with pytest.warns(RuntimeWarning):
            assert np.isnan(f(leaf(1.0, np.nan, 3.0), ddof=3).item())


# -- Weights -----------------------------------------------------------------------------------------------------------


def test_weights_that_sum_to_zero_give_no_mean():
    with pytest.raises(ZeroDivisionError, match="sum to 0"):
        np.average(leaf(1.0, 2.0), weights=[1, -1])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_of_a_covariance_are_numpys_or_errors():
    x = np.array([[1.0, 2.0, 4.0, 3.0], [0.5, -1.0, 2.0, 5.0]])
    same_as_numpy(lambda x: np.cov(x, fweights=[1, 1, 0, 0], ddof=3), x)
    same_as_numpy(lambda x: np.cov(x, fweights=[2, 1, 3, 0], aweights=[0.5, 1.0, 2.0, 1.0]), x)
    for options, message in (
        ({"fweights": [1.5, 1, 1, 1]}, "4 whole fweights"),
        ({"fweights": [-1, 1, 1, 1]}, "none negative"),
        ({"fweights": [1, 1]}, "one an observation"),
        ({"aweights": [-1, 1, 1, 1]}, "aweights cannot be negative"),
    ):
        with pytest.raises(ValueError, match=message):
            np.cov(leaf(*x), **options)
