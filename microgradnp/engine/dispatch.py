"""How NumPy finds the door: what becomes of each of its functions when an argument is a Tensor.

A function has a front here, which brings its arguments to a row's form or composes it of other functions; or a row of
the table of its own; or no gradient, as a comparison has none; or it is refused, with the reason. The tables are filled
by ``functions/``; ``tensor.py`` looks into them.
"""

import difflib
from collections.abc import Callable
from typing import Any

from microgradnp.engine.rules import RULES
from microgradnp.signatures import name_of

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""How to call each NumPy function on Tensors: its arguments brought to a row's form, or a composition of rows."""

CONSTANTS: set[Callable[..., Any]] = set()
"""Functions whose result does not change when their floating arguments do: they return plain arrays."""

REFUSED: dict[Callable[..., Any] | str, str] = {}
"""Functions, and by name whole modules, that Tensors refuse, each with the reason and what to use instead."""

# Asked for the row of a function that has none: each registers another library's rows, once that library is there.
LATER: list[Callable[[Callable[..., Any]], Any]] = []


def implements(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register how NumPy's ``functions`` are computed on Tensors: a decorator of their front."""

    def register(front: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update(dict.fromkeys(functions, front))
        return front

    return register


def learned(function: Callable[..., Any]) -> Any:
    """The row that a function has got only now, from one of ``LATER``; None where there is none."""
    return next(filter(None, (learn(function) for learn in LATER)), None)


def reason_against(function: Callable[..., Any]) -> str | None:
    """Why a function is refused, and what to use instead; None if it is not."""
    return REFUSED.get(function) or REFUSED.get(getattr(function, "__module__", None) or "")


def unsupported(function: Callable[..., Any], options: dict[str, Any]) -> str:
    """What to say of a call that no table serves; ``options`` are those that an elementwise function does not take."""
    name = name_of(function)
    if (reason := reason_against(function)) is not None:
        return f"{name} has no gradient here: {reason}"
    if options:
        keywords = ", ".join(f"{key}=" for key in options)
        return (
            f"{name} on a Tensor does not take {keywords}: choose with np.where, cast with .astype(), move axes with "
            "np.moveaxis."
        )
    known = {name_of(f): f for f in (*FUNCTIONS, *RULES)}
    short = {known_name.removeprefix("np."): known_name for known_name in known}
    near = difflib.get_close_matches(name.removeprefix("np."), short, n=1, cutoff=0.85)
    nearest = f"; the nearest supported function is {short[near[0]]}" if near else ""
    return (
        f"{name} has no derivative rule for Tensors{nearest}. Give it one with microgradnp.defvjp or "
        "@microgradnp.custom_vjp, or take the value out of the graph with .detach().data."
    )
