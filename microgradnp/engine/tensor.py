"""The Tensor: a NumPy array that remembers how it was computed.

`apply` is the one door through which every operation goes: it computes the value on plain arrays and, where a gradient
will be wanted, keeps the rule, the inputs and their values. NumPy's two protocols (``__array_ufunc__``, NEP 13, and
``__array_function__``, NEP 18) lead NumPy's own functions to that door, so a function written with ``import numpy as
np`` runs on Tensors unchanged. What has no way through says so; nothing leaves the graph without a word.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ContextDecorator
from contextvars import ContextVar
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from itertools import count, takewhile
from threading import Lock
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from microgradnp.engine.rules import RULES, Rule, astype, getitem, name_of
from microgradnp.engine.sweep import ALIKE, ALL, ONE, sweep

Array: TypeAlias = NDArray[Any]
Operand: TypeAlias = "Tensor | ArrayLike"
Axis: TypeAlias = int | tuple[int, ...] | None


class State(NamedTuple):
    """What ``apply`` does besides computing: one for each thread and each async task."""

    recording: bool = True
    tracer: Any = None  # records a program: see replay.py
    watch: Any = None  # checks every step: see debug.py


_PLAIN = State()
_STATE: ContextVar[State] = ContextVar("microgradnp_state", default=_PLAIN)
_state = _STATE.get
orders = count(-1, -1)  # downwards, so that a heap hands out the newest node first

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""How to call each NumPy function on Tensors: its arguments brought to a row's form, or a composition of rows."""

CONSTANTS: set[Callable[..., Any]] = set()
"""Functions whose result does not change when their floating arguments do: they return plain arrays."""

REFUSED: dict[Callable[..., Any] | str, str] = {}
"""Functions, and by name whole modules, that Tensors refuse, each with the reason and what to use instead."""


class state:
    """Change the current state for a while; put it back whatever happens."""

    __slots__ = ("_changes", "_token")

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __enter__(self) -> None:
        new = _state()._replace(**self._changes)
        self._token = _STATE.set(_PLAIN if new == _PLAIN else new)

    def __exit__(self, *_: object) -> None:
        _STATE.reset(self._token)


# Not kept in the Scope itself, which may be entered twice, or by several threads, before it is left.
_OPEN: ContextVar[tuple[AbstractContextManager[Any], ...]] = ContextVar("microgradnp_open", default=())


class Scope(AbstractContextManager[None], ContextDecorator):
    """What `no_grad` and `debug` return: a context, and a decorator of functions that run from start to end."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Any]]) -> None:
        self._begin = begin

    def _recreate_cm(self) -> Scope:  # for each call of a decorated function a context of its own
        return Scope(self._begin)

    def __enter__(self) -> None:
        inside = self._begin()
        inside.__enter__()
        _OPEN.set((*_OPEN.get(), inside))

    def __exit__(self, *error: Any) -> None:
        *outer, inside = _OPEN.get()
        _OPEN.set(tuple(outer))
        inside.__exit__(*error)

    def __call__(self, function: Any) -> Any:
        """Decorate ``function``; one that pauses would end the context before it has run."""
        if isgeneratorfunction(function) or iscoroutinefunction(function) or isasyncgenfunction(function):
            raise TypeError(
                f"{name_of(function)} pauses and goes on later, when this context would be over: a generator or an "
                "async function cannot be decorated with it. Write 'with ...:' around the computation inside."
            )
        return super().__call__(function)


def no_grad() -> Scope:
    """Compute without recording, as a context or a decorator: results inside need no gradient.

    Examples
    --------
    >>> import microgradnp as mg
    >>> w = mg.Tensor([1.0, 2.0], requires_grad=True)
    >>> with mg.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """
    return Scope(lambda: state(recording=False))


# -- The one door -------------------------------------------------------------------

_NO_OPTIONS: dict[str, Any] = {}
_ndarray = np.ndarray
_asarray = np.asarray
_REALS = [t for t in np.sctypeDict.values() if issubclass(t, np.floating | np.integer | np.bool)]
_SCALARS = [t for t in _REALS if not issubclass(t, np.timedelta64)]  # which NumPy counts among the integers
_READY = frozenset({float, int, bool, *_SCALARS})
_REAL = frozenset(np.dtype(t) for t in _SCALARS)


def apply(rule: Rule, inputs: tuple[Any, ...], options: dict[str, Any] = _NO_OPTIONS) -> Tensor:
    """Compute one row of the table on Tensors, arrays and numbers; record it if a gradient may be wanted."""
    if len(inputs) == 1:
        return unary(inputs[0], rule, options)
    if len(inputs) == 2 and not options:
        return binary(*inputs, rule)
    return _apply(rule, inputs, options)


def unary(a: Any, rule: Rule, options: dict[str, Any] = _NO_OPTIONS) -> Tensor:
    """`apply` for a single input, without its loops: half of the time of a small operation is overhead."""
    if type(a) is not Tensor or _state() is not _PLAIN:
        return _apply(rule, (a,), options)
    forward = rule.forward
    try:
        y = forward(a._value, **options) if options else forward(a._value)
    except ValueError as error:
        raise _with_shapes(error, rule, [a._value]) from None
    t = _blank()
    t._value = y if type(y) is _ndarray else _asarray(y)
    t.grad = None
    t.name = None
    if a._tracked:
        t._tracked = True
        t._rule = rule
        t._a = a
        t._b = ONE
        t._options = options
        t._order = next(orders)
    else:
        t._tracked = False
        t._rule = None
        t._order = 0
    return t


def binary(a: Any, b: Any, rule: Rule, numbers: Any = None) -> Tensor:
    """`apply` for two inputs and no options; ``numbers`` holds Python numbers as the arrays that NumPy takes faster."""
    x: Any
    z: Any
    if _state() is not _PLAIN:
        return _apply(rule, (a, b), _NO_OPTIONS)
    options = _NO_OPTIONS
    if type(a) is Tensor:
        x = a._value
        tracked = a._tracked
        kind = type(b)
        if kind is Tensor:
            z = b._value
            tracked = tracked or b._tracked
        elif kind is float or kind is int:
            z = b
            if numbers is not None and x.dtype is _FLOAT64:
                z = numbers.get(b)
                if z is None:
                    z = _as_array(b)
                if x.ndim:  # the gradient of a 0-d Tensor is a scalar, which meets a number faster than an array
                    b = z
                    options = ALIKE
        elif (kind is _ndarray and b.dtype in _REAL) or kind in _READY:
            z = b
        else:
            return _apply(rule, (a, b), _NO_OPTIONS)
    elif type(b) is Tensor:
        z = b._value
        tracked = b._tracked
        kind = type(a)
        if kind is float or kind is int:
            x = a
            if numbers is not None and z.dtype is _FLOAT64:
                x = numbers.get(a)
                if x is None:
                    x = _as_array(a)
                if z.ndim:
                    a = x
                    options = ALIKE
        elif (kind is _ndarray and a.dtype in _REAL) or kind in _READY:
            x = a
        else:
            return _apply(rule, (a, b), _NO_OPTIONS)
    else:
        return _apply(rule, (a, b), _NO_OPTIONS)
    forward = rule.forward  # rule.forward(...) would look it up as a method, in three times the time
    try:
        y = forward(x, z)
    except ValueError as error:
        raise _with_shapes(error, rule, [x, z]) from None
    t = _blank()
    t._value = y if type(y) is _ndarray else _asarray(y)
    t.grad = None
    t.name = None
    if tracked:
        t._tracked = True
        t._rule = rule
        t._a = a
        t._b = b
        t._options = options
        t._order = next(orders)
    else:
        t._tracked = False
        t._rule = None
        t._order = 0
    return t


def _as_array(number: float) -> Any:
    """A Python number as a float64 array, made once: NumPy takes an array in 0.27 us, not 0.43. 0 and nan stay."""
    if not number or number != number:  # 0.0 and -0.0 would be one key, and each nan one of its own
        return number
    if len(_arrays) >= 1000:
        _arrays.clear()
    array = np.array(number, np.float64)
    array.flags.writeable = False  # graphs share it
    _arrays[number] = array
    return array


_FLOAT64 = np.dtype(np.float64)
_arrays: dict[float, Any] = {}


def _method(name: str, function: Any, *defaults: Any) -> Any:
    """`unary` or `binary` with a rule as its default: a method that is the function itself saves a call within each."""
    method = FunctionType(function.__code__, function.__globals__, name, defaults)
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = f"As `numpy.{defaults[0].function.__name__}`."
    return method


def _operator(name: str, rule: Rule) -> Callable[[Tensor, Operand], Tensor]:
    return _method(name, binary, rule, _arrays)  # type: ignore[no-any-return]  # a function of that type


def _unary_operator(name: str, rule: Rule) -> Callable[[Tensor], Tensor]:
    return _method(name, unary, rule, _NO_OPTIONS)  # type: ignore[no-any-return]  # a function of that type


def _apply(rule: Rule, inputs: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    """`apply` for any inputs, in any state: under `no_grad`, in debug mode, while a program is recorded."""
    inputs = tuple(x if type(x) is Tensor or type(x) in _READY else constant_array(x) for x in inputs)
    values = [x._value if type(x) is Tensor else x for x in inputs]
    now = _state()
    before = None if now.watch is None else now.watch.prints(values)
    try:
        y = rule.forward(*values, **options)
    except ValueError as error:
        raise _with_shapes(error, rule, values) from None
    t = wrap(y if type(y) is _ndarray else _asarray(y))
    if now.recording and any(type(x) is Tensor and x._tracked for x in inputs):
        t._tracked = True
        t._rule = rule
        if len(inputs) == 1:
            t._a, t._b = inputs[0], ONE
        else:
            t._a, t._b = inputs if len(inputs) == 2 and not options else (inputs, ALL)
        t._options = options
        t._order = next(orders)
    if now.watch is not None:
        now.watch.check_value(t, rule, values, before)
    if now.tracer is not None:
        now.tracer.record(t, rule, inputs, values, options)
    return t


def _with_shapes(error: ValueError, rule: Rule, values: list[Any]) -> ValueError:
    """NumPy's complaint, with the operation's name and the shapes that it got; a special exception as it is."""
    if type(error) is not ValueError:
        return error
    return ValueError(f"{rule.name} of shapes {', '.join(str(np.shape(v)) for v in values)}: {error}")


def wrap(data: Array) -> Tensor:
    """A Tensor around an array as it is: no copy, no check, no gradient."""
    t = _blank()
    t._value = data
    t.grad = None
    t.name = None
    t._tracked = False
    t._rule = None
    t._order = 0
    return t


def being_recorded() -> bool:
    """Whether a program is recorded just now, so that values may not be asked for."""
    return _state().tracer is not None


def assign(target: Array, value: Any) -> None:
    """Write ``value`` into the array ``target``: as part of the program, while one is recorded."""
    tracer = _state().tracer
    if tracer is not None:
        tracer.assign(target, value)
    else:
        np.copyto(target, plain(value), casting="same_kind")


def plain_array(x: Any) -> Array:
    """`numpy.asarray`, but for arrays that would lose their own way of computing: they are refused."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            "a masked array would lose its mask here: fill it first (x.filled(0.0)), or select with np.where."
        )
    if isinstance(x, np.matrix):
        raise TypeError("np.matrix multiplies in its own way: pass np.asarray(m), and write @ for matrix products.")
    return np.asarray(x)


def constant_array(x: Any) -> Any:
    """Bring an operand that is no Tensor to an array or a number that the rules can work with."""
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


# -- NumPy's two protocols ----------------------------------------------------------


def implements(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register how NumPy's ``functions`` are computed on Tensors."""

    def register(f: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = f
        return f

    return register


def call(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call a NumPy function of which some argument is a Tensor."""
    if options and ("out" in options or "like" in options):
        if options.get("out") is not None or options.get("like") is not None:
            return _call_into(function, args, options)
        options = {key: value for key, value in options.items() if key not in ("out", "like")}
    f = FUNCTIONS.get(function)
    if f is not None:
        try:
            return f(*args, **options)
        except TypeError as error:
            if (named := _by_name(function, f, args, options, error)) is None:
                raise
        return call(function, *named)
    rule = RULES.get(function)
    if rule is not None and not (options and isinstance(function, np.ufunc)):
        return apply(rule, args, options)
    if function in CONSTANTS:
        return constant(function, args, options)
    if not any(t._tracked for t in tensors_in((args, options))) and _state().tracer is None:
        return function(*plain(args), **plain(options))
    raise TypeError(_unsupported(function, options if rule else {}))


def constant(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call a function whose result has gradient zero: on the plain arrays, for a plain result."""
    tracer = _state().tracer
    if tracer is not None:
        return tracer.constant(function, args, options)
    return function(*plain(args), **plain(options))


_SEQUENCES = (tuple, list)  # made once: `tuple | list` is a new union at every use


def plain(x: Any) -> Any:
    """The same nested arguments with every Tensor replaced by its array."""
    if type(x) is Tensor:
        return x._value
    if isinstance(x, _SEQUENCES):  # a named tuple or the like too, as the plain sequence that it is
        return (tuple if isinstance(x, tuple) else list)(map(plain, x))
    if type(x) is dict:
        return {key: plain(value) for key, value in x.items()}
    return x


def tensors_in(x: Any) -> Iterator[Tensor]:
    """The Tensors among nested arguments."""
    if type(x) is Tensor:
        yield x
    elif isinstance(x, _SEQUENCES):
        for part in x:
            yield from tensors_in(part)
    elif type(x) is dict:
        yield from tensors_in(tuple(x.values()))


def _call_into(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A call with ``out=``: refused where a gradient is at stake, since writing into an array forgets it."""
    tracked = any(t._tracked for t in tensors_in((args, options))) or bool([*tensors_in(options.get("out"))])
    tracer = _state().tracer
    if tracer is not None and not tracked and options.keys() == {"out"}:  # p.data -= lr * p.grad
        out = options["out"][0] if type(options["out"]) is tuple and len(options["out"]) == 1 else options["out"]
        if isinstance(out, np.ndarray):
            assign(out, call(function, args, {}))
            return out
    if tracked or tracer is not None or options.get("like") is not None:
        key = "like" if options.get("like") is not None else "out"
        raise TypeError(
            f"{name_of(function)} with {key}= cannot write a Tensor's value without losing its gradient. Leave {key}= "
            f"away and use the result: y = {name_of(function)}(...); a = a + t instead of a += t."
        )
    return function(*plain(args), **plain(options))


def _by_name(
    function: Callable[..., Any],
    f: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
    error: TypeError,
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Arguments that ``f`` does not take by place, as NumPy does, by name; None if it took them.

    Where a NumPy argument is not taken for Tensors at all, an error says which are.
    """
    import inspect

    own = inspect.signature(f)
    try:
        own.bind(*args, **options)
        return None
    except TypeError:
        pass
    try:
        given = inspect.signature(function).bind(*args, **options).arguments
    except (TypeError, ValueError):
        given = {}
    by_place = [p.name for p in own.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    n = sum(takewhile(bool, (a == b for a, b in zip(given, by_place, strict=False))))
    if 0 < n < len(args) and given.keys() - {"out"} <= own.parameters.keys():
        named = {name: x for name, x in [*given.items()][n:] if x is not np._NoValue}
        return args[:n], named
    raise TypeError(
        f"{name_of(function)} on a Tensor does not take these arguments ({str(error).split(') ')[-1]}); it takes: "
        f"{', '.join(own.parameters)}."
    ) from None


def reason_against(function: Callable[..., Any]) -> str | None:
    """Why a function is refused, and what to use instead; None if it is not."""
    return REFUSED.get(function) or REFUSED.get(getattr(function, "__module__", None) or "")


def _unsupported(function: Callable[..., Any], options: dict[str, Any]) -> str:
    name = name_of(function)
    if (reason := reason_against(function)) is not None:
        return f"{name} has no gradient here: {reason}"
    if options:
        keywords = ", ".join(f"{key}=" for key in options)
        return (
            f"{name} on a Tensor does not take {keywords}: choose with np.where, cast with .astype(), move axes with "
            "np.moveaxis."
        )
    known = {name_of(f): f for f in (*FUNCTIONS, *RULES)}
    short = {known_name.rpartition(".")[2]: known_name for known_name in known}
    near = difflib.get_close_matches(name.rpartition(".")[2], short, n=1)
    nearest = f"; the nearest supported function is {short[near[0]]}" if near else ""
    return (
        f"{name} has no derivative rule for Tensors{nearest}. Give it one with "
        " microgradnp.defvjp or @microgradnp.custom_vjp, or take the value out of the graph with .detach().data."
    )


_depositing = Lock()  # threads may share a leaf, and NumPy adds large arrays with Python's own lock let go


def _row(function: Callable[..., Any]) -> Rule:
    return RULES[function]


_ADD, _SUBTRACT, _MULTIPLY, _DIVIDE = map(_row, (np.add, np.subtract, np.multiply, np.divide))
_POWER, _SQUARE, _SQRT, _RECIPROCAL = map(_row, (np.power, np.square, np.sqrt, np.reciprocal))
_NEGATIVE, _POSITIVE, _ABSOLUTE = map(_row, (np.negative, np.positive, np.absolute))
_REMAINDER, _MATMUL = map(_row, (np.remainder, np.matmul))
_GETITEM, _ASTYPE = _row(getitem), _row(astype)


_INSTEAD = {
    "fill": "np.full_like(t, value)",
    "partition": "np.partition(t, kth)",
    "put": "microgradnp.put(t, index, value)",
    "resize": "np.resize(t, shape)",
    "sort": "np.sort(t)",
    "numpy": "t.data, or t.detach()",
    "zero_grad": "t.grad = None, or the optimizer's zero_grad()",
    **{name: f"t.data.{name}" for name in ("ctypes", "dump", "dumps", "flags", "strides", "tobytes", "tofile", "view")},
}
"""Methods that change an array in place or speak of its memory, and others that one may look for: what to use."""


class Tensor:
    """An array of real numbers that takes part in automatic differentiation.

    Parameters
    ----------
    data
        Anything `numpy.array` takes; copied, so that the original never changes.
    requires_grad
        Whether `backward` shall leave a gradient in ``.grad``. Such data must be float32 or float64.
    dtype
        The dtype to convert to, if not that of ``data``.
    name
        A name to show in errors, derivations and graphs.

    Raises
    ------
    TypeError
        If ``data`` is not numeric, is complex, is a Tensor that is part of a graph, or needs a gradient but is not
        float.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> x = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> np.sum(x * x).backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    __slots__ = (
        "__weakref__",
        "_a",
        "_b",
        "_options",
        "_order",
        "_rule",
        "_site",
        "_tracked",
        "_value",
        "grad",
        "name",
    )

    # The inputs of a binary operation stand in two slots, not in a tuple: with one object less for the garbage
    # collector to visit, an operation in a graph of 10**6 costs 1.3 times one in a graph of 10**3, against 1.9.
    _a: Any
    _b: Any
    _value: Array
    _tracked: bool
    _rule: Rule | None
    _options: dict[str, Any]
    _order: int
    _site: Any
    grad: Array | None
    name: str | None

    def __init__(
        self,
        data: Operand,
        requires_grad: bool = False,
        *,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(data, Tensor):
            data = data.__array__()
        if type(data) is not _ndarray or data.dtype not in _REAL:
            data = constant_array(data)
        array = native(np.array(data, dtype=dtype))
        if array.dtype.kind not in "fiub":
            raise TypeError(f"a Tensor holds real numbers; got dtype {array.dtype}.")
        self._value = array
        self._rule = None
        self._tracked = False
        self._order = next(orders)
        self.grad = None
        self.name = name
        if requires_grad:
            self.requires_grad = True

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _INSTEAD]

    def __init_subclass__(cls) -> None:
        raise TypeError(
            f"class {cls.__name__}(Tensor): a Tensor cannot be subclassed, since operations would lose the class. Hold "
            "a Tensor in an attribute instead; for parameters see microgradnp.nn.Layer."
        )

    # -- Its place in the graph

    @property
    def _inputs(self) -> tuple[Any, ...]:
        """What it was computed from: Tensors, arrays and numbers."""
        if self._rule is None:
            return ()
        if self._b is ONE:
            return (self._a,)
        return self._a if self._b is ALL else (self._a, self._b)

    @property
    def _values(self) -> list[Any]:
        """The inputs as the rule's arrays and numbers."""
        return [x._value if type(x) is Tensor else x for x in self._inputs]

    # -- What it is

    @property
    def data(self) -> Array:
        """The value, an ndarray. Writing into it while a graph holds it makes that graph's gradients wrong."""
        tracer = _state().tracer
        return self._value if tracer is None else tracer.show(self)

    @data.setter
    def data(self, value: ArrayLike) -> None:
        tracer = _state().tracer
        array = self._value if tracer is not None and tracer.shows(value, self) else plain_array(value)
        if array.shape != self._value.shape or array.dtype != self._value.dtype:
            raise ValueError(
                f"new data of shape {array.shape} and dtype {array.dtype} for a Tensor of shape {self._value.shape} "
                "and "
                f"dtype {self._value.dtype}: they must agree. Make a new Tensor for other data."
            )
        self._value = array
        self._order = next(orders)  # younger than any node that has used it: the sweep will notice

    @property
    def requires_grad(self) -> bool:
        """Whether this Tensor is part of a graph: a leaf that wants a gradient, or computed from one."""
        return self._tracked

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._rule is not None:
            raise RuntimeError(
                f"requires_grad can be set on a leaf only; this Tensor is the result of {self._rule.name}. Use "
                ".detach() for its value without the graph."
            )
        if value and self._value.dtype.type not in (np.float32, np.float64):
            raise TypeError(
                f"only float32 and float64 have gradients; got {self._value.dtype}. Write 1.0 instead of 1, or pass "
                "dtype=np.float64."
            )
        if value and not self._tracked:
            self._order = next(orders)  # graphs in which it was a constant know a part of its gradient at most
        self._tracked = bool(value)

    @property
    def is_leaf(self) -> bool:
        """Whether this Tensor was made by the user, not computed from others in a graph."""
        return self._rule is None

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the data."""
        return self._value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._value.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._value.size

    @property
    def nbytes(self) -> int:
        """The bytes of the data."""
        return self._value.nbytes

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._value.itemsize

    @property
    def real(self) -> Tensor:
        """The Tensor itself: its data are real."""
        return self

    @property
    def imag(self) -> Any:
        """A plain array of zeros."""
        return constant(np.imag, (self,), {})

    @property
    def T(self) -> Tensor:
        """All axes in reverse order."""
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged: each matrix of a stack transposed."""
        return self.swapaxes(-1, -2)

    @property
    def flat(self) -> Iterator[Tensor]:
        """The elements one by one, in C order."""
        return iter(self.ravel())

    def __len__(self) -> int:
        if not self._value.ndim:
            raise TypeError("len() of a 0-d Tensor: it has no axis to count along.")
        return len(self._value)

    def __iter__(self) -> Iterator[Tensor]:
        if not self._value.ndim:
            raise TypeError("iteration over a 0-d Tensor: it has no axis to iterate along.")
        return (self[i] for i in range(len(self._value)))

    def __repr__(self) -> str:
        if _state().tracer is not None:  # its value would stay in the program's text for ever
            return f"Tensor(shape={self.shape}, dtype={self.dtype}, being recorded)"
        text = np.array2string(self._value, separator=", ", prefix="Tensor(")
        dtype = "" if self._value.dtype == np.float64 and self._value.size else f", dtype={self._value.dtype}"
        flag = ", requires_grad=True" if self._tracked else ""
        name = f", name={self.name!r}" if self.name else ""
        return f"Tensor({text}{dtype}{flag}{name})"

    def __format__(self, spec: str) -> str:
        if spec and _state().tracer is not None:
            _no_python_value(f"format {spec!r}")
        if spec and self._value.size == 1:
            return format(self._value.item(), spec)
        try:
            return format(str(self), spec)
        except ValueError:
            raise TypeError(f"format {spec!r} needs a single element; this Tensor has shape {self.shape}.") from None

    # -- Backward

    def backward(self, gradient: Operand | None = None, *, retain_graph: bool = False) -> None:
        """Add the gradient of this Tensor to the ``.grad`` of every leaf that it was computed from.

        Parameters
        ----------
        gradient
            What to start from, of this Tensor's shape: the gradient of some later scalar with respect to this Tensor. A
            Tensor of one element needs none (1 is taken).
        retain_graph
            Keep the graph for another ``backward()``. By default each node is freed as it is passed.

        Raises
        ------
        RuntimeError
            If this Tensor is not part of a graph, has several elements and no ``gradient``, or its graph is already
            freed.
        ValueError
            If ``gradient`` has another shape.

        Examples
        --------
        >>> import microgradnp as mg
        >>> x = mg.Tensor(3.0, requires_grad=True)
        >>> (x ** 2).backward()
        >>> x.grad
        array(6.)
        """
        if not self._tracked:
            raise RuntimeError(
                "backward() on a Tensor that is not part of a graph: nothing that it was computed from has "
                "requires_grad=True, or it was computed under no_grad() or detached."
            )
        seed = self._seed(gradient)
        now = _state()
        tracer = now.tracer
        if tracer is None:
            if gradient is not None:
                seed = seed.astype(self._value.dtype, copy=False)
            gradients = sweep({self: seed}, retain=retain_graph, watch=now.watch)
        else:
            with state(recording=False):
                seed = wrap(seed).astype(self._value.dtype)
                gradients = sweep({self: seed}, retain=retain_graph, record=True, watch=now.watch)
        with _depositing:
            for leaf, g in gradients.items():
                if not leaf._tracked:  # frozen since
                    continue
                if leaf.grad is None and tracer is None:  # in memory of its own
                    leaf.grad = g.copy("K") if type(g) is _ndarray else np.array(g)
                else:
                    leaf._deposit(g, tracer)

    def _seed(self, gradient: Any) -> Any:
        if gradient is None:
            value = self._value
            if value.size != 1:
                raise RuntimeError(
                    f"backward() without a gradient needs a single element; this Tensor has shape {value.shape}. "
                    "Reduce it to a scalar (loss.sum()), or pass gradient= of that shape."
                )
            return np.ones(value.shape, value.dtype) if value.ndim else value.dtype.type(1)
        seed = plain_array(gradient)
        if seed.shape != self._value.shape:
            raise ValueError(
                f"backward(gradient) of shape {seed.shape} for a Tensor of shape {self._value.shape}: they must be the "
                "same."
            )
        if seed.dtype.kind not in "fiub":
            raise TypeError(f"backward(gradient) takes real numbers; got dtype {seed.dtype}.")
        return seed

    def _deposit(self, g: Any, tracer: Any) -> None:
        """Add to what stands in ``.grad``."""
        if tracer is not None and type(g) is not Tensor:  # a rule's zeros: of a shape alone
            g = wrap(np.array(g))
        kinds = (np.ndarray,) if tracer is None else (np.ndarray, Tensor)
        if isinstance(self.grad, np.generic):  # what NumPy makes of a 0-d array, in p.grad = p.grad * 0.5
            self.grad = np.array(self.grad)
        if self.grad is None:
            self.grad = +g
        elif type(self.grad) not in kinds or self.grad.shape != self.shape or self.grad.dtype != self.dtype:
            raise TypeError(
                f".grad was set to {type(self.grad).__name__} of shape {np.shape(self.grad)}; it must be None or an "
                f"ndarray of shape {self.shape} and dtype {self.dtype}."
            )
        elif tracer is None:
            np.add(self.grad, g, out=self.grad)
        elif isinstance(self.grad, Tensor):
            tracer.write_gradient(self.grad, self.grad + g)
        else:  # an array that the step has made by itself
            self.grad = self.grad + g

    def detach(self) -> Tensor:
        """The same data, outside the graph."""
        t = wrap(self._value)
        t.name = self.name
        return t

    # -- Out of the graph, never without a word

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self._tracked:
            raise TypeError(
                f"this Tensor of shape {self._value.shape} is part of a graph; turning it into an ndarray would detach "
                "it without a word. To combine Tensors use np.stack or np.concatenate (not np.array([...]), not a[i] "
                "= t), and np.dot(a, t) or a @ t (not a.dot(t)). For the plain value use t.detach() or t.data."
            )
        if _state().tracer is not None:
            raise RecordingError(
                "a Tensor cannot become an ndarray while a program is recorded: its value would be frozen into the "
                "program. Use NumPy functions on the Tensor itself."
            )
        return np.array(self._value, dtype=dtype, copy=copy)

    def item(self, *index: int) -> float:
        """The value of one element as a Python number, outside the graph."""
        if _state().tracer is not None:
            _no_python_value("item()")
        return self._value.item(*index)  # type: ignore[no-any-return]  # a number

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers, outside the graph."""
        if _state().tracer is not None:
            _no_python_value("tolist()")
        return self._value.tolist()

    def _number(self, kind: str) -> Any:
        if _state().tracer is not None:
            _no_python_value(f"{kind}()")
        if self._tracked:
            raise TypeError(
                f"{kind}() of a Tensor that is part of a graph would detach it without a word (NumPy calls it for a[i] "
                "= t). Use t.item() for the value as a Python number, or np.stack to collect Tensors into an array."
            )
        if self._value.size != 1:
            raise TypeError(f"{kind}() needs a single element; this Tensor has shape {self._value.shape}.")
        return self._value.item()

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __index__(self) -> int:
        if self._value.dtype.kind not in "iu" or self._value.ndim:
            raise TypeError(
                f"only a 0-d integer Tensor is an index; this one has dtype {self._value.dtype} and shape "
                f"{self._value.shape}."
            )
        return int(self._number("int"))

    def __bool__(self) -> bool:
        if _state().tracer is not None:
            _no_python_value("bool()")
        return bool(self._value)

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    # -- Arithmetic

    __add__ = _operator("__add__", _ADD)

    def __radd__(self, other: Operand) -> Tensor:
        return binary(other, self, _ADD, _arrays)

    __sub__ = _operator("__sub__", _SUBTRACT)

    def __rsub__(self, other: Operand) -> Tensor:
        return binary(other, self, _SUBTRACT, _arrays)

    __mul__ = _operator("__mul__", _MULTIPLY)

    def __rmul__(self, other: Operand) -> Tensor:
        return binary(other, self, _MULTIPLY, _arrays)

    __truediv__ = _operator("__truediv__", _DIVIDE)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return binary(other, self, _DIVIDE, _arrays)

    __mod__ = _operator("__mod__", _REMAINDER)

    def __rmod__(self, other: Operand) -> Tensor:
        return binary(other, self, _REMAINDER, _arrays)

    def __divmod__(self, other: Operand) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Operand) -> Any:
        return other // self, other % self

    __matmul__ = _operator("__matmul__", _MATMUL)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return binary(other, self, _MATMUL, _arrays)

    def __pow__(self, other: Operand) -> Tensor:
        if type(other) is int or type(other) is float:  # as ndarray does: the same bits, and faster
            if other == 2:
                return unary(self, _SQUARE)
            if other == 0.5 and self._value.dtype.kind == "f":
                return unary(self, _SQRT)
            if other == -1 and self._value.dtype.kind == "f":
                return unary(self, _RECIPROCAL)
        return binary(self, other, _POWER)

    def __rpow__(self, other: Operand) -> Tensor:
        return binary(other, self, _POWER)

    __neg__ = _unary_operator("__neg__", _NEGATIVE)
    __pos__ = _unary_operator("__pos__", _POSITIVE)
    __abs__ = _unary_operator("__abs__", _ABSOLUTE)

    # -- Piecewise constant: plain arrays

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return constant(np.equal, (self, other), {})

    def __ne__(self, other: object) -> Any:
        return constant(np.not_equal, (self, other), {})

    def __lt__(self, other: Operand) -> Any:
        return constant(np.less, (self, other), {})

    def __le__(self, other: Operand) -> Any:
        return constant(np.less_equal, (self, other), {})

    def __gt__(self, other: Operand) -> Any:
        return constant(np.greater, (self, other), {})

    def __ge__(self, other: Operand) -> Any:
        return constant(np.greater_equal, (self, other), {})

    def __floordiv__(self, other: Operand) -> Any:
        return constant(np.floor_divide, (self, other), {})

    def __rfloordiv__(self, other: Operand) -> Any:
        return constant(np.floor_divide, (other, self), {})

    def __and__(self, other: Operand) -> Any:
        return constant(np.bitwise_and, (self, other), {})

    def __rand__(self, other: Operand) -> Any:
        return constant(np.bitwise_and, (other, self), {})

    def __or__(self, other: Operand) -> Any:
        return constant(np.bitwise_or, (self, other), {})

    def __ror__(self, other: Operand) -> Any:
        return constant(np.bitwise_or, (other, self), {})

    def __invert__(self) -> Any:
        return constant(np.invert, (self,), {})

    # -- Elements

    def __getitem__(self, index: Any) -> Tensor:
        return unary(self, _GETITEM, {"index": _plain_index(index)})

    def __setitem__(self, index: Any, value: Any) -> None:
        fixed = self._tracked and (_state().recording or self._rule is not None)
        if fixed or any(t._tracked for t in tensors_in(value)) or _state().tracer is not None:
            raise TypeError(
                "t[index] = value would change a Tensor that a graph holds, and its gradient would be wrong. Build "
                "the result instead: np.where(mask, value, t), np.concatenate, np.stack or microgradnp.put(t, index, "
                "value)."
            )
        array = self._value.copy()  # detached Tensors and views that share the memory keep their values
        array[_plain_index(index)] = plain(value)
        self.data = array

    def _in_place(self, rule: Rule, other: Any) -> Tensor:
        """``t += x``: a new Tensor under the old name, as for a Python number; a leaf that wants a gradient refuses."""
        tracer = _state().tracer
        if not self._tracked or self._rule is not None:
            y = apply(rule, (self, other))
            if tracer is None or not tracer.is_gradient(self):
                return y
            tracer.write_gradient(self, y)
            return self
        if _state().recording:
            raise TypeError(
                f"an in-place {rule.name} on a leaf that requires a gradient would take the name from the leaf. Write "
                "t = t + x for a new Tensor; to update a parameter, do it under no_grad() or let an optimizer do it."
            )
        if tracer is not None:
            assign(self._value, apply(rule, (self, other)))
        else:
            self.data = rule.forward(self._value, plain(other))
        return self

    def __iadd__(self, other: Operand) -> Tensor:
        return self._in_place(_ADD, other)

    def __isub__(self, other: Operand) -> Tensor:
        return self._in_place(_SUBTRACT, other)

    def __imul__(self, other: Operand) -> Tensor:
        return self._in_place(_MULTIPLY, other)

    def __itruediv__(self, other: Operand) -> Tensor:
        return self._in_place(_DIVIDE, other)

    def __ipow__(self, other: Operand) -> Tensor:
        return self._in_place(_POWER, other)

    def __imod__(self, other: Operand) -> Tensor:
        return self._in_place(_REMAINDER, other)

    def __imatmul__(self, other: Operand) -> Tensor:
        return self._in_place(_MATMUL, other)

    # -- The protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__":
            if not options and (rule := RULES.get(ufunc)) is not None:
                n = len(inputs)
                if n == 1:
                    return unary(inputs[0], rule)
                return binary(inputs[0], inputs[1], rule) if n == 2 else _apply(rule, inputs, options)
            return call(ufunc, inputs, options)
        return call(getattr(ufunc, method), inputs, options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        for t in types:
            if t is not Tensor and not issubclass(t, np.ndarray):
                return NotImplemented
        return call(function, args, options)

    # -- The methods of ndarray

    def sum(
        self, axis: Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, **options: Any
    ) -> Tensor:
        """As `numpy.sum`."""
        return self._with(np.sum, options, axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(
        self, axis: Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, **options: Any
    ) -> Tensor:
        """As `numpy.mean`."""
        return self._with(np.mean, options, axis=axis, dtype=dtype, keepdims=keepdims)

    def prod(
        self, axis: Axis = None, dtype: DTypeLike | None = None, *, keepdims: bool = False, **options: Any
    ) -> Tensor:
        """As `numpy.prod`."""
        return self._with(np.prod, options, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
        """As `numpy.max`; ties share the gradient evenly."""
        return self._with(np.max, options, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
        """As `numpy.min`; ties share the gradient evenly."""
        return self._with(np.min, options, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
        """As `numpy.var`."""
        return self._with(np.var, options, axis=axis, dtype=dtype)

    def std(self, axis: Axis = None, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
        """As `numpy.std`; of constants the gradient is 0."""
        return self._with(np.std, options, axis=axis, dtype=dtype)

    def cumsum(self, axis: int | None = None, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
        """As `numpy.cumsum`."""
        return self._with(np.cumsum, options, axis=axis, dtype=dtype)

    def cumprod(self, axis: int | None = None, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
        """As `numpy.cumprod`."""
        return self._with(np.cumprod, options, axis=axis, dtype=dtype)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: DTypeLike | None = None) -> Tensor:
        """As `numpy.trace`."""
        return self._call(np.trace, offset=offset, axis1=axis1, axis2=axis2, dtype=dtype)

    def dot(self, b: Operand) -> Tensor:
        """As `numpy.dot`."""
        return self._call(np.dot, b)

    def clip(self, min: Operand | None = None, max: Operand | None = None) -> Tensor:
        """As `numpy.clip`; at a bound the gradient passes."""
        return self._call(np.clip, min, max)

    def reshape(self, *shape: Any, order: str = "C") -> Tensor:
        """As `numpy.reshape`; the shape as one tuple or as several ints."""
        return self._call(np.reshape, shape[0] if len(shape) == 1 else shape, order=order)

    def ravel(self, order: str = "C") -> Tensor:
        """As `numpy.ravel`."""
        return self._call(np.ravel, order=order)

    def flatten(self, order: str = "C") -> Tensor:
        """As `ravel`: a Tensor never shares what can be changed."""
        return self._call(np.ravel, order=order)

    def transpose(self, *axes: Any) -> Tensor:
        """As `numpy.transpose`; the axes as one tuple or as several ints."""
        return self._call(np.transpose, (axes[0] if len(axes) == 1 else axes) or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """As `numpy.swapaxes`."""
        return self._call(np.swapaxes, axis1, axis2)

    def squeeze(self, axis: Axis = None) -> Tensor:
        """As `numpy.squeeze`."""
        return self._call(np.squeeze, axis=axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> Tensor:
        """As `numpy.repeat`."""
        return self._call(np.repeat, repeats, axis=axis)

    def take(self, indices: ArrayLike, axis: int | None = None, *, mode: str = "raise") -> Tensor:
        """As `numpy.take`."""
        return self._call(np.take, indices, axis=axis, mode=mode)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """As `numpy.diagonal`."""
        return self._call(np.diagonal, offset=offset, axis1=axis1, axis2=axis2)

    def compress(self, condition: ArrayLike, axis: int | None = None) -> Tensor:
        """As `numpy.compress`."""
        return call(np.compress, (condition, self), {"axis": axis})  # type: ignore[no-any-return]  # a Tensor

    def choose(self, choices: Any, mode: str = "raise") -> Tensor:
        """As `numpy.choose`."""
        return self._call(np.choose, choices, mode=mode)

    def conj(self) -> Tensor:
        """The Tensor itself: its data are real."""
        return self

    conjugate = conj

    def copy(self) -> Tensor:
        """A Tensor of the same value, computed from this one: the gradient flows through."""
        if self._value.dtype == np.bool:  # which NumPy calls neither positive nor negative
            return apply(_row(np.maximum), (self, False))
        return unary(self, _POSITIVE)

    def astype(self, dtype: DTypeLike, *, copy: bool = True) -> Any:
        """Cast: float32 and float64 stay in the graph; any other dtype gives a plain array, as it has no gradient."""
        target = np.dtype(dtype)
        if target == self._value.dtype:
            return self.copy() if copy else self
        if target in (np.float32, np.float64):
            return unary(self, _ASTYPE, {"dtype": target})
        return constant(_plain_astype, (self, target), {})

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        """As `numpy.argmax`."""
        return constant(np.argmax, (self,), {"axis": axis, "keepdims": keepdims})

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Any:
        """As `numpy.argmin`."""
        return constant(np.argmin, (self,), {"axis": axis, "keepdims": keepdims})

    def argpartition(self, kth: Any, axis: int | None = -1, **options: Any) -> Any:
        """As `numpy.argpartition`."""
        return constant(np.argpartition, (self, kth), {"axis": axis, **options})

    def argsort(self, axis: int | None = -1, **options: Any) -> Any:
        """As `numpy.argsort`."""
        return constant(np.argsort, (self,), {"axis": axis, **options})

    def any(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Any:
        """As `numpy.any`."""
        return constant(np.any, (self,), {"axis": axis, "keepdims": keepdims, **options})

    def all(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Any:
        """As `numpy.all`."""
        return constant(np.all, (self,), {"axis": axis, "keepdims": keepdims, **options})

    def round(self, decimals: int = 0) -> Any:
        """As `numpy.round`; a plain array, as its gradient is 0."""
        return constant(np.round, (self,), {"decimals": decimals})

    def nonzero(self) -> Any:
        """As `numpy.nonzero`."""
        return constant(np.nonzero, (self,), {})

    def searchsorted(self, v: Any, side: str = "left", **options: Any) -> Any:
        """As `numpy.searchsorted`."""
        return constant(np.searchsorted, (self, v), {"side": side, **options})

    def _with(self, function: Callable[..., Any], options: dict[str, Any], **known: Any) -> Tensor:
        """A reduction: the short way, or with where=, initial= and what else NumPy may take."""
        if options:
            return call(function, (self,), known | options)  # type: ignore[no-any-return]  # a Tensor
        return FUNCTIONS[function](self, **known)  # type: ignore[no-any-return]  # a Tensor

    def _call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Tensor:
        return FUNCTIONS[function](self, *args, **options)  # type: ignore[no-any-return]  # a Tensor

    # -- Copying

    def __reduce__(self) -> Any:
        if self._rule is not None:
            raise TypeError(
                f"a Tensor that is part of a graph (the result of {self._rule.name}) cannot be copied or pickled: its "
                "graph cannot go along. Copy or plot its value, t.detach() or t.data; t.copy() stays in the graph."
            )
        return _rebuild, (self._value, self._tracked, self.grad, self.name)


_blank: Callable[[], Tensor] = partial(object.__new__, Tensor)


class _Absent:
    """In the place of a method that a Tensor does not have: an error that names what to use.

    Tensor has no `__getattr__` to say so for any name: with one, reading each attribute would take ten times as long.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, t: Any, owner: Any) -> Any:
        message = f"a Tensor has no attribute {self._name!r}. Use {self._instead}."
        raise AttributeError(message, name=self._name, obj=owner if t is None else t)


for _name, _instead in _INSTEAD.items():
    setattr(Tensor, _name, _Absent(_name, _instead))


def _rebuild(data: Array, requires_grad: bool, grad: Array | None, name: str | None) -> Tensor:
    t = Tensor(data, requires_grad, name=name)
    t.grad = None if grad is None else np.array(grad)
    return t


def _plain_astype(x: Any, dtype: Any) -> Any:
    return x.astype(dtype)


def _plain_index(index: Any) -> Any:
    """An index without Tensors and lists: a Tensor stands for its values, and a list may change before backward."""
    if type(index) is tuple:
        return tuple(map(_plain_index, index))
    if type(index) is list:
        array = np.array(index)
        return array if array.size else array.astype(np.intp)
    if type(index) is Tensor:
        if index._value.dtype.kind not in "iub":
            raise TypeError(f"an index must be of integers or booleans; got a Tensor of dtype {index._value.dtype}.")
        if _state().tracer is not None:
            _no_python_value("indexing with a computed Tensor")
        return index._value
    return index


class RecordingError(TypeError):
    """A step does something that a recorded program could not repeat."""


def _no_python_value(what: str) -> Any:
    raise RecordingError(
        f"{what} asks for a Tensor's value while a program is recorded; the program would keep the value of the first "
        "call for ever. Write the choice with np.where, np.maximum or np.clip, or leave that line outside the "
        "compiled step."
    )
