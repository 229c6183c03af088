"""What the families of NumPy's functions share: operands brought to Tensors, and axes, shapes and indices to one form.

A composition needs no derivative rule, works to any order, and is recorded as the calls that it is made of. Each
function of the families has NumPy's signature, less what has no meaning for a Tensor (``out=``).
"""

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradnp.arrays import constant_array
from microgradnp.engine.state import current
from microgradnp.engine.tensor import Axis, Tensor, plain, tensors_in, wrap

# -- Operands ----------------------------------------------------------------------------------------------------------


def lift(x: Any, dtype: Any = None) -> Any:
    """Any operand as a Tensor, nested sequences of Tensors stacked; cast to a dtype where one is given."""
    if type(x) is not Tensor:
        joined = type(x) in (tuple, list) and holds_tensors(x)
        x = np.stack([lift(part) for part in x]) if joined else wrap(np.asarray(constant_array(x)))
    return x if dtype is None else x.astype(dtype)


def weakly(x: Any, dtype: Any) -> Any:
    """A number beside floats of a dtype, which it does not decide: what Python's are, and NumPy casts its own."""
    return x if type(x) in (int, float, bool) or dtype.kind != "f" else lift(x).astype(dtype, copy=False)


def detached(x: Any) -> Any:
    """The value of ``x`` as a constant: no gradient flows through."""
    return x.detach() if type(x) is Tensor and x.requires_grad else x


def fixed(x: Any, what: str) -> Any:
    """An argument that must be known beforehand (a place, a count): its plain value, or an error that says why not."""
    for t in tensors_in(x):
        if t.requires_grad:
            raise TypeError(f"{what} has no derivative here; pass it as a plain number or array (t.data).")
        current().machine.read(t, what)
    return plain(x)


def holds_tensors(x: Any) -> bool:
    """Whether a Tensor is among nested arguments."""
    return any(True for _ in tensors_in(x))


# -- Axes, shapes and indices ------------------------------------------------------------------------------------------


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...] | None:
    """A reduction's axes as the rows want them: None, or non-negative ints."""
    if axis is None or (ndim == 0 and axis in (0, -1)):  # as NumPy's reductions of a number
        return None
    if type(axis) is int and -ndim <= axis < ndim:  # the short way: 0.1 us instead of 1.5
        return (axis % ndim,)
    return normalize_axis_tuple(axis, ndim)


def in_line(a: Any, axis: int | None) -> tuple[Any, int]:
    """A Tensor and one of its axes, a non-negative int; for None, as NumPy means it, all elements in a line."""
    a = lift(a)
    return (np.ravel(a), 0) if axis is None else (a, normalize_axis_index(axis, a.ndim))


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of ints."""
    return tuple(map(operator.index, shape)) if np.iterable(shape) else (operator.index(shape),)


def with_length(shape: tuple[int, ...], axis: int, n: int) -> tuple[int, ...]:
    """A shape in which one axis has the length ``n``."""
    return (*shape[:axis], n, *shape[axis + 1 :])


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes a part of one axis and all of those before it."""
    return (slice(None),) * axis + (part,)
