"""Data on their way to a network: brought to mean 0 and spread 1, labels as columns, set aside, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.arrays import plain_array
from microgradnp.nn.checkpoint import load_into


class Standardizer:
    """Brings each column to mean 0 and standard deviation 1, and back; a column that does not vary is only centred.

    Make it of the rows that are trained on, and use it on all: what a network shall be judged by must not have shaped
    its inputs. It is saved with the model by ``nn.save(path, model, standardizer=s)``.

    Parameters
    ----------
    x
        Rows of data, of shape (N, ...): mean and spread are those of each column over the rows.

    Attributes
    ----------
    mean, std
        float64 arrays of the shape of one row.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> x = np.array([[1.0, 100.0], [3.0, 300.0]])
    >>> standardizer = nn.Standardizer(x)
    >>> standardizer(x)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> standardizer.inverse(standardizer(x))
    array([[  1., 100.],
           [  3., 300.]])
    """

    def __init__(self, x: ArrayLike) -> None:
        rows = _rows("Standardizer", x)
        self.mean = np.asarray(np.mean(rows, axis=0, dtype=np.float64))
        std = np.std(rows, axis=0, dtype=np.float64)
        self.std = np.where(std > 0, std, 1.0)

    def __call__(self, x: Any) -> Any:
        """The standardized values of an array or a Tensor, in its dtype; a gradient flows through."""
        x = self._fitting(x)
        return (x - self.mean.astype(x.dtype)) / self.std.astype(x.dtype)

    def inverse(self, z: Any) -> Any:
        """The values in their own units again."""
        z = self._fitting(z)
        return z * self.std.astype(z.dtype) + self.mean.astype(z.dtype)

    def _fitting(self, x: Any) -> Any:
        x = x if hasattr(x, "requires_grad") else plain_array(x)
        if x.shape[x.ndim - self.mean.ndim :] != self.mean.shape or x.ndim < self.mean.ndim:
            raise ValueError(f"this Standardizer is of rows of shape {self.mean.shape}; got shape {x.shape}.")
        return x if x.dtype.kind == "f" else x.astype(np.float64)

    def state_dict(self) -> dict[str, NDArray[np.float64]]:
        """Mean and standard deviation."""
        return {"mean": np.array(self.mean), "std": np.array(self.std)}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over what `state_dict` has saved, of rows of the same shape."""
        own = self.state_dict()
        load_into(own, state, "Standardizer")
        self.mean, self.std = own["mean"], own["std"]

    def __repr__(self) -> str:
        return f"Standardizer(rows of shape {self.mean.shape})"


def one_hot(labels: ArrayLike, classes: int | None = None) -> NDArray[np.float64]:
    """Integer labels of shape (N,) as rows of zeros with a one: shape (N, classes).

    Examples
    --------
    >>> from microgradnp import nn
    >>> nn.one_hot([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    array = plain_array(labels)
    if array.ndim != 1 or array.dtype.kind not in "iub" or not array.size:
        raise ValueError(f"labels must be integers of shape (N,); got dtype {array.dtype} and shape {array.shape}.")
    array = array.astype(np.int64)
    n = int(array.max()) + 1 if classes is None else classes
    if array.min() < 0 or array.max() >= n:
        place = int(np.flatnonzero((array < 0) | (array >= n))[0])
        raise ValueError(f"label {array[place]} at place {place}: classes are 0 to {n - 1}.")
    return np.eye(n)[array]


def split(
    *arrays: ArrayLike,
    share: float = 0.2,
    rng: np.random.Generator | int | None = None,
    stratify: ArrayLike | None = None,
) -> list[NDArray[Any]]:
    """Set a share of the rows aside, the same ones of each array: ``x_train, x_test, y_train, y_test = split(x, y)``.

    Parameters
    ----------
    *arrays
        Of as many rows.
    share
        The share of the rows that the second part of each array gets.
    rng
        The Generator, or a seed for one, that chooses.
    stratify
        Labels of which both parts shall have the same shares, as nearly as can be.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> train, test = nn.split(np.arange(10), share=0.3, rng=0)
    >>> len(train), sorted([*train, *test]) == list(range(10))
    (7, True)
    """
    parts = [_rows("split", array) for array in arrays]
    lengths = {len(part) for part in parts}
    if len(lengths) != 1:
        raise ValueError(f"split takes arrays of as many rows; got {', '.join(str(len(part)) for part in parts)}.")
    n, generator = lengths.pop(), np.random.default_rng(rng)
    if not 0 < share < 1 or not 0 < round(n * share) < n:
        raise ValueError(f"a share of {share!r} of {n} rows leaves no row on one side.")
    order = generator.permutation(n)
    if stratify is not None:
        labels = _rows("split", stratify)
        if labels.shape != (n,):
            raise ValueError(f"stratify must have one label for each of {n} rows; got shape {labels.shape}.")
        _, number, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
        sorting = np.argsort(number, kind="stable")
        within = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
        # By its place within its class, from 0 to 1, so that each class is cut at the same share.
        order = order[sorting][np.argsort((within + 0.5) / np.repeat(counts, counts), kind="stable")]
    test, train = order[: round(n * share)], order[round(n * share) :]
    return [part[rows] for part in parts for rows in (train, test)]


def batches(
    *arrays: ArrayLike, size: int, rng: np.random.Generator | int | None = None
) -> Iterator[tuple[NDArray[Any], ...]]:
    """The rows of arrays in batches, for a loop of one's own; the last batch may have fewer.

    Parameters
    ----------
    *arrays
        Of as many rows.
    size
        How many rows a batch has.
    rng
        A Generator, or a seed for one, to take the rows in a new order; by default they come as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> [part.tolist() for (part,) in nn.batches(np.arange(5), size=2)]
    [[0, 1], [2, 3], [4]]
    """
    parts = [array if isinstance(array, np.memmap) else _rows("batches", array) for array in arrays]
    if len({len(part) for part in parts}) != 1:
        raise ValueError(f"batches takes arrays of as many rows; got {', '.join(str(len(part)) for part in parts)}.")
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"size must be a positive integer; got {size!r}.")
    n = len(parts[0])
    order = None if rng is None else np.random.default_rng(rng).permutation(n)
    return (
        tuple(part[slice(start, start + size) if order is None else order[start : start + size]] for part in parts)
        for start in range(0, n, size)
    )


def _rows(function: str, x: Any) -> NDArray[Any]:
    array = plain_array(x)
    if not array.ndim or not len(array):
        raise ValueError(f"{function} takes rows of data; got shape {array.shape}.")
    return array
