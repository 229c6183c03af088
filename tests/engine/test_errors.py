"""Bad input: what is wrong is said, with the facts and the way that works; nothing is silently detached or broadcast."""

# ruff: noqa: E501  (a table with a case on each line)

import copy
import math
import pickle

import numpy as np
import pytest
from helpers import leaf

import microgradnp as mg
from microgradnp import Tensor

X = leaf(1.0, 2.0, 3.0)
M = leaf([1.0, 2.0], [3.0, 4.0])


def freed():
    y = np.sum(X * 2.0)
    y.backward()
    return y


def set_to(target, index, value):
    target[index] = value


def set_attribute(target, name, value):
    setattr(target, name, value)


def add_in_place(target, value):
    target += value


@mg.custom_vjp(lambda g, y, a, b: g, lambda g, y, a, b: None)
def custom(a, b):
    return a + b


def with_captured_change():
    a = np.ones(3)
    with mg.debug():
        y = np.sum(X * a)
        a[0] = 2.0
        y.backward()


def with_first_nan():
    with mg.debug():
        np.sqrt(X - 2.0)


# fmt: off
BAD_INPUTS = {
    # Making a Tensor
    "text as data": (lambda: Tensor("a"), TypeError, ["real numbers", "str", "<U1"]),
    "None as data": (lambda: Tensor(None), TypeError, ["real numbers", "NoneType"]),
    "complex data": (lambda: Tensor([1j]), TypeError, ["complex128", ".real and .imag"]),
    "ragged data": (lambda: Tensor([[1.0], [1.0, 2.0]]), ValueError, ["inhomogeneous shape"]),
    "dates as data": (lambda: Tensor(np.array(["2020-01-01"], "M8[D]")), TypeError, ["datetime64"]),
    "a complex dtype": (lambda: Tensor([1.0], dtype=complex), TypeError, ["complex128"]),
    "integers that want a gradient": (lambda: Tensor([1, 2], requires_grad=True), TypeError, ["int64", "dtype=np.float64"]),
    "half floats that want a gradient": (lambda: Tensor([1], dtype="f2", requires_grad=True), TypeError, ["float16", "float32"]),
    "a Tensor in a graph as data": (lambda: Tensor(X * 2), TypeError, ["(3,)", "graph", ".detach()"]),
    "a list of Tensors as data": (lambda: Tensor([X[0], X[1]]), TypeError, ["graph", "np.stack"]),
    "masked data": (lambda: Tensor(np.ma.array([1.0, 2.0], mask=[0, 1])), TypeError, ["mask", "filled"]),
    "a subclass": (lambda: type("Weights", (Tensor,), {}), TypeError, ["Weights", "subclass", "Layer"]),
    "data of another shape": (lambda: set_attribute(leaf(1.0, 2.0), "data", np.ones(3)), ValueError, ["(3,)", "(2,)"]),
    "data of another dtype": (lambda: set_attribute(leaf(1.0), "data", np.ones(1, "f4")), ValueError, ["float32", "float64"]),
    "requires_grad of a result": (lambda: set_attribute(X * 2, "requires_grad", False), RuntimeError, ["leaf", "np.multiply", ".detach()"]),
    # Computing
    "shapes that do not broadcast": (lambda: X + np.ones(2), ValueError, ["np.add", "(3,)", "(2,)"]),
    "matrices that do not fit": (lambda: M @ np.ones((3, 2)), ValueError, ["np.matmul", "(2, 2)", "(3, 2)"]),
    "text as an operand": (lambda: X + "a", TypeError, ["real numbers", "str"]),
    "None as an operand": (lambda: X * None, TypeError, ["real numbers", "NoneType"]),
    "a complex operand": (lambda: X * 1j, TypeError, ["complex128", ".real and .imag"]),
    "a masked operand": (lambda: X + np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0]), TypeError, ["mask", "filled"]),
    "a function without a rule": (lambda: np.fft.fft(X), TypeError, ["np.fft.fft"]),
    "an unknown ufunc": (lambda: np.frompyfunc(abs, 1, 1)(X), TypeError, ["abs", "defvjp", ".detach().data"]),
    "an option without meaning": (lambda: np.sum(X, out=np.zeros(())), TypeError, ["np.sum", "out=", "gradient"]),
    "a mask for a ufunc": (lambda: np.add(X, X, where=X > 1), TypeError, ["np.add", "where=", "np.where"]),
    "an axis that is not there": (lambda: X.sum(axis=1), ValueError, ["axis 1", "dimension 1"]),
    "a shape that does not fit": (lambda: X.reshape(2, 2), ValueError, ["size 3", "(2,2)"]),
    "an axis too long to squeeze": (lambda: np.squeeze(M, 0), ValueError, ["np.squeeze", "(2, 2)", "length 1"]),
    "an uneven split": (lambda: np.split(X, 2), ValueError, ["equal division"]),
    "stacking unlike shapes": (lambda: np.stack([X, M]), ValueError, ["np.stack", "(3,)", "(2, 2)"]),
    "an index out of range": (lambda: X[5], IndexError, ["5", "size 3"]),
    "a float Tensor as an index": (lambda: X[Tensor(1.0)], TypeError, ["index", "float64"]),
    "formatting several numbers": (lambda: f"{X:.3f}", TypeError, [".3f", "(3,)"]),
    # Leaving the graph without a word
    "float of a Tensor": (lambda: float(X[0]), TypeError, ["float()", ".item()"]),
    "math on a Tensor": (lambda: math.sin(X[0]), TypeError, ["float()", ".item()"]),
    "int of several": (lambda: int(Tensor([1.0, 2.0])), TypeError, ["int()", "(2,)"]),
    "an array of Tensors": (lambda: np.array([X, X]), TypeError, ["(3,)", "np.stack", ".detach()"]),
    "an array's own method": (lambda: np.ones(3).dot(X), TypeError, ["np.dot(a, t)", ".detach()"]),
    "adding into an array": (lambda: add_in_place(np.ones(3), X), TypeError, ["np.add", "out=", "a = a + t"]),
    "storing into an array": (lambda: set_to(np.ones(3), slice(None), X), TypeError, ["graph", "np.stack"]),
    "storing into a leaf": (lambda: set_to(X, 0, 5.0), TypeError, ["np.where", "gradient"]),
    "adding into a leaf": (lambda: add_in_place(X, 1.0), TypeError, ["np.add", "leaf", "no_grad()"]),
    "copying a result": (lambda: copy.deepcopy(X * 2), TypeError, ["np.multiply", "graph", ".detach()"]),
    "pickling a result": (lambda: pickle.dumps(np.sin(X)), TypeError, ["np.sin", "pickled", ".detach()"]),
    "the length of a number": (lambda: len(X[0]), TypeError, ["len()", "0-d"]),
    "iterating over a number": (lambda: list(X[0]), TypeError, ["iteration", "0-d"]),
    # Backward
    "several results without a seed": (lambda: (X * 2).backward(), RuntimeError, ["(3,)", "loss.sum()", "gradient="]),
    "a seed of another shape": (lambda: (X * 2).backward(np.ones(2)), ValueError, ["(2,)", "(3,)"]),
    "a complex seed": (lambda: (X * 2).backward(np.ones(3) * 1j), TypeError, ["complex128", "real"]),
    "a seed in a graph": (lambda: (X * 2).backward(X), TypeError, ["graph", ".detach()"]),
    "no graph": (lambda: Tensor(1.0).backward(), RuntimeError, ["requires_grad=True", "no_grad()"]),
    "a freed graph": (lambda: freed().backward(), RuntimeError, ["freed", "retain_graph=True"]),
    "a changed array": (with_captured_change, RuntimeError, ["np.multiply", "argument 1", "(3,)", __file__]),
    "a first NaN": (with_first_nan, FloatingPointError, ["np.sqrt", "nan at [0]", "-1.0", __file__]),
    # Transforms
    "no function": (lambda: mg.grad(3.0)(1.0), TypeError, ["function", "float"]),
    "a function of several results": (lambda: mg.grad(np.sin)(np.ones(3)), ValueError, ["sin", "(3,)", "np.sum", "jacobian"]),
    "a function of nothing": (lambda: mg.grad(print)(1.0), TypeError, ["print", "NoneType"]),
    "an argument that is not there": (lambda: mg.grad(np.hypot, 2)(1.0, 2.0), ValueError, ["argnums=2", "hypot", "2 positional"]),
    "argnums in words": (lambda: mg.grad(np.sin, "x")(1.0), TypeError, ["argnums", "'x'"]),
    "an integer argument": (lambda: mg.grad(np.sin)(1), TypeError, ["argument 0", "sin", "int", "1.0"]),
    "a word among the parameters": (lambda: mg.grad(lambda p: p["w"])({"w": 1.0, "act": "tanh"}), TypeError, ["argument 0", "str"]),
    "a pullback's seed": (lambda: mg.vjp(np.sin, np.ones(3))[1](np.ones(2)), ValueError, ["sin", "(3,)", "(2,)"]),
    "a direction of another shape": (lambda: mg.jvp(np.sin, (np.ones(3),), (np.ones(2),)), ValueError, ["jvp", "(3,)", "(2,)"]),
    "a direction that is no tuple": (lambda: mg.hvp(np.sum, 1.0, 1.0), TypeError, ["hvp", "tuples", "float"]),
    # Rules of one's own
    "a rule for a plain function": (lambda: mg.defvjp(len, lambda g, y, x: g), TypeError, ["len", "custom_vjp"]),
    "no rule": (lambda: mg.defvjp(np.spacing), TypeError, ["np.spacing", "rule"]),
    "a rule that returns None": (lambda: mg.grad(custom, 1)(1.0, 2.0), TypeError, ["custom", "argument 1 (b)", "None"]),
    "decorating without a rule": (lambda: mg.custom_vjp(), TypeError, ["custom_vjp", "rule(g, y, *arguments)"]),
}
# fmt: on


def test_there_are_enough_of_them():
    assert len(BAD_INPUTS) >= 50


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_refused_with_the_facts(case):
    call, kind, facts = BAD_INPUTS[case]
    X.grad = None
    before = X.data.copy()
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    missing = [fact for fact in facts if fact not in message]
    assert not missing, message
    np.testing.assert_array_equal(X.data, before)
