"""A function's program at one point, as a graph that can be differentiated in other ways than the right one.

Lines that run once for each data point are found to be the same line, element-wise functions are found as such (an
activation need not be one operation), and the parts of the sum that the result is are told apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from microgradnp import tree
from microgradnp.check.problem import Array, Function, Problem, plain
from microgradnp.engine.rules import SYMBOLS
from microgradnp.engine.state import no_grad
from microgradnp.engine.sweep import sweep, vjp_of
from microgradnp.engine.table import identity
from microgradnp.engine.tensor import Tensor
from microgradnp.transforms.graph import Operation, again, is_tracked, operations
from microgradnp.transforms.graph import variables as leaves_of
from microgradnp.transforms.pullback import vjp

Gradients = list[Array]
"""One array for each variable."""

Passing = Callable[[Array], list[tuple[Tensor, Array]]]
"""What a result does with its gradient: the Tensors that it passes one on to, each with that."""

NONE: Mapping[Tensor, Any] = {}


class Terms(NamedTuple):
    """The parts of the sum that a result is."""

    points: list[Gradients]
    """What each data point adds to the gradients."""
    others: dict[str, Gradients]
    """By name, what the other terms do."""


class Graph:
    """The function's program at one point: its operations, oldest first, and how they hang together."""

    def __init__(self, problem: Problem, variables: list[Tensor], root: Tensor) -> None:
        self.variables, self.root = variables, root
        self.start = {root: np.ones(root.shape, root.dtype)}
        self.operations = operations([root])
        self.made = {o.result: o for o in self.operations}
        self.names = {v: leaf.name for v, leaf in zip(variables, problem.leaves, strict=True)}
        # Some may be captured by the function; and one that does not run on Tensors has a result alone.
        leaves = dict.fromkeys([*variables, *leaves_of(self.operations), root])
        self.lines: dict[Tensor, int] = {x: hash(self.names.get(x, x.shape)) for x in leaves}
        """What is the same for the same line of the program run for another data point, by its result."""
        self.above: dict[Tensor, Tensor | None] = dict.fromkeys(leaves)
        """By result, the nearest earlier one through which all goes that it depends on."""
        self.depth: dict[Tensor, int] = dict.fromkeys(leaves, 0)
        self.groups: dict[int, list[Operation]] = {}
        """The operations of each line."""
        for o in self.operations:
            self.lines[o.result] = line = hash(self._line(o))
            self.groups.setdefault(line, []).append(o)
            above: Tensor | None = o.tracked[0]
            for x in o.tracked[1:]:
                above = self._meeting(above, x)
            self.above[o.result] = above
            self.depth[o.result] = 0 if above is None else self.depth[above] + 1

    def _line(self, o: Operation) -> tuple[Any, ...]:
        """All of an operation but its constants."""
        options = "" if o.name == "getitem" else repr(sorted(o.options.items(), key=str))
        return (o.name, o.result.shape, options, *(self.lines[x] if is_tracked(x) else np.shape(x) for x in o.inputs))

    def _meeting(self, a: Tensor | None, b: Tensor | None) -> Tensor | None:
        """The nearest earlier result through which all goes that two depend on."""
        while a is not b and a is not None and b is not None:
            if self.depth[a] >= self.depth[b]:
                a = self.above[a]
            else:
                b = self.above[b]
        return a if a is b else None

    def gradients(self, changes: Mapping[Tensor, Passing] = NONE, seeds: Mapping[Tensor, Array] = NONE) -> Gradients:
        """The gradient by each variable of the result, or of the nodes in ``seeds``.

        Some results, none of which depends on another, may pass theirs on in another way: the sweep stops at these and
        goes on from what they pass their gradients on to.
        """
        found = _swept(seeds or self.start, {*self.variables, *changes})
        beyond: dict[Tensor, Array] = {}
        for result, passing in changes.items():
            if result in found:
                for x, gx in passing(found[result]):
                    beyond[x] = beyond[x] + gx if x in beyond else gx
        parts = found, _swept(beyond, {*self.variables})
        return [np.array(sum((each[v] for each in parts if v in each), np.zeros(v.shape))) for v in self.variables]

    def replay(self, values: list[Array], constants: Mapping[Tensor, tuple[int, Any]]) -> Gradients:
        """The gradients of the same program with other variables, and other constants as an input of some results."""
        changed = []
        for o in self.operations:
            i, new = constants.get(o.result, (0, o.inputs[0]))
            changed.append(replace(o, inputs=(*o.inputs[:i], new, *o.inputs[i + 1 :])))

        def program(*variables: Any) -> Any:
            return again(changed, dict(zip(self.variables, variables, strict=True)))[self.root]

        return _differentiated(program, values)[1]

    def gradient_at(self, node: Tensor) -> Array:
        """The gradient by one result."""
        return _swept(self.start, {node}).get(node, np.zeros(node.shape))

    @cached_property
    def terms(self) -> Terms:
        """The parts of the sum that the result is.

        Terms made by the same line of the program are data points, and so are the rows of a sum that is computed from
        constant arrays. A term that is computed from the variables alone, beside these, is a penalty.
        """
        lines: dict[int, list[tuple[Tensor, float]]] = {}
        for scalar, factor in self._scalars():
            lines.setdefault(self.lines[scalar], []).append((scalar, factor))
        points: list[list[Gradients]] = []
        others: dict[str, Gradients] = {}
        for group in lines.values():
            seeds = [{scalar: np.full(scalar.shape, factor)} for scalar, factor in group]
            rows = seeds if len(group) > 1 else self._rows(*group[0])
            if 1 < len(rows) <= _MOST_TERMS:
                points.append([self.gradients(seeds=seed) for seed in rows])
            elif len(lines) > 1:
                within = operations([group[0][0]])
                names = [self.names[v] for v in leaves_of(within) if v in self.names]
                what = "a term" if _data_of(within) else "the penalty"
                name = f"{what} that depends on {', '.join(names)}"
                others[name + " (another)" * (name in others)] = self.gradients(seeds=seeds[0])
        if len({len(found) for found in points}) > 1:  # no data of one kind
            return Terms([], others)
        joined = [[np.array(sum(g)) for g in zip(*same, strict=True)] for same in zip(*points, strict=True)]
        if joined and others:
            others["the part of the data"] = [np.array(sum(g)) for g in zip(*joined, strict=True)]
        return Terms(joined, others)

    def _rows(self, total: Tensor, factor: float) -> list[dict[Tensor, Array]]:
        """Seeds for the rows of the array of data that a scalar is the sum or the mean of; none if it is neither."""
        o = self.made.get(total)
        if o is None or o.name not in ("np.sum", "np.mean") or not _data_of(operations([total])):
            return []
        summed = o.tracked[0]
        if not summed.ndim or len(summed) > _MOST_TERMS:
            return []
        seeds = [np.zeros(summed.shape) for _ in range(len(summed))]
        for k, seed in enumerate(seeds):
            seed[k] = factor / (summed.size if o.name == "np.mean" else 1)
        return [{summed: seed} for seed in seeds]

    def _scalars(self) -> list[tuple[Tensor, float]]:
        """The scalars that add up to the result, each with a constant factor."""
        found: list[tuple[Tensor, float]] = []
        walk: list[tuple[Tensor, float]] = [(self.root, 1.0)]
        while walk:
            scalar, factor = walk.pop()
            parts = _parts(self.made.get(scalar))
            walk += [(part, factor * c) for part, c in parts]
            if not parts:
                found.append((scalar, factor))
        return found

    @cached_property
    def segments(self) -> dict[tuple[int, int], list["Segment"]]:
        """All element-wise functions of one variable in the program, those of the same line together."""
        out: dict[tuple[int, int], list[Segment]] = {}
        for outer in self.made:
            inner = self.above[outer]
            for _ in range(8):
                if inner is None or inner.shape != outer.shape:
                    break
                between = operations([outer], ends=[inner])
                if not all(_elementwise(o) and o.result.shape == outer.shape for o in between):
                    break
                out.setdefault((self.lines[outer], self.lines[inner]), []).append(Segment(inner, outer, between))
                inner = self.above.get(inner)
        return out


_MOST_TERMS = 512
"""Up to so many data points each is looked at by itself."""


def _data_of(within: list[Operation]) -> bool:
    """Whether some operations compute with constant arrays."""
    constants = [x for o in within for x in (*o.inputs, *tree.leaves(o.options.get("index"))) if not is_tracked(x)]
    return any(np.size(x) > 1 for x in constants)


def _swept(seeds: Mapping[Tensor, Array], targets: set[Tensor]) -> dict[Tensor, Array]:
    with np.errstate(all="ignore"):
        return sweep(dict(seeds), retain=True, targets=targets)


def _differentiated(f: Function, values: list[Array]) -> tuple[Any, Gradients]:
    """The value of a part of the program, and the gradients of its sum; captured variables stand for their values."""
    with no_grad(), np.errstate(all="ignore"):
        value, pullback = vjp(f, *values)
        return value, list(pullback(np.ones(np.shape(value))))


def _parts(o: Operation | None) -> list[tuple[Tensor, float]]:
    """The scalars that an operation adds up, each with a constant factor; none if it does something else."""
    if o is None or any(x.size != 1 for x in o.tracked):
        return []
    scaled = o.name == "np.multiply" or (o.name == "np.divide" and is_tracked(o.inputs[0]))
    if o.name not in _SUMS and not (scaled and len(o.tracked) == 1):
        return []
    one, y, values = np.ones(o.result.shape), o.result.data, o.values
    slopes = ((x, vjp_of(o.rule, i)(one, y, *values, **o.options)) for i, x in enumerate(o.inputs) if is_tracked(x))
    return [(x, float(np.sum(slope))) for x, slope in slopes][::-1]  # the first is walked first


_SUMS = {"np.add", "np.subtract", "np.positive", "np.negative", "np.reshape"}


# -- Element-wise functions --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Segment:
    """An element-wise function within the program: from ``inner`` to ``outer`` by some operations."""

    inner: Tensor
    outer: Tensor
    operations: list[Operation]

    def at(self, u: Any) -> tuple[Any, Any]:
        """The function and its derivative at other values of the inner node."""
        value, (slope,) = _differentiated(
            lambda t: again(self.operations, {self.inner: t})[self.outer], [np.asarray(u)]
        )
        return value, slope

    @property
    def slope(self) -> Any:
        """Its derivative where it is."""
        return self.at(self.inner.data)[1]

    @property
    def is_linear(self) -> bool:
        """Whether the derivative is the same elsewhere."""
        return np.allclose(self.slope, self.at(self.inner.data + 0.37)[1], rtol=1e-9)

    @property
    def is_padded(self) -> bool:
        """Whether its first or its last step only adds a constant: without that it says the same."""
        return len(self.operations) > 1 and any(
            len(o.tracked) == 1 and (o.name == "np.add" or (o.name == "np.subtract" and is_tracked(o.inputs[0])))
            for o in (self.operations[0], self.operations[-1])
        )


def _elementwise(o: Operation) -> bool:
    f = o.rule.function
    return (isinstance(f, np.ufunc) and f.signature is None) or f in (np.where, np.clip, identity)


def formula(segment: Segment) -> str:
    """A segment's function of z, in NumPy's notation."""
    made = {o.result: o for o in segment.operations}

    def text(x: Any, bracket: bool = False) -> str:
        if x is segment.inner:
            return "z"
        o = made.get(x) if type(x) is Tensor else None
        if o is None:
            return f"{float(plain(x)):.6g}" if np.ndim(x) == 0 else "c"
        if o.rule.function in SYMBOLS:
            a, b = (text(part, True) for part in o.inputs)
            words = f"{a} {SYMBOLS[o.rule.function]} {b}"
            return f"({words})" if bracket else words
        if o.name == "np.negative":
            return f"-{text(o.inputs[0], True)}"
        if o.name == "np.square":
            return f"{text(o.inputs[0], True)}**2"
        return f"{o.name.removeprefix('np.')}({', '.join(text(part) for part in o.inputs)})"

    return text(segment.outer)
