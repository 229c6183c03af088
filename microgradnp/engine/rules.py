"""The table of derivative rules: one row for each NumPy function, each written in plain NumPy.

A rule is called as ``rule(g, y, *arguments, **options)``: ``g`` is the gradient flowing in, ``y`` the output, then the
arguments as the function got them. It returns the gradient that flows on to one argument. It knows nothing of Tensors,
so that the same text serves arrays (a plain backward pass) and Tensors (a recorded one: gradients of gradients).

Three things keep the rows short. A broadcast argument's gradient is summed back to its shape by the sweep, never here.
A rule never asks for a value in an ``if`` (only for shapes and options), so it can be recorded and replayed. And a
function that can be *composed* of others is composed, in ``functions.py``, and needs no row at all.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial, wraps
from typing import Any

import numpy as np

Vjp = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: how to compute ``function`` on arrays, and a vector-Jacobian product for each array argument.

    A row of the table that works element by element is ``pointwise``: where a single array goes in, its gradient has
    that array's shape and dtype, and the sweep takes it without a look. One whose function is ``composed`` of NumPy
    calls is recorded as these calls.
    """

    function: Callable[..., Any]
    forward: Callable[..., Any]
    vjps: Sequence[Vjp | None]
    pointwise: bool = False
    composed: bool = False

    @property
    def name(self) -> str:
        """The function's public name, such as ``np.add`` or ``np.linalg.inv``."""
        return name_of(self.function)


RULES: dict[Callable[..., Any], Rule] = {}


@dataclass(frozen=True, slots=True)
class _Each(Sequence[Vjp]):
    """The rules of a function of any number of arrays: ``rule(i, g, y, *arrays)`` serves argument i."""

    rule: Vjp

    def __getitem__(self, i: Any) -> Any:
        return partial(self.rule, i)

    def __len__(self) -> int:
        raise TypeError("a rule for each of any number of arguments has no length")


def defvjp(
    function: Callable[..., Any],
    *rules: Vjp | None,
    each: Vjp | None = None,
    forward: Callable[..., Any] | None = None,
) -> None:
    """Write one row of the table: the derivative of ``function`` with respect to each of its array arguments.

    Parameters
    ----------
    function
        A NumPy ufunc (NumPy's own or another library's), a NumPy function, or one made by `primitive`: something that
        lets Tensors take over. A plain Python function does not; decorate it with `custom_vjp` instead.
    *rules
        One callable ``rule(g, y, *arguments, **options)`` an argument, in order: it returns the gradient with respect
        to that argument, of that argument's shape or of one that sums to it by undoing a broadcast. None stands for an
        argument that has no derivative; asking for it raises.
    each
        Instead of ``rules``, for a function of any number of arrays: ``each(i, g, y, *arguments, **options)``.
    forward
        What computes the value on arrays, where that is not ``function`` itself.

    Raises
    ------
    TypeError
        If ``function`` gives Tensors no way to take over, no rule is given, or a rule takes other arguments.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> square_plus = np.frompyfunc(lambda x: x * x + x, 1, 1)   # any ufunc will do
    >>> mg.defvjp(square_plus, lambda g, y, x: g * (2 * x + 1), forward=lambda x: x * x + x)
    >>> float(mg.grad(square_plus)(3.0))
    7.0
    """
    overridable = isinstance(function, np.ufunc) or hasattr(function, "_implementation")
    if not overridable:
        raise TypeError(
            f"defvjp({name_of(function)}): a plain Python function gives Tensors no way to take over, so its rule "
            "would never be used. Decorate it instead: @microgradnp.custom_vjp(rule, ...)."
        )
    if (not rules) == (each is None) or not all(rule is None or callable(rule) for rule in (*rules, each)):
        raise TypeError(
            f"defvjp({name_of(function)}): give one callable rule(g, y, *arguments) for each array argument "
            f"(None where there is no derivative), or each=; got {len(rules)} rules and each={each!r}."
        )
    n = function.nin if isinstance(function, np.ufunc) else None
    check_signatures(f"defvjp({name_of(function)})", rules, n or 1, n or math.inf)
    own = getattr(function, "_composed", False)
    RULES[function] = Rule(function, forward or function, _Each(each) if each else rules, composed=own)


def check_signatures(who: str, rules: Sequence[Vjp | None], least: int, most: float) -> None:
    """Refuse rules that cannot be called with the gradient, the output and ``least`` to ``most`` arguments."""
    for i, rule in enumerate(rules):
        code = getattr(rule, "__code__", None)  # inspect.signature would take 3 ms for the rows below
        if rule is None or code is None:
            continue
        takes = code.co_argcount
        needs = takes - len(getattr(rule, "__defaults__", None) or ()) - hasattr(rule, "__self__")
        many = bool(code.co_flags & 0x04)  # it has *arguments
        if (not many and takes - hasattr(rule, "__self__") < least + 2) or needs > most + 2:
            names = ", ".join(code.co_varnames[:takes])
            called = f"{least}" if least == most else f"at least {least}"
            raise TypeError(
                f"{who}: the rule for argument {i} takes ({names}), but is called as rule(g, y, *arguments): with the "
                f"gradient, the output and all of the function's arguments, {called} here."
            )


def primitive(function: Callable[..., Any], *, composed: bool = False) -> Callable[..., Any]:
    """Let Tensors take over a plain function of arrays, as they take over NumPy's own functions (NEP 18).

    Arrays travel as positional arguments, everything else as keywords.
    """

    @wraps(function)
    def overridable(*arrays: Any, **options: Any) -> Any:
        for a in arrays:
            if type(a) is not np.ndarray and hasattr(a, "__array_function__") and not isinstance(a, np.ndarray):
                return a.__array_function__(overridable, (type(a),), arrays, options)
        return function(*arrays, **options)

    overridable._implementation = function  # type: ignore[attr-defined]  # the mark NumPy's own functions carry
    overridable._composed = composed  # type: ignore[attr-defined]  # read by `defvjp`
    return overridable


def composed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`primitive` for a function that is made of NumPy calls alone: a program records these in its place."""
    return primitive(function, composed=True)


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A function's parameters, as far as it tells them; a ufunc's inputs, which NumPy itself tells only since 2.4."""
    if isinstance(function, np.ufunc):
        names = ["x"] if function.nin == 1 else [f"x{i}" for i in range(1, function.nin + 1)]
        return [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def name_of(function: Callable[..., Any]) -> str:
    """The name under which a reader knows a function: ``np.sum``, ``np.linalg.inv``, ``erf``."""
    name: str = getattr(function, "__name__", repr(function))
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):  # a method such as np.add.reduce
        return f"{name_of(owner)}.{name}"
    if getattr(np, name, None) is function:
        return f"np.{name}"
    module = getattr(function, "__module__", None) or ""
    if module.startswith("numpy."):
        return f"np.{module.removeprefix('numpy.')}.{name}"
    return name


SYMBOLS: dict[Callable[..., Any], str] = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.power: "**", np.matmul: "@",
    np.remainder: "%", np.floor_divide: "//", np.bitwise_and: "&", np.bitwise_or: "|",
    np.greater: ">", np.greater_equal: ">=", np.less: "<", np.less_equal: "<=", np.equal: "==", np.not_equal: "!=",
}  # fmt: skip
"""The functions of two arguments that Python writes as a sign between them."""


# -- What the rules below share ----------------------------------------------------------------------------------------


ARRAYS = frozenset({np.ndarray, np.float64, np.float32})


def spread(g: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """Undo a reduction's loss of axes: ``g`` (or ``y``), shaped like the result, stretched to the shape of ``x``.

    A few elements of a full reduction are written out: NumPy computes with them in a third of the time that a view
    without strides takes, which is what many become.
    """
    if axis is None and type(g) in ARRAYS and not g.ndim:
        if x.size <= 1000:
            y = np.empty(x.shape, g.dtype)
            y.fill(g)
            return y
        return np.ndarray(x.shape, g.dtype, np.asarray(g), 0, (0,) * x.ndim)
    if axis is not None and not keepdims:
        g = g.reshape(tuple(1 if i in axis else n for i, n in enumerate(x.shape)))
    return np.broadcast_to(g, x.shape)


def _number(x: Any) -> bool:
    return isinstance(x, int | float)


def _nonzero(x: Any) -> Any:
    """``x`` with 1 in place of 0: a divisor where the quotient is known to be 0 anyway."""
    return np.where(x == 0, 1, x)


def _as(y: Any, x: Any) -> Any:
    """``x`` in the dtype of ``y``: NumPy takes the logarithm of int8 in float16, and 0 - 1 in uint8 is 255."""
    return x if x.dtype == y.dtype else x.astype(y.dtype)


def _log(a: Any, y: Any) -> Any:
    """Logarithm for the exponent's derivative: 0 at 0, where the factor beside it decides."""
    if _number(a):  # a Python number stays one, so that float32 stays float32
        return math.log(a) if a > 0 else (0.0 if a == 0 else math.nan)
    return np.log(_nonzero(_as(y, a)))


def _less_one(a: Any, b: Any, y: Any) -> Any:
    """The exponent b - 1, but another at 0**0, so that ``b * a**(b - 1)`` is 0 there and right everywhere else."""
    if _number(b):
        return b - 1 if b != 0 else 0  # a**0 is 1 at any a, infinities and NaN too
    return np.where((a == 0) & (b == 0), 1, _as(y, b) - 1)


# -- Arithmetic --------------------------------------------------------------------------------------------------------

# fmt: off
defvjp(np.add,          lambda g, y, a, b: g,                              lambda g, y, a, b: g)
defvjp(np.subtract,     lambda g, y, a, b: g,                              lambda g, y, a, b: -g)
defvjp(np.multiply,     lambda g, y, a, b: g * b,                          lambda g, y, a, b: g * a)
defvjp(np.divide,       lambda g, y, a, b: g / b,                          lambda g, y, a, b: -g * y / b)
defvjp(np.remainder,    lambda g, y, a, b: g,                              lambda g, y, a, b: -g * (a // b))
defvjp(np.fmod,         lambda g, y, a, b: g,                              lambda g, y, a, b: -g * np.rint((a - y) / b))
defvjp(np.power,        lambda g, y, a, b: g * (b * np.power(a, _less_one(a, b, y))),
                        lambda g, y, a, b: g * (y * _log(a, y)))
defvjp(np.float_power,  lambda g, y, a, b: g * (b * np.float_power(a, _less_one(a, b, y))),
                        lambda g, y, a, b: g * (y * _log(a, y)))
defvjp(np.positive,     lambda g, y, x: g)
defvjp(np.negative,     lambda g, y, x: -g)
defvjp(np.conjugate,    lambda g, y, x: g)
defvjp(np.square,       lambda g, y, x: g * (x + x))
defvjp(np.reciprocal,   lambda g, y, x: -g * (y * y))
defvjp(np.sqrt,         lambda g, y, x: g * (0.5 / y))
defvjp(np.cbrt,         lambda g, y, x: g / (3 * y * y))
defvjp(np.absolute,     lambda g, y, x: g * np.sign(x))
defvjp(np.fabs,         lambda g, y, x: g * np.sign(x))
defvjp(np.deg2rad,      lambda g, y, x: g * (math.pi / 180))
defvjp(np.rad2deg,      lambda g, y, x: g * (180 / math.pi))
defvjp(np.radians,      lambda g, y, x: g * (math.pi / 180))
defvjp(np.degrees,      lambda g, y, x: g * (180 / math.pi))
# fmt: on

# -- Exponentials and logarithms ---------------------------------------------------------------------------------------

# fmt: off
defvjp(np.exp,          lambda g, y, x: g * y)
defvjp(np.exp2,         lambda g, y, x: g * (y * math.log(2)))
defvjp(np.expm1,        lambda g, y, x: g * (y + 1))
defvjp(np.log,          lambda g, y, x: g / x)
defvjp(np.log2,         lambda g, y, x: g / (x * math.log(2)))
defvjp(np.log10,        lambda g, y, x: g * (1 / math.log(10) / x))
defvjp(np.log1p,        lambda g, y, x: g / (1 + x))
defvjp(np.logaddexp,    lambda g, y, a, b: _evenly(g * np.exp(_below(a, y)), a, b),
                        lambda g, y, a, b: _evenly(g * np.exp(_below(b, y)), a, b))
defvjp(np.logaddexp2,   lambda g, y, a, b: _evenly(g * np.exp2(_below(a, y)), a, b),
                        lambda g, y, a, b: _evenly(g * np.exp2(_below(b, y)), a, b))
defvjp(np.ldexp,        lambda g, y, x, n: np.ldexp(g, n),                 None)
defvjp(np.i0,           lambda g, y, x: g * _bessel_1(x))
# fmt: on


def _below(a: Any, y: Any) -> Any:
    """a - y, where a cannot be above y; 0 for two infinities, but -inf where all is -inf, so that it has no share."""
    most = float(np.finfo(y.dtype).max)
    return np.minimum(a - np.clip(y, -most, most), 0)


def _evenly(gx: Any, a: Any, b: Any) -> Any:
    """Half of a gradient where both arguments are inf: a tie is split evenly, there too."""
    return np.where((a == b) & (a == math.inf), 0.5 * gx, gx)


_COSINES = [math.cos(math.pi * (k + 0.5) / 256) for k in range(128)]


def _bessel_1(x: Any) -> Any:
    """The derivative of i0: the integral of cos(t) sinh(x cos(t)) dt over a quarter turn, times 2 / pi (DLMF 10.32.2).

    The midpoint rule converges faster than any power of the step, since the integrand is periodic and smooth.
    """
    cosines = np.array(_COSINES, x.dtype)
    return np.sum(cosines * np.sinh(x.reshape((*x.shape, 1)) * cosines), axis=-1) / 128


# -- Trigonometric and hyperbolic --------------------------------------------------------------------------------------

# fmt: off
defvjp(np.sin,          lambda g, y, x: g * np.cos(x))
defvjp(np.cos,          lambda g, y, x: -g * np.sin(x))
defvjp(np.tan,          lambda g, y, x: g * (1 + y * y))
defvjp(np.arcsin,       lambda g, y, x: g / np.sqrt((1 - x) * (1 + x)))
defvjp(np.arccos,       lambda g, y, x: -g / np.sqrt((1 - x) * (1 + x)))
defvjp(np.arctan,       lambda g, y, x: g * _quarter(x, 1))
defvjp(np.sinh,         lambda g, y, x: g * np.cosh(x))
defvjp(np.cosh,         lambda g, y, x: g * np.sinh(x))
defvjp(np.tanh,         lambda g, y, x: g * (1 - y * y))
defvjp(np.arcsinh,      lambda g, y, x: g / np.hypot(1, x))
defvjp(np.arccosh,      lambda g, y, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)))
defvjp(np.arctanh,      lambda g, y, x: g / ((1 - x) * (1 + x)))
defvjp(np.hypot,        lambda g, y, a, b: g * (a / _nonzero(y)),          lambda g, y, a, b: g * (b / _nonzero(y)))
defvjp(np.arctan2,      lambda g, y, a, b: g * _quarter(a, b),             lambda g, y, a, b: -g * _quarter(b, a))
# fmt: on


def _quarter(a: Any, b: Any) -> Any:
    """b / (a**2 + b**2) without overflow, and 0 at the origin."""
    r = _nonzero(np.hypot(a, b))
    return b / r / r


# fmt: off
defvjp(np.sinc,         lambda g, y, x: g * _sinc_slope(y, x))
defvjp(np.unwrap,       lambda g, y, x, **options: g)
# fmt: on


@cache
def _gauss() -> tuple[Any, Any]:
    """Gauss's nodes and weights for an integral over [0, 1] (the module is imported only here: it takes 3 ms)."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    return 0.5 + 0.5 * nodes, 0.5 * weights


def _sinc_slope(y: Any, x: Any) -> Any:
    """The derivative of sinc: (cos(pi x) - sinc(x)) / x, and near 0, where that cancels, an integral.

    sinc(x) is the integral of cos(pi x t) dt over [0, 1], so its slope is that of -pi t sin(pi x t), by Gauss's rule.
    """
    near = np.absolute(x) < 0.5
    nodes, weights = _gauss()
    t, w = (v.astype(x.dtype) for v in (math.pi * nodes, math.pi * nodes * weights))
    inside = np.where(near, x, 0)
    outside = np.where(near, 1, x)
    slope = -np.sum(w * np.sin(inside.reshape((*x.shape, 1)) * t), axis=-1)
    return np.where(near, slope, (np.cos(math.pi * outside) - y) / outside)


# -- Choosing: ties are split evenly, a bound belongs to the inside of its interval ------------------------------------

# fmt: off
defvjp(np.maximum,      lambda g, y, a, b: _won(g, a > b, a == b),         lambda g, y, a, b: _won(g, b > a, a == b))
defvjp(np.minimum,      lambda g, y, a, b: _won(g, a < b, a == b),         lambda g, y, a, b: _won(g, b < a, a == b))
defvjp(np.fmax,         lambda g, y, a, b: _won(g, (a > b) | (b != b), a == b),
                        lambda g, y, a, b: _won(g, (b > a) | (a != a), a == b))
defvjp(np.fmin,         lambda g, y, a, b: _won(g, (a < b) | (b != b), a == b),
                        lambda g, y, a, b: _won(g, (b < a) | (a != a), a == b))
defvjp(np.copysign,     lambda g, y, a, b: g * (np.sign(a) * np.sign(y)),  lambda g, y, a, b: np.zeros_like(g))
defvjp(np.heaviside,    lambda g, y, x, h: np.zeros_like(g),               lambda g, y, x, h: np.where(x == 0, g, 0))
defvjp(np.where,        None,
                        lambda g, y, c, a, b: np.where(c, g, 0),           lambda g, y, c, a, b: np.where(c, 0, g))
defvjp(np.clip,         lambda g, y, x, lo, hi: np.where((x >= lo) & (x <= hi), g, 0),
                        lambda g, y, x, lo, hi: np.where((x < lo) & (lo <= hi), g, 0),
                        lambda g, y, x, lo, hi: np.where((x > hi) | (lo > hi), g, 0),
       forward=lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi))
# fmt: on


def _won(g: Any, strictly: Any, tie: Any) -> Any:
    return np.where(strictly, g, np.where(tie, 0.5 * g, 0))


# -- Reductions: axis is None or a tuple of non-negative ints ----------------------------------------------------------

# Called with positional arguments, which halves their overhead.
_add: Any = np.add.reduce
_multiply: Any = np.multiply.reduce
_maximum: Any = np.maximum.reduce
_minimum: Any = np.minimum.reduce

# fmt: off
defvjp(np.sum,          lambda g, y, x, axis, keepdims: spread(g, x, axis, keepdims),
       forward=lambda x, axis, keepdims: _add(x, axis, None, None, keepdims))
defvjp(np.mean,         lambda g, y, x, axis, keepdims: spread(g / _count(x, axis), x, axis, keepdims),
       forward=lambda x, axis, keepdims: _add(x, axis, None, None, keepdims) / _count(x, axis))
defvjp(np.max,          lambda g, y, x, axis, keepdims: _shared(g, x, axis, keepdims, x < spread(y, x, axis, keepdims)),
       forward=lambda x, axis, keepdims: _maximum(x, axis, None, None, keepdims))
defvjp(np.min,          lambda g, y, x, axis, keepdims: _shared(g, x, axis, keepdims, x > spread(y, x, axis, keepdims)),
       forward=lambda x, axis, keepdims: _minimum(x, axis, None, None, keepdims))
defvjp(np.prod,         lambda g, y, x, axis, keepdims: spread(g, x, axis, keepdims) * product_of_others(x, axis),
       forward=lambda x, axis, keepdims: _multiply(x, axis, None, None, keepdims))
defvjp(np.cumsum,       lambda g, y, x, axis: np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis))
defvjp(np.cumprod,      lambda g, y, x, axis: _running_product_vjp(g, y, x, axis))
# fmt: on


def _count(x: Any, axis: tuple[int, ...] | None) -> int:
    """How many elements each mean is taken over."""
    return int(x.size) if axis is None else math.prod(x.shape[i] for i in axis)


def _shared(g: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool, lost: Any) -> Any:
    """The gradient in equal parts to all that did not lose (where the result is NaN, to all)."""
    hits = (~lost).astype(x.dtype)
    return spread(g, x, axis, keepdims) * hits / np.sum(hits, axis=axis, keepdims=True)


def product_of_others(x: Any, axis: tuple[int, ...] | None) -> Any:
    """For each element the product of all the others along ``axis``, exact where some are 0, for any order.

    A prefix product times a suffix product, each by doubling: log2(n) multiplications and no division.
    """
    axes = tuple(range(x.ndim)) if axis is None else axis
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = kept + axes
    rows = np.transpose(x, order)
    flat = rows.reshape((*rows.shape[: len(kept)], math.prod(rows.shape[len(kept) :])))
    before = _exclusive_product(flat)
    after = _exclusive_product(flat[..., ::-1])[..., ::-1]
    return np.transpose((before * after).reshape(rows.shape), np.argsort(order))


def _exclusive_product(x: Any) -> Any:
    """Along the last axis: the product of all elements before each one."""
    n = x.shape[-1]
    p = np.concatenate((np.ones_like(x[..., :1]), x[..., :-1]), axis=-1)
    step = 1
    while step < n:
        p = np.concatenate((p[..., :step], p[..., step:] * p[..., :-step]), axis=-1)
        step *= 2
    return p


def _running_product_vjp(g: Any, y: Any, x: Any, axis: int) -> Any:
    """For each j: prod(x[:j]) * s[j], where s[j] = g[j] + x[j + 1] * s[j + 1]; no division, so zeros are exact."""
    g, y, x = (np.swapaxes(a, axis, -1) for a in (g, y, x))
    one = np.ones_like(x[..., :1])
    s, m = g[..., ::-1], np.concatenate((one, x[..., :0:-1]), axis=-1)
    step = 1
    while step < x.shape[-1]:  # the recurrence by doubling: after each pass s reaches twice as far
        s = np.concatenate((s[..., :step], s[..., step:] + m[..., step:] * s[..., :-step]), axis=-1)
        m = np.concatenate((m[..., :step], m[..., step:] * m[..., :-step]), axis=-1)
        step *= 2
    return np.swapaxes(np.concatenate((one, y[..., :-1]), axis=-1) * s[..., ::-1], axis, -1)


# -- Products of matrices ----------------------------------------------------------------------------------------------

# Of two matrices `ndarray.dot` is the same product: where they are small, in a third of the time of np.matmul.
# NumPy 2.2 and older keep silent where it overflows; there np.matmul stays.


def _dot_warns() -> bool:
    try:
        with np.errstate(over="raise"):
            np.full((1, 1), 1e308).dot(np.full((1, 1), 10.0))
    except FloatingPointError:
        return True
    return False


DOT_WARNS = _dot_warns()


def _matmul(a: Any, b: Any) -> Any:
    if DOT_WARNS and type(a) is np.ndarray is type(b) and a.ndim == 2 == b.ndim:
        return a.dot(b)
    return np.matmul(a, b)


def _matmul_a(g: Any, y: Any, a: Any, b: Any) -> Any:
    if DOT_WARNS and type(g) is np.ndarray is type(b) and a.ndim == 2 == b.ndim:
        return g.dot(b.T)
    if b.ndim == 1:
        return g.reshape((*g.shape, 1)) * b
    if a.ndim == 1:
        return np.matmul(b, g.reshape((*g.shape, 1)))[..., 0]
    return np.matmul(g, b.mT)


def _matmul_b(g: Any, y: Any, a: Any, b: Any) -> Any:
    if DOT_WARNS and type(g) is np.ndarray is type(a) and a.ndim == 2 == b.ndim:
        return a.T.dot(g)
    if a.ndim == 1:
        return a.reshape((*a.shape, 1)) * g.reshape((*g.shape[:-1], 1, *g.shape[-1:])) if b.ndim > 1 else a * g
    if b.ndim == 1:
        return np.matmul(a.mT, g.reshape((*g.shape, 1)))[..., 0]
    return np.matmul(a.mT, g)


defvjp(np.matmul, _matmul_a, _matmul_b, forward=_matmul)

# Here no operand repeats a label, and none has a label of its own: see the front in functions.py.
# fmt: off
defvjp(np.einsum,       each=lambda i, g, y, *xs, subscripts, optimize: _einsum_vjp(i, g, xs, subscripts, optimize),
       forward=lambda *xs, subscripts, optimize: np.einsum(subscripts, *xs, optimize=optimize))
defvjp(np.convolve,     lambda g, y, a, b: np.convolve(g, b[::-1], "valid"),
                        lambda g, y, a, b: np.convolve(g, a[::-1], "valid"))
# fmt: on


def _einsum_vjp(i: int, g: Any, xs: Sequence[Any], subscripts: str, optimize: Any) -> Any:
    """The gradient of a sum of products is a sum of products: the output's place and operand i's are exchanged."""
    operands, result = subscripts.split("->")
    labels = operands.split(",")
    others = (result, *labels[:i], *labels[i + 1 :])
    gx = np.einsum(f"{','.join(others)}->{labels[i]}", g, *xs[:i], *xs[i + 1 :], optimize=optimize)
    return np.broadcast_to(gx, np.broadcast_shapes(gx.shape, xs[i].shape))  # where an operand of length 1 stretched


# -- Shape and place ---------------------------------------------------------------------------------------------------

# fmt: off
defvjp(np.reshape,      lambda g, y, x, shape: g.reshape(x.shape),
       forward=lambda x, shape: x.reshape(shape))
defvjp(np.transpose,    lambda g, y, x, axes: np.transpose(g, tuple(sorted(range(len(axes)), key=axes.__getitem__))),
       forward=lambda x, axes: x.transpose(axes))
defvjp(np.broadcast_to, lambda g, y, x, shape: g)
defvjp(np.concatenate,  each=lambda i, g, y, *xs, axis: g[_part(i, xs, axis)],
       forward=lambda *xs, axis: np.concatenate(xs, axis))
# fmt: on


def _part(i: int, xs: Sequence[Any], axis: int) -> tuple[slice, ...]:
    start = sum(x.shape[axis] for x in xs[:i])
    return (slice(None),) * axis + (slice(start, start + xs[i].shape[axis]),)


@primitive
def identity(x: Any) -> Any:
    """The same value as a new node of the graph."""
    return x


@primitive
def astype(x: Any, *, dtype: Any) -> Any:
    """Cast to another floating dtype; the gradient is cast back."""
    return x.astype(dtype)


# Indices that are known beforehand are an option of getitem; those that are themselves computed (an argsort) or fed to
# a compiled step (labels) are an argument of take and take_along_axis. Each has its transpose, which adds up.


@primitive
def getitem(x: Any, *, index: Any) -> Any:
    """``x[index]``, for any index that NumPy takes."""
    return x[index]


@primitive
def scatter(g: Any, *, index: Any, shape: tuple[int, ...]) -> Any:
    """The transpose of ``getitem``: zeros of ``shape`` with ``g`` added at ``index``, repeated places adding up."""
    out = np.zeros(shape, g.dtype)
    if is_basic(index) or (type(index) is np.ndarray and index.dtype == bool):  # each element once
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


@primitive
def scatter_take(g: Any, indices: Any, *, axis: int, length: int) -> Any:
    """The transpose of ``np.take`` along an axis of that length."""
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + np.ndim(indices) :]), g.dtype)
    np.add.at(out, (slice(None),) * axis + (indices,), g)
    return out


@primitive
def scatter_along_axis(g: Any, indices: Any, *, axis: int, length: int) -> Any:
    """The transpose of ``np.take_along_axis`` along an axis of that length."""
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype)
    index: list[Any] = list(np.ogrid[tuple(slice(n) for n in g.shape)])
    index[axis] = indices
    np.add.at(out, tuple(index), g)
    return out


def is_basic(index: Any) -> bool:
    """Whether an index is made of ints, slices, None and Ellipsis alone, so that it makes a view, each element once."""
    parts = index if type(index) is tuple else (index,)
    return all(p is None or p is Ellipsis or type(p) in (int, slice) for p in parts)


# fmt: off
defvjp(identity,           lambda g, y, x: g)
defvjp(astype,             lambda g, y, x, dtype: astype(g, dtype=x.dtype))
defvjp(getitem,            lambda g, y, x, index: scatter(g, index=index, shape=x.shape))
defvjp(scatter,            lambda g, y, x, index, shape: getitem(g, index=index))
defvjp(np.take,            lambda g, y, x, i, axis: scatter_take(g, i, axis=axis, length=x.shape[axis]),       None)
defvjp(scatter_take,       lambda g, y, x, i, axis, length: np.take(g, i, axis=axis),                         None)
defvjp(np.take_along_axis, lambda g, y, x, i, axis: scatter_along_axis(g, i, axis=axis, length=x.shape[axis]), None)
defvjp(scatter_along_axis, lambda g, y, x, i, axis, length: np.take_along_axis(g, i, axis),                   None)
# fmt: on

for _function, _rule in RULES.items():
    if isinstance(_function, np.ufunc) and _function.signature is None:
        RULES[_function] = replace(_rule, pointwise=True)
