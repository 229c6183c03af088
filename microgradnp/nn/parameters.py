"""A model as a function of its parameters, so that what differentiates a function of arrays takes a network.

A layer carries its parameters. `functional_call` computes its output with others in their places: it calls copies of
the layers that hold them, and the model itself stays as it is.
"""

from collections import deque
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp import tree
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.layers.base import Layer, inside, named_tensors


def functional_call(model: Layer, parameters: Any, *inputs: Any, **options: Any) -> Any:
    """Compute ``model(*inputs, **options)`` with other parameters, as a function of them.

    Parameters
    ----------
    model
        The layer to call; it is not changed.
    parameters
        Arrays or Tensors by name, as in ``dict(model.named_parameters())`` or ``model.state_dict()``; what has no value
        here keeps its own. Or one vector, as `flat` gives it.
    *inputs, **options
        What to call it with.

    Raises
    ------
    ValueError
        If the model has no parameter of a name, or one of another shape, or the vector has another length.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import nn
    >>> model, x = nn.Linear(1, 1), np.ones((4, 1))
    >>> loss = lambda p: np.mean((nn.functional_call(model, p, x) - 3) ** 2)
    >>> gradient = mg.grad(loss)({"weight": np.array([[1.0]]), "bias": np.array([0.0])})
    >>> gradient["bias"]
    array([-4.])
    """
    if not isinstance(model, Layer):
        raise TypeError(f"functional_call takes a Layer as its first argument; got a {type(model).__name__}.")
    if not isinstance(parameters, Mapping):
        parameters = flat(model)[1](parameters)
    tensors = named_tensors(model)
    replaced: dict[int, Any] = {}
    for name, value in parameters.items():
        if name not in tensors:
            raise ValueError(f"{type(model).__name__} has no parameter {name!r}; it has {', '.join(tensors)}.")
        if np.shape(value) != tensors[name].shape:
            raise ValueError(
                f"parameter {name!r} of {type(model).__name__} has shape {tensors[name].shape}; the given one has "
                f"{np.shape(value)}."
            )
        replaced[id(tensors[name])] = value if type(value) is Tensor else Tensor(value)
    return _with(model, replaced)(*inputs, **options)


def flat(model: Layer) -> tuple[NDArray[Any], Callable[[Any], dict[str, Any]]]:
    """All parameters of a model in one vector, and the function that makes their dict of such a vector.

    With both, what takes a function of one vector takes a network: `microgradnp.hessian`, ``scipy.optimize.minimize``.

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> from microgradnp import nn
    >>> model, x = nn.Linear(2, 1), np.eye(2)
    >>> vector, parameters = nn.flat(model)
    >>> {name: p.shape for name, p in parameters(vector).items()}
    {'weight': (2, 1), 'bias': (1,)}
    >>> mg.hessian(lambda v: np.sum(nn.functional_call(model, parameters(v), x) ** 2))(vector)
    array([[2., 0., 2.],
           [0., 2., 2.],
           [2., 2., 4.]])
    """
    held = model.named_parameters()
    size = sum(p.size for _, p in held)

    def parameters(vector: Any) -> dict[str, Any]:
        if np.shape(vector) != (size,):
            raise ValueError(
                f"{type(model).__name__} has {size} parameters, so they are a vector of shape ({size},); got shape "
                f"{np.shape(vector)}."
            )
        vector = vector if type(vector) is Tensor else np.asarray(vector)
        given, start = {}, 0
        for name, p in held:
            given[name] = vector[start : start + p.size].reshape(p.shape).astype(p.dtype)
            start += p.size
        return given

    return np.concatenate([p.data.ravel() for _, p in held] or [np.zeros(0)]), parameters


def _with(value: Any, replaced: dict[int, Any]) -> Any:
    """The same layers, and what holds them, with other Tensors inside; each once, wherever it stands."""
    if id(value) in replaced or inside(value) is None:
        return replaced.get(id(value), value)
    if isinstance(value, tree.NESTED):
        return tree.map(lambda part: _with(part, replaced), value)
    new = replaced[id(value)] = copy(value)
    if isinstance(value, deque):
        new.clear()
        new.extend(_with(part, replaced) for part in value)
        return new
    for name, part in list(vars(value).items() if isinstance(value, Layer) else inside(value) or ()):
        object.__setattr__(new, name, _with(part, replaced))
    return new
