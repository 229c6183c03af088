"""Elementwise functions at their edges: the gradient is decided, in both dtypes, and often to second order."""

import math
from typing import Any

import numpy as np
import pytest
from helpers import both_dtypes, gradient, same_as_numpy, second

import microgradnp as mg
from microgradnp.nn import functional


@both_dtypes
@pytest.mark.parametrize("f", [np.arctan, np.arcsinh, np.log, np.log2, np.log10, np.log1p, np.sqrt, np.cbrt])
def test_at_the_largest_numbers_no_rule_overflows(f: Any, dtype: Any) -> None:
    x = np.array([0.5, 0.99]) * np.finfo(dtype).max
    with np.errstate(all="raise", under="ignore"):
        for g in (gradient(f, x, dtype=dtype), second(f, x, dtype)):
            assert np.all(np.isfinite(g))
    slope = gradient(f, x, dtype=dtype)
    assert f is np.arctan or np.all(slope != 0)


@both_dtypes
def test_sqrt_at_zero_is_infinite(dtype: Any) -> None:
    with np.errstate(divide="ignore"):
        assert gradient(np.sqrt, [0.0, 4.0], dtype=dtype).tolist() == [np.inf, 0.25]
        assert gradient(lambda x: x**0.5, [0.0], dtype=dtype).tolist() == [np.inf]


@both_dtypes
@pytest.mark.parametrize("f", [np.abs, np.fabs, abs, lambda x: np.copysign(x, 1.0)])
def test_abs_at_zero_is_flat(f: Any, dtype: Any) -> None:
    assert gradient(f, [-2.0, 0.0, -0.0, 3.0], dtype=dtype).tolist() == [-1, 0, 0, 1]
    assert second(f, [-2.0, 0.0, 3.0], dtype).tolist() == [0, 0, 0]


@both_dtypes
def test_arctan2_and_hypot_at_the_origin_are_flat(dtype: Any) -> None:
    for f in (np.arctan2, np.hypot):
        a, b = gradient(f, [0.0], [0.0], argnums=(0, 1), dtype=dtype)
        assert (a.tolist(), b.tolist()) == ([0], [0])
    a, b = gradient(np.arctan2, [0.0, 1.0], [2.0, 0.0], argnums=(0, 1), dtype=dtype)
    assert (a.tolist(), b.tolist()) == ([0.5, 0], [0, -1])


@both_dtypes
def test_arctan2_and_hypot_do_not_overflow(dtype: Any) -> None:
    huge = float(np.finfo(dtype).max) / 4
    a, b = gradient(np.arctan2, [huge], [huge], argnums=(0, 1), dtype=dtype)
    assert np.isfinite([a, b]).all()
    a, b = gradient(np.hypot, [huge], [huge], argnums=(0, 1), dtype=dtype)
    np.testing.assert_allclose([a, b], math.sqrt(0.5), rtol=1e-6)


@both_dtypes
def test_sinc_at_and_near_zero(dtype: Any) -> None:
    tolerance = 8 * float(np.finfo(dtype).eps)
    x = np.array([0.0, 1e-30, 1e-8, 1e-3, 0.1, 0.499, 0.501], dtype)
    exact = x.astype(np.float64)
    u = np.pi * exact
    series = np.pi * (-u / 3 + u**3 / 30 - u**5 / 840 + u**7 / 45360 - u**9 / 3991680 + u**11 / 518918400)
    np.testing.assert_allclose(gradient(np.sinc, x, dtype=dtype), series, rtol=max(tolerance, 1e-8), atol=0)
    assert gradient(np.sinc, [0.0], dtype=dtype).tolist() == [0]
    np.testing.assert_allclose(second(np.sinc, [0.0], dtype), -(np.pi**2) / 3, rtol=tolerance)


@both_dtypes
def test_functions_of_huge_and_infinite_arguments(dtype: Any) -> None:
    x = np.array([1000.0, -1000.0, np.inf, -np.inf], dtype)
    assert gradient(np.tanh, x, dtype=dtype).tolist() == [0, 0, 0, 0]
    assert gradient(np.arctan, x[2:], dtype=dtype).tolist() == [0, 0]
    shares = {(1000.0, -1000.0): (1, 0), (-np.inf, 3.0): (0, 1), (np.inf, 1.0): (1, 0), (-np.inf, -np.inf): (0, 0)}
    for pair, share in shares.items():
        assert gradient(np.logaddexp, *pair, argnums=(0, 1), dtype=dtype) == share
    a, b = gradient(np.logaddexp2, [5000.0, -np.inf], [-5000.0, 3.0], argnums=(0, 1), dtype=dtype)
    assert (a.tolist(), b.tolist()) == ([1, 0], [0, 1])


@both_dtypes
def test_logaddexp_of_equals_is_half_to_any_order(dtype: Any) -> None:
    np.testing.assert_allclose(gradient(np.logaddexp, 3.0, 3.0, dtype=dtype), 0.5, rtol=1e-6)
    np.testing.assert_allclose(second(lambda x: np.logaddexp(x, 3.0), [3.0], dtype), 0.25, rtol=1e-6)


@both_dtypes
@pytest.mark.parametrize("f", [np.logaddexp, np.logaddexp2])
def test_logaddexp_of_two_infinities_is_a_tie(f: Any, dtype: Any) -> None:
    assert gradient(f, np.inf, np.inf, argnums=(0, 1), dtype=dtype) == (0.5, 0.5)
    assert gradient(f, -np.inf, -np.inf, argnums=(0, 1), dtype=dtype) == (0, 0)  # exp of both is 0: nobody has a share
    assert second(lambda x: f(x, np.inf), [np.inf, 1.0], dtype).tolist() == [0, 0]


@both_dtypes
def test_piecewise_constant_functions_stop_the_gradient(dtype: Any) -> None:
    for f in (np.floor, np.ceil, np.trunc, np.rint, np.sign):
        assert gradient(lambda x, f=f: x * f(x), [0.5, 1.0], dtype=dtype).tolist() == f([0.5, 1.0]).tolist()


@both_dtypes
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


@both_dtypes
def test_what_stands_in_for_nan_and_infinity_is_not_replaced_in_turn(dtype: Any) -> None:
    x, inf, nan = np.array([1.0, math.nan, math.inf, -math.inf], dtype), math.inf, math.nan
    for options in ({"nan": inf}, {"nan": -inf}, {"posinf": -inf}, {"posinf": nan, "neginf": np.float64(3)}):
        same_as_numpy(lambda x, options=options: np.nan_to_num(x, **options), x)
        got = gradient(lambda x, options=options: np.nan_to_num(x, **options)[:1], x, dtype=dtype)
        assert got.tolist() == [1, 0, 0, 0]
    same_as_numpy(lambda x: np.nan_to_num(x, nan=[1.0, 2.0, 3.0, 4.0]), x)


# -- Powers ------------------------------------------------------------------------------------------------------------


@both_dtypes
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


@both_dtypes
def test_powers_of_negative_numbers(dtype: Any) -> None:
    assert gradient(lambda x: x**3, [-2.0], dtype=dtype).tolist() == [12]
    assert gradient(lambda x: x**-1, [-2.0], dtype=dtype).tolist() == [-0.25]
    assert gradient(lambda x: np.power(x, 3), [-2.0], dtype=dtype).tolist() == [12]


@both_dtypes
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


@both_dtypes
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


def test_slopes_that_are_small_are_right() -> None:
    """Far out, where 1 - y and y + 1 have no digit left: held against the exponentials that they are."""
    x = np.array([-700.0, -100.0, -40.0, -1.0, 0.0, 1e-8])
    np.testing.assert_allclose(gradient(np.expm1, x), np.exp(x), rtol=1e-14)
    np.testing.assert_allclose(second(np.expm1, x), np.exp(x), rtol=1e-14)
    x = np.array([-700.0, -40.0, -3.0, 0.0, 3.0, 20.0, 40.0, 300.0, 700.0])
    bell = np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))) ** 2
    np.testing.assert_allclose(second(functional.softplus, x), bell, rtol=1e-13)
    third = gradient(mg.grad(lambda x: np.sum(mg.grad(lambda x: np.sum(functional.softplus(x)))(x))), x)
    np.testing.assert_allclose(third, -bell * np.tanh(x / 2), rtol=1e-12, atol=1e-320)
