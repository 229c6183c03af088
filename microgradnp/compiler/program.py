"""From a `Trace` to a `Program`: what replays a recorded step, and shows it.

Its stages stand in their order: plan, lower, build. What a backend runs is the calls alone; around them stands the
*entry*, which sees whether the program fits a call, binds its arguments, and hands out gradients and results.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.backends.numpy import build
from microgradnp.compiler.guards import checks
from microgradnp.compiler.ir import Trace, Value
from microgradnp.compiler.listing import Listing, listing
from microgradnp.compiler.lower import lower
from microgradnp.compiler.plan import Plan
from microgradnp.compiler.rounding import moved
from microgradnp.compiler.source import Source, name_values, nested
from microgradnp.compiler.trace import alike
from microgradnp.engine.state import PLAIN, current
from microgradnp.engine.tensor import Tensor, wrap

MISS: Any = object()
"""What a replay returns when its program does not fit the call."""


class Program:
    """The calls of one recorded step: printing it shows them, and `to_numpy` writes them as a Python function.

    Attributes
    ----------
    calls : int
        How many NumPy calls a replay makes.
    nbytes : int
        The memory that holds all intermediate values.
    """

    def __init__(self, trace: Trace, *, shaken: bool = False) -> None:
        self.trace = trace
        name_values(trace.values())
        self.plan = Plan(trace)
        self.lowered = lower(trace, self.plan)
        if shaken:
            self.lowered = moved(self.lowered)
        self._runnable = build(self.lowered, self.plan, trace)
        self._entry = self._write_entry()
        self.replay: Callable[[tuple[Any, ...], dict[str, Any]], Any] = self._entry.compiled()

    @cached_property
    def shaken(self) -> Program:
        """The same program, but that each result is rounded another way in every run."""
        return Program(self.trace, shaken=True)

    # -- The entry of a replay

    def _write_entry(self) -> Source:
        trace, plan = self.trace, self.plan
        source = Source(
            "replay", MISS=MISS, PLAIN=PLAIN, state=current, wrap=wrap, ndarray=np.ndarray, unwrap=_unwrap,
            lock=trace.lock, run=self._runnable.run,
        )  # fmt: skip
        lines = [*checks(trace, source.constant)]
        if trace.inputs:
            given = [f"a{i}" for i in range(len(trace.inputs))]
            seen = [f"seen{i}" for i in range(len(trace.inputs))]
            source.space |= {**dict.fromkeys(seen), "bind": self._binding(source.space, seen)}
            known = " and ".join(f"{a} is {b}" for a, b in zip(given, seen, strict=True))
            lines.append(f"if not ({known}) and not bind({', '.join(given)}): return MISS")
        if trace.audit is not None:
            turn, audit = source.constant(trace.audit.turn), source.constant(trace.audit.run)
            limits = source.constant(trace.audit.limits)
            grown = [f"len({source.constant(x)}) > {limits}[{i}] or " for i, x in enumerate(trace.growing)]
            lines.append(f"if {''.join(grown)}next({turn}[0], True): return {audit}(args, kwargs)")
        lines.append("run()")
        for leaf, v in trace.gradients.items():
            lines.append(f"{source.constant(leaf)}._grad = {source.constant(plan.array(v))}")  # .grad: 0.2 us
        lines += [f"{source.constant(leaf)}._grad = None" for leaf in trace.cleared]

        def result(x: Any) -> str:
            if type(x) is Value:
                return f"wrap({source.constant(plan.array(x))}.copy())"
            if isinstance(x, tuple) and hasattr(x, "_fields"):
                parts = [nested(part, result, source.constant) for part in x]
                return f"{source.constant(type(x))}({', '.join(parts)})"
            return source.constant(x)

        lines.append(f"return {nested(trace.result, result, source.constant)}")
        source.lines = ["def replay(args, kwargs):", "  with lock:", *(f"    {line}" for line in lines)]
        return source

    def _binding(self, space: dict[str, Any], seen: list[str]) -> Callable[..., bool]:
        """What takes other input arrays than before, if they fit."""
        trace, bind = self.trace, self._runnable.bind
        dtypes = [v.dtype for v in trace.inputs]
        written = [*trace.written(), self.plan.memory]

        def check_and_bind(*arrays: Array) -> bool:
            if [array.dtype for array in arrays] != dtypes or alike(arrays) != trace.same:
                return False
            for v, array in zip(trace.inputs, arrays, strict=True):
                if any(np.may_share_memory(array, mine) for mine in written):
                    raise ValueError(
                        f"argument {v.name} of a compiled step shares memory with what the step writes into, such as a "
                        "parameter: pass a copy."
                    )
            again = bind(*arrays)
            space.update(dict.fromkeys(seen) if again else zip(seen, arrays, strict=True))
            return True

        return check_and_bind

    # -- What people see

    @property
    def name(self) -> str:
        """The name of the recorded function."""
        return self.trace.name

    @property
    def calls(self) -> int:
        """How many NumPy calls a replay makes, arithmetic with single numbers included."""
        return sum(call.operation is not None and not call.idle for call in self.lowered)

    @property
    def nbytes(self) -> int:
        return self.plan.size

    @property
    def source(self) -> str:
        """The generated code."""
        return f"{self._runnable.source}\n{self._entry}"

    def __str__(self) -> str:
        return listing(self.trace, self.plan, self.lowered)

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
        return self._listing.text

    @property
    def bound(self) -> dict[str, Any]:
        """What the function written by `to_numpy` takes besides the step's arguments: arrays, generators, functions."""
        return self._listing.arguments

    @cached_property
    def _listing(self) -> Listing:
        return Listing(self.trace)


def _unwrap(x: Any) -> Any:
    """An argument as an array, if it is one without a gradient."""
    if type(x) is Tensor and not x.requires_grad:
        return x._value
    return np.asarray(x) if isinstance(x, np.generic) else MISS
