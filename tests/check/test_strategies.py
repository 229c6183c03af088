"""What the shipped strategies draw is what they say that they draw."""

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck, Unsatisfiable

from microgradnp import check
from microgradnp.check import strategies

ranges = st.tuples(st.integers(-8, 0), st.integers(1, 8))


@given(st.data(), ranges, strategies.dtypes, st.sampled_from(strategies.LAYOUTS))
def test_arrays_keep_to_shape_range_dtype_and_layout(
    data: Any, bounds: tuple[int, int], dtype: Any, layout: str
) -> None:
    x = data.draw(strategies.arrays((2, 3), low=bounds[0], high=bounds[1], dtype=dtype, layout=layout))
    assert x.shape == (2, 3)
    assert x.dtype == dtype
    assert bounds[0] <= x.min() <= x.max() <= bounds[1]
    assert {"C": x.flags.c_contiguous, "F": x.flags.f_contiguous}.get(layout, not x.flags.forc)
    assert layout != "reversed" or all(stride < 0 for stride in x.strides)
    assert np.array_equal(x, x.astype(np.float32))  # exact in either dtype


@given(check.arrays(min_dims=1, max_dims=3, min_side=1, max_side=2))
def test_shapes_keep_to_their_limits(x: Any) -> None:
    assert 1 <= x.ndim <= 3
    assert all(1 <= n <= 2 for n in x.shape)


@given(check.arrays((5,), away_from=(0.0, 1.0), margin=0.5))
def test_values_keep_their_distance(x: Any) -> None:
    assert np.all(np.abs(x) >= 0.5)
    assert np.all(np.abs(x - 1) >= 0.5)


@given(check.arrays((3, 4), distinct=True))
def test_distinct_values_are_distinct(x: Any) -> None:
    assert len(set(x.ravel().tolist())) == 12


@given(st.sampled_from(strategies.LAYOUTS), check.arrays(layout="C"))
def test_lay_changes_the_memory_and_no_value(layout: str, x: Any) -> None:
    y = strategies.lay(x, layout)
    assert np.array_equal(x, y)
    assert x.shape == y.shape


@given(strategies.broadcastable(3, each=[{}, {"low": 1.0}, {"dtype": np.float32}]))
def test_broadcastable_arrays_broadcast(drawn: Any) -> None:
    a, b, c = drawn
    np.broadcast_shapes(a.shape, b.shape, c.shape)
    assert np.all(b >= 1)
    assert c.dtype == np.float32


@given(st.data(), st.sampled_from([1.0, 2.0, 8.0]))
def test_matrices_are_well_conditioned(data: Any, condition: float) -> None:
    a = data.draw(strategies.matrices(3, batch=(2,), condition=condition))
    assert np.allclose(np.linalg.cond(a), condition)
    a = data.draw(strategies.matrices(3, definite=True))
    assert np.array_equal(a, a.T)
    assert np.linalg.eigvalsh(a).min() > 0.5
    a = data.draw(strategies.matrices(3, symmetric=True))
    assert np.array_equal(a, a.T)


@given(strategies.programs(min_steps=2, max_steps=3))
def test_programs_run_and_print_as_what_they_are(program: Any) -> None:
    result = program(*program.args)
    assert np.isfinite(result).all()
    assert 2 <= program.source.count("\n    y") <= 3
    assert program.source in repr(program)
    scope: dict[str, Any] = {"np": np}
    exec(program.source, scope)
    assert np.array_equal(scope["program"](*program.args), result)
    assert next(iter(inspect.signature(program).parameters)) == "x0"


def test_every_step_of_a_program_is_right_by_itself() -> None:
    x, y = np.array([[0.5], [-1.0]]), np.array([1.0, 2.0, -0.25])
    for step in strategies._STEPS + strategies._KINKED:
        program = strategies.Program(f"def program(x0, x1):\n    return {step.format('x0', 'x1')}", (x, y))
        assert np.broadcast_shapes(program(x, y).shape, (2, 3)) == (2, 3)
        assert check.gradients(program, x, y, order=2).ok


@given(strategies.networks(max_layers=2, dtype=np.float32))
def test_networks_are_functions_of_nested_parameters(network: Any) -> None:
    parameters, x, t = network.args
    assert 1 <= len(parameters) <= 2
    assert x.shape[1] == parameters[0][0].shape[0]
    assert t.shape[1] == parameters[-1][0].shape[1]
    assert np.ndim(network(*network.args)) == 0


def test_what_cannot_be_drawn_says_so() -> None:
    with pytest.raises(ValueError, match="keeps a distance of"):
        strategies.arrays(low=0.0, high=1.0, away_from=0.5, margin=1.0)
    with pytest.raises(ValueError, match="layout is one of C, F"):
        strategies.lay(np.ones(2), "Z")
    with pytest.raises(TypeError, match="matrices takes"):
        strategies.matrices(low=2)


def test_failures_shrink_to_the_simplest_input() -> None:
    found = []

    def test(x: Any) -> None:
        if x.size and np.any(x >= 1.0):
            found.append(x)
            raise AssertionError

    with pytest.raises(AssertionError):
        strategies.for_each(check.arrays(max_dims=3), test)
    assert found[-1].shape == ()
    assert found[-1] == 1.0


def test_a_strategy_outside_the_domain_is_told_what_to_do() -> None:
    with pytest.raises((FailedHealthCheck, Unsatisfiable)) as caught:
        check.gradients(np.log, strategy=check.arrays((3,), high=-1.0))
    assert "give the strategy its domain" in caught.value.__notes__[-1]
