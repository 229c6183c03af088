"""`compile`: a replayed program is the step itself, on fresh data, whatever functions it calls."""

import numpy as np
import pytest
from helpers import BY_VALUE, FRESH, arrays_of, assert_same, run_alike, scaled, with_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import RECIPES

import microgradnp as mg
from microgradnp import check


@pytest.mark.parametrize("function", RECIPES, ids=lambda f: getattr(f, "__name__", str(f)))
def test_every_function_and_its_gradient_compile(function):
    # Hundreds of rows share the time of a test file: an example each, forty in the thorough profile.
    @settings(max_examples=max(1, settings.default.max_examples // 25))
    @given(st.data())
    def rows(data):
        case = data.draw(st.one_of(RECIPES[function]))
        step = with_gradient(case.f)
        compiled = mg.compile(step)
        with np.errstate(all="ignore"):
            for factor in (1.0, 0.9, 1.0):
                args = arrays_of(scaled(case.args, factor))
                if function.__name__ in BY_VALUE:
                    try:  # some forms of a call do not depend on values
                        ours = compiled(*args)
                    except TypeError as error:
                        if "recorded" in str(error) or "compiled step" in str(error):
                            return
                        raise
                else:
                    ours = compiled(*args)
                assert_same(ours, step(*args))
        assert "1 program>" in repr(compiled)

    rows()


@given(check.strategies.programs(kinks=True, dtype=st.sampled_from([np.float64, np.float32])))
def test_random_programs_and_their_gradients(program):
    step = with_gradient(program.function)
    compiled = mg.compile(step)
    for factor in (1.0, 0.7, -0.4, 1.0):
        args = arrays_of(scaled(program.args, factor))
        assert_same(compiled(*args), step(*args), args)
    assert "1 program>" in repr(compiled)


@given(check.strategies.networks(dtype=st.sampled_from([np.float64, np.float32])))
def test_nested_arguments_and_second_derivatives(network):
    def step(parameters, x, t):
        return mg.hvp(lambda p: network.function(p, x, t), (parameters,), (parameters,))

    compiled = mg.compile(step)
    for factor in (1.0, 0.5, -0.5):
        args = arrays_of(scaled(network.args, factor))
        assert_same(compiled(*args), step(*args))


def test_numbers_are_part_of_the_program():
    compiled = mg.compile(lambda x, n: x**n)
    x = np.arange(3.0)
    for n in (2, 3, 2.0, 3, 2):
        assert_same(compiled(x, n), x**n)
    assert "3 programs>" in repr(compiled)


def test_a_parameter_of_which_only_the_shape_is_read():
    w = mg.Tensor(np.ones(3), requires_grad=True)
    run_alike(lambda: (lambda x: x + np.zeros_like(w), [w]), *FRESH)


def test_a_gradient_that_is_0_by_rule():
    def make():
        w, v = mg.Tensor(1.5, requires_grad=True), mg.Tensor(np.ones(3), requires_grad=True)

        def step(x):
            y = np.sum(np.copysign(x, w) + np.copysign(x, v))
            y.backward()
            return y

        return step, [w, v]

    run_alike(make, *FRESH)


def test_a_seed_of_another_dtype_is_read_where_it_is():
    w, seed = mg.Tensor(np.ones(3), requires_grad=True), np.ones(3, np.float32)

    @mg.compile
    def step(x):
        w.grad = None
        (w * x).backward(seed)

    for k, (x,) in enumerate(FRESH):
        seed[...] = k
        step(x)
        assert_same(w.grad, k * x)


# -- Random numbers ----------------------------------------------------------------------------------------------------


DRAWS = (
    lambda rng: mg.draw(rng.random, (2, 3)),
    lambda rng: mg.draw(rng.standard_normal, (2, 3), dtype=np.float32),
    lambda rng: mg.draw(rng.normal, 1.0, 2.0, size=(2, 3)),
    lambda rng: mg.draw(rng.integers, 0, 5, size=(2, 3)),
    lambda rng: mg.draw(rng.permutation, 3),
    lambda rng: mg.draw(rng.standard_normal),
    lambda rng: mg.draw(rng.random, (2, 3)) < 0.5,
)


@given(st.lists(st.sampled_from(DRAWS), min_size=1, max_size=4), st.integers(0, 2**32))
def test_random_numbers_are_those_that_the_generator_gives(draws, seed):
    def make():
        rng = np.random.default_rng(seed)
        return rng, lambda x: [np.asarray(0) + x * draw(rng) for draw in draws]

    (ours, step), (theirs, eager) = make(), make()
    compiled = mg.compile(step)
    for _ in range(4):
        assert_same(compiled(np.ones(3)), eager(np.ones(3)))
        assert ours.bit_generator.state == theirs.bit_generator.state


def test_draw_takes_a_generators_method():
    with pytest.raises(TypeError, match=r"numpy\.random\.Generator"):
        mg.draw(np.random.rand, 3)
