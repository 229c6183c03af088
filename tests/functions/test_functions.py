"""Functions by their laws: linear ones are their own derivative, einsum is the products that it spells."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import X, tensor
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from recipes import INDICES

import microgradnp as mg
from microgradnp import Tensor
from microgradnp.check.strategies import arrays

# -- Linear functions are their own derivative -------------------------------------------------------------------------


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
        with pytest.raises(ValueError, match=r"einsum|einstein|operand|broadcast|[Cc]haracter"):
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
def test_likeness_is_a_tensor_to_be_filled(f: Any) -> None:
    y = f(tensor())
    assert type(y) is Tensor
    assert y.shape == X.shape
    assert not y.requires_grad


def test_full_like_keeps_the_gradient_of_its_value() -> None:
    assert mg.grad(lambda v: np.sum(np.full_like(tensor(), v) * X))(2.0) == X.sum()
    with pytest.raises(TypeError, match="part of a graph"):
        np.full((2, 2), tensor(1.0))


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
