"""The audit: what no guard sees is found when the step itself runs in its program's place; what is right stays."""

import itertools
import queue
import sys
import threading
import time
import types
import warnings
from functools import partial

import numpy as np
import pytest
from helpers import (
    arrays_of,
    assert_same,
    scaled,
    small,
    state_of,
    step_of,
    trainings,
    with_gradient,
)
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check, nn, optim
from microgradnp.compiler import audit

X = np.array([4.0])
DUE = [2, 3, 4, 8, 16, 32]


@pytest.fixture
def always(monkeypatch):
    """Every replay from the second on is audited."""
    monkeypatch.setattr(audit, "wait", lambda number: 0)


# -- What no guard sees ------------------------------------------------------------------------------------------------


def clock():
    ticks = itertools.count(1)
    mocked = types.SimpleNamespace()  # a clock that ticks when it is read
    module = types.ModuleType("clock")
    module.now = lambda: float(next(ticks))
    del mocked
    return lambda x: x * module.now()


def iterator():
    numbers = iter([float(k) for k in range(1, 40)])
    return lambda x: x * next(numbers)


def generator():
    numbers = (float(k) for k in itertools.count(1))
    return lambda x: x * next(numbers)


def line():
    numbers = queue.Queue()
    for k in range(1, 40):
        numbers.put(float(k))
    return lambda x: x * numbers.get()


def attribute_of_a_module():
    module = types.ModuleType("settings")
    sys.modules["settings_of_a_test"] = module
    module.rate, module.calls = 1.0, iter(range(1, 40))

    def step(x):
        module.rate = float(next(module.calls))
        return x * module.rate

    return step


def array_of_which_numpy_makes_something():
    table = np.zeros(4096)  # too large to be compared at each replay
    module = types.ModuleType("data")
    module.count = itertools.count(1)

    def step(x):
        return x * (table * 2 + next(module.count)).max()

    return step


def file_like():
    import io

    file = io.StringIO("\n".join(str(float(k)) for k in range(1, 40)))
    return lambda x: x * float(file.readline())


AT_EACH_CALL = (
    clock,
    iterator,
    generator,
    attribute_of_a_module,
    array_of_which_numpy_makes_something,
    file_like,
)


@pytest.mark.parametrize("make", AT_EACH_CALL)
def test_what_changes_at_each_call_is_found_at_the_second(make):
    compiled = mg.compile(make())
    assert compiled(X).item() == 4.0
    with pytest.warns(
        RuntimeWarning, match=r"the result was \[?4\.?\]?; the step gives \[?8\.?\]?.*an iterator"
    ) as seen:
        assert compiled(X).item() == 8.0
    assert seen[0].filename == __file__
    assert [compiled(X).item() for _ in range(3)] == [12.0, 16.0, 20.0]  # and no further warning
    assert "0 programs" in repr(compiled)


def test_a_queue_is_seen_to_get_shorter():
    compiled = mg.compile(line())
    with pytest.warns(RuntimeWarning, match=r"changes numbers\.queue at every call"):
        assert [compiled(X).item() for _ in range(5)] == [4.0, 8.0, 12.0, 16.0, 20.0]


def test_a_real_clock_is_found_at_the_second_call():
    compiled = mg.compile(lambda x: x * time.time())
    compiled(X)
    time.sleep(0.002)  # a millionth of a millionth of the time since 1970
    with pytest.warns(RuntimeWarning, match="a clock"):
        compiled(X)


def settings_of_a_module():
    module = types.ModuleType("settings")
    module.rate = 1.0
    return lambda x: x * module.rate, partial(setattr, module, "rate", 3.0)


def large_table():
    table = np.ones(4096)
    return lambda x: x * (table * 1).max(), partial(table.fill, 3.0)


def read_twice():
    table = np.ones(1)
    return lambda x: x * table[0] * (x * 0 + table)[0], partial(table.fill, np.sqrt(3.0))


@pytest.mark.parametrize("make", [settings_of_a_module, large_table, read_twice])
@pytest.mark.parametrize("calls", [1, 2, 5, 8, 20])
def test_what_changes_later_is_found_at_the_next_audit(make, calls):
    step, change = make()
    compiled = mg.compile(step)
    for _ in range(calls):
        assert compiled(X).item() == 4.0
    change()
    due = next(k for k in DUE if k > calls)
    for _ in range(calls + 1, due):
        compiled(X)
    with pytest.warns(RuntimeWarning, match=rf"At replay {due} .*the step gives \[?12") as seen:
        assert compiled(X).item() == pytest.approx(12.0)
    unseen = range(max(k for k in [1, *DUE] if k <= calls) + 1, due)
    assert (f"replays {unseen.start} to {due - 1} may have repeated" in str(seen[0].message)) == bool(unseen)


def test_a_small_array_that_numpy_reads_is_compared_at_each_replay():
    mask = np.array([1.0, 0.0])
    compiled = mg.compile(lambda x: np.sum(x * (mask * 2)))
    for value in (1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 2.0, 2.0):
        mask[:] = value
        assert compiled(np.ones(2)).item() == 4 * value
    assert "3 programs" in repr(compiled)


def test_an_array_that_numpy_alone_writes_out_of_sight_is_found():
    module = types.ModuleType("running")
    module.mean = np.zeros(1)

    def step(x):
        y = x + module.mean
        module.mean += 1.0
        return y

    compiled = mg.compile(step)
    with pytest.warns(RuntimeWarning, match="runs without being compiled"):
        assert [compiled(X).item() for _ in range(4)] == [4.0, 5.0, 6.0, 7.0]


def test_fit_says_it_too_and_trains_as_without_compiling():
    module = types.ModuleType("schedule")

    def losses(compile):
        module.weights = iter([1.0, 0.5, 0.25, 2.0, 4.0, 1.0, 3.0, 1.0])
        model = nn.Linear(1, 1, rng=0)
        x = np.linspace(0, 1, 5)[:, None]

        def loss(prediction, target):
            return next(module.weights) * np.sum((prediction - target) ** 2)

        return nn.fit(model, x, x, loss=loss, optimizer=optim.GD(model.parameters(), lr=0.1), epochs=6, compile=compile)

    eager = losses(False).losses
    with pytest.warns(RuntimeWarning, match="runs without being compiled from now on"):
        compiled = losses(True).losses
    np.testing.assert_allclose(compiled, eager, rtol=1e-12)


# -- What is right -----------------------------------------------------------------------------------------------------


@given(check.strategies.programs(kinks=True, dtype=st.sampled_from([np.float64, np.float32])))
def test_no_random_program_is_condemned(program):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "wait", lambda number: 0)
        step = with_gradient(program.function)
        compiled = mg.compile(step)
        for factor in (1.0, 0.7, -0.4, 1.0, 0.9):  # a warning is an error
            args = arrays_of(scaled(program.args, factor))
            assert_same(compiled(*args), step(*args), args)
        assert "1 program>" in repr(compiled)


@given(trainings(), st.lists(st.integers(1, 3), min_size=3, max_size=12))
def test_no_training_is_condemned(training, batches):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "wait", lambda number: 0)
        make, data = training
        ours, eager = make(), make()
        compiled = mg.compile(ours[2])
        rng = np.random.default_rng(1)
        for n in batches:
            batch = data(rng, n)
            assert_same(compiled(*batch), eager[2](*batch))
            assert_same(state_of(*ours[:2]), state_of(*eager[:2]))
        assert f"{len(set(batches))} program" in repr(compiled)


class Unguarded(optim.Optimizer):
    """Divides by the size of the gradient, so that a gradient of mere rounding makes a whole step."""

    def apply_single(self, gradient, parameter, state):
        return parameter - self.lr * np.sign(gradient), state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_that_a_step_makes_large_is_no_fault(always, dtype):
    # Both rows of logits may grow alike: the gradient of that is rounding, and its sign a matter of chance.
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(5, 7, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(7, 3, rng=rng, dtype=dtype))
    optimizer = Unguarded(model.parameters(), lr=1e-3)
    compiled = mg.compile(step_of(model, optimizer, nn.losses.cross_entropy))
    x = np.repeat(rng.normal(size=(1, 5)), 33, axis=0).astype(dtype)
    for _ in range(30):  # a warning is an error
        compiled(x, np.arange(33) % 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_classifier_that_is_sure_is_no_fault(always, dtype):
    # Its loss is log(1 + 1e-5): the rounding of the sum, which the last bit of no weight shows.
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(10, 10, rng=rng, dtype=dtype))
    model[0].weight.data += 12 * np.eye(10, dtype=dtype)
    compiled = mg.compile(step_of(model, optim.Adam(model.parameters(), lr=1e-3), nn.losses.cross_entropy))
    for _ in range(20):  # a warning is an error
        labels = rng.permutation(10)[:6]
        compiled(nn.one_hot(labels, 10).astype(dtype), labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", [optim.GD, optim.Adam])
def test_it_makes_no_difference_which_calls_are_audited_nor_where_a_training_pauses(monkeypatch, dtype, method):
    def train(*epochs):
        rng = np.random.default_rng(3)
        layers = nn.Linear(2, 33, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(33, 1, rng=rng, dtype=dtype)
        model = nn.Sequential(*layers)
        x, y = rng.normal(size=(301, 2)).astype(dtype), rng.normal(size=(301, 1)).astype(dtype)
        optimizer = method(model.parameters(), lr=0.05)
        for n in epochs:
            loss = partial(nn.losses.mean_squared_error)  # another one for each fit, which so records anew
            nn.fit(model, x, y, loss=loss, optimizer=optimizer, epochs=n)
        return np.concatenate([p.data.ravel() for p in model.parameters()]).tobytes()

    whole = train(100)
    assert train(40, 60) == whole
    assert train(1, 1, 2, 96) == whole
    monkeypatch.setattr(audit, "wait", lambda number: 0)
    assert train(100) == whole
    monkeypatch.setattr(audit, "wait", lambda number: 1 << 30)
    assert train(100) == whole


def test_random_numbers_go_on_as_without_audits(always):
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    compiled = mg.compile(lambda x: x + mg.draw(rng.standard_normal, 3))
    for _ in range(6):
        np.testing.assert_array_equal(compiled(np.zeros(3)).data, other.standard_normal(3))
        assert rng.bit_generator.state == other.bit_generator.state


def test_compiled_steps_within_a_step_are_part_of_it_in_an_audit_too(always):
    w = mg.Tensor(np.ones(3), requires_grad=True)
    inner = mg.compile(lambda y: np.sum(np.square(y)))  # of a Tensor in a graph: alone it would be refused

    @mg.compile
    def outer(x):
        w.grad = None
        loss = inner(w * x)
        loss.backward()
        return loss

    for k in range(5):
        assert outer(np.full(3, float(k))).item() == 3 * k * k
        np.testing.assert_array_equal(w.grad, 2.0 * k * k * np.ones(3))


def test_leaves_that_the_step_gives_other_arrays_keep_their_own(always):
    w = mg.Tensor(np.ones(3), requires_grad=True)
    array = w.data

    @mg.compile
    def step(x):
        w.grad = None
        np.sum(w * x).backward()
        with mg.no_grad():
            w.__isub__(0.5 * w.grad)

    for k in range(6):
        step(np.ones(3))
        assert w.data is array
        np.testing.assert_array_equal(array, 1 - 0.5 * (k + 1))
    assert "1 program>" in repr(step)


# -- How it goes on ----------------------------------------------------------------------------------------------------


def test_the_step_itself_runs_log_n_times_in_n_calls():
    runs = []
    number = itertools.count(1)
    module = types.ModuleType("log")
    module.note = lambda: runs.append(next(number))

    def step(x):
        module.note()
        return x * 2

    compiled = mg.compile(step)
    ran = []
    for call in range(1, 40):
        before = len(runs)
        compiled(X)
        if len(runs) > before:
            ran.append(call)
    assert ran == [1, *DUE]


def test_an_error_of_the_step_in_an_audit_is_its_own_and_the_next_call_is_audited():
    module = types.ModuleType("trouble")
    module.error = None

    def step(x):
        if module.error is not None:
            raise module.error
        return x * 2

    compiled = mg.compile(step)
    compiled(X)
    module.error = KeyError("on purpose")
    for _ in range(2):
        with pytest.raises(KeyError, match="on purpose"):
            compiled(X)
    module.error = None
    assert compiled(X).item() == 8.0
    assert "1 program>" in repr(compiled)


def test_an_error_in_an_audit_leaves_what_the_step_left(always):
    def make():
        model, optimizer, step, batch = small()
        fail = iter([False, False, True, False, False])
        module = types.ModuleType("trouble")
        module.fail = lambda: next(fail)

        def failing(x, y):
            loss = step(x, y)
            if module.fail():
                raise KeyError("on purpose")
            return loss

        return model, optimizer, failing, batch

    ours, eager = make(), make()
    compiled = mg.compile(ours[2])
    for k in range(5):
        if k == 2:
            for run in (compiled, eager[2]):
                with pytest.raises(KeyError, match="on purpose"):
                    run(*ours[3])
        else:
            assert_same(compiled(*ours[3]), eager[2](*eager[3]))
        assert_same(state_of(*ours[:2]), state_of(*eager[:2]))


def test_a_program_that_is_wrong_is_found():
    compiled = mg.compile(lambda x: np.sin(x * np.array([2.0, 3.0])))
    compiled(np.ones(2))
    factors = next(v for v in compiled.program.trace.values() if v.kind in ("bound", "constant"))
    factors.array[1] += 1e-12  # far beyond rounding
    with pytest.warns(RuntimeWarning, match="the result was"):
        np.testing.assert_array_equal(compiled(np.ones(2)).data, np.sin([2.0, 3.0]))


def test_warnings_of_an_audit_are_those_of_the_step(always):
    compiled = mg.compile(lambda x: 1 / x)
    for _ in range(3):
        compiled(np.ones(2))
    with pytest.warns(RuntimeWarning, match="divide by zero") as seen:
        compiled(np.array([0.0, 1.0]))
    assert len(seen) == 1
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        compiled(np.array([0.0, 1.0]))


def test_threads_take_turns_in_audits_too(always):
    w = mg.Tensor(np.zeros(()), requires_grad=True)

    def step(x):
        w.grad = None
        (w * x).backward()
        w.data += w.grad

    compiled = mg.compile(step)
    failures = []

    def work():
        try:
            with warnings.catch_warnings():
                for _ in range(100):
                    compiled(np.ones(()))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    assert w.data == 400.0
