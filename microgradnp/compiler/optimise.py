"""From what was recorded to what must be computed: `Trace` to `Trace`, the same results in fewer operations.

The passes stand in their order: `fold` what is known or changes nothing, `share` what is computed twice (the rules
recompute a lot), `settle` where gradients and results go, `drop` what nothing needs, `fuse` sums of squares. The order
of what remains is never changed, so a replay computes what the step computed.
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
from microgradnp.compiler.ir import Operation, Trace, Value, assignment, copied, owner, sum_of_squares
from microgradnp.engine.table import identity, is_basic


def optimise(trace: Trace) -> Trace:
    """All passes, in order."""
    for step in (fold, share, settle, drop, fuse):
        trace = step(trace)
    return trace


def mark_constants(values: list[Value]) -> None:
    """Make constants of bound arrays that only these values hold: nobody is left who could change them."""
    views: dict[int, int] = {}
    for v in values:
        if v.array.base is not None:
            views[id(v.array.base)] = views.get(id(v.array.base), 0) + 1
    for v in values:
        mine = 2 + views.get(id(v.array), 0)  # the value's own reference, the call's argument, and the views
        owned = v.kind == "bound" and v.array.base is None and v.array.flags.owndata
        if owned and not weakref.getweakrefcount(v.array) and sys.getrefcount(v.array) <= mine:
            v.kind = "constant"


def replaced(x: Any) -> Any:
    """What a value was found to be the same as."""
    while type(x) is Value and x.same_as is not None:
        x = x.same_as
    return x


def _look_again(operation: Operation) -> None:
    """Take what arguments were found to be the same as."""
    for v in operation.reads:
        if v.same_as is not None:
            operation.arguments = tree.map(replaced, operation.arguments)
            operation.options = tree.map(replaced, operation.options)
            operation.find_reads()
            break
    if operation.result is not None and operation.result.base is not None:
        operation.result.base = operation.arguments[0]


# -- What is known, or changes nothing


def fold(trace: Trace) -> Trace:
    """Find the views; let go what gives its argument back, and what depends on constants alone."""
    changing = {id(owner(array)) for array in trace.written()}  # a copy of what the program writes stays a copy
    kept = []
    for operation in trace.operations:
        operation.find_reads()
        result = operation.result
        if result is not None and known(operation).is_view and _overlap(result, operation.arguments[0]):
            result.base = operation.arguments[0]
        _look_again(operation)
        if result is None or not operation.pure:
            kept.append(operation)
        elif (same := _same_as(operation, result, changing)) is not None:
            result.same_as = same
        elif all(v.kind == "constant" for v in operation.reads):
            result.kind, result.operation, result.base = "constant", None, None
        else:
            kept.append(operation)
    return replace(trace, operations=kept)


def _overlap(a: Value, b: Any) -> bool:
    return type(b) is Value and bool(a.array.size) and np.may_share_memory(a.array, b.array)


def _same_as(operation: Operation, result: Value, changing: set[int]) -> Value | None:
    """The argument that the result is the same as, if it is."""
    f, arguments = operation.function, operation.arguments
    if result.base is not None:
        x = arguments[0]
        if x.shape == result.shape and (f in (np.reshape, np.broadcast_to, identity) or _whole(operation)):
            return x  # type: ignore[no-any-return]  # what a view shows is a Value
        return None
    candidates: tuple[Any, ...] = ()
    if f is np.positive or (f in (np.multiply, np.divide) and _is_one(arguments[1])):
        candidates = arguments[:1]
    elif f is np.multiply and _is_one(arguments[0]):
        candidates = arguments[1:]
    for x in candidates:
        if type(x) is Value and _alike(x, result):
            lasts = x.root.kind != "bound" or id(owner(x.root.array)) not in changing
            return x if lasts else None
    return None


def _alike(x: Value, y: Value) -> bool:
    """Whether one may stand for the other: a view of a dense array may be none of one that is reversed or has gaps."""
    a, b = x.array, y.array
    same = a.strides == b.strides or (a.flags.c_contiguous and b.flags.c_contiguous)
    return same and a.shape == b.shape and a.dtype == b.dtype


def _whole(operation: Operation) -> bool:
    if operation.function is np.transpose:
        axes = operation.options["axes"]
        return tuple(axes) == tuple(range(len(axes)))
    index = operation.options.get("index")
    parts = index if type(index) is tuple else (index,)
    return is_basic(index) and all(p is Ellipsis or (type(p) is slice and p == slice(None)) for p in parts)


def _is_one(x: Any) -> bool:
    if type(x) is Value:
        return x.kind == "constant" and bool(x.array.size) and x.array.dtype.kind == "f" and bool(np.all(x.array == 1))
    return type(x) in (int, float) and x == 1


# -- What is computed twice


def share(trace: Trace) -> Trace:
    """Compute once what is computed twice from the same values."""
    kept = []
    seen: dict[Any, Value] = {}
    versions: dict[int, int] = {}  # how often the memory of a bound array was written
    for operation in trace.operations:
        _look_again(operation)
        if operation.result is None:
            memory = id(owner(operation.writes.array))
            versions[memory] = versions.get(memory, 0) + 1
        elif operation.pure:
            key = (operation.function, _frozen(operation.arguments, versions), _frozen(operation.options, versions))
            try:
                first = seen.setdefault(key, operation.result)
            except TypeError:  # an option that cannot be hashed: taken as it is
                first = operation.result
            if first is not operation.result:
                operation.result.same_as = first
                continue
        kept.append(operation)
    return replace(trace, operations=kept)


def _frozen(x: Any, versions: dict[int, int]) -> Any:
    """A hashable key for nested arguments: the same key, the same result."""
    if type(x) is Value:
        if versions and x.root.kind == "bound":
            return id(x), versions.get(id(owner(x.root.array)), 0)
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
    returned = [replaced(v) for v in trace.returned]
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
    own = {id(v): copy(v) for v in returned if v.root.kind == "input"}
    returned = [own.get(id(v), v) for v in returned]
    result = tree.map(lambda x: own.get(id(replaced(x)), replaced(x)), trace.result)
    return replace(trace, operations=operations, gradients=gradients, returned=returned, result=result)


# -- What nothing needs


def drop(trace: Trace) -> Trace:
    """Keep what results and gradients, writes and draws depend on."""
    wanted = set(map(id, trace.kept()))
    kept: list[Operation] = []
    for operation in reversed(trace.operations):
        if not operation.pure or id(operation.result) in wanted:
            kept.append(operation)
            wanted.update(map(id, operation.reads))
            wanted.add(id(operation.writes))
    return replace(trace, operations=kept[::-1])


# -- What goes into one call


def fuse(trace: Trace) -> Trace:
    """Make each sum of squares one operation: a scalar product, with no array for the squares."""
    uses = Counter(id(v) for o in trace.operations for v in o.reads)
    uses.update(map(id, trace.kept()))
    gone: set[int] = set()
    fused: list[Operation] = []
    for operation in trace.operations:
        x = operation.arguments[0] if operation.arguments else None
        if operation.function in (np.sum, np.mean) and type(x) is Value and x.operation is not None:
            squares, y = x.operation, operation.result
            z = squares.arguments[0]
            if (
                squares.function is np.square
                and uses[id(x)] == 1
                and y is not None
                and y.array.size == 1
                and summed_at_once(z)
                and z.dtype == y.dtype
            ):
                gone.add(id(x))
                count = z.array.size if operation.function is np.mean else None
                operation = replace(
                    operation, function=sum_of_squares, arguments=(z,), options={"count": count}, rule=None
                )
                operation.find_reads()
                y.operation = operation
        fused.append(operation)
    return replace(trace, operations=[o for o in fused if o.result is None or id(o.result) not in gone])
