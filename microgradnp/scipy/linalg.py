"""`scipy.linalg` on Tensors: triangular systems, Cholesky's root, and the exponential of a matrix."""

from typing import Any

import numpy as np

from microgradnp.engine.rules import defvjp, primitive
from microgradnp.engine.tensor import Tensor
from microgradnp.functions.common import detached
from microgradnp.scipy.common import operand


def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The triangular root of a symmetric positive definite matrix: by default the upper one, and read from there.

    Only one triangle is read, so the gradient stands in it, and the other is zero.

    Examples
    --------
    >>> cholesky([[4.0, 2.0], [2.0, 5.0]])
    array([[2., 1.],
           [0., 2.]])
    """
    a = _finite(a, check_finite, "cholesky")
    read = np.tril(a) if lower else np.triu(a).mT
    root = np.linalg.cholesky(read + np.tril(read, -1).mT)
    return root if lower else root.mT


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solve ``a @ x = b`` for a matrix of which one triangle is read, by default the upper one.

    ``trans`` 1 or "T" (for real numbers also 2 or "C") solves ``a.T @ x = b``; with ``unit_diagonal`` the diagonal is
    taken as ones and not read.

    Examples
    --------
    >>> solve_triangular([[2.0, 1.0], [7.0, 4.0]], [4.0, 8.0])
    array([1., 2.])
    """
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(f'solve_triangular: trans must be 0, 1 or 2, or "N", "T" or "C"; got {trans!r}.')
    a = _finite(a, check_finite, "solve_triangular")
    b = _finite(b, check_finite, "solve_triangular", square=False)
    if unit_diagonal:
        a = (np.tril(a, -1) if lower else np.triu(a, 1)) + np.eye(a.shape[-1], dtype=a.dtype)
    else:
        a = np.tril(a) if lower else np.triu(a)
    return np.linalg.solve(a if trans in (0, "N") else a.mT, b)


def expm(A: Any) -> Any:
    """The exponential of a square matrix, or of each of a stack.

    Examples
    --------
    >>> expm([[0.0, 1.0], [0.0, 0.0]])
    array([[1., 1.],
           [0., 1.]])
    """
    return _expm(_finite(A, False, "expm"))


@primitive
def _expm(a: Any) -> Any:
    import scipy.linalg

    return scipy.linalg.expm(a)


def _expm_vjp(g: Any, y: Any, a: Any) -> Any:
    """The exponential of a block matrix holds its derivative along one block (Van Loan 1978), here of g's own size."""
    n, at = a.shape[-1], a.mT
    scale = detached(np.max(np.absolute(g), axis=(-2, -1), keepdims=True))
    scale = np.where(scale == 0, 1, scale)
    rows = np.concatenate((at, g / scale), axis=-1), np.concatenate((np.zeros_like(at), at), axis=-1)
    return _expm(np.concatenate(rows, axis=-2))[..., :n, n:] * scale


defvjp(_expm, _expm_vjp)


def _finite(a: Any, check: bool, name: str, square: bool = True) -> Any:
    """A matrix, or SciPy's error where it is none or, if that is to be checked, an array that is not finite.

    Of a Tensor it is not asked: its NaN goes on to the result, as in every other operation.
    """
    a = operand(a)
    if square and (a.ndim < 2 or a.shape[-1] != a.shape[-2]):
        raise ValueError(f"{name} takes square matrices; got shape {a.shape}.")
    if check and type(a) is not Tensor and not np.all(np.isfinite(a)):
        raise ValueError(f"{name}: array must not contain infs or NaNs (of shape {a.shape}).")
    return a
