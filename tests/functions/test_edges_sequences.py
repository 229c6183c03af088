"""Interpolation, padding, spaced numbers, differences and polynomials at their edges."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import both_dtypes, gradient, leaf, same_as_numpy

import microgradnp as mg
from microgradnp import check

# -- Interpolation -----------------------------------------------------------------------------------------------------


def test_a_point_that_is_no_number_leaves_the_gradient_of_interp_to_the_others():
    places, values = np.array([0.0, 1.0, 2.5]), np.array([3.0, 1.0, 2.0])
    for bad in (math.inf, -math.inf, math.nan):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            q = np.array([0.5, bad, 2.0])
            same_as_numpy(np.interp, q, places, values)
            got = gradient(lambda v, q=q: np.interp(q, places, v)[::2], values)
        np.testing.assert_allclose(got, gradient(lambda v: np.interp([0.5, 2.0], places, v), values))
    for values in ([1.0, 2.0, math.inf], [math.inf, 2.0, 1.0], [1.0, math.inf, 2.0], [1.0, math.nan, 2.0]):
        same_as_numpy(np.interp, np.array([0.0, 0.5, 1.0, 2.0, 2.5]), places, np.array(values))
    got = gradient(lambda v: np.interp([0.5, 1.0], places, v), [1.0, 2.0, math.inf])
    assert got.tolist() == [0.5, 1.5, 0]


@pytest.mark.parametrize("places", [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 2.0]])
def test_where_interp_jumps_there_is_no_slope(places: list[float]) -> None:
    q, values = np.array([-0.5, 0.0, 0.25, 1.0, 1.5]), np.array([3.0, 1.0, 2.0, 5.0][: len(places)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same_as_numpy(np.interp, q, np.array(places), values)
        jacobian = mg.jacobian(lambda v: np.interp(q, places, v))(values)
    columns = np.stack([np.interp(q, places, unit) for unit in np.eye(len(places))], axis=1)
    np.testing.assert_allclose(jacobian, columns)


def test_a_period_may_be_negative_and_a_base_an_array():
    q, places, values = np.array([-1.0, 0.3, 5.0]), np.array([0.0, 1.0, 2.5]), np.array([3.0, 1.0, 2.0])
    same_as_numpy(lambda q, p, v: np.interp(q, p, v, period=-4.3), q, places, values)
    base = np.array([2.0, 3.0])
    for axis in (0, -1):
        same_as_numpy(lambda b, axis=axis: np.logspace(0.0, 1.0, 2, base=b, axis=axis), base)
        same_as_numpy(lambda x, b, axis=axis: np.logspace(x, 1.0, 4, base=b, axis=axis), np.array([1.0, 2.0]), base)
    assert check.gradients(lambda b: np.logspace(0.0, 1.0, 2, base=b), base)
    same_as_numpy(lambda x: np.linspace(x, 9.0, 4, dtype=int), np.array(-1.5))
    np.testing.assert_array_equal(np.roll(leaf(0.0, 1.0, 2.0), 1.7).data, [2, 0, 1])  # NumPy 2.0 refuses 1.7
    same_as_numpy(lambda x: np.cumsum(x, axis=0), np.array(2.0))
    ends = np.array(2.0)
    same_as_numpy(lambda x: np.pad(x, 2, "linear_ramp", end_values=(1, 5)), np.arange(3.0))
    assert check.gradients(lambda x, v: np.pad(x, 2, "linear_ramp", end_values=(v, 1.0)), np.arange(3.0), ends)


# -- Padding -----------------------------------------------------------------------------------------------------------


@both_dtypes
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
            same_as_numpy(lambda x, options=options: np.pad(x, 2, **options), x)
            got = gradient(lambda x, options=options: np.pad(x, 2, **options)[[0, 1, -2, -1]], x, dtype=dtype)
        assert np.isfinite(got).all()


def test_padding_of_whole_numbers_is_numpys():
    for kind in (np.uint8, np.int16, np.int64):
        x = np.array([[200, 4, 25], [7, 0, 9]], kind)
        for options in ({"mode": "linear_ramp", "end_values": 3}, {"mode": "reflect", "reflect_type": "odd"}):
            np.testing.assert_array_equal(np.pad(mg.Tensor(x), 3, **options).data, np.pad(x, 3, **options))


@pytest.mark.parametrize("mode", ["edge", "mean", "median", "maximum", "linear_ramp", "reflect", "wrap"])
def test_nothing_cannot_be_padded_with_itself(mode: str) -> None:
    same_as_numpy(lambda x: np.pad(x, 1, mode), np.zeros((0, 2)))
    if mode in ("mean", "median", "maximum"):
        same_as_numpy(lambda x: np.pad(x, 1, mode, stat_length=-1), np.ones(3))


# -- Spaced numbers and differences ------------------------------------------------------------------------------------


def test_no_ratio_leads_from_zero():
    with pytest.raises(ValueError, match="neither start nor stop can be 0"):
        np.geomspace(mg.Tensor(0.0, requires_grad=True), 1.0, 3)


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
        same_as_numpy(lambda x, kind=kind: np.geomspace(x, 1000.0, 4, dtype=kind), np.array(1.0))
        same_as_numpy(lambda x, kind=kind: np.geomspace(x, -256.0, 9, dtype=kind), np.array([-1.0, -3.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same_as_numpy(lambda x: np.geomspace(x, 1e300, 4), np.array(1e-300))


def test_differences_of_whole_numbers_do_not_leave_their_range():
    for kind in (np.uint8, np.int8):
        x = np.array([1, 120, 3, 100], kind)
        np.testing.assert_array_equal(np.gradient(mg.Tensor(x)).data, np.gradient(x))
        same_as_numpy(lambda y, x=x: np.gradient(y, x), np.array([1.0, 2.0, 5.0, 3.0]))


def test_sequences_take_the_shapes_that_numpy_takes():
    same_as_numpy(lambda y, x: np.trapezoid(y, x), np.arange(24.0).reshape(2, 3, 4), np.arange(12.0).reshape(3, 4) ** 2)
    for f in filter(None, [getattr(np, "cumulative_sum", None), getattr(np, "cumulative_prod", None)]):
        same_as_numpy(lambda x, f=f: f(x, include_initial=True), np.array(2.0))
    try:
        np.trim_zeros(np.array([0.0, 1.0]), "x")
    except ValueError:  # newer ones than NumPy 2.0
        with pytest.raises(ValueError, match="'x'"):
            np.trim_zeros(leaf(0.0, 1.0), "x")


# -- Polynomials -------------------------------------------------------------------------------------------------------


def test_a_polynomial_of_a_polynomial_has_the_gradient_of_its_values():
    p, x = np.array([1.0, -2.0, 3.0]), np.array([0.5, 2.0])
    inner = np.poly1d([1.0, 2.0])
    composed = gradient(lambda p: np.polyval(np.polyval(p, inner).coeffs, x), p)
    np.testing.assert_allclose(composed, gradient(lambda p: np.polyval(p, inner(x)), p))


def test_zeros_before_a_polynomial_have_a_gradient_too():
    p, q = np.array([0.0, 0.0, 1.0, -2.0]), np.array([0.0, 3.0, 0.5])
    same_as_numpy(np.polymul, p, q)
    for argument in (0, 1):
        by_polynomials = gradient(lambda p, q: np.polymul(p, q) ** 2, p, q, argnums=argument)
        by_numbers = gradient(lambda p, q: np.convolve(p, q) ** 2, p, q, argnums=argument)
        np.testing.assert_allclose(by_polynomials, by_numbers)


def test_the_rest_of_a_division_without_rest_has_a_gradient():
    u, v = np.array([1.0, 2.0, 1.0]), np.array([1.0, 1.0])
    assert gradient(lambda u: np.polydiv(u, v)[1], u).tolist() == [1, -1, 1]  # the rest is the value at -1
    for u, v in (([1, 2, 1 + 1e-9, 2e-9], [1, 1, 0]), ([0, 0], [1, 2, 3]), ([0, 5], [1, 2, 3]), ([1, 2, 1], [1, 1])):
        for part in (0, 1):
            same_as_numpy(lambda u, v, part=part: np.polydiv(u, v)[part], np.array(u, float), np.array(v, float))


def test_of_the_polynomials_that_fit_the_shortest_has_a_gradient():
    x, y = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 3.0, -1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.RankWarning)
        same_as_numpy(lambda x, y: np.polyfit(x, y, 4), x, y)
        check.gradients(lambda x, y: np.polyfit(x, y, 4), x, y, order=2, atol=1e-9)
    same_as_numpy(lambda p, k: np.polyint(p, 2, k), y, np.array([1.0, 2.0, 3.0]))
