"""A graph as data: the operations that gave some results, oldest first, and the same ones computed again.

What shows, checks or changes a graph reads it here; nobody else need know how a Tensor remembers what it came from.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from microgradnp.arrays import native, plain_array
from microgradnp.engine.rules import RULES, Rule
from microgradnp.engine.state import current
from microgradnp.engine.sweep import FREED, freed
from microgradnp.engine.table import identity
from microgradnp.engine.tensor import Tensor, apply, wrap
from microgradnp.versions import VARIABLE, orders


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One use of a row of the table: ``result`` is what ``rule`` gave for ``inputs`` and ``options``."""

    result: Tensor
    rule: Rule
    inputs: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The function's name, such as ``np.add``."""
        return self.rule.name

    @property
    def values(self) -> list[Any]:
        """The inputs as the rule's arrays and numbers."""
        return [x._value if type(x) is Tensor else x for x in self.inputs]

    @property
    def tracked(self) -> list[Tensor]:
        """The inputs that a gradient flows to."""
        return [x for x in self.inputs if is_tracked(x)]


TRACKED = "_tracked"
"""Where a Tensor keeps whether a gradient flows to it, for what has to ask at each replay of a program."""


def is_tracked(x: Any) -> bool:
    """Whether ``x`` is a Tensor that a gradient flows to."""
    return type(x) is Tensor and x._tracked


def operation(t: Tensor) -> Operation | None:
    """The operation that gave ``t``; None for a leaf."""
    return None if t._rule is None else Operation(t, t._rule, t._inputs, t._options)


def operations(results: Iterable[Any], ends: Iterable[Tensor] = ()) -> list[Operation]:
    """All operations that the results were computed by, oldest first; none that lies behind one of ``ends``.

    Raises
    ------
    RuntimeError
        If a part of the graph is gone: `backward` frees what it has passed.
    """
    stop = set(ends)
    found = {t: None for t in results if is_tracked(t) and t._rule is not None and t not in stop}
    walk = list(found)
    while walk:
        for x in walk.pop()._inputs:
            if is_tracked(x) and x._rule is not None and x not in found and x not in stop:
                found[x] = None
                walk.append(x)
    if any(t._rule is FREED for t in found):
        freed()
    return [Operation(t, t._rule, t._inputs, t._options) for t in sorted(found, key=lambda t: -t._order)]


def variables(graph: Iterable[Operation]) -> list[Tensor]:
    """The leaves that the gradients of these operations flow to, oldest first."""
    found = {x for o in graph for x in o.tracked if x._rule is None}
    return sorted(found, key=lambda t: -t._order)


def again(graph: Iterable[Operation], values: Mapping[Tensor, Any]) -> dict[Tensor, Any]:
    """Compute these operations again, oldest first, with other values for some Tensors: all results, and the values.

    Within a transform, or where a value is a Tensor that wants a gradient, the new results are part of a graph.
    """
    new: dict[Tensor, Any] = dict(values)
    for o in graph:
        if o.result not in values:
            new[o.result] = apply(o.rule, tuple(new.get(x, x) if type(x) is Tensor else x for x in o.inputs), o.options)
    return new


def dependents(graph: Iterable[Operation], t: Tensor) -> list[Operation]:
    """Those of these operations, oldest first, whose results were computed from ``t``."""
    reached = {t}
    found = []
    for o in graph:
        if any(x in reached for x in o.tracked):
            reached.add(o.result)
            found.append(o)
    return found


def variable(x: Any) -> Tensor:
    """A fresh variable of the value of ``x``: a node above it where it is part of a recorded graph, else a leaf."""
    if type(x) is Tensor and x._tracked and current().recording:
        return apply(RULES[identity], (x,))
    t = wrap(x._value if type(x) is Tensor else native(plain_array(x)))
    t._tracked, t._options = True, VARIABLE
    t._order = next(orders)
    return t


def is_variable(t: Tensor) -> bool:
    """Whether a leaf was made here."""
    return getattr(t, "_options", None) is VARIABLE


def oldest_of(variables: Iterable[Tensor]) -> int:
    """The creation number of the oldest of some variables, or of now."""
    return max([v._order for v in variables], default=next(orders))


def between(
    results: list[Tensor], variables: Container[Tensor], oldest: int, own: Container[Tensor]
) -> tuple[set[Tensor], bool, bool]:
    """The nodes from ``variables`` to ``results``, and whether anything else that wants a gradient reaches the results.

    A node older than every variable cannot depend on one, so the walk stops there. What is older is outside, and so is
    what a variable in ``own`` stands for; a younger leaf was made by the function itself, in a transform within, say.
    The last answer is whether some branch ends at such a place, so that a sweep has to keep to these nodes.
    """
    found = set()
    outside = astray = False
    for t in results:
        if t._tracked and t not in variables:
            if t._rule is not None:
                found.add(t)
            elif t not in own:
                astray = True
                outside = outside or t._order > oldest
    walk = list(found)
    while walk:
        for x in walk.pop()._inputs:
            if type(x) is not Tensor or not x._tracked or x in found or x in variables:
                continue
            if x._rule is None or x._order > oldest or x in own:
                outside = outside or (x._rule is not None if x in own else x._order > oldest)
                astray = True
            else:
                found.add(x)
                walk.append(x)
    for node in found:
        if node._rule is FREED:  # what it depended on is gone, and with it the gradient
            freed()
    if not astray:  # then every branch ends at a variable
        return found, outside, False
    inside: set[Tensor] = set()
    for node in sorted(found, key=lambda t: -t._order):
        if any(type(x) is Tensor and (x in variables or x in inside) for x in node._inputs):
            inside.add(node)
    return inside, outside, True
