"""Is this gradient right? The gradient that a program returns, held against references that cannot share its mistakes.

Here is the public call. What it does stands in `examine`, in four steps; what a gradient is held against, in
`references`; and how a difference is judged, in `verdict`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from microgradnp.check.examine import examine
from microgradnp.check.problem import Function, Problem, require_function
from microgradnp.check.report import Report
from microgradnp.check.verdict import Settings


class GradientError(AssertionError):
    """A gradient that is not right; ``.report`` holds what was found."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


def gradients(
    f: Function,
    *args: Any,
    hand: Function | None = None,
    order: int = 1,
    argnums: int | Sequence[int] | None = None,
    strategy: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    seed: int = 0,
    **options: Any,
) -> Report:
    """Check the gradients of ``f`` at ``args`` against finite differences, the complex step and a derivative by hand.

    Forward and backward run in debug mode (see `microgradnp.debug`): an array that ``f`` changes after an operation has
    captured it, or that a derivative rule changes, is a fault that names the operation and the line that called it.

    Parameters
    ----------
    f
        Any function of arrays. If it can be run on Tensors, the gradient by `microgradnp.Tensor.backward` is checked;
        if it cannot (it is written in another library), only ``hand`` is, and the report says so.
    *args, **options
        What to call it with. The gradient is taken by floats and float arrays, also in nested tuples, lists and
        dicts; all else is held constant.
    hand
        A function that takes what ``f`` takes and returns its gradients in the same order, one array where there is one
        argument. Where ``f`` returns an array, they are the gradients of its sum or whole Jacobians, told apart by
        their shape.
    order
        Also check the second (2) and the third (3) derivatives, each against differences of the one before.
    argnums
        Which arguments to differentiate by; all with floats, if None.
    strategy
        Instead of ``args``: a hypothesis strategy that draws the argument, or a tuple of arguments.
    rtol, atol
        What to allow besides the reference's own uncertainty: by default the square root of the precision, 1.5e-8 for
        float64 and 3.5e-4 for float32. Entries below 2e-12 (float32: 1e-5) of the largest are not told from zero.
    seed
        Of the random projections through which large functions are seen.

    Returns
    -------
    Report
        What was compared, the worst entry, and the kinks that were passed.

    Raises
    ------
    GradientError
        If a gradient is wrong; it names the worst entry and what the mistake might be. If a captured array was changed;
        it names the operation.
    ValueError
        If ``f`` is not finite at ``args``, or an argument repeats its memory (stride 0).
    TypeError
        If no argument is a float, or ``hand`` returns another number of gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import check
    >>> check.gradients(np.tanh, np.array([0.5, -1.0])).ok
    True
    >>> check.gradients(np.tanh, 0.5, hand=lambda x: 1 + np.tanh(x) ** 2)
    Traceback (most recent call last):
    ...
    microgradnp.check.gradcheck.GradientError: wrong: the gradient of tanh by x, in 1 of 1 entries
      compared             backward, hand, finite differences, complex step
      worst entry          x
    ...
    """
    __tracebackhide__ = True  # a failing test shows the verdict and the user's line
    if hand is not None:
        require_function(hand)
    settings = Settings(hand, order, rtol, atol, seed)
    reports: list[Report] = []

    def on(*drawn: Any) -> None:
        reports.append(examine(Problem(f, drawn, options, argnums), settings))
        if not reports[-1].ok:
            raise GradientError(reports[-1])

    try:
        over("gradients", args, strategy, on)
    except GradientError as error:
        raise error.with_traceback(None) from None  # hypothesis's frames and ours say nothing
    report = max(reports, key=lambda r: r.worst.relative if r.worst else 0.0)
    report.draws = 0 if strategy is None else len(reports)
    report.entries = sum(r.entries for r in reports)
    report.kinks = [kink for r in reports for kink in r.kinks]
    return report


assert_gradients = gradients
"""`gradients` under the name that reads well in a test."""


def over(who: str, args: tuple[Any, ...], strategy: Any, test: Callable[..., None]) -> None:
    """Run a test on the arguments that were given, or on all that a strategy draws."""
    if strategy is None:
        test(*args)
        return
    if args:
        raise TypeError(f"check.{who} takes the arguments themselves or a strategy that draws them, not both.")
    from microgradnp.check.strategies import for_each

    for_each(strategy, test)
