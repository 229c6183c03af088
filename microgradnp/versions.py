"""What in-place statements do: ``t *= 2`` and ``t[i] = v`` are seen under every name of ``t``, and by its views.

No array is written into, since a graph may hold it. The Tensor *object* turns into the node of the new value, and
remembers the node that it was: a sweep follows that chain to the version which an operation has used. A view (a row of
a matrix, a transpose) knows what it is a view of: an in-place statement on it is written back there, and all other
views are taken anew. Of a constant, and of a view, an operation keeps the version of the moment instead of the object.

A node is any object with the attributes that ``tensor.py`` gives a Tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any
from weakref import ref

orders = count(-1, -1)
"""Creation numbers: downwards, so that a heap hands out the newest node first."""

VIEW: Any = 2
"""The value of ``_tracked`` of a view that a gradient flows to: true, but not True."""


VARIABLE: Any = {}
"""The options of a leaf that a transform has made, whose gradient a copy would not have."""

VIEWS: dict[Callable[..., Any], tuple[Callable[..., Any], Callable[..., Any] | None]] = {}
"""The functions that may give a view: how to take it anew, and what its base becomes when it gets a new value."""


def viewed(t: Any, base: Any, function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Note that ``t`` is a view of ``base``, if NumPy has made one."""
    memory = t._value.base
    if memory is None or (memory is not base._value and memory is not base._value.base):
        return
    t._view = base, function, options
    if t._tracked:
        t._tracked = VIEW
    try:
        views = base._views
    except AttributeError:
        views = base._views = []
    views.append(ref(t))
    if len(views) > 63 and not len(views) & (len(views) - 1):  # now and then those that are gone are forgotten
        views[:] = [view for view in views if view() is not None]


def captured(x: Any) -> Any:
    """What an operation keeps of an input: of a constant, and of a view, the version of this moment."""
    if x._tracked is True:
        return x
    version = getattr(x, "_version", None)
    if version is None:
        version = x._version = _copy(x)
        version._order = next(orders)  # a node of its own, older than what will use it
    return version


def used_by(node: Any, x: Any) -> Any:
    """The version of ``x`` that ``node`` has used, as far as it is known."""
    while x._order < node._order and (past := getattr(x, "_past", None)) is not None:
        x = past
    return x


def renewed(x: Any) -> None:
    """The value of ``x`` was replaced from outside: what has used it will notice."""
    x._order = next(orders)
    version = getattr(x, "_version", None)
    if version is not None:
        version._order = x._order
    x._past = x._version = None


def revise(x: Any, new: Any) -> None:
    """Let ``x`` be ``new`` from now on, under every name, and with it what it is a view of and all its views."""
    view = getattr(x, "_view", None)
    if view is None:
        _become(x, new)
        _take_anew(x)
        return
    base, function, options = view
    back = VIEWS[function][1]
    if back is None:
        raise ValueError("this Tensor is a read-only view (of np.broadcast_to): change a copy, t = t.copy().")
    revise(base, back(base, new, **options))


def is_view(v: Any, base: Any, function: Callable[..., Any], options: dict[str, Any]) -> bool:
    """Whether ``v`` is this view of ``base``."""
    view = getattr(v, "_view", None)
    return view is not None and view[0] is base and view[1:] == (function, options)


def origin_of(x: Any) -> str | None:
    """Where a Tensor that belongs to a graph comes from; None for any other, a leaf that the user has made too."""
    if x._rule is None:
        return "a variable of a transform, such as mg.grad" if getattr(x, "_options", None) is VARIABLE else None
    return f"the result of {x._rule.name}"


def root_of(x: Any) -> Any:
    """What ``x`` is a view of, or itself."""
    while (view := getattr(x, "_view", None)) is not None:
        x = view[0]
    return x


def _take_anew(x: Any) -> None:
    views = getattr(x, "_views", None)
    if not views:
        return
    alive = [t for view in views if (t := view()) is not None]
    for t in alive:
        _, function, options = t._view
        _become(t, VIEWS[function][0](x, **options))
        _take_anew(t)
    views[:] = map(ref, alive)


def _become(x: Any, new: Any) -> None:
    if x._tracked and x._rule is None:  # a leaf, outside any graph, as the update of a parameter is
        x._value = new._value
        renewed(x)
        return
    past = x._past = _copy(x) if x._tracked is True else None  # of all others operations keep versions
    x._version = None
    x._value, x._tracked, x._rule, x.note = new._value, new._tracked, new._rule, getattr(new, "note", None)
    if x._tracked:
        x._tracked, x._options, x._order = VIEW if hasattr(x, "_view") else True, new._options, new._order
        x._inputs = tuple(past if i is x else i for i in new._inputs)
    elif past is not None:
        x._order = next(orders)


def _copy(x: Any) -> Any:
    new = object.__new__(type(x))
    new._value, new._tracked, new._rule, new._order = x._value, bool(x._tracked), x._rule, x._order
    new._grad, new.name = None, x.name
    if x._rule is not None:
        new._options, new._inputs = x._options, x._inputs
    if hasattr(x, "note"):
        new.note = x.note
    new._past = getattr(x, "_past", None)
    return new
