"""What a function tells of its parameters, and whether rules can be called as they will be."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A function's parameters, as far as it tells them; a ufunc's inputs, which NumPy itself tells only since 2.4."""
    if isinstance(function, np.ufunc):
        names = ["x"] if function.nin == 1 else [f"x{i}" for i in range(1, function.nin + 1)]
        return [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def check_signatures(who: str, rules: Sequence[Callable[..., Any] | None], least: int, most: float) -> None:
    """Refuse rules that cannot be called with the gradient, the output and ``least`` to ``most`` arguments."""
    for i, rule in enumerate(rules):
        code = getattr(rule, "__code__", None)  # inspect.signature would take 3 ms for the rows below
        if rule is None or code is None:
            continue
        takes = code.co_argcount
        needs = takes - len(getattr(rule, "__defaults__", None) or ()) - hasattr(rule, "__self__")
        many = bool(code.co_flags & 0x04)  # it has *arguments
        if (not many and takes - hasattr(rule, "__self__") < least + 2) or needs > most + 2:
            names = ", ".join(code.co_varnames[:takes])
            called = f"{least}" if least == most else f"at least {least}"
            raise TypeError(
                f"{who}: the rule for argument {i} takes ({names}), but is called as rule(g, y, *arguments): with the "
                f"gradient, the output and all of the function's arguments, {called} here."
            )
