"""What is here changes nothing but time: leave it out and everything works.

The door and the sweep once more, spelled out for operations of one input or two, which nearly all are, in the plain
state; everything else goes the plain way. A chain of tiny operations takes half as long so, the chapter's network three
quarters. `install` puts them in the place of the plain ones; the package does so when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import update_wrapper
from heapq import heapify, heappop, heappush
from types import FunctionType
from typing import Any

import numpy as np

from microgradnp.arrays import READY, REAL
from microgradnp.engine import sweep as sweeping
from microgradnp.engine import table, tensor
from microgradnp.engine.rules import ARRAYS, RULES, Rule
from microgradnp.engine.state import PLAIN, Machine, current, with_shapes
from microgradnp.engine.sweep import FREED, passed_on, version, vjp_of
from microgradnp.engine.table import DOT_WARNS, getitem
from microgradnp.engine.tensor import ALL, NONE, ONE, Tensor, blank, call, plain_index
from microgradnp.versions import VIEW, captured, orders, viewed

_ndarray, _asarray = np.ndarray, np.asarray
_FLOAT64 = np.dtype(np.float64)

ALIKE: dict[str, Any] = {}
"""The options, none, of a node made of one array and a number, which is of that array's shape and dtype."""

_plain_apply, _plain_backward = tensor.apply, Tensor.backward
_GETITEM = RULES[getitem]
_SQUARE, _SQRT, _RECIPROCAL, _POWER = (RULES[f] for f in (np.square, np.sqrt, np.reciprocal, np.power))
_plain_fitted = sweeping.fitted
_plain_spread = table.spread

# -- The door ----------------------------------------------------------------------------------------------------------


def apply(rule: Rule, inputs: tuple[Any, ...], options: dict[str, Any] = NONE) -> Tensor:
    """Compute one row of the table on Tensors, arrays and numbers, and connect the result to what it came from."""
    if len(inputs) == 1:
        a = inputs[0]
        t = unary(a, rule, options)
        if rule.view and type(a) is Tensor:
            viewed(t, a, rule.function, options)
        return t
    if len(inputs) == 2 and not options:
        return binary(*inputs, rule)
    return _plain_apply(rule, inputs, options)


def unary(a: Any, rule: Rule, options: dict[str, Any] = NONE) -> Tensor:
    """`apply` for a single input, without its loops: half of the time of a small operation is overhead."""
    if type(a) is not Tensor or current() is not PLAIN:
        return _plain_apply(rule, (a,), options)
    forward = rule.forward
    try:
        y = forward(a._value, **options) if options else forward(a._value)
    except ValueError as error:
        raise with_shapes(error, rule, [a._value]) from None
    t = blank()
    t._value = y if type(y) is _ndarray else _asarray(y)
    t._grad = None
    t.name = None
    tracked = a._tracked
    if tracked:
        t._tracked = True
        t._rule = rule
        t._a = a if tracked is True else captured(a)
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
    if current() is not PLAIN:
        return _plain_apply(rule, (a, b), NONE)
    options = NONE
    if type(a) is Tensor:
        x = a._value
        tracked = a._tracked
        kind = type(b)
        if kind is Tensor:
            z = b._value
            if b._tracked is not tracked or tracked is VIEW:
                tracked = tracked or b._tracked
                if tracked:
                    a, b = captured(a), captured(b)
        elif tracked is VIEW:
            return _plain_apply(rule, (a, b), NONE)
        elif kind is float or kind is int:
            z = b
            if numbers is not None and x.dtype is _FLOAT64:
                z = numbers.get(b)
                if z is None:
                    z = _as_array(b)
                if x.ndim:  # the gradient of a 0-d Tensor is a scalar, which meets a number faster than an array
                    b = z
                    options = ALIKE
        elif (kind is _ndarray and b.dtype in REAL) or kind in READY:
            z = b
        else:
            return _plain_apply(rule, (a, b), NONE)
    elif type(b) is Tensor:
        z = b._value
        tracked = b._tracked
        if tracked is VIEW:
            return _plain_apply(rule, (a, b), NONE)
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
        elif (kind is _ndarray and a.dtype in REAL) or kind in READY:
            x = a
        else:
            return _plain_apply(rule, (a, b), NONE)
    else:
        return _plain_apply(rule, (a, b), NONE)
    forward = rule.forward  # rule.forward(...) would look it up as a method, in three times the time
    try:
        y = forward(x, z)
    except ValueError as error:
        raise with_shapes(error, rule, [x, z]) from None
    t = blank()
    t._value = y if type(y) is _ndarray else _asarray(y)
    t._grad = None
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


_arrays: dict[float, Any] = {}


# -- The ways to it ----------------------------------------------------------------------------------------------------


def _method(name: str, function: Any, *defaults: Any) -> Any:
    """`unary` or `binary` with a rule as its default: a method that is the function itself saves a call within each."""
    method = FunctionType(function.__code__, function.__globals__, name, defaults)
    return update_wrapper(method, getattr(Tensor, name))


def _reflected(name: str, rule: Rule) -> Any:
    def method(self: Any, other: Any) -> Tensor:
        return binary(other, self, rule, _arrays)

    return update_wrapper(method, getattr(Tensor, name))


def _array_ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    if method == "__call__":
        if not options and (rule := RULES.get(ufunc)) is not None:
            n = len(inputs)
            if n == 1:
                return unary(inputs[0], rule)
            return binary(inputs[0], inputs[1], rule) if n == 2 else _plain_apply(rule, inputs, options)
        return call(ufunc, inputs, options)
    return call(getattr(ufunc, method), inputs, options)


def _getitem(self: Any, index: Any) -> Tensor:
    options = {"index": plain_index(index)}
    t = unary(self, _GETITEM, options)
    if t._value.base is not None:
        viewed(t, self, getitem, options)
    return t


def _pow(self: Any, other: Any) -> Tensor:
    if type(other) is int or type(other) is float:
        if other == 2:
            return unary(self, _SQUARE)
        if other == 0.5 and self._value.dtype.kind == "f":
            return unary(self, _SQRT)
        if other == -1 and self._value.dtype.kind == "f":
            return unary(self, _RECIPROCAL)
    return binary(self, other, _POWER)


def _comparison(function: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    def compare(self: Any, other: Any) -> Any:
        if current() is not PLAIN:
            return plain(self, other)
        return function(self._value, other._value if type(other) is Tensor else other)

    return compare


def _backward(self: Any, gradient: Any = None, *, retain_graph: bool = False) -> None:
    if gradient is not None or not self._tracked or current() is not PLAIN:
        _plain_backward(self, gradient, retain_graph=retain_graph)
        return
    gradients = sweep({self: self._seed(None)}, retain=retain_graph)
    with tensor.depositing:
        for leaf, g in gradients.items():
            if leaf._tracked:  # not frozen since
                if leaf._grad is None:  # in memory of its own
                    leaf._grad = g.copy("K") if type(g) is _ndarray else np.array(g)
                else:
                    leaf._deposit(g)


def _grad(self: Any) -> Any:
    now = current()
    return self._grad if now is PLAIN else now.machine.gradient(self)


def _set_grad(self: Any, value: Any) -> None:
    now = current()
    if now is PLAIN:
        self._grad = value
    else:
        now.machine.set_gradient(self, value)


# -- The sweep ---------------------------------------------------------------------------------------------------------


def sweep(
    gradients: dict[Any, Any],
    *,
    retain: bool = False,
    record: bool = False,
    between: Container[Any] | None = None,
    targets: Container[Any] = (),
) -> dict[Any, Any]:
    """Carry ``gradients`` back to the leaves, or to ``targets``: as the plain sweep, which says how."""
    waiting = [(x._order, x) for x in gradients if x._rule is not None and x not in targets]
    if not waiting:
        return gradients
    heapify(waiting)
    kind = type(waiting[0][1])
    machine = current().machine
    in_place = not record and type(machine) is Machine
    plainly = in_place and between is None
    own = set()  # nodes whose gradient is a sum made here, which nobody else holds: added to in place
    node = g = None
    more: list[tuple[Any, Any]] = []  # inputs that have their gradient and wait to be given it
    while True:
        if node is None:
            if not waiting:
                return gradients
            node = heappop(waiting)[1]
            g = gradients.pop(node)
        a = node._a
        b = node._b
        if plainly and b is not ALL:
            # Nearly all nodes have one input or two: spelled out instead of in a loop, they take half as long.
            rule = node._rule
            y = node._value
            order = node._order
            if b is ONE:
                x = a if a._order >= order else version(node, a)  # an input as young as that has got a new value since
                i = 0
                value = x._value
                options = node._options
                vjp = rule.vjps[0] or vjp_of(rule, 0)
                gx = vjp(g, y, value, **options) if options else vjp(g, y, value)
                known = rule.pointwise
            else:
                i = 0
                if type(a) is not kind:
                    x = b if b._order >= order else version(node, b)
                    u = a
                    v = value = x._value
                    i = 1
                elif type(b) is not kind:
                    x = a if a._order >= order else version(node, a)
                    u = value = x._value
                    v = b
                else:
                    x = a if a._order >= order else version(node, a)
                    if b._order < order:
                        b = version(node, b)
                    u = value = x._value
                    v = b._value
                    if b._tracked and not x._tracked:
                        x = b
                        i = 1
                        value = v
                    elif b._tracked:
                        try:
                            vjp = rule.vjps[1] or vjp_of(rule, 1)
                        except IndexError:
                            vjp = vjp_of(rule, 1)
                        gx = vjp(g, y, u, v)
                        if type(gx) not in ARRAYS or gx.shape != v.shape or gx.dtype is not v.dtype:
                            gx = fitted(gx, v, rule, 1)
                        if b._rule is None and b not in gradients:
                            gradients[b] = gx
                        else:
                            more.append((b, gx))
                try:
                    vjp = rule.vjps[i] or vjp_of(rule, i)
                except IndexError:
                    vjp = vjp_of(rule, i)
                gx = vjp(g, y, u, v)
                known = rule.pointwise and node._options is ALIKE
            if not known and (type(gx) not in ARRAYS or gx.shape != value.shape or gx.dtype is not value.dtype):
                gx = fitted(gx, value, rule, i)
        else:
            more = list(passed_on(node, g, machine, record, between, targets))
            x, gx = more.pop() if more else (None, None)
        if not retain:
            node._rule = FREED
            node._a = ()
            node._b = ALL
        node = None
        while x is not None:
            if x not in gradients:
                if x._rule is None or (targets and x in targets):
                    gradients[x] = gx
                elif not more and (not waiting or x._order < waiting[0][0]):
                    node = x  # newer than all that wait, so it is next: no need of the heap
                    g = gx
                    break
                else:
                    gradients[x] = gx
                    heappush(waiting, (x._order, x))
            else:
                old = gradients[x]
                if x in own:
                    np.add(old, gx, out=old)
                elif in_place:
                    total = gradients[x] = old + gx
                    if total.ndim:
                        own.add(x)
                else:
                    gradients[x] = machine.added(x, old, gx)
            if not more:
                break
            x, gx = more.pop()


# -- The rows ----------------------------------------------------------------------------------------------------------

_ONES = {kind: np.ones(4096, kind) for kind in "df"} if DOT_WARNS else {}
"""To add up the rows of a matrix, as the gradient of a bias wants: a product with ones takes half of np.add.reduce."""


def fitted(gx: Any, value: Any, rule: Rule, i: int) -> Any:
    """Undo broadcasting and casting, the rows of a matrix added by a product with ones."""
    if type(gx) is _ndarray and gx.ndim == 2 and gx.shape[1:] == value.shape and gx.dtype is value.dtype:
        ones = _ONES.get(gx.dtype.char)
        if ones is not None and gx.shape[0] <= len(ones) and gx.flags.c_contiguous:
            return ones[: gx.shape[0]].dot(gx)
    return _plain_fitted(gx, value, rule, i)


def spread(g: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """A few elements of a full reduction are written out, where many become a view without strides.

    NumPy computes with them in a third of the time that such a view takes.
    """
    if axis is None and type(g) in ARRAYS and not g.ndim:
        if x.size <= 1000:
            y = np.empty(x.shape, g.dtype)
            y.fill(g)
            return y
        return np.ndarray(x.shape, g.dtype, np.asarray(g), 0, (0,) * x.ndim)
    return _plain_spread(g, x, axis, keepdims)


# -- In their places ---------------------------------------------------------------------------------------------------


def install() -> None:
    """Put what is here in the place of the plain door, sweep and operators."""
    vars(tensor).update(apply=apply, sweep=sweep)
    vars(sweeping).update(sweep=sweep, fitted=fitted)
    vars(table).update(spread=spread)
    arithmetic: dict[str, Callable[..., Any]] = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "mod": np.remainder,
        "matmul": np.matmul,
    }  # fmt: skip
    methods: dict[str, Any] = {"__array_ufunc__": _array_ufunc, "__getitem__": _getitem}
    for name, function in arithmetic.items():
        methods[f"__{name}__"] = _method(f"__{name}__", binary, RULES[function], _arrays)
        methods[f"__r{name}__"] = _reflected(f"__r{name}__", RULES[function])
    for name, function in {"neg": np.negative, "pos": np.positive}.items():
        methods[f"__{name}__"] = _method(f"__{name}__", unary, RULES[function], NONE)
    for name, function in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}.items():
        method = _comparison(function, getattr(Tensor, f"__{name}__"))
        methods[f"__{name}__"] = update_wrapper(method, getattr(Tensor, f"__{name}__"))
    methods |= {"__pow__": update_wrapper(_pow, Tensor.__pow__), "backward": update_wrapper(_backward, Tensor.backward)}
    methods["grad"] = property(_grad, _set_grad, doc=Tensor.grad.__doc__)
    for name, method in methods.items():
        setattr(Tensor, name, method)
