"""Saving: a training in one file, whole or not at all, that opens without its code and without pickle.

`archive` is the file and its seal, `values` makes JSON and arrays of nested values, `architecture` of layers, and
`checkpoint` has `save` and `load`; `exchange` speaks to PyTorch and safetensors.
"""

from microgradnp.nn.saving.archive import CheckpointError
from microgradnp.nn.saving.checkpoint import Checkpoint, load, save
from microgradnp.nn.saving.exchange import from_safetensors, from_torch_state, to_safetensors

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "from_safetensors",
    "from_torch_state",
    "load",
    "save",
    "to_safetensors",
]
