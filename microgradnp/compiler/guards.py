"""What a step can see besides its arguments, so that a program is never replayed after it has changed.

A step reads its closure, globals, the attributes of models and optimizers: any of these may decide what it computes.
They are walked once, when recording; what is found there becomes conditions, as data: what is looked at in which
object, and what must stand there. Arrays are not compared: the program reads them where they are. Only of a small
array that it does not read, of which NumPy alone may have made something, the content must be what it was.
"""

from __future__ import annotations

import builtins
import dis
import functools
import os
import sys
import types
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from copy import copy
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.generators import has_state
from microgradnp.compiler.ir import Guard, Trace, Value, owner
from microgradnp.engine.state import PLAIN
from microgradnp.engine.tensor import Tensor
from microgradnp.tree import NESTED, leaves

SMALL = 1024
"""Up to so many bytes, an array that only NumPy may have read is compared at each replay (0.04 us)."""

CROWD = 16
"""What stands among more parts, of a container or of several in one another, is compared as far as a program pays."""

MANY = 10_000
"""What stands among more parts is left to the audit, but for how many there are."""

# -- Conditions --------------------------------------------------------------------------------------------------------


def same(x: Any, y: Any) -> bool:
    """Whether a number or text is as good as another: 1 and 1.0, or 0.0 and -0.0, are equal, and compute otherwise."""
    return x is y or (x.__class__ is y.__class__ and repr(x) == repr(y))


def stands(look: str, content: Any) -> str:
    """The test that the same object stands there; of numbers and texts, an equal one."""
    if isinstance(content, _PLAIN) and not isinstance(content, bool | type(None)):
        return f"({look} is {{y}} or {{same}}({look}, {{y}}))"
    return f"{look} is {{y}}"


def holds(guard: Guard) -> bool:
    """Whether the condition holds now."""
    try:
        return bool(_function(guard.test)(guard.holder, guard.key, guard.expected))
    except Exception:  # gone, or a comparison of arrays: something else stands there now
        return False


@functools.cache
def _function(test: str) -> Callable[[Any, Any, Any], Any]:
    return eval(f"lambda x, key, y: {test.format(x='x', key='key', y='y', same='same')}", {"same": same})  # type: ignore[no-any-return]


def condition(guard: Guard, name: Callable[[Any], str]) -> str:
    """The condition as code of a replay."""
    return guard.test.format(x=name(guard.holder), key=name(guard.key), y=name(guard.expected), same=name(same))


def affordable(guards: list[Guard], operations: int) -> list[Guard]:
    """All guards but those in crowds for which a program of so many operations does not pay: the smallest stay."""
    left = 24 + 2 * operations
    dropped: set[int] = set()
    for guard in sorted(guards, key=lambda guard: guard.crowd):
        if guard.crowd > CROWD:
            left -= _cost(guard)
            if left < 0:
                dropped.add(id(guard))
    return [guard for guard in guards if id(guard) not in dropped]


def _cost(guard: Guard) -> int:
    """How many comparisons of a number (20 ns) a guard takes as long as."""
    if " == " not in guard.test or not isinstance(guard.expected, Sized):
        return 1
    return 1 + len(guard.expected) // (2 if isinstance(guard.expected, dict | set) else 16)  # 11 ns a key, 1 ns an item


def what_changed(guards: list[Guard]) -> str | None:
    """The path of the first condition that does not hold."""
    return next((guard.path for guard in guards if not holds(guard)), None)


def checks(trace: Trace, name: Callable[[Any], str]) -> Iterator[str]:
    """The lines that see whether the program fits a call: its arguments, and everything else that it relies on."""
    fits = "state() is PLAIN" if trace.state == PLAIN else f"state() == {name(trace.state)}"
    yield f"if not {fits}: return MISS"
    args, kwargs = trace.structure
    yield f"if len(args) != {len(args)} or {f'len(kwargs) != {len(kwargs)}' if kwargs else 'kwargs'}: return MISS"
    counter = count()
    for i, x in enumerate(args):
        yield from _check_argument(x, f"args[{i}]", counter, name)
    for key, x in kwargs.items():
        yield f"if {key!r} not in kwargs: return MISS"
        yield from _check_argument(x, f"kwargs[{key!r}]", counter, name)
    for i, v in enumerate(trace.inputs):
        if v in trace.numbers:
            yield f"if a{i} != {v.array}: return MISS"
    if trace.guards:
        yield "try:"
        yield "    if not (" + " and ".join(condition(guard, name) for guard in trace.guards) + "): return MISS"
        yield "except Exception: return MISS"


def _check_argument(x: Any, place: str, counter: Iterator[int], name: Callable[[Any], str]) -> Iterator[str]:
    if type(x) is Value:
        a = f"a{next(counter)}"
        yield f"{a} = {place}"
        yield f"if type({a}) is not ndarray:"
        yield f"    {a} = unwrap({a})"
        yield f"    if {a} is MISS: return MISS"
        yield f"if {a}.shape != {x.shape}: return MISS"
    elif isinstance(x, NESTED):
        keys = list(x) if isinstance(x, dict) else range(len(x))
        length = f"[*{place}] != {name(keys)}" if isinstance(x, dict) else f"len({place}) != {len(x)}"
        yield f"if type({place}) is not {name(type(x))} or {length}: return MISS"
        if len(parts := leaves(x)) > CROWD and {type(part) for part in parts} <= _COMMON:
            values = f"[*{place}.values()] != {name([*x.values()])}" if isinstance(x, dict) else f"{place} != {name(x)}"
            yield f"if {values}: return MISS"
            return
        for key in keys:
            yield from _check_argument(x[key], f"{place}[{name(key)}]", counter, name)
    else:
        yield f"if not {stands(place, x).format(y=name(x), same=name(same))}: return MISS"


# -- What a step can reach ---------------------------------------------------------------------------------------------

_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype, range, slice)
_COMMON = frozenset({int, float, complex, str, bytes, bool, type(None), types.ModuleType})
_OPAQUE = (*_PLAIN, types.ModuleType)
_MAPPINGS = (dict, types.MappingProxyType)
_CONTAINERS = (list, tuple, dict, set, frozenset, deque, array, bytearray)
_INSIDE: dict[type, tuple[str, ...]] = {
    types.MethodType: ("__self__", "__func__"),
    functools.partial: ("func", "args", "keywords"),
    property: ("fget", "fset"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
}
"""What is looked into by name, with no guard: it never changes."""


class Found(NamedTuple):
    """Something that a step can reach."""

    content: Any
    path: str  # that leads to it
    ours: bool = False  # held by an object of this package
    crowd: int = 1  # how many stand there: the product of the parts of all containers on the way


class Surroundings:
    """Everything reachable from a function and its arguments: conditions of a replay, names, random generators."""

    def __init__(self, function: Callable[..., Any], arguments: Iterable[tuple[str, Any]] = ()) -> None:
        self.guards: list[Guard] = []
        self.tensors: set[Tensor] = set()
        self.generators: list[Any] = []
        self.memory = Memory()
        self.growing: list[list[Any]] = []  # lists of numbers, that may be logs
        self._lengths: list[Guard] = []  # of these: the step itself does not append
        self._plain: list[Found] = []  # arrays that NumPy alone may read
        self._names: dict[int, list[str]] = {}
        self._seen: dict[int, Any] = {}  # kept, so that an identity stays one's own
        self._crowd = 1  # of what is looked into
        given = [Found(x, path) for path, x in arguments if not isinstance(x, np.ndarray | Tensor)]
        waiting = [*reversed(given), Found(function, "")]
        while waiting:
            found = waiting.pop()
            x = found.content
            if type(x) in _COMMON:
                continue
            if isinstance(x, np.ndarray | Tensor):
                self._find_array(found)
            if id(x) in self._seen or isinstance(x, _OPAQUE):
                continue
            self._seen[id(x)] = x
            ours, self._crowd = found.ours, found.crowd
            if isinstance(x, _CONTAINERS):
                self._crowd *= max(len(x), 1)
            else:
                ours = _ours(type(x))
            inside = [Found(part, path, ours, self._crowd) for part, path in self._inside(x, found.path)]
            waiting.extend(reversed(inside))

    def changed(self) -> str | None:
        """What is no longer as it was found, apart from what the program itself has written."""
        return what_changed(self.guards) or what_changed(self._lengths) or self.memory.changed()

    def contents(self, used: set[int]) -> list[Guard]:
        """Guards of small arrays that lie in none of the memories ``used``, which the program reads where they are."""
        small = [f for f in self._plain if f.content.nbytes <= SMALL and f.crowd <= MANY]
        return [Guard(*_content(f.content), f.path, crowd=f.crowd) for f in small if id(owner(f.content)) not in used]

    def name(self, array: Any) -> str:
        """The path that says most about an array: one that ends in an attribute, not in a number."""
        return min(self._names.get(id(array), [""]), key=lambda path: (path.endswith("]"), len(path)))

    # -- The walk

    def _find_array(self, found: Found) -> None:
        x, path, ours, _ = found
        data = x._value if isinstance(x, Tensor) else x
        self._names.setdefault(id(data), []).append(path)
        if id(x) in self._seen or data.dtype.hasobject:
            return
        if isinstance(x, Tensor):
            self.tensors.add(x)
        elif not ours:  # this package's own arrays are read by programs, where they are
            self._plain.append(found)
        self.memory.watch(data, path)

    def _inside(self, x: Any, path: str) -> Iterator[tuple[Any, str]]:
        if has_state(x):
            self.generators.append(x)
        elif isinstance(x, types.FunctionType):
            yield from self._in_function(x, path)
        elif isinstance(x, tuple(_INSIDE)):
            names = _INSIDE[next(kind for kind in type(x).__mro__ if kind in _INSIDE)]
            yield from ((getattr(x, name), "self" if name == "__self__" else path) for name in names)
        elif isinstance(x, weakref.ref):  # followed, but no guard keeps alive what it leads to
            yield x(), path
        elif isinstance(x, _CONTAINERS):
            yield from self._in_container(x, path)
        elif isinstance(x, ContextVar):
            self._guard_place(x, "{x}.get(None)", None, x.get(None), path)
            yield x.get(None), path
        elif isinstance(x, type):
            yield from self._in_class(x, path)
        elif _ours(type(x)) and hasattr(x, "__wrapped__"):  # a compiled step, this one too: what it was made of
            yield x.__wrapped__, path
        elif not isinstance(x, np.ndarray | Tensor) and not _foreign(x):
            yield from self._in_object(x, path)

    def _in_function(self, x: types.FunctionType, path: str) -> Iterator[tuple[Any, str]]:
        for name, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # not yet set
                self._guard(cell, "{x} == {y}", types.CellType(), name)
                continue
            self._guard_place(cell, "{x}.cell_contents", None, content, name)
            yield content, name
        yield from ((part, f"{path}.default") for part in (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values()))
        if _ours(x):
            return
        if x.__dict__:
            yield x.__dict__, path or x.__name__
        yield from self._in_space(x.__globals__, _global_names(x.__code__), x.__code__, [])

    def _in_space(
        self, space: dict[str, Any], names: Iterable[str], code: types.CodeType, outer: list[Any]
    ) -> Iterator[tuple[Any, str]]:
        """What a function finds by these names: globals, or attributes of modules of one's own."""
        for name in names:
            content = space.get(name)
            if isinstance(content, types.ModuleType):
                if (content is os and "environ" in _names(code) | {*_global_names(code)}) or "getenv" in _names(code):
                    self._guard(os.environ, "{x} == {y}", dict(os.environ), "os.environ")
                elif _own(content) and not any(content is module for module in outer):
                    yield from self._in_space(vars(content), sorted(_names(code)), code, [*outer, content])
            elif name in space and _own(content):
                self._guard_place(space, "{x}[{key}]", name, content, name)
                yield content, name
            elif name not in space and not outer and not hasattr(builtins, name):  # to be defined later
                self._guard_place(space, "{x}.get({key})", name, None, name)

    def _in_container(self, x: Any, path: str) -> Iterator[tuple[Any, str]]:
        simple = {type(part) for part in (x.values() if isinstance(x, dict) else x)} <= _COMMON
        if isinstance(x, list) and simple and self._crowd <= CROWD * max(len(x), 1):
            # A list of numbers may be a log: it may grow.
            self._lengths.append(Guard(x, "len({x}) == {y}", len(x), path))
            self.growing.append(x)
            if x:
                self._guard(x, "({x} == {y} or {x}[:{key}] == {y})", [*x], path, len(x))
                self._guard_numbers(x, path)
        elif not isinstance(x, tuple | frozenset):
            if isinstance(x, dict) and self._crowd <= CROWD:
                self._guard(x, "[*{x}] == {y}", [*x], path)
            self._guard_items(x, path)
        if not simple:
            parts = ((part, f"{path}[{key!r}]") for key, part in _parts(x))
            yield from parts if self._crowd <= MANY else (found for found in parts if isinstance(found[0], Tensor))

    def _in_object(self, x: Any, path: str) -> Iterator[tuple[Any, str]]:
        attributes = getattr(x, "__dict__", None)
        if attributes is not None:  # an empty one too: what is set in it hides what the class says
            self._crowd = max(self._crowd, len(attributes))
            self._guard_items(attributes, path)
            yield from ((part, f"{path}.{key}" if path else key) for key, part in attributes.items())
        if not _own(type(x)):
            return
        for kind in type(x).__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, types.MemberDescriptorType) and hasattr(x, name):
                    content = getattr(x, name)
                    self._guard_place(x, f"{{x}}.{name}", None, content, f"{path}.{name}")
                    yield content, f"{path}.{name}"
        yield type(x), type(x).__name__

    def _in_class(self, x: Any, path: str) -> Iterator[tuple[Any, str]]:
        """What the methods of a class read, and what stands in it for all of its instances."""
        if _own(x):
            self._guard_items(vars(x), path)
            own = ((key, part) for key, part in vars(x).items() if not key.startswith("__") or callable(part))
            yield from ((part, f"{path}.{key}") for key, part in own)
            yield from ((base, base.__name__) for base in x.__bases__)

    # -- Its conditions

    def _guard(
        self, holder: Any, test: str, expected: Any, path: str, key: Any = None, crowd: int | None = None
    ) -> None:
        crowd = self._crowd if crowd is None else crowd
        if crowd <= MANY:
            self.guards.append(Guard(holder, test, expected, path, key, crowd))

    def _guard_place(self, holder: Any, look: str, key: Any, content: Any, path: str) -> None:
        self._guard(holder, stands(look, content), content, path, key)

    def _guard_items(self, holder: Any, path: str) -> None:
        if len(holder) > CROWD:
            self._guard(holder, "len({x}) == {y}", len(holder), path, crowd=self._crowd // len(holder))
        if self._crowd <= MANY:
            expected = dict(holder) if isinstance(holder, _MAPPINGS) else copy(holder)
            self._guard(holder, "{x} == {y}", expected, path)
            self._guard_numbers(holder, path)

    def _guard_numbers(self, holder: Any, path: str) -> None:
        """Parts that may be equal to others of another type, or to arrays."""
        if self._crowd > MANY or isinstance(holder, set | array | bytearray):
            return
        for key, x in _parts(holder):
            if _may_equal_another(x) or (self._crowd <= CROWD and isinstance(x, int | float | complex | np.number)):
                self._guard_place(holder, "{x}[{key}]", key, x, f"{path}.{key}")


class Memory:
    """What stands in the arrays that a step can reach: while it is recorded, only the program may change it."""

    def __init__(self) -> None:
        self._prints: dict[int, tuple[Any, int, str]] = {}  # of each owner of memory
        self._written: set[int] = set()  # by the program: the audit compares what it has written with the step

    def watch(self, array: Array, path: str) -> None:
        """Notice what becomes of an array."""
        memory = owner(array)
        if id(memory) not in self._prints:
            self._prints[id(memory)] = (memory, _print(memory), path)

    def writing(self, target: Array) -> None:
        """The program writes into an array: that is no change that a replay would miss."""
        self._written.add(id(owner(target)))

    def changed(self) -> str | None:
        """What NumPy alone has written into."""
        for key, (memory, print_, path) in self._prints.items():
            if key not in self._written and _print(memory) != print_:
                return path
        return None


def _print(array: Any) -> int:
    return hash(array.tobytes())


@functools.lru_cache(maxsize=1024)
def _global_names(code: types.CodeType) -> tuple[str, ...]:
    """The globals that a function reads: not the names of attributes, which stand in ``co_names`` beside them."""
    own = [step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _global_names(part)]
    return tuple(dict.fromkeys((*own, *inner)))


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> frozenset[str]:
    """All names that a function reads, of attributes too."""
    inner = [_names(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return frozenset(code.co_names).union(*inner)


def _parts(x: Any) -> Iterable[tuple[Any, Any]]:
    """What a container holds, with the keys or places."""
    return x.items() if isinstance(x, _MAPPINGS) else enumerate(x)


def _content(a: Array) -> tuple[Any, str, Any]:
    """What to look at, how, and what to expect of an array whose content must be what it was."""
    if a.flags.c_contiguous:  # compared as bytes, without a copy: 0.04 us
        return a.reshape(-1).view(np.uint8).data, "{y} == {x}", bytearray(a.tobytes())
    return a, "{x}.tobytes() == {y}", a.tobytes()


def _may_equal_another(x: Any) -> bool:
    """An array or Tensor of one element may be equal to another one, and so may a tuple of such."""
    if isinstance(x, tuple):
        return any(map(_may_equal_another, x))
    return isinstance(x, np.ndarray | Tensor) and x.size <= 1


_LIBRARIES = (os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(np.__file__)))
_PACKAGE = __name__.partition(".")[0]


def _ours(x: Any) -> bool:
    """Whether a function or class is of this package."""
    return _package(x) == _PACKAGE


def _package(x: Any) -> str:
    """The package that a function or class comes from."""
    module = x.__module__  # of a class written in C, this may be a descriptor
    return module.partition(".")[0] if isinstance(module, str) else ""


def _own(x: Any) -> bool:
    """Whether a class or module is of the program that is run, not of an installed library; true of anything else."""
    if not isinstance(x, type | types.ModuleType):
        return True
    name = x.__name__ if isinstance(x, types.ModuleType) else x.__module__
    module = x if isinstance(x, types.ModuleType) else sys.modules.get(name)
    if name.partition(".")[0] in (*sys.builtin_module_names, _PACKAGE):
        return False
    return not (getattr(module, "__file__", None) or "").startswith(_LIBRARIES)


def _foreign(x: Any) -> bool:
    """An object of a library that does not decide what a step computes."""
    return _package(type(x)) in ("numpy", "builtins", "threading", "_thread", "logging", "weakref") or isinstance(
        x, types.CodeType
    )
