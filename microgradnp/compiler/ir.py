"""What passes between the stages of the compiler: data, with no behaviour but to look things up in it.

A step that was recorded is a `Trace`: a list of `Operation`, whose arguments are `Value` wherever the call had arrays,
and what a replay must leave behind. `record` makes one, `optimise` makes a shorter one of it, `plan` says where each
value lives, and `lower` makes of each operation one `Call` or more, whose operands are objects as well: a backend runs
them, `listing` prints them, `verify` walks them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from microgradnp.arrays import Array
from microgradnp.engine.rules import Rule
from microgradnp.engine.state import State
from microgradnp.engine.tensor import Tensor
from microgradnp.signatures import name_of
from microgradnp.tree import leaves

Site: TypeAlias = tuple[str, int, bool]
"""A file, a line, and whether the operation is that line's derivative."""


@dataclass(slots=True, eq=False)
class Value:
    """An array of the program: its shape and layout, and where it comes from."""

    array: Array  # its content while recording; afterwards only a bound or constant array's
    kind: str  # "input", "bound", "constant" or "result"
    name: str = ""
    operation: Operation | None = field(default=None, repr=False)  # whose result it is
    base: Value | None = None  # what it is a view of
    same_as: Value | None = None  # what replaces it
    form: ClassVar[None] = None  # its array is as it is: an operand is a value in a form, see View

    @property
    def value(self) -> Value:
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def root(self) -> Value:
        """The value whose memory it lies in."""
        v = self
        while v.base is not None:
            v = v.base
        return v


@dataclass(slots=True, eq=False)
class Operation:
    """A call: ``arguments`` and ``options`` hold Values wherever the call had arrays."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Value | None  # None: it writes into its first argument (an assignment)
    site: Site | None = None
    errstate: tuple[tuple[str, Any], ...] = ()
    rule: Rule | None = None
    reads: tuple[Value, ...] = ()  # the values that it reads: `optimise` notes them
    pure: bool = True  # not a draw, nor a write: it may be shared, folded and dropped

    @property
    def forward(self) -> Callable[..., Any]:
        """What computes the result on arrays."""
        return self.function if self.rule is None else self.rule.forward

    @property
    def writes(self) -> Value:
        """The value that it writes: its result, or what it assigns to."""
        return self.arguments[0] if self.result is None else self.result


@dataclass(frozen=True, slots=True)
class Part:
    """One of the several results of a function."""

    function: Callable[..., Any]
    number: int

    @property
    def __name__(self) -> str:
        return f"{name_of(self.function)}[{self.number}]"

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.function(*args, **options)[self.number]


def assignment(target: Any, value: Any) -> None:
    """The function of an operation that writes into a bound array."""
    np.copyto(target, value, casting="same_kind")


def copied(x: Any) -> Any:
    """The function of an operation that gives a value memory of its own."""
    return np.array(x)


def sum_of_squares(x: Any, count: int | None) -> Any:
    """The function of an operation that squares and sums at once, or takes the mean of ``count`` squares."""
    total = np.sum(np.square(x))
    return total / count if count else total


def values_in(nested: Any) -> list[Value]:
    """The Values among nested arguments or results."""
    return [x for x in leaves(nested) if type(x) is Value]


# -- Calls


@dataclass(slots=True, eq=False)
class Call:
    """One call of NumPy: ``function(*operands, **options)``, which writes ``out``.

    An operand is a `Value`, a `View` or a `Variable` of one, a `Literal`, or anything else, nested or not, that is
    passed as it is. ``out`` is one of the operands or options where the function itself writes there.
    """

    function: Callable[..., Any]
    operands: tuple[Any, ...]
    out: Any
    options: dict[str, Any] = field(default_factory=dict)
    put: Callable[..., Any] | None = None  # what puts the result into ``out``, where the function does not
    operation: Operation | None = None  # None: a number moves between an array and a variable
    idle: bool = False  # a copy of an array onto itself, which no backend makes


@dataclass(slots=True, eq=False)
class View:
    """A value's array in another form: its only element, "0d"; all elements in one row, "1d"; or a stretch of an axis.

    A stretch is ``(axis, start, stop)``.
    """

    value: Value
    form: Any

    @property
    def base(self) -> Value:
        """What it is a view of, as a Value has it."""
        return self.value


@dataclass(slots=True, eq=False)
class Variable:
    """A local variable that holds the only element of a value."""

    value: Value
    form: ClassVar[str] = "variable"


@dataclass(slots=True, eq=False)
class Literal:
    """An array that the call brings along: a Python number without axes, which a ufunc takes faster, or ones."""

    text: str
    array: Array


# -- A recorded step


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition of a replay: a test as Python code, in which ``{x}`` stands for the holder, ``{y}`` for the expected.

    ``path`` says what is watched over.
    """

    holder: Any
    test: str
    expected: Any
    path: str
    key: Any = None
    crowd: int = 1  # how many stand where it looks


@dataclass(slots=True, eq=False)
class Trace:
    """What one run of a step amounts to, ready to be planned and written."""

    name: str
    operations: list[Operation]
    inputs: list[Value]
    gradients: dict[Tensor, Value]  # what becomes each leaf's .grad
    starts: dict[Tensor, Value]  # what stood in .grad, and may have to be written into
    cleared: list[Tensor]  # leaves whose .grad becomes None
    result: Any  # the step's result, with Values for Tensors
    structure: tuple[Any, Any]  # the arguments, with Values for arrays
    same: tuple[int, ...]  # for each input the first that was given as the same array
    numbers: list[Value]  # inputs of which the step has asked for the number itself
    guards: list[Guard]
    state: State
    lock: Any
    growing: list[list[Any]]  # lists of numbers: when one has grown, an audit is due
    audit: Any = None  # compares the program with the step, when a replay's turn comes

    @property
    def returned(self) -> list[Value]:
        """The values in its result."""
        return values_in(self.result)

    def values(self) -> list[Value]:
        """All values, in the order of their first use."""
        found = dict.fromkeys(self.inputs)
        for operation in self.operations:
            found |= dict.fromkeys(operation.reads)
            found[operation.writes] = None
        return list(found | dict.fromkeys(self.kept()))

    def kept(self) -> list[Value]:
        """The values that a replay leaves behind: results and gradients."""
        return [*self.returned, *self.gradients.values()]

    def written(self) -> list[Array]:
        """The bound arrays that are assigned to."""
        return [o.writes.array for o in self.operations if o.result is None]


def owner(array: Array) -> Any:
    """What owns the memory that an array lies in."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def same_place(a: Array, b: Array) -> bool:
    """Whether two arrays show the same elements in the same order."""
    if a is b:
        return True
    if a.shape != b.shape or a.dtype != b.dtype or a.ctypes.data != b.ctypes.data:
        return False
    steps = zip(a.shape, a.strides, b.strides, strict=True)
    return a.strides == b.strides or all(n == 1 or i == j for n, i, j in steps)  # one element is found by any step
