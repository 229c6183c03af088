"""A Tensor that gets a new value, or another `requires_grad`, between forward and backward."""

import numpy as np
import pytest
from helpers import leaf

import microgradnp as mg
from microgradnp import Tensor


def _write_at_an_index(t):
    with mg.no_grad():
        t[0] = 9.0


def _set_data(t):
    t.data = np.full(2, 9.0)


def _update_in_place(t):
    with mg.no_grad():
        t *= 3.0


def _take_an_optimizer_step(t):
    t.grad = np.ones(2)
    mg.optim.GD([t], lr=1.0).step()


@pytest.mark.parametrize("change", [_write_at_an_index, _set_data, _update_in_place, _take_an_optimizer_step])
def test_a_changed_input_is_noticed(change):
    w = leaf(3.0, 4.0)
    y = np.sum(np.sin(w) * w)
    change(w)
    with pytest.raises(RuntimeError, match=r"of shape \(2,\), got a new value between forward and backward"):
        y.backward()


def test_a_constant_changed_in_place_leaves_the_graph_alone():
    w, c = leaf(3.0, 4.0), Tensor([1.0, 2.0])
    y = np.sum(w * c)
    c[0] = 9.0
    y.backward()
    np.testing.assert_array_equal(w.grad, [1.0, 2.0])


@pytest.mark.parametrize("change", [_set_data, lambda t: setattr(t, "requires_grad", True)])
def test_a_constant_changed_from_outside_is_noticed(change):
    w, c = leaf(3.0, 4.0), Tensor([1.0, 2.0])
    y = np.sum(w * c)
    change(c)
    with pytest.raises(RuntimeError, match=r"np\.multiply, of shape \(2,\)"):
        y.backward()


def test_writing_into_a_detached_tensor_leaves_the_graph_alone():
    w = leaf(3.0, 4.0)
    y = np.sum(w * w)
    d = w.detach()
    d[0] = 9.0
    y.backward()
    np.testing.assert_array_equal(w.grad, [6.0, 8.0])
    np.testing.assert_array_equal(w.data, [3.0, 4.0])


def test_a_changed_tensor_serves_the_next_graph():
    w = leaf(3.0, 4.0)
    with mg.no_grad():
        w[0] = 9.0
    np.sum(w * w).backward()
    np.testing.assert_array_equal(w.grad, [18.0, 8.0])


def test_a_gradient_of_a_single_number_may_be_scaled_in_between():
    """NumPy makes a scalar of a 0-d array's multiple."""
    x = Tensor(3.0, requires_grad=True)
    (x * x).backward()
    x.grad = x.grad * 0.5
    (x * x).backward()
    assert x.grad == 9.0
    assert type(x.grad) is np.ndarray


def test_a_gradient_set_to_something_else_is_refused():
    w = leaf(3.0, 4.0)
    w.grad = [1.0, 2.0]
    with pytest.raises(TypeError, match=r"\.grad was set to list of shape \(2,\).*float64"):
        np.sum(w).backward()


# -- A leaf whose requires_grad changes --------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [lambda x, c: np.exp(x) * 2.0, lambda x, c: x * c, lambda x, c: np.where(True, x, c)])
def test_a_leaf_that_is_frozen_after_forward_gets_nothing(f):
    x, c = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = np.sum(f(x, c))
    x.requires_grad = c.requires_grad = False
    y.backward()
    assert x.grad is None
    assert c.grad is None


def test_a_leaf_that_is_frozen_asks_no_rule_of_the_constant_beside_it():
    """np.ldexp has no derivative by its exponent."""
    a, b, n = leaf(1.0, 2.0), leaf(1.0, 2.0), Tensor(np.array([1, 2]))
    y = np.sum(np.ldexp(a, n) * b)
    a.requires_grad = False
    y.backward()
    assert a.grad is None
    np.testing.assert_array_equal(b.grad, [2.0, 8.0])


def test_a_constant_that_is_thawed_after_forward_gets_no_part_of_a_gradient():
    x, c = leaf(1.0, 2.0), Tensor([3.0, 4.0])
    y = np.sum(x * c + np.exp(c))  # of exp there is no node, so half of its gradient is all there would be
    c.requires_grad = True
    with pytest.raises(RuntimeError, match="began to require a gradient"):
        y.backward()
    np.sum(x * c).backward()
    np.testing.assert_array_equal(c.grad, [1.0, 2.0])
