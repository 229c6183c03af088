"""A derivative for a function of your own: `custom_vjp`, a decorator, and `defvjp`, for what NumPy lets us take over.

Any code may compute the value, a loop, a library, a lookup; the rules beside it are written as the rows of the table
are, in plain NumPy, and so they too can be differentiated. They may write into the gradient that they get, which is
their own copy: other parts of the graph share the original. The output and the arguments are there to be read.
"""

import inspect
import math
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import numpy as np

from microgradnp.arrays import Array, plain_array
from microgradnp.engine import rules as table
from microgradnp.engine.rules import Rule, Vjp
from microgradnp.engine.tensor import Tensor, apply, tensors_in
from microgradnp.signatures import check_signatures, name_of


def custom_vjp(*rules: Vjp | None, results: int | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function of arrays its derivative: a decorator that takes one rule for each array argument.

    The function gets plain arrays, to read and not to change, and returns one array or number; integers become
    floats, so that a gradient can flow through. Its leading parameters are the arrays, as many as there are rules; all
    others are options, passed through and not differentiated.

    Parameters
    ----------
    *rules
        For each array argument ``rule(g, y, *arguments, **options)``: ``g`` is the gradient with respect to the result
        ``y``; it returns the gradient with respect to that argument, of its shape or of one that sums to it by undoing
        a broadcast. A rule written in NumPy functions is differentiated in its turn for gradients of gradients. None
        stands for an argument that has no derivative; asking for it raises.
    results
        How many arrays the function returns, in a tuple: in its rules ``g`` and ``y`` are then tuples of as many. By
        default one array, and no tuple.

    Raises
    ------
    TypeError
        Where it is used: if a rule is not callable or takes other arguments, or there are more rules than positional
        parameters. In a call: if a Tensor comes as an option, a rule does not take an option that was given, or the
        function returns something else than one array of real numbers. In the backward pass: if a rule returns no
        gradient, or several.
    ValueError
        In the backward pass: if a rule returns a gradient of a wrong shape.

    Examples
    --------
    >>> import math, numpy as np, microgradnp as mg
    >>> @mg.custom_vjp(lambda g, y, x: g * (2 / math.sqrt(math.pi)) * np.exp(-x * x))
    ... def erf(x):
    ...     return np.vectorize(math.erf)(x)
    >>> float(mg.grad(erf)(0.0))
    1.1283791670955126
    >>> float(mg.grad(mg.grad(erf))(1.0))
    -0.8302149948411894

    Polar coordinates, two arrays at once:

    >>> @mg.custom_vjp(
    ...     lambda g, y, a, b: (g[0] * a - g[1] * b / y[0]) / y[0],
    ...     lambda g, y, a, b: (g[0] * b + g[1] * a / y[0]) / y[0],
    ...     results=2,
    ... )
    ... def polar(a, b):
    ...     return np.hypot(a, b), np.arctan2(b, a)
    >>> mg.grad(lambda b: polar(3.0, b)[1])(4.0)
    array(0.12)
    """
    if results is not None and (isinstance(results, bool) or not isinstance(results, int) or results < 1):
        raise TypeError(f"custom_vjp's results must be a number of arrays, 1 or more; got {results!r}.")
    if not rules or not all(rule is None or callable(rule) for rule in rules):
        raise TypeError(
            "custom_vjp takes one callable rule(g, y, *arguments) for each array argument (None where there is no "
            f"derivative); got {rules}."
        )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(function):
            raise TypeError(f"custom_vjp decorates a function; got {type(function).__name__}. Write @custom_vjp(rule).")
        name = name_of(function)
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        try:
            parameters = inspect.signature(function).parameters.values()
        except ValueError:
            raise TypeError(
                f"custom_vjp cannot tell the parameters of {name}, which is written in C: decorate a function that "
                "calls it, with a parameter for each rule."
            ) from None
        positional = [p.name for p in parameters if p.kind in kinds]
        if len(positional) < len(rules):
            raise TypeError(
                f"custom_vjp got {len(rules)} rules for {name}, which has {len(positional)} positional parameters "
                f"({', '.join(positional)}): give one rule for each array argument, in order."
            )
        defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
        many = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
        check_signatures(f"custom_vjp for {name}", rules, len(rules), math.inf if many else len(positional))

        def forward(*arrays: Any, layout: Layout | None = None, **options: Any) -> Any:
            y = function(*arrays, **options)
            if layout is None:
                return _floating(y, name, "one array of numbers")
            if type(y) is not tuple or len(y) != results:
                what = f"a tuple of {len(y)}" if isinstance(y, tuple) else type(y).__name__
                raise TypeError(f"{name} is decorated with custom_vjp(results={results}); it returned {what}.")
            return layout.joined([_floating(part, name, "arrays of numbers") for part in y])

        @wraps(function)
        def with_rules(*arrays: Any, **options: Any) -> Any:
            for parameter in positional[len(arrays) : len(rules)]:  # arrays given by name, or not at all
                if parameter not in options and not isinstance(defaults.get(parameter), _NUMERIC):
                    break
                arrays = (*arrays, options.pop(parameter, defaults.get(parameter)))
            for i in range(len(rules), len(arrays)) if len(arrays) <= len(positional) else ():
                if not isinstance(arrays[i], _NUMERIC):  # a mode, say, and no array: from here on by name
                    options |= zip(positional[i:], arrays[i:], strict=False)
                    arrays = arrays[:i]
                    break
            for option, value in options.items():
                if _holds_a_tensor(value):
                    raise TypeError(
                        f"{name} got a Tensor as its option {option}, for which it has no rule: it has rules for "
                        f"{', '.join(positional[: len(rules)])}. Give custom_vjp a rule for it, or pass its .data."
                    )
            if _holds_a_tensor(arrays):
                if options or len(arrays) != len(rules):
                    check_call(arrays, options)
                if results is None:
                    return apply(rule, arrays, options)
                layout = Layout()
                return layout.parts(apply(rule, arrays, {**options, "layout": layout}))
            return function(*arrays, **options)

        def check_call(arrays: tuple[Any, ...], options: dict[str, Any]) -> None:
            for i, vjp in enumerate(rules):
                try:
                    if vjp is not None:
                        inspect.signature(vjp).bind(None, None, *arrays, **options)
                except TypeError as error:
                    called = ", ".join([*positional[: len(arrays)], *(f"{key}=" for key in options)])
                    raise TypeError(
                        f"{name} was called with ({called}), and its rule for argument {i} ({positional[i]}) does not "
                        f"take them ({error}): it is called as rule(g, y, {called})."
                    ) from None
                except ValueError:  # written in C, and tells no signature
                    continue

        own = rules if results is None else [vjp and _of_parts(vjp) for vjp in rules]
        rule = Rule(with_rules, forward, tuple(vjp and guarded(vjp, name) for vjp in own))
        return with_rules

    return decorate


class Layout:
    """How several results lie in the one array that a row of the table gives."""

    shapes: list[tuple[int, ...]]
    dtypes: list[np.dtype[Any]]

    def joined(self, arrays: list[Array]) -> Array:
        """All numbers in one row, in the widest dtype."""
        self.shapes, self.dtypes = [a.shape for a in arrays], [a.dtype for a in arrays]
        return np.concatenate([a.ravel() for a in arrays])

    def parts(self, joined: Any) -> tuple[Any, ...]:
        """The results again, of an array or a Tensor."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes]).tolist()
        return tuple(
            joined[start:end].reshape(shape).astype(dtype, copy=False)
            for start, end, shape, dtype in zip([0, *ends], ends, self.shapes, self.dtypes, strict=False)
        )


def _of_parts(vjp: Vjp) -> Vjp:
    @wraps(vjp)
    def rule(g: Any, y: Any, *arguments: Any, layout: Layout, **options: Any) -> Any:
        return vjp(layout.parts(g), layout.parts(y), *arguments, **options)

    return rule


def _floating(y: Any, name: str, wanted: str) -> Array:
    array = plain_array(y) if isinstance(y, np.ndarray | np.generic | int | float) else None
    if array is None or array.dtype.kind not in "fiub":
        what = type(y).__name__ if array is None else f"an array of dtype {array.dtype}"
        hint = f" For several arrays write custom_vjp(..., results={len(y)})." if isinstance(y, tuple) else ""
        raise TypeError(f"{name} is decorated with custom_vjp and must return {wanted}; got {what}.{hint}")
    # Between integers there is no gradient: one that comes back, 0.5, say, would be cast to 0.
    return array if array.dtype.kind == "f" else array.astype(np.result_type(array, np.float32))


@wraps(table.defvjp)
def defvjp(
    function: Callable[..., Any],
    *rules: Vjp | None,
    each: Vjp | None = None,
    forward: Callable[..., Any] | None = None,
) -> None:
    table.defvjp(function, *rules, each=each, forward=forward)  # which judges them
    name = name_of(function)
    if each is None:
        table.defvjp(function, *(vjp and guarded(vjp, name) for vjp in rules), forward=forward)
    else:
        table.defvjp(
            function,
            each=lambda i, *args, **options: guarded(partial(each, i), name)(*args, **options),
            forward=forward,
        )


def guarded(vjp: Vjp, name: str) -> Vjp:
    """A rule of the user's, with a gradient of its own to write into, and all else to be read."""

    @wraps(vjp)
    def rule(g: Any, y: Any, *arguments: Any, **options: Any) -> Any:
        own = g.copy() if type(g) in (np.ndarray, Tensor) else g
        try:
            return vjp(own, _to_read(y), *map(_to_read, arguments), **options)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ValueError(
                f"a derivative rule of {name} writes into its output or an argument ({error}), which the graph and "
                "its user share. Compute a new array (x * 2 instead of x *= 2); only g is the rule's own."
            ) from error

    return rule


def _to_read(x: Any) -> Any:
    if type(x) is not np.ndarray:
        return x
    x = x.view()
    x.flags.writeable = False
    return x


_NUMERIC = (Tensor, np.ndarray, np.generic, int, float, list, tuple)


def _holds_a_tensor(x: Any) -> bool:
    return any(True for _ in tensors_in(x))  # of whatever value: 0.0 is false, and a vector neither
