"""Each layer and its gradients are PyTorch's, where it is installed: to 1e-10, and so are the running statistics."""

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import nn

torch = pytest.importorskip("torch")

PAIRS = {
    "Sigmoid": (lambda: nn.Sigmoid(), lambda: torch.nn.Sigmoid()),
    "Tanh": (lambda: nn.Tanh(), lambda: torch.nn.Tanh()),
    "ReLU": (lambda: nn.ReLU(), lambda: torch.nn.ReLU()),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), lambda: torch.nn.LeakyReLU(0.2)),
    "ELU": (lambda: nn.ELU(1.5), lambda: torch.nn.ELU(1.5)),
    "SELU": (lambda: nn.SELU(), lambda: torch.nn.SELU()),
    "GELU": (lambda: nn.GELU(), lambda: torch.nn.GELU()),
    "GELU by tanh": (lambda: nn.GELU("tanh"), lambda: torch.nn.GELU("tanh")),
    "SiLU": (lambda: nn.SiLU(), lambda: torch.nn.SiLU()),
    "Softplus": (lambda: nn.Softplus(), lambda: torch.nn.Softplus(threshold=1e9)),
    "Softmax": (lambda: nn.Softmax(), lambda: torch.nn.Softmax(-1)),
    "Softmax of columns": (lambda: nn.Softmax(0), lambda: torch.nn.Softmax(0)),
    "LogSoftmax": (lambda: nn.LogSoftmax(), lambda: torch.nn.LogSoftmax(-1)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), lambda: torch.nn.BatchNorm1d(6)),
    "BatchNorm1d, other numbers": (
        lambda: nn.BatchNorm1d(6, 1e-3, 0.4, affine=False),
        lambda: torch.nn.BatchNorm1d(6, 1e-3, 0.4, affine=False),
    ),
    "LayerNorm": (lambda: nn.LayerNorm(6), lambda: torch.nn.LayerNorm(6)),
    "LayerNorm, not affine": (
        lambda: nn.LayerNorm(6, 1e-3, affine=False),
        lambda: torch.nn.LayerNorm(6, 1e-3, elementwise_affine=False),
    ),
    "Linear": (lambda: nn.Linear(6, 6, rng=0), lambda: torch.nn.Linear(6, 6)),
    "Flatten": (lambda: nn.Flatten(), lambda: torch.nn.Flatten()),
}


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-10)


@pytest.fixture(params=PAIRS)
def pair(request):
    """A layer, and PyTorch's with the same parameters, away from their first values."""
    ours, theirs = (make() for make in PAIRS[request.param])
    theirs = theirs.double()
    rng = np.random.default_rng(1)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        p.data[...] = rng.normal(1, 0.5, p.shape)
        q.data = torch.from_numpy(p.data.T.copy())
    return ours, theirs


def compare(ours, theirs, x):
    x, z = mg.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    for p in ours.parameters():
        p.grad = None
    theirs.zero_grad()
    y, w = ours(x), theirs(z)
    close(y.data, w)
    np.sum(y * np.cos(y)).backward()
    (w * w.cos()).sum().backward()
    close(x.grad, z.grad)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p.grad.T, q.grad)


def test_values_gradients_and_running_statistics(pair):
    ours, theirs = pair
    rng = np.random.default_rng(0)
    for training in (True, True, False, True, False):
        ours.train(training)
        theirs.train(training)
        compare(ours, theirs, rng.normal(0.5, 3, (7, 6)))
        for name in ("running_mean", "running_var"):
            if hasattr(ours, name):
                close(getattr(ours, name).data, getattr(theirs, name))
    assert ours.predict(np.ones((1, 6))).shape == (1, 6)


def test_a_batch_of_sequences_is_pytorchs_with_the_features_last():
    ours, theirs = nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3).double()
    x = np.random.default_rng(0).normal(1, 2, (5, 4, 3))
    close(ours(x).data, theirs(torch.tensor(x.transpose(0, 2, 1).copy())).transpose(1, 2))
    close(ours.running_var.data, theirs.running_var)


def test_images_are_those_of_pytorchs_batch_norm_2d():
    ours, theirs = nn.BatchNorm1d(3, axis=1), torch.nn.BatchNorm2d(3).double()
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        compare(ours, theirs, np.random.default_rng(0).normal(1, 2, (5, 3, 4, 2)))
        close(ours.running_mean.data, theirs.running_mean)
        close(ours.running_var.data, theirs.running_var)


def test_a_residual_network_with_dropout_in_prediction():
    ours = nn.Sequential(
        nn.Linear(6, 8), nn.GELU(), nn.Residual(nn.LayerNorm(8), nn.Linear(8, 8), nn.SiLU(), nn.Dropout(0.5)), rng=0
    ).eval()
    a, norm, b = torch.nn.Linear(6, 8).double(), torch.nn.LayerNorm(8).double(), torch.nn.Linear(8, 8).double()
    theirs = torch.nn.ModuleList([a, norm, b])
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        q.data = torch.from_numpy(p.data.T.copy())
    gelu, silu = torch.nn.functional.gelu, torch.nn.functional.silu
    theirs.forward = lambda z: (h := gelu(a(z))) + silu(b(norm(h)))
    compare(ours, theirs, np.random.default_rng(2).normal(size=(5, 6)))


@pytest.mark.parametrize("name", ["he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "orthogonal"])
def test_initializers_have_the_spread_of_pytorchs(name):
    torch.manual_seed(0)
    w = torch.empty(300, 200, dtype=torch.float64)  # PyTorch's weights have shape (out, in)
    {
        "he_normal": lambda: torch.nn.init.kaiming_normal_(w, nonlinearity="relu"),
        "he_uniform": lambda: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu"),
        "glorot_normal": lambda: torch.nn.init.xavier_normal_(w),
        "glorot_uniform": lambda: torch.nn.init.xavier_uniform_(w),
        "orthogonal": lambda: torch.nn.init.orthogonal_(w),
    }[name]()
    ours = nn.Linear(200, 300, weight_init=name, rng=0).weight.data
    assert np.std(ours) == pytest.approx(float(w.std()), rel=0.02)
    assert np.max(np.abs(ours)) == pytest.approx(float(w.abs().max()), rel=0.25)
