"""Out of the graph only when asked: what makes numbers and arrays of a Tensor, and what refuses to."""

from collections import namedtuple

import numpy as np
import pytest
from helpers import assert_identical

from microgradnp import Tensor


@pytest.mark.parametrize("value", [2.5, [2.5], [[2.5]]])
def test_numbers_from_one_element(value):
    t = Tensor(value)
    assert float(t) == 2.5
    assert int(t) == 2
    assert complex(t) == 2.5 + 0j
    assert bool(t)
    assert t.item() == 2.5
    assert f"{t:.2f}" == "2.50"


@pytest.mark.parametrize("number", [float, int, complex])
def test_a_tensor_in_a_graph_is_no_number(number):
    t = Tensor(2.5, requires_grad=True)
    with pytest.raises(TypeError, match=r"item\(\)"):
        number(t * 1.0)
    assert (t * 1.0).item() == 2.5
    assert bool(t)
    assert f"{t * 1.0:.1f} {t:>5}" == "2.5   2.5"


def test_storing_a_tensor_in_an_array_is_never_silent():
    t = Tensor([1.0, 2.0], requires_grad=True)
    a = np.zeros(2)
    with pytest.raises((TypeError, ValueError)) as error:
        a[0] = t[0]
    assert "stack" in f"{error.value} {error.value.__cause__} {error.value.__context__}"
    for attempt in (
        lambda: np.asarray(t),
        lambda: np.array([t[0], t[1]]),
        lambda: a.__setitem__(slice(None), t),
        lambda: a.dot(t),
        lambda: a.__iadd__(t),
        lambda: np.add(a, t, out=a),
        lambda: np.full(2, t[0]),
    ):
        with pytest.raises(TypeError, match=r"graph|gradient"):
            attempt()
    np.testing.assert_array_equal(a, 0.0)


class Keys(namedtuple("Keys", "first second")):
    pass


class Many(list):
    pass


@pytest.mark.parametrize("kind", [lambda xs: Keys(*xs), Many, list, tuple])
def test_any_tuple_and_list_is_looked_into(kind):
    a, b = np.array([2.0, 1.0, 2.0]), np.array([1.0, 3.0, 0.0])
    for wants in (True, False):
        tensors = kind([Tensor(a, wants), Tensor(b, wants)])
        assert_identical(np.stack(tensors), np.stack([a, b]))
        if isinstance(tensors, tuple):  # NumPy looks for Tensors in no other
            assert_identical(np.lexsort(tensors), np.lexsort((a, b)))
    t = Tensor(np.zeros(2))
    with pytest.raises(TypeError, match=r"np\.stack"):
        t[:] = kind([Tensor(1.0, True), Tensor(2.0, True)])
    t[:] = kind([Tensor(1.0), Tensor(2.0)])
    assert_identical(t, np.array([1.0, 2.0]))


def test_outside_a_graph_it_converts_like_any_array():
    t = Tensor([1.0, 2.0])
    np.testing.assert_array_equal(np.asarray(t), [1.0, 2.0])
    np.testing.assert_array_equal(np.array([t, t]), [[1.0, 2.0]] * 2)
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    a = np.zeros(2)
    a[:] = t
    a[0] = t[1]
    np.testing.assert_array_equal(a, [2.0, 2.0])


def test_detach_is_the_same_data_and_no_gradient():
    t = Tensor([1.0, 2.0], requires_grad=True, name="w")
    d = (t * 1.0).detach()
    assert not d.requires_grad
    assert t.detach().name == "w"
    assert t.detach().data is t.data
    np.sum(t * t.detach()).backward()
    np.testing.assert_array_equal(t.grad, t.data)
