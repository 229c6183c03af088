"""What a gradient is held against: the derivatives of a problem along some directions, by two methods in one.

Finite differences serve every function; the complex step, where the function allows it, is exact. It is never taken on
trust: it must agree with the differences wherever these settle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from microgradnp.check.complex_step import complex_step
from microgradnp.check.differences import ROUGH, Differences, finite_differences
from microgradnp.check.problem import Array, Direction, Problem, flat

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Reference:
    """The derivatives of some outputs (columns) along some directions (rows), by methods that know no gradients."""

    found: Differences
    exact: Array | None
    """By the complex step, where the function allows it."""
    why_not: str
    """Why it does not, where there is something to say."""
    raised: str
    """What the function raised at a point close by, where its domain was taken to end; empty if it raised nothing."""
    value: Array = field(init=False)
    """The best value for each entry; NaN where there is none."""

    def __post_init__(self) -> None:
        value = self.found.weighted()
        if self.exact is not None:
            with np.errstate(invalid="ignore"):
                slack = 10 * self.found.error + 1e-7 * np.abs(self.exact) + 1e-300
                usable = (self.found.kind == ROUGH) | (np.abs(self.exact - value) <= slack)
            value = np.where(usable, self.exact, value)
        object.__setattr__(self, "value", value)

    def beside(self, rows: Sequence[int], other: "Reference", share: float) -> "Reference":
        """The same, but that some rows were found a second time: see `Differences.beside`."""
        return replace(self, found=self.found.beside(rows, other.found, share))


@dataclass(frozen=True, slots=True)
class View:
    """What is differentiated: combinations of a problem's outputs, which are known as precisely as ``eps``."""

    problem: Problem
    middle: Array
    """The outputs at the point itself."""
    eps: float
    weights: Array | None = None
    """The combinations, one a row; each output by itself, if None."""

    def along(self, directions: Sequence[Direction], stretch: float = 1.0) -> Reference:
        """The reference for some directions; with another ``stretch`` of the steps, one whose noise differs."""
        weights = None if self.weights is None else self.weights.tobytes()
        key = tuple(u.key for u in directions), weights, stretch
        if key not in self.problem.known:
            self.problem.known[key] = self._found(directions, stretch)
        reference: Reference = self.problem.known[key]
        return reference

    def _found(self, directions: Sequence[Direction], stretch: float) -> Reference:
        problem, x = self.problem, self.problem.x
        singles = problem.singles
        raised: dict[type[Exception], str] = {}

        def at(i: int, t: float) -> tuple[float, Array]:
            direction = directions[i]
            z = direction.step(x, t)
            entry = direction.entry
            if entry is not None:
                if singles[entry]:
                    z[entry] = np.float32(z[entry])
                t = float(z[entry] - x[entry])
            try:
                y = problem.evaluate(z)
            except (ValueError, ArithmeticError) as error:  # math.log(-1.0): others return nan where their domain ends
                raised[type(error)] = f"{type(error).__name__}: {error}"
                y = np.full(self.middle.size, np.nan)
            if y.size != self.middle.size:
                raise ValueError(
                    f"{problem.name} gave {self.middle.size} outputs, and {y.size} at a point close by: they cannot "
                    "be compared."
                )
            return t, self._weighted(y)

        lengths = stretch * np.array([u.length for u in directions])
        close = np.array([u.close for u in directions])
        with np.errstate(all="ignore"):
            found = finite_differences(at, self._weighted(self.middle), lengths, close, self.eps)
            exact, why_not = self._exact(directions)
        return Reference(found, exact, why_not, "; ".join(raised.values()))

    def _exact(self, directions: Sequence[Direction]) -> tuple[Array | None, str]:
        if self.eps > EPS:
            return None, "the function computes in float32"
        if not self.problem.analytic:
            return None, ""
        nowhere = np.zeros(self.problem.size)
        units = [u.step(nowhere, 1.0) for u in directions]
        exact, why_not = complex_step(self.problem.evaluate, self.problem.x, self.middle, units)
        if exact is not None and self.weights is not None:
            exact = exact @ self.weights.T
        return exact, why_not

    def _weighted(self, y: Array) -> Array:
        return y if self.weights is None else self.weights @ y


def gradient_by_differences(problem: Problem) -> list[Array]:
    """The gradient of the sum of the outputs, by the references alone, one array for each variable."""
    wide = problem.widened()
    middle = flat(wide.call([leaf.value for leaf in wide.leaves]))
    view = View(wide, middle, EPS, np.ones((1, middle.size)))
    value = view.along(wide.along(range(wide.size))).value
    return [value[leaf.part, 0].reshape(leaf.array.shape) for leaf in wide.leaves]
