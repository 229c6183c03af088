"""Gradients of functions: each transform by its laws, nested in itself and in every other."""

from collections import OrderedDict, defaultdict, deque, namedtuple
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp.engine.tensor import _PLAIN, _state

VECTORS = hnp.arrays(np.float64, 3, elements=st.floats(-1.5, 1.5))


def wavy(x):
    """From three numbers to three, each depending on all."""
    return np.sin(x) * np.exp(-x * x) + x * np.roll(x, 1) * np.sum(x)


def bowl(x):
    """From three numbers to one."""
    return np.sum(np.cosh(x) * np.flip(x)) + np.prod(x)


# -- Each by its laws ----------------------------------------------------------------


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


# -- Nested in themselves and in each other ------------------------------------------


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


def test_a_jacobian_of_a_jacobian_is_an_array_of_second_derivatives():
    x = np.array([0.3, -0.5, 0.9])
    second = mg.jacobian(mg.jacobian(wavy))(x)
    assert second.shape == (3, 3, 3)
    np.testing.assert_allclose(second, np.swapaxes(second, 1, 2), rtol=1e-10, atol=1e-12)
    for i in range(3):
        np.testing.assert_allclose(second[i], mg.hessian(lambda x, i=i: wavy(x)[i])(x), rtol=1e-10, atol=1e-12)


# -- No confusion of perturbations: each transform differentiates by its own variable

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


# -- What is captured ----------------------------------------------------------------


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


# -- Arguments: which, and of what structure -----------------------------------------

Point = namedtuple("Point", "x y")


def of_tree(p, q, scale=1.0):
    return np.sum(p["w"][0] * p["w"][1]) * scale + p["b"].x * q[0] ** 2 - p["b"].y * np.sum(q[1])


TREE = (
    {"w": (np.array([1.0, 2.0]), np.array([3.0, 4.0])), "b": Point(5.0, 6.0)},
    [7.0, np.array([[8.0, 9.0]])],
)


def test_gradients_have_the_structure_of_their_arguments():
    p, q = mg.grad(of_tree, (0, 1))(*TREE, scale=2.0)
    assert isinstance(p["b"], Point)
    assert isinstance(p["w"], tuple)
    assert isinstance(q, list)
    np.testing.assert_array_equal(p["w"][0], [6.0, 8.0])
    np.testing.assert_array_equal(p["w"][1], [2.0, 4.0])
    assert (p["b"].x, p["b"].y, q[0]) == (49.0, -17.0, 70.0)
    np.testing.assert_array_equal(q[1], [[-6.0, -6.0]])


def test_results_keep_their_structure_too():
    def f(x):
        return {"a": x * x, "b": (np.sum(x), [2.0])}

    x = np.array([1.0, 2.0])
    value, pullback = mg.vjp(f, x)
    assert value["b"][1] == [2.0]
    np.testing.assert_array_equal(pullback({"a": np.ones(2), "b": (10.0, [3.0])})[0], [12.0, 14.0])
    jac = mg.jacobian(f)(x)
    np.testing.assert_array_equal(jac["a"], np.diag(2 * x))
    np.testing.assert_array_equal(jac["b"][0], [1.0, 1.0])
    np.testing.assert_array_equal(jac["b"][1][0], [0.0, 0.0])
    _, along = mg.jvp(f, (x,), (np.array([1.0, 0.0]),))
    np.testing.assert_array_equal(along["a"], [2.0, 0.0])
    assert along["b"][0] == 1.0


@pytest.mark.parametrize("transform", [mg.grad, mg.hessian, mg.jacobian])
def test_argnums(transform):
    def f(a, b, c):
        return a * b**2 * c**3

    args = (2.0, 3.0, 5.0)
    each = [transform(f, i)(*args) for i in range(3)]
    assert [transform(f, i - 3)(*args) for i in range(3)] == each
    several = transform(f, (2, 0))(*args)
    assert isinstance(several, tuple)
    if transform is mg.hessian:
        assert (several[0][0], several[1][1]) == (each[2], each[0])
        assert several[0][1] == several[1][0] == 3 * 25 * 9
    else:
        assert several == (each[2], each[0])
        assert transform(f, (1, 1))(*args) == (each[1], each[1])
    assert transform(f, ())(*args) == ()


@pytest.mark.parametrize("transform", [mg.grad, mg.hessian, mg.jacobian, mg.value_and_grad])
def test_argnums_of_any_kind_mean_the_same_at_every_call(transform):
    def f(a, b):
        return a * a * b**3

    for one in (np.int64(1), np.array(1), -1):
        assert transform(f, one)(2.0, 3.0) == transform(f, 1)(2.0, 3.0)
    for several in (iter([1, 0]), [1, 0], np.array([1, 0]), (i for i in (-1, -2))):
        derivative = transform(f, several)
        assert derivative(2.0, 3.0) == transform(f, (1, 0))(2.0, 3.0)
        assert derivative(2.0, 3.0) == transform(f, (1, 0))(2.0, 3.0)


@pytest.mark.parametrize("transform", [mg.grad, mg.hessian, mg.jacobian])
def test_an_option_may_have_any_name(transform):
    def f(x, f=1.0, argnums=1.0, args=1.0):
        return x**2 * f * argnums * args

    options = {"f": 3.0, "argnums": 5.0, "args": 7.0}
    assert transform(f)(2.0, **options) == transform(lambda x: x**2 * 105.0)(2.0)
    assert mg.vjp(lambda x, f: x * f, 2.0, f=3.0)[1](1.0) == (3.0,)


def test_a_hessian_by_several_arguments_is_a_table_of_blocks():
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])
    (aa, ab), (ba, bb) = mg.hessian(lambda a, b: np.sum(np.outer(a * a, b)), (0, 1))(a, b)
    np.testing.assert_array_equal(aa, np.diag([24.0, 24.0]))
    np.testing.assert_array_equal(ab, np.outer(2 * a, np.ones(3)))
    np.testing.assert_array_equal(ba, ab.T)
    np.testing.assert_array_equal(bb, np.zeros((3, 3)))


def test_one_array_given_as_two_arguments_is_two_variables():
    x = np.array(3.0)
    assert mg.grad(lambda a, b: a * b * b, (0, 1))(x, x) == (9.0, 18.0)


def test_integers_may_be_given_where_no_gradient_is_asked():
    assert mg.grad(lambda x, n: x**n)(2.0, 3) == 12.0
    np.testing.assert_array_equal(mg.grad(lambda x, i: np.sum(x[i]))(np.ones(3), np.array([0, 0])), [2.0, 0.0, 0.0])


# -- Constants, dtypes, empties ------------------------------------------------------


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


@pytest.mark.parametrize("transform", ALL)
def test_float32_stays_float32_to_every_order(transform):
    x = np.float32(0.7)
    assert ALL[transform](scalar)(np.asarray(x)).dtype == np.float32
    assert mg.grad(ALL[transform](scalar))(np.asarray(x)).dtype == np.float32


def test_empty_arguments_and_results():
    empty = np.zeros((0, 2))
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(x * x))(empty), empty, strict=True)
    assert mg.jacobian(np.square)(empty).shape == (0, 2, 0, 2)
    assert mg.jacobian(lambda x: x[:0])(np.ones(3)).shape == (0, 3)
    assert mg.hessian(lambda x: np.sum(x**2))(empty).shape == (0, 2, 0, 2)


def test_a_single_number_may_have_any_shape():
    np.testing.assert_array_equal(mg.grad(lambda x: x * x)(np.array([[2.0]])), [[4.0]])
    np.testing.assert_array_equal(mg.grad(lambda x: [x * x])(2.0), 4.0)


# -- Pullbacks -----------------------------------------------------------------------


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


def test_the_state_is_what_it_was_after_an_error_within():
    def f(x):
        raise KeyError("inside")

    for transform in ALL.values():
        with pytest.raises(KeyError, match="inside"):
            transform(f)(1.0)
    with pytest.raises(KeyError), mg.no_grad():
        mg.grad(f)(1.0)
    assert _state() is _PLAIN


# -- What does not fit is named by the expression that leads to it


NESTED = {"w": [np.ones(2), 1.0], "b": 2.0}


def total(p):
    return np.sum(p["w"][0] * p["w"][1]) * p["b"]


@pytest.mark.parametrize("bad", ["text", 3, None, np.ones(2, complex), object()])
def test_an_argument_that_is_not_of_floats_is_named(bad):
    with pytest.raises(TypeError, match=r"argument 0\['w'\]\[1\] of total is .*; only float32 and float64"):
        mg.grad(total)(NESTED | {"w": [np.ones(2), bad]})
    with pytest.raises(TypeError, match=r"argument 1 of power is .* leave it out of argnums"):
        mg.vjp(np.power, 1.0, bad)
    for transform in (mg.jvp, mg.hvp):  # which have no argnums
        with pytest.raises(TypeError, match=r"argument 1 of power is .* let the function capture it"):
            transform(np.power, (2.0, bad), (1.0, np.ones(np.shape(bad))))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize(
    ("make", "remedy"),
    [(lambda: np.ma.array([1.0, 2.0], mask=[0, 1]), "fill it first"), (lambda: np.matrix([1.0, 2.0]), r"np\.asarray")],
)
def test_arrays_that_compute_in_their_own_way_are_refused(make, remedy):
    bad = make()
    plain = np.asarray(bad)
    _, pullback = mg.vjp(np.square, plain)
    for transform in (
        lambda: mg.grad(np.sum)(bad),
        lambda: mg.hessian(lambda p: np.sum(p["w"]))({"w": bad}),
        lambda: mg.vjp(lambda x: bad, plain),
        lambda: mg.jvp(np.square, (plain,), (bad,)),
        lambda: mg.hvp(np.sum, (plain,), (bad,)),
        lambda: pullback(bad),
        lambda: (mg.Tensor(plain, requires_grad=True) * 2).backward(bad),
        lambda: setattr(mg.Tensor(plain), "data", bad),
    ):
        with pytest.raises(TypeError, match=remedy):
            transform()


@pytest.mark.parametrize("bad", ["text", None, 1j, object()])
def test_a_result_that_is_no_number_is_named(bad):
    with pytest.raises(TypeError, match=r"the result\['more'\]\[1\] of <lambda> is .*; a transform needs real numbers"):
        mg.vjp(lambda x: {"loss": x, "more": [x, bad]}, 1.0)


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        (NESTED | {"b": np.ones(3)}, r"argument 0\['b'\] has shape \(\), and the given one \(3,\)"),
        (NESTED | {"b": "text"}, r"for argument 0\['b'\] the given one is of type str"),
        ({"w": NESTED["w"]}, r"was given no array for argument 0\['b'\]"),
        (NESTED | {"w": [np.ones(2), 1.0, 2.0]}, r"was given an array at \['w'\]\[2\], where it has none"),
        ([np.ones(2), 1.0, 2.0], r"was given no array for argument 0\['w'\]\[0\]"),
    ],
)
def test_a_direction_that_does_not_fit_is_named(direction, message):
    for transform in (mg.jvp, mg.hvp):
        with pytest.raises((TypeError, ValueError), match=f"{transform.__name__}'s direction 0 .*{message}"):
            transform(total, (NESTED,), (direction,))
    _, pullback = mg.vjp(lambda p: p, NESTED)
    with pytest.raises(
        (TypeError, ValueError), match=f"the pullback of <lambda> .*{message}".replace("argument 0", "its result")
    ):
        pullback(direction)


def test_directions_are_matched_by_key_not_by_order():
    one, other = {"a": 1.0, "b": 10.0}, {"b": 10.0, "a": 1.0}
    for p in (one, other):
        assert mg.jvp(lambda p: p["a"] ** 2 + 3 * p["b"], (one,), (p,))[1] == 32.0
        assert mg.vjp(lambda x: {"a": x, "b": 3 * x}, 1.0)[1](p) == (31.0,)
    assert mg.hvp(lambda p: p["a"] ** 2 * p["b"], (one,), (other,)) == ({"a": 40.0, "b": 2.0},)
