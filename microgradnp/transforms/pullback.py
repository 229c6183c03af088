"""Functions of functions: gradients, products with Jacobians, Jacobians and Hessians, to any order.

All of them rest on `pull_back`. It runs the function on fresh variables and hands back a *pullback*, the sweep from the
result to these variables. Where the result also depends on something outside that wants a gradient (another transform's
variable, a Tensor captured by the function), the sweep is recorded in its turn; that is all there is to nesting.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import wraps
from itertools import count
from typing import Any
from warnings import warn

import numpy as np

from microgradnp import tree
from microgradnp.arrays import plain_array
from microgradnp.engine.state import current, state
from microgradnp.engine.sweep import sweep
from microgradnp.engine.tensor import Tensor, plain, tensors_in, wrap
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
from microgradnp.transforms.graph import between, is_tracked, is_variable, oldest_of, operations
from microgradnp.transforms.graph import variables as leaves_of

Pullback = Callable[[list[Any]], tuple[Any, ...]]
"""From a list with an array for each result, or None for zeros, to the gradients of the arguments."""

ARRAYS = "returns_arrays"
"""The attribute of a function that returns arrays, though as a part of a program they are Tensors."""

_runs = count()


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
    value, back, _ = pull_back(f, args, pick(argnums, args, f), options)
    alone = isinstance(argnums, int)

    def pullback(v: Any) -> Any:
        gradients = back(matching(f"the pullback of {name_of(f)}", v, "its result", value))
        return gradients[0] if alone else gradients

    return value, pullback


def pull_back(
    f: Function, args: Sequence[Any], picked: tuple[int, ...], options: dict[str, Any], own: Collection[Tensor] = ()
) -> tuple[Any, Pullback, dict[Tensor, None]]:
    """The value, its pullback, and the variables; ``own`` are the caller's, which do not count as outside."""
    if not callable(f):
        raise TypeError(f"a transform takes a function as its first argument; got {type(f).__name__}.")
    oldest = oldest_of(own)  # what f makes itself is younger
    groups = {i: variables_of(args[i], i, f) for i in picked}
    variables = dict.fromkeys([v for group in groups.values() for v in group])
    inputs = list(args)
    for i, group in groups.items():
        inputs[i] = tree.like(args[i], group)
    outer = current()
    run = next(_runs)
    if outer.recording:
        value = f(*inputs, **options)
    else:
        with state(recording=True):
            value = f(*inputs, **options)
    leaves = tree.leaves(value)
    results = [r if type(r) is Tensor else _constant(r, k, value, f) for k, r in enumerate(leaves)]
    inside, outside, astray = between(results, variables, oldest, own)
    if astray and not own and next(_runs) == run + 1:
        _warn_of_captured(f, groups, results)
    for v in variables:
        outside = outside or not v.is_leaf
    outside, traced = outside and outer.recording, outer.machine.traces

    def pullback(seeds: list[Any]) -> tuple[Any, ...]:
        now = current()
        connected = outside or (now.recording and any(map(is_tracked, seeds)))
        record = connected or traced
        start: dict[Any, Any] = {}
        for r, s in zip(results, seeds, strict=True):
            if s is not None and (r in inside or r in variables):
                if type(s) is Tensor:
                    s = s if record else plain(s)
                else:
                    s = wrap(np.asarray(s)) if record else np.asarray(s)
                s = s if s.dtype == r.dtype else s.astype(r.dtype)
                start[r] = start[r] + s if r in start else s
        keep = inside if astray else None
        if connected and now.recording:
            found = sweep(start, retain=True, record=True, between=keep, targets=variables)
        else:
            with state(recording=False):
                found = sweep(start, retain=True, record=record, between=keep, targets=variables)
        return tuple([tree.like(args[i], [_gradient(found.get(x), x, record) for x in groups[i]]) for i in picked])

    return (
        tree.like(value, results if outside else [r.detach() if traced else plain(r) for r in results]),
        pullback,
        variables,
    )


def _warn_of_captured(f: Function, groups: dict[int, list[Tensor]], results: list[Tensor]) -> None:
    """Warn of an argument that the results do not depend on, where they depend on a Tensor that is no argument.

    Not of a function that runs a transform itself: a second derivative is zero where the function is linear.
    """
    graph = operations(results)
    used = {x for o in graph for x in o.tracked}.union(results)
    missed = [i for i, group in groups.items() if group and used.isdisjoint(group)]
    captured = [x for x in (*leaves_of(graph), *results) if x.is_leaf and is_tracked(x) and not is_variable(x)]
    for x in captured[:1]:
        for i in missed:
            name = f" {x.name}" if x.name else ""
            warn(
                f"{name_of(f)} does not depend on its argument {i}, by which its gradient is zero, but on a Tensor"
                f"{name} of shape {x.shape} that requires a gradient and is no argument. Compute with what the "
                "function is given; with a model: lambda p: loss(nn.functional_call(model, p, x), y) and "
                "p = dict(model.named_parameters()), or nn.flat(model), where p is one vector.",
                stacklevel=5,
            )


def _constant(r: Any, k: int, value: Any, f: Function) -> Tensor:
    """A result that is no Tensor: an array or a number, which depends on no variable."""
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


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """Return a function that gives both ``f(*args)`` and its gradient, computed together. See `grad`.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> value, gradient = mg.value_and_grad(lambda w: np.sum(w ** 2))(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """
    return returns_arrays(wraps(f, updated=())(_both(f, argnums, has_aux)))


def grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """Return the gradient of a scalar function, itself a function that can be differentiated again.

    Parameters
    ----------
    f
        A function of arrays (or nested tuples, lists and dicts of them) to a single number.
    argnums
        Which positional argument to differentiate by, or several: then the gradients come as a tuple.
    has_aux
        Whether ``f`` returns a pair, the number and anything else, which is handed on: ``gradient, aux``, and of
        `value_and_grad` ``(value, aux), gradient``.

    Raises
    ------
    ValueError
        If the result of ``f`` is not a single number, or ``argnums`` names an argument that is not there.
    TypeError
        If an argument to differentiate by is not float32 or float64.

    Warns
    -----
    UserWarning
        If the result depends on a Tensor that ``f`` captures, and not on an argument to differentiate by.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.grad(np.tanh)(0.0)
    array(1.)
    >>> mg.grad(mg.grad(lambda x: x ** 3))(2.0)
    array(12.)
    """
    both = _both(f, argnums, has_aux)

    @wraps(f, updated=())
    def gradient(*args: Any, **options: Any) -> Any:
        value, gradients = both(*args, **options)
        return (gradients, value[1]) if has_aux else gradients

    return returns_arrays(gradient)


def returns_arrays(f: Function) -> Function:
    """Mark a function as one that returns arrays."""
    setattr(f, ARRAYS, True)
    return f


def _both(f: Function, argnums: int | Sequence[int], has_aux: bool) -> Function:
    """A function that gives the value and the gradient of ``f``."""
    chosen = chosen_by(argnums)
    alone = isinstance(chosen, int)

    def value_and_gradient(*args: Any, **options: Any) -> tuple[Any, Any]:
        called, aux = _without_aux(f) if has_aux else (f, [])
        value, pullback, _ = pull_back(called, args, pick(chosen, args, f), options)
        of, released = value if has_aux else (value, ())
        results = tree.leaves(of)
        if len(results) != 1 or results[0].size != 1:
            given = [r.shape for r in results]
            raise ValueError(
                f"the gradient of {name_of(f)} needs a single number as its result; got results of shapes {given}. "
                "Reduce it (np.sum), or use microgradnp.jacobian."
            )
        r = results[0]
        seed = np.ones(r.shape, r.dtype) if r.ndim else r.dtype.type(1)
        gradients = pullback([seed, *[None for _ in released]])
        if has_aux:
            tensors = iter(released)
            value = of, tree.map(lambda leaf: next(tensors) if type(leaf) is Tensor else leaf, *aux)
        return value, gradients[0] if alone else gradients

    return value_and_gradient


def _without_aux(f: Function) -> tuple[Function, list[Any]]:
    """A function that gives the value of ``f`` and the Tensors in what comes beside it, and a list for the latter."""
    aux: list[Any] = []

    @wraps(f, updated=())
    def called(*args: Any, **options: Any) -> Any:
        pair = f(*args, **options)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"with has_aux=True {name_of(f)} must return a pair, the number to differentiate and anything else; "
                f"got {f'a tuple of {len(pair)}' if isinstance(pair, tuple) else f'a {type(pair).__name__}'}."
            )
        aux[:] = pair[1:]
        return pair[0], [*tensors_in(pair[1])]

    return called, aux


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
