"""Products of vectors, matrices and more axes: compositions of matmul, and einsum."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy._core import einsumfunc

from microgradnp.engine.dispatch import implements
from microgradnp.engine.rules import RULES, defvjp
from microgradnp.engine.tensor import apply
from microgradnp.functions.common import lift
from microgradnp.functions.texts import on_tensors
from microgradnp.signatures import name_of

# mypy: allow-untyped-defs, allow-untyped-calls


@implements(np.dot)
def dot(a, b):
    """Inner product, matrix product or scaling, by the number of axes."""
    a, b = lift(a), lift(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if a.ndim == 1 or b.ndim <= 2:
        return apply(RULES[np.matmul], (a, b))
    return np.tensordot(a, b, (-1, -2))


@implements(np.inner)
def inner(a, b, /):
    """Sum of products over the last axes."""
    a, b = lift(a), lift(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return np.tensordot(a, b, (-1, -1))


implements(np.vdot)(lambda a, b, /: np.matmul(np.ravel(lift(a)), np.ravel(lift(b))))
implements(np.outer)(lambda a, b: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)))


@implements(np.kron)
def kron(a, b):
    """Every product, as blocks."""
    a, b = lift(a), lift(b)
    ndim = max(a.ndim, b.ndim)
    of_a, of_b = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    left = np.reshape(a, tuple(n for m in of_a for n in (m, 1)))
    right = np.reshape(b, tuple(n for m in of_b for n in (1, m)))
    return np.reshape(left * right, tuple(m * n for m, n in zip(of_a, of_b, strict=True)))


@implements(np.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """Vector product in three dimensions."""
    a, b = lift(a), lift(b)
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(
            f"np.cross takes vectors of length 3; got shapes {a.shape} and {b.shape}. In the plane write "
            "a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]."
        )
    turned, twice = [1, 2, 0], [2, 0, 1]
    c = a[..., turned] * b[..., twice] - a[..., twice] * b[..., turned]
    return np.moveaxis(c, -1, axisc)


@implements(np.vecdot)
def vecdot(x1, x2, /, *, axis=-1):
    """Sum of products over one axis."""
    x1, x2 = (np.moveaxis(_with_axes(np.vecdot, x, 1), axis, -1) for x in (x1, x2))
    return np.matmul(np.expand_dims(x1, -2), np.expand_dims(x2, -1))[..., 0, 0]


def _with_axes(function, x, n):
    """A Tensor with no fewer axes than the function works on."""
    x = lift(x)
    if x.ndim < n:
        raise ValueError(f"{name_of(function)} of shape {x.shape}: this argument needs at least {n} axes.")
    return x


if hasattr(np, "matvec"):

    @implements(np.matvec)
    def matvec(x1, x2, /):
        """Matrices times vectors."""
        x1, x2 = _with_axes(np.matvec, x1, 2), _with_axes(np.matvec, x2, 1)
        return np.matmul(x1, np.expand_dims(x2, -1))[..., 0]

    @implements(np.vecmat)
    def vecmat(x1, x2, /):
        """Vectors times matrices."""
        x1, x2 = _with_axes(np.vecmat, x1, 1), _with_axes(np.vecmat, x2, 2)
        return np.matmul(np.expand_dims(x1, -2), x2)[..., 0, :]


# -- Einsum ------------------------------------------------------------------------------------------------------------

# Ellipses are spelled out, a label repeated within an operand becomes a diagonal, and one that stands alone is summed
# away; what is left is a row whose gradient is again an einsum.

# fmt: off
defvjp(np.einsum,       each=lambda i, g, y, *xs, subscripts, optimize: _einsum_vjp(i, g, xs, subscripts, optimize),
       forward=lambda *xs, subscripts, optimize: np.einsum(subscripts, *xs, optimize=optimize))
# fmt: on


def _einsum_vjp(i: int, g: Any, xs: Sequence[Any], subscripts: str, optimize: Any) -> Any:
    """The gradient of a sum of products is a sum of products: the output's place and operand i's are exchanged."""
    operands, result = subscripts.split("->")
    labels = operands.split(",")
    others = (result, *labels[:i], *labels[i + 1 :])
    gx = np.einsum(f"{','.join(others)}->{labels[i]}", g, *xs[:i], *xs[i + 1 :], optimize=optimize)
    return np.broadcast_to(gx, np.broadcast_shapes(gx.shape, xs[i].shape))  # where an operand of length 1 stretched


@implements(np.einsum)
def einsum(*operands, optimize=False):
    """Sums of products by subscripts, in every form that NumPy takes."""
    subscripts, xs = _subscripts(operands)
    labels, result, xs = _parsed((subscripts, *xs))
    if {*labels} - {*subscripts, *result}:
        raise ValueError(
            f"np.einsum: the subscripts {subscripts!r} leave '...' out of the result; sum those axes first."
        )
    terms = labels.split(",")
    for i, x in enumerate(xs):
        if len(terms[i]) != x.ndim:
            raise ValueError(f"np.einsum: the subscripts {terms[i]!r} do not fit an operand of shape {x.shape}.")
        xs[i], terms[i] = _shared_alone(x, terms[i], result + "".join(terms[:i] + terms[i + 1 :]))
    return apply(RULES[np.einsum], tuple(xs), {"subscripts": f"{','.join(terms)}->{result}", "optimize": optimize})


_parsed = on_tensors(vars(einsumfunc)["_parse_einsum_input"])  # where letters stand in place of ellipses


def _subscripts(operands):
    """The subscripts as one string, and the operands as Tensors."""
    if isinstance(operands[0], str):
        return operands[0].replace(" ", ""), [lift(x) for x in operands[1:]]
    xs = [lift(x) for x in operands[0 : len(operands) - len(operands) % 2 : 2]]
    lists = operands[1::2] if len(operands) % 2 == 0 else (*operands[1::2], operands[-1])
    words = ["".join("..." if i is Ellipsis else _letter(i) for i in part) for part in lists]
    return ",".join(words[: len(xs)]) + "".join("->" + word for word in words[len(xs) :]), xs


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _letter(label):
    """The letter for a label given as a number."""
    if not 0 <= (i := operator.index(label)) < len(_LETTERS):
        raise ValueError(f"np.einsum takes labels from 0 to {len(_LETTERS) - 1}; got {i}.")
    return _LETTERS[i]


def _shared_alone(x, term, elsewhere):
    """An operand with no label twice, and with those alone that stand elsewhere too."""
    for c in {c for c in term if term.count(c) > 1}:
        while term.count(c) > 1:
            p, q = term.index(c), term.rindex(c)
            if x.shape[p] != x.shape[q]:
                raise ValueError(
                    f"np.einsum: label {c!r} stands for lengths {x.shape[p]} and {x.shape[q]} of one operand."
                )
            x = np.diagonal(x, 0, p, q)
            term = term[:p] + term[p + 1 : q] + term[q + 1 :] + c
    if alone := tuple(k for k, c in enumerate(term) if c not in elsewhere):
        x = np.sum(x, axis=alone)
        term = "".join(c for c in term if c in elsewhere)
    return x, term
