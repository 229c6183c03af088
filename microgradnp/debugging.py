"""Debug mode: every step is watched, forward and backward, and the first thing that goes wrong is named.

A `Watch` is the machine that the door and the sweep ask. Going forward it notes for each operation the place
in the user's code and a fingerprint of every array that the operation will need again; going backward it compares. A
value or gradient that is not finite is blamed on the operation where it appears, not on those through which it spreads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from microgradnp import tree
from microgradnp.engine.rules import Rule, Vjp
from microgradnp.engine.state import Machine, current, state
from microgradnp.engine.sweep import argument, fitted
from microgradnp.engine.tensor import Tensor, plain
from microgradnp.scopes import Scope
from microgradnp.transforms.graph import Operation, operation


def debug(*, finite: bool = True) -> Scope:
    """Watch every operation, as a context or a decorator: slower, and never silently wrong.

    Within it, three kinds of mistake raise an error that names the operation and the file and line that called it:

    - an array that an operation captured was changed between the forward and the backward pass, so that the gradient
      would be wrong;
    - a NaN or an infinity appears in a value or in a gradient, from arguments that have none;
    - a derivative rule returns a gradient of the wrong kind, shape or dtype, or changes an array that it was given.

    Operations computed outside of it are not watched, even if their backward pass runs inside. The mode belongs to the
    current thread and async task.

    Parameters
    ----------
    finite
        Whether a NaN or an infinity is an error.

    Raises
    ------
    RuntimeError
        If a captured array was changed.
    FloatingPointError
        If a NaN or an infinity appears.
    TypeError, ValueError
        If a derivative rule returns something wrong.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> x = mg.Tensor([1.0, 0.0], requires_grad=True)
    >>> with mg.debug():
    ...     y = np.log(x)   # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: np.log gave -inf at [1], from the argument 0.0, at <doctest...>:2...
    """
    return Scope(lambda: _watching(finite))


@contextmanager
def _watching(finite: bool) -> Iterator[None]:
    # NumPy's warnings would come first and say less; a stricter setting of the user's stays.
    quiet = {kind: "ignore" for kind, now in np.geterr().items() if now == "warn" and finite}
    if current().machine.traces:
        raise TypeError("debug() inside a compiled step: put it around the call, which then runs step by step.")
    with state(machine=Watch(finite)), np.errstate(**quiet):  # type: ignore[arg-type]  # literal words
        yield


class Mistake(Exception):
    """What a watch finds wrong in a program whose values look right."""


class ChangedError(Mistake, RuntimeError):
    """An array that an operation captured, or that a rule was given, is not what it was."""


class WidenedError(Mistake, TypeError):
    """A rule makes float64 of float32."""


class Site(NamedTuple):
    """What debug mode remembers of an operation: where it was called, and what it captured."""

    place: str
    prints: tuple[int, ...]


class Watch(Machine):
    """What the door and the sweep ask in debug mode."""

    def __init__(self, finite: bool) -> None:
        self.finite = finite
        self.before: tuple[int, ...] = ()  # the fingerprints of what the last operation was given
        self.sweeping = 0  # how many rules are running, one within another
        self.passing: Any = None  # the operation that the sweep has come to
        self.flowing = 0  # its gradient's fingerprint

    def run(self, rule: Rule, values: list[Any], options: dict[str, Any]) -> Any:
        """Compute, and note the fingerprints of what was given."""
        before = tuple(map(_print, values))
        y = super().run(rule, values, options)
        self.before = before
        return y

    def ran(self, t: Tensor, rule: Rule, inputs: tuple[Any, ...], values: list[Any], options: dict[str, Any]) -> None:
        """Remember an operation going forward, and check its value and that it changed nothing."""
        place = _place()
        if t.requires_grad:
            t.note = Site(place, _prints(operation(t)))
            for i, (old, new) in enumerate(zip(self.before, t.note.prints, strict=False)):
                if old != new:
                    raise ChangedError(
                        f"{rule.name} changed its {argument(rule, i)} in place, and its gradient would be wrong: "
                        f"compute a new array, or a copy (x.copy()) to work on. It was called at {place}."
                    )
        # A rule's own steps are judged by their result, under the name of its row.
        if self.finite and not self.sweeping and not np.isfinite(t._value).all():
            bad = _appeared(t._value, values, _elementwise(rule))
            if bad is not None:
                raise FloatingPointError(
                    f"{rule.name} gave {_at(t._value, bad)}{_from(values, bad, t._value)}, at {place}."
                )

    def reached(self, node: Tensor, g: Any) -> None:
        """Before a node's rules run: its inputs, options and value must be what they were going forward."""
        self.passing = done = operation(node)
        self.flowing = _print(g)
        site = getattr(node, "note", None)
        if site is None or done is None:
            return
        now = _prints(done)
        if now != site.prints:
            named = zip(_captured(done), now, site.prints, strict=False)
            differs = (what for what, a, b in named if a != b)
            what = next(differs) if len(now) == len(site.prints) else "an option"  # a list or dict, longer or shorter
            raise ChangedError(
                f"{what} of {done.name}, called at {site.place}, was changed between forward and backward, so its "
                "gradient would be wrong. Run backward() before changing it, or compute with a copy (x.copy())."
            )

    def passed(self, node: Tensor, i: int, vjp: Vjp, g: Any, y: Any, arguments: Any) -> Any:
        """Run a rule, and look at what it gave and at what it was given."""
        own = self.passing, self.flowing  # the rule may run a sweep within
        self.sweeping += 1
        try:
            gx = super().passed(node, i, vjp, g, y, arguments)
        finally:
            self.sweeping -= 1
            self.passing, self.flowing = own
        self._check_gradient(self.passing, i, g, gx)
        return gx

    def _check_gradient(self, node: Operation, i: int, g: Any, gx: Any) -> None:
        """After a rule has run, before its result is brought to the argument's shape and dtype."""
        rule, values = node.rule, node.values
        site = getattr(node.result, "note", None)
        try:
            raw = plain(gx)
            array = fitted(raw, values[i], rule, i)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error}{_called(site)}") from None
        sources = [plain(g), plain(node.result), *values]
        if array.dtype == np.float32 and getattr(raw, "dtype", None) == np.float64:
            floats = [a.dtype for a in sources if isinstance(a, np.ndarray | np.generic) and a.dtype.kind == "f"]
            if all(dtype == np.float32 for dtype in floats):
                raise WidenedError(
                    f"{_rule_for(rule, i)} returned float64 from float32 alone: some constant in it is a float64 "
                    f"array. Use Python numbers, or arrays of the argument's dtype.{_called(site)}"
                )
        gradient_changed = self.flowing != _print(g)
        if gradient_changed or (site is not None and site.prints != _prints(node)):
            what = "the gradient" if gradient_changed else "an array"
            raise ChangedError(
                f"{_rule_for(rule, i)} changed {what} that it was given in place: compute a new array.{_called(site)}"
            )
        if self.finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = _appeared(array, sources, False)
            if bad is not None:
                found = _at(array, bad) + _from(values, bad, array)
                raise FloatingPointError(f"{_rule_for(rule, i)} gave {found}.{_called(site)}")

    def added(self, x: Tensor, a: Any, b: Any) -> Any:
        """The sum of two gradients of one Tensor: neither may have been fine alone."""
        total = super().added(x, a, b)
        array, sources = plain(total), [plain(a), plain(b)]
        if self.finite and not np.isfinite(array).all():
            bad = _appeared(array, sources, True)
            if bad is not None:
                found = _at(array, bad), _from(sources, bad, array)
                raise FloatingPointError(
                    f"the gradients of {_label(x)}, of shape {x.shape}, add up to {found[0]}, where that of "
                    f"{self.passing.name} is added{found[1]}.{_called(getattr(self.passing.result, 'note', None))}"
                )
        return total


def _label(x: Tensor) -> str:
    made = operation(x)
    return x.name or ("a leaf" if made is None else f"the result of {made.name}")


def _rule_for(rule: Rule, i: int) -> str:
    return f"the derivative rule of {rule.name} for {argument(rule, i)}"


def _called(site: Any) -> str:
    return f" It was called at {site.place}." if site else ""


# -- What was captured ------------------------------------------------------------------------------------------------


def _prints(node: Operation | None) -> tuple[int, ...]:
    """A fingerprint of every array that the rules of ``node`` will see, and of the numbers among its options."""
    assert node is not None
    return tuple(map(_print, (*node.values, *_options(node.options), plain(node.result))))


def _captured(node: Operation) -> list[str]:
    """What each of these fingerprints belongs to, in words."""
    names = []
    for i, x in enumerate(node.inputs):
        made = operation(x) if isinstance(x, Tensor) else None
        name = f" ({x.name})" if isinstance(x, Tensor) and x.name else f" (the result of {made.name})" if made else ""
        names.append(f"argument {i}{name}, of shape {np.shape(x)},")
    for option, value in node.options.items():
        kinds = ("array" if isinstance(x, np.ndarray) else "number" for x in _options(value))
        names += [f"the {kind} given as {option}" for kind in kinds]
    return [*names, f"the value, of shape {node.result.shape},"]


def _options(options: Any) -> list[Any]:
    return [x for x in tree.leaves(options) if isinstance(x, np.ndarray | int | float)]


def _print(x: Any) -> int:
    """64 bits of the bytes: 0.2 us for a small array, 2.5 GB a second for a large one, and nothing is kept."""
    x = plain(x)
    if isinstance(x, np.ndarray):
        return hash(x.tobytes())
    return hash(x) if isinstance(x, int | float) and x == x else 0  # each nan has a hash of its own


# -- What is not finite -----------------------------------------------------------------------------------------------


def _elementwise(rule: Rule) -> bool:
    return isinstance(rule.function, np.ufunc) and rule.function.signature is None


def _appeared(y: Any, sources: Any, elementwise: bool) -> Any:
    """The first index where ``y`` is NaN, or infinite, and no source explains it; else None.

    An infinity is explained by a source that is not finite, a NaN only by a NaN. An elementwise operation is judged
    element by element, any other as a whole.
    """
    sources = [np.asarray(s) for s in sources]
    sources = [s for s in sources if s.dtype.kind == "f"]
    for new, explains in ((np.isnan(y), np.isnan), (np.isinf(y), lambda s: ~np.isfinite(s))):
        for s in sources:
            old = explains(s)
            new = new & ~(old if elementwise else old.any())
        if new.any():
            return tuple(int(i) for i in np.argwhere(new)[0])
    return None


def _at(y: Any, index: tuple[int, ...]) -> str:
    return f"{y[index]}" + (f" at [{', '.join(map(str, index))}]" if index else "")


def _from(values: Any, index: tuple[int, ...], y: Any) -> str:
    """The arguments that stood at that place, where they all have one."""
    try:
        found = [str(np.broadcast_to(value, y.shape)[index]) for value in values]
    except ValueError:
        return ""
    return f", from the argument{'s' if len(found) > 1 else ''} {' and '.join(found)}"


# -- Where in the user's code -----------------------------------------------------------------------------------------

_PACKAGES = (sys.modules[__name__.partition(".")[0]], np)
_INSIDE = tuple(f"{package.__path__[0]}{os.sep}" for package in _PACKAGES)
"""The folders whose lines are not the user's: this package's, wherever it is, and NumPy's."""


def _place() -> str:
    """File and line of the user's code that is running."""
    frame: FrameType | None = sys._getframe(2)
    user = frame
    while frame is not None:
        user = frame
        if not frame.f_code.co_filename.startswith(_INSIDE):
            break
        frame = frame.f_back
    assert user is not None
    return f"{user.f_code.co_filename}:{user.f_lineno} in {user.f_code.co_name}"
