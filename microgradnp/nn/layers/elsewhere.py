"""Where else a model keeps what is to be trained: closures, objects that are no layers, class attributes, sets.

The walk over a model's attributes does not look there, since much else is there besides. This search does, only to say
so: whoever expects such a layer to be trained must hear that it is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from microgradnp.engine.tensor import Tensor
from microgradnp.transforms.graph import operation, operations, variables

FAR = 2000
"""After so many objects the search ends."""

_NOTHING_INSIDE = (int, float, complex, str, bytes, np.ndarray, np.generic, type, ModuleType, type(None))
_LIBRARIES = ("microgradnp", "numpy", "builtins", "weakref", "threading", "logging")


def missed_by(model: Any, tensors: Iterable[Tensor]) -> list[str]:
    """What requires a gradient, is reachable from ``model`` and is not among ``tensors``: in sentences."""
    found = set(tensors)
    hidden, computed = [], []
    for place, t in tensors_near(model, type(model).__name__):
        if t in found or not t.requires_grad:
            continue
        if t.is_leaf:
            hidden.append(f"{place} of shape {t.shape}")
        elif not found.issuperset(leaves_behind(t)):
            computed.append(no_leaf(place, t))
    return [f"not among the parameters: {', '.join(hidden)}. {REMEDY}", *computed] if hidden else computed


REMEDY = (
    "Keep them in an attribute of a Layer, itself or in a list, tuple, dict, namespace or dataclass; what is not to be "
    "trained gets requires_grad = False."
)


def no_leaf(place: str, t: Tensor) -> str:
    """What to say of a weight that is computed."""
    made = operation(t)
    how = f", by {made.name}" if made else ""
    return (
        f"{place} is no leaf: it is computed from another Tensor{how}, once and not at each step. Compute its value "
        "first: Tensor(values, requires_grad=True)."
    )


def leaves_behind(t: Tensor) -> list[Tensor]:
    """The leaves that ``t`` was computed from; none, if that is forgotten."""
    try:
        return variables(operations([t]))
    except RuntimeError:  # a backward() has freed it
        return []


def tensors_near(start: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The Tensors that ``start`` reaches by attributes, items, closures and class attributes, nearest first."""
    seen = {id(start)}
    queue = deque([(name, start)])
    while queue and len(seen) < FAR:
        place, x = queue.popleft()
        if type(x) is Tensor:
            yield place, x
            continue
        for where, part in _parts(place, x):
            if not isinstance(part, _NOTHING_INSIDE) and id(part) not in seen:
                seen.add(id(part))
                queue.append((where, part))


def _parts(place: str, x: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(x, dict):
        yield from ((f"{place}[{key!r}]", part) for key, part in x.items())
    elif isinstance(x, list | tuple | set | frozenset | deque):
        yield from ((f"{place}[{i}]", part) for i, part in enumerate(x))
    elif isinstance(x, FunctionType):
        cells = zip(x.__code__.co_freevars, x.__closure__ or (), strict=True)
        yield from ((f"the variable {name} of {place}", cell.cell_contents) for name, cell in cells if _filled(cell))
        yield from ((f"a default of {place}", part) for part in x.__defaults__ or ())
    elif isinstance(x, MethodType):
        yield place, x.__self__
        yield place, x.__func__
    elif isinstance(x, partial):
        yield from ((place, part) for part in (x.func, *x.args, *x.keywords.values()))
    elif hasattr(x, "named_layers") or isinstance(x, SimpleNamespace) or not _is_librarys(type(x)):
        yield from ((f"{place}.{name}", part) for name, part in getattr(x, "__dict__", {}).items())
        for kind in type(x).__mro__:
            for name, part in () if _is_librarys(kind) else vars(kind).items():
                if isinstance(part, MemberDescriptorType):  # of a slot
                    yield f"{place}.{name}", getattr(x, name, None)
                elif not name.startswith("__") or isinstance(part, FunctionType):
                    yield f"{place}.{name}", part


def _is_librarys(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _LIBRARIES


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
