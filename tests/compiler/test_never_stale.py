"""A program is never stale: whatever a step reads besides its arguments is seen to change."""

import warnings

import numpy as np
import pytest
from helpers import FRESH, assert_same, plain, small, state_of
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn


def rebind(model, optimizer):
    model[0].weight.data = model[0].weight.data * 0.5


def write_into(model, optimizer):
    model[0].weight.data[...] = 0.25


def freeze(model, optimizer):
    model[0].bias.requires_grad = False


def load(model, optimizer):
    model.load_state_dict({name: array * 2 for name, array in model.state_dict().items()})


def add_layer(model, optimizer):
    model.append(nn.Tanh())


def replace_layer(model, optimizer):
    model._layers[1] = nn.Sigmoid()


def replace_bias(model, optimizer):  # of one element and the same value: only its identity differs
    model[2].bias = mg.Tensor(model[2].bias.data, requires_grad=True)
    optimizer.__init__(model.parameters(), lr=0.5)


def learn_slower(model, optimizer):
    optimizer.lr = 0.001


def change_betas(model, optimizer):
    optimizer.beta1 = 0.5


def drop_gradients(model, optimizer):
    for p in model.parameters():
        p.grad = None


def set_gradients(model, optimizer):
    for p in model.parameters():
        p.grad = np.ones(p.shape)


CHANGES = (
    rebind,
    write_into,
    load,
    add_layer,
    replace_layer,
    replace_bias,
    learn_slower,
    change_betas,
    drop_gradients,
    set_gradients,
)


@pytest.mark.filterwarnings("ignore:.*recorded anew at each:RuntimeWarning")
@given(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4), st.integers(1, 3))
def test_what_changes_between_calls_is_seen(changes, calls):
    ours, eager = small(), small()
    compiled = mg.compile(ours[2])
    for change in (lambda *_: None, *changes):
        change(*ours[:2])
        change(*eager[:2])
        for _ in range(calls):
            assert_same(compiled(*ours[3]), eager[2](*eager[3]))
            assert_same(state_of(*ours[:2]), state_of(*eager[:2]))


def test_values_set_before_each_call_do_not_look_like_a_change_by_the_step():
    ours, eager = small(), small()
    compiled = mg.compile(ours[2])
    for _ in range(3):  # a warning is an error
        rebind(*ours[:2])
        rebind(*eager[:2])
        assert_same(compiled(*ours[3]), eager[2](*eager[3]))
        assert_same(state_of(*ours[:2]), state_of(*eager[:2]))
    assert compiled.program


def test_a_frozen_parameter_is_seen():
    ours = small()

    def step(x, y):
        for p in ours[0].parameters():
            p.grad = None
        value = nn.losses.mean_squared_error(ours[0](x), y)
        value.backward()
        return value

    compiled = mg.compile(step)
    compiled(*ours[3])
    assert ours[0][0].bias.grad is not None
    freeze(ours[0], None)
    ours[0][0].bias.grad = None
    compiled(*ours[3])
    assert ours[0][0].bias.grad is None


class Noisy(nn.Layer):
    """Adds noise, in training only."""

    def __init__(self, rng):
        self.rng = rng

    def forward(self, x):
        return x + mg.draw(self.rng.standard_normal, x.shape) if self.training else x


def test_modes_are_seen_and_each_program_is_kept():
    model = Noisy(np.random.default_rng(0)).train()
    compiled = mg.compile(lambda x: model(x) * 2)
    x = np.zeros(3)
    for _ in range(3):
        assert np.any(compiled(x).data != 0)
        model.eval()
        assert np.all(compiled(x).data == 0)
        model.train()
    assert "2 programs>" in repr(compiled)


# -- What is no Tensor -------------------------------------------------------------------------------------------------


class Scaled:
    def __init__(self, factor):
        self.factors = (np.array(factor),)

    def __call__(self, x):
        return x * self.factors[0]


def test_another_tuple_of_equal_numbers_is_seen():
    scaled = Scaled(np.float32(2.0))
    compiled = mg.compile(lambda x: scaled(x))
    x = np.array([1.0, 3.0], np.float32)
    for _ in range(2):
        assert_same(compiled(x), scaled(x))
    scaled.factors = (np.array(2.0),)
    assert_same(compiled(x), scaled(x))  # of float64 now


SCALE = 2.0


def test_globals_and_closures_are_seen():
    global SCALE
    offset = 1.0
    compiled = mg.compile(lambda x: x * SCALE + offset)
    x = np.arange(3.0)
    assert_same(compiled(x), x * 2 + 1)
    SCALE = 3.0
    assert_same(compiled(x), x * 3 + 1)
    offset = 0.0
    assert_same(compiled(x), x * 3)
    SCALE = 2.0


def test_bound_arrays_are_read_where_they_are():
    table = np.arange(3.0)
    compiled = mg.compile(lambda x: x * table + table.T)
    assert_same(compiled(np.ones(3)), table * 2)
    table[...] = 7.0
    assert_same(compiled(np.ones(3)), table * 2)


class Settings:
    """What a step may find its numbers in."""

    __slots__ = ("number",)
    shared = 1

    def __init__(self, number):
        self.number = number


class Scales:
    def __init__(self):
        self.settings = Settings(1)
        self.plain = 1
        self.list = [2, 1]
        self.names = {"a"}
        self.order = {"a": 1.0, "b": 2.0}

    def scaled(self, x):
        return x * FACTOR


FACTOR = 1


def set_global(scales, number):
    global FACTOR
    FACTOR = number


SOURCES = {
    "a global of a method": (lambda s, x: s.scaled(x), set_global),
    "a slot": (lambda s, x: x * s.settings.number, lambda s, number: setattr(s.settings, "number", number)),
    "an attribute of a class": (lambda s, x: x * s.settings.shared, lambda s, n: setattr(Settings, "shared", n)),
    "an attribute": (lambda s, x: x * s.plain, lambda s, number: setattr(s, "plain", number)),
    "a list of numbers": (lambda s, x: x * s.list[-1], lambda s, number: s.list.__setitem__(-1, number)),
    "a set": (lambda s, x: x * len(s.names), lambda s, number: s.names.add(str(number))),
    "the order of a dict": (
        lambda s, x: np.stack([x * n for n in s.order.values()]),
        lambda s, _: s.order.update(a=s.order.pop("a")) or s.order.update(b=1.0 * s.order.pop("b")),
    ),
}


@pytest.mark.filterwarnings("ignore:.*recorded anew at each:RuntimeWarning")
@pytest.mark.parametrize("source", SOURCES)
def test_numbers_found_anywhere_are_seen_to_change(source):
    # 1, 1.0 and True are equal, and so are 0.0 and -0.0; what they make of an array of whole numbers is not
    read, change = SOURCES[source]
    scales = Scales()
    compiled, times = mg.compile(lambda x: read(scales, x)), mg.compile(lambda x, n: x * n)
    for number in (1, 1.0, True, np.float32(1.0), 2, 0.0, -0.0, 3):
        change(scales, number)
        for x in (np.arange(3), np.arange(3.0)):
            for _ in range(2):
                ours, eager = compiled(x), read(scales, mg.Tensor(x))
                assert np.array_equal(np.signbit(plain(times(x, number))), np.signbit(x * number))
                assert_same(ours, eager)
                assert np.array_equal(np.signbit(plain(ours)), np.signbit(plain(eager)))


def test_a_log_may_grow_between_the_calls():
    log = [1.0]
    compiled = mg.compile(lambda x: x * len(log[:1]))
    for (x,) in FRESH:
        assert_same(compiled(x), x)
        log.append(2.0)
    assert "1 program>" in repr(compiled)


def test_a_place_written_by_numpy_and_put_back_is_noticed():
    scale = np.ones(3)

    def step(x):
        scale[...] = 3.0
        y = x * scale
        scale[...] = 1.0
        return y

    compiled = mg.compile(step)
    with pytest.warns(RuntimeWarning, match="the step gives"):  # by the audit of the first call
        assert_same(compiled(FRESH[0][0]), FRESH[0][0] * 3)
    assert_same(compiled(FRESH[1][0]), FRESH[1][0] * 3)
    assert_same(compiled(FRESH[2][0]), FRESH[2][0] * 3)


# -- How many programs are kept ----------------------------------------------------------------------------------------


def test_the_programs_used_last_are_kept():
    compiled = mg.compile(lambda x: x * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a complaint about so many recordings
        for n in range(40):
            assert_same(compiled(np.ones(n)), np.full(n, 2.0))
    assert "16 programs>" in repr(compiled)


def test_recording_at_every_call_is_said_aloud():
    counter = {"calls": 0}
    compiled = mg.compile(lambda x: x * counter["calls"])

    def call_often():
        for i in range(12):
            counter["calls"] = i
            assert_same(compiled(np.ones(2)), np.full(2, float(i)))

    with pytest.warns(RuntimeWarning, match=r"counter"):
        call_often()
