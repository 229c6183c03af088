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
        If names are missing or unexpected, or a shape differs. The message has all that does not fit, whatever it is,
        and nothing has been changed.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict takes a dict of names to arrays; got {type(state).__name__}.")
    arrays = {name: value._value if type(value) is Tensor else plain_array(value) for name, value in state.items()}
    both = [(name, target, arrays[name]) for name, target in targets.items() if name in arrays]
    missing = [f"missing {name!r} of shape {target.shape}" for name, target in targets.items() if name not in arrays]
    unexpected = [
        f"unexpected {name!r} of shape {array.shape}" for name, array in arrays.items() if name not in targets
    ]
    shapes = [
        f"{name!r} has shape {array.shape}, but {target.shape} is expected"
        for name, target, array in both
        if array.shape != target.shape
    ]
    dtypes = [
        f"{name!r} has dtype {array.dtype}, which {target.dtype} cannot hold without loss (convert it first if that is "
        f"meant: .astype(np.{target.dtype}))"
        for name, target, array in both
        if not np.can_cast(array.dtype, target.dtype, "safe")
    ]
    wrong = [*missing, *unexpected, *shapes, *dtypes]
    if wrong:
        names = ", ".join(map(repr, targets)) or "nothing to load"
        has = f" {owner} has {names}." if missing or unexpected else ""
        error = TypeError if len(wrong) == len(dtypes) else ValueError
        raise error(f"the state does not fit {owner}: {'; '.join(wrong)}.{has}")
    for name, target in targets.items():
        np.copyto(target, arrays[name])
