"""What may stand beside a Tensor, and that numbers beside it give NumPy's bits."""

import math
import operator

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import Tensor


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
