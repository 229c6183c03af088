"""The mistakes that people make in deriving a gradient by hand, each as a way to compute a wrong gradient.

A mistake is a `Candidate`: what it is called, and a function from a point and a variable to the gradient that it leads
to. Most are made in a backward pass over the function's own program.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.check.diagnosis.classes import Scores, class_mistakes, scores_of
from microgradnp.check.diagnosis.program import Gradients, Graph, Passing, Segment, formula, segments
from microgradnp.check.hint import times
from microgradnp.check.problem import Array, Function, Problem, hand_leaves, plain
from microgradnp.check.references import gradient_by_differences
from microgradnp.engine.sweep import fitted, vjp_of
from microgradnp.engine.tensor import Tensor
from microgradnp.transforms.graph import Operation, is_tracked, operation

Make = Callable[..., Any]
"""``make(point, k)`` is the gradient by variable ``k`` that a mistake leads to; None where it cannot be made."""


class Point:
    """One drawn point: the right gradients there, the gradients by hand, and the program."""

    def __init__(self, problem: Problem, graph: Graph | None) -> None:
        self.problem, self.graph = problem, graph
        self.values = [leaf.array for leaf in problem.leaves]
        self.right: Gradients = graph.gradients() if graph else gradient_by_differences(problem)
        self.hand: Gradients = []
        self.terms: list[Gradients] = []
        self.others: dict[str, Gradients] = {}
        self.segments: dict[tuple[int, int], list[Segment]] = {}

    def ask(self, hand: Function) -> list[str]:
        """Compute the gradients by hand; which of the arguments that changes in place, which are given back."""
        given = self.problem.moved(tree.map(lambda x: x.copy() if isinstance(x, np.ndarray) else x, self.problem.args))
        before = given.snapshot()
        with np.errstate(all="ignore"):
            self.hand = [np.array(g, np.float64) for g in hand_leaves(hand(*given.args, **given.options), given)]
        return list(given.put_back(before))

    @cached_property
    def scores(self) -> tuple[int, Scores] | None:
        """The scores of a classification, after their line of the program."""
        return scores_of(self.graph) if self.graph else None

    def look_closer(self) -> None:
        """Find the parts of the program, once they are needed."""
        if self.graph is not None and not self.segments:
            self.terms, self.others = self.graph.terms()
            self.segments = segments(self.graph)


@dataclass(slots=True)
class Candidate:
    """A mistake: its kind, what to say about it, and the gradient that it makes of the right one."""

    kind: str
    text: str
    make: Make
    fitted: bool = False
    """Whether a number in it was chosen so that it fits."""


def candidates(problem: Problem, point: Point, k: int) -> Iterator[Candidate]:
    """The known mistakes for variable ``k``, the plainest first."""
    shape = point.right[k].shape
    if point.hand[k].shape != shape:
        yield from _shape_mistakes(point, k)
        others = [j for j in range(len(point.right)) if point.right[j].shape == point.hand[k].shape]
        yield from (_swapped(problem, j) for j in others)
        return
    yield Candidate("right", "", lambda p, k: p.right[k])
    yield from _penalty_mistakes(point, k, sizes_of(problem, point))
    yield from _term_mistakes(point, k)
    yield from _entry_mistakes(problem, point, k)
    # Two that stand in each other's place are swapped; one alone may just as well lack what tells them apart.
    others = [j for j in range(len(point.right)) if j != k and point.right[j].shape == shape]
    swapped = [
        j for j in others if point.hand[j].shape == shape and np.allclose(point.hand[j], point.right[k], rtol=1e-6)
    ]
    yield from (_swapped(problem, j) for j in swapped)
    if point.graph is not None:
        data = data_names(problem)
        if point.scores is not None:
            yield from (Candidate(*mistake) for mistake in class_mistakes(point.scores[0]))
        yield from _chain_mistakes(problem, point, point.graph, data)
        yield from _operand_mistakes(point, point.graph, data)
        yield from _data_mistakes(point.graph, data)
    yield from (_swapped(problem, j) for j in others if j not in swapped)


def _swapped(problem: Problem, j: int) -> Candidate:
    text = f"it is the gradient by {problem.leaves[j].name}: the order of the results is wrong"
    return Candidate("swapped", text, lambda p, k: p.right[j])


# -- Seen in the numbers alone -----------------------------------------------------------------------------------------


def _shape_mistakes(point: Point, k: int) -> Iterator[Candidate]:
    """The right numbers in a wrong shape, or one array for each data point."""
    shape, given = point.right[k].shape, point.hand[k].shape
    extra = len(given) - len(shape)
    if extra >= 0:
        leading = tuple(i for i, n in enumerate(given) if i < extra or shape[i - extra] == 1 != n)
        for axes in dict.fromkeys((leading, tuple(range(len(shape), len(given))))):
            rest = math.prod(n for i, n in enumerate(given) if i not in axes)
            if axes and rest == math.prod(shape) != math.prod(given):
                text = f"it is not summed: its shape is {given}, one for each data point; sum it over axis {axes[0]}"
                yield Candidate(
                    "unsummed", text, partial(_repaired, lambda g, axes=axes: np.sum(g, axis=axes).reshape(shape))
                )
    if given == shape[::-1]:
        yield Candidate("transposed", f"it is transposed: its shape is {given}", partial(_repaired, np.transpose))
    if math.prod(given) == math.prod(shape):
        text = f"its numbers are right, but its shape is {given} instead of {shape}"
        yield Candidate("shape", text, partial(_repaired, lambda g: g.reshape(shape)))


def _repaired(repair: Callable[..., Any], p: Point, k: int) -> Any:
    """What is by hand, less the factor by which it differs from the right gradient once repaired; None if wrong."""
    right, repaired = p.right[k], repair(p.hand[k])
    if repaired.shape != right.shape or not right.any():
        return None
    factor = float(np.vdot(repaired, right) / np.vdot(right, right))
    close = np.allclose(repaired, factor * right, rtol=1e-6, atol=1e-9 * np.abs(repaired).max())
    return p.hand[k] / factor if factor and close else None


def sizes_of(problem: Problem, point: Point) -> dict[int, str]:
    """What a factor may be that stands for a number of something."""
    rows = [len(point.terms), *map(len, data_names(problem).values())]
    sizes = dict.fromkeys(rows, "N = {} being the number of data points")
    if point.scores is not None:
        sizes.setdefault(point.scores[1].z.shape[-1], "K = {} being the number of classes")
    return {n: what.format(n) for n, what in sizes.items() if n > 2}


def _penalty_mistakes(point: Point, k: int, sizes: dict[int, str]) -> Iterator[Candidate]:
    """A term of the result that is forgotten, or counts with a wrong factor."""
    rest = point.hand[k] - point.right[k]
    for name, term in point.others.items():
        length = float(np.vdot(term[k], term[k]))
        if not length:
            continue
        count = 1 + float(np.vdot(term[k], rest)) / length
        amount, why = times(count, sizes)
        kind, words = "factor", f"is {amount or f'{count:.6g} times'} what it should be: {why or 'everywhere'}"
        for exact, *special in ((0.0, "left out", "is forgotten"), (-1.0, "sign", "has the wrong sign")):
            if math.isclose(count, exact, rel_tol=1e-6, abs_tol=1e-6):
                count, amount, (kind, words) = exact, "exactly", special
        if math.isclose(count, 2, rel_tol=1e-6) and name.startswith("the penalty"):
            kind, words = "counted twice", "is counted twice: doubled"
        make = lambda p, k, name=name, count=count: p.right[k] + (count - 1) * p.others[name][k]
        yield Candidate(kind, f"{name} {words}", make, fitted=not amount)


def _term_mistakes(point: Point, k: int) -> Iterator[Candidate]:
    """Data points that are not added up as they should be."""
    n = len(point.terms)
    if n < 2:
        return
    text = f"only the last of {n} data points counts: = stands where += is meant"
    yield Candidate("unsummed", text, lambda p, k: p.terms[-1][k])
    text = f"only the first of {n} counts: the function returns inside the loop"
    yield Candidate("unsummed", text, lambda p, k: p.terms[0][k])
    parts = np.stack([term[k] for term in point.terms])
    missing = parts.sum(axis=0) - point.hand[k]
    # Which one could be missing, or be there twice: the one whose part is nearest to the difference.
    for sign, kind in ((1, "left out"), (-1, "counted twice")):
        i = int(np.argmin([np.linalg.norm(np.ravel(missing - sign * part)) for part in parts]))
        which = {0: " (the first)", n - 1: " (the last)"}.get(i, "")
        text = f"data point {i}{which} of {n} is {kind}"
        yield Candidate(kind, text, lambda p, k, i=i, sign=sign: p.right[k] - sign * p.terms[i][k])


def _entry_mistakes(problem: Problem, point: Point, k: int) -> Iterator[Candidate]:
    """Entries in a wrong place, and factors that belong to an entry."""
    shape = point.right[k].shape
    blank = (point.hand[k] == 0) & (point.right[k] != 0)
    if not point.hand[k].any():
        yield Candidate("zero", "it is always 0: the term is missing, or never written", lambda p, k: blank * 0.0)
    elif blank.any():
        places = ", ".join(str(tuple(i)) if len(i) > 1 else str(i[0]) for i in np.argwhere(blank)[:4].tolist())
        at_end = any(
            blank.sum() * n == blank.size and np.take(blank, (0, -1), axis).any() for axis, n in enumerate(shape)
        )
        kind, why = ("shifted index", "an index is off by one: ") if at_end else ("zero", "")
        text = f"{why}entry {places} is never written, and the others are right"
        yield Candidate(kind, text, lambda p, k: np.where(blank, 0, p.right[k]))
    if len(shape) == 2 and shape[0] == shape[1] > 1:
        yield Candidate("transposed", "it is transposed", lambda p, k: p.right[k].T)
    for axis, n in enumerate(shape):
        for shift, side in ((1, "after"), (-1, "before"))[: n - 1]:
            where = f" along axis {axis}" if len(shape) > 1 else ""
            text = f"an index is off by one: each entry stands {side} its place{where}"
            yield Candidate("shifted index", text, lambda p, k, s=shift, axis=axis: np.roll(p.right[k], s, axis))
    for j, leaf in enumerate(problem.leaves):
        if shape and point.values[j].shape == shape:
            text = f"the factor {leaf.name} is missing"
            yield Candidate("missing factor", text, lambda p, k, j=j: p.right[k] / p.values[j])
            text = f"there is one factor {leaf.name} too many"
            yield Candidate("extra factor", text, lambda p, k, j=j: p.right[k] * p.values[j])
            for s in (1, -1):
                text = f"an index is off by one: {leaf.name}[j{-s:+d}] stands for {leaf.name}[j]"
                make = lambda p, k, j=j, s=s: p.right[k] / p.values[j] * np.roll(p.values[j], s)
                yield Candidate("shifted index", text, make)


# -- Made in the backward pass -----------------------------------------------------------------------------------------


def _chain_mistakes(problem: Problem, point: Point, graph: Graph, data: dict[str, Array]) -> Iterator[Candidate]:
    """A factor of the chain rule that is missing, or is taken at another place."""
    curved: list[tuple[tuple[int, int], str, Segment]] = []
    for key, group in point.segments.items():
        if not group[0].is_linear:
            inner = graph.made.get(group[0].inner)
            # Without a step that adds a constant it says the same; without a change of sign, half of it.
            whole = inner is None or inner.name != "np.negative"
            if whole and not any(step.is_shift for step in group[0].ends()):
                curved.append((key, formula(group[0]), group[0]))
        elif len(group) > 1 or not np.allclose(slope := group[0].slope, slope.ravel()[:1]):
            text = f"the factor {_constant_name(group, data) or formula(group[0])} is missing"
            yield Candidate("missing factor", text, partial(_pass, key, lambda s: 1.0))
    curved.sort(key=lambda item: -len(item[1]))
    for key, text, _ in curved:
        words = f"the derivative of {text} by z is missing: a factor of the chain rule"
        yield Candidate("missing derivative", words, partial(_pass, key, lambda s: 1.0))
    for key, text, s in curved:
        words = f"the derivative of {text} is taken at its output instead of its input z"
        yield Candidate("derivative at output", words, partial(_pass, key, lambda s: s.at(s.outer.data)[1]))
        words = f"{text} itself stands where its derivative is meant"
        yield Candidate("function for derivative", words, partial(_pass, key, lambda s: s.outer.data))
        words = f"an index is off by one: the derivative of {text} is taken at the neighbouring entry's z"
        for shift in (1, -1):
            yield Candidate("shifted index", words, partial(_pass, key, lambda s, shift=shift: np.roll(s.slope, shift)))
        sum_ = graph.made.get(s.inner)
        if sum_ is not None and sum_.name == "np.add" and len(sum_.tracked) == 2:
            for i in (0, 1):
                name = graph.names.get(sum_.tracked[1 - i]) or "a term"
                words = f"in the derivative of {text}, {name} is missing from z"
                yield Candidate("missing term", words, partial(_pass, key, partial(_slope_at_term, i)))
    for j, leaf in enumerate(problem.leaves):
        yield Candidate("missing term", f"it is computed without {leaf.name}", partial(_without, j))


def _pass(key: tuple[int, int], slope: Callable[..., Any], p: Point, k: int) -> Any:
    """The gradient if the derivative of some segments is something else."""
    if p.graph is None or key not in p.segments:
        return None
    return p.graph.passing({s.outer: _times(slope(s), s.inner) for s in p.segments[key]})[k]


def _times(factor: Any, inner: Tensor) -> Passing:
    return lambda g: [(inner, g * factor)]


def _slope_at_term(i: int, s: Segment) -> Any:
    """The derivative where one of the two terms that the inner result is the sum of stands alone."""
    sum_ = operation(s.inner)
    assert sum_ is not None
    return s.at(np.broadcast_to(sum_.values[i], s.inner.shape))[1]


def _without(j: int, p: Point, k: int) -> Any:
    """The gradient of the program that has zeros for a variable."""
    if p.graph is None:
        return None
    values = [v.data for v in p.graph.variables]
    values[j] = np.zeros_like(values[j])
    return p.graph.replay(values, {})[k]


Change = Callable[[Point, list[Operation], int], list[Any]]
"""What takes the place of input i of some operations."""


def _operand_mistakes(point: Point, graph: Graph, data: dict[str, Array]) -> Iterator[Candidate]:
    """In a product, something else than the other operand: its neighbour, its transpose, nothing at all."""
    for line, group in graph.groups.items():
        product = group[0]
        if product.name not in ("np.multiply", "np.matmul", "np.divide"):
            continue
        for i in (0, 1) if product.name != "np.divide" else (0,):
            x, other = product.inputs[i], product.inputs[1 - i]
            if not is_tracked(x):
                continue
            tries: list[tuple[str, str, Change]] = []
            made = None
            if is_tracked(other):
                made = _made_by(point, other)
                name = graph.names.get(other) or (formula(made) if made else "the other operand")
                tries.append(("missing factor", f"the factor {name} is missing", _each(np.ones_like)))
            else:
                name = _stacked_name([o.inputs[1 - i] for o in group], data) or "the constant"
                if len(group) > 1:
                    tries.append(("missing factor", f"the factor {name} is missing", _each(np.ones_like)))
                    for s in (1, -1):
                        words = f"an index is off by one: {name}[i{-s:+d}] stands for {name}[i]"
                        tries.append(("shifted index", words, _neighbour(s)))
            shape = np.shape(other)
            for axis, n in enumerate(shape):
                for s, side in ((1, "before"), (-1, "after"))[: n - 1]:
                    where = f" along axis {axis}" if len(shape) > 1 else ""
                    words = f"an index is off by one: {name} is read one place {side}{where}"
                    tries.append(("shifted index", words, _each(partial(np.roll, shift=s, axis=axis))))
            if len(shape) == 2 and shape[0] == shape[1] > 1:
                tries.append(("transposed", f"{name} should be transposed on the way back", _each(np.transpose)))
            if made is not None:
                tries.append(("missing function", f"z stands where {name} is meant", _before))
            for kind, words, change in tries:
                yield Candidate(kind, words, partial(_substitute, line, i, change))


def _neighbour(shift: int) -> Change:
    return lambda p, group, i: [group[(n - shift) % len(group)].values[i] for n in range(len(group))]


def _each(change: Callable[[Any], Any]) -> Change:
    return lambda p, group, i: [change(np.asarray(o.values[i])) for o in group]


def _before(p: Point, group: list[Operation], i: int) -> list[Any]:
    made = [_made_by(p, o.inputs[i]) for o in group]
    return [s.inner.data if s else None for s in made]


def _made_by(p: Point, result: Any) -> Segment | None:
    """The longest element-wise function that makes a result, if it is not linear."""
    made = [s for group in p.segments.values() for s in group if s.outer is result]
    return made[-1] if made and not made[-1].is_linear else None


def _substitute(line: int, i: int, change: Change, p: Point, k: int) -> Any:
    """The gradient if some products pass it on to input ``i`` with another value for the other operand."""
    if p.graph is None or line not in p.graph.groups:
        return None
    group = p.graph.groups[line]
    changes = {}
    for o, new in zip(group, change(p, group, 1 - i), strict=True):
        if np.shape(new) != np.shape(o.values[1 - i]):
            return None
        changes[o.result] = _with_operand(o, i, new)
    return p.graph.passing(changes)[k]


def _with_operand(o: Operation, i: int, new: Any) -> Passing:
    others = list(o.values)
    others[1 - i] = new

    def passing(g: Array) -> list[tuple[Tensor, Array]]:
        found = []
        for j, x in enumerate(o.inputs):
            if is_tracked(x):
                gx = vjp_of(o.rule, j)(g, o.result.data, *(others if j == i else o.values), **o.options)
                found.append((x, fitted(gx, x.data, o.rule, j)))
        return found

    return passing


def _data_mistakes(graph: Graph, data: dict[str, Array]) -> Iterator[Candidate]:
    """The whole computation with a constant from the neighbouring data point."""
    for line, group in graph.groups.items():
        for i, x in enumerate(group[0].inputs):
            if is_tracked(x):
                continue
            name = _stacked_name([o.inputs[i] for o in group], data) or "a constant"
            for s in (1, -1):
                if len(group) > 1:
                    text = f"it computes with {name}[i{-s:+d}] instead of {name}[i]"
                    change = _neighbour(s)
                elif np.ndim(x) and np.shape(x)[0] > 1 and np.asarray(x).dtype.kind == "f":
                    text = f"it computes with {name} moved by one place"
                    change = _each(partial(np.roll, shift=s, axis=0))
                else:
                    continue
                yield Candidate(
                    "shifted index", f"an index is off by one: {text}", partial(_recompute, line, i, change)
                )


def _recompute(line: int, i: int, change: Change, p: Point, k: int) -> Any:
    if p.graph is None or line not in p.graph.groups:
        return None
    group = p.graph.groups[line]
    constants = {o.result: (i, new) for o, new in zip(group, change(p, group, i), strict=True)}
    return p.graph.replay([v.data for v in p.graph.variables], constants)[k]


# -- Names for data ----------------------------------------------------------------------------------------------------


def data_names(problem: Problem) -> dict[str, Array]:
    """The arrays that the function knows by name: constant arguments, what it closes over, globals."""
    f = problem.f
    found: dict[str, Any] = {}
    code = getattr(f, "__code__", None)
    if code is not None:
        names = getattr(f, "__globals__", {})
        found |= {name: names[name] for name in code.co_names if name in names}
        cells = zip(code.co_freevars, getattr(f, "__closure__", None) or (), strict=False)
        for name, cell in cells:
            try:
                found[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
    picked = {leaf.argument for leaf in problem.leaves}
    found |= {n: a for i, (n, a) in enumerate(zip(problem.arguments, problem.args, strict=True)) if i not in picked}
    return {n: a for n, a in found.items() if isinstance(a, np.ndarray) and a.dtype.kind in "fiu" and a.size > 1}


def _stacked_name(values: list[Any], data: dict[str, Array]) -> str:
    """The name of the array that these constants, one a data point, come from."""
    values = [plain(v) for v in values]
    for name, array in data.items():
        if len(values) == 1 and np.shape(values[0]) == array.shape and np.array_equal(values[0], array):
            return name
        if len(values) == 1 and np.size(values[0]) == array.size and np.array_equal(np.ravel(values[0]), array.ravel()):
            return name
        if len(values) == len(array) and all(np.array_equal(v, row) for v, row in zip(values, array, strict=True)):
            return name
    return ""


def _constant_name(group: list[Segment], data: dict[str, Array]) -> str:
    """The name of the constant factor that linear segments multiply by."""
    if any(len(s.operations) != 1 for s in group):
        return ""
    constants = [next((x for x in s.operations[0].inputs if x is not s.inner), None) for s in group]
    return _stacked_name(constants, data)
