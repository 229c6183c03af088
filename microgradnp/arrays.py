"""What may be an operand: arrays and numbers of real values. What computes in another way is refused, with words."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

_REALS = [t for t in np.sctypeDict.values() if issubclass(t, np.floating | np.integer | np.bool)]
_SCALARS = [t for t in _REALS if not issubclass(t, np.timedelta64)]  # which NumPy counts among the integers
READY = frozenset({float, int, bool, *_SCALARS})
REAL = frozenset(np.dtype(t) for t in _SCALARS)


def plain_array(x: Any) -> Array:
    """`numpy.asarray`, but for arrays that would lose their own way of computing: they are refused."""
    if isinstance(x, np.ma.MaskedArray) or (type(x) in (list, tuple) and any(map(_is_masked, x))):
        raise TypeError(
            "a masked array would lose its mask here: fill it first (x.filled(0.0)), or select with np.where."
        )
    if isinstance(x, np.matrix):
        raise TypeError("np.matrix multiplies in its own way: pass np.asarray(m), and write @ for matrix products.")
    return np.asarray(x)


def _is_masked(x: Any) -> bool:
    return isinstance(x, np.ma.MaskedArray)


def constant_array(x: Any) -> Any:
    """Bring an operand that is no Tensor to an array or a number that the rules can work with."""
    if type(x) is np.ndarray and x.dtype in REAL:
        return x
    given = type(x).__name__
    if not isinstance(x, np.ndarray | np.generic):
        if isinstance(x, int) and not isinstance(x, bool):  # a Python number stays one: it does not decide the dtype
            return int(x)
        if isinstance(x, float):
            return float(x)
    if not isinstance(x, np.generic):
        x = plain_array(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(
            f"Tensors compute with real numbers; got {given} of dtype {x.dtype}. "
            + (
                "Split complex values into .real and .imag."
                if x.dtype.kind == "c"
                else "Convert it to float64 or float32 first."
            )
        )
    return x.view(np.ndarray) if isinstance(x, np.ndarray) else x


def native(array: Array) -> Array:
    """An array in this machine's byte order: files may bring another."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def castable(dtype: np.dtype[Any], tracked: Any) -> np.dtype[Any]:
    """A dtype that has no gradient, unless the cast would take a Tensor out of its graph without a word."""
    if not tracked or dtype.kind in "iubSU":  # steps, and text to be read
        return dtype
    remedy = (
        "Tensors compute with real numbers: keep the real and the imaginary part in a Tensor each (for a spectrum, "
        "products with np.cos(2 * np.pi * np.outer(k, n) / N) and np.sin(...))"
        if dtype.kind == "c"
        else "cast to a float dtype"
    )
    raise TypeError(
        f"a cast of a Tensor that is part of a graph to {dtype} would lose its gradient without a word: {remedy}, or "
        "cast its value, t.data."
    )
