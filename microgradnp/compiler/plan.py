"""Where every value lives: from a `Trace` to a `Plan` of one block of memory, each place used again once it is free.

A result that will be assigned to a bound array is computed right there; a piece of a concatenation, in its part of the
whole; and an elementwise result takes the place of an argument that dies with it.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections import defaultdict
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.functions import known
from microgradnp.compiler.ir import Operation, Trace, Value, View, owner, same_place

ALIGNMENT = 64  # bytes: a cache line


class _Space:
    """An address space with a list of free stretches: the smallest that fits is taken, neighbours are joined."""

    def __init__(self) -> None:
        self.size = 0
        self.free = [(0, sys.maxsize)]  # start and length, by start; the last one has no end

    def take(self, length: int) -> int:
        n, start = min((n, start) for start, n in self.free if n >= length)
        self.free.remove((start, n))
        if n > length:
            insort(self.free, (start + length, n - length))
        self.size = max(self.size, start + length)
        return start

    def give(self, start: int, length: int) -> None:
        i = bisect_left(self.free, (start, 0))
        if start + length == self.free[i][0]:
            length += self.free.pop(i)[1]
        if i and sum(self.free[i - 1]) == start:
            start, n = self.free.pop(i - 1)
            length += n
        insort(self.free, (start, length))


class Plan:
    """The memory of a program: ``array(v)`` is the array in which a value lives at every replay."""

    def __init__(self, trace: Trace) -> None:
        self.steps = [o for o in trace.operations if o.result is None or o.result.base is None]  # all but views
        # A root that lies in another value, at a byte offset: in the bound one that it is assigned to, or in the whole
        # that it is a piece of.
        self.home: dict[Value, tuple[Value, int]] = {}
        self.start: dict[Value, int] = {}  # any other root's place in the block of memory
        self.born = {o.result: i for i, o in enumerate(self.steps) if o.result is not None}
        self._reads: dict[Any, list[int]] = defaultdict(list)  # when each root is read, or the memory of a bound one
        self._writes: dict[Any, list[int]] = defaultdict(list)  # when such memory is written
        for i, operation in enumerate(self.steps):
            for v in operation.reads:
                self._reads[_memory(v.root)].append(i)
            if operation.result is None:
                self._writes[_memory(operation.writes)].append(i)
        for v in trace.kept():
            self._reads[_memory(v.root)].append(len(self.steps))
        self._arrays: dict[Any, Array] = {}
        self._by_place: dict[Any, Array] = {}
        self._assign_in_place({v.root for v in trace.gradients.values()})
        self._join_pieces()
        self.size = self._place()
        self.memory = np.empty(self.size + ALIGNMENT, np.uint8)
        self._offset = -self.memory.ctypes.data % ALIGNMENT

    # -- Results computed where they are to be assigned

    def _assign_in_place(self, gradients: set[Value]) -> None:
        for j, operation in enumerate(self.steps):
            if operation.result is None and self._can_assign_in_place(j, operation, gradients):
                target, source = operation.arguments
                root, there = source.root, _memory(target)
                self.home[root] = target, 0
                self._writes[there].remove(j)
                self._writes[there].append(self.born[root])
                self._reads[there] += [k for k in self._reads[root] if k != j]

    def _can_assign_in_place(self, j: int, operation: Operation, gradients: set[Value]) -> bool:
        target, source = operation.arguments
        if type(source) is not Value or source.root in gradients or not self._is_free(source.root):
            return False
        root, there = source.root, _memory(target)
        if target.shape != source.shape or target.dtype != root.dtype or source.array.size != root.array.size:
            return False
        if not all(v.array.flags.c_contiguous for v in (target, source, root)):
            return False
        i, last = self.born[root], max(self._reads[root])
        if any(i < k <= j for k in self._reads[there]):  # the old content is read after the new would be there
            return False
        if any(i <= k < j or j < k <= last for k in self._writes[there]):
            return False
        birth = self.steps[i]
        return _lies_like(target.array, birth, [v for v in birth.reads if _memory(self._place_of(v)[0]) == there])

    def _is_free(self, root: Value) -> bool:
        """Whether a root is computed here, and nobody has said where."""
        return root in self.born and root not in self.home

    def target(self, v: Value) -> Value:
        """The bound value that a root is computed in, or else itself."""
        home = self.home.get(v, (v, 0))[0]
        return home if home.kind == "bound" else v

    # -- Pieces of a concatenation

    def _join_pieces(self) -> None:
        for operation in self.steps:
            whole = operation.result
            if operation.function is not np.concatenate or operation.options["axis"] != 0 or whole is None:
                continue
            if whole in self.home or not whole.array.flags.c_contiguous:
                continue
            offset = 0
            for piece in operation.arguments:
                root = piece.root
                if (
                    self._is_free(root)
                    and piece.dtype == root.dtype == whole.dtype
                    and piece.array.size == root.array.size
                    and piece.array.flags.c_contiguous
                    and root.array.flags.c_contiguous
                ):
                    self.home[root] = whole, offset
                    self.born[whole] = min(self.born[whole], self.born[root])
                    self._reads[whole] += self._reads[root]
                offset += piece.array.size * whole.dtype.itemsize

    # -- Everything else

    def _place(self) -> int:
        """Give every other root a place in one block of memory, whose size is returned."""
        space = _Space()
        last = {root: max(self._reads[root], default=born) for root, born in self.born.items()}
        dying: dict[int, list[Value]] = defaultdict(list)
        for root in self.born:
            if root not in self.home:
                dying[last[root]].append(root)
        for i, operation in enumerate(self.steps):
            taken = None
            if operation.result is not None:
                place = self._place_of(operation.result)[0]
                if place.kind == "result" and place not in self.start:
                    taken = self._replace_argument(operation, place, dying[i]) if dying[i] else None
                    self.start[place] = space.take(_length(place)) if taken is None else self.start[taken]
            for root in dying[i]:
                if root is not taken and root.array.size:
                    space.give(self.start[root], _length(root))
        return space.size

    def _replace_argument(self, operation: Operation, result: Value, dying: list[Value]) -> Value | None:
        """The root that dies here as an argument, and whose place the result can take."""
        if operation.result is result:
            for position in known(operation).shares:
                v = operation.arguments[position]
                if type(v) is Value and (place := self._place_of(v)[0]) in dying:
                    there = [w for w in operation.reads if self._place_of(w)[0] is place]
                    alike = (v.shape, v.dtype, v.array.strides) == (result.shape, result.dtype, _dense(result))
                    if alike and v.array.nbytes == place.array.nbytes and _lies_like(v.array, operation, there):
                        return place
        return None

    def _place_of(self, v: Value) -> tuple[Value, int]:
        """The value whose memory a value lies in, and its own root's offset there."""
        place, offset = v.root, 0
        while place in self.home:
            place, more = self.home[place]
            offset += more
        return place, offset

    # -- The arrays

    def array(self, x: Value | View) -> Array:
        """The array of a value, or of a view of it, that is no input nor a view of one."""
        key = x.value, x.form
        if key not in self._arrays:
            self._arrays[key] = self._make(x)
        return self._arrays[key]

    def _make(self, x: Value | View) -> Array:
        v = x.value
        if x.form is None and v.kind != "result":
            return v.array
        if x.base is not None:
            base = self.array(x.base)
            array = view(x, base)
            assert not array.size or np.may_share_memory(array, base), "a copy would keep the first call's values"
            return array
        place, offset = self._place_of(v)
        if place.kind == "bound":
            return place.array if place.shape == v.shape else place.array.reshape(v.shape)
        offset += self._offset + self.start[place]
        strides = _dense(v)
        # One object for each place: a ufunc then sees at once that ``out`` is its argument (0.3 us, not 0.4).
        key = offset, v.shape, strides, v.dtype
        if key not in self._by_place:
            self._by_place[key] = np.ndarray(v.shape, v.dtype, self.memory, offset, strides)
        return self._by_place[key]


def _memory(v: Value) -> Any:
    """What stands for the memory of a root: all bound arrays that lie in one are one."""
    return id(owner(v.array)) if v.kind == "bound" else v


def _length(v: Value) -> int:
    return -(-v.array.nbytes // ALIGNMENT) * ALIGNMENT


def view(x: Value | View, base: Array) -> Array:
    """The view of another array that an operand is: as its operation makes it, or in the form that it has."""
    array: Array
    if x.form == "0d":
        array = base.reshape(())
    elif x.form == "1d":
        array = base.ravel("K")
    elif x.form is not None:
        axis, start, stop = x.form
        array = base[(slice(None),) * axis + (slice(start, stop),)]
    else:
        operation = x.value.operation
        assert operation is not None
        array = operation.forward(base, *operation.arguments[1:], **operation.options)
    return array


def _lies_like(array: Array, operation: Operation, there: list[Value]) -> bool:
    """Whether the result may be computed where ``array`` lies, of whose memory the operation reads ``there``.

    Only an argument that lies just there itself, and that is not read again after a first line has been written.
    """
    early = [operation.arguments[i] for i in known(operation).shares] if there else []
    return all(same_place(v.array, array) and operation.reads.count(v) == early.count(v) for v in there)


def _dense(v: Value) -> tuple[int, ...]:
    """Strides without gaps, in the array's own order of axes: sums are then taken in the order of the recording."""
    return np.empty_like(v.array).strides
