"""Weights from elsewhere and for elsewhere: PyTorch's, and safetensors.

PyTorch keeps the weight of a linear layer as (out, in), we as (in, out), and so in a convolution too. A square one fits
both ways, and computes something else: so what comes from PyTorch goes through `from_torch_state`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from microgradnp.arrays import Array, plain_array
from microgradnp.nn.layers import Conv2d, Layer, Linear
from microgradnp.nn.saving.archive import CheckpointError, replacing


def from_torch_state(model: Layer, state: Mapping[str, Any]) -> None:
    """Take over the weights of a PyTorch model of the same layers under the same names.

    Parameters
    ----------
    model
        A layer; it predicts as PyTorch's model does from then on.
    state
        Tensors or arrays by name, such as ``torch_model.state_dict()``. A `Linear`'s weight is transposed, from
        (out, in) to (in, out), and a `Conv2d`'s from (out, in, height, width) to (height, width, in, out); everything
        else has the same shape here. PyTorch's count of batches is left out.

    Raises
    ------
    ValueError
        If names are missing or unexpected, or a shape differs; all are named, and nothing is changed.
    TypeError
        If a dtype does not convert without loss.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    >>> state = {"0.weight": np.array([[1.0, 2.0], [3.0, 4.0]]), "0.bias": np.zeros(2)}
    >>> nn.from_torch_state(model, state)
    >>> model[0].weight.data
    array([[1., 3.],
           [2., 4.]])
    """
    arrays = {name: _array(x) for name, x in state.items() if name.rpartition(".")[2] != "num_batches_tracked"}
    for place, layer in model.named_layers():
        name = f"{place}.weight" if place else "weight"
        if isinstance(layer, Linear | Conv2d) and name in arrays and arrays[name].ndim == layer.weight.ndim:
            arrays[name] = np.moveaxis(arrays[name], (0, 1), (-1, -2))
    model.load_state_dict(arrays)


def _array(x: Any) -> Array:
    """An array, of a PyTorch tensor too, wherever it lives."""
    return plain_array(x.detach().cpu().numpy() if hasattr(x, "detach") and hasattr(x, "cpu") else x)


def to_safetensors(model: Layer, path: str | os.PathLike[str]) -> None:
    """Write a model's ``state_dict()`` as a safetensors file, which other libraries read.

    The names and shapes are ours. The file is written beside the old one, and takes its place when it is whole.

    Examples
    --------
    >>> import os
    >>> from microgradnp import nn
    >>> model = nn.Linear(2, 3)
    >>> nn.to_safetensors(model, "model.safetensors")
    >>> model.load_state_dict(nn.from_safetensors("model.safetensors"))
    >>> os.remove("model.safetensors")
    """
    content = _safetensors().save(model.state_dict())
    with replacing(path) as file:
        file.write(content)


def from_safetensors(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays in a safetensors file by name: for ``load_state_dict``, or `from_torch_state` if they are PyTorch's.

    Raises
    ------
    CheckpointError
        If it is not a whole safetensors file.

    Examples
    --------
    >>> import os
    >>> from microgradnp import nn
    >>> nn.to_safetensors(nn.Linear(2, 3), "model.safetensors")
    >>> {name: array.shape for name, array in sorted(nn.from_safetensors("model.safetensors").items())}
    {'bias': (3,), 'weight': (2, 3)}
    >>> os.remove("model.safetensors")
    """
    load = _safetensors().load
    with open(path, "rb") as file:
        content = file.read()
    try:
        found: dict[str, Array] = load(content)
    except MemoryError:
        raise
    except Exception as error:  # whatever the library makes of another file
        raise CheckpointError(f"{os.fspath(path)} is not a whole safetensors file: {error}") from error
    return found


def _safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "safetensors files are read and written by safetensors: pip install 'microgradnp[safetensors]'.",
            name="safetensors",
        ) from error
    return safetensors.numpy
