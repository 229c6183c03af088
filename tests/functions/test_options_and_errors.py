"""Options of functions, by name and by place, and errors that say what was given and what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import X, tensor

import microgradnp as mg


def test_out_and_where_are_refused_where_a_gradient_would_be_lost() -> None:
    x, out = tensor(), np.zeros((2, 3))
    for call in (lambda: np.sin(x, out=out), lambda: np.sum(x, axis=0, out=out[0]), lambda: np.add(out, x, out=out)):
        with pytest.raises(TypeError, match=r"out= cannot write"):
            call()
    assert not out.any()
    with pytest.raises(TypeError, match=r"np\.sin on a Tensor does not take where="):
        np.sin(x, where=X > 0)
    assert np.sum(x, axis=0, out=None).requires_grad
    np.sin(mg.Tensor(X), out=out)
    np.testing.assert_array_equal(out, np.sin(X))


BY_PLACE: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: np.sum(x, 1, None, None, True, 2.0, X > 0),
    "prod": lambda x: np.prod(x, 0, np.float32, None),
    "mean": lambda x: np.mean(x, 0, None, None, True),
    "max": lambda x: np.max(x, 1, None, True, 0.5),
    "ptp": lambda x: np.ptp(x, 0, None, True),
    "std": lambda x: np.std(x, 0, None, None, 1, True),
    "nansum": lambda x: np.nansum(x, 1, None, None, True),
    "nanmin": lambda x: np.nanmin(x, 1, None, True),
    "median": lambda x: np.median(x, 0, None, False, True),
    "quantile": lambda x: np.quantile(x, 0.3, 1, None, False, "lower", True),
    "cumsum": lambda x: np.cumsum(x, 1, None, None),
    "take": lambda x: np.take(x, [0, 7], 1, None, "wrap"),
    "choose": lambda x: np.choose([1, -1, 5], x, None, "clip"),
    "compress": lambda x: np.compress([True, False, True], x, 1, None),
    "trace": lambda x: np.trace(x, 1, 0, 1, None, None),
    "clip": lambda x: np.clip(x, -1.0, 1.0, None),
    "stack": lambda x: np.stack((x, x), 1, None),
    "multiply": lambda x: np.multiply(x, x, None),
}


@pytest.mark.parametrize("name", BY_PLACE)
def test_what_numpy_takes_by_place_is_taken(name: str) -> None:
    result, expected = (BY_PLACE[name](x) for x in (tensor(), X))
    np.testing.assert_allclose(result.data, expected, rtol=1e-6)
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    assert result.requires_grad


def test_an_array_to_write_into_is_refused_by_place_too() -> None:
    for call in (lambda: np.sum(tensor(), 0, None, np.zeros(3)), lambda: np.take(tensor(), [0], None, np.zeros(1))):
        with pytest.raises(TypeError, match=r"out= cannot write"):
            call()


def test_truth_values_are_copied() -> None:
    t = mg.Tensor([True, False])
    for result in (t.copy(), np.copy(t), t.astype(bool), np.nanmean(mg.Tensor(X > 0), axis=1), np.pad(t, 1, "maximum")):
        assert type(result) is mg.Tensor
    assert t.copy().data.tolist() == [True, False]
    assert not np.shares_memory(t.copy().data, t.data)


# -- Errors ------------------------------------------------------------------------------------------------------------


ERRORS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "a gradient by q": (lambda x: np.quantile(x, tensor(0.5)), TypeError, "the q of np.quantile"),
    "a quantile above 1": (lambda x: np.quantile(x, 1.5), ValueError, "range"),
    "a gradient by repeats": (lambda x: np.repeat(x, tensor([1.0, 2.0]), axis=0), TypeError, "repeats of np.repeat"),
    "negative repeats": (lambda x: np.repeat(x, -1), ValueError, "repeats may not be negative; got -1"),
    "a nanquantile of another method": (lambda x: np.nanquantile(x, 0.5, method="lower"), ValueError, "method='lower'"),
    "an option that means nothing here": (lambda x: np.sum(x, where=X > 0, foo=1), TypeError, "foo"),
    "quantiles with weights": (
        lambda x: np.quantile(x, 0.5, weights=X, method="inverted_cdf"), TypeError, "np.quantile on a Tensor does not"
    ),
    "an option that means nothing to a method": (lambda x: x.sum(foo=1), TypeError, "it takes: a, axis, dtype"),
    "a method's out": (lambda x: x.sum(out=np.zeros(())), TypeError, "np.sum with out= cannot write"),
    "axes of a ufunc": (lambda x: np.matmul(x, x, axes=[(0, 1)] * 3), TypeError, "axes=:.*np.moveaxis"),
    "a span of time": (lambda x: x * np.timedelta64(1, "s"), TypeError, "real numbers; got timedelta64"),
    "fewer destinations": (lambda x: np.moveaxis(x, (0, 1), 0), ValueError, "must have the same number of elements"),
    "unequal parts": (lambda x: np.split(x, 2, axis=1), ValueError, "equal division"),
    "no parts": (lambda x: np.array_split(x, 0), ValueError, "larger than 0"),
    "a cross product in the plane": (lambda x: np.cross(x[:, :2], x[:, :2]), ValueError, r"a\[..., 0\] \* b\[..., 1\]"),
    "lengths that differ": (lambda x: np.tensordot(x, x, 1), ValueError, "shape-mismatch"),
    "where without choices": (lambda x: np.where(x), TypeError, "np.nonzero"),
    "a padding that leaves memory as it is": (lambda x: np.pad(x, 1, mode="empty"), ValueError, "'constant', 'edge'"),
    "a padding option of another mode": (lambda x: np.pad(x, 1, stat_length=2), ValueError, "not take stat_length"),
    "a negative padding": (lambda x: np.pad(x, -1), ValueError, "may not be negative"),
    "subscripts that do not fit": (lambda x: np.einsum("ijk", x), ValueError, r"'ijk' do not fit.*\(2, 3\)"),
    "subscripts of too many": (lambda x: np.einsum("ij,jk", x), ValueError, "equal to the number of operands"),
    "a label below 0": (lambda x: np.einsum(x, [0, -1]), ValueError, "labels from 0 to 51; got -1"),
    "a label above all letters": (lambda x: np.einsum(x, [0, 52]), ValueError, "labels from 0 to 51; got 52"),
    "a diagonal of a rectangle": (lambda x: np.einsum("ii", x), ValueError, "'i' stands for lengths 2 and 3"),
    "shapes that do not stack": (lambda x: np.stack([x, x.T]), ValueError, r"\(2, 3\), \(3, 2\)"),
    "nothing to join": (lambda x: np.concatenate([x[0, 0], x[0, 1]]), ValueError, "at least one axis"),
    "an axis that is not 1": (lambda x: np.squeeze(x, 1), ValueError, "only an axis of length 1"),
    "an axis that is not there": (lambda x: np.sum(x, axis=2), np.exceptions.AxisError, "axis 2 is out of bounds"),
    "axes named twice": (lambda x: np.transpose(x, (0, 0)), ValueError, "repeated axis"),
    "fewer axes than there are": (lambda x: np.transpose(x, (0,)), ValueError, "name each of its 2 axes once"),
    "an unknown order": (lambda x: np.reshape(x, 6, order="X"), ValueError, "'C' or 'F'; got 'X'"),
    "max of what is chosen, if nothing is": (lambda x: np.max(x, where=X > 9), ValueError, "needs initial="),
    "a fold that makes no sense": (lambda x: np.power.reduce(x), TypeError, r"y = np\.power\(y, t\[i\]\)"),
    "a fold of what is chosen, if nothing is": (lambda x: np.fmax.reduce(x, where=X > 9), ValueError, "needs initial="),
    "a part that begins outside": (lambda x: np.add.reduceat(x, [2]), IndexError, "index 2 is outside of .* length 2"),
    "a part that begins before": (lambda x: np.divide.reduceat(x, [-1]), IndexError, "index -1 is outside"),
    "an unknown mode of take": (lambda x: np.take(x, 0, mode="foo"), ValueError, "'wrap' or 'clip'; got 'foo'"),
    "an unknown mode of choose": (lambda x: np.choose([0], [x], mode="foo"), ValueError, "'wrap' or 'clip'; got 'foo'"),
    "a choice below 0": (lambda x: np.choose([0, -1, 0], x), ValueError, "-1 is no number of a choice"),
    "half a length": (lambda x: np.reshape(x, (1.5, 4)), TypeError, "integer"),
    "half a padding": (lambda x: np.pad(x, 1.5), TypeError, "whole numbers as pad_width; got dtype float64"),
    "a length below 0": (lambda x: np.resize(x, (2, -1)), ValueError, "must be non-negative"),
    "a period of 0": (lambda x: np.interp(x, [0, 1], [0, 1], period=0), ValueError, "period may not be 0"),
    "fewer numbers than none": (lambda x: np.linspace(x, 1, -1), ValueError, "num >= 0; got -1"),
    "fewer derivatives than none": (lambda x: np.polyder(x[0], -1), ValueError, "must be positive"),
    "a fold of nothing": (lambda x: np.divide.reduce(x[:0]), ValueError, "needs initial="),
    "an index that is a number": (lambda x: x[tensor(1.0)], TypeError, "integers or booleans"),
    "fewer conditions than choices": (lambda x: np.select([X > 0], [x, x]), ValueError, "got 1 and 2"),
    "fewer functions than conditions": (lambda x: np.piecewise(x, [X > 0], []), ValueError, "1 or 2 functions"),
    "weights of another shape": (lambda x: np.average(x, weights=X.T), TypeError, "Axis must be specified"),
    "a window that does not fit": (
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 4, axis=1), ValueError, "a window of 4 does not fit"
    ),
    "a slope of too few points": (lambda x: np.gradient(x[:, :1], axis=1), ValueError, "a longer axis than 1"),
    "an empty convolution": (lambda x: np.convolve(x[0], []), ValueError, "not empty"),
    "an unknown window": (lambda x: np.convolve(x[0], x[0], "some"), ValueError, "got 'some'"),
    "an unknown indexing": (lambda x: np.meshgrid(x[0], x[1], indexing="yx"), ValueError, "'xy' or 'ij'"),
    "a diagonal of three axes": (lambda x: np.diag(x[None]), ValueError, "np.diagonal"),
    "a masked array": (lambda x: x + np.ma.masked_array(X, X > 0), TypeError, "masked array would lose its mask"),
    "a complex operand": (lambda x: x * 1j, TypeError, "real numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_was_given_and_what_to_do(name: str) -> None:
    f, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message):
        f(tensor())
