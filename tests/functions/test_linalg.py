"""Laws of linear algebra, which its derivatives must keep: what is put together again is the identity."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.check.strategies import arrays

small = st.integers(1, 4)
ATOL = 1e-9  # the matrices below have condition numbers up to some hundreds


def matrices(m: int, n: int) -> st.SearchStrategy[Any]:
    """Matrices of full rank with singular values that are not close."""
    return arrays((m, n), low=-1.0, high=1.0, layout="C").map(lambda x: x / 4 + np.eye(m, n) * np.arange(1, n + 1) * 2)


def identity_jacobian(f: Callable[[Any], Any], x: Any) -> None:
    """``f`` is the identity: its Jacobian is the identity matrix, and its second derivatives vanish."""
    np.testing.assert_allclose(f(x), x, atol=ATOL)
    jacobian = mg.jacobian(f)(x).reshape(x.size, x.size)
    np.testing.assert_allclose(jacobian, np.eye(x.size), atol=ATOL)
    curvature = mg.hvp(lambda x: np.sum(f(x) * np.cos(np.arange(x.size)).reshape(x.shape)), (x,), (np.ones(x.shape),))
    np.testing.assert_allclose(curvature[0], 0, atol=1e3 * ATOL)


SYMMETRIC_FORMS: dict[str, Callable[[Any], Any]] = {
    "eigh": lambda x: (lambda w, v: (v * w) @ v.mT)(*np.linalg.eigh(x)),
    "eigh of the upper triangle": lambda x: (lambda w, v: (v * w) @ v.mT)(*np.linalg.eigh(x, "U")),
    "svd": lambda x: (lambda u, s, vt: (u * s) @ vt)(*np.linalg.svd(x, hermitian=True)),
    "cholesky": lambda x: (lambda root: root @ root.mT)(np.linalg.cholesky(x)),
    "upper cholesky": lambda x: (lambda root: root.mT @ root)(np.linalg.cholesky(x, upper=True)),
}


@pytest.mark.parametrize("name", SYMMETRIC_FORMS)
@given(small.flatmap(lambda n: matrices(n, n)))
def test_a_symmetric_decomposition_put_together_is_the_symmetric_matrix(name: str, x: Any) -> None:
    f, lower = SYMMETRIC_FORMS[name], "upper" not in name

    def read(x: Any) -> Any:
        return np.tril(x) + np.tril(x, -1).mT if lower else np.triu(x) + np.triu(x, 1).mT

    np.testing.assert_allclose(mg.jacobian(f)(x), mg.jacobian(read)(x), atol=ATOL)
    v = np.cos(np.arange(x.size)).reshape(x.shape)
    curvature = mg.hvp(lambda x: np.sum(f(x) * v), (x,), (v,))[0]
    np.testing.assert_allclose(curvature, 0, atol=1e3 * ATOL)


FORMS: dict[str, Callable[[Any], Any]] = {
    "svd": lambda x: (lambda u, s, vt: (u * s) @ vt)(*np.linalg.svd(x, full_matrices=False)),
    "qr": lambda x: (lambda q, r: q @ r)(*np.linalg.qr(x)),
    "pinv of pinv": lambda x: np.linalg.pinv(np.linalg.pinv(x)),
    "x pinv x": lambda x: x @ np.linalg.pinv(x) @ x,
}


@pytest.mark.parametrize("name", FORMS)
@given(st.tuples(small, small).flatmap(lambda shape: matrices(*shape)))
def test_a_decomposition_put_together_is_the_matrix(name: str, x: Any) -> None:
    identity_jacobian(FORMS[name], x)


SQUARE_FORMS: dict[str, Callable[[Any], Any]] = {
    "inv of inv": lambda x: np.linalg.inv(np.linalg.inv(x)),
    "solve": lambda x: np.linalg.solve(np.linalg.inv(x), np.eye(x.shape[-1])),
    "a power and back": lambda x: np.linalg.matrix_power(x, 3) @ np.linalg.matrix_power(x, -2),
    "tensorinv": lambda x: np.linalg.tensorinv(np.linalg.inv(x), ind=1),
    "multi_dot": lambda x: np.linalg.multi_dot([x, np.linalg.inv(x), x]),
}


@pytest.mark.parametrize("name", SQUARE_FORMS)
@given(small.flatmap(lambda n: matrices(n, n)))
def test_an_inverse_undoes_to_second_order(name: str, x: Any) -> None:
    identity_jacobian(SQUARE_FORMS[name], x)


@given(small.flatmap(lambda n: matrices(n, n)))
def test_the_logarithm_of_the_determinant_is_the_logdet(x: Any) -> None:
    sign, logdet = np.linalg.slogdet(mg.Tensor(x, requires_grad=True))
    assert type(sign) is not mg.Tensor
    by_det = mg.grad(lambda x: np.log(np.abs(np.linalg.det(x))))
    by_logdet = mg.grad(lambda x: np.linalg.slogdet(x)[1])
    by_values = mg.grad(lambda x: np.sum(np.log(np.linalg.svdvals(x))))
    np.testing.assert_allclose(by_logdet(x), by_det(x), atol=ATOL)
    np.testing.assert_allclose(by_logdet(x), by_values(x), atol=ATOL)
    np.testing.assert_allclose(mg.hessian(lambda x: np.linalg.slogdet(x)[1])(x), mg.jacobian(by_det)(x), atol=1e-7)
    assert logdet.requires_grad


def test_no_direction_gives_no_curvature_of_the_determinant_with_negative_zeros_too() -> None:
    x = np.array([[-0.0, -0.0, 1.0], [1.0, -0.0, 1.0], [-0.0, -0.0, -0.0]])
    (curvature,) = mg.hvp(np.linalg.det, (x,), (np.zeros((3, 3)),))
    assert not curvature.any()


@given(st.integers(0, 5).flatmap(lambda n: arrays((n, n), low=-2.0, high=2.0).map(np.round)))
def test_determinants_have_the_derivatives_of_leibnizs_formula(x: Any) -> None:
    """Also those of singular matrices: small whole entries give many."""

    def leibniz(x: Any) -> Any:
        n = x.shape[0]
        if n == 0:
            return 1.0 + 0.0 * np.sum(x)
        return sum((-1) ** j * x[0, j] * leibniz(np.concatenate((x[1:, :j], x[1:, j + 1 :]), axis=1)) for j in range(n))

    v = np.sin(np.arange(x.size) + 1.0).reshape(x.shape)
    np.testing.assert_allclose(mg.grad(np.linalg.det)(x), mg.grad(leibniz)(x), atol=1e-8)
    along = [mg.hvp(f, (x,), (v,))[0] for f in (np.linalg.det, leibniz)]
    np.testing.assert_allclose(*along, atol=1e-6)
    if x.shape[0] <= 3:
        third = [mg.grad(lambda x, f=f: np.sum(mg.hvp(f, (x,), (v,))[0] * v))(x) for f in (np.linalg.det, leibniz)]
        np.testing.assert_allclose(*third, atol=1e-5)


STACKABLE: dict[str, Callable[[Any], Any]] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "slogdet": lambda x: np.linalg.slogdet(x)[1],
    "cholesky": np.linalg.cholesky,
    "eigvalsh": np.linalg.eigvalsh,
    "eigh": lambda x: np.linalg.eigh(x)[1] ** 2,
    "svd": lambda x: np.linalg.svd(x)[0] ** 2,
    "qr": lambda x: np.linalg.qr(x)[1],
    "pinv": np.linalg.pinv,
    "matrix_power": lambda x: np.linalg.matrix_power(x, 3),
    "matrix_norm": lambda x: np.linalg.matrix_norm(x, ord="nuc"),
    "solve": lambda x: np.linalg.solve(x, np.ones((3, 2))),
    "trace": np.linalg.trace,
}


@pytest.mark.parametrize("name", STACKABLE)
@given(st.lists(matrices(3, 3), min_size=1, max_size=3))
def test_a_stack_is_differentiated_matrix_by_matrix(name: str, parts: list[Any]) -> None:
    f = STACKABLE[name]
    stack = np.stack(parts)
    gradient = mg.grad(lambda x: np.sum(np.sin(f(x))))
    for part, g in zip(parts, gradient(stack), strict=True):
        np.testing.assert_allclose(g, gradient(part), atol=ATOL)


@given(st.integers(2, 4).flatmap(lambda n: st.tuples(matrices(n + 1, n), arrays((n + 1,), layout="C"))))
def test_least_squares_are_the_normal_equations(drawn: tuple[Any, Any]) -> None:
    a, b = drawn

    def by_lstsq(a: Any, b: Any) -> Any:
        x, residuals, _, _ = np.linalg.lstsq(a, b)
        return np.sum(np.sin(x)) + residuals[0]

    def by_hand(a: Any, b: Any) -> Any:
        x = np.linalg.solve(a.T @ a, a.T @ b)
        return np.sum(np.sin(x)) + np.sum((b - a @ x) ** 2)

    one, two = (mg.value_and_grad(f, (0, 1))(a, b) for f in (by_lstsq, by_hand))
    np.testing.assert_allclose(one[0], two[0], atol=1e-8)
    for g, h in zip(one[1], two[1], strict=True):
        np.testing.assert_allclose(g, h, atol=1e-7)


def test_a_pseudo_inverse_of_lower_rank_is_right_along_that_rank() -> None:
    """Along x(t) of constant rank 1 the derivative is that of the path; across it there is none."""
    u, v = np.array([1.0, 2.0, -1.0]), np.array([0.5, 1.0])
    check.gradients(lambda u, v: np.linalg.pinv(np.outer(u, v)), u, v, order=2, atol=1e-9)


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_matrix_norms_are_those_of_the_transpose(order: Any) -> None:
    x = np.array([[3.0, -1.0, 0.5], [0.25, -4.0, 2.0]])
    dual = {1: math.inf, -1: -math.inf, math.inf: 1, -math.inf: -1}.get(order, order)
    one = mg.grad(lambda x: np.linalg.norm(x, order))(x)
    two = mg.grad(lambda x: np.linalg.norm(x.T, dual))(x)
    np.testing.assert_allclose(one, two, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept_through_second_order(dtype: Any) -> None:
    x = np.array([[4.0, 1.0], [1.0, 3.0]], dtype)
    for f in (*STACKABLE.values(), np.linalg.cond, lambda x: np.linalg.lstsq(x, np.ones(2, dtype))[0]):
        if f is STACKABLE["solve"]:
            continue
        value = f(mg.Tensor(x, requires_grad=True))
        assert value.dtype == dtype
        first = mg.grad(lambda x, f=f: np.sum(f(x)))
        assert first(x).dtype == dtype
        assert mg.grad(lambda x, first=first: np.sum(first(x) ** 2))(x).dtype == dtype


@given(small.flatmap(lambda n: matrices(n, n)))
def test_singular_values_of_a_symmetric_matrix_are_its_eigenvalues_without_their_signs(x: Any) -> None:
    x = x - 3 * np.eye(len(x))  # some are negative
    u, s, vt = np.linalg.svd(mg.Tensor(x, requires_grad=True), hermitian=True)
    for got, expected in zip((u, s, vt), np.linalg.svd(x, hermitian=True), strict=True):
        np.testing.assert_allclose(got.data, expected, atol=ATOL)
    only = mg.grad(lambda x: np.sum(np.linalg.svd(x, compute_uv=False, hermitian=True) ** 2))(x)
    np.testing.assert_allclose(only, mg.grad(lambda x: np.sum(np.linalg.eigvalsh(x) ** 2))(x), atol=ATOL)


ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "an inverse of a rectangle": (np.linalg.inv, np.linalg.LinAlgError, r"square matrices; got shape \(2, 3\)"),
    "a determinant of a vector": (lambda x: np.linalg.det(x[0]), np.linalg.LinAlgError, r"got shape \(3,\)"),
    "vectors of no singular value": (np.linalg.svd, ValueError, "Pass full_matrices=False"),
    "a complete qr": (lambda x: np.linalg.qr(x.T, mode="complete"), ValueError, "use mode='reduced'"),
    "an unknown triangle": (lambda x: np.linalg.eigh(x @ x.T, "X"), ValueError, "'L' or 'U'; got 'X'"),
    "a norm over three axes": (lambda x: np.linalg.norm(x[None], 1), ValueError, "over 3 axes"),
    "an unknown order": (lambda x: np.linalg.norm(x, 3), ValueError, "got 3"),
    "a word for a vector's norm": (lambda x: np.linalg.vector_norm(x, ord="fro"), ValueError, "got 'fro'"),
    "an outer product of matrices": (lambda x: np.linalg.outer(x, x), ValueError, "must be one-dimensional"),
    "eigenvalues that may be complex": (lambda x: np.linalg.eigvals(x @ x.T), TypeError, "use np.linalg.eigh"),
    "a single factor": (lambda x: np.linalg.multi_dot([x]), ValueError, "at least two arrays"),
    "factors that are no matrices": (lambda x: np.linalg.multi_dot([x, x[None], x]), ValueError, "3-dimensional array"),
    "half a power": (lambda x: np.linalg.matrix_power(x @ x.T, 0.5), TypeError, "integer"),
    "no index": (lambda x: np.linalg.tensorinv(x, ind=0), ValueError, "Invalid ind"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_was_given_and_what_to_do(name: str) -> None:
    f, kind, message = ERRORS[name]
    x = mg.Tensor([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]], requires_grad=True)
    with pytest.raises(kind, match=message):
        f(x)


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, "fro", math.inf])
def test_the_condition_of_singular_matrices_is_numpys_and_leaves_the_others_alone(p: Any) -> None:
    singular = np.diag([1.0, 0.0, 4.0])
    regular = np.array([[4.0, 1.0, 0.5], [0.0, 3.0, 1.0], [1.0, 0.0, 2.0]])
    for x in (singular, np.zeros((3, 3)), np.stack([regular, np.zeros((3, 3))])):
        got, expected = np.linalg.cond(mg.Tensor(x, requires_grad=True), p).data, np.linalg.cond(x, p)
        np.testing.assert_allclose(got, expected, rtol=1e-9)
    with np.errstate(all="ignore"):
        both = mg.grad(lambda x: np.sum(np.linalg.cond(x, p)[:1]))(np.stack([regular, np.zeros((3, 3))]))
    np.testing.assert_allclose(both[0], mg.grad(lambda x: np.linalg.cond(x, p))(regular), atol=ATOL)
    with pytest.raises(np.linalg.LinAlgError, match=r"not empty; got shape \(0, 0\)"):
        np.linalg.cond(mg.Tensor(np.zeros((0, 0))), p)
