"""Groups of parameters with hyperparameters of their own; clipping; what is off; what is saved of all that."""

import copy
import pickle

import numpy as np
import pytest
from helpers import assert_rounded_alike, both_dtypes
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim

X = np.linspace(-1, 1, 12)[:, None]
Y = np.sin(2 * X) + 3
mse = nn.losses.mean_squared_error


def network(dtype=np.float64, last=None):
    return nn.Sequential(nn.Linear(1, 4, rng=0, dtype=dtype), nn.Tanh(), nn.Linear(4, 1, rng=1, dtype=last or dtype))


def halves(model, **own):
    return [{"params": model[0].parameters()}, {"params": model[2].parameters(), **own}]


def train(model, *optimizers, steps=5, compiled=False):
    def step():
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = mse(model(X.astype(model[0].weight.dtype)), Y)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        return loss

    run = mg.compile(step) if compiled else step
    for _ in range(steps):
        run()
    return run


def assert_alike(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


MAKE = {
    "gd": lambda p, **o: optim.GD(p, **{"lr": 0.05, "momentum": 0.5, **o}),
    "adam": lambda p, **o: optim.Adam(p, **{"lr": 0.05, **o}),
    "adamw": lambda p, **o: optim.AdamW(p, **{"lr": 0.05, **o}),
    "rmsprop": lambda p, **o: optim.RMSprop(p, **{"lr": 0.01, "centered": True, **o}),
}
each = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
compiled_or_not = pytest.mark.parametrize("compiled", [False, True])


# -- Groups ------------------------------------------------------------------------------------------------------------


@each
@compiled_or_not
@pytest.mark.parametrize("last", [np.float64, np.float32])
def test_groups_walk_as_two_optimizers_would(make, compiled, last):
    together, apart = network(last=last), network(last=last)
    train(together, make(halves(together, lr=0.003, weight_decay=0.1)), compiled=compiled)
    first, second = make(apart[0].parameters()), make(apart[2].parameters(), lr=0.003, weight_decay=0.1)
    train(apart, first, second, compiled=compiled)
    assert_alike(together.state_dict(), apart.state_dict())


@compiled_or_not
def test_what_a_group_has_not_is_the_optimizers(compiled):
    model, other = network(), network()
    optimizer = optim.Adam(halves(model, betas=(0.5, 0.6)), lr=0.1)
    assert [group["lr"] for group in optimizer.groups] == [0.1, 0.1]
    assert [group["betas"] for group in optimizer.groups] == [(0.9, 0.999), (0.5, 0.6)]
    optimizer.lr = 0.01
    optimizer.groups[0]["beta1"] = 0.8
    optimizer.beta1 = 0.3
    assert [(group["lr"], group["beta1"]) for group in optimizer.groups] == [(0.01, 0.8), (0.01, 0.5)]
    assert optimizer.groups[1]["params"] == (model[2].weight, model[2].bias)
    train(model, optimizer, compiled=compiled)
    parts = (
        optim.Adam(other[0].parameters(), 0.01, (0.8, 0.999)),
        optim.Adam(other[2].parameters(), 0.01, (0.5, 0.6)),
    )
    train(other, *parts, compiled=compiled)
    assert_alike(model.state_dict(), other.state_dict())
    assert repr(optimizer) == "Adam(4 parameters in 2 groups, lr=0.01, beta1=0.3, beta2=0.999, eps=1e-08)"


def test_numbers_of_a_group_are_read_by_programs_where_they_are():
    model, other = network(), network()
    optimizer, eager = optim.Adam(halves(model, lr=0.2)), optim.Adam(halves(other, lr=0.2))
    step, plain = train(model, optimizer, compiled=True), train(other, eager)
    for o, run in ((optimizer, step), (eager, plain)):
        o.groups[1]["lr"] = 0.01
        o.lr = 0.3
        run()
    assert "1 program>" in repr(step)
    assert_rounded_alike(model.state_dict(), other.state_dict())


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ([{"lr": 1.0}], TypeError, r"Adam's group 0 must be a dict such as .*'params'.*got one of 'lr'"),
        ([{"params": network().parameters()}, mg.Tensor(1.0)], TypeError, "group 1 must be a dict .*got Tensor"),
        ([{"params": network()}], TypeError, r"group 0 takes model.parameters\(\)"),
        ([{"params": []}], ValueError, "group 0 has no parameters"),
        ([{"params": network().parameters(), "momentum": 1}], TypeError, "no hyperparameter 'momentum' of a group's"),
        ([{"params": network().parameters(), "clip_norm": 1}], TypeError, "no hyperparameter 'clip_norm' of a group's"),
        ([{"params": network().parameters(), "lr": -1}], ValueError, "Adam's lr must be"),
        ([{"params": [p := mg.Tensor(1.0, requires_grad=True)]}, {"params": [p]}], ValueError, "is given twice"),
        ([], ValueError, "given no parameters"),
    ],
)
def test_bad_groups(groups, error, message):
    with pytest.raises(error, match=message):
        optim.Adam(groups)


def test_a_group_has_no_other_numbers():
    optimizer = optim.Adam(halves(network()))
    for name in ("clip_norm", "momentum", "params"):
        with pytest.raises(KeyError, match=f"a group of Adam has no hyperparameter '{name}'; it has params, lr, b"):
            optimizer.groups[0][name] = 1.0
    with pytest.raises(KeyError, match="no hyperparameter 'step'"):
        optimizer.groups[0]["step"]
    assert dict(optimizer.groups[0]).keys() >= {"params", "lr", "eps"}
    assert optim.GD(network().parameters(), 0.1).groups[0]["lr"] == 0.1


# -- Saving ------------------------------------------------------------------------------------------------------------

COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda pair: pickle.loads(pickle.dumps(pair)),
}


@each
@pytest.mark.parametrize("copied", [*COPIES, "state_dict"])
@compiled_or_not
def test_groups_go_on_from_a_copy_or_a_saved_state(make, copied, compiled):
    model = network()
    optimizer = make(halves(model, weight_decay=0.1), lr=0.02, clip_norm=2.0)
    optimizer.groups[0]["lr"] = 0.001  # later, so that it is not among what another is made with
    train(model, optimizer, compiled=compiled)
    if copied in COPIES:
        other, again = COPIES[copied]((model, optimizer))
    else:
        other = network()
        again = make(halves(other, weight_decay=0.0), lr=0.5)
        other.load_state_dict(model.state_dict())
        again.load_state_dict(optimizer.state_dict())
    train(model, optimizer, compiled=compiled)
    train(other, again, compiled=compiled)
    assert_alike(model.state_dict(), other.state_dict())
    assert_alike(optimizer.state_dict(), again.state_dict())
    assert [dict(g) | {"params": 0} for g in again.groups] == [dict(g) | {"params": 0} for g in optimizer.groups]


class Own(optim.Optimizer):
    share = optim.Hyperparameter(0, 1, "a number from 0 to below 1")

    def __init__(self, parameters, lr, share=0.5, power=2, twice=False):
        self.share, self.power, self.twice = share, power, twice
        super().__init__(parameters, lr)
        self.scale = np.array([1.0, 2.0])

    def apply_single(self, gradient, parameter, state):
        step = self.lr * self.share * gradient * np.abs(gradient) ** self.power * self.scale.sum()
        return parameter - (2 * step if self.twice else step), state


def test_what_a_class_of_its_own_adds_is_saved_too():
    model = network()
    optimizer = Own(model.parameters(), 0.1, 0.25, 0.5, True)
    optimizer.scale[1] = 7.0
    state = optimizer.state_dict()
    assert {name: array.tolist() for name, array in state.items()} == {
        "share": 0.25,
        "lr": 0.1,
        "clip_norm": np.inf,
        "clip_value": np.inf,
        "power": 0.5,
        "twice": True,
        "scale": [1.0, 7.0],
    }
    again = Own(model.parameters(), 0.3, power=1.0)
    again.load_state_dict(state)
    assert (again.lr, again.share, again.power, again.twice, again.scale[1]) == (0.1, 0.25, 0.5, True, 7.0)
    assert_alike(again.state_dict(), state)
    with pytest.raises(ValueError, match="missing 'twice'"):
        again.load_state_dict({name: array for name, array in state.items() if name != "twice"})
    with pytest.raises(ValueError, match="share must be"):
        again.load_state_dict(state | {"share": 3.0, "power": 9.0})
    assert again.power == 0.5


# -- What is off -------------------------------------------------------------------------------------------------------


@compiled_or_not
def test_what_is_off_can_be_turned_on_and_off(compiled):
    model, other = network(), network()
    optimizer = optim.GD(model.parameters(), 0.05)
    assert list(optimizer.arrays()) == []
    run = train(model, optimizer, compiled=compiled)
    optimizer.momentum, optimizer.weight_decay, optimizer.clip_norm = 0.9, 0.1, 0.5
    for _ in range(5):
        run()
    train(other, optim.GD(other.parameters(), 0.05), compiled=compiled)
    train(other, optim.GD(other.parameters(), 0.05, 0.9, weight_decay=0.1, clip_norm=0.5), compiled=compiled)
    assert_alike(model.state_dict(), other.state_dict())
    optimizer.momentum, optimizer.weight_decay, optimizer.clip_norm = 0, 0, np.inf
    for _ in range(5):
        run()
    train(other, optim.GD(other.parameters(), 0.05), compiled=compiled)
    assert_alike(model.state_dict(), other.state_dict())


def test_what_is_off_can_be_turned_on_for_a_group_that_is_recorded():
    ends = []
    for compiled in (False, True):
        model = network()
        optimizer = optim.RMSprop(halves(model, lr=0.003), 0.01)
        run = train(model, optimizer, compiled=compiled)
        for name, value in {"weight_decay": 0.5, "momentum": 0.5, "alpha": 0.9}.items():
            before = model.state_dict()
            optimizer.groups[1][name] = value
            for _ in range(3):
                run()
            assert not np.array_equal(before["2.weight"], model.state_dict()["2.weight"])
        assert "3.velocity" in optimizer.state_dict()
        assert "1.velocity" not in optimizer.state_dict()
        ends.append(model.state_dict() | optimizer.state_dict())
    assert_rounded_alike(*ends)


def test_turning_something_on_forgets_nothing():
    for make, changes in ((optim.Adam, {"weight_decay": 0.1, "clip_norm": 1.0}), (optim.RMSprop, {"momentum": 0.5})):
        model = network()
        optimizer = make(halves(model), 0.01)
        train(model, optimizer)
        before = optimizer.state_dict()
        for name, value in changes.items():
            setattr(optimizer, name, value)
        after = optimizer.state_dict()
        for name, array in before.items():
            np.testing.assert_array_equal(after[name], changes.get(name, array), err_msg=name)


def test_nesterov_needs_a_momentum():
    with pytest.raises(ValueError, match="nesterov=True needs a momentum above 0"):
        optim.GD(network().parameters(), 0.1, nesterov=True)
    model = network()
    optim.GD(halves(model, momentum=0.9), 0.1, nesterov=True)


def test_a_class_without_weight_decay_is_refused_it():
    with pytest.raises(TypeError, match="weight_decay"):
        Own(network().parameters(), 0.1, weight_decay=0.1)


def test_an_l2_penalty_is_one_in_the_loss():
    model, other = network(), network()
    train(model, optim.GD(model.parameters(), 0.05, weight_decay=0.3))
    optimizer = optim.GD(other.parameters(), 0.05)
    for _ in range(5):
        optimizer.zero_grad()
        (mse(other(X), Y) + 0.15 * sum(np.sum(p**2) for p in other.parameters())).backward()
        optimizer.step()
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(array, other.state_dict()[name], rtol=1e-12)


# -- Clipping ----------------------------------------------------------------------------------------------------------


@both_dtypes
@compiled_or_not
def test_a_step_is_no_longer_than_allowed_and_goes_the_same_way(dtype, compiled):
    for most in (1e-3, 0.5, 1e9):
        model, free = network(dtype), network(dtype)
        before = np.concatenate([p.data.ravel() for p in model.parameters()])
        train(model, optim.GD(model.parameters(), 1.0, clip_norm=most), steps=1, compiled=compiled)
        train(free, optim.GD(free.parameters(), 1.0), steps=1, compiled=compiled)
        moved, freely = (np.concatenate([p.data.ravel() for p in m.parameters()]) - before for m in (model, free))
        length = np.linalg.norm(freely)
        assert moved.dtype == dtype
        if most > length:
            np.testing.assert_array_equal(moved, freely)
        else:
            np.testing.assert_allclose(moved, freely * (most / length), rtol=1e-2, atol=1e-6)
            assert np.linalg.norm(moved) <= most * (1 + 1e-3)


@given(st.floats(1e-3, 10), st.floats(1e-3, 10))
def test_clipping_by_hand_is_the_optimizers(norm, value):
    model, other = network(), network()
    train(model, optim.Adam(model.parameters(), clip_norm=norm, clip_value=value), steps=2)
    optimizer = optim.Adam(other.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        mse(other(X), Y).backward()
        optim.clip_grad_value(other.parameters(), value)
        before = np.sqrt(sum(np.sum(p.grad**2) for p in other.parameters()))
        assert float(optim.clip_grad_norm(other.parameters(), norm)) == pytest.approx(before)
        optimizer.step()
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(array, other.state_dict()[name], rtol=1e-9)


def test_clipping_by_hand_can_be_recorded():
    ends = []
    for compiled in (False, True):
        model = network(np.float32)
        optimizer = optim.GD(model.parameters(), 0.5)

        def step(model=model, optimizer=optimizer):
            optimizer.zero_grad()
            mse(model(X.astype(np.float32)), Y.astype(np.float32)).backward()
            optim.clip_grad_value(model.parameters(), 1.0)
            norm = optim.clip_grad_norm(model.parameters(), 0.5)
            optimizer.step()
            return norm

        run = mg.compile(step) if compiled else step
        ends.append(([float(np.asarray(mg.Tensor(run()).data)) for _ in range(4)], model.state_dict()))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-5)
    assert_rounded_alike(ends[0][1], ends[1][1])


def test_large_float32_gradients_do_not_overflow_the_norm():
    w = mg.Tensor([3.0, 4.0], requires_grad=True, dtype=np.float32)
    w.grad = np.array([3e30, 4e30], np.float32)
    assert float(optim.clip_grad_norm([w], 1.0)) == pytest.approx(5e30)
    np.testing.assert_allclose(w.grad, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize(("bound", "error"), [(0, ValueError), (-1.0, ValueError), (np.nan, ValueError)])
def test_bad_bounds(bound, error):
    p = [mg.Tensor(1.0, requires_grad=True)]
    with pytest.raises(error, match="clip_norm must be a number above 0, or infinity"):
        optim.GD(p, 0.1, clip_norm=bound)
    with pytest.raises(error, match="clip_value must be a number above 0"):
        optim.GD(p, 0.1, clip_value=bound)
    with pytest.raises(error, match="max_norm must be a number above 0"):
        optim.clip_grad_norm(p, bound)
    with pytest.raises(error, match="clip_value must be a number above 0"):
        optim.clip_grad_value(p, bound)
    with pytest.raises(TypeError, match=r"clipping takes a list of Tensors.*got Linear"):
        optim.clip_grad_norm(nn.Linear(1, 1), 1.0)
