"""A Tensor is its array: facts, methods, indices, copies and protocols."""

import copy
import inspect
import operator
import pickle
import pydoc
import weakref

import numpy as np
import pytest
from helpers import assert_identical
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp import Tensor
from microgradnp.functions.standing import INSTEAD

FLOATS = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.floats(0.5, 4.0, width=32),
)


# -- It is the array ---------------------------------------------------------------------------------------------------


@given(FLOATS)
def test_it_has_the_arrays_facts(a):
    t = Tensor(a, requires_grad=True)
    for fact in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize"):
        assert getattr(t, fact) == getattr(a, fact)
    assert_identical(t, a)
    assert t.tolist() == a.tolist()
    if a.ndim:
        assert len(t) == len(a)


def test_its_data_are_its_own():
    a = np.ones(3)
    t = Tensor(a)
    a[0] = 5.0
    assert_identical(t, np.ones(3))


@given(a=FLOATS, scalar=st.sampled_from([2, 0.75, np.float32(1.5)]))
def test_operators_give_numpys_bits_and_dtype(a, scalar):
    t = Tensor(a, requires_grad=True)
    for op in (operator.add, operator.sub, operator.mul, operator.truediv, operator.mod, operator.pow):
        assert_identical(op(t, scalar), op(a, scalar))
        assert_identical(op(scalar, t), op(scalar, a))
        assert_identical(op(t, a), op(a, a))
        assert_identical(op(a, t), op(a, a))
    for op in (operator.neg, operator.pos, operator.abs):
        assert_identical(op(t), op(a))
    for power in (2, 0.5, -1, 3, 2.0):
        assert_identical(t**power, a**power)


@given(a=FLOATS, scalar=st.sampled_from([2, 0.75]))
def test_comparisons_and_their_like_are_plain_arrays(a, scalar):
    t = Tensor(a, requires_grad=True)
    for op in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge, operator.floordiv):
        for result, expected in ((op(t, scalar), op(a, scalar)), (op(scalar, t), op(scalar, a)), (op(t, t), op(a, a))):
            assert not isinstance(result, Tensor)
            assert_identical(result, expected)
    for name in ("argmax", "argmin"):
        if a.size:
            assert_identical(getattr(t, name)(), getattr(a, name)())
    for name in ("any", "all", "round"):
        assert_identical(getattr(t, name)(), getattr(a, name)())


METHODS = {
    "sum": [(), (0,), (-1,)],
    "mean": [(), (1,)],
    "prod": [(), (0,)],
    "max": [(), (1,)],
    "min": [(), (0,)],
    "var": [(), (1,)],
    "std": [(), (0,)],
    "cumsum": [(), (1,)],
    "cumprod": [(), (0,)],
    "trace": [(), (1,)],
    "dot": [(np.arange(3.0, dtype=np.float32),)],
    "clip": [(0.2, 0.8)],
    "reshape": [(6,), (3, 2), ((1, 6),), (-1,)],
    "ravel": [()],
    "flatten": [()],
    "transpose": [(), (1, 0), ((0, 1),)],
    "swapaxes": [(0, 1)],
    "squeeze": [()],
    "repeat": [(2,), (2, 0)],
    "take": [([0, 2, 2],), ([1, 0], 1)],
    "diagonal": [(), (1,)],
    "compress": [([True, False],), ([True, False, True], 1)],
    "conj": [()],
    "copy": [()],
    "astype": [(np.float32,), (np.float64,), (np.int64,)],
    "argsort": [(), (0,)],
    "nonzero": [()],
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_the_arrays_methods(name):
    a = np.array([[0.3, 0.9, 0.1], [0.7, 0.5, 0.2]], np.float32)
    t = Tensor(a, requires_grad=True)
    for args in METHODS[name]:
        result, expected = getattr(t, name)(*args), getattr(a, name)(*args)
        if isinstance(expected, tuple):
            for r, e in zip(result, expected, strict=True):
                assert_identical(r, e)
        elif name in ("mean", "var", "std"):  # composed or reduced in another order: the last bits may differ
            assert result.dtype == expected.dtype
            np.testing.assert_allclose(result.data, expected, rtol=1e-6)
        else:
            assert_identical(result, np.asarray(expected))
        if isinstance(result, Tensor):
            assert result.requires_grad


def test_properties_that_are_views():
    t = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    assert_identical(t.T, t.data.T)
    assert_identical(t.mT, t.data.mT)
    assert t.real is t
    assert [float(v.item()) for v in t.flat] == list(range(6))


# -- Methods take what ndarray's take ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        lambda a: a.sum(dtype=np.float32),
        lambda a: a.sum(0, np.float32),
        lambda a: a.astype(np.float64, copy=False),
        lambda a: a.ravel("F"),
        lambda a: a.flatten("F"),
        lambda a: a.reshape((3, 2), order="F"),
        lambda a: a.argmax(keepdims=True),
        lambda a: a.argmin(1, keepdims=True),
        lambda a: a.any(keepdims=True),
        lambda a: a.all(0, keepdims=True),
        lambda a: divmod(a, 2.0)[0],
        lambda a: divmod(a, 2.0)[1],
        lambda a: divmod(7.0, a)[1],
    ],
)
def test_methods_take_the_arguments_of_ndarray(method):
    array = np.arange(1.0, 7.0).reshape(2, 3)
    expected, result = method(array), method(mg.Tensor(array))
    result = getattr(result, "data", result) if isinstance(result, mg.Tensor) else result
    np.testing.assert_array_equal(result, expected)
    assert np.asarray(result).dtype == np.asarray(expected).dtype


# -- Indexing and iteration --------------------------------------------------------------------------------------------


@st.composite
def arrays_and_indices(draw):
    a = draw(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-2, 2)))
    kind = draw(st.sampled_from(["basic", "integers", "mask", "rows"]))
    if kind == "basic":
        return a, draw(hnp.basic_indices(a.shape, allow_newaxis=True))
    if kind == "integers":
        return a, draw(hnp.integer_array_indices(a.shape))
    if kind == "mask":
        return a, draw(hnp.arrays(bool, a.shape))
    return a, draw(st.lists(st.integers(-a.shape[0], a.shape[0] - 1), min_size=1, max_size=6))


@given(arrays_and_indices(), st.randoms(use_true_random=False))
def test_indexing_picks_the_elements_and_its_gradient_is_the_transpose(drawn, random):
    a, index = drawn
    t = Tensor(a, requires_grad=True)
    picked = t[index]
    assert_identical(picked, np.asarray(a[index]))
    generator = np.random.default_rng(random.randrange(2**32))
    weights, direction = generator.standard_normal(picked.shape), generator.standard_normal(a.shape)
    picked.backward(weights)
    assert np.vdot(t.grad, direction) == pytest.approx(np.vdot(weights, direction[index]), abs=1e-12)


def test_an_index_may_be_a_tensor_of_integers_or_booleans():
    t = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert_identical(t[Tensor([2, 0])], np.array([3.0, 1.0]))
    assert_identical(t[Tensor([True, False, True])], np.array([1.0, 3.0]))
    assert_identical(t[Tensor(1)], np.asarray(2.0))
    assert np.ones(3)[Tensor([0, 1])].shape == (2,)
    assert list(range(Tensor(3))) == [0, 1, 2]


def test_iterating_gives_rows_of_the_same_graph():
    t = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    assert_identical(np.stack(list(t)), t.data)
    first, *_, last = t
    assert_identical(np.stack([row for _, row in zip(range(2), reversed(t), strict=False)]), t.data[:0:-1])
    total = sum(first * 2.0) + sum(last)
    total.backward()
    np.testing.assert_array_equal(t.grad, [[2, 2], [0, 0], [1, 1]])


def test_a_generator_over_a_tensor_records_when_it_runs():
    t = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    squares = (v * v for v in t)
    with mg.no_grad():
        first = next(squares)
    rest = list(squares)
    assert not first.requires_grad
    assert all(v.requires_grad for v in rest)


# -- Copying, pickling, keys -------------------------------------------------------------------------------------------


COPIES = [copy.copy, copy.deepcopy, *(lambda t, p=p: pickle.loads(pickle.dumps(t, p)) for p in range(6))]


@pytest.mark.parametrize("make", COPIES)
@given(a=FLOATS, wants=st.booleans(), name=st.sampled_from([None, "w"]))
def test_a_copy_of_a_leaf_is_equal_and_shares_nothing(make, a, wants, name):
    t = Tensor(a, requires_grad=wants, name=name)
    if wants:
        np.sum(t * 2.0).backward()
    c = make(t)
    assert_identical(c, t.data)
    assert (c.requires_grad, c.name, c.is_leaf) == (wants, name, True)
    assert not np.shares_memory(c.data, t.data)
    if wants:
        np.testing.assert_array_equal(c.grad, t.grad, strict=True)
        assert not np.shares_memory(c.grad, t.grad)
        np.sum(c * 3.0).backward()
        np.testing.assert_array_equal(t.grad, np.full(a.shape, 2.0))
    else:
        assert c.grad is None


def test_deepcopy_keeps_identities():
    x = Tensor([1.0], requires_grad=True)
    model = copy.deepcopy({"a": x, "b": [x]})
    assert model["a"] is model["b"][0]
    assert model["a"] is not x


@pytest.mark.parametrize("make", COPIES)
def test_a_result_cannot_be_copied(make):
    y = Tensor([1.0], requires_grad=True) * 2.0
    with pytest.raises(TypeError, match=r"np\.multiply.*detach\(\)"):
        make(y)
    y.backward()
    with pytest.raises(TypeError, match=r"freed.*detach\(\)"):
        make(y)
    assert_identical(make(y.detach()), np.array([2.0]))


def test_copy_as_a_method_stays_in_the_graph():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x.copy()
    assert not np.shares_memory(x.data, y.data)
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


def test_it_is_a_key_by_identity_and_can_be_watched():
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    assert {x: 1, y: 2}[x] == 1
    assert len({x, y, x}) == 2
    ghost = weakref.ref(x)
    del x
    assert ghost() is None


# -- The protocols -----------------------------------------------------------------------------------------------------


def test_numpy_defers_to_it_on_either_side():
    t = Tensor([1.0, 2.0], requires_grad=True)
    for result in (np.ones(2) + t, np.float64(1.0) * t, [1.0, 2.0] @ t, np.ones((2, 2)) @ t, 1 - t, np.dot([1, 2], t)):
        assert isinstance(result, Tensor)
        assert result.requires_grad


def test_it_defers_to_other_array_types():
    class Other:
        def __array_function__(self, function, types, args, kwargs):
            return "other"

    assert np.concatenate([Tensor([1.0]), Other()]) == "other"


def test_it_cannot_be_subclassed():
    with pytest.raises(TypeError, match=r"Parameter.*cannot be subclassed"):
        type("Parameter", (Tensor,), {})


def test_readonly_and_strange_layouts_are_taken_as_they_are():
    base = np.arange(24.0).reshape(2, 3, 4)
    base.flags.writeable = False
    for a in (base, base[::-1, :, ::2], base.T, np.asfortranarray(base), np.broadcast_to(base[0], (5, 3, 4))):
        t = Tensor(a, requires_grad=True)
        assert_identical(t, a)
        np.sum(np.exp(t / 24) * a).backward()
        np.testing.assert_allclose(t.grad, np.exp(a / 24) * a / 24, rtol=1e-12)
        assert t.grad.flags.writeable


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=3), elements=st.floats(-1e3, 1e3)), st.booleans())
def test_repr_says_how_to_make_it_again(a, wants):
    t = Tensor(np.round(a, 3), requires_grad=wants)
    again = eval(repr(t), {"Tensor": Tensor})
    assert_identical(again, t.data)
    assert again.requires_grad == wants
    assert repr(Tensor(np.ones(1, np.float32), name="b")) == "Tensor([1.], dtype=float32, name='b')"


@pytest.mark.parametrize("kind", [">f8", "<f8", ">f4", "<f4"])
def test_any_byte_order_is_read(kind):
    a = np.array([1.0, 2.0], kind)
    t = Tensor(a, requires_grad=True)
    np.sum(t * a).backward()
    assert t.grad.dtype.isnative
    np.testing.assert_array_equal(t.grad, a)
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(x * x))(a), 2 * a)


def test_flags_follow_the_graph():
    x, c = Tensor(1.0, requires_grad=True), Tensor(1.0)
    assert x.is_leaf
    assert (c * 2.0).is_leaf
    y = x * c
    assert not y.is_leaf
    assert y.requires_grad
    assert not (c + 1.0).requires_grad
    with mg.no_grad():
        assert not (x + 1.0).requires_grad
    with pytest.raises(RuntimeError, match=r"leaf only.*np\.multiply"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * c).requires_grad


# -- Names that it does not have ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_a_method_that_is_missing_names_what_to_use_and_is_not_there(name):
    t = Tensor([[1.0, 2.0]], requires_grad=True)
    with pytest.raises(AttributeError, match=f"a Tensor has no attribute '{name}'. Use ") as caught:
        getattr(t, name)
    assert (caught.value.name, caught.value.obj) == (name, t)
    assert not hasattr(t, name)
    assert not hasattr(Tensor, name)
    assert name not in dir(t)
    with pytest.raises(AttributeError):
        setattr(t, name, None)


def test_tools_that_look_at_every_name_can():
    t = Tensor([[1.0, 2.0]], requires_grad=True)
    found = dict(inspect.getmembers(t))
    assert {"shape", "sum", "backward"} <= found.keys()
    assert "has no attribute" not in pydoc.render_doc(Tensor)
    for make in (copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        assert dir(make(t)) == dir(t)
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'nothing'"):
        _ = t.nothing


@pytest.mark.parametrize("name", ["__add__", "__sub__", "__mul__", "__truediv__", "__mod__", "__matmul__", "__neg__"])
def test_operators_know_who_they_are(name):
    method = getattr(Tensor, name)
    assert pickle.loads(pickle.dumps(method)) is method
    assert method.__qualname__ == f"Tensor.{name}"
    assert "numpy" in method.__doc__
