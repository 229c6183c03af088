"""Matrices without an inverse or with equal eigenvalues, and products of too few axes."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import both_dtypes, gradient, leaf, same_as_numpy

import microgradnp as mg
from microgradnp import check


@both_dtypes
@pytest.mark.filterwarnings("ignore:invalid value encountered in det")  # by NumPy, of the value
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_determinant_without_a_value_leaves_the_others_of_a_stack_alone(bad: float, dtype: Any) -> None:
    x = np.array([[[1.0, 2.0], [3.0, 4.0]], [[bad, 1.0], [1.0, 2.0]]], dtype)
    slope = gradient(np.linalg.det, x, dtype=dtype)
    np.testing.assert_allclose(slope[0], [[4, -3], [-2, 1]], rtol=1e-5)
    assert np.all(np.isnan(slope[1]))


@both_dtypes
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


@both_dtypes
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


def test_a_symmetric_pseudo_inverse_reads_the_lower_triangle():
    weights = np.array([[1.0, 2.0], [3.0, 4.0]])
    f = lambda a: np.sum(weights * np.linalg.pinv(a, hermitian=True))
    check.gradients(f, np.array([[1.0, 2.0], [2.0, 5.0]]))
    a = np.array([[1.0, 9.0], [2.0, 5.0]])
    np.testing.assert_allclose(np.linalg.pinv(leaf(*a), hermitian=True).data, np.linalg.pinv(a, hermitian=True))


@pytest.mark.parametrize("name", ["matvec", "vecmat", "vecdot"])
def test_products_of_too_few_axes_are_errors_as_numpys(name: str) -> None:
    f = getattr(np, name, None)
    if f is None:
        pytest.skip(f"this NumPy has no {name}")
    shapes = [(), (3,), (2, 3), (3, 2), (4, 2, 3), (4, 3, 2)]
    for a in shapes:
        for b in shapes:
            same_as_numpy(f, np.ones(a), np.ones(b))


# -- Equal eigenvalues and singular values -----------------------------------------------------------------------------

Q = np.linalg.qr(np.array([[1.0, 2.0, 3.0], [-1.0, 1.0, 0.5], [0.0, 2.0, -1.0]]))[0]
EQUAL = [np.eye(3), np.diag([2.0, 2.0, 5.0]), Q @ np.diag([2.0, 2.0, 5.0]) @ Q.T]
C = np.array([[1.0, 2.0, -1.0], [0.5, 1.0, 3.0], [2.0, 0.0, 1.0]])


def _by_eigh(f):
    def of_a_matrix(x):
        w, v = np.linalg.eigh((x + x.T) / 2)
        return np.sum(C * ((v * f(w)) @ v.T))

    return of_a_matrix


def _by_svd(x):
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return np.sum(C * ((u * s**2) @ vt))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("x", EQUAL)
@pytest.mark.parametrize(
    "f", [_by_eigh(np.sqrt), _by_eigh(np.exp), _by_eigh(lambda w: w), _by_eigh(lambda w: 1 / w), _by_svd]
)
def test_a_gradient_through_vectors_of_equal_values_is_nan_with_a_warning(f, x):
    with pytest.warns(RuntimeWarning, match="belong to equal values is undetermined"):
        assert np.isnan(mg.grad(f)(x)).any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("x", EQUAL)
def test_second_derivatives_by_equal_values_are_right_or_nan(x):
    def cubes(x):
        return np.sum(np.linalg.eigvalsh((x + x.T) / 2) ** 3)

    direction = (C + C.T) / 2
    expected = 3 * (x @ direction + direction @ x)
    np.testing.assert_allclose(mg.grad(cubes)(x), 3 * x @ x, atol=1e-12)
    by_rows = np.tensordot(mg.hessian(cubes)(x), direction)
    for got in (mg.hvp(cubes, (x,), (direction,))[0], by_rows):
        finite = np.isfinite(got)
        np.testing.assert_allclose(got[finite], expected[finite], atol=1e-10)
    lone = np.linalg.eigvalsh
    np.testing.assert_allclose(mg.grad(lambda x: np.sum(lone((x + x.T) / 2)))(x), np.eye(3), atol=1e-12)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("x", [np.diag([3.0, 0.0, 2.0])[:, :2], np.outer([1.0, 2.0, -1.0, 3.0], [1.0, 2.0])])
def test_vectors_of_a_value_of_0_have_a_gradient_only_where_their_choice_does_not_matter(x, wide):
    x = x.T if wide else x
    weights = np.sin(np.arange(1.0, 1 + x.size)).reshape(x.shape)

    def parts(x):
        return np.linalg.svd(x.T if wide else x, full_matrices=False)

    used: dict[str, Any] = {
        "vectors": lambda u, s, vt: np.sum(u * weights.reshape(u.shape)),
        "one vector": lambda u, s, vt: np.sum(np.cos(u[:, 1] + np.arange(len(u)))),
        "the matrix": lambda u, s, vt: np.sum(((u * s) @ vt) * (weights.T if wide else weights)),
        "values squared": lambda u, s, vt: np.sum(s**2),
        "the largest": lambda u, s, vt: s[0],
        "the vector of the largest": lambda u, s, vt: np.sum(u[:, 0] ** 4) + s[0],
    }
    with np.errstate(all="ignore"):
        for name in ("vectors", "one vector"):
            with pytest.warns(RuntimeWarning, match="a value of 0 where the matrix is not square"):
                assert np.isnan(mg.grad(lambda x, f=used[name]: f(*parts(x)))(x)).any()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            whole = mg.grad(lambda x: used["the matrix"](*parts(x)))(x)
        finite = np.isfinite(whole)
        np.testing.assert_allclose(whole[finite], weights[finite])
        for name in ("values squared", "the largest", "the vector of the largest"):
            check.gradients(lambda x, f=used[name]: f(*parts(x)), x)
