"""Initializers: the variance that each promises, and what it refuses."""

import numpy as np
import pytest

from microgradnp.nn import initializers


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        (initializers.glorot_uniform, 2 / 500),
        (initializers.glorot_normal, 2 / 500),
        (initializers.he_uniform, 2 / 200),
        (initializers.he_normal, 2 / 200),
        (initializers.lecun_uniform, 1 / 200),
        (initializers.lecun_normal, 1 / 200),
        (initializers.orthogonal, 1 / 300),
        (initializers.normal(0.3), 0.09),
        (initializers.uniform(-0.3, 0.3), 0.03),
        (initializers.zeros, 0),
    ],
)
def test_initializers_have_the_variance_that_they_promise(init, variance):
    weight = init(np.random.default_rng(0), (200, 300))
    # Six standard errors of the variance of 60,000 normal draws are 3.5 %.
    assert np.var(weight) == pytest.approx(variance, rel=0.035)
    assert np.mean(weight) == pytest.approx(0, abs=0.01)


def test_a_window_counts_as_inputs():
    weight = initializers.he_normal(np.random.default_rng(0), (5, 5, 8, 300))
    assert np.var(weight) == pytest.approx(2 / 200, rel=0.035)


@pytest.mark.parametrize("init", [initializers.glorot_uniform, initializers.he_normal])
def test_scaling_initializers_need_two_axes(init):
    with pytest.raises(ValueError, match=r"\(in, out\); got \(3,\).*bias"):
        init(np.random.default_rng(0), (3,))


@pytest.mark.parametrize("make", [lambda: initializers.normal(-1), lambda: initializers.uniform(1, 0)])
def test_initializers_refuse_senseless_numbers(make):
    with pytest.raises(ValueError, match="must be finite"):
        make()
