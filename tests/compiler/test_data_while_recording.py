"""`.data` of a leaf while a step is recorded: what becomes of it is recorded, or refused aloud."""

import numpy as np
import pytest
from helpers import FRESH, run_alike

import microgradnp as mg
from microgradnp import nn, optim

AS_PLACES = {
    "within its bounds": lambda w: np.clip(w.data, -2, 2, out=w.data),
    "a product": lambda w: np.multiply(w.data, 0.99, out=w.data),
    "in place": lambda w: w.data.__imul__(0.99),
    "an element": lambda w: w.data.__setitem__(0, 0.0),
    "some elements": lambda w: w.data.__setitem__([0, 2], w.data[1:]),
    "a part": lambda w: w.data[1:].__iadd__(0.5),
    "a part, by index": lambda w: [data := w.data, data.__setitem__(slice(1, None), data[:2])],
    "in a variable, after a Tensor": lambda w: [data := w.data, data.__isub__(w.detach() / 2), data.__imul__(0.5)],
    "through two names": lambda w: [a := w.data, b := w.data, a.__iadd__(1.0), w.data.__isub__(0.1 * b)],
    "what it is computed from": lambda w: w.data.__isub__(0.1 * np.sign(w.data) * np.abs(w.data).max()),
    "a copy": lambda w: [c := w.data.copy(), c.__imul__(2.0), w.data.__isub__(0.1 * c)],
    "a copy, through two names": lambda w: [c := w.data * 2, d := c, d.__iadd__(1.0), w.data.__isub__(0.1 * c)],
    "an element of a copy": lambda w: [c := w.data * 2, c.__setitem__(1, 0.0), w.data.__isub__(0.1 * c)],
}
"""What NumPy code does with a parameter's data, where no Tensor takes part."""

REFUSED = {
    "copied": lambda w: np.copyto(w.data, 0.0),
    "filled": lambda w: w.data.fill(0.0),
    "sorted": lambda w: w.data.sort(),
    "put": lambda w: np.put(w.data, [0], [0.0]),
    "made an array": lambda w: np.asarray(w.data),
    "a number": lambda w: float(np.sum(w.data)),
    "where it is large": lambda w: w.data.__setitem__(w.data > 2, 0.5),
    "a choice": lambda w: w.data.max() > 0 or None,
    "a part of a copy": lambda w: [c := w.data * 2, part := c[1:], part.__imul__(0.5)],
    "a copy of which a part is shown": lambda w: [c := w.data * 2, c[1:], c.__imul__(0.5)],
}


def changing(how):
    def make():
        w = mg.Tensor([1.0, -2.0, 3.0], requires_grad=True)

        def step(x):
            w.grad = None
            np.sum(w * x).backward()
            how(w)
            return np.sum(w * x)

        return step, [w]

    return make


@pytest.mark.parametrize("how", AS_PLACES)
def test_what_numpy_does_with_data_is_recorded(how):
    compiled = run_alike(changing(AS_PLACES[how]), *FRESH, *FRESH)
    assert "1 program>" in repr(compiled)


@pytest.mark.parametrize("how", REFUSED)
def test_what_cannot_be_recorded_of_data_is_refused_though_it_changes_nothing(how):
    step, (w,) = changing(REFUSED[how])()
    with pytest.raises((TypeError, AttributeError), match=r"record|has no gradient here|no attribute|compiled step"):
        mg.compile(step)(np.ones(3))
    assert w.data.flags.writeable
    assert type(w.grad) in (np.ndarray, type(None))


def test_a_loss_that_follows_the_weights_trains_to_the_same_weights():
    def weights(compile):
        model = nn.Linear(2, 1, rng=0)
        rng = np.random.default_rng(1)
        x = rng.normal(size=(8, 2))

        def loss(prediction, target):
            scale = 1 + np.abs(model.weight.data).max()  # of NumPy alone: once frozen at the first step
            return np.sum((prediction - target) ** 2) / scale

        optimizer = optim.GD(model.parameters(), lr=0.02)
        nn.fit(model, x, x[:, :1] * 2, loss=loss, optimizer=optimizer, epochs=30, compile=compile)
        return model.weight.data

    np.testing.assert_allclose(weights(True), weights(False), rtol=1e-12)


@pytest.mark.parametrize("share", [False, True])
def test_data_written_by_tensors(share):
    def make():
        memory = np.linspace(-1.0, 1.0, 6)
        w = mg.Tensor(np.zeros(3), requires_grad=True)
        w.data = memory[::2] if share else memory[:3].copy()
        array = w.data

        def step(x):
            w.grad = None
            before = np.sum(w.data * x) + np.sum(w.data[1:] * x[1:])
            np.sum(np.square(w * x)).backward()
            w.data -= 0.1 * w.grad
            w.data[1:] *= mg.Tensor(0.5)
            w.data[::-1][:2] += x[:2]
            np.clip(w.detach(), -0.5, 2.0, out=w.data)
            parts = w.data
            parts[0:1] += x[1:2]
            fresh = w.data.copy()
            fresh *= 0.0
            return before, np.sum(w.data * x), x + fresh

        return step, [w], array

    def pair():
        step, (w,), array = make()
        kept.append((w, array))
        return step, [w]

    kept: list = []
    run_alike(pair, *FRESH)
    for w, array in kept:
        assert w.data is array
        assert array.flags.writeable
