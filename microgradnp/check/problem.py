"""A function and its arguments, seen as a function of one flat vector: what every check works on."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from microgradnp import tree
from microgradnp.engine.tensor import Tensor
from microgradnp.signatures import parameters_of

Array = NDArray[Any]
Function = Callable[..., Any]
T = TypeVar("T")


class NotFiniteError(ValueError):
    """The function has no finite value at the given arguments."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One array (or number) of the arguments that the gradient is taken by."""

    name: str
    argument: int
    place: int
    """Which it is of all leaves of the arguments."""
    part: slice
    """Where its entries stand among those of all variables."""
    value: Any
    array: Array
    """The value as an array."""

    def entry(self, i: int) -> str:
        """The name of one of its entries."""
        index = np.unravel_index(i, self.array.shape)
        return f"{self.name}[{', '.join(map(str, index))}]" if index else self.name

    def has(self, entry: int) -> bool:
        """Whether one of all variables' entries is its own."""
        return entry in range(self.part.start, self.part.stop)

    def holding(self, numbers: Array) -> Any:
        """A value of this kind, shape and dtype (but complex, if they are) that is made of these numbers."""
        kept = numbers.dtype.kind == "c"
        if not kept and numbers.dtype != self.array.dtype:
            numbers = numbers.astype(self.array.dtype)
        if kept or isinstance(self.value, np.ndarray):
            return numbers.reshape(self.array.shape)
        return numbers[0] if isinstance(self.value, np.generic) else float(numbers[0])


@dataclass(frozen=True, eq=False)
class Direction:
    """A way to move the variables: entries that stand beside one another, each by so much for a step of 1."""

    first: int
    amounts: Array
    length: float
    """The step over which the function may be thought to change, a power of two."""
    close: float
    """The step that leads to zero, where many functions have a scale of their own; NaN for none."""

    @cached_property
    def part(self) -> slice:
        """The entries that move."""
        return slice(self.first, self.first + self.amounts.size)

    @cached_property
    def entry(self) -> int | None:
        """The one entry that moves; None if several do."""
        return self.first if self.amounts.size == 1 else None

    def step(self, x: Array, t: float) -> Array:
        """The point ``t`` along it from ``x``."""
        z = x.copy()
        if self.entry is None:
            z[self.part] += t * self.amounts
        else:  # the usual case, and a fifth of the time
            z[self.entry] += t
        return z

    def halves(self) -> list["Direction"]:
        """It cut in two."""
        half = (self.amounts.size + 1) // 2
        rest = replace(self, first=self.first + half, amounts=self.amounts[half:])
        return [replace(self, amounts=self.amounts[:half]), rest]


class Problem:
    """A function and its arguments; float leaves of the picked arguments are variables, all else is held constant."""

    def __init__(
        self, f: Function, args: tuple[Any, ...], options: dict[str, Any], argnums: int | Sequence[int] | None
    ) -> None:
        self.f, self.options = f, options
        self.name = getattr(f, "__name__", type(f).__name__)
        self.arguments = argument_names(f, len(args))
        picked = range(len(args)) if argnums is None else (argnums,) if isinstance(argnums, int) else argnums
        if any(not -len(args) <= i < len(args) for i in picked):
            raise ValueError(
                f"argnums={argnums} asks for an argument that {self.name} was not given: it got {len(args)} arguments."
            )
        self.picked = tuple(i % len(args) for i in picked)
        self.args = tree.map(plain, args)
        self.everything = tree.leaves(self.args)
        self.nested = any(isinstance(arg, tree.NESTED) for arg in self.args)
        self.leaves = self._variables()
        if not self.leaves:
            raise TypeError(
                f"{self.name} was given no float32 or float64 argument to take a gradient by (got "
                f"{', '.join(type(a).__name__ for a in args) or 'none'}). Write 1.0 instead of 1."
            )
        self.names = tuple(dict.fromkeys(self.arguments[leaf.argument] for leaf in self.leaves))
        self.size = self.leaves[-1].part.stop
        self.x = self._numbers()
        self.analytic = True  # whether the complex step is worth a try: the engine computes with real numbers
        self.known: dict[Any, Any] = {}  # the references found so far: they serve every examination

    def _variables(self) -> list[Leaf]:
        found: list[Leaf] = []
        place = end = 0
        for i, arg in enumerate(self.args):
            for path, value in tree.paths(arg, self.arguments[i]):
                if i in self.picked and _is_float(value, path):
                    _refuse_shared(value, path)
                    _refuse_not_finite(value, path)
                    array = np.asarray(value)
                    found.append(Leaf(path, i, place, slice(end, end + array.size), value, array))
                    end += array.size
                place += 1
        return found

    def _numbers(self) -> Array:
        return np.concatenate([leaf.array.ravel() for leaf in self.leaves]).astype(np.float64)

    # -- Other values

    def put(self, variables: Sequence[Any], args: Any = None) -> Any:
        """The arguments (or ``args``, that are like them) with other values for the variables."""
        everything = list(self.everything) if args is None else tree.leaves(args)
        for leaf, value in zip(self.leaves, variables, strict=True):
            everything[leaf.place] = value
        return tree.like(self.args, everything) if self.nested else tuple(everything)

    def call(self, variables: Sequence[Any]) -> Any:
        """The function's result with other values for its variables."""
        return self.f(*self.put(variables), **self.options)

    def evaluate(self, x: Array) -> Array:
        """The outputs as one flat vector, for variables given as one."""
        return flat(self.call(self._values(x)), keep=x.dtype.kind == "c")

    def _values(self, x: Array) -> list[Any]:
        return [leaf.holding(x[leaf.part]) for leaf in self.leaves]

    def moved(self, args: Any) -> "Problem":
        """The same function at another point."""
        out = copy(self)
        out.args, out.everything = args, tree.leaves(args)
        values = [out.everything[leaf.place] for leaf in self.leaves]
        out.leaves = [replace(leaf, value=v, array=np.asarray(v)) for leaf, v in zip(self.leaves, values, strict=True)]
        out.x, out.known = out._numbers(), {}
        return out

    def beside(self, rng: "np.random.Generator") -> "Problem":
        """The same function at a point so close by that nothing changes but that no two numbers are tied."""
        shift = self.scales * rng.uniform(2.0**-13, 2.0**-12, self.size) * rng.choice([-1.0, 1.0], self.size)
        x = self.x + shift
        return self.moved(self.put(self._values(x)))

    def elsewhere(self, rng: "np.random.Generator", width: float) -> "Problem":
        """The same function at another point: with a width of 1 far off, of 0.1 near by; a negative one mirrors it."""
        x = self.x.copy()
        for leaf in self.leaves:
            own = x[leaf.part]
            typical = np.abs(own).mean() if own.any() else 1.0
            stretched = own * np.copysign(np.exp(0.5 * width * rng.standard_normal(own.shape)), width)
            x[leaf.part] = stretched + width**2 * (np.abs(own) + typical) * rng.standard_normal(own.shape)
        return self.moved(self.put(self._values(x)))

    def others(
        self, n: int, widths: Iterable[float], rng: "np.random.Generator", at: Callable[["Problem"], T | None]
    ) -> list[T]:
        """What ``at`` gives for the same function at ``n`` points elsewhere, those where it gives anything."""
        found: list[T] = []
        for width in widths:
            if len(found) == n:
                break
            with suppress(Exception):  # outside the domain of the function, or of what is by hand
                found += filter(None, [at(self.elsewhere(rng, width))])
        return found

    def widened(self) -> "Problem":
        """The same function at the same point, with all arrays in float64."""
        out = self.moved(tree.map(_widen, self.args))
        out.known = self.known
        return out

    # -- Its variables as one vector

    @property
    def singles(self) -> Array:
        """For each entry whether it is in float32."""
        return np.concatenate([np.full(leaf.array.size, leaf.array.dtype == np.float32) for leaf in self.leaves])

    @property
    def scales(self) -> Array:
        """For each entry the distance over which the function may be thought to change, a power of two."""
        out = np.maximum(np.abs(self.x), 1.0)
        for leaf in self.leaves:
            x = np.abs(self.x[leaf.part])
            largest = x.max(initial=0.0)
            if 0 < largest < 2.0**-10:
                out[leaf.part] = largest
        scales: Array = np.exp2(np.ceil(np.log2(out)))
        return scales

    def along(self, entries: Iterable[int]) -> list[Direction]:
        """The directions that move one entry each."""
        scales, one = self.scales, np.ones(1)
        return [Direction(u, one, float(scales[u]), float(abs(self.x[u])) or math.nan) for u in entries]

    def across(self, signs: Array) -> list[Direction]:
        """The directions that move all entries at once, each by its scale: one for each row of signs."""
        return [Direction(0, amounts, 1.0, math.nan) for amounts in self.scales * signs]

    def leaf_of(self, entry: int) -> Leaf:
        """The array that an entry belongs to."""
        return next(leaf for leaf in self.leaves if leaf.has(entry))

    def snapshot(self) -> list[Any]:
        """What the arguments hold now."""
        return [np.array(x) if isinstance(x, np.ndarray) else x for x in self.everything]

    def put_back(self, before: list[Any]) -> Iterator[str]:
        """Let the arguments hold what they held before, and say which of them did not."""
        for old, new in zip(before, self.everything, strict=True):
            if isinstance(old, np.ndarray) and not np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
                np.copyto(new, old)
                yield next((leaf.name for leaf in self.leaves if leaf.value is new), "a constant argument")


def argument_names(f: Function, n: int) -> list[str]:
    """The names of the first ``n`` positional arguments, as the function's signature has them."""
    names: list[str] = []
    for p in parameters_of(f):
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
        elif p.kind == p.VAR_POSITIONAL:
            names += [f"{p.name}[{i}]" for i in range(n - len(names))]
    return (names + [f"argument {i}" for i in range(len(names), n)])[:n]


def _is_float(leaf: Any, path: str) -> bool:
    if isinstance(leaf, float) and not isinstance(leaf, np.generic):
        return True
    if not isinstance(leaf, np.ndarray | np.generic) or leaf.dtype.kind not in "fc":
        return False
    if leaf.dtype not in (np.float32, np.float64):
        raise TypeError(f"{path} has dtype {leaf.dtype}; only float32 and float64 are checked. Convert it first.")
    return True


def _refuse_shared(leaf: Any, path: str) -> None:
    array = np.asarray(leaf)
    axes = [i for i, (s, n) in enumerate(zip(array.strides, array.shape, strict=True)) if s == 0 and n > 1]
    if axes and array.size:
        raise ValueError(
            f"{path}, of shape {leaf.shape}, repeats the same memory along axis {', '.join(map(str, axes))} "
            "(stride 0, as np.broadcast_to makes): one entry cannot change without the others, so it has no "
            "derivative of its own. Pass a copy: np.array(...)."
        )


def _refuse_not_finite(leaf: Any, path: str) -> None:
    bad = np.argwhere(~np.isfinite(leaf))
    if len(bad):
        index = tuple(map(int, bad[0]))
        place = f"{path}[{', '.join(map(str, index))}]" if index else path
        raise ValueError(
            f"{place} is {np.asarray(leaf)[index]}: there is no slope to compare with where an argument is not finite. "
            "Leave such entries out, or put them in inside the function (np.where(mask, np.nan, x))."
        )


def _widen(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray | np.generic) and leaf.dtype == np.float32:
        return leaf.astype(np.float64)
    return leaf


def plain(x: Any) -> Any:
    """A value without its Tensor."""
    return x.data if isinstance(x, Tensor) else x


def outputs(value: Any) -> list[Array]:
    """The float arrays and numbers of a result, as arrays."""
    arrays = (np.asarray(plain(r)) for r in tree.leaves(value))
    return [a for a in arrays if a.dtype.kind in "fc"]


def flat(value: Any, keep: bool = False) -> Array:
    """The float outputs of a result as one float64 vector (``keep``: of the dtype they have)."""
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value.ravel()
    parts = [r.ravel() for r in outputs(value)]
    if not parts:
        return np.zeros(0)
    out = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return out if keep else out.astype(np.float64, copy=False)


# -- By hand -----------------------------------------------------------------------------------------------------------


def require_function(hand: Any) -> None:
    """Refuse a gradient where the function that computes it is meant."""
    if not callable(hand):
        shape = f" of shape {np.shape(hand)}" if isinstance(hand, np.ndarray | Tensor) else ""
        raise TypeError(
            f"hand must be a function that takes the same arguments and returns the gradients; got "
            f"{type(hand).__name__}{shape}. It is called at several points."
        )


def hand_leaves(result: Any, problem: Problem) -> list[Any]:
    """What a gradient function returned, one array for each variable."""
    arguments = list(dict.fromkeys(leaf.argument for leaf in problem.leaves))
    parts = tuple(result) if isinstance(result, tuple | list) else (result,)
    named = {problem.arguments[i]: problem.args[i] for i in arguments}
    if isinstance(result, dict) and (len(named) > 1 or not isinstance(problem.args[arguments[0]], dict)):
        parts = tuple(_by_key(result, named, problem.name).values())
    elif len(arguments) == 1:
        nested = isinstance(problem.args[arguments[0]], tuple | list | dict)
        if nested or (isinstance(result, list) and len(parts) != 1):
            parts = (result if nested else np.array(result),)
    if len(parts) == len(problem.picked) != len(arguments):
        parts = tuple(part for i, part in zip(problem.picked, parts, strict=True) if i in arguments)
    if len(parts) != len(arguments):
        raise TypeError(
            f"hand must return one gradient for each float argument of {problem.name} ({', '.join(problem.names)}: "
            f"{len(arguments)}); it returned {len(parts)}. Return them in order, or say with argnums= which they are."
        )
    out: list[Any] = []
    for i, part in zip(arguments, parts, strict=True):
        own = [leaf for leaf in problem.leaves if leaf.argument == i]
        everything = tree.leaves(problem.args[i])
        found = tree.leaves(_by_key(part, problem.args[i], problem.arguments[i]))
        if len(found) == len(everything) != len(own):
            first = len(tree.leaves(problem.args[:i]))
            found = [found[leaf.place - first] for leaf in own]
        if len(found) != len(own):
            raise TypeError(
                f"hand must return one array for each of floats in {problem.arguments[i]} ({len(own)}); it returned "
                f"{len(found)}."
            )
        out += map(plain, found)
    if any(g is None for g in out):
        missing = [leaf.name for leaf, g in zip(problem.leaves, out, strict=True) if g is None]
        raise TypeError(f"hand returned None as the gradient by {', '.join(missing)}, or nothing under that key.")
    return out


def _by_key(gradients: Any, argument: Any, name: str) -> Any:
    """The same gradients, those in dicts in the order of the argument's keys; None where a key is missing."""
    if isinstance(argument, tree.SEQUENCES) and isinstance(gradients, tree.SEQUENCES):
        if len(argument) == len(gradients):
            pairs = enumerate(zip(gradients, argument, strict=True))
            return [_by_key(g, part, f"{name}[{i}]") for i, (g, part) in pairs]
    elif isinstance(argument, dict) and isinstance(gradients, dict):
        if unknown := [repr(key) for key in gradients if key not in argument]:
            keys = ", ".join(map(repr, argument))
            raise TypeError(f"hand returned a gradient for {name}[{unknown[0]}], but {name} has the keys {keys}.")
        nothing = {key: tree.map(lambda _: None, part) for key, part in argument.items()}
        return {
            key: _by_key(gradients[key], part, f"{name}[{key!r}]") if key in gradients else nothing[key]
            for key, part in argument.items()
        }
    return gradients
