"""NumPy's functions on Tensors: each brought to the form of its row, or composed of other rows.

A composition needs no derivative rule, works to any order, and is recorded as the calls that it is made of. Each
function here has NumPy's signature, less what has no meaning for a Tensor (``out=``). Here stand arithmetic and what
all share; ``shapes.py``, ``places.py``, ``statistics.py``, ``sequences.py`` and ``linalg.py`` hold the other families.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy._core import umath
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradnp.engine.rules import RULES, name_of
from microgradnp.engine.tensor import (
    FUNCTIONS,
    Axis,
    Tensor,
    _no_python_value,
    _state,
    apply,
    constant,
    constant_array,
    implements,
    plain,
    tensors_in,
    unary,
    wrap,
)

# mypy: allow-untyped-defs, allow-untyped-calls


def lift(x: Any) -> Any:
    """Any operand as a Tensor."""
    return x if type(x) is Tensor else wrap(np.asarray(constant_array(x)))


def weakly(x: Any, dtype: Any) -> Any:
    """A number beside floats of a dtype, which it does not decide: what Python's are, and NumPy casts its own."""
    return x if type(x) in (int, float, bool) or dtype.kind != "f" else lift(x).astype(dtype, copy=False)


def stop_gradient(x: Any) -> Any:
    """The value of ``x`` as a constant: no gradient flows through."""
    return x.detach() if type(x) is Tensor and x._tracked else x


def fixed(x: Any, what: str) -> Any:
    """An argument that must be known beforehand (a place, a count): its plain value, or an error that says why not."""
    for t in tensors_in(x):
        if t._tracked:
            raise TypeError(f"{what} has no derivative here; pass it as a plain number or array (t.data).")
        if _state().tracer is not None:
            _no_python_value(what)
    return plain(x)


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...] | None:
    """A reduction's axes as the rows want them: None, or non-negative ints."""
    if axis is None or (ndim == 0 and axis in (0, -1)):  # as NumPy's reductions of a number
        return None
    if type(axis) is int and -ndim <= axis < ndim:  # the short way: 0.1 us instead of 1.5
        return (axis % ndim,)
    return normalize_axis_tuple(axis, ndim)


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of ints."""
    return tuple(map(operator.index, shape)) if np.iterable(shape) else (operator.index(shape),)


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes a part of one axis and all of those before it."""
    return (slice(None),) * axis + (part,)


# -- Reductions --------------------------------------------------------------------------------------------------------


_WHOLE: dict[str, Any] = {"axis": None, "keepdims": False}


def _reduction(
    function: Callable[..., Any], combine: np.ufunc, neutral: float | None, *also: Callable[..., Any]
) -> None:
    """Register a reduction that has a row; what ``where=`` leaves out counts as ``neutral``, or as ``initial``."""
    rule = RULES[function]

    def reduce(a, axis=None, dtype=None, *, keepdims=False, initial=None, where=True):
        if type(a) is Tensor and axis is None is dtype is initial and keepdims is False and where is True:
            return unary(a, rule, _WHOLE)  # as in most losses
        a = lift(a) if dtype is None else lift(a).astype(dtype)
        initial = None if initial is None else weakly(initial, a.dtype)
        options: dict[str, Any] = {"axis": axes_of(axis, a.ndim), "keepdims": bool(keepdims)}
        if where is not True:
            fill = initial if neutral is None else neutral
            if fill is None:
                raise ValueError(
                    f"{name_of(function)} with where= needs initial= too: the result where nothing is chosen."
                )
            a = np.where(where, a, fill)
        if initial is None:
            return apply(rule, (a,), options)
        if not a.size and neutral is None:
            return np.broadcast_to(lift(initial).astype(a.dtype), np.any(np.empty(a.shape), **options).shape)
        return combine(apply(rule, (a,), options), initial)

    if neutral is None:  # np.max and np.min take no dtype

        @implements(function, *also)
        def extreme(a, axis=None, *, keepdims=False, initial=None, where=True):
            return reduce(a, axis, None, keepdims=keepdims, initial=initial, where=where)

    else:
        implements(function, *also)(reduce)

    @implements(combine.reduce)
    def ufunc_reduce(array, axis=0, dtype=None, *, keepdims=False, initial=None, where=True):
        return reduce(array, axis, dtype, keepdims=keepdims, initial=initial, where=where)


_reduction(np.sum, np.add, 0)
_reduction(np.prod, np.multiply, 1)
_reduction(np.max, np.maximum, None, np.amax)
_reduction(np.min, np.minimum, None, np.amin)


@implements(np.mean)
def mean(a, axis=None, dtype=None, *, keepdims=False, where=True):
    """Mean, over the chosen elements where ``where`` is given."""
    a = lift(a) if dtype is None else lift(a).astype(dtype)
    if where is not True:
        chosen = np.broadcast_to(lift(where).astype(a.dtype), a.shape)
        return np.sum(np.where(where, a, 0), axis=axis, keepdims=keepdims) / np.sum(
            chosen, axis=axis, keepdims=keepdims
        )
    return apply(RULES[np.mean], (a,), {"axis": axes_of(axis, a.ndim), "keepdims": bool(keepdims)})


@implements(np.cumsum)
def cumsum(a, axis=None, dtype=None):
    """Running sum."""
    return _running(np.cumsum, a, axis, dtype)


@implements(np.cumprod)
def cumprod(a, axis=None, dtype=None):
    """Running product."""
    return _running(np.cumprod, a, axis, dtype)


def _running(function, a, axis, dtype):
    a = lift(a) if dtype is None else lift(a).astype(dtype)
    if axis is None or (not a.ndim and axis in (0, -1)):  # as NumPy's of a number
        a, axis = a.ravel(), 0
    return apply(RULES[function], (a,), {"axis": normalize_axis_index(axis, a.ndim)})


# -- The methods of ufuncs ---------------------------------------------------------------------------------------------

ASSOCIATIVE = (np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2, np.hypot)
FOLDABLE = (*ASSOCIATIVE, np.subtract, np.divide)
NEUTRAL: dict[np.ufunc, float] = {np.subtract: 0, np.divide: 1, np.hypot: 0}
NEUTRAL |= dict.fromkeys((np.logaddexp, np.logaddexp2), -math.inf) | dict.fromkeys((np.fmax, np.fmin), math.nan)
"""What changes nothing as the second argument: it stands where ``where=`` leaves an element out."""


def fold(ufunc, a):
    """``ufunc.reduce`` along the first axis: by halving where the order does not matter, else one by one."""
    if ufunc in (np.fmax, np.fmin):  # at once, so that all that are equal share alike
        extreme, least = (np.max, -math.inf) if ufunc is np.fmax else (np.min, math.inf)
        if a.dtype.kind != "f":
            return extreme(a, axis=0)
        missing = np.isnan(a)
        return np.where(np.all(missing, axis=0), math.nan, extreme(np.where(missing, least, a), axis=0))
    if ufunc not in ASSOCIATIVE:
        y = a[0]
        for i in range(1, len(a)):
            y = ufunc(y, a[i])
        return y
    while len(a) > 1:
        half = len(a) // 2
        pairs = ufunc(a[:half], a[half : 2 * half])
        a = np.concatenate((pairs, a[2 * half :])) if len(a) % 2 else pairs
    return a[0]


def scan(ufunc, a):
    """``ufunc.accumulate`` along the first axis: by doubling where the order does not matter, else one by one."""
    if ufunc not in ASSOCIATIVE:
        parts = [a[i] for i in range(len(a))]
        for i in range(1, len(parts)):
            parts[i] = ufunc(parts[i - 1], parts[i])
        return np.stack(parts) if parts else a
    step = 1
    while step < len(a):
        a = np.concatenate((a[:step], ufunc(a[:-step], a[step:])))
        step *= 2
    return a


def _ufunc_methods(ufunc: np.ufunc) -> None:
    def reduce(array, axis=0, dtype=None, *, keepdims=False, initial=None, where=True):
        a = lift(array) if dtype is None else lift(array).astype(dtype)
        axes = axes_of(axis, a.ndim)
        axes = tuple(range(a.ndim)) if axes is None else axes
        if len(axes) > 1 and ufunc not in ASSOCIATIVE:
            raise ValueError(
                f"{name_of(ufunc)}.reduce over axes {axes} of shape {a.shape}: its result depends on the order, so it "
                "takes one axis at a time."
            )
        if where is not True:
            initial = ufunc.identity if initial is None else initial
            if initial is None:
                raise ValueError(
                    f"{name_of(ufunc)}.reduce with where= needs initial= too: the result where nothing is chosen."
                )
            a = np.where(where, a, NEUTRAL[ufunc])
        shape = np.any(np.empty(a.shape), axis=axes, keepdims=keepdims).shape
        a = np.moveaxis(a, axes, range(len(axes)))
        a = np.reshape(a, (math.prod(a.shape[: len(axes)]), *a.shape[len(axes) :]))
        initial = ufunc.identity if initial is None and not len(a) else initial
        if initial is not None:
            a = np.concatenate((np.broadcast_to(lift(initial).astype(a.dtype), (1, *a.shape[1:])), a))
        if not len(a):
            raise ValueError(
                f"{name_of(ufunc)}.reduce of an empty axis needs initial=: {name_of(ufunc)} has no identity."
            )
        return np.reshape(fold(ufunc, a), shape)

    def accumulate(array, axis=0, dtype=None):
        a = lift(array) if dtype is None else lift(array).astype(dtype)
        axis = normalize_axis_index(axis, a.ndim)
        return np.moveaxis(scan(ufunc, np.moveaxis(a, axis, 0)), 0, axis)

    def outer(A, B, /):
        a, b = lift(A), lift(B)
        return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b)

    def reduceat(array, indices, axis=0, dtype=None):
        a = lift(array) if dtype is None else lift(array).astype(dtype)
        axis = normalize_axis_index(axis, a.ndim)
        a = np.moveaxis(a, axis, 0)
        starts = np.asarray(fixed(indices, f"the indices of {name_of(ufunc)}.reduceat")).tolist()
        if wrong := [i for i in starts if not 0 <= i < len(a)]:
            raise IndexError(f"{name_of(ufunc)}.reduceat: index {wrong[0]} is outside of an axis of length {len(a)}.")
        if not starts:
            return np.moveaxis(a[:0], 0, axis)
        ends = [*starts[1:], len(a)]
        parts = [ufunc.reduce(a[i : max(j, i + 1)], axis=0) for i, j in zip(starts, ends, strict=True)]
        return np.stack(parts, axis=axis)

    for method in (reduce, accumulate, reduceat, outer) if ufunc in FOLDABLE else (outer,):
        FUNCTIONS.setdefault(getattr(ufunc, method.__name__), method)


FUNCTIONS[np.add.accumulate] = lambda array, axis=0, dtype=None: np.cumsum(array, axis=axis, dtype=dtype)
FUNCTIONS[np.multiply.accumulate] = lambda array, axis=0, dtype=None: np.cumprod(array, axis=axis, dtype=dtype)
for _ufunc in [f for f in RULES if isinstance(f, np.ufunc) and f.nin == 2 and f.signature is None]:
    _ufunc_methods(_ufunc)


# -- Elementwise -------------------------------------------------------------------------------------------------------


@implements(np.where)
def where(condition, x=None, y=None, /):
    """Choose by a condition, which is a constant: what is not chosen gets no gradient."""
    if x is None or y is None:
        raise TypeError(
            "np.where(condition) alone gives indices; on a Tensor use np.nonzero(condition), a plain result."
        )
    condition = stop_gradient(condition)
    if getattr(condition, "dtype", None) != np.bool:  # any other number counts as true unless it is 0
        condition = constant(np.not_equal, (lift(condition), 0), {})
    return apply(RULES[np.where], (condition, x, y))


@implements(np.clip, umath.clip)  # type: ignore[attr-defined]  # the ufunc behind it
def clip(a, a_min=None, a_max=None, *, min=None, max=None):
    """Limit to an interval; at a bound the gradient passes."""
    a = lift(a)
    low = a_min if min is None else min
    high = a_max if max is None else max
    whole = a.dtype.kind in "iu"
    if low is None:
        low = int(np.iinfo(a.dtype).min) if whole else -math.inf
    if high is None:
        high = int(np.iinfo(a.dtype).max) if whole else math.inf
    return apply(RULES[np.clip], (a, low, high))


@implements(np.divmod)
def divmod_(x1, x2, /):
    """Quotient, a plain array, and remainder."""
    return constant(np.floor_divide, (x1, x2), {}), np.remainder(x1, x2)


@implements(np.modf)
def modf(x, /):
    """Fractional part, and whole part as a plain array."""
    _, whole = constant(np.modf, (x,), {})
    return np.copysign(np.where(np.isinf(x), 0, x - np.where(np.isinf(x), 0, whole)), stop_gradient(x)), whole


@implements(np.frexp)
def frexp(x, /):
    """Mantissa, and exponent as a plain array."""
    _, exponent = constant(np.frexp, (x,), {})
    return np.ldexp(x, -exponent), exponent


@implements(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """NaN and infinities replaced; what was replaced gets no gradient."""
    x = lift(x)
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    posinf, neginf = limits.max if posinf is None else posinf, limits.min if neginf is None else neginf
    y = x
    for test, value in ((np.isnan, nan), (np.isposinf, posinf), (np.isneginf, neginf)):
        y = np.where(test(x), weakly(value, x.dtype), y)
    return y


@implements(np.real, np.real_if_close)
def real(val, tol=100):
    """The Tensor itself: its data are real."""
    return lift(val)


@implements(np.copy)
def copy(a, order="K", subok=False):
    """A new node of the same value."""
    return lift(a).copy()


if hasattr(np, "astype"):

    @implements(np.astype)
    def astype(x, dtype, /, *, copy=True, device=None):
        """Cast; see `Tensor.astype`."""
        return lift(x).astype(dtype)


# -- Products ----------------------------------------------------------------------------------------------------------


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


@implements(np.vdot)
def vdot(a, b, /):
    """Sum of products of all elements."""
    return np.matmul(np.ravel(lift(a)), np.ravel(lift(b)))


@implements(np.outer)
def outer(a, b):
    """Every product of an element of one with an element of the other."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


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


@implements(np.tensordot)
def tensordot(a, b, axes=2):
    """Sum of products over pairs of axes: one matrix product between two transpositions."""
    a, b = lift(a), lift(b)
    pairs = (range(a.ndim - axes, a.ndim), range(axes)) if np.ndim(axes) == 0 else axes
    over_a, over_b = (normalize_axis_tuple(i, x.ndim) for i, x in zip(pairs, (a, b), strict=True))
    if [a.shape[i] for i in over_a] != [b.shape[i] for i in over_b]:
        raise ValueError(
            f"np.tensordot of shapes {a.shape} and {b.shape} over axes {over_a} and {over_b}: lengths differ."
        )
    kept_a = tuple(i for i in range(a.ndim) if i not in over_a)
    kept_b = tuple(i for i in range(b.ndim) if i not in over_b)
    n = math.prod(a.shape[i] for i in over_a)
    rows, columns = [a.shape[i] for i in kept_a], [b.shape[i] for i in kept_b]
    left = np.reshape(np.transpose(a, kept_a + over_a), (math.prod(rows), n))
    right = np.reshape(np.transpose(b, over_b + kept_b), (n, math.prod(columns)))
    return np.reshape(np.matmul(left, right), (*rows, *columns))


@implements(np.einsum)
def einsum(*operands, optimize=False):
    """Sums of products by subscripts, in every form that NumPy takes.

    Ellipses are spelled out, a label repeated within an operand becomes a diagonal, and a label that stands alone is
    summed away; what is left is a row whose gradient is again an einsum.
    """
    if isinstance(operands[0], str):
        subscripts, xs = operands[0].replace(" ", ""), [lift(x) for x in operands[1:]]
    else:
        xs = [lift(x) for x in operands[0 : len(operands) - len(operands) % 2 : 2]]
        lists = operands[1::2] if len(operands) % 2 == 0 else (*operands[1::2], operands[-1])
        words = ["".join("..." if i is Ellipsis else _letter(i) for i in part) for part in lists]
        subscripts = ",".join(words[: len(xs)]) + "".join("->" + word for word in words[len(xs) :])
    inputs, arrow, result = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(xs):
        raise ValueError(f"np.einsum: the subscripts {subscripts!r} describe {len(terms)} operands; got {len(xs)}.")
    dots = [x.ndim - len(term) + 3 if "..." in term else 0 for x, term in zip(xs, terms, strict=True)]
    for x, term, n in zip(xs, terms, dots, strict=True):
        if n < 0 or ("..." not in term and len(term) != x.ndim):
            raise ValueError(f"np.einsum: the subscripts {term!r} do not fit an operand of shape {x.shape}.")
    unused = "".join(c for c in _LETTERS if c not in subscripts)[: max(dots)]
    terms = [term.replace("...", unused[len(unused) - n :]) for term, n in zip(terms, dots, strict=True)]
    if not arrow:
        named = "".join(terms)
        result = "..." + "".join(c for c in sorted(set(named)) if named.count(c) == 1 and c not in unused)
    elif unused and "..." not in result:
        raise ValueError(
            f"np.einsum: the subscripts {subscripts!r} leave '...' out of the result; sum those axes first."
        )
    result = result.replace("...", unused)
    for i, term in enumerate(terms):
        x, term = xs[i], term
        for c in {c for c in term if term.count(c) > 1}:
            while term.count(c) > 1:
                p, q = term.index(c), term.rindex(c)
                if x.shape[p] != x.shape[q]:
                    raise ValueError(
                        f"np.einsum: label {c!r} stands for lengths {x.shape[p]} and {x.shape[q]} of one operand."
                    )
                x = np.diagonal(x, 0, p, q)
                term = term[:p] + term[p + 1 : q] + term[q + 1 :] + c
        elsewhere = result + "".join(terms[:i] + terms[i + 1 :])
        alone = tuple(k for k, c in enumerate(term) if c not in elsewhere)
        if alone:
            x = np.sum(x, axis=alone)
            term = "".join(c for c in term if c in elsewhere)
        xs[i], terms[i] = x, term
    return apply(RULES[np.einsum], tuple(xs), {"subscripts": f"{','.join(terms)}->{result}", "optimize": optimize})


def _letter(label):
    """The letter for a label given as a number."""
    if not 0 <= (i := operator.index(label)) < len(_LETTERS):
        raise ValueError(f"np.einsum takes labels from 0 to {len(_LETTERS) - 1}; got {i}.")
    return _LETTERS[i]


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
