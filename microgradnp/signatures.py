"""Functions as Python tells of them: their names, their parameters, and whether they can be called as they will be."""

import inspect
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np


def name_of(function: Callable[..., Any]) -> str:
    """The name under which a reader knows a function: ``np.sum``, ``np.linalg.inv``, ``erf``."""
    name: str = getattr(function, "__name__", repr(function))
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):  # a method such as np.add.reduce
        return f"{name_of(owner)}.{name}"
    if getattr(np, name, None) is function:
        return f"np.{name}"
    module = getattr(function, "__module__", None) or ""
    if module.startswith("numpy."):
        return f"np.{module.removeprefix('numpy.')}.{name}"
    return name


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


def by_name(
    function: Callable[..., Any],
    front: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
    error: TypeError,
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Arguments that ``front`` does not take by place, as NumPy does, by name; None if it took them.

    Where a NumPy argument is not taken for Tensors at all, an error says which are.
    """
    own = inspect.signature(front)
    try:
        own.bind(*args, **options)
        return None
    except TypeError:
        pass
    try:
        given = inspect.signature(function).bind(*args, **options).arguments
    except (TypeError, ValueError):
        given = {}
    by_place = [p.name for p in own.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    n = sum(takewhile(bool, (a == b for a, b in zip(given, by_place, strict=False))))
    if 0 < n < len(args) and given.keys() - {"out"} <= own.parameters.keys():
        named = {name: x for name, x in [*given.items()][n:] if x is not np._NoValue}
        return args[:n], named
    raise TypeError(
        f"{name_of(function)} on a Tensor does not take these arguments ({str(error).split(') ')[-1]}); it takes: "
        f"{', '.join(own.parameters)}."
    ) from None
