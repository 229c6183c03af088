"""The layers for images: what they hold and say, what they refuse, and a network made of them."""

import numpy as np
import pytest
from helpers import assert_same, both_dtypes

from microgradnp import check, nn, optim
from microgradnp.nn import functional


def small(dtype=np.float64, rng=0):
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(3, 4, (2, 3), stride=(1, 2)),
        nn.Tanh(),
        nn.AvgPool2d(2, stride=1, padding=1),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 3),
        rng=rng,
        dtype=dtype,
    )


def images(n, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2, 6, 10)).astype(dtype)


def test_they_hold_what_they_were_made_with():
    layer = nn.Conv2d(2, 3, (3, 2), 2, padding=(1, 0), dilation=[1, 2], bias=False)
    assert (layer.in_channels, layer.out_channels, layer.kernel_size) == (2, 3, (3, 2))
    assert (layer.stride, layer.padding, layer.dilation, layer.bias) == ((2, 2), (1, 0), (1, 2), None)
    assert layer.weight.shape == (3, 2, 2, 3)
    assert repr(layer) == "Conv2d(2, 3, kernel_size=(3, 2), stride=2, padding=(1, 0), dilation=(1, 2), bias=False)"
    assert repr(nn.Conv2d(2, 3, 5)) == "Conv2d(2, 3, kernel_size=5)"
    pool = nn.MaxPool2d(3, padding=1)
    assert (pool.kernel_size, pool.stride, pool.padding) == ((3, 3), (3, 3), (1, 1))
    assert repr(pool) == "MaxPool2d(kernel_size=3, padding=1)"
    assert repr(nn.AvgPool2d((2, 3), 1)) == "AvgPool2d(kernel_size=(2, 3), stride=1)"


def test_they_compute_what_the_functions_do():
    x = images(3)
    layer = nn.Conv2d(2, 3, 2, stride=2, padding=1, dilation=2, rng=0)
    layer.bias.data[:] = [1, 2, 3]
    expected = functional.conv2d(x, layer.weight.data, layer.bias.data, stride=2, padding=1, dilation=2)
    np.testing.assert_array_equal(layer.predict(x), expected)
    np.testing.assert_array_equal(nn.MaxPool2d(3, 2, 1).predict(x), functional.max_pool2d(x, 3, stride=2, padding=1))
    np.testing.assert_array_equal(nn.AvgPool2d(2).predict(x), functional.avg_pool2d(x, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(0, 3, 3), r"Conv2d\(0, 3\): in_channels must be a positive integer"),
        (lambda: nn.Conv2d(2, 1.5, 3), "out_channels must be a positive integer"),
        (lambda: nn.Conv2d(2, 3, 0), "kernel_size is a whole number from 1 on.*got 0"),
        (lambda: nn.Conv2d(2, 3, 3, padding="same"), "padding is a whole number from 0 on.*got 'same'"),
        (lambda: nn.MaxPool2d(2, stride=(1, -1)), r"MaxPool2d: stride .* got \(1, -1\)"),
        (lambda: nn.AvgPool2d(2, padding=2), "AvgPool2d: padding may be half of kernel_size"),
    ],
)
def test_numbers_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (small(), (3, 6, 10, 2), r"layer 0 of Sequential, Conv2d.*\(N, 2, height, width\); got shape \(3, 6, 10, 2\)"),
        (nn.Conv2d(1, 2, 3), (5, 6, 6), r"x\[:, None\] for images of one channel"),
        (small(), (3, 2, 2, 2), r"layer 3 of Sequential, Conv2d.*window of 2 x 3 does not fit into images of 1 x 1"),
        (nn.Sequential(nn.MaxPool2d(4)), (3, 3, 3, 8), "layer 0 of .*MaxPool2d.*window of 4 x 4 does not fit"),
        (nn.AvgPool2d(2), (3, 3), r"images of shape \(N, channels, height, width\); got shape \(3, 3\)"),
    ],
)
def test_images_that_do_not_fit_are_refused_by_the_layer(model, shape, message):
    with pytest.raises(nn.InputShapeError, match=message):
        model(np.ones(shape))


def test_weights_begin_as_suits_what_follows():
    """He's variance 2 / in counts each element of a window; a pooling in between leaves it so."""
    model = nn.Sequential(nn.Conv2d(8, 64, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.Tanh(), rng=0)
    he, glorot = 2 / (25 * 8), 2 / (9 * 128)
    assert np.var(model[0].weight.data) == pytest.approx(he, rel=0.05)
    assert np.var(model[3].weight.data) == pytest.approx(glorot, rel=0.05)


@both_dtypes
def test_a_network_trains_alike_compiled_and_eagerly(dtype):
    labels = np.arange(7) % 3
    states = []
    for compile in (True, False):
        model = small(dtype)
        optimizer = optim.GD(model.parameters(), lr=0.05)
        history = nn.fit(
            model,
            images(7, dtype),
            labels,
            loss=nn.losses.cross_entropy,
            optimizer=optimizer,
            epochs=6,
            compile=compile,
        )
        assert history.losses[-1] < history.losses[0]
        states.append(list(model.state_dict().values()))
    assert_same(*states, states)
    assert {array.dtype for array in states[0]} == {np.dtype(dtype)}


def test_the_gradient_of_a_network_by_all_its_parameters():
    model = small()
    x, y = images(2), np.array([0, 2])

    def loss(state):
        return nn.losses.cross_entropy(nn.functional_call(model, state, x), y)

    check.gradients(loss, model.state_dict(), atol=1e-10)


def test_weights_from_pytorch_predict_the_same():
    torch = pytest.importorskip("torch")
    parts = torch.nn
    theirs = parts.Sequential(
        parts.Conv2d(2, 3, 3, padding=1),
        parts.MaxPool2d(2),
        parts.ReLU(),
        parts.Conv2d(3, 4, (2, 3), stride=(1, 2)),
        parts.Tanh(),
        parts.AvgPool2d(2, stride=1, padding=1),
        parts.Flatten(),
        parts.Linear(4 * 3 * 3, 3),
    ).double()
    model, x = small(), images(5)
    nn.from_torch_state(model, theirs.state_dict())
    np.testing.assert_allclose(model.predict(x), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-10)


def test_a_square_kernel_from_pytorch_is_turned():
    weight = np.arange(16.0).reshape(2, 2, 2, 2)
    layer = nn.Conv2d(2, 2, 2)
    nn.from_torch_state(layer, {"weight": weight, "bias": np.zeros(2)})
    np.testing.assert_array_equal(layer.weight.data, weight.transpose(2, 3, 1, 0))
