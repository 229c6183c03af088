"""The table from what a trace computes to the nodes of ONNX: one row a function of NumPy's.

A row is ``row(graph, operation)`` and returns the name of its result. `Graph` gives operands their names and types;
what has no row has no counterpart, and is refused by name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.ir import Operation, Value, copied, sum_of_squares
from microgradnp.compiler.rows import along_rows
from microgradnp.engine.table import astype, getitem, identity
from microgradnp.nn import functional
from microgradnp.nn.convolution import convolution
from microgradnp.nn.pooling import first_maxima, sums_of_windows
from microgradnp.signatures import name_of

Row = Callable[["Graph", Operation], str]
END = np.iinfo(np.int64).max
"""The end of a slice that goes on to the end."""


class Graph:
    """Nodes and constants as they are made, all floating numbers in one dtype."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        self.constants: dict[str, Array] = {}
        self._known: dict[int, Value] = {}

    def of(self, dtype: Any) -> np.dtype[Any]:
        """The dtype in which values of this one are computed."""
        return self.dtype if np.dtype(dtype).kind == "f" else np.dtype(dtype)

    def constant(self, array: Any, name: str = "c") -> str:
        """The name of an array that stands in the file."""
        array = np.asarray(_fixed(array))
        array = np.ascontiguousarray(array.astype(self.of(array.dtype))).reshape(array.shape)
        return self._name(name, array)

    def _name(self, name: str, array: Array) -> str:
        wished, n = name, 1
        while name in self.constants:
            if np.array_equal(self.constants[name], array) and self.constants[name].dtype == array.dtype:
                return name
            n += 1
            name = f"{wished}_{n}"
        self.constants[name] = array
        return name

    def node(self, kind: str, *inputs: str, results: int = 1, **attributes: Any) -> str:
        """Add a node, and return the name of its last result."""
        names = [f"{kind.lower()}_{len(self.nodes)}{'' if i == results - 1 else '_unused'}" for i in range(results)]
        self.nodes.append((kind, list(inputs), names, attributes))
        return names[-1]

    def name(self, x: Any) -> str:
        """The name of an operand: a value, or a number."""
        if type(x) is not Value:
            return self.constant(x)
        return self.constant(x.array, x.name) if x.kind in ("bound", "constant") else x.name

    def cast(self, x: Any, dtype: Any) -> str:
        """An operand in a dtype."""
        wanted = self.of(dtype)
        if type(x) is not Value or x.kind in ("bound", "constant"):
            array = np.asarray(x.array if type(x) is Value else _fixed(x))
            return self._name(x.name if type(x) is Value else "c", array.astype(wanted))
        return x.name if self.of(x.dtype) == wanted else self.node("Cast", x.name, to=wanted)

    def together(self, *operands: Any) -> list[str]:
        """Operands in the dtype that NumPy computes them in; ONNX has no promotion."""
        given = [x.array if type(x) is Value else x for x in operands]
        dtype = np.result_type(*(x if type(x) in (int, float, bool) else x.dtype for x in map(_bare, given)))
        return [self.cast(x, dtype) for x in operands]


def _fixed(x: Any) -> Any:
    """What does not depend on the number of rows."""
    if along_rows(x):
        raise NoCounterpart(f"{x!r}, which depends on the number of rows,")
    return x


def _bare(x: Any) -> Any:
    """An array, or a Python number, which does not decide on a dtype."""
    x = _fixed(x)
    return x if type(x) in (int, float, bool) or hasattr(x, "dtype") else np.asarray(x)


class NoCounterpart(TypeError):
    """ONNX has no node for something, or this table none."""


# -- Rows --------------------------------------------------------------------------------------------------------------


def _same(kind: str, graph: Graph, operation: Operation) -> str:
    """A node of any number of operands in one dtype."""
    return graph.node(kind, *graph.together(*operation.arguments))


def _compared(kind: str, graph: Graph, operation: Operation) -> str:
    y = graph.node(kind.removeprefix("Not"), *graph.together(*operation.arguments))
    return graph.node("Not", y) if kind.startswith("Not") else y


def _floating(kind: str, graph: Graph, operation: Operation) -> str:
    """A node of operands in the dtype of its result: what is divided is no integer."""
    assert operation.result is not None
    return graph.node(kind, *(graph.cast(x, operation.result.dtype) for x in operation.arguments))


def _reduced(kind: str, graph: Graph, operation: Operation) -> str:
    (x,), options = operation.arguments, dict(operation.options)
    axis, keepdims = options.pop("axis", None), options.pop("keepdims", False)
    if any(value is not None for value in options.values()):
        raise NoCounterpart(f"{name_of(operation.function)} with {', '.join(options)}")
    axes = () if axis is None else axis if isinstance(axis, tuple) else (axis,)
    where = [graph.constant(np.array(axes, np.int64), "axes")] if axes or axis == () else []
    assert operation.result is not None
    return graph.node(kind, graph.cast(x, operation.result.dtype), *where, keepdims=int(bool(keepdims)))


def _extreme(kind: str, graph: Graph, operation: Operation) -> str:
    axis = operation.options.get("axis")
    x = graph.name(operation.arguments[0])
    if axis is None:
        x, axis = graph.node("Reshape", x, graph.constant(np.array([-1]))), 0
    return graph.node(kind, x, axis=axis, keepdims=int(bool(operation.options.get("keepdims"))))


def _shape(graph: Graph, shape: Any) -> str:
    """A shape as a constant, in which one axis may go along with the rows: -1 is what remains."""
    lengths = [-1 if along_rows(n) else int(n) for n in shape]
    if lengths.count(-1) > 1:
        raise NoCounterpart(f"the shape {shape}, in which two axes depend on the number of rows,")
    return graph.constant(np.array(lengths, np.int64), "shape")


def _reshape(graph: Graph, operation: Operation) -> str:
    return graph.node("Reshape", graph.name(operation.arguments[0]), _shape(graph, operation.options["shape"]))


def _transpose(graph: Graph, operation: Operation) -> str:
    return graph.node("Transpose", graph.name(operation.arguments[0]), perm=list(operation.options["axes"]))


def _concatenate(graph: Graph, operation: Operation) -> str:
    return graph.node("Concat", *graph.together(*operation.arguments), axis=operation.options["axis"])


def _cast(graph: Graph, operation: Operation) -> str:
    assert operation.result is not None
    return graph.node("Identity", graph.cast(operation.arguments[0], operation.result.dtype))


def _identity(graph: Graph, operation: Operation) -> str:
    return graph.node("Identity", graph.name(operation.arguments[0]))


def _square(graph: Graph, operation: Operation) -> str:
    x = graph.name(operation.arguments[0])
    return graph.node("Mul", x, x)


def _less_one(graph: Graph, operation: Operation) -> str:
    """``exp(x) - 1``, to rounding of a number near 1."""
    (x,), y = operation.arguments, operation.result
    assert y is not None
    return graph.node("Sub", graph.node("Exp", graph.cast(x, y.dtype)), graph.constant(np.ones((), y.dtype), "one"))


def _and_one(graph: Graph, operation: Operation) -> str:
    """``log(1 + x)``, to rounding of a number near 1."""
    (x,), y = operation.arguments, operation.result
    assert y is not None
    return graph.node("Log", graph.node("Add", graph.constant(np.ones((), y.dtype), "one"), graph.cast(x, y.dtype)))


def _where(graph: Graph, operation: Operation) -> str:
    chosen, *both = operation.arguments
    return graph.node("Where", graph.name(chosen), *graph.together(*both))


def _clip(graph: Graph, operation: Operation) -> str:
    x, *limits = graph.together(*(x for x in operation.arguments if x is not None))
    if len(limits) != 2 or operation.options:
        raise NoCounterpart("np.clip without both limits")
    return graph.node("Min", graph.node("Max", x, limits[0]), limits[1])


def _squares(graph: Graph, operation: Operation) -> str:
    x, count = graph.name(operation.arguments[0]), operation.options["count"]  # of rows too: it is all there is
    return graph.node("ReduceMean" if count else "ReduceSum", graph.node("Mul", x, x), keepdims=0)


def _getitem(graph: Graph, operation: Operation) -> str:
    """Slices, single places and new axes; or one array of places along the first axis."""
    x, index = operation.arguments[0], operation.options["index"]
    if type(index) is Value and index.dtype.kind in "iu":
        return graph.node("Gather", graph.name(x), graph.name(index), axis=0)
    parts = list(index) if type(index) is tuple else [index]
    if Ellipsis in parts:
        i = parts.index(Ellipsis)
        parts[i : i + 1] = [slice(None)] * (x.array.ndim - sum(part is not None for part in parts) + 1)
    if not all(part is None or isinstance(part, slice | int) for part in parts):
        raise NoCounterpart("an index by arrays, other than of whole numbers along the first axis,")
    slices = [part for part in parts if part is not None]
    cuts = [_cut(axis, part) for axis, part in enumerate(slices) if part != slice(None)]
    name = graph.name(x)
    if cuts:
        name = graph.node("Slice", name, *(graph.constant(np.array(row, np.int64)) for row in zip(*cuts, strict=True)))
    single = [axis for axis, part in enumerate(slices) if isinstance(part, int)]
    if single:
        name = graph.node("Squeeze", name, graph.constant(np.array(single, np.int64), "axes"))
    kept = [part for part in parts if not isinstance(part, int)]
    new = [axis for axis, part in enumerate(kept) if part is None]
    return graph.node("Unsqueeze", name, graph.constant(np.array(new, np.int64), "axes")) if new else name


def _cut(axis: int, part: Any) -> tuple[int, int, int, int]:
    """One axis of a slice: start, stop, axis, step."""
    if isinstance(part, int):
        part = slice(_fixed(part), part + 1 if part != -1 else None)
    start, stop, step = map(_fixed, (part.start, part.stop, part.step))
    step = 1 if step is None else operator.index(step)
    start = (0 if step > 0 else END) if start is None else start
    stop = (END if step > 0 else -END) if stop is None else stop
    return start, stop, axis, step


def _softmax(kind: str, graph: Graph, operation: Operation) -> str:
    axis = operation.options.get("axis", -1)
    if not isinstance(axis, int):
        raise NoCounterpart(f"{kind} along the axes {axis}")
    return graph.node(kind, graph.name(operation.arguments[0]), axis=axis)


def _frames(options: dict[str, Any]) -> dict[str, Any]:
    """The attributes of windows."""
    frames = {"kernel_shape": options["kernel"], "strides": options["stride"], "pads": (*options["padding"],) * 2}
    return {**frames, "dilations": options["dilation"]} if "dilation" in options else frames


def _convolution(graph: Graph, operation: Operation) -> str:
    x, weight, *bias = operation.arguments
    if type(weight) is Value and weight.kind in ("bound", "constant"):
        turned = graph.constant(weight.array.transpose(3, 2, 0, 1), weight.name)
    else:
        turned = graph.node("Transpose", graph.name(weight), perm=[3, 2, 0, 1])
    return graph.node("Conv", graph.name(x), turned, *map(graph.name, bias), **_frames(operation.options))


def _first_maxima(graph: Graph, operation: Operation) -> str:
    return graph.node("MaxPool", graph.name(operation.arguments[0]), results=2, **_frames(operation.options))


def _sums_of_windows(graph: Graph, operation: Operation) -> str:
    (x,), (h, w) = operation.arguments, operation.options["kernel"]
    mean = graph.node("AveragePool", graph.name(x), count_include_pad=1, **_frames(operation.options))
    return graph.node("Mul", mean, graph.constant(np.float64(h * w)))


WHOLE = frozenset({functional.sigmoid, functional.relu, functional.softmax, functional.log_softmax})
"""Composed functions that have a node of their own, which every runtime has for float64 too."""

# fmt: off
NODES: dict[Any, Row] = {
    **{f: partial(_same, kind) for f, kind in {
        np.add: "Add", np.subtract: "Sub", np.multiply: "Mul", np.matmul: "MatMul", np.power: "Pow", np.maximum: "Max",
        np.minimum: "Min", np.negative: "Neg", np.abs: "Abs", np.floor: "Floor", np.ceil: "Ceil", np.sign: "Sign",
        np.logical_and: "And", np.logical_or: "Or", np.logical_not: "Not", functional.sigmoid: "Sigmoid",
        functional.relu: "Relu", np.isnan: "IsNaN",
    }.items()},
    **{f: partial(_floating, kind) for f, kind in {
        np.divide: "Div", np.exp: "Exp", np.log: "Log", np.sqrt: "Sqrt", np.tanh: "Tanh", np.sin: "Sin", np.cos: "Cos",
        np.tan: "Tan", np.arcsin: "Asin", np.arccos: "Acos", np.arctan: "Atan", np.sinh: "Sinh", np.cosh: "Cosh",
        np.reciprocal: "Reciprocal",
    }.items()},
    **{f: partial(_compared, kind) for f, kind in {
        np.greater: "Greater", np.less: "Less", np.equal: "Equal", np.greater_equal: "GreaterOrEqual",
        np.less_equal: "LessOrEqual", np.not_equal: "NotEqual",
    }.items()},
    **{f: partial(_reduced, kind) for f, kind in {
        np.sum: "ReduceSum", np.mean: "ReduceMean", np.max: "ReduceMax", np.min: "ReduceMin", np.prod: "ReduceProd",
    }.items()},
    **{f: partial(_extreme, kind) for f, kind in {np.argmax: "ArgMax", np.argmin: "ArgMin"}.items()},
    **{f: partial(_softmax, kind) for f, kind in {
        functional.softmax: "Softmax", functional.log_softmax: "LogSoftmax",
    }.items()},
    np.reshape: _reshape,
    np.transpose: _transpose,
    np.concatenate: _concatenate,
    np.where: _where,
    np.square: _square,
    np.clip: _clip,
    np.expm1: _less_one,
    np.log1p: _and_one,
    sum_of_squares: _squares,
    astype: _cast,
    copied: _identity,
    identity: _identity,
    getitem: _getitem,
    convolution: _convolution,
    first_maxima: _first_maxima,
    sums_of_windows: _sums_of_windows,
}
# fmt: on
