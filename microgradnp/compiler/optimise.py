"""From what was recorded to what must be computed: `Trace` to `Trace`, the same results in fewer operations.

The passes stand in their order: `fold` what is known or changes nothing, `share` what is computed twice (the rules
recompute a lot), `settle` where gradients and results go, `drop` what nothing needs, `fuse` sums of squares. The order
of what remains is never changed, so a replay computes what the step computed.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.compiler.functions import known, summed_at_once
from microgradnp.compiler.ir import Operation, Trace, Value, assignment, copied, owner, sum_of_squares
from microgradnp.engine.rules import RULES
from microgradnp.engine.table import getitem, identity, is_basic


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
            memory = id(owner(operation.arguments[0].array))
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
    homes = _Homes(operations)
    values = {}
    for t, v in trace.gradients.items():
        values[t] = replaced(v)
        if values[t].kind == "result":
            values[t].name = values[t].name or v.name
    returned = [replaced(v) for v in trace.returned]
    shown = {id(owner(v.root.array)) for v in (*values.values(), *returned)}
    gradients = {}
    for t, v in values.items():
        start = trace.starts.get(t)
        if (
            start is not None
            and id(owner(start.array)) not in shown
            and (v.shape, v.dtype) == (start.shape, start.dtype)
        ):
            operations.append(Operation(assignment, (start, v), {}, None, reads=(v,), pure=False))
        else:
            gradients[t] = homes.take(v)
    own = {id(v): homes.copy(v) for v in returned if v.root.kind == "input"}

    def settled(x: Any) -> Any:
        v = replaced(x)
        return own.get(id(v), v)

    return replace(
        trace,
        operations=operations,
        gradients=gradients,
        returned=[settled(v) for v in returned],
        result=tree.map(settled, trace.result),
    )


class _Homes:
    """Memory of its own for each gradient: its piece of the vector of all gradients, if the step makes one."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        self.pieces: dict[int, list[tuple[Value, Value, int]]] = {}  # of each root: the whole, the piece, its start
        self.claimed: set[int] = set()
        for operation in operations:
            whole = operation.result
            if operation.function is not np.concatenate or operation.options["axis"] != 0 or whole is None:
                continue
            start = 0
            for piece in operation.arguments:
                if piece.array.ndim == 1 and piece.array.flags.c_contiguous:
                    self.pieces.setdefault(id(piece.root), []).append((whole, piece, start))
                start += piece.shape[0]

    def take(self, v: Value) -> Value:
        """A value equal to ``v`` that no other gradient shares memory with."""
        pieces = self.pieces.get(id(v.root), [])
        for k, (whole, piece, start) in enumerate(pieces):
            if piece.array.size == v.array.size and v.array.flags.c_contiguous:
                del pieces[k]
                part = self._view(whole, getitem, {"index": (slice(start, start + v.array.size),)})
                return part if part.shape == v.shape else self._view(part, np.reshape, {"shape": v.shape})
        if v.kind == "result" and v.base is None and id(v) not in self.claimed:
            self.claimed.add(id(v))
            return v
        return self.copy(v)

    def copy(self, v: Value) -> Value:
        """A copy of ``v``."""
        own = Value(np.array(v.array), "result")
        own.operation = Operation(copied, (v,), {}, own, reads=(v,))
        self.operations.append(own.operation)
        return own

    def _view(self, base: Value, function: Callable[..., Any], options: dict[str, Any]) -> Value:
        rule = RULES[function]
        v = Value(rule.forward(base.array, **options), "result", base=base)
        v.operation = Operation(function, (base,), options, v, rule=rule, reads=(base,))
        self.operations.append(v.operation)
        return v


# -- What nothing needs


def drop(trace: Trace) -> Trace:
    """Keep what results and gradients, writes and draws depend on."""
    return replace(trace, operations=needed(trace.operations, trace.kept()))


def needed(operations: list[Operation], outputs: list[Value]) -> list[Operation]:
    """The operations that an output, an assignment or a random generator depends on."""
    wanted = set(map(id, outputs))
    kept: list[Operation] = []
    for operation in reversed(operations):
        if not operation.pure or id(operation.result) in wanted:
            kept.append(operation)
            wanted.update(map(id, operation.reads))
            if operation.result is None:
                wanted.add(id(operation.arguments[0]))
    return kept[::-1]


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
