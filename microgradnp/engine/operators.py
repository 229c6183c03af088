"""The spelling: Python's operators, and ndarray's methods, each a NumPy function called on the Tensor.

Nothing is computed here. ``t + u`` is ``np.add(t, u)`` and ``t.sum(axis=0)`` is ``np.sum(t, axis=0)``, with all of
NumPy's arguments; what a Tensor does not have says what to use instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from types import FunctionType
from typing import Any, Protocol, TypeVar

import numpy as np

from microgradnp.engine.state import current

S = TypeVar("S", bound="Operators")


class Method(Protocol):
    """A method whose result is a Tensor, whatever it takes: what a type checker is to know of it."""

    def __get__(self, t: S, owner: Any = None) -> Callable[..., S]: ...


def operator(function: Callable[..., Any]) -> Callable[[S, Any], S]:
    """``t + u``."""
    return plain(function)


def reflected(function: Callable[..., Any]) -> Callable[[S, Any], S]:
    """``u + t``, where u is no Tensor."""
    return plain_reflected(function)


def in_place(function: Callable[..., Any]) -> Callable[[S, Any], S]:
    """``t += u``."""
    return _documented(lambda t, other: t._in_place(function, other), function)  # type: ignore[no-any-return]


def unary(function: Callable[..., Any]) -> Callable[[S], S]:
    """``-t``."""
    return plain_method(function)


def method(function: Callable[..., Any]) -> Method:
    """``t.sum(...)``."""
    return plain_method(function)


def plain(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """``t < u``, whose result is a plain array."""
    return _documented(lambda t, other: t._call(function, t, other), function)  # type: ignore[no-any-return]


def plain_reflected(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """``u // t``, where u is no Tensor."""
    return _documented(lambda t, other: t._call(function, other, t), function)  # type: ignore[no-any-return]


def plain_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """``t.argmax(...)``."""
    return _documented(lambda t, *args, **options: t._call(function, t, *args, **options), function)  # type: ignore[no-any-return]


def _documented(method: Any, function: Callable[..., Any]) -> Any:
    method.__doc__ = f"As `numpy.{function.__name__}`."
    return method


_POWERS = ((2, np.square), (0.5, np.sqrt), (-1, np.reciprocal))


def attribute(name: str, doc: str) -> Any:
    """``t.shape``, of the array."""
    return property(attrgetter(f"_value.{name}"), doc=doc)


def number(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``float(t)``."""
    return _documented(lambda t: kind(t._number(kind.__name__)), kind)  # type: ignore[no-any-return]


class Operators:
    """What a Tensor inherits; `_call(function, *args, **options)` and `_in_place(function, other)` are its own."""

    __slots__ = ()
    _value: Any
    _tracked: Any
    name: str | None

    def __init_subclass__(cls) -> None:
        for name, method in vars(Operators).items():
            if isinstance(method, FunctionType):  # the class that inherits them is whose they are
                method.__name__, method.__qualname__, method.__module__ = name, f"{cls.__name__}.{name}", cls.__module__

    def _call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        raise NotImplementedError  # the Tensor's own

    # -- What it is

    shape: tuple[int, ...] = attribute("shape", "The length of each axis.")
    dtype: np.dtype[Any] = attribute("dtype", "The dtype of the data.")
    ndim: int = attribute("ndim", "The number of axes.")
    size: int = attribute("size", "The number of elements.")
    nbytes: int = attribute("nbytes", "The bytes of the data.")
    itemsize: int = attribute("itemsize", "The bytes of one element.")

    def __len__(self) -> int:
        if not self._value.ndim:
            raise TypeError("len() of a 0-d Tensor: it has no axis to count along.")
        return len(self._value)

    def __iter__(self: S) -> Iterator[S]:
        if not self._value.ndim:
            raise TypeError("iteration over a 0-d Tensor: it has no axis to iterate along.")
        return (self[i] for i in range(len(self._value)))  # type: ignore[index]  # a Tensor has elements

    # -- Arithmetic

    __add__ = operator(np.add)
    __sub__ = operator(np.subtract)
    __mul__ = operator(np.multiply)
    __truediv__ = operator(np.divide)
    __mod__ = operator(np.remainder)
    __matmul__ = operator(np.matmul)

    __radd__ = reflected(np.add)
    __rsub__ = reflected(np.subtract)
    __rmul__ = reflected(np.multiply)
    __rtruediv__ = reflected(np.divide)
    __rmod__ = reflected(np.remainder)
    __rmatmul__ = reflected(np.matmul)
    __rpow__ = reflected(np.power)

    __iadd__ = in_place(np.add)
    __isub__ = in_place(np.subtract)
    __imul__ = in_place(np.multiply)
    __itruediv__ = in_place(np.divide)
    __imod__ = in_place(np.remainder)
    __imatmul__ = in_place(np.matmul)
    __ipow__ = in_place(np.power)

    __neg__ = unary(np.negative)
    __pos__ = unary(np.positive)
    __abs__ = unary(np.absolute)

    def __pow__(self: S, other: Any) -> S:
        """As `numpy.power`; squares, roots and reciprocals as ndarray takes them: the same bits, and faster."""
        if type(other) is int or type(other) is float:
            for exponent, function in _POWERS:
                if other == exponent and (exponent == 2 or self._value.dtype.kind == "f"):
                    return self._call(function, self)  # type: ignore[no-any-return]  # a Tensor
        return self._call(np.power, self, other)  # type: ignore[no-any-return]  # a Tensor

    # -- Piecewise constant

    __hash__ = object.__hash__
    __eq__ = plain(np.equal)
    __ne__ = plain(np.not_equal)
    __lt__ = plain(np.less)
    __le__ = plain(np.less_equal)
    __gt__ = plain(np.greater)
    __ge__ = plain(np.greater_equal)
    __and__ = plain(np.bitwise_and)
    __or__ = plain(np.bitwise_or)
    __rand__ = plain_reflected(np.bitwise_and)
    __ror__ = plain_reflected(np.bitwise_or)
    __invert__ = plain_method(np.invert)
    __floordiv__ = plain(np.floor_divide)
    __rfloordiv__ = plain_reflected(np.floor_divide)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    # -- The methods of ndarray

    sum = method(np.sum)
    mean = method(np.mean)
    prod = method(np.prod)
    max = method(np.max)
    min = method(np.min)
    var = method(np.var)
    std = method(np.std)
    cumsum = method(np.cumsum)
    cumprod = method(np.cumprod)
    trace = method(np.trace)
    dot = method(np.dot)
    clip = method(np.clip)
    ravel = method(np.ravel)
    flatten = method(np.ravel)
    swapaxes = method(np.swapaxes)
    squeeze = method(np.squeeze)
    repeat = method(np.repeat)
    take = method(np.take)
    diagonal = method(np.diagonal)
    choose = method(np.choose)

    argmax = plain_method(np.argmax)
    argmin = plain_method(np.argmin)
    argsort = plain_method(np.argsort)
    argpartition = plain_method(np.argpartition)
    any = plain_method(np.any)
    all = plain_method(np.all)
    round = plain_method(np.round)
    nonzero = plain_method(np.nonzero)
    searchsorted = plain_method(np.searchsorted)

    def reshape(self: S, *shape: Any, **options: Any) -> S:
        """As `numpy.reshape`; the shape as one tuple or as several ints."""
        return self._call(np.reshape, self, shape[0] if len(shape) == 1 else shape, **options)  # type: ignore[no-any-return]  # a Tensor

    def transpose(self: S, *axes: Any) -> S:
        """As `numpy.transpose`; the axes as one tuple or as several ints."""
        return self._call(np.transpose, self, (axes[0] if len(axes) == 1 else axes) or None)  # type: ignore[no-any-return]  # a Tensor

    def compress(self: S, condition: Any, axis: int | None = None) -> S:
        """As `numpy.compress`."""
        return self._call(np.compress, condition, self, axis)  # type: ignore[no-any-return]  # a Tensor

    def conj(self: S) -> S:
        """The Tensor itself: its data are real."""
        return self

    conjugate = conj
    real = property(conj)

    @property
    def imag(self) -> Any:
        """A plain array of zeros."""
        return self._call(np.imag, self)

    @property
    def flat(self: S) -> Iterator[S]:
        """The elements one by one, in C order."""
        return iter(self._call(np.ravel, self))

    @property
    def T(self: S) -> S:
        """All axes in reverse order."""
        return self._call(np.transpose, self)  # type: ignore[no-any-return]  # a Tensor

    @property
    def mT(self: S) -> S:
        """The last two axes exchanged: each matrix of a stack transposed."""
        return self._call(np.swapaxes, self, -1, -2)  # type: ignore[no-any-return]  # a Tensor

    # -- Out of the graph, never without a word

    def __repr__(self) -> str:
        if current().machine.traces:  # its value would stay in the program's text for ever
            return f"Tensor(shape={self.shape}, dtype={self.dtype}, being recorded)"
        text = np.array2string(self._value, separator=", ", prefix="Tensor(")
        dtype = "" if self._value.dtype == np.float64 and self._value.size else f", dtype={self._value.dtype}"
        flag = ", requires_grad=True" if self._tracked else ""
        name = f", name={self.name!r}" if self.name else ""
        return f"Tensor({text}{dtype}{flag}{name})"

    def __format__(self, spec: str) -> str:
        if spec and current().machine.read(self, f"format {spec!r}").size == 1:
            return format(self._value.item(), spec)
        try:
            return format(str(self), spec)
        except ValueError:
            raise TypeError(f"format {spec!r} needs a single element; this Tensor has shape {self.shape}.") from None

    def item(self, *index: int) -> float:
        """The value of one element as a Python number, outside the graph."""
        return current().machine.read(self, "item()").item(*index)  # type: ignore[no-any-return]  # a number

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers, outside the graph."""
        return current().machine.read(self, "tolist()").tolist()

    def _number(self, kind: str) -> Any:
        value = current().machine.read(self, f"{kind}()")
        if self._tracked:
            raise TypeError(
                f"{kind}() of a Tensor that is part of a graph would detach it without a word (NumPy calls it for a[i] "
                "= t). Use t.item() for the value as a Python number, or np.stack to collect Tensors into an array."
            )
        if value.size != 1:
            raise TypeError(f"{kind}() needs a single element; this Tensor has shape {value.shape}.")
        return value.item()

    __float__ = number(float)
    __int__ = number(int)
    __complex__ = number(complex)

    def __index__(self) -> int:
        if self._value.dtype.kind not in "iu" or self._value.ndim:
            raise TypeError(
                f"only a 0-d integer Tensor is an index; this one has dtype {self._value.dtype} and shape "
                f"{self._value.shape}."
            )
        return int(self._number("int"))

    def __bool__(self) -> bool:
        return bool(current().machine.read(self, "bool()"))
