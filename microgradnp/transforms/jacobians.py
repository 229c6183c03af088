"""Jacobians and Hessians, whole or times a vector: made of pullbacks, and of pullbacks of pullbacks."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.arrays import Array
from microgradnp.engine.tensor import Tensor
from microgradnp.transforms.arguments import Function, array_of, chosen_by, directions_for, pick
from microgradnp.transforms.pullback import Pullback, grad, pull_back, returns_arrays


def jvp(f: Function, args: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return ``f(*args)`` and its derivative in the direction ``tangents``.

    The pullback is linear, so its own pullback is the Jacobian times a vector: two sweeps, whatever the sizes.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.jvp(np.square, (3.0,), (1.0,))
    (array(9.), array(6.))
    """
    tangents = directions_for("jvp", args, tangents)
    value, back, variables = pull_back(f, args, tuple(range(len(args))), {})
    return value, tree.like(value, transposed(back, value, variables)(tree.leaves(tangents)))


def transposed(back: Pullback, value: Any, variables: dict[Tensor, None]) -> Pullback:
    """The pullback of a pullback: a direction for each variable to the change of each of the results in ``value``."""
    zeros = [np.zeros(np.shape(r), np.result_type(array_of(r), np.float32)) for r in tree.leaves(value)]
    return pull_back(lambda *seeds: back(list(seeds)), zeros, tuple(range(len(zeros))), {}, own=variables)[1]


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the Jacobian: for each result and argument an array of the result's shape followed by the argument's.

    It takes one sweep for each element of the results, or of the arguments where these are fewer.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.jacobian(lambda x: x ** 2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    chosen = chosen_by(argnums)

    @wraps(f, updated=())
    def jacobian_of(*args: Any, **options: Any) -> Any:
        picked = pick(chosen, args, f)
        value, back, variables = pull_back(f, args, picked, options)
        results = [array_of(r) for r in tree.leaves(value)]
        arguments = [array_of(x) for i in picked for x in tree.leaves(args[i])]
        push = None
        if sum(x.size for x in arguments) < sum(r.size for r in results):
            with suppress(Exception):  # a rule of the user's own that cannot be differentiated: then by rows
                push = transposed(back, value, variables)
        blocks = _by_columns(push, results, arguments) if push else _by_rows(back, results, arguments)
        nested = []
        for block in blocks:
            remaining = iter(block)
            parts = tuple([tree.map(lambda _: next(remaining), args[i]) for i in picked])  # noqa: B023
            nested.append(parts[0] if isinstance(chosen, int) else parts)
        return tree.like(value, nested)

    return returns_arrays(jacobian_of)


def _by_rows(back: Pullback, results: list[Array], arguments: list[Array]) -> list[list[Any]]:
    blocks = []
    for k, r in enumerate(results):
        rows = [tree.leaves(back(unit)) for unit in _units(results, k)]
        columns = zip(*rows, strict=True) if rows else [[]] * len(arguments)
        blocks.append([_joined(c, 0, r.shape + x.shape, x.dtype) for c, x in zip(columns, arguments, strict=True)])
    return blocks


def _by_columns(push: Pullback, results: list[Array], arguments: list[Array]) -> list[list[Any]]:
    blocks: list[list[Any]] = [[] for _ in results]
    for j, x in enumerate(arguments):
        columns = [push(unit) for unit in _units(arguments, j)]
        for k, r in enumerate(results):
            blocks[k].append(_joined([c[k] for c in columns], -1, r.shape + x.shape, x.dtype))
    return blocks


def _units(arrays: list[Array], k: int) -> Iterator[list[Array]]:
    """For each element of array ``k``: zeros in the shapes of all arrays, with a one in its place."""
    zeros = [np.zeros(a.shape, a.dtype) for a in arrays]
    for index in np.ndindex(arrays[k].shape):
        unit = zeros[k].copy()
        unit[index] = 1
        yield [*zeros[:k], unit, *zeros[k + 1 :]]


def _joined(parts: Sequence[Any], axis: int, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.reshape(np.stack(parts, axis), shape).astype(dtype, copy=False) if len(parts) else np.zeros(shape, dtype)


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the matrix of second derivatives of a scalar function: the Jacobian of its gradient.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.hessian(lambda x: np.sum(x ** 3))(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    chosen: Any = chosen_by(argnums)
    return jacobian(grad(f, chosen), chosen)


def hvp(f: Function, args: Sequence[Any], vectors: Sequence[Any]) -> Any:
    """Return the Hessian of a scalar function times a vector, without forming the Hessian.

    ``args`` and ``vectors`` are tuples, as for `jvp`; so is the result.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.hvp(lambda x: np.sum(x ** 3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    (array([6., 0.]),)
    """
    vectors = directions_for("hvp", args, vectors)
    every = tuple(range(len(args)))
    _, back, _ = pull_back(grad(f, every), args, every, {})
    return back(tree.leaves(vectors))  # times the Hessian from the left, which is symmetric
