"""From what was recorded to what must be computed: the same results in fewer operations.

One walk in the order of recording folds constants, drops multiplications by 1 and shares what is computed twice (the
rules recompute a lot); one walk back drops what nothing needs. The order of what remains is never changed, so a replay
computes what the step computed.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from microgradnp.compiler.ir import Operation, Value, mapped, owner, sum_of_squares
from microgradnp.compiler.lower import MANY, contiguous, floats
from microgradnp.compiler.record import VIEWS
from microgradnp.engine.rules import identity, is_basic


def simplify(operations: list[Operation], changing: set[int]) -> list[Operation]:
    """The operations without those that fold, and with their arguments replaced by what they are the same as.

    ``changing`` are the identities of the owners of memory that the program writes: a copy of that stays a copy.
    """
    kept: list[Operation] = []
    seen: dict[Any, Value] = {}
    versions: dict[int, int] = {}  # how often the memory of a bound array was written
    for operation in operations:
        operation.arguments = mapped(operation.arguments, replaced)
        if operation.options:
            operation.options = mapped(operation.options, replaced)
        operation.find_reads()
        result = operation.result
        if result is None:
            memory = id(owner(operation.arguments[0].array))
            versions[memory] = versions.get(memory, 0) + 1
            kept.append(operation)
            continue
        if result.base is not None:
            result.base = replaced(result.base)
        same = _same_as(operation, changing)
        if same is not None:
            result.same_as = same
            continue
        if not operation.pure:
            kept.append(operation)
            continue
        if all(v.kind == "constant" for v in operation.reads):
            result.kind, result.operation, result.base = "constant", None, None
            continue
        key = (operation.function, _frozen(operation.arguments, versions), _frozen(operation.options, versions))
        try:
            first = seen.setdefault(key, result)
        except TypeError:  # an option that cannot be hashed: taken as it is
            first = result
        if first is not result:
            result.same_as = first
            continue
        kept.append(operation)
    return kept


def replaced(x: Any) -> Any:
    """What a value was found to be the same as."""
    while type(x) is Value and x.same_as is not None:
        x = x.same_as
    return x


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


def fuse(operations: list[Operation], outputs: list[Value]) -> list[Operation]:
    """The operations with each sum of squares as one: a scalar product, with no array for the squares."""
    uses = Counter(id(v) for o in operations for v in o.reads)
    uses.update(map(id, outputs))
    gone: set[int] = set()
    fused: list[Operation] = []
    for operation in operations:
        x = operation.arguments[0] if operation.arguments else None
        if operation.function in (np.sum, np.mean) and type(x) is Value and x.operation is not None:
            squares, y = x.operation, operation.result
            z = squares.arguments[0]
            if (
                squares.function is np.square
                and uses[id(x)] == 1
                and y is not None
                and y.array.size == 1
                and floats(z)
                and contiguous(z)
                and z.array.size <= MANY
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
    return [o for o in fused if o.result is None or id(o.result) not in gone]


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


def _frozen(x: Any, versions: dict[int, int]) -> Any:
    """A hashable key for nested arguments: the same key, the same result."""
    if type(x) is Value:
        memory = x.root
        return id(x), versions.get(id(owner(memory.array)), 0) if memory.kind == "bound" else 0
    if type(x) in (tuple, list):
        return tuple(_frozen(part, versions) for part in x)
    if type(x) is dict:
        return tuple((key, _frozen(part, versions)) for key, part in x.items())
    if type(x) is slice:
        return slice, x.start, x.stop, x.step
    return type(x), x.hex() if type(x) is float else x  # 0.0 and -0.0 differ


def _same_as(operation: Operation, changing: set[int]) -> Value | None:
    """The argument that the result is the same as, if it is."""
    result, arguments = operation.result, operation.arguments
    assert result is not None
    f = operation.function
    if result.base is not None and f in VIEWS:
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
