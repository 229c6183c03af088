"""The whole story on one page: data, network, gradient by hand, gradient by machine, training, figure.

It is the course chapter's experiment, and every number in it is one that the chapter prints.
"""

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import nn, optim
from microgradnp.show import figures

# -- Data: forty points on half a sine, with noise; the values standardised -------------------------------------------

x, t = mg.datasets.noisy_sine(40, noise=0.05, seed=1234)
y = (t - t.mean()) / t.std()

# -- Network: eight hidden nodes, y_hat = V . sigmoid(W x + bs) + b0 --------------------------------------------------

W, V, bs, b0 = mg.datasets.chapter_parameters(hidden=8, seed=1234)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def squared_error(W, V, bs, b0):
    """Plain NumPy, one point at a time: it takes arrays, and it takes Tensors."""
    s = 0.0
    for i in range(len(x)):
        s += (np.dot(V, sigmoid(W * x[i] + bs)) + b0 - y[i]) ** 2
    return s


def test_the_error_at_the_start():
    assert squared_error(W, V, bs, b0) == pytest.approx(61.29358546868393, rel=1e-13)


# -- The gradient by hand, and by machine -----------------------------------------------------------------------------


def gradient_by_hand(W, V, bs, b0):
    h = sigmoid(np.outer(x, W) + bs)  # (40, 8): point, node
    g = 2 * (h @ V + b0 - y)  # (40,)
    at_z = np.outer(g, V) * h * (1 - h)  # (40, 8)
    return x @ at_z, h.T @ g, at_z.sum(axis=0), g.sum()


def test_the_machine_finds_the_gradient_derived_by_hand():
    tensors = [mg.Tensor(a, requires_grad=True) for a in (W, V, bs, b0)]
    squared_error(*tensors).backward()
    for tensor, by_hand in zip(tensors, gradient_by_hand(W, V, bs, b0), strict=True):
        np.testing.assert_allclose(tensor.grad, by_hand, rtol=1e-10)
    assert tensors[3].grad == pytest.approx(58.69466810466825, rel=1e-13)


# -- Training: the same network out of layers -------------------------------------------------------------------------


def train(optimizer, epochs, **options):
    model = nn.Sequential(nn.Linear(1, 8), nn.Sigmoid(), nn.Linear(8, 1))
    model.load_state_dict({"0.weight": W[None, :], "0.bias": bs, "2.weight": V[:, None], "2.bias": [b0]})
    update = optimizer(model.parameters(), **options)
    loss = nn.losses.sum_squared_error
    return model, nn.fit(model, x[:, None], y[:, None], loss=loss, optimizer=update, epochs=epochs)


def test_gradient_descent_leaps_up_and_stays_on_a_plateau():
    _, history = train(optim.GD, epochs=2000, lr=0.01)
    first = [61.29358546868393, 155.20176990047585, 636.6940976770327, 1982.0790483266553, 2056.051066857846]
    assert history.losses[:5] == pytest.approx(first, rel=1e-10)
    assert history.losses[-1] == pytest.approx(31.426829182338306, rel=1e-10)


def test_adam_finds_the_sine(tmp_path):
    model, history = train(optim.Adam, epochs=2000, lr=0.05, eps=1e-6)
    assert history.losses[-1] == pytest.approx(0.89838996, rel=1e-4)  # rounding grows along 2000 steps

    prediction = model.predict(x[:, None])[:, 0] * t.std() + t.mean()
    assert np.abs(prediction - np.sin(2 * np.pi * x)).max() < 0.1  # the truth without its noise

    figures.save(figures.curves(x, t, {"ANN": (x, prediction)}), tmp_path / "adam.png")
    figures.save(figures.losses({"Adam": history}), tmp_path / "losses.png")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())


def test_any_depth_is_the_same_three_lines():
    rng = np.random.default_rng(0)
    layers = [layer for _ in range(9) for layer in (nn.Linear(8, 8, rng=rng), nn.Tanh())]
    model = nn.Sequential(nn.Linear(1, 8, rng=rng), nn.Tanh(), *layers, nn.Linear(8, 1, rng=rng))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    history = nn.fit(model, x[:, None], y[:, None], loss=nn.losses.sum_squared_error, optimizer=optimizer, epochs=500)
    assert history.losses[-1] < 2 < 30 < history.losses[0]
