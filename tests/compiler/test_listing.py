"""`step.program`: what it prints is what is called, and `to_numpy` writes the same as a plain NumPy function."""

import ast
import copy
import re

import numpy as np
import pytest
from helpers import BY_VALUE, arrays_of, assert_same, scaled, small, step_of, trainings, with_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import RECIPES

import microgradnp as mg
from microgradnp import check, nn, optim, tree


def written(compiled):
    """The function that `to_numpy` writes, and copies of what it takes besides the step's arguments."""
    program = compiled.program
    source = program.to_numpy()
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [alias.name for node in imports for alias in node.names] == ["numpy"]
    space = {}
    exec(source, space)
    return space[program.name], {name: copy.deepcopy(x) if not callable(x) else x for name, x in program.bound.items()}


def inputs(args):
    """The arrays among a step's arguments, flattened, as the written function takes them."""
    return [a for a in tree.leaves(args) if isinstance(a, np.ndarray)]


@pytest.mark.parametrize("function", RECIPES, ids=lambda f: getattr(f, "__name__", str(f)))
def test_every_function_can_be_written(function):
    # Hundreds of rows share the time of a test file: an example each, forty in the thorough profile.
    @settings(max_examples=max(1, settings.default.max_examples // 25))
    @given(st.data())
    def rows(data):
        case = data.draw(st.one_of(RECIPES[function]))
        step = with_gradient(case.f)
        compiled = mg.compile(step)
        with np.errstate(all="ignore"):
            args = arrays_of(case.args)
            try:
                compiled(*args)
            except TypeError:
                assert function.__name__ in BY_VALUE
                return
            f, bound = written(compiled)
            for factor in (1.0, 0.9):
                args = arrays_of(scaled(case.args, factor))
                assert_same(f(*inputs(args), **bound), step(*args))

    rows()


@given(check.strategies.programs(kinks=True, dtype=st.sampled_from([np.float64, np.float32])))
def test_random_programs_can_be_written(program):
    step = with_gradient(program.function)
    compiled = mg.compile(step)
    compiled(*program.args)
    f, bound = written(compiled)
    for factor in (1.0, -0.5):
        args = arrays_of(scaled(program.args, factor))
        assert_same(f(*inputs(args), **bound), step(*args))


@given(trainings(), st.integers(1, 4))
def test_written_training_trains(training, steps):
    make, data = training
    _, _, step = make()
    compiled = mg.compile(step)
    rng = np.random.default_rng(0)
    batch = data(rng, 5)
    compiled(*batch)
    f, state = written(compiled)
    for _ in range(steps):
        batch = data(rng, 5)
        assert_same(f(*inputs(batch), **state), compiled(*batch))
        assert_same([state[name] for name in state], [compiled.program.bound[name] for name in state])


def test_random_numbers_come_from_the_generator_that_is_given():
    rng = np.random.default_rng(0)
    compiled = mg.compile(lambda x: x + mg.draw(rng.standard_normal, x.shape))
    compiled(np.zeros(3))
    f, bound = written(compiled)
    for _ in range(3):
        assert_same(f(np.ones(3), **bound), compiled(np.ones(3)))


def test_the_listing_shows_calls_shapes_and_lines():
    w = mg.Tensor(np.ones((3, 2)), requires_grad=True, name="w")

    def step(x):
        w.grad = None
        hidden = np.tanh(x @ w)
        loss = np.sum(hidden * hidden)
        loss.backward()
        return loss

    compiled = mg.compile(step)
    compiled(np.ones((4, 3)))
    compiled(np.ones((4, 3)))
    text = str(compiled.program)
    lines = text.splitlines()
    assert lines[0].startswith("step(x (4, 3) float64): 8 calls")
    assert len(lines) == 1 + compiled.program.calls
    tanh = next(line for line in lines if "np.tanh" in line)
    assert "(4, 2)" in tanh
    assert "test_listing.py" in tanh
    assert "hidden = np.tanh(x @ w)" in tanh
    assert any("gradient of: hidden = np.tanh(x @ w)" in line and "np.subtract(1, " in line for line in lines)
    assert any("gradient_of_w" in line and "gradient of: hidden = np.tanh(x @ w)" in line for line in lines)


def test_the_listing_is_what_runs():
    _, _, step, batch = small()
    compiled = mg.compile(step)
    for _ in range(2):
        compiled(*batch)
    calls = [re.match(r" *\d+  (.*?)  ", line)[1] for line in str(compiled.program).splitlines()[1:]]
    shown = [name for call in calls for name in re.findall(r"np\.[\w.]+(?=\()", call)]
    assert [name.replace(".", "_") for name in shown] == re.findall(r"np_\w+(?=\()", compiled.program.source)


def test_the_chapters_network_needs_as_few_calls_as_by_hand():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(1, 8, rng=rng), nn.Sigmoid(), nn.Linear(8, 1, rng=rng))
    optimizer = optim.Adam(model.parameters(), lr=0.05, eps=1e-6)
    compiled = mg.compile(step_of(model, optimizer, nn.losses.sum_squared_error))
    x = rng.normal(size=(40, 1))
    for _ in range(2):
        compiled(x, x)
    assert compiled.program.calls <= 41
    assert compiled.program.nbytes < 10 * 40 * 8 * 8  # less than ten arrays of the hidden layer's size


def test_nothing_recorded_yet():
    with pytest.raises(RuntimeError, match="call the compiled step once"):
        _ = mg.compile(lambda x: x).program
