"""A look at the graph of the first step: what the loss depends on is what the optimizer holds, shape by shape.

Where a layer is kept does not matter here: if it has run, its weights are in the graph.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.layers.base import Layer, named_tensors
from microgradnp.nn.layers.elsewhere import REMEDY, leaves_behind, no_leaf, tensors_near
from microgradnp.nn.optim.base import Optimizer
from microgradnp.nn.optim.buffers import described
from microgradnp.transforms.graph import Operation, operations, variables

_ANEW = "make the optimizer anew, with model.parameters(), after the model has been changed"


def check_graph(model: Layer, loss: Any, optimizer: Optimizer, prediction: Any, value: Tensor, rows: int) -> None:
    """Raise or warn where a training of this loss would not do what is expected.

    Raises
    ------
    ValueError
        If the loss compares every data point with every other by broadcasting, a weight is no leaf, or the optimizer
        holds a parameter that has been replaced. What is not trained otherwise is told in a warning, once.
    """
    graph = operations([value])
    before = {o.result for o in operations(tree.leaves(prediction))}
    _check_broadcasting((o for o in graph if o.result not in before), rows)
    _check_held(model, loss, optimizer, graph)


def _check_broadcasting(loss: Iterable[Operation], rows: int) -> None:
    for o in loss:
        shapes = [np.shape(x) for x in o.inputs]
        ndims = {len(shape) for shape in shapes if shape}
        columns = len(ndims) > 1 and all(shape[0] == rows for shape in shapes if shape)
        elementwise = isinstance(o.rule.function, np.ufunc) or o.rule.function is np.where
        if columns and elementwise and rows > 1 and o.result.size > max(x.size for x in o.inputs if np.shape(x)):
            said = " and ".join(map(str, shapes))
            raise ValueError(
                f"the loss computes {o.name} of shapes {said}, which compares every data point with every other, in "
                f"shape {o.result.shape}: make both of one shape, such as a column of targets, y[:, None]. If it is "
                "meant, say so in the loss: target[None, :]."
            )


def _check_held(model: Layer, loss: Any, optimizer: Optimizer, graph: list[Operation]) -> None:
    reached = variables(graph)
    strangers = [t for t in reached if t not in set(optimizer.parameters)]
    if not strangers:
        return
    names = {t: name for name, t in named_tensors(model).items()}
    among = set(reached)
    for i, p in enumerate(optimizer.parameters):
        if p.requires_grad and p not in among and p not in names:
            raise ValueError(
                f"the optimizer's {described(i, p)} is not in the {type(model).__name__} any more: was its layer "
                f"replaced, or is it another model's? Then {_ANEW}."
            )
    near = [*tensors_near(model, type(model).__name__), *tensors_near(loss, "the loss")]
    places = {t: place for place, t in near if t.is_leaf}
    computed = {o.result for o in graph}
    unplaced = set(strangers).difference(places)
    for place, t in near:
        if t in computed and unplaced.intersection(leaves_behind(t)):
            raise ValueError(no_leaf(place, t))

    known = [f"{names[t]} of shape {t.shape}" for t in strangers if t in names]
    if known:
        optimizer.programs.tell(
            f"the optimizer does not train {', '.join(known)} of the {type(model).__name__}. If added or unfrozen "
            f"since it was made: {_ANEW}. If to stay as it is: set its requires_grad to False."
        )
    hidden = [f"{places.get(t) or _anonymous(t)} of shape {t.shape}" for t in strangers if t not in names]
    if hidden:
        optimizer.programs.tell(
            f"the optimizer does not train {', '.join(hidden)}, on which the loss depends: {type(model).__name__} does "
            f"not know of {'it' if len(hidden) == 1 else 'them'}. {REMEDY}"
        )


def _anonymous(t: Tensor) -> str:
    return f"a Tensor {t.name or ''} (in a global variable?)".replace("  ", " ")
