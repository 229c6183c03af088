"""The backward sweep: right on any graph, adding up, sharing nothing, and honest about what is freed."""

import contextlib
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp import Tensor
from microgradnp.engine.rules import RULES, Rule, parameters_of
from microgradnp.engine.tensor import _PLAIN, _state, apply


def leaf(*values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


# -- Any graph --------------------------------------------------------------------------------------------------------


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


# -- Adding up --------------------------------------------------------------------------------------------------------


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


# -- Nothing shared ---------------------------------------------------------------------------------------------------

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


# -- Freed and retained -----------------------------------------------------------------------------------------------


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
    assert _state() is _PLAIN


# -- no_grad ----------------------------------------------------------------------------------------------------------


def test_no_grad_is_a_context_and_a_decorator_and_nests():
    x = leaf(1.0)

    @mg.no_grad()
    def frozen(v):
        return v * 2.0

    assert not frozen(x).requires_grad
    with mg.no_grad():
        with mg.no_grad():
            assert not (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
        assert leaf(1.0).requires_grad
    assert (x * 2.0).requires_grad
    assert _state() is _PLAIN


@pytest.mark.parametrize("scope", [mg.no_grad, mg.debug])
def test_what_pauses_cannot_be_decorated(scope):
    """The context would be over before the function has run, and nothing would be said."""

    def generator():
        yield

    async def task():
        pass

    async def both():
        yield

    for function in (generator, task, both):
        with pytest.raises(TypeError, match=rf"{function.__name__} pauses.*'with"):
            scope()(function)


def test_a_decorated_function_may_call_itself_and_run_in_threads():
    x = leaf(2.0)

    @mg.no_grad()
    def down(n):
        return [x * 1.0, *down(n - 1)] if n else []

    with ThreadPoolExecutor(4) as pool:
        results = [t for part in pool.map(down, [5] * 20) for t in part]
    assert len(results) == 100
    assert not any(t.requires_grad for t in results)
    assert (x * 1.0).requires_grad


def test_no_grad_ends_with_an_exception():
    x = leaf(1.0)
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert (x * 2.0).requires_grad


def test_what_no_grad_computed_is_a_constant_later():
    x = leaf(3.0)
    with mg.no_grad():
        square = x * x
    (square * x).backward(np.ones(1))
    np.testing.assert_array_equal(x.grad, [9.0])


def test_backward_itself_needs_no_recording():
    x = leaf(3.0)
    y = x * x
    with mg.no_grad():
        y.backward(np.ones(1))
    np.testing.assert_array_equal(x.grad, [6.0])


def test_a_graph_may_be_swept_in_another_thread():
    x = leaf(3.0)
    y = np.sum(x * x)
    thread = threading.Thread(target=y.backward)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(x.grad, [6.0])


# -- A Tensor that gets a new value between forward and backward


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


def test_a_changed_constant_is_noticed():
    w, c = leaf(3.0, 4.0), Tensor([1.0, 2.0])
    y = np.sum(w * c)
    c[0] = 9.0
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


# -- Nodes of one input and of two, which the sweep serves without a loop ----------------------------------------------


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
@pytest.mark.parametrize("kinds", ["both tracked", "the other constant", "it is constant"])
@pytest.mark.parametrize("way", ["plainly", "retained", "in debug mode"])
def test_a_changed_input_is_noticed_in_either_place(place, kinds, way):
    pair = [leaf(1.0, 2.0), leaf(3.0, 4.0)]
    if kinds != "both tracked":
        pair[place if kinds == "it is constant" else 1 - place].requires_grad = False
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


# -- Gradients that the sweep takes without a look at their shape and dtype

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


# -- A leaf whose requires_grad changes between forward and backward


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


def test_the_inputs_of_a_ufunc_have_numpys_names() -> None:
    assert [p.name for p in parameters_of(np.tanh)] == ["x"]
    assert [p.name for p in parameters_of(np.add)] == ["x1", "x2"]
    if not hasattr(np.add, "__signature__"):
        pytest.skip("before 2.4 NumPy does not tell them")
    for f in vars(np).values():
        if isinstance(f, np.ufunc):
            assert [p.name for p in parameters_of(f)] == list(inspect.signature(f).parameters)[: f.nin]
