"""A model's prediction as a file of ONNX, which other runtimes and languages read.

As for `Layer.to_numpy`, what is written is what the model computes, operation by operation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from microgradnp.compiler.ir import Value
from microgradnp.nn.deploy.nodes import NODES, WHOLE, Graph, NoCounterpart
from microgradnp.nn.layers.base import Layer, prediction
from microgradnp.nn.saving.archive import replacing
from microgradnp.signatures import name_of

OPSET, IR = 18, 9
"""The versions that are written: of 2022, which every current runtime reads."""


def to_onnx(
    model: Layer,
    path: str | os.PathLike[str],
    *,
    before: Callable[[Any], Any] | None = None,
    after: Callable[[Any], Any] | None = None,
    input_shape: tuple[int, ...] | None = None,
    dtype: DTypeLike | None = None,
) -> None:
    """Write a model's prediction as a file of ONNX: one input ``x``, one output ``y``, any number of rows.

    Parameters
    ----------
    model
        A layer; also one of your own, if what it computes has a counterpart in ONNX.
    path
        Where to. The file is written beside the old one and takes its place when it is whole.
    before, after
        What is done to the input before the model and to the output after it, as for `Layer.to_numpy`.
    input_shape
        The shape of one input, without the batch axis; by default that of the first layer that knows its own.
    dtype
        float32 or float64, in which to compute; by default that of the parameters. Runtimes may lack float64: that of
        onnxruntime has no convolution in it.

    Raises
    ------
    TypeError
        If the prediction has something without a counterpart, depends on the number of rows, or draws random numbers.

    Examples
    --------
    >>> import os
    >>> import numpy as np, onnxruntime
    >>> from microgradnp import nn
    >>> model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, rng=1))
    >>> nn.to_onnx(model, "model.onnx")
    >>> session, x = onnxruntime.InferenceSession("model.onnx"), np.ones((5, 2))
    >>> (y,) = session.run(None, {"x": x})
    >>> bool(np.allclose(y, model.predict(x)))
    True
    >>> os.remove("model.onnx")
    """
    onnx = _onnx()
    if not isinstance(model, Layer):
        raise TypeError(f"nn.to_onnx(model, path) writes a Layer; got a {type(model).__name__}.")
    trace = prediction(model, "to_onnx", before, after, input_shape, WHOLE)
    (x,), y = trace.inputs, trace.result
    if type(y) is not Value:
        raise TypeError(f"to_onnx() writes a model with one array as its output; this one returns {type(y).__name__}.")
    chosen = np.dtype(dtype if dtype is not None else x.dtype if before is None else np.float64)
    if chosen not in (np.float32, np.float64):
        raise TypeError(f"to_onnx(dtype={dtype!r}): computes in float32 or float64.")
    graph = Graph(chosen)
    for operation in trace.operations:
        row = NODES.get(operation.function)
        try:
            if row is None:
                raise NoCounterpart(name_of(operation.function))
            name = row(graph, operation)
        except NoCounterpart as error:
            place = f" ({os.path.basename(operation.site[0])}:{operation.site[1]})" if operation.site else ""
            raise TypeError(
                f"to_onnx(): {error} in the prediction of {type(model).__name__}{place} has no counterpart in ONNX. "
                "model.to_numpy() writes all that NumPy computes."
            ) from error
        assert operation.result is not None
        operation.result.name = name
    last = graph.name(y)
    graph.nodes.append(("Identity", [last], ["y"], {}))
    content = _serialized(onnx, graph, type(model).__name__, x, y)
    with replacing(path) as file:
        file.write(content)


def _serialized(onnx: ModuleType, graph: Graph, title: str, x: Value, y: Value) -> bytes:
    make = onnx.helper

    def kind(dtype: np.dtype[Any]) -> Any:
        return make.np_dtype_to_tensor_dtype(graph.of(dtype))

    nodes = [
        make.make_node(
            op, inputs, outputs, **{key: kind(a) if isinstance(a, np.dtype) else a for key, a in attributes.items()}
        )
        for op, inputs, outputs, attributes in graph.nodes
    ]
    given = make.make_tensor_value_info(x.name, kind(x.dtype), ["n", *x.shape[1:]])
    made = make.make_tensor_value_info("y", kind(y.dtype), [f"y{i}" if i == 0 else n for i, n in enumerate(y.shape)])
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    model = make.make_model(
        make.make_graph(nodes, title, [given], [made], constants),
        producer_name="microgradnp",
        ir_version=IR,
        opset_imports=[make.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _onnx() -> ModuleType:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_onnx() writes with onnx: pip install 'microgradnp[onnx]'.", name="onnx"
        ) from error
    return onnx
