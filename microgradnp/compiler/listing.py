"""A program for people: the list of its calls, and the same step as a plain NumPy function."""

from __future__ import annotations

import linecache
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from microgradnp.compiler.functions import store
from microgradnp.compiler.ir import (
    Call,
    Number,
    Ones,
    Operation,
    Part,
    Site,
    Trace,
    Value,
    Variable,
    View,
    copied,
    owner,
    sum_of_squares,
)  # fmt: skip
from microgradnp.compiler.optimise import needed
from microgradnp.compiler.plan import Plan
from microgradnp.compiler.source import nested, plain, written
from microgradnp.engine.rules import SYMBOLS, name_of
from microgradnp.engine.table import astype, getitem, identity, is_basic, scatter

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
    names = _names(plan)
    rows = []
    for call in calls:
        operation = call.operation
        if operation is None or call.idle:
            continue
        y = operation.result or operation.arguments[0]
        function = partial(_function_text, operation)
        rows.append((written(call, names, function), f"{y.shape} {y.dtype}", *source_of(operation.site)))
    inputs = ", ".join(f"{v.name} {v.shape} {v.dtype}" for v in trace.inputs)
    head = f"{trace.name}({inputs}): {len(rows)} calls, {plan.size / 1024:.1f} KiB for intermediate values"
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    number = len(str(len(rows)))
    body = [
        f"{i:{number}}  {call:{min(widths[0], 72)}}  {shape:{widths[1]}}  {place:{widths[2]}}  {text}".rstrip()
        for i, (call, shape, place, text) in enumerate(rows, 1)
    ]
    return "\n".join([head, *body])


def _names(plan: Plan) -> Callable[[Any], str]:
    """How an operand is written: a result computed right in the array that it is assigned to goes by that name."""

    def text(x: Any) -> str:
        if type(x) is Value:
            return plan.target.get(id(x), x).name
        if type(x) is Variable:
            return text(x.value)
        if type(x) is View:
            if type(x.form) is str:
                return text(x.value)
            axis, start, stop = x.form
            return f"{text(x.value)}[{':, ' * axis}{start}:{stop}]"
        if type(x) is Number:
            return plain(x.number)
        if type(x) is Ones:
            return "ones"
        return nested(x, text) if type(x) in (tuple, list, dict) else plain(x)

    return text


def _function_text(operation: Operation, f: Callable[..., Any]) -> str:
    if f is operation.forward:
        return name_of(operation.function)
    return f.__name__ if f is store else name_of(f)


class Listing:
    """A trace as the source of a Python function of plain arrays."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.values = trace.values()
        self.arguments: dict[str, Any] = {}  # besides the step's own: bound arrays, generators, functions
        self.notes: dict[str, str] = {}
        self.given: list[str] = []  # lines that derive bound arrays from others
        self.operations = needed(trace.operations, trace.returned)
        uses = Counter(id(v) for o in self.operations for v in o.reads)
        uses.update(id(v) for v in trace.returned)
        # A view that is used once is written where it is used.
        self._inline = {
            id(o.result): o
            for o in self.operations
            if o.result is not None and o.result.base and uses[id(o.result)] == 1
        }
        self._bound = [v for v in self.values if v.kind == "bound"]
        self.text = self._text()

    def _text(self) -> str:
        body = list(self._body())
        inputs = [v.name for v in self.trace.inputs]
        names = [*inputs, *self.arguments]
        lines = [
            f'"""One call of {self.trace.name} as plain NumPy, written by microgradnp from its recorded program."""',
            "",
            "import numpy as np",
            "",
            "",
            f"def {self.trace.name}({', '.join(names)}):",
            '    """Compute one step; arrays that it updates are written in place.',
            "",
            *(f"    {v.name}: {v.dtype} array of shape {v.shape}" for v in self.trace.inputs),
            *(f"    {name}: {self.notes[name]}" for name in self.arguments),
            '    """',
            *(f"    {line}" for line in [*self.given, *body]),
            "",
        ]
        return "\n".join(lines)

    def _body(self) -> Iterator[str]:
        used = {id(v) for o in self.operations for v in (*o.reads, *o.arguments[:1])}
        for v in self._bound:
            if id(v) in used or any(v is x for x in self.trace.returned):
                self._bind(v)
        site: Any = None
        errors: Any = ()
        for operation in self.operations:
            if operation.result is not None and id(operation.result) in self._inline:
                continue
            if operation.site is not None and operation.site != site:
                site = operation.site
                yield f"# {': '.join(source_of(site))}"
            if operation.errstate != errors:
                errors = operation.errstate
                if errors:
                    yield f"with np.errstate({', '.join(f'{k}={how!r}' for k, how in errors)}):"
            for line in self._lines(operation):
                yield f"    {line}" if errors else line
        yield f"return {self._result(self.trace.result)}"

    def _bind(self, v: Value) -> None:
        """An argument for a bound array, or a line that takes it out of the vector that it is a part of."""
        array = v.array
        whole = max(
            (w for w in self._bound if w.array.ndim == 1 and _inside(array, w.array)),
            key=lambda w: w.array.size,
            default=v,
        )
        if whole is v or not array.flags.c_contiguous:
            self._argument(v.name, array, f"{v.dtype} array of shape {v.shape}")
            return
        start = (array.ctypes.data - whole.array.ctypes.data) // array.itemsize
        part = f"{whole.name}[{start}:{start + array.size}]"
        self.given.append(f"{v.name} = {part}" + (f".reshape({array.shape})" if array.ndim != 1 else ""))

    def _argument(self, name: str, x: Any, note: str) -> str:
        for known, y in self.arguments.items():
            if y is x:
                return known
        taken = {*self.arguments, *(v.name for v in self.values)}
        if any(v.array is x for v in self.values):
            taken.discard(name)  # the name that the program knows it by
        unique, k = name, 1
        while unique in taken:
            k += 1
            unique = f"{name}_{k}"
        self.arguments[unique], self.notes[unique] = x, note
        return unique

    def _lines(self, operation: Operation) -> Iterator[str]:
        f, y = operation.function, operation.result
        arguments = operation.arguments
        if y is None:
            yield f"{self._operand(arguments[0])}[...] = {self._operand(arguments[1])}"
        elif f is scatter:
            index = self._index(operation.options["index"])
            yield f"{y.name} = np.zeros({y.shape}, np.{y.dtype})"
            if is_basic(operation.options["index"]):
                yield f"{y.name}[{index}] = {self._operand(arguments[0])}"
            else:
                yield f"np.add.at({y.name}, {self._tuple(operation.options['index'])}, {self._operand(arguments[0])})"
        else:
            yield f"{y.name} = {self._expression(operation)}"

    def _expression(self, operation: Operation) -> str:
        f, options = operation.function, operation.options
        names = [self._operand(x) for x in operation.arguments]
        if f in SYMBOLS and not options:
            return f"{names[0]} {SYMBOLS[f]} {names[1]}"
        if f is np.negative:
            return f"-{names[0]}"
        if f is np.reshape:
            return f"{names[0]}.reshape({options['shape']})"
        if f is np.transpose:
            axes = options["axes"]
            return f"{names[0]}.T" if axes == tuple(range(len(axes)))[::-1] else f"{names[0]}.transpose({axes})"
        if f is getitem:
            return f"{names[0]}[{self._index(options['index'])}]"
        if f is astype:
            return f"{names[0]}.astype({self._operand(np.dtype(options['dtype']))})"
        if f is sum_of_squares:
            return f"np.{'mean' if options['count'] else 'sum'}(np.square({names[0]}))"
        if f is copied:
            return f"{names[0]}.copy()"
        if f is identity:
            return names[0]
        if f is np.concatenate:
            return f"np.concatenate(({', '.join(names)},), axis={options['axis']})"
        if f is np.einsum:
            names.insert(0, repr(options["subscripts"]))
            options = {key: x for key, x in options.items() if key != "subscripts"}
        settings = [f"{key}={self._operand(x)}" for key, x in options.items() if not _default(key, x)]
        call = f"{self._function(f)}({', '.join([*names, *settings])})"
        return f"{call}[{f.number}]" if isinstance(f, Part) else call

    def _function(self, f: Callable[..., Any]) -> str:
        if isinstance(f, Part):
            f = f.function
        generator = getattr(f, "__self__", None)
        if isinstance(generator, np.random.Generator):
            return f"{self._argument('rng', generator, 'a numpy.random.Generator')}.{f.__name__}"
        name = name_of(f)
        if name.startswith("np."):
            return name
        return self._argument(re.sub(r"\W", "_", f.__name__), f, f"the function {name}")

    def _operand(self, x: Any) -> str:
        if type(x) is Value:
            if x.kind == "constant":
                if not x.array.size:
                    return f"np.zeros({x.shape}, np.{x.dtype})"
                if x.array.size <= SMALL:
                    return f"np.array({x.array.tolist()!r}, np.{x.dtype})".replace("nan", "np.nan").replace(
                        "inf", "np.inf"
                    )
                return self._argument(x.name, x.array, f"the constant array of shape {x.shape}")
            return self._expression(self._inline[id(x)]) if id(x) in self._inline else x.name
        if isinstance(x, float) and not np.isfinite(x):
            return {"inf": "np.inf", "-inf": "-np.inf"}.get(str(x), "np.nan")
        if isinstance(x, np.dtype):
            return f"np.{x}"
        if isinstance(x, type) and issubclass(x, np.generic):
            return f"np.{x.__name__}"
        if type(x) is tuple:
            return "(" + "".join(f"{self._operand(part)}, " for part in x).rstrip() + ")"
        if type(x) is list:
            return "[" + ", ".join(map(self._operand, x)) + "]"
        text = repr(x)
        return f"({text})" if text.startswith("-") else text

    def _index(self, index: Any) -> str:
        parts = index if type(index) is tuple else (index,)
        return (
            ", ".join(map(self._index_part, parts)) + ("," if type(index) is tuple and len(parts) == 1 else "") or "()"
        )

    def _index_part(self, part: Any) -> str:
        if part is Ellipsis:
            return "..."
        if type(part) is slice:
            start, stop, step = ("" if x is None else str(x) for x in (part.start, part.stop, part.step))
            return f"{start}:{stop}" + (f":{step}" if step else "")
        return self._operand(part)

    def _tuple(self, index: Any) -> str:
        return self._operand(index).replace("Ellipsis", "...")

    def _result(self, x: Any) -> str:
        if type(x) is Value:
            return f"{self._operand(x)}.copy()" if x.kind == "input" or x.base is not None else self._operand(x)
        if isinstance(x, tuple | list):
            inside = "".join(f"{self._result(part)}, " for part in x).rstrip()
            return f"({inside})" if isinstance(x, tuple) else f"[{inside}]"
        if isinstance(x, dict):
            return "{" + ", ".join(f"{key!r}: {self._result(part)}" for key, part in x.items()) + "}"
        data = x if isinstance(x, np.ndarray) else getattr(x, "_value", None)
        if isinstance(data, np.ndarray):
            known = next((v.name for v in self.values if v.array is data), None)
            return known or self._argument("returned", data, "an array that is returned as it is")
        return repr(x)


def _inside(part: Any, whole: Any) -> bool:
    """Whether an array is a smaller part of another one's memory, whole elements apart."""
    if owner(part) is not owner(whole) or part.dtype != whole.dtype or not whole.flags.c_contiguous:
        return False
    offset = part.ctypes.data - whole.ctypes.data
    return (
        offset >= 0 and offset + part.nbytes <= whole.nbytes and whole.size > part.size and not offset % part.itemsize
    )


def _default(key: str, x: Any) -> bool:
    return (key == "keepdims" and x is False) or (key == "axis" and x is None)
