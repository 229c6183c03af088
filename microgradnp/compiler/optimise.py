"""From what was recorded to what must be computed: `Trace` to `Trace`, the same results in fewer operations.

Three passes: `fold` lets go what is known, changes nothing or was computed before (the rules recompute a lot), `settle`
says where gradients and results go, `drop` takes out what nothing needs. The order of what remains is never changed, so
a replay computes what the step computed.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.compiler.functions import contiguous, known, summed_at_once
from microgradnp.compiler.ir import Operation, Trace, Value, assignment, copied, owner, sum_of_squares, values_in


def optimise(trace: Trace) -> Trace:
    """All passes, in order."""
    return drop(settle(fold(trace)))


def mark_constants(values: list[Value]) -> None:
    """Make constants of bound arrays that only these values hold: nobody is left who could change them."""
    views = Counter(id(v.array.base) for v in values)
    for v in values:
        mine = 2 + views[id(v.array)]  # the value's own reference, the call's argument, and the views
        owned = v.kind == "bound" and v.array.base is None and v.array.flags.owndata
        if owned and not weakref.getweakrefcount(v.array) and sys.getrefcount(v.array) <= mine:
            v.kind = "constant"


# -- What is known, changes nothing, or was computed before


def fold(trace: Trace) -> Trace:
    """Find the views; let go what gives its argument back, depends on constants alone, or is computed twice."""
    changing = {id(owner(array)) for array in trace.written()}  # a copy of what the program writes stays a copy
    versions: Counter[int] = Counter()  # how often the memory of a bound array was written so far
    seen: dict[Any, Value] = {}
    kept = []
    for operation in trace.operations:
        y = operation.result
        viewed = _viewed(operation)
        _look_again(operation)
        if y is None:
            versions[id(owner(operation.writes.array))] += 1
        elif operation.pure:
            y.base = replaced(viewed)
            if operation.function in (np.sum, np.mean):
                _fuse(operation, y, versions)
            if all(v.kind == "constant" for v in operation.reads):
                y.kind, y.operation, y.base = "constant", None, None
                continue
            if viewed is not None and contiguous(viewed) and _alike(viewed, y):
                y.same_as = y.base
            else:
                y.same_as = _given_back(operation, y, changing) or _computed_before(operation, y, seen, versions)
            if y.same_as is not None:
                continue
        kept.append(operation)
    return replace(trace, operations=kept)


def _viewed(operation: Operation) -> Value | None:
    """What the result is a view of, as recorded: what replaces it may lie elsewhere."""
    y = operation.result
    if y is None or not y.array.size or not known(operation).is_view:
        return None
    x: Value = operation.arguments[0]
    return x if np.may_share_memory(y.array, x.array) else None


def replaced(x: Any) -> Any:
    """What a value was found to be the same as."""
    while type(x) is Value and x.same_as is not None:
        x = x.same_as
    return x


def _look_again(operation: Operation) -> None:
    """Take what arguments were found to be the same as, and note which values are read."""
    arguments = operation.arguments[operation.result is None :]  # what an assignment writes to is not read
    reads: list[Value] = []
    for x in (*arguments, *operation.options.values()):
        if type(x) is Value:
            reads.append(x)
        elif type(x) in tree.NESTED:
            reads += values_in(x)
    if any(v.same_as for v in reads):
        operation.arguments = tree.map(replaced, operation.arguments)
        operation.options = tree.map(replaced, operation.options)
        reads = [replaced(v) for v in reads]
    operation.reads = tuple(reads)


def _fuse(operation: Operation, y: Value, versions: Counter[int]) -> None:
    """Make a sum or mean of squares one operation: a scalar product, with no array for the squares."""
    squares = operation.arguments[0].operation
    if squares is not None and squares.function is np.square and y.array.size == 1:
        z = squares.arguments[0]
        written = versions and z.root.kind == "bound"  # perhaps since it was squared
        if summed_at_once(z) and z.dtype == y.dtype and not written:
            operation.options = {"count": z.array.size if operation.function is np.mean else None}
            operation.function, operation.rule = sum_of_squares, None
            operation.arguments = operation.reads = (z,)


UNITS: dict[Any, tuple[tuple[int, int | None], ...]] = {
    np.positive: ((0, None),),
    np.multiply: ((0, 1), (1, 0)),
    np.divide: ((0, 1),),
}
"""Which argument a function gives back, and which one must be 1 for it."""


def _given_back(operation: Operation, y: Value, changing: set[int]) -> Value | None:
    """The argument that the result is the same as, if it is."""
    for i, one in UNITS.get(operation.function, ()):
        x = operation.arguments[i]
        if type(x) is Value and (one is None or _is_one(operation.arguments[one])) and _alike(x, y):
            return x if x.root.kind != "bound" or id(owner(x.root.array)) not in changing else None
    return None


def _alike(x: Value, y: Value) -> bool:
    """Whether one may stand for the other: a view of a dense array may be none of one that is reversed or has gaps."""
    a, b = x.array, y.array
    same = a.strides == b.strides or (a.flags.c_contiguous and b.flags.c_contiguous)
    return same and a.shape == b.shape and a.dtype == b.dtype


def _is_one(x: Any) -> bool:
    if type(x) is Value:
        return x.kind == "constant" and bool(x.array.size) and x.array.dtype.kind == "f" and bool(np.all(x.array == 1))
    return type(x) in (int, float) and x == 1


def _computed_before(operation: Operation, y: Value, seen: dict[Any, Value], versions: Counter[int]) -> Value | None:
    """The result of the same function of the same values, if there is one."""
    key = (operation.function, _frozen(operation.arguments, versions), _frozen(operation.options, versions))
    try:
        first = seen.setdefault(key, y)
    except TypeError:  # an option that cannot be hashed: taken as it is
        return None
    return first if first is not y else None


def _frozen(x: Any, versions: Counter[int]) -> Any:
    """A hashable key for nested arguments: the same key, the same result."""
    if type(x) is Value:
        if versions and x.root.kind == "bound":
            return id(x), versions[id(owner(x.root.array))]
        return id(x)
    if type(x) in (tuple, list):
        return tuple([_frozen(part, versions) for part in x])
    if type(x) is dict:
        return tuple([(key, _frozen(part, versions)) for key, part in x.items()])
    if type(x) is slice:
        return slice, x.start, x.stop, x.step
    return type(x), x.hex() if type(x) is float else x  # 0.0 and -0.0 differ


# -- Where gradients and results go


def settle(trace: Trace) -> Trace:
    """Give gradients memory of their own, or write them into the arrays that stood there, and results out of inputs."""
    operations = list(trace.operations)
    claimed: set[int] = set()  # roots in whose memory a gradient lies
    values = {t: replaced(v) for t, v in trace.gradients.items()}
    result = tree.map(replaced, trace.result)
    returned = values_in(result)
    shown = {id(owner(v.root.array)) for v in (*values.values(), *returned)}

    def copy(v: Value) -> Value:
        own = Value(np.array(v.array), "result")
        own.operation = Operation(copied, (v,), {}, own, reads=(v,))
        operations.append(own.operation)
        return own

    gradients = {}
    for t, v in values.items():
        if v.kind == "result":
            v.name = v.name or trace.gradients[t].name
        start, root = trace.starts.get(t), v.root
        fits = start is not None and (v.shape, v.dtype) == (start.shape, start.dtype)
        if start is not None and fits and id(owner(start.array)) not in shown:
            operations.append(Operation(assignment, (start, v), {}, None, reads=(v,), pure=False))
        elif root.kind == "result" and id(root) not in claimed and v.array.size == root.array.size and contiguous(v):
            claimed.add(id(root))
            gradients[t] = v
        else:
            gradients[t] = copy(v)
    own = {v: copy(v) for v in returned if v.root.kind == "input"}
    result = tree.map(lambda x: own.get(x, x) if type(x) is Value else x, result)
    return replace(trace, operations=operations, gradients=gradients, result=result)


# -- What nothing needs


def drop(trace: Trace) -> Trace:
    """Keep what results and gradients, writes and draws depend on."""
    wanted = set(map(id, trace.kept()))
    kept: list[Operation] = []
    for operation in reversed(trace.operations):
        if not operation.pure or id(operation.result) in wanted:
            kept.append(operation)
            wanted.update(map(id, operation.reads))
    return replace(trace, operations=kept[::-1])
