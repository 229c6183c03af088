"""A compiled training changes parameters, gradients and the optimizer's state as the step itself does."""

import copy

import numpy as np
import pytest
from helpers import FRESH, assert_same, run_alike, small, state_of, step_of, trainings
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim


@given(trainings(), st.lists(st.integers(1, 5), min_size=2, max_size=8))
def test_training_is_what_it_is_eagerly(training, batches):
    make, data = training
    ours, eager = make(), make()
    compiled = mg.compile(ours[2])
    rng = np.random.default_rng(1)
    for i, n in enumerate(batches):  # fresh data at each replay, changed batch sizes
        batch = data(rng, n)
        if i == 2:
            ours[1].lr = eager[1].lr = 0.02
        assert_same(compiled(*batch), eager[2](*batch))
        assert_same(state_of(*ours[:2]), state_of(*eager[:2]))


@given(trainings(), st.lists(st.sampled_from("ABC"), min_size=3, max_size=10))
def test_steps_take_turns(training, order):
    make, data = training
    ours, eager = make(), make()
    other = optim.GD(ours[0].parameters(), lr=0.1), optim.GD(eager[0].parameters(), lr=0.1)
    del other  # an optimizer that has taken the parameters into its own buffer must not disturb the first one's steps
    steps = {
        "A": (mg.compile(ours[2]), eager[2]),
        "B": (
            mg.compile(step_of(*ours[:2], lambda p, t: np.sum(p * p))),
            step_of(*eager[:2], lambda p, t: np.sum(p * p)),
        ),
        "C": (ours[2], eager[2]),  # now and then a step that is not compiled
    }
    rng = np.random.default_rng(1)
    for name in order:
        batch = data(rng, 3)
        assert_same(steps[name][0](*batch), steps[name][1](*batch))
        assert_same(state_of(*ours[:2]), state_of(*eager[:2]))


def test_gradients_add_up_over_calls_as_they_do_eagerly():
    def make():
        model, _, _, batch = small()

        def step(x, y):
            value = nn.losses.mean_squared_error(model(x), y)
            value.backward()
            return value

        return model, step, batch

    (ours, step, batch), (eager, eager_step, _) = make(), make()
    compiled = mg.compile(step)
    for i in range(7):
        assert_same(compiled(*batch), eager_step(*batch))
        assert_same([p.grad for p in ours.parameters()], [p.grad for p in eager.parameters()])
        if i == 4:
            for p in (*ours.parameters(), *eager.parameters()):
                p.grad = None


def test_zero_grad_after_forward():
    def make():
        model, optimizer, _, batch = small()

        def step(x, y):
            value = nn.losses.mean_squared_error(model(x), y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            return value

        return model, optimizer, step, batch

    ours, eager = make(), make()
    compiled = mg.compile(ours[2])
    for _ in range(5):
        assert_same(compiled(*ours[3]), eager[2](*eager[3]))
        assert_same(state_of(*ours[:2]), state_of(*eager[:2]))


@pytest.mark.parametrize("before", [False, True])
def test_a_training_is_recorded_once(before):
    model, _, step, batch = small()
    if before:  # gradients that stand there already
        nn.losses.mean_squared_error(model(batch[0]), batch[1]).backward()
    compiled = mg.compile(step)
    for k in range(5):
        if k == 3:
            for p in model.parameters():
                p.grad = None
        compiled(*batch)
    assert "1 program>" in repr(compiled)


@pytest.mark.parametrize("update", ["in_place", "through_data", "assigned"])
def test_updates_written_by_hand(update):
    def make():
        model, _, _, batch = small()

        def step(x, y):
            for p in model.parameters():
                p.grad = None
            value = nn.losses.mean_squared_error(model(x), y)
            value.backward()
            for p in model.parameters():
                if update == "in_place":
                    with mg.no_grad():
                        p -= 0.1 * p.grad
                elif update == "through_data":
                    p.data -= 0.1 * p.grad
                else:
                    p.data = p.data - 0.1 * p.grad
            return value

        return model, step, batch

    (ours, step, batch), (eager, eager_step, _) = make(), make()
    compiled = mg.compile(step)
    if update == "assigned":  # would take the parameters' arrays from the program at every call
        with pytest.raises(TypeError, match="recorded"):
            compiled(*batch)
        return
    for _ in range(5):
        assert_same(compiled(*batch), eager_step(*batch))
        assert_same([p.data for p in ours.parameters()], [p.data for p in eager.parameters()])


def clip_by_norm(w, b):
    factor = np.minimum(1.0, 1 / np.sqrt(np.sum(w.grad**2) + b.grad**2))
    for p in (w, b):
        p.grad *= factor


def through_two_names(w, b):
    g = w.grad
    h = g
    h += 1.0
    w.grad = g * 1


def in_parts(w, b):
    w.grad[1] = 0.0
    for i in range(3):
        w.grad[i] *= 0.5 * i


def if_there(w, b):
    if b.grad is not None:
        b.grad *= 2


WRITES = {
    "clipped by their norm": clip_by_norm,
    "through two names": through_two_names,
    "in parts": in_parts,
    "if there is one": if_there,
    "out": lambda w, b: np.clip(w.grad, -1, 1, out=w.grad),
    "of another": lambda w, b: setattr(w, "grad", w.grad + b.grad),
    "reversed": lambda w, b: setattr(w, "grad", w.grad[::-1] * 1.0),
    "made by NumPy": lambda w, b: setattr(w, "grad", np.ones(3)),
    "like the data": lambda w, b: setattr(w, "grad", np.zeros_like(w.data)),
}


@pytest.mark.parametrize("cleared", [True, False])
@pytest.mark.parametrize("how", WRITES)
def test_gradients_written_in_the_step(how, cleared):
    def make():
        w, b = (mg.Tensor(values, requires_grad=True) for values in ([1.0, -2.0, 3.0], 0.5))

        def step(x):
            if cleared:
                w.grad = b.grad = None
            loss = np.sum((w * x + b) ** 2)
            loss.backward()
            WRITES[how](w, b)
            w.data -= 0.01 * w.grad
            b.data -= 0.01 * b.grad
            return loss

        return step, [w, b]

    compiled = run_alike(make, *FRESH, *FRESH)
    assert f"{1 if cleared else 2} program" in repr(compiled)


@pytest.mark.filterwarnings("ignore:.*recorded anew at each:RuntimeWarning")
def test_an_optimizers_step_alone():
    def make():
        w = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
        return w, optim.Adam([w], lr=0.1)

    (mine, ours), (theirs, eager) = make(), make()
    step = mg.compile(ours.step)
    for k in range(10):
        for w, optimizer in ((mine, ours), (theirs, eager)):
            if k % 2:
                optimizer.zero_grad()
            np.sum(w * (k - 4.0)).backward()
        step()
        eager.step()
        assert_same(mine.data, theirs.data)


def test_a_thousand_layers():
    rng = np.random.default_rng(0)

    def make():
        model = nn.Sequential(*(nn.Linear(2, 2, rng=copy.deepcopy(rng)) for _ in range(1000)))
        return model, optim.GD(model.parameters(), lr=1e-3)

    x, y = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    ours, eager = make(), make()
    compiled = mg.compile(step_of(*ours, nn.losses.mean_squared_error))
    step = step_of(*eager, nn.losses.mean_squared_error)
    for _ in range(3):
        assert_same(compiled(x, y), step(x, y))
    assert_same([p.data for p in ours[0].parameters()], [p.data for p in eager[0].parameters()])


# -- Gradients from before the step ------------------------------------------------------------------------------------


def halve(w):
    w.grad = w.grad * 0.5


def halve_in_place(w):
    w.grad *= 0.5


def halve_through_a_name(w):
    g = w.grad
    g *= 0.5


def add_the_value(w):
    w.grad += w.data


def clear(w):
    w.grad = None


def halve_and_clear(w):
    halve(w)
    clear(w)


def read_before_the_sum(w):
    g = w.grad
    np.sum(w * w).backward()
    w.grad = g * 0.5  # of the sum: backward adds to the array that g is


def follow(w):
    w.data -= 0.5 * w.grad


TREATMENTS = (
    halve,
    halve_in_place,
    halve_through_a_name,
    add_the_value,
    clear,
    halve_and_clear,
    read_before_the_sum,
    follow,
)


@pytest.mark.filterwarnings("ignore:.*recorded anew at each:RuntimeWarning")
@pytest.mark.parametrize("treatment", TREATMENTS)
@pytest.mark.parametrize("backward", [False, True])
def test_a_gradient_from_before_the_step_is_read_anew(treatment, backward):
    # backward() runs outside the step, or in it; the gradient may be the array of the call before, another one, or None
    def make():
        w = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)

        def step(x):
            y = np.sum(w * x)
            if backward:
                y.backward()
            treatment(w)
            return y

        return w, step

    (mine, step), (theirs, eager) = make(), make()
    compiled = mg.compile(step)
    for k in range(9):
        for w in (mine, theirs):
            if k % 3 == 0 or w.grad is None:
                w.grad = np.full(3, 1.0 + k)
            if k % 4 == 0:
                np.sum(w * w).backward()
        x = np.arange(3.0) + k
        assert_same(compiled(x), eager(mg.Tensor(x)))
        assert_same(mine.data, theirs.data)
        assert (mine.grad is None) == (theirs.grad is None)
        if mine.grad is not None:
            assert_same(mine.grad, theirs.grad)


def test_gradients_are_cleared_that_were_not_there_when_the_step_was_recorded():
    w = mg.Tensor(np.ones(3), requires_grad=True)

    def step(x):
        w.grad = None
        return np.sum(w * x)

    compiled = mg.compile(step)
    for k in range(4):
        compiled(np.ones(3))
        assert w.grad is None
        if k > 1:
            np.sum(w).backward()
