"""A check of planned calls: whether each reads what the trace says that it reads.

`verify` walks the calls as a replay would, and notes which content lies in each byte of memory. It raises where a call
reads bytes that hold something else, or nothing yet: two values that are both needed were given one place, or a call
writes over what it has still to read. The tests run it on every program that they compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.compiler.functions import FUNCTIONS, OTHER
from microgradnp.compiler.ir import Call, Trace, Value, Variable, View, owner, same_place
from microgradnp.compiler.lower import is_runtime
from microgradnp.compiler.plan import Plan
from microgradnp.signatures import name_of

BOUND = 0  # what stands for any value that was there before: its memory holds whatever was written there last


class ProgramError(Exception):
    """A call of a program would read what is not there."""


def verify(trace: Trace, plan: Plan, calls: list[Call]) -> None:
    """Raise where the calls do not compute what the trace says."""
    memory = _Memory(plan)
    for number, call in enumerate(calls, 1):
        memory.make(call, f"call {number}, {name_of(call.function)}")
    for v in trace.returned:
        memory.read(v, "the end of the program")
    for v in trace.gradients.values():
        memory.read(v, "the end of the program")
        memory.put(v, set())  # no other gradient may lie there


class _Memory:
    """Which content lies in which bytes: a number for each that was written, and the values that it is."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.contents: dict[int, Any] = {}  # for each owner of memory: the number of the content of each byte
        self.meanings: list[set[Any]] = [set(), {BOUND}]  # for each number: the values that it is
        self.variables: set[Value] = set()  # that are set

    def make(self, call: Call, where: str) -> None:
        """What a call reads must be there; what it writes is there from then on."""
        read = [x for x in tree.leaves([call.operands, call.options]) if x is not call.out]
        for x in read:
            if type(x) is Variable and x.value not in self.variables:
                raise ProgramError(f"{where} reads the variable {x.value.name}, which is not set, or no longer holds.")
            if type(x) is Value or type(x) is View:
                self.read(x, where)
                self.check_overlap(call, x, where)
        if type(call.out) is Variable:
            self.variables.add(call.out.value)
            return
        numbers: set[int] = set()
        if call.idle:
            source = call.operands[1]
            if is_runtime(source) or not same_place(self.plan.array(source), self.plan.array(call.out)):
                raise ProgramError(f"{where}: {source.name} is not where it should be copied to.")
            numbers = set(np.unique(self.at(source)).tolist())
        self.write(call.out, numbers)

    def read(self, x: Value | View, where: str) -> None:
        """Raise if the bytes of ``x`` hold something else."""
        v = x.value
        if v.root.kind in ("input", "constant"):
            return
        for number in np.unique(self.at(x)).tolist():
            if _meaning(v.root) not in self.meanings[number]:
                raise ProgramError(
                    f"{where} reads {v.name}, but "
                    + ("nothing was written there yet." if number == 0 else "its memory holds something else.")
                )

    def write(self, x: Value | View, numbers: set[int]) -> None:
        """``x`` is there now, and all that the contents ``numbers``, of which it is a copy, stand for."""
        v = x.value
        self.put(x, {_meaning(v.root)}.union(*(self.meanings[number] for number in numbers)))
        if v.kind == "bound":
            memory = owner(v.array)
            self.variables -= {w for w in self.variables if w.kind == "bound" and owner(w.array) is memory}

    def put(self, x: Value | View, meaning: set[Any]) -> None:
        """The bytes of ``x`` hold a new content, which is that of these values."""
        self.at(x)[...] = len(self.meanings)
        self.meanings.append(meaning)

    def at(self, x: Value | View) -> Any:
        """The numbers of the contents of the bytes of ``x``."""
        array = self.plan.array(x)
        memory = owner(array)
        start, stop = np.lib.array_utils.byte_bounds(memory)
        found = self.contents.get(id(memory))
        if found is None:
            own = memory is self.plan.memory
            found = self.contents[id(memory)] = np.full(stop - start, 0 if own else 1, np.int32)
        strides = (*(4 * n for n in array.strides), 4)
        return np.ndarray((*array.shape, array.itemsize), np.int32, found, 4 * (array.ctypes.data - start), strides)

    def check_overlap(self, call: Call, x: Value | View, where: str) -> None:
        """Raise if a call writes over what it reads, but for one that reads each element before it writes it."""
        if is_runtime(x.value) or type(call.out) is Variable or call.idle:
            return
        a, y = self.plan.array(x), self.plan.array(call.out)
        if np.may_share_memory(a, y) and not (FUNCTIONS.get(call.function, OTHER).is_ufunc and same_place(a, y)):
            raise ProgramError(f"{where} writes over {x.value.name}, which it reads.")


def _meaning(root: Value) -> Any:
    return BOUND if root.kind == "bound" else root
