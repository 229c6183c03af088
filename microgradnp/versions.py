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


class Links:
    """What a Tensor remembers for in-place statements."""

    __slots__ = ("base", "function", "options", "past", "version", "views")

    def __init__(self) -> None:
        self.base: Any = None  # what this is a view of, by which function and options
        self.function: Any = None
        self.options: dict[str, Any] = {}
        self.past: Any = None  # the node that this Tensor was before
        self.version: Any = None  # what operations keep of it as it is now
        self.views: list[Any] = []  # weak references to its views


VIEWS: dict[Callable[..., Any], tuple[Callable[..., Any], Callable[..., Any] | None]] = {}
"""The functions that may give a view: how to take it anew, and what its base becomes when it gets a new value."""


def viewed(t: Any, base: Any, function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Note that ``t`` is a view of ``base``, if NumPy has made one."""
    memory = base._value
    memory = memory if memory.base is None else memory.base
    if t._value.base is not memory or function not in VIEWS:
        return
    links = t._links = Links()
    links.base, links.function, links.options = base, function, options
    if t._tracked:
        t._tracked = VIEW
    views = _links(base).views
    if not len(views) & (len(views) - 1):  # at each power of two: those that are gone are forgotten
        views[:] = [view for view in views if view() is not None]
    views.append(ref(t))


def captured(x: Any) -> Any:
    """What an operation keeps of an input: of a constant, and of a view, the version of this moment."""
    if x._tracked is True:
        return x
    links = _links(x)
    if links.version is None:
        links.version = _copy(x)
        links.version._order = next(orders)  # a node of its own, older than what will use it
    return links.version


def used_by(node: Any, x: Any) -> Any:
    """The version of ``x`` that ``node`` has used, as far as it is known."""
    while x._order < node._order and (links := getattr(x, "_links", None)) is not None and links.past is not None:
        x = links.past
    return x


def renewed(x: Any) -> None:
    """The value of ``x`` was replaced from outside: what has used it will notice."""
    x._order = next(orders)
    links = getattr(x, "_links", None)
    if links is not None:
        if links.version is not None:
            links.version._order = x._order
        links.past = links.version = None


def revise(x: Any, new: Any) -> None:
    """Let ``x`` be ``new`` from now on, under every name, and with it what it is a view of and all its views."""
    links = getattr(x, "_links", None)
    if links is not None and links.base is not None:
        back = VIEWS[links.function][1]
        if back is None:
            raise ValueError("this Tensor is a read-only view (of np.broadcast_to): change a copy, t = t.copy().")
        revise(links.base, back(links.base, new, **links.options))
        return
    _become(x, new)
    _take_anew(x)


def is_view(v: Any, base: Any, function: Callable[..., Any], options: dict[str, Any]) -> bool:
    """Whether ``v`` is this view of ``base``."""
    links = getattr(v, "_links", None)
    return links is not None and links.base is base and links.function is function and links.options == options


def root_of(x: Any) -> Any:
    """What ``x`` is a view of, or itself."""
    while (links := getattr(x, "_links", None)) is not None and links.base is not None:
        x = links.base
    return x


def _take_anew(x: Any) -> None:
    links = getattr(x, "_links", None)
    if links is None:
        return
    views = [view for v in links.views if (view := v()) is not None]
    for view in views:
        own = view._links
        _become(view, VIEWS[own.function][0](x, **own.options))
        _take_anew(view)
    links.views[:] = map(ref, views)


def _become(x: Any, new: Any) -> None:
    links = _links(x)
    links.version = None
    if x._tracked and x._rule is None:  # a leaf, outside any graph, as the update of a parameter is
        x._value = new._value
        renewed(x)
        return
    past = links.past = _copy(x) if x._tracked is True else None  # operations keep copies of all others
    x._value, x._tracked, x._rule, x.note = new._value, new._tracked, new._rule, getattr(new, "note", None)
    if x._tracked:
        x._tracked, x._options, x._order = True if links.base is None else VIEW, new._options, new._order
        x._inputs = tuple(past if i is x else i for i in new._inputs)
    elif past is not None:
        x._order = next(orders)


def _copy(x: Any) -> Any:
    new = object.__new__(type(x))
    new._value, new._tracked, new._rule, new._order = x._value, bool(x._tracked), x._rule, x._order
    new._grad, new.name = None, x.name
    if x._rule is not None:
        new._options, new._inputs = x._options, x._inputs
    if (note := getattr(x, "note", None)) is not None:
        new.note = note
    if (links := getattr(x, "_links", None)) is not None and links.past is not None:
        _links(new).past = links.past
    return new


def _links(x: Any) -> Links:
    links = getattr(x, "_links", None)
    if links is None:
        links = x._links = Links()
    return links
