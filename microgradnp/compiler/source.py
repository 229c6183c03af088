"""Code as text: how a call is written, names for the objects that it speaks of, and a function made of lines."""

from __future__ import annotations

import builtins
import keyword
import marshal
import operator
import re
import types
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np

from microgradnp.compiler.ir import Call, Value, Variable
from microgradnp.engine.rules import SYMBOLS

_TAKEN = frozenset({"np", *keyword.kwlist, *dir(builtins)})


class Source:
    """The lines of a module that defines one function, and what the names in it stand for."""

    def __init__(self, name: str, **space: Any) -> None:
        self.name = name  # of the function
        self.lines: list[str] = []
        self.space: dict[str, Any] = {name: None, **space}
        self.names: dict[int, str] = {}  # of objects, by identity

    def __str__(self) -> str:
        return "\n".join([*self.lines, ""])

    def constant(self, x: Any, name: str = "") -> str:
        """The name of an object, which is given one at its first use."""
        known = self.names.get(id(x))
        if known is None:
            known = self.names[id(x)] = self.named(name if name.isidentifier() else f"k{len(self.names)}", x)
        return known

    def named(self, name: str, x: Any) -> str:
        """The name for a new object, as close to the one that is wished for as can be."""
        while name in self.space:
            name += "_"
        self.space[name] = x
        return name

    def compiled(self) -> Callable[..., Any]:
        """The function, whose lines a traceback gets by asking its module's loader."""
        text = str(self)
        self.space |= {"__name__": __name__, "__loader__": types.SimpleNamespace(get_source=lambda name: text)}
        exec(marshal.loads(_compiled(text)), self.space)
        function: Callable[..., Any] = self.space[self.name]
        return function


@lru_cache(maxsize=16)
def _compiled(text: str) -> bytes:
    """What Python makes of the lines, once for all trainings alike: it takes a tenth of a training's first call.

    As bytes, of which each program makes code of its own, as Python notes in it where its names were found.
    """
    # Tracebacks keep lines by the file's name, and Python keeps names: the same lines have the same.
    return marshal.dumps(compile(text, f"compiled step {zlib.crc32(text.encode()):08x}", "exec"))


def written(call: Call, operand: Callable[[Any], str], function: Callable[[Any], str]) -> str:
    """A call as a line of Python, with ``operand`` and ``function`` to write what it speaks of."""
    f = call.function
    operands = [operand(x) for x in call.operands]
    if type(call.out) is Variable:
        return f"{operand(call.out)} = {_expression(f, operands, function)}"
    if f is operator.setitem:
        return f"{operands[0]}[{operands[1]}] = {operands[2]}"
    options = [f"{key}={operand(x)}" for key, x in call.options.items()]
    if call.put is not None:
        return f"{function(call.put)}({operand(call.out)}, {function(f)}({', '.join(operands + options)}))"
    if type(f) is types.MethodDescriptorType:
        return f"{operands[0]}.{f.__name__}({', '.join(operands[1:] + options)})"
    return f"{function(f)}({', '.join(operands + options)})"


def _expression(f: Any, operands: list[str], function: Callable[[Any], str]) -> str:
    if f is operator.getitem:
        return f"{operands[0]}[{operands[1]}]"
    if f is np.negative:
        return f"-{operands[0]}"
    return f"{operands[0]} {SYMBOLS[f]} {operands[1]}" if f in SYMBOLS else f"{function(f)}({operands[0]})"


def plain(x: Any) -> str:
    """A number or a text as an expression that stands beside any sign."""
    text = repr(x)
    return f"({text})" if text.startswith("-") else text


def nested(x: Any, leaf: Callable[[Any], str], key: Callable[[Any], str] = repr) -> str:
    """Nested tuples, lists and dicts as an expression, with ``leaf`` for what they hold and ``key`` for their keys."""
    if type(x) is tuple:
        return "(" + "".join(nested(part, leaf, key) + ", " for part in x) + ")"
    if type(x) is list:
        return "[" + ", ".join(nested(part, leaf, key) for part in x) + "]"
    if type(x) is dict:
        return "{" + ", ".join(f"{key(name)}: {nested(part, leaf, key)}" for name, part in x.items()) + "}"
    return leaf(x)


def name_values(values: Iterable[Value]) -> None:
    """Give every value a name of its own that Python takes for one."""
    taken = dict.fromkeys(_TAKEN, 1)  # and how often each was asked for
    numbers = count(1)
    for v in values:
        if v.kind == "result" and not v.name:
            name = f"t{next(numbers)}"
        else:
            name = "c" if v.kind == "constant" else _identifier(v.name or "a")
        v.name = name
        while v.name in taken:
            taken[name] += 1
            v.name = f"{name}_{taken[name]}"
        taken[v.name] = 1


def _identifier(name: str) -> str:
    if name.isidentifier() and not name.startswith("_"):
        return name
    words = re.findall(r"\w+", name)
    text = "_".join([w for w in words if not w.startswith("_")] or [w.strip("_") for w in words])
    return text if text and not text[0].isdigit() else f"a{text}"
