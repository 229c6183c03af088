"""Statistics: means, variances, order statistics, and the functions that pass over NaN; all are compositions."""

import math
import operator
import warnings
from typing import Any

import numpy as np

from microgradnp.engine.dispatch import implements
from microgradnp.engine.state import current
from microgradnp.functions.common import axes_of, fixed, lift, weakly
from microgradnp.functions.reductions import count
from microgradnp.functions.special import root
from microgradnp.functions.texts import on_tensors

# mypy: allow-untyped-defs, allow-untyped-calls

# -- Means and variances -----------------------------------------------------------------------------------------------


@implements(np.var)
def var(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=None, correction=None):
    """Variance: the mean square of what is left after taking the mean away."""
    a = lift(a, dtype)
    rest = a - (np.mean(a, axis=axis, keepdims=True, where=where) if mean is None else mean)
    rest = rest if where is True else np.where(where, rest, 0)
    total = np.sum(rest * rest, axis=axis, keepdims=keepdims)
    free = count(a, axis, keepdims, where) - _ddof(ddof, correction)
    return total / (max(free, 0.0) if where is True else np.maximum(free, 0))


def _ddof(ddof, correction):
    """What is taken from the count, by either of its names."""
    if correction is not None and ddof != 0:
        raise ValueError(f"give ddof= or correction=, not both; got {ddof} and {correction}.")
    return float(fixed(ddof if correction is None else correction, "the degrees of freedom"))


@implements(np.std)
def std(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=None, correction=None):
    """Standard deviation; of constants the gradient is 0."""
    ddof = _ddof(ddof, correction)
    return root(var(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean))


_average: Any = np.average
_fitting = on_tensors(_average._implementation.__globals__["_weights_are_valid"])  # in the shape to broadcast


@implements(np.average)
def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    """Mean, weighted where weights are given."""
    a = lift(a)
    if weights is None:
        y = np.mean(a, axis=axis, keepdims=keepdims)
        total = np.full(y.shape, float(count(a, axis)), y.dtype)
    else:
        weights = lift(_fitting(weights, a, axis if axis is None else axes_of(axis, a.ndim)))
        kind = a.dtype if a.dtype.kind == "f" else np.float64  # a mean of whole numbers is float64
        weights = np.broadcast_to(weights.astype(np.result_type(kind, weights.dtype), copy=False), a.shape)
        total = np.sum(weights, axis=axis, keepdims=keepdims)
        if not current().machine.traces and np.any(total == 0):
            raise ZeroDivisionError(f"np.average: the weights of shape {weights.shape} sum to 0, so they give no mean.")
        y = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (y, total) if returned else y


@implements(np.ptp)
def ptp(a, axis=None, *, keepdims=False):
    """Peak to peak: maximum less minimum."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@implements(np.cov)
def cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    """Covariance of the rows, each a variable."""
    x = _variables(m, rowvar, dtype)
    if y is not None:
        x = np.concatenate((x, _variables(y, rowvar, dtype)), axis=0)
    ddof = (0 if bias else 1) if ddof is None else operator.index(ddof)
    if fweights is None and aweights is None:
        rest = x - np.mean(x, axis=1, keepdims=True)
        c = np.matmul(rest, rest.T) / max(x.shape[1] - ddof, 0.0)
    else:
        w = lift(np.ones(x.shape[1], x.dtype))
        w = w if fweights is None else w * _repetitions(fweights, x.shape[1])
        w = w if aweights is None else w * aweights
        if aweights is not None and not current().machine.traces and np.any(lift(aweights) < 0):
            raise ValueError(f"np.cov: aweights cannot be negative; got {aweights!r}.")
        total = np.sum(w)
        free = total - ddof if aweights is None else total - ddof * np.sum(w * aweights) / total
        rest = x - np.average(x, axis=1, weights=w, keepdims=True)
        c = np.matmul(rest, (rest * w).T) / (total if ddof == 0 else np.maximum(free, 0))
    return np.squeeze(c)


def _repetitions(fweights, n):
    w = np.asarray(fixed(fweights, "the fweights of np.cov"))
    if w.shape != (n,) or np.any(w < 0) or np.any(w != np.round(w)):
        raise ValueError(f"np.cov takes {n} whole fweights, none negative, one an observation; got {fweights!r}.")
    return w


def _variables(m, rowvar, dtype):
    m = lift(m)
    if m.ndim > 2:
        raise ValueError(f"np.cov takes one or two axes; got shape {m.shape}.")
    m = m.astype(np.result_type(m.dtype, np.float64) if dtype is None else dtype)
    return np.atleast_2d(m) if rowvar or m.ndim < 2 else m.T


@implements(np.corrcoef)
def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    """Correlation of the rows, each a variable."""
    c = np.cov(lift(x), y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    deviation = np.sqrt(np.diag(c))
    return np.clip(c / deviation[:, None] / deviation[None, :], -1, 1)


# -- Order statistics --------------------------------------------------------------------------------------------------


def _quantile(a, q, axis, keepdims, method, skip):
    """Quantiles, each between two neighbours in order; without a method their mean; with ``skip`` of what is no NaN."""
    if skip and method not in ("linear", None):
        raise ValueError(
            f"np.nanquantile of a Tensor does not take method={method!r}; take np.quantile(t[~np.isnan(t)], q, "
            "method=...) of each row."
        )
    if not a.size and (skip or method is None):
        return (np.nanmean if skip else np.mean)(a, axis=axis, keepdims=keepdims)  # NaN, with NumPy's own warning
    axes = axes_of(axis, a.ndim)
    axes = tuple(range(a.ndim)) if axes is None else axes
    kept = tuple(i for i in range(a.ndim) if i not in axes)
    lengths = tuple(a.shape[i] for i in kept)
    rows = np.reshape(np.transpose(a, kept + axes), (*lengths, math.prod(a.shape[i] for i in axes)))
    ordered = np.sort(rows, axis=-1)  # NaN comes last
    if skip:
        known = np.sum((~np.isnan(rows)).astype(np.intp), axis=-1, keepdims=True)
        _warn_of_nothing(known == 0)
        place = np.maximum(known - 1, 0) * np.ravel(q)
    else:
        place = np.quantile(np.arange(rows.shape[-1], dtype=np.float64), q, method=method or "linear")
        place = np.broadcast_to(np.ravel(place), (*lengths, np.size(q)))
    low = np.floor(place)
    part = place - low
    low = low.astype(np.intp)
    below = np.take_along_axis(ordered, low, axis=-1)
    above = np.take_along_axis(ordered, np.minimum(low + (part > 0), max(ordered.shape[-1] - 1, 0)), axis=-1)
    if method is None:
        y = (below + above) / 2
    else:
        part = part.astype(np.quantile(np.ones(1, a.dtype), q, method=method).dtype)  # in which NumPy computes
        endless = np.isinf(below) & (above != -below)
        y = below + (np.where(endless, 0, above) - np.where(endless, 0, below)) * part
    y = y if skip else np.where(np.isnan(ordered[..., -1:]), ordered[..., -1:], y)
    y = np.reshape(np.moveaxis(y, -1, 0), np.shape(q) + lengths)  # the quantiles as first axes, as NumPy has them
    return np.expand_dims(y, tuple(np.ndim(q) + i for i in axes)) if keepdims else y


_ROUNDS_Q = np.lib.NumpyVersion(np.__version__) < "2.4.0"


def _as_numpy_takes(q, dtype):
    """Before 2.4 NumPy rounds a number q to the data's dtype, which in float32 may choose another element."""
    return np.asarray(q, dtype) if _ROUNDS_Q and isinstance(q, int | float) and dtype.kind == "f" else q


def _per_cent(q, dtype):
    """A Python number does not decide the dtype; all else is an array, which np.quantile takes as it is."""
    q = fixed(q, "a percentage")
    if type(q) in (int, float) and not _ROUNDS_Q:
        return q / 100
    return np.asarray(np.true_divide(q, dtype.type(100) if _ROUNDS_Q and dtype.kind == "f" else 100))


def _order_statistics(prefix, skip):
    """Register quantiles, percentiles and the median; those that pass over NaN have a prefix."""

    @implements(getattr(np, prefix + "quantile"))
    def quantile(a, q, axis=None, *, method="linear", keepdims=False, overwrite_input=False):
        a = lift(a)
        q = _as_numpy_takes(fixed(q, f"the q of np.{prefix}quantile"), a.dtype)
        return _quantile(a, q, axis, keepdims, method, skip)

    @implements(getattr(np, prefix + "percentile"))
    def percentile(a, q, axis=None, *, method="linear", keepdims=False, overwrite_input=False):
        a = lift(a)
        return _quantile(a, _per_cent(q, a.dtype), axis, keepdims, method, skip)

    @implements(getattr(np, prefix + "median"))
    def median(a, axis=None, *, overwrite_input=False, keepdims=False):
        return _quantile(lift(a), 0.5, axis, keepdims, None, skip)


_order_statistics("", skip=False)
_order_statistics("nan", skip=True)


# -- Passing over NaN --------------------------------------------------------------------------------------------------


def _filled(a, value):
    return np.where(np.isnan(lift(a)), value, a)


def _passing_over(function, plain_function, value):
    @implements(function)
    def skip(a, *args, **options):
        return plain_function(_filled(a, value), *args, **options)


_passing_over(np.nansum, np.sum, 0)
_passing_over(np.nanprod, np.prod, 1)
_passing_over(np.nancumsum, np.cumsum, 0)
_passing_over(np.nancumprod, np.cumprod, 1)


def _warn_of_nothing(nothing):
    """As NumPy does, where there is nothing but NaN."""
    if not current().machine.traces and np.any(nothing):
        warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=2)


def _nan_extreme(function, plain_function, value):
    @implements(function)
    def extreme(a, axis=None, *, keepdims=False, initial=None, where=True):
        a, over = lift(a), {"axis": axis, "keepdims": keepdims}
        if a.dtype.kind != "f":
            return plain_function(a, initial=initial, where=where, **over)
        if initial is None or (type(initial) is float and initial != initial):  # NaN is passed over, there too
            y = plain_function(_filled(a, value), initial=initial and value, where=where, **over)
            nothing = ~np.any(_known(a, where), **over)
            _warn_of_nothing(nothing)
            return np.where(nothing, math.nan, y)
        return plain_function(_filled(a, value), initial=initial, where=where, **over)


_nan_extreme(np.nanmax, np.max, -math.inf)
_nan_extreme(np.nanmin, np.min, math.inf)


def _known(a, where):
    """Which elements are to be counted: those that are chosen and not NaN."""
    known = ~np.isnan(a)
    return known if where is True else known & where


@implements(np.nanmean)
def nanmean(a, axis=None, dtype=None, *, keepdims=False, where=True):
    """Mean of what is not NaN."""
    a = lift(a)
    return np.mean(a, axis=axis, dtype=dtype, keepdims=keepdims, where=_known(a, where))


@implements(np.nanvar)
def nanvar(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=None, correction=None):
    """Variance of what is not NaN."""
    a = lift(a)
    known = _known(a, where)
    ddof = _ddof(ddof, correction)
    mean = None if mean is None else weakly(mean, a.dtype)
    y = var(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=known, mean=mean)
    return np.where(count(a, axis, keepdims, known) > ddof, y, math.nan)


@implements(np.nanstd)
def nanstd(a, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=None, correction=None):
    """Standard deviation of what is not NaN; of constants the gradient is 0."""
    options = {"keepdims": keepdims, "where": where, "mean": mean, "correction": correction}
    return root(nanvar(a, axis, dtype, ddof=ddof, **options))
