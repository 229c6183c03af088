"""The NumPy backend: from a list of `Call` to one Python function that makes these calls, one a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.backends import Runnable
from microgradnp.compiler.ir import Call, Number, Ones, Trace, Value, Variable, View
from microgradnp.compiler.lower import is_runtime
from microgradnp.compiler.plan import Plan, formed, view
from microgradnp.compiler.source import Source, nested, plain, written
from microgradnp.signatures import name_of


def build(calls: list[Call], plan: Plan, trace: Trace) -> Runnable:
    """Write the calls as a function, and compile it."""
    code = _Code(plan)
    for v in trace.inputs:
        code.array(v)
    blocks: list[str] = []
    body: list[str] = []
    quiet: Any = ()
    for call in calls:
        if call.idle:
            continue
        wanted = call.operation.errstate if call.operation is not None else ()
        if wanted and wanted != quiet:  # a decorated function: half of the 0.8 us that a context takes
            name = code.source.named(f"quiet{len(body)}", None)
            blocks += [f"@errstate({', '.join(f'{k}={v!r}' for k, v in wanted)})", f"def {name}():"]
            body.append(f"{name}()")
        quiet = wanted
        (blocks if wanted else body).append(("  " if wanted else "") + written(call, code.operand, code.function))
    code.source.lines = [*blocks, "def run():", *(f"  {line}" for line in body or ["pass"])]
    return Runnable(code.source.compiled(), code.binding(trace.inputs), str(code.source))


class _Code:
    """Writes calls as lines."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.source = Source("run", errstate=np.errstate)
        self._arrays: dict[Any, str] = {}
        self._variables: dict[int, str] = {}
        self._numbers: dict[Any, str] = {}
        self._views: list[tuple[str, Value | View, str]] = []  # of inputs, each with the name of what it is a view of

    def function(self, f: Callable[..., Any]) -> str:
        """A function by a name of its own: looking it up in a module takes a tenth of a small call's time."""
        name = name_of(f).replace(".", "_")
        return self.source.constant(f, name if name.isidentifier() else "")

    def operand(self, x: Any) -> str:
        """An operand as an expression."""
        kind = type(x)
        if kind is Value or kind is View:
            return self.array(x)
        if kind is Variable:
            return self.variable(x)
        if kind is Number:
            return self._shared(np.array, x.number, x.dtype)
        if kind is Ones:
            return self._shared(np.ones, x.count, x.dtype)
        if kind in (int, bool, str, type(None)):
            return plain(x)
        if kind in (tuple, list, dict):
            return nested(x, self.operand, repr)
        return self.source.constant(x)

    def variable(self, x: Variable) -> str:
        """The name of a local variable, which no array has."""
        name = self._variables.get(id(x.value))
        if name is None:
            name = self._variables[id(x.value)] = self.source.named(f"s_{x.value.name}", None)
        return name

    def _shared(self, make: Callable[..., Array], x: Any, dtype: Any) -> str:
        """The name of an array made of a number, one for all who ask for the same."""
        key = make, type(x), repr(x), dtype.str
        name = self._numbers.get(key)
        if name is None:
            name = self._numbers[key] = self.source.constant(make(x, dtype))
        return name

    def array(self, x: Value | View) -> str:
        """The name of an operand's array."""
        v, form = (x.value, x.form) if isinstance(x, View) else (x, None)
        if (form == "0d" and v.array.ndim == 0) or (form == "1d" and v.array.ndim == 1):
            x, form = v, None
        key = id(v), form
        name = self._arrays.get(key)
        if name is not None:
            return name
        runtime = is_runtime(v)
        base = v.base if form is None else v
        source = self.array(base) if runtime and base is not None else ""
        hint = v.name if form is None else f"{v.name}_{form if isinstance(form, str) else form[1]}"
        name = self._arrays[key] = self.source.named(hint, None if runtime else self.plan.array(x))
        if source:
            self._views.append((name, x, source))
        return name

    def binding(self, inputs: list[Value]) -> Callable[..., list[bool]]:
        """What takes other input arrays, and makes the views of them anew."""
        space = self.source.space
        names = [self.array(v) for v in inputs]
        views = [(*v, self.array((v[1].value if isinstance(v[1], View) else v[1]).root)) for v in self._views]

        def bind(*arrays: Array) -> list[bool]:
            space.update(zip(names, arrays, strict=True))
            copies = set()  # inputs whose layout needs a copy, which is taken anew at every call
            for name, x, source, root in views:
                base = space[source]
                array = space[name] = formed(base, x.form) if isinstance(x, View) else view(x, base)
                if array.size and not np.may_share_memory(array, space[root]):
                    copies.add(root)
            return [name in copies for name in names]

        return bind
