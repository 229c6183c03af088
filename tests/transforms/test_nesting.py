"""Transforms nested in themselves and in each other, and what the function captured."""

from itertools import product

import numpy as np
import pytest

import microgradnp as mg
from microgradnp.engine.state import PLAIN, current


def by_vjp(f):
    return lambda x: mg.vjp(f, x)[1](1.0)[0]


def by_jvp(f):
    return lambda x: mg.jvp(f, (x,), (1.0,))[1]


def by_value_and_grad(f):
    return lambda x: mg.value_and_grad(f)(x)[1]


def by_hvp(f):
    return lambda x: mg.hvp(f, (x,), (1.0,))[0]


def by_backward(f):
    """The door that records nothing: only outermost."""

    def derivative(x):
        x = mg.Tensor(x, requires_grad=True)
        f(x).backward()
        return x.grad

    return derivative


FIRST = {"grad": mg.grad, "value_and_grad": by_value_and_grad, "vjp": by_vjp, "jvp": by_jvp, "jacobian": mg.jacobian}
SECOND = {"hessian": mg.hessian, "hvp": by_hvp}
ORDER = {**dict.fromkeys(FIRST, 1), **dict.fromkeys(SECOND, 2)}
ALL = {**FIRST, **SECOND}


def scalar(x):
    return x**5 * 0.1 + np.sin(2.0 * x)


DERIVATIVES = [
    scalar,
    lambda x: x**4 * 0.5 + 2 * np.cos(2 * x),
    lambda x: x**3 * 2 - 4 * np.sin(2 * x),
    lambda x: x**2 * 6 - 8 * np.cos(2 * x),
    lambda x: x * 12 + 16 * np.sin(2 * x),
    lambda x: 12 + 32 * np.cos(2 * x),
    lambda x: -64 * np.sin(2 * x),
]


@pytest.mark.parametrize(("outer", "inner"), list(product(ALL, ALL)))
def test_each_nests_in_itself_and_in_every_other(outer, inner):
    nested = ALL[outer](ALL[inner](scalar))(0.7)
    assert isinstance(nested, np.ndarray)
    np.testing.assert_allclose(nested, DERIVATIVES[ORDER[outer] + ORDER[inner]](0.7), rtol=1e-12)


@pytest.mark.parametrize(("outer", "middle", "inner"), list(product(FIRST, FIRST, FIRST)))
def test_three_deep(outer, middle, inner):
    nested = ALL[outer](ALL[middle](ALL[inner](scalar)))(0.7)
    np.testing.assert_allclose(nested, DERIVATIVES[3](0.7), rtol=1e-12)


@pytest.mark.parametrize("inner", ALL)
def test_backward_goes_through_every_transform(inner):
    np.testing.assert_allclose(by_backward(ALL[inner](scalar))(0.7), DERIVATIVES[1 + ORDER[inner]](0.7), rtol=1e-12)


def test_six_deep():
    f = np.exp
    for _ in range(6):
        f = mg.grad(f)
    np.testing.assert_allclose(f(0.5), np.exp(0.5), rtol=1e-14)


@pytest.mark.parametrize("transform", ALL)
def test_float32_stays_float32_to_every_order(transform):
    x = np.float32(0.7)
    assert ALL[transform](scalar)(np.asarray(x)).dtype == np.float32
    assert mg.grad(ALL[transform](scalar))(np.asarray(x)).dtype == np.float32


def test_the_state_is_what_it_was_after_an_error_within():
    def f(x):
        raise KeyError("inside")

    for transform in ALL.values():
        with pytest.raises(KeyError, match="inside"):
            transform(f)(1.0)
    with pytest.raises(KeyError), mg.no_grad():
        mg.grad(f)(1.0)
    assert current() is PLAIN


# -- No confusion of perturbations: each transform differentiates by its own variable ----------------------------------


g = mg.grad
CONFUSING = {
    "the inner gradient does not depend on x": (lambda x: x * g(lambda y: x + y)(1.0), 1.0, 1.0),
    "the inner point is x, and x is captured": (lambda x: x * g(lambda y: x * y * y)(x), 3.0, 6 * 3.0**2),
    "three deep": (lambda x: g(lambda y: g(lambda z: x * y * z)(2.0) * y)(3.0) * x, 4.0, 4 * 3.0 * 4.0),
    "the same variable inside and out": (lambda x: g(lambda y: x * y)(x), 3.0, 1.0),
    "two inner gradients": (lambda x: g(lambda y: x * y * y)(2.0) * g(lambda z: x * x * z)(5.0), 3.0, 4 * 3 * 3.0**2),
    "a vjp whose seed is x": (lambda x: mg.vjp(lambda y: y**3, 2.0)[1](x)[0], 7.0, 12.0),
    "a vjp whose seed and point are x": (lambda x: mg.vjp(lambda y: y**3, x)[1](x)[0], 2.0, 9 * 2.0**2),
    "a jvp whose direction is x": (lambda x: mg.jvp(lambda y: y**3, (x,), (x,))[1], 2.0, 9 * 2.0**2),
    "a stopped x": (lambda x: g(lambda y: mg.stop_gradient(x) * y * x)(2.0), 3.0, 3.0),
    "a stopped inner variable": (lambda x: g(lambda y: mg.stop_gradient(y) * y * x)(5.0), 3.0, 5.0),
    "no_grad inside": (lambda x: x * _without_grad(lambda: x * x), 3.0, 9.0),
}


def _without_grad(f):
    with mg.no_grad():
        return f()


@pytest.mark.parametrize("case", CONFUSING)
def test_perturbations_are_not_confused(case):
    f, x, expected = CONFUSING[case]
    for transform in FIRST.values():
        result = transform(f)(x)
        assert isinstance(result, np.ndarray)
        assert result == pytest.approx(expected)


# -- What is captured --------------------------------------------------------------------------------------------------


def test_a_gradient_is_differentiable_by_what_the_function_captured():
    w = mg.Tensor([2.0, 3.0], requires_grad=True)
    h = w * w
    x = np.array([0.5, 0.7])
    gradient = mg.grad(lambda x: np.sum(h * x * x))(x)
    assert isinstance(gradient, mg.Tensor)
    np.sum(gradient).backward()
    np.testing.assert_allclose(w.grad, 2 * w.data * 2 * x)


@pytest.mark.parametrize("transform", FIRST)
def test_each_transform_lets_captured_tensors_take_part(transform):
    w = mg.Tensor(2.0, requires_grad=True)
    ALL[transform](lambda x: w**3 * x**2)(5.0).backward()
    np.testing.assert_allclose(w.grad, 3 * 4.0 * 10.0)


@pytest.mark.parametrize("empty", [(), {}, [], {"a": [()]}])
def test_a_transform_by_no_array_at_all_cuts_nothing_off(empty):
    """A layer without parameters, or argnums=(): the value still depends on what is outside."""
    values = {
        "vjp": lambda x: mg.vjp(lambda e, x: x**3, empty, x, argnums=0)[0],
        "jvp": lambda x: mg.jvp(lambda e: x**3, (empty,), (empty,))[0],
        "no argument": lambda x: mg.vjp(lambda: x**3)[0],
        "value_and_grad": lambda x: mg.value_and_grad(lambda e, x: x**3)(empty, x)[0],
        "argnums=()": lambda x: mg.value_and_grad(lambda x: x**3, ())(x)[0],
    }
    for name, f in values.items():
        assert mg.grad(f)(2.0) == 12.0, name
        assert mg.hessian(f)(2.0) == 12.0, name
        assert isinstance(f(2.0), np.ndarray), name
        w = mg.Tensor(2.0, requires_grad=True)
        f(w).backward()
        assert w.grad == 12.0, name

    def own_leaf(e):
        return mg.Tensor(5.0, requires_grad=True) ** 2

    assert isinstance(mg.vjp(own_leaf, empty)[0], np.ndarray)


def test_captured_constants_and_no_grad_leave_plain_arrays():
    w = mg.Tensor(2.0, requires_grad=True)
    assert isinstance(mg.grad(lambda x: mg.Tensor(3.0) * x * x)(1.0), np.ndarray)
    with mg.no_grad():
        gradient = mg.grad(lambda x: w * x * x)(3.0)
        assert isinstance(gradient, np.ndarray)
        assert gradient == 12.0
        assert mg.hessian(lambda x: w * x**3)(1.0) == 12.0
        assert mg.grad(np.square)(mg.Tensor(3.0, requires_grad=True)) == 6.0
    assert w.grad is None


def test_a_tensor_as_the_argument():
    x = mg.Tensor(3.0, requires_grad=True)
    mg.grad(lambda x: x**3)(x).backward()
    assert x.grad == 18.0
    assert isinstance(mg.grad(np.square)(mg.Tensor(3.0)), np.ndarray)


def test_leaves_made_by_the_function_itself_stay_inside():
    def f(x):
        w = mg.Tensor(5.0, requires_grad=True)
        (w * w * mg.stop_gradient(x)).backward()
        return x * w.grad + w * x

    result = mg.grad(f)(3.0)
    assert isinstance(result, np.ndarray)
    assert result == 35.0


def test_transforms_leave_no_gradients_behind():
    w, x = mg.Tensor(2.0, requires_grad=True), mg.Tensor(3.0, requires_grad=True)
    mg.grad(lambda v: w * v * v)(x)
    mg.jacobian(lambda v: w * v * v)(x)
    assert w.grad is None
    assert x.grad is None
