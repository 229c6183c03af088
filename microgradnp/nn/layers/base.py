"""What all layers share: a `Layer` is a function that carries its own parameters.

A `Layer` holds Tensors, other layers, or lists, tuples, dicts, deques, namespaces and dataclasses of these as plain
attributes; everything else (naming parameters, saving, counting, showing the structure) is one walk over these
attributes, and `elsewhere` finds what it missed. A Tensor that requires a
gradient is a parameter; one that does not (a frozen weight, a running mean) is saved with the rest and not trained.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.arrays import plain_array
from microgradnp.compiler.ir import Trace
from microgradnp.engine.state import current, no_grad
from microgradnp.engine.tensor import Tensor, plain
from microgradnp.nn.checkpoint import load_into
from microgradnp.nn.deploy.helpers import HELPERS
from microgradnp.nn.deploy.recorded import recorded
from microgradnp.nn.deploy.source import source
from microgradnp.nn.layers.elsewhere import missed_by
from microgradnp.nn.layers.summary import input_shape_of, print_summary
from microgradnp.transforms.pullback import returns_arrays


class InputShapeError(ValueError):
    """An input does not fit a layer. The message names the layer by its place in the model that was called."""

    def __init__(self, layer: Layer, problem: str) -> None:
        super().__init__(layer, problem)
        self.layer = layer
        self.problem = problem
        self.model = layer

    def __str__(self) -> str:
        place = next((name for name, layer in self.model.named_layers() if layer is self.layer), "")
        where = f"layer {place} of {type(self.model).__name__}, " if place else ""
        return f"{where}{self.layer!r}, {self.problem}"


class Layer:
    """A function with parameters: subclass it, set Tensors and layers as attributes, and write ``forward``.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> class Residual(nn.Layer):
    ...     def __init__(self, width):
    ...         self.inner = nn.Linear(width, width)
    ...     def forward(self, x):
    ...         return x + np.tanh(self.inner(x))
    >>> model = Residual(3)
    >>> model
    Residual(
      (inner): Linear(3, 3)
    )
    >>> [name for name, _ in model.named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    training: bool = True
    """Whether the layer is being trained: layers that behave differently then (dropout) look here."""
    keeps_scale: bool = False
    """Whether the activation after this layer decides on the first weights of the layer before it."""

    def __init_subclass__(cls) -> None:
        for name, value in vars(cls).items():
            if not isinstance(value, classmethod | staticmethod):
                _check_name(cls, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        _check_name(type(self), name, value)
        before = vars(self).get(name)
        parameter = type(before) is Tensor and before.is_leaf and before.requires_grad
        if parameter and isinstance(value, np.ndarray | np.generic | int | float | list | tuple):
            raise TypeError(
                f"{type(self).__name__}'s {name} is a parameter, and {type(value).__name__} in its place would not be "
                f"trained: set its values, {name}.data[...] = values, or before the optimizer is made put "
                "Tensor(values, requires_grad=True) there."
            )
        super().__setattr__(name, value)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output; a subclass must define it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): a Layer must define forward(self, x).")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output, as a part of the graph where a gradient may be wanted."""
        try:
            return self.forward(*inputs, **options)
        except InputShapeError as error:
            error.model = self  # the outermost layer called comes last, and knows the place
            raise
        except FloatingPointError as error:  # of debug mode, or of np.errstate(all="raise")
            if not hasattr(error, "layer"):
                error.layer = self  # type: ignore[attr-defined]  # the innermost comes first
            raise

    # -- What it holds

    def _members(self) -> Iterable[tuple[str, Any]]:
        return vars(self).items()

    def named_layers(self) -> list[tuple[str, Layer]]:
        """This layer, named ``""``, and all layers inside it, each named by its place: ``"2"``, ``"encoder.0"``."""
        return [(name, part) for name, part in walk(self) if isinstance(part, Layer)]

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """The Tensors that require a gradient, each once, under their places: ``"0.weight"``.

        Warns of those that are kept where they are not looked for: in an object that is no layer, or a closure.
        """
        tensors = named_tensors(self)
        for said in missed_by(self, tensors.values()):
            warnings.warn(said, RuntimeWarning, stacklevel=3)
        return trained(tensors)

    def parameters(self) -> list[Tensor]:
        """The Tensors that require a gradient, each once."""
        return [tensor for _, tensor in self.named_parameters()]

    # -- Training and prediction

    def train(self, mode: bool = True) -> Layer:
        """Put this layer and all inside it into training mode; return it."""
        for _, layer in self.named_layers():
            layer.training = mode
        return self

    def eval(self) -> Layer:
        """Put this layer and all inside it into prediction mode; return it."""
        return self.train(False)

    def mode(self, training: bool) -> AbstractContextManager[None]:
        """Training or prediction mode for a while; afterwards each layer is back in its own."""
        return mode_of([layer for _, layer in self.named_layers()], training)

    @returns_arrays
    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Compute the output as an ndarray, in prediction mode and outside any graph.

        Floating data of another dtype are first converted to that of the parameters.

        Examples
        --------
        >>> import numpy as np
        >>> from microgradnp import nn
        >>> nn.ReLU().predict([[-1.0, 2.0]])
        array([[0., 2.]])
        """
        with no_grad(), self.mode(training=False):
            y = self(as_input(x, dtype_of(self)))
        return y if current().machine.traces else plain(y)  # type: ignore[no-any-return]  # nested as y is

    def draw_from(self, rng: np.random.Generator) -> None:
        """Draw what is random from ``rng``, unless it was given a generator: a `Sequential` with one calls this.

        A layer of your own that draws numbers may define it; the layers inside it are asked themselves.
        """

    # -- Saving

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of all Tensors' data under their places; ``numpy.savez(path, **state)`` saves them.

        Examples
        --------
        >>> from microgradnp import nn
        >>> {name: array.shape for name, array in nn.Linear(2, 3).state_dict().items()}
        {'weight': (2, 3), 'bias': (3,)}
        """
        return {name: tensor.data.copy() for name, tensor in named_tensors(self).items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over the values of `state_dict`; names, shapes and dtypes must fit, or nothing is changed.

        Raises
        ------
        ValueError
            If a name is missing or unexpected, or a shape differs.
        TypeError
            If a dtype does not convert without loss.
        """
        arrays = {name: tensor.data for name, tensor in named_tensors(self).items()}
        load_into(arrays, state, type(self).__name__)

    # -- Deployment

    def to_numpy(
        self,
        *,
        before: Callable[[Any], Any] | None = None,
        after: Callable[[Any], Any] | None = None,
        input_shape: tuple[int, ...] | None = None,
    ) -> str:
        """The prediction as the source of one Python file that needs NumPy alone: a function ``predict(x)``.

        It is written from what the model computes, so that layers of your own are written too. Weights stand in the
        file, exact to the last bit.

        Parameters
        ----------
        before, after
            What is done to the input before the model and to the output after it: functions that are plain NumPy, such
            as a `Standardizer` and the ``inverse`` of one.
        input_shape
            The shape of one input, without the batch axis; by default that of the first layer that knows its own.

        Raises
        ------
        TypeError
            If the prediction depends on the number of rows, or draws random numbers.
        ValueError
            If the shape is not given and no layer says it.

        Examples
        --------
        >>> import numpy as np
        >>> from microgradnp import nn
        >>> model = nn.Sequential(nn.Linear(2, 1), nn.Tanh())
        >>> model.load_state_dict({"0.weight": [[1.0], [-2.0]], "0.bias": [0.5]})
        >>> text = model.to_numpy(after=lambda y: 10 * y)
        >>> print(text[text.index("weight_0") : text.index("def predict")].rstrip())
        weight_0 = np.array([[ 1.],
                             [-2.]], np.float64)
        bias_0 = np.array([0.5], np.float64)
        >>> deployed = {}
        >>> exec(text, deployed)
        >>> deployed["predict"]([[1.0, 0.75]])
        array([[0.]])
        """
        return source(prediction(self, "to_numpy", before, after, input_shape, HELPERS), type(self).__name__)

    # -- Showing

    def extra_repr(self) -> str:
        """What stands between the parentheses of the layer's own line; a subclass may define it."""
        return ""

    def default_input_shape(self) -> tuple[int, ...] | None:
        """The shape of one input, without the batch axis, if the layer's own sizes say it; a subclass may define it."""
        return None

    def __repr__(self) -> str:
        inside = [
            f"  ({name}): {layer!r}".replace("\n", "\n  ")
            for name, layer in walk(self, deep=False)[1:]
            if isinstance(layer, Layer)
        ]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return "\n".join([head, *inside, ")"]) if inside else f"{head})"

    def summary(self, input_shape: tuple[int, ...] | Sequence[tuple[int, ...]] | None = None) -> None:
        """Print a table of the layers in the order in which they run: output shape and number of parameters.

        Parameters
        ----------
        input_shape
            The shape of one input, without the batch axis; by default that of the first layer that knows its own, such
            as a `Linear`. For a model of several inputs a shape for each: ``((3,), (2,))``.

        Raises
        ------
        ValueError
            If the shape is not given and there is no such layer.

        Examples
        --------
        >>> from microgradnp import nn
        >>> nn.Sequential(nn.Linear(1, 8), nn.Sigmoid(), nn.Linear(8, 1)).summary()
        ┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━┓
        ┃ layer           ┃ output shape ┃ parameters ┃
        ┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━┩
        │ 0: Linear(1, 8) │ (N, 8)       │         16 │
        │ 1: Sigmoid()    │ (N, 8)       │          0 │
        │ 2: Linear(8, 1) │ (N, 1)       │          9 │
        ├─────────────────┼──────────────┼────────────┤
        │ Sequential      │              │         25 │
        └─────────────────┴──────────────┴────────────┘
        """
        print_summary(self, input_shape)


# -- What is inside ----------------------------------------------------------------------------------------------------

_NO_METHOD = {"training", "forward"}


def _check_name(kind: type, name: str, value: Any) -> None:
    """Raise if an attribute of this name would hide what every layer can do, or have no effect."""
    if name == "requires_grad":
        raise AttributeError(
            f"{kind.__name__}.requires_grad would have no effect: a layer is frozen by its parameters, "
            "for p in layer.parameters(): p.requires_grad = False."
        )
    hides = name not in _NO_METHOD and not name.startswith("_") and callable(getattr(Layer, name, None))
    if hides and (isinstance(value, Layer) or not callable(value)):
        raise AttributeError(
            f"{kind.__name__}.{name} would hide a method of that name, which every Layer has: choose another name."
        )


@contextmanager
def mode_of(layers: Iterable[Layer], training: bool) -> Iterator[None]:
    """Training or prediction mode of these layers for a while."""
    before = [(layer, layer.training) for layer in layers]
    try:
        for layer, _ in before:
            vars(layer)["training"] = training  # no name that would have to be looked at
        yield
    finally:
        for layer, its_own in before:
            vars(layer)["training"] = its_own


def walk(value: Any, name: str = "", above: tuple[int, ...] = (), *, deep: bool = True) -> list[tuple[str, Any]]:
    """Every layer and every leaf Tensor inside ``value``, depth first, with dotted names.

    Unless ``deep``, what is inside a layer inside is left to that layer.
    """
    if type(value) is Tensor:
        return [(name, value)] if value.is_leaf else []
    parts = inside(value)
    if parts is None:
        return []
    if id(value) in above:
        raise ValueError(
            f"a {type(value).__name__} contains itself, at {name!r}: keep no reference from a layer back to one that "
            "holds it."
        )
    found: list[tuple[str, Any]] = [(name, value)] if isinstance(value, Layer) else []
    if found and above and not deep:
        return found
    above = (*above, id(value))
    for key, part in parts:
        found += walk(part, f"{name}.{key}" if name else key, above, deep=deep)
    return found


def inside(value: Any) -> Iterable[tuple[str, Any]] | None:
    """What a layer, a list, a dict or a dataclass holds directly, by name; None of what is no place for layers."""
    if isinstance(value, Layer):
        return value._members()
    if isinstance(value, SimpleNamespace):
        return vars(value).items()
    if isinstance(value, dict):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, list | tuple | deque):
        return [(str(i), part) for i, part in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name, None)) for field in fields(value)]
    return None


def named_tensors(model: Layer, parts: list[tuple[str, Any]] | None = None) -> dict[str, Tensor]:
    """The state of a model: all its Tensors by their places, of which no two may have the same."""
    found: dict[str, Tensor] = {}
    for name, part in walk(model) if parts is None else parts:
        if type(part) is Tensor and found.setdefault(name, part) is not part:
            raise ValueError(
                f"two Tensors of this {type(model).__name__} have the same place, {name!r}, so that only one could be "
                "saved: give them different names (1 and '1' are the same as names)."
            )
    return found


def trained(tensors: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """The parameters among a model's Tensors: those that require a gradient, each once."""
    found: dict[Tensor, str] = {}
    for name, tensor in tensors.items():
        if tensor.requires_grad:
            found.setdefault(tensor, name)
    return [(name, tensor) for tensor, name in found.items()]


# -- What goes in ------------------------------------------------------------------------------------------------------


def dtype_of(model: Layer) -> Any:
    """The dtype that the parameters of a model agree on, or None."""
    return dtype_among(named_tensors(model))


def dtype_among(tensors: Mapping[str, Tensor]) -> Any:
    """The dtype that the parameters among a model's Tensors agree on, or None."""
    dtypes = {tensor.dtype for tensor in tensors.values() if tensor.requires_grad}
    return dtypes.pop() if len(dtypes) == 1 else None


def as_input(x: ArrayLike, dtype: Any) -> NDArray[Any]:
    """``x`` as an array, floating data in ``dtype``, unless that is None."""
    array: Any = plain_array(x) if not isinstance(x, Tensor) else x.detach() if current().machine.traces else x.data
    return array if dtype is None or array.dtype.kind != "f" else array.astype(dtype, copy=False)  # type: ignore[no-any-return]


# -- What is deployed --------------------------------------------------------------------------------------------------


def prediction(
    model: Layer,
    who: str,
    before: Callable[[Any], Any] | None,
    after: Callable[[Any], Any] | None,
    input_shape: tuple[int, ...] | None,
    whole: Collection[Any] = (),
) -> Trace:
    """A model's prediction as a trace for any number of rows, with what is done before and after; see `recorded`."""
    dtype = dtype_of(model) or np.dtype(np.float64)

    def predict(x: Any) -> Any:
        y = model(x if before is None else as_input(before(x), dtype))
        return y if after is None else after(y)

    shape = input_shape_of(model, who, input_shape)
    if not isinstance(shape, tuple | list) or not all(isinstance(n, int | np.integer) for n in shape):
        raise TypeError(f"{who}(input_shape=...) takes the shape of one input, such as (3,); got {shape!r}.")
    given = dtype if before is None else np.dtype(np.float64)
    with model.mode(training=False):
        return recorded(who, predict, tuple(map(int, shape)), given, named_tensors(model), whole)
