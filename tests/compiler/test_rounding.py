"""A program that differs from its step by rounding alone is condemned by no audit, whatever becomes of the rounding."""

import numpy as np
import pytest
from helpers import step_of

import microgradnp as mg
from microgradnp import nn, optim


@pytest.mark.parametrize("target", [lambda x: np.sin(3 * x), lambda x: x, np.zeros_like])
def test_symmetric_data_are_no_fault(target):
    # The gradient of the last bias is a sum of numbers and their negatives: mere rounding, of which Adam makes a step.
    x = np.linspace(-1, 1, 111, dtype=np.float32)[:, None]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        layers = nn.Linear(1, 19, rng=rng, dtype=np.float32), nn.Tanh(), nn.Linear(19, 1, rng=rng, dtype=np.float32)
        model = nn.Sequential(*layers)
        for layer in (layers[0], layers[2]):
            layer.bias.data[...] = 0
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        compiled = mg.compile(step_of(model, optimizer, nn.losses.sum_squared_error))
        for _ in range(3):  # a warning is an error
            compiled(x, target(x))  # an array that is given twice, too


def test_gradients_of_which_little_is_left_are_no_fault():
    # Of a sample that is all but learned, p - 1 is rounding; where a column is not 0 in that sample alone, Adam divides
    # it by little more than its eps. What the state and the arguments have in their last bits does not show in it.
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = np.where(rng.random((64, 40)) < 0.03, rng.integers(1, 17, (64, 40)), 0.0)
        x[:, :8] = rng.integers(0, 17, (64, 8))
        model = nn.Sequential(nn.Linear(40, 48, rng=rng), nn.ReLU(), nn.Linear(48, 4, rng=rng))
        optimizer = optim.Adam(model.parameters(), lr=0.03)
        step = mg.compile(step_of(model, optimizer, nn.losses.cross_entropy))
        labels = rng.integers(0, 4, 64)
        for _ in range(70):  # a warning is an error
            step(x, labels)
