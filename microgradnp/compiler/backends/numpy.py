"""The NumPy backend: from a list of `Call` to one Python function that makes these calls, one a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.backends import Runnable
from microgradnp.compiler.ir import Call, Literal, Trace, Value, Variable, View
from microgradnp.compiler.lower import is_runtime
from microgradnp.compiler.plan import Plan, view
from microgradnp.compiler.source import Source, nested, plain, written
from microgradnp.signatures import name_of


def build(calls: list[Call], plan: Plan, trace: Trace) -> Runnable:
    """Write the calls as a function, and compile it."""
    code = _Code(plan)
    inputs = [code.operand(v) for v in trace.inputs]
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
    return Runnable(code.source.compiled(), code.binding(inputs), str(code.source))


class _Code:
    """Writes operands as expressions, and keeps what they stand for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.source = Source("run", errstate=np.errstate)
        self._names: dict[Any, str] = {}  # of values, their views and variables
        self._views: list[tuple[str, Value | View, str]] = []  # of inputs, each with the name of what it is a view of

    def function(self, f: Callable[..., Any]) -> str:
        """A function by a name of its own: looking it up in a module takes a tenth of a small call's time."""
        return self.source.names.get(id(f)) or self.source.constant(f, name_of(f).replace(".", "_"))

    def operand(self, x: Any) -> str:
        """An operand as an expression."""
        kind = type(x)
        if kind is Value or kind is View or kind is Variable:
            key = x.value, x.form
            if key not in self._names:
                self._names[key] = self._named(x)
            return self._names[key]
        if kind is Literal:
            return self.source.constant(x.array)
        if kind in (int, bool, str, type(None)):
            return plain(x)
        if kind in (tuple, list, dict):
            return nested(x, self.operand)
        return self.source.constant(x)

    def _named(self, x: Value | View | Variable) -> str:
        v = x.value
        if isinstance(x, Variable):
            return self.source.named(f"s_{v.name}", None)
        if not is_runtime(v):
            return self.source.constant(self.plan.array(x), v.name)
        base = self.operand(x.base) if x.base is not None else None  # which is bound before its view
        name = self.source.named(v.name, None)
        if base is not None:
            self._views.append((name, x, base))
        return name

    def binding(self, inputs: list[str]) -> Callable[..., bool]:
        """What takes other input arrays, and makes the views of them anew."""
        space, views = self.source.space, self._views

        def bind(*arrays: Array) -> bool:
            space.update(zip(inputs, arrays, strict=True))
            copied = False  # a layout that needs a copy, which is taken anew at every call
            for name, x, source in views:
                base = space[source]
                array = space[name] = view(x, base)
                copied |= bool(array.size and not np.may_share_memory(array, base))
            return copied

        return bind
