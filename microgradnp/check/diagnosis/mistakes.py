"""The mistakes that people make in deriving a gradient by hand, each as a way to compute a wrong gradient.

A mistake is a `Candidate`: what it is called, and a function from a point and a variable to the gradient that it leads
to. Most are made in a backward pass over the function's own program.
"""

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.check.diagnosis.classes import MISTAKES, Scores, gradients_with, scores_of
from microgradnp.check.diagnosis.program import Gradients, Graph, Passing, Segment, formula
from microgradnp.check.hint import share, times
from microgradnp.check.problem import Array, Function, Problem, hand_leaves, plain
from microgradnp.check.references import gradient_by_differences
from microgradnp.engine.sweep import fitted, vjp_of
from microgradnp.engine.tensor import Tensor
from microgradnp.transforms.graph import Operation, is_tracked, operations


class Point:
    """One drawn point: the right gradients there, the gradients by hand, and the program."""

    def __init__(self, problem: Problem, graph: Graph) -> None:
        self.problem, self.graph = problem, graph
        self.values = [leaf.array for leaf in problem.leaves]
        self.right: Gradients = graph.gradients() if graph.operations else gradient_by_differences(problem)
        self.hand: Gradients = []

    def ask(self, hand: Function) -> list[str]:
        """Compute the gradients by hand; which of the arguments that changes in place, which are given back."""
        given = self.problem.moved(tree.map(lambda x: x.copy() if isinstance(x, np.ndarray) else x, self.problem.args))
        before = given.snapshot()
        with np.errstate(all="ignore"):
            self.hand = [np.array(g, np.float64) for g in hand_leaves(hand(*given.args, **given.options), given)]
        return list(given.put_back(before))

    def magnitude(self, k: int) -> float:
        """The largest number by variable ``k``, or among the sum's parts: they may cancel, not their rounding."""
        parts = (*self.graph.terms.points, *self.graph.terms.others.values())
        return max(float(np.abs(each[k]).max(initial=0)) for each in (self.right, *parts))

    @cached_property
    def scores(self) -> tuple[int, Scores] | None:
        """The scores of a classification, after their line of the program."""
        return scores_of(self.graph)

    @cached_property
    def data(self) -> dict[str, Array]:
        """The arrays that the function knows by name: constant arguments, what it closes over, globals."""
        return data_names(self.problem)

    @cached_property
    def sizes(self) -> list[tuple[int, str]]:
        """What a factor may be that stands for a number of something: the number, and the words for it."""
        rows = dict.fromkeys((len(self.graph.terms.points), *map(len, self.data.values())))
        sizes = [(n, f"N = {n} being the number of data points") for n in rows]
        if self.scores is not None:
            n = self.scores[1].z.shape[-1]
            sizes.append((n, f"K = {n} being the number of classes"))
        return [(n, what) for n, what in sizes if n > 2]


Make = Callable[..., Any]
"""``make(point, k)`` is the gradient by variable ``k`` that a mistake leads to; None or an error if to none."""


@dataclass(slots=True)
class Candidate:
    """A mistake: its kind, what to say about it, and the gradient that it makes of the right one."""

    kind: str
    text: str
    make: Make
    fitted: bool = False
    """Whether a number in it was chosen so that it fits."""


def candidates(point: Point, k: int) -> Iterator[Candidate]:
    """The known mistakes for variable ``k``, the plainest first."""
    right, hand = point.right, point.hand
    others = [j for j in range(len(right)) if j != k and right[j].shape == hand[k].shape]
    # Two that stand in each other's place are swapped; one alone may just as well lack what tells them apart.
    mutual = [j for j in others if hand[j].shape == right[k].shape and np.allclose(hand[j], right[k], rtol=1e-6)]
    if hand[k].shape != right[k].shape:
        yield from _shape_mistakes(point, k)
        mutual = []
    else:
        yield Candidate("right", "", lambda p, k: p.right[k])
        yield from _penalty_mistakes(point, k)
        yield from _term_mistakes(point, k)
        yield from _entry_mistakes(point, k)
        yield from (_swapped(point, j) for j in mutual)
        if point.scores is not None:
            line, _ = point.scores
            for kind, text, delta in MISTAKES:
                yield Candidate(kind, text, lambda p, k, delta=delta: gradients_with(line, delta, p.graph)[k])
        yield from _chain_mistakes(point)
        yield from _operand_mistakes(point)
        yield from _data_mistakes(point)
    yield from (_swapped(point, j) for j in others if j not in mutual)


def _swapped(point: Point, j: int) -> Candidate:
    text = f"it is the gradient by {point.problem.leaves[j].name}: the order of the results is wrong"
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
    if repaired.shape != right.shape:
        return None
    factor = share(repaired, right)
    close = np.allclose(repaired, factor * right, rtol=1e-6, atol=1e-9 * np.abs(repaired).max())
    return p.hand[k] / factor if factor and close else None


def _penalty_mistakes(point: Point, k: int) -> Iterator[Candidate]:
    """A term of the result that is forgotten, or counts with a wrong factor."""
    rest = point.hand[k] - point.right[k]
    for name, term in point.graph.terms.others.items():
        if not term[k].any():
            continue
        count = 1 + share(rest, term[k])
        amount, why = times(count, point.sizes)
        kind, words = "factor", f"is {amount or f'{count:.6g} times'} what it should be: {why or 'everywhere'}"
        for exact, *special in ((0.0, "left out", "is forgotten"), (-1.0, "sign", "has the wrong sign")):
            if math.isclose(count, exact, rel_tol=1e-6, abs_tol=1e-6):
                count, amount, (kind, words) = exact, "exactly", special
        if math.isclose(count, 2, rel_tol=1e-6) and name.startswith("the penalty"):
            kind, words = "counted twice", "is counted twice: doubled"
        make = lambda p, k, name=name, count=count: p.right[k] + (count - 1) * p.graph.terms.others[name][k]
        yield Candidate(kind, f"{name} {words}", make, fitted=not amount)


def _term_mistakes(point: Point, k: int) -> Iterator[Candidate]:
    """Data points that are not added up as they should be."""
    n = len(point.graph.terms.points)
    if n < 2:
        return
    last = f"only the last of {n} data points counts: = stands where += is meant"
    first = f"only the first of {n} counts: the function returns inside the loop"
    for i, text in ((-1, last), (0, first)):
        yield Candidate("unsummed", text, lambda p, k, i=i: p.graph.terms.points[i][k])
    parts = np.stack([term[k] for term in point.graph.terms.points])
    missing = parts.sum(axis=0) - point.hand[k]
    # Which one could be missing, or be there twice: the one whose part is nearest to the difference.
    for sign, kind in ((1, "left out"), (-1, "counted twice")):
        i = int(np.argmin([np.linalg.norm(np.ravel(missing - sign * part)) for part in parts]))
        which = {0: " (the first)", n - 1: " (the last)"}.get(i, "")
        text = f"data point {i}{which} of {n} is {kind}"
        yield Candidate(kind, text, lambda p, k, i=i, sign=sign: p.right[k] - sign * p.graph.terms.points[i][k])


def _entry_mistakes(point: Point, k: int) -> Iterator[Candidate]:
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
    for j, leaf in enumerate(point.problem.leaves):
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


def _chain_mistakes(point: Point) -> Iterator[Candidate]:
    """A factor of the chain rule that is missing, or is taken at another place."""
    graph = point.graph
    curved: list[tuple[tuple[int, int], str, Segment]] = []
    for key, (segment, *_) in point.graph.segments.items():
        inner = graph.made.get(segment.inner)
        # Without a step that adds a constant it says the same; without a change of sign, half of it.
        whole = inner is None or inner.name != "np.negative"
        if whole and not segment.is_linear and not segment.is_padded:
            curved.append((key, formula(segment), segment))
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
    for j, leaf in enumerate(point.problem.leaves):
        yield Candidate("missing term", f"it is computed without {leaf.name}", partial(_without, j))


def _pass(key: tuple[int, int], slope: Callable[..., Any], p: Point, k: int) -> Any:
    """The gradient if the derivative of some segments is something else."""
    return p.graph.gradients({s.outer: _times(slope(s), s.inner) for s in p.graph.segments[key]})[k]


def _times(factor: Any, inner: Tensor) -> Passing:
    return lambda g: [(inner, g * factor)]


def _slope_at_term(i: int, s: Segment) -> Any:
    """The derivative where one of the two terms that the inner result is the sum of stands alone."""
    (sum_,) = (o for o in operations([s.inner]) if o.result is s.inner)
    return s.at(np.broadcast_to(sum_.values[i], s.inner.shape))[1]


def _without(j: int, p: Point, k: int) -> Any:
    """The gradient of the program that has zeros for a variable."""
    return p.graph.replay([v.data * (i != j) for i, v in enumerate(p.graph.variables)], {})[k]


Change = Callable[[Point, list[Operation], int], list[Any]]
"""What takes the place of input i of some operations."""


def _operand_mistakes(point: Point) -> Iterator[Candidate]:
    """In a product, something else than the other operand."""
    for line, group in point.graph.groups.items():
        name = group[0].name
        for i, x in enumerate(group[0].inputs[: _PRODUCTS.get(name, 0)]):
            if is_tracked(x):
                for kind, text, change in _other_operands(point, group, 1 - i):
                    yield Candidate(kind, text, partial(_substitute, line, i, change))


_PRODUCTS = {"np.multiply": 2, "np.matmul": 2, "np.divide": 1}
"""Of how many of their inputs the derivative holds the other one."""


def _other_operands(point: Point, group: list[Operation], i: int) -> Iterator[tuple[str, str, Change]]:
    """What may stand for input ``i`` of some products: its neighbour, its transpose, nothing at all."""
    other = group[0].inputs[i]
    shape, made, several = np.shape(other), _made_by(point, other), len(group) > 1
    if is_tracked(other):
        name = point.graph.names.get(other) or (formula(made) if made else "the other operand")
    else:
        name = _constant_name(point, group, i) or "the constant"
    uneven = np.size(other) > 1 and group[0].name != "np.matmul" and not np.allclose(other, np.ravel(other)[0])
    if is_tracked(other) or several or uneven:
        yield "missing factor", f"the factor {name} is missing", _each(np.ones_like)
    if several and not is_tracked(other):
        for s in (1, -1):
            yield "shifted index", f"an index is off by one: {name}[i{-s:+d}] stands for {name}[i]", _neighbour(s)
    for axis, n in enumerate(shape):
        for s, side in ((1, "before"), (-1, "after"))[: n - 1]:
            where = f" along axis {axis}" if len(shape) > 1 else ""
            words = f"an index is off by one: {name} is read one place {side}{where}"
            yield "shifted index", words, _each(partial(np.roll, shift=s, axis=axis))
    if len(shape) == 2 and shape[0] == shape[1] > 1:
        yield "transposed", f"{name} should be transposed on the way back", _each(np.transpose)
    if made is not None:
        yield "missing function", f"z stands where {name} is meant", _before


def _neighbour(shift: int) -> Change:
    return lambda p, group, i: [group[(n - shift) % len(group)].values[i] for n in range(len(group))]


def _each(change: Callable[[Any], Any]) -> Change:
    return lambda p, group, i: [change(np.asarray(o.values[i])) for o in group]


def _before(p: Point, group: list[Operation], i: int) -> list[Any]:
    made = [_made_by(p, o.inputs[i]) for o in group]
    return [s.inner.data if s else None for s in made]


def _made_by(p: Point, result: Any) -> Segment | None:
    """The longest element-wise function that makes a result, if it is not linear."""
    made = [s for group in p.graph.segments.values() for s in group if s.outer is result]
    return made[-1] if made and not made[-1].is_linear else None


def _substitute(line: int, i: int, change: Change, p: Point, k: int) -> Any:
    """The gradient if some products pass it on to input ``i`` with another value for the other operand."""
    group = p.graph.groups[line]
    new = change(p, group, 1 - i)
    if [np.shape(x) for x in new] != [np.shape(o.values[1 - i]) for o in group]:
        return None
    return p.graph.gradients({o.result: _with_operand(o, i, x) for o, x in zip(group, new, strict=True)})[k]


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


def _data_mistakes(point: Point) -> Iterator[Candidate]:
    """The whole computation with a constant from the neighbouring data point."""
    for line, group in point.graph.groups.items():
        for i, x in enumerate(group[0].inputs):
            moved = np.ndim(x) and np.shape(x)[0] > 1 and np.asarray(plain(x)).dtype.kind == "f"
            if is_tracked(x) or not (len(group) > 1 or moved):
                continue
            name = _constant_name(point, group, i) or "a constant"
            for s in (1, -1):
                if len(group) > 1:
                    text, change = f"{name}[i{-s:+d}] instead of {name}[i]", _neighbour(s)
                else:
                    text, change = f"{name} moved by one place", _each(partial(np.roll, shift=s, axis=0))
                text = f"an index is off by one: it computes with {text}"
                yield Candidate("shifted index", text, partial(_recompute, line, i, change))


def _recompute(line: int, i: int, change: Change, p: Point, k: int) -> Any:
    group = p.graph.groups[line]
    constants = {o.result: (i, new) for o, new in zip(group, change(p, group, i), strict=True)}
    return p.graph.replay([v.data for v in p.graph.variables], constants)[k]


# -- Names for data ----------------------------------------------------------------------------------------------------


def data_names(problem: Problem) -> dict[str, Array]:
    """The arrays that the function knows by name: constant arguments, what it closes over, globals."""
    found: dict[str, Any] = {}
    with suppress(TypeError, ValueError):  # it is not written in Python, or something is not assigned yet
        known = inspect.getclosurevars(problem.f)
        found = {**known.globals, **known.nonlocals}
    picked = {leaf.argument for leaf in problem.leaves}
    constants = enumerate(zip(problem.arguments, problem.args, strict=True))
    found |= {name: a for i, (name, a) in constants if i not in picked}
    return {n: a for n, a in found.items() if isinstance(a, np.ndarray) and a.dtype.kind in "fiu" and a.size > 1}


def _constant_name(point: Point, group: list[Operation], i: int) -> str:
    """The name of the array that input ``i`` of some operations, one a data point, comes from."""
    numbers = np.concatenate([np.ravel(plain(o.inputs[i])) for o in group])
    return next((name for name, array in point.data.items() if np.array_equal(numbers, array.ravel())), "")
