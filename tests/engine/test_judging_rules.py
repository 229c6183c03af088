"""What a rule gives back is judged, at either place of a node; and what the sweep takes without a look deserves it."""

import contextlib
import inspect

import numpy as np
import pytest
from helpers import leaf
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import Tensor
from microgradnp.engine.rules import RULES, Rule
from microgradnp.engine.tensor import apply
from microgradnp.signatures import parameters_of


def by_backward(f, *arrays):
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    np.sum(f(*leaves)).backward()
    return [x.grad for x in leaves]


def by_backward_in_debug_mode(f, *arrays):
    with mg.debug():
        return by_backward(f, *arrays)


def by_vjp(f, *arrays):
    return list(mg.grad(lambda *xs: np.sum(f(*xs)), range(len(arrays)))(*arrays))


def by_recorded_vjp(f, *arrays):
    """With Tensors that want a gradient as arguments, the rules run on Tensors."""
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    return [g.data for g in mg.grad(lambda *xs: np.sum(f(*xs)), range(len(arrays)))(*leaves)]


ALL_WAYS = [by_backward, by_backward_in_debug_mode, by_vjp, by_recorded_vjp]


@pytest.mark.parametrize("way", ALL_WAYS)
@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: x * x, lambda x: 2 * x),
        (lambda x: x + x, lambda x: 2 + 0 * x),
        (lambda x: x - x, lambda x: 0 * x),
        (lambda x: x / x, lambda x: 0 * x),
        (lambda x: x @ x, lambda x: 2 * x),
        (lambda x: (x + x) * (x + x) * x, lambda x: 12 * x * x),
        (lambda x: np.where(True, x, x) + np.maximum(x, x), lambda x: 2 + 0 * x),
    ],
)
def test_one_tensor_in_both_places(f, slope, way):
    x = np.array([0.5, 2.0, 4.0])
    np.testing.assert_allclose(way(f, x), [slope(x)], rtol=1e-15)


@pytest.mark.parametrize("way", ALL_WAYS)
@pytest.mark.parametrize(
    "other",
    [Tensor([2.0, 4.0]), Tensor(2.0), np.array([2.0, 4.0]), 2.0, 2, np.float32(2.0)],
    ids=lambda x: type(x).__name__,
)
def test_a_constant_in_either_place(other, way):
    c = other.data if isinstance(other, Tensor) else other
    x = np.array([0.5, 3.0])
    np.testing.assert_array_equal(way(lambda x: x / other, x), [1 / c * np.ones(2)])
    np.testing.assert_allclose(way(lambda x: other / x, x), [-c / x**2], rtol=1e-15)
    assert not isinstance(other, Tensor) or other.grad is None


@given(st.data())
def test_gradients_that_rules_pass_on_unchanged_do_not_run_together(data):
    """Sums hand the same array to both sides; where one of them is added to in place, the other must not notice."""
    steps = data.draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=25)
    )
    leaves = [leaf(1.0, 2.0), leaf(3.0, 4.0)]
    nodes, paths = list(leaves), [np.array([1, 0]), np.array([0, 1])]
    for kind, i, j in steps:
        i, j = i % len(nodes), j % len(nodes)
        nodes.append([lambda a, b: a + b, lambda a, b: +a, lambda a, b: a[:] + b][kind](nodes[i], nodes[j]))
        paths.append(paths[i] if kind == 1 else paths[i] + paths[j])
    seed = np.array([1.0, 10.0])
    nodes[-1].backward(seed)
    for x, count in zip(leaves, paths[-1], strict=True):
        if x.grad is not None or count:
            np.testing.assert_array_equal(x.grad, count * seed)
    np.testing.assert_array_equal(seed, [1.0, 10.0])
    if leaves[0].grad is not None and leaves[1].grad is not None:
        assert not np.shares_memory(leaves[0].grad, leaves[1].grad)


def test_gradients_returned_as_they_came_may_be_added_to_by_the_user():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    middle = x + y
    (middle + middle + middle).backward(np.ones(2), retain_graph=True)
    x.grad += 100.0
    middle.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [104.0, 104.0])
    np.testing.assert_array_equal(y.grad, [4.0, 4.0])


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kinds", ["both tracked", "the other constant"])
@pytest.mark.parametrize("way", ["plainly", "retained", "in debug mode"])
def test_a_changed_input_is_noticed_in_either_place(place, kinds, way):
    pair = [leaf(1.0, 2.0), leaf(3.0, 4.0)]
    if kinds != "both tracked":
        pair[1 - place].requires_grad = False
    y = np.sum(pair[0] * pair[1])
    with mg.no_grad():
        pair[place][0] = 9.0
    watched = mg.debug() if way == "in debug mode" else contextlib.nullcontext()
    with watched, pytest.raises(RuntimeError, match=r"an input of np\.multiply, of shape \(2,\), got a new value"):
        y.backward(retain_graph=way == "retained")
    assert all(x.grad is None for x in pair)


def passing(g, y, *_):
    return g


RULE_FAULTS = [
    ((passing, passing), None),
    ((None, passing), (0, r"no derivative with respect to its argument 0")),
    ((passing, None), (1, r"no derivative with respect to its argument 1")),
    ((passing,), (1, r"serve 1 arguments, but argument 1")),
    ((lambda *_: None, passing), (0, r"for argument 0.* returned None")),
    ((passing, lambda *_: None), (1, r"for argument 1.* returned None")),
    ((lambda g, *_: (g, g), passing), (0, r"for argument 0.* returned a tuple of 2")),
    ((passing, lambda *_: np.ones(3)), (1, r"for argument 1.* returned a gradient of shape \(3,\)")),
    ((lambda *_: np.ones((2, 2)), passing), (0, None)),  # one that broadcasting made is summed
    ((passing, lambda *_: 1.0), (1, r"returned a gradient of shape \(\)")),
    ((lambda g, *_: g.astype(np.float32), passing), (0, None)),  # and one of another dtype is cast
]


@pytest.mark.parametrize("way", ["plainly", "between"])
@pytest.mark.parametrize("tracked", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize(("rules", "fault"), RULE_FAULTS)
def test_rules_of_either_place_are_judged(rules, fault, tracked, way):
    rule = Rule(np.hypot, np.hypot, rules)
    x = [Tensor([1.0, 2.0], requires_grad=wanted) for wanted in tracked]

    def run():
        if way == "plainly":
            apply(rule, tuple(x)).backward(np.ones(2))
            return [t.grad for t in x if t.requires_grad]
        wanted = [t for t in x if t.requires_grad]

        def f(*variables):
            given = iter(variables)
            return apply(rule, tuple(next(given) if t.requires_grad else t for t in x))

        return list(mg.vjp(f, *(t.data for t in wanted))[1](np.ones(2)))

    if fault is not None and fault[1] is not None and tracked[fault[0]]:
        with pytest.raises((TypeError, ValueError), match=fault[1]):
            run()
    else:
        for g in run():
            assert (g.shape, g.dtype) == ((2,), np.float64)


# -- Gradients that the sweep takes without a look at their shape and dtype --------------------------------------------


POINTWISE = [rule for rule in RULES.values() if rule.pointwise]
LAYOUTS = {
    "0-d": lambda dtype: np.array(0.5, dtype),
    "empty": lambda dtype: np.empty((0, 2), dtype),
    "row": lambda dtype: np.full((1, 3), 0.5, dtype),
    "transposed": lambda dtype: np.full((2, 3), 0.5, dtype).T,
    "strided": lambda dtype: np.full(6, 0.5, dtype)[::-2],
    "broadcast": lambda dtype: np.broadcast_to(dtype(0.5), (2, 3)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pointwise_rows_keep_shape_and_dtype(layout, dtype):
    x = LAYOUTS[layout](dtype)
    unary = [rule for rule in POINTWISE if rule.function.nin == 1]
    assert len(unary) > 20
    with np.errstate(all="ignore"):  # arccosh has no value here
        for rule in unary:
            y = rule.forward(x)
            g = rule.vjps[0](np.ones(y.shape, dtype)[()], y, x)
            assert (g.shape, g.dtype) == (x.shape, dtype), rule.name


@pytest.mark.parametrize("number", [3, 0.5, -2.0, 0.0, 1e300])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "f",
    [
        lambda x, c: x + c, lambda x, c: c + x, lambda x, c: x - c, lambda x, c: c - x, lambda x, c: x * c,
        lambda x, c: c * x, lambda x, c: x / c, lambda x, c: c / x, lambda x, c: x % c, lambda x, c: c % x,
    ],
)  # fmt: skip
def test_a_number_leaves_a_gradient_its_shape(f, layout, number):
    value = LAYOUTS[layout](np.float64)
    x = Tensor(value, requires_grad=True)
    x.data = value  # not a copy, which would be laid out anew
    with np.errstate(all="ignore"):
        y = f(x, number)
        y.backward(np.ones(y.shape), retain_graph=True)
        plainly, x.grad = x.grad, None
        with mg.debug(finite=False):  # where every gradient is looked at
            y.backward(np.ones(y.shape))
    assert (plainly.shape, plainly.dtype) == (x.shape, np.float64)
    np.testing.assert_array_equal(plainly, x.grad)


def test_rules_of_others_are_always_looked_at():
    kept = RULES[np.tanh]
    try:
        mg.defvjp(np.tanh, lambda g, y, x: np.ones(3))
        with pytest.raises(ValueError, match=r"returned a gradient of shape \(3,\)"):
            np.tanh(leaf(1.0, 2.0)).backward(np.ones(2))
    finally:
        RULES[np.tanh] = kept


FLOATS = st.sampled_from([np.float64, np.float32])


@given(st.integers(0, 9), st.integers(0, 5), FLOATS, FLOATS, st.booleans())
def test_the_gradient_of_a_bias_is_the_sum_of_the_rows(n, m, dtype, others, fortran):
    """Whole numbers add up to the same in any order, so the product with ones must agree to the last bit."""
    bias = Tensor(np.zeros(m), requires_grad=True, dtype=dtype)
    y = np.zeros((n, m), others) + bias
    g = np.arange(n * m, dtype=y.dtype).reshape((n, m), order="F" if fortran else "C")
    y.backward(g)
    np.testing.assert_array_equal(bias.grad, g.sum(axis=0).astype(dtype), strict=True)


def test_rows_of_other_floats_are_added_up_too():
    """Leaves are float64 or float32; between them anything may stand."""
    long = mg.grad(lambda b: np.sum((np.ones((4, 3)) + b * np.longdouble(2)) ** 2))
    np.testing.assert_array_equal(long(np.zeros(3)), np.full(3, 16.0), strict=True)
    half = mg.custom_vjp(lambda g, y, x: g)(lambda x: x.astype(np.float16))
    b = leaf(0.0, 0.0, 0.0, dtype=np.float32)
    (np.zeros((2, 3), np.float16) + half(b)).backward(np.ones((2, 3)))
    np.testing.assert_array_equal(b.grad, np.full(3, 2.0, np.float32), strict=True)


@pytest.mark.parametrize("multiply", [lambda a, b: np.matmul(a, b), lambda a, b: a @ b])
def test_products_that_overflow_are_reported(multiply):
    a, b = leaf([1e308, 1e308]), np.array([[10.0], [1.0]])
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        multiply(a, b)
    bias = leaf(0.0)
    y = np.zeros((2, 1)) + bias
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        y.backward(np.full((2, 1), 1e308))


def test_the_gradient_of_a_bias_of_more_rows_than_ones():
    for n in (4096, 4097, 5000):
        bias = Tensor(np.zeros(2), requires_grad=True)
        (np.zeros((n, 2)) + bias).backward(np.ones((n, 2)))
        np.testing.assert_array_equal(bias.grad, [n, n])


def test_the_inputs_of_a_ufunc_have_numpys_names() -> None:
    assert [p.name for p in parameters_of(np.tanh)] == ["x"]
    assert [p.name for p in parameters_of(np.add)] == ["x1", "x2"]
    if not hasattr(np.add, "__signature__"):
        pytest.skip("before 2.4 NumPy does not tell them")
    for f in vars(np).values():
        if isinstance(f, np.ufunc):
            assert [p.name for p in parameters_of(f)] == list(inspect.signature(f).parameters)[: f.nin]
