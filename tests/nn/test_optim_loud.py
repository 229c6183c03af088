"""What an optimizer is told has an effect, or is refused: attributes, frozen and tied weights, gradients by hand."""

import copy
import pickle

import numpy as np
import pytest
from helpers import seeds
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim

X = np.linspace(0.1, 1, 20)[:, None]
Y = 2 + np.sin(3 * X)


def small(seed=0, dtype=np.float64):
    return nn.Sequential(nn.Linear(1, 4, rng=seed, dtype=dtype), nn.Tanh(), nn.Linear(4, 1, rng=seed + 1, dtype=dtype))


def train(model, optimizer, epochs=5, **options):
    return nn.fit(model, X, Y, loss=nn.losses.mean_squared_error, optimizer=optimizer, epochs=epochs, **options).losses


# -- Attributes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.1),
        ("LR", 0.1),
        ("epsilon", 0.5),
        ("amsgrad", True),
        ("param_groups", [{"lr": np.float64(1)}]),
    ],
)
@pytest.mark.parametrize("again", [lambda o: o, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_number_under_a_name_that_nothing_reads_is_refused(name, value, again):
    optimizer = again(optim.Adam(small().parameters()))
    with pytest.raises(AttributeError, match=f"Adam has no attribute '{name}'.*it has lr, beta1, beta2, eps"):
        setattr(optimizer, name, value)


class Signs(optim.Optimizer):
    power = optim.Hyperparameter(0, 2, "a number from 0 to below 2")

    def apply_single(self, gradient, parameter, state):
        return parameter - self.lr * np.sign(gradient) * np.abs(gradient) ** self.power, state


@pytest.mark.parametrize("make", [optim.GD, Signs])
@pytest.mark.parametrize("name", ["mometum", "learning_rate", "step"])
def test_an_optimizer_is_made_with_hyperparameters_of_its_own_alone(make, name):
    with pytest.raises(TypeError, match=f"'{name}'"):
        make(small().parameters(), lr=0.1, **{name: 0.9})
    assert Signs(small().parameters(), lr=0.1, power=1.5).power == 1.5


def test_an_unknown_hyperparameter_is_told_the_known_ones():
    with pytest.raises(TypeError, match="Signs has no hyperparameter 'powr'; it has clip_norm, clip_value, lr, power"):
        Signs(small().parameters(), lr=0.1, powr=0.9)


def test_other_parameters_need_another_optimizer():
    with pytest.raises(AttributeError, match="the parameters of GD stay those it was made with: make a new one"):
        optim.GD(small().parameters(), 0.1).parameters = small().parameters()


def test_what_a_class_of_its_own_reads_may_be_set():
    class Momentum(optim.Optimizer):
        def __init__(self, parameters, lr):
            super().__init__(parameters, lr)
            self.momentum = 0.9

        def apply_single(self, gradient, parameter, state):
            return parameter - self.lr * (1 - self.momentum) * gradient * self.later, state

    optimizer = Momentum(small().parameters(), 0.1)
    optimizer.momentum, optimizer.later = 0.5, 1.0
    with pytest.raises(AttributeError, match="no attribute 'momentun'"):
        optimizer.momentun = 0.1


def test_betas_take_effect_both_or_neither():
    optimizer = optim.Adam(small().parameters(), betas=(0.5, 0.6))
    optimizer.betas = 0.1, 0.2
    assert optimizer.betas == (0.1, 0.2) == (optimizer.beta1, optimizer.beta2)
    with pytest.raises(ValueError, match="beta2 must be"):
        optimizer.betas = 0.3, 1.5
    assert optimizer.betas == (0.1, 0.2)


# -- Frozen weights ----------------------------------------------------------------------------------------------------


@given(seeds, st.booleans(), st.sampled_from([lambda p: optim.GD(p, 0.1), lambda p: optim.Adam(p, 0.1)]))
def test_what_is_frozen_later_stays_and_the_rest_goes_on(seed, compile, make):
    model = small(seed % 1000)
    optimizer = make(model.parameters())
    train(model, optimizer, compile=compile)
    frozen = {p for i, p in enumerate(model.parameters()[:3]) if seed >> i & 1}
    before = {p: p.data.copy() for p in model.parameters()}
    for p in frozen:
        p.requires_grad = False
    train(model, optimizer, compile=compile)
    for p, values in before.items():
        assert np.array_equal(values, p.data) == (p in frozen)
    for p in frozen:
        p.requires_grad = True
    train(model, optimizer, compile=compile)
    assert not any(np.array_equal(values, p.data) for p, values in before.items())


# -- Weights that share their array ------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a.T, lambda a: a[:]])
@pytest.mark.parametrize("late", [False, True])
def test_weights_tied_by_their_arrays_are_refused_with_the_way_to_tie_them(view, late):
    a, b = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)
    optimizer = optim.GD(a.parameters() + b.parameters(), lr=0.1) if late else None
    b.weight.data = view(a.weight.data)
    with pytest.raises(ValueError, match=r"shares its array with parameter 0.*b\.weight = a\.weight"):
        optimizer.zero_grad() if late else optim.GD(a.parameters() + b.parameters(), lr=0.1)


def test_one_tensor_in_two_layers_is_tied():
    model = nn.Sequential(nn.Linear(1, 1, rng=0), nn.Linear(1, 1, rng=1))
    model[1].weight = model[0].weight
    train(model, optim.GD(model.parameters(), lr=0.1))
    assert model[0].weight is model[1].weight
    assert len(model.parameters()) == 3


# -- Gradients by hand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gradient",
    [
        [1.0, 2.0],
        1.0,
        np.array([1j, 0]),
        np.array(["a", "b"]),
        np.array([1.0, None]),
        np.ma.masked_array([1.0, 2], [0, 1]),
    ],
)
def test_a_gradient_of_another_kind_is_refused(gradient):
    w = mg.Tensor([1.0, 2.0], requires_grad=True, name="w")
    optimizer = optim.GD([w], 0.1)
    w.grad = gradient
    with pytest.raises(TypeError, match=r"parameter 0 \(w\) of shape \(2,\) has a .* for a gradient.*an array of real"):
        optimizer.step()
    np.testing.assert_array_equal(w.data, [1.0, 2.0])


@pytest.mark.parametrize("gradient", [np.array([1, 2]), np.array([1.0, 2.0], np.float32), mg.Tensor([1.0, 2.0])])
def test_a_gradient_by_hand_is_taken(gradient):
    w = mg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.GD([w], 0.5)
    w.grad = gradient
    optimizer.step()
    np.testing.assert_array_equal(w.data, [0.5, 1.0])


# -- float32 -----------------------------------------------------------------------------------------------------------


@given(seeds)
def test_in_float32_a_recorded_adam_is_the_eager_one_to_rounding(seed):
    states = []
    for compile in (False, True):
        model = small(seed % 1000, np.float32)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        train(model, optimizer, 3, compile=compile)
        states.append(optimizer.state_dict())
    for name, array in states[0].items():
        size = np.abs(array).max(initial=0)
        np.testing.assert_allclose(states[1][name], array, rtol=1e-5, atol=1e-6 * size, err_msg=name)
