"""`compile`: a replayed program is the step itself, on fresh data; what it does not fit is recorded anew."""

import copy
import gc
import threading
import tracemalloc
import warnings
from collections import namedtuple
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import RECIPES

import microgradnp as mg
from microgradnp import check, nn, optim
from microgradnp.check.strategies import LAYOUTS, lay
from microgradnp.compiler import RecordingError
from microgradnp.transforms.pullback import leaves_of, like

# -- What it is compared with ------------------------------------------------------------------------------------------


def plain(x):
    """A Tensor or number as an array."""
    return x.data if isinstance(x, mg.Tensor) else np.asarray(x)


def assert_same(ours, eager, inputs=()):
    """Equal to rounding: matrix products and sums may go through ndarray.dot, which adds up in another order.

    A float64 result may have been computed from ``inputs`` of float32, with their rounding.
    """
    single = any(np.asarray(plain(x)).dtype == np.float32 for x in leaves_of(inputs))
    ours, eager = leaves_of(ours), leaves_of(eager)
    assert len(ours) == len(eager)
    for a, b in zip(map(plain, ours), map(plain, eager), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        relative = 1e-5 if single or b.dtype == np.float32 else 1e-12
        scale = max(1.0, float(np.max(np.abs(b), initial=0, where=np.isfinite(b)))) if b.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(a, b, rtol=relative, atol=relative * scale)


def with_gradient(f):
    """A step that gives a function's value and its gradient with respect to every argument."""

    def value_and_gradient(*args):
        value, pullback = mg.vjp(f, *args)
        seeds = [np.linspace(0.5, 1.5, int(np.size(v))).reshape(np.shape(v)).astype(v.dtype) for v in leaves_of(value)]
        return value, pullback(like(value, seeds))

    return value_and_gradient


def scaled(args, factor):
    """The float arrays among nested arguments, smaller: still within every function's domain."""
    return like(
        args,
        [a * a.dtype.type(factor) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in leaves_of(args)],
    )


def arrays_of(args):
    """Products of 0-d arrays are NumPy scalars: arrays again."""
    return like(args, [np.asarray(a) if isinstance(a, np.generic) else a for a in leaves_of(args)])


# -- Every function, whole programs ------------------------------------------------------------------------------------

BY_VALUE = {"piecewise", "trim_zeros", "polymul", "polydiv", "polyfit", "lstsq"}
"""Functions whose result's shape, or whose choice of calls, depends on values: recording refuses them."""


@pytest.mark.parametrize("function", RECIPES, ids=lambda f: getattr(f, "__name__", str(f)))
def test_every_function_and_its_gradient_compile(function):
    # Hundreds of rows share the time of a test file: an example each, forty in the thorough profile.
    @settings(max_examples=max(1, settings.default.max_examples // 25))
    @given(st.data())
    def rows(data):
        case = data.draw(st.one_of(RECIPES[function]))
        step = with_gradient(case.f)
        compiled = mg.compile(step)
        with np.errstate(all="ignore"):
            for factor in (1.0, 0.9, 1.0):
                args = arrays_of(scaled(case.args, factor))
                if function.__name__ in BY_VALUE:
                    try:  # some forms of a call do not depend on values
                        ours = compiled(*args)
                    except TypeError as error:
                        if "recorded" in str(error) or "compiled step" in str(error):
                            return
                        raise
                else:
                    ours = compiled(*args)
                assert_same(ours, step(*args))
        assert "1 program>" in repr(compiled)

    rows()


@given(check.strategies.programs(kinks=True, dtype=st.sampled_from([np.float64, np.float32])))
def test_random_programs_and_their_gradients(program):
    step = with_gradient(program.function)
    compiled = mg.compile(step)
    for factor in (1.0, 0.7, -0.4, 1.0):
        args = arrays_of(scaled(program.args, factor))
        assert_same(compiled(*args), step(*args), args)
    assert "1 program>" in repr(compiled)


@given(check.strategies.networks(dtype=st.sampled_from([np.float64, np.float32])))
def test_nested_arguments_and_second_derivatives(network):
    def step(parameters, x, t):
        return mg.hvp(lambda p: network.function(p, x, t), (parameters,), (parameters,))

    compiled = mg.compile(step)
    for factor in (1.0, 0.5, -0.5):
        args = arrays_of(scaled(network.args, factor))
        assert_same(compiled(*args), step(*args))


# -- Training ----------------------------------------------------------------------------------------------------------


# Dividing by the size of the gradient makes a full step of a gradient that is mere rounding; where the data lie decides
# in which order BLAS adds. An eps above the rounding of float32 keeps such steps small.
EPS = 1e-3


class RMSProp(optim.Optimizer):
    """An optimizer of a user's own."""

    def init_single(self, parameter):
        return {"square": np.zeros_like(parameter)}

    def apply_single(self, gradient, parameter, state):
        square = 0.9 * state["square"] + 0.1 * np.square(gradient)
        return parameter - self.lr * gradient / (np.sqrt(square) + EPS), {"square": square}


ACTIVATIONS = (nn.Sigmoid, nn.ReLU, nn.Tanh)
OPTIMIZERS = (optim.GD, partial(optim.Adam, eps=EPS), RMSProp)


@st.composite
def trainings(draw):
    """A function that makes a model, its optimizer and its step; and the widths of input and output, dtype and loss."""
    widths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    activations = [draw(st.sampled_from(ACTIVATIONS)) for _ in widths[2:]]
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    make_optimizer = draw(st.sampled_from(OPTIMIZERS))
    loss = draw(st.sampled_from([nn.losses.sum_squared_error, nn.losses.mean_squared_error, nn.losses.cross_entropy]))

    def make():
        rng = np.random.default_rng(0)
        layers = []
        for i, (a, b) in enumerate(pairwise(widths)):
            layers += [nn.Linear(a, b, rng=rng, dtype=dtype), *(kind() for kind in activations[i : i + 1])]
        model = nn.Sequential(*layers)
        optimizer = make_optimizer(model.parameters(), lr=0.01)
        return model, optimizer, step_of(model, optimizer, loss)

    def data(rng, n):
        x = rng.normal(size=(n, widths[0])).astype(dtype)
        if loss is nn.losses.cross_entropy:
            return x, rng.integers(0, widths[-1], n)
        return x, rng.normal(size=(n, widths[-1])).astype(dtype)

    return make, data


def step_of(model, optimizer, loss):
    """The loop's body, as everybody writes it."""

    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    return step


def state_of(model, optimizer):
    """Everything that training changes."""
    return (
        [p.data for p in model.parameters()]
        + [p.grad for p in model.parameters()]
        + list(optimizer.state_dict().values())
    )


@given(trainings(), st.lists(st.integers(1, 5), min_size=2, max_size=8))
def test_training_is_what_it_is_eagerly(training, batches):
    make, data = training
    ours, eager = make(), make()
    compiled = mg.compile(ours[2])
    rng = np.random.default_rng(1)
    for i, n in enumerate(batches):  # fresh data at each replay, changed batch sizes
        batch = data(rng, n)
        if i == 2:
            ours[1].lr = eager[1].lr = 0.02
        assert_same(compiled(*batch), eager[2](*batch))
        assert_same(state_of(*ours[:2]), state_of(*eager[:2]))


@given(trainings(), st.lists(st.sampled_from("ABC"), min_size=3, max_size=10))
def test_steps_take_turns(training, order):
    make, data = training
    ours, eager = make(), make()
    other = optim.GD(ours[0].parameters(), lr=0.1), optim.GD(eager[0].parameters(), lr=0.1)
    del other  # an optimizer that has taken the parameters into its own buffer must not disturb the first one's steps
    steps = {
        "A": (mg.compile(ours[2]), eager[2]),
        "B": (
            mg.compile(step_of(*ours[:2], lambda p, t: np.sum(p * p))),
            step_of(*eager[:2], lambda p, t: np.sum(p * p)),
        ),
        "C": (ours[2], eager[2]),  # now and then a step that is not compiled
    }
    rng = np.random.default_rng(1)
    for name in order:
        batch = data(rng, 3)
        assert_same(steps[name][0](*batch), steps[name][1](*batch))
        assert_same(state_of(*ours[:2]), state_of(*eager[:2]))


def small(seed=0, dtype=np.float64, width=4):
    """A network, its optimizer, the step and a batch."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Linear(2, width, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(width, 1, rng=rng, dtype=dtype)
    )
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    x, y = rng.normal(size=(7, 2)).astype(dtype), rng.normal(size=(7, 1)).astype(dtype)
    return model, optimizer, step_of(model, optimizer, nn.losses.mean_squared_error), (x, y)


def test_gradients_add_up_over_calls_as_they_do_eagerly():
    def make():
        model, _, _, batch = small()

        def step(x, y):
            value = nn.losses.mean_squared_error(model(x), y)
            value.backward()
            return value

        return model, step, batch

    (ours, step, batch), (eager, eager_step, _) = make(), make()
    compiled = mg.compile(step)
    for i in range(7):
        assert_same(compiled(*batch), eager_step(*batch))
        assert_same([p.grad for p in ours.parameters()], [p.grad for p in eager.parameters()])
        if i == 4:
            for p in (*ours.parameters(), *eager.parameters()):
                p.grad = None


def test_zero_grad_after_forward():
    def make():
        model, optimizer, _, batch = small()

        def step(x, y):
            value = nn.losses.mean_squared_error(model(x), y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            return value

        return model, optimizer, step, batch

    ours, eager = make(), make()
    compiled = mg.compile(ours[2])
    for _ in range(5):
        assert_same(compiled(*ours[3]), eager[2](*eager[3]))
        assert_same(state_of(*ours[:2]), state_of(*eager[:2]))


@pytest.mark.parametrize("update", ["in_place", "through_data", "assigned"])
def test_updates_written_by_hand(update):
    def make():
        model, _, _, batch = small()

        def step(x, y):
            for p in model.parameters():
                p.grad = None
            value = nn.losses.mean_squared_error(model(x), y)
            value.backward()
            for p in model.parameters():
                if update == "in_place":
                    with mg.no_grad():
                        p -= 0.1 * p.grad
                elif update == "through_data":
                    p.data -= 0.1 * p.grad
                else:
                    p.data = p.data - 0.1 * p.grad
            return value

        return model, step, batch

    (ours, step, batch), (eager, eager_step, _) = make(), make()
    compiled = mg.compile(step)
    if update == "assigned":  # would take the parameters' arrays from the program at every call
        with pytest.raises(TypeError, match="recorded"):
            compiled(*batch)
        return
    for _ in range(5):
        assert_same(compiled(*batch), eager_step(*batch))
        assert_same([p.data for p in ours.parameters()], [p.data for p in eager.parameters()])


# -- A program is never stale ------------------------------------------------------------------------------------------


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


def test_numbers_are_part_of_the_program():
    compiled = mg.compile(lambda x, n: x**n)
    x = np.arange(3.0)
    for n in (2, 3, 2.0, 3, 2):
        assert_same(compiled(x, n), x**n)
    assert "3 programs>" in repr(compiled)


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


def test_signatures():
    compiled = mg.compile(lambda x, *, scale: {"sum": np.sum(x["a"] * scale), "parts": [x["a"], x["b"][0]]})
    a, b = np.arange(3.0), np.float32([1, 2])
    for _ in range(2):
        for dtype in (np.float32, np.float64):
            for wrapped in (lambda v: v, mg.Tensor):
                out = compiled({"a": wrapped(a.astype(dtype)), "b": (b,)}, scale=np.asarray(2.0, dtype))
                assert_same(out, {"sum": np.sum(a * 2).astype(dtype), "parts": [a.astype(dtype), b]})
    assert "2 programs>" in repr(compiled)
    with pytest.raises(TypeError):
        compiled(a)


@given(st.lists(st.sampled_from(LAYOUTS), min_size=2, max_size=5))
def test_arguments_of_any_layout_written_into_between_calls(layouts):
    def step(x):
        return x.reshape((-1,)) * 2, x.T @ x, np.sum(x, axis=0), x[1:] + x[:-1].reshape((-1,))[:3]

    compiled = mg.compile(step)
    for layout in layouts:
        x = lay(np.arange(12.0).reshape(4, 3), layout)
        assert_same(compiled(x), step(mg.Tensor(x)))
        if x.flags.writeable:
            x += 1  # the same array object, other numbers: a copy taken earlier would be stale
            assert_same(compiled(x), step(mg.Tensor(x)))
    assert "1 program>" in repr(compiled)


# -- Memory ------------------------------------------------------------------------------------------------------------


def test_results_are_never_overwritten():
    compiled = mg.compile(lambda x: (x * 2, np.sum(x), x))
    first = compiled(np.ones(3))
    second = compiled(np.zeros(3))
    assert_same(first, (np.full(3, 2.0), np.float64(3), np.ones(3)))
    assert_same(second, (np.zeros(3), np.float64(0), np.zeros(3)))


def test_gradients_share_no_memory():
    w, v = mg.Tensor(np.ones(3), requires_grad=True), mg.Tensor(np.ones(3), requires_grad=True)

    @mg.compile
    def step(x):
        w.grad = v.grad = None
        loss = np.sum((w + v) * x)
        loss.backward()
        return loss

    for _ in range(3):
        step(np.arange(3.0))
        assert not np.shares_memory(w.grad, v.grad)
        assert_same((w.grad, v.grad), (np.arange(3.0), np.arange(3.0)))


@pytest.mark.parametrize("loss", [nn.losses.sum_squared_error, nn.losses.cross_entropy])
@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.ReLU, nn.Tanh])
def test_a_replay_allocates_no_arrays(activation, loss):
    n = 4096
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(64, 96, rng=rng), activation(), nn.Linear(96, 32, rng=rng))
    optimizer = optim.Adam(model.parameters())
    compiled = mg.compile(step_of(model, optimizer, loss))
    x = rng.normal(size=(n, 64))
    y = rng.integers(0, 32, n) if loss is nn.losses.cross_entropy else rng.normal(size=(n, 32))
    for _ in range(3):
        compiled(x, y)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(3):
            compiled(x, y)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    # NumPy itself takes a buffer of 8192 elements an operand for a broadcast or a cast, whatever the arrays' size.
    assert peak < 3 * 8192 * 8 < n * 32 * 8, f"{peak} bytes"


def test_peak_memory_is_at_most_that_of_eager_mode():
    rng = np.random.default_rng(0)

    def peak_of(compiled):
        sizes = (64, 256, 256, 10)
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b, rng=rng), nn.Tanh())]
        model = nn.Sequential(*layers[:-1])
        step = step_of(model, optim.Adam(model.parameters()), nn.losses.mean_squared_error)
        x, y = rng.normal(size=(256, 64)), rng.normal(size=(256, 10))
        if compiled:
            step = mg.compile(step)
            step(x, y)
            step(x, y)
            gc.collect()
            own = step.program.nbytes
        else:
            step(x, y)
            own = 0
        tracemalloc.start()
        step(x, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return own + peak

    assert peak_of(compiled=True) <= peak_of(compiled=False)


# -- What recording refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda x: x * 2 if np.sum(x) > 0 else x, "np.where"),
        (lambda x: float(np.sum(x)), "float"),
        (lambda x: np.sum(x).item(), "item"),
        (lambda x: x[x > 0], "index"),
        (lambda x: np.nonzero(x)[0], "shape of its result depends on values"),
        (lambda x: np.asarray(x), "recorded"),
        (lambda x: (x * 2).data, "data"),
        (lambda x: np.max(x.data), "data"),
        (lambda x: [v for v in x if v > 0], "bool"),
        (lambda x: x * np.random.rand(), "draw"),  # noqa: NPY002
    ],
)
def test_what_a_replay_could_not_repeat_is_refused(step, words):
    with pytest.raises(TypeError, match=words):
        mg.compile(step)(np.arange(1.0, 4.0))


def test_a_generator_drawn_from_directly_is_noticed():
    rng = np.random.default_rng(0)
    with pytest.raises(RecordingError, match=r"microgradnp\.draw"):
        mg.compile(lambda x: x + rng.standard_normal(3))(np.zeros(3))
    drawn = mg.compile(lambda x: x + rng.normal(size=3) + mg.draw(rng.standard_normal, 3))
    with pytest.raises(RecordingError, match=r"microgradnp\.draw"):
        drawn(np.zeros(3))


def test_a_tensor_in_a_graph_is_no_argument():
    w = mg.Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="would not connect"):
        mg.compile(lambda x: x * 2)(w)


def test_an_argument_in_a_parameters_memory_is_refused():
    model, _, step, (x, y) = small()
    compiled = mg.compile(step)
    compiled(x, y)
    compiled(x, y)
    flat = model[0].weight.data.reshape(-1)
    with pytest.raises(ValueError, match="shares memory"):
        compiled(np.broadcast_to(flat[:2], (7, 2)), y)


def test_a_failed_recording_leaves_no_trace():
    ours, eager = small(), small()
    fail = [True]

    def step(x, y):
        value = ours[2](x, y)
        if fail[0]:
            raise KeyError("on purpose")
        return value

    compiled = mg.compile(step)
    with pytest.raises(KeyError, match="on purpose"):
        compiled(*ours[3])
    assert all(p.grad is None or type(p.grad) is np.ndarray for p in ours[0].parameters())
    fail[0] = False
    eager[2](*eager[3])  # the failed step had changed the parameters before it failed, as it does eagerly
    for _ in range(3):
        assert_same(compiled(*ours[3]), eager[2](*eager[3]))


def test_an_exception_during_a_replay_leaves_the_program_usable():
    ours, eager = small(), small()
    compiled = mg.compile(ours[2])
    x, y = ours[3]
    for _ in range(2):
        assert_same(compiled(x, y), eager[2](x, y))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        compiled(x, y * 1e300)
    ours[0].load_state_dict(eager[0].state_dict())
    ours[1].load_state_dict(eager[1].state_dict())
    for _ in range(2):
        assert_same(compiled(x, y), eager[2](x, y))


def test_a_step_within_a_step_becomes_part_of_it():
    inner = mg.compile(lambda x: np.tanh(x) * 2)
    outer = mg.compile(lambda x: np.sum(inner(x) * x))
    for x in (np.ones(3), np.arange(3.0)):
        assert_same(outer(x), np.sum(np.tanh(x) * 2 * x))


def test_debug_mode_runs_the_step_itself():
    compiled = mg.compile(lambda x: np.log(x))
    compiled(np.ones(2))
    with mg.debug(), pytest.raises(FloatingPointError, match=r"np\.log"), np.errstate(all="ignore"):
        compiled(mg.Tensor([0.0, 1.0]))


def test_warnings_are_those_of_the_step():
    def sigmoid(x):
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-x))

    quiet, loud = mg.compile(sigmoid), mg.compile(lambda x: 1 / (1 + np.exp(-x)))
    for compiled in (quiet, loud):
        compiled(np.zeros(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(quiet(np.array([-1000.0, 0.0])), np.array([0.0, 0.5]))
        with pytest.raises(RuntimeWarning, match="overflow"):
            loud(np.array([-1000.0, 0.0]))


# -- Randomness --------------------------------------------------------------------------------------------------------

DRAWS = (
    lambda rng: mg.draw(rng.random, (2, 3)),
    lambda rng: mg.draw(rng.standard_normal, (2, 3), dtype=np.float32),
    lambda rng: mg.draw(rng.normal, 1.0, 2.0, size=(2, 3)),
    lambda rng: mg.draw(rng.integers, 0, 5, size=(2, 3)),
    lambda rng: mg.draw(rng.permutation, 3),
    lambda rng: mg.draw(rng.standard_normal),
    lambda rng: mg.draw(rng.random, (2, 3)) < 0.5,
)


@given(st.lists(st.sampled_from(DRAWS), min_size=1, max_size=4), st.integers(0, 2**32))
def test_random_numbers_are_those_that_the_generator_gives(draws, seed):
    def make():
        rng = np.random.default_rng(seed)
        return rng, lambda x: [np.asarray(0) + x * draw(rng) for draw in draws]

    (ours, step), (theirs, eager) = make(), make()
    compiled = mg.compile(step)
    for _ in range(4):
        assert_same(compiled(np.ones(3)), eager(np.ones(3)))
        assert ours.bit_generator.state == theirs.bit_generator.state


def test_draw_takes_a_generators_method():
    with pytest.raises(TypeError, match=r"numpy\.random\.Generator"):
        mg.draw(np.random.rand, 3)


# -- Threads -----------------------------------------------------------------------------------------------------------


def test_threads_take_turns():
    compiled = mg.compile(lambda x: np.sum(np.tanh(x @ x.T)))
    data = [np.random.default_rng(i).normal(size=(n, n)) for i, n in enumerate([3, 20, 3, 20])]
    wanted = [np.sum(np.tanh(x @ x.T)) for x in data]
    failures = []

    def work(x, want):
        try:
            for _ in range(200):
                assert_same(compiled(x), np.float64(want))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(data, wanted, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def test_a_thousand_layers():
    rng = np.random.default_rng(0)

    def make():
        model = nn.Sequential(*(nn.Linear(2, 2, rng=copy.deepcopy(rng)) for _ in range(1000)))
        return model, optim.GD(model.parameters(), lr=1e-3)

    x, y = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    ours, eager = make(), make()
    compiled = mg.compile(step_of(*ours, nn.losses.mean_squared_error))
    step = step_of(*eager, nn.losses.mean_squared_error)
    for _ in range(3):
        assert_same(compiled(x, y), step(x, y))
    assert_same([p.data for p in ours[0].parameters()], [p.data for p in eager[0].parameters()])


def test_a_place_seen_through_a_read_only_view_is_written_again():
    def f(x):
        ends = np.broadcast_to(np.array([x[0, 0], 1.0], like=x), (2, 2))
        return np.sum(np.sin((np.ones(3, np.float32) * ends[0][0]).astype(np.float32)))

    step, x = with_gradient(f), np.array([[0.5, 2.0]], np.float32)
    compiled = mg.compile(step)
    for k in range(3):
        assert_same(compiled(x + k), step(x + k))


COPIES = {
    "copied": lambda x: x.copy(),
    "times 1": lambda x: x * 1.0,
    "1 times": lambda x: 1 * x,
    "over 1": lambda x: x / 1.0,
    "cast": lambda x: x.astype(np.float64),
}
PARTS = {
    "rows reversed": lambda x: x[::-1],
    "columns reversed": lambda x: x[:, ::-1],
    "some columns": lambda x: x[:, :2],
    "every other": lambda x: x[:, ::2],
    "a row repeated": lambda x: np.broadcast_to(x[0], (2, 3)),
    "a column repeated": lambda x: np.broadcast_to(x[:, :1], (2, 3)),
    "transposed": lambda x: x.T,
    "all": lambda x: x,
}


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("part", PARTS)
def test_a_copy_of_a_part_is_dense_in_a_replay_too(part, copied):
    def f(x):
        y = COPIES[copied](PARTS[part](x * x))
        z = np.reshape(y, -1)
        twice = np.stack((y, y))
        return np.sum(np.sin(z) * np.arange(z.size)), np.sum(twice * np.arange(twice.size).reshape(twice.shape))

    step, x = with_gradient(f), np.array([[0.5, 1.0, -1.5], [2.0, -0.25, 0.75]])
    compiled = mg.compile(step)
    for k in range(3):
        assert_same(compiled(x + k), step(x + k))


def run_alike(make, *calls):
    """Call a step eagerly and compiled; ``make`` gives a fresh step and the Tensors that it changes."""
    (ours, mine), (eager, theirs) = make(), make()
    compiled = mg.compile(ours)
    for args in calls:
        assert_same(compiled(*args), eager(*map(mg.Tensor, args)))
        assert_same([t.data for t in mine], [t.data for t in theirs])
        assert [t.grad is None for t in mine] == [t.grad is None for t in theirs]
        assert_same([t.grad for t in mine if t.grad is not None], [t.grad for t in theirs if t.grad is not None])
    return compiled


FRESH = [(np.array([1.0, -2.0, 3.0]) + k,) for k in range(4)]


def test_no_argument_is_written_over_while_it_is_read():
    def clipped():
        def step(x):
            top = x * 2
            return np.clip(top, x - 0.5, top)  # written in two lines, of which the second reads top once more

        return step, []

    def turned():
        w = mg.Tensor(np.zeros(3))

        def step(x):
            y = x * 2
            np.positive(y, out=w.data)
            z = np.concatenate((y[1:], y[:1]))  # would be computed where y lies
            np.positive(z, out=w.data)
            return z * 1

        return step, [w]

    run_alike(clipped, *FRESH)
    run_alike(turned, *FRESH)


@pytest.mark.parametrize("copied", ["times 1", "1 times", "over 1"])
def test_a_copy_of_what_the_step_writes_keeps_the_old_values(copied):
    def make():
        w = mg.Tensor([1.0, 2.0, 3.0])

        def step(x):
            before = COPIES[copied](w)
            w.data += x
            return before

        return step, [w]

    run_alike(make, *FRESH)


def test_an_argument_may_be_an_array_that_the_step_also_reads_as_its_own():
    w = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    compiled = mg.compile(lambda x: np.sum(w * x))
    for x in (w.data, np.ones(3), np.arange(3.0)):  # recorded with x in the very array of w
        assert_same(compiled(x), np.sum(w.data * x))


def test_a_parameter_of_which_only_the_shape_is_read():
    w = mg.Tensor(np.ones(3), requires_grad=True)
    run_alike(lambda: (lambda x: x + np.zeros_like(w), [w]), *FRESH)


def halve(w):
    w.grad = w.grad * 0.5


def halve_in_place(w):
    w.grad *= 0.5


def halve_through_a_name(w):
    g = w.grad
    g *= 0.5


def add_the_value(w):
    w.grad += w.data


def clear(w):
    w.grad = None


def halve_and_clear(w):
    halve(w)
    clear(w)


def read_before_the_sum(w):
    g = w.grad
    np.sum(w * w).backward()
    w.grad = g * 0.5  # of the sum: backward adds to the array that g is


def follow(w):
    w.data -= 0.5 * w.grad


TREATMENTS = (
    halve,
    halve_in_place,
    halve_through_a_name,
    add_the_value,
    clear,
    halve_and_clear,
    read_before_the_sum,
    follow,
)


@pytest.mark.filterwarnings("ignore:.*(recorded anew at each|without being compiled):RuntimeWarning")
@pytest.mark.parametrize("treatment", TREATMENTS)
@pytest.mark.parametrize("backward", [False, True])
def test_a_gradient_from_before_the_step_is_read_anew(treatment, backward):
    # backward() runs outside the step, or in it; the gradient may be the array of the call before, another one, or None
    def make():
        w = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)

        def step(x):
            y = np.sum(w * x)
            if backward:
                y.backward()
            treatment(w)
            return y

        return w, step

    (mine, step), (theirs, eager) = make(), make()
    compiled = mg.compile(step)
    for k in range(9):
        for w in (mine, theirs):
            if k % 3 == 0 or w.grad is None:
                w.grad = np.full(3, 1.0 + k)
            if k % 4 == 0:
                np.sum(w * w).backward()
        x = np.arange(3.0) + k
        assert_same(compiled(x), eager(mg.Tensor(x)))
        assert_same(mine.data, theirs.data)
        assert (mine.grad is None) == (theirs.grad is None)
        if mine.grad is not None:
            assert_same(mine.grad, theirs.grad)


@pytest.mark.filterwarnings("ignore:.*recorded anew at each:RuntimeWarning")
def test_an_optimizers_step_alone():
    def make():
        w = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
        return w, optim.Adam([w], lr=0.1)

    (mine, ours), (theirs, eager) = make(), make()
    step = mg.compile(ours.step)
    for k in range(10):
        for w, optimizer in ((mine, ours), (theirs, eager)):
            if k % 2:
                optimizer.zero_grad()
            np.sum(w * (k - 4.0)).backward()
        step()
        eager.step()
        assert_same(mine.data, theirs.data)


def test_gradients_are_cleared_that_were_not_there_when_the_step_was_recorded():
    w = mg.Tensor(np.ones(3), requires_grad=True)

    def step(x):
        w.grad = None
        return np.sum(w * x)

    compiled = mg.compile(step)
    for k in range(4):
        compiled(np.ones(3))
        assert w.grad is None
        if k > 1:
            np.sum(w).backward()


def test_a_place_written_by_numpy_and_put_back_is_noticed():
    scale = np.ones(3)

    def step(x):
        scale[...] = 3.0
        y = x * scale
        scale[...] = 1.0
        return y

    compiled = mg.compile(step)
    assert_same(compiled(FRESH[0][0]), FRESH[0][0] * 3)
    with pytest.warns(RuntimeWarning, match="scale"):
        compiled(FRESH[1][0])
    assert_same(compiled(FRESH[2][0]), FRESH[2][0] * 3)


BY_NUMPY_ALONE = {
    "within its bounds": lambda w: np.clip(w.data, -9, 9, out=w.data),
    "a product of zeros": lambda w: np.multiply(w.data, 0.99, out=w.data),
    "in place": lambda w: w.data.__imul__(0.99),
    "an element": lambda w: w.data.__setitem__(0, 0.0),
    "a part": lambda w: w.data[1:].__iadd__(0.0),
    "copied": lambda w: np.copyto(w.data, 0.0),
    "filled": lambda w: w.data.fill(0.0),
    "sorted": lambda w: w.data.sort(),
    "put": lambda w: np.put(w.data, [0], [0.0]),
    "in a variable, after a Tensor": lambda w: [data := w.data, data.__isub__(w.detach()), data.__imul__(0.5)],
}


@pytest.mark.parametrize("how", BY_NUMPY_ALONE)
def test_data_written_by_numpy_alone_is_refused_though_it_changes_nothing(how):
    w = mg.Tensor(np.zeros(3), requires_grad=True)

    def step(x):
        w.grad = None
        np.sum(w * x).backward()
        BY_NUMPY_ALONE[how](w)

    with pytest.raises(RecordingError, match=r"read-only.*out=t.data"):
        mg.compile(step)(np.ones(3))
    assert w.data.flags.writeable


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


def test_data_returned_is_the_array_itself():
    w = mg.Tensor(np.ones(3), requires_grad=True)
    compiled = mg.compile(lambda x: (w.data, w.data[1:], x * 2))
    for (x,) in FRESH:
        whole, part, _ = compiled(x)
        assert whole is w.data
        assert type(part) is np.ndarray
        assert part.flags.writeable
        assert np.shares_memory(part, whole)


def test_a_step_that_is_not_compiled_is_given_tensors_all_the_same():
    log = {"calls": 0}

    def step(x, parts):
        log["calls"] += 1
        return x.detach() * 2 + parts[0].detach()

    compiled = mg.compile(step)
    x = np.ones(3)
    assert_same(compiled(x, (x,)), x * 3)
    with pytest.warns(RuntimeWarning, match="without being compiled"):
        compiled(x, (x,))
    assert_same(compiled(x, (x,)), x * 3)
    with mg.debug():
        assert_same(mg.compile(lambda x: x.detach() * 2)(np.ones(2)), np.full(2, 2.0))


def test_results_are_copies_of_what_they_show():
    table = mg.Tensor(np.ones(3), requires_grad=True)
    compiled = mg.compile(lambda x: (table.detach(), mg.Tensor([1.0, 2.0, 3.0]), table))
    for (x,) in FRESH:
        seen, made, same = compiled(x)
        assert same is table
        assert_same((seen, made), (np.ones(3), np.array([1.0, 2.0, 3.0])))
        seen.data[...] = made.data[...] = 7.0


def test_a_masked_argument_is_refused():
    compiled = mg.compile(lambda x: x * 2)
    with pytest.raises(TypeError, match="mask"):
        compiled(np.ma.array([1.0, 2.0], mask=[True, False]))


def test_a_seed_of_another_dtype_is_read_where_it_is():
    w, seed = mg.Tensor(np.ones(3), requires_grad=True), np.ones(3, np.float32)

    @mg.compile
    def step(x):
        w.grad = None
        (w * x).backward(seed)

    for k, (x,) in enumerate(FRESH):
        seed[...] = k
        step(x)
        assert_same(w.grad, k * x)


def test_a_gradient_that_is_0_by_rule():
    def make():
        w, v = mg.Tensor(1.5, requires_grad=True), mg.Tensor(np.ones(3), requires_grad=True)

        def step(x):
            y = np.sum(np.copysign(x, w) + np.copysign(x, v))
            y.backward()
            return y

        return step, [w, v]

    run_alike(make, *FRESH)


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


def test_an_iterator_is_no_result():
    def parts(x):
        yield from (x, x * 2)

    for step in (parts, lambda x: map(np.sin, x)):
        with pytest.raises(RecordingError, match="return a list"):
            mg.compile(step)(np.ones(3))


def test_named_tuples_of_arguments():
    point = namedtuple("point", "a b")
    compiled = mg.compile(lambda p: point(p.a * 2, p.a + p.b))
    p = point(np.arange(3.0), np.float32(1))
    for _ in range(4):
        ours = compiled(p)
        assert type(ours) is point
        assert_same(tuple(ours), (p.a * 2, p.a + p.b))
        p.a[...] += 1
    assert "1 program>" in repr(compiled)
