"""Data, losses and runs that would go wrong without a word: `fit` gets them right, or says so."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microgradnp as mg
from microgradnp import nn, optim
from microgradnp.nn import losses

X = np.linspace(-1, 1, 20)[:, None]
Y = np.sin(3 * X)


def train(x=X, y=Y, lr=0.1, epochs=5, loss=losses.mean_squared_error, model=None, **options):
    model = model or nn.Sequential(nn.Linear(1, 4, rng=0), nn.Tanh(), nn.Linear(4, 1, rng=1))
    return nn.fit(model, x, y, loss=loss, optimizer=optim.GD(model.parameters(), lr=lr), epochs=epochs, **options)


# -- Data --------------------------------------------------------------------------------------------------------------


def masked(a):
    return np.ma.masked_array(np.where(np.arange(20)[:, None] == 4, -999.0, a), mask=np.arange(20)[:, None] == 4)


@pytest.mark.parametrize(
    "use",
    [
        lambda: train(x=masked(X)),
        lambda: train(y=masked(Y)),
        lambda: train(x=[*masked(X)]),
        lambda: nn.Linear(1, 1).predict(masked(X)),
        lambda: nn.Linear(1, 1)(masked(X)),
        lambda: losses.sum_squared_error(masked(X), X),
        lambda: losses.mean_squared_error(X, masked(X)),
        lambda: losses.cross_entropy(np.zeros((2, 2)), np.ma.masked_array([0, 1], [0, 1])),
        lambda: nn.functional.softmax(masked(X)),
        lambda: nn.Linear(20, 1, bias=False).load_state_dict({"weight": masked(X)}),
        lambda: mg.Tensor([*masked(X)]),
    ],
)
def test_a_masked_array_is_refused_with_the_way_to_fill_it(use):
    with pytest.raises(TypeError, match=r"masked array would lose its mask here: fill it first"):
        use()


@pytest.mark.parametrize("which", ["x", "y"])
def test_object_columns_are_refused_with_the_way_to_convert_them(which):
    with pytest.raises(TypeError, match=rf"{which} must hold real numbers; got dtype object.*{which}\.astype\(float\)"):
        train(**{which: X.astype(object)})


integers = st.sampled_from([np.uint8, np.int8, np.uint16, np.int32, np.bool])


@given(st.data(), integers, integers)
def test_squared_errors_of_integers_do_not_wrap(data, one, other):
    p, t = (data.draw(hnp.arrays(dtype, 5)) for dtype in (one, other))
    right = float(sum((int(a) - int(b)) ** 2 for a, b in zip(p, t, strict=True)))
    assert losses.sum_squared_error(p, t) == pytest.approx(right, rel=1e-12)
    assert losses.mean_squared_error(p, mg.Tensor(t)).item() == pytest.approx(right / 5, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.uint32])
@pytest.mark.parametrize("compile", [True, False])
def test_small_integer_targets_do_not_wrap_in_a_loss_of_ones_own(dtype, compile):
    labels = (X > 0).astype(dtype)
    by_margin = {
        kind: train(y=labels.astype(kind), loss=lambda p, t: np.mean(np.exp(-t * p)), compile=compile).losses
        for kind in (dtype, np.float64)
    }
    np.testing.assert_allclose(by_margin[dtype], by_margin[np.float64], rtol=1e-12)


# -- Runs that end badly -----------------------------------------------------------------------------------------------


def test_a_run_that_ends_far_above_its_start_is_no_success():
    x = np.linspace(-1.7, 1.7, 60)[:, None]
    with pytest.raises(nn.DivergenceError, match=r"the loss ended at .* after epoch 6 .*the training ran away"):
        train(x, np.cos(5 * x), lr=1.5, epochs=6, loss=losses.sum_squared_error)


def test_a_run_that_begins_at_the_answer_may_end_a_little_beside_it():
    model = nn.Linear(1, 1, rng=0)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    targets = model.predict(X) + 1e-14
    history = nn.fit(model, X, targets, loss=losses.sum_squared_error, optimizer=optimizer, epochs=3)
    assert history.losses[-1] > 1e4 * history.losses[0]


def diverge(lr):
    return train(lr=lr, epochs=300).losses[-1]


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_divergence_travels_with_its_history(way):
    with pytest.raises(nn.DivergenceError) as caught:
        diverge(1e6)
    again = way(caught.value)
    assert str(again) == str(caught.value)
    np.testing.assert_array_equal(again.history.losses, caught.value.history.losses)


@pytest.mark.slow
def test_a_divergence_comes_back_from_a_worker():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert isinstance(pool.submit(diverge, 1e6).exception(timeout=60), nn.DivergenceError)


@pytest.mark.parametrize("after", [0, 3])
def test_an_interrupted_fit_leaves_its_history(after):
    whole = train(epochs=5, compile=False).losses
    seen = []

    def loss(p, t):
        seen.append(1)
        if len(seen) > after:
            raise KeyboardInterrupt
        return losses.mean_squared_error(p, t)

    with pytest.raises(KeyboardInterrupt) as stop:
        train(loss=loss, compile=False)
    np.testing.assert_array_equal(stop.value.history.losses, whole[:after])
    assert repr(stop.value.history)
    assert f"interrupted after {after} of 5 epochs" in stop.value.__notes__[0]


# -- What an array can and the Tensor of a recording cannot ------------------------------------------------------------


@pytest.mark.parametrize("use", [lambda a: a.sort(), lambda a: a.fill(0.0), lambda a: memoryview(a), lambda a: a.flags])
def test_an_arrays_way_in_a_recorded_step_names_the_way_that_works(use):
    class Odd(nn.Linear):
        def forward(self, x):
            use(self.weight.data)
            return super().forward(x)

    with pytest.raises((AttributeError, TypeError), match=r"fit\(\.\.\., compile=False\)"):
        train(model=Odd(1, 1, rng=0))
    train(model=Odd(1, 1, rng=0), compile=False)
