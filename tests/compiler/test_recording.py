"""What recording refuses, and what a call leaves behind that fails, nests, warns or runs in a thread."""

import threading
import warnings

import numpy as np
import pytest
from helpers import assert_same, small

import microgradnp as mg
from microgradnp.compiler import RecordingError


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda x: x * 2 if np.sum(x) > 0 else x, "np.where"),
        (lambda x: float(np.sum(x)), "float"),
        (lambda x: np.sum(x).item(), "item"),
        (lambda x: x[x > 0], "index"),
        (lambda x: np.nonzero(x)[0], "shape of its result depends on values"),
        (lambda x: np.asarray(x), "recorded"),
        (lambda x: (x * 2).data, "data"),
        (lambda x: np.max(x.data), "data"),
        (lambda x: [v for v in x if v > 0], "bool"),
        (lambda x: x * np.random.rand(), "draw"),  # noqa: NPY002
    ],
)
def test_what_a_replay_could_not_repeat_is_refused(step, words):
    with pytest.raises(TypeError, match=words):
        mg.compile(step)(np.arange(1.0, 4.0))


def test_a_generator_drawn_from_directly_is_noticed():
    rng = np.random.default_rng(0)
    with pytest.raises(RecordingError, match=r"microgradnp\.draw"):
        mg.compile(lambda x: x + rng.standard_normal(3))(np.zeros(3))
    drawn = mg.compile(lambda x: x + rng.normal(size=3) + mg.draw(rng.standard_normal, 3))
    with pytest.raises(RecordingError, match=r"microgradnp\.draw"):
        drawn(np.zeros(3))


# -- Calls that fail, and calls within others --------------------------------------------------------------------------


def test_a_failed_recording_leaves_no_trace():
    ours, eager = small(), small()
    fail = [True]

    def step(x, y):
        value = ours[2](x, y)
        if fail[0]:
            raise KeyError("on purpose")
        return value

    compiled = mg.compile(step)
    with pytest.raises(KeyError, match="on purpose"):
        compiled(*ours[3])
    assert all(p.grad is None or type(p.grad) is np.ndarray for p in ours[0].parameters())
    fail[0] = False
    eager[2](*eager[3])  # the failed step had changed the parameters before it failed, as it does eagerly
    for _ in range(3):
        assert_same(compiled(*ours[3]), eager[2](*eager[3]))


def test_an_exception_during_a_replay_leaves_the_program_usable():
    ours, eager = small(), small()
    compiled = mg.compile(ours[2])
    x, y = ours[3]
    for _ in range(2):
        assert_same(compiled(x, y), eager[2](x, y))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        compiled(x, y * 1e300)
    ours[0].load_state_dict(eager[0].state_dict())
    ours[1].load_state_dict(eager[1].state_dict())
    for _ in range(2):
        assert_same(compiled(x, y), eager[2](x, y))


def test_a_step_within_a_step_becomes_part_of_it():
    inner = mg.compile(lambda x: np.tanh(x) * 2)
    outer = mg.compile(lambda x: np.sum(inner(x) * x))
    for x in (np.ones(3), np.arange(3.0)):
        assert_same(outer(x), np.sum(np.tanh(x) * 2 * x))


def test_debug_mode_runs_the_step_itself():
    compiled = mg.compile(lambda x: np.log(x))
    compiled(np.ones(2))
    with mg.debug(), pytest.raises(FloatingPointError, match=r"np\.log"), np.errstate(all="ignore"):
        compiled(mg.Tensor([0.0, 1.0]))


def test_warnings_are_those_of_the_step():
    def sigmoid(x):
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-x))

    quiet, loud = mg.compile(sigmoid), mg.compile(lambda x: 1 / (1 + np.exp(-x)))
    for compiled in (quiet, loud):
        compiled(np.zeros(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(quiet(np.array([-1000.0, 0.0])), np.array([0.0, 0.5]))
        with pytest.raises(RuntimeWarning, match="overflow"):
            loud(np.array([-1000.0, 0.0]))


def test_a_step_that_is_not_compiled_is_given_tensors_all_the_same():
    log = {"calls": 0}

    def step(x, parts):
        log["calls"] += 1
        return x.detach() * 2 + parts[0].detach()

    compiled = mg.compile(step)
    x = np.ones(3)
    assert_same(compiled(x, (x,)), x * 3)
    with pytest.warns(RuntimeWarning, match="without being compiled"):
        compiled(x, (x,))
    assert_same(compiled(x, (x,)), x * 3)
    with mg.debug():
        assert_same(mg.compile(lambda x: x.detach() * 2)(np.ones(2)), np.full(2, 2.0))


def test_threads_take_turns():
    compiled = mg.compile(lambda x: np.sum(np.tanh(x @ x.T)))
    data = [np.random.default_rng(i).normal(size=(n, n)) for i, n in enumerate([3, 20, 3, 20])]
    wanted = [np.sum(np.tanh(x @ x.T)) for x in data]
    failures = []

    def work(x, want):
        try:
            for _ in range(200):
                assert_same(compiled(x), np.float64(want))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(data, wanted, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
