"""The Tensor: a NumPy array that remembers how it was computed.

`apply` is the one door through which every operation goes: it computes the value on plain arrays and, where a gradient
will be wanted, keeps the rule, the inputs and their values. NumPy's two protocols (``__array_ufunc__``, NEP 13, and
``__array_function__``, NEP 18) lead NumPy's own functions to that door, so a function written with ``import numpy as
np`` runs on Tensors unchanged. What has no way through says so; nothing leaves the graph without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from microgradnp import tree
from microgradnp.arrays import READY, REAL, Array, castable, constant_array, native, plain_array
from microgradnp.engine.dispatch import CONSTANTS, FUNCTIONS, learned, unsupported
from microgradnp.engine.operators import Operators
from microgradnp.engine.rules import RULES, Rule
from microgradnp.engine.state import current, state
from microgradnp.engine.sweep import sweep
from microgradnp.engine.table import astype, getitem, is_basic, setitem
from microgradnp.signatures import by_name, name_of
from microgradnp.versions import captured, is_view, orders, origin_of, renewed, revise, root_of, used_by, viewed

Operand: TypeAlias = "Tensor | ArrayLike"
Axis: TypeAlias = int | tuple[int, ...] | None

NONE: dict[str, Any] = {}
"""No options."""

# -- The one door ------------------------------------------------------------------------------------------------------


def apply(rule: Rule, inputs: tuple[Any, ...], options: dict[str, Any] = NONE) -> Tensor:
    """Compute one row of the table on Tensors, arrays and numbers, and connect the result to what it came from."""
    inputs = tuple(map(operand, inputs))
    values = [x._value if type(x) is Tensor else x for x in inputs]
    machine, recording = current()
    t = wrap(np.asarray(machine.run(rule, values, options)))
    if recording and any(x._tracked for x in inputs if type(x) is Tensor):
        t._tracked, t._rule, t._options = True, rule, options
        t._inputs = tuple([captured(x) if type(x) is Tensor else x for x in inputs])
        t._order = next(orders)
    if rule.view and type(inputs[0]) is Tensor:
        viewed(t, inputs[0], rule.function, options)
    machine.ran(t, rule, inputs, values, options)
    return t


def wrap(data: Array) -> Tensor:
    """A Tensor around an array as it is: no copy, no check, no gradient."""
    t = blank()
    t._value = data
    t._tracked = False
    t._rule = None
    t._order = 0
    t._grad = None
    t.name = None
    return t


def operand(x: Any) -> Any:
    """Anything that an operation may be given: a Tensor, an array or a number that the rules can work with."""
    return x if type(x) is Tensor or type(x) in READY else constant_array(x)


# -- What a NumPy function does on Tensors -----------------------------------------------------------------------------


def call(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call a NumPy function of which some argument is a Tensor."""
    if options and ("out" in options or "like" in options):
        if options.get("out") is not None or options.get("like") is not None:
            return _call_into(function, args, options)
        options = {key: value for key, value in options.items() if key not in ("out", "like")}
    front = FUNCTIONS.get(function)
    if front is not None:
        try:
            return front(*args, **options)
        except TypeError as error:
            if (named := by_name(function, front, args, options, error)) is None:
                raise
        return call(function, *named)
    rule = RULES.get(function) or learned(function)
    if rule is not None and not (options and isinstance(function, np.ufunc)):
        return apply(rule, args, options)
    if function in CONSTANTS or not (current().machine.traces or any(t._tracked for t in tensors_in((args, options)))):
        return constant(function, args, options)
    raise TypeError(unsupported(function, options if rule else NONE))


def constant(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call a function whose result has gradient zero: on the plain arrays, for a plain result."""
    return current().machine.constant(function, plain(args), plain(options), tensors_in((args, options)))


def plain(x: Any) -> Any:
    """The same nested arguments with every Tensor replaced by its array."""
    return tree.map(lambda leaf: leaf._value if type(leaf) is Tensor else leaf, x)


def tensors_in(x: Any) -> Iterator[Tensor]:
    """The Tensors among nested arguments."""
    return (leaf for leaf in tree.leaves(x) if type(leaf) is Tensor)


def assign(target: Any, value: Any) -> None:
    """Write ``value`` into the array ``target``: as part of the program, while one is recorded."""
    current().machine.assign(target, value)


def _call_into(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A call with ``out=``: refused where a gradient is at stake, since writing into an array forgets it."""
    machine = current().machine
    out = options.get("out")
    out = out[0] if type(out) is tuple and len(out) == 1 else out
    tracked = any(t._tracked for t in tensors_in((args, options)))
    if not tracked and options.keys() == {"out"} and machine.is_place(out):
        machine.assign(out, call(function, args, {}))
        return out
    if tracked or machine.traces or [*tensors_in(out)] or options.get("like") is not None:
        key = "like" if options.get("like") is not None else "out"
        raise TypeError(
            f"{name_of(function)} with {key}= cannot write a Tensor's value without losing its gradient. Leave {key}= "
            f"away and use the result: y = {name_of(function)}(...); a = a + t instead of a += t."
        )
    return function(*plain(args), **plain(options))


def plain_index(index: Any) -> Any:
    """An index without Tensors and lists: a Tensor stands for its values, and a list may change before backward."""
    if type(index) is tuple:
        return tuple(map(plain_index, index))
    if type(index) is list:
        array = np.array(index)
        return array if array.size else array.astype(np.intp)
    if type(index) is Tensor:
        if index._value.dtype.kind not in "iub":
            raise TypeError(f"an index must be of integers or booleans; got a Tensor of dtype {index._value.dtype}.")
        return current().machine.read(index, "indexing with a computed Tensor")
    return index


# -- The Tensor --------------------------------------------------------------------------------------------------------


class Tensor(Operators):
    """An array of real numbers that takes part in automatic differentiation.

    Parameters
    ----------
    data
        Anything `numpy.array` takes; copied, so that the original never changes.
    requires_grad
        Whether `backward` shall leave a gradient in ``.grad``. Such data must be float32 or float64.
    dtype
        The dtype to convert to, if not that of ``data``.
    name
        A name to show in errors, derivations and graphs.

    Raises
    ------
    TypeError
        If ``data`` is not numeric, is complex, is a Tensor that is part of a graph, or needs a gradient but is not
        float.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> x = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> np.sum(x * x).backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    __slots__ = (
        "__weakref__",
        "_a",
        "_b",
        "_grad",
        "_options",
        "_order",
        "_past",
        "_rule",
        "_tracked",
        "_value",
        "_version",
        "_view",
        "_views",
        "name",
        "note",
    )

    # The inputs of a binary operation stand in two slots, not in a tuple: with one object less for the garbage
    # collector to visit, an operation in a graph of 10**6 costs 1.3 times one in a graph of 10**3, against 1.9.
    _a: Any
    _b: Any
    _value: Array
    _tracked: Any  # True, False, or versions.VIEW
    _rule: Rule | None
    _options: dict[str, Any]
    _order: int
    _grad: Any
    name: str | None
    note: Any  # what a machine remembers of the operation

    def __init__(
        self,
        data: Operand,
        requires_grad: bool = False,
        *,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(data, Tensor):
            data = data.__array__()
        if type(data) is not np.ndarray or data.dtype not in REAL:
            data = constant_array(data)
        array = native(np.array(data, dtype=dtype))
        if array.dtype.kind not in "fiub":
            raise TypeError(f"a Tensor holds real numbers; got dtype {array.dtype}.")
        self._value = array
        self._rule = None
        self._tracked = False
        self._order = next(orders)
        self._grad = None
        self.name = name
        if requires_grad:
            self.requires_grad = True

    def __dir__(self) -> list[str]:
        hidden = {name for name in self.__slots__ if name.startswith("_")}
        return [name for name in super().__dir__() if name not in hidden and hasattr(self, name)]

    def __init_subclass__(cls) -> None:
        raise TypeError(
            f"class {cls.__name__}(Tensor): a Tensor cannot be subclassed, since operations would lose the class. Hold "
            "a Tensor in an attribute instead; for parameters see microgradnp.nn.Layer."
        )

    # -- Its place in the graph

    @property
    def _inputs(self) -> tuple[Any, ...]:
        """What it was computed from: Tensors, arrays and numbers."""
        if self._rule is None:
            return ()
        inputs = self._a if self._b is ALL else (self._a,) if self._b is ONE else (self._a, self._b)
        return tuple([used_by(self, x) if type(x) is Tensor else x for x in inputs])

    @_inputs.setter
    def _inputs(self, inputs: tuple[Any, ...]) -> None:
        if len(inputs) == 1:
            self._a, self._b = inputs[0], ONE
        elif len(inputs) == 2 and not self._options:
            self._a, self._b = inputs
        else:
            self._a, self._b = inputs, ALL

    @property
    def _values(self) -> list[Any]:
        """The inputs as the rule's arrays and numbers."""
        return [x._value if type(x) is Tensor else x for x in self._inputs]

    # -- What it is

    @property
    def data(self) -> Array:
        """The value, an ndarray. Writing into it while a graph holds it makes that graph's gradients wrong."""
        return current().machine.data(self)  # type: ignore[no-any-return]  # an array, or what stands for it

    @data.setter
    def data(self, value: ArrayLike) -> None:
        itself = type(value) is Tensor and value._value is self._value  # t.data -= x ends so, while being recorded
        array = self._value if itself else plain_array(value)
        if array.shape != self._value.shape or array.dtype != self._value.dtype:
            raise ValueError(
                f"new data of shape {array.shape} and dtype {array.dtype} for a Tensor of shape {self._value.shape} "
                f"and dtype {self._value.dtype}: they must agree. Make a new Tensor for other data."
            )
        self._value = array
        renewed(self)

    @property
    def grad(self) -> Array | None:
        """The gradient that `backward` has left: an ndarray of this shape and dtype, or None."""
        return current().machine.gradient(self)  # type: ignore[no-any-return]  # an array, or what stands for it

    @grad.setter
    def grad(self, value: Any) -> None:
        current().machine.set_gradient(self, value)

    @property
    def requires_grad(self) -> bool:
        """Whether this Tensor is part of a graph: a leaf that wants a gradient, or computed from one."""
        return bool(self._tracked)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._rule is not None:
            raise RuntimeError(
                f"requires_grad can be set on a leaf only; this Tensor is the result of {self._rule.name}. Use "
                ".detach() for its value without the graph."
            )
        if value and self._value.dtype.type not in (np.float32, np.float64):
            raise TypeError(
                f"only float32 and float64 have gradients; got {self._value.dtype}. Write 1.0 instead of 1, or pass "
                "dtype=np.float64."
            )
        if value and not self._tracked:
            renewed(self)  # graphs in which it was a constant know a part of its gradient at most
        self._tracked = bool(value)

    @property
    def is_leaf(self) -> bool:
        """Whether this Tensor was made by the user, not computed from others in a graph."""
        return self._rule is None

    # -- Backward

    def backward(self, gradient: Operand | None = None, *, retain_graph: bool = False) -> None:
        """Add the gradient of this Tensor to the ``.grad`` of every leaf that it was computed from.

        Parameters
        ----------
        gradient
            What to start from, of this Tensor's shape: the gradient of some later scalar with respect to this Tensor. A
            Tensor of one element needs none (1 is taken).
        retain_graph
            Keep the graph for another ``backward()``. By default each node is freed as it is passed.

        Raises
        ------
        RuntimeError
            If this Tensor is not part of a graph, has several elements and no ``gradient``, or its graph is already
            freed.
        ValueError
            If ``gradient`` has another shape.

        Examples
        --------
        >>> import microgradnp as mg
        >>> x = mg.Tensor(3.0, requires_grad=True)
        >>> (x ** 2).backward()
        >>> x.grad
        array(6.)
        """
        if not self._tracked:
            raise RuntimeError(
                "backward() on a Tensor that is not part of a graph: nothing that it was computed from has "
                "requires_grad=True, or it was computed under no_grad() or detached."
            )
        machine = current().machine
        with state(recording=False):
            seed = machine.lift(self._seed(gradient)).astype(self._value.dtype, copy=False)
            gradients = sweep({self: seed}, retain=retain_graph, record=machine.traces)
        with depositing:
            for leaf, g in gradients.items():
                if leaf._tracked:  # not frozen since
                    machine.deposit(leaf, g)

    def _seed(self, gradient: Any) -> Any:
        if gradient is None:
            value = self._value
            if value.size != 1:
                raise RuntimeError(
                    f"backward() without a gradient needs a single element; this Tensor has shape {value.shape}. "
                    "Reduce it to a scalar (loss.sum()), or pass gradient= of that shape."
                )
            return np.ones(value.shape, value.dtype) if value.ndim else value.dtype.type(1)
        seed = plain_array(gradient)
        if seed.shape != self._value.shape:
            raise ValueError(
                f"backward(gradient) of shape {seed.shape} for a Tensor of shape {self._value.shape}: they must be the "
                "same."
            )
        if seed.dtype.kind not in "fiub":
            raise TypeError(f"backward(gradient) takes real numbers; got dtype {seed.dtype}.")
        return seed

    def _deposit(self, g: Any) -> None:
        """Add to what stands in ``.grad``; the first gradient gets memory of its own."""
        grad = self._grad
        if isinstance(grad, np.generic):  # what NumPy makes of a 0-d array, in p.grad = p.grad * 0.5
            grad = self._grad = np.array(grad)
        if grad is None:
            self._grad = np.array(g)
        elif type(grad) is not np.ndarray or grad.shape != self.shape or grad.dtype != self.dtype:
            raise TypeError(
                f".grad was set to {type(grad).__name__} of shape {np.shape(grad)}; it must be None or an "
                f"ndarray of shape {self.shape} and dtype {self.dtype}."
            )
        else:
            np.add(grad, g, out=grad)

    def detach(self) -> Tensor:
        """The same data, outside the graph."""
        t = wrap(self._value)
        t.name = self.name
        return t

    # -- Out of the graph, never without a word

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self._tracked:
            raise TypeError(
                f"this Tensor of shape {self._value.shape} is part of a graph; turning it into an ndarray would detach "
                "it without a word. To combine Tensors use np.stack or np.concatenate, like=t or microgradnp.numpy "
                "(not np.array([...]), a[i] = t), and np.dot(a, t), a @ t or df.to_numpy() @ t; for values t.detach()."
            )
        return np.array(current().machine.read(self, "__array__"), dtype=dtype, copy=copy)

    # -- Elements, and statements that change it

    def __getitem__(self, index: Any) -> Tensor:
        return apply(RULES[getitem], (self,), {"index": plain_index(index)})

    def __setitem__(self, index: Any, value: Any) -> None:
        machine, recording = current()
        index = plain_index(index)
        if machine.is_place(self):
            machine.assign(self, value, index)
        elif is_basic(index) and is_view(value, self, getitem, {"index": index}):
            pass  # t[i] += v: the view has written itself back
        elif recording and _is_leaf(root_of(self)):
            raise TypeError(
                "t[index] = value would change a leaf that requires a gradient, which would then be none. Build the "
                "result instead: np.where(mask, value, t), np.concatenate, np.stack or microgradnp.put(t, index, "
                "value); to update a parameter, do it under no_grad()."
            )
        else:
            revise(self, setitem(self, value, index=index))

    def _in_place(self, function: Callable[..., Any], other: Any) -> Tensor:
        """``t += x``: this very object gets the new value, under all its names."""
        machine, recording = current()
        place = machine.is_place(self)
        if not place and recording and _is_leaf(root_of(self)):
            raise TypeError(
                f"an in-place {name_of(function)} on a leaf that requires a gradient would take the name from the "
                "leaf. Write t = t + x for a new Tensor; to update a parameter, do it under no_grad() or let an "
                "optimizer do it."
            )
        y = apply(RULES[function], (self, other))
        if y.shape != self.shape or not np.can_cast(y.dtype, self.dtype, "same_kind"):
            raise (ValueError if y.shape != self.shape else TypeError)(
                f"an in-place {name_of(function)} on a Tensor of shape {self.shape} and dtype {self.dtype} cannot hold "
                f"its result, of shape {y.shape} and dtype {y.dtype}. Write t = t + x for a new Tensor."
            )
        if place:
            machine.assign(self, y)
        else:
            revise(self, y if y.dtype == self.dtype else setitem(self, y, index=...))
        return self

    # -- NumPy's functions

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        for t in types:
            if t is not Tensor and not issubclass(t, np.ndarray):
                return NotImplemented
        return call(function, args, options)

    def _call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return call(function, args, options)

    # -- Copies

    def copy(self) -> Tensor:
        """A Tensor of the same value, computed from this one: the gradient flows through."""
        if self._value.dtype == np.bool:  # which NumPy calls neither positive nor negative
            return apply(RULES[np.maximum], (self, False))
        return apply(RULES[np.positive], (self,))

    def astype(self, dtype: DTypeLike, *, copy: bool = True) -> Any:
        """Cast: floats stay in the graph; whole numbers and text are plain arrays, anything else is refused there."""
        target = np.dtype(dtype)
        if target == self._value.dtype:
            return self.copy() if copy else self
        if target.kind == "f":
            return apply(RULES[astype], (self,), {"dtype": target})
        return constant(np.ndarray.astype, (self, castable(target, self._tracked)), {})

    def __reduce__(self) -> Any:
        if (origin := origin_of(self)) is not None:
            raise TypeError(
                f"a Tensor that is part of a graph ({origin}) cannot be copied or pickled: its "
                "graph cannot go along. Copy or plot its value, t.detach() or t.data; t.copy() stays in the graph."
            )
        return _rebuild, (self._value, self._tracked, self._grad, self.name)


blank: Callable[[], Tensor] = partial(object.__new__, Tensor)

ONE: Any = object()
"""Stands in a node's second slot where the first holds its only input."""

ALL: Any = object()
"""Stands in a node's second slot where the first holds all its inputs, as a tuple."""

depositing = Lock()  # threads may share a leaf, and NumPy adds large arrays with Python's own lock let go


def _is_leaf(t: Tensor) -> bool:
    return bool(t._tracked) and t._rule is None


def _rebuild(data: Array, requires_grad: bool, grad: Array | None, name: str | None) -> Tensor:
    t = Tensor(data, requires_grad, name=name)
    t._grad = None if grad is None else np.array(grad)
    return t
