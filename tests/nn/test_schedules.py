"""Schedules: PyTorch's learning rates, by hand and as callbacks, in groups, recorded, saved and gone on with."""

import math
import warnings

import numpy as np
import pytest
from helpers import assert_rounded_alike

import microgradnp as mg
from microgradnp import nn, optim

STEPS = 30
X = np.linspace(-1, 1, 12)[:, None]
Y = np.sin(2 * X) + 3
VALUES = np.concatenate([[3.0, 2.0, 2.0, 2.1, 1.9999, 1.5, 1.6, 1.5], np.full(12, 1.4), [1.0], np.full(9, 1.3)])


def network():
    return nn.Sequential(nn.Linear(1, 4, rng=0), nn.Tanh(), nn.Linear(4, 1, rng=1))


def in_groups(make, lr=0.1, **options):
    a, b = mg.Tensor(1.0, requires_grad=True), mg.Tensor(2.0, requires_grad=True)
    return make([{"params": [a]}, {"params": [b], "lr": 0.03}], lr=lr, **options)


def rates(optimizer, step, steps=STEPS):
    found = []
    for k in range(steps):
        found.append([group["lr"] for group in optimizer.groups])
        step(k)
    return np.array(found)


def cosine_with_warmup(optimizer, scheduler):
    first = scheduler.LinearLR(optimizer, start_factor=1 / 5, total_iters=4)
    return scheduler.SequentialLR(optimizer, [first, scheduler.CosineAnnealingLR(optimizer, 25)], milestones=[4])


PAIRS = {
    "step": (lambda o: optim.StepLR(o, 7, gamma=0.3), lambda o, s: s.StepLR(o, 7, gamma=0.3)),
    "milestones": (lambda o: optim.StepLR(o, [3, 11, 11]), lambda o, s: s.MultiStepLR(o, [3, 11, 11])),
    "exponential": (lambda o: optim.ExponentialLR(o, 0.9), lambda o, s: s.ExponentialLR(o, 0.9)),
    "lambda": (lambda o: optim.LambdaLR(o, lambda k: 1 / (1 + k)), lambda o, s: s.LambdaLR(o, lambda k: 1 / (1 + k))),
    "cosine": (lambda o: optim.CosineLR(o, STEPS), lambda o, s: s.CosineAnnealingLR(o, STEPS)),
    "warmup": (lambda o: optim.CosineLR(o, 29, warmup=4), cosine_with_warmup),
    "one_cycle": (
        lambda o: optim.OneCycleLR(o, STEPS),
        lambda o, s: s.OneCycleLR(o, [0.1, 0.03], STEPS, cycle_momentum=False),
    ),
    "one_cycle_other": (
        lambda o: optim.OneCycleLR(o, STEPS, pct_start=0.45, div_factor=10, final_div_factor=3),
        lambda o, s: s.OneCycleLR(
            o, [0.1, 0.03], STEPS, pct_start=0.45, div_factor=10, final_div_factor=3, cycle_momentum=False
        ),
    ),
}
PLATEAUS = {
    "plain": {"patience": 2},
    "cooldown": {"patience": 1, "cooldown": 3, "factor": 0.5},
    "max": {"patience": 1, "mode": "max", "threshold": 0.1, "factor": 0.5},
    "least": {"patience": 0, "factor": 0.5, "min_lr": 0.01},
}


AT = [0, 4, 11, 20, 29]
STORED = {
    "step": [0.1, 0.1, 0.03, 0.009, 0.00081],
    "milestones": [0.1, 0.01, 0.0001, 0.0001, 0.0001],
    "exponential": [0.1, 0.06561, 0.031381059609, 0.0121576654591, 0.00471012869725],
    "lambda": [0.1, 0.02, 0.00833333333333, 0.0047619047619, 0.00333333333333],
    "cosine": [0.1, 0.0956772728821, 0.0703368321538, 0.025, 0.000273905231586],
    "warmup": [0.02, 0.1, 0.0818711994874, 0.0287110354217, 0.0],
    "one_cycle": [0.004, 0.052, 0.0950484632013, 0.0388741978064, 4e-07],
    "one_cycle_other": [0.01, 0.0308877942259, 0.096839941865, 0.0585452171832, 0.00333333333333],
    "plain": [0.1, 0.1, 0.01, 1e-05, 1e-07],
    "cooldown": [0.1, 0.05, 0.025, 0.0125, 0.003125],
    "max": [0.1, 0.05, 0.003125, 0.0001953125, 6.103515625e-06],
    "least": [0.1, 0.025, 0.01, 0.01, 0.01],
}
"""PyTorch 2.13's rates of the first group after so many steps, for where it is not installed."""


@pytest.mark.parametrize("name", STORED)
def test_rates_are_those_that_pytorch_had(name):
    optimizer = in_groups(optim.GD)
    if name in PAIRS:
        schedule = PAIRS[name][0](optimizer)
        got = rates(optimizer, lambda k: schedule.step())
    else:
        plateau = optim.ReduceLROnPlateau(optimizer, **PLATEAUS[name])
        got = rates(optimizer, lambda k: plateau.step(VALUES[k]))
    np.testing.assert_allclose(got[AT, 0], STORED[name], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("name", PAIRS)
def test_rates_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs = PAIRS[name]
    optimizer = in_groups(optim.GD)
    schedule = ours(optimizer)
    other = torch.optim.SGD([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 0.03}], lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's own making
        scheduler = theirs(other, torch.optim.lr_scheduler)
        expected = []
        for _ in range(STEPS):
            expected.append([group["lr"] for group in other.param_groups])
            other.step()
            if len(expected) < STEPS:
                scheduler.step()
    np.testing.assert_allclose(rates(optimizer, lambda k: schedule.step()), expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("name", PLATEAUS)
def test_rates_on_plateaus_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimizer = in_groups(optim.GD)
    schedule = optim.ReduceLROnPlateau(optimizer, **PLATEAUS[name])
    other = torch.optim.SGD([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 0.03}], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **PLATEAUS[name])
    expected = []
    for value in VALUES:
        expected.append([group["lr"] for group in other.param_groups])
        scheduler.step(value)
    got = rates(optimizer, lambda k: schedule.step(VALUES[k]))
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    assert len(np.unique(got[:, 0])) > 2


def test_momentum_cycles_as_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    w = mg.Tensor(1.0, requires_grad=True)
    for make, other in (
        (lambda: optim.GD([w], 0.1, momentum=0.5), torch.optim.SGD([torch.zeros(1)], 0.1, momentum=0.5)),
        (lambda: optim.Adam([w], 0.1), torch.optim.Adam([torch.zeros(1)], 0.1)),
    ):
        optimizer = make()
        schedule = optim.OneCycleLR(optimizer, STEPS, momentum=(0.85, 0.95))
        scheduler = torch.optim.lr_scheduler.OneCycleLR(other, 0.1, STEPS)
        for k in range(STEPS):
            group = other.param_groups[0]
            expected = group["momentum"] if "momentum" in group else group["betas"][0]
            assert getattr(optimizer, schedule.cycled) == pytest.approx(expected, rel=1e-10)
            other.step()
            if k < STEPS - 1:
                scheduler.step()
            schedule.step()


# -- In a training -----------------------------------------------------------------------------------------------------

MAKE = {
    "step": lambda o, by: optim.StepLR(o, 2, by=by),
    "warmup": lambda o, by: optim.CosineLR(o, 9, warmup=3, by=by),
    "one_cycle": lambda o, by: optim.OneCycleLR(o, 9, momentum=(0.5, 0.8), by=by),
    "plateau": lambda o, by: optim.ReduceLROnPlateau(o, "loss", patience=0, threshold=0.2, factor=0.7),
}
each = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def fit(model, optimizer, epochs, *callbacks, **options):
    options = {"batch_size": 5, "rng": 3, **options}
    return nn.fit(
        model,
        X,
        Y,
        loss=nn.losses.mean_squared_error,
        optimizer=optimizer,
        epochs=epochs,
        callbacks=callbacks,
        **options,
    )


@each
@pytest.mark.parametrize("by", ["epoch", "batch"])
def test_as_a_callback_it_steps_as_by_hand_recorded_or_not(make, by):
    seen = {}
    for compiled in (False, True):
        model = network()
        optimizer = optim.Adam(model.parameters(), 0.05)
        schedule = make(optimizer, by)
        noted, losses = [], []

        class Note(nn.Callback):
            def step_end(self, run, optimizer=optimizer, noted=noted):
                noted.append((optimizer.lr, optimizer.beta1))

            def epoch_end(self, run, losses=losses):
                losses.append(run.logs["loss"])

        fit(model, optimizer, 3, Note(), schedule, compile=compiled)
        seen[compiled] = noted, model.state_dict()
        again = make(by_hand := optim.Adam([mg.Tensor(1.0, requires_grad=True)], 0.05), by)
        expected = []
        for k in range(9):  # three batches in each of three epochs
            expected.append((by_hand.lr, by_hand.beta1))
            if again.by == "batch":
                again.step()
            elif k % 3 == 2:
                again.step(*[losses[k // 3]] * isinstance(again, optim.ReduceLROnPlateau))
        assert noted == expected
    assert seen[False][0] == seen[True][0]
    assert_rounded_alike(seen[True][1], seen[False][1])


@each
def test_a_training_goes_on_with_its_schedule(make):
    ends = []
    for stop in (None, 2):
        model = network()
        optimizer = optim.Adam(model.parameters(), 0.05)
        schedule = make(optimizer, "batch")
        saved = {}

        def keep(run, saved=saved, stop=stop):
            if run.epoch == stop:
                saved.update(run=run.state_dict(), model=run.model.state_dict(), optimizer=run.optimizer.state_dict())
                run.stop()

        fit(model, optimizer, 4, schedule, keep)
        if stop:
            saved["run"]["stopped"] = np.array(False)
            model = network()
            optimizer = optim.Adam(model.parameters(), 0.7)
            schedule = make(optimizer, "batch")
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            fit(model, optimizer, 4, schedule, keep, resume=saved["run"])
        ends.append(model.state_dict() | optimizer.state_dict() | schedule.state_dict())
    assert ends[0].keys() == ends[1].keys()
    for name, array in ends[0].items():
        np.testing.assert_array_equal(ends[1][name], array, err_msg=name)


def test_two_fits_go_on_where_the_schedule_stands():
    ends = []
    for parts in ((4,), (1, 3)):
        model = network()
        optimizer = optim.GD(model.parameters(), 0.05)
        schedule, rng = optim.ExponentialLR(optimizer, 0.8), np.random.default_rng(0)
        for epochs in parts:
            fit(model, optimizer, epochs, schedule, rng=rng)
        ends.append(model.state_dict())
    for name, array in ends[0].items():
        np.testing.assert_array_equal(ends[1][name], array)


@each
def test_a_schedule_put_back_sets_the_rates(make):
    optimizer, other = in_groups(optim.Adam), in_groups(optim.Adam, lr=0.7)
    schedule, again = make(optimizer, "epoch"), make(other, "epoch")
    for k in range(4):
        schedule.step(*[VALUES[k]] * isinstance(schedule, optim.ReduceLROnPlateau))
    again.load_state_dict(schedule.state_dict())
    assert [group["lr"] for group in other.groups] == [group["lr"] for group in optimizer.groups]
    assert other.beta1 == optimizer.beta1


def test_the_optimizers_own_rate_shows_the_schedule():
    optimizer = in_groups(optim.Adam)
    schedule = optim.ExponentialLR(optimizer, 0.5)
    schedule.step()
    assert (optimizer.lr, optimizer.groups[0]["lr"], optimizer.groups[1]["lr"]) == (0.05, 0.05, 0.015)
    assert repr(schedule) == "ExponentialLR(steps=1; lr=0.05, group1.lr=0.015)"


def test_past_its_end_it_stays():
    for make in (lambda o: optim.CosineLR(o, 5, end=0.25), lambda o: optim.OneCycleLR(o, 5)):
        schedule = make(optimizer := optim.GD([mg.Tensor(1.0, requires_grad=True)], 0.5))
        found = rates(optimizer, lambda k, schedule=schedule: schedule.step(), 9)[:, 0]
        assert np.ptp(found[5:]) == 0
        assert found[-1] == pytest.approx(0.125 if isinstance(schedule, optim.CosineLR) else 0.5 / 25e4)


# -- What is refused ---------------------------------------------------------------------------------------------------

W = optim.GD([mg.Tensor(1.0, requires_grad=True)], 0.5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.StepLR(network(), 3), TypeError, "StepLR takes an Optimizer first; got Sequential"),
        (lambda: optim.StepLR(W, 0), ValueError, "step_size must be an integer, 1 or more; got 0"),
        (lambda: optim.StepLR(W, [3, 2.5]), ValueError, "step_size must be .* got 2.5"),
        (lambda: optim.StepLR(W, 3, gamma=-1), ValueError, "gamma must be a finite number above 0"),
        (lambda: optim.ExponentialLR(W, 0.9, by="step"), ValueError, "by must be 'epoch' or 'batch'; got 'step'"),
        (lambda: optim.CosineLR(W, 5, warmup=5), ValueError, "total must be an integer, 6 or more; got 5"),
        (lambda: optim.CosineLR(W, 5, end=2), ValueError, "end must be a share"),
        (lambda: optim.OneCycleLR(W, 5, pct_start=1.0), ValueError, "pct_start must be a share"),
        (lambda: optim.OneCycleLR(W, 5, momentum=(0.8, 0.9)), ValueError, "GD has no momentum to cycle, or one of 0"),
        (lambda: optim.ReduceLROnPlateau(W, factor=1.5), ValueError, "factor must be between 0 and 1"),
        (lambda: optim.ReduceLROnPlateau(W, mode="low"), ValueError, "mode must be 'min' or 'max'"),
        (lambda: optim.LambdaLR(W, lambda k: -1.0), ValueError, "GD's lr must be a finite number, 0 or more; got -0.5"),
        (lambda: optim.LambdaLR(W, lambda k: math.nan), ValueError, "got nan"),
        (lambda: optim.Schedule(W), NotImplementedError, r"Schedule must define factor\(k\)"),
    ],
)
def test_what_makes_no_schedule(make, error, message):
    with pytest.raises(error, match=message):
        make()
    assert W.lr == 0.5


def test_a_schedule_of_another_optimizer_is_refused():
    model = network()
    with pytest.raises(ValueError, match="StepLR among the callbacks was made for another optimizer"):
        fit(model, optim.GD(model.parameters(), 0.1), 1, optim.StepLR(W, 3))


def test_a_plateau_needs_its_number():
    model = network()
    optimizer = optim.GD(model.parameters(), 0.1)
    with pytest.raises(KeyError, match="no 'val_loss' for ReduceLROnPlateau to look at; there is loss"):
        fit(model, optimizer, 1, optim.ReduceLROnPlateau(optimizer))


def test_a_state_that_does_not_fit_changes_nothing():
    schedule = optim.StepLR(W, 3)
    state = schedule.state_dict()
    with pytest.raises(ValueError, match="missing 'steps'"):
        schedule.load_state_dict({"from.lr": 0.1})
    assert schedule.state_dict() == state


# -- From a file, in the middle of an epoch ----------------------------------------------------------------------------

METHODS = {
    "gd": lambda p: optim.GD(p, 0.05, 0.9, nesterov=True, clip_norm=1.0),
    "adam": lambda p: optim.Adam(p, 0.05, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, 0.05),
    "rmsprop": lambda p: optim.RMSprop(p, 0.01, momentum=0.5, centered=True, clip_value=0.1),
}


class Interrupt(nn.Callback):
    at = None

    def step_end(self, run):
        if (run.epoch, run.batch) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("method", "make"), list(zip(METHODS.values(), MAKE.values(), strict=True)), ids=METHODS)
def test_a_training_goes_on_from_its_file_to_the_last_bit(method, make, tmp_path):
    ends = []
    for parts in ([None], [(2, 2), None]):
        for at in parts:
            model = network()
            optimizer = method([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.01}])
            schedule = make(optimizer, "batch")
            interrupt = Interrupt()
            interrupt.at = at
            saving = nn.ModelCheckpoint(tmp_path / "run.npz", steps=1)
            resume = tmp_path / "run.npz" if at is None and len(parts) > 1 else None
            try:
                fit(model, optimizer, 4, schedule, interrupt, saving, resume=resume)
            except KeyboardInterrupt:
                assert at is not None
        ends.append(model.state_dict() | optimizer.state_dict() | schedule.state_dict())
    assert ends[0].keys() == ends[1].keys()
    for name, array in ends[0].items():
        np.testing.assert_array_equal(ends[1][name], array, err_msg=name)
