"""What one run of a step amounts to: `record` runs it under a `Recorder`, and `Run` makes a `Trace` of it.

The phases stand in their order: arguments become inputs, the step runs; then come the conditions of a replay, the
results, the gradients, what is constant, and names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.arrays import native, plain_array
from microgradnp.compiler.generators import set_state
from microgradnp.compiler.guards import Surroundings, affordable
from microgradnp.compiler.ir import Guard, Operation, Trace, Value, assignment, owner
from microgradnp.compiler.optimise import mark_constants
from microgradnp.compiler.record import Gradient, Recorder, RecordingError
from microgradnp.engine.state import State, current, state
from microgradnp.engine.tensor import Tensor, wrap
from microgradnp.signatures import parameters_of
from microgradnp.transforms.graph import TRACKED


def record(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    recorder_of: Callable[[Surroundings], Recorder] = Recorder,
) -> Run:
    """Run a step, and write down what it computes."""
    now = current()
    given = _named(function, args, kwargs)
    surroundings = Surroundings(function, given)
    recorder = recorder_of(surroundings)
    structure = tree.like((args, kwargs), [_input(recorder, x, name) for name, x in given])
    places: dict[int, Tensor] = {}  # what is given twice is one Tensor, so that `a is b` holds as it does in eager mode
    values = [v for v in tree.leaves(structure) if type(v) is Value]
    same = alike([x for (_, x), v in zip(given, tree.leaves(structure), strict=True) if type(v) is Value])
    tensors = iter([places.setdefault(i, wrap(v.array)) for i, v in zip(same, values, strict=True)])
    lifted = tree.map(lambda x: next(tensors) if type(x) is Value else x, structure)
    before = [(path, id(x)) for path, x in tree.paths(lifted)]
    with state(machine=recorder):
        result = function(*lifted[0], **lifted[1])
    recorder.check()
    if [(path, id(x)) for path, x in tree.paths(lifted)] != before:
        raise RecordingError(
            "the step changes a list or dict that it was given as an argument: in a replay nothing would become of it. "
            "Return what is new, and change the list or dict outside the step."
        )
    return Run(function, recorder, surroundings, structure, same, result, now)


def _named(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
    """All that the arguments hold, with its names."""
    names = [p.name for p in parameters_of(function)]
    named = [(names[i] if i < len(names) else f"argument_{i}", x) for i, x in enumerate(args)]
    return [leaf for name, x in (*named, *kwargs.items()) for leaf in tree.paths(x, name)]


def alike(arrays: Sequence[Any]) -> tuple[int, ...]:
    """For each array or Tensor, the place of the first that is the same array."""
    first: dict[int, int] = {}
    found = [x._value if isinstance(x, Tensor) else x for x in arrays]
    return tuple([i if isinstance(x, np.generic) else first.setdefault(id(x), i) for i, x in enumerate(found)])


def _input(recorder: Recorder, x: Any, name: str) -> Any:
    if isinstance(x, Tensor):
        if x.requires_grad:
            raise TypeError(
                f"argument {name} of a compiled step is a Tensor that wants a gradient or is part of a graph: a "
                "replay would not connect to it. Let the step use such a Tensor directly (as it does a model's "
                "parameters), or pass its data."
            )
        x = x.data
    if not isinstance(x, np.ndarray | np.generic):
        return x
    array = native(plain_array(x))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"argument {name} of a compiled step must hold real numbers; got dtype {array.dtype}.")
    array = array.view()  # given twice, or read by the step besides as its own, it is another input, or none
    v = recorder.known[id(array)] = Value(array, "input", name)
    recorder.inputs.append(v)
    if isinstance(x, np.integer | np.bool_):
        recorder.numbers[id(v)] = None
    return v


@dataclass(slots=True, eq=False)
class Run:
    """A step that has run, and what was written down of it."""

    function: Callable[..., Any]
    recorder: Recorder
    surroundings: Surroundings
    structure: Any
    same: tuple[int, ...]
    result: Any
    state: State

    def moved(self) -> str | None:
        """What the step has changed by itself, which a replay would leave out."""
        for t, gradient in self._gradients():
            if gradient.written and not isinstance(gradient.now, Tensor | None):
                return f"the gradient of {describe(t)}"
        return self.surroundings.changed()

    def leave(self) -> Any:
        """The result of the run itself, with its gradients in their places."""
        for t, gradient in self._gradients():
            if gradient.written:
                left = self._handed_out(gradient.now, _copied)
                t.grad = left.data if isinstance(left, Tensor) else left
        return self._handed_out(self.result, _copied)

    def undo(self) -> None:
        """Put back what stood where the step has written, and the states of generators."""
        for place, before in reversed(self.recorder.before.values()):
            place.array[...] = before
        for t, gradient in self._gradients():
            t.grad = gradient.before
        for generator, state_before in self.recorder.draws.values():
            set_state(generator, state_before)

    def _handed_out(self, result: Any, computed: Callable[[Tensor], Any]) -> Any:
        """A result as the step's caller gets it: what was there before comes back as it is."""

        def found(x: Any) -> Any:
            if not isinstance(x, Tensor) or x in self.surroundings.tensors:
                return x
            return x._value if self.recorder.is_array(x) else computed(x)

        return tree.map(found, result)

    def _gradients(self) -> Iterator[tuple[Tensor, Gradient]]:
        """What the step did with the ``.grad`` of each leaf that is still there."""
        for gradient in self.recorder.gradients.values():
            t = gradient.tensor()
            if t is not None and t.is_leaf:
                yield t, gradient

    # -- The phases

    def trace(self, guards: list[Guard], lock: Any) -> Trace:
        """All that a program is made of."""
        result = self._results()
        gradients, starts, cleared = self._bound_gradients()
        self._mark_constants()
        self._name(gradients)
        recorder = self.recorder
        return Trace(
            name=_name_of(self.function),
            operations=recorder.operations,
            inputs=recorder.inputs,
            gradients=gradients,
            starts=starts,
            cleared=cleared,
            result=result,
            structure=self.structure,
            same=self.same,
            numbers=[v for v in recorder.numbers.values() if v is not None],
            guards=guards,
            state=self.state,
            lock=lock,
            growing=self.surroundings.growing,
        )

    def guards(self) -> list[Guard]:
        """What a replay must find as the step has found it."""
        found: list[Guard] = []
        for t, gradient in self._gradients():
            if gradient.read:
                found.append(Guard(t, "{x}._grad is {y}", gradient.before, f"the gradient of {describe(t)}"))
        for leaf in self.recorder.leaves.values():
            t = leaf.tensor()
            if t is not None:
                found.append(Guard(t, "{x}._value is {y}", leaf.array, describe(t)))
                found.append(Guard(t, f"{{x}}.{TRACKED} is {{y}}", leaf.tracked, describe(t)))
        used = {id(owner(v.array)) for v in self.recorder.known.values() if v.kind == "bound"}
        found += [*self.surroundings.guards, *self.surroundings.contents(used)]
        return affordable(found, len(self.recorder.operations))

    def _results(self) -> Any:
        """The step's result with Values for what it has computed."""
        for x in tree.leaves(self.result):
            if isinstance(x, Iterator):
                raise RecordingError(
                    f"a compiled step returned a {type(x).__name__}, which gives its items once, and a replay would "
                    "return it again: return a list. A function with 'yield' cannot be compiled; what it calls can."
                )
        return self._handed_out(self.result, lambda x: self.recorder.value(x._value))

    def _bound_gradients(self) -> tuple[dict[Tensor, Value], dict[Tensor, Value], list[Tensor]]:
        """What becomes of each ``.grad``: a value (written into what stood there, if that was read), or None."""
        values: dict[Tensor, Value] = {}
        starts: dict[Tensor, Value] = {}
        cleared: list[Tensor] = []
        for t, gradient in self._gradients():
            if gradient.written and gradient.now is None:
                cleared.append(t)
            elif gradient.written:
                v = self.recorder.value(gradient.now._value)
                start = self.recorder.value(gradient.before) if gradient.read else None
                if v is start:  # written into where it stood
                    continue
                values[t] = v
                if isinstance(start, Value) and start.kind == "bound":
                    starts[t] = start
        return values, starts, cleared

    def _mark_constants(self) -> None:
        """Make constants of the arrays that nobody else holds; such a one that the step writes into is made anew."""
        self.result = None
        self.recorder.let_go()
        known = list(self.recorder.known.values())
        mark_constants(known)
        constants = {id(v.array) for v in known if v.kind == "constant"}
        for v in known:
            if v.kind == "bound" and id(owner(v.array)) in constants:
                v.kind = "constant"
        for place, before in reversed(self.recorder.before.values()):
            if place.kind == "constant":
                place.kind = "bound"
                again = Operation(assignment, (place, Value(before, "constant")), {}, None, pure=False)
                self.recorder.operations.insert(0, again)

    def _name(self, gradients: dict[Tensor, Value]) -> None:
        """Give arrays the names by which people know them."""
        for v in self.recorder.known.values():
            if v.kind == "bound" and not v.name:
                v.name = self.surroundings.name(v.array)
        for leaf in self.recorder.leaves.values():
            t = leaf.tensor()
            if t is not None:
                v = self.recorder.value(leaf.array)  # new, where the step has asked for a shape alone
                v.name = v.name or t.name or ""
        for t, v in gradients.items():
            if v.kind == "result" and not v.name:
                v.name = f"gradient_of_{self.recorder.value(t._value).name or 'a_parameter'}"


def describe(t: Tensor) -> str:
    """A Tensor as messages name it."""
    return f"{t.name or 'a parameter'} of shape {t.shape}"


def _copied(t: Tensor) -> Tensor:
    return wrap(t._value.copy())


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return name if name.isidentifier() else "step"
