"""The gradient at an edge: decided, and tested, in both dtypes and to second order where that means something."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp import check
from microgradnp.engine.tensor import plain

both = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def gradient(f: Callable[..., Any], *args: Any, argnums: Any = 0, dtype: Any = np.float64) -> Any:
    """The gradient of the sum of ``f``, whose dtype must be that of the arguments."""
    arrays = tuple(np.asarray(x, dtype) for x in args)
    result = mg.grad(lambda *xs: np.sum(f(*xs)), argnums)(*arrays)
    for g in result if isinstance(result, tuple) else (result,):
        assert g.dtype == dtype
    return result


def second(f: Callable[[Any], Any], x: Any, dtype: Any = np.float64) -> Any:
    """The diagonal of the Hessian of an elementwise function."""
    return gradient(mg.grad(lambda x: np.sum(f(x))), x, dtype=dtype)


# -- Elementwise -------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("f", [np.arctan, np.arcsinh, np.log, np.log2, np.log10, np.log1p, np.sqrt, np.cbrt])
def test_at_the_largest_numbers_no_rule_overflows(f: Any, dtype: Any) -> None:
    x = np.array([0.5, 0.99]) * np.finfo(dtype).max
    with np.errstate(all="raise", under="ignore"):
        for g in (gradient(f, x, dtype=dtype), second(f, x, dtype)):
            assert np.all(np.isfinite(g))
    slope = gradient(f, x, dtype=dtype)
    assert f is np.arctan or np.all(slope != 0)


@both
def test_sqrt_at_zero_is_infinite(dtype: Any) -> None:
    with np.errstate(divide="ignore"):
        assert gradient(np.sqrt, [0.0, 4.0], dtype=dtype).tolist() == [np.inf, 0.25]
        assert gradient(lambda x: x**0.5, [0.0], dtype=dtype).tolist() == [np.inf]


@both
@pytest.mark.parametrize("f", [np.abs, np.fabs, abs, lambda x: np.copysign(x, 1.0)])
def test_abs_at_zero_is_flat(f: Any, dtype: Any) -> None:
    assert gradient(f, [-2.0, 0.0, -0.0, 3.0], dtype=dtype).tolist() == [-1, 0, 0, 1]
    assert second(f, [-2.0, 0.0, 3.0], dtype).tolist() == [0, 0, 0]


@both
def test_powers_at_zero(dtype: Any) -> None:
    x = [0.0, 2.0]
    assert gradient(lambda x: x**0, x, dtype=dtype).tolist() == [0, 0]
    assert gradient(lambda x: np.power(x, 0.0), x, dtype=dtype).tolist() == [0, 0]
    assert gradient(lambda x: x**1, x, dtype=dtype).tolist() == [1, 1]
    assert gradient(lambda x: x**2, x, dtype=dtype).tolist() == [0, 4]
    assert second(lambda x: x**0, x, dtype).tolist() == [0, 0]
    assert second(lambda x: x**1, x, dtype).tolist() == [0, 0]
    assert second(lambda x: x**2, x, dtype).tolist() == [2, 2]
    assert second(lambda x: x**3, x, dtype).tolist() == [0, 12]
    assert second(mg.grad(lambda x: np.sum(x**3)), x, dtype).tolist() == [6, 6]
    base, exponent = gradient(np.power, [0.0, 0.0, 0.0], [0.0, 1.0, 2.0], argnums=(0, 1), dtype=dtype)
    assert base.tolist() == [0, 1, 0]
    assert exponent.tolist() == [0, 0, 0]


@both
def test_powers_of_negative_numbers(dtype: Any) -> None:
    assert gradient(lambda x: x**3, [-2.0], dtype=dtype).tolist() == [12]
    assert gradient(lambda x: x**-1, [-2.0], dtype=dtype).tolist() == [-0.25]
    assert gradient(lambda x: np.power(x, 3), [-2.0], dtype=dtype).tolist() == [12]


@both
def test_arctan2_and_hypot_at_the_origin_are_flat(dtype: Any) -> None:
    for f in (np.arctan2, np.hypot):
        a, b = gradient(f, [0.0], [0.0], argnums=(0, 1), dtype=dtype)
        assert (a.tolist(), b.tolist()) == ([0], [0])
    a, b = gradient(np.arctan2, [0.0, 1.0], [2.0, 0.0], argnums=(0, 1), dtype=dtype)
    assert (a.tolist(), b.tolist()) == ([0.5, 0], [0, -1])


@both
def test_arctan2_and_hypot_do_not_overflow(dtype: Any) -> None:
    huge = float(np.finfo(dtype).max) / 4
    a, b = gradient(np.arctan2, [huge], [huge], argnums=(0, 1), dtype=dtype)
    assert np.isfinite([a, b]).all()
    a, b = gradient(np.hypot, [huge], [huge], argnums=(0, 1), dtype=dtype)
    np.testing.assert_allclose([a, b], math.sqrt(0.5), rtol=1e-6)


@both
def test_sinc_at_and_near_zero(dtype: Any) -> None:
    tolerance = 8 * float(np.finfo(dtype).eps)
    x = np.array([0.0, 1e-30, 1e-8, 1e-3, 0.1, 0.499, 0.501], dtype)
    exact = x.astype(np.float64)
    u = np.pi * exact
    series = np.pi * (-u / 3 + u**3 / 30 - u**5 / 840 + u**7 / 45360 - u**9 / 3991680 + u**11 / 518918400)
    np.testing.assert_allclose(gradient(np.sinc, x, dtype=dtype), series, rtol=max(tolerance, 1e-8), atol=0)
    assert gradient(np.sinc, [0.0], dtype=dtype).tolist() == [0]
    np.testing.assert_allclose(second(np.sinc, [0.0], dtype), -(np.pi**2) / 3, rtol=tolerance)


@both
def test_functions_of_huge_and_infinite_arguments(dtype: Any) -> None:
    x = np.array([1000.0, -1000.0, np.inf, -np.inf], dtype)
    assert gradient(np.tanh, x, dtype=dtype).tolist() == [0, 0, 0, 0]
    assert gradient(np.arctan, x[2:], dtype=dtype).tolist() == [0, 0]
    shares = {(1000.0, -1000.0): (1, 0), (-np.inf, 3.0): (0, 1), (np.inf, 1.0): (1, 0), (-np.inf, -np.inf): (0, 0)}
    for pair, share in shares.items():
        assert gradient(np.logaddexp, *pair, argnums=(0, 1), dtype=dtype) == share
    a, b = gradient(np.logaddexp2, [5000.0, -np.inf], [-5000.0, 3.0], argnums=(0, 1), dtype=dtype)
    assert (a.tolist(), b.tolist()) == ([1, 0], [0, 1])


@both
def test_logaddexp_of_equals_is_half_to_any_order(dtype: Any) -> None:
    np.testing.assert_allclose(gradient(np.logaddexp, 3.0, 3.0, dtype=dtype), 0.5, rtol=1e-6)
    np.testing.assert_allclose(second(lambda x: np.logaddexp(x, 3.0), [3.0], dtype), 0.25, rtol=1e-6)


@both
@pytest.mark.parametrize("f", [np.logaddexp, np.logaddexp2])
def test_logaddexp_of_two_infinities_is_a_tie(f: Any, dtype: Any) -> None:
    assert gradient(f, np.inf, np.inf, argnums=(0, 1), dtype=dtype) == (0.5, 0.5)
    assert gradient(f, -np.inf, -np.inf, argnums=(0, 1), dtype=dtype) == (0, 0)  # exp of both is 0: nobody has a share
    assert second(lambda x: f(x, np.inf), [np.inf, 1.0], dtype).tolist() == [0, 0]


@both
def test_powers_of_infinity_and_nan(dtype: Any) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 0.0, 2.0])
    for f in (lambda x: x**0, lambda x: x**0.0, lambda x: np.power(x, 0), lambda x: np.float_power(x, 0)):
        if dtype == np.float64 or f(np.float32(1.0)).dtype == np.float32:
            assert gradient(f, x, dtype=dtype).tolist() == [0] * 5
            assert second(f, x, dtype).tolist() == [0] * 5
    assert gradient(lambda x: x ** np.zeros(2, dtype), [np.inf, 0.0], dtype=dtype).tolist() == [0, 0]
    for infinity in (np.inf, -np.inf):
        assert gradient(lambda x: x**1, infinity, dtype=dtype) == 1
        assert second(lambda x: x**1, infinity, dtype) == 0
        assert second(lambda x: x**2, infinity, dtype) == 2


@both
def test_piecewise_constant_functions_stop_the_gradient(dtype: Any) -> None:
    for f in (np.floor, np.ceil, np.trunc, np.rint, np.sign):
        assert gradient(lambda x, f=f: x * f(x), [0.5, 1.0], dtype=dtype).tolist() == f([0.5, 1.0]).tolist()


# -- Choosing ----------------------------------------------------------------------------------------------------------


@both
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


@both
def test_a_bound_belongs_to_the_inside(dtype: Any) -> None:
    assert gradient(lambda x: np.clip(x, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0], dtype=dtype).tolist() == [0, 1, 1, 1, 0]
    assert gradient(lambda x: np.clip(x, None, 1), [1.0, 2.0], dtype=dtype).tolist() == [1, 0]
    x, low, high = gradient(np.clip, [-2.0, -1.0, 1.0, 2.0], [-1.0], [1.0], argnums=(0, 1, 2), dtype=dtype)
    assert (x.tolist(), low.tolist(), high.tolist()) == ([0, 1, 1, 0], [1], [1])
    x, low, high = gradient(np.clip, [0.0], [2.0], [1.0], argnums=(0, 1, 2), dtype=dtype)  # NumPy: the upper bound wins
    assert (x.tolist(), low.tolist(), high.tolist()) == ([0], [0], [1])


@both
def test_nan_in_the_branch_not_taken_reaches_the_gradient_as_nan(dtype: Any) -> None:
    """The product of the chain rule has a factor 0 there, and the other one is not a number: choose the argument."""
    with np.errstate(all="ignore"):
        bad = gradient(lambda x: np.where(x > 0, np.sqrt(x), 0.0), [0.0, 4.0], dtype=dtype)
    assert np.isnan(bad[0])
    assert bad[1] == 0.25
    good = gradient(lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0), [0.0, 4.0], dtype=dtype)
    assert good.tolist() == [0, 0.25]


@both
def test_sorting_equal_elements_is_a_permutation(dtype: Any) -> None:
    x = [2.0, 1.0, 2.0, 1.0]
    g = gradient(lambda x: np.sort(x) * np.array([1, 2, 3, 4], dtype), x, dtype=dtype)
    assert sorted(g.tolist()) == [1, 2, 3, 4]
    assert set(g[[1, 3]].tolist()) == {1, 2}
    assert gradient(np.median, x, dtype=dtype).sum() == 1


# -- Reductions --------------------------------------------------------------------------------------------------------


@both
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
            same(norm, np.array([0.0, 3.0], dtype))
            np.testing.assert_allclose(gradient(norm, [0.0, 3.0], dtype=dtype), [0, slope], rtol=1e-6)
    half = gradient(lambda x: np.linalg.norm(x, axis=1), [[0.0, 0.0], [3.0, 4.0]], dtype=dtype)
    np.testing.assert_allclose(half, [[0, 0], [0.6, 0.8]], rtol=1e-6)


@both
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


@both
@pytest.mark.parametrize("x", [[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
def test_products_with_zeros_keep_the_dtype(x: list[float], dtype: Any) -> None:
    assert gradient(np.prod, x, dtype=dtype).tolist() == [others(x, i) for i in range(3)]
    assert gradient(lambda v: np.cumprod(v)[-1], x, dtype=dtype).tolist() == [others(x, i) for i in range(3)]
    assert gradient(np.multiply.reduce, x, dtype=dtype).tolist() == [others(x, i) for i in range(3)]


@both
def test_reductions_of_nothing(dtype: Any) -> None:
    empty = np.empty((0, 3), dtype)
    for f in (np.sum, np.prod, np.cumsum, np.cumprod, np.linalg.norm, np.nansum):
        assert gradient(f, empty, dtype=dtype).shape == (0, 3)
    assert gradient(lambda x: np.max(x, axis=0, initial=0.0), empty, dtype=dtype).shape == (0, 3)
    with pytest.raises(ValueError, match="zero-size"):
        np.max(mg.Tensor(empty, requires_grad=True))


# -- Linear algebra ----------------------------------------------------------------------------------------------------


@both
@pytest.mark.filterwarnings("ignore:invalid value encountered in det")  # by NumPy, of the value
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_determinant_without_a_value_leaves_the_others_of_a_stack_alone(bad: float, dtype: Any) -> None:
    x = np.array([[[1.0, 2.0], [3.0, 4.0]], [[bad, 1.0], [1.0, 2.0]]], dtype)
    slope = gradient(np.linalg.det, x, dtype=dtype)
    np.testing.assert_allclose(slope[0], [[4, -3], [-2, 1]], rtol=1e-5)
    assert np.all(np.isnan(slope[1]))


@both
def test_determinants_of_singular_matrices(dtype: Any) -> None:
    one_short = [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]]
    expected = [[4, 4, -4], [-2, -2, 2], [0, 0, 0]]
    np.testing.assert_allclose(gradient(np.linalg.det, one_short, dtype=dtype), expected, atol=1e-5)
    assert gradient(np.linalg.det, [[0.0, 0.0], [0.0, 0.0]], dtype=dtype).tolist() == [[0, 0], [0, 0]]
    assert gradient(np.linalg.det, [[0.0]], dtype=dtype).tolist() == [[1]]
    hessian = mg.hessian(np.linalg.det)(np.zeros((2, 2), dtype))
    expected_hessian = np.zeros((2, 2, 2, 2))
    expected_hessian[0, 0, 1, 1] = expected_hessian[1, 1, 0, 0] = 1
    expected_hessian[0, 1, 1, 0] = expected_hessian[1, 0, 0, 1] = -1
    np.testing.assert_allclose(hessian, expected_hessian, atol=1e-5)


@both
def test_what_equal_eigenvalues_leave_undetermined_gets_no_gradient(dtype: Any) -> None:
    x = np.eye(3, dtype=dtype) * 2
    np.testing.assert_array_equal(gradient(lambda x: np.linalg.eigvalsh(x), x, dtype=dtype), np.eye(3))
    for f in (np.linalg.eigh, lambda x: np.linalg.svd(x, full_matrices=False)):
        g = gradient(lambda x, f=f: sum(np.sum(part**2) for part in f(x)), x, dtype=dtype)
        np.testing.assert_allclose(g, 4 * np.eye(3), atol=1e-5)


def test_a_symmetric_function_reads_one_triangle() -> None:
    x = np.array([[4.0, 99.0], [1.0, 3.0]])
    for f in (np.linalg.cholesky, np.linalg.eigvalsh):
        assert gradient(f, x)[0, 1] == 0
    for f in (lambda x: np.linalg.cholesky(x, upper=True), lambda x: np.linalg.eigvalsh(x, "U")):
        assert gradient(f, x.T)[1, 0] == 0


# -- Dtypes and memory -------------------------------------------------------------------------------------------------


def test_a_float64_operand_widens_the_result_but_not_the_gradient() -> None:
    x = mg.Tensor(np.float32([1.0, 2.0]), requires_grad=True)
    y = np.sum(x * np.array([1.0, 2.0]))
    assert y.dtype == np.float64
    y.backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("number", [2, 2.5, True])
@pytest.mark.parametrize("f", [np.add, np.multiply, np.divide, np.power, np.maximum, np.hypot, np.logaddexp, np.where])
def test_python_numbers_do_not_decide_the_dtype(f: Any, number: Any) -> None:
    x = mg.Tensor(np.float32([1.0, 2.0]), requires_grad=True)
    results = [f(x > 1, x, number), f(x > 1, number, x)] if f is np.where else [f(x, number), f(number, x)]
    for y in results:
        assert y.dtype == np.float32
        np.sum(y).backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize(
    "f", [np.add, np.subtract, np.broadcast_arrays, np.stack, np.reshape, np.transpose, np.positive]
)
def test_no_gradient_shares_memory(f: Any) -> None:
    a, b = (mg.Tensor(np.ones((2, 2)), requires_grad=True) for _ in range(2))
    seed = np.ones((2, 2))
    if f in (np.add, np.subtract):
        f(a, b).backward(seed)
    elif f is np.broadcast_arrays:
        (f(a, b)[0] + f(a, b)[1]).backward(seed)
    elif f is np.stack:
        np.sum(f([a, b]), axis=0).backward(seed)
    else:
        (f(a, (2, 2)) if f is np.reshape else f(a)).backward(seed)
        b.grad = np.zeros((2, 2))
    assert a.grad is not None
    assert b.grad is not None
    for x, y in ((a.grad, b.grad), (a.grad, seed), (b.grad, seed), (a.grad, a.data), (b.grad, b.data)):
        assert not np.shares_memory(x, y)
    before = b.grad.copy()
    a.grad += 1
    seed += 1
    np.testing.assert_array_equal(b.grad, before)


# -- Where NumPy raises or gives NaN


def _leaf(*values, dtype=np.float64):
    return mg.Tensor(np.array(values, dtype), requires_grad=True)


def test_weights_that_sum_to_zero_give_no_mean():
    with pytest.raises(ZeroDivisionError, match="sum to 0"):
        np.average(_leaf(1.0, 2.0), weights=[1, -1])


def test_more_degrees_of_freedom_than_numbers():
    for f in (np.nanvar, np.nanstd):
        with pytest.warns(RuntimeWarning):
            assert np.isnan(f(_leaf(1.0, np.nan, 3.0), ddof=3).item())


def test_no_ratio_leads_from_zero():
    with pytest.raises(ValueError, match="neither start nor stop can be 0"):
        np.geomspace(mg.Tensor(0.0, requires_grad=True), 1.0, 3)


def test_a_symmetric_pseudo_inverse_reads_the_lower_triangle():
    weights = np.array([[1.0, 2.0], [3.0, 4.0]])
    f = lambda a: np.sum(weights * np.linalg.pinv(a, hermitian=True))
    check.gradients(f, np.array([[1.0, 2.0], [2.0, 5.0]]))
    a = np.array([[1.0, 9.0], [2.0, 5.0]])
    np.testing.assert_allclose(np.linalg.pinv(_leaf(*a), hermitian=True).data, np.linalg.pinv(a, hermitian=True))


def test_an_axis_of_a_number():
    for f in (np.sum, np.max, np.prod):
        assert f(mg.Tensor(3.0, requires_grad=True), axis=-1).item() == f(np.float64(3.0), axis=-1)


def test_the_median_of_nothing_is_nan():
    with pytest.warns(RuntimeWarning):
        assert np.isnan(np.median(mg.Tensor(np.zeros(0), requires_grad=True)).item())


def test_any_number_is_a_condition():
    x = np.array([1.0, 2.0, 3.0])
    for condition in (np.array([0, 1, 2]), np.array([0.0, 1.0, np.nan]), [0, 1, 1], 1, True, 0.0):
        f = mg.compile(lambda x, condition=condition: np.where(condition, x, 0))
        for _ in range(3):
            np.testing.assert_array_equal(f(mg.Tensor(x)).data, np.where(condition, x, 0))


def test_a_cast_that_loses_is_refused_where_numpy_refuses():
    with pytest.raises(TypeError, match="casting='safe'"):
        np.concatenate((_leaf(1.0), _leaf(2.0)), dtype="f4", casting="safe")


def test_python_numbers_leave_float32_alone():
    assert np.linspace(mg.Tensor(np.float32(1.0), requires_grad=True), 2.0, 3).dtype == np.float32


# -- As NumPy has it ---------------------------------------------------------------------------------------------------


def same(f, *arrays):
    """NumPy's own result on a Tensor, dtype and shape included, or its kind of error."""
    outcomes = []
    for args in (arrays, [mg.Tensor(a, requires_grad=True) for a in arrays]):
        try:
            result = f(*args)
            outcomes.append(result.data if isinstance(result, mg.Tensor) else np.asarray(result))
        except Exception as error:
            outcomes.append(error)
    expected, got = outcomes
    if isinstance(expected, Exception):
        assert type(got) is type(expected), got
    else:
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-6)


NUMBERS = (0.5, 1, 0, True, [0.5], [0.25, 0.75], (0.1,), [0, 1], np.float32(0.5), np.float64(0.5), np.int64(1))
LISTS = (np.array(0.5, "f4"), np.array([0.5], "f4"), np.array([0.5]), np.array([1]), np.array([[0.25], [1.0]]))


@both
@pytest.mark.parametrize("f", [np.quantile, np.nanquantile, np.percentile, np.nanpercentile])
@pytest.mark.parametrize("q", [*NUMBERS, *LISTS], ids=repr)
def test_quantiles_have_numpys_dtype(f: Any, q: Any, dtype: Any) -> None:
    same(lambda x: f(x, q), np.arange(6, dtype=dtype))
    if "nan" not in f.__name__:
        same(lambda x: f(x, q, method="lower"), np.arange(6, dtype=dtype))


@both
@pytest.mark.parametrize("method", ["lower", "higher", "nearest", "midpoint", "inverted_cdf", "averaged_inverted_cdf"])
def test_quantiles_choose_the_elements_that_numpy_chooses(method: str, dtype: Any) -> None:
    for n in (24, 25, 26):  # 0.6 * 25 is 15, and in float32 a little more
        for q in range(0, 101, 5):
            same(lambda x, q=q: np.percentile(x, q, method=method), np.arange(n, dtype=dtype))
            same(lambda x, q=q: np.quantile(x, q / 100, method=method), np.arange(n, dtype=dtype))


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
        same(lambda x, option=option: f(x, axis=axis, keepdims=True, **option), x)
        same(lambda x, option=option: f(x, axis=axis, **option), np.full((2, 3), np.nan))
    gradients = gradient(
        lambda x: f(x, axis=axis, where=chosen, **({"initial": 0.5} if name in ("max", "min") else {})), x
    )
    assert np.all(gradients[~chosen | np.isnan(x)] == 0)
    assert np.all(np.isfinite(gradients[:, :2]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_median_of_nothing_but_nan_and_of_nothing():
    for f in (np.nanmedian, lambda x, **options: np.nanquantile(x, 0.5, **options)):
        same(f, np.zeros(0))
        same(f, np.full(3, np.nan))
        same(lambda x, f=f: f(x, axis=0, keepdims=True), np.full((2, 3), np.nan))


@pytest.mark.parametrize("name", ["matvec", "vecmat", "vecdot"])
def test_products_of_too_few_axes_are_errors_as_numpys(name: str) -> None:
    f = getattr(np, name, None)
    if f is None:
        pytest.skip(f"this NumPy has no {name}")
    shapes = [(), (3,), (2, 3), (3, 2), (4, 2, 3), (4, 3, 2)]
    for a in shapes:
        for b in shapes:
            same(f, np.ones(a), np.ones(b))


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.subtract, np.divide, np.maximum, np.logaddexp, np.hypot])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (), (0,), (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_by_any_operation_are_numpys(ufunc: Any, axis: Any, keepdims: bool) -> None:
    for shape in [(2, 3), (3,), (), (1, 3), (0, 2), (0,)]:
        same(
            lambda x: ufunc.reduce(x, axis=axis, keepdims=keepdims), np.arange(1.0, math.prod(shape) + 1).reshape(shape)
        )


@both
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
                same(f, x)  # an error
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("error" if where is not True else "ignore")  # NumPy divides by 0
                same(f, x)
            if where is not True:
                got = gradient(lambda x, f=f: np.sum(f(x)), x, dtype=dtype)
                assert np.all(got[~np.broadcast_to(where, x.shape)] == 0)
                assert np.all(np.isfinite(got))
    if axis is not None:
        check.gradients(lambda x: ufunc.reduce(x, axis=axis, where=chosen, initial=0.75), x)


@pytest.mark.parametrize("method", ["reduce", "accumulate"])
@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.subtract, np.hypot, np.fmax])
def test_the_methods_of_ufuncs_take_a_dtype(ufunc: Any, method: str) -> None:
    x = np.array([[1.5, 2.0], [3.0, 0.5]], np.float32)
    same(lambda x: getattr(ufunc, method)(x, dtype=np.float64), x)
    same(lambda x: ufunc.reduceat(x, [], axis=1), x)


@both
def test_order_statistics_beside_infinity_and_nan_are_numpys(dtype: Any) -> None:
    inf, nan = math.inf, math.nan
    rows = ([1, 2, inf], [-inf, 2, 3], [1, inf, inf, inf], [-inf, -inf, -inf, 0], [-inf, -inf, 3, inf, inf])
    for row in rows:
        same(np.median, np.array(row, dtype))
        same(np.nanmedian, np.array(row, dtype))
        same(lambda x: np.quantile(x, [0, 1]), np.array(row, dtype))
    for row in ([1, nan], [1, nan, 2, 3], [nan, 1, nan], [1, nan, inf, 2]):
        same(np.nanmedian, np.array(row, dtype))
    assert gradient(np.median, [1.0, 2.0, inf], dtype=dtype).tolist() == [0, 1, 0]
    assert gradient(np.nanmedian, [1.0, nan, 3.0, 2.0], dtype=dtype).tolist() == [0, 0, 0, 1]


@both
def test_whole_numbers_in_a_power_cost_no_precision(dtype: Any) -> None:
    x = np.array([2.0, 3.0, 1e3], dtype)
    for kind in (np.int8, np.uint8, np.int32, np.float16):
        base = np.array([2, 3, 5], kind)
        expected = [4 * math.log(2), 27 * math.log(3)]
        got = gradient(lambda b, base=base: np.sum(base[:2] ** b), x[:2], dtype=dtype)
        np.testing.assert_allclose(got, expected, rtol=3e-7 if dtype == np.float32 else 1e-15)
    for f in (np.power, np.float_power):
        zero = gradient(lambda a, f=f: np.sum(f(a, np.zeros(3, np.uint8))), x, dtype=dtype)
        assert zero.tolist() == [0, 0, 0]
    got = gradient(lambda b: np.float_power(np.float32(3), b), 2.0)
    np.testing.assert_allclose(got, 9 * math.log(3), rtol=1e-15)


def test_true_is_the_index_1_where_numpy_counts():
    for places in ([True, False, True], [True, True, True]):
        same(lambda x, i=places: np.take(x, np.array(i)), np.array([1.0, 2.0, 3.0]))
        same(lambda w, i=places: np.bincount(np.array(i), w), np.array([1.0, 2.0, 3.0]))
        got = gradient(lambda x, i=places: np.sum(np.take(x, np.array(i)) * [1.0, 2.0, 4.0]), [5.0, 6.0, 7.0])
        expected = np.bincount(np.array(places), [1.0, 2.0, 4.0], minlength=3)
        assert got.tolist() == expected.tolist()
    same(lambda x: np.choose(np.array([True, False]), [x, 2 * x]), np.array([1.0, 2.0]))
    same(lambda x: np.take(x, []), np.array([1.0, 2.0]))
    same(lambda x: np.take(x, [], axis=0), np.ones((2, 3)))


@both
def test_numbers_and_spacings_do_not_decide_the_dtype_where_numpy_lets_them_not(dtype: Any) -> None:
    x = np.array([0.5, 2.0, 1.0], dtype)
    for f in (
        lambda x: np.select([x > 1, x < 1], [x, 1], 2),
        lambda x: np.select([x > 1], [x], 0.5),
        lambda x: np.select([x > 1], [x], np.zeros(3)),
        lambda x: np.choose([0, 1, 1], [x, 7]),
        lambda x: np.choose([0, 1, 1], [x, np.arange(3)]),
        lambda x: np.gradient(x, np.float64(0.5)),
        lambda x: np.gradient(x, [0, 1, 3]),
        lambda x: np.gradient(x, np.array([0.0, 1.0, 3.0]), edge_order=2),
        lambda x: np.linalg.norm(x, np.float64(3)),
        lambda x: np.average(x, weights=[1, 2, 3], returned=True)[0],
        lambda x: np.average(x, weights=np.array([1, 2, 3], np.int8), returned=True)[1],
        lambda x: np.average(x, weights=np.ones(3, np.float32), returned=True)[1],
    ):
        same(f, x)
        assert gradient(lambda x, f=f: np.sum(f(x)), x, dtype=dtype).dtype == dtype
    same(lambda w: np.average(np.array([1, 2, 3], np.int8), weights=w), x)
    for h in (0.5, [0.0, 1.0, 3.0]):
        assert gradient(lambda h, x=x: np.sum(np.gradient(x, h)), h).dtype == np.float64


def test_a_period_may_be_negative_and_a_base_an_array():
    q, places, values = np.array([-1.0, 0.3, 5.0]), np.array([0.0, 1.0, 2.5]), np.array([3.0, 1.0, 2.0])
    same(lambda q, p, v: np.interp(q, p, v, period=-4.3), q, places, values)
    base = np.array([2.0, 3.0])
    for axis in (0, -1):
        same(lambda b, axis=axis: np.logspace(0.0, 1.0, 2, base=b, axis=axis), base)
        same(lambda x, b, axis=axis: np.logspace(x, 1.0, 4, base=b, axis=axis), np.array([1.0, 2.0]), base)
    assert check.gradients(lambda b: np.logspace(0.0, 1.0, 2, base=b), base)
    same(lambda x: np.linspace(x, 9.0, 4, dtype=int), np.array(-1.5))
    np.testing.assert_array_equal(np.roll(_leaf(0.0, 1.0, 2.0), 1.7).data, [2, 0, 1])  # NumPy 2.0 refuses 1.7
    same(lambda x: np.cumsum(x, axis=0), np.array(2.0))
    ends = np.array(2.0)
    same(lambda x: np.pad(x, 2, "linear_ramp", end_values=(1, 5)), np.arange(3.0))
    assert check.gradients(lambda x, v: np.pad(x, 2, "linear_ramp", end_values=(v, 1.0)), np.arange(3.0), ends)


def test_joining_casts_as_it_is_told():
    for join in (np.stack, np.hstack, np.vstack, np.concatenate):
        same(lambda x, join=join: join((x, x), dtype=np.float16, casting="safe"), np.ones(2))
        same(lambda x, join=join: join((x, x), dtype=np.float64, casting="safe"), np.ones(2, np.float32))


def test_a_point_that_is_no_number_leaves_the_gradient_of_interp_to_the_others():
    places, values = np.array([0.0, 1.0, 2.5]), np.array([3.0, 1.0, 2.0])
    for bad in (math.inf, -math.inf, math.nan):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            q = np.array([0.5, bad, 2.0])
            same(np.interp, q, places, values)
            got = gradient(lambda v, q=q: np.interp(q, places, v)[::2], values)
        np.testing.assert_allclose(got, gradient(lambda v: np.interp([0.5, 2.0], places, v), values))
    for values in ([1.0, 2.0, math.inf], [math.inf, 2.0, 1.0], [1.0, math.inf, 2.0], [1.0, math.nan, 2.0]):
        same(np.interp, np.array([0.0, 0.5, 1.0, 2.0, 2.5]), places, np.array(values))
    got = gradient(lambda v: np.interp([0.5, 1.0], places, v), [1.0, 2.0, math.inf])
    assert got.tolist() == [0.5, 1.5, 0]


@pytest.mark.parametrize("places", [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 2.0]])
def test_where_interp_jumps_there_is_no_slope(places: list[float]) -> None:
    q, values = np.array([-0.5, 0.0, 0.25, 1.0, 1.5]), np.array([3.0, 1.0, 2.0, 5.0][: len(places)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(np.interp, q, np.array(places), values)
        jacobian = mg.jacobian(lambda v: np.interp(q, places, v))(values)
    columns = np.stack([np.interp(q, places, unit) for unit in np.eye(len(places))], axis=1)
    np.testing.assert_allclose(jacobian, columns)


@both
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_padding_leaves_inf_and_nan_where_they_are(bad: float, dtype: Any) -> None:
    x = np.array([1.0, 4.0, bad, 2.0, 7.0], dtype)
    for options in (
        {"mode": "linear_ramp"},
        {"mode": "linear_ramp", "end_values": (1, 5)},
        {"mode": "reflect", "reflect_type": "odd"},
        {"mode": "symmetric", "reflect_type": "odd"},
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            same(lambda x, options=options: np.pad(x, 2, **options), x)
            got = gradient(lambda x, options=options: np.pad(x, 2, **options)[[0, 1, -2, -1]], x, dtype=dtype)
        assert np.isfinite(got).all()


def test_padding_of_whole_numbers_is_numpys():
    for kind in (np.uint8, np.int16, np.int64):
        x = np.array([[200, 4, 25], [7, 0, 9]], kind)
        for options in ({"mode": "linear_ramp", "end_values": 3}, {"mode": "reflect", "reflect_type": "odd"}):
            np.testing.assert_array_equal(np.pad(mg.Tensor(x), 3, **options).data, np.pad(x, 3, **options))


@pytest.mark.parametrize("mode", ["edge", "mean", "median", "maximum", "linear_ramp", "reflect", "wrap"])
def test_nothing_cannot_be_padded_with_itself(mode: str) -> None:
    same(lambda x: np.pad(x, 1, mode), np.zeros((0, 2)))
    if mode in ("mean", "median", "maximum"):
        same(lambda x: np.pad(x, 1, mode, stat_length=-1), np.ones(3))


@both
def test_the_quotient_of_a_remainder_is_the_one_that_was_taken(dtype: Any) -> None:
    """1.0 holds 0.1 nine times and 0.0999... is left over, though 1.0 / 0.1 is 10 when rounded."""
    a = np.array([1.0, 6.0, 0.6, -0.6, -1.0, 7.5, -7.5, 0.0], dtype)
    b = np.array([0.1, 0.2, 0.1, 0.1, -0.1, 2.0, 2.0, 3.0], dtype)
    for f in (np.remainder, np.fmod):
        by_a, by_b = gradient(f, a, b, argnums=(0, 1), dtype=dtype)
        assert by_a.tolist() == [1] * 8
        np.testing.assert_allclose(f(a, b), a + by_b * b, atol=8 * np.finfo(dtype).eps)  # y = a - k b
    for f in (np.remainder, np.fmod):
        assert gradient(f, 5.0, math.inf, argnums=(0, 1), dtype=dtype) == (1, 0)


def test_spaced_numbers_end_where_they_are_told_and_are_numpys_to_the_bit():
    a, b = np.linspace(-3.3, 5.1, 40), np.linspace(2.7, 0.1, 40)
    for n in (1, 2, 7):
        for endpoint in (True, False):
            x, y = mg.Tensor(a, requires_grad=True), mg.Tensor(b, requires_grad=True)
            got = np.linspace(x, y, n, endpoint=endpoint).data
            np.testing.assert_array_equal(got, np.linspace(a, b, n, endpoint=endpoint))
            rising = np.geomspace(abs(x) + 1, y, n, endpoint=endpoint).data
            np.testing.assert_array_equal(rising, np.geomspace(abs(a) + 1, b, n, endpoint=endpoint))
    for kind in (int, float):
        same(lambda x, kind=kind: np.geomspace(x, 1000.0, 4, dtype=kind), np.array(1.0))
        same(lambda x, kind=kind: np.geomspace(x, -256.0, 9, dtype=kind), np.array([-1.0, -3.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(lambda x: np.geomspace(x, 1e300, 4), np.array(1e-300))


def test_zeros_before_a_polynomial_have_a_gradient_too():
    p, q = np.array([0.0, 0.0, 1.0, -2.0]), np.array([0.0, 3.0, 0.5])
    same(np.polymul, p, q)
    for argument in (0, 1):
        by_polynomials = gradient(lambda p, q: np.polymul(p, q) ** 2, p, q, argnums=argument)
        by_numbers = gradient(lambda p, q: np.convolve(p, q) ** 2, p, q, argnums=argument)
        np.testing.assert_allclose(by_polynomials, by_numbers)


def test_the_rest_of_a_division_without_rest_has_a_gradient():
    u, v = np.array([1.0, 2.0, 1.0]), np.array([1.0, 1.0])
    assert gradient(lambda u: np.polydiv(u, v)[1], u).tolist() == [1, -1, 1]  # the rest is the value at -1
    for u, v in (([1, 2, 1 + 1e-9, 2e-9], [1, 1, 0]), ([0, 0], [1, 2, 3]), ([0, 5], [1, 2, 3]), ([1, 2, 1], [1, 1])):
        for part in (0, 1):
            same(lambda u, v, part=part: np.polydiv(u, v)[part], np.array(u, float), np.array(v, float))


def test_of_the_polynomials_that_fit_the_shortest_has_a_gradient():
    x, y = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 3.0, -1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.RankWarning)
        same(lambda x, y: np.polyfit(x, y, 4), x, y)
        check.gradients(lambda x, y: np.polyfit(x, y, 4), x, y, order=2, atol=1e-9)
    same(lambda p, k: np.polyint(p, 2, k), y, np.array([1.0, 2.0, 3.0]))


@both
def test_what_stands_in_for_nan_and_infinity_is_not_replaced_in_turn(dtype: Any) -> None:
    x, inf, nan = np.array([1.0, math.nan, math.inf, -math.inf], dtype), math.inf, math.nan
    for options in ({"nan": inf}, {"nan": -inf}, {"posinf": -inf}, {"posinf": nan, "neginf": np.float64(3)}):
        same(lambda x, options=options: np.nan_to_num(x, **options), x)
        got = gradient(lambda x, options=options: np.nan_to_num(x, **options)[:1], x, dtype=dtype)
        assert got.tolist() == [1, 0, 0, 0]
    same(lambda x: np.nan_to_num(x, nan=[1.0, 2.0, 3.0, 4.0]), x)


@pytest.mark.parametrize("f", [np.median, np.nanmedian])
def test_a_median_is_the_mean_of_the_middle_to_the_bit(f: Any) -> None:
    rows = np.sin(np.arange(60.0)).reshape(10, 6)
    for x in (rows, rows[:, :5], rows.astype(np.float32), np.array([[-1.7e308, 1.7e308]]), np.array([[True, False]])):
        got = f(mg.Tensor(x, requires_grad=x.dtype.kind == "f"), axis=1)
        np.testing.assert_array_equal(got.data, f(x, axis=1))
        assert got.dtype == f(x, axis=1).dtype


def test_numpys_numbers_do_not_decide_the_dtype_of_a_reduction():
    x = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]], np.float32)
    for number in (np.float64(1.5), np.int64(1), np.array(1.5)):
        for f in (np.sum, np.prod, np.max, np.min, np.nansum, np.nanmax, np.add.reduce, np.maximum.reduce):
            same(lambda x, f=f, n=number: f(x, axis=1, initial=n), x)
            same(lambda x, f=f, n=number: f(x, axis=1, initial=n, where=x > 3), x)
    for f in (np.var, np.std, np.nanvar, np.nanstd):
        for options in ({"ddof": np.int64(1)}, {"correction": np.float64(0.5)}, {"ddof": np.int64(1), "where": x > 1}):
            same(lambda x, f=f, options=options: f(x, axis=1, **options), x)
        same(lambda x, f=f: f(x, axis=1, mean=np.float64(2)), x)
        same(lambda x, f=f: f(x, ddof=1, correction=1), x)


def test_whole_numbers_stay_whole_where_numpy_leaves_them_so():
    x = np.array([[3, -1], [2, 5]], np.int8)
    for f in (lambda x: np.modf(x)[0], lambda x: np.modf(x)[1], np.nanmax, lambda x: np.nanmin(x, initial=3)):
        got = np.asarray(plain(f(mg.Tensor(x))))
        assert got.dtype == f(x).dtype
        np.testing.assert_array_equal(got, f(x))


@pytest.mark.parametrize("f", [np.nanmax, np.nanmin, np.nanmedian, lambda x, axis: np.nanquantile(x, 0.3, axis=axis)])
def test_nothing_but_nan_is_warned_of_as_numpy_does(f: Any) -> None:
    with pytest.warns(RuntimeWarning, match="All-NaN slice"):
        assert np.isnan(f(mg.Tensor([[math.nan, math.nan], [1.0, 2.0]], requires_grad=True), axis=1).data[0])
    for name in ("nanmax", "nanmin"):
        same(lambda x, name=name: getattr(np, name)(x, axis=1, initial=math.nan), np.array([[1.0, 3.0]]))


def test_differences_of_whole_numbers_do_not_leave_their_range():
    for kind in (np.uint8, np.int8):
        x = np.array([1, 120, 3, 100], kind)
        np.testing.assert_array_equal(np.gradient(mg.Tensor(x)).data, np.gradient(x))
        same(lambda y, x=x: np.gradient(y, x), np.array([1.0, 2.0, 5.0, 3.0]))


def test_sequences_take_the_shapes_that_numpy_takes():
    same(lambda y, x: np.trapezoid(y, x), np.arange(24.0).reshape(2, 3, 4), np.arange(12.0).reshape(3, 4) ** 2)
    for f in filter(None, [getattr(np, "cumulative_sum", None), getattr(np, "cumulative_prod", None)]):
        same(lambda x, f=f: f(x, include_initial=True), np.array(2.0))
    with pytest.raises(ValueError, match="takes trim 'f', 'b' or 'fb'; got 'x'"):
        np.trim_zeros(_leaf(0.0, 1.0), "x")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_of_a_covariance_are_numpys_or_errors():
    x = np.array([[1.0, 2.0, 4.0, 3.0], [0.5, -1.0, 2.0, 5.0]])
    same(lambda x: np.cov(x, fweights=[1, 1, 0, 0], ddof=3), x)
    same(lambda x: np.cov(x, fweights=[2, 1, 3, 0], aweights=[0.5, 1.0, 2.0, 1.0]), x)
    for options, message in (
        ({"fweights": [1.5, 1, 1, 1]}, "4 whole fweights"),
        ({"fweights": [-1, 1, 1, 1]}, "none negative"),
        ({"fweights": [1, 1]}, "one an observation"),
        ({"aweights": [-1, 1, 1, 1]}, "aweights cannot be negative"),
    ):
        with pytest.raises(ValueError, match=message):
            np.cov(_leaf(*x), **options)
