"""The search for a learning rate: it sees where the loss falls and grows, and leaves everything as it was."""

import numpy as np
import pytest

from microgradnp import nn, optim

X = np.linspace(-1, 1, 24)[:, None]
Y = np.sin(3 * X)
mse = nn.losses.mean_squared_error


def network(dtype=np.float64):
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(1, 8, rng=rng, dtype=dtype),
        nn.BatchNorm1d(8, dtype=dtype),
        nn.Tanh(),
        nn.Dropout(0.1, rng=3),
        nn.Linear(8, 1, rng=rng, dtype=dtype),
    )


def search(model, optimizer, **options):
    return nn.find_lr(model, X, Y, **{"loss": mse, "optimizer": optimizer, **options})


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("size", [None, 7])
def test_it_leaves_everything_as_it_was(compiled, size):
    ends = []
    for searched in (False, True):
        model = network()
        optimizer = optim.GD(
            [
                {"params": model[0].parameters()},
                {"params": [*model[1].parameters(), *model[4].parameters()], "lr": 0.3},
            ],
            0.1,
            0.9,
        )
        rng = np.random.default_rng(5)

        def train(model=model, optimizer=optimizer, rng=rng):
            nn.fit(model, X, Y, loss=mse, optimizer=optimizer, epochs=3, batch_size=size, rng=rng, compile=compiled)

        train()
        before = model.state_dict() | optimizer.state_dict()
        gradients = [p.grad.copy() for p in model.parameters()]
        if searched:
            found = search(model, optimizer, batch_size=size, rng=2, compile=compiled)
            assert len(found.rates) == len(found.losses) == len(found.smoothed) > 10
            for name, array in (model.state_dict() | optimizer.state_dict()).items():
                np.testing.assert_array_equal(array, before[name], err_msg=name)
            for p, gradient in zip(model.parameters(), gradients, strict=True):
                np.testing.assert_array_equal(p.grad, gradient)
            assert model.training
        train()
        ends.append(model.state_dict() | optimizer.state_dict())
    for name, array in ends[0].items():
        np.testing.assert_array_equal(ends[1][name], array, err_msg=name)


def test_it_is_left_as_it_was_by_an_error_too():
    model = network()
    optimizer = optim.Adam(model.parameters(), 0.1)
    before = model.state_dict() | optimizer.state_dict()
    calls = []

    def loss(prediction, target):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return mse(prediction, target)

    with pytest.raises(KeyboardInterrupt):
        search(model, optimizer, loss=loss, compile=False)
    for name, array in (model.state_dict() | optimizer.state_dict()).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_the_rates_are_taken_one_after_the_other():
    """Gradient descent on a parabola: after each step, w is w times 1 - 2 lr."""
    model = nn.Linear(1, 1, bias=False, rng=0)
    model.weight.data[...] = 1.0
    found = nn.find_lr(
        model, [[1.0]], [[0.0]], loss=mse, optimizer=optim.GD(model.parameters(), 0.1), low=1e-3, high=10, steps=30
    )
    expected = np.cumprod(np.append(1, 1 - 2 * found.rates[:-1])) ** 2
    np.testing.assert_allclose(found.losses, expected, rtol=1e-10)
    assert found.rates[0] == pytest.approx(1e-3)
    np.testing.assert_allclose(found.rates[1:] / found.rates[:-1], 1e4 ** (1 / 29))
    assert 1e-2 < found.suggestion < 0.5
    assert len(found.rates) < 30  # it ends where the loss has grown


def test_groups_keep_their_ratios():
    model = network()
    groups = [{"params": model[0].parameters()}, {"params": model[4].parameters(), "lr": 0.01}]
    optimizer = optim.GD(groups, 0.1)
    seen = []

    def loss(prediction, target):
        seen.append([group["lr"] for group in optimizer.groups])
        return mse(prediction, target)

    with pytest.warns(RuntimeWarning, match="does not train"):
        search(model, optimizer, loss=loss, compile=False, steps=5, high=1e-2)
    np.testing.assert_allclose([b / a for a, b in seen], 0.1)


def test_a_loss_that_falls_nowhere_has_no_suggestion():
    model = nn.Linear(1, 1, rng=0)
    found = nn.find_lr(
        model, X, Y, loss=lambda p, t: np.sum(0 * p) + 1.0, optimizer=optim.GD(model.parameters(), 0.1), steps=5
    )
    with pytest.raises(ValueError, match="falls nowhere from lr=1e-07 to lr=10"):
        found.suggestion  # noqa: B018
    assert "falls nowhere" in repr(found)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"low": 0}, ValueError, "low must be above 0 and below high"),
        ({"low": 1.0, "high": 0.1}, ValueError, r"got low=1\.0 and high=0\.1"),
        ({"steps": 1}, ValueError, "steps must be an integer, 2 or more; got 1"),
        ({"loss": lambda p, t: mse(p, t) * np.nan}, ValueError, "the loss is nan before the first step"),
    ],
)
def test_what_is_refused(options, error, message):
    model = network()
    with pytest.raises(error, match=message):
        search(model, optim.Adam(model.parameters()), **options)
    with pytest.raises(TypeError, match="find_lr takes a Layer and optimizer=an Optimizer; got Sequential, float"):
        search(model, 0.1)


def test_the_figure():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    model = network(np.float32)
    found = search(model, optim.Adam(model.parameters()), rng=0)
    (axes,) = found.plot().axes
    assert axes.get_xscale() == "log"
    assert [line.get_label() for line in axes.lines] == [
        "loss",
        "running mean",
        f"falls fastest at {found.suggestion:.2g}",
    ]
    assert repr(found).endswith(f"suggestion {found.suggestion:.3g})")
