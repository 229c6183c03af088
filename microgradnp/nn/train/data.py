"""The data of a training: what is given is checked once, and converted to what the model computes in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.arrays import plain_array
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.layers.base import Layer, as_input, dtype_of


def as_arrays(x: Any, y: Any, model: Layer) -> tuple[NDArray[Any], NDArray[Any]]:
    """Inputs and targets as arrays of one row for each data point, floating ones in the dtype of the model.

    Raises
    ------
    ValueError
        If they are empty, differ in length or contain NaN or inf.
    TypeError
        If they hold no real numbers.
    """
    dtype = dtype_of(model)
    inputs, targets = as_input(_checked("x", x), dtype), as_input(_checked("y", y), dtype)
    if len(inputs) != len(targets):
        raise ValueError(f"x has {len(inputs)} rows and y has {len(targets)}: there must be one target for each input.")
    return inputs, targets


def _checked(name: str, data: Any) -> NDArray[Any]:
    try:
        array = data.data if isinstance(data, Tensor) else plain_array(data)
    except TypeError as error:
        raise TypeError(f"{name} cannot be trained on: {error}") from None
    if array.dtype.kind not in "fiub":
        remedy = f" Convert it first, for instance with {name}.astype(float)." if array.dtype.kind in "OSUT" else ""
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}.{remedy}")
    if not array.ndim or not array.size:
        raise ValueError(f"{name} of shape {array.shape} is empty: it needs at least one row of data.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i[0]) for i in np.nonzero(~np.isfinite(array)))
        raise ValueError(
            f"{name}[{', '.join(map(str, place))}] is {array[place]}: leave out or fill in missing and "
            "infinite values before training."
        )
    if array.dtype.kind in "iu" and np.can_cast(array.dtype, np.int64):
        return array.astype(np.int64, copy=False)  # in a loss, -y of a small unsigned integer would start from the top
    return array
