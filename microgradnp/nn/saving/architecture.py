"""A model as data, so that it can be built again without the code that built it.

A layer is its class's name and its constructor's arguments, which it keeps under attributes of the same names; those
that only say how it begins (initial values, a seed) are left out, since its arrays follow. What the constructor does
not say is noted beside: which Tensors are shared or frozen, which layers are in prediction mode, and who holds which
random Generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.arrays import Array
from microgradnp.engine.tensor import Tensor
from microgradnp.nn import layers as families
from microgradnp.nn.initializers import Initializer
from microgradnp.nn.layers.base import Layer, named_tensors
from microgradnp.nn.saving.archive import CheckpointError
from microgradnp.nn.saving.values import Reader, Writer

Kinds = Mapping[str, type[Layer]]


class Unknown(Exception):
    """Why a model cannot be described, so that only its arrays can be saved."""


def kinds(of: Iterable[Any] = ()) -> dict[str, type[Layer]]:
    """Classes of layers by name: those given, or this package's own."""
    found = of or vars(families).values()
    return {kind.__name__: kind for kind in found if isinstance(kind, type) and issubclass(kind, Layer)}


# -- Describing --------------------------------------------------------------------------------------------------------


def describe(model: Layer, writer: Writer, place: str) -> dict[str, Any]:
    """A model as JSON, its arrays and generators left with the writer."""
    tensors = named_tensors(model)
    state = {name: {"$array": writer.array(t.data, f"{place}/{name}")} for name, t in tensors.items()}
    try:
        layer = _Describer(writer).part(model, place)
        told = {"layer": layer, "shared": _shared(model, tensors)}
    except Unknown as reason:
        told = {"unknown": str(reason)}
    return {
        **told,
        "state": state,
        "frozen": [name for name, t in tensors.items() if not t.requires_grad],
        "predicting": [name for name, layer in model.named_layers() if not layer.training],
        "generators": [[*spot, writer.generator(g)] for spot, g in generators(model).items()],
    }


class _Describer:
    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.seen: dict[int, int] = {}  # layers that stand in several places, by their numbers

    def part(self, x: Any, place: str) -> Any:
        """A layer, or one of its arguments, which may hold layers."""
        if isinstance(x, Layer):
            return {"$same": self.seen[id(x)]} if id(x) in self.seen else {"$layer": self.layer(x, place)}
        if isinstance(x, type) and x in kinds().values():
            return {"$class": x.__name__}
        if type(x) in (list, tuple) and x:
            items = [self.part(item, f"{place}/{i}") for i, item in enumerate(x)]
            return items if type(x) is list else {"$tuple": items}
        if type(x) is dict and all(type(key) is str and not key.startswith("$") for key in x):
            return {key: self.part(item, f"{place}/{key}") for key, item in x.items()}
        try:
            return self.writer.value(x, place)
        except TypeError:
            what = getattr(x, "__name__", type(x).__name__)
            raise Unknown(f"{place} is {what}, which a file cannot hold without its code.") from None

    def layer(self, layer: Layer, place: str) -> dict[str, Any]:
        kind = type(layer)
        self.seen[id(layer)] = len(self.seen)
        name = kind.__name__
        told = {"class": name, "ours": kinds().get(name) is kind, "number": self.seen[id(layer)]}
        items: list[Any] = []
        named: dict[str, Any] = {}
        begun: dict[str, Any] = {}
        parameters = list(signature(kind).parameters.values())
        before = next((i for i, p in enumerate(parameters) if p.kind is Parameter.VAR_POSITIONAL), 0)
        for i, p in enumerate(parameters):
            if p.kind is Parameter.VAR_KEYWORD or p.name == "rng":
                continue
            if p.name.endswith("_init"):
                how = getattr(layer, p.name, None)
                begun[p.name] = how if isinstance(how, str) else None
                continue
            value = self.part(_argument(layer, p), f"{place}.{p.name}")
            if p.kind is Parameter.VAR_POSITIONAL:
                items += value if type(value) is list else value["$tuple"]
            elif p.kind is Parameter.POSITIONAL_ONLY or i < before:
                items.append(value)
            else:
                named[p.name] = value
        return {**told, "items": items, "arguments": named, "begun": begun}


def _argument(layer: Layer, p: Parameter) -> Any:
    """What a layer was made with, as its attribute of the argument's name says."""
    if p.kind is Parameter.VAR_POSITIONAL and isinstance(layer, Iterable):
        return list(layer)
    if hasattr(layer, p.name):
        value = getattr(layer, p.name)
        if type(value) is Tensor or (value is None and isinstance(p.default, bool)):
            return value is not None  # whether there is to be a bias
        return str(np.dtype(value)) if p.name == "dtype" and value is not None else value
    own = {str(t.dtype) for t in vars(layer).values() if type(t) is Tensor}
    if p.name == "dtype" and len(own) <= 1:
        return own.pop() if own else None
    raise Unknown(
        f"{type(layer).__name__} does not say what it was made with: keep its constructor's argument {p.name} in "
        f"self.{p.name}."
    )


def _shared(model: Layer, tensors: Mapping[str, Tensor]) -> list[list[str]]:
    """The places of a Tensor that stands in several layers, each with the first."""
    layers = dict(model.named_layers())
    first: dict[int, str] = {}
    found = []
    for name, t in tensors.items():
        if first.setdefault(id(t), name) is name:
            continue
        place, _, attribute = name.rpartition(".")
        if vars(layers.get(place, model)).get(attribute) is not t:
            raise Unknown(f"{name} is the same Tensor as {first[id(t)]}, and no attribute of a layer")
        found.append([first[id(t)], name])
    return found


def generators(model: Layer) -> dict[tuple[str, str], np.random.Generator]:
    """The random generators that layers hold, by the layer's place and the attribute."""
    return {
        (place, attribute): value
        for place, layer in model.named_layers()
        for attribute, value in vars(layer).items()
        if isinstance(value, np.random.Generator)
    }


# -- Building ----------------------------------------------------------------------------------------------------------


def build(told: Mapping[str, Any], reader: Reader, own: Kinds, place: str) -> Layer:
    """The model that was described.

    Raises
    ------
    CheckpointError
        If it is made of layers that are not known, or does not come out as it was.
    """
    if "unknown" in told:
        raise CheckpointError(f"{told['unknown']} As it is, build the model yourself: nn.load(path, {place}=yours).")
    arrays = reader.value(told["state"])
    model: Layer = _Builder(reader, own, place, arrays.values()).part(told["layer"])
    tensors = named_tensors(model)
    wanted = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    got = {name: (t.shape, t.dtype) for name, t in tensors.items()}
    if wanted != got:
        differing = [name for name in {**wanted, **got} if wanted.get(name) != got.get(name)]
        raise CheckpointError(
            f"{place} was changed after it was made, and comes out otherwise: {', '.join(differing)} differ. Build it "
            f"yourself: nn.load(path, {place}=yours)."
        )
    layers = dict(model.named_layers())
    for first, name in told["shared"]:
        layer, _, attribute = name.rpartition(".")
        setattr(layers[layer], attribute, tensors[first])
    model.load_state_dict(arrays)
    for name, t in tensors.items():
        t.requires_grad = name not in told["frozen"]
    for name, layer in layers.items():
        layer.training = name not in told["predicting"]
    for name, attribute, number in told["generators"]:
        setattr(layers[name], attribute, reader.generators[number])
    return model


SMALL = 2**20
"""Elements that a layer may take although the file has no array of that size."""


class _Builder:
    def __init__(self, reader: Reader, own: Kinds, place: str, arrays: Iterable[Array]) -> None:
        self.reader, self.own, self.place = reader, own, place
        self.limit = max(SMALL, *(array.size for array in arrays))
        self.made: dict[int, Layer] = {}  # by their numbers

    def part(self, x: Any) -> Any:
        """What `_Describer.part` has described."""
        if isinstance(x, list):
            return [self.part(item) for item in x]
        if not isinstance(x, dict):
            return x
        if "$layer" in x:
            return self.layer(x["$layer"])
        if "$same" in x:
            return self.made[x["$same"]]
        if "$class" in x:
            return kinds()[x["$class"]]
        if "$tuple" in x:
            return tuple(self.part(x["$tuple"]))
        if any(key.startswith("$") for key in x):
            return self.reader.value(x)
        return {key: self.part(item) for key, item in x.items()}

    def layer(self, told: Mapping[str, Any]) -> Layer:
        name = told["class"]
        kind = (kinds() if told["ours"] else self.own).get(name)
        if kind is None:
            raise CheckpointError(
                f"{self.place} has a layer {name}, which is "
                + ("not in this version of microgradnp." if told["ours"] else "not one of microgradnp's.")
                + f" Say what it is, nn.load(path, layers=[{name}]), or build the model yourself: "
                f"nn.load(path, {self.place}=yours)."
            )
        items, arguments = self.part(told["items"]), self.part(told["arguments"])
        begun = told["begun"] if told["ours"] else {}
        try:
            if told["ours"] and not begun:
                _check_size(_whole_numbers(arguments), self.limit)
            layer = kind(*items, **arguments, **dict.fromkeys(begun, _zeros(self.limit)))
            for attribute, how in begun.items():
                setattr(layer, attribute, how)
        except Exception as error:
            raise CheckpointError(
                f"{self.place}'s layer {name} cannot be made of what was saved ({type(error).__name__}: {error}). "
                f"Build the model yourself: nn.load(path, {self.place}=yours)."
            ) from error
        self.made[told["number"]] = layer
        return layer


def _zeros(limit: int) -> Initializer:
    """Values to begin with, until the saved ones are there; no more of them than the file has."""

    def zeros(rng: np.random.Generator, shape: Sequence[int]) -> Array:
        _check_size(shape, limit)
        return np.zeros(shape)

    return zeros


def _check_size(shape: Sequence[int], limit: int) -> None:
    if math.prod(shape) > limit:
        raise ValueError(f"an array of {math.prod(shape)} elements is not in the file")


def _whole_numbers(arguments: Mapping[str, Any]) -> list[int]:
    return [abs(n) for n in tree.leaves(dict(arguments)) if type(n) is int and n]
