"""Arguments of transforms: which, and of what structure; what does not fit is named by its expression."""

from collections import namedtuple

import numpy as np
import pytest

import microgradnp as mg

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


# -- What does not fit -------------------------------------------------------------------------------------------------


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
