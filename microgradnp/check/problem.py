"""A function and its arguments, seen as a function of one flat vector: what every check works on."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.engine.rules import parameters_of
from microgradnp.engine.tensor import Tensor
from microgradnp.transforms.pullback import leaves_of, like, paths_of

Array = NDArray[Any]
Function = Callable[..., Any]


class NotFiniteError(ValueError):
    """The function has no finite value at the given arguments."""


@dataclass(slots=True)
class Leaf:
    """One array (or number) of the arguments that the gradient is taken by."""

    name: str
    argument: int
    place: int
    value: Any
    array: Array
    part: slice

    def entry(self, i: int) -> str:
        """The name of one of its entries."""
        index = np.unravel_index(i, self.array.shape)
        return f"{self.name}[{', '.join(map(str, index))}]" if index else self.name


class Problem:
    """A function and its arguments; float leaves of the picked arguments are variables, all else is held constant."""

    def __init__(
        self, f: Function, args: tuple[Any, ...], options: dict[str, Any], argnums: int | Sequence[int] | None
    ) -> None:
        self.f, self.args, self.options = f, args, options
        self.name = getattr(f, "__name__", type(f).__name__)
        names = argument_names(f, len(args))
        picked = range(len(args)) if argnums is None else (argnums,) if isinstance(argnums, int) else argnums
        if any(not -len(args) <= i < len(args) for i in picked):
            raise ValueError(
                f"argnums={argnums} asks for an argument that {self.name} was not given: it got {len(args)} arguments."
            )
        self.picked = tuple(i % len(args) for i in picked)
        self.arguments = names
        self.everything = [leaf.data if isinstance(leaf, Tensor) else leaf for leaf in leaves_of(args)]
        self.leaves: list[Leaf] = []
        place = end = 0
        for i, arg in enumerate(args):
            for path, leaf in paths_of(arg, names[i]):
                leaf = leaf.data if isinstance(leaf, Tensor) else leaf
                if i in self.picked and _is_float(leaf, path):
                    _refuse_shared(leaf, path)
                    _refuse_not_finite(leaf, path)
                    array = np.asarray(leaf)
                    self.leaves.append(Leaf(path, i, place, leaf, array, slice(end, end + array.size)))
                    end += array.size
                place += 1
        if not self.leaves:
            raise TypeError(
                f"{self.name} was given no float32 or float64 argument to take a gradient by (got "
                f"{', '.join(type(a).__name__ for a in args) or 'none'}). Write 1.0 instead of 1."
            )
        self.size = end
        self.names = tuple(dict.fromkeys(names[leaf.argument] for leaf in self.leaves))
        self.x = np.concatenate([leaf.array.ravel() for leaf in self.leaves]).astype(np.float64)
        self.single = any(leaf.array.dtype == np.float32 for leaf in self.leaves)
        self.known: dict[Any, Any] = {}  # the references found so far: they serve every judgement
        self.wide = True  # whether the function can be evaluated in float64
        self.analytic = True  # whether the complex step is worth a try: the engine computes with real numbers

    def call(self, leaves: Sequence[Any]) -> Any:
        """The function's result with other values for its variables."""
        everything = list(self.everything)
        for leaf, value in zip(self.leaves, leaves, strict=True):
            everything[leaf.place] = value
        return self.f(*like(self.args, everything), **self.options)

    def evaluate(self, x: Array) -> Array:
        """The outputs as one flat vector, for variables given as one."""
        everything = list(self.everything)
        if self.wide and self.single:
            everything = [_widen(leaf) for leaf in everything]
        for leaf in self.leaves:
            part = x[leaf.part]
            if x.dtype.kind != "c":
                if isinstance(leaf.value, float) and not isinstance(leaf.value, np.generic):
                    everything[leaf.place] = float(part[0])
                    continue
                if not self.wide:
                    part = part.astype(leaf.array.dtype)
                elif not leaf.array.ndim and isinstance(leaf.value, np.generic):
                    everything[leaf.place] = part[0]
                    continue
            everything[leaf.place] = part.reshape(leaf.array.shape)
        return flat(self.f(*like(self.args, everything), **self.options), keep=x.dtype.kind == "c")

    @property
    def scales(self) -> Array:
        """For each variable the distance over which the function may be thought to change, a power of two."""
        out = np.empty(self.size)
        for leaf in self.leaves:
            x = np.abs(self.x[leaf.part])
            largest = x.max(initial=0.0)
            out[leaf.part] = np.maximum(x, largest if 0 < largest < 2.0**-10 else 1.0)
        scales: Array = np.exp2(np.ceil(np.log2(out)))
        return scales

    def beside(self, rng: "np.random.Generator") -> "Problem":
        """The same function at a point so close by that nothing changes but that no two numbers are tied."""
        out = copy(self)
        shift = self.scales * rng.uniform(2.0**-13, 2.0**-12, self.size) * rng.choice([-1.0, 1.0], self.size)
        out.x, out.known, out.everything = self.x + shift, {}, list(self.everything)
        out.leaves = []
        for leaf in self.leaves:
            array = out.x[leaf.part].reshape(leaf.array.shape).astype(leaf.array.dtype)
            out.x[leaf.part] = array.ravel()
            python = isinstance(leaf.value, float) and not isinstance(leaf.value, np.generic)
            value = float(array) if python else array
            out.everything[leaf.place] = value
            out.leaves.append(Leaf(leaf.name, leaf.argument, leaf.place, value, array, leaf.part))
        out.args = like(self.args, out.everything)
        return out

    def widen(self, narrow: Array) -> Array:
        """The outputs in float64 where the function allows it; remembers whether it does."""
        self.wide = True
        try:
            with np.errstate(all="ignore"):
                value = self.f(*like(self.args, [_widen(leaf) for leaf in self.everything]), **self.options)
            floats = [np.asarray(r.data if isinstance(r, Tensor) else r) for r in leaves_of(value)]
            self.wide = all(r.dtype == np.float64 for r in floats if r.dtype.kind == "f")
            if self.wide:
                return flat(value)
        except (TypeError, ValueError, RuntimeError):  # it takes float32 alone
            self.wide = False
        return narrow


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
    if isinstance(leaf, np.ndarray) and leaf.size > 1 and 0 in leaf.strides:
        axes = [i for i, (s, n) in enumerate(zip(leaf.strides, leaf.shape, strict=True)) if s == 0 and n > 1]
        if axes:
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


def flat(value: Any, keep: bool = False) -> Array:
    """The float outputs of a result as one float64 vector (``keep``: of the dtype they have)."""
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value.ravel()
    parts: list[Array] = []
    for r in leaves_of(value):
        a = r if isinstance(r, np.ndarray) else np.asarray(r.data if isinstance(r, Tensor) else r)
        if a.dtype.kind in "fc":
            parts.append(a.ravel())
    if not parts:
        return np.zeros(0)
    out = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return out if keep else out.astype(np.float64, copy=False)


def hand_leaves(result: Any, problem: Problem) -> list[Any]:
    """What a gradient function returned, one array for each variable."""
    arguments = list(dict.fromkeys(leaf.argument for leaf in problem.leaves))
    parts = tuple(result) if isinstance(result, tuple | list) else (result,)
    if len(arguments) == 1:
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
        everything = leaves_of(problem.args[i])
        found = leaves_of(part)
        if len(found) == len(everything) != len(own):
            first = len(leaves_of(problem.args[:i]))
            found = [found[leaf.place - first] for leaf in own]
        if len(found) != len(own):
            raise TypeError(
                f"hand must return one array for each of floats in {problem.arguments[i]} ({len(own)}); it returned "
                f"{len(found)}."
            )
        out += [g.data if isinstance(g, Tensor) else g for g in found]
    if any(g is None for g in out):
        missing = ", ".join(leaf.name for leaf, g in zip(problem.leaves, out, strict=True) if g is None)
        raise TypeError(f"hand returned None as the gradient by {missing}.")
    return out
