"""The Tensor as an array: it computes what NumPy computes, and leaves the graph only when asked to."""

import copy
import inspect
import math
import operator
import pickle
import pydoc
import weakref
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp import Tensor
from microgradnp.engine.tensor import _INSTEAD

FLOATS = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.floats(0.5, 4.0, width=32),
)


def same(t, a):
    """The Tensor holds exactly what NumPy computed, in the same dtype."""
    value = t.data if isinstance(t, Tensor) else t
    np.testing.assert_array_equal(value, a, strict=True)


# -- It is the array -------------------------------------------------------------------------------------------------


@given(FLOATS)
def test_it_has_the_arrays_facts(a):
    t = Tensor(a, requires_grad=True)
    for fact in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize"):
        assert getattr(t, fact) == getattr(a, fact)
    same(t, a)
    assert t.tolist() == a.tolist()
    if a.ndim:
        assert len(t) == len(a)


def test_its_data_are_its_own():
    a = np.ones(3)
    t = Tensor(a)
    a[0] = 5.0
    same(t, np.ones(3))


@given(a=FLOATS, scalar=st.sampled_from([2, 0.75, np.float32(1.5)]))
def test_operators_give_numpys_bits_and_dtype(a, scalar):
    t = Tensor(a, requires_grad=True)
    for op in (operator.add, operator.sub, operator.mul, operator.truediv, operator.mod, operator.pow):
        same(op(t, scalar), op(a, scalar))
        same(op(scalar, t), op(scalar, a))
        same(op(t, a), op(a, a))
        same(op(a, t), op(a, a))
    for op in (operator.neg, operator.pos, operator.abs):
        same(op(t), op(a))
    for power in (2, 0.5, -1, 3, 2.0):
        same(t**power, a**power)


@given(a=FLOATS, scalar=st.sampled_from([2, 0.75]))
def test_comparisons_and_their_like_are_plain_arrays(a, scalar):
    t = Tensor(a, requires_grad=True)
    for op in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge, operator.floordiv):
        for result, expected in ((op(t, scalar), op(a, scalar)), (op(scalar, t), op(scalar, a)), (op(t, t), op(a, a))):
            assert not isinstance(result, Tensor)
            same(result, expected)
    for name in ("argmax", "argmin"):
        if a.size:
            same(getattr(t, name)(), getattr(a, name)())
    for name in ("any", "all", "round"):
        same(getattr(t, name)(), getattr(a, name)())


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
                same(r, e)
        elif name in ("mean", "var", "std"):  # composed or reduced in another order: the last bits may differ
            assert result.dtype == expected.dtype
            np.testing.assert_allclose(result.data, expected, rtol=1e-6)
        else:
            same(result, np.asarray(expected))
        if isinstance(result, Tensor):
            assert result.requires_grad


def test_properties_that_are_views():
    t = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    same(t.T, t.data.T)
    same(t.mT, t.data.mT)
    assert t.real is t
    assert [float(v.item()) for v in t.flat] == list(range(6))


# -- Indexing and iteration -------------------------------------------------------------------------------------------


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
    same(picked, np.asarray(a[index]))
    generator = np.random.default_rng(random.randrange(2**32))
    weights, direction = generator.standard_normal(picked.shape), generator.standard_normal(a.shape)
    picked.backward(weights)
    assert np.vdot(t.grad, direction) == pytest.approx(np.vdot(weights, direction[index]), abs=1e-12)


def test_an_index_may_be_a_tensor_of_integers_or_booleans():
    t = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    same(t[Tensor([2, 0])], np.array([3.0, 1.0]))
    same(t[Tensor([True, False, True])], np.array([1.0, 3.0]))
    same(t[Tensor(1)], np.asarray(2.0))
    assert np.ones(3)[Tensor([0, 1])].shape == (2,)
    assert list(range(Tensor(3))) == [0, 1, 2]


def test_iterating_gives_rows_of_the_same_graph():
    t = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    same(np.stack(list(t)), t.data)
    first, *_, last = t
    same(np.stack([row for _, row in zip(range(2), reversed(t), strict=False)]), t.data[:0:-1])
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


# -- Out of the graph: only when asked ------------------------------------------------------------------------------


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
        same(np.stack(tensors), np.stack([a, b]))
        if isinstance(tensors, tuple):  # NumPy looks for Tensors in no other
            same(np.lexsort(tensors), np.lexsort((a, b)))
    t = Tensor(np.zeros(2))
    with pytest.raises(TypeError, match=r"np\.stack"):
        t[:] = kind([Tensor(1.0, True), Tensor(2.0, True)])
    t[:] = kind([Tensor(1.0), Tensor(2.0)])
    same(t, np.array([1.0, 2.0]))


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


# -- In place -------------------------------------------------------------------------------------------------------

IN_PLACE = [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow, operator.imod]
OUT_OF_PLACE = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod]


@pytest.mark.parametrize(("in_place", "plain"), list(zip(IN_PLACE, OUT_OF_PLACE, strict=True)))
def test_in_place_on_a_result_is_a_new_name_for_a_new_tensor(in_place, plain):
    def by(op):
        x = Tensor([1.5, 2.0], requires_grad=True)
        y = x * 2.0
        old = y
        y = op(y, 3.0)
        np.sum(y * old).backward()
        return y.data, old.data, x.grad

    for a, b in zip(by(in_place), by(plain), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("in_place", IN_PLACE)
def test_in_place_on_a_leaf_that_wants_a_gradient_is_refused(in_place):
    x = Tensor([1.5, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"no_grad\(\) or let an optimizer"):
        in_place(x, 1.0)
    same(x, np.array([1.5, 2.0]))


@pytest.mark.parametrize(("in_place", "plain"), list(zip(IN_PLACE, OUT_OF_PLACE, strict=True)))
def test_in_place_under_no_grad_updates_a_parameter(in_place, plain):
    x = Tensor(np.array([1.5, 2.0], np.float32), requires_grad=True)
    before = x.data.copy()
    with mg.no_grad():
        y = in_place(x, 3.0)
    assert y is x
    assert x.requires_grad
    same(x, plain(before, 3.0))


def test_a_matrix_product_in_place():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    before, m = x.data.copy(), np.array([[0.0, 1.0], [2.0, 0.0]])
    with pytest.raises(TypeError, match=r"no_grad\(\) or let an optimizer"):
        operator.imatmul(x, m)
    with mg.no_grad():
        assert operator.imatmul(x, m) is x
        with pytest.raises(ValueError, match="they must agree"):
            operator.imatmul(x, np.ones(2))
    same(x, before @ m)


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
    same(constant, np.array([1.0, 0.0, 0.0]))
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    for target, value in ((x, 5.0), (x * 1.0, 5.0), (constant, x[0]), (constant, [x[0], x[1], x[2]])):
        with pytest.raises(TypeError, match=r"np\.where"):
            target[:] = value
    with mg.no_grad():
        x[0] = 7.0
    same(x, np.array([7.0, 2.0, 3.0]))


def test_new_data_must_fit():
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.data = np.array([3.0, 4.0])
    same(x, np.array([3.0, 4.0]))
    for wrong in (np.ones(3), np.ones(2, np.float32), 1.0):
        with pytest.raises(ValueError, match=r"shape \(2,\) and dtype float64"):
            x.data = wrong


# -- Copying, pickling, keys ----------------------------------------------------------------------------------------

COPIES = [copy.copy, copy.deepcopy, *(lambda t, p=p: pickle.loads(pickle.dumps(t, p)) for p in range(6))]


@pytest.mark.parametrize("make", COPIES)
@given(a=FLOATS, wants=st.booleans(), name=st.sampled_from([None, "w"]))
def test_a_copy_of_a_leaf_is_equal_and_shares_nothing(make, a, wants, name):
    t = Tensor(a, requires_grad=wants, name=name)
    if wants:
        np.sum(t * 2.0).backward()
    c = make(t)
    same(c, t.data)
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
    same(make(y.detach()), np.array([2.0]))


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


# -- The protocols --------------------------------------------------------------------------------------------------


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
        same(t, a)
        np.sum(np.exp(t / 24) * a).backward()
        np.testing.assert_allclose(t.grad, np.exp(a / 24) * a / 24, rtol=1e-12)
        assert t.grad.flags.writeable


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=3), elements=st.floats(-1e3, 1e3)), st.booleans())
def test_repr_says_how_to_make_it_again(a, wants):
    t = Tensor(np.round(a, 3), requires_grad=wants)
    again = eval(repr(t), {"Tensor": Tensor})
    same(again, t.data)
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


# -- Operands that are not real arrays


@pytest.mark.parametrize(
    "operand",
    [np.array([1j, 2]), np.complex128(1j), np.array([None, 1]), np.array([1, 2], "m8[s]"), 1j],
    ids=["complex array", "complex scalar", "objects", "time differences", "complex number"],
)
def test_only_real_operands(operand):
    t = mg.Tensor([1.0, 2.0], requires_grad=True)
    for compute in (lambda: t * operand, lambda: operand * t, lambda: np.add(operand, t)):
        with pytest.raises(TypeError, match="Tensors compute with real numbers"):
            compute()


def test_a_matrix_is_refused():
    with pytest.raises(TypeError, match=r"pass np\.asarray\(m\)"), pytest.warns(PendingDeprecationWarning):
        np.matrix([[1, 2], [3, 4]]) * mg.Tensor(np.eye(2), requires_grad=True)


def test_masked_arrays_never_detach():
    t = mg.Tensor([1.0, 2.0, 4.0], requires_grad=True)
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    for compute in (
        lambda: np.ma.log(t),
        lambda: masked * t,
        lambda: t * masked,
        lambda: np.ma.where(masked > 1, t, 0),
    ):
        with pytest.raises(TypeError):
            compute()


def test_integers_have_no_negative_power():
    with pytest.raises(ValueError, match="negative integer powers"):
        mg.Tensor([1, 2, 4]) ** -1


def test_out_is_never_a_tensor():
    c = mg.Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=r"np\.add with out="):
        np.add(c, 1, out=c)


def test_a_boolean_stays_one():
    assert mg.Tensor(True).dtype == np.bool


# -- Methods take what ndarray's take


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


# -- Python numbers as operands, which a graph keeps as arrays ---------------------------------------------------------

NUMBERS = [0, 0.0, -0.0, 1, -1, 1.0, 2, 0.5, -0.5, 0.1, 5e-324, 1e308, math.nan, math.inf, -math.inf, True, False]
NUMBERS += [2**53, 2**53 + 1, 2**53 + 2, -(2**53) - 1, 2**63 - 1, 2**63, 2**64 + 1, 2**1023, 2**1024, 10**400]
NUMBERS += [np.True_, np.float64(0.1), np.float32(0.1), np.int64(3), np.int8(3)]
ARRAYS = [
    np.array([1.5, -2.0, 0.0, -0.0, np.inf, np.nan, 3.0]),
    np.array([1.5, -2.0, 0.0], np.float32),
    np.array(2.5),
    np.array(2.5, np.float32),
    np.array([1, -2, 3]),
    np.array([1, 2], np.int8),
    np.array([True, False]),
    np.zeros((0, 3)),
]
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.mod, operator.pow, operator.floordiv]
OPERATORS += [operator.matmul, operator.lt, operator.eq]


def outcome_of(f, a):
    """The bits and the dtype, or the kind of error."""
    with np.errstate(all="ignore"):
        try:
            result = f(a)
        except Exception as error:
            return type(error)
    array = np.asarray(result.data if isinstance(result, Tensor) else result)
    return array.dtype, array.shape, array.tobytes()


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{type(n).__name__} {n!r:.20}")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_numbers_beside_a_tensor_give_numpys_bits(op, number):
    for a in ARRAYS:
        for f in (lambda x: op(x, number), lambda x: op(number, x)):
            expected = outcome_of(f, a)
            for _ in range(2):  # made, and found again
                for wanted in {False, a.dtype.kind == "f"}:
                    assert outcome_of(f, Tensor(a, requires_grad=wanted)) == expected


def test_the_sign_of_zero_is_kept_in_any_order():
    x = Tensor([1.0, -1.0], requires_grad=True)
    for zero in (0.0, -0.0, 0, -0.0, 0.0):
        np.testing.assert_array_equal(np.signbit((x * zero).data), np.signbit(x.data * zero))
        np.testing.assert_array_equal(np.signbit((zero - x * 0.0).data), np.signbit(zero - x.data * 0.0))


def test_any_number_of_different_numbers():
    x = Tensor([1.0, 2.0], requires_grad=True)
    graphs = [x * (k + 0.5) for k in range(3000)]  # more than are kept, and the graphs still need them
    for k in (0, 1, 999, 1000, 1001, 2999):
        x.grad = None
        graphs[k].backward(np.ones(2))
        np.testing.assert_array_equal(x.grad, np.full(2, k + 0.5))


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.mod])
def test_a_kept_number_cannot_be_changed(op):
    x = Tensor(2.0, requires_grad=True)
    for y in (op(x, 7.25), op(7.25, x)):
        number = next(n for n in y._inputs if n is not x)
        assert not np.shares_memory(y.data, number)
        assert not isinstance(number, np.ndarray) or not number.flags.writeable
        y.data[...] = 99.0
        y.backward()
        x.grad[...] = 99.0
        assert op(Tensor(2.0), 7.25).item() == op(2.0, 7.25)
        assert op(7.25, Tensor(2.0)).item() == op(7.25, 2.0)


# -- Names that it does not have ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(_INSTEAD))
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
