"""A prediction as ONNX: what onnxruntime computes of it is what the model predicts, for any number of rows."""

import sys

import numpy as np
import pytest
from every_layer import EVERY, model_of
from helpers import both_dtypes

import microgradnp as mg
from microgradnp import nn
from microgradnp.nn import functional

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


class Computes(nn.Layer):
    """A function as a layer."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


def net(*between, dtype=np.float64):
    layers = nn.Linear(3, 4, rng=0, dtype=dtype), nn.Tanh(), *between, nn.Linear(4, 2, rng=1, dtype=dtype)
    return nn.Sequential(*layers)


def run(path, x):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def assert_equal(path, x, expected):
    y = run(path, x)
    assert y.dtype == expected.dtype
    assert y.shape == expected.shape
    tolerance = 1e-12 if expected.dtype == np.float64 else 1e-6
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)


@both_dtypes
@pytest.mark.parametrize(**EVERY)
def test_every_layer_is_written(path, name, make, shape, dtype):
    if name in NO_FLOAT64 and dtype == np.float64:
        pytest.skip("onnxruntime has it in float32 alone")
    model = model_of(name, make, dtype)
    nn.to_onnx(model, path, input_shape=shape)
    for rows in (1, 6):
        x = np.random.default_rng(0).normal(size=(rows, *shape)).astype(dtype)
        assert_equal(path, x, model.predict(x))


NO_FLOAT64 = {"AvgPool2d", "Conv2d"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", [nn.Sigmoid(), nn.ReLU(), nn.Tanh()], ids=repr)
def test_a_network(path, layer, dtype):
    model = net(layer, dtype=dtype)
    nn.to_onnx(model, path)
    for rows in (1, 4, 100):
        x = np.random.default_rng(0).normal(size=(rows, 3)).astype(dtype)
        assert_equal(path, x, model.predict(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.softmax(x),
        lambda x: functional.log_softmax(x, axis=-1),
        lambda x: functional.softplus(x),
        lambda x: functional.logsumexp(x, axis=1, keepdims=True),
        lambda x: np.where(x > 0, x, np.expm1(x)),
        lambda x: np.maximum(x, 0.1) - np.minimum(x, 2) * 3 + x**2 + 1 / (2 + np.abs(x)),
        lambda x: x - np.mean(x, axis=-1, keepdims=True),
        lambda x: x / np.sqrt(np.var(x, axis=-1, keepdims=True) + 1e-5),
        lambda x: x.reshape(len(x), 2, 2).transpose(0, 2, 1).reshape(len(x), -1),
        lambda x: x.reshape(len(x), 2, 2) @ x.reshape(len(x), 2, 2),
        lambda x: x.reshape(-1),
        lambda x: np.concatenate([x[:, ::-1], x[:, 1:3], x[..., -1:], x[:, 0][:, None]], axis=1),
        lambda x: x[:, 2],
        lambda x: x[-1] + x[0],
        lambda x: np.sum(x, axis=(0, 1)),
        lambda x: np.mean(np.square(x)),
        lambda x: x.max(axis=1) - x.min(axis=0).sum(),
        lambda x: np.clip(x, -0.5, 0.5),
        lambda x: np.exp(-np.log1p(np.abs(x))) + np.sin(x) * np.cos(x),
        lambda x: (x > 0) * x - (x != 0) * x,
        lambda x: x,
    ],
)
def test_what_numpy_computes(path, function, dtype):
    model = Computes(function)
    model.scale = mg.Tensor(np.ones(1, dtype), requires_grad=True)  # that says the dtype
    nn.to_onnx(model, path, input_shape=(4,))
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(dtype)
    assert_equal(path, x, np.asarray(model.predict(x)))


class Images(nn.Layer):
    """Convolution and pooling, each with everything that it takes."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.weight = mg.Tensor(rng.normal(size=(3, 3, 2, 4)) / 4, requires_grad=True)
        self.bias = mg.Tensor(rng.normal(size=4), requires_grad=True)
        self.last = mg.Tensor(rng.normal(size=(1, 2, 4, 3)) / 4, requires_grad=True)

    def forward(self, x):
        y = functional.conv2d(x, self.weight, self.bias, stride=(1, 2), padding=(1, 0), dilation=(2, 1))
        y = functional.max_pool2d(functional.relu(y), 2, padding=1)
        y = functional.avg_pool2d(functional.conv2d(y, self.last), 2, stride=1, padding=(1, 0))
        return y.reshape(len(y), -1)


def test_images(path):
    """In float32: onnxruntime has no convolution in float64."""
    model = Images()
    nn.to_onnx(model, path, input_shape=(2, 9, 9), dtype=np.float32)
    x = np.random.default_rng(0).normal(size=(3, 2, 9, 9))
    np.testing.assert_allclose(run(path, x.astype(np.float32)), model.predict(x), rtol=1e-6, atol=1e-6)


def test_what_is_done_before_and_after_is_in_it(path):
    model, rng = net(), np.random.default_rng(0)
    mean, std = rng.normal(size=3), rng.uniform(1, 2, size=3)
    nn.to_onnx(model, path, before=lambda x: (x - mean) / std, after=lambda y: np.argmax(y, axis=-1))
    x = rng.normal(size=(9, 3))
    assert_equal(path, x, np.argmax(model.predict((x - mean) / std), axis=-1))
    single = net(dtype=np.float32)
    nn.to_onnx(single, path, before=lambda x: (x - mean) / std, dtype=np.float32)
    x = x.astype(np.float32)
    np.testing.assert_allclose(run(path, x), single.predict((x - mean) / std), rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda x: np.cumsum(x, axis=1),
            r"np\.cumsum in the prediction of Computes \(test_onnx\.py:\d+\) has no count",
        ),
        (lambda x: x[:, np.array([2, 0])], "an index by arrays"),
        (lambda x: x / len(x), "depends on the number of rows"),
        (lambda x: x[len(x) - 1], "depends on the number of rows"),
        (lambda x: x * (2.0 * len(x)), "depends on the number of rows"),
        (lambda x: np.concatenate([x, np.zeros((len(x), 1))], axis=1), "depends on the number of rows"),
        (lambda x: np.broadcast_to(x[:, None], (len(x), len(x), 4)), "broadcast_to"),
        (lambda x: (x, x), "one array as its output; this one returns tuple"),
        (lambda x: x + np.arange(len(x))[:, None], "depends on the number of rows"),
    ],
)
def test_what_has_no_counterpart_is_named(path, function, said):
    model = Computes(function)
    with pytest.raises(TypeError, match=said):
        nn.to_onnx(model, path, input_shape=(4,))
    assert not path.exists()


def test_the_dtype_is_one_of_two(path):
    with pytest.raises(TypeError, match="float32 or float64"):
        nn.to_onnx(net(), path, dtype=np.float16)


def test_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"microgradnp\[onnx\]"):
        nn.to_onnx(net(), path)
