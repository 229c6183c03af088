"""Where a slope is 0 by convention, at 0 of a root say: what is computed of it further on is right, or NaN."""

from typing import Any

import numpy as np
import pytest
from helpers import both_dtypes, gradient
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg

ZERO, EYE = np.zeros(2), np.eye(2)

SMOOTH: dict[str, tuple[Any, Any, Any]] = {
    "norm(x)**2": (lambda x: np.linalg.norm(x) ** 2, ZERO, 2 * EYE),
    "norm times norm": (lambda x: np.linalg.norm(x) * np.linalg.norm(x), ZERO, 2 * EYE),
    "vector_norm": (lambda x: np.linalg.vector_norm(x) ** 2, ZERO, 2 * EYE),
    "norm(x, 2)": (lambda x: np.linalg.norm(x, 2) ** 2, ZERO, 2 * EYE),
    "Frobenius": (lambda x: np.linalg.norm(x[None, :], "fro") ** 2, ZERO, 2 * EYE),
    "matrix_norm": (lambda x: np.linalg.matrix_norm(x[None, :]) ** 2, ZERO, 2 * EYE),
    "norms of rows": (lambda x: np.sum(np.linalg.norm(x[:, None], axis=1) ** 2), ZERO, 2 * EYE),
    "norm(x, 4)**4": (lambda x: np.linalg.norm(x, 4) ** 4 + np.sum(x * x), ZERO, 2 * EYE),
    "exp(-norm**2)": (lambda x: np.exp(-(np.linalg.norm(x) ** 2)), ZERO, -2 * EYE),
    "cos(norm)": (lambda x: np.cos(np.linalg.norm(x)), ZERO, -EYE),
    "cosh(norm)": (lambda x: np.cosh(np.linalg.norm(x)), ZERO, EYE),
    "norm of a difference": (lambda x: np.linalg.norm(x - 1.0) ** 2, np.ones(2), 2 * EYE),
    "std**2": (lambda x: np.std(x) ** 2, np.ones(2), [[0.5, -0.5], [-0.5, 0.5]]),
    "std(ddof=1)**2": (lambda x: np.std(x, ddof=1) ** 2, np.ones(2), [[1, -1], [-1, 1]]),
    "nanstd**2": (lambda x: np.nanstd(x) ** 2, np.ones(2), [[0.5, -0.5], [-0.5, 0.5]]),
    "hypot**2": (lambda x: np.hypot(x[0], x[1]) ** 2, ZERO, 2 * EYE),
    "hypot(x, 0)**2": (lambda x: np.sum(np.hypot(x, 0.0) ** 2), ZERO, 2 * EYE),
    "hypot.reduce**2": (lambda x: np.hypot.reduce(x) ** 2, ZERO, 2 * EYE),
    "abs**2": (lambda x: np.sum(abs(x) ** 2), ZERO, 2 * EYE),
    "np.abs squared": (lambda x: np.sum(np.square(np.abs(x))), ZERO, 2 * EYE),
    "fabs**2": (lambda x: np.sum(np.fabs(x) ** 2), ZERO, 2 * EYE),
    "abs times abs": (lambda x: np.sum(np.abs(x) * np.abs(x)), ZERO, 2 * EYE),
    "softplus": (lambda x: np.sum(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))), ZERO, 0.25 * EYE),
    "abs**3": (lambda x: np.sum(np.abs(x) ** 3), ZERO, 0 * EYE),
    "cos(abs)": (lambda x: np.sum(np.cos(np.abs(x))), ZERO, -EYE),
}
smooth = pytest.mark.parametrize(("f", "x", "hessian"), SMOOTH.values(), ids=SMOOTH)


@smooth
def test_a_second_derivative_is_right_or_nan(f: Any, x: Any, hessian: Any) -> None:
    with np.errstate(all="ignore"):
        for got in (mg.hessian(f)(x), mg.jacobian(mg.grad(f))(x), np.stack([mg.hvp(f, (x,), (e,))[0] for e in EYE])):
            finite = np.isfinite(got)
            np.testing.assert_allclose(got[finite], np.asarray(hessian, float)[finite])


@smooth
@given(st.floats(0.25, 3), st.floats(-3, -0.25))
def test_beside_that_point_it_is_right(f: Any, x: Any, hessian: Any, a: float, b: float) -> None:
    there = x + np.array([a, b])
    for at in (there, x + 1e-3 * (there - x)):
        g, h = mg.grad(f), mg.hessian(f)(at)
        differences = [(g(at + 1e-6 * e) - g(at - 1e-6 * e)) / 2e-6 for e in EYE]
        np.testing.assert_allclose(h, differences, rtol=1e-6, atol=1e-6)


@both_dtypes
def test_the_first_derivative_and_that_in_a_direction_stay_flat(dtype: Any) -> None:
    for f in (np.linalg.norm, np.std, lambda x: np.hypot(x, 0.0), np.abs):
        assert gradient(f, ZERO, dtype=dtype).tolist() == [0, 0]
        assert np.all(mg.jvp(f, (ZERO.astype(dtype),), (EYE[0].astype(dtype),))[1] == 0)


def test_kinks_that_a_loss_does_not_choose_spoil_nothing() -> None:
    """Huber's loss, and a mean of absolute values: the kink lies where it is not chosen, or is one."""
    huber = lambda r: np.sum(np.where(np.abs(r) <= 1, 0.5 * r * r, np.abs(r) - 0.5))
    np.testing.assert_array_equal(mg.hessian(huber)(np.array([0.0, 3.0])), np.diag([1.0, 0.0]))
    np.testing.assert_array_equal(mg.hessian(lambda r: np.mean(np.abs(r)))(ZERO), np.zeros((2, 2)))
    np.testing.assert_array_equal(mg.hessian(lambda r: np.linalg.norm(r) * 3.0)(np.array([0.0])), [[0]])
