"""A context that is a decorator too, and may be entered twice, by several threads, before it is left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from contextvars import ContextVar
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any

from microgradnp.signatures import name_of

# Not kept in the Scope itself, which may be entered twice, or by several threads, before it is left.
_OPEN: ContextVar[tuple[AbstractContextManager[Any], ...]] = ContextVar("microgradnp_open", default=())


class Scope(AbstractContextManager[None], ContextDecorator):
    """What `no_grad` and `debug` return: a context, and a decorator of functions that run from start to end."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Any]]) -> None:
        self._begin = begin

    def _recreate_cm(self) -> Scope:  # for each call of a decorated function a context of its own
        return Scope(self._begin)

    def __enter__(self) -> None:
        inside = self._begin()
        inside.__enter__()
        _OPEN.set((*_OPEN.get(), inside))

    def __exit__(self, *error: Any) -> None:
        *outer, inside = _OPEN.get()
        _OPEN.set(tuple(outer))
        inside.__exit__(*error)

    def __call__(self, function: Any) -> Any:
        """Decorate ``function``; one that pauses would end the context before it has run."""
        if isgeneratorfunction(function) or iscoroutinefunction(function) or isasyncgenfunction(function):
            raise TypeError(
                f"{name_of(function)} pauses and goes on later, when this context would be over: a generator or an "
                "async function cannot be decorated with it. Write 'with ...:' around the computation inside."
            )
        return super().__call__(function)
