"""The backward sweep: carry a gradient from a result to everything that it was computed from.

Every node of the graph carries a creation number, and a node's inputs are older than itself. So the newest node that
still waits is always ready: all its users have been swept. A heap hands it out; there is no recursion and no sorting
pass, and a chain of a million operations costs a million times one.

A node is any object with the attributes that ``tensor.py`` gives a Tensor: ``_rule``, ``_inputs``, ``_options``,
``_order``, ``_value`` and ``_tracked``.
"""

from collections.abc import Container, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from microgradnp.engine.rules import ARRAYS, Rule, Vjp
from microgradnp.engine.state import Machine, current
from microgradnp.signatures import parameters_of
from microgradnp.versions import used_by


def sweep(
    gradients: dict[Any, Any],
    *,
    retain: bool = False,
    record: bool = False,
    between: Container[Any] | None = None,
    targets: Container[Any] = (),
) -> dict[Any, Any]:
    """Carry ``gradients`` (of the results) back to the leaves, or to ``targets``, and return the gradient of each.

    Each of ``gradients`` has its result's shape and dtype. With ``record`` the rules run on Tensors, so that the
    gradients are themselves part of a graph. ``between`` restricts the sweep to the nodes that lie between the results
    and ``targets``. Without ``retain`` each node lets go of its inputs as soon as it has been passed, so that memory
    shrinks as the sweep goes on.
    """
    machine = current().machine
    # Creation numbers count downwards, so the heap's smallest is the newest node.
    waiting = [(x._order, x) for x in gradients if x._rule is not None and x not in targets]
    heapify(waiting)
    while waiting:
        node = heappop(waiting)[1]
        for x, gx in passed_on(node, gradients.pop(node), machine, record, between, targets):
            if x in gradients:
                gradients[x] = machine.added(x, gradients[x], gx)
            else:
                gradients[x] = gx
                if x._rule is not None and x not in targets:
                    heappush(waiting, (x._order, x))
        if not retain:
            free(node)
    return gradients


def passed_on(
    node: Any, g: Any, machine: Machine, record: bool, between: Container[Any] | None, targets: Container[Any]
) -> Iterator[tuple[Any, Any]]:
    """The inputs of a node that want a gradient, each with its gradient."""
    rule = node._rule
    if rule is FREED:
        freed()
    machine.reached(node, g)
    inputs = node._inputs
    y, arguments = (node, inputs) if record else (node._value, node._values)
    for i, x in enumerate(inputs):
        if type(x) is not type(node):
            continue
        if x._order < node._order:
            changed(rule, x)
        if x._tracked and (between is None or x in between or x in targets):
            gx = machine.passed(node, i, vjp_of(rule, i), g, y, arguments)
            yield x, fitted(gx, x._value, rule, i)


def version(node: Any, x: Any) -> Any:
    """The version of an input that a node has used; an error if it is not known any more."""
    x = used_by(node, x)
    if x._order < node._order:
        changed(node._rule, x)
    return x


def free(node: Any) -> None:
    """Let go of what a node was computed from."""
    node._rule, node._inputs = FREED, ()


def freed(*_: Any, **__: Any) -> Any:
    """A rule, and a forward, of a node whose graph is gone."""
    raise RuntimeError(
        "backward() came to a part of the graph that an earlier backward() has freed. Compute the loss again, add the "
        "losses up before one backward(), or keep the graph with backward(retain_graph=True)."
    )


freed.__name__ = "an operation whose graph is freed"

FREED = Rule(freed, freed, (freed,))
"""The rule of a node whose graph is gone."""


def vjp_of(rule: Rule, i: int) -> Vjp:
    """The derivative rule for argument ``i``; where there is none, an error."""
    try:
        vjp = rule.vjps[i]
    except IndexError:
        raise TypeError(
            f"the derivative rules of {rule.name} serve {len(rule.vjps)} arguments, but {argument(rule, i)} needs a "
            "gradient too: give defvjp one rule for each array argument."
        ) from None
    if vjp is None:
        raise TypeError(
            f"{rule.name} has no derivative with respect to its {argument(rule, i)}. Pass that argument without a "
            "gradient (x.detach() or stop_gradient(x)), or give it a rule with defvjp."
        )
    return vjp


def argument(rule: Rule, i: int) -> str:
    """An argument as errors name it: by its place, and by its name where the function tells it."""
    parameters = parameters_of(rule.function)
    return f"argument {i} ({parameters[i].name})" if i < len(parameters) else f"argument {i}"


def changed(rule: Rule, x: Any) -> None:
    """Raise: a node's input is younger than the node."""
    raise RuntimeError(
        f"an input of {rule.name}, of shape {x.shape}, got a new value between forward and backward (by t[...] = v, "
        "t.data = v or an optimizer's step) or began to require a gradient, so the gradient would be wrong. Run "
        "backward() before changing it, or compute the loss again."
    )


# -- A gradient takes the form of what it belongs to -------------------------------------------------------------------


def fitted(gx: Any, value: Any, rule: Rule, i: int) -> Any:
    """Undo broadcasting and casting: bring a gradient to the shape and dtype of the value that it belongs to."""
    if not hasattr(gx, "shape") or gx.dtype.kind not in "fiub":
        gx = _as_array(gx, rule, i)
    if gx.shape != value.shape:
        gx = unbroadcast(gx, value.shape, rule, i)
    return gx if gx.dtype == value.dtype and type(gx) in ARRAYS else gx.astype(value.dtype, copy=False)


def unbroadcast(gx: Any, shape: tuple[int, ...], rule: Rule, i: int) -> Any:
    """Sum a gradient over the axes that broadcasting has added or stretched."""
    given = gx.shape
    extra = len(given) - len(shape)
    if extra < 0 or any(n not in (m, 1) for m, n in zip(given[extra:], shape, strict=True)):
        raise ValueError(
            f"the derivative rule of {rule.name} for {argument(rule, i)} returned a gradient of shape {given}, but "
            f"the argument has shape {shape}: the gradient must have that shape, or one that broadcasting made of it."
        )
    stretched = tuple(j for j, m in enumerate(given) if j < extra or (shape[j - extra] == 1 and m != 1))
    if stretched:
        gx = np.add.reduce(gx, axis=stretched)
    return gx.reshape(shape)


def _as_array(gx: Any, rule: Rule, i: int) -> Any:
    if isinstance(gx, int | float):
        return np.asarray(gx)
    if isinstance(gx, tuple | list):
        what = f"a {type(gx).__name__} of {len(gx)}"
    else:
        what = f"an array of dtype {gx.dtype}" if hasattr(gx, "dtype") else "None" if gx is None else type(gx).__name__
    raise TypeError(
        f"the derivative rule of {rule.name} for {argument(rule, i)} returned {what}; it must return the gradient for "
        "that argument alone, one array of its shape."
    )
