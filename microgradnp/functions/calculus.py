"""Calculus on sequences: differences and integrals, convolution, interpolation, evenly spaced numbers."""

import math
import operator

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradnp.engine.dispatch import implements
from microgradnp.engine.rules import RULES, defvjp
from microgradnp.engine.state import current
from microgradnp.engine.tensor import apply, constant
from microgradnp.functions.common import fixed, lift

# mypy: allow-untyped-defs, allow-untyped-calls

# -- Differences and integrals -----------------------------------------------------------------------------------------


@implements(np.ediff1d)
def ediff1d(ary, to_end=None, to_begin=None):
    """Differences of neighbours of all elements in a row."""
    y = np.diff(np.ravel(lift(ary)))
    begin, end = ([] if e is None else [np.ravel(lift(e)).astype(y.dtype)] for e in (to_begin, to_end))
    return np.concatenate([*begin, y, *end]) if begin or end else y


@implements(np.gradient)
def gradient(f, *varargs, axis=None, edge_order=1):
    """Slopes of a function given on a grid, by central differences."""
    f = _not_whole(f)
    axes = tuple(range(f.ndim)) if axis is None else normalize_axis_tuple(axis, f.ndim)
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError(
            f"np.gradient along {len(axes)} axes takes no, one or {len(axes)} spacings; got {len(varargs)}."
        )
    spacings = varargs if len(varargs) == len(axes) else (varargs or (1.0,)) * len(axes)
    slopes = tuple(_slope(f, h, i, edge_order) for i, h in zip(axes, spacings, strict=True))
    return slopes[0] if len(slopes) == 1 else slopes


def _not_whole(x):
    """Whole numbers as floats: the difference of two may leave their range."""
    x = lift(x)
    return x.astype(np.float64) if x.dtype.kind in "iu" else x


def _slope(f, spacing, axis, edge_order):
    n = f.shape[axis]
    if edge_order not in (1, 2) or n < edge_order + 1:
        raise ValueError(f"np.gradient with edge_order={edge_order} needs 1 or 2, and a longer axis than {n}.")
    f = np.moveaxis(f, axis, 0)
    if np.ndim(spacing) == 0:
        inner = (f[2:] - f[:-2]) / (2.0 * spacing)
        if edge_order == 1:
            first, last = (f[1:2] - f[:1]) / spacing, (f[-1:] - f[-2:-1]) / spacing
        else:
            first = (-1.5 * f[:1] + 2.0 * f[1:2] - 0.5 * f[2:3]) / spacing
            last = (1.5 * f[-1:] - 2.0 * f[-2:-1] + 0.5 * f[-3:-2]) / spacing
    else:
        x = _not_whole(spacing)
        if x.shape != (n,):
            raise ValueError(f"np.gradient: coordinates of shape {x.shape} for an axis of length {n}.")
        h = np.reshape(np.diff(x), (-1,) + (1,) * (f.ndim - 1))
        a, b = h[:-1], h[1:]
        inner = -b / (a * (a + b)) * f[:-2] + (b - a) / (a * b) * f[1:-1] + a / (b * (a + b)) * f[2:]
        if edge_order == 1:
            first, last = (f[1:2] - f[:1]) / h[:1], (f[-1:] - f[-2:-1]) / h[-1:]
        else:
            a, b = h[:1], h[1:2]
            first = -(2 * a + b) / (a * (a + b)) * f[:1] + (a + b) / (a * b) * f[1:2] - a / (b * (a + b)) * f[2:3]
            a, b = h[-2:-1], h[-1:]
            last = b / (a * (a + b)) * f[-3:-2] - (a + b) / (a * b) * f[-2:-1] + (2 * b + a) / (b * (a + b)) * f[-1:]
    y = np.moveaxis(np.concatenate((first, inner, last)), 0, axis)
    return y.astype(f.dtype, copy=False) if f.dtype.kind == "f" else y  # whatever the spacing is, as NumPy's


defvjp(np.unwrap, lambda g, y, x, **options: g)


@implements(np.unwrap)
def unwrap(p, discont=None, axis=-1, *, period=2 * math.pi):
    """Jumps of a phase undone; what is added is a constant."""
    options = {"discont": discont, "axis": axis, "period": fixed(period, "the period of np.unwrap")}
    return apply(RULES[np.unwrap], (lift(p),), options)


# -- Convolution -------------------------------------------------------------------------------------------------------


# fmt: off
defvjp(np.convolve, lambda g, y, a, b: np.convolve(g, b[::-1], "valid"),
                    lambda g, y, a, b: np.convolve(g, a[::-1], "valid"))
# fmt: on


@implements(np.convolve)
def convolve(a, v, mode="full"):
    """Sums of products with a sliding, reversed sequence."""
    a, v = lift(a), lift(v)
    if a.ndim > 1 or v.ndim > 1 or not a.size or not v.size:
        raise ValueError(f"np.convolve takes two sequences that are not empty; got shapes {a.shape} and {v.shape}.")
    short, long = sorted((a.size, v.size))
    whole = apply(RULES[np.convolve], (np.atleast_1d(a), np.atleast_1d(v)))
    return whole[_window(mode, short, long, (short - 1) // 2)]


def _window(mode, short, long, left):
    """The part of the full convolution that a mode keeps; "same" begins at ``left``."""
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"np.convolve and np.correlate take mode 'full', 'same' or 'valid'; got {mode!r}.")
    return {"full": slice(None), "same": slice(left, left + long), "valid": slice(short - 1, long)}[mode]


@implements(np.correlate)
def correlate(a, v, mode="valid"):
    """Sums of products with a sliding sequence."""
    a, v = lift(a), lift(v)
    short, long = sorted((a.size, v.size))
    left = (short - 1) // 2 if a.size >= v.size else short // 2  # NumPy exchanges the two, and turns the result round
    return np.convolve(a, v[::-1])[_window(mode, short, long, left)]


# -- Interpolation and spacing -----------------------------------------------------------------------------------------


@implements(np.interp)
def interp(x, xp, fp, left=None, right=None, period=None):
    """A function given at points, straight between them."""
    x, xp, fp = (lift(a).astype(np.float64) for a in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(f"np.interp takes points and values of one length, at least 1; got {xp.shape} and {fp.shape}.")
    if period is not None:
        period = np.absolute(period)
        if not current().machine.traces and period == 0:
            raise ValueError("np.interp: period may not be 0; leave it away if the function is not periodic.")
        x, xp = np.remainder(x, period), np.remainder(xp, period)
        order = constant(np.argsort, (xp,), {})
        xp, fp = np.take(xp, order), np.take(fp, order)
        xp = np.concatenate((xp[-1:] - period, xp, xp[:1] + period))
        fp = np.concatenate((fp[-1:], fp, fp[:1]))
        left = right = None
    left = fp[0] if left is None else left
    right = fp[-1] if right is None else right
    i = np.clip(constant(np.searchsorted, (xp, x), {"side": "right"}) - 1, 0, max(len(xp) - 2, 0))
    j = np.minimum(i + 1, len(xp) - 1)
    a, b, y0, y1 = np.take(xp, i), np.take(xp, j), np.take(fp, i), np.take(fp, j)
    # What stands for no point of a line, or for a line without an end, is taken out before it meets any other number.
    within = (x >= xp[0]) & (x <= xp[-1]) & (a < b)
    t, width = np.where(within, x - a, 0), np.where(within, b - a, 1)
    known = np.isfinite(y0) & np.isfinite(y1)
    y = np.where(known & within, y1 - y0, 0) / width * t + np.where(a < b, y0, y1)
    y = np.where(known, y, np.where(x == b, y1, np.where(x == a, y0, y0 + y1)))
    return np.where(x < xp[0], left, np.where(x > xp[-1], right, np.where(np.isnan(x), math.nan, y)))


@implements(np.linspace)
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    """Evenly spaced numbers."""
    start, stop = (float(x) if type(x) in (int, float) else lift(x) * 1.0 for x in (start, stop))
    if (num := operator.index(num)) < 0:
        raise ValueError(f"np.linspace takes num >= 0; got {num}.")
    parts = num - 1 if endpoint else num
    step = (stop - start) / max(parts, 1)
    t = np.reshape(np.arange(num).astype(step.dtype), (-1,) + (1,) * step.ndim)
    y = t * step + start
    y = np.moveaxis(_ended(y, None, stop if endpoint else None), 0, axis)
    if dtype is not None:
        y = (np.floor(y) if np.issubdtype(dtype, np.integer) else y).astype(dtype)
    return (y, step if parts > 0 else math.nan) if retstep else y


def _ended(y, first, last):
    """The rows of ``y`` with the numbers asked for at the ends, where their computation was rounded."""
    first, last = (
        [] if e is None else [np.broadcast_to(lift(e).astype(y.dtype), (1, *y.shape[1:]))] for e in (first, last)
    )
    n = len(y)
    if n > 1:
        return np.concatenate([*first, y[len(first) : n - len(last)], *last]) if first or last else y
    return first[0] if n and first else y


@implements(np.logspace)
def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    """Powers of a base with evenly spaced exponents."""
    if np.ndim(base):
        ndim = np.broadcast(*(np.empty(np.shape(x)) for x in (start, stop, base))).ndim
        start, stop, base = (np.array(lift(x), like=lift(x), ndmin=ndim) for x in (start, stop, base))
        base = np.expand_dims(base, axis)
    y = base ** np.linspace(start, stop, num, endpoint, axis=axis)
    return y if dtype is None else y.astype(dtype)


@implements(np.geomspace)
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """Numbers in a constant ratio."""
    start, stop = lift(start).astype(np.float64), lift(stop).astype(np.float64)
    if not current().machine.traces and not (np.all(start) and np.all(stop)):
        raise ValueError("np.geomspace: neither start nor stop can be 0, as no ratio leads from or to it.")
    sign = np.sign(start)
    start, stop = start / sign, stop / sign
    y = _ended(np.logspace(np.log10(start), np.log10(stop), num, endpoint), start, stop if endpoint else None)
    y = np.moveaxis(sign * y, 0, axis)
    return y if dtype is None else y.astype(dtype)
