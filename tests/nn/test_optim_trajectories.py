"""Optimizers walk where PyTorch's do: 200 steps on 20 problems, by their gradients given."""

import numpy as np
import pytest
from trajectories import CONFIGURATIONS, PROBLEMS, STEPS, STORED, in_groups, problem, split, walk_of_torch

import microgradnp as mg
from microgradnp import optim


def made(name, i, dtype=np.float64):
    """The parameters, their optimizer and the gradient of a problem."""
    method, options = CONFIGURATIONS[name]
    start, gradient = problem(i)
    parameters = [mg.Tensor(part, requires_grad=True, dtype=dtype) for part in split(start)]
    kept = {key: x for key, x in options.items() if key != "groups"}
    return parameters, getattr(optim, method)(in_groups(parameters, options), **kept), gradient


def vector(parameters):
    return np.concatenate([p.data.ravel() for p in parameters])


def walk(name, i, steps=STEPS, compiled=False, dtype=np.float64):
    parameters, optimizer, gradient = made(name, i, dtype)
    places = [np.zeros(p.shape, dtype) for p in parameters]

    def step():
        for p, g in zip(parameters, places, strict=True):
            p.grad = g
        optimizer.step()

    step = mg.compile(step) if compiled else step
    points = []
    for k in range(steps):
        for place, g in zip(places, split(gradient(vector(parameters), k)), strict=True):
            place[...] = g
        step()
        points.append(vector(parameters))
    return np.array(points)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_end_is_where_pytorchs_was(name):
    ends = np.load(STORED)[name]
    for i in PROBLEMS:
        np.testing.assert_allclose(walk(name, i)[-1], ends[i], rtol=1e-10, atol=1e-12, err_msg=f"problem {i}")


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_walk_is_pytorchs(name):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for i in PROBLEMS:
        np.testing.assert_allclose(
            walk(name, i), walk_of_torch(name, i), rtol=1e-10, atol=1e-12, err_msg=f"problem {i}"
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_recorded_walk_is_the_eager_one_to_the_last_bit(name, dtype):
    eager, compiled = (walk(name, 3, 20, compiled, dtype) for compiled in (False, True))
    np.testing.assert_array_equal(eager, compiled, strict=True)
    assert eager.dtype == dtype
