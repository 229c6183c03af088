"""What a step can see besides its arguments, so that a program is never replayed after it has changed.

A step reads its closure, globals, the attributes of models and optimizers: any of these may decide what it computes.
They are walked once, when recording; what is found there becomes conditions, as data: what is looked at in which
object, and what must stand there. Arrays are not compared: the program reads them where they are. Only of a small
array that it does not read, of which NumPy alone may have made something, the content must be what it was.
"""

from __future__ import annotations

import dis
import functools
import operator
import os
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.ir import Guard, Trace, Value, owner
from microgradnp.engine.state import PLAIN
from microgradnp.engine.tensor import Tensor

SMALL = 1024
"""Up to so many bytes, an array that only NumPy may have read is compared at each replay (0.2 us)."""

# -- Conditions --------------------------------------------------------------------------------------------------------

LOOKS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "itself":    (lambda x, key: x,               "{x}"),
    "cell":      (lambda x, key: x.cell_contents, "{x}.cell_contents"),
    "attribute": (getattr,                        "{x}.{key}"),
    "item":      (operator.getitem,               "{x}[{key}]"),
    "order":     (lambda x, key: [*x],            "[*{x}]"),
    "start":     (lambda x, key: repr(x[:key]),   "repr({x}[:{key}])"),
    "content":   (lambda x, key: x.tobytes(),     "{x}.tobytes()"),
}  # fmt: skip
"""What a guard looks at in its holder: as a function, and as the code of a replay."""

RELATIONS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "is":       (operator.is_,                       "{y} is {expected}"),
    "equals":   (operator.eq,                        "{y} == {expected}"),
    "has type": (lambda y, kind: y.__class__ is kind, "{y}.__class__ is {expected}"),
    "is shown": (lambda y, text: str(y) == text,     "str({y}) == {expected}"),
}  # fmt: skip
"""How what is found must stand to what is expected: as a function, and as the code of a replay."""


def holds(guard: Guard) -> bool:
    """Whether the condition holds now."""
    try:
        return bool(RELATIONS[guard.relation][0](LOOKS[guard.look][0](guard.holder, guard.key), guard.expected))
    except Exception:  # gone, or a comparison of arrays: something else stands there now
        return False


def condition(guard: Guard, name: Callable[[Any], str]) -> str:
    """The condition as code."""

    def written(x: Any) -> str:
        return repr(x) if type(x) in (int, str, bool, type(None)) else name(x)

    key = guard.key if guard.look == "attribute" else written(guard.key)
    found = LOOKS[guard.look][1].format(x=name(guard.holder), key=key)
    return RELATIONS[guard.relation][1].format(y=found, expected=written(guard.expected))


def what_changed(guards: list[Guard]) -> str | None:
    """The path of the first condition that does not hold."""
    return next((guard.path for guard in guards if not holds(guard)), None)


def checks(trace: Trace, name: Callable[[Any], str]) -> Iterator[str]:
    """The lines that see whether the program fits a call: its arguments, and everything else that it relies on."""
    fits = "state() is PLAIN" if trace.state == PLAIN else f"state() == {name(trace.state)}"
    yield f"if not {fits}: return MISS"
    args, kwargs = trace.structure
    yield f"if len(args) != {len(args)} or {f'len(kwargs) != {len(kwargs)}' if kwargs else 'kwargs'}: return MISS"
    counter = iter(range(len(trace.inputs)))
    for i, x in enumerate(args):
        yield from _check_argument(x, f"args[{i}]", counter, name)
    for key, x in kwargs.items():
        yield f"if {key!r} not in kwargs: return MISS"
        yield from _check_argument(x, f"kwargs[{key!r}]", counter, name)
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


# -- What a step can reach ---------------------------------------------------------------------------------------------

_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype, range, slice)
_COMMON = frozenset({int, float, str, bool, type(None), types.ModuleType})
_OPAQUE = (*_PLAIN, types.ModuleType)

Found: TypeAlias = "tuple[Any, str]"
"""Something that a step can reach, and the path that leads to it."""


class Surroundings:
    """Everything reachable from a function: conditions of a replay, names for arrays, Tensors, random generators."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.guards: list[Guard] = []
        self.tensors: set[Tensor] = set()
        self.generators: list[np.random.Generator] = []
        self.memory = Memory()
        self._lengths: list[Guard] = []  # of lists that may grow between calls, but not by the step itself
        self._plain: list[tuple[Array, str]] = []  # arrays that NumPy alone may read
        self._names: dict[int, list[str]] = {}
        self._seen: dict[int, Any] = {}  # kept, so that an identity stays one's own
        waiting: list[tuple[Any, str, bool]] = [(function, "", False)]
        while waiting:
            x, path, ours = waiting.pop()
            if isinstance(x, np.ndarray | Tensor):
                self._find_array(x, path, ours)
            if type(x) in _COMMON or id(x) in self._seen or isinstance(x, _OPAQUE):
                continue
            self._seen[id(x)] = x
            if not isinstance(x, tuple | list | dict):
                ours = _ours(type(x))  # whether what is inside is held by an object of this package
            waiting.extend(reversed([(part, place, ours) for part, place in self._inside(x, path)]))

    def changed(self) -> str | None:
        """What is no longer as it was found, apart from what the program itself has written."""
        return what_changed(self.guards) or what_changed(self._lengths) or self.memory.changed()

    def contents(self, used: set[int]) -> list[Guard]:
        """Guards of small arrays that lie in none of the memories ``used``, which the program reads where they are."""
        unread = [(a, path) for a, path in self._plain if a.nbytes <= SMALL and id(owner(a)) not in used]
        return [Guard(a, "content", None, "equals", a.tobytes(), path) for a, path in unread]

    def name(self, array: Any) -> str:
        """The path that says most about an array: one that ends in an attribute, not in a number."""
        return min(self._names.get(id(array), [""]), key=lambda path: (path.endswith("]"), len(path)))

    # -- The walk

    def _find_array(self, x: Any, path: str, ours: bool) -> None:
        array = x._value if isinstance(x, Tensor) else x
        self._names.setdefault(id(array), []).append(path)
        if id(x) in self._seen or array.dtype.hasobject:
            return
        if isinstance(x, Tensor):
            self.tensors.add(x)
        elif not ours:  # this package's own arrays are read by programs, where they are
            self._plain.append((x, path))
        self.memory.watch(array, path, closely=not ours and array is x)

    def _inside(self, x: Any, path: str) -> Iterator[Found]:
        if isinstance(x, np.random.Generator):
            self.generators.append(x)
        elif isinstance(x, types.FunctionType):
            yield from self._in_function(x, path)
        elif isinstance(x, types.MethodType):
            yield from ((x.__self__, "self"), (x.__func__, path))
        elif isinstance(x, weakref.ref):  # followed, but no guard keeps alive what it leads to
            yield x(), path
        elif isinstance(x, functools.partial):
            yield from ((x.func, path), (x.args, f"{path}.args"), (x.keywords, f"{path}.keywords"))
        elif isinstance(x, list):
            yield from self._in_list(x, path)
        elif isinstance(x, tuple | frozenset):
            yield from ((part, f"{path}[{i}]") for i, part in enumerate(x))
        elif isinstance(x, set):
            self._guard(x, "itself", None, "equals", set(x), path)
        elif isinstance(x, dict):
            self._guard(x, "order", None, "equals", list(x), path)
            self._guard_items(x, dict(x), path, x.items())
            yield from ((part, f"{path}[{key!r}]") for key, part in x.items())
        elif isinstance(x, type | property | staticmethod | classmethod):
            yield from self._in_class(x, path)
        elif _ours(type(x)) and hasattr(x, "__wrapped__"):  # a compiled step, this one too: what it was made of
            yield x.__wrapped__, path
        elif not isinstance(x, np.ndarray | Tensor) and not _foreign(x):
            yield from self._in_object(x, path)

    def _in_function(self, x: types.FunctionType, path: str) -> Iterator[Found]:
        for name, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # not yet set
                continue
            self._guard_place(cell, "cell", None, content, name)
            yield content, name
        yield from ((part, f"{path}.default") for part in (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values()))
        if _ours(x):
            return
        for name in _global_names(x.__code__):
            content = x.__globals__.get(name)
            if name in x.__globals__ and not isinstance(content, types.ModuleType) and _own(content):
                self._guard_place(x.__globals__, "item", name, content, name)
                yield content, name

    def _in_list(self, x: list[Any], path: str) -> Iterator[Found]:
        if not all(isinstance(part, _PLAIN) for part in x):
            self._guard_items(x, list(x), path, enumerate(x))
            yield from ((part, f"{path}[{i}]") for i, part in enumerate(x))
            return
        # A list of numbers may be a log: it may grow meanwhile.
        self._lengths.append(Guard(x, "itself", None, "equals", list(x), path))
        if x:  # as text, which tells 1, 1.0 and True apart, and 0.0 from -0.0
            self._guard(x, "start", len(x), "equals", repr(x), path)

    def _in_object(self, x: Any, path: str) -> Iterator[Found]:
        attributes = getattr(x, "__dict__", None)
        if attributes is not None:  # an empty one too: what is set in it hides what the class says
            self._guard_items(attributes, dict(attributes), path, attributes.items())
            yield from ((part, f"{path}.{key}" if path else key) for key, part in attributes.items())
        if not _own(type(x)):
            return
        for kind in type(x).__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, types.MemberDescriptorType) and hasattr(x, name):
                    content = getattr(x, name)
                    self._guard_place(x, "attribute", name, content, f"{path}.{name}")
                    yield content, f"{path}.{name}"
        yield type(x), type(x).__name__

    def _in_class(self, x: Any, path: str) -> Iterator[Found]:
        """What the methods of a class read, and what stands in it for all of its instances."""
        if isinstance(x, property):
            yield from ((f, path) for f in (x.fget, x.fset) if f is not None)
        elif not isinstance(x, type):
            yield x.__func__, path
        elif _own(x):
            own = {key: part for key, part in vars(x).items() if not key.startswith("__") or callable(part)}
            self._guard_items(vars(x), dict(vars(x)), path, own.items())
            yield from ((part, f"{path}.{key}") for key, part in own.items())
            yield from ((base, base.__name__) for base in x.__bases__)

    # -- Its conditions

    def _guard(self, holder: Any, look: str, key: Any, relation: str, expected: Any, path: str) -> None:
        self.guards.append(Guard(holder, look, key, relation, expected, path))

    def _guard_place(self, holder: Any, look: str, key: Any, content: Any, path: str) -> None:
        """The same object must stand there; of numbers and texts, an equal one."""
        if isinstance(content, _PLAIN) and not isinstance(content, bool | type(None)):
            self._guard_number(holder, look, key, content, path)
            self._guard(holder, look, key, "equals", content, path)
        else:
            self._guard(holder, look, key, "is", content, path)

    def _guard_number(self, holder: Any, look: str, key: Any, x: Any, path: str) -> None:
        """Numbers of several types are equal, and 0.0 is to -0.0: what is computed from them differs."""
        if isinstance(x, int | float | np.number):
            self._guard(holder, look, key, "has type", type(x), path)
            if not x and not isinstance(x, int | np.integer):
                self._guard(holder, look, key, "is shown", str(x), path)

    def _guard_items(self, holder: Any, copy: Any, path: str, items: Any) -> None:
        self._guard(holder, "itself", None, "equals", copy, path)
        for key, x in items:
            self._guard_number(holder, "item", key, x, f"{path}.{key}")
            if _may_equal_another(x):
                self._guard(holder, "item", key, "is", x, f"{path}.{key}")


class Memory:
    """What stands in the arrays that a step can reach: while it is recorded, only the program may change it."""

    def __init__(self) -> None:
        self._prints: dict[int, tuple[Any, int, str]] = {}  # of each owner of memory
        self.closely: set[int] = set()  # what NumPy alone may write into, and put back
        self._written: set[int] = set()
        self._moved: str | None = None

    def watch(self, array: Array, path: str, closely: bool) -> None:
        """Notice what becomes of an array."""
        memory = owner(array)
        if id(memory) not in self._prints:
            self._prints[id(memory)] = (memory, _print(memory), path)
        if closely:
            self.closely.add(id(memory))

    def reading(self, array: Array) -> None:
        """The program reads an array: a replay finds there what the program has written, and nothing else."""
        key = id(owner(array))
        if key in self.closely:
            memory, print_, path = self._prints[key]
            if _print(memory) != print_:
                self._moved = self._moved or path

    @contextmanager
    def writing(self, target: Array) -> Iterator[None]:
        """The program writes into an array: that is no change that a replay would miss, one before it is."""
        self.reading(target)
        yield
        key = id(owner(target))
        self._written.add(key)
        if key in self.closely:
            memory, _, path = self._prints[key]
            self._prints[key] = (memory, _print(memory), path)

    def changed(self) -> str | None:
        """What NumPy alone has written into."""
        for key, (memory, print_, path) in self._prints.items():
            if (key in self.closely or key not in self._written) and _print(memory) != print_:
                return path
        return self._moved


def _print(array: Any) -> int:
    return hash(array.tobytes())


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
