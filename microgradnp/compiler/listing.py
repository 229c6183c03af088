"""A program for people: the list of its calls, and the same step as a plain NumPy function."""

from __future__ import annotations

import linecache
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from microgradnp.compiler import ir
from microgradnp.compiler.ir import Call, Operation, Part, Site, Trace, Value, copied, owner, sum_of_squares
from microgradnp.compiler.optimise import drop
from microgradnp.compiler.plan import Plan
from microgradnp.compiler.source import nested, plain, written
from microgradnp.engine.rules import SYMBOLS
from microgradnp.engine.table import astype, getitem, identity, is_basic, scatter
from microgradnp.engine.tensor import Tensor
from microgradnp.signatures import name_of

SMALL = 16  # elements: a constant array up to that size is written out


def source_of(site: Site | None) -> tuple[str, str]:
    """Where an operation comes from: ``file:line``, and the text of that line."""
    if site is None:
        return "", ""
    file, line, backward = site
    text = linecache.getline(file, line).strip()
    return f"{Path(file).name}:{line}", ("gradient of: " if backward else "") + text


def listing(trace: Trace, plan: Plan, calls: list[Call]) -> str:
    """The calls, one a line: what is called, the shape of what it gives, and the line of source that it comes from."""
    rows = []
    for call in calls:
        operation = call.operation
        if operation is None or call.idle:
            continue
        y = operation.writes
        text = written(call, partial(nested, leaf=partial(_operand, plan)), partial(_function, operation))
        rows.append((text, f"{y.shape} {y.dtype}", *source_of(operation.site)))
    inputs = ", ".join(f"{v.name} {v.shape} {v.dtype}" for v in trace.inputs)
    head = f"{trace.name}({inputs}): {len(rows)} calls, {plan.size / 1024:.1f} KiB for intermediate values"
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    number = len(str(len(rows)))
    body = [
        f"{i:{number}}  {call:{min(widths[0], 72)}}  {shape:{widths[1]}}  {place:{widths[2]}}  {text}".rstrip()
        for i, (call, shape, place, text) in enumerate(rows, 1)
    ]
    return "\n".join([head, *body])


def _operand(plan: Plan, x: Any) -> str:
    """How an operand is written: a result computed right in the array that it is assigned to goes by that name."""
    if isinstance(x, ir.Literal):
        return x.text
    if not isinstance(x, Value | ir.View | ir.Variable):
        return plain(x)
    name = plan.target(x.value).name
    if not isinstance(x.form, tuple):
        return name
    axis, start, stop = x.form
    return f"{name}[{':, ' * axis}{start}:{stop}]"


def _function(operation: Operation, f: Callable[..., Any]) -> str:
    return name_of(operation.function if f is operation.forward else f)


class Listing:
    """A trace as the source of a Python function of plain arrays: its ``text``, and the ``arguments`` that it takes.

    The lines of the function's ``body`` stand by themselves too.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace = drop(replace(trace, gradients={}))
        self.arguments: dict[str, Any] = {}  # besides the step's own: bound arrays, generators, functions
        self._notes: dict[str, str] = {v.name: f"{v.dtype} array of shape {v.shape}" for v in trace.inputs}
        self._values = trace.values()
        uses = Counter([*trace.returned, *(v for o in trace.operations for v in o.reads)])
        # A view that is used once is written where it is used.
        self._inline = {v for v in self._values if v.base is not None and uses[v] == 1}
        self.body = [*self._given(), *self._body()]
        self.text = "\n".join(
            [
                f'"""One call of {trace.name} as plain NumPy, written by microgradnp from its recorded program."""',
                "",
                "import numpy as np",
                "",
                "",
                f"def {trace.name}({', '.join(self._notes)}):",
                '    """Compute one step; arrays that it updates are written in place.',
                "",
                *(f"    {name}: {note}" for name, note in self._notes.items()),
                '    """',
                *(f"    {line}" for line in self.body),
                "",
            ]
        )

    def _given(self) -> Iterator[str]:
        """Arguments for bound arrays, and lines that take them out of the vectors that they are parts of."""
        bound = [v for v in self._values if v.kind == "bound"]
        for v in bound:
            array = v.array
            vectors = [w for w in bound if w.array.ndim == 1 and _inside(array, w.array)]
            whole = max(vectors, key=lambda w: w.array.size, default=v)
            if whole is v or not array.flags.c_contiguous:
                self._argument(v.name, array, f"{v.dtype} array of shape {v.shape}")
                continue
            start = (array.ctypes.data - whole.array.ctypes.data) // array.itemsize
            part = f"{whole.name}[{start}:{start + array.size}]"
            yield f"{v.name} = {part}" + (f".reshape({array.shape})" if array.ndim != 1 else "")

    def _argument(self, name: str, x: Any, note: str) -> str:
        """The name of an argument that is ``x``: this one, which a value may have, or one close to it."""
        for known, y in self.arguments.items():
            if y is x:
                return known
        while name in self.arguments or any(v.name == name and v.array is not x for v in self._values):
            name += "_"
        self.arguments[name], self._notes[name] = x, note
        return name

    def _body(self) -> Iterator[str]:
        site: Any = None
        errors: Any = ()
        for operation in self.trace.operations:
            if operation.result in self._inline:
                continue
            if operation.site is not None and operation.site != site:
                site = operation.site
                yield f"# {': '.join(source_of(site))}"
            if operation.errstate and operation.errstate != errors:
                yield f"with np.errstate({', '.join(f'{k}={how!r}' for k, how in operation.errstate)}):"
            errors = operation.errstate
            for line in self._lines(operation):
                yield f"    {line}" if errors else line
        yield f"return {nested(self.trace.result, self._result)}"

    def _lines(self, operation: Operation) -> Iterator[str]:
        y = operation.result
        first, *others = map(self._operand, operation.arguments or (None,))
        if y is None:
            yield f"{first}[...] = {others[0]}"
        elif operation.function is scatter:
            index = operation.options["index"]
            yield f"{y.name} = np.zeros({y.shape}, np.{y.dtype})"
            if is_basic(index):
                yield f"{y.name}[{self._index(index)}] = {first}"
            else:
                yield f"np.add.at({y.name}, {self._operand(index)}, {first})"
        else:
            yield f"{y.name} = {self._expression(operation)}"

    def _expression(self, operation: Operation) -> str:
        f, options = operation.function, operation.options
        names = [self._operand(x) for x in operation.arguments]
        if f in SYMBOLS and not options:
            return f"{names[0]} {SYMBOLS[f]} {names[1]}"
        if f in EXPRESSIONS:
            return EXPRESSIONS[f](names[0], **options)
        if f is getitem:
            return f"{names[0]}[{self._index(options['index'])}]"
        if f is np.concatenate:
            return f"np.concatenate(({', '.join(names)},), axis={options['axis']})"
        if f is np.einsum:
            names.insert(0, repr(options["subscripts"]))
        usual = {"keepdims": False, "axis": None, "subscripts": options.get("subscripts")}
        names += [f"{key}={self._operand(x)}" for key, x in options.items() if key not in usual or x is not usual[key]]
        number = f"[{f.number}]" if isinstance(f, Part) else ""
        return f"{self._function(f.function if isinstance(f, Part) else f)}({', '.join(names)}){number}"

    def _function(self, f: Callable[..., Any]) -> str:
        generator = getattr(f, "__self__", None)
        if isinstance(generator, np.random.Generator):
            return f"{self._argument('rng', generator, 'a numpy.random.Generator')}.{f.__name__}"
        name = name_of(f)
        if name.startswith("np."):
            return name
        return self._argument(re.sub(r"\W", "_", f.__name__), f, f"the function {name}")

    def _operand(self, x: Any) -> str:
        """A value, or nested arguments, as an expression."""
        return nested(x, self._leaf)

    def _leaf(self, x: Any) -> str:
        if isinstance(x, Value) and x.kind == "constant":
            if not x.array.size:
                return f"np.zeros({x.shape}, np.{x.dtype})"
            if x.array.size > SMALL:
                return self._argument(x.name, x.array, f"the constant array of shape {x.shape}")
            return f"np.array({nested(x.array.tolist(), self._leaf)}, np.{x.dtype})"
        if isinstance(x, Value):
            return self._expression(x.operation) if x.operation is not None and x in self._inline else x.name
        if isinstance(x, float) and not np.isfinite(x):
            return f"(-np.{-x})" if x < 0 else f"np.{x}"
        if isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
            return f"np.{np.dtype(x)}"
        return "..." if x is Ellipsis else plain(x)

    def _index(self, index: Any) -> str:
        """What stands between the brackets."""
        if type(index) is slice:
            start, stop, step = ("" if x is None else str(x) for x in (index.start, index.stop, index.step))
            return f"{start}:{stop}" + (f":{step}" if step else "")
        if type(index) is tuple and index:
            return ", ".join(map(self._index, index)) + ("," if len(index) == 1 else "")
        return self._operand(index)

    def _result(self, x: Any) -> str:
        if isinstance(x, Value):
            return f"{self._operand(x)}.copy()" if x.kind == "input" or x.base is not None else self._operand(x)
        if isinstance(x, tuple):  # one with names
            return nested(tuple(x), self._result)
        data = x.data if isinstance(x, Tensor) else x
        if isinstance(data, np.ndarray):
            known = next((v.name for v in self._values if v.array is data), None)
            return known or self._argument("returned", data, "an array that is returned as it is")
        return plain(x)


EXPRESSIONS: dict[Callable[..., Any], Callable[..., str]] = {
    np.negative: lambda x: f"-{x}",
    np.reshape: lambda x, shape: f"{x}.reshape({shape})",
    np.transpose: lambda x, axes: f"{x}.T" if axes == tuple(range(len(axes)))[::-1] else f"{x}.transpose({axes})",
    astype: lambda x, dtype: f"{x}.astype(np.{np.dtype(dtype)})",
    sum_of_squares: lambda x, count: f"np.{'mean' if count else 'sum'}(np.square({x}))",
    copied: lambda x: f"{x}.copy()",
    identity: lambda x: x,
}
"""What is written otherwise than as a call."""


def _inside(part: Any, whole: Any) -> bool:
    """Whether an array is a smaller part of another one's memory, whole elements apart."""
    if owner(part) is not owner(whole) or part.dtype != whole.dtype or not whole.flags.c_contiguous:
        return False
    offset = part.ctypes.data - whole.ctypes.data
    return bool(0 <= offset <= whole.nbytes - part.nbytes and whole.size > part.size and not offset % part.itemsize)
