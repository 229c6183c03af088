"""What the families of NumPy's functions share: operands brought to Tensors, and axes, shapes and indices to one form.

A composition needs no derivative rule, works to any order, and is recorded as the calls that it is made of. Each
function of the families has NumPy's signature, less what has no meaning for a Tensor (``out=``).
"""

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradnp.engine.tensor import (
    Axis,
    Tensor,
    _no_python_value,
    _state,
    constant_array,
    plain,
    tensors_in,
    wrap,
)

# mypy: allow-untyped-defs, allow-untyped-calls


def lift(x: Any) -> Any:
    """Any operand as a Tensor."""
    return x if type(x) is Tensor else wrap(np.asarray(constant_array(x)))


def weakly(x: Any, dtype: Any) -> Any:
    """A number beside floats of a dtype, which it does not decide: what Python's are, and NumPy casts its own."""
    return x if type(x) in (int, float, bool) or dtype.kind != "f" else lift(x).astype(dtype, copy=False)


def detached(x: Any) -> Any:
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
