"""`save` and `load`: a model, and whatever a training needs to go on as if it had never stopped, in one file.

What goes along is anything with ``state_dict()`` and ``load_state_dict()``, a random Generator, or plain values, each
by keyword under its name. Loading is all or nothing: what took over its state gets the old one back if another does not
fit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from microgradnp.nn.data import Standardizer
from microgradnp.nn.layers.base import Layer
from microgradnp.nn.saving import archive
from microgradnp.nn.saving.architecture import build, describe, kinds
from microgradnp.nn.saving.archive import CheckpointError
from microgradnp.nn.saving.values import Reader, Writer

FORMAT = 1
"""The version of what stands in the head of a file."""

Path = str | os.PathLike[str]


class Checkpoint(SimpleNamespace):
    """What `load` returns: the model, and everything saved with it under its name."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this checkpoint has no {name}; it has {', '.join(vars(self))}.", name=name, obj=self)

    def __repr__(self) -> str:
        return f"Checkpoint({', '.join(vars(self))})"


def save(path: Path, model: Layer, **others: Any) -> None:
    """Save a model and what is needed to go on with its training in one ``.npz`` file, without pickle.

    The file is written beside the old one and takes its place when all of it is on the disk: whoever is killed
    meanwhile leaves the old file or the new one (and perhaps a hidden ``.tmp``), never a half.

    Parameters
    ----------
    path
        Where to; used as it is given.
    model
        A layer: its arrays are saved, how it is made, and the state of each random Generator in it.
    **others
        Whatever else, under the names by which `load` gives it back: an optimizer, a schedule, a standardizer or
        anything else with ``state_dict()`` and ``load_state_dict()``; more models; random Generators; and numbers,
        texts, arrays, lists, tuples and dicts of these.

    Raises
    ------
    TypeError
        If something cannot be saved; nothing has been written then.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn, optim
    >>> model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> optimizer = optim.Adam(model.parameters(), lr=0.05)
    >>> nn.save("model.npz", model, optimizer=optimizer, epoch=20)
    >>> saved = nn.load("model.npz")
    >>> saved
    Checkpoint(model, optimizer, epoch)
    >>> saved.model
    Sequential(
      (0): Linear(1, 8)
      (1): Tanh()
      (2): Linear(8, 1)
    )
    >>> saved.epoch
    20
    >>> import os
    >>> os.remove("model.npz")
    """
    if not isinstance(model, Layer):
        raise TypeError(f"nn.save(path, model, ...) saves a Layer; got a {type(model).__name__}.")
    if "layers" in others:
        raise TypeError("nn.save: 'layers' is a parameter of nn.load; choose another name.")
    writer = Writer()
    parts = {name: _told(part, writer, name) for name, part in {"model": model, **others}.items()}
    archive.write(path, {"format": FORMAT, "parts": parts, "generators": writer.generators()}, writer.arrays)


def _told(part: Any, writer: Writer, name: str) -> dict[str, Any]:
    if isinstance(part, Layer):
        return {"model": describe(part, writer, name)}
    if type(part) is Standardizer:
        return {"standardizer": writer.value(part.state_dict(), name)}
    if callable(getattr(part, "state_dict", None)) and not isinstance(part, type):
        return {"class": type(part).__name__, "state": writer.value(part.state_dict(), name)}
    return {"value": writer.value(part, name)}


def load(path: Path, *, layers: Iterable[type[Layer]] = (), **into: Any) -> Checkpoint:
    """Load what `save` has saved: the model is built again, or what is given takes over its state.

    Parameters
    ----------
    path
        The file.
    layers
        Classes of your own that the model has layers of.
    **into
        What is to take over the state saved under its name: ``model=``, if it is made otherwise than of this package's
        layers, ``optimizer=``, ``rng=``.

    Returns
    -------
    Checkpoint
        Under each name: the model, built again; a `Standardizer`; a Generator, in its state; a value; of anything else
        the state, for its ``load_state_dict``; or what was given in its place.

    Raises
    ------
    CheckpointError
        If the file is not whole or not one of `save`'s, or something does not fit: nothing has been changed then.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> model, rng = nn.Linear(2, 1), np.random.default_rng(0)
    >>> nn.save("model.npz", model, rng=rng)
    >>> expected = rng.random()
    >>> nn.load("model.npz", model=nn.Linear(2, 1)).rng.random() == expected
    True
    >>> nn.load("model.npz", model=nn.Linear(3, 1))
    Traceback (most recent call last):
    ...
    microgradnp.nn.saving.archive.CheckpointError: model.npz: model: the state does not fit Linear: ...
    >>> import os
    >>> os.remove("model.npz")
    """
    own = _classes(layers)
    head, arrays = archive.read(path)
    file = os.fspath(path)
    try:
        form = head["format"]
        if form != FORMAT:
            raise CheckpointError(f"it is of format {form}, which is not {FORMAT}: a newer microgradnp has written it.")
        return _loaded(head, Reader(arrays, head["generators"]), own, into)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error.__cause__
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise CheckpointError(
            f"{file} has a seal, but not of what nn.save writes ({type(error).__name__}: {error}). Nothing was loaded."
        ) from error


def _classes(layers: Any) -> dict[str, type[Layer]]:
    """The classes that were given, by name."""
    classes = list(layers) if isinstance(layers, Iterable) else [layers]
    if not all(isinstance(kind, type) and issubclass(kind, Layer) for kind in classes):
        raise TypeError(f"nn.load(path, layers=...) takes classes of layers, such as [MyLayer]; got {layers!r}.")
    return kinds(classes) if classes else {}


def _loaded(head: Any, reader: Reader, own: Any, into: Mapping[str, Any]) -> Checkpoint:
    parts = head["parts"]
    unknown = [name for name in into if name not in parts]
    if unknown:
        raise CheckpointError(f"it has no {', '.join(unknown)}; it has {', '.join(parts)}.")
    found: dict[str, Any] = {}
    for name, told in parts.items():
        if name in into:
            found[name] = into[name]
        elif "model" in told:
            found[name] = build(told["model"], reader, own, name)
        elif "standardizer" in told:
            found[name] = _standardizer(reader.value(told["standardizer"]))
        else:
            found[name] = reader.value(told["state"] if "state" in told else told["value"])
    undo: list[Callable[[], None]] = []
    try:
        for name, target in into.items():
            _take_over(name, target, parts[name], reader, undo)
    except BaseException:
        for step in reversed(undo):
            step()
        raise
    return Checkpoint(**found)


def _standardizer(state: Mapping[str, Any]) -> Standardizer:
    made = Standardizer(np.zeros((1, *state["mean"].shape)))
    made.load_state_dict(state)
    return made


def _take_over(name: str, target: Any, told: Any, reader: Reader, undo: list[Callable[[], None]]) -> None:
    """Let ``target`` have the state that was saved, and note how to give the old one back."""
    try:
        if isinstance(target, np.random.Generator):
            _set_generator(target, reader.value(told["value"]), undo)
            return
        load_state: Callable[[Any], None] | None = getattr(target, "load_state_dict", None)
        if not callable(load_state) or isinstance(target, type):
            raise TypeError(f"nn.load(path, {name}=...) takes what has load_state_dict(); got {target!r}.")
        if "value" in told:
            raise TypeError(f"{name} was saved as a value, which nn.load(path).{name} is.")
        state = {"state": told["standardizer"]} if "standardizer" in told else told.get("model", told)
        before = target.state_dict()
        undo.append(lambda: load_state(before))
        load_state(reader.value(state["state"]))
        if "model" in told:
            layers = dict(target.named_layers())
            for place, attribute, number in told["model"]["generators"]:
                _give_generator(layers.get(place), place, attribute, reader.generators[number], undo)
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{name}: {error}") from error


def _give_generator(
    layer: Layer | None, place: str, attribute: str, like: np.random.Generator, undo: list[Callable[[], None]]
) -> None:
    """Let a layer's generator have the state that was saved; one that could have one, and has none, gets it."""
    own = vars(layer).get(attribute, ...) if layer is not None else ...
    if isinstance(own, np.random.Generator):
        _set_generator(own, like, undo)
    elif own is None:
        undo.append(lambda: setattr(layer, attribute, None))
        setattr(layer, attribute, like)
    else:
        where = f"{place}.{attribute}" if place else attribute
        raise ValueError(f"what was saved has a random generator at {where}, and this one has no place for it.")


def _set_generator(target: np.random.Generator, like: np.random.Generator, undo: list[Callable[[], None]]) -> None:
    before = target.bit_generator.state
    undo.append(lambda: setattr(target.bit_generator, "state", before))
    target.bit_generator.state = like.bit_generator.state
