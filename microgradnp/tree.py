"""Nested tuples, lists and dicts, walked in one place: the leaves, a map, and the expression that leads to each leaf.

Lists, tuples and dicts are looked into, subclasses and named tuples too; anything else is a leaf. What is built again
has the class of what it was built from.
"""

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any

SEQUENCES = (tuple, list)  # made once: `tuple | list` is a new union at every use
NESTED = (tuple, list, dict)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a nested structure, in order."""
    if not isinstance(tree, NESTED):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree
    return [leaf for part in parts for leaf in leaves(part)]


def paths(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The same leaves in the same order, each with the expression that leads to it: ``name[0]['a'].b``."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        inside = ((f"{name}.{key}", part) for key, part in zip(tree._fields, tree, strict=True))
    elif isinstance(tree, SEQUENCES):
        inside = ((f"{name}[{i}]", part) for i, part in enumerate(tree))
    elif isinstance(tree, dict):
        inside = ((f"{name}[{key!r}]", part) for key, part in tree.items())
    else:
        yield name, tree
        return
    for path, part in inside:
        yield from paths(part, path)


def map(f: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with ``f`` applied to each leaf, in order."""
    kind = type(tree)
    if kind is tuple or kind is list:
        return kind([map(f, part) if isinstance(part, NESTED) else f(part) for part in tree])
    if kind is dict:
        return {key: map(f, part) for key, part in tree.items()}
    if isinstance(tree, dict):  # an OrderedDict, say, or one with a default
        built = copy(tree)
        built.update({key: map(f, part) for key, part in tree.items()})
        return built
    if isinstance(tree, SEQUENCES):
        make: Any = getattr(tree, "_make", kind)  # a named tuple's own: its class may take other arguments
        return make([map(f, part) for part in tree])
    return f(tree)


def like(tree: Any, values: Iterable[Any]) -> Any:
    """``values``, as many as ``tree`` has leaves, in the structure of ``tree``."""
    remaining = iter(values)
    if not isinstance(tree, NESTED):
        return next(remaining)
    return map(lambda _: next(remaining), tree)
