"""Recipes for products, and for linear algebra on well-conditioned matrices."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from microgradnp.check.strategies import LAYOUTS, dtypes, lay
from microgradnp.functions import linalg
from recipes.drawing import Case, array, booleans, numpy_has, recipe

sides = st.integers(0, 3)


@recipe(np.matmul, np.linalg.matmul)
def _matmul(draw, f):
    k, m, n = draw(sides), draw(sides), draw(sides)
    shapes = [((m, k), (k, n)), ((2, m, k), (k, n)), ((2, 1, m, k), (3, k, n))]
    shapes += [((k,), (k,)), ((k,), (k, n)), ((m, k), (k,)), ((2, m, k), (k,)), ((k,), (2, k, n))] * (f is np.matmul)
    a, b = draw(st.sampled_from(shapes))
    dtype = draw(dtypes)
    return Case(f, array(draw, a, dtype=dtype), array(draw, b, dtype=dtype))


@recipe(np.dot, np.inner)
def _dot(draw, f):
    k, m, n = draw(sides), draw(sides), draw(sides)
    shapes = [((), (m, k)), ((m, k), ()), ((k,), (k,))]
    shapes += (
        [((m, k), (k, n)), ((m, k), (k,)), ((m, k), (2, k, n))]
        if f is np.dot
        else [((m, k), (n, k)), ((2, m, k), (k,))]
    )
    a, b = draw(st.sampled_from(shapes))
    dtype = draw(dtypes)
    return Case(f, array(draw, a, dtype=dtype), array(draw, b, dtype=dtype))


@recipe(np.vdot, np.outer, np.kron)
def _flat_product(draw, f):
    dtype, shape = draw(dtypes), draw(st.sampled_from([(2,), (2, 2), (), (0,)]))
    other = shape if f is np.vdot else draw(st.sampled_from([(3,), (2, 1), ()]))
    if f is np.kron and shape == (0,):
        shape = (1, 2, 1)
    return Case(f, array(draw, shape, dtype=dtype), array(draw, other, dtype=dtype))


@recipe(np.linalg.outer)
def _outer(draw, f):
    dtype = draw(dtypes)
    return Case(f, array(draw, dims=(1, 1), dtype=dtype), array(draw, dims=(1, 1), dtype=dtype))


@recipe(np.cross, np.linalg.cross)
def _cross(draw, f):
    dtype = draw(dtypes)
    if draw(booleans):
        return Case(f, array(draw, (2, 3), dtype=dtype), array(draw, (3,), dtype=dtype))
    return Case(lambda a, b: f(a, b, axis=0), array(draw, (3, 2), dtype=dtype), array(draw, (3, 2), dtype=dtype))


@recipe(np.vecdot, np.linalg.vecdot, *numpy_has("matvec", "vecmat"))
def _vector_product(draw, f):
    dtype, k, m = draw(dtypes), draw(st.integers(1, 3)), draw(sides)
    shapes = {"matvec": ((2, m, k), (k,)), "vecmat": ((k,), (2, k, m)), "vecdot": ((m, k), (k,))}[f.__name__]
    return Case(f, *(array(draw, shape, dtype=dtype) for shape in shapes))


@recipe(np.tensordot, np.linalg.tensordot)
def _tensordot(draw, f):
    a, b, axes = draw(
        st.sampled_from(
            [
                ((2, 3), (3, 2), 1),
                ((2, 3), (2, 3), 2),
                ((2,), (3,), 0),
                ((2, 3, 2), (3, 2, 2), ([1, 0], [0, 1])),
                ((2, 3), (2, 3), (-1, 1)),
            ]
        )
    )
    dtype = draw(dtypes)
    return Case(lambda a, b: f(a, b, axes=axes), array(draw, a, dtype=dtype), array(draw, b, dtype=dtype))


EINSUMS = [
    "ij,jk->ik", "ij,jk", "ij->ji", "ij->", "ii->i", "ii", "ii->", "i,i->", "i,j->ij", "ij,ij->ij", "bij,bjk->bik",
    "...ij,...jk->...ik", "...i->...", "i...->...", "...", "ij,j", "ij,kl->jl", "iij,j->i", "iii->i", "ij,jk,kl->il",
    "a,ab,b->", "ij, jk -> ki", ",ij->ij", "->", "i,->i", "ab...,b...->a...", "ji,i...->j...",
]  # fmt: skip


@recipe(np.einsum)
def _einsum(draw, f):
    subscripts = draw(st.sampled_from(EINSUMS))
    terms = subscripts.replace(" ", "").split("->")[0].split(",")
    lengths = {c: draw(st.integers(0 if c not in "bi" else 1, 3)) for c in sorted(set("".join(terms)) - {"."})}
    dots = draw(st.sampled_from([(), (2,), (2, 3)]))

    def shape_of(i, term):
        head, dotted, tail = term.partition("...")
        between = dots[draw(st.integers(0, len(dots))) if i else 0 :] if dotted else ()
        return (*(lengths[c] for c in head), *between, *(lengths[c] for c in tail))

    dtype = draw(dtypes)
    nonzero = {"away_from": 0.0} if len(terms) > 2 else {}  # a factor 0 hides the derivatives by all the others
    xs = [array(draw, shape_of(i, term), dtype=dtype, **nonzero) for i, term in enumerate(terms)]
    optimize = draw(st.sampled_from([False, True]))
    return Case(lambda *xs: f(subscripts, *xs, optimize=optimize), *xs)


@recipe(np.einsum)
def _einsum_sublists(draw, f):
    a, b = array(draw, (2, 3), dtype=np.float64), array(draw, (3, 1), dtype=np.float64)
    result = draw(st.sampled_from([[], [[0, 2]], [[2, 0]], [[]], [[0, 1, 2]]]))
    if draw(booleans):
        return Case(lambda a, b: f(a, [Ellipsis, 1], b, [1, 2], [Ellipsis, 2]), a, b)
    return Case(lambda a, b: f(a, [0, 1], b, [1, 2], *result), a, b)


# -- Linear algebra: well-conditioned matrices -------------------------------------------------------------------------


def stack_of(draw: Any, m: int, n: int, **options: Any) -> Any:
    """Matrices of that shape, alone or in a stack."""
    outer = draw(st.sampled_from([(), (2,), (1, 2)] + [(0,)] * (options.pop("empty", True))))
    return array(draw, (*outer, m, n), low=-1.0, high=1.0, **options)


def regular(draw: Any, n: int | None = None, **options: Any) -> Any:
    """Square matrices whose diagonal dominates, with distinct eigenvalues and singular values."""
    n = draw(st.integers(1, 3)) if n is None else n
    x = stack_of(draw, n, n, **options)
    return lay(x / 4 + np.diag(np.arange(1, n + 1) * 2.0).astype(x.dtype), draw(st.sampled_from(LAYOUTS)))


def tall(draw: Any, m: int, n: int, **options: Any) -> Any:
    """Matrices of full rank with distinct singular values."""
    x = stack_of(draw, m, n, **options)
    return x / 4 + np.eye(m, n, dtype=x.dtype) * np.arange(1, n + 1, dtype=x.dtype) * 2


@recipe(np.linalg.inv, np.linalg.det, linalg.logabsdet, linalg.cofactors)
def _square(draw, f):
    return Case(f, regular(draw))


@recipe(np.linalg.det)
def _det_of_any(draw, f):
    """Singular matrices among them: entries are often equal or zero."""
    n = draw(st.integers(0, 3))
    return Case(f, np.round(stack_of(draw, n, n)))


@recipe(np.linalg.slogdet)
def _slogdet(draw, f):
    return Case(lambda x: f(x)[1], regular(draw))


@recipe(np.linalg.solve)
def _solve(draw, f):
    a = regular(draw)
    n = a.shape[-1]
    shape = draw(st.sampled_from([(n,), (n, 2), (*a.shape[:-2], n, 1)]))
    return Case(f, a, array(draw, shape, dtype=a.dtype))


@recipe(np.linalg.cholesky)
def _cholesky(draw, f):
    upper = {"upper": True} if draw(booleans) else {}
    return Case(lambda x: f(x, **upper), regular(draw))


@recipe(np.linalg.eigh, linalg.eigh_packed)
def _eigh(draw, f):
    """Eigenvectors have a sign of their own: the check sees their squares."""
    if f is linalg.eigh_packed:
        return Case(lambda x: np.square(f(x + x.mT, lower=True)), regular(draw))
    letter = draw(st.sampled_from("LU"))

    def of(x):
        values, vectors = f(x, letter)
        return values, vectors * vectors

    return Case(of, regular(draw))


@recipe(np.linalg.eigvalsh, np.linalg.svdvals)
def _values(draw, f):
    return Case(f, regular(draw) if f is np.linalg.eigvalsh else tall(draw, 3, 2))


@recipe(np.linalg.svd, linalg.svd_packed)
def _svd(draw, f):
    m, n = draw(st.sampled_from([(2, 2), (3, 2), (2, 3), (1, 1), (3, 1)]))
    x = tall(draw, m, n)
    if f is linalg.svd_packed:
        return Case(lambda x: np.square(f(x)), x)

    def of(x):
        u, s, vt = f(x, full_matrices=False)
        return u * u, s, vt * vt, np.matmul(u, vt)

    return Case(of, x)


@recipe(np.linalg.qr, linalg.qr_packed)
def _qr(draw, f):
    m, n = draw(st.sampled_from([(2, 2), (3, 2), (2, 3), (1, 1), (3, 1)]))
    if f is linalg.qr_packed:
        return Case(f, tall(draw, max(m, n), min(m, n), away_from=0.0))
    options = {"mode": "r"} if draw(booleans) else {}
    return Case(lambda x: f(x, **options), tall(draw, m, n, away_from=0.0))  # at 0 a column needs no reflection


@recipe(np.linalg.pinv)
def _pinv(draw, f):
    m, n = draw(st.sampled_from([(2, 2), (3, 2), (2, 3)]))
    return Case(f, tall(draw, m, n))


@recipe(np.linalg.lstsq)
def _lstsq(draw, f):
    m, n = draw(st.sampled_from([(2, 2), (3, 2), (2, 3)]))
    x = tall(draw, m, n, empty=False)
    x = x.reshape(-1, m, n)[0]
    b = array(draw, draw(st.sampled_from([(m,), (m, 2)])), dtype=x.dtype)
    return Case(lambda a, b: (lambda r: (r[0], r[1], r[3]))(f(a, b)), x, b)


@recipe(np.linalg.cond)
def _cond(draw, f):
    p = draw(st.sampled_from([None, 2, -2, "fro", 1]))
    return Case(lambda x: f(x, p), regular(draw, empty=False, away_from=0.0))


@recipe(np.linalg.matrix_power)
def _matrix_power(draw, f):
    n = draw(st.integers(-2, 4))
    return Case(lambda x: f(x, n), regular(draw, 2))


@recipe(np.linalg.multi_dot)
def _multi_dot(draw, f):
    dtype, n = draw(dtypes), draw(st.integers(2, 4))
    shapes = [(2, 3), (3, 1), (1, 4), (4, 2)][:n]
    shapes[0] = draw(st.sampled_from([shapes[0], shapes[0][1:]]))
    shapes[-1] = draw(st.sampled_from([shapes[-1], shapes[-1][:1]]))
    return Case(lambda *xs: f(xs), *(array(draw, shape, dtype=dtype) for shape in shapes))


@recipe(np.linalg.tensorinv)
def _tensorinv(draw, f):
    return Case(lambda x: f(x, ind=1), regular(draw, 4, empty=False).reshape(-1, 4, 2, 2)[0])


@recipe(np.linalg.tensorsolve)
def _tensorsolve(draw, f):
    a = regular(draw, 4, empty=False).reshape(-1, 2, 2, 2, 2)[0]
    return Case(f, a, array(draw, (2, 2), dtype=a.dtype))


@recipe(np.linalg.norm)
def _norm(draw, f):
    x = array(draw, (3, 2), away_from=0.0, distinct=True) + np.eye(3, 2, dtype=np.float32) * 8
    kind = draw(st.sampled_from(["all", "vector", "matrix"]))
    if kind == "all":
        return Case(f, x)
    keepdims = draw(booleans)
    if kind == "vector":
        order, axis = draw(st.sampled_from([None, 1, 2, 3, 0.5, np.inf, -np.inf])), draw(st.sampled_from([0, 1]))
    else:
        order, axis = (
            draw(st.sampled_from([None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])),
            draw(st.sampled_from([(0, 1), (1, 0)])),
        )
    return Case(lambda x: f(x, ord=order, axis=axis, keepdims=keepdims), x)


@recipe(np.linalg.vector_norm, np.linalg.matrix_norm)
def _norm_of(draw, f):
    vector = f is np.linalg.vector_norm
    order = draw(st.sampled_from([1, 2, 3, np.inf, -np.inf] if vector else ["fro", "nuc", 1, -1, 2, -2]))
    x = array(draw, (3, 2), away_from=0.0, distinct=True) + np.eye(3, 2, dtype=np.float32) * 8
    keepdims = draw(booleans)
    return Case(lambda x: f(x, ord=order, keepdims=keepdims), x)


@recipe(linalg.over)
def _over(draw, f):
    return Case(f, array(draw, (3, 3), dtype=np.float64), np.array([1.0, -2.0, 0.5]))
