"""Polynomials, as sequences of coefficients, the highest power first."""

import numpy as np

from microgradnp.engine.dispatch import implements
from microgradnp.engine.tensor import constant
from microgradnp.functions.common import fixed, lift

# mypy: allow-untyped-defs, allow-untyped-calls


@implements(np.polymul)
def polymul(a1, a2):
    """Product of polynomials, without the leading zeros of either: those of the product, which they are part of."""
    a, b = (np.atleast_1d(lift(p)) for p in (a1, a2))
    zeros = sum(len(p) - max(len(np.trim_zeros(p, "f")), 1) for p in (a, b) if len(p))
    a, b = (p if len(p) else lift(np.zeros(1, p.dtype)) for p in (a, b))
    return np.convolve(a, b)[zeros:]


@implements(np.polydiv)
def polydiv(u, v):
    """Quotient and remainder of polynomials, by long division."""
    u, v = np.atleast_1d(lift(u)) * 1.0, np.atleast_1d(lift(v)) * 1.0
    zero = lift(np.zeros(1, u.dtype))
    quotient = []
    for _ in range(len(u) - len(v) + 1):
        quotient.append(u[0] / v[0])
        u = np.concatenate((u[1 : len(v)] - quotient[-1] * v[1:], u[len(v) :]))
    if len(u) > 1:
        small = constant(np.less_equal, (np.absolute(u.detach()), 1e-8), {})  # to NumPy that is nothing
        u = u[int(np.argmin([*fixed(small, "what np.polydiv leaves")[:-1], False])) :]
    return np.stack(quotient) if quotient else zero, u if len(u) else zero


@implements(np.vander)
def vander(x, N=None, increasing=False):
    """Powers of numbers as columns."""
    x = lift(x)
    if x.ndim != 1:
        raise ValueError(f"np.vander takes one axis; got shape {x.shape}.")
    x = x.astype(np.promote_types(x.dtype, np.int64))
    n = len(x) if N is None else N
    column = np.reshape(x, (-1, 1))
    ones = np.ones((len(x), min(n, 1)), x.dtype)
    y = np.concatenate((ones, np.cumprod(np.broadcast_to(column, (len(x), max(n - 1, 0))), axis=1)), axis=1)
    return y if increasing else y[:, ::-1]


@implements(np.polyfit)
def polyfit(x, y, deg, rcond=None, *, w=None):
    """Coefficients of the polynomial that fits best, by least squares."""
    x, y = lift(x) * 1.0, lift(y) * 1.0
    if np.ndim(deg) or deg < 0 or x.ndim != 1 or not x.size or len(y) != len(x):
        raise ValueError(
            f"np.polyfit of a Tensor takes points and values of one length and a whole degree >= 0; got shapes "
            f"{x.shape} and {y.shape} and deg={deg!r}."
        )
    matrix = np.vander(x, int(deg) + 1)
    if w is not None:
        w = lift(w)
        matrix = matrix * w[:, None]
        y = y * (w if y.ndim == 1 else w[:, None])
    scale = np.sqrt(np.sum(matrix * matrix, axis=0))  # its gradient counts where several polynomials fit
    rcond = len(x) * float(np.finfo(x.dtype).eps) if rcond is None else rcond
    c = np.matmul(np.linalg.pinv(matrix / scale, rcond), y)
    return c / (scale if y.ndim == 1 else scale[:, None])
