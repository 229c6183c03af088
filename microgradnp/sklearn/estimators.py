"""`MLPRegressor` and `MLPClassifier`: what targets, losses and scores are, for numbers and for classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight

from microgradnp import nn
from microgradnp.arrays import Array
from microgradnp.sklearn.losses import each_label, one_class, squared_error
from microgradnp.sklearn.network import Network, named


@dataclass(eq=False, repr=False)
class MLPRegressor(RegressorMixin, Network):  # type: ignore[misc]  # scikit-learn has no types
    """A network for regression, of one number or several.

    Parameters
    ----------
    loss
        ``"squared_error"``, half the square of each row's error; or a function such as `nn.losses.huber`, called as
        ``loss(prediction, target)`` with arrays of shape (N, outputs), and where there are sample weights also with
        ``weight=``.

    All other parameters and attributes are those of `MLPClassifier`.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from microgradnp.sklearn import MLPRegressor
    >>> x, y = mg.datasets.noisy_sine(200)
    >>> network = MLPRegressor((16, 16), activation="silu", learning_rate_init=0.02, tol=1e-3, random_state=0)
    >>> model = make_pipeline(StandardScaler(), network).fit(x[:, None], y)
    >>> model.score(x[:, None], y) > 0.9, network.coefs_[0].shape
    (True, (1, 16))
    """

    loss: str | Callable[..., Any] = "squared_error"

    _numeric = True

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> MLPRegressor:
        """Train on rows of shape (n, features) with targets of shape (n,) or (n, outputs); return the estimator."""
        self._train(X, y, sample_weight, goes_on=self.warm_start and hasattr(self, "model_"))
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> MLPRegressor:
        """Go through these data once more, on from where the network stands; return the estimator."""
        self._train(X, y, sample_weight, goes_on=hasattr(self, "model_"), epochs=1)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Predictions of shape (n,), or (n, outputs) if that was the targets' shape."""
        z = self._outputs(X)
        return z[:, 0] if z.shape[1] == 1 else z

    def _learn(self, y: Array, classes: Any) -> None:
        pass

    def _targets(self, y: Array) -> Array:
        return y if y.ndim == 2 else y[:, None]

    def _weights(self, x: Array, y: Array, sample_weight: Any) -> Array | None:
        return None if sample_weight is None else _checked_weights(sample_weight, x)

    def _check_some(self, y: Array) -> None:
        pass

    def _likelihood(self) -> Any:
        return named("loss", self.loss, {"squared_error": squared_error})

    def _score(self, prediction: Array, target: Array, weight: Array | None) -> float:
        return float(r2_score(target, prediction, sample_weight=weight))


@dataclass(eq=False, repr=False)
class MLPClassifier(ClassifierMixin, Network):  # type: ignore[misc]  # scikit-learn has no types
    """A network that tells classes apart, or says which of several labels each row has.

    Parameters
    ----------
    hidden_layer_sizes
        The widths of the hidden layers: any number of them, none too.
    activation
        Between the layers: a name (``"relu"``, ``"leaky_relu"``, ``"elu"``, ``"selu"``, ``"gelu"``, ``"silu"``,
        ``"softplus"``, ``"tanh"``, ``"logistic"``, ``"identity"``), a class of layers or a layer, or any function of
        an array that is written in NumPy. For joblib's processes it must have a name of its own, so no lambda.
    weight_init
        The first weights: an initializer or its name (`nn.initializers`), such as ``"he_normal"``, which deep networks
        of ReLUs need. By default they are drawn as in scikit-learn, or as suits an activation that it does not have.
    solver
        The optimizer: ``"adam"``, ``"adamw"``, ``"rmsprop"``, ``"sgd"`` (with Nesterov's momentum of 0.9), ``"gd"``
        (without), or ``"lbfgs"`` for small data; or what makes one, called with the parameters and ``lr=``: a class, or
        ``functools.partial(optim.Adam, betas=(0.8, 0.99))``.
    learning_rate_init
        Its learning rate.
    alpha
        The strength of the penalty: ``alpha / 2`` times the squares of the weights, over the rows of a batch.
    batch_size
        How many rows a step takes; ``"auto"`` is 200. All, if there are fewer.
    max_iter
        How often to go through the data at the most.
    shuffle
        Whether in a new order each time.
    tol, n_iter_no_change
        Stop when the loss, or with ``early_stopping`` the score, has not improved by ``tol`` for so many epochs.
    early_stopping, validation_fraction
        Whether to set a share of the rows aside, judge by them after each epoch, stop when their score improves no
        more, and put back the weights that had the best. The score is the accuracy, or R2 in regression.
    warm_start
        Whether another `fit` goes on from where the last one ended, with the optimizer as it was.
    random_state
        A seed, a `numpy.random.RandomState`, or None: for the first weights, the order and what is set aside.
    verbose
        Whether to show a progress bar.
    class_weight
        A factor for each class by its label, or ``"balanced"``.

    Attributes
    ----------
    model_ : nn.Sequential
        The network: save it with `nn.save`, or write it out by ``model_.to_numpy()``.
    classes_ : ndarray
        The labels, in the order of `predict_proba`'s columns.
    coefs_, intercepts_ : lists of ndarrays
        The weights of shape (in, out) and the biases, layer by layer.
    n_iter_, n_outputs_ : int
        The epochs of the last `fit`; the width of the last layer.
    loss_curve_, loss_ : list, float
        The loss of each epoch of all calls, the mean over its batches as they were passed; the last one.
    validation_scores_ : list, or None without ``early_stopping``
        The score after each epoch of the last `fit`.

    Raises
    ------
    ValueError, TypeError
        By `fit`, if data or parameters are not of their kind.
    nn.DivergenceError
        By `fit`, if the loss becomes NaN or infinite.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from microgradnp.sklearn import MLPClassifier
    >>> x, labels = mg.datasets.wine()
    >>> model = make_pipeline(StandardScaler(), MLPClassifier((16, 16), activation="gelu", tol=0.01, random_state=0))
    >>> model.fit(x, labels).score(x, labels) > 0.99
    True
    """

    class_weight: Any = None

    _numeric = False

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> MLPClassifier:
        """Train on rows of shape (n, features) with labels of shape (n,), or of 0 and 1 of shape (n, labels)."""
        self._train(X, y, sample_weight, goes_on=self.warm_start and hasattr(self, "model_"))
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> MLPClassifier:
        """Go through these data once more; the first call needs all classes that will ever come."""
        goes_on = hasattr(self, "model_")
        if not goes_on and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if goes_on and classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"classes={classes!r} is not the same as on the first call to partial_fit.")
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' needs all data at once: give partial_fit a dict.")
        self._train(X, y, sample_weight, goes_on=goes_on, epochs=1, classes=classes)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Labels of shape (n,), or of 0 and 1 of shape (n, labels)."""
        z = self._outputs(X)
        if self._multilabel:
            return (z > 0).astype(int)
        return self.classes_[_decided(z)]

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of shape (n, classes), in the order of ``classes_``; of each label, if there may be several."""
        z = self._outputs(X)
        return nn.functional.sigmoid(z) if self._multilabel else nn.functional.softmax(_of_each_class(z))  # type: ignore[no-any-return]

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """The logarithms of the probabilities."""
        z = self._outputs(X)
        return -nn.functional.softplus(-z) if self._multilabel else nn.functional.log_softmax(_of_each_class(z))  # type: ignore[no-any-return]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _learn(self, y: Array, classes: Any) -> None:
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ValueError("y of several columns must be of 0 and 1 (multilabel); wrap it in MultiOutputClassifier.")
        self._multilabel = kind.startswith("multilabel")
        if self._multilabel:
            self.classes_ = np.arange(y.shape[1])
            return
        self.classes_ = np.unique(y if classes is None else np.asarray(classes))
        self._check_some(self.classes_)

    def _check_some(self, y: Array) -> None:
        if not self._multilabel and len(np.unique(y)) < 2:
            raise ValueError(f"a classifier takes at least two classes; there is one class only, {y[0]}.")

    def _targets(self, y: Array) -> Array:
        if self._multilabel:
            if y.ndim != 2:
                raise ValueError(f"y must have a column of 0 and 1 for each of {self.n_outputs_} labels as before.")
            return y
        unknown = np.setdiff1d(y, self.classes_)
        if y.ndim > 1 or len(unknown):
            raise ValueError(f"y must have the classes {self.classes_} of before; got {np.unique(y)}.")
        index = np.searchsorted(self.classes_, y)
        return index[:, None] if len(self.classes_) == 2 else nn.one_hot(index, len(self.classes_))

    def _weights(self, x: Array, y: Array, sample_weight: Any) -> Array | None:
        if self.class_weight is None:
            return None if sample_weight is None else _checked_weights(sample_weight, x)
        return _checked_weights(sample_weight, x) * compute_sample_weight(self.class_weight, y).astype(x.dtype)  # type: ignore[no-any-return]

    def _likelihood(self) -> Any:
        return each_label if self._multilabel or len(self.classes_) == 2 else one_class

    def _score(self, prediction: Array, target: Array, weight: Array | None) -> float:
        if self._multilabel:
            right = ((prediction > 0) == (target > 0)).all(axis=1)
        else:
            right = _decided(prediction) == _decided(target)
        return float(np.average(right, weights=weight))


def _of_each_class(z: Array) -> Array:
    """A score for each class, where one number may stand for two."""
    return np.concatenate([np.zeros_like(z), z], axis=1) if z.shape[1] == 1 else z


def _decided(z: Array) -> Array:
    """The number of the class that outputs, or targets, speak for."""
    return (z[:, 0] > 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)


def _checked_weights(sample_weight: Any, x: Array) -> Array:
    return _check_sample_weight(sample_weight, x, dtype=x.dtype, ensure_non_negative=True)  # type: ignore[no-any-return]
