"""Jacobians and Hessians, whole or times a vector: made of pullbacks, and of pullbacks of pullbacks."""

from collections.abc import Sequence
from functools import wraps
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.transforms.arguments import Function, array_of, chosen_by, directions_for, pick
from microgradnp.transforms.pullback import grad, pull_back


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
    value, pullback, variables = pull_back(f, args, tuple(range(len(args))), {})
    vectors = tree.like(
        value, [np.zeros(np.shape(r), np.result_type(array_of(r), np.float32)) for r in tree.leaves(value)]
    )
    _, push, _ = pull_back(pullback, (vectors,), (0,), {}, own=variables)
    return value, push(tangents)[0]


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the Jacobian: for each result and argument an array of the result's shape followed by the argument's.

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
        value, pullback, _ = pull_back(f, args, picked, options)
        arguments = [x for i in picked for x in tree.leaves(args[i])]
        results = tree.leaves(value)
        zeros = [np.zeros(np.shape(r), array_of(r).dtype) for r in results]
        blocks = []
        for k, r in enumerate(results):
            rows = []
            for index in np.ndindex(np.shape(r)):
                seed = zeros[k].copy()
                seed[index] = 1
                rows.append(tree.leaves(pullback(tree.like(value, [*zeros[:k], seed, *zeros[k + 1 :]]))))
            columns = []
            for j, x in enumerate(arguments):
                shape = np.shape(r) + np.shape(x)
                columns.append(
                    np.reshape(np.stack([row[j] for row in rows]), shape)
                    if rows
                    else np.zeros(shape, array_of(x).dtype)
                )
            structures = iter(columns)
            parts = tuple(tree.like(args[i], structures) for i in picked)
            blocks.append(parts[0] if isinstance(chosen, int) else parts)
        return tree.like(value, blocks)

    return jacobian_of


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
    _, along = jvp(grad(f, tuple(range(len(args)))), args, vectors)
    return along
