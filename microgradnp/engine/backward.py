"""The backward sweep: carry a gradient from a result to everything it was computed from.

Every node of the graph carries a creation number, and a node's inputs are older than itself. So the newest node that
still waits is always ready: all its users have been swept. A heap hands it out; there is no recursion and no sorting
pass, and a chain of a million operations costs a million times one.

A node is any object with the attributes that ``tensor.py`` gives a Tensor: ``_rule``, ``_a`` and ``_b`` (its inputs),
``_options``, ``_order``, ``_value`` and ``_tracked``.
"""

import inspect
from collections.abc import Container
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from microgradnp.engine.rules import Rule


def _freed(*_: Any, **__: Any) -> Any:
    raise RuntimeError(
        "backward() came to a part of the graph that an earlier backward() has freed. Compute the loss again, add the "
        "losses up before one backward(), or keep the graph with backward(retain_graph=True)."
    )


_freed.__name__ = "an operation whose graph is freed"

ONE = object()
"""Stands in a node's second slot where the first holds its only input."""

ALL = object()
"""Stands in a node's second slot where the first holds all its inputs, as a tuple."""

_FIRST, _SECOND, _BOTH = (0,), (1,), (0, 1)
_ARRAYS = frozenset({np.ndarray, np.float64, np.float32})

FREED = Rule(_freed, _freed, (_freed,))
"""The rule of a node whose graph is gone."""


def sweep(
    gradients: dict[Any, Any],
    *,
    retain: bool = False,
    record: bool = False,
    watch: Any = None,
    between: Container[Any] | None = None,
    targets: Container[Any] = (),
) -> dict[Any, Any]:
    """Carry ``gradients`` (of the results) back to the leaves, or to ``targets``, and return the gradient of each.

    With ``record`` the rules run on Tensors, so that the gradients are themselves part of a graph. ``between``
    restricts the sweep to the nodes that lie between the results and ``targets``. Without ``retain`` each node lets go
    of its inputs as soon as it has been passed, so that memory shrinks as the sweep goes on.
    """
    # Creation numbers count downwards, so the heap's smallest is the newest node.
    waiting = [(x._order, x) for x in gradients if x._rule is not None and x not in targets]
    heapify(waiting)
    kind: Any = type(next(iter(gradients), None))
    own = set()  # nodes whose gradient is a sum made here, which nobody else holds: added to in place
    node: Any = None
    while True:
        if node is None:
            if not waiting:
                return gradients
            node = heappop(waiting)[1]
            g = gradients.pop(node)
        rule = node._rule
        if rule is FREED:
            _freed()
        a = node._a
        b = node._b
        options = node._options
        inputs: Any
        values: Any
        edges: Any  # the inputs that want a gradient
        order = node._order
        if b is ONE:
            inputs = (a,)
            values = (a._value,)
            edges = _FIRST
            changed = a._order < order
        elif b is ALL:
            inputs = a
            changed = any(type(x) is kind and x._order < order for x in a)
            values = [x._value if type(x) is kind else x for x in a]
            edges = [i for i, x in enumerate(a) if type(x) is kind and x._tracked]
        else:
            inputs = (a, b)
            if type(a) is not kind:
                values = (a, b._value)
                edges = _SECOND
                changed = b._order < order
            elif type(b) is not kind:
                values = (a._value, b)
                edges = _FIRST
                changed = a._order < order
            else:
                values = (a._value, b._value)
                changed = a._order < order or b._order < order
                edges = _SECOND if not a._tracked else _BOTH if b._tracked else _FIRST
        vjps = rule.vjps
        if watch is not None:
            watch.check_unchanged(node, g)
        if changed:  # an input as young as that has got a new value since
            _changed(rule, [x.shape for x in inputs if type(x) is kind and x._order < order])
        y, arguments = (node, inputs) if record else (node._value, values)
        following = None
        for i in edges:
            x = inputs[i]
            if between is None:
                inner = x._rule is not None
            elif x in targets:
                inner = False
            elif x in between:
                inner = True
            else:
                continue
            try:
                vjp = vjps[i]
            except IndexError:
                raise TypeError(
                    f"the derivative rules of {rule.name} serve {len(vjps)} arguments, but {_argument(rule, i)} needs "
                    "a gradient too: give defvjp one rule for each array argument."
                ) from None
            if vjp is None:
                _no_rule(rule, i)
            if options or b is ALL:
                gx = vjp(g, y, *arguments, **options)
            elif b is ONE:  # a call with its arguments spelled out takes half as long
                gx = vjp(g, y, arguments[0])
            else:
                gx = vjp(g, y, arguments[0], arguments[1])
            if watch is not None:
                watch.check_gradient(node, i, g, gx)
            value = values[i]
            if type(gx) not in _ARRAYS or gx.shape != value.shape or gx.dtype is not value.dtype:
                gx = _repair(gx, value, rule, i)
            old = gradients.get(x)
            if old is None:
                if inner:
                    if len(edges) == 1 and (not waiting or x._order < waiting[0][0]):
                        following = x  # newer than all that wait, so it is next: no need of the heap
                        break
                    heappush(waiting, (x._order, x))
                gradients[x] = gx
            elif x in own:
                np.add(old, gx, out=old)
            else:
                total = gradients[x] = old + gx
                if not record and total.ndim:
                    own.add(x)
        if not retain:
            node._rule = FREED
            node._a = ()
            node._b = ALL
        node = following
        if node is not None:
            g = gx


def _changed(rule: Rule, shapes: list[tuple[int, ...]]) -> None:
    raise RuntimeError(
        f"an input of {rule.name}, of shape {shapes[0]}, got a new value between forward and backward (by t[...] = v, "
        "t.data = v or an optimizer's step), so the gradient would be wrong. Run backward() before changing it, or "
        "compute the loss again."
    )


def _no_rule(rule: Rule, i: int) -> None:
    raise TypeError(
        f"{rule.name} has no derivative with respect to its {_argument(rule, i)}. Pass that argument without a "
        "gradient (x.detach() or stop_gradient(x)), or give it a rule with defvjp."
    )


def _repair(gx: Any, value: Any, rule: Rule, i: int) -> Any:
    """Undo broadcasting and casting: bring a gradient to the shape and dtype of the value it belongs to."""
    try:
        shape = gx.shape
    except AttributeError:
        gx = _not_an_array(gx, rule, i)
        shape = gx.shape
    if shape != value.shape:
        gx = _unbroadcast(gx, shape, value.shape, rule, i)
    if gx.dtype != value.dtype:
        if gx.dtype.kind not in "fiub":
            _not_an_array(gx, rule, i)
        gx = gx.astype(value.dtype)
    return gx


def _not_an_array(gx: Any, rule: Rule, i: int) -> Any:
    if isinstance(gx, int | float):
        return np.asarray(gx)
    if isinstance(gx, tuple | list):
        what = f"a {type(gx).__name__} of {len(gx)}"
    else:
        what = f"an array of dtype {gx.dtype}" if hasattr(gx, "dtype") else "None" if gx is None else type(gx).__name__
    raise TypeError(
        f"the derivative rule of {rule.name} for {_argument(rule, i)} returned {what}; it must return the gradient for "
        "that argument alone, one array of its shape."
    )


def _argument(rule: Rule, i: int) -> str:
    """An argument as errors name it: by its place, and by its name where the function tells it."""
    try:
        return f"argument {i} ({list(inspect.signature(rule.function).parameters)[i]})"
    except (ValueError, TypeError, IndexError):
        return f"argument {i}"


def _unbroadcast(gx: Any, given: tuple[int, ...], shape: tuple[int, ...], rule: Rule, i: int) -> Any:
    extra = len(given) - len(shape)
    if extra < 0 or any(n not in (m, 1) for m, n in zip(given[extra:], shape, strict=True)):
        raise ValueError(
            f"the derivative rule of {rule.name} for {_argument(rule, i)} returned a gradient of shape {given}, but "
            f"the argument has shape {shape}: the gradient must have that shape, or one that broadcasting made of it."
        )
    stretched = tuple(j for j, m in enumerate(given) if j < extra or (shape[j - extra] == 1 and m != 1))
    if stretched:
        gx = np.add.reduce(gx, axis=stretched)  # np.sum, without its 2 us of wrapping
    return gx.reshape(shape)
