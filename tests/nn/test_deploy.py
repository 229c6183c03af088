"""A prediction as a file of NumPy alone: the same numbers, for any number of rows, where this package is not."""

import subprocess
import sys

import numpy as np
import pytest
from every_layer import EVERY, model_of
from helpers import both_dtypes

import microgradnp as mg
from microgradnp import nn, optim
from microgradnp.nn import functional


class Attention(nn.Layer):
    """A layer of a user's own, with shapes that go along with the rows."""

    def __init__(self, width, dtype=np.float64):
        self.mixed = nn.Linear(width, 3 * width, rng=4, dtype=dtype)
        self.start = mg.Tensor(np.linspace(0, 1, width, dtype=dtype), requires_grad=True)

    def forward(self, x):
        width = x.shape[-1]
        q, k, v = (self.mixed(x)[..., i * width : (i + 1) * width].reshape(len(x), 2, -1) for i in range(3))
        weights = nn.functional.softmax(q @ k.transpose(0, 2, 1) / np.sqrt(width))
        return (weights @ v).reshape(-1, width) + np.concatenate([x, np.zeros((len(x), 1))], axis=1)[
            :, :-1
        ] * self.start


def function_of(text):
    space = {}
    exec(text, space)
    return space["predict"]


def net(*between, dtype=np.float64):
    return nn.Sequential(nn.Linear(3, 4, rng=0, dtype=dtype), nn.Tanh(), *between, nn.Linear(4, 2, rng=1, dtype=dtype))


@pytest.mark.parametrize("rows", [1, 2, 5, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_file_predicts_what_the_model_does(dtype, rows):
    model = net(nn.ReLU(), nn.Sigmoid(), Attention(4, dtype), dtype=dtype)
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype(dtype)
    np.testing.assert_array_equal(function_of(model.to_numpy())(x), model.predict(x), strict=True)


def test_it_needs_numpy_alone(tmp_path):
    model = net()
    (tmp_path / "model.py").write_text(model.to_numpy())
    code = "import sys, model; print(model.predict([[1, 2, 3]]).tolist()); assert 'microgradnp' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env={}
    )
    assert eval(done.stdout) == model.predict([[1.0, 2.0, 3.0]]).tolist()


@both_dtypes
def test_standardizers_are_in_it(dtype):
    model, rng = net(dtype=dtype), np.random.default_rng(0)
    inputs, targets = nn.Standardizer(rng.normal(3, 2, size=(9, 3))), nn.Standardizer(rng.normal(5, 3, size=(9, 2)))
    x = rng.normal(size=(7, 3))
    predict = function_of(model.to_numpy(before=inputs, after=targets.inverse))
    np.testing.assert_array_equal(predict(x), targets.inverse(model.predict(inputs(x))), strict=True)


def test_what_is_done_before_and_after_is_in_it():
    model, rng = net(dtype=np.float32), np.random.default_rng(0)
    mean, std = rng.normal(size=3), rng.uniform(1, 2, size=3)
    text = model.to_numpy(before=lambda x: (x - mean) / std, after=lambda y: np.argmax(y, axis=-1))
    x = rng.normal(size=(9, 3))
    expected = np.argmax(model.predict((x - mean) / std), axis=-1)
    np.testing.assert_array_equal(function_of(text)(x), expected, strict=True)


def test_large_weights_are_packed_small_ones_are_read():
    model = nn.Sequential(nn.Linear(40, 50, rng=0), nn.Linear(50, 1, rng=1))
    text = model.to_numpy()
    assert "weight_0 = _unpacked(" in text
    assert "weight_1 = np.array([[" in text
    assert max(map(len, text.splitlines())) <= 120
    x = np.random.default_rng(0).normal(size=(3, 40))
    np.testing.assert_array_equal(function_of(text)(x), model.predict(x))


@pytest.mark.parametrize("value", [0.1, np.nan, -np.inf, 5e-324, 1e308, -0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:overflow")
def test_every_number_comes_back_to_the_last_bit(value, dtype):
    model = nn.Linear(1, 1, dtype=dtype)
    model.bias.data[...] = value
    space = {}
    exec(model.to_numpy(), space)
    assert space["bias"].tobytes() == model.bias.data.tobytes()


def test_numbers_with_more_digits_than_python_has_are_packed():
    third = np.ones(2, np.longdouble) / 3
    text = Computes(lambda x: x * third).to_numpy(input_shape=(2,))
    np.testing.assert_array_equal(function_of(text)(np.ones((1, 2))), third[None], strict=True)


def test_it_is_the_prediction_and_the_model_stays_as_it_is():
    class Noisy(nn.Layer):
        def forward(self, x):
            return x + 100 if self.training else x

    model = net(Noisy())
    optimizer = optim.Adam(model.parameters())  # whose buffer the weights live in
    text = model.to_numpy()
    assert "100" not in text
    assert model[2].training
    assert all(p.grad is None for p in optimizer.parameters)
    np.testing.assert_array_equal(function_of(text)(np.ones((2, 3))), model.predict(np.ones((2, 3))))


def test_another_shape_is_refused():
    predict = function_of(net().to_numpy())
    for x in (np.ones(3), np.ones((2, 4)), np.ones((2, 3, 1)), 1.0):
        with pytest.raises(ValueError, match=r"takes an array of shape \(n, 3\); got"):
            predict(x)
    with pytest.raises(ValueError, match="to_numpy\\(\\) needs the shape of one input"):
        nn.Tanh().to_numpy()
    with pytest.raises(TypeError, match=r"takes the shape of one input, such as \(3,\); got 3"):
        nn.Tanh().to_numpy(input_shape=3)
    assert function_of(nn.Tanh().to_numpy(input_shape=()))([0.0, 1.0]).tolist() == np.tanh([0.0, 1.0]).tolist()


@both_dtypes
@pytest.mark.parametrize("layer", [nn.Sigmoid, nn.Softplus, nn.Softmax, nn.LogSoftmax, nn.GELU])
def test_functions_that_numpy_lacks_are_right_far_out(layer, dtype):
    model = net(layer(), dtype=dtype)
    for w in (model[0].weight, model[3].weight):
        w.data *= 1000
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(dtype) * 1000
    text = nn.Sequential(*list(model)[:3]).to_numpy()
    assert len(text.splitlines()) < 70
    np.testing.assert_array_equal(function_of(text)(x), nn.Sequential(*list(model)[:3]).predict(x), strict=True)
    scores = np.array([[np.inf, 0, np.inf, -np.inf], [-np.inf, 1, 2, 3], [-900, 0, 900, 1e30]], dtype)
    alone = nn.Sequential(layer())
    if layer is not nn.GELU:
        predict = function_of(alone.to_numpy(input_shape=(4,)))
        np.testing.assert_array_equal(predict(scores.astype(np.float64)), alone.predict(scores.astype(np.float64)))


@both_dtypes
@pytest.mark.parametrize(**EVERY)
def test_every_layer_is_written(name, make, shape, dtype):
    model = model_of(name, make, dtype)
    predict = function_of(model.to_numpy(input_shape=shape))
    for rows in (1, 6):
        x = np.random.default_rng(0).normal(size=(rows, *shape)).astype(dtype)
        tolerance = 1e-6 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(predict(x), model.predict(x), rtol=tolerance, atol=tolerance, strict=True)


class Computes(nn.Layer):
    """A function as a layer."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - np.mean(x, axis=0),
        lambda x: x / len(x),
        lambda x: x[: len(x) - 1],
        lambda x: x.reshape(2 * len(x), -1),
        lambda x: np.concatenate([x, np.full((len(x), 2), 7.0)], axis=1),
        lambda x: np.where(x > 0, x, 0)[:, ::-1],
        lambda x: np.maximum(x, 0) + np.arange(4.0),
        lambda x: x.reshape(-1),
        lambda x: np.split(x, 2, axis=1)[1],
        lambda x: np.einsum("ij,ik->i", x, x),
    ],
)
def test_what_goes_along_with_the_rows_is_written_so(function):
    model = Computes(function)
    predict = function_of(model.to_numpy(input_shape=(4,)))
    for rows in (2, 3, 20):
        x = np.random.default_rng(0).normal(size=(rows, 4))
        np.testing.assert_allclose(predict(x), model.predict(x), rtol=1e-12, strict=True)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x + np.arange(len(x))[:, None], "depends on the number of rows"),
        (lambda x: x[: len(x) // 2], "no multiple"),
        (lambda x: x * len(x) ** 2, "no multiple"),
        (lambda x: x + 1 if len(x) > 6 else x - 1, "another way"),
        (lambda x: x if len(x) > 6 else x * 2, "another way"),
        (lambda x: x * mg.draw(RNG.normal, size=4), "draws random numbers"),
    ],
)
def test_what_cannot_be_written_is_refused(function, said):
    with pytest.raises(TypeError, match=said):
        Computes(function).to_numpy(input_shape=(4,))


def test_names_do_not_clash():
    class Named(nn.Layer):
        def __init__(self):
            self.n, self.predict_, self.np, self.x = (
                mg.Tensor(np.full(2, float(i)), requires_grad=True) for i in range(4)
            )

        def forward(self, x):
            return (x * self.n + self.np - self.x) / len(x) + self.predict_

    model, x = Named(), np.ones((3, 2))
    np.testing.assert_array_equal(function_of(model.to_numpy(input_shape=(2,)))(x), model.predict(x))


class Images(nn.Layer):
    """Convolution and pooling, each with everything that it takes."""

    def __init__(self):
        self.weight = mg.Tensor(RNG.normal(size=(3, 3, 2, 4)), requires_grad=True)
        self.bias = mg.Tensor(RNG.normal(size=4), requires_grad=True)

    def forward(self, x):
        y = functional.conv2d(x, self.weight, self.bias, stride=(1, 2), padding=(1, 0), dilation=(2, 1))
        y = functional.max_pool2d(functional.conv2d(y, np.ones((1, 1, 4, 2))), 2, padding=1)
        return functional.avg_pool2d(y, (2, 1), stride=1, padding=(1, 0))


def test_images():
    model = Images()
    predict = function_of(model.to_numpy(input_shape=(2, 9, 9)))
    for rows in (1, 6):
        x = RNG.normal(size=(rows, 2, 9, 9))
        np.testing.assert_allclose(predict(x), model.predict(x), rtol=1e-12, atol=1e-12)
