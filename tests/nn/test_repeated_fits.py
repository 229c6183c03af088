"""`fit` again and again: what was recorded for a model, a loss and an optimizer serves the next fit, never stale."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim
from microgradnp.nn.train import step

x, y = mg.datasets.noisy_sine(12, noise=0.05, seed=1234)
x, y = x[:, None], y[:, None]
sum_squared_error = nn.losses.sum_squared_error


def small():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(1, 4, rng=rng), nn.Tanh(), nn.Linear(4, 1, rng=rng))


def train(model, optimizer, epochs, compile=True, loss=sum_squared_error, n=12):
    return nn.fit(model, x[:n], y[:n], loss=loss, optimizer=optimizer, epochs=epochs, compile=compile).losses


@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.booleans(), st.sampled_from([optim.GD, optim.Adam]))
def test_many_fits_are_one_to_the_last_bit(epochs, compiled, make):
    model, other = small(), small()
    optimizer, other_optimizer = make(model.parameters(), lr=0.05), make(other.parameters(), lr=0.05)
    whole = train(model, optimizer, sum(epochs), compiled)
    parts = [train(other, other_optimizer, n, compiled) for n in epochs]
    np.testing.assert_array_equal(np.concatenate([losses[:-1] for losses in parts]), whole[:-1])
    np.testing.assert_allclose(parts[-1][-1], whole[-1], rtol=1e-12)  # recorded only where it is needed again
    for ours, theirs in ((model, other), (optimizer, other_optimizer)):
        for name, array in ours.state_dict().items():
            np.testing.assert_array_equal(theirs.state_dict()[name], array)


def test_only_the_first_fits_record(monkeypatch):
    made = []

    def counting(function):
        made.append(mg.compile(function))
        return made[-1]

    monkeypatch.setattr(step, "compiled", counting)
    model = small()
    optimizer = optim.Adam(model.parameters())
    for _ in range(4):
        train(model, optimizer, 1)
    programs = [compiled.program for compiled in made]
    for _ in range(20):
        train(model, optimizer, 1)
    assert len(programs) == 2  # the step, and the loss after the last one
    assert [compiled.program for compiled in made] == programs


class Scaled:
    """A loss with a number that may be changed."""

    scale = 1.0

    def __call__(self, prediction, target):
        return self.scale * sum_squared_error(prediction, target)


def load(model, optimizer, loss):
    model.load_state_dict(small().state_dict())


def set_data(model, optimizer, loss):
    model[0].weight.data = np.ones((1, 4))


CHANGES = {
    "learning rate": lambda model, optimizer, loss: setattr(optimizer, "lr", 0.5),
    "loss": lambda model, optimizer, loss: setattr(loss, "scale", 3.0),
    "layer added": lambda model, optimizer, loss: model.append(nn.Tanh()),
    "mode": lambda model, optimizer, loss: model.eval(),
    "values loaded": load,
    "values set": set_data,
    "gradients forgotten": lambda model, optimizer, loss: optimizer.zero_grad(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_fits_is_seen(change):
    losses = []
    for compiled in (True, False):
        model, loss = small(), Scaled()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        for _ in range(4):
            train(model, optimizer, 1, compiled, loss)
        CHANGES[change](model, optimizer, loss)
        losses.append([train(model, optimizer, 1, compiled, loss) for _ in range(4)])
    np.testing.assert_allclose(*losses, rtol=1e-11)


def test_data_of_other_shapes_are_trained_on():
    losses = []
    for compiled in (True, False):
        model = small()
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        losses.append([train(model, optimizer, 2, compiled, n=n) for n in (12, 5, 12, 7, 5)])
    np.testing.assert_allclose(*losses, rtol=1e-11)


def square(prediction, target):
    return np.sum((prediction - target) ** 2)


@pytest.mark.parametrize("dropped", ["model", "loss", "optimizer"])
def test_what_is_dropped_is_collected(dropped):
    model = small()
    kept = {"model": model, "optimizer": optim.Adam(model.parameters()), "loss": lambda p, t: square(p, t)}
    del model
    for _ in range(3):
        train(kept["model"], kept["optimizer"], 2, loss=kept["loss"])
    gone = weakref.ref(kept.pop(dropped))
    gc.collect()
    assert gone() is None


def test_all_together_are_collected():
    class Trainer:  # each of the three leads to all of them
        def __init__(self):
            self.model = small()
            self.optimizer = optim.Adam(self.model.parameters())
            self.model.trainer = self.optimizer.trainer = weakref.ref(self)
            self.scale = 2.0
            self.loss = lambda p, t: self.scale * square(p, t)

    trainer = Trainer()
    for _ in range(3):
        train(trainer.model, trainer.optimizer, 2, loss=trainer.loss)
    gone = [weakref.ref(part) for part in (trainer, trainer.model, trainer.optimizer, trainer.loss)]
    del trainer
    gc.collect()
    assert [part() for part in gone] == [None] * 4


class Slots:
    """A loss of which there are no weak references."""

    __slots__ = ()

    def __call__(self, prediction, target):
        return square(prediction, target)


@pytest.mark.parametrize("make", [Slots, lambda: Scaled().__call__])
def test_losses_that_cannot_be_kept_in_view_train_all_the_same(make):
    model, other = small(), small()
    optimizer, other_optimizer = optim.GD(model.parameters(), 0.01), optim.GD(other.parameters(), 0.01)
    loss = make()
    for _ in range(4):
        ours = train(model, optimizer, 2, loss=loss)
        theirs = train(other, other_optimizer, 2, loss=square, compile=False)
        np.testing.assert_allclose(ours, theirs, rtol=1e-11)
