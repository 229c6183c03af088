"""Functions of functions: gradients, products with Jacobians, Jacobians and Hessians, to any order.

All of them rest on `pull_back`. It runs the function on fresh variables and hands back a *pullback*, the sweep from the
result to these variables. Where the result also depends on something outside that wants a gradient (another transform's
variable, a Tensor captured by the function), the sweep is recorded in its turn; that is all there is to nesting.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.arrays import plain_array
from microgradnp.engine.state import current, state
from microgradnp.engine.sweep import sweep
from microgradnp.engine.tensor import Tensor, plain, wrap
from microgradnp.transforms.arguments import (
    Function,
    chosen_by,
    kind_of,
    matching,
    name_of,
    path_to,
    pick,
    variables_of,
)
from microgradnp.transforms.graph import between, is_tracked, oldest_of


def vjp(
    f: Function, /, *args: Any, argnums: int | Sequence[int] | None = None, **options: Any
) -> tuple[Any, Callable[[Any], Any]]:
    """Return ``f(*args)`` and a function that multiplies a vector by its Jacobian from the left (a *pullback*).

    Parameters
    ----------
    f
        A function of arrays, or of nested tuples, lists and dicts of arrays, to the like.
    *args, **options
        What to call it with; ``options`` are passed through and not differentiated.
    argnums
        Which arguments to differentiate by: an int, several, or None for all.

    Returns
    -------
    value, pullback
        ``pullback(v)`` takes what has the structure and shapes of ``value`` and returns the gradient of ``sum(v *
        value)``: in the structure of the argument where ``argnums`` is an int, else a tuple with one for each.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> y, pullback = mg.vjp(np.sin, np.array([0.0, np.pi]))
    >>> pullback(np.array([1.0, 1.0]))
    (array([ 1., -1.]),)
    """
    argnums = chosen_by(argnums)
    value, pullback, _ = pull_back(f, args, pick(argnums, args, f), options)
    if isinstance(argnums, int):
        return value, lambda v: pullback(v)[0]
    return value, pullback


def pull_back(
    f: Function, args: Sequence[Any], picked: tuple[int, ...], options: dict[str, Any], own: Collection[Tensor] = ()
) -> tuple[Any, Callable[[Any], tuple[Any, ...]], dict[Tensor, None]]:
    """`vjp` and its variables; ``own`` are the caller's variables, which do not count as outside."""
    if not callable(f):
        raise TypeError(f"a transform takes a function as its first argument; got {type(f).__name__}.")
    groups = {i: variables_of(args[i], i, f) for i in picked}
    variables = dict.fromkeys(v for group in groups.values() for v in group)
    oldest = oldest_of((*variables, *own))  # what f makes itself is younger
    outer = current()
    with state(recording=True):
        value = f(*(tree.like(a, groups[i]) if i in groups else a for i, a in enumerate(args)), **options)
    results = [_result(r, k, value, f) for k, r in enumerate(tree.leaves(value))]
    inside, outside, astray = between(results, variables, oldest, own)
    outside = outside or not all(v.is_leaf for v in variables)
    outside = (outside and outer.recording) or outer.machine.traces
    shape = tree.like(value, results)

    def pullback(v: Any) -> tuple[Any, ...]:
        seeds = matching(f"the pullback of {name_of(f)}", v, "its result", shape)
        now = current()
        record = outside or (now.recording and any(map(is_tracked, seeds)))
        start: dict[Any, Any] = {}
        for r, s in zip(results, seeds, strict=True):
            if r in inside or r in variables:
                s = s if type(s) is Tensor else wrap(np.asarray(s))
                s = s.astype(r.dtype, copy=False) if record else plain(s).astype(r.dtype, copy=False)
                start[r] = start[r] + s if r in start else s
        with state(recording=record and now.recording):
            found = sweep(start, retain=True, record=record, between=inside if astray else None, targets=variables)
        return tuple(tree.like(args[i], [_gradient(found.get(x), x, record) for x in groups[i]]) for i in picked)

    return tree.like(value, (r if outside else plain(r) for r in results)), pullback, variables


def _result(r: Any, k: int, value: Any, f: Function) -> Tensor:
    if type(r) is Tensor:
        return r
    array = plain_array(r)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{path_to(value, k, 'the result')} of {name_of(f)} is {kind_of(r)}; a transform needs real numbers as "
            "results: arrays, or nested tuples, lists and dicts of arrays."
        )
    return wrap(array)


def _gradient(g: Any, x: Tensor, record: bool) -> Any:
    if record:
        return wrap(np.zeros(x.shape, x.dtype)) if g is None else g
    return np.zeros(x.shape, x.dtype) if g is None else np.array(g)


# -- Gradients ----------------------------------------------------------------------


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return a function that gives both ``f(*args)`` and its gradient, computed together. See `grad`.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> value, gradient = mg.value_and_grad(lambda w: np.sum(w ** 2))(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """
    chosen = chosen_by(argnums)

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **options: Any) -> tuple[Any, Any]:
        value, pullback, _ = pull_back(f, args, pick(chosen, args, f), options)
        results = tree.leaves(value)
        if len(results) != 1 or np.size(results[0]) != 1:
            given = [np.shape(r) for r in results]
            raise ValueError(
                f"the gradient of {name_of(f)} needs a single number as its result; got results of shapes {given}. "
                "Reduce it (np.sum), or use microgradnp.jacobian."
            )
        gradients = pullback(tree.like(value, [np.ones(np.shape(results[0]))]))
        return value, gradients[0] if isinstance(chosen, int) else gradients

    return value_and_gradient


def grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the gradient of a scalar function, itself a function that can be differentiated again.

    Parameters
    ----------
    f
        A function of arrays (or nested tuples, lists and dicts of them) to a single number.
    argnums
        Which positional argument to differentiate by, or several: then the gradients come as a tuple.

    Raises
    ------
    ValueError
        If the result of ``f`` is not a single number, or ``argnums`` names an argument that is not there.
    TypeError
        If an argument to differentiate by is not float32 or float64.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.grad(np.tanh)(0.0)
    array(1.)
    >>> mg.grad(mg.grad(lambda x: x ** 3))(2.0)
    array(12.)
    """
    both = value_and_grad(f, argnums)

    @wraps(f, updated=())
    def gradient(*args: Any, **options: Any) -> Any:
        return both(*args, **options)[1]

    return gradient


def stop_gradient(x: Any) -> Any:
    """The values of ``x`` (an array, or nested arrays) as constants: no gradient flows through.

    Examples
    --------
    >>> import microgradnp as mg
    >>> mg.grad(lambda x: x * mg.stop_gradient(x))(3.0)
    array(3.)
    """
    return tree.map(_stopped, x)


def _stopped(x: Any) -> Any:
    if type(x) is Tensor:
        return x.detach()
    if isinstance(x, Iterable) and not isinstance(x, str | bytes) and not hasattr(x, "__array__"):
        raise TypeError(
            f"stop_gradient takes an array, or nested tuples, lists and dicts of arrays; got a {type(x).__name__}, and "
            "the gradient would flow on through Tensors in it. Make it a list or a tuple first."
        )
    return x
