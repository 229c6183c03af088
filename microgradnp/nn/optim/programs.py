"""What is recorded for an optimizer is kept with it, for as long as all that it was recorded for is alive.

A training step belongs to a model, a loss and an optimizer. The optimizer holds the programs, they reach the model and
the loss by weak references: so nothing lives on because it was trained once.
"""

import warnings
from collections.abc import Callable
from typing import Any
from weakref import ref


class Programs:
    """What was recorded for an optimizer, by the objects that it was recorded for.

    It is no part of the optimizer's state, and a program does not look in here. A copy begins with none, and so does
    the original from then on: a replay may add up in another order, and both are to go on alike to the last bit.
    """

    __slots__ = ("_kept", "_told")

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], tuple[Any, Any]] = {}
        self._told: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        self._kept.clear()
        return Programs, ()

    def tell(self, message: str) -> None:
        """Warn, once: a step that is recorded runs again now and then, to be compared with its program."""
        if message not in self._told:
            self._told.add(message)
            warnings.warn(message, RuntimeWarning, stacklevel=6)

    def get(self, *parts: Any) -> Any:
        """What is kept for these objects, or None."""
        return self._kept.get(tuple(map(id, parts)), (None, None))[0]

    def keep(self, what: Any, *parts: Any) -> None:
        """Keep ``what`` until one of these objects is gone; it must not hold them itself, but by weak references."""
        key = tuple(map(id, parts))
        self._kept[key] = what, [weakly(part, lambda _: self._kept.pop(key, None)) for part in parts]


def weakly(x: Any, gone: Callable[[Any], Any] | None = None) -> Callable[[], Any]:
    """A function that returns ``x`` and does not keep it alive; ``gone`` is called when ``x`` is."""
    try:
        return ref(x, gone)
    except TypeError:  # a ufunc, say, has no weak references
        return lambda: x
