"""A recorded step as a flat list of NumPy calls, run by one generated function."""

from __future__ import annotations

import builtins
import keyword
import linecache
import operator
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from microgradnp.compiler.guards import checks
from microgradnp.compiler.ir import Operation, Trace, Value, owner
from microgradnp.compiler.listing import Writer, listing
from microgradnp.compiler.lower import SCALAR, is_scalar, is_ufunc, lines_of, shares, store
from microgradnp.compiler.plan import Plan, view
from microgradnp.engine.rules import astype, name_of
from microgradnp.engine.tensor import _PLAIN, Array, Tensor, _state, wrap

_FUNCTION = re.compile(r"\bnp\.([a-z_0-9.]+)(?=\()")

MISS: Any = object()
"""What the generated function returns when its program does not fit the call."""


class Program:
    """The calls of one recorded step: printing it shows them, and `to_numpy` writes them as a Python function.

    Attributes
    ----------
    calls : int
        How many NumPy calls a replay makes.
    nbytes : int
        The memory that holds all intermediate values.
    """

    def __init__(self, recording: Trace) -> None:
        self.recording = recording
        self.values = recording.values()
        operations = recording.operations
        self._steps = [o for o in operations if o.result is None or o.result.base is None]
        self._views = [o for o in operations if o.result is not None and o.result.base is not None]
        self._space: dict[str, Any] = {
            "np": np, "MISS": MISS, "PLAIN": _PLAIN, "state": _state, "wrap": wrap, "ndarray": np.ndarray,
            "unwrap": _unwrap, "store": store, "lock": recording.lock, "bind": self._bind, "errstate": np.errstate,
        }  # fmt: skip
        self._names: dict[int, str] = {}
        self._functions: dict[int, str] = {}
        self._numbers: dict[Any, Array] = {}
        self._objects: dict[Any, Array] = {}
        self._texts: dict[str, str] = {}  # what stands for a generated name in a listing
        self._runtime_views: list[tuple[str, Value, str]] = []  # of inputs: made anew for another array
        self.replay: Callable[[tuple[Any, ...], dict[str, Any]], Any] = self._begin

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The first replay: write the function. The program of a first training step never comes so far.

        It was recorded before there were gradients, and the next call finds some, so it is recorded anew.
        """
        if any(t.grad is not None for t in self.recording.without_gradient):
            return MISS
        with self.recording.lock:
            if self.replay == self._begin:
                exec(compile_source(self.source), self._space)
                self.replay = self._space["replay"]
        return self.replay(args, kwargs)

    @cached_property
    def _plan(self) -> Plan:
        return Plan(self._steps, self.recording.returned, list(self.recording.gradients.values()), shares)

    @cached_property
    def lines(self) -> list[tuple[str, Operation | None]]:
        """The lines of the program, each with its operation; None where a number moves between array and variable."""
        self._name_values()
        for i in self._plan.removed:  # a result computed right in the array that it is assigned to goes by that name
            target, source = self._steps[i].arguments
            self._texts[self._names[id(source.root)]] = self._names[id(target)]
        return self._write_calls()

    @cached_property
    def source(self) -> str:
        """The generated function."""
        return self._write_function()

    @property
    def name(self) -> str:
        """The name of the recorded function."""
        return self.recording.name

    def __str__(self) -> str:
        return listing(self)

    def __repr__(self) -> str:
        return f"<program of {self.name}: {self.calls} calls>"

    def to_numpy(self) -> str:
        """The step as the source of a Python function of plain NumPy, with comments on where each line comes from.

        Its arguments are those of the step, flattened, and then everything that the step reads or writes besides them:
        ``program.bound`` gives these by name.

        Examples
        --------
        >>> import numpy as np, microgradnp as mg
        >>> w = mg.Tensor([1.0, 2.0], requires_grad=True, name="w")
        >>> def loss(x):
        ...     return np.sum(np.square(w * x))
        >>> compiled = mg.compile(loss)
        >>> compiled(np.array([1.0, 3.0])).item()
        37.0
        >>> space = {}
        >>> exec(compiled.program.to_numpy(), space)
        >>> float(space["loss"](np.array([1.0, 3.0]), **compiled.program.bound))
        37.0
        """
        return self._writer.text()

    @property
    def bound(self) -> dict[str, Any]:
        """What the function written by `to_numpy` takes besides the step's arguments: arrays, generators, functions."""
        writer = self._writer
        writer.text()
        return writer.arguments

    @property
    def _writer(self) -> Writer:
        _ = self.lines  # gives the values their names
        return Writer(self)

    def text_of(self, name: str) -> str:
        """What a name in the generated code stands for, as people would write it."""
        return self._texts.get(name, name)

    @property
    def calls(self) -> int:
        """How many NumPy calls a replay makes, arithmetic with single numbers included."""
        return sum(operation is not None for _, operation in self.lines)

    @property
    def nbytes(self) -> int:
        return self._plan.space.size

    # -- Names

    def _name_values(self) -> None:
        taken = {*self._space, *keyword.kwlist, *dir(builtins), "args", "kwargs"}
        count = 0
        for v in self.values:
            if v.kind == "result" and not v.name:
                count += 1
                name = f"t{count}"
            elif v.kind == "constant":
                name = "c"
            else:
                name = v.name or "a"
            name = _identifier(name)
            unique, k = name, 1
            while unique in taken or re.fullmatch(r"([ak]|quiet)\d+|np_.*|s_.*|seen_.*", unique):
                k += 1
                unique = f"{name}_{k}"
            taken.add(unique)
            v.name = self._names[id(v)] = unique

    def _runtime(self, v: Value) -> bool:
        return v.root.kind == "input"

    def _array_name(self, v: Value, form: str = "") -> str:
        """The name in the generated code of a value's array; of its only element, "0d"; of all in one row, "1d"."""
        array = v.array
        if (form == "0d" and array.ndim == 0) or (form == "1d" and array.ndim == 1):
            form = ""
        name = self._names[id(v)] + (f"_{form}" if form else "")
        if form:
            self._texts[name] = self.text_of(self._names[id(v)])
        if name not in self._space:
            if self._runtime(v):
                self._space[name] = None
                self._need_view(v)
                if form:
                    self._runtime_views.append((name, v, form))
            else:
                self._space[name] = self._object(_formed(self._plan.array(v), form))
        return name

    def _object(self, array: Array) -> Array:
        """One array object for each place: a ufunc then sees at once that ``out`` is its argument (0.3 us, not 0.4)."""
        key = (array.ctypes.data, array.shape, array.strides, array.dtype.str, array.flags.writeable)
        return self._objects.setdefault(key, array)

    def _ones(self, n: int, dtype: Any) -> str:
        key = ("ones", n, np.dtype(dtype).str)
        if key not in self._numbers:
            self._numbers[key] = np.ones(n, dtype)
        name = self._constant(self._numbers[key])
        self._texts[name] = "ones"
        return name

    def _need_view(self, v: Value) -> None:
        """See to it that a view of an input is made whenever that input is another array."""
        if v.base is not None and not any(w is v for _, w, _ in self._runtime_views):
            self._need_view(v.base)
            self._runtime_views.append((self._names[id(v)], v, ""))

    def _bind(self, *arrays: Array) -> None:
        """Take other input arrays: make the views of them anew."""
        space = self._space
        for v, array in zip(self.recording.inputs, arrays, strict=True):
            if any(np.may_share_memory(array, mine) for mine in self.recording.written()) or np.may_share_memory(
                array, self._plan.memory
            ):
                raise ValueError(
                    f"argument {v.name} of a compiled step shares memory with what the step writes into, such as a "
                    "parameter: pass a copy."
                )
            space[self._names[id(v)]] = array
            space[f"seen_{self._names[id(v)]}"] = array
        for name, v, form in self._runtime_views:
            if form:
                array = space[name] = _formed(space[self._names[id(v)]], form)
            else:
                assert v.base is not None
                array = space[name] = view(v, space[self._names[id(v.base)]])
            given = self._names[id(v.root)]
            if array.size and not np.may_share_memory(array, space[given]):
                space[f"seen_{given}"] = None  # its layout needs a copy, which is taken anew at every call

    # -- Calls

    def _write_calls(self) -> list[tuple[str, Operation | None]]:
        written: list[tuple[str, Operation | None]] = []
        self._variables: dict[int, str] = {}  # 0-d values that a local variable holds
        in_arrays = {id(v.root) for v in self.recording.kept()}
        for operation in self.recording.operations:
            if not is_scalar(operation):
                in_arrays.update(id(v.root) for v in operation.reads)
        for i, operation in enumerate(self._steps):
            y = operation.result
            if i in self._plan.removed:
                continue
            if y is not None and is_scalar(operation):
                for v in operation.reads:
                    if id(v) not in self._variables:
                        self._variables[id(v)] = f"s_{self._names[id(v)]}"
                        self._texts[self._variables[id(v)]] = self.text_of(self._names[id(v)])
                        written.append((f"{self._variables[id(v)]} = {self._array_name(v)}[()]", None))
                name = self._variables[id(y)] = f"s_{self._names[id(y)]}"
                self._texts[name] = self.text_of(self._names[id(y)])
                written.append((f"{name} = {self._scalar_expression(operation)}", operation))
                if id(y) in in_arrays or id(y) in self._plan.bound:
                    written.append((f"{self._array_name(y)}[()] = {name}", None))
            else:
                written += [(line, operation) for line in self._render(operation)]
            target = operation.arguments[0].array if y is None else self._plan.bound.get(id(y))
            if target is not None:  # what was read from there is no longer so
                for v in operation.arguments[:1] if y is None else [w for w in self.values if w.kind == "bound"]:
                    if id(v) in self._variables and owner(v.array) is owner(target):
                        del self._variables[id(v)]
        return written

    def _scalar_expression(self, operation: Operation) -> str:
        operands = [self._variables[id(x)] if type(x) is Value else f"({x!r})" for x in operation.arguments]
        if operation.function is np.negative:
            return f"-{operands[0]}"
        if operation.function is astype:
            return f"{self._constant(np.dtype(operation.options['dtype']).type)}({operands[0]})"
        return f"{operands[0]} {SCALAR[operation.function]} {operands[1]}"

    def _render(self, operation: Operation) -> Iterator[str]:
        y = operation.result
        for line in lines_of(operation):
            if y is not None and line.startswith("np.copyto({y}, ") and "where" not in line:
                source = operation.arguments[int(line[16])] if line[15] == "{" and line[16].isdigit() else None
                if (
                    type(source) is Value
                    and not self._runtime(source)
                    and _same(self._plan.array(source), self._plan.array(y))
                ):
                    continue
            rendered = re.sub(r"\{([^{}]*)\}", lambda match: self._fill(match[1], operation), line)
            if rendered:
                skip = re.fullmatch(r"np\.copyto\((\w+), (\w+)\)", rendered)
                if skip and _same(self._space.get(skip[1]), self._space.get(skip[2])):
                    continue
                yield rendered

    def _fill(self, key: str, operation: Operation) -> str:
        y = operation.result
        if key == "y":
            assert y is not None
            return self._array_name(y)
        if key in ("only", "all"):  # the result's only element, 0-d; or all its elements in one row
            assert y is not None
            return self._array_name(y, "0d" if key == "only" else "1d")
        if key == "call":
            return self._call(operation)
        if key.isdigit():
            return self._operand(operation, int(key))
        kind, *rest = key.split(":")
        if kind == "flat":
            return self._array_name(operation.arguments[int(rest[0])], "1d")
        if kind == "ones":
            assert y is not None
            return self._ones(int(rest[0]), y.dtype)
        if kind == "number":
            assert y is not None
            return self._number(int(rest[0]), y.dtype)
        if kind == "option":
            return self._argument(operation.options[rest[0]])
        axis, start, stop = map(int, rest)
        assert y is not None
        name = self._constant(self._plan.array(y)[(slice(None),) * axis + (slice(start, stop),)])
        self._texts[name] = f"{self._names[id(y)]}[{':, ' * axis}{start}:{stop}]"
        return name

    def _operand(self, operation: Operation, i: int) -> str:
        x = operation.arguments[i]
        y = operation.result
        if type(x) is Value:
            spread = y is not None and is_ufunc(operation) and y.array.size > 1 and x.array.size == 1
            return self._array_name(x, "0d" if spread else "")
        if type(x) in (int, float, bool):
            dtype = _loop_dtype(operation, i)
            if dtype is not None:
                return self._number(x, dtype)
        return self._argument(x)

    def _argument(self, x: Any) -> str:
        """Nested arguments as an expression."""
        if type(x) is Value:
            return self._array_name(x)
        if type(x) is tuple:
            return "(" + "".join(self._argument(part) + ", " for part in x) + ")"
        if type(x) is list:
            return "[" + ", ".join(map(self._argument, x)) + "]"
        if type(x) is dict:
            return "{" + ", ".join(f"{key!r}: {self._argument(part)}" for key, part in x.items()) + "}"
        if type(x) in (int, bool, str, type(None)):
            return repr(x)
        return self._constant(x)

    def _call(self, operation: Operation) -> str:
        f = self._constant(operation.forward)
        self._texts[f] = name_of(operation.function)
        options = [f"{key}={self._argument(x)}" for key, x in operation.options.items()]
        return f"{f}({', '.join([*map(self._argument, operation.arguments), *options])})"

    def _constant(self, x: Any) -> str:
        name = self._functions.get(id(x))
        if name is None:
            name = self._functions[id(x)] = f"k{len(self._functions)}"
            self._space[name] = x
        return name

    def _number(self, x: Any, dtype: Any) -> str:
        """A number as a 0-d array, which a ufunc takes faster than a Python number."""
        key = (type(x), repr(x), np.dtype(dtype).str)
        if key not in self._numbers:
            self._numbers[key] = np.array(x, dtype)
        name = self._constant(self._numbers[key])
        self._texts[name] = repr(x)
        return name

    # -- The function

    def _write_function(self) -> str:
        recording, lines = self.recording, self.lines
        entry = ["def replay(args, kwargs):", "  with lock:"]
        entry += [f"    {line}" for line in checks(recording, self._constant)]
        inputs = [self._names[id(v)] for v in recording.inputs]
        given = [f"a{i}" for i in range(len(inputs))]
        for name in inputs:
            self._space.setdefault(name, None)
            self._space[f"seen_{name}"] = None
        if inputs:
            same = " and ".join(f"{a} is seen_{name}" for a, name in zip(given, inputs, strict=True))
            entry.append(f"    if not ({same}):")
            for a, v in zip(given, recording.inputs, strict=True):
                dtype = self._constant(v.dtype)
                entry.append(f"        if {a}.dtype != {dtype}: return MISS")
            entry.append(f"        bind({', '.join(given)})")
        body: list[str] = []
        blocks: list[str] = []
        errors: Any = ()
        for line, operation in lines:
            wanted = (
                () if operation is None else operation.errstate
            )  # None: a variable, which must stay in the function
            if wanted and wanted != errors:  # a decorated function: half of the 0.8 us that a context takes
                body.append(f"quiet{len(body)}()")
                blocks += [f"@errstate({', '.join(f'{k}={v!r}' for k, v in wanted)})", f"def {body[-1]}:"]
            errors = wanted
            (blocks if errors else body).append(("  " if errors else "") + _FUNCTION.sub(self._direct, line))
        for leaf, v in recording.gradients.items():
            body.append(f"{self._constant(leaf)}.grad = {self._array_name(v)}")
        body += [f"{self._constant(leaf)}.grad = None" for leaf in recording.cleared]
        body.append(f"return {self._result(recording.result)}")
        return "\n".join(blocks + entry + [f"    {line}" for line in body]) + "\n"

    def _direct(self, match: re.Match[str]) -> str:
        """A NumPy function by a name of its own: looking it up in the module takes a tenth of a small call's time."""
        name = match[0].replace(".", "_")
        self._space[name] = operator.attrgetter(match[1])(np)
        return name

    def _result(self, x: Any) -> str:
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return f"{self._constant(type(x))}({', '.join(map(self._result, x))})"
        if type(x) is tuple:
            return "(" + "".join(self._result(part) + ", " for part in x) + ")"
        if type(x) is list:
            return "[" + ", ".join(map(self._result, x)) + "]"
        if type(x) is dict:
            return "{" + ", ".join(f"{self._constant(key)}: {self._result(part)}" for key, part in x.items()) + "}"
        if type(x) is Value:
            return f"wrap({self._array_name(x)}.copy())"
        return self._constant(x)


def _formed(array: Array, form: str) -> Array:
    if form == "0d":
        return array.reshape(())
    if form == "1d":
        return array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1)
    return array


def _same(a: Any, b: Any) -> bool:
    return (
        isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.ctypes.data == b.ctypes.data
        and a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype
    )  # fmt: skip


def _loop_dtype(operation: Operation, i: int) -> Any:
    """The dtype in which a ufunc takes a Python number."""
    if not is_ufunc(operation):
        return (
            operation.result.dtype
            if operation.result is not None and operation.function in (np.where, np.clip)
            else None
        )
    kinds = tuple(x.dtype if type(x) is Value else type(x) for x in operation.arguments)
    try:
        return operation.function.resolve_dtypes((*kinds, None))[i]  # type: ignore[attr-defined]  # a ufunc
    except (TypeError, ValueError):
        return None


def _identifier(name: str) -> str:
    if name.isidentifier() and not name.startswith("_"):
        return name
    words = [w for w in re.split(r"\W+", name) if w]
    text = "_".join([w for w in words if not w.startswith("_")] or [w.strip("_") for w in words])
    return text if text and not text[0].isdigit() else f"a{text}"


def _unwrap(x: Any) -> Any:
    """An argument as an array, if it is one without a gradient."""
    if type(x) is Tensor and not x._tracked:
        return x._value
    return np.asarray(x) if isinstance(x, np.generic) else MISS


def compile_source(source: str) -> Any:
    """Compile generated code, with its lines known to tracebacks."""
    name = f"<compiled step {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    return compile(source, name, "exec")


_numbers = iter(range(1, 1 << 60))
