"""The backward sweep: carry a gradient from a result to everything it was computed from.

Every node of the graph carries a creation number, and a node's inputs are older than itself. So the newest node that
still waits is always ready: all its users have been swept. A heap hands it out; there is no recursion and no sorting
pass, and a chain of a million operations costs a million times one.

A node is any object with the attributes that ``tensor.py`` gives a Tensor: ``_rule``, ``_a`` and ``_b`` (its inputs),
``_options``, ``_order``, ``_value`` and ``_tracked``.
"""

from collections.abc import Container
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from microgradnp.engine.rules import ARRAYS, DOT_WARNS, Rule, parameters_of


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

ALIKE: dict[str, Any] = {}
"""The options, none, of a node made of one array and a number, which is of that array's shape and dtype."""

FREED = Rule(_freed, _freed, (_freed,))
"""The rule of a node whose graph is gone."""


class Watcher:
    """What a sweep tells, step by step, to whoever watches it: here nobody does anything with it."""

    def check_unchanged(self, node: Any, g: Any) -> None:
        """Before the rules of a node run on its gradient."""

    def check_gradient(self, node: Any, i: int, g: Any, gx: Any) -> None:
        """After a rule has run, before its result is brought to the argument's shape and dtype."""

    def check_sum(self, x: Any, total: Any, parts: tuple[Any, Any]) -> None:
        """After two gradients of one Tensor were added."""


def sweep(
    gradients: dict[Any, Any],
    *,
    retain: bool = False,
    record: bool = False,
    watch: Watcher | None = None,
    between: Container[Any] | None = None,
    targets: Container[Any] = (),
) -> dict[Any, Any]:
    """Carry ``gradients`` (of the results) back to the leaves, or to ``targets``, and return the gradient of each.

    Each of ``gradients`` has its result's shape and dtype.

    With ``record`` the rules run on Tensors, so that the gradients are themselves part of a graph. ``between``
    restricts the sweep to the nodes that lie between the results and ``targets``. Without ``retain`` each node lets go
    of its inputs as soon as it has been passed, so that memory shrinks as the sweep goes on.
    """
    # Creation numbers count downwards, so the heap's smallest is the newest node.
    waiting = [(x._order, x) for x in gradients if x._rule is not None and x not in targets]
    if not waiting:
        return gradients
    heapify(waiting)
    kind = type(waiting[0][1])
    plainly = not record and watch is None and between is None
    in_place = not record and watch is None
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
            if b is ONE:
                x = a
                i = 0
                value = x._value
                options = node._options
                vjp = rule.vjps[0] or _rule_for(rule, 0)
                gx = vjp(g, y, value, **options) if options else vjp(g, y, value)
                known = rule.pointwise
            else:
                x = a
                i = 0
                if type(a) is not kind:
                    u = a
                    v = value = b._value
                    x = b
                    i = 1
                elif type(b) is not kind:
                    u = value = a._value
                    v = b
                else:
                    u = value = a._value
                    v = b._value
                    if b._tracked and not a._tracked:
                        if a._order < node._order:
                            _changed(rule, a)
                        x = b
                        i = 1
                        value = v
                    elif b._order < node._order:
                        _changed(rule, b)
                    elif b._tracked:
                        try:
                            vjp = rule.vjps[1] or _rule_for(rule, 1)
                        except IndexError:
                            vjp = _rule_for(rule, 1)
                        gx = vjp(g, y, u, v)
                        if type(gx) not in ARRAYS or gx.shape != v.shape or gx.dtype is not v.dtype:
                            gx = _repair(gx, v, rule, 1)
                        if b._rule is None and b not in gradients:
                            gradients[b] = gx
                        else:
                            more.append((b, gx))
                try:
                    vjp = rule.vjps[i] or _rule_for(rule, i)
                except IndexError:
                    vjp = _rule_for(rule, i)
                gx = vjp(g, y, u, v)
                known = rule.pointwise and node._options is ALIKE
            if x._order < node._order:  # an input as young as that has got a new value since
                _changed(rule, x)
            if not known and (type(gx) not in ARRAYS or gx.shape != value.shape or gx.dtype is not value.dtype):
                gx = _repair(gx, value, rule, i)
        else:
            more = _to_each(node, g, kind, record, watch, between, targets)
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
                else:
                    total = gradients[x] = old + gx
                    if in_place and total.ndim:
                        own.add(x)
                    if watch is not None:
                        watch.check_sum(x, total, (old, gx))
            if not more:
                break
            x, gx = more.pop()


def _to_each(
    node: Any,
    g: Any,
    kind: Any,
    record: bool,
    watch: Watcher | None,
    between: Container[Any] | None,
    targets: Container[Any],
) -> list[tuple[Any, Any]]:
    """The inputs of a node that want a gradient, each with its gradient."""
    rule = node._rule
    if rule is FREED:
        _freed()
    b = node._b
    inputs = node._a if b is ALL else (node._a,) if b is ONE else (node._a, b)
    if watch is not None:
        watch.check_unchanged(node, g)
    y, arguments = (node, inputs) if record else (node._value, [x._value if type(x) is kind else x for x in inputs])
    found = []
    for i, x in enumerate(inputs):
        if type(x) is not kind:
            continue
        if x._order < node._order:  # an input as young as that has got a new value since
            _changed(rule, x)
        if x._tracked and (between is None or x in between or x in targets):
            gx = _rule_for(rule, i)(g, y, *arguments, **node._options)
            if watch is not None:
                watch.check_gradient(node, i, g, gx)
            value = x._value
            if type(gx) not in ARRAYS or gx.shape != value.shape or gx.dtype is not value.dtype:
                gx = _repair(gx, value, rule, i)
            found.append((x, gx))
    return found


def _rule_for(rule: Rule, i: int) -> Any:
    """The derivative rule for argument ``i``; where there is none, an error."""
    try:
        vjp = rule.vjps[i]
    except IndexError:
        raise TypeError(
            f"the derivative rules of {rule.name} serve {len(rule.vjps)} arguments, but {_argument(rule, i)} needs a "
            "gradient too: give defvjp one rule for each array argument."
        ) from None
    if vjp is None:
        raise TypeError(
            f"{rule.name} has no derivative with respect to its {_argument(rule, i)}. Pass that argument without a "
            "gradient (x.detach() or stop_gradient(x)), or give it a rule with defvjp."
        )
    return vjp


def _changed(rule: Rule, x: Any) -> None:
    raise RuntimeError(
        f"an input of {rule.name}, of shape {x.shape}, got a new value between forward and backward (by t[...] = v, "
        "t.data = v or an optimizer's step) or began to require a gradient, so the gradient would be wrong. Run "
        "backward() before changing it, or compute the loss again."
    )


_ONES = {kind: np.ones(4096, kind) for kind in "df"} if DOT_WARNS else {}
"""To add up the rows of a matrix, as the gradient of a bias wants: a product with ones takes half of np.add.reduce."""


def _repair(gx: Any, value: Any, rule: Rule, i: int) -> Any:
    """Undo broadcasting and casting: bring a gradient to the shape and dtype of the value it belongs to."""
    try:
        shape = gx.shape
    except AttributeError:
        gx = _not_an_array(gx, rule, i)
        shape = gx.shape
    wanted = value.shape
    dtype = value.dtype
    if shape != wanted:
        if len(shape) == 2 and shape[1:] == wanted and gx.dtype is dtype and type(gx) is np.ndarray:
            ones = _ONES.get(dtype.char)
            if ones is not None and shape[0] <= len(ones) and gx.flags.c_contiguous:
                return ones[: shape[0]].dot(gx)
        gx = _unbroadcast(gx, shape, wanted, rule, i)
    if gx.dtype is not dtype and gx.dtype != dtype:
        if gx.dtype.kind not in "fiub":
            _not_an_array(gx, rule, i)
        gx = gx.astype(dtype)
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
    parameters = parameters_of(rule.function)
    return f"argument {i} ({parameters[i].name})" if i < len(parameters) else f"argument {i}"


def _unbroadcast(gx: Any, given: tuple[int, ...], shape: tuple[int, ...], rule: Rule, i: int) -> Any:
    extra = len(given) - len(shape)
    if extra > 0 and given[extra:] == shape:  # a bias: only axes in front are new
        return np.add.reduce(gx, axis=0 if extra == 1 else tuple(range(extra)))
    if extra < 0 or any(n not in (m, 1) for m, n in zip(given[extra:], shape, strict=True)):
        raise ValueError(
            f"the derivative rule of {rule.name} for {_argument(rule, i)} returned a gradient of shape {given}, but "
            f"the argument has shape {shape}: the gradient must have that shape, or one that broadcasting made of it."
        )
    stretched = tuple(j for j, m in enumerate(given) if j < extra or (shape[j - extra] == 1 and m != 1))
    if stretched:
        gx = np.add.reduce(gx, axis=stretched)  # np.sum, without its 2 us of wrapping
    return gx.reshape(shape)
