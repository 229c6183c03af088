"""`microgradnp.numpy`: NumPy's names for arrays of Tensors, and NumPy itself for all else. pandas on the left."""

import numpy
import pytest

import microgradnp as mg
import microgradnp.numpy as np

X = numpy.array([0.5, 2.0, -1.0])
MATRIX = numpy.arange(6.0).reshape(3, 2)

PROGRAMS = {
    "array": lambda np, x: np.array([x[0], x[1] ** 2, 3.0]),
    "array of arrays": lambda np, x: np.array([[x, 2 * x], [x * x, X]]),
    "asarray": lambda np, x: np.asarray([x[0] * x[1], x[2]]),
    "asanyarray": lambda np, x: np.asanyarray((x[0], x)[1]),
    "ascontiguousarray": lambda np, x: np.ascontiguousarray([x, x * x]),
    "dtype": lambda np, x: np.array([x[0], 1], dtype=float),
    "sum": lambda np, x: np.sum([x[0], x[1] * x[2]]),
    "sum over an axis": lambda np, x: np.sum([x, x * x], axis=0),
    "by name": lambda np, x: np.sum(a=[x, x * x], axis=1),
    "prod": lambda np, x: np.prod([x[0], x[1], 2.0]),
    "mean": lambda np, x: np.mean((x[0], x[1] ** 3)),
    "std": lambda np, x: np.std([x[0], x[1] ** 3]),
    "max": lambda np, x: np.max([x[0], x[1] ** 3]),
    "cumsum": lambda np, x: np.cumsum([x[0], x[1] ** 3]),
    "dot": lambda np, x: np.dot([x[0], x[1], x[2]], X),
    "outer": lambda np, x: np.outer([x[0], 1.0], [x[1], x[2]]),
    "where": lambda np, x: np.where(X > 0, [x[2], x[1], x[0]], 0.0),
    "diag": lambda np, x: np.diag([x[0], x[1]]),
    "full": lambda np, x: np.full((2, 2), x[0] * x[1]),
    "full of a row": lambda np, x: np.full((2, 3), x),
    "full_like": lambda np, x: np.full_like(MATRIX, x[0] * x[1]),
    "concatenate": lambda np, x: np.concatenate([x, [x[0], 1.0], X]),
    "stack": lambda np, x: np.stack([[x[0], x[1]], [1.0, x[2]]], axis=1),
    "hstack": lambda np, x: np.hstack([x, [x[1]], x[0]]),
    "vstack": lambda np, x: np.vstack([x, [x[1], x[0], x[2]]]),
    "r_": lambda np, x: np.r_[x[0], x, 1.0, 0:3, [x[1], 2.0]],
    "r_ of rows": lambda np, x: np.r_[MATRIX, [[x[0], x[1]]]],
    "r_ of one": lambda np, x: np.r_[x[0]],
    "c_": lambda np, x: np.c_[x, X, x * x],
    "c_ of a matrix": lambda np, x: np.c_[MATRIX, x],
    "c_ of numbers": lambda np, x: np.c_[x[0], 2.0],
    "vectorize": lambda np, x: np.vectorize(lambda u: u * u if u > 0 else 3 * u)(x),
    "vectorize of two": lambda np, x: np.vectorize(lambda u, v: u * v)(x[:, None], X),
    "vectorize over what is captured": lambda np, x: np.vectorize(lambda v: v * x[0])(X),
    "handed on": lambda np, x: np.sin(x) + np.linalg.norm(x) * np.pi,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_numpys_and_gradients_are_right(name):
    f = PROGRAMS[name]
    expected = f(numpy, X)
    plain = f(np, X)
    numpy.testing.assert_array_equal(plain, expected, strict=True)
    assert type(plain) is type(expected)
    numpy.testing.assert_allclose(mg.vjp(lambda x: f(np, x), X)[0], expected, rtol=1e-14)
    h = 1e-6
    differences = [(f(numpy, X + h * e) - f(numpy, X - h * e)) / (2 * h) for e in numpy.eye(3)]
    numpy.testing.assert_allclose(mg.jacobian(lambda x: f(np, x))(X), numpy.stack(differences, -1), atol=1e-8)


@pytest.mark.parametrize("name", ["array", "sum", "full", "c_", "vectorize"])
def test_second_derivatives(name):
    def f(x):
        return np.sum(PROGRAMS[name](np, x) ** 2)

    h = 1e-5
    differences = [(mg.grad(f)(X + h * e) - mg.grad(f)(X - h * e)) / (2 * h) for e in numpy.eye(3)]
    numpy.testing.assert_allclose(mg.hessian(f)(X), differences, atol=1e-7)


def test_all_other_names_are_numpys():
    for name in ("sin", "ndarray", "linalg", "float64", "pi", "random", "testing"):
        assert getattr(np, name) is getattr(numpy, name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = np.nonsense
    assert set(dir(numpy)) <= set(dir(np))


def test_without_a_gradient_an_array_comes_back():
    t = mg.Tensor([1.0, 2.0])
    assert type(np.array([t, t])) is type(np.r_[t, t]) is type(np.asarray(t)) is numpy.ndarray


@pytest.mark.parametrize("name", ["array", "sum", "full", "r_", "c_", "vectorize"])
def test_plain_numpy_refuses_and_names_the_way(name):
    with pytest.raises(TypeError, match=r"np\.stack or np\.concatenate, like=t or microgradnp\.numpy"):
        mg.vjp(lambda x: PROGRAMS[name](numpy, x), X)


def test_plain_numpy_joins_a_list_beside_a_tensor():
    """np.concatenate asks the Tensor, and so is answered."""
    plain, own = (mg.jacobian(lambda x, np=np: PROGRAMS["concatenate"](np, x))(X) for np in (numpy, np))
    numpy.testing.assert_array_equal(plain, own)


def test_vectorize_keeps_the_functions_own_errors():
    def f(u):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        np.vectorize(f)(X)


# -- pandas on the left ------------------------------------------------------------------------------------------------


def test_pandas_on_the_left_leaves_the_work_to_a_tensor():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    p = numpy.array([0.5, 2.0])
    for f in (
        lambda p, x, y, both: y - p * x,
        lambda p, x, y, both: x * p[0] + y / p,
        lambda p, x, y, both: x**p,
        lambda p, x, y, both: both * p - both,
    ):
        series = mg.jacobian(lambda p, f=f: f(p, frame.x, frame.y, frame))(p)
        arrays = mg.jacobian(lambda p, f=f: f(p, frame.x.values, frame.y.values, frame.values))(p)
        numpy.testing.assert_array_equal(series, arrays)
    with pytest.raises(TypeError, match=r"df\.to_numpy\(\) @ t"):
        mg.grad(lambda p: numpy.sum(frame @ p))(p)
    numpy.testing.assert_array_equal(mg.jacobian(lambda p: frame.to_numpy() @ p)(p), frame.values)
