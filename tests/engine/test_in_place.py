"""In-place statements: NumPy's values under every name, gradients of what was used, updates of leaves, errors."""

import operator

import numpy as np
import pytest
from helpers import assert_identical

import microgradnp as mg
from microgradnp import Tensor

IN_PLACE = [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow, operator.imod]
OUT_OF_PLACE = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod]


@pytest.mark.parametrize(("in_place", "plain"), list(zip(IN_PLACE, OUT_OF_PLACE, strict=True)))
def test_in_place_on_a_result_is_seen_under_every_name(in_place, plain):
    x = Tensor([1.5, 2.0], requires_grad=True)
    y = other_name = x * 2.0
    used_before = y * y
    y = in_place(y, 3.0)
    assert y is other_name
    np.sum(y * used_before).backward()
    expected = mg.grad(lambda x: np.sum(plain(x * 2.0, 3.0) * (x * 2.0) ** 2))(np.array([1.5, 2.0]))
    assert_identical(y, plain(np.array([3.0, 4.0]), 3.0))
    np.testing.assert_allclose(x.grad, expected, rtol=1e-15)


@pytest.mark.parametrize("in_place", IN_PLACE)
def test_in_place_on_a_leaf_that_wants_a_gradient_is_refused(in_place):
    x = Tensor([1.5, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"no_grad\(\) or let an optimizer"):
        in_place(x, 1.0)
    assert_identical(x, np.array([1.5, 2.0]))


@pytest.mark.parametrize(("in_place", "plain"), list(zip(IN_PLACE, OUT_OF_PLACE, strict=True)))
def test_in_place_under_no_grad_updates_a_parameter(in_place, plain):
    x = Tensor(np.array([1.5, 2.0], np.float32), requires_grad=True)
    before = x.data.copy()
    with mg.no_grad():
        y = in_place(x, 3.0)
    assert y is x
    assert x.requires_grad
    assert_identical(x, plain(before, 3.0))


def test_a_matrix_product_in_place():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    before, m = x.data.copy(), np.array([[0.0, 1.0], [2.0, 0.0]])
    with pytest.raises(TypeError, match=r"no_grad\(\) or let an optimizer"):
        operator.imatmul(x, m)
    with mg.no_grad():
        assert operator.imatmul(x, m) is x
        with pytest.raises(ValueError, match="cannot hold its result"):
            operator.imatmul(x, np.ones(2))
    assert_identical(x, before @ m)


@pytest.mark.parametrize("index", [lambda i: i, lambda i: (i,), lambda i: (i, i), lambda i: (slice(None), i)])
def test_a_list_as_an_index_may_change_afterwards(index):
    x, numbers = Tensor(np.arange(9.0).reshape(3, 3), requires_grad=True), [0, 1]
    y = x[index(numbers)]
    expected = np.zeros((3, 3))
    expected[index([0, 1])] = 1.0
    numbers[:] = [2, 2]
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, expected)
    assert x[[]].shape == (0, 3)


def test_assignment_to_elements():
    constant = Tensor([1.0, 2.0, 3.0])
    constant[1:] = 0.0
    assert_identical(constant, np.array([1.0, 0.0, 0.0]))
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"np\.where"):
        x[:] = 5.0
    with pytest.raises(TypeError, match=r"np\.where"):
        x[:2][0] = 5.0
    with pytest.raises(TypeError, match=r"np\.stack"):
        constant[:] = [x[0], x[1], x[2]]
    with mg.no_grad():
        x[0] = 7.0
    assert_identical(x, np.array([7.0, 2.0, 3.0]))


def test_new_data_must_fit():
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.data = np.array([3.0, 4.0])
    assert_identical(x, np.array([3.0, 4.0]))
    for wrong in (np.ones(3), np.ones(2, np.float32), 1.0):
        with pytest.raises(ValueError, match=r"shape \(2,\) and dtype float64"):
            x.data = wrong
