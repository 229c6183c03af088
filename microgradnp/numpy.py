"""NumPy's own names, for code that makes arrays of Tensors: ``import microgradnp.numpy as np``.

Plain NumPy asks no Tensor before it looks into a list, so ``np.array([t, u])`` and ``np.r_[t, u]`` are refused there.
The few names below look first; all others are NumPy's, and so is the work where no Tensor there wants a gradient.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy

from microgradnp import tree
from microgradnp.engine.state import current
from microgradnp.engine.tensor import Tensor


def __getattr__(name: str) -> Any:
    return getattr(numpy, name)


def __dir__() -> list[str]:
    return dir(numpy)


def _tensor_in(x: Any) -> Tensor | None:
    """A Tensor among nested lists that would lose its gradient in an array."""
    found = (leaf for leaf in tree.leaves(x) if type(leaf) is Tensor)
    return next((t for t in found if t.requires_grad or current().machine.traces), None)


def _joined(x: Any) -> Any:
    """A list of Tensors as one; anything else as it is."""
    t = _tensor_in(x) if isinstance(x, tree.SEQUENCES) else None
    return x if t is None else numpy.array(x, like=t)


def _creating(function: Callable[..., Any]) -> Any:
    @wraps(function)
    def create(*args: Any, **options: Any) -> Any:
        t = _tensor_in((args, options))
        return function(*args, **options) if t is None else function(*args, **options, like=t)

    return create


def _looking(function: Callable[..., Any], joined: Callable[[Any], Any] = _joined) -> Any:
    @wraps(function)
    def look(*args: Any, **options: Any) -> Any:
        return function(*map(joined, args), **{key: joined(x) for key, x in options.items()})

    return look


def _each_joined(x: Any) -> Any:
    return type(x)(map(_joined, x)) if type(x) in tree.SEQUENCES else x


_plain: Any = numpy

array, asarray, asanyarray = map(_creating, (_plain.array, _plain.asarray, _plain.asanyarray))
ascontiguousarray, full = map(_creating, (_plain.ascontiguousarray, _plain.full))
sum, prod, mean, median = map(_looking, (_plain.sum, _plain.prod, _plain.mean, _plain.median))
max, min, amax, amin = map(_looking, (_plain.max, _plain.min, _plain.amax, _plain.amin))
std, var, cumsum, cumprod = map(_looking, (_plain.std, _plain.var, _plain.cumsum, _plain.cumprod))
dot, inner, outer, matmul = map(_looking, (_plain.dot, _plain.inner, _plain.outer, _plain.matmul))
where, diag, reshape = map(_looking, (_plain.where, _plain.diag, _plain.reshape))
concatenate, stack = (_looking(f, _each_joined) for f in (_plain.concatenate, _plain.stack))
hstack, vstack = (_looking(f, _each_joined) for f in (_plain.hstack, _plain.vstack))


def full_like(a: Any, fill_value: Any, *args: Any, **options: Any) -> Any:
    """`numpy.full_like`, with a Tensor too."""
    if _tensor_in(fill_value) is None or args or options:
        return numpy.full_like(a, fill_value, *args, **options)
    return full(numpy.shape(a), fill_value, getattr(a, "dtype", None))


class _Joining:
    """`numpy.r_` or `numpy.c_`."""

    def __init__(self, plain: Any, axis: int, part: Callable[[Any], Any]) -> None:
        self._plain, self._axis, self._part = plain, axis, part

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if _tensor_in(parts) is None or isinstance(parts[0], str):
            return self._plain[key]
        arrays = [self._plain[x] if isinstance(x, slice) else self._part(_joined(x)) for x in parts]
        return numpy.concatenate(arrays, self._axis)


def _column(x: Any) -> Any:
    return x if numpy.ndim(x) > 1 else numpy.reshape(x, (-1, 1))


r_, c_ = _Joining(numpy.r_, 0, numpy.atleast_1d), _Joining(numpy.c_, -1, _column)


class vectorize(numpy.vectorize):
    """`numpy.vectorize`, of a function that returns Tensors too."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            return super().__call__(*args, **options)
        except TypeError:  # an array of Tensors: element by element, and joined
            if options or self.excluded or self.signature:
                raise
            arrays = numpy.broadcast_arrays(*map(asarray, args))
            values = [self.pyfunc(*(a[i] for a in arrays)) for i in numpy.ndindex(arrays[0].shape)]
            if _tensor_in(values) is None:
                raise
        return numpy.reshape(_joined(values), arrays[0].shape)
