"""Far out, where derivatives are small but not 0: right to a relative 1e-12 over the whole range, to second order."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg

far = st.floats(-700, 700)
sizes = st.floats(1e-100, 1e100)


def derivatives(f: Any, *x: float) -> tuple[Any, Any]:
    with np.errstate(under="ignore"):
        gradient = np.array(mg.grad(f, tuple(range(len(x))))(*x))
        return gradient, np.array(mg.hessian(f, tuple(range(len(x))))(*x))


@pytest.mark.parametrize(("f", "log"), [(np.logaddexp, 1.0), (np.logaddexp2, math.log(2))])
@given(a=far, b=far)
def test_of_a_sum_of_exponentials(f: Any, log: float, a: float, b: float) -> None:
    gradient, hessian = derivatives(f, a, b)
    e = math.exp(-abs(a - b) * log)
    larger, smaller = 1 / (1 + e), e / (1 + e)
    np.testing.assert_allclose(gradient, (larger, smaller) if a >= b else (smaller, larger), rtol=1e-12)
    np.testing.assert_allclose(hessian, larger * smaller * log * np.array([[1, -1], [-1, 1]]), rtol=1e-12)


@given(a=sizes, b=sizes)
def test_of_a_hypotenuse(a: float, b: float) -> None:
    gradient, hessian = derivatives(np.hypot, a, b)
    c = math.hypot(a, b)
    np.testing.assert_allclose(gradient, (a / c, b / c), rtol=1e-12)
    mixed = -(a / c) * (b / c) / c
    np.testing.assert_allclose(hessian, [[b / c * (b / c) / c, mixed], [mixed, a / c * (a / c) / c]], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinities_share_as_equal_numbers_do(dtype: Any) -> None:
    inf = math.inf
    a, b = np.array([inf, inf, -inf, -inf, 1.0], dtype), np.array([inf, 1.0, -inf, 1.0, -inf], dtype)
    slopes = mg.vjp(np.logaddexp, a, b)[1](np.ones(5, dtype))
    assert [g.tolist() for g in slopes] == [[0.5, 1, 0, 0, 1], [0.5, 0, 0, 1, 0]]
