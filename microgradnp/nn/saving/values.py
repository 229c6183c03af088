"""Nested values as JSON with arrays beside it, and back: what a checkpoint holds besides the layers of a model.

What JSON has, stands as it is. Everything else is a dict with one key that begins with "$": ``{"$array": name}`` for an
array, ``{"$tuple": [...]}``, ``{"$generator": 0}`` for the first of the random generators, of which each is kept once,
by whomever it is held.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.nn import functional
from microgradnp.nn.saving.archive import KINDS


class Writer:
    """Collects arrays and random generators while values become JSON."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._generators: dict[int, tuple[int, np.random.Generator]] = {}

    def generators(self) -> list[Any]:
        """The states of the generators, in the order of their numbers."""
        return [self.value(g.bit_generator.state, f"generator/{i}") for i, g in self._generators.values()]

    def generator(self, generator: np.random.Generator) -> int:
        """The number of a random generator."""
        return self._generators.setdefault(id(generator), (len(self._generators), generator))[0]

    def array(self, array: Array, place: str) -> str:
        """The name of an array in the file, as close to its place as can be."""
        if array.dtype.kind not in KINDS:
            raise TypeError(f"{place} is an array of dtype {array.dtype}, which cannot be saved without pickle.")
        name = re.sub(r"[^\w./-]|\.\.", "_", place)  # whoever unpacks the file stays in his folder
        while name in self.arrays:
            name += "_"
        self.arrays[name] = array
        return name

    def value(self, x: Any, place: str) -> Any:
        """A nested value as JSON.

        Raises
        ------
        TypeError
            If something in it cannot be saved, with its place.
        """
        kind = type(x)
        if x is None or kind in (bool, int, str):
            return x
        if kind is float:
            return x if math.isfinite(x) else {"$float": str(x)}
        if kind is list:
            return self._list(x, place)
        if kind is tuple:
            return {"$tuple": self._list(x, place)}
        if isinstance(x, Mapping):
            if all(type(key) is str and not key.startswith("$") for key in x):
                return {key: self.value(part, f"{place}/{key}") for key, part in x.items()}
            return {"$dict": [[self.value(key, place), self.value(part, f"{place}/{key}")] for key, part in x.items()]}
        if kind is np.ndarray:
            return {"$array": self.array(x, place)}
        if isinstance(x, np.generic):
            return {"$scalar": self.array(np.asarray(x), place)}
        if isinstance(x, np.random.Generator):
            return {"$generator": self.generator(x)}
        if isinstance(x, np.dtype):
            return {"$dtype": x.str}
        name = _name_of_function(x)
        if name is not None:
            return {"$function": name}
        raise TypeError(
            f"{place} is a {kind.__name__}, which cannot be saved: what goes along has state_dict() and "
            "load_state_dict(), or is made of numbers, texts, arrays, random Generators, lists, tuples and dicts."
        )

    def _list(self, x: Any, place: str) -> list[Any]:
        return [self.value(part, f"{place}/{i}") for i, part in enumerate(x)]


class Reader:
    """Makes values of JSON again."""

    def __init__(self, arrays: Mapping[str, Array], states: list[Any]) -> None:
        self.arrays = arrays
        self.states = [self.value(state) for state in states]
        self.generators = [_new_generator(state) for state in self.states]

    def value(self, x: Any) -> Any:
        """What `Writer.value` was given."""
        if isinstance(x, list):
            return [self.value(part) for part in x]
        if not isinstance(x, dict):
            return x
        tag = next((key for key in x if key.startswith("$")), None)
        if tag is None:
            return {key: self.value(part) for key, part in x.items()}
        return _TAGS[tag](self, x[tag])

    def pairs(self, x: Any) -> dict[Any, Any]:
        """A dict whose keys are not all texts."""
        return {self.value(key): self.value(part) for key, part in x}


_TAGS: dict[str, Callable[[Reader, Any], Any]] = {
    "$float": lambda reader, x: float(x),
    "$tuple": lambda reader, x: tuple(reader.value(x)),
    "$dict": Reader.pairs,
    "$array": lambda reader, x: reader.arrays[x],
    "$scalar": lambda reader, x: reader.arrays[x][()],
    "$generator": lambda reader, x: reader.generators[x],
    "$dtype": lambda reader, x: np.dtype(x),
    "$function": lambda reader, x: _function_of_name(x),
}


# -- Generators and functions by name ----------------------------------------------------------------------------------


def _new_generator(state: Any) -> np.random.Generator:
    known = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
    kinds = {kind.__name__: kind for kind in known}
    generator = np.random.Generator(kinds[state["bit_generator"]](0))
    generator.bit_generator.state = state
    return generator


def _name_of_function(f: Any) -> str | None:
    """The name of a ufunc of NumPy's, or of a function of `nn.functional`; None of any other."""
    name = getattr(f, "__name__", "")
    if isinstance(f, np.ufunc) and getattr(np, name, None) is f:
        return f"np.{name}"
    return f"functional.{name}" if name and getattr(functional, name, None) is f else None


def _function_of_name(name: str) -> Any:
    """The function of such a name, and nothing else that may stand in a file."""
    module, _, own = name.partition(".")
    f = getattr({"np": np, "functional": functional}[module], own)
    if _name_of_function(f) != name:
        raise ValueError(f"{name} is no ufunc of NumPy's and no function of nn.functional")
    return f
