"""Linear algebra: the rows that it needs, and the functions of `numpy.linalg` composed of them.

A row has one array as its result. A decomposition, which has several, returns them packed one above the other, and its
front cuts them apart. The functions that read only one triangle of a symmetric matrix (cholesky, eigh) are
differentiated as what they are: the gradient stands in the triangle that is read, and the other is zero.

Sources: M. Giles, "Collected matrix derivative results" (2008); J. Townsend, "Differentiating the singular value
decomposition" (2016); G. Golub and V. Pereyra, "The differentiation of pseudo-inverses" (1973).
"""

import math
import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradnp.engine.dispatch import implements
from microgradnp.engine.rules import RULES, defvjp, primitive
from microgradnp.engine.state import current
from microgradnp.engine.tensor import apply, constant
from microgradnp.functions.common import detached, fixed, lift
from microgradnp.functions.reductions import product_of_others
from microgradnp.functions.special import over, root

# mypy: allow-untyped-defs, allow-untyped-calls

# -- Rows: what they compute -------------------------------------------------------------------------------------------


@primitive
def logabsdet(x: Any) -> Any:
    """The logarithm of the absolute value of the determinant."""
    return np.linalg.slogdet(x)[1]


@primitive
def cofactors(x: Any) -> Any:
    """The derivative of the determinant, for singular matrices too: cof(USV') = det(U) det(V) U cof(S) V'."""
    finite = np.all(np.isfinite(x), axis=(-2, -1), keepdims=True)  # of any other the SVD would raise, for all
    u, s, vt = np.linalg.svd(np.where(finite, x, 0))
    sign = np.where(finite[..., 0, 0], np.linalg.det(u) * np.linalg.det(vt), math.nan).astype(x.dtype)
    return sign[..., None, None] * np.matmul(u * product_of_others(s, (s.ndim - 1,))[..., None, :], vt)


@primitive
def eigh_packed(x: Any, *, lower: bool) -> Any:
    """Eigenvalues of a symmetric matrix, above its eigenvectors: shape (..., 1 + n, n)."""
    values, vectors = np.linalg.eigh(x, "L" if lower else "U")
    return np.concatenate((values[..., None, :], vectors), axis=-2)


@primitive
def svd_packed(x: Any) -> Any:
    """U, above the singular values, above V: shape (..., m + 1 + n, min(m, n))."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return np.concatenate((u, s[..., None, :], vt.mT), axis=-2)


@primitive
def qr_packed(x: Any) -> Any:
    """Q above R, for a matrix at least as tall as wide: shape (..., m + n, n)."""
    return np.concatenate(np.linalg.qr(x), axis=-2)


# -- Rows: their derivatives -------------------------------------------------------------------------------------------


def _cholesky_vjp(g: Any, y: Any) -> Any:
    s = np.linalg.solve(y.mT, _triangle(y) * np.matmul(y.mT, g))
    return _symmetric(np.linalg.solve(y.mT, s.mT))


def _triangle(y: Any, diagonal: float = 0.5) -> Any:
    """Ones below the diagonal."""
    n = y.shape[-1]
    return np.tri(n, k=-1, dtype=y.dtype) + diagonal * np.eye(n, dtype=y.dtype)


def _symmetric(s: Any) -> Any:
    return 0.5 * (s + s.mT)


def _small(x: Any) -> Any:
    """What values differ by, along the last axis, that are equal but for rounding."""
    return 8 * x.shape[-1] * np.finfo(x.dtype).eps * np.max(np.absolute(x), axis=-1, keepdims=True, initial=0)


def _over_gaps(m: Any, w: Any) -> Any:
    """m[i, j] / (w[j] - w[i]), and 0 on the diagonal."""
    gaps = w[..., None, :] - w[..., :, None]
    gaps = np.where(np.absolute(gaps) <= _small(w)[..., None], 0, gaps)
    diagonal = np.eye(w.shape[-1], dtype=np.bool)
    return over(np.where(diagonal, 0, m), np.where(diagonal, 1, gaps))


def _eigh_vjp(g: Any, y: Any) -> Any:
    w, v = y[..., 0, :], y[..., 1:, :]
    middle = _over_gaps(np.matmul(v.mT, g[..., 1:, :]), w) + g[..., :1, :] * np.eye(w.shape[-1], dtype=y.dtype)
    return _symmetric(np.matmul(np.matmul(v, middle), v.mT))


def _svd_vjp(g: Any, y: Any, x: Any) -> Any:
    m, n = x.shape[-2:]
    u, s, v = y[..., :m, :], y[..., m, :], y[..., m + 1 :, :]
    gu, gs, gv = g[..., :m, :], g[..., m : m + 1, :], g[..., m + 1 :, :]
    row, column = s[..., None, :], s[..., :, None]
    uu, vv = np.matmul(u.mT, gu), np.matmul(v.mT, gv)
    middle = (
        _over_gaps(uu - uu.mT, s * s) * row
        + column * _over_gaps(vv - vv.mT, s * s)
        + gs * np.eye(s.shape[-1], dtype=y.dtype)
    )
    gx = np.matmul(np.matmul(u, middle), v.mT)
    vectors = np.any(gu != 0, axis=(-2, -1), keepdims=True) | np.any(gv != 0, axis=(-2, -1), keepdims=True)
    if m > s.shape[-1]:
        gx = gx + np.matmul(_outside(u, gu, uu, row, vectors & (gs != 0)), v.mT)
    if n > s.shape[-1]:
        gx = gx + np.matmul(u, _outside(v, gv, vv, row, vectors & (gs != 0)).mT)
    return gx


def _outside(u: Any, gu: Any, uu: Any, row: Any, together: Any) -> Any:
    """The part of the gradient that lies outside of the space of ``u``, over the values that the vectors belong to.

    A vector of the value 0 is arbitrary there, and a function of it has no slope: what reaches it is not as small as
    the value is. Nor is a slope known where the value 0 is used ``together`` with vectors: it may have been a factor.
    """
    rest = gu - np.matmul(u, uu)
    least = math.sqrt(np.finfo(u.dtype).eps) * np.max(np.absolute(gu), axis=(-2, -1), keepdims=True, initial=0)
    lost = ((row <= _small(row)) & (np.absolute(rest) > least)) | ((row == 0) & together)
    return over(np.where(lost, 1, rest), np.where(lost, 0, row))


def _qr_vjp(g: Any, y: Any, x: Any) -> Any:
    m = x.shape[-2]
    q, r = y[..., :m, :], y[..., m:, :]
    gq, gr = g[..., :m, :], g[..., m:, :] * _triangle(r, 1).mT
    middle = np.matmul(r, gr.mT) - np.matmul(gq.mT, q)
    lower = _triangle(r) * middle
    return np.linalg.solve(r, (gq + np.matmul(q, lower + lower.mT)).mT).mT


def _pinv_vjp(g: Any, y: Any, x: Any) -> Any:
    outside = g.mT - np.matmul(x, np.matmul(y, g.mT))
    inside = g.mT - np.matmul(np.matmul(g.mT, y), x)
    return (
        np.matmul(outside, np.matmul(y, y.mT))
        + np.matmul(np.matmul(y.mT, y), inside)
        - np.matmul(np.matmul(y.mT, g), y.mT)
    )


def _cofactors_vjp(g: Any, x: Any) -> Any:
    """The slope at t = 0 of cofactors(x + t g), a polynomial in t: exact from as many values as it has odd powers.

    The values are taken at t and -t, so that a zero gradient gives zero exactly, for t at Chebyshev's places.
    """
    pairs = x.shape[-1] // 2
    x = x + 0.0  # no -0.0, which x + step and x - step would turn into two zeros, and so into two roundings
    size = detached(np.sqrt(np.sum(x * x, axis=(-2, -1), keepdims=True)))
    scale = detached(np.sqrt(np.sum(g * g, axis=(-2, -1), keepdims=True)))
    unit = np.where(size == 0, 1, size) / np.where(scale == 0, 1, scale)
    places = [math.cos(math.pi * (2 * k + 1) / (4 * pairs)) for k in range(pairs)]
    total = np.zeros_like(g)
    for t in places:
        others = math.prod(s * s / (s * s - t * t) for s in places if s != t)
        step = g * (unit * t)
        total = total + (cofactors(x + step) - cofactors(x - step)) * (others / (2 * t))
    return total / unit


# fmt: off
defvjp(np.linalg.inv,      lambda g, y, x: -np.matmul(np.matmul(y.mT, g), y.mT))
defvjp(np.linalg.solve,    lambda g, y, a, b: -np.matmul(np.linalg.solve(a.mT, g), y.mT),
                           lambda g, y, a, b: np.linalg.solve(a.mT, g))
defvjp(np.linalg.det,      lambda g, y, x: g[..., None, None] * cofactors(x))
defvjp(cofactors,          lambda g, y, x: _cofactors_vjp(g, x))
defvjp(logabsdet,          lambda g, y, x: g[..., None, None] * np.linalg.inv(x).mT)
defvjp(np.linalg.pinv,     lambda g, y, x, rcond: _pinv_vjp(g, y, x),
       forward=lambda x, rcond: np.linalg.pinv(x, rcond))
defvjp(np.linalg.cholesky, lambda g, y, x: _cholesky_vjp(g, y))
defvjp(eigh_packed,        lambda g, y, x, lower: _eigh_vjp(g, y))
defvjp(svd_packed,         lambda g, y, x: _svd_vjp(g, y, x))
defvjp(qr_packed,          lambda g, y, x: _qr_vjp(g, y, x))
# fmt: on


# -- Decompositions ----------------------------------------------------------------------------------------------------

EighResult: Any = type(np.linalg.eigh(np.eye(1)))
SVDResult: Any = type(np.linalg.svd(np.eye(1)))
QRResult: Any = type(np.linalg.qr(np.eye(1)))
SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


def _matrices(x, name, square=False):
    x = lift(x)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise np.linalg.LinAlgError(f"{name} takes {'square ' if square else ''}matrices; got shape {x.shape}.")
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _mirrored(a, lower):
    """The symmetric matrix of which one triangle is read."""
    read = np.tril(a) if lower else np.triu(a)
    strict = np.tril(a, -1) if lower else np.triu(a, 1)
    return read + strict.mT


@implements(np.linalg.cholesky)
def cholesky(a, /, *, upper=False):
    """The triangular root of a symmetric positive definite matrix, of which one triangle is read."""
    a = _matrices(a, "np.linalg.cholesky", square=True)
    root = apply(RULES[np.linalg.cholesky], (_mirrored(a, not upper),))
    return root.mT if upper else root


@implements(np.linalg.eigh)
def eigh(a, UPLO="L"):
    """Eigenvalues and eigenvectors of a symmetric matrix, of which one triangle is read."""
    if UPLO.upper() not in ("L", "U"):
        raise ValueError(f"np.linalg.eigh takes UPLO 'L' or 'U'; got {UPLO!r}.")
    lower = UPLO.upper() == "L"
    packed = eigh_packed(_mirrored(_matrices(a, "np.linalg.eigh", square=True), lower), lower=lower)
    return EighResult(packed[..., 0, :], packed[..., 1:, :])


@implements(np.linalg.eigvalsh)
def eigvalsh(a, UPLO="L"):
    """Eigenvalues of a symmetric matrix, of which one triangle is read."""
    return np.linalg.eigh(a, UPLO)[0]


@implements(np.linalg.svd)
def svd(a, full_matrices=True, compute_uv=True, hermitian=False):
    """Singular values, with the vectors that belong to them."""
    a = _matrices(a, "np.linalg.svd")
    if hermitian:  # the eigenvalues without their signs, the largest first
        w, v = np.linalg.eigh(a)
        order = np.argsort(np.absolute(w), axis=-1)[..., ::-1]
        s, u = (np.take_along_axis(x, i, -1) for x, i in ((w, order), (v, order[..., None, :])))
        vh = (u * np.sign(s)[..., None, :]).mT
        return SVDResult(u, np.absolute(s), vh) if compute_uv else np.absolute(s)
    m, n = a.shape[-2:]
    if compute_uv and full_matrices and m != n:
        raise ValueError(
            f"np.linalg.svd of shape {a.shape} with full_matrices=True: the vectors that belong to no singular value "
            "are arbitrary and have no derivative. Pass full_matrices=False."
        )
    packed = svd_packed(a)
    s = packed[..., m, :]
    return SVDResult(packed[..., :m, :], s, packed[..., m + 1 :, :].mT) if compute_uv else s


@implements(np.linalg.qr)
def qr(a, mode="reduced"):
    """An orthogonal and an upper triangular factor."""
    a = _matrices(a, "np.linalg.qr")
    m, n = a.shape[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and m <= n):
        raise ValueError(
            f"np.linalg.qr of shape {a.shape} with mode={mode!r} has no derivative: use mode='reduced' or mode='r'."
        )
    packed = qr_packed(a[..., :m])
    q, r = packed[..., :m, :], packed[..., m:, :]
    if n > m:
        r = np.concatenate((r, np.matmul(q.mT, a[..., m:])), axis=-1)
    return r if mode == "r" else QRResult(q, r)


# -- Determinants, inverses and equations ------------------------------------------------------------------------------


@implements(np.linalg.det)
def det(a):
    """Determinant; its derivatives are right for singular matrices too."""
    return apply(RULES[np.linalg.det], (_matrices(a, "np.linalg.det", square=True),))


@implements(np.linalg.slogdet)
def slogdet(a):
    """The determinant's sign, a plain array, and the logarithm of its absolute value."""
    a = _matrices(a, "np.linalg.slogdet", square=True)
    return SlogdetResult(constant(np.linalg.slogdet, (a,), {})[0], logabsdet(a))


@implements(np.linalg.inv)
def inv(a):
    """Inverse."""
    return apply(RULES[np.linalg.inv], (_matrices(a, "np.linalg.inv", square=True),))


@implements(np.linalg.pinv)
def pinv(a, rcond=None, hermitian=False, *, rtol=None):
    """Pseudo-inverse, differentiated at constant rank."""
    a = _matrices(a, "np.linalg.pinv")
    if hermitian:  # NumPy reads the lower triangle alone
        a = np.tril(a) + np.tril(a, -1).mT
    limit = fixed(rcond if rtol is None else rtol, "the cut-off of np.linalg.pinv")
    limit = max(a.shape[-2:]) * float(np.finfo(a.dtype).eps) if limit is None and rtol is None else limit
    return apply(RULES[np.linalg.pinv], (a,), {"rcond": limit})


@implements(np.linalg.solve)
def solve(a, b):
    """The solution of linear equations."""
    a, b = _matrices(a, "np.linalg.solve", square=True), lift(b)
    if b.ndim == 1:
        return apply(RULES[np.linalg.solve], (a, np.expand_dims(b, -1)))[..., 0]
    return apply(RULES[np.linalg.solve], (a, b))


@implements(np.linalg.lstsq)
def lstsq(a, b, rcond=None):
    """Least squares, differentiated at constant rank: solution, residuals, rank and singular values."""
    a, b = _matrices(a, "np.linalg.lstsq"), lift(b)
    m, n = a.shape
    limit = float(np.finfo(a.dtype).eps) * (max(m, n) if rcond is None else 1) if rcond in (None, -1) else rcond
    x = np.matmul(np.linalg.pinv(a, limit), b)
    s = np.linalg.svdvals(a)
    rank = constant(np.linalg.matrix_rank, (a,), {"rtol": limit})
    rest = b - np.matmul(a, x)
    residuals = np.atleast_1d(np.sum(rest * rest, axis=0))
    if n < m and current().machine.traces:  # no program chooses a shape by the rank: NaN where NumPy has no residuals
        residuals = np.where(rank == n, residuals, np.nan)
    elif n >= m or rank < n:
        residuals = lift(np.empty(0, a.dtype))
    return x, residuals, rank, s


@implements(np.linalg.tensorsolve)
def tensorsolve(a, b, axes=None):
    """The solution of equations written with `numpy.tensordot`."""
    a, b = lift(a), lift(b)
    if axes is not None:
        a = np.moveaxis(a, axes, range(a.ndim - len(axes), a.ndim))
    shape = a.shape[b.ndim :]
    matrix = np.reshape(a, (b.size, math.prod(shape)))
    return np.reshape(np.linalg.solve(matrix, np.ravel(b)), shape)


@implements(np.linalg.matrix_power)
def matrix_power(a, n):
    """A whole power of a square matrix."""
    a = _matrices(a, "np.linalg.matrix_power", square=True)
    n = operator.index(n)
    if n < 0:
        return np.linalg.matrix_power(np.linalg.inv(a), -n)
    y = None
    while n:  # by squaring: log2(n) products
        n, odd = divmod(n, 2)
        if odd:
            y = a if y is None else np.matmul(y, a)
        if n:
            a = np.matmul(a, a)
    return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) if y is None else y


# -- Norms -------------------------------------------------------------------------------------------------------------


@implements(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    """Norm of vectors or matrices, of every order that NumPy has; at 0 the gradient is 0."""
    x = lift(x)
    if axis is None:
        if ord is None or (ord in ("f", "fro") and x.ndim == 2):
            y = np.linalg.vector_norm(np.ravel(x))
            return np.reshape(y, (1,) * x.ndim) if keepdims else y
        axis = tuple(range(x.ndim))
    axes = normalize_axis_tuple(axis, x.ndim)
    if len(axes) == 1:
        return np.linalg.vector_norm(x, axis=axes, ord=2 if ord is None else ord, keepdims=keepdims)
    if len(axes) != 2:
        raise ValueError(f"np.linalg.norm of shape {x.shape} over {len(axes)} axes: it takes one or two.")
    y = np.linalg.matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord="fro" if ord is None else ord)
    return np.reshape(y, tuple(1 if i in axes else n for i, n in enumerate(x.shape))) if keepdims else y


@implements(np.linalg.vector_norm)
def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """Norm of vectors; at 0 the gradient is 0."""
    x = lift(x)
    over = {"axis": axis, "keepdims": keepdims}
    if isinstance(ord, str) or ord is None:
        raise ValueError(f"the norm of a vector has a number as its ord; got {ord!r}.")
    if ord == math.inf:
        return np.max(np.absolute(x), **over)
    if ord == -math.inf:
        return np.min(np.absolute(x), **over)
    if ord == 0:
        return constant(np.linalg.vector_norm, (x,), {**over, "ord": 0})
    if ord == 1:
        return np.sum(np.absolute(x), **over)
    if ord == 2:
        return root(np.sum(x * x, **over))
    ord = float(ord)  # a NumPy number would decide the dtype
    if ord < 1:  # the derivative of a power is infinite at 0, times that of abs, which is 0
        powers = np.where(x == 0, 0.0 if ord > 0 else math.inf, np.where(x == 0, 1, np.absolute(x)) ** ord)
    else:
        powers = np.absolute(x) ** ord
    total = np.sum(powers, **over)
    if ord < 0:
        zero = total == 0
        return np.where(zero, 0, np.where(zero, 1, total) ** (1 / ord))
    return root(total, order=ord)


@implements(np.linalg.matrix_norm)
def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """Norm of matrices; the Frobenius norm of 0 has gradient 0."""
    x = _matrices(x, "np.linalg.matrix_norm")
    if ord in ("f", "fro"):
        return root(np.sum(x * x, axis=(-2, -1), keepdims=keepdims))
    if ord in ("nuc", 2, -2):
        s = np.linalg.svdvals(x)
        s = np.where(s == 0, 0, s)  # which has a kink there, as the absolute value has
        y = np.sum(s, axis=-1) if ord == "nuc" else np.max(s, axis=-1) if ord == 2 else np.min(s, axis=-1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = np.sum(np.absolute(x), axis=-2 if abs(ord) == 1 else -1)
        y = np.max(sums, axis=-1) if ord > 0 else np.min(sums, axis=-1)
    else:
        raise ValueError(f"the norm of a matrix takes ord 'fro', 'nuc', 1, -1, 2, -2, inf or -inf; got {ord!r}.")
    return np.reshape(y, (*x.shape[:-2], 1, 1)) if keepdims else y


@implements(np.linalg.cond)
def cond(x, p=None):
    """Condition number."""
    x = _matrices(x, "np.linalg.cond")
    if not all(x.shape[-2:]):
        raise np.linalg.LinAlgError(f"np.linalg.cond takes matrices that are not empty; got shape {x.shape}.")
    with np.errstate(all="ignore"):
        if p in (None, 2, -2):
            s = np.linalg.svdvals(x)
            y = s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
        else:
            singular = np.linalg.slogdet(x)[0] == 0  # of such the inverse would raise, for the others too
            inverse = np.linalg.inv(np.where(singular[..., None, None], np.eye(x.shape[-1], dtype=x.dtype), x))
            y = np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(inverse, p, axis=(-2, -1))
            y = np.where(singular, math.inf, y)
    return np.where(np.isnan(y) & ~np.any(np.isnan(x), axis=(-2, -1)), math.inf, y)
