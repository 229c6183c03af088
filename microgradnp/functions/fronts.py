"""A front: how one of NumPy's functions is computed on Tensors. `implements` registers it.

A front has the arguments that it needs, by their NumPy names; what NumPy takes by place besides, it gets by name.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from itertools import takewhile
from typing import Any

import numpy as np

from microgradnp.engine.dispatch import FUNCTIONS
from microgradnp.engine.rules import name_of
from microgradnp.engine.tensor import call


def implements(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register how NumPy's ``functions`` are computed on Tensors."""

    def register(front: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = _as_numpy_calls_it(function, front)
        return front

    return register


def _as_numpy_calls_it(function: Callable[..., Any], front: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(front)
    def called(*args: Any, **options: Any) -> Any:
        try:
            return front(*args, **options)
        except TypeError as error:
            if (named := _by_name(function, front, args, options, error)) is None:
                raise
        return call(function, *named)

    return called


def _by_name(
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
