"""Putting saved arrays back: everything is checked before anything is written, so a failed load changes nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.arrays import plain_array
from microgradnp.engine.tensor import Tensor


def load_into(targets: Mapping[str, NDArray[Any]], state: Mapping[str, Any], owner: str) -> None:
    """Copy each array of ``state`` into the array of that name in ``targets``, in place.

    Raises
    ------
    TypeError
        If ``state`` is not a mapping, or a value's dtype does not convert to its target's without loss.
    ValueError
        If names are missing or unexpected, or a shape differs. Nothing has been changed then.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict takes a dict of names to arrays; got {type(state).__name__}.")
    missing = [name for name in targets if name not in state]
    unexpected = [name for name in state if name not in targets]
    if missing or unexpected:
        raise ValueError(
            f"the state does not fit {owner}:"
            + (f" missing {', '.join(map(repr, missing))};" if missing else "")
            + (f" unexpected {', '.join(map(repr, unexpected))};" if unexpected else "")
            + f" it has {', '.join(map(repr, targets)) or 'nothing to load'}."
        )
    arrays = {name: value._value if type(value) is Tensor else plain_array(value) for name, value in state.items()}
    for name, target in targets.items():
        array = arrays[name]
        if array.shape != target.shape:
            raise ValueError(
                f"the state does not fit {owner}: {name!r} has shape {array.shape}, but {target.shape} is expected."
            )
        if not np.can_cast(array.dtype, target.dtype, "safe"):
            raise TypeError(
                f"the state does not fit {owner}: {name!r} has dtype {array.dtype}, which {target.dtype} cannot hold "
                f"without loss. Convert it first if that is meant: .astype(np.{target.dtype})."
            )
    for name, target in targets.items():
        np.copyto(target, arrays[name])
