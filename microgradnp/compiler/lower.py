"""From a `Trace` and its `Plan` to a list of `Call`: the NumPy calls of a replay, whose operands are objects.

Each operation is written as its record in `functions` says, but arithmetic with single numbers moves from arrays into
local variables, and a copy of an array onto itself is idle.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from microgradnp.compiler.functions import known
from microgradnp.compiler.ir import Call, Operation, Trace, Value, Variable, owner, same_place
from microgradnp.compiler.plan import Plan
from microgradnp.engine.table import astype


def lower(trace: Trace, plan: Plan) -> list[Call]:
    """The calls of a replay, in order."""
    scalars = set(filter(is_scalar, plan.steps))
    in_arrays = {v.root for v in trace.kept()}.union(v.root for o in plan.steps if o not in scalars for v in o.reads)
    variables: dict[Value, Variable] = {}  # of single numbers
    calls: list[Call] = []
    for operation in plan.steps:
        y = operation.writes
        if operation in scalars:
            for v in operation.reads:
                if v not in variables:
                    variables[v] = Variable(v)
                    calls.append(Call(operator.getitem, (v, ()), variables[v]))
            variables[y] = Variable(y)
            operands = tuple(variables[x] if type(x) is Value else x for x in operation.arguments)
            calls.append(Call(_on_numbers(operation), operands, variables[y], operation=operation))
            if y in in_arrays or plan.target(y) is not y:
                calls.append(Call(operator.setitem, (y, (), variables[y]), y))
        else:
            for call in known(operation).write(operation, y):
                call.operation, call.idle = operation, _is_idle(call, plan)
                calls.append(call)
        target = plan.target(y)
        if target.kind == "bound":  # what was read from there is no longer so
            memory = owner(target.array)
            for v in [v for v in variables if v.kind == "bound" and owner(v.array) is memory]:
                del variables[v]
    return calls


def is_runtime(v: Value) -> bool:
    """Whether a value is an input of the step or a view of one: its array is another one at every replay."""
    return v.root.kind == "input"


def _is_idle(call: Call, plan: Plan) -> bool:
    if call.function is not np.copyto or call.options:
        return False
    y, x = call.operands[:2]
    if type(x) is not Value or is_runtime(x):
        return False
    return same_place(plan.array(x), plan.array(y))


# -- Single numbers

SCALAR = frozenset({np.add, np.subtract, np.multiply, np.divide, np.power, np.negative})
FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


def is_scalar(operation: Operation) -> bool:
    """Whether an operation takes and gives single floats: NumPy's scalars do that in a fifth of a ufunc's time."""
    y = operation.result
    if y is None or y.array.ndim or y.dtype not in FLOATS or operation.errstate:
        return False
    if operation.function in SCALAR and not operation.options:
        return all(x.dtype == y.dtype and x.array.ndim == 0 and x.base is None for x in operation.reads)
    return operation.function is astype and operation.reads[0].dtype in FLOATS and operation.reads[0].base is None


def _on_numbers(operation: Operation) -> Any:
    return np.dtype(operation.options["dtype"]).type if operation.function is astype else operation.function
