"""What a gradient is held against: the derivatives of a problem along some directions, by two methods in one.

Finite differences serve every function; the complex step, where the function allows it, is exact. It is never taken on
trust: it must agree with the differences wherever these settle.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from microgradnp.check.complex_step import complex_step
from microgradnp.check.differences import ROUGH, Differences, finite_differences
from microgradnp.check.problem import Array, Direction, Problem, flat

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Reference:
    """The derivatives of some outputs (columns) along some directions (rows), by methods that know no gradients."""

    found: Differences
    exact: Array | None
    """By the complex step, where the function allows it."""
    why_not: str
    """Why it does not, where there is something to say."""
    raised: str
    """What the function raised at a point close by, where its domain was taken to end; empty if it raised nothing."""

    @cached_property
    def value(self) -> Array:
        """The best value for each entry; NaN where there is none."""
        value = np.where(self.found.settled, self.found.value, np.nan)
        if self.exact is None:
            return value
        with np.errstate(invalid="ignore"):
            slack = 10 * self.found.error + 1e-7 * np.abs(self.exact) + 1e-300
            usable = (self.found.kind == ROUGH) | (np.abs(self.exact - value) <= slack)
        return np.where(usable, self.exact, value)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a problem shows at its point, and what of it is differentiated: combinations of its outputs."""

    problem: Problem
    order: int
    """Which derivative of the user's function the slopes are."""
    value: Any
    weights: Array
    """The combinations of the outputs whose gradients are looked at, one a row."""
    labels: list[str]
    """What each of them is."""
    noise: Array
    """What rounding does to each of them."""
    precision: float
    """At which the function is judged."""
    wide: Problem
    """What the references are taken of: the same in float64, where the function computes in it."""
    middle: Array
    """The outputs of that."""
    each: bool
    """Whether the combinations are each output by itself."""

    @property
    def share(self) -> float:
        """The relative difference that rounding explains."""
        return math.sqrt(self.precision)

    def along(self, directions: Sequence[Direction], stretch: float = 1.0) -> Reference:
        """The reference for some directions; with another ``stretch`` of the steps, one whose noise differs."""
        weights = None if self.each else self.weights
        moves = tuple((u.first, u.amounts.tobytes()) for u in directions)
        key = moves, None if weights is None else weights.tobytes(), stretch
        if key not in self.wide.known:
            eps = self.precision if self.wide is self.problem else EPS
            self.wide.known[key] = reference_of(self.wide, self.middle, weights, directions, eps, stretch)
        found: Reference = self.wide.known[key]
        return found


def reference_of(
    problem: Problem,
    middle: Array,
    weights: Array | None,
    directions: Sequence[Direction],
    eps: float = EPS,
    stretch: float = 1.0,
) -> Reference:
    """The reference for combinations of the outputs (each by itself, if None), which are known as precisely as eps."""
    raised: dict[type[Exception], str] = {}
    singles = problem.singles

    def combined(y: Array) -> Array:
        return y if weights is None else weights @ y

    def at(i: int, t: float) -> tuple[float, Array]:
        direction = directions[i]
        z = direction.step(problem.x, t)
        entry = direction.entry
        if entry is not None:
            if singles[entry]:
                z[entry] = np.float32(z[entry])
            t = float(z[entry] - problem.x[entry])
        try:
            y = problem.evaluate(z)
        except (ValueError, ArithmeticError) as error:  # math.log(-1.0): others return nan where their domain ends
            raised[type(error)] = f"{type(error).__name__}: {error}"
            y = np.full(middle.size, np.nan)
        if y.size != middle.size:
            raise ValueError(
                f"{problem.name} gave {middle.size} outputs, and {y.size} at a point close by: they cannot be compared."
            )
        return t, combined(y)

    lengths = stretch * np.array([u.length for u in directions])
    close = np.array([u.close for u in directions])
    exact, why_not = None, "the function computes in float32" if eps > EPS else ""
    with np.errstate(all="ignore"):
        found = finite_differences(at, combined(middle), lengths, close, eps)
        if eps <= EPS and problem.analytic:
            units = [u.step(np.zeros(problem.size), 1.0) for u in directions]
            exact, why_not = complex_step(problem.evaluate, problem.x, middle, units)
    if exact is not None and weights is not None:
        exact = exact @ weights.T
    return Reference(found, exact, why_not, "; ".join(raised.values()))


def gradient_by_differences(problem: Problem) -> list[Array]:
    """The gradient of the sum of the outputs, by the references alone, one array for each variable."""
    wide = problem.widened()
    middle = flat(wide.call([leaf.value for leaf in wide.leaves]))
    value = reference_of(wide, middle, np.ones((1, middle.size)), wide.along(range(wide.size))).value
    return [value[leaf.part, 0].reshape(leaf.array.shape) for leaf in wide.leaves]
