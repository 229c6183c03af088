"""`fit`: the chapter's numbers, the laws of training, and what it refuses."""

import numpy as np
from handwritten import calc_der, fitAdam, fitGD, relu, relu_der, sigmoid, sigmoid_der
from hypothesis import given
from hypothesis import strategies as st

from microgradnp import nn, optim

ACTIVATIONS = {"sigmoid": (nn.Sigmoid, sigmoid, sigmoid_der), "relu": (nn.ReLU, relu, relu_der)}


def chapter_network(W, V, bs, b0, activation=nn.Sigmoid):
    """The chapter's network with the given values."""
    model = nn.Sequential(nn.Linear(1, len(W)), activation(), nn.Linear(len(W), 1))
    model.load_state_dict({"0.weight": W[None, :], "0.bias": bs, "2.weight": V[:, None], "2.bias": np.array([b0])})
    return model


def gradients_of(model):
    """In the chapter's order: W, V, bs, b0."""
    W, bs, V, b0 = (p.grad for p in model.parameters())
    return W[0], V[:, 0], bs, b0[0]


def values_of(model):
    """In the chapter's order: W, V, bs, b0."""
    W, bs, V, b0 = (p.data for p in model.parameters())
    return W[0], V[:, 0], bs, b0[0]


@st.composite
def experiments(draw, hidden=64, points=40):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, hidden)), draw(st.integers(1, points))
    scale = draw(st.sampled_from([0.1, 1.0, 3.0]))
    x, y = rng.normal(size=m), rng.normal(size=m)
    W, V, bs, b0 = rng.normal(0, scale, n), rng.normal(0, scale, n), rng.normal(0, scale, n), rng.normal(0, scale)
    return x, y, W, V, bs, b0


@given(experiments(), st.sampled_from(["sigmoid", "relu"]))
def test_gradients_are_those_derived_by_hand(experiment, name):
    x, y, W, V, bs, b0 = experiment
    layer, acf, acfder = ACTIVATIONS[name]
    model = chapter_network(W, V, bs, b0, layer)
    nn.losses.sum_squared_error(model(x[:, None]), y[:, None]).backward()
    by_hand = calc_der(x, y, W, V, bs, b0, acf, acfder)
    # A sum over points may cancel to nearly 0: what is exact to 1e-10 of its largest terms is all that rounding allows.
    scale = max(1.0, *(float(np.max(np.abs(g))) for g in by_hand))
    for ours, theirs in zip(gradients_of(model), by_hand, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13 * scale)


@given(experiments(hidden=8, points=12), st.sampled_from([(optim.GD, fitGD, {}), (optim.Adam, fitAdam, {"eps": 1e-6})]))
def test_fit_is_the_loop_written_by_hand(experiment, optimizers):
    x, y, W, V, bs, b0 = experiment
    ours, by_hand, options = optimizers
    model = chapter_network(W, V, bs, b0)
    optimizer = ours(model.parameters(), lr=1e-3, **options)
    nn.fit(model, x[:, None], y[:, None], loss=nn.losses.sum_squared_error, optimizer=optimizer, epochs=10)
    expected = by_hand(x, y, W, V, bs, b0, sigmoid, sigmoid_der, 10, 1e-3)[:4]
    for value, reference in zip(values_of(model), expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-9, atol=1e-10)
