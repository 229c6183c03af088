"""The gradients that are judged: by the engine's backward pass, and by hand.

What is wrong with them besides their values is found here: a shape, a dtype, shared memory, an argument changed in
place, another result the second time.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.check.problem import Array, Direction, Function, Leaf, Problem, hand_leaves
from microgradnp.debugging import Watch, debug
from microgradnp.engine.state import Machine, current, no_grad, state
from microgradnp.transforms.pullback import vjp


@dataclass(frozen=True, slots=True)
class Slopes:
    """Derivatives of some outputs by one source, and where it gives them."""

    values: Array
    given: Array

    def along(self, directions: Sequence[Direction]) -> "Slopes":
        """Gradients (output, entry) as derivatives along directions (direction, output)."""
        values = np.empty((len(directions), len(self.values)))
        given = np.empty(values.shape, bool)
        with np.errstate(all="ignore"):
            for i, u in enumerate(directions):
                values[i] = self.values[:, u.part] @ u.amounts
                given[i] = self.given[:, u.part].all(axis=1)
        return Slopes(values, given)


# -- Backward ----------------------------------------------------------------------------------------------------------


def backward(problem: Problem, weights: Array, machine: Machine | None, faults: list[str]) -> Slopes:
    """The engine's gradients of each combination of the outputs, by backward passes on ``machine``, if one is given."""

    def at_leaves(*variables: Any) -> Any:
        return problem.call(variables)

    at_leaves.__name__ = problem.name  # errors name the user's function
    with no_grad():  # what the function captures may want a gradient too, which is not asked for
        with _watched():
            value, pullback = vjp(at_leaves, *(leaf.value for leaf in problem.leaves))
        with state(machine=machine or current().machine):
            return _swept(problem, value, pullback, weights, faults)


def _watched() -> AbstractContextManager[None]:
    """Debug mode; an infinite gradient is for the comparison to judge. Where the user has it on, theirs stays."""
    return nullcontext() if isinstance(current().machine, Watch) else debug(finite=False)


def _swept(problem: Problem, value: Any, pullback: Function, weights: Array, faults: list[str]) -> Slopes:
    rows = np.empty((len(weights), problem.size))
    for k, w in enumerate(weights):
        seeds = seeds_of(value, w)
        with _watched() if k == 0 else nullcontext():  # the first pass meets every change since forward, so it is seen
            gradients = tree.leaves(pullback(seeds))
        for leaf, g in zip(problem.leaves, gradients, strict=True):
            rows[k, leaf.part] = np.ravel(g)
            if k == 0:
                _judge_array(g, leaf, "backward", faults)
    if len(weights):
        _judge_second_pass(pullback, seeds, gradients, faults)
        _judge_aliases(gradients, problem, "backward", faults)
        if any(np.shares_memory(g, s) for g in gradients for s in tree.leaves(seeds) if np.size(g) and np.size(s)):
            faults.append("backward returns the memory of the gradient that was passed in")
        _judge_zero(pullback, value, problem, faults)
    return Slopes(rows, np.ones(rows.shape, bool))


def seeds_of(value: Any, weights: Array) -> Any:
    """A row of weights in the structure of the result."""
    out, start = [], 0
    for r in tree.leaves(value):
        a = np.asarray(r)
        if a.dtype.kind == "f":
            out.append(weights[start : start + a.size].reshape(a.shape).astype(a.dtype))
            start += a.size
        else:
            out.append(np.zeros(a.shape))
    return tree.like(value, out)


def _judge_second_pass(pullback: Function, seeds: Any, gradients: list[Any], faults: list[str]) -> None:
    with _watched():  # and the last one what the others have changed
        again = tree.leaves(pullback(seeds))
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(gradients, again, strict=True)):
        faults.append("backward gives another gradient when it runs a second time")


def _judge_zero(pullback: Function, value: Any, problem: Problem, faults: list[str]) -> None:
    nothing = tree.leaves(pullback(tree.map(lambda r: np.zeros(np.shape(r)), value)))
    for leaf, g in zip(problem.leaves, nothing, strict=True):
        if np.any(g != 0) or not np.all(np.isfinite(g)):
            first = np.ravel(g)[~(np.ravel(g) == 0)][0]
            faults.append(f"{leaf.name}: a gradient of zero flows in, and {first:.6g} comes out")


# -- By hand -----------------------------------------------------------------------------------------------------------


def by_hand(result: Any, problem: Problem, value: Any, weights: Array, faults: list[str]) -> Slopes:
    """The gradients that a function written by hand returned, where it gives one for a combination of the outputs."""
    gradients = hand_leaves(result, problem)
    results = [np.shape(r) for r in tree.leaves(value)]
    shape = results[0] if len(results) == 1 else ()
    rows = np.zeros((len(weights), problem.size))
    given = np.zeros(rows.shape, bool)
    total = (weights == 1).all(axis=1)
    for leaf, g in zip(problem.leaves, gradients, strict=True):
        if shape and np.shape(g) == shape + leaf.array.shape:  # the whole Jacobian
            _judge_dtype(g, leaf, "hand", faults)
            rows[:, leaf.part] = weights @ np.reshape(g, (weights.shape[1], leaf.array.size))
            given[:, leaf.part] = True
        elif _judge_array(g, leaf, "hand", faults):
            rows[total, leaf.part] = np.ravel(g)
            given[total, leaf.part] = True
    _judge_aliases(gradients, problem, "hand", faults)
    return Slopes(rows, given)


# -- What may be wrong besides the values ------------------------------------------------------------------------------


def judge_unchanged(before: list[Any], problem: Problem, who: str, faults: list[str]) -> None:
    """A fault for each argument that does not hold what it held before, which it is given back."""
    faults += [f"{name}: {who} changes it in place" for name in problem.put_back(before)]


def _judge_array(g: Any, leaf: Leaf, source: str, faults: list[str]) -> bool:
    shape = np.shape(g)
    if shape != leaf.array.shape:
        faults.append(f"{leaf.name}: {source} has shape {shape}, and the argument {leaf.array.shape}")
        return False
    _judge_dtype(g, leaf, source, faults)
    return True


def _judge_dtype(g: Any, leaf: Leaf, source: str, faults: list[str]) -> None:
    dtype = np.asarray(g).dtype
    python = isinstance(g, int | float) and not isinstance(g, np.generic | bool)
    if dtype != leaf.array.dtype and not python:
        faults.append(f"{leaf.name}: {source} has dtype {dtype}, and the argument {leaf.array.dtype}")


def _judge_aliases(gradients: Sequence[Any], problem: Problem, source: str, faults: list[str]) -> None:
    arrays = [g if isinstance(g, np.ndarray) else np.asarray(g) for g in gradients]
    for i, (leaf, g) in enumerate(zip(problem.leaves, arrays, strict=True)):
        if not g.size:
            continue
        others = [(f"the argument {other.name}", other.array) for other in problem.leaves]
        others += [(f"the gradient by {problem.leaves[j].name}", arrays[j]) for j in range(i)]
        faults += [
            f"{leaf.name}: {source} shares memory with {name}; return a copy"
            for name, other in others
            if np.may_share_memory(g, other) and np.shares_memory(g, other)
        ]
