"""Large graphs: cost in proportion to their size, memory given back as soon as it can be.

Nothing here reads a clock. Work is counted in calls of a rule, memory in objects and weak references; what is not
linear is caught by a size at which anything worse would not end within the test's time limit.
"""

import contextlib
import gc
import sys
import weakref
from collections import Counter

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import Tensor, nn

CALLS = Counter()


def counted(g, y, x):
    CALLS["rule"] += 1
    return g


@mg.custom_vjp(counted)
def step(x):
    return x * 1.0


@pytest.fixture(autouse=True)
def fresh_counter():
    CALLS.clear()


@pytest.fixture
def no_collector():
    """Only reference counting frees memory; cycles would stay and be counted."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def leaf(value=1.0):
    return Tensor(value, requires_grad=True)


# -- Linear cost --------------------------------------------------------------------------------------------------

SIZES = [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("n", SIZES)
def test_a_long_chain(n):
    x = leaf()
    y = x
    for _ in range(n):
        y = step(y)
    y.backward()
    assert x.grad == 1.0
    assert CALLS["rule"] == n


@pytest.mark.parametrize("n", SIZES)
def test_a_sum_of_many_uses_of_one_leaf(n):
    x = leaf(0.5)
    total = sum(step(x) for _ in range(n))
    total.backward()
    assert x.grad == n
    assert CALLS["rule"] == n


@pytest.mark.parametrize("n", SIZES)
def test_one_operation_of_many_inputs(n):
    x = leaf(0.5)
    np.sum(np.stack([step(x) for _ in range(n)])).backward()
    assert x.grad == n
    assert CALLS["rule"] == n


@pytest.mark.parametrize("n", SIZES)
def test_one_node_used_by_many(n):
    x = leaf(0.5)
    shared = step(x)
    sum(shared * 1.0 for _ in range(n)).backward()
    assert x.grad == n
    assert CALLS["rule"] == 1


def test_sixty_doublings_are_sixty_steps_not_two_to_the_sixtieth():
    x = leaf()
    y = x
    for _ in range(60):
        y = step(y)
        y = y + y
    y.backward(retain_graph=True)
    assert x.grad == 2.0**60
    assert CALLS["rule"] == 60
    assert mg.grad(lambda x: _doubled(x, 60))(1.0) == 2.0**60
    assert CALLS["rule"] == 120


def _doubled(x, times):
    for _ in range(times):
        x = step(x)
        x = x + x
    return x


def test_a_lattice_of_paths_is_swept_once_a_node():
    """Two interleaved chains, each step reading both: 3**n paths, 2 n nodes."""
    x = leaf()
    a, b = x, x * 0.0
    for _ in range(40):
        a, b = step(a + b), step(a - 0.5 * b)
    (a + b).backward()
    assert CALLS["rule"] <= 80
    assert np.isfinite(x.grad)


def test_second_order_of_a_chain_stays_linear():
    def f(x):
        for _ in range(500):
            x = np.sin(x)
        return x

    created = []
    for length in (1, 2):
        before = leaf()._order
        mg.grad(mg.grad(f if length == 1 else lambda x: f(f(x))))(0.3)
        created.append(before - leaf()._order)
    assert created[1] < 2.1 * created[0]


# -- Deep graphs that go away ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("collected", [True, False])
def test_a_deep_graph_is_dropped_without_backward(n, collected):
    """Freeing a chain frees its inputs, and theirs: a million deep, with no recursion that could overflow the stack."""
    x = leaf()
    y = x
    for _ in range(n):
        y = y + 1.0
    ghost = weakref.ref(y)
    del y
    if collected:
        gc.collect()
    assert ghost() is None
    assert x.grad is None


def test_an_abandoned_sweep_lets_go():
    x = leaf()

    @mg.custom_vjp(lambda g, y, x: None)
    def broken(x):
        return x * 1.0

    y = broken(x)
    for _ in range(1000):
        y = y * 1.0
    with pytest.raises(TypeError, match="returned None"):
        y.backward()
    ghost = weakref.ref(y)
    del y
    assert ghost() is None


# -- Memory is given back -------------------------------------------------------------------------------------------


def test_intermediates_die_as_backward_passes_them(no_collector):
    """Each rule sees that everything younger than its node is already gone."""
    nodes = []
    alive = []

    @mg.custom_vjp(lambda g, y, x: (alive.append(sum(ghost() is not None for ghost in nodes)), g)[1])
    def watched(x):
        return x * 1.0

    x = leaf(np.ones(3))
    y = x
    for _ in range(10):
        y = watched(y)
        nodes.append(weakref.ref(y))
    y = np.sum(y)
    y.backward()
    assert alive == list(range(10, 0, -1))


def test_a_retained_graph_stays(no_collector):
    x = leaf(np.ones(3))
    y = np.exp(x)
    ghost = weakref.ref(y)
    loss = np.sum(y)
    del y
    loss.backward(retain_graph=True)
    assert ghost() is not None
    loss.backward()
    assert ghost() is None
    np.testing.assert_allclose(x.grad, 2 * np.e)


def train_step(w, v, x, y):
    loss = np.sum((np.tanh(x @ w) @ v - y) ** 2)
    loss.backward()
    with mg.no_grad():
        for p in (w, v):
            p -= 0.01 * p.grad
            p.grad = None
    return loss.item()


def transform_step(w, v, x, y):
    mg.value_and_grad(lambda w, v: np.sum((np.tanh(x @ w) @ v - y) ** 2), (0, 1))(w.data, v.data)


def second_order_step(w, v, x, y):
    mg.hvp(lambda w: np.sum(np.tanh(x @ w) ** 2), (w.data,), (w.data,))


def jacobian_step(w, v, x, y):
    mg.jacobian(lambda v: np.tanh(x[:3] @ w.data) @ v)(v.data)


def watched_step(w, v, x, y):
    with mg.debug():
        train_step(w, v, x, y)


def failing_step(w, v, x, y):
    with contextlib.suppress(RuntimeError):
        (x @ w).backward()


@pytest.mark.parametrize(
    "one_step", [train_step, transform_step, second_order_step, jacobian_step, watched_step, failing_step]
)
def test_a_thousand_steps_leave_no_garbage_and_no_growth(no_collector, one_step):
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((40, 1)), generator.standard_normal((40, 1))
    w, v = leaf(generator.standard_normal((1, 8))), leaf(generator.standard_normal((8, 1)))
    assert_a_thousand_leave_nothing(lambda: one_step(w, v, x, y))


def assert_a_thousand_leave_nothing(one_step):
    """Nothing for the collector to find, and no object more than before.

    Collecting empties Python's free lists; its other caches fill in the first rounds, while a leak grows in every one.
    """
    growth = []
    for _ in range(3):
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(1000):
            one_step()
        garbage = gc.collect()
        growth.append(sys.getallocatedblocks() - before)
        if growth[-1] < 100:
            break
    assert garbage == 0
    assert growth[-1] < 100


def test_a_thousand_steps_of_a_layered_network_leave_nothing(no_collector):
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
    x = np.linspace(-1, 1, 20)[:, None]

    def one_step():
        optimizer.zero_grad()
        loss = np.mean((model(x) - x * x) ** 2)
        loss.backward()
        optimizer.step()

    assert_a_thousand_leave_nothing(one_step)


def test_debug_mode_keeps_no_arrays():
    x = leaf(np.ones(1000))
    with mg.debug():
        y = np.exp(x)
        ghost = weakref.ref(y)
        np.sum(y).backward()
        del y
    assert ghost() is None


# At module level, under the name of a method that it calls: as a user writes it.
_model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
_optimizer = nn.optim.Adam(_model.parameters(), lr=0.01)


@mg.compile
def backward(x):
    _optimizer.zero_grad()
    loss = np.mean((_model(x) - x * x) ** 2)
    loss.backward()
    _optimizer.step()
    return loss


def test_a_thousand_compiled_steps_leave_nothing(no_collector):
    x = np.linspace(-1, 1, 20)[:, None]
    assert_a_thousand_leave_nothing(lambda: backward(x))
