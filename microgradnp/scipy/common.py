"""What the files beside this one share: how they take an operand."""

from typing import Any

import numpy as np

from microgradnp.engine.tensor import Tensor


def operand(x: Any) -> Any:
    """A Tensor as it is, anything else as an array of floats: float32 stays what it is."""
    if type(x) is not Tensor:
        x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)
