"""No cast and no copy takes a value out of its graph without a word: the gradient is kept, or the cast is refused."""

import copy
import pickle
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytest
from helpers import leaf

import microgradnp as mg

X = np.array([1.0, 2.0, 4.0])

CASTS = {
    "astype": lambda x, kind: x.astype(kind),
    "np.sum": lambda x, kind: np.sum(x, dtype=kind),
    "np.mean": lambda x, kind: np.mean(x, dtype=kind),
    "np.prod": lambda x, kind: np.prod(x, dtype=kind),
    "np.var": lambda x, kind: np.var(x, dtype=kind),
    "np.std": lambda x, kind: np.std(x, dtype=kind),
    "np.nansum": lambda x, kind: np.nansum(x, dtype=kind),
    "np.nanmean": lambda x, kind: np.nanmean(x, dtype=kind),
    "np.cumsum": lambda x, kind: np.cumsum(x, dtype=kind),
    "np.cumprod": lambda x, kind: np.cumprod(x, dtype=kind),
    "np.trace": lambda x, kind: np.trace(np.diag(x), dtype=kind),
    "np.add.reduce": lambda x, kind: np.add.reduce(x, dtype=kind),
    "np.hypot.reduce": lambda x, kind: np.hypot.reduce(x, dtype=kind),
    "np.add.accumulate": lambda x, kind: np.add.accumulate(x, dtype=kind),
    "np.add.reduceat": lambda x, kind: np.add.reduceat(x, [0, 2], dtype=kind),
    "np.concatenate": lambda x, kind: np.concatenate((x, x), dtype=kind),
    "np.stack": lambda x, kind: np.stack((x, x), dtype=kind),
    "np.hstack": lambda x, kind: np.hstack((x, x), dtype=kind),
    "np.vstack": lambda x, kind: np.vstack((x, x), dtype=kind),
    "np.linspace": lambda x, kind: np.linspace(x, 9.0, 4, dtype=kind),
    "np.geomspace": lambda x, kind: np.geomspace(x, 9.0, 4, dtype=kind),
    "np.logspace": lambda x, kind: np.logspace(x / 4, 1.5, 4, dtype=kind),
    "np.array": lambda x, kind: np.array(x, dtype=kind, like=x),
    "np.asarray": lambda x, kind: np.asarray(x, dtype=kind, like=x),
    "np.full": lambda x, kind: np.full(3, x[0], dtype=kind, like=x),
    "np.full_like": lambda x, kind: np.full_like(x, x[1], dtype=kind),
    "np.cov": lambda x, kind: np.cov(x, dtype=kind),
}
if hasattr(np, "astype"):
    CASTS["np.astype"] = lambda x, kind: np.astype(x, kind)

casts = pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)


@casts
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble])
def test_a_cast_to_floats_keeps_the_gradient(cast: Any, kind: Any) -> None:
    expected = mg.grad(lambda x: np.sum(cast(x, np.float64)))(X)
    got = mg.grad(lambda x: np.sum(cast(x, kind)))(X)
    assert got.dtype == X.dtype
    np.testing.assert_allclose(got, expected, rtol=2e-2 if kind is np.float16 else 1e-5)
    assert cast(leaf(*X), kind).dtype == cast(X, kind).dtype


@casts
@pytest.mark.parametrize("kind", [complex, np.complex64, object])
def test_a_cast_to_what_has_no_gradient_is_refused(cast: Any, kind: Any) -> None:
    def loss(x: Any) -> Any:
        y = cast(x, kind)
        return np.sum(x) + float(np.sum(np.abs(y)))

    with pytest.raises(TypeError, match=r"t\.data|graph"):
        mg.grad(loss)(X)


def test_the_refusal_names_the_dtype_and_the_way() -> None:
    with pytest.raises(TypeError, match=r"to complex128 would lose its gradient .* real and the imaginary part"):
        leaf(1.0).astype(complex)
    with pytest.raises(TypeError, match=r"to object would lose its gradient .* cast to a float dtype"):
        (leaf(1.0) * 2).astype(object)


def test_outside_a_graph_a_tensor_is_cast_as_an_array_is() -> None:
    t = mg.Tensor(X)
    assert t.astype(complex).dtype == complex
    assert np.abs(np.fft.fft(t.astype(complex))).shape == (3,)
    assert leaf(*X).detach().astype(object).dtype == object
    with mg.no_grad():
        assert (leaf(*X) * 2).astype(complex).dtype == complex


@pytest.mark.parametrize("kind", [int, np.uint8, bool])
def test_a_cast_to_whole_numbers_is_piecewise_constant(kind: Any) -> None:
    assert mg.grad(lambda x: np.sum(x * x.astype(kind)))(X).tolist() == X.astype(kind).tolist()
    assert type(leaf(*X).astype(kind)) is np.ndarray
    assert leaf(*X).astype(str).tolist() == ["1.0", "2.0", "4.0"]


@pytest.mark.parametrize("kind", [int, complex])
def test_an_array_like_a_tensor_but_of_another_kind_takes_nothing_that_wants_a_gradient(kind: Any) -> None:
    for make in (np.zeros_like, np.ones_like, np.empty_like):
        y = make(leaf(*X), dtype=kind)
        assert type(y) is np.ndarray
        with pytest.raises((TypeError, ValueError)):
            y[0] = leaf(1.0)[0]


# -- np.ix_ ------------------------------------------------------------------------------------------------------------


def test_an_open_grid_of_values_has_a_gradient() -> None:
    def pairs(u: Any, v: Any) -> Any:
        a, b = np.ix_(u, v)
        return np.sum(np.sin(a * b))

    u, v = X, np.array([0.5, -1.0])
    for got, want in zip(
        mg.grad(pairs, (0, 1))(u, v),
        (np.cos(np.outer(u, v)) @ v, u @ np.cos(np.outer(u, v))),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, rtol=1e-13)
    with pytest.raises(ValueError, match=r"one axis; got one of shape \(1, 3\)"):
        np.ix_(leaf(X))


def test_an_open_grid_of_places_is_plain() -> None:
    a = np.arange(9.0).reshape(3, 3)
    grid = np.ix_(mg.Tensor([0, 2]), [True, False, True])
    assert [type(part) for part in grid] == [np.ndarray, np.ndarray]
    assert a[grid].tolist() == a[np.ix_([0, 2], [0, 2])].tolist()
    mixed = np.ix_(leaf(*X), [0, 1])
    assert [part.shape for part in mixed] == [(3, 1), (1, 2)]


# -- Copies ------------------------------------------------------------------------------------------------------------


@dataclass
class Parameters:
    weight: Any


COPIES = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda w: pickle.loads(pickle.dumps(w)),
    "dataclasses.asdict": lambda w: asdict(Parameters(w))["weight"],
    "copy.deepcopy of a list": lambda w: copy.deepcopy([w])[0],
}
TRANSFORMS = {
    "grad": lambda f: mg.grad(f)(X),
    "vjp": lambda f: mg.vjp(f, X),
    "jvp": lambda f: mg.jvp(f, (X,), (X,)),
    "jacobian": lambda f: mg.jacobian(f)(X),
    "hessian": lambda f: mg.hessian(f)(X),
    "nested": lambda f: mg.grad(lambda x: np.sum(mg.grad(f)(x)))(X),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_copy_of_a_transforms_variable_is_refused(transform: Any, copied: Any) -> None:
    with pytest.raises(TypeError, match=r"graph \((a variable of a transform|the result of).*t\.copy\(\) stays"):
        transform(lambda w: np.sum(w * copied(w)))


def test_copies_that_stay_in_the_graph_and_copies_of_leaves() -> None:
    assert mg.grad(lambda w: np.sum(w * w.copy()))(X).tolist() == (2 * X).tolist()
    assert mg.grad(lambda w: np.sum(w * copy.deepcopy(w.detach()).data))(X).tolist() == X.tolist()
    own = leaf(*X)
    assert mg.grad(lambda w: np.sum(w * copy.deepcopy(own).data))(X).tolist() == X.tolist()


def test_whole_numbers_take_a_value_and_no_gradient() -> None:
    """NumPy cuts what is put among whole numbers to one of them, which is a step."""
    by = {
        "put": lambda v: mg.put(np.arange(4), [0, 2], v),
        "put a slice": lambda v: mg.put(np.arange(4), slice(0, 3, 2), v),
        "along an axis": lambda v: mg.put_along_axis(np.arange(4), np.array([0, 2]), v, 0),
        "an item": lambda v: changed(np.arange(4), [0, 2], v),
    }
    for name, f in by.items():
        assert mg.grad(lambda v, f=f: np.sum(f(v) * 1.5))(np.array([1.75, 2.25])).tolist() == [0, 0], name


def changed(x: Any, index: Any, value: Any) -> Any:
    t = mg.Tensor(x)
    t[index] = value
    return t
