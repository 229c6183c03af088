"""The sweep: gradients of any graph, how they add up, and that they share memory with nothing."""

import numpy as np
import pytest
from helpers import leaf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp import Tensor
from microgradnp.engine.state import PLAIN, current

# -- Any graph ---------------------------------------------------------------------------------------------------------


@st.composite
def linear_graphs(draw):
    """A random graph of sums and multiples: each step takes two earlier nodes, and some steps lead nowhere."""
    leaves = draw(st.integers(1, 4))
    steps = [
        (draw(st.integers(0, leaves + k - 1)), draw(st.integers(0, leaves + k - 1)), draw(st.integers(-3, 3)))
        for k in range(draw(st.integers(1, 25)))
    ]
    return leaves, steps


def run(leaves, steps):
    nodes = list(leaves)
    for i, j, factor in steps:
        nodes.append(nodes[i] * float(factor) - nodes[j])
    return nodes[-1]


@given(linear_graphs())
def test_a_linear_function_is_its_own_derivative(graph):
    """Its gradient by a leaf is its value at that unit vector: exact, whatever the shape of the graph."""
    n, steps = graph
    xs = [leaf(0.5) for _ in range(n)]
    y = run(xs, steps)
    expected = [run(unit, steps) for unit in np.eye(n)]
    if y.requires_grad:
        y.backward(np.ones(1))
    for x, e in zip(xs, expected, strict=True):
        assert (0.0 if x.grad is None else x.grad[0]) == e


def test_a_leaf_that_is_not_used_gets_nothing():
    x, unused = leaf(1.0), leaf(1.0)
    np.sum(x * 2.0).backward()
    assert unused.grad is None


def test_a_leaf_used_many_times_in_one_operation_gets_it_all():
    x = leaf(2.0, 3.0)
    np.sum(np.concatenate([x, x * x, x]) * np.arange(6.0)).backward()
    np.testing.assert_array_equal(x.grad, [0 + 2 * 2 * 2 + 4, 1 + 2 * 3 * 3 + 5])


def test_a_leaf_is_its_own_gradient():
    x = leaf(1.0, 2.0)
    seed = np.array([3.0, 4.0])
    x.backward(seed)
    np.testing.assert_array_equal(x.grad, seed)
    assert not np.shares_memory(x.grad, seed)


def test_leaves_may_be_younger_than_the_graphs_that_use_them():
    y = leaf(1.0, 1.0) * np.array([1.0, 2.0])
    x = leaf(3.0, 4.0)
    z = Tensor([1.0, 1.0])
    z.requires_grad = True
    np.sum(y * x * z).backward()
    np.testing.assert_array_equal(x.grad, [1.0, 2.0])
    np.testing.assert_array_equal(z.grad, [3.0, 8.0])


def test_constants_and_detached_values_take_no_gradient():
    x, c = leaf(1.0, 2.0), Tensor([3.0, 4.0])
    y = x * c
    np.sum(y * y.detach() * c).backward()
    np.testing.assert_array_equal(x.grad, [27.0, 128.0])
    assert c.grad is None


# -- Adding up ---------------------------------------------------------------------------------------------------------


def some_losses(x):
    return [np.sum(x * x), np.sum(np.exp(-x)), x[0] * x[1], np.mean(np.sin(x)) * 3.0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_gradients_accumulate_like_the_gradient_of_the_sum(chosen):
    one, other = leaf(0.3, -0.7, 1.1), leaf(0.3, -0.7, 1.1)
    for k in chosen:
        some_losses(one)[k].backward()
    sum(some_losses(other)[k] for k in chosen).backward()
    np.testing.assert_allclose(one.grad, other.grad, rtol=1e-13, atol=1e-15)


@given(hnp.arrays(np.float64, 3, elements=st.floats(-2, 2)), st.floats(-2, 2))
def test_backward_is_linear_in_its_seed(seed, factor):
    def pull(s):
        x = leaf(0.3, -0.7, 1.1)
        np.tanh(x * np.flip(x)).backward(s)
        return x.grad

    np.testing.assert_allclose(pull(seed * factor), pull(seed) * factor, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(pull(seed + 1.0), pull(seed) + pull(np.ones(3)), rtol=1e-12, atol=1e-15)


def test_a_gradient_set_by_hand_is_added_to():
    x = leaf(1.0, 2.0)
    x.grad = np.array([10.0, 20.0])
    np.sum(x).backward()
    np.testing.assert_array_equal(x.grad, [11.0, 21.0])


@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([np.float32, np.float64]),
)
def test_a_gradient_has_the_shape_and_dtype_of_its_leaf(shapes, first, second):
    generator = np.random.default_rng(0)
    a, b = (
        Tensor(generator.standard_normal(shape).astype(dtype), requires_grad=True)
        for shape, dtype in zip(shapes.input_shapes, (first, second), strict=True)
    )
    y = a * b + a
    assert y.shape == shapes.result_shape
    np.sum(y).backward()
    for x in (a, b):
        assert (x.grad.shape, x.grad.dtype) == (x.shape, x.dtype)
    spread = np.broadcast_to(b.data + 1, shapes.result_shape)
    assert np.sum(a.grad * a.data) == pytest.approx(np.sum(spread * a.data), rel=1e-5, abs=1e-5)


# -- Nothing shared ----------------------------------------------------------------------------------------------------


SHARERS = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: +a + (+b),
    lambda a, b: np.reshape(a, (2, 3)) + np.transpose(np.reshape(b, (3, 2))),
    lambda a, b: a[::-1] + b[:],
    lambda a, b: np.concatenate([a, b]),
    lambda a, b: np.stack([a, b])[0] + b,
    lambda a, b: np.broadcast_to(a, (2, 6)) + b,
    lambda a, b: np.sum(a) + np.mean(b),
    lambda a, b: a.astype(np.float64) + np.squeeze(b[None]),
    lambda a, b: a.copy() + np.where(True, a, b) + b,
]


@pytest.mark.parametrize("f", SHARERS)
def test_gradients_share_memory_with_nothing_and_nothing_is_changed(f):
    a, b = leaf(*range(1, 7)), leaf(*range(2, 8))
    y = f(a, b)
    seed = np.full(y.shape, 2.0)
    values = a.data.copy(), b.data.copy(), y.data.copy()
    y.backward(seed, retain_graph=True)
    y.backward(seed)
    arrays = [a.grad, b.grad, seed, a.data, b.data, y.data]
    for i, g in enumerate(arrays[:2]):
        assert g.flags.writeable
        assert g.flags.owndata or g.base is not None
        for other in arrays[i + 1 :]:
            assert not np.shares_memory(g, other)
    np.testing.assert_array_equal(seed, 2.0)
    for x, before in zip((a, b, y), values, strict=True):
        np.testing.assert_array_equal(x.data, before)


# -- Freed and retained ------------------------------------------------------------------------------------------------


@given(st.integers(1, 4))
def test_a_retained_graph_can_be_swept_again(times):
    x = leaf(0.5, 2.0)
    loss = np.sum(np.log(x) * x)
    for _ in range(times):
        loss.backward(retain_graph=True)
    loss.backward()
    np.testing.assert_allclose(x.grad, (times + 1) * (np.log(x.data) + 1), rtol=1e-13)


def test_a_freed_graph_says_so_and_adds_nothing():
    x = leaf(0.5, 2.0)
    shared = np.exp(x)
    one, other = np.sum(shared), np.sum(shared * 2.0)
    one.backward()
    before = x.grad.copy()
    for again in (one, other, shared.sum()):
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            again.backward()
    np.testing.assert_array_equal(x.grad, before)
    assert shared.data.shape == (2,)


def test_a_freed_graph_inside_a_transform_is_no_zero_gradient():
    def f(x):
        y = np.sum(x * x)
        y.backward()
        return y

    with pytest.raises(RuntimeError, match="freed"):
        mg.grad(f)(np.ones(2))


def test_an_error_in_a_rule_leaves_gradients_and_state_alone():
    @mg.custom_vjp(lambda g, y, x: 1 / 0)
    def broken(x):
        return x

    x = leaf(1.0, 2.0)
    np.sum(x).backward()
    loss = np.sum(broken(x * 2.0) + x)
    with pytest.raises(ZeroDivisionError):
        loss.backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])
    assert current() is PLAIN
