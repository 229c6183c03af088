"""Calls are data: a backend of thirty lines, which makes them one by one, computes what the NumPy backend computes."""

import numpy as np
import pytest
from helpers import arrays_of, assert_same, scaled, trainings, with_gradient
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check, tree
from microgradnp.compiler import program
from microgradnp.compiler.backends import Runnable
from microgradnp.compiler.ir import Literal, Value, Variable, View
from microgradnp.compiler.plan import view


def build_one_by_one(calls, plan, trace):
    """A backend that looks every operand up when its call is made."""
    inputs = {}
    variables = {}

    def array(x):
        if x.value.root.kind != "input":
            return plan.array(x)
        return view(x, array(x.base)) if x.base is not None else inputs[id(x)]

    def found(x):
        if isinstance(x, Value | View):
            return array(x)
        if isinstance(x, Variable):
            return variables[id(x.value)]
        return x.array if isinstance(x, Literal) else x

    def run():
        for call in calls:
            if call.idle:
                continue
            with np.errstate(**dict(call.operation.errstate if call.operation else ())):
                result = call.function(*tree.map(found, call.operands), **tree.map(found, call.options))
                if call.put is not None:
                    call.put(found(call.out), result)
            if isinstance(call.out, Variable):
                variables[id(call.out.value)] = result

    def bind(*arrays):
        inputs.update(zip(map(id, trace.inputs), arrays, strict=True))
        return False

    return Runnable(run, bind, "")


@given(check.strategies.programs(kinks=True, dtype=st.sampled_from([np.float64, np.float32])))
def test_a_second_backend_computes_the_same(drawn):
    step = with_gradient(drawn.function)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "build", build_one_by_one)
        compiled = mg.compile(step)
        for factor in (1.0, 0.9, -0.5):
            args = arrays_of(scaled(drawn.args, factor))
            assert_same(compiled(*args), step(*args), args)


@given(trainings(), st.integers(1, 4))
def test_a_second_backend_trains_the_same(training, steps):
    make, data = training
    _, _, eager = make()
    _, _, step = make()
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "build", build_one_by_one)
        compiled = mg.compile(step)
        for _ in range(steps):
            batch = data(rng, 5)
            assert_same(compiled(*batch), eager(*batch))
