"""What runs the calls of a program: each backend is one file with one function, ``build(calls, plan, trace)``.

It returns a `Runnable`: the calls, in memory that was planned. Guards, arguments, ``.grad`` and results are not its
business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Runnable:
    """A program that is ready: ``bind`` tells it the inputs, ``run`` makes its calls."""

    run: Callable[[], None]
    bind: Callable[..., bool]  # whether all must be bound again before the next run: a view of one is a copy
    source: str
