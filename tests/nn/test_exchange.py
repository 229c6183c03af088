"""Weights from PyTorch and in safetensors: equal predictions, and a square weight is not taken the wrong way round."""

import sys

import numpy as np
import pytest

from microgradnp import nn


def net(dtype=np.float64):
    return nn.Sequential(nn.Linear(3, 3, rng=0, dtype=dtype), nn.ReLU(), nn.Linear(3, 2, rng=1, dtype=dtype))


def torch_net(torch, dtype):
    """PyTorch's model with its own initial values."""
    parts = torch.nn
    return parts.Sequential(parts.Linear(3, 3), parts.ReLU(), parts.Linear(3, 2)).to(dtype)


def pairs(torch):
    """Models of PyTorch's layers and of ours, and the shape of an input."""
    theirs = torch.nn
    return {
        "convolution": (
            theirs.Sequential(
                theirs.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=1), theirs.ReLU(), theirs.MaxPool2d(2),
                theirs.Flatten(), theirs.Linear(27, 27), theirs.Linear(27, 3, bias=False),
            ),
            nn.Sequential(
                nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                nn.Linear(27, 27), nn.Linear(27, 3, bias=False),
            ),
            (2, 6, 10),
        ),
        "normalised": (
            theirs.Sequential(
                theirs.Linear(4, 4), theirs.BatchNorm1d(4), theirs.GELU(), theirs.LayerNorm(4), theirs.Linear(4, 4)
            ),
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 4)),
            (4,),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["convolution", "normalised"])
def test_every_layer_with_weights_predicts_alike(name):
    torch = pytest.importorskip("torch")
    theirs, ours, shape = pairs(torch)[name]
    theirs = theirs.to(torch.float64)
    x = np.random.default_rng(0).normal(size=(6, *shape))
    with torch.no_grad():
        for p in theirs.parameters():
            p.normal_()
        theirs(torch.from_numpy(x))  # in training mode, so that running means move
        theirs.eval()
        expected = theirs(torch.from_numpy(x)).numpy()
    nn.from_torch_state(ours, theirs.state_dict())
    np.testing.assert_allclose(ours.predict(x), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("as_arrays", [True, False])
@pytest.mark.parametrize(("name", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
def test_equal_predictions(name, rtol, as_arrays):
    torch = pytest.importorskip("torch")
    theirs = torch_net(torch, getattr(torch, name))
    state = theirs.state_dict()
    ours = net(name)
    nn.from_torch_state(ours, {key: x.numpy() for key, x in state.items()} if as_arrays else state)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(name)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours.predict(x), expected, rtol=rtol)


def test_a_square_weight_is_turned():
    w = np.arange(9.0).reshape(3, 3)
    model = net()
    state = {"0.weight": w, "0.bias": [1, 2, 3], "2.weight": np.ones((2, 3)), "2.bias": [0, 0]}
    nn.from_torch_state(model, state)
    np.testing.assert_array_equal(model[0].weight.data, w.T)
    x = np.array([[1.0, 2.0, 4.0]])
    np.testing.assert_array_equal(model[0].predict(x), x @ w.T + [1, 2, 3])
    single = nn.Linear(3, 3)
    nn.from_torch_state(single, {"weight": w, "bias": [1, 2, 3]})
    np.testing.assert_array_equal(single.predict(x), model[0].predict(x))


def test_what_does_not_fit_is_told_at_once():
    model = net()
    before = model.state_dict()
    state = {"0.weight": np.ones((4, 3)), "fc.weight": np.ones((2, 3)), "1.num_batches_tracked": 3}
    with pytest.raises(ValueError, match=r"missing '0\.bias'") as error:
        nn.from_torch_state(model, state)
    for part in ("missing '2.weight'", "unexpected 'fc.weight'", "'0.weight' has shape (3, 4), but (3, 3)"):
        assert part in str(error.value)
    assert "num_batches" not in str(error.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_safetensors_there_and_back(tmp_path, dtype):
    pytest.importorskip("safetensors")
    model, path = net(dtype), tmp_path / "m.safetensors"
    other = nn.Sequential(nn.Linear(3, 3, dtype=dtype), nn.ReLU(), nn.Linear(3, 2, dtype=dtype))
    nn.to_safetensors(model, path)
    other.load_state_dict(nn.from_safetensors(path))
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[name], strict=True)
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_what_is_no_safetensors_file(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "m.safetensors"
    nn.to_safetensors(net(), path)
    content = path.read_bytes()
    for other in (content[:-1], content[:5], b"", b"w,b\n1,2\n", (10**15).to_bytes(8, "little") + content[8:]):
        path.write_bytes(other)
        with pytest.raises(nn.CheckpointError, match=r"m\.safetensors is not a whole safetensors file"):
            nn.from_safetensors(path)


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ModuleNotFoundError, match=r"microgradnp\[safetensors\]"):
        nn.to_safetensors(net(), tmp_path / "m.safetensors")
    with pytest.raises(ModuleNotFoundError, match=r"microgradnp\[safetensors\]"):
        nn.from_safetensors(tmp_path / "m.safetensors")
