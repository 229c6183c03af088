"""Metrics: numbers for people to judge predictions by, on plain arrays. A gradient goes through a loss instead.

Each takes ``(prediction, target)``. Classes are integer labels, or scores with a column for each class, of which the
largest is meant; one score a row, of shape (N,) or (N, 1), is the logit of class 1.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.arrays import plain_array
from microgradnp.hints import names_in, public

__all__ = ["accuracy", "confusion_matrix", "f1", "mae", "r2", "rmse"]


def rmse(prediction: ArrayLike, target: ArrayLike) -> float:
    """The root mean squared error, in the targets' unit.

    Examples
    --------
    >>> from microgradnp.nn import metrics
    >>> metrics.rmse([1.0, 3.0], [1.0, 1.0]).round(6)
    np.float64(1.414214)
    """
    p, t = _numbers(prediction, target)
    return np.sqrt(np.mean(np.square(p - t)))  # type: ignore[no-any-return]  # a NumPy number


def mae(prediction: ArrayLike, target: ArrayLike) -> float:
    """The mean absolute error, in the targets' unit.

    Examples
    --------
    >>> from microgradnp.nn import metrics
    >>> metrics.mae([1.0, 3.0], [1.0, 1.0])
    np.float64(1.0)
    """
    p, t = _numbers(prediction, target)
    return np.mean(np.abs(p - t))  # type: ignore[no-any-return]  # a NumPy number


def r2(prediction: ArrayLike, target: ArrayLike) -> float:
    """The share of the targets' variance that is explained: 1 for a perfect fit, 0 for predicting the mean.

    Of several columns the mean over them, as scikit-learn's ``r2_score``; a column that does not vary counts 1 where it
    is met exactly, else 0.

    Examples
    --------
    >>> from microgradnp.nn import metrics
    >>> metrics.r2([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    np.float64(0.5)
    """
    p, t = (x.reshape(len(x), -1) for x in _numbers(prediction, target))
    left, whole = np.sum(np.square(t - p), axis=0), np.sum(np.square(t - np.mean(t, axis=0)), axis=0)
    varies = whole > 0
    scores = np.where(varies, 1 - left / np.where(varies, whole, 1), left == 0)
    return np.mean(scores)  # type: ignore[no-any-return]  # a NumPy number


def accuracy(prediction: ArrayLike, target: ArrayLike) -> float:
    """The share of rows of which the class is right.

    Examples
    --------
    >>> from microgradnp.nn import metrics
    >>> metrics.accuracy([[2.0, 1.0], [0.5, 3.0]], [0, 0])
    np.float64(0.5)
    """
    p, t = _classes(prediction, target)
    return np.mean(p == t)  # type: ignore[no-any-return]  # a NumPy number


def confusion_matrix(prediction: ArrayLike, target: ArrayLike, classes: int | None = None) -> NDArray[np.int64]:
    """How often each class (a row) was taken for each (a column): shape (classes, classes).

    Parameters
    ----------
    prediction, target
        Labels or scores, one row for each data point.
    classes
        How many classes there are; by default as many as the scores have columns or the largest label needs.

    Examples
    --------
    >>> from microgradnp.nn import metrics
    >>> metrics.confusion_matrix([0, 1, 1], [0, 0, 1])
    array([[1, 1],
           [0, 1]])
    """
    p, t = _classes(prediction, target)
    columns = np.shape(prediction)[1] if np.ndim(prediction) == 2 else 0
    n = classes or max(columns, int(max(p.max(), t.max())) + 1)
    if min(p.min(), t.min()) < 0 or max(p.max(), t.max()) >= n:
        raise ValueError(f"labels must be 0 to {n - 1}; got {min(p.min(), t.min())} to {max(p.max(), t.max())}.")
    return np.bincount(t * n + p, minlength=n * n).reshape(n, n)


def f1(prediction: ArrayLike, target: ArrayLike) -> float:
    """The harmonic mean of precision and recall: of class 1 where there are two classes, else the mean over classes.

    A class that is neither predicted nor there counts 0, as in scikit-learn's ``f1_score``.

    Examples
    --------
    >>> from microgradnp.nn import metrics
    >>> metrics.f1([1, 1, 0, 0], [1, 0, 1, 0])
    np.float64(0.5)
    """
    counts = confusion_matrix(prediction, target)
    right, either = np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)
    scores = 2 * right / np.maximum(either, 1)
    if len(counts) <= 2:
        return scores[-1] if len(counts) == 2 else np.float64(0.0)
    return np.mean(scores[either > 0])  # type: ignore[no-any-return]  # a NumPy number


def _numbers(prediction: ArrayLike, target: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    p, t = plain_array(prediction), plain_array(target)
    if p.shape != t.shape or not p.size:
        raise ValueError(f"predictions of shape {p.shape} against targets of shape {t.shape}: they must be the same.")
    return p.astype(np.float64), t.astype(np.float64)


def _classes(prediction: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    p, t = _labels(plain_array(prediction)), _labels(plain_array(target))
    if p.shape != t.shape or not p.size:
        raise ValueError(
            f"predictions of shape {np.shape(prediction)} against targets of shape {np.shape(target)}: there must be "
            "one class, or one row of scores, for each data point."
        )
    return p, t


def _labels(x: NDArray[Any]) -> NDArray[np.int64]:
    """The classes that labels, scores or logits stand for."""
    if x.ndim == 2 and x.shape[1] > 1:
        return np.asarray(np.argmax(x, axis=1))
    x = x[:, 0] if x.ndim == 2 else x
    if x.ndim != 1:
        raise ValueError(f"classes must be labels of shape (N,) or scores of shape (N, classes); got shape {x.shape}.")
    return (x > 0).astype(np.int64) if x.dtype.kind == "f" else x.astype(np.int64)


public(globals(), names_in(globals()))
