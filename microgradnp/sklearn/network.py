"""What both estimators have in common: parameters, training and fitted attributes, on `nn.fit`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from microgradnp import nn
from microgradnp.arrays import Array
from microgradnp.nn import optim
from microgradnp.sklearn.losses import Penalized

ACTIVATIONS: dict[str, Any] = {
    "identity": None,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "sigmoid": nn.Sigmoid,
}
SPREADS = {"identity": 6, "logistic": 2, "tanh": 6, "relu": 6}
"""Weights and biases are drawn evenly up to the root of this over the inputs and outputs, as in scikit-learn."""
SOLVERS: dict[str, Any] = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSprop,
    "sgd": partial(optim.GD, momentum=0.9, nesterov=True),
    "gd": optim.GD,
    "lbfgs": nn.minimize,
}
RECORDED = 64
"""A training of fewer steps is over before a program for them would be recorded."""
PRECISIONS = (np.float64, np.float32)


@dataclass(eq=False, repr=False)
class Network(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Parameters, training and fitted attributes of both estimators; `_targets` says what differs."""

    hidden_layer_sizes: int | Sequence[int] = (100,)
    activation: str | Callable[[Any], Any] = "relu"
    _: KW_ONLY
    weight_init: str | Callable[..., Any] | None = None
    solver: str | Callable[..., optim.Optimizer] = "adam"
    learning_rate_init: float = 0.001
    alpha: float = 0.0001
    batch_size: int | str = "auto"
    max_iter: int = 200
    shuffle: bool = True
    tol: float = 1e-4
    n_iter_no_change: int = 10
    early_stopping: bool = False
    validation_fraction: float = 0.1
    warm_start: bool = False
    random_state: Any = None
    verbose: bool = False

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, of shape (in, out)."""
        return [layer.weight.data for layer in self._linear()]

    @property
    def intercepts_(self) -> list[Array]:
        """The bias of each layer."""
        return [layer.bias.data for layer in self._linear()]

    def _linear(self) -> list[Any]:
        if not hasattr(self, "model_"):
            raise AttributeError(f"this {type(self).__name__} has no weights yet: call fit first.")
        return [layer for layer in self.model_ if isinstance(layer, nn.Linear)]

    # -- Training

    def _train(
        self, X: Any, y: Any, sample_weight: Any, *, goes_on: bool, epochs: int | None = None, classes: Any = None
    ) -> None:
        """Go through the data ``epochs`` times; by default until nothing improves, or ``max_iter`` times."""
        x, y = validate_data(
            self, X, y, dtype=PRECISIONS, multi_output=True, y_numeric=self._numeric, reset=not goes_on
        )
        self._check_parameters()
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if not goes_on:
            self._learn(y, classes)
        target, weight = self._targets(y).astype(x.dtype), self._weights(x, y, sample_weight)
        if weight is not None and not weight.all():  # a row of weight 0 is a row that is not there
            kept = weight > 0
            x, y, target, weight = x[kept], y[kept], target[kept], weight[kept]
            if not len(x):
                raise ValueError("all of sample_weight is 0: there is no row to train on.")
            if epochs is None:
                self._check_some(y)
        if goes_on:
            self._check_same(target.shape[1])
        else:
            self._begin(x, target.shape[1])
        self._prepare()
        parts: tuple[Any, ...] = (x, target, weight)
        options: dict[str, Any] = {}
        watched = "loss"
        if epochs is None and self.early_stopping:
            parts, validation = self._set_aside(y, *parts)
            options = {"validation": tuple(part for part in validation if part is not None)}
            options["metrics"] = {"score": partial(self._score, weight=validation[2])}
            watched = "val_score"
        most, size = self.max_iter if epochs is None else epochs, self._size()
        stopping = nn.EarlyStopping(
            self.n_iter_no_change,
            watched,
            min_delta=self.tol,
            mode="max" if options else "min",
            restore_best=bool(options),
        )
        if self.solver == "lbfgs":
            history = self._minimize(parts, epochs)
        else:
            history = nn.fit(
                self.model_,
                parts[0],
                parts[1],
                sample_weight=parts[2],
                loss=self._loss,
                optimizer=self._optimizer,
                epochs=most,
                batch_size=size,
                shuffle=self.shuffle,
                callbacks=[stopping] if epochs is None else [],
                rng=self._rng,
                compile=goes_on or most * len(parts[0]) >= RECORDED * min(size, len(parts[0])),
                progress=bool(self.verbose),
                **options,
            )
        self.n_iter_ = history.epochs
        self.loss_curve_ += (history.losses[1:] if self.solver == "lbfgs" else history.losses[:-1]).tolist()
        self.loss_ = float(history.losses[-1])
        self.validation_scores_ = history["val_score"][1:].tolist() if options else None
        if epochs is None and self.n_iter_ == self.max_iter:
            warnings.warn(
                f"{type(self).__name__} went through the data max_iter={self.max_iter} times, and still improves. "
                "Give more, or a larger learning_rate_init; and scale the inputs.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _minimize(self, parts: tuple[Any, ...], epochs: int | None) -> nn.History:
        """All data at once, by L-BFGS."""
        if epochs is not None or self.early_stopping:
            raise ValueError(
                "solver='lbfgs' needs all data at once, and stops by itself: it has neither partial_fit nor "
                "early_stopping. Any other solver has."
            )
        return nn.minimize(
            self.model_,
            parts[0],
            parts[1],
            loss=self._loss,
            iterations=self.max_iter,
            options={"gtol": self.tol},
            sample_weight=parts[2],
        )

    def _size(self) -> int:
        if isinstance(self.batch_size, str) and self.batch_size != "auto":
            raise ValueError(f"batch_size must be 'auto' or a positive integer; got {self.batch_size!r}.")
        return 200 if isinstance(self.batch_size, str) else self.batch_size

    def _check_parameters(self) -> None:
        if isinstance(self.max_iter, bool) or not isinstance(self.max_iter, int | np.integer) or self.max_iter < 1:
            raise ValueError(f"max_iter must be a positive integer; got {self.max_iter!r}.")
        for name in ("alpha", "tol"):
            number = getattr(self, name)
            if not isinstance(number, int | float | np.number) or not 0 <= number < np.inf:
                raise ValueError(f"{name} must be a finite number, 0 or more; got {number!r}.")

    def _begin(self, x: Array, outputs: int) -> None:
        """A new network."""
        # Generators of NumPy's newer kind, seeded by what scikit-learn's users give.
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=3)
        self._rng, self._split = np.random.default_rng(seeds[0]), int(seeds[1])
        activation = named("activation", self.activation, ACTIVATIONS)
        sizes = [x.shape[1], *np.atleast_1d(np.asarray(self.hidden_layer_sizes)).tolist(), outputs]
        layers: list[Any] = []
        for i, o in pairwise(sizes):
            if layers and activation is not None:
                layers.append(activation() if isinstance(activation, type) else deepcopy(activation))
            layers.append(nn.Linear(i, o, **self._first_weights(i, o)))
        self.model_ = nn.Sequential(*layers, rng=int(seeds[2]), dtype=x.dtype)
        self._architecture = sizes, self.activation
        self._optimizer: Any = None
        self._loss: Any = None
        self._solver: Any = None
        self.n_outputs_ = outputs
        self.loss_curve_: list[float] = []

    def _first_weights(self, i: int, o: int) -> dict[str, Any]:
        """As asked for, or as scikit-learn draws them; where it has no such activation, as `nn.Sequential` does."""
        if self.weight_init is not None or not isinstance(self.activation, str) or self.activation not in SPREADS:
            return {"weight_init": self.weight_init}
        limit = math.sqrt(SPREADS[self.activation] / (i + o))
        evenly = nn.initializers.uniform(-limit, limit)
        return {"weight_init": evenly, "bias_init": evenly}

    def _check_same(self, outputs: int) -> None:
        """Raise where what goes on would not be what the parameters say."""
        sizes, activation = self._architecture
        wanted = np.atleast_1d(np.asarray(self.hidden_layer_sizes)).tolist()
        if wanted != sizes[1:-1] or self.activation != activation:
            raise ValueError(
                f"this {type(self).__name__} has hidden layers of {sizes[1:-1]} and an activation of its own: with "
                "other hidden_layer_sizes or another activation it cannot go on. Set warm_start=False, or clone it."
            )
        if outputs != self.n_outputs_:
            raise ValueError(f"y has {outputs} outputs, and was of {self.n_outputs_} before.")

    def _prepare(self) -> None:
        """The optimizer and the loss that the parameters say: those of before, if they say the same."""
        solver = named("solver", self.solver, SOLVERS)
        if self.solver != "lbfgs":
            if self._optimizer is None or self._solver != self.solver:
                self._optimizer = solver(self.model_.parameters(), lr=self.learning_rate_init)
                self._solver = self.solver
            self._optimizer.lr = self.learning_rate_init
        loss = self._likelihood()
        if self._loss is None or (self._loss.loss, self._loss.alpha) != (loss, self.alpha):
            self._loss = Penalized(loss, [layer.weight for layer in self._linear()], self.alpha)

    def _set_aside(self, y: Array, *parts: Array | None) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Rows to train on and rows to judge by: the same ones of the same data, whenever a training goes on."""
        train, held = train_test_split(
            np.arange(len(y)),
            test_size=self.validation_fraction,
            random_state=self._split,
            stratify=None if self._numeric or y.ndim > 1 else y,
        )
        if len(held) < 2:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {len(y)} rows is too small to judge by: give more."
            )
        both = [tuple(None if part is None else part[rows] for part in parts) for rows in (train, held)]
        return both[0], both[1]

    def _outputs(self, X: Any) -> Array:
        """What the last layer gives."""
        check_is_fitted(self, "model_")
        return self.model_.predict(validate_data(self, X, dtype=PRECISIONS, reset=False))  # type: ignore[no-any-return]


def named(what: str, value: Any, names: dict[str, Any]) -> Any:
    """What a name stands for; a function or a class stands for itself."""
    if isinstance(value, str):
        if value not in names:
            raise ValueError(f"there is no {what} {value!r}; the names are {', '.join(names)}.")
        return names[value]
    if not callable(value):
        raise TypeError(f"{what} must be a function, a class or one of {', '.join(names)}; got {value!r}.")
    return value
