"""Laws of NumPy's functions on Tensors: methods, linear functions, einsum, replacing elements, and what is refused."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from recipes import INDICES

import microgradnp as mg
from microgradnp.check.strategies import arrays

X = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]])


def tensor(x: Any = X) -> mg.Tensor:
    return mg.Tensor(x, requires_grad=True)


# -- The methods of ndarray --------------------------------------------------------------------------------------------

METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    **{name: ((), {}) for name in ("sum", "mean", "prod", "max", "min", "var", "std", "ravel", "flatten", "transpose")},
    **{name: ((0,), {}) for name in ("cumsum", "cumprod", "argmax", "argmin", "argsort", "any", "all", "squeeze")},
    **{name: ((), {}) for name in ("trace", "diagonal", "nonzero", "copy", "conj", "conjugate", "item", "tolist")},
    "argpartition": ((1,), {}),
    "astype": ((np.float32,), {}),
    "choose": (([X, X + 1, X + 2, X + 3],), {}),
    "clip": ((-1.0, 1.0), {}),
    "compress": (([True, False, True],), {"axis": 1}),
    "dot": ((X.T,), {}),
    "repeat": ((2,), {"axis": 1}),
    "reshape": ((3, -1), {}),
    "round": ((1,), {}),
    "searchsorted": ((0.3,), {}),
    "swapaxes": ((0, 1), {}),
    "take": (([0, 2],), {"axis": 1}),
}
ABSENT = {
    **dict.fromkeys(("fill", "partition", "put", "resize", "sort", "setfield"), "it changes the array in place"),
    **dict.fromkeys(("base", "ctypes", "flags", "strides", "setflags", "byteswap", "getfield", "view"), "about memory"),
    **dict.fromkeys(("dump", "dumps", "tobytes", "tofile"), "it writes the values, and forgets the graph"),
    **dict.fromkeys(("device", "to_device"), "there is one device"),
    **dict.fromkeys(("itemset", "newbyteorder", "ptp", "tostring"), "NumPy is about to drop it, or has"),
}


def test_every_method_of_ndarray_is_there_or_left_out_on_purpose() -> None:
    public = {name for name in dir(np.ndarray) if not name.startswith("_")}
    assert {name for name in public if not hasattr(mg.Tensor, name)} == ABSENT.keys() & public


def test_every_method_is_compared() -> None:
    methods = {name for name in dir(np.ndarray) if callable(getattr(np.ndarray, name)) and not name.startswith("_")}
    assert methods - ABSENT.keys() == METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_methods_give_what_those_of_ndarray_give(name: str) -> None:
    args, options = METHODS[name]
    x = X
    if name == "choose":
        x = np.array([[0, 1, 2], [3, 0, 1]])
    elif name == "searchsorted":
        x = np.sort(X[0])
    elif name == "squeeze":
        x = X[:1]
    elif name == "item":
        x = X[0, 0]
    result = getattr(mg.Tensor(x, requires_grad=x.dtype.kind == "f"), name)(*args, **options)
    expected = getattr(x, name)(*args, **options)
    if isinstance(expected, tuple):
        assert len(result) == len(expected)
    values = result.data if isinstance(result, mg.Tensor) else np.asarray(result)
    np.testing.assert_allclose(values, np.asarray(expected), rtol=1e-14)
    assert values.dtype == np.asarray(expected).dtype


OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"axis": 1, "where": X > -1, "keepdims": True} for name in ("mean", "var", "std", "any", "all")},
    **{name: {"axis": 0, "where": X > 0, "initial": 0.5} for name in ("sum", "prod", "max", "min")},
    **{name: {"axis": 1, "dtype": np.float32} for name in ("cumsum", "cumprod")},
    "trace": {"dtype": np.float32},
    "take": {"indices": [4, -9], "mode": "wrap"},
    "argsort": {"axis": 0, "kind": "stable"},
    "argpartition": {"kth": 1, "axis": None, "kind": "introselect"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_methods_take_numpys_options(name: str) -> None:
    result, expected = (getattr(x, name)(**OPTIONS[name]) for x in (tensor(), X))
    values = result.data if isinstance(result, mg.Tensor) else np.asarray(result)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert values.dtype == expected.dtype
    assert np.searchsorted(X[0], 0.3, sorter=[1, 0, 2]) == tensor(X[0]).searchsorted(0.3, sorter=[1, 0, 2])
    assert tensor().var(0, np.float32).dtype == np.float32


@pytest.mark.parametrize("name", ["sort", "put", "fill", "partition", "resize", "tobytes"])
def test_methods_left_out_name_what_to_use(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'. Use (np|microgradnp|t\.data)\."):
        getattr(tensor(), name)


# -- Linear functions are their own derivative ------------------------------------------------------------------------

LINEAR: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: np.sum(x, axis=0),
    "mean": lambda x: np.mean(x, axis=1, keepdims=True),
    "cumsum": lambda x: np.cumsum(x, axis=1),
    "reshape": lambda x: np.reshape(x, (3, 2), order="F"),
    "transpose": np.transpose,
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)),
    "concatenate": lambda x: np.concatenate((x, 2 * x), axis=1),
    "block": lambda x: np.block([[x, -x], [3 * x, x]]),
    "flip": lambda x: np.flip(x, 1),
    "rot90": lambda x: np.rot90(x, 3),
    "roll": lambda x: np.roll(x, 4, 1),
    "repeat": lambda x: np.repeat(x, [1, 0, 2], axis=1),
    "tile": lambda x: np.tile(x, (2, 2)),
    "pad": lambda x: np.pad(x, 1, mode="reflect"),
    "einsum": lambda x: np.einsum("ij,jk->ki", x, X.T),
    "matmul": lambda x: X.T @ x,
    "kron": lambda x: np.kron(x, X),
    "cross": lambda x: np.cross(x, X),
    "getitem": lambda x: x[:, [0, 0, 2]],
    "take": lambda x: np.take(x, [[0, 5], [5, 1]]),
    "delete": lambda x: np.delete(x, 1, axis=1),
    "insert": lambda x: np.insert(x, [0, 2], x[:, :2], axis=1),
    "tril": np.tril,
    "diagonal": np.diagonal,
    "trace": np.trace,
    "diff": lambda x: np.diff(x, n=2),
    "gradient": lambda x: np.gradient(x, axis=1),
    "trapezoid": np.trapezoid,
    "convolve": lambda x: np.convolve(np.ravel(x), [1.0, 2.0, 3.0], "same"),
    "sliding windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1),
    "apply_along_axis": lambda x: np.apply_along_axis(np.cumsum, 0, x),
    "put": lambda x: mg.put(x, (0, slice(None)), 2 * x[1]),
    "interp": lambda x: np.interp([0.5, 1.5], [0.0, 1.0, 2.0], x[0]),
    "solve": lambda x: np.linalg.solve(np.array([[2.0, 1.0], [1.0, 3.0]]), x),
}

shaped = arrays((2, 3))


@pytest.mark.parametrize("name", LINEAR)
@given(shaped, shaped)
def test_a_linear_function_is_its_own_derivative(name: str, x: Any, v: Any) -> None:
    f = LINEAR[name]
    value, derivative = mg.jvp(f, (x,), (v,))
    np.testing.assert_allclose(value, f(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(derivative, f(v), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LINEAR)
@given(shaped, st.randoms(use_true_random=False))
def test_the_gradient_of_a_linear_function_is_its_transpose(name: str, x: Any, random: Any) -> None:
    f = LINEAR[name]
    y, pullback = mg.vjp(f, np.zeros((2, 3)))
    w = np.array([random.randint(-4, 4) for _ in range(np.size(y))], float).reshape(np.shape(y))
    np.testing.assert_allclose(np.sum(pullback(w)[0] * x), np.sum(w * f(x)), rtol=1e-11, atol=1e-11)


# -- einsum ------------------------------------------------------------------------------------------------------------


@st.composite
def einsums(draw: Any) -> tuple[str, list[Any]]:
    """Subscripts of one to three operands, mostly legal, with ellipses, repeated labels and axes of length 1."""
    labels = draw(st.lists(st.sampled_from("abcZ"), min_size=1, max_size=4, unique=True))
    lengths = {c: draw(st.integers(1, 3)) for c in labels}
    dots = draw(st.sampled_from([(), (2,), (2, 3)]))
    terms, operands = [], []
    for _ in range(draw(st.integers(1, 3))):
        term = "".join(draw(st.lists(st.sampled_from(labels), max_size=3)))
        shape: tuple[int, ...] = tuple(1 if draw(st.integers(0, 9)) == 0 else lengths[c] for c in term)
        if draw(st.booleans()):
            at, n = draw(st.integers(0, len(term))), draw(st.integers(0, len(dots)))
            shape = shape[:at] + dots[len(dots) - n :] + shape[at:]
            term = term[:at] + "..." + term[at:]
        terms.append(term)
        operands.append(draw(arrays(shape, layout="C")))
    subscripts = ",".join(terms)
    if draw(st.booleans()):
        kept = draw(st.lists(st.sampled_from([*labels, "..."]), unique=True, max_size=4))
        subscripts += "->" + "".join(kept)
    return subscripts, operands


@given(einsums())
def test_einsum_takes_what_numpy_takes(drawn: tuple[str, list[Any]]) -> None:
    subscripts, operands = drawn
    try:
        expected = np.einsum(subscripts, *operands)
    except ValueError:
        with pytest.raises(ValueError, match=r"einsum|einstein|operand|broadcast"):
            np.einsum(subscripts, *map(tensor, operands))
        return
    result = np.einsum(subscripts, *map(tensor, operands))
    np.testing.assert_allclose(result.data, expected, rtol=1e-12, atol=1e-12)
    gradients = mg.grad(lambda *xs: np.sum(np.einsum(subscripts, *xs)), tuple(range(len(operands))))(*operands)
    for i, (g, x) in enumerate(zip(gradients, operands, strict=True)):
        # The function is linear in each operand, so the gradient times the operand is the function.
        assert g.shape == x.shape
        np.testing.assert_allclose(np.sum(g * x), np.sum(expected), rtol=1e-10, atol=1e-10, err_msg=f"operand {i}")


@given(shaped, arrays((3, 2)))
def test_einsum_equals_the_products_that_it_spells(a: Any, b: Any) -> None:
    pairs: list[tuple[Any, Any]] = [
        (lambda a, b: np.einsum("ij,jk", a, b), np.matmul),
        (lambda a, b: np.einsum("ij,ji->", a, b), lambda a, b: np.trace(a @ b)),
        (lambda a, b: np.einsum("ij,kl->ikjl", a, b).reshape(6, 6), np.kron),
        (lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), lambda a, b: (a @ b).T),
    ]
    for spelt, product in pairs:
        one, two = (
            mg.value_and_grad(lambda a, b, f=f: np.sum(np.sin(f(a, b))), (0, 1))(a, b) for f in (spelt, product)
        )
        for x, y in zip((one[0], *one[1]), (two[0], *two[1]), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-10)


# -- Replacing elements ------------------------------------------------------------------------------------------------


@given(st.sampled_from(INDICES), arrays((3, 4)), st.data())
def test_put_is_assignment(index: Any, x: Any, data: Any) -> None:
    value = data.draw(arrays(data.draw(st.sampled_from([x[index].shape, ()]))))
    expected = x.copy()
    expected[index] = value
    result = mg.put(tensor(x), index, tensor(value))
    np.testing.assert_array_equal(result.data, expected)
    kept, placed = mg.grad(lambda x, v: np.sum(mg.put(x, index, v)), (0, 1))(x, value)
    mask = np.ones_like(x)
    mask[index] = 0
    np.testing.assert_array_equal(kept, mask)
    assert placed.sum() == np.sum(mask == 0)


@given(arrays((3, 4)), hnp.arrays(np.int64, (3, 2), elements=st.integers(0, 3)), arrays((3, 2)))
def test_put_along_axis_is_numpys(x: Any, indices: Any, values: Any) -> None:
    expected = x.copy()
    np.put_along_axis(expected, indices, values, 1)
    np.testing.assert_array_equal(mg.put_along_axis(tensor(x), indices, tensor(values), 1).data, expected)


def test_put_takes_plain_arguments_and_keeps_the_dtype() -> None:
    result = mg.put(np.zeros(3, np.float32), [0, 0], [1.0, 2.0])
    assert result.dtype == np.float32
    assert result.data.tolist() == [2, 0, 0]
    with pytest.raises(TypeError, match="the index of put has no derivative"):
        mg.put(np.zeros(3), tensor([1.0]), 2.0)


# -- Arrays of Tensors -------------------------------------------------------------------------------------------------


def test_an_array_of_tensors_is_refused_and_like_makes_it_work() -> None:
    a, b = tensor(1.0), tensor(2.0)
    with pytest.raises(TypeError, match=r"np\.stack"):
        np.array([a, b])
    made = np.array([[a, 2.0 * b], [b, 5.0]], like=a)
    assert made.data.tolist() == [[1, 4], [2, 5]]
    np.sum(made * made).backward()
    assert (a.grad, b.grad) == (2.0, 20.0)


@pytest.mark.parametrize("f", [np.zeros_like, np.ones_like, np.empty_like])
def test_likeness_is_a_plain_array(f: Any) -> None:
    assert type(f(tensor())) is np.ndarray
    assert f(tensor()).shape == X.shape


def test_full_like_keeps_the_gradient_of_its_value() -> None:
    assert mg.grad(lambda v: np.sum(np.full_like(tensor(), v) * X))(2.0) == X.sum()
    with pytest.raises(TypeError, match="part of a graph"):
        np.full((2, 2), tensor(1.0))


# -- Options and errors ------------------------------------------------------------------------------------------------


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
    "fewer destinations": (lambda x: np.moveaxis(x, (0, 1), 0), ValueError, "as many destinations as sources; got 1"),
    "unequal parts": (lambda x: np.split(x, 2, axis=1), ValueError, "axis of length 3; use np.array_split"),
    "no parts": (lambda x: np.array_split(x, 0), ValueError, "at least 1"),
    "a cross product in the plane": (lambda x: np.cross(x[:, :2], x[:, :2]), ValueError, r"a\[..., 0\] \* b\[..., 1\]"),
    "lengths that differ": (lambda x: np.tensordot(x, x, 1), ValueError, "lengths differ"),
    "where without choices": (lambda x: np.where(x), TypeError, "np.nonzero"),
    "a padding that leaves memory as it is": (lambda x: np.pad(x, 1, mode="empty"), ValueError, "'constant', 'edge'"),
    "a padding option of another mode": (lambda x: np.pad(x, 1, stat_length=2), ValueError, "not take stat_length"),
    "a negative padding": (lambda x: np.pad(x, -1), ValueError, "may not be negative"),
    "subscripts that do not fit": (lambda x: np.einsum("ijk", x), ValueError, r"'ijk' do not fit.*\(2, 3\)"),
    "subscripts of too many": (lambda x: np.einsum("ij,jk", x), ValueError, "describe 2 operands; got 1"),
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
    "a length below 0": (lambda x: np.resize(x, (2, -1)), ValueError, r"may not be negative; got \(2, -1\)"),
    "a period of 0": (lambda x: np.interp(x, [0, 1], [0, 1], period=0), ValueError, "period may not be 0"),
    "fewer numbers than none": (lambda x: np.linspace(x, 1, -1), ValueError, "num >= 0; got -1"),
    "a polynomial of a polynomial": (lambda x: np.polyval(x[0], np.poly1d([1, 2])), TypeError, "np.polymul"),
    "fewer derivatives than none": (lambda x: np.polyder(x[0], -1), ValueError, "m >= 0; got -1"),
    "a fold of nothing": (lambda x: np.divide.reduce(x[:0]), ValueError, "needs initial="),
    "an index that is a number": (lambda x: x[tensor(1.0)], TypeError, "integers or booleans"),
    "fewer conditions than choices": (lambda x: np.select([X > 0], [x, x]), ValueError, "got 1 and 2"),
    "fewer functions than conditions": (lambda x: np.piecewise(x, [X > 0], []), ValueError, "got 0"),
    "weights of another shape": (lambda x: np.average(x, weights=X.T), ValueError, r"\(3, 2\).*\(2, 3\)"),
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


# -- Special functions -------------------------------------------------------------------------------------------------


@given(arrays((5,), low=-30.0, high=30.0))
def test_i0_solves_bessels_equation(x: Any) -> None:
    """x I0'' + I0' = x I0: the first and second derivatives hold each other."""
    first = mg.grad(lambda x: np.sum(np.i0(x)))
    second = mg.grad(lambda x: np.sum(first(x)))(x)
    scale = np.i0(x) * np.maximum(np.abs(x), 1)
    np.testing.assert_allclose((x * second + first(x)) / scale, x * np.i0(x) / scale, rtol=1e-12, atol=1e-13)


@given(arrays((4,), low=-20.0, high=20.0))
def test_sinc_solves_its_equation(x: Any) -> None:
    """x f'' + 2 f' + pi**2 x f = 0."""
    first = mg.grad(lambda x: np.sum(np.sinc(x)))
    second = mg.grad(lambda x: np.sum(first(x)))(x)
    np.testing.assert_allclose(x * second + 2 * first(x) + np.pi**2 * x * np.sinc(x), 0, atol=1e-11)


@given(st.integers(1, 40), st.sampled_from([np.logaddexp, np.hypot, np.maximum, np.fmin, np.logaddexp2]))
def test_folding_by_halves_is_folding_one_by_one(n: int, ufunc: Any) -> None:
    x = np.random.default_rng(n).permutation(n) / 8.0 + 0.25
    step = x[0]
    for value in x[1:]:
        step = ufunc(step, value)
    np.testing.assert_allclose(ufunc.reduce(tensor(x)).data, step, rtol=1e-13)
    np.testing.assert_allclose(ufunc.accumulate(tensor(x)).data, ufunc.accumulate(x), rtol=1e-13)
    gradient = mg.grad(ufunc.reduce)(x)
    if ufunc is np.logaddexp:
        np.testing.assert_allclose(gradient, np.exp(x - x.max()) / np.exp(x - x.max()).sum(), rtol=1e-12)


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-3, 3)), st.integers(-3, 3))
def test_a_difference_undoes_a_sum(x: Any, k: int) -> None:
    assume(np.isfinite(x).all())
    gradient = mg.grad(lambda x: np.sum(np.diff(np.cumsum(x), prepend=0.0) * (np.arange(len(x)) + k)))(x)
    np.testing.assert_allclose(gradient, np.arange(len(x)) + k, atol=1e-9)


def test_a_program_may_ask_for_constants_freely() -> None:
    x = tensor([1.0, -2.0, math.pi])
    assert np.argmax(x) == 2
    assert np.sign(x).tolist() == [1, -1, 1]
    assert (np.round(x, 2)).tolist() == [1.0, -2.0, 3.14]
    assert np.searchsorted([0.0, 2.0], x).tolist() == [1, 0, 2]
    assert type(np.floor(x)) is np.ndarray
