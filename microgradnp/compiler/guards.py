"""What a step can see besides its arguments, so that a program is never replayed after it has changed.

A step reads its closure, globals, the attributes of models and optimizers: any of these may decide what it computes.
They are walked once, when recording; a replay compares them with what they were, by identity where it matters. Arrays
are not compared: the program reads them where they are.
"""

from __future__ import annotations

import dis
import functools
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradnp.compiler.ir import Guard, Trace, Value, owner
from microgradnp.engine.tensor import _PLAIN as PLAIN
from microgradnp.engine.tensor import Tensor

_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype, range, slice)


_COMMON = frozenset({int, float, str, bool, type(None), types.ModuleType})
_OPAQUE = (*_PLAIN, types.ModuleType)


class Surroundings:
    """Everything reachable from a function: conditions to check, names for arrays, random generators."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.guards: list[Guard] = []
        self.tensors: list[Tensor] = []
        self._names: dict[int, list[str]] = {}
        self.generators: list[np.random.Generator] = []
        self._copies: list[tuple[Any, Any, str]] = []
        self._cells: list[tuple[Any, Any, str]] = []
        self._places: list[tuple[Callable[[], Any], Any, str]] = []  # of globals and slots
        self._prints: dict[int, tuple[Any, int, str]] = {}  # of each array's memory
        self._moved: str | None = None
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        waiting: list[tuple[Any, str]] = [(function, "")]
        while waiting:
            x, path = waiting.pop()
            if isinstance(x, np.ndarray | Tensor):
                array = x._value if isinstance(x, Tensor) else x
                memory = owner(array)
                if id(memory) not in self._prints and not memory.dtype.hasobject:
                    self._prints[id(memory)] = (memory, _print(memory), path)
                self._names.setdefault(id(array), []).append(path)
            if type(x) in _COMMON or id(x) in self._seen or isinstance(x, _OPAQUE):
                continue
            self._seen.add(id(x))
            if isinstance(x, Tensor):
                self.tensors.append(x)
            self._kept.append(x)
            waiting.extend(reversed(list(self._inside(x, path))))

    @contextmanager
    def writing(self, target: Any) -> Iterator[None]:
        """The program writes into an array: that is no change that a replay would miss, one before it is."""
        self.reading(target)
        yield
        memory, _, path = self._prints.get(id(owner(target)), (None, 0, ""))
        if memory is not None:
            self._prints[id(memory)] = (memory, _print(memory), path)

    def reading(self, array: Any) -> None:
        """The program reads an array: a replay finds there what the program has written, and nothing else."""
        memory, print_, path = self._prints.get(id(owner(array)), (None, 0, ""))
        if memory is not None and _print(memory) != print_:
            self._moved = self._moved or path

    def changed(self) -> str | None:
        """What is no longer as it was found, apart from what the program itself has written."""
        for container, copy, path in self._copies:
            if not _same(container, copy):
                return path or "an attribute"
        for cell, content, path in self._cells:
            if cell.cell_contents is not content:
                return path
        for look, content, path in self._places:
            if not _same(look(), content):
                return path
        moved = (path for memory, print_, path in self._prints.values() if _print(memory) != print_)
        return self._moved or next(moved, None)

    def name(self, array: Any) -> str:
        """The path that says most about an array: one that ends in an attribute, not in a number."""
        return min(self._names.get(id(array), [""]), key=lambda path: (path.endswith("]"), len(path)))

    def _inside(self, x: Any, path: str) -> Iterator[tuple[Any, str]]:
        if isinstance(x, np.random.Generator):
            self.generators.append(x)
        elif isinstance(x, types.FunctionType):
            yield from self._in_function(x, path)
        elif isinstance(x, types.MethodType):
            yield x.__self__, "self"
            yield x.__func__, path
        elif isinstance(x, functools.partial):
            yield from ((x.func, path), (x.args, f"{path}.args"), (x.keywords, f"{path}.keywords"))
        elif isinstance(x, tuple | frozenset):
            yield from ((part, f"{path}[{i}]") for i, part in enumerate(x))
        elif isinstance(x, list):
            if all(isinstance(part, _PLAIN) for part in x):  # a list of numbers may be a log: it may grow meanwhile
                self._copies.append((x, list(x), path))
                if x:  # as text, which tells 1, 1.0 and True apart, and 0.0 from -0.0
                    self._guard(f"repr({{x}}[:{len(x)}]) == {{text}}", {"x": x, "text": repr(x)}, path)
            else:
                self._watch(x, list(x), path, enumerate(x))
                yield from ((part, f"{path}[{i}]") for i, part in enumerate(x))
        elif isinstance(x, set):
            self._watch(x, set(x), path, ())
        elif isinstance(x, type | property | staticmethod | classmethod):
            yield from self._in_class(x, path)
        elif isinstance(x, dict):
            self._guard("[*{container}] == {keys}", {"container": x, "keys": list(x)}, path)
            self._watch(x, dict(x), path, x.items())
            yield from ((part, f"{path}[{key!r}]") for key, part in x.items())
        elif _ours(type(x)) and hasattr(x, "__wrapped__"):  # a compiled step, this one too: what it was made of
            yield x.__wrapped__, path
        elif not isinstance(x, np.ndarray | Tensor) and not _foreign(x):
            attributes = getattr(x, "__dict__", {})
            if attributes:
                self._watch(attributes, dict(attributes), path, attributes.items())
                yield from ((part, f"{path}.{key}" if path else key) for key, part in attributes.items())
            if _own(type(x)):
                yield from self._in_slots(x, path)
                yield type(x), type(x).__name__

    def _in_function(self, x: types.FunctionType, path: str) -> Iterator[tuple[Any, str]]:
        for name, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # not yet set
                continue
            self._cells.append((cell, content, name))
            self._add("{cell}.cell_contents is {content}", {"cell": cell, "content": content}, name, content)
            yield content, name
        yield from ((part, f"{path}.default") for part in (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values()))
        if not _ours(x):
            for name in _global_names(x.__code__):
                content = x.__globals__.get(name)
                if name in x.__globals__ and not isinstance(content, types.ModuleType) and _own(content):
                    self._places.append((functools.partial(x.__globals__.get, name), content, name))
                    self._add(
                        "{space}[{key!r}] is {content}".replace("{key!r}", repr(name)),
                        {"space": x.__globals__, "content": content},
                        name,
                        content,
                    )
                    yield content, name

    def _in_slots(self, x: Any, path: str) -> Iterator[tuple[Any, str]]:
        for kind in type(x).__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, types.MemberDescriptorType) and hasattr(x, name):
                    content = getattr(x, name)
                    self._places.append((functools.partial(getattr, x, name, None), content, f"{path}.{name}"))
                    self._add("{x}." + name + " is {content}", {"x": x, "content": content}, f"{path}.{name}", content)
                    yield content, f"{path}.{name}"

    def _in_class(self, x: Any, path: str) -> Iterator[tuple[Any, str]]:
        """What the methods of a class read, and what stands in it for all of its instances."""
        if isinstance(x, property):
            yield from ((f, path) for f in (x.fget, x.fset) if f is not None)
        elif not isinstance(x, type):
            yield x.__func__, path
        elif _own(x):
            own = {key: part for key, part in vars(x).items() if not key.startswith("__") or callable(part)}
            self._watch(vars(x), dict(vars(x)), path, own.items())
            yield from ((part, f"{path}.{key}") for key, part in own.items())
            yield from ((base, base.__name__) for base in x.__bases__)

    def _add(self, condition: str, names: dict[str, Any], path: str, content: Any) -> None:
        if isinstance(content, _PLAIN) and not isinstance(content, bool | type(None)):
            self._guard_number(condition.partition(" is ")[0], names, path, content)
            condition = condition.replace(" is ", " == ")
        self._guard(condition, names, path)

    def _guard(self, condition: str, names: dict[str, Any], path: str) -> None:
        self.guards.append(Guard(condition, names, path))

    def _guard_number(self, place: str, names: dict[str, Any], path: str, x: Any) -> None:
        """Numbers of several types are equal, and 0.0 is to -0.0: what is computed from them differs."""
        if isinstance(x, int | float | np.number):
            self._guard(place + ".__class__ is {kind}", {**names, "kind": type(x)}, path)
            if not x and not isinstance(x, int | np.integer):
                self._guard(f"str({place}) == {str(x)!r}", names, path)

    def _watch(self, container: Any, copy: Any, path: str, items: Any) -> None:
        self._copies.append((container, copy, path))
        self._guard("{container} == {copy}", {"container": container, "copy": copy}, path)
        for key, x in items:
            self._guard_number("{container}[{key}]", {"container": container, "key": key}, f"{path}.{key}", x)
            if _may_equal_another(x):
                names = {"container": container, "key": key, "x": x}
                self.guards.append(Guard("{container}[{key}] is {x}", names, f"{path}.{key}"))


@functools.lru_cache(maxsize=1024)
def _global_names(code: types.CodeType) -> tuple[str, ...]:
    """The globals that a function reads: not the names of attributes, which stand in ``co_names`` beside them."""
    own = [step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _global_names(part)]
    return tuple(dict.fromkeys((*own, *inner)))


def _may_equal_another(x: Any) -> bool:
    """An array or Tensor of one element may be equal to another one, and so may a tuple of such."""
    if isinstance(x, tuple):
        return any(map(_may_equal_another, x))
    return isinstance(x, np.ndarray | Tensor) and x.size <= 1


def _print(array: Any) -> int:
    return hash(array.tobytes())


def _same(x: Any, y: Any) -> bool:
    """Whether two plain things are equal, and of others each is the same object."""
    if isinstance(x, list | tuple) and type(x) is type(y):
        return len(x) == len(y) and all(map(_same, x, y))
    if isinstance(x, dict | types.MappingProxyType) and isinstance(y, dict):
        return x.keys() == y.keys() and all(_same(x[key], y[key]) for key in x)
    return x is y or (isinstance(x, (*_PLAIN, set)) and type(x) is type(y) and bool(x == y))


_LIBRARIES = (os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(np.__file__)))


_PACKAGE = __name__.partition(".")[0]


def _ours(x: Any) -> bool:
    """Whether a function or class is of this package."""
    return (x.__module__ or "").partition(".")[0] == _PACKAGE


def _own(x: Any) -> bool:
    """Whether a class is of the program that is run, not of an installed library; true of what is no class."""
    if not isinstance(x, type):
        return True
    module = x.__module__.partition(".")[0]
    file = getattr(sys.modules.get(x.__module__), "__file__", None) or ""
    return module not in ("builtins", _PACKAGE) and not file.startswith(_LIBRARIES)


def _foreign(x: Any) -> bool:
    """An object of a library that does not decide what a step computes."""
    module = type(x).__module__.partition(".")[0]
    return module in ("numpy", "builtins", "threading", "_thread", "logging", "weakref") or isinstance(
        x, types.CodeType
    )


def checks(trace: Trace, name: Callable[[Any], str]) -> Iterator[str]:
    """The lines that see whether the program fits a call: its arguments, and everything else that it relies on."""
    if trace.state == PLAIN:
        yield "if state() is not PLAIN: return MISS"
    else:
        yield f"if state() != {name(trace.state)}: return MISS"
    args, kwargs = trace.structure
    yield f"if len(args) != {len(args)} or {f'len(kwargs) != {len(kwargs)}' if kwargs else 'kwargs'}: return MISS"
    counter = iter(range(len(trace.inputs)))
    for i, x in enumerate(args):
        yield from _check_argument(x, f"args[{i}]", counter, name)
    for key, x in kwargs.items():
        yield f"if {key!r} not in kwargs: return MISS"
        yield from _check_argument(x, f"kwargs[{key!r}]", counter, name)
    conditions = [guard.condition.format(**{key: name(x) for key, x in guard.names.items()}) for guard in trace.guards]
    if conditions:
        yield "try:"
        yield "    if not (" + " and ".join(conditions) + "): return MISS"
        yield "except Exception: return MISS"


def what_changed(trace: Trace) -> str | None:
    """What makes the program unfit, of all that it relies on besides its arguments."""
    for guard in trace.guards:
        names = {f"_{key}": x for key, x in guard.names.items()}
        try:
            holds = eval(guard.condition.format(**{key: f"_{key}" for key in guard.names}), names)
        except Exception:  # a comparison of arrays: something else stands there now
            holds = False
        if not holds:
            return guard.path
    return None


def _check_argument(x: Any, place: str, counter: Iterator[int], name: Callable[[Any], str]) -> Iterator[str]:
    if type(x) is Value:
        a = f"a{next(counter)}"
        yield f"{a} = {place}"
        yield f"if type({a}) is not ndarray:"
        yield f"    {a} = unwrap({a})"
        yield f"    if {a} is MISS: return MISS"
        yield f"if {a}.shape != {x.shape}: return MISS"
    elif isinstance(x, tuple | list):
        yield f"if type({place}) is not {name(type(x))} or len({place}) != {len(x)}: return MISS"
        for i, part in enumerate(x):
            yield from _check_argument(part, f"{place}[{i}]", counter, name)
    elif isinstance(x, dict):
        yield f"if type({place}) is not {name(type(x))} or list({place}) != {name(list(x))}: return MISS"
        for key, part in x.items():
            yield from _check_argument(part, f"{place}[{name(key)}]", counter, name)
    elif isinstance(x, int | float | str | bytes | complex):
        yield f"if type({place}) is not {name(type(x))} or {place} != {name(x)}: return MISS"
        if type(x) is float and not x:
            yield f"if str({place}) != {str(x)!r}: return MISS"  # 0.0 is equal to -0.0
    else:
        yield f"if {place} is not {name(x)}: return MISS"
