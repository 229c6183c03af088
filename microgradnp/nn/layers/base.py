"""Layers: functions that carry their own parameters.

A `Layer` holds Tensors, other layers, or lists, tuples and dicts of these as plain attributes; everything else (naming
parameters, saving, counting, showing the structure) is one walk over these attributes. A Tensor that requires a
gradient is a parameter; one that does not (a frozen weight, a running mean) is saved with the rest and not trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from microgradnp.engine.tensor import Tensor, no_grad, plain
from microgradnp.functions.common import lift
from microgradnp.nn import functional, initializers
from microgradnp.nn.checkpoint import load_into
from microgradnp.nn.initializers import Initializer


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

    # -- What it holds

    def _members(self) -> Iterator[tuple[str, Any]]:
        yield from vars(self).items()

    def named_layers(self) -> list[tuple[str, Layer]]:
        """This layer, named ``""``, and all layers inside it, each named by its place: ``"2"``, ``"encoder.0"``."""
        return [(name, part) for name, part in _walk("", self, ()) if isinstance(part, Layer)]

    def _named_tensors(self) -> list[tuple[str, Tensor]]:
        found: dict[str, Tensor] = {}
        for name, part in _walk("", self, ()):
            if type(part) is Tensor and found.setdefault(name, part) is not part:
                raise ValueError(
                    f"two Tensors of this {type(self).__name__} have the same place, {name!r}, so that only one "
                    "could be saved: give them different names (1 and '1' are the same as names)."
                )
        return list(found.items())

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """The Tensors that require a gradient, each once, under their places: ``"0.weight"``."""
        found: dict[Tensor, str] = {}
        for name, tensor in self._named_tensors():
            if tensor.requires_grad:
                found.setdefault(tensor, name)
        return [(name, tensor) for tensor, name in found.items()]

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

    @contextmanager
    def mode(self, training: bool) -> Iterator[None]:
        """Training or prediction mode for a while; afterwards each layer is back in its own."""
        before = [(layer, layer.training) for _, layer in self.named_layers()]
        self.train(training)
        try:
            yield
        finally:
            for layer, training_before in before:
                layer.training = training_before

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
            y = self(self._as_input(x))
        return plain(y)  # type: ignore[no-any-return]  # nested as y is

    def _as_input(self, x: ArrayLike) -> NDArray[Any]:
        """``x`` as an array, floating data in the dtype of the parameters where these agree on one."""
        array: NDArray[Any] = x.data if isinstance(x, Tensor) else np.asarray(x)
        dtypes = {tensor.dtype for tensor in self.parameters()}
        return array.astype(dtypes.pop(), copy=False) if len(dtypes) == 1 and array.dtype.kind == "f" else array

    # -- Saving

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of all Tensors' data under their places; ``numpy.savez(path, **state)`` saves them.

        Examples
        --------
        >>> from microgradnp import nn
        >>> {name: array.shape for name, array in nn.Linear(2, 3).state_dict().items()}
        {'weight': (2, 3), 'bias': (3,)}
        """
        return {name: tensor.data.copy() for name, tensor in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over the values of `state_dict`; names, shapes and dtypes must fit, or nothing is changed.

        Raises
        ------
        ValueError
            If a name is missing or unexpected, or a shape differs.
        TypeError
            If a dtype does not convert without loss.
        """
        load_into({name: tensor.data for name, tensor in self._named_tensors()}, state, type(self).__name__)

    # -- Showing

    def extra_repr(self) -> str:
        """What stands between the parentheses of the layer's own line; a subclass may define it."""
        return ""

    def __repr__(self) -> str:
        inside = [
            f"  ({name}): {layer!r}".replace("\n", "\n  ")
            for key, value in self._members()
            for name, layer in _outermost(key, value)
        ]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return "\n".join([head, *inside, ")"]) if inside else f"{head})"

    def summary(self, input_shape: tuple[int, ...] | None = None) -> None:
        """Print a table of the layers in the order in which they run: output shape and number of parameters.

        Parameters
        ----------
        input_shape
            The shape of one input, without the batch axis; by default that of the first `Linear`.

        Raises
        ------
        ValueError
            If the shape is not given and there is no `Linear` to take it from.

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
        from microgradnp.nn.layers.summary import print_summary

        print_summary(self, input_shape)


def _walk(name: str, value: Any, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Every layer and every leaf Tensor inside ``value``, depth first, with dotted names."""
    if type(value) is Tensor:
        if value.is_leaf:
            yield name, value
        return
    if isinstance(value, Layer):
        yield name, value
        members = value._members()
    elif isinstance(value, list | tuple):
        members = ((str(i), part) for i, part in enumerate(value))
    elif isinstance(value, dict):
        members = ((str(key), part) for key, part in value.items())
    else:
        return
    if id(value) in above:
        raise ValueError(
            f"a {type(value).__name__} contains itself, at {name!r}: keep no reference from a layer back to "
            "one that holds it."
        )
    for key, part in members:
        yield from _walk(f"{name}.{key}" if name else key, part, (*above, id(value)))


def _outermost(name: str, value: Any) -> Iterator[tuple[str, Layer]]:
    """The layers directly in ``value``: itself, or those in its lists, tuples and dicts."""
    if isinstance(value, Layer):
        yield name, value
    elif isinstance(value, list | tuple | dict):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _outermost(f"{name}.{key}", part)


class Sequential(Layer):
    """Layers one after another, each fed with the output of the one before.

    Examples
    --------
    >>> from microgradnp import nn
    >>> model = nn.Sequential(nn.Linear(1, 8), nn.Sigmoid(), nn.Linear(8, 1))
    >>> len(model), model[0], len(model[:2])
    (3, Linear(1, 8), 2)
    """

    def __init__(self, *layers: Layer) -> None:
        self._layers: list[Layer] = []
        for layer in layers:
            self.append(layer)

    def append(self, layer: Layer) -> Sequential:
        """Add a layer at the end; return the model."""
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential takes layers; its number {len(self._layers)} is {_not_a_layer(layer)}")
        self._layers.append(layer)
        return self

    def forward(self, x: Any) -> Any:
        """Run the layers in order."""
        for layer in self._layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self._layers[index]) if isinstance(index, slice) else self._layers[index]

    def _members(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            if name == "_layers":
                yield from ((str(i), layer) for i, layer in enumerate(value))
            else:
                yield name, value


def _not_a_layer(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, Layer):
        return f"the class {value.__name__}: make one, {value.__name__}(...)."
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__}: pass the layers themselves, Sequential(*layers)."
    return f"{getattr(value, '__name__', repr(value))}: wrap a function in a Layer whose forward() calls it."


class Linear(Layer):
    """An affine map: ``x @ weight + bias``.

    Parameters
    ----------
    in_features, out_features
        The lengths of the last axis of the input and of the output.
    bias
        Whether to add a bias.
    weight_init, bias_init
        Called as ``initializer(rng, shape)``; see `microgradnp.nn.initializers`.
    rng
        A `numpy.random.Generator`, or a seed for one. Give the layers of a model the same Generator: the same *seed*
        would give them the same numbers.
    dtype
        float64 or float32.

    Attributes
    ----------
    weight : Tensor of shape (in_features, out_features)
    bias : Tensor of shape (out_features,), or None

    Raises
    ------
    InputShapeError
        When called with an input whose last axis is not ``in_features`` long.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> layer = nn.Linear(3, 2, rng=0)
    >>> layer(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_init: Initializer = initializers.glorot_uniform,
        bias_init: Initializer = initializers.zeros,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        for what, n in (("in_features", in_features), ("out_features", out_features)):
            if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
                raise ValueError(f"Linear({in_features!r}, {out_features!r}): {what} must be a positive integer.")
        generator = np.random.default_rng(rng)
        self.weight = _parameter("weight", weight_init, generator, (int(in_features), int(out_features)), dtype)
        self.bias = _parameter("bias", bias_init, generator, (int(out_features),), dtype) if bias else None

    def forward(self, x: Any) -> Any:
        """Multiply by the weight and add the bias; the input has shape (..., in_features)."""
        x = lift(x)
        if not x.ndim or x.shape[-1] != self.weight.shape[0]:
            raise InputShapeError(self, self._misfit(x.shape))
        y = x @ self.weight
        return y if self.bias is None else y + self.bias

    def _misfit(self, shape: tuple[int, ...]) -> str:
        width = self.weight.shape[0]
        hint = (
            "write x[:, None] for a column of single numbers"
            if width == 1 and len(shape) == 1
            else ("match it to what the layer before gives, or to the number of columns of the data")
        )
        return f"expects inputs of width {width}, that is of shape (N, {width}); got shape {shape}: {hint}."

    def extra_repr(self) -> str:
        """``in_features, out_features``."""
        n, m = self.weight.shape
        return f"{n}, {m}" + (", bias=False" if self.bias is None else "")


def _parameter(
    name: str, init: Initializer, rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike
) -> Tensor:
    values = np.asarray(init(rng, shape))
    if values.shape != shape:
        raise ValueError(
            f"the initializer {getattr(init, '__name__', init)!r} returned shape {values.shape} for a {name} of "
            f"shape {shape}."
        )
    return Tensor(values, requires_grad=True, dtype=dtype, name=name)


class Sigmoid(Layer):
    """The logistic function, ``1 / (1 + exp(-x))``, elementwise."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.sigmoid(x)


class ReLU(Layer):
    """The positive part, ``max(x, 0)``, elementwise; its gradient at 0 is 0."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return functional.relu(x)


class Tanh(Layer):
    """The hyperbolic tangent, elementwise."""

    def forward(self, x: Any) -> Any:
        """Apply it."""
        return np.tanh(x)
