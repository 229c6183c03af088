"""The data of a training: checked once, converted to what the model computes in, and cut into batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.arrays import plain_array
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.layers.base import as_input


@dataclass(frozen=True)
class Data:
    """Inputs, targets and, where given, weights: arrays of one row for each data point.

    What lies in a file (`numpy.memmap`) may be larger than memory: it is looked at and converted batch by batch.
    """

    arrays: tuple[NDArray[Any], ...]
    dtype: Any
    names: tuple[str, ...] = ("x", "y", "sample_weight")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, rows: Any) -> tuple[NDArray[Any], ...]:
        """Some rows of each array, by a slice or an array of places."""
        return tuple([self._part(k, array, rows) for k, array in enumerate(self.arrays)])

    def _part(self, k: int, array: NDArray[Any], rows: Any) -> NDArray[Any]:
        part = array[rows]
        return as_input(_checked(self.names[k], part), self.dtype) if isinstance(array, np.memmap) else part

    def batches(self, size: int | None, order: NDArray[Any] | None = None) -> Iterator[tuple[NDArray[Any], ...]]:
        """The rows in batches of at most ``size``, in their order or in another."""
        if size is None:
            yield self[:] if order is None else self[order]
            return
        for start in range(0, len(self), size):
            yield self[slice(start, start + size) if order is None else order[start : start + size]]


def as_data(x: Any, y: Any, weight: Any, dtype: Any) -> Data:
    """Inputs, targets and weights, floating ones in ``dtype``, unless that is None.

    Raises
    ------
    ValueError
        If they are empty, differ in length or contain NaN or inf.
    TypeError
        If they hold no real numbers.
    """
    given = {"x": x, "y": y, "sample_weight": weight}
    arrays = tuple(
        array if isinstance(array, np.memmap) else as_input(_checked(name, array), dtype)
        for name, array in given.items()
        if array is not None
    )
    lengths = [len(array) for array in arrays]
    if lengths[0] != lengths[1]:
        raise ValueError(f"x has {lengths[0]} rows and y has {lengths[1]}: there must be one target for each input.")
    if lengths[-1] != lengths[0]:
        raise ValueError(f"sample_weight has {lengths[-1]} numbers for {lengths[0]} rows: there must be one for each.")
    return Data(arrays, dtype)


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
