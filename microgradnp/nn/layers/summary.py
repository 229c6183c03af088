"""The table that `Layer.summary` prints: the layers in the order in which they run, found by running the model.

It needs no class of a layer, only what every layer has: `named_layers`, `parameters`, `default_input_shape`.
"""

from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from microgradnp.engine.state import no_grad


def print_summary(model: Any, input_shape: Any) -> None:
    """Print the layers that run, in order, with their output shapes and numbers of parameters."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("summary() prints with rich: pip install 'microgradnp[cli]'.") from error

    input_shape = input_shape_of(model, "summary", input_shape)
    table = Table("layer", "output shape", show_footer=True)
    table.add_column("parameters", justify="right")
    several = bool(input_shape) and not isinstance(input_shape[0], int | np.integer)
    for name, layer, shape in _run(model, input_shape if several else (input_shape,)):
        inner = layer.named_layers()[1:]
        own = _own_parameters(layer)
        if own or not inner:
            text = f"{type(layer).__name__}({'...' if inner else layer.extra_repr()})"
            table.add_row(f"{name}: {text}" if name else text, shape, f"{sum(p.size for p in own):,}")
    total = sum(p.size for p in model.parameters())
    table.columns[0].footer, table.columns[2].footer = type(model).__name__, f"{total:,}"
    Console().print(table)


def input_shape_of(model: Any, who: str, given: Any) -> Any:
    """The shape of one input: the one given, or that of the first layer that knows its own."""
    shapes = (layer.default_input_shape() for _, layer in model.named_layers())
    shape = next((shape for shape in shapes if shape is not None), None) if given is None else given
    if shape is None:
        raise ValueError(f"{who}() needs the shape of one input where there is no Linear: {who}(input_shape=(3,)).")
    return shape


def _own_parameters(layer: Any) -> list[Any]:
    inner = {p for _, part in layer.named_layers()[1:] for p in part.parameters()}
    return [p for p in layer.parameters() if p not in inner]


def _run(model: Any, input_shapes: Any) -> list[tuple[str, Any, str]]:
    """Run the model once on zeros and note what each layer gives; one that does not run comes last, with a dash."""
    _check_number(model, len(input_shapes))
    layers: dict[int, tuple[str, Any]] = {}
    for name, layer in model.named_layers():
        layers.setdefault(id(layer), (name, layer))
    shapes: dict[int, str] = {}  # in the order in which they ran

    def listening(layer: Any, forward: Any, *inputs: Any, **options: Any) -> Any:
        output = forward(*inputs, **options)
        shapes.setdefault(id(layer), _shape(output))
        return output

    try:
        for _, layer in layers.values():
            vars(layer)["forward"] = partial(listening, layer, layer.forward)
        with no_grad(), model.mode(training=False):
            model(*(np.zeros((1, *shape)) for shape in input_shapes))
    finally:
        for _, layer in layers.values():
            vars(layer).pop("forward", None)
    return [(*layers[i], shapes.get(i, "-")) for i in [*shapes, *(i for i in layers if i not in shapes)]]


def _check_number(model: Any, given: int) -> None:
    """Raise if the model's forward() does not take so many inputs."""
    try:
        signature(model.forward).bind(*range(given))
    except TypeError:
        names = [p.name for p in signature(model.forward).parameters.values() if p.default is p.empty]
        raise TypeError(
            f"summary() runs {type(model).__name__}.forward({', '.join(names)}), but has the shape of {given} input"
            f"{'s' * (given != 1)}: give one for each, without the batch axis, such as "
            f"summary(input_shape=({', '.join(['(3,)'] * len(names))},))."
        ) from None


def _shape(output: Any) -> str:
    shape = getattr(output, "shape", None)
    if not shape:
        return "-" if shape is None else "()"
    return f"({', '.join(['N', *map(str, shape[1:])])}{',' if len(shape) == 1 else ''})"
