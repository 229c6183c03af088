"""Does the check notice a wrong rule? Break one on purpose, in the ways in which rules get broken, and see.

A check that lets everything pass also passes. So each rule is made wrong, in one argument at a time; a wrong version
that the check does not notice, a *survivor*, means that the inputs or the check are too weak. Nothing is changed by it,
neither the table of rules nor a graph: the wrong version is run by the machine that the backward pass runs on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from microgradnp.check.examine import Settings, examine
from microgradnp.check.gradcheck import GradientError
from microgradnp.check.problem import Function, NotFiniteError, Problem
from microgradnp.check.report import Outcome
from microgradnp.debugging import Watch
from microgradnp.engine.rules import RULES, Rule, Vjp
from microgradnp.engine.tensor import Tensor


class NotAMutantError(Exception):
    """This change leaves the rule as it is, whatever the numbers: there is nothing to catch."""


# -- The ways to be wrong ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a rule: what it was called with, and the argument's value, whose shape its result must get."""

    vjp: Callable[..., Any]
    g: Any
    y: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    value: Any

    def run(self, y: Any = None, **options: Any) -> Any:
        """The rule's result, with another output or other options if given."""
        return self.vjp(self.g, self.y if y is None else y, *self.arguments, **(self.options | options))

    def elsewhere(self) -> Any:
        """The rule's result where neither its floating arguments nor its output are uniform."""
        y, *arguments = map(_uneven, (self.y, *self.arguments))
        with np.errstate(all="ignore"):
            return self.vjp(self.g, y, *arguments, **self.options)

    def summed_axes(self, gx: Any) -> tuple[int, ...]:
        """The axes of the result along which broadcasting is undone."""
        shape = np.shape(self.value)
        extra = np.ndim(gx) - len(shape)
        return tuple(i for i, n in enumerate(np.shape(gx)) if i < extra or (shape[i - extra] == 1 and n != 1))


def _uneven(x: Any) -> Any:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return x
    return x + np.linspace(0.01, 0.02, x.size, dtype=x.dtype).reshape(x.shape)


def _uniform(x: Any) -> bool:
    return bool(np.all(x == np.ravel(x)[:1]))


def _scaled(factor: float) -> Callable[[Call], Any]:
    return lambda call: factor * call.run()


def _dropped_sum(call: Call) -> Any:
    gx = call.run()
    axes = call.summed_axes(gx)
    if math.prod(np.shape(gx)[i] for i in axes) <= 1:
        raise NotAMutantError("the argument is not broadcast, so nothing is summed")
    return gx[tuple(slice(0, 1) if i in axes else slice(None) for i in range(gx.ndim))]


def _doubled_sum(call: Call) -> Any:
    gx = call.run()
    n = math.prod(np.shape(gx)[i] for i in call.summed_axes(gx))
    if n <= 1:
        raise NotAMutantError("the argument is not broadcast, so nothing is summed")
    return gx * n


def _transposed(call: Call) -> Any:
    gx = call.run()
    axes = call.summed_axes(gx)
    gx = np.sum(gx, axis=axes).reshape(np.shape(call.value)) if axes else gx
    order = np.arange(gx.size).reshape(gx.shape)
    if np.array_equal(order.T.reshape(gx.shape), order):
        raise NotAMutantError("the argument has but one axis longer than 1, so it is its own transpose")
    if all(map(_uniform, (gx, call.g, call.elsewhere()))):  # a sum's, say
        raise NotAMutantError("all entries of the gradient are one and the same number")
    return gx.T.reshape(gx.shape)


def _wrong_axis(call: Call) -> Any:
    ndim = np.ndim(call.value)
    for key, old in call.options.items():
        if key not in ("axis", "axes") or old is None:
            continue
        if isinstance(old, int):
            new: Any = (old + 1) % max(ndim, 1)
        elif sorted(old) == list(range(ndim)) and key == "axes":
            new = (*old[1:], *old[:1])
        else:
            new = tuple(sorted((i + 1) % max(ndim, 1) for i in old))
        if new != old:
            return call.run(**{key: new})
    raise NotAMutantError("there is no axis that could be another one")


class _Unread(np.ndarray[Any, Any]):
    """An output that may be asked for its shape, and raises if a value is used."""

    def _read(self, *_: Any, **__: Any) -> Any:
        raise _ReadError

    __array_ufunc__ = __array_function__ = __getitem__ = __iter__ = __float__ = dot = item = _read


class _ReadError(Exception):
    """The rule looks at a value of its output."""


def _stale_output(call: Call) -> Any:
    try:
        call.run(y=call.y.view(_Unread))
    except _ReadError:
        return call.run(y=1.125 * call.y + 0.125)
    raise NotAMutantError("the rule makes no use of the output's values")


MUTATIONS: dict[str, Callable[[Call], Any]] = {
    "sign": _scaled(-1.0),
    "factor 2": _scaled(2.0),
    "factor 1/2": _scaled(0.5),
    "factor 1.01": _scaled(1.01),
    "dropped sum": _dropped_sum,
    "doubled sum": _doubled_sum,
    "transposed": _transposed,
    "wrong axis": _wrong_axis,
    "stale output": _stale_output,
}
"""Each way to make a rule wrong, by name."""


# -- Machines that run them --------------------------------------------------------------------------------------------


class _Listening(Watch):
    """Debug mode that notes which rules a backward pass runs, and for which arguments."""

    def __init__(self) -> None:
        super().__init__(finite=False)
        self.heard: dict[tuple[Rule, int], None] = {}

    def passed(self, node: Tensor, i: int, vjp: Vjp, g: Any, y: Any, arguments: Any) -> Any:
        self.heard[self.passing.rule, i] = None
        return super().passed(node, i, vjp, g, y, arguments)


class _Broken(Watch):
    """Debug mode in which one rule is wrong for one argument."""

    def __init__(self, rule: Rule, i: int, mutate: Callable[[Call], Any]) -> None:
        super().__init__(finite=False)
        self.rule, self.i, self.mutate = rule, i, mutate
        self.applied = False
        self.reason = ""

    def passed(self, node: Tensor, i: int, vjp: Vjp, g: Any, y: Any, arguments: Any) -> Any:
        if i == self.i and self.passing.rule is self.rule:
            vjp = partial(self._wrong, vjp)
        return super().passed(node, i, vjp, g, y, arguments)

    def _wrong(self, vjp: Vjp, g: Any, y: Any, *arguments: Any, **options: Any) -> Any:
        call = Call(vjp, g, y, arguments, options, arguments[self.i])
        try:
            gx = self.mutate(call)
        except NotAMutantError as reason:
            self.reason = str(reason)
            return call.run()
        self.applied = True
        return gx


# -- The report --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Mutant:
    """One wrong version of a rule: what was changed, and what became of it."""

    rule: str
    argument: int
    mutation: str
    outcome: str = "no mutant"
    """``caught``, ``survived``, or ``no mutant`` if the change changes nothing."""
    how: str = ""


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
      np.tanh argument 0  wrong axis    no mutant  there is no axis that could be another one
      np.tanh argument 0  stale output  caught     wrong at x[1, 0] of output[1, 0]
    """
    f = function.function if isinstance(function, Rule) else function
    own = function if isinstance(function, Rule) else RULES.get(function)
    settings = Settings(rtol=rtol, atol=atol)
    report = MutantReport(getattr(f, "__name__", type(f).__name__))
    found: dict[tuple[Rule, int, str], Mutant] = {}

    def on(*drawn: Any) -> None:
        problem, listening = Problem(f, drawn, options, None), _Listening()
        first = examine(problem, replace(settings, machine=listening))
        if not first.ok:
            raise GradientError(first)
        report.draws += 1
        its_own = [(rule, i) for rule, i in listening.heard if rule is own or rule.function is f]
        for rule, i in its_own or listening.heard:
            for name, mutate in MUTATIONS.items():
                mutant = found.setdefault((rule, i, name), Mutant(rule.name, i, name))
                if mutant.outcome != "caught":
                    _try(mutant, problem, settings, _Broken(rule, i, mutate))

    if strategy is not None:
        if args:
            raise TypeError("check.mutants takes the arguments themselves or a strategy that draws them, not both.")
        from microgradnp.check.strategies import for_each

        for_each(strategy, on)
    else:
        on(*args)
    report.mutants = list(found.values())
    return report


def _try(mutant: Mutant, problem: Problem, settings: Settings, broken: _Broken) -> None:
    """Examine a problem with one rule wrong, and write down what became of it."""
    try:
        report = examine(problem, replace(settings, machine=broken))
    except (NotFiniteError, RecursionError, MemoryError):
        raise
    except Exception as error:
        mutant.outcome, mutant.how = "caught", f"raises {type(error).__name__}"
        return
    if not broken.applied:
        if mutant.outcome == "no mutant":
            mutant.how = broken.reason
    elif report.ok:
        mutant.outcome, mutant.how = "survived", "the gradients pass for right"
    else:
        mutant.outcome = "caught"
        mutant.how = f"wrong at {report.worst.name}" if report.wrong and report.worst else report.faults[0]
