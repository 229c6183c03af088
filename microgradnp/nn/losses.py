"""Losses: functions of predictions and targets to a single number.

Predictions and targets must have the same shape. Broadcasting (N, 1) against (N,) would compare everything with
everything and still train, to nonsense; here it raises.
"""

from typing import Any

import numpy as np

from microgradnp.arrays import plain_array
from microgradnp.engine.tensor import Tensor, plain
from microgradnp.nn.functional import floating, log_softmax


def sum_squared_error(prediction: Any, target: Any) -> Any:
    """The sum over all elements of ``(prediction - target)**2``.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> float(losses.sum_squared_error([[1.0], [2.0]], [[1.0], [4.0]]))
    4.0
    """
    return (_difference(prediction, target) ** 2).sum()


def mean_squared_error(prediction: Any, target: Any) -> Any:
    """The mean over all elements of ``(prediction - target)**2``.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> float(losses.mean_squared_error([[1.0], [2.0]], [[1.0], [4.0]]))
    2.0
    """
    return (_difference(prediction, target) ** 2).mean()


def cross_entropy(logits: Any, labels: Any) -> Any:
    """The mean of ``-log softmax(logits)`` at the right class.

    Parameters
    ----------
    logits
        Scores of shape (N, classes), before any softmax.
    labels
        Integers of shape (N,), each from 0 to classes - 1.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a label is out of range. In a replayed program a label out of range gives NaN.
    TypeError
        If the labels are not integers.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> float(losses.cross_entropy([[0.0, 0.0], [0.0, 1000.0]], [0, 1]).round(4))
    0.3466
    """
    logits, labels = _array(logits), _array(labels)
    if logits.ndim < 1 or labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy of logits of shape {logits.shape} and labels of shape {labels.shape}: with logits of shape "
            "(N, classes) the labels must have shape (N,)."
            + (" For labels given as one row of 0 and 1 each, pass labels.argmax(axis=-1)." if labels.ndim > 1 else "")
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy takes integer labels; got dtype {labels.dtype}. Convert them: labels.astype(int)."
        )
    classes = logits.shape[-1]
    given = plain(labels)
    if given.size and not 0 <= given.min() <= given.max() < classes:
        raise ValueError(
            f"cross_entropy with {classes} classes takes labels from 0 to {classes - 1}; got labels from {given.min()} "
            f"to {given.max()}."
        )
    # The labels are compared, not used as an index: so a program that gets new ones at each replay can be recorded.
    right = labels[..., None] == np.arange(classes)
    picked = np.sum(np.where(right, log_softmax(logits), 0), axis=-1)
    return -np.mean(np.where((labels >= 0) & (labels < classes), picked, np.nan))


def _array(x: Any) -> Any:
    return x if type(x) is Tensor or type(x) is np.ndarray else plain_array(x)


def _difference(prediction: Any, target: Any) -> Any:
    prediction, target = _array(prediction), _array(target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"predictions of shape {prediction.shape} against targets of shape {target.shape}: they must have the "
            "same shape." + _remedy(prediction.shape, target.shape)
        )
    if prediction.dtype.kind != "f":
        prediction = floating(prediction)  # in integers, 0 - 1 may be 255
    return prediction - target


def _remedy(prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    if prediction == (*target, 1):
        return " Make the targets a column: y[:, None]."
    if target == (*prediction, 1):
        return " Take the targets out of their column: y[:, 0]."
    return ""
