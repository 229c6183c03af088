"""Functions of functions: gradients, products with Jacobians, Jacobians and Hessians, to any order.

All of them rest on `vjp`. It runs the function on fresh variables and hands back a *pullback*, the sweep from the
result to these variables. Where the result also depends on something outside that wants a gradient (another transform's
variable, a Tensor captured by the function), the sweep is recorded in its turn; that is all there is to nesting.
"""

import operator
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.arrays import Array, native, plain_array
from microgradnp.engine.rules import RULES
from microgradnp.engine.state import current, state
from microgradnp.engine.sweep import FREED, freed, sweep
from microgradnp.engine.table import identity
from microgradnp.engine.tensor import Tensor, apply, orders, wrap

Function = Callable[..., Any]

_FLOATS = (np.float32, np.float64)

# -- The one transform on which the others rest -------------------------------------


def _variables(arg: Any, i: int, f: Function) -> list[Tensor]:
    """A fresh variable for each array of argument ``i``."""
    variables = []
    for k, x in enumerate(leaves := tree.leaves(arg)):
        t = _variable(x)
        if t._value.dtype.type not in _FLOATS:
            remedy = "leave it out of argnums" if len(leaves) == 1 else "pass it in an argument that argnums leaves out"
            remedy += " (jvp and hvp take all arguments: there let the function capture it)"
            raise TypeError(
                f"{_path(arg, k, f'argument {i}')} of {_name(f)} is {_kind(x)}; only float32 and float64 have "
                f"gradients. Write 1.0 instead of 1, or {remedy}."
            )
        variables.append(t)
    return variables


def _path(nested: Any, k: int, name: str) -> str:
    """The expression that leads to array ``k`` of a nested structure, for an error."""
    return [path for path, _ in tree.paths(nested, name)][k]


def _variable(x: Any) -> Tensor:
    """A fresh variable of the value of ``x``: a node above it where it is part of a recorded graph, else a leaf."""
    if type(x) is Tensor and x._tracked and current().recording:
        return apply(RULES[identity], (x,))
    t = wrap(x._value if type(x) is Tensor else native(plain_array(x)))
    t._tracked = True
    t._order = next(orders)
    return t


def _between(
    results: list[Tensor], variables: Container[Tensor], oldest: int, own: Container[Tensor]
) -> tuple[set[Tensor], bool, bool]:
    """The nodes from ``variables`` to ``results``, and whether anything else that wants a gradient reaches the results.

    A node older than every variable cannot depend on one, so the walk stops there. What is older is outside, and so is
    what a variable in ``own`` stands for; a younger leaf was made by the function itself, in a transform within, say.
    The last answer is whether some branch ends at such a place, so that a sweep has to keep to these nodes.
    """
    found = {t for t in results if t._tracked and t._rule is not None and t not in variables}
    leaves = (t for t in results if t._tracked and t._rule is None and t not in variables and t not in own)
    outside = any(t._order > oldest for t in leaves)
    walk = list(found)
    astray = False
    while walk:
        for x in walk.pop()._inputs:
            if type(x) is not Tensor or not x._tracked or x in found or x in variables:
                continue
            if x._rule is None or x._order > oldest or x in own:
                outside = outside or (x._rule is not None if x in own else x._order > oldest)
                astray = True
            else:
                found.add(x)
                walk.append(x)
    if any(node._rule is FREED for node in found):  # what it depended on is gone, and with it the gradient
        freed()
    if not astray:  # then every branch ends at a variable
        return found, outside, False
    between: set[Tensor] = set()
    for node in sorted(found, key=lambda t: -t._order):
        if any(type(x) is Tensor and (x in variables or x in between) for x in node._inputs):
            between.add(node)
    return between, outside, True


def _argnums(given: Any) -> int | tuple[int, ...] | None:
    """``argnums`` as an int, as ints, or None for all: read once, since an iterator gives its items only once."""
    try:
        return None if given is None else operator.index(given)
    except TypeError:
        pass
    try:
        return tuple(map(operator.index, given))
    except TypeError:
        raise TypeError(f"argnums must be an int, several, or None for all; got {given!r}.") from None


def _pick(argnums: int | tuple[int, ...] | None, args: tuple[Any, ...], f: Function) -> tuple[int, ...]:
    n = len(args)
    chosen = range(n) if argnums is None else (argnums,) if isinstance(argnums, int) else argnums
    if any(not -n <= i < n for i in chosen):
        raise ValueError(
            f"argnums={argnums} asks for an argument that {_name(f)} was not given: it was called with {n} positional "
            "arguments."
        )
    return tuple(i % n for i in chosen)


def _name(f: Function) -> str:
    return getattr(f, "__name__", type(f).__name__)


def _kind(x: Any) -> str:
    return f"an array of dtype {x.dtype}" if isinstance(x, np.ndarray | Tensor) else f"of type {type(x).__name__}"


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
    argnums = _argnums(argnums)
    value, pullback, _ = _vjp(f, args, _pick(argnums, args, f), options)
    if isinstance(argnums, int):
        return value, lambda v: pullback(v)[0]
    return value, pullback


def _vjp(
    f: Function, args: Sequence[Any], picked: tuple[int, ...], options: dict[str, Any], own: Collection[Tensor] = ()
) -> tuple[Any, Callable[[Any], tuple[Any, ...]], dict[Tensor, None]]:
    """`vjp` and its variables; ``own`` are the caller's variables, which do not count as outside."""
    if not callable(f):
        raise TypeError(f"a transform takes a function as its first argument; got {type(f).__name__}.")
    groups = {i: _variables(args[i], i, f) for i in picked}
    variables = dict.fromkeys(v for group in groups.values() for v in group)
    oldest = max((v._order for v in (*variables, *own)), default=next(orders))  # what f makes itself is younger
    outer = current()
    with state(recording=True):
        value = f(*(tree.like(a, groups[i]) if i in groups else a for i, a in enumerate(args)), **options)
    results = [_result(r, k, value, f) for k, r in enumerate(tree.leaves(value))]
    between, outside, astray = _between(results, variables, oldest, own)
    outside = outside or any(v._rule is not None for v in variables)
    outside = (outside and outer.recording) or outer.machine.traces
    shape = tree.like(value, results)

    def pullback(v: Any) -> tuple[Any, ...]:
        seeds = _matching(f"the pullback of {_name(f)}", v, "its result", shape)
        now = current()
        record = outside or (now.recording and any(type(s) is Tensor and s._tracked for s in seeds))
        start: dict[Any, Any] = {}
        for r, s in zip(results, seeds, strict=True):
            if r in between or r in variables:
                s = s if type(s) is Tensor else wrap(np.asarray(s))
                s = (s if s.dtype == r.dtype else s.astype(r.dtype)) if record else s._value.astype(r.dtype, copy=False)
                start[r] = start[r] + s if r in start else s
        with state(recording=record and now.recording):
            found = sweep(
                start,
                retain=True,
                record=record,
                between=between if astray else None,
                targets=variables,
            )
        return tuple(tree.like(args[i], [_gradient(found.get(x), x, record) for x in groups[i]]) for i in picked)

    return tree.like(value, (r if outside else r._value for r in results)), pullback, variables


def _result(r: Any, k: int, value: Any, f: Function) -> Tensor:
    if type(r) is Tensor:
        return r
    array = plain_array(r)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{_path(value, k, 'the result')} of {_name(f)} is {_kind(r)}; a transform needs real numbers as results: "
            "arrays, or nested tuples, lists and dicts of arrays."
        )
    return wrap(array)


def _matching(what: str, given: Any, of: str, wanted: Any) -> list[Any]:
    """The arrays of ``given`` in the order of ``wanted``; refused, by name, where structure or shape differ."""
    found, expected = dict(tree.paths(given, "")), dict(tree.paths(wanted, ""))
    for path, x in expected.items():
        if path not in found:
            raise ValueError(f"{what} takes the structure of {of}, and was given no array for {of}{path}.")
        y = found[path]
        if _array(y).dtype.kind not in "fiub":
            raise TypeError(f"{what} takes real numbers; for {of}{path} the given one is {_kind(y)}.")
        if _array(y).shape != _array(x).shape:
            raise ValueError(
                f"{what} takes the shapes of {of}: {of}{path} has shape {_array(x).shape}, and the given one "
                f"{_array(y).shape}."
            )
    if len(found) > len(expected):
        path = next(path for path in found if path not in expected)
        raise ValueError(f"{what} takes the structure of {of}, and was given an array at {path}, where it has none.")
    return [found[path] for path in expected]


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
    chosen = _argnums(argnums)

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **options: Any) -> tuple[Any, Any]:
        value, pullback, _ = _vjp(f, args, _pick(chosen, args, f), options)
        results = tree.leaves(value)
        if len(results) != 1 or np.size(results[0]) != 1:
            given = [np.shape(r) for r in results]
            raise ValueError(
                f"the gradient of {_name(f)} needs a single number as its result; got results of shapes {given}. "
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


# -- Jacobians and Hessians ---------------------------------------------------------


def jvp(f: Function, args: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return ``f(*args)`` and its derivative in the direction ``tangents``.

    The pullback is linear, so its own pullback is the Jacobian times a vector: two sweeps, whatever the sizes.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.jvp(np.square, (3.0,), (1.0,))
    (array(9.), array(6.))
    """
    tangents = _directions("jvp", args, tangents)
    value, pullback, variables = _vjp(f, args, tuple(range(len(args))), {})
    vectors = tree.like(
        value, [np.zeros(np.shape(r), np.result_type(_array(r), np.float32)) for r in tree.leaves(value)]
    )
    _, push, _ = _vjp(pullback, (vectors,), (0,), {}, own=variables)
    return value, push(tangents)[0]


def _directions(name: str, args: Any, directions: Any) -> tuple[Any, ...]:
    """A direction for each argument, in its structure."""
    if not isinstance(args, tuple | list) or not isinstance(directions, tuple | list) or len(args) != len(directions):
        raise TypeError(
            f"{name} takes two tuples of the same length: the arguments and a direction for each; got "
            f"{type(args).__name__} and {type(directions).__name__}."
        )
    matching = (
        tree.like(arg, _matching(f"{name}'s direction {i}", direction, f"argument {i}", arg))
        for i, (arg, direction) in enumerate(zip(args, directions, strict=True))
    )
    return tuple(matching)


def _array(x: Any) -> Array:
    return x._value if type(x) is Tensor else plain_array(x)


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the Jacobian: for each result and argument an array of the result's shape followed by the argument's.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> mg.jacobian(lambda x: x ** 2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    chosen = _argnums(argnums)

    @wraps(f, updated=())
    def jacobian_of(*args: Any, **options: Any) -> Any:
        picked = _pick(chosen, args, f)
        value, pullback, _ = _vjp(f, args, picked, options)
        arguments = [x for i in picked for x in tree.leaves(args[i])]
        results = tree.leaves(value)
        zeros = [np.zeros(np.shape(r), _array(r).dtype) for r in results]
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
                    np.reshape(np.stack([row[j] for row in rows]), shape) if rows else np.zeros(shape, _array(x).dtype)
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
    chosen: Any = _argnums(argnums)
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
    vectors = _directions("hvp", args, vectors)
    _, along = jvp(grad(f, tuple(range(len(args)))), args, vectors)
    return along


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
