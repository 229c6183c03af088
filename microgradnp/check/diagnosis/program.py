"""A function's program at one point, as a graph that can be differentiated in other ways than the right one.

Lines that run once for each data point are found to be the same line, element-wise functions are found as such (an
activation need not be one operation), and the parts of the sum that the result is are told apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradnp.check.problem import Array, Problem
from microgradnp.engine.rules import Rule
from microgradnp.engine.sweep import sweep
from microgradnp.engine.table import identity
from microgradnp.engine.tensor import ALL, Tensor, apply
from microgradnp.transforms.pullback import vjp

Gradients = list[Array]
"""One array for each variable."""


class Graph:
    """The function's program at one point: its operations, oldest first, and how they hang together."""

    def __init__(self, problem: Problem, variables: list[Tensor], root: Tensor) -> None:
        self.variables, self.root = variables, root
        self.names = {v: leaf.name for v, leaf in zip(variables, problem.leaves, strict=True)}
        self.nodes = self._collect()
        self.signatures: dict[Tensor, int] = {}
        self.above: dict[Tensor, Tensor | None] = dict.fromkeys(variables)
        self.depth: dict[Tensor, int] = dict.fromkeys(variables, 0)
        for node in self.nodes:
            self.signatures[node] = hash(self._signature(node))
            self.above[node] = above = self._bottleneck(node)
            self.depth[node] = 0 if above is None else self.depth[above] + 1
        self.groups: dict[int, list[Tensor]] = {}
        for node in self.nodes:
            self.groups.setdefault(self.signatures[node], []).append(node)

    def _collect(self) -> list[Tensor]:
        found = {self.root: None}
        walk = [self.root]
        while walk:
            for x in tracked(walk.pop()):
                if x._rule is not None and x not in found:
                    found[x] = None
                    walk.append(x)
        return sorted((t for t in found if t._rule is not None), key=lambda t: -t._order)

    def _signature(self, node: Tensor) -> tuple[Any, ...]:
        """What is the same for the same line of the program run for another data point: all but the constants."""
        parts: list[Any] = [node._rule.name if node._rule else "", node.shape]
        if node._rule is not None and node._rule.name != "getitem":
            parts.append(repr(sorted(node._options.items(), key=str)))
        for x in node._inputs:
            if type(x) is Tensor and x._tracked:
                parts.append(self.names[x] if x in self.names else self.signatures[x])
            else:
                parts.append(np.shape(x))
        return tuple(parts)

    def _bottleneck(self, node: Tensor) -> Tensor | None:
        """The nearest earlier node through which all that ``node`` depends on goes."""
        a: Tensor | None = None
        for n, b in enumerate(tracked(node)):
            a = b if n == 0 else a
            other: Tensor | None = b
            while a is not other and a is not None and other is not None:
                if self.depth[a] >= self.depth[other]:
                    a = self.above[a]
                else:
                    other = self.above[other]
            if a is not other:
                return None
        return a

    def gradients(self, seeds: dict[Tensor, Array] | None = None) -> Gradients:
        """The gradient by each variable of the result, or of other nodes."""
        start: dict[Any, Any] = dict(seeds or {self.root: np.ones(self.root.shape, self.root.dtype)})
        with np.errstate(all="ignore"):
            found = sweep(start, retain=True, targets=set(self.variables))
        return [np.array(found[v]) if v in found else np.zeros(v.shape) for v in self.variables]

    def with_changes(self, changes: Mapping[Tensor, tuple[tuple[Tensor, ...], Callable[[int, Any], Any]]]) -> Gradients:
        """The gradients when some nodes pass their gradient on in another way: to those inputs, by that function."""
        kept = [(node, node._rule, node._a, node._b, node._options) for node in changes]
        try:
            for node, (inputs, passing) in changes.items():
                vjps = tuple(_only(passing, i) for i in range(len(inputs)))
                node._rule, node._options = Rule(identity, identity, vjps), {}
                node._a, node._b = inputs, ALL
            return self.gradients()
        finally:
            for node, rule, a, b, options in kept:
                node._rule, node._a, node._b, node._options = rule, a, b, options

    def replay(self, values: list[Array], constants: Mapping[Tensor, tuple[int, Any]]) -> Gradients:
        """The gradients of the same program with other variables, and another constant as input of some nodes."""

        def program(*variables: Any) -> Any:
            new: dict[Tensor, Any] = dict(zip(self.variables, variables, strict=True))
            for node in self.nodes:
                inputs = [new.get(x, x) if type(x) is Tensor else x for x in node._inputs]
                if node in constants:
                    i, value = constants[node]
                    inputs[i] = value
                assert node._rule is not None
                new[node] = apply(node._rule, tuple(inputs), node._options)
            return new[self.root]

        with np.errstate(all="ignore"):
            value, pullback = vjp(program, *values)
            return list(pullback(np.ones(np.shape(value))))

    def terms(self) -> list[Gradients]:
        """What each data point adds to the gradients: the parts of the sum that the result is."""
        ends: list[tuple[Tensor, float]] = []
        walk: list[tuple[Tensor, float]] = [(self.root, 1.0)]
        while walk:
            node, factor = walk.pop()
            rule, inside = node._rule.name if node._rule else "", tracked(node)
            constant: Any = next((x for x in node._inputs if not (type(x) is Tensor and x._tracked)), None)
            if rule in ("np.add", "np.subtract") and len(inside) == 2 and all(x.size == 1 for x in inside):
                sign = -1.0 if rule == "np.subtract" else 1.0
                walk += [(inside[1], sign * factor), (inside[0], factor)]
            elif rule in ("np.add", "np.positive", "np.reshape") and len(inside) == 1 and inside[0].size == 1:
                walk.append((inside[0], factor))
            elif (
                rule in ("np.multiply", "np.divide")
                and len(inside) == 1
                and np.size(constant) == 1
                and inside[0].size == 1
            ):
                if rule == "np.divide" and node._inputs[0] is not inside[0]:
                    ends.append((node, factor))
                else:
                    c = float(np.asarray(constant).reshape(()))
                    walk.append((inside[0], factor * c if rule == "np.multiply" else factor / c))
            else:
                ends.append((node, factor))
        if len(ends) > _MOST_TERMS:
            return []
        if len(ends) > 1:
            return [self.gradients({node: np.full(node.shape, factor)}) for node, factor in ends]
        node, factor = ends[0]
        if node._rule is None or node._rule.name not in ("np.sum", "np.mean") or node.size != 1:
            return []
        summed = tracked(node)[0]
        if not summed.ndim or len(summed) > _MOST_TERMS:
            return []
        if node._rule.name == "np.mean":
            factor /= summed.size
        out = []
        for k in range(summed.shape[0]):
            seed = np.zeros(summed.shape)
            seed[k] = factor
            out.append(self.gradients({summed: seed}))
        return out


_MOST_TERMS = 512
"""Up to so many data points each is looked at by itself."""


def tracked(node: Tensor) -> list[Tensor]:
    """The inputs of a node that carry a gradient."""
    return [x for x in node._inputs if type(x) is Tensor and x._tracked]


def _only(passing: Callable[..., Any], i: int) -> Callable[..., Any]:
    return lambda g, y, *inputs: passing(i, g)


def _elementwise(rule: Rule | None) -> bool:
    f = rule.function if rule else None
    return (isinstance(f, np.ufunc) and f.signature is None) or f in (np.where, np.clip, identity)


@dataclass(slots=True)
class Segment:
    """An element-wise function within the program: from ``inner`` to ``outer`` by way of ``nodes``."""

    inner: Tensor
    outer: Tensor
    nodes: list[Tensor]

    def at(self, u: Any) -> tuple[Any, Any]:
        """The function and its derivative at other values of the inner node."""

        def replay(t: Any) -> Any:
            new: dict[Tensor, Any] = {self.inner: t}
            for node in self.nodes:
                inputs = tuple(new.get(x, x) if type(x) is Tensor else x for x in node._inputs)
                assert node._rule is not None
                new[node] = apply(node._rule, inputs, node._options)
            return new[self.outer]

        with np.errstate(all="ignore"):
            value, pullback = vjp(replay, np.asarray(u))
            return value, pullback(np.ones(np.shape(value)))[0]

    def at_term(self, i: int) -> Any:
        """The derivative where one of the two terms that the inner node is the sum of stands alone."""
        return self.at(np.broadcast_to(self.inner._inputs[i].data, self.inner.shape))[1]

    @property
    def is_linear(self) -> bool:
        """Whether the derivative is the same elsewhere."""
        x = self.inner.data
        return np.allclose(self.at(x)[1], self.at(x + 0.37)[1], rtol=1e-9)

    @property
    def is_shift(self) -> bool:
        """Whether it only adds a constant."""
        return self.is_linear and bool(np.all(self.at(self.inner.data)[1] == 1))

    def ends(self, graph: Graph) -> list["Segment"]:
        """The first and the last step of a segment of several."""
        if len(self.nodes) == 1:
            return []
        first, last = self.nodes[0], graph.above[self.outer]
        steps = [Segment(self.inner, first, [first])] if len(tracked(first)) == 1 else []
        if last is not None and len(tracked(self.outer)) == 1:
            steps.append(Segment(last, self.outer, [self.outer]))
        return steps


def segments(graph: Graph) -> dict[tuple[int, int], list[Segment]]:
    """All element-wise functions of one variable in the program, those of the same line together."""
    out: dict[tuple[int, int], list[Segment]] = {}
    for outer in graph.nodes:
        inner = graph.above[outer]
        for _ in range(8):
            if inner is None or inner.shape != outer.shape:
                break
            nodes, walk = {outer: None}, [outer]
            while walk:
                for x in tracked(walk.pop()):
                    if x is not inner and x not in nodes:
                        nodes[x] = None
                        walk.append(x)
            if not all(_elementwise(node._rule) and node.shape == outer.shape for node in nodes):
                break
            ordered = sorted(nodes, key=lambda t: -t._order)
            key = graph.signatures[outer], graph.signatures.get(inner, hash(graph.names.get(inner)))
            out.setdefault(key, []).append(Segment(inner, outer, ordered))
            inner = graph.above.get(inner)
    return out


def formula(segment: Segment) -> str:
    """A segment's function of z, in NumPy's notation."""
    signs = {"np.add": "+", "np.subtract": "-", "np.multiply": "*", "np.divide": "/", "np.power": "**"}

    def text(x: Any, bracket: bool = False) -> str:
        if x is segment.inner:
            return "z"
        if type(x) is not Tensor or not any(x is node for node in segment.nodes) or x._rule is None:
            value = x.data if type(x) is Tensor else x
            return f"{float(value):.6g}" if np.ndim(value) == 0 else "c"
        name = x._rule.name
        if name in signs:
            a, b = (text(part, True) for part in x._inputs)
            return f"({a} {signs[name]} {b})" if bracket else f"{a} {signs[name]} {b}"
        if name == "np.negative":
            return f"-{text(x._inputs[0], True)}"
        if name == "np.square":
            return f"{text(x._inputs[0], True)}**2"
        return f"{name.removeprefix('np.')}({', '.join(text(part) for part in x._inputs)})"

    return text(segment.outer)
