"""A prediction as a trace: what is deployed is what a model computes, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from microgradnp.compiler.guards import Surroundings
from microgradnp.compiler.ir import Trace
from microgradnp.compiler.optimise import optimise
from microgradnp.compiler.record import Recorder
from microgradnp.compiler.rows import NAME, SIZES, DependsOnRows, for_any_rows
from microgradnp.compiler.source import name_values
from microgradnp.compiler.trace import record
from microgradnp.engine.state import no_grad
from microgradnp.engine.tensor import Tensor

TAKEN = frozenset({NAME, "predict", "base64", "y"})
"""Names that mean something else in a file that is written."""


def recorded(
    who: str,
    predict: Callable[[Any], Any],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    tensors: Mapping[str, Tensor],
    whole: Collection[Any] = (),
) -> Trace:
    """What ``predict`` computes of an array of shape ``(n, *shape)``, for any n.

    Parameters
    ----------
    who
        The function that asks, for messages.
    predict
        What is recorded.
    shape, dtype
        Of one row, and of the input.
    tensors
        What arrays shall be named after: the one at ``2.weight`` becomes ``weight_2``.
    whole
        Functions that stay one operation, although they are composed of NumPy's.

    Raises
    ------
    TypeError
        If what it computes depends on the number of rows, draws random numbers or changes anything.
    """
    places = {id(t.data): place.rpartition(".") for place, t in tensors.items()}
    names = {i: f"{own}_{layer}".rstrip("_") for i, (layer, _, own) in places.items()}

    def recorder(surroundings: Surroundings) -> Recorder:
        return _Recorder(surroundings, whole)

    traces = []
    for n in SIZES:
        with no_grad():
            run = record(lambda x: predict(x), (np.zeros((n, *shape), dtype),), {}, recorder)
        traces.append(_named(optimise(run.trace([], None)), names))
    try:
        trace = for_any_rows(traces)
    except DependsOnRows as error:
        raise TypeError(f"{who}() writes a prediction for any number of rows; here {error}.") from error
    if any(not operation.pure or operation.result is None for operation in trace.operations):
        raise TypeError(f"{who}() writes a prediction; this one draws random numbers or changes arrays.")
    return trace


class _Recorder(Recorder):
    """One that leaves some composed functions whole."""

    def __init__(self, surroundings: Surroundings, whole: Collection[Any]) -> None:
        super().__init__(surroundings)
        self._whole = whole

    def _expand(self, t: Tensor, rule: Any, arrays: list[Any], options: dict[str, Any]) -> bool:
        return rule.function not in self._whole and super()._expand(t, rule, arrays, options)


def _named(trace: Trace, names: Mapping[int, str]) -> Trace:
    for v in trace.values():
        if v.kind == "bound":
            v.name = names.get(id(v.array), v.name or "array")
    name_values(trace.values())
    for v in trace.values():
        if v.name in TAKEN:
            v.name += "_"
    return trace
