"""`verify`, which every program that a test compiles must pass: a program that was broken on purpose does not."""

import operator

import numpy as np
import pytest
from helpers import small, with_gradient
from hypothesis import assume, given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.compiler.ir import Value
from microgradnp.compiler.lower import lower
from microgradnp.compiler.plan import Plan
from microgradnp.compiler.verify import ProgramError, verify

programs = check.strategies.programs(kinks=True, dtype=st.sampled_from([np.float64, np.float32]))


def traced(step, *args):
    """The trace of a step that was called twice: a training has its gradients by then."""
    compiled = mg.compile(step)
    for _ in range(2):
        compiled(*args)
    return compiled.program.trace


def training():
    """The trace of a small training with Adam."""
    _, _, step, batch = small()
    return traced(step, *batch)


def assert_refused(trace, plan, calls, match=None):
    with pytest.raises(ProgramError, match=match):
        verify(trace, plan, calls)


@given(programs, st.data())
def test_no_operation_can_be_left_out(program, data):
    trace = traced(with_gradient(program.function), *program.args)
    plan = Plan(trace)
    calls = lower(trace, plan)
    computed = [
        c.operation
        for c in calls
        if c.operation and not c.idle and c.operation.result and c.operation.result.array.size
    ]
    assume(computed)
    left_out = data.draw(st.sampled_from(computed))
    calls = [c for c in calls if c.operation is not left_out and not (c.operation is None and c.out is left_out.result)]
    assert_refused(trace, plan, calls)


@given(programs, st.data())
def test_no_two_values_that_are_needed_share_a_place(program, data):
    trace = traced(with_gradient(program.function), *program.args)
    plan = Plan(trace)
    pairs = [
        (old.result, new.result)
        for i, new in enumerate(plan.steps)
        for old in plan.steps[:i]
        if old.result is not None and new.result is not None
        if any(old.result is v for later in plan.steps[i + 1 :] for v in later.reads)  # all of it, not of a view
        if old.result in plan.start and new.result in plan.start
        if isinstance(new.function, np.ufunc)  # a copy may share the place of what it is a copy of
        if old.result.shape and new.result.shape  # a number may live in a variable
        if 0 < new.result.array.nbytes <= old.result.array.nbytes
    ]
    assume(pairs)
    old, new = data.draw(st.sampled_from(pairs))
    plan.start[new] = plan.start[old]
    assert_refused(trace, plan, lower(trace, plan))


def test_two_gradients_in_one_place():
    w, v = (mg.Tensor(np.ones(3), requires_grad=True) for _ in range(2))

    def step(x):
        w.grad = v.grad = None
        np.sum((w + v) * x).backward()

    trace = traced(step, np.ones(3))
    plan = Plan(trace)
    first, second = trace.gradients.values()
    plan.start[second] = plan.start[first]
    assert_refused(trace, plan, lower(trace, plan))


def test_calls_in_another_order():
    trace = training()
    plan = Plan(trace)
    assert_refused(trace, plan, lower(trace, plan)[::-1])


def test_a_product_over_its_own_factor():
    w = mg.Tensor(np.eye(3), requires_grad=True)
    trace = traced(lambda x: np.tanh(np.exp(x) @ w), np.ones((3, 3)))
    plan = Plan(trace)
    product = next(o for o in plan.steps if o.function is np.matmul)
    plan.start[product.result] = plan.start[product.arguments[0]]
    assert_refused(trace, plan, lower(trace, plan), match="writes over t1, which it reads")


def test_a_choice_over_what_is_chosen_last():
    trace = traced(lambda x, y: np.where(x > 0, np.exp(y), np.exp(x)) * 2, np.ones(3), np.ones(3))
    plan = Plan(trace)
    choice = next(o for o in plan.steps if o.function is np.where)
    plan.start[choice.result] = plan.start[choice.arguments[1]]
    assert_refused(trace, plan, lower(trace, plan), match="its memory holds something else")


def test_an_array_written_before_its_old_content_is_read():
    w = mg.Tensor(np.ones(3), requires_grad=True, name="w")

    def step(x):
        twice = w.detach() * x
        y = np.sum(np.exp(twice) * w.detach())
        np.positive(twice, out=w.data)
        return y

    trace = traced(step, np.ones(3))
    plan = Plan(trace)
    write = next(o for o in plan.steps if o.result is None)
    target, source = write.arguments
    assert source.root not in plan.home
    plan.home[source.root] = target, 0
    assert_refused(trace, plan, lower(trace, plan), match="reads w, but its memory holds something else")


def test_a_piece_in_the_wrong_part_of_the_whole():
    trace = training()
    plan = Plan(trace)
    inside = [root for root, (whole, _) in plan.home.items() if whole.kind == "result"]
    first, last = inside[0], inside[-1]
    plan.home[first], plan.home[last] = plan.home[last], plan.home[first]
    assert_refused(trace, plan, lower(trace, plan))


def test_a_copy_that_is_taken_for_one_onto_itself():
    trace = traced(lambda x: np.concatenate([np.exp(x), x[::-1]]) * 2, np.ones(3))
    plan = Plan(trace)
    calls = lower(trace, plan)
    copy = next(c for c in calls if c.function is np.copyto and not c.idle)
    copy.idle = True
    assert_refused(trace, plan, calls)


def test_a_variable_that_is_not_set():
    trace = training()
    plan = Plan(trace)
    calls = lower(trace, plan)
    loads = [c for c in calls if c.function is operator.getitem]
    assert loads
    for left_out in loads:
        assert_refused(trace, plan, [c for c in calls if c is not left_out], match="reads the variable")


def test_a_variable_whose_array_was_written_since():
    w = mg.Tensor(1.0, requires_grad=True, name="w")

    def step(x):
        y = w.detach() * 2.0
        np.positive(x, out=w.data)
        return y

    trace = traced(step, np.array(3.0))
    plan = Plan(trace)
    calls = lower(trace, plan)
    write = next(c for c in calls if type(c.out) is Value and c.out.kind == "bound")
    calls.remove(write)
    calls.insert(1, write)  # after the number was read into a variable, before that is used
    assert_refused(trace, plan, calls, match="reads the variable w, which is not set, or no longer holds")
