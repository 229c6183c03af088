"""One examination of a problem's gradients, from the call to the report: look, differentiate, compare, narrow.

For a function with few entries the whole Jacobian is compared, entry by entry, so that a verdict names its entry. For a
large one the Jacobian is seen through random projections, which miss nothing but by chance, and a projection that fails
is cut in two until it names one.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.check.problem import Array, Direction, NotFiniteError, Problem, flat, outputs, plain
from microgradnp.check.references import EPS, Reference, Sight
from microgradnp.check.report import Report
from microgradnp.check.returned import Slopes, backward, by_hand, judge_unchanged, seeds_of
from microgradnp.check.verdict import Settings, Verdict, hint
from microgradnp.debugging import Mistake
from microgradnp.transforms.pullback import vjp

_SMALL = 128
"""Up to so many entries of the arguments each is looked at by itself."""
_PROJECTIONS, _SINGLES = 4, 24
"""Through how many random combinations, and how many entries, larger ones are seen."""
_FEW = 64
"""Up to so many outputs each is looked at by itself."""
_SECOND_LOOKS = 0.7, 0.55
"""Before a reference condemns, it is taken again at so many times its steps: noise differs then, a slope does not."""


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
        before = self.problem.snapshot()
        sight = self.look(before)
        if sight is None:
            return
        slopes = self.differentiate(sight, before)
        directions = self.directions()
        if slopes and directions and sight.weights.size:
            verdict = self.compare(sight, slopes, directions)
            self.conclude(self.narrow(slopes, verdict))

    # -- Look

    def look(self, before: list[Any]) -> Sight | None:
        """Call the function; None if that alone shows that it cannot be examined."""
        problem, faults = self.problem, self.report.faults
        start = [leaf.value for leaf in problem.leaves]
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
        return None if faults else self._sight(value, middle)

    def _sight(self, value: Any, middle: Array) -> Sight:
        problem, results = self.problem, outputs(value)
        wide, precision, noise = problem, EPS, np.zeros(middle.size)
        if problem.singles.any() or any(r.dtype == np.float32 for r in results):
            precision = float(np.finfo(np.float32).eps)
            found = _in_float64(problem.widened())
            if found is None:
                self.report.note(f"{problem.name} computes in float32 whatever it is given: the reference is as coarse")
            else:
                noise, middle, wide = np.abs(middle - found), found, problem.widened()
            noise = noise + precision * np.abs(middle)
        m = middle.size
        full = m == 1 or (m <= _FEW and m * problem.size <= 2**20)
        # A few random combinations, of numbers exact in float32.
        shape = _PROJECTIONS, m
        weights = np.eye(m) if full else self.rng.integers(4, 13, shape) / 8 * self.rng.choice([-1.0, 1.0], shape)
        if self.settings.hand is not None and m > 1:
            weights = np.concatenate([weights, np.ones((1, m))])
        each = full and len(weights) == m
        labels = self._labels(results, full, len(weights))
        noise = noise if each else np.abs(weights) @ noise
        return Sight(problem, self.order, value, weights, labels, noise, precision, wide, middle, each)

    def _labels(self, results: list[Array], full: bool, rows: int) -> list[str]:
        """What each row of the weights is the derivative of; empty where there is but one output."""
        if rows == full == self.order == 1:
            return [""]
        labels = [] if full else ["a random combination of the outputs"] * _PROJECTIONS
        for k, r in enumerate(results if full else ()):
            name = "output" if len(results) == 1 else f"output {k}"
            if self.order > 1:
                name = f"the {'first' if self.order == 2 else 'second'} derivative by {self.problem.leaves[k].name}"
            labels += [f"{name}[{', '.join(map(str, i))}]" if i else name for i in np.ndindex(r.shape)]
        return labels + ["the outputs' sum"] * (rows - len(labels))

    # -- Differentiate

    def differentiate(self, sight: Sight, before: list[Any]) -> dict[str, Slopes]:
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
            judge_unchanged(before, problem, "backward", faults)
            if hand is not None:
                result = hand(*problem.args, **problem.options)
                slopes["hand"] = by_hand(result, problem, sight.value, sight.weights, faults)
                judge_unchanged(before, problem, "hand", faults)
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

    def compare(self, sight: Sight, slopes: dict[str, Slopes], directions: Sequence[Direction]) -> Verdict:
        """Judge the gradients along some directions, and twice again what fails."""
        returned = {source: found.along(directions) for source, found in slopes.items()}
        verdict = Verdict(sight, self.settings, directions, returned, sight.along(directions))
        self._tell(returned, verdict.reference)
        for stretch in _SECOND_LOOKS:
            if bad := verdict.failing:
                other = sight.along([directions[i] for i in bad], stretch)
                found = verdict.reference.found.beside(bad, other.found, sight.share)
                verdict = replace(verdict, reference=replace(verdict.reference, found=found))
        return verdict

    def _tell(self, returned: dict[str, Slopes], reference: Reference) -> None:
        report = self.report
        methods = [*returned, "finite differences"] + (["complex step"] if reference.exact is not None else [])
        report.compared = tuple(dict.fromkeys((*report.compared, *methods)))
        if reference.why_not:
            report.note(f"no complex step: {reference.why_not}")
        if reference.raised:
            raised = shorten(reference.raised, 200)
            report.note(f"the domain of {self.problem.name} was taken to end where it raised {raised}")
        report.entries += int(np.any([slopes.given for slopes in returned.values()], axis=0).sum())

    # -- Narrow

    def narrow(self, slopes: dict[str, Slopes], verdict: Verdict) -> Verdict:
        """Where a projection fails, find the entries that do; or see that it only crossed kinks."""
        suspects = [u for i in verdict.failing if (u := verdict.directions[i]).entry is None]
        if not suspects:
            return verdict
        waiting = suspects[:1]
        for _ in range(64):  # cut in two what fails until single entries are found that do
            if not waiting:
                break
            direction = waiting.pop()
            few = direction.amounts.size <= 8
            entries = range(self.problem.size)[direction.part]
            found = self.compare(verdict.sight, slopes, self.problem.along(entries) if few else direction.halves())
            if few and found.failures:
                found.kinks += verdict.kinks
                return found
            waiting += [] if few else [found.directions[i] for i in found.failing]
        if not self.beside and self._passes_beside():
            # On several kinks at once a projection need not lie between its slopes, even if each entry does.
            self.report.note("some projections cross kinks at this point: they were taken at a point beside it")
            return self.compare(verdict.sight, slopes, [u for u in verdict.directions if u.entry is not None])
        return verdict

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
        if self.order == 1 and not verdict.failures and np.all(verdict.reference.value == 0):
            report.note(f"all derivatives are zero: does the result depend on {', '.join(self.problem.names)}?")
        report.failures += verdict.failures
        report.wrong += int(np.any(list(verdict.bad.values()), axis=0).sum())
        report.kinks += verdict.kinks
        worst = verdict.worst
        if worst is not None and (verdict.failures or report.worst is None or worst.relative > report.worst.relative):
            report.worst = worst
        # A mutant's is not asked for.
        if verdict.failures and self.settings.machine is None and (others := self._elsewhere()):
            report.hint = hint(verdict, others)

    def _elsewhere(self) -> list[Verdict]:
        """The same at other points, for a factor may fit by chance at one."""
        rng = np.random.default_rng(self.settings.seed)

        def at(moved: Problem) -> Verdict | None:
            other = replace(self, problem=moved, report=Report(moved.name, moved.names), rng=rng)
            before = moved.snapshot()
            sight = other.look(before)
            if sight is None:
                return None
            return other.compare(sight, other.differentiate(sight, before), other.directions())

        return self.problem.others(2, (-0.3, 1.0, 0.3, 0.1, 0.1), rng, at)


def _in_float64(wide: Problem) -> Array | None:
    """The outputs of a widened problem; None if the function computes in float32 whatever it is given."""
    try:
        with np.errstate(all="ignore"):
            value = wide.call([leaf.value for leaf in wide.leaves])
    except (TypeError, ValueError, RuntimeError):  # it takes float32 alone
        return None
    return flat(value) if all(r.dtype == np.float64 for r in outputs(value)) else None
