"""Does the check notice a wrong rule? Break one on purpose, in the ways in which rules get broken, and see.

A check that lets everything pass also passes. So each rule is made wrong, in one argument at a time; a wrong version
that the check does not notice, a *survivor*, means that the inputs or the check are too weak. Nothing outside is
changed: the wrong version is put into the graph of one evaluation, never into the table of rules.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.check.examine import Settings, examine
from microgradnp.check.gradcheck import GradientError
from microgradnp.check.problem import Array, Function, NotFiniteError, Problem
from microgradnp.check.report import Outcome
from microgradnp.engine.rules import RULES, Rule
from microgradnp.engine.state import state
from microgradnp.engine.sweep import sweep
from microgradnp.engine.tensor import Tensor, wrap


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


class _Unread:
    """An output that may be asked for its shape, and raises if a value is used."""

    def __init__(self, y: Any) -> None:
        self.shape, self.ndim, self.size, self.dtype = y.shape, y.ndim, y.size, y.dtype

    def _read(self, *_: Any, **__: Any) -> Any:
        raise _ReadError

    __array__ = __array_ufunc__ = __array_function__ = __getattr__ = __getitem__ = __iter__ = _read
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _read
    __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __neg__ = __eq__ = __lt__ = __gt__ = __le__ = __ge__ = _read
    __hash__ = object.__hash__


class _ReadError(Exception):
    """The rule looks at a value of its output."""


def _stale_output(call: Call) -> Any:
    try:
        call.run(y=_Unread(call.y))
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


# -- Putting one into a graph ------------------------------------------------------------------------------------------


class _Broken(Sequence[Any]):
    """A rule's derivatives, one of them changed."""

    def __init__(self, vjps: Sequence[Any], i: int, mutate: Callable[[Call], Any]) -> None:
        self.vjps, self.i, self.mutate = vjps, i, mutate
        self.applied = False
        self.reason = ""

    def __len__(self) -> int:
        return len(self.vjps)

    def __getitem__(self, i: Any) -> Any:
        return self._changed if i == self.i else self.vjps[i]

    def _changed(self, g: Any, y: Any, *arguments: Any, **options: Any) -> Any:
        call = Call(self.vjps[self.i], g, y, arguments, options, arguments[self.i])
        try:
            gx = self.mutate(call)
        except NotAMutantError as reason:
            self.reason = str(reason)
            return call.run()
        self.applied = True
        return gx


def _nodes(results: list[Tensor]) -> list[Tensor]:
    """All operations that the results were computed by."""
    found = {t: None for t in results if t._rule is not None}
    walk = list(found)
    while walk:
        for x in walk.pop()._inputs:
            if type(x) is Tensor and x._tracked and x._rule is not None and x not in found:
                found[x] = None
                walk.append(x)
    return list(found)


def _pull(change: Callable[[list[Tensor]], None]) -> Function:
    """A `vjp` that lets ``change`` touch the graph before the sweep."""

    def pull(f: Function, *leaves: Any) -> tuple[Any, Function]:
        variables = [wrap(np.asarray(leaf)) for leaf in leaves]
        for v in variables:
            v.requires_grad = True
        with state(recording=True):
            value = f(*variables)
        results = [r if type(r) is Tensor else wrap(np.asarray(r)) for r in tree.leaves(value)]
        change(_nodes(results))

        def pullback(v: Any) -> tuple[Array, ...]:
            start: dict[Any, Any] = {}
            for r, s in zip(results, tree.leaves(v), strict=True):
                if r._tracked:
                    s = np.asarray(s, r.dtype)
                    start[r] = start[r] + s if r in start else s
            found = sweep(start, retain=True, targets=set(variables))
            return tuple(np.array(found[x]) if x in found else np.zeros(x.shape, x.dtype) for x in variables)

        return tree.like(value, [r.data for r in results]), pullback

    return pull


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
    report = MutantReport(getattr(f, "__name__", type(f).__name__))
    found: dict[tuple[Rule, int, str], Mutant] = {}

    def on(drawn: tuple[Any, ...]) -> None:
        problem = Problem(f, drawn, options, None)
        targets: dict[tuple[Rule, int], None] = {}

        def look(nodes: list[Tensor]) -> None:
            used = [(node._rule, node._inputs) for node in nodes if node._rule is not None]
            its_own = [(rule, inputs) for rule, inputs in used if rule is own or rule.function is f]
            for rule, inputs in its_own or used:
                targets.update({(rule, i): None for i, x in enumerate(inputs) if type(x) is Tensor and x._tracked})

        first = examine(problem, Settings(rtol=rtol, atol=atol, pull=_pull(look)))
        if not first.ok:
            raise GradientError(first)
        report.draws += 1
        for rule, i in targets:
            for name, mutate in MUTATIONS.items():
                mutant = found.setdefault((rule, i, name), Mutant(rule.name, i, name))
                if mutant.outcome != "caught":
                    _try(mutant, problem, rule, i, mutate, rtol, atol)

    if strategy is not None:
        if args:
            raise TypeError("check.mutants takes the arguments themselves or a strategy that draws them, not both.")
        from microgradnp.check.strategies import for_each

        for_each(strategy, lambda drawn: on(drawn if isinstance(drawn, tuple) else (drawn,)))
    else:
        on(args)
    report.mutants = list(found.values())
    return report


def _try(
    mutant: Mutant,
    problem: Problem,
    rule: Rule,
    i: int,
    mutate: Callable[[Call], Any],
    rtol: float | None,
    atol: float,
) -> None:
    """Judge a problem with one wrong rule in its graph, and write down what became of it."""
    broken = _Broken(rule.vjps, i, mutate)
    wrong = Rule(rule.function, rule.forward, broken)

    def change(nodes: list[Tensor]) -> None:
        for node in nodes:
            if node._rule is rule:
                node._rule = wrong

    try:
        report = examine(problem, Settings(rtol=rtol, atol=atol, pull=_pull(change)))
    except NotFiniteError:
        raise
    except Exception as error:
        if isinstance(error, RecursionError | MemoryError):
            raise
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
