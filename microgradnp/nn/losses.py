"""Losses: functions of predictions and targets, and what is left of them is one number.

Each computes a loss for every element, or row, and reduces them: to their mean, their sum, or not at all. Shapes must
agree. Broadcasting (N, 1) against (N,) would compare everything with everything and still train, to nonsense; here it
raises. A label that is none is named with its place, and gives NaN in a program that is replayed.
"""

import math
from typing import Any

import numpy as np

from microgradnp.arrays import plain_array
from microgradnp.engine.tensor import Tensor, plain
from microgradnp.hints import LOSSES, names_in, public
from microgradnp.nn.functional import floating, log_softmax, softplus

# -- Regression --------------------------------------------------------------------------------------------------------


def sum_squared_error(prediction: Any, target: Any, *, weight: Any = None) -> Any:
    """The sum over all elements of ``(prediction - target)**2``.

    Parameters
    ----------
    prediction, target
        Of one shape.
    weight
        A factor for each row, of shape (N,), or for each element.

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
    return squared_error(prediction, target, weight=weight, reduction="sum")


def mean_squared_error(prediction: Any, target: Any, *, weight: Any = None) -> Any:
    """The mean over all elements of ``(prediction - target)**2``.

    Parameters
    ----------
    prediction, target
        Of one shape.
    weight
        A weight for each row, of shape (N,), or for each element; the mean is the weighted one.

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
    return squared_error(prediction, target, weight=weight)


def squared_error(prediction: Any, target: Any, *, weight: Any = None, reduction: str = "mean") -> Any:
    """``(prediction - target)**2`` of each element.

    Parameters
    ----------
    prediction, target
        Of one shape.
    weight
        A weight for each row, of shape (N,), or for each element; the mean is the weighted one.
    reduction
        "mean", "sum", or "none" for the loss of each element.

    Raises
    ------
    ValueError
        If the shapes differ, or there is no such reduction.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> float(losses.squared_error([1.0, 2.0], [1.0, 4.0], weight=[3.0, 1.0]))
    1.0
    """
    return _reduced(_difference(prediction, target) ** 2, weight, reduction)


def absolute_error(prediction: Any, target: Any, *, weight: Any = None, reduction: str = "mean") -> Any:
    """``abs(prediction - target)`` of each element, whose mean is least at the median.

    Parameters, errors and reductions are those of `squared_error`.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> float(losses.absolute_error([1.0, 2.0], [1.0, 4.0]))
    1.0
    """
    return _reduced(np.abs(_difference(prediction, target)), weight, reduction)


def huber(prediction: Any, target: Any, *, delta: float = 1.0, weight: Any = None, reduction: str = "mean") -> Any:
    """Half the squared error of each element up to ``delta``, and linear beyond, so that outliers pull less.

    P. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964. Parameters,
    errors and reductions are those of `squared_error`; ``delta`` must be positive.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> losses.huber([0.0, 0.0], [0.5, 3.0], reduction="none")
    array([0.125, 2.5  ])
    """
    if not 0 < delta < math.inf:
        raise ValueError(f"huber: delta must be positive; got {delta!r}.")
    d = _difference(prediction, target)
    near = np.clip(d, -delta, delta)
    return _reduced(near * (d - 0.5 * near), weight, reduction)


def quantile(prediction: Any, target: Any, *, q: Any = 0.5, weight: Any = None, reduction: str = "mean") -> Any:
    """``q`` times what a prediction is too low by, ``1 - q`` times what it is too high by: least at that quantile.

    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46, 1978. Parameters, errors and reductions are
    those of `squared_error`; ``q`` lies between 0 and 1, or is one such number for each element of the last axis.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> losses.quantile([0.0, 0.0], [1.0, -1.0], q=0.9, reduction="none")
    array([0.9, 0.1])
    """
    below = -_difference(prediction, target)
    level = plain_array(q)
    if level.shape not in ((), below.shape[-1:]) or not np.all((level > 0) & (level < 1)):
        raise ValueError(
            f"quantile: q must lie between 0 and 1, one number or as many as the last axis of {below.shape} is long; "
            f"got {q!r}."
        )
    level = level.astype(below.dtype)
    return _reduced(np.maximum(level * below, (level - 1) * below), weight, reduction)


def gaussian_nll(prediction: Any, target: Any, *, weight: Any = None, reduction: str = "mean") -> Any:
    """The negative log-likelihood of each target under a normal distribution, whose mean and spread are predicted.

    D. Nix and A. Weigend, "Estimating the mean and variance of the target probability distribution", ICNN 1994.

    Parameters
    ----------
    prediction
        Of shape (..., 2 k): the means, and after them the logarithms of the variances.
    target
        Of shape (..., k).
    weight
        A weight for each row, of shape (N,), or for each target; the mean is the weighted one.
    reduction
        "mean", "sum", or "none" for the loss of each target.

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is no such reduction.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> float(losses.gaussian_nll([[0.0, 0.0]], [[0.0]]).round(4))  # half of log(2 pi)
    0.9189
    """
    prediction, target = floating(prediction), _array(target)
    k = target.shape[-1] if target.ndim else 0
    if not target.ndim or prediction.shape != (*target.shape[:-1], 2 * k):
        raise ValueError(
            f"gaussian_nll of predictions of shape {prediction.shape} and targets of shape {target.shape}: for each "
            f"target a mean and a logarithm of a variance, that is predictions of shape {(*target.shape[:-1], 2 * k)}."
            + _remedy((*prediction.shape[:-1], 1), target.shape)
        )
    d, log_variance = _difference(prediction[..., :k], target), prediction[..., k:]
    losses = 0.5 * (math.log(2 * math.pi) + log_variance + d * d * np.exp(-log_variance))
    return _reduced(losses, weight, reduction)


# -- Classification ----------------------------------------------------------------------------------------------------


def cross_entropy(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """``-log softmax(logits)`` at the right class of each row, or the mean of it over given probabilities.

    Parameters
    ----------
    logits
        Scores of shape (N, classes), before any softmax.
    target
        Labels: integers of shape (N,), each from 0 to classes - 1. Or probabilities of shape (N, classes), each row of
        sum 1.
    weight
        A weight for each row, of shape (N,); the mean is the weighted one.
    class_weight
        A weight for each class, of shape (classes,). With labels the mean is weighted by them too; with
        probabilities each row counts once, as in PyTorch.
    label_smoothing
        The share, from 0 up to 1, of each row's target that is spread evenly over all classes. C. Szegedy et al.,
        "Rethinking the inception architecture for computer vision", CVPR 2016, section 7.
    reduction
        "mean", "sum", or "none" for the loss of each row.

    Raises
    ------
    ValueError
        If the shapes do not fit, a label is none, a row of probabilities is none, or an option is out of range. In a
        replayed program such a label or row gives NaN.
    TypeError
        If the labels are not integers.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> float(losses.cross_entropy([[0.0, 0.0], [0.0, 1000.0]], [0, 1]).round(4))
    0.3466
    >>> float(losses.cross_entropy([[0.0, 0.0]], [[0.5, 0.5]]).round(4))
    0.6931
    """
    logits, target = _array(logits), _array(target)
    classes = logits.shape[-1] if logits.ndim else 0
    if not logits.ndim or target.shape not in (logits.shape, logits.shape[:-1]):
        raise ValueError(
            f"cross_entropy of logits of shape {logits.shape} and labels of shape {target.shape}: with logits of shape "
            "(N, classes) labels must have shape (N,), and probabilities (N, classes)."
            + (" Take the labels out of their column: y[:, 0]." if target.shape == (*logits.shape[:-1], 1) else "")
        )
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"cross_entropy: label_smoothing must lie from 0 up to 1; got {label_smoothing!r}.")
    log_p = log_softmax(logits)
    if class_weight is None:
        scaled = log_p
    else:
        class_weight = _cast(class_weight, log_p)
        if class_weight.shape != (classes,):
            raise ValueError(
                f"cross_entropy: class_weight must have shape ({classes},), a number for each class; got "
                f"{class_weight.shape}."
            )
        scaled = class_weight * log_p
    if target.shape == logits.shape:
        picked, share = _expected(scaled, _probabilities(target)), None
    else:
        right = _one_hot(target, classes)
        picked = np.sum(np.where(right, scaled, 0), axis=-1)
        share = None if class_weight is None else np.sum(np.where(right, class_weight, 0), axis=-1)
        picked = np.where((target >= 0) & (target < classes), picked, np.nan)
    if label_smoothing:
        picked = (1 - label_smoothing) * picked + label_smoothing * np.mean(scaled, axis=-1)
    return _reduced(-picked, weight, reduction, share)


def binary_cross_entropy(
    logits: Any, target: Any, *, weight: Any = None, pos_weight: float = 1.0, reduction: str = "mean"
) -> Any:
    """``-log sigmoid(logits)`` where the label is 1 and ``-log(1 - sigmoid(logits))`` where it is 0, or in between.

    Parameters
    ----------
    logits
        Scores, before any sigmoid.
    target
        Labels or probabilities from 0 to 1, of the same shape.
    weight
        A weight for each row, of shape (N,), or for each element; the mean is the weighted one.
    pos_weight
        A factor for what a 1 costs, to make up for few of them. It does not weigh in the mean.
    reduction
        "mean", "sum", or "none" for the loss of each element.

    Raises
    ------
    ValueError
        If the shapes differ, a label lies outside, or an option is out of range. In a replayed program such a label
        gives NaN.

    Examples
    --------
    >>> from microgradnp.nn import losses
    >>> float(losses.binary_cross_entropy([0.0, 1000.0], [0, 1]).round(4))
    0.3466
    """
    logits, target = _array(logits), _array(target)
    _check_shapes(logits, target)
    logits = floating(logits)
    if not 0 < pos_weight < math.inf:
        raise ValueError(f"binary_cross_entropy: pos_weight must be positive; got {pos_weight!r}.")
    given = plain(target)
    _refuse(given, ~((given >= 0) & (given <= 1)), "binary_cross_entropy: label", "labels lie from 0 to 1")
    target = _as_floats(target, logits)
    losses = pos_weight * target * softplus(-logits) + (1 - target) * softplus(logits)
    return _reduced(np.where((target >= 0) & (target <= 1), losses, np.nan), weight, reduction)


def _one_hot(labels: Any, classes: int) -> Any:
    """Which class is the right one, in each row."""
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy takes integer labels; got dtype {labels.dtype}. Convert them: labels.astype(int)."
        )
    given = plain(labels)
    _refuse(given, (given < 0) | (given >= classes), "cross_entropy: label", f"classes are 0 to {classes - 1}")
    # The labels are compared, not used as an index: so a program that gets new ones at each replay can be recorded.
    return labels[..., None] == np.arange(classes)


def _probabilities(target: Any) -> Any:
    """Targets that are probabilities, NaN where they cannot be, in a replay; otherwise that raises."""
    given = plain(target)
    _refuse(given, ~(given >= 0), "cross_entropy: probability", "probabilities are not negative")
    total = given.sum(axis=-1)
    _refuse(total, ~_near_one(total), "cross_entropy: a row of probabilities of sum", "each row has the sum 1")
    possible = np.all(target >= 0, axis=-1) & _near_one(np.sum(target, axis=-1))
    return np.where(possible[..., None], target, np.nan)


def _near_one(total: Any) -> Any:
    return np.abs(total - 1) <= 1e-3  # float16 adds up a thousand probabilities so


def _expected(log_p: Any, p: Any) -> Any:
    """The sum of ``p * log_p``, in which 0 times the logarithm of 0 is 0."""
    return np.sum(p * np.where((p == 0) & (log_p == -np.inf), 0, log_p), axis=-1)


def _refuse(values: Any, bad: Any, what: str, expected: str) -> None:
    """Raise if there are bad values, and name the first with its place."""
    if np.any(bad):
        place = tuple(np.argwhere(bad)[0].tolist())
        raise ValueError(
            f"{what} {values[place]} at place {place[0] if len(place) == 1 else place}: {expected}."
            + (f" So it is at {np.count_nonzero(bad)} places of {np.size(bad)}." if np.count_nonzero(bad) > 1 else "")
        )


# -- What they share ---------------------------------------------------------------------------------------------------


def _array(x: Any) -> Any:
    return x if type(x) is Tensor or type(x) is np.ndarray else plain_array(x)


def _cast(x: Any, like: Any) -> Any:
    return _array(x).astype(like.dtype, copy=False)


def _as_floats(target: Any, prediction: Any) -> Any:
    """Whole numbers in the dtype of the predictions; other targets as they are."""
    return _cast(target, prediction) if target.dtype.kind in "biu" else target


def _difference(prediction: Any, target: Any) -> Any:
    prediction, target = _array(prediction), _array(target)
    _check_shapes(prediction, target)
    if prediction.dtype.kind != "f":
        prediction = floating(prediction)  # in integers, 0 - 1 may be 255
    return prediction - _as_floats(target, prediction)


def _check_shapes(prediction: Any, target: Any) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"predictions of shape {prediction.shape} against targets of shape {target.shape}: they must have the "
            "same shape." + _remedy(prediction.shape, target.shape)
        )


def _remedy(prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    if prediction == (*target, 1):
        return " Make the targets a column: y[:, None]."
    if target == (*prediction, 1):
        return " Take the targets out of their column: y[:, 0]."
    return ""


def _reduced(losses: Any, weight: Any, reduction: str, share: Any = None) -> Any:
    """Losses as one number, or as they are; in a mean each counts as much as its share, and as its weight."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none"; got {reduction!r}.')
    if weight is not None:
        weight = _cast(weight, losses)
        if weight.shape != losses.shape[: weight.ndim] or not weight.ndim:
            raise ValueError(
                f"weights of shape {weight.shape} for losses of shape {losses.shape}: give one for each row, of shape "
                f"{losses.shape[:1]}, or one for each loss." + _remedy(losses.shape[:1], weight.shape)
            )
        weight = np.broadcast_to(np.reshape(weight, weight.shape + (1,) * (losses.ndim - weight.ndim)), losses.shape)
        losses, share = weight * losses, weight if share is None else weight * share
    if reduction == "none":
        return losses
    if reduction == "sum" or share is not None:
        total = np.sum(losses)
        return total if reduction == "sum" else total / np.sum(share)
    return np.mean(losses)


public(globals(), names_in(globals()), LOSSES)
