"""Which operand decides the dtype of a result and of a gradient; and no gradient shares memory."""

from typing import Any

import numpy as np
import pytest
from helpers import both_dtypes, gradient, leaf, plain, same_as_numpy

import microgradnp as mg


def test_a_float64_operand_widens_the_result_but_not_the_gradient() -> None:
    x = mg.Tensor(np.float32([1.0, 2.0]), requires_grad=True)
    y = np.sum(x * np.array([1.0, 2.0]))
    assert y.dtype == np.float64
    y.backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("number", [2, 2.5, True])
@pytest.mark.parametrize("f", [np.add, np.multiply, np.divide, np.power, np.maximum, np.hypot, np.logaddexp, np.where])
def test_python_numbers_do_not_decide_the_dtype(f: Any, number: Any) -> None:
    x = mg.Tensor(np.float32([1.0, 2.0]), requires_grad=True)
    results = [f(x > 1, x, number), f(x > 1, number, x)] if f is np.where else [f(x, number), f(number, x)]
    for y in results:
        assert y.dtype == np.float32
        np.sum(y).backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float32


def test_python_numbers_leave_float32_alone():
    assert np.linspace(mg.Tensor(np.float32(1.0), requires_grad=True), 2.0, 3).dtype == np.float32


@both_dtypes
def test_numbers_and_spacings_do_not_decide_the_dtype_where_numpy_lets_them_not(dtype: Any) -> None:
    x = np.array([0.5, 2.0, 1.0], dtype)
    for f in (
        lambda x: np.select([x > 1, x < 1], [x, 1], 2),
        lambda x: np.select([x > 1], [x], 0.5),
        lambda x: np.select([x > 1], [x], np.zeros(3)),
        lambda x: np.choose([0, 1, 1], [x, 7]),
        lambda x: np.choose([0, 1, 1], [x, np.arange(3)]),
        lambda x: np.gradient(x, np.float64(0.5)),
        lambda x: np.gradient(x, [0, 1, 3]),
        lambda x: np.gradient(x, np.array([0.0, 1.0, 3.0]), edge_order=2),
        lambda x: np.linalg.norm(x, np.float64(3)),
        lambda x: np.average(x, weights=[1, 2, 3], returned=True)[0],
        lambda x: np.average(x, weights=np.array([1, 2, 3], np.int8), returned=True)[1],
        lambda x: np.average(x, weights=np.ones(3, np.float32), returned=True)[1],
    ):
        same_as_numpy(f, x)
        assert gradient(lambda x, f=f: np.sum(f(x)), x, dtype=dtype).dtype == dtype
    same_as_numpy(lambda w: np.average(np.array([1, 2, 3], np.int8), weights=w), x)
    for h in (0.5, [0.0, 1.0, 3.0]):
        assert gradient(lambda h, x=x: np.sum(np.gradient(x, h)), h).dtype == np.float64


def test_numpys_numbers_do_not_decide_the_dtype_of_a_reduction():
    x = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]], np.float32)
    for number in (np.float64(1.5), np.int64(1), np.array(1.5)):
        for f in (np.sum, np.prod, np.max, np.min, np.nansum, np.nanmax, np.add.reduce, np.maximum.reduce):
            same_as_numpy(lambda x, f=f, n=number: f(x, axis=1, initial=n), x)
            same_as_numpy(lambda x, f=f, n=number: f(x, axis=1, initial=n, where=x > 3), x)
    for f in (np.var, np.std, np.nanvar, np.nanstd):
        for options in ({"ddof": np.int64(1)}, {"correction": np.float64(0.5)}, {"ddof": np.int64(1), "where": x > 1}):
            same_as_numpy(lambda x, f=f, options=options: f(x, axis=1, **options), x)
        same_as_numpy(lambda x, f=f: f(x, axis=1, mean=np.float64(2)), x)
        same_as_numpy(lambda x, f=f: f(x, ddof=1, correction=1), x)


@pytest.mark.parametrize("method", ["reduce", "accumulate"])
@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.subtract, np.hypot, np.fmax])
def test_the_methods_of_ufuncs_take_a_dtype(ufunc: Any, method: str) -> None:
    x = np.array([[1.5, 2.0], [3.0, 0.5]], np.float32)
    same_as_numpy(lambda x: getattr(ufunc, method)(x, dtype=np.float64), x)
    same_as_numpy(lambda x: ufunc.reduceat(x, [], axis=1), x)


def test_whole_numbers_stay_whole_where_numpy_leaves_them_so():
    x = np.array([[3, -1], [2, 5]], np.int8)
    for f in (lambda x: np.modf(x)[0], lambda x: np.modf(x)[1], np.nanmax, lambda x: np.nanmin(x, initial=3)):
        got = np.asarray(plain(f(mg.Tensor(x))))
        assert got.dtype == f(x).dtype
        np.testing.assert_array_equal(got, f(x))


def test_a_cast_that_loses_is_refused_where_numpy_refuses():
    with pytest.raises(TypeError, match="casting='safe'"):
        np.concatenate((leaf(1.0), leaf(2.0)), dtype="f4", casting="safe")


def test_joining_casts_as_it_is_told():
    for join in (np.stack, np.hstack, np.vstack, np.concatenate):
        same_as_numpy(lambda x, join=join: join((x, x), dtype=np.float16, casting="safe"), np.ones(2))
        same_as_numpy(lambda x, join=join: join((x, x), dtype=np.float64, casting="safe"), np.ones(2, np.float32))


# -- Memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f", [np.add, np.subtract, np.broadcast_arrays, np.stack, np.reshape, np.transpose, np.positive]
)
def test_no_gradient_shares_memory(f: Any) -> None:
    a, b = (mg.Tensor(np.ones((2, 2)), requires_grad=True) for _ in range(2))
    seed = np.ones((2, 2))
    if f in (np.add, np.subtract):
        f(a, b).backward(seed)
    elif f is np.broadcast_arrays:
        (f(a, b)[0] + f(a, b)[1]).backward(seed)
    elif f is np.stack:
        np.sum(f([a, b]), axis=0).backward(seed)
    else:
        (f(a, (2, 2)) if f is np.reshape else f(a)).backward(seed)
        b.grad = np.zeros((2, 2))
    assert a.grad is not None
    assert b.grad is not None
    for x, y in ((a.grad, b.grad), (a.grad, seed), (b.grad, seed), (a.grad, a.data), (b.grad, b.data)):
        assert not np.shares_memory(x, y)
    before = b.grad.copy()
    a.grad += 1
    seed += 1
    np.testing.assert_array_equal(b.grad, before)
