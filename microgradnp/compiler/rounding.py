"""What rounding amounts to in a program, measured: the same calls, each result that is rounded moved in its last bit.

Every order of adding up, and every choice of a formula, is one way to round among many. Runs of such calls are others.
"""

from typing import Any

import numpy as np

from microgradnp.compiler.ir import Call, Variable

EXACT = frozenset({
    np.negative, np.positive, np.absolute, np.fabs, np.sign, np.copysign, np.conjugate, np.heaviside, np.maximum,
    np.minimum, np.fmax, np.fmin, np.floor, np.ceil, np.trunc, np.rint, np.spacing, np.nextafter,
})  # fmt: skip
"""The ufuncs whose results are never rounded: where values are chosen, those that were equal stay so."""


def moved(calls: list[Call]) -> list[Call]:
    """The calls, and after each that rounds one that moves its result by a unit in the last place."""
    rng = np.random.default_rng(0)

    def move(array: Any) -> None:
        bit = np.finfo(array.dtype).eps
        np.multiply(array, rng.choice((1 - bit, 1 + bit), array.shape).astype(array.dtype), out=array)

    def move_number(number: Any) -> Any:
        return number * type(number)(1 + rng.choice((-1, 1)) * np.finfo(type(number)).eps)

    found: list[Call] = []
    for call in calls:
        found.append(call)
        if call.operation is not None and not call.idle and _rounds(call):
            number = type(call.out) is Variable
            found.append(Call(move_number if number else move, (call.out,), call.out))
    return found


def _rounds(call: Call) -> bool:
    f = call.function
    if call.out.value.dtype.kind != "f":
        return False
    sums = f in (np.ndarray.dot, np.dot, np.vdot, np.einsum) or getattr(f, "__self__", None) in (np.add, np.multiply)
    return sums or (isinstance(f, np.ufunc) and f not in EXACT)
