"""Does the check notice a wrong rule? Break one on purpose, in the ways in which rules get broken, and see.

A check that lets everything pass also passes. So each rule is made wrong, in one argument at a time; a wrong version
that the check does not notice, a *survivor*, means that the inputs or the check are too weak. Nothing is changed by it,
neither the table of rules nor a graph: the wrong version is run by the machine that the backward pass runs on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from microgradnp.check.examine import examine
from microgradnp.check.gradcheck import GradientError, over
from microgradnp.check.problem import Function, NotFiniteError, Problem
from microgradnp.check.report import Outcome
from microgradnp.check.verdict import Settings
from microgradnp.debugging import Watch
from microgradnp.engine.rules import RULES, Rule, Vjp
from microgradnp.engine.sweep import fitted
from microgradnp.engine.tensor import Tensor

# -- The ways to be wrong ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a rule, for argument ``i``: what it was called with."""

    vjp: Callable[..., Any]
    rule: Rule
    i: int
    g: Any
    y: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def run(self, **options: Any) -> Any:
        """What the rule gives, with other options if given."""
        return self.vjp(self.g, self.y, *self.arguments, **(self.options | options))

    def fitted(self, gx: Any) -> Any:
        """A result in the argument's shape, as the sweep brings it there: summed where it was broadcast."""
        return fitted(gx, np.asarray(self.arguments[self.i]), self.rule, self.i)

    def elsewhere(self) -> "Call":
        """The same where no floating argument is uniform, nor the output, and the gradient is not zero."""
        g = self.g if np.any(self.g) else np.ones_like(self.g)
        return replace(self, g=g, y=_uneven(self.y), arguments=tuple(map(_uneven, self.arguments)))

    def is_changed_by(self, mutate: Callable[["Call"], Any]) -> bool:
        """Whether a change of the rule makes a difference, be it here or at other numbers."""
        with np.errstate(all="ignore"):
            pairs = ((each.fitted(mutate(each)), each.fitted(each.run())) for each in (self, self.elsewhere()))
            return any(not np.array_equal(wrong, right, equal_nan=True) for wrong, right in pairs)


def _uneven(x: Any) -> Any:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return x
    return x + np.linspace(0.01, 0.02, x.size, dtype=x.dtype).reshape(x.shape)


def _scaled(factor: float) -> Callable[[Call], Any]:
    return lambda call: factor * call.run()


def _dropped_sum(call: Call) -> Any:
    gx, shape = call.run(), np.shape(call.arguments[call.i])
    stretched = [True] * (gx.ndim - len(shape)) + [n == 1 for n in shape]
    return gx[tuple(slice(0, 1) if first else slice(None) for first in stretched)]


def _doubled_sum(call: Call) -> Any:
    gx = call.run()
    return gx * (gx.size // max(np.size(call.arguments[call.i]), 1))


def _transposed(call: Call) -> Any:
    gx = call.fitted(call.run())
    return gx.T.reshape(gx.shape)


def _wrong_axis(call: Call) -> Any:
    ndim = np.ndim(call.arguments[call.i])
    changed: dict[str, Any] = {}
    for key in {"axis", "axes"} & call.options.keys():
        old = call.options[key]
        if isinstance(old, int):
            changed[key] = (old + 1) % max(ndim, 1)
        elif old is not None:
            all_of_them = key == "axes" and sorted(old) == list(range(ndim))
            changed[key] = (*old[1:], *old[:1]) if all_of_them else tuple(sorted((i + 1) % max(ndim, 1) for i in old))
    return call.run(**changed)


MUTATIONS: dict[str, Callable[[Call], Any]] = {
    "sign": _scaled(-1.0),
    "factor 2": _scaled(2.0),
    "factor 1/2": _scaled(0.5),
    "factor 1.01": _scaled(1.01),
    "dropped sum": _dropped_sum,
    "doubled sum": _doubled_sum,
    "transposed": _transposed,
    "wrong axis": _wrong_axis,
    "stale output": lambda call: replace(call, y=1.125 * call.y + 0.125).run(),
}
"""Each way to make a rule wrong, by name."""


class _Changing(Watch):
    """Debug mode in which a backward pass runs other rules: what ``change`` makes of each, for each argument."""

    def __init__(self, change: Callable[[Rule, int, Vjp], Vjp]) -> None:
        super().__init__(finite=False)
        self.change = change

    def passed(self, node: Tensor, i: int, vjp: Vjp, g: Any, y: Any, arguments: Any) -> Any:
        return super().passed(node, i, self.change(self.passing.rule, i, vjp), g, y, arguments)


# -- The report --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Mutant:
    """One wrong version of a rule: what was changed, and what became of it."""

    rule: str
    argument: int
    mutation: str
    outcome: str = "no mutant"
    """``caught``, ``survived``, or ``no mutant`` if the change changes nothing."""
    how: str = "it leaves the rule as it is"


@dataclass(slots=True, repr=False)
class MutantReport(Outcome):
    """What `microgradnp.check.mutants` found; prints as a table."""

    function: str
    mutants: list[Mutant] = field(default_factory=list)
    draws: int = 0

    @property
    def caught(self) -> list[Mutant]:
        """The wrong versions that the check noticed."""
        return [m for m in self.mutants if m.outcome == "caught"]

    @property
    def survived(self) -> list[Mutant]:
        """The wrong versions that came through: the inputs are too weak to tell them from the rule."""
        return [m for m in self.mutants if m.outcome == "survived"]

    @property
    def ok(self) -> bool:
        """Whether there were wrong versions, and all were caught."""
        return bool(self.caught) and not self.survived

    @property
    def title(self) -> str:
        """The outcome in one line."""
        n = len(self.caught) + len(self.survived)
        inputs = f"{self.draws} input{'s' if self.draws > 1 else ''}"
        return f"{len(self.caught)} of {n} wrong versions of {self.function} are caught, with {inputs}"

    def rows(self) -> list[tuple[str, ...]]:
        """The table: rule and argument, mutation, outcome, how."""
        return [(f"{m.rule} argument {m.argument}", m.mutation, m.outcome, m.how) for m in self.mutants]


def mutants(
    function: Function | Rule,
    *args: Any,
    strategy: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    **options: Any,
) -> MutantReport:
    """Make wrong versions of a derivative rule and report which of them `gradients` catches.

    Parameters
    ----------
    function
        What has the rule: a NumPy function, a function decorated with `custom_vjp`, or a `Rule`. Of a function that is
        composed of others, each rule that it uses is made wrong in turn; a survivor may then also be a gradient that
        does not matter for the whole.
    *args, **options
        What to call it with. More than one entry an axis, no two axes of one length and a broadcast argument leave the
        least room for survivors.
    strategy
        Instead of ``args``: a hypothesis strategy that draws the argument, or a tuple of arguments. A wrong version is
        caught if one of the drawn inputs gives it away.
    rtol, atol
        As for `gradients`.

    Raises
    ------
    GradientError
        If the rule is wrong as it stands.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import check
    >>> report = check.mutants(np.tanh, np.array([[0.5, -1.0, 0.25], [2.0, 0.125, -0.75]]))
    >>> report.ok
    True
    >>> print(report)  # doctest: +ELLIPSIS
    6 of 6 wrong versions of tanh are caught, with 1 input
      np.tanh argument 0  sign          caught     wrong at x[...] of output[...]
      ...
      np.tanh argument 0  wrong axis    no mutant  it leaves the rule as it is
      np.tanh argument 0  stale output  caught     wrong at x[1, 0] of output[1, 0]
    """
    f = function.function if isinstance(function, Rule) else function
    own = function if isinstance(function, Rule) else RULES.get(function)
    settings = Settings(rtol=rtol, atol=atol)
    report = MutantReport(getattr(f, "__name__", type(f).__name__))
    found: dict[tuple[Rule, int, str], Mutant] = {}

    def on(*drawn: Any) -> None:
        problem = Problem(f, drawn, options, None)
        heard: dict[tuple[Rule, int], None] = {}

        def hear(rule: Rule, i: int, vjp: Vjp) -> Vjp:
            heard[rule, i] = None
            return vjp

        first = examine(problem, replace(settings, machine=_Changing(hear)))
        if not first.ok:
            raise GradientError(first)
        report.draws += 1
        its_own = [(rule, i) for rule, i in heard if rule is own or rule.function is f]
        for rule, i in its_own or heard:
            for name in MUTATIONS:
                mutant = found.setdefault((rule, i, name), Mutant(rule.name, i, name))
                if mutant.outcome != "caught":
                    _try(mutant, rule, problem, settings)

    over("mutants", args, strategy, on)
    report.mutants = list(found.values())
    return report


def _try(mutant: Mutant, broken: Rule, problem: Problem, settings: Settings) -> None:
    """Examine a problem with one rule wrong for one argument, and write down what became of it."""
    mutate = MUTATIONS[mutant.mutation]
    applied = False

    def wrong(vjp: Vjp, g: Any, y: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal applied
        call = Call(vjp, broken, mutant.argument, g, y, arguments, options)
        applied = applied or call.is_changed_by(mutate)
        return mutate(call)

    def change(rule: Rule, i: int, vjp: Vjp) -> Vjp:
        return partial(wrong, vjp) if rule is broken and i == mutant.argument else vjp

    try:
        report = examine(problem, replace(settings, machine=_Changing(change)))
    except (NotFiniteError, RecursionError, MemoryError):
        raise
    except Exception as error:
        mutant.outcome, mutant.how = "caught", f"raises {type(error).__name__}"
        return
    if not applied:
        return
    if report.ok:
        mutant.outcome, mutant.how = "survived", "the gradients pass for right"
    else:
        mutant.outcome = "caught"
        mutant.how = f"wrong at {report.worst.name}" if report.wrong and report.worst else report.faults[0]
