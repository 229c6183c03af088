"""Where every value lives: one block of memory for the whole program, each place used again once its value is dead.

A result that will be assigned to a bound array is computed right there; a piece of a concatenation, in its part of the
whole; and an elementwise result takes the place of an argument that dies with it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp.compiler.ir import Operation, Value, owner, values_in
from microgradnp.engine.tensor import Array

ALIGNMENT = 64  # bytes: a cache line


class _Space:
    """An address space with a list of free stretches: the smallest that fits is taken, neighbours are joined."""

    def __init__(self) -> None:
        self.size = 0
        self.free: list[tuple[int, int]] = []  # start and length, by start

    def take(self, length: int) -> int:
        fits = [(n, start) for start, n in self.free if n >= length]
        if fits:
            n, start = min(fits)
            self.free.remove((start, n))
            if n > length:
                insort(self.free, (start + length, n - length))
            return start
        if self.free and sum(self.free[-1]) == self.size:  # stretch the last one
            start, _ = self.free.pop()
        else:
            start = self.size
        self.size = start + length
        return start

    def give(self, start: int, length: int) -> None:
        i = bisect_left(self.free, (start, 0))
        if i < len(self.free) and start + length == self.free[i][0]:
            length += self.free.pop(i)[1]
        if i and sum(self.free[i - 1]) == start:
            start, n = self.free.pop(i - 1)
            length += n
        insort(self.free, (start, length))


class Plan:
    """The memory of a program: ``array(v)`` is the array in which the value lives at every replay."""

    def __init__(
        self,
        operations: list[Operation],
        returned: list[Value],
        kept: list[Value],
        shares: Callable[[Operation], tuple[int, ...]],
    ) -> None:
        self.operations = operations
        self.shares = shares
        self.home: dict[int, tuple[Value, int]] = {}  # a root that lives inside another one, at a byte offset
        self.bound: dict[int, Array] = {}  # a root that lives in a bound array
        self.start: dict[int, int] = {}  # a root's place in the block of memory
        self.removed: set[int] = set()  # assignments whose value is computed in place
        self._arrays: dict[int, Array] = {}
        end = len(operations)
        self.born = {id(o.result): i for i, o in enumerate(operations) if o.result is not None}
        self.last: dict[int, int] = {}
        self.users: dict[int, list[int]] = {}  # when each root is read
        self.reads: dict[int, list[int]] = {}  # when the memory of each bound owner is read
        self.writes: dict[int, list[int]] = {}
        for i, operation in enumerate(operations):
            for v in operation.reads:
                self._use(v.root, i)
            if operation.result is None:
                self.writes.setdefault(id(owner(operation.arguments[0].array)), []).append(i)
        self.kept = {id(v.root) for v in kept}
        for v in (*returned, *kept):
            self._use(v.root, end)
        self._assign_in_place()
        self._join_pieces()
        self._place()
        self.memory = np.empty(self.space.size + ALIGNMENT, np.uint8)
        self.offset = -self.memory.ctypes.data % ALIGNMENT

    def _use(self, root: Value, i: int) -> None:
        self.last[id(root)] = max(self.last.get(id(root), -1), i)
        self.users.setdefault(id(root), []).append(i)
        if root.kind == "bound":
            reads = self.reads.setdefault(id(owner(root.array)), [])
            if not reads or reads[-1] != i:
                insort(reads, i)

    # -- Results computed where they are to be assigned

    def _assign_in_place(self) -> None:
        for j, operation in enumerate(self.operations):
            if operation.result is None and self._can_assign_in_place(j, operation):
                target, source = operation.arguments
                root = source.root
                i = self.born[id(root)]
                memory = id(owner(target.array))
                self.bound[id(root)] = target.array.reshape(root.shape)
                self.removed.add(j)
                writes = self.writes[memory]
                writes[writes.index(j)] = i
                writes.sort()
                reads = self.reads.setdefault(memory, [])
                for k in self.users[id(root)]:
                    if k != j:
                        insort(reads, k)

    def _can_assign_in_place(self, j: int, operation: Operation) -> bool:
        target, source = operation.arguments
        if type(source) is not Value or source.root.kind != "result":
            return False
        root = source.root
        if id(root) in self.bound or id(root) in self.kept or id(root) not in self.born:
            return False
        if target.shape != source.shape or target.dtype != root.dtype or source.array.size != root.array.size:
            return False
        if not all(a.flags.c_contiguous for a in (target.array, source.array, root.array)):
            return False
        i = self.born[id(root)]
        memory = id(owner(target.array))
        reads = self.reads.get(memory, [])
        if bisect_right(reads, j) > bisect_right(reads, i):  # the old content is read after the new would be there
            return False
        writes = self.writes[memory]
        if sum(i <= k < j for k in writes) or any(j < k <= self.last[id(root)] for k in writes):
            return False
        birth = self.operations[i]
        there = owner(target.array)
        return self._lies_like(target.array, birth, [v for v in birth.reads if self._memory(v) is there])

    def _lies_like(self, array: Array, operation: Operation, there: list[Value]) -> bool:
        """Whether the result may be computed where ``array`` lies, of whose memory the operation reads ``there``.

        Only an argument that lies just there itself, and that is not read again after a first line has been written.
        """
        safe = self.shares(operation)
        late = [x for i, x in enumerate((*operation.arguments, operation.options)) if i not in safe]
        return all(_same_place(v.array, array) for v in there) and not any(
            v is x for v in there for x in values_in(late)
        )

    # -- Pieces of a concatenation

    def _join_pieces(self) -> None:
        for operation in self.operations:
            whole = operation.result
            if operation.function is not np.concatenate or operation.options["axis"] != 0 or whole is None:
                continue
            if id(whole) in self.bound or not whole.array.flags.c_contiguous:
                continue
            offset = 0
            for piece in operation.arguments:
                nbytes = piece.array.size * whole.dtype.itemsize
                root = piece.root
                if (
                    root.kind == "result"
                    and id(root) in self.born
                    and id(root) not in self.bound
                    and id(root) not in self.home
                    and id(root) not in self.kept
                    and root is not whole
                    and piece.dtype == root.dtype == whole.dtype
                    and piece.array.size == root.array.size
                    and piece.array.flags.c_contiguous
                    and root.array.flags.c_contiguous
                ):
                    self.home[id(root)] = whole, offset
                    self.born[id(whole)] = min(self.born[id(whole)], self.born[id(root)])
                    self.last[id(whole)] = max(self.last[id(whole)], self.last[id(root)])
                offset += nbytes

    # -- Everything else

    def place_of(self, v: Value) -> Value:
        """The root that a value's memory belongs to, through concatenations."""
        root = v.root
        while id(root) in self.home:
            root = self.home[id(root)][0]
        return root

    def _memory(self, v: Value) -> Any:
        """What owns the bound memory that a value lies in; None if it lies in the program's own."""
        place = self.place_of(v)
        array = place.array if place.kind == "bound" else self.bound.get(id(place))
        return None if array is None else owner(array)

    def _place(self) -> None:
        self.space = _Space()
        lengths: dict[int, int] = {}
        dying: dict[int, list[Value]] = {}
        roots = {id(o.result): o.result for o in self.operations if o.result is not None}
        for key, root in roots.items():
            if key not in self.bound and key not in self.home:
                dying.setdefault(max(self.last.get(key, -1), self.born[key]), []).append(root)
        for i, operation in enumerate(self.operations):
            taken: set[int] = set()
            if operation.result is not None:
                place = self.place_of(operation.result)
                key = id(place)
                if key not in self.bound and key not in self.start:
                    given = self._replace_argument(i, operation) if place is operation.result else None
                    if given is not None:
                        self.start[key], lengths[key] = self.start[id(given)], lengths[id(given)]
                        taken.add(id(given))
                    elif not (place is operation.result and self._use_window(i, operation)):
                        lengths[key] = -(-place.array.nbytes // ALIGNMENT) * ALIGNMENT
                        self.start[key] = self.space.take(lengths[key])
            for root in dying.get(i, ()):
                if id(root) not in taken and id(root) in self.start and lengths[id(root)]:
                    self.space.give(self.start[id(root)], lengths[id(root)])

    def _replace_argument(self, i: int, operation: Operation) -> Value | None:
        """The argument that dies here and whose place the result can take."""
        result = operation.result
        assert result is not None
        for position in self.shares(operation):
            v = operation.arguments[position]
            if type(v) is not Value or v.root.kind != "result":
                continue
            place = self.place_of(v)
            if (
                id(place) in self.start
                and self.last[id(place)] == i
                and _same_layout(v.array, result.array)
                and v.array.nbytes == place.array.nbytes
                and self._lies_like(v.array, operation, [w for w in operation.reads if self.place_of(w) is place])
            ):
                return place
        return None

    def _use_window(self, i: int, operation: Operation) -> bool:
        """Take the place of a bound array's old content, read here for the last time, until the new one is computed."""
        result = operation.result
        assert result is not None
        for position in self.shares(operation):
            v = operation.arguments[position]
            if type(v) is not Value:
                continue
            place = self.place_of(v)
            array = self.bound.get(id(place)) if place.kind == "result" else place.array
            if array is None or place.kind not in ("bound", "result") or not _same_layout(v.array, result.array):
                continue
            if place.kind == "bound":
                array = v.array
            elif self.last[id(place)] != i or v.array.nbytes != place.array.nbytes:
                continue
            memory = id(owner(array))
            writes = self.writes.get(memory, [])
            k = bisect_right(writes, i)
            if k == len(writes):
                continue
            w = writes[k]
            writer = self.operations[w]
            if writer.result is None or id(writer.result) not in self.bound:
                continue
            if not _same_place(self.bound[id(writer.result)].reshape(-1), array.reshape(-1)):
                continue
            reads = self.reads.get(memory, [])
            if bisect_right(reads, w) > bisect_right(reads, i) or self.last[id(result)] > w:
                continue
            if self.last[id(result)] == w and not all(
                _same_layout(x.array, writer.result.array) and position_ in self.shares(writer)
                for position_, part in enumerate((*writer.arguments, writer.options))
                for x in values_in(part)
                if x.root is result
            ):
                continue
            there = owner(array)
            if not self._lies_like(v.array, operation, [x for x in operation.reads if self._memory(x) is there]):
                continue
            self.bound[id(result)] = array.reshape(result.shape)
            for k in self.users[id(result)]:
                insort(reads, k)
            self.reads[memory] = reads
            return True
        return False

    # -- The arrays

    def array(self, v: Value) -> Array:
        """The array of a value that is no input nor a view of one."""
        found = self._arrays.get(id(v))
        if found is None:
            found = self._arrays[id(v)] = self._make(v)
        return found

    def _make(self, v: Value) -> Array:
        if v.kind in ("bound", "constant"):
            return v.array
        if v.base is not None:
            base = self.array(v.base)
            array = view(v, base)
            assert not array.size or np.may_share_memory(array, base), "a copy would keep the first call's values"
            return array
        if id(v) in self.bound:
            return self.bound[id(v)]
        offset = 0
        root = v
        while id(root) in self.home:
            root, more = self.home[id(root)]
            offset += more
        if id(root) in self.bound:
            flat = self.bound[id(root)].reshape(-1).view(np.uint8)
            return flat[offset : offset + v.array.nbytes].view(v.dtype).reshape(v.shape)
        return np.ndarray(v.shape, v.dtype, self.memory, self.offset + self.start[id(root)] + offset, _dense(v.array))


def view(v: Value, base: Array) -> Array:
    """The view that the value is, of another array."""
    operation = v.operation
    assert operation is not None
    array: Array = operation.forward(base, *operation.arguments[1:], **operation.options)
    return array


def _dense(array: Array) -> tuple[int, ...]:
    """Strides without gaps, in the array's own order of axes: sums are then taken in the order of the recording."""
    strides = [0] * array.ndim
    step = array.itemsize
    for axis in sorted(range(array.ndim), key=lambda i: (abs(array.strides[i]), -i)):
        strides[axis] = step
        step *= array.shape[axis]
    return tuple(strides)


def _same_layout(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and _dense(a) == a.strides == b.strides


def _same_place(a: Array, b: Array) -> bool:
    return a.ctypes.data == b.ctypes.data and a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype
