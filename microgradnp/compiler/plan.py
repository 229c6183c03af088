"""Where every value lives: from a `Trace` to a `Plan` of one block of memory, each place used again once it is free.

A result that will be assigned to a bound array is computed right there; a piece of a concatenation, in its part of the
whole; and an elementwise result takes the place of an argument that dies with it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.functions import known
from microgradnp.compiler.ir import Operation, Trace, Value, View, owner, same_place, values_in

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
    """The memory of a program: ``array(v)`` is the array in which a value lives at every replay."""

    def __init__(self, trace: Trace) -> None:
        self.steps = [o for o in trace.operations if o.result is None or o.result.base is None]  # all but views
        self.home: dict[int, tuple[Value, int]] = {}  # a root that lives inside another one, at a byte offset
        self.bound: dict[int, Array] = {}  # a root that lives in a bound array
        self.target: dict[int, Value] = {}  # and the value that it is assigned to there
        self.start: dict[int, int] = {}  # a root's place in the block of memory
        self.born = {id(o.result): i for i, o in enumerate(self.steps) if o.result is not None}
        self.last: dict[int, int] = {}
        self._users: dict[int, list[int]] = defaultdict(list)  # when each root is read
        self._reads: dict[int, list[int]] = defaultdict(list)  # when the memory of each bound owner is read
        self._writes: dict[int, list[int]] = defaultdict(list)
        for i, operation in enumerate(self.steps):
            for v in operation.reads:
                self._use(v.root, i)
            if operation.result is None:
                self._writes[id(owner(operation.writes.array))].append(i)
        self._kept = {id(v.root) for v in trace.gradients.values()}
        for v in trace.kept():
            self._use(v.root, len(self.steps))
        self._arrays: dict[Any, Array] = {}
        self._by_place: dict[Any, Array] = {}
        self._assign_in_place()
        self._join_pieces()
        self.size = self._place()
        self.memory = np.empty(self.size + ALIGNMENT, np.uint8)
        self._address = self.memory.ctypes.data
        self._offset = -self._address % ALIGNMENT

    def _use(self, root: Value, i: int) -> None:
        self.last[id(root)] = i
        self._users[id(root)].append(i)
        if root.kind == "bound":
            self._reads[id(owner(root.array))].append(i)

    # -- Results computed where they are to be assigned

    def _assign_in_place(self) -> None:
        for j, operation in enumerate(self.steps):
            if operation.result is None and self._can_assign_in_place(j, *operation.arguments):
                target, source = operation.arguments
                root, memory = source.root, id(owner(target.array))
                self.target[id(root)] = target
                self.bound[id(root)] = target.array if target.shape == root.shape else target.array.reshape(root.shape)
                self._writes[memory].remove(j)
                self._writes[memory].append(self.born[id(root)])
                self._reads[memory] += [k for k in self._users[id(root)] if k != j]

    def _can_assign_in_place(self, j: int, target: Value, source: Any) -> bool:
        if type(source) is not Value or id(source.root) in self._kept or not self._is_free(source.root):
            return False
        root = source.root
        if target.shape != source.shape or target.dtype != root.dtype or source.array.size != root.array.size:
            return False
        if not all(v.array.flags.c_contiguous for v in (target, source, root)):
            return False
        i, there = self.born[id(root)], owner(target.array)
        if any(i < k <= j for k in self._reads[id(there)]):  # the old content is read after the new would be there
            return False
        if any(i <= k < j or j < k <= self.last[id(root)] for k in self._writes[id(there)]):
            return False
        birth = self.steps[i]
        return _lies_like(target.array, birth, [v for v in birth.reads if self._memory(v) is there])

    def _is_free(self, root: Value) -> bool:
        """Whether a root is computed here, and nobody has said where."""
        return id(root) in self.born and id(root) not in self.bound and id(root) not in self.home

    # -- Pieces of a concatenation

    def _join_pieces(self) -> None:
        for operation in self.steps:
            whole = operation.result
            if operation.function is not np.concatenate or operation.options["axis"] != 0 or whole is None:
                continue
            if id(whole) in self.bound or not whole.array.flags.c_contiguous:
                continue
            offset = 0
            for piece in operation.arguments:
                root = piece.root
                if (
                    self._is_free(root)
                    and root is not whole
                    and piece.dtype == root.dtype == whole.dtype
                    and piece.array.size == root.array.size
                    and piece.array.flags.c_contiguous
                    and root.array.flags.c_contiguous
                ):
                    self.home[id(root)] = whole, offset
                    self.born[id(whole)] = min(self.born[id(whole)], self.born[id(root)])
                    self.last[id(whole)] = max(self.last[id(whole)], self.last[id(root)])
                offset += piece.array.size * whole.dtype.itemsize

    # -- Everything else

    def _place(self) -> int:
        """Give every other root a place in one block of memory, whose size is returned."""
        space = _Space()
        lengths: dict[int, int] = {}
        dying: dict[int, list[int]] = {}
        for key, born in self.born.items():
            if key not in self.bound and key not in self.home:
                dying.setdefault(self.last.get(key, born), []).append(key)
        for i, operation in enumerate(self.steps):
            taken = None
            if operation.result is not None:
                place = self._place_of(operation.result)[0]
                key = id(place)
                if key not in self.bound and key not in self.start:
                    taken = self._replace_argument(i, operation) if place is operation.result else None
                    if taken is not None:
                        self.start[key], lengths[key] = self.start[taken], lengths[taken]
                    else:
                        lengths[key] = -(-place.array.nbytes // ALIGNMENT) * ALIGNMENT
                        self.start[key] = space.take(lengths[key])
            for key in dying.get(i, ()):
                if key != taken and lengths.get(key):
                    space.give(self.start[key], lengths[key])
        return space.size

    def _replace_argument(self, i: int, operation: Operation) -> int | None:
        """The root that dies here as an argument, and whose place the result can take."""
        result = operation.result
        assert result is not None
        for position in known(operation).shares:
            v = operation.arguments[position]
            if type(v) is not Value or v.root.kind != "result":
                continue
            place = self._place_of(v)[0]
            if (
                id(place) in self.start
                and self.last[id(place)] == i
                and _same_layout(v.array, result.array)
                and v.array.nbytes == place.array.nbytes
                and _lies_like(v.array, operation, [w for w in operation.reads if self._place_of(w)[0] is place])
            ):
                return id(place)
        return None

    def _place_of(self, v: Value) -> tuple[Value, int]:
        """The root that a value's memory belongs to, through concatenations, and its own root's offset there."""
        root, offset = v.root, 0
        while id(root) in self.home:
            root, more = self.home[id(root)]
            offset += more
        return root, offset

    def _memory(self, v: Value) -> Any:
        """What owns the bound memory that a value lies in; None if it lies in the program's own."""
        place = self._place_of(v)[0]
        array = place.array if place.kind == "bound" else self.bound.get(id(place))
        return None if array is None else owner(array)

    # -- The arrays

    def array(self, x: Value | View) -> Array:
        """The array of a value, or of a view of it, that is no input nor a view of one."""
        key = (id(x.value), x.form) if isinstance(x, View) else id(x)
        found = self._arrays.get(key)
        if found is None:
            found = formed(self.array(x.value), x.form) if isinstance(x, View) else self._make(x)
            self._arrays[key] = found
        return found

    def _make(self, v: Value) -> Array:
        if v.kind in ("bound", "constant"):
            return v.array
        if v.base is not None:
            base = self.array(v.base)
            array = view(v, base)
            assert not array.size or np.may_share_memory(array, base), "a copy would keep the first call's values"
            return self._only(array, array.ctypes.data)
        if id(v) in self.bound:
            return self.bound[id(v)]
        root, offset = self._place_of(v)
        offset += self._offset + self.start[id(root)]
        array = np.ndarray(v.shape, v.dtype, self.memory, offset, _dense(v.array))
        return self._only(array, self._address + offset)

    def _only(self, array: Array, address: int) -> Array:
        """One object for each place: a ufunc then sees at once that ``out`` is its argument (0.3 us, not 0.4)."""
        return self._by_place.setdefault((address, array.shape, array.strides, array.dtype.str), array)


def view(v: Value, base: Array) -> Array:
    """The view that the value is, of another array."""
    operation = v.operation
    assert operation is not None
    array: Array = operation.forward(base, *operation.arguments[1:], **operation.options)
    return array


def formed(array: Array, form: Any) -> Array:
    """An array in the form of a `View`."""
    if form == "0d":
        return array.reshape(()) if array.ndim else array
    if form == "1d":
        if array.ndim == 1:
            return array
        return array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1)
    axis, start, stop = form
    part: Array = array[(slice(None),) * axis + (slice(start, stop),)]
    return part


def _lies_like(array: Array, operation: Operation, there: list[Value]) -> bool:
    """Whether the result may be computed where ``array`` lies, of whose memory the operation reads ``there``.

    Only an argument that lies just there itself, and that is not read again after a first line has been written.
    """
    if not there:
        return True
    safe = known(operation).shares
    late = [x for i, x in enumerate((*operation.arguments, operation.options)) if i not in safe]
    return all(same_place(v.array, array) for v in there) and not any(v is x for v in there for x in values_in(late))


def _dense(array: Array) -> tuple[int, ...]:
    """Strides without gaps, in the array's own order of axes: sums are then taken in the order of the recording."""
    strides = [0] * array.ndim
    step = array.itemsize
    axes = range(array.ndim - 1, -1, -1)
    for axis in axes if array.flags.c_contiguous else sorted(axes, key=lambda i: abs(array.strides[i])):
        strides[axis] = step
        step *= array.shape[axis]
    return tuple(strides)


def _same_layout(a: Array, b: Array) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return a.strides == b.strides and (a.flags.c_contiguous or _dense(a) == a.strides)
