"""Optimizers: the chapter's formulas, the flat buffer, saving, and what they refuse."""

import copy
import pickle

import numpy as np
import pytest
from handwritten import updateAdam
from helpers import seeds
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim

shapes = st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=4)
dtypes = st.sampled_from([np.float64, np.float32])


def parameters_of(rng, shapes, dtype=np.float64):
    return [mg.Tensor(rng.normal(size=shape), requires_grad=True, dtype=dtype) for shape in shapes]


def walk(optimizer, parameters, gradients):
    """Take one step for each list of gradients; return where the parameters end."""
    for step in gradients:
        for p, g in zip(parameters, step, strict=True):
            p.grad = g.astype(p.dtype)
        optimizer.step()
    return [p.data.copy() for p in parameters]


@st.composite
def walks(draw):
    rng = np.random.default_rng(draw(seeds))
    drawn = draw(shapes)
    steps = draw(st.integers(1, 5))
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    return parameters_of(rng, drawn), [[rng.normal(0, scale, shape) for shape in drawn] for _ in range(steps)]


@given(walks(), st.floats(0, 1))
def test_gd_is_its_formula(drawn, lr):
    parameters, gradients = drawn
    expected = [p.data - lr * sum(step[i] for step in gradients) for i, p in enumerate(parameters)]
    for a, b in zip(walk(optim.GD(parameters, lr), parameters, gradients), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-10)


@given(walks(), st.floats(1e-4, 1), st.sampled_from([(0.9, 0.999), (0.0, 0.5)]), st.sampled_from([1e-8, 1e-2]))
def test_adam_is_the_chapters(drawn, lr, betas, eps):
    parameters, gradients = drawn
    expected = []
    for i, p in enumerate(parameters):
        value, m, v = p.data.copy(), np.zeros(p.shape), np.zeros(p.shape)
        for t, step in enumerate(gradients):
            m = betas[0] * m + (1.0 - betas[0]) * step[i]
            v = betas[1] * v + (1.0 - betas[1]) * step[i] ** 2
            value = value - lr * updateAdam(value, m, v, t, *betas, eps)
        expected.append(value)
    for a, b in zip(walk(optim.Adam(parameters, lr, betas, eps), parameters, gradients), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@given(walks(), st.floats(0.1, 1e4))
def test_adam_does_not_mind_the_scale_of_the_loss(drawn, scale):
    parameters, gradients = drawn
    before = [p.data.copy() for p in parameters]
    ends = []
    for factor in (1.0, scale):
        for p, value in zip(parameters, before, strict=True):
            p.data = value.copy()
        optimizer = optim.Adam(parameters, 0.1, eps=1e-300)
        ends.append(walk(optimizer, parameters, [[factor * g for g in step] for step in gradients]))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", [optim.GD, optim.Adam])
@given(seeds, dtypes)
def test_parameters_in_one_buffer_move_as_they_would_alone(make, seed, dtype):
    rng = np.random.default_rng(seed)
    together = parameters_of(rng, [(2, 3), (), (3,), (0,)], dtype)
    alone = [mg.Tensor(p.data, requires_grad=True) for p in together]
    gradients = [[rng.normal(size=p.shape) for p in together] for _ in range(3)]
    end = walk(make(together, 0.1), together, gradients)
    for i, p in enumerate(alone):
        (expected,) = walk(make([p], 0.1), [p], [[step[i]] for step in gradients])
        np.testing.assert_array_equal(end[i], expected)
        assert end[i].dtype == dtype


def test_dtypes_may_be_mixed():
    a = mg.Tensor([1.0, 2.0], requires_grad=True, dtype=np.float32)
    b = mg.Tensor([3.0], requires_grad=True)
    optimizer = optim.Adam([a, b, c := mg.Tensor([[4.0]], requires_grad=True, dtype=np.float32)], 0.5)
    ((a * a).sum() + (b * b).sum() + (c * c).sum()).backward()
    optimizer.step()
    assert (a.dtype, b.dtype, c.dtype) == (np.float32, np.float64, np.float32)
    np.testing.assert_allclose([*a.data, *b.data, *c.data[0]], [0.5, 1.5, 2.5, 3.5], rtol=1e-6)


def test_all_parameters_share_one_buffer_and_keep_their_values():
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Linear(3, 1, rng=1))
    before = model.state_dict()
    optim.GD(model.parameters(), 0.1)
    bases = {id(p.data.base) for p in model.parameters()}
    assert len(bases) == 1
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_data_set_by_the_user_is_taken_over():
    p = mg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.GD([p, q := mg.Tensor(5.0, requires_grad=True)], 0.1)
    p.data = np.array([10.0, 20.0])
    p.grad, q.grad = np.array([1.0, 1.0]), np.array(0.0)
    optimizer.step()
    np.testing.assert_allclose(p.data, [9.9, 19.9])
    assert q.item() == 5.0
    assert p.data.base is q.data.base


def test_zero_grad_forgets():
    p = mg.Tensor(1.0, requires_grad=True)
    optimizer = optim.GD([p], 0.1)
    (p * p).backward()
    optimizer.zero_grad()
    assert p.grad is None


def test_a_step_with_a_missing_gradient_names_the_parameter_and_changes_nothing():
    layer = nn.Linear(2, 1, rng=0)
    optimizer = optim.Adam(layer.parameters(), 0.1)
    before = layer.state_dict()
    layer.weight.grad = np.ones((2, 1))
    with pytest.raises(
        RuntimeError, match=r"parameter 1 \(bias\) of shape \(1,\) has no gradient: call loss.backward\(\)"
    ):
        optimizer.step()
    layer.bias.grad = np.ones(2)
    with pytest.raises(ValueError, match=r"parameter 1 \(bias\) of shape \(1,\) has a gradient of shape \(2,\)"):
        optimizer.step()
    np.testing.assert_array_equal(layer.state_dict()["weight"], before["weight"])


def test_a_step_is_never_part_of_a_graph():
    p = mg.Tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([p], 0.1)
    (p * p).sum().backward()
    optimizer.step()
    assert p.is_leaf
    assert p.requires_grad


# -- Hyperparameters --------------------------------------------------------------------------------------------------


def test_hyperparameters_read_as_numbers_and_can_be_set():
    optimizer = optim.Adam([mg.Tensor(1.0, requires_grad=True)], 0.1, betas=(0.5, 0.6), eps=1e-3)
    assert (optimizer.lr, optimizer.beta1, optimizer.beta2, optimizer.eps) == (0.1, 0.5, 0.6, 1e-3)
    assert type(optimizer.lr) is float
    kept = optimizer.lr
    optimizer.lr = np.float32(0.5)
    assert (kept, optimizer.lr) == (0.1, 0.5)
    assert repr(optimizer) == "Adam(1 parameter, lr=0.5, beta1=0.5, beta2=0.6, eps=0.001)"


def test_a_changed_lr_counts_from_the_next_step():
    p = mg.Tensor(1.0, requires_grad=True)
    optimizer = optim.GD([p], 0.5)
    p.grad = np.array(1.0)
    optimizer.step()
    optimizer.lr = 0.25
    optimizer.step()
    assert p.item() == 0.25


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -0.1}, ValueError, r"Adam's lr must be a finite number, 0 or more; got -0\.1"),
        ({"lr": np.nan}, ValueError, "lr .* got nan"),
        ({"lr": np.inf}, ValueError, "lr .* got inf"),
        ({"lr": "0.1"}, TypeError, r"lr must be a finite number, 0 or more; got '0\.1', a str"),
        ({"lr": True}, TypeError, "got True, a bool"),
        ({"lr": None}, TypeError, "got None"),
        ({"lr": np.ones(2)}, ValueError, "lr must be"),
        ({"betas": (1.0, 0.9)}, ValueError, r"beta1 must be a number from 0 to below 1; got 1\.0"),
        ({"betas": (0.9, -0.1)}, ValueError, "beta2"),
        ({"betas": 0.9}, TypeError, r"two numbers, such as \(0.9, 0.999\); got 0\.9"),
        ({"eps": 0}, ValueError, "eps must be a finite number above 0; got 0"),
    ],
)
def test_bad_hyperparameters(options, error, message):
    p = mg.Tensor(1.0, requires_grad=True)
    with pytest.raises(error, match=message):
        optim.Adam([p], **options)
    optimizer = optim.Adam([p])
    if "betas" not in options:
        before = optimizer.state_dict()
        ((name, value),) = options.items()
        with pytest.raises(error, match=message):
            setattr(optimizer, name, value)
        assert before == optimizer.state_dict()


p = mg.Tensor(1.0, requires_grad=True, name="w")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ([], ValueError, "given no parameters"),
        (p, TypeError, r"a list of Tensors.*got Tensor"),
        (nn.Linear(1, 1), TypeError, r"model\.parameters\(\); got Linear"),
        (nn.Sequential(nn.Linear(1, 1)), TypeError, r"model\.parameters\(\)"),
        ([p, p], ValueError, r"parameter 1 \(w\) of shape \(\) is given twice: it is also number 0"),
        ([np.ones(2)], TypeError, "parameter 0 must be a Tensor; got ndarray"),
        (nn.Linear(1, 1).named_parameters(), TypeError, "without the names"),
        ({"w": p}, TypeError, "got dict"),
        ([mg.Tensor(1.0)], ValueError, "requires_grad=True"),
        ([p * 2], ValueError, "computed from other Tensors"),
        (3, TypeError, "got int"),
    ],
)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        optim.GD(parameters, 0.1)


# -- Saving -----------------------------------------------------------------------------------------------------------


@given(walks(), st.sampled_from([optim.GD, optim.Adam]))
def test_training_goes_on_from_a_saved_state_as_if_never_stopped(drawn, make):
    parameters, gradients = drawn
    optimizer = make(parameters, 0.1)
    walk(optimizer, parameters, gradients)
    others = [mg.Tensor(p.data, requires_grad=True) for p in parameters]
    again = make(others, 0.7)
    again.load_state_dict(optimizer.state_dict())
    assert again.lr == 0.1
    for a, b in zip(walk(optimizer, parameters, gradients), walk(again, others, gradients), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.mean"), r"does not fit Adam: missing '0\.mean'"),
        (lambda s: s.update(momentum=1.0), "unexpected 'momentum'"),
        (lambda s: s.update({"0.square": np.ones(3)}), r"'0\.square' has shape \(3,\), but \(2,\) is expected"),
        (lambda s: s.update(lr=np.nan), "lr must be"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    p = mg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.Adam([p], 0.1)
    walk(optimizer, [p], [[np.ones(2)]])
    before = optimizer.state_dict()
    numbers = ["lr", "beta1", "beta2", "eps", "weight_decay", "clip_norm", "clip_value"]
    assert list(before) == [*numbers, "0.mean", "0.square", "float64.steps"]
    state = {name: array + 0.01 for name, array in before.items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda pair: pickle.loads(pickle.dumps(pair))}


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("optimizer_first", [False, True])
@given(seeds, st.sampled_from([optim.GD, optim.Adam]), st.integers(0, 2), st.booleans())
def test_a_copy_of_model_and_optimizer_trains_like_the_original(copied, optimizer_first, seed, make, before, compiled):
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(2, 3, rng=rng), nn.Tanh(), nn.Linear(3, 1, rng=rng, dtype=np.float32))
    optimizer = make(model.parameters(), 0.1)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))

    def train(model, optimizer, epochs):
        loss = nn.losses.sum_squared_error
        return nn.fit(model, x, y, loss=loss, optimizer=optimizer, epochs=epochs, compile=compiled).losses

    train(model, optimizer, before)
    if optimizer_first:
        other_optimizer, other = COPIES[copied]((optimizer, model))
    else:
        other, other_optimizer = COPIES[copied]((model, optimizer))
    kept = model.state_dict()
    losses = train(other, other_optimizer, 3)
    for name, array in model.state_dict().items():  # the original stays where it was
        np.testing.assert_array_equal(array, kept[name])
    np.testing.assert_array_equal(losses, train(model, optimizer, 3))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(other_optimizer.state_dict()[name], array)
    other_optimizer.lr = 0.7
    assert optimizer.lr == 0.1


@pytest.mark.parametrize("copied", COPIES)
def test_an_optimizer_copied_alone_has_parameters_of_its_own(copied):
    model = nn.Linear(1, 1, rng=0)
    optimizer = optim.Adam(model.parameters(), 0.1)
    alone = COPIES[copied](optimizer)
    before = model.state_dict()
    for p in alone.parameters:
        p.grad = np.ones(p.shape)
    alone.step()
    np.testing.assert_allclose(alone.parameters[0].data, before["weight"] - 0.1)
    np.testing.assert_array_equal(model.weight.data, before["weight"])
    with pytest.raises(ValueError, match=r"is not in the Linear any more.* another model's"):
        nn.fit(model, [[1.0]], [[1.0]], loss=nn.losses.sum_squared_error, optimizer=alone, epochs=1)


# -- Optimizers of one's own ------------------------------------------------------------------------------------------


class Momentum(optim.Optimizer):
    momentum = optim.Hyperparameter(0, 1, "a number from 0 to below 1")

    def __init__(self, parameters, lr, momentum):
        self.momentum = momentum
        super().__init__(parameters, lr)

    def init_single(self, parameter):
        return {"velocity": np.zeros_like(parameter)}

    def apply_single(self, gradient, parameter, state):
        velocity = self.momentum * state["velocity"] + gradient
        return parameter - self.lr * velocity, {"velocity": velocity}


@given(walks())
def test_an_optimizer_in_three_lines(drawn):
    parameters, gradients = drawn
    expected = [p.data.copy() for p in parameters]
    velocity = [np.zeros(p.shape) for p in parameters]
    for step in gradients:
        for i, g in enumerate(step):
            velocity[i] = 0.9 * velocity[i] + g
            expected[i] = expected[i] - 0.01 * velocity[i]
    end = walk(Momentum(parameters, 0.01, 0.9), parameters, gradients)
    for a, b in zip(end, expected, strict=True):
        np.testing.assert_array_equal(a, b)


class Wrong(optim.Optimizer):
    def init_single(self, parameter):
        return {"count": np.zeros(())}

    def apply_single(self, gradient, parameter, state):
        return self.result(parameter, state)


@pytest.mark.parametrize(
    "result", [lambda p, s: (p.sum(), s), lambda p, s: (p, {}), lambda p, s: (p, {"count": np.ones(3)})]
)
def test_an_update_of_another_shape_is_refused(result):
    p = mg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = Wrong([p], 0.1)
    optimizer.result = result
    p.grad = np.ones(2)
    with pytest.raises(ValueError, match=r"Wrong.apply_single returned .* it must return"):
        optimizer.step()
    np.testing.assert_array_equal(p.data, [1, 2])


def test_the_base_class_needs_an_update():
    p = mg.Tensor([1.0], requires_grad=True)
    p.grad = np.ones(1)
    with pytest.raises(NotImplementedError, match="apply_single"):
        optim.Optimizer([p], 0.1).step()
