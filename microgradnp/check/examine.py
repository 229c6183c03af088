"""One examination of a problem's gradients, from the call to the report: look, differentiate, compare, narrow.

For a function with few entries the whole Jacobian is compared, entry by entry, so that a verdict names its entry. For a
large one the Jacobian is seen through random projections, which miss nothing but by chance, and a projection that fails
is cut in two until it names one.
"""

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.check.problem import Array, Direction, Function, NotFiniteError, Problem, flat, outputs, plain
from microgradnp.check.references import EPS, View
from microgradnp.check.report import Report
from microgradnp.check.returned import Slopes, backward, by_hand, judge_unchanged, seeds_of
from microgradnp.check.verdict import Case, Tolerance, Verdict, hint, judge
from microgradnp.debugging import Mistake
from microgradnp.engine.state import Machine
from microgradnp.transforms.pullback import vjp

_SMALL = 128
"""Up to so many entries of the arguments each is looked at by itself."""
_PROJECTIONS, _SINGLES = 4, 24
"""Through how many random combinations, and how many entries, larger ones are seen."""
_FEW = 64
"""Up to so many outputs each is looked at by itself."""
_SECOND_LOOKS = 0.7, 0.55
"""Before a reference condemns, it is taken again at so many times its steps: noise differs then, a slope does not."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to examine: see `microgradnp.check.gradients`, whose arguments these are."""

    hand: Function | None = None
    order: int = 1
    rtol: float | None = None
    atol: float = 0.0
    seed: int = 0
    machine: Machine | None = None
    """What the backward passes run on: debug mode, if None."""


def examine(problem: Problem, settings: Settings) -> Report:
    """Examine derivatives up to an order, each against differences of the one before; the report says what is wrong."""
    if settings.order not in (1, 2, 3):
        raise ValueError(f"order is 1, 2 or 3; got {settings.order!r}.")
    rng = np.random.default_rng(settings.seed)
    report = Report(problem.name, problem.names, order=settings.order)
    _Examination(problem, settings, rng, report).run()
    for order in range(2, settings.order + 1):
        if not report.ok or not problem.size:
            break
        problem = _derivative(problem, rng)
        _Examination(problem, replace(settings, hand=None), rng, report, order).run()
    return report


def _derivative(problem: Problem, rng: "np.random.Generator") -> Problem:
    """The gradient of a fixed combination of a function's outputs, as a function of the same arguments."""
    size = flat(problem.call([leaf.value for leaf in problem.leaves])).size
    drawn = rng.integers(4, 13, size) / 8
    weights = np.ones(1) if size == 1 else drawn

    def gradient(*args: Any, **options: Any) -> Any:
        leaves = tree.leaves(args)

        def inner(*variables: Any) -> Any:
            return problem.f(*problem.put(variables, args), **options)

        y, pullback = vjp(inner, *(leaves[leaf.place] for leaf in problem.leaves))
        return pullback(seeds_of(tree.map(plain, y), weights))

    out = copy(problem)
    out.f, out.known, out.analytic = gradient, {}, False
    return out


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a problem shows at its point."""

    value: Any
    weights: Array
    """The combinations of the outputs whose gradients are looked at, one a row."""
    labels: list[str]
    """What each of them is."""
    noise: Array
    """What rounding does to each of them."""
    precision: float
    """At which the function is judged."""
    view: View
    """What the references are taken of: the same in float64, where the function computes in it."""
    before: list[Any]
    """What the arguments held."""


@dataclass(frozen=True, slots=True)
class _Examination:
    """One order of derivatives of a problem, examined; what is found goes into the report."""

    problem: Problem
    settings: Settings
    rng: "np.random.Generator"
    report: Report
    order: int = 1
    beside: bool = False
    """Whether the point is already moved off the user's."""

    def run(self) -> None:
        sight = self.look()
        if sight is None:
            return
        slopes = self.differentiate(sight)
        directions = self.directions()
        if slopes and directions and sight.weights.size:
            verdict = self.compare(sight, slopes, directions)
            self.conclude(self.narrow(sight, slopes, verdict))

    # -- Look

    def look(self) -> _Sight | None:
        """Call the function; None if that alone shows that it cannot be examined."""
        problem, faults = self.problem, self.report.faults
        before, start = problem.snapshot(), [leaf.value for leaf in problem.leaves]
        with np.errstate(all="ignore"):
            value = problem.call(start)
            again = flat(problem.call(start))
        judge_unchanged(before, problem, problem.name, faults)
        middle = flat(value)
        if not np.array_equal(middle, again, equal_nan=True):
            faults.append(f"{problem.name} gives another result when it is called again with the same arguments")
        if not np.isfinite(middle).all():
            raise NotFiniteError(
                f"{problem.name} is not finite at the given arguments (it returned {middle[~np.isfinite(middle)][0]}): "
                "there is no derivative to check. Choose arguments inside its domain."
            )
        if faults:
            return None
        return self._sight(value, middle, before)

    def _sight(self, value: Any, middle: Array, before: list[Any]) -> _Sight:
        problem, results = self.problem, outputs(value)
        reference, precision, noise = problem, EPS, np.zeros(middle.size)
        if problem.singles.any() or any(r.dtype == np.float32 for r in results):
            precision = float(np.finfo(np.float32).eps)
            wide = problem.widened()
            found = _in_float64(wide)
            if found is None:
                self.report.note(f"{problem.name} computes in float32 whatever it is given: the reference is as coarse")
            else:
                noise, middle, reference = np.abs(middle - found), found, wide
            noise = noise + precision * np.abs(middle)
        m = middle.size
        full = m == 1 or (m <= _FEW and m * problem.size <= 2**20)
        weights = np.eye(m) if full else _combinations(m, self.rng)
        if self.settings.hand is not None and m > 1:
            weights = np.concatenate([weights, np.ones((1, m))])
        each = full and len(weights) == m
        eps = precision if reference is problem else EPS
        return _Sight(
            value=value,
            weights=weights,
            labels=_labels(results, problem, full, len(weights), self.order),
            noise=noise if each else np.abs(weights) @ noise,
            precision=precision,
            view=View(reference, middle, eps, None if each else weights),
            before=before,
        )

    # -- Differentiate

    def differentiate(self, sight: _Sight) -> dict[str, Slopes]:
        """The gradients to be judged, by each source."""
        problem, hand, faults = self.problem, self.settings.hand, self.report.faults
        slopes: dict[str, Slopes] = {}
        with np.errstate(all="ignore"):
            try:
                slopes["backward"] = backward(problem, sight.weights, self.settings.machine, faults)
            except Mistake as mistake:
                faults.append(str(mistake))
            except Exception as error:
                if hand is None:
                    raise
                reason = shorten(f"{type(error).__name__}: {error}", 120)
                self.report.note(f"only hand is checked: {problem.name} does not run on Tensors ({reason})")
            judge_unchanged(sight.before, problem, "backward", faults)
            if hand is not None:
                result = hand(*problem.args, **problem.options)
                slopes["hand"] = by_hand(result, problem, sight.value, sight.weights, faults)
                judge_unchanged(sight.before, problem, "hand", faults)
        return slopes

    # -- Compare

    def directions(self) -> list[Direction]:
        """Along each entry, or where there are many along some, and along random combinations of all."""
        problem, n = self.problem, self.problem.size
        if n <= _SMALL:
            return problem.along(range(n))
        entries = sorted(self.rng.choice(n, _SINGLES, replace=False).tolist())
        self.report.note(
            f"{n} entries: seen through {_PROJECTIONS} random projections and {_SINGLES} single entries, by seed"
        )
        return problem.along(entries) + problem.across(self.rng.choice([-1.0, 1.0], (_PROJECTIONS, n)))

    def compare(self, sight: _Sight, slopes: dict[str, Slopes], directions: Sequence[Direction]) -> Verdict:
        """Judge the gradients along some directions, and twice again what fails."""
        rtol, relative = self.settings.rtol, math.sqrt(sight.precision)
        case = Case(
            problem=self.problem,
            order=self.order,
            labels=sight.labels,
            tolerance=Tolerance(relative if rtol is None else rtol, self.settings.atol, sight.precision, sight.noise),
            directions=directions,
            returned={source: found.along(directions) for source, found in slopes.items()},
            reference=sight.view.along(directions),
        )
        self._tell(case)
        verdict = judge(case)
        for stretch in _SECOND_LOOKS:
            bad = verdict.failing
            if not bad:
                break
            other = sight.view.along([directions[i] for i in bad], stretch)
            case = replace(case, reference=case.reference.beside(bad, other, relative))
            verdict = judge(case)
        return verdict

    def _tell(self, case: Case) -> None:
        report, reference = self.report, case.reference
        methods = [*case.returned, "finite differences"] + (["complex step"] if reference.exact is not None else [])
        report.compared = tuple(dict.fromkeys((*report.compared, *methods)))
        if reference.why_not:
            report.note(f"no complex step: {reference.why_not}")
        if reference.raised:
            raised = shorten(reference.raised, 200)
            report.note(f"the domain of {self.problem.name} was taken to end where it raised {raised}")
        report.entries += int(np.any([slopes.given for slopes in case.returned.values()], axis=0).sum())

    # -- Narrow

    def narrow(self, sight: _Sight, slopes: dict[str, Slopes], verdict: Verdict) -> Verdict:
        """Where a projection fails, find the entries that do; or see that it only crossed kinks."""
        directions = verdict.case.directions
        suspects = [directions[i] for i in verdict.failing if directions[i].entry is None]
        if not suspects:
            return verdict
        named = self._entries_of(suspects[0], sight, slopes)
        if named is not None:
            named.kinks += verdict.kinks
            return named
        if not self.beside and self._passes_beside():
            # On several kinks at once a projection need not lie between its slopes, even if each entry does.
            self.report.note("some projections cross kinks at this point: they were taken at a point beside it")
            return self.compare(sight, slopes, [u for u in directions if u.entry is not None])
        return verdict

    def _entries_of(self, suspect: Direction, sight: _Sight, slopes: dict[str, Slopes]) -> Verdict | None:
        """Cut a projection that failed in two until single entries are found that fail; None if there are none."""
        waiting = [suspect]
        for _ in range(64):
            if not waiting:
                break
            direction = waiting.pop()
            if direction.amounts.size <= 8:
                entries = range(self.problem.size)[direction.part]
                verdict = self.compare(sight, slopes, self.problem.along(entries))
                if verdict.failures:
                    return verdict
            else:
                verdict = self.compare(sight, slopes, direction.halves())
                waiting += [verdict.case.directions[i] for i in verdict.failing]
        return None

    def _passes_beside(self) -> bool:
        """Whether all is right at a point so close that the function is the same, but for kinks."""
        moved = self.problem.beside(np.random.default_rng(0))
        report = Report(self.problem.name, self.problem.names)
        try:
            replace(self, problem=moved, report=report, beside=True).run()
        except NotFiniteError:  # at the edge of its domain
            return False
        return report.ok

    def conclude(self, verdict: Verdict) -> None:
        """Write the verdict into the report."""
        report = self.report
        if self.order == 1 and not verdict.failures and np.all(verdict.case.reference.value == 0):
            report.note(f"all derivatives are zero: does the result depend on {', '.join(self.problem.names)}?")
        report.failures += verdict.failures
        report.wrong += int(np.any(list(verdict.bad.values()), axis=0).sum())
        report.kinks += verdict.kinks
        worst = verdict.worst
        if worst is not None and (verdict.failures or report.worst is None or worst.relative > report.worst.relative):
            report.worst = worst
        # A mutant's is not asked for.
        if verdict.failures and self.settings.machine is None and (others := self._elsewhere(verdict.where)):
            report.hint = hint(verdict, others)

    def _elsewhere(self, where: tuple[str, int]) -> list[Case]:
        """The same entries at other points, for a factor may fit by chance at one."""
        found: list[Case] = []
        rng = np.random.default_rng(self.settings.seed)
        for width in (-0.3, 1.0, 0.3, 0.1, 0.1):
            try:
                moved = self.problem.elsewhere(rng, width)
                other = replace(self, problem=moved, report=Report(self.problem.name, self.problem.names), rng=rng)
                if sight := other.look():
                    found.append(other.compare(sight, other.differentiate(sight), other.directions()).case)
            except Exception:  # outside the domain of the function, or of what is by hand
                continue
            if len(found) == 2:
                break
        return found


def _in_float64(wide: Problem) -> Array | None:
    """The outputs of a widened problem; None if the function computes in float32 whatever it is given."""
    try:
        with np.errstate(all="ignore"):
            value = wide.call([leaf.value for leaf in wide.leaves])
    except (TypeError, ValueError, RuntimeError):  # it takes float32 alone
        return None
    return flat(value) if all(r.dtype == np.float64 for r in outputs(value)) else None


def _combinations(m: int, rng: "np.random.Generator") -> Array:
    """A few weights of the outputs at random, one a row, of numbers exact in float32."""
    weights: Array = rng.integers(4, 13, (_PROJECTIONS, m)) / 8 * rng.choice([-1.0, 1.0], (_PROJECTIONS, m))
    return weights


def _labels(results: list[Array], problem: Problem, full: bool, rows: int, order: int) -> list[str]:
    """What each row is the derivative of; empty where there is but one output."""
    if not full:
        return ["a random combination of the outputs"] * _PROJECTIONS + ["the outputs' sum"] * (rows - _PROJECTIONS)
    labels = []
    for k, r in enumerate(results):
        name = "output" if len(results) == 1 else f"output {k}"
        if order > 1:
            name = f"the {'first' if order == 2 else 'second'} derivative by {problem.leaves[k].name}"
        labels += [f"{name}[{', '.join(map(str, i))}]" if i else name for i in np.ndindex(r.shape)]
    if rows == 1 and order == 1:
        return [""]
    return labels + ["the outputs' sum"] * (rows - len(labels))
