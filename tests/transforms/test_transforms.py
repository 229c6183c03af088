"""Transforms of functions: each by its laws, and the pullbacks that they are made of."""

import math
from collections import OrderedDict, defaultdict, deque, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp.engine.state import Machine, state

VECTORS = hnp.arrays(np.float64, 3, elements=st.floats(-1.5, 1.5))


def wavy(x):
    """From three numbers to three, each depending on all."""
    return np.sin(x) * np.exp(-x * x) + x * np.roll(x, 1) * np.sum(x)


def bowl(x):
    """From three numbers to one."""
    return np.sum(np.cosh(x) * np.flip(x)) + np.prod(x)


@given(VECTORS, VECTORS, VECTORS)
def test_forward_and_backward_are_adjoint(x, v, w):
    _, along = mg.jvp(wavy, (x,), (v,))
    _, pullback = mg.vjp(wavy, x)
    assert np.dot(w, along) == pytest.approx(np.dot(pullback(w)[0], v), rel=1e-10, abs=1e-10)


@given(VECTORS)
def test_the_jacobian_has_jvps_as_columns_and_vjps_as_rows(x):
    matrix = mg.jacobian(wavy)(x)
    _, pullback = mg.vjp(wavy, x)
    for i, e in enumerate(np.eye(3)):
        np.testing.assert_allclose(matrix[:, i], mg.jvp(wavy, (x,), (e,))[1], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(matrix[i], pullback(e)[0], rtol=1e-12, atol=1e-12)


@given(VECTORS, VECTORS)
def test_the_hessian_is_symmetric_and_hvp_multiplies_by_it(x, v):
    matrix = mg.hessian(bowl)(x)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(mg.hvp(bowl, (x,), (v,))[0], matrix @ v, rtol=1e-10, atol=1e-10)


@given(VECTORS)
def test_the_chain_rule(x):
    """The Jacobian of a composition is the product of the Jacobians."""
    both = mg.jacobian(lambda x: wavy(np.tanh(x)))(x)
    np.testing.assert_allclose(both, mg.jacobian(wavy)(np.tanh(x)) @ mg.jacobian(np.tanh)(x), rtol=1e-10, atol=1e-10)


@given(VECTORS, st.floats(-2, 2))
def test_the_gradient_is_linear(x, factor):
    total = mg.grad(lambda x: bowl(x) + factor * np.sum(wavy(x)))(x)
    parts = mg.grad(bowl)(x) + factor * mg.grad(lambda x: np.sum(wavy(x)))(x)
    np.testing.assert_allclose(total, parts, rtol=1e-10, atol=1e-10)


@given(VECTORS)
def test_value_and_grad_gives_both(x):
    value, gradient = mg.value_and_grad(bowl)(x)
    assert value == bowl(x)
    np.testing.assert_array_equal(gradient, mg.grad(bowl)(x))


def test_a_jacobian_of_a_jacobian_is_an_array_of_second_derivatives():
    x = np.array([0.3, -0.5, 0.9])
    second = mg.jacobian(mg.jacobian(wavy))(x)
    assert second.shape == (3, 3, 3)
    np.testing.assert_allclose(second, np.swapaxes(second, 1, 2), rtol=1e-10, atol=1e-12)
    for i in range(3):
        np.testing.assert_allclose(second[i], mg.hessian(lambda x, i=i: wavy(x)[i])(x), rtol=1e-10, atol=1e-12)


# -- Constants and empties ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [lambda x: 3.0, lambda x: np.ones(2), lambda x: np.sum(np.sign(x)), lambda x: x > 1, lambda x: mg.stop_gradient(x)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_of_a_constant_is_zero(f, dtype):
    x = np.array([0.5, 2.0], dtype)
    matrix = mg.jacobian(f)(x)
    np.testing.assert_array_equal(matrix, np.zeros((*np.shape(f(x)), 2), dtype), strict=True)
    np.testing.assert_array_equal(mg.jvp(f, (x,), (x,))[1], np.zeros(np.shape(f(x))))
    unused = mg.grad(lambda x, y: np.sum(x), 1)(x, x)
    np.testing.assert_array_equal(unused, np.zeros(2, dtype), strict=True)


def test_empty_arguments_and_results():
    empty = np.zeros((0, 2))
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(x * x))(empty), empty, strict=True)
    assert mg.jacobian(np.square)(empty).shape == (0, 2, 0, 2)
    assert mg.jacobian(lambda x: x[:0])(np.ones(3)).shape == (0, 3)
    assert mg.hessian(lambda x: np.sum(x**2))(empty).shape == (0, 2, 0, 2)


def test_a_single_number_may_have_any_shape():
    np.testing.assert_array_equal(mg.grad(lambda x: x * x)(np.array([[2.0]])), [[4.0]])
    np.testing.assert_array_equal(mg.grad(lambda x: [x * x])(2.0), 4.0)


# -- Pullbacks ---------------------------------------------------------------------------------------------------------


def test_a_pullback_can_be_used_again_and_changes_nothing():
    x = np.array([1.0, 2.0])
    value, pullback = mg.vjp(np.square, x)
    seed = np.array([1.0, 1.0])
    first, second = pullback(seed)[0], pullback(2 * seed)[0]
    np.testing.assert_array_equal(second, 2 * first)
    assert not np.shares_memory(first, seed)
    assert not np.shares_memory(mg.vjp(lambda x: x, x)[1](seed)[0], seed)
    np.testing.assert_array_equal(value, [1.0, 4.0])


def test_a_pullback_lets_one_result_count_twice():
    _, pullback = mg.vjp(lambda x: (x, x, 2.0), 3.0)
    assert pullback((1.0, 10.0, 5.0)) == (11.0,)


def test_a_transform_keeps_the_functions_name():
    assert mg.grad(wavy).__name__ == "wavy"
    assert mg.jacobian(wavy).__doc__ == wavy.__doc__


def test_stop_gradient_of_a_structure():
    def f(x):
        a, (b,) = mg.stop_gradient((x, [x * x]))
        return a * x + b

    assert mg.grad(f)(3.0) == 3.0
    np.testing.assert_array_equal(mg.stop_gradient(np.ones(2)), np.ones(2))
    assert mg.stop_gradient({"a": None, "b": ["text", 3]}) == {"a": None, "b": ["text", 3]}


@pytest.mark.parametrize("make", [set, iter, deque, lambda xs: (x for x in xs), lambda xs: map(np.sin, xs)])
def test_stop_gradient_of_what_it_cannot_look_into_is_refused(make):
    with pytest.raises(TypeError, match=r"stop_gradient takes .* got a .*Make it a list"):
        mg.grad(lambda x: sum(mg.stop_gradient([make([x])])[0]) * x)(3.0)


@pytest.mark.parametrize("parameters", [OrderedDict(b=2.0, a=3.0), defaultdict(float, b=2.0, a=3.0)])
def test_a_dict_of_another_class_keeps_it(parameters):
    gradient = mg.grad(lambda p: p["a"] * p["b"] ** 2)(parameters)
    assert type(gradient) is type(parameters)
    assert gradient == {"b": 12.0, "a": 4.0}
    assert parameters == {"b": 2.0, "a": 3.0}


def test_a_named_tuple_may_be_made_in_its_own_way():
    class Square(namedtuple("Square", "side area")):
        def __new__(cls, side):
            return super().__new__(cls, side, side * side)

    gradient = mg.grad(lambda s: s.side * s.area)(Square(3.0))
    assert (type(gradient), *gradient) == (Square, 9.0, 3.0)


# -- What a transform costs --------------------------------------------------------------------------------------------


def counted(call):
    """The result of ``call``, and how many steps its sweeps have taken."""

    class Counting(Machine):
        steps = 0

        def reached(self, node, g):
            self.steps += 1

    machine = Counting()
    with state(machine=machine):
        return call(), machine.steps


def test_a_jacobian_goes_by_the_fewer():
    t = np.linspace(0.0, 1.0, 500)

    def tall(p):
        return {"y": np.exp(p[0] * t) * p[1], "z": np.sum(p)}

    p = np.array([0.5, 2.0])
    found, steps = counted(lambda: mg.jacobian(tall)(p))
    np.testing.assert_allclose(found["y"], np.stack([2 * t * np.exp(t / 2), np.exp(t / 2)], 1), rtol=1e-14)
    np.testing.assert_array_equal(found["z"], [1.0, 1.0])
    assert steps < 100
    wide, steps = counted(lambda: mg.jacobian(lambda x: np.stack([np.sum(x), np.sum(x * x)]))(t))
    np.testing.assert_allclose(wide, [np.ones(500), 2 * t])
    assert steps < 100


def test_both_sides_give_the_same_jacobian():
    def f(a, b):
        return {"y": np.outer(a["x"], b) * a["s"], "z": (a["s"] * b[0], 3)}

    a, b = {"x": np.arange(1.0, 4.0), "s": 2.0}, np.array([1.0, -1.0], np.float32)
    columns = mg.jacobian(f, (0, 1))(a, b)
    for k, out in ((0, lambda y: y["y"][0, 1]), (1, lambda y: y["y"][2, 0])):
        row = mg.grad(lambda a, b, out=out: out(f(a, b)), (0, 1))(a, b)
        at = ((0, 1), (2, 0))[k]
        for mine, its in ((columns["y"][0]["x"], row[0]["x"]), (columns["y"][0]["s"], row[0]["s"])):
            np.testing.assert_allclose(mine[at], its)
        np.testing.assert_allclose(columns["y"][1][at], row[1])
    assert columns["y"][1].dtype == np.float32
    np.testing.assert_array_equal(columns["z"][1][1], np.zeros(2))


def test_a_rule_that_cannot_be_differentiated_goes_by_rows():
    @mg.custom_vjp(lambda g, y, x: np.array([float(np.sum(g)) * math.cos(float(x[0])), 0.0]))
    def f(x):
        return np.full(3, math.sin(x[0]))

    np.testing.assert_allclose(mg.jacobian(f)(np.zeros(2)), [[1.0, 0.0]] * 3)


def test_hvp_is_one_pullback_of_the_gradient():
    x, v = np.linspace(0.1, 1.0, 6), np.arange(6.0)

    def f(x):
        return np.sum(np.sin(x) * x**3)

    found, steps = counted(lambda: mg.hvp(f, (x,), (v,)))
    expected, its = counted(lambda: mg.vjp(mg.grad(f), x)[1](v))
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    np.testing.assert_allclose(found[0], mg.hessian(f)(x) @ v, rtol=1e-12)
    assert steps == its


# -- What comes beside the value ---------------------------------------------------------------------------------------


def test_aux_is_handed_on():
    def f(x):
        return np.sum(x**2), {"double": 2 * x, "word": "seen", "n": 3}

    x = np.array([1.0, 2.0])
    (value, aux), gradient = mg.value_and_grad(f, has_aux=True)(x)
    assert float(value) == 5.0
    assert (type(aux["double"]), aux["word"], aux["n"]) == (np.ndarray, "seen", 3)
    np.testing.assert_array_equal(gradient, 2 * x)
    gradient, aux = mg.grad(f, has_aux=True)(x)
    np.testing.assert_array_equal(gradient, aux["double"])
    gradients, aux = mg.grad(lambda x, y: (x * y, x), (0, 1), has_aux=True)(2.0, 3.0)
    assert (gradients, aux) == ((3.0, 2.0), 2.0)


def test_aux_is_part_of_an_outer_graph():
    assert mg.grad(lambda z: mg.grad(lambda x: (x**2 * z, x * 3 * z), has_aux=True)(z)[1])(2.0) == 12.0


@pytest.mark.parametrize(("result", "given"), [(lambda x: x, "a Tensor"), (lambda x: (x, x, x), "a tuple of 3")])
def test_without_a_pair_aux_is_refused(result, given):
    with pytest.raises(TypeError, match=f"has_aux=True .* must return a pair.*; got {given}"):
        mg.grad(result, has_aux=True)(1.0)
