"""What a transform is given: which arguments to differentiate by, and arrays nested alike; what is wrong with them."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.arrays import Array, plain_array
from microgradnp.engine.tensor import Tensor, plain
from microgradnp.transforms.graph import variable

Function = Callable[..., Any]

_FLOATS = (np.float32, np.float64)


def chosen_by(given: Any) -> int | tuple[int, ...] | None:
    """``argnums`` as an int, as ints, or None for all: read once, since an iterator gives its items only once."""
    try:
        return None if given is None else operator.index(given)
    except TypeError:
        pass
    try:
        return tuple(map(operator.index, given))
    except TypeError:
        raise TypeError(f"argnums must be an int, several, or None for all; got {given!r}.") from None


def pick(argnums: int | tuple[int, ...] | None, args: tuple[Any, ...], f: Function) -> tuple[int, ...]:
    places = range(len(args))
    if argnums is None:
        return tuple(places)
    try:
        return (places[argnums],) if isinstance(argnums, int) else tuple([places[i] for i in argnums])
    except IndexError:
        raise ValueError(
            f"argnums={argnums} asks for an argument that {name_of(f)} was not given: it was called with {len(args)} "
            "positional arguments."
        ) from None


def variables_of(arg: Any, i: int, f: Function) -> list[Tensor]:
    """A fresh variable for each array of argument ``i``."""
    variables = []
    for k, x in enumerate(leaves := tree.leaves(arg)):
        t = variable(x)
        if t.dtype.type not in _FLOATS:
            remedy = "leave it out of argnums" if len(leaves) == 1 else "pass it in an argument that argnums leaves out"
            remedy += " (jvp and hvp take all arguments: there let the function capture it)"
            raise TypeError(
                f"{path_to(arg, k, f'argument {i}')} of {name_of(f)} is {kind_of(x)}; only float32 and float64 have "
                f"gradients. Write 1.0 instead of 1, or {remedy}."
            )
        variables.append(t)
    return variables


def matching(what: str, given: Any, of: str, wanted: Any) -> list[Any]:
    """The arrays of ``given`` in the order of ``wanted``; refused, by name, where structure or shape differ."""
    found, expected = dict(tree.paths(given, "")), dict(tree.paths(wanted, ""))
    for path, x in expected.items():
        if path not in found:
            raise ValueError(f"{what} takes the structure of {of}, and was given no array for {of}{path}.")
        y = found[path]
        if array_of(y).dtype.kind not in "fiub":
            raise TypeError(f"{what} takes real numbers; for {of}{path} the given one is {kind_of(y)}.")
        if array_of(y).shape != array_of(x).shape:
            raise ValueError(
                f"{what} takes the shapes of {of}: {of}{path} has shape {array_of(x).shape}, and the given one "
                f"{array_of(y).shape}."
            )
    if len(found) > len(expected):
        path = next(path for path in found if path not in expected)
        raise ValueError(f"{what} takes the structure of {of}, and was given an array at {path}, where it has none.")
    return [found[path] for path in expected]


def directions_for(name: str, args: Any, directions: Any) -> tuple[Any, ...]:
    """A direction for each argument, in its structure."""
    if not isinstance(args, tuple | list) or not isinstance(directions, tuple | list) or len(args) != len(directions):
        raise TypeError(
            f"{name} takes two tuples of the same length: the arguments and a direction for each; got "
            f"{type(args).__name__} and {type(directions).__name__}."
        )
    pairs = enumerate(zip(args, directions, strict=True))
    return tuple(
        tree.like(arg, matching(f"{name}'s direction {i}", direction, f"argument {i}", arg))
        for i, (arg, direction) in pairs
    )


def array_of(x: Any) -> Array:
    return plain(x) if type(x) is Tensor else plain_array(x)


def path_to(nested: Any, k: int, name: str) -> str:
    """The expression that leads to array ``k`` of a nested structure, for an error."""
    return [path for path, _ in tree.paths(nested, name)][k]


def name_of(f: Function) -> str:
    return getattr(f, "__name__", type(f).__name__)


def kind_of(x: Any) -> str:
    return f"an array of dtype {x.dtype}" if isinstance(x, np.ndarray | Tensor) else f"of type {type(x).__name__}"
