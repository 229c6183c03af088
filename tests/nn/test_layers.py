"""Layers and networks of layers: their laws, their state, and what they refuse."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from helpers import seeds
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check, nn


@st.composite
def networks(draw):
    """A random network of up to four linear layers with activations between, and a batch for it."""
    rng = np.random.default_rng(draw(seeds))
    widths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    model = nn.Sequential()
    for n, m in pairwise(widths):
        model.append(nn.Linear(n, m, bias=draw(st.booleans()), rng=rng, dtype=dtype))
        model.append(draw(st.sampled_from([nn.Sigmoid, nn.ReLU, nn.Tanh]))())
    return model, rng.normal(size=(draw(st.integers(1, 6)), widths[0])).astype(dtype), rng


def loss_gradients(model, x, y):
    for p in model.parameters():
        p.grad = None
    nn.losses.sum_squared_error(model(x), y).backward()
    return [p.grad for p in model.parameters()]


@given(networks())
def test_a_batch_of_one_is_one(network):
    model, x, _ = network
    together = model.predict(x)
    for row, expected in zip(x, together, strict=True):
        np.testing.assert_allclose(model.predict(row[None])[0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.predict(row), expected, rtol=1e-5, atol=1e-6)
    assert together.dtype == x.dtype


@given(networks())
def test_the_order_of_the_rows_leaves_a_full_batch_gradient_alone(network):
    model, x, rng = network
    x = x.astype(np.float64)
    model.load_state_dict(model.state_dict())
    y = rng.normal(size=model.predict(x).shape)
    order = rng.permutation(len(x))
    before = loss_gradients(model, x, y)
    tolerance = 1e-5 if model.parameters()[0].dtype == np.float32 else 1e-10
    for a, b in zip(before, loss_gradients(model, x[order], y[order]), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@given(networks())
def test_save_then_load_is_identity(network):
    model, x, rng = network
    other = copy.deepcopy(model)
    for p in other.parameters():
        p.data[...] = rng.normal(size=p.shape)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in model.named_parameters()]


def test_ten_layers_against_finite_differences():
    rng = np.random.default_rng(3)
    model = nn.Sequential(nn.Linear(2, 5, rng=rng))
    for i in range(9):
        model.append(nn.Tanh() if i % 2 else nn.Sigmoid()).append(nn.Linear(5, 5 if i < 8 else 1, rng=rng))
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(7, 1))
    names = [name for name, _ in model.named_parameters()]

    def loss(*parameters):
        layers = iter(parameters)
        h = x
        for layer in model:
            h = h @ next(layers) + next(layers) if isinstance(layer, nn.Linear) else layer(h)
        return np.sum((h - y) ** 2)

    values = [p.data for p in model.parameters()]
    assert len(names) == 20
    check.gradients(loss, *values, hand=lambda *_: tuple(loss_gradients(model, x, y)))


# -- State -------------------------------------------------------------------------------------------------------------


def test_state_is_a_copy():
    layer = nn.Linear(2, 2, rng=0)
    state = layer.state_dict()
    layer.weight.data[...] = 0
    assert state["weight"].any()
    layer.load_state_dict(state)
    state["weight"][...] = 7
    assert not (layer.weight.data == 7).any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("0.bias"), ValueError, "missing '0.bias'"),
        (lambda s: s.update(extra=np.ones(2)), ValueError, "unexpected 'extra'"),
        (lambda s: s.update({"0.weight": np.ones((3, 2))}), ValueError, r"'0.weight' has shape \(3, 2\), but \(2, 3\)"),
        (lambda s: s.update({"2.bias": np.ones(1, complex)}), TypeError, "'2.bias' has dtype complex128"),
        (lambda s: s.update({"2.bias": np.array(["a"])}), TypeError, "without loss"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, message):
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.ReLU(), nn.Linear(3, 1, rng=1))
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_float32_layer_takes_no_float64_state():
    layer = nn.Linear(1, 1, dtype=np.float32)
    with pytest.raises(TypeError, match=r"float64, which float32 cannot hold without loss.*astype"):
        layer.load_state_dict(nn.Linear(1, 1).state_dict())
    nn.Linear(1, 1).load_state_dict(layer.state_dict())


def test_load_state_dict_wants_a_dict():
    with pytest.raises(TypeError, match="list"):
        nn.Linear(1, 1).load_state_dict([1.0])


# -- Parameters and modes ----------------------------------------------------------------------------------------------


class Branching(nn.Layer):
    def __init__(self, shared):
        self.parts = {"left": nn.Linear(2, 2), "right": [shared, (shared, nn.Tanh())]}
        self.scale = mg.Tensor(2.0, requires_grad=True)
        self.offset = mg.Tensor(1.0)
        self.note = "kept out"

    def forward(self, x):
        self.seen = x * self.scale
        return self.seen


def test_parameters_are_found_in_lists_tuples_and_dicts_each_once():
    shared = nn.Linear(2, 2)
    model = Branching(shared)
    names = [name for name, _ in model.named_parameters()]
    assert names == ["parts.left.weight", "parts.left.bias", "parts.right.0.weight", "parts.right.0.bias", "scale"]
    assert model.parameters()[2] is shared.weight
    assert {"offset", "parts.right.1.0.weight"} < set(model.state_dict())
    model(mg.Tensor([1.0, 1.0]))  # keeps a node of the graph: neither a parameter nor saved
    assert "seen" not in model.state_dict()
    assert [name for name, _ in model.named_parameters()] == names


def test_a_frozen_parameter_is_saved_but_not_trained():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].weight.requires_grad = False
    assert [name for name, _ in model.named_parameters()] == ["0.bias", "1.weight", "1.bias"]
    assert "0.weight" in model.state_dict()


def test_a_layer_inside_itself_is_refused():
    model = nn.Sequential(nn.Linear(1, 1))
    model[0].parent = model
    with pytest.raises(ValueError, match=r"contains itself, at '0\.parent'"):
        model.parameters()


def test_two_tensors_at_one_place_are_refused():
    layer = nn.Layer()
    one, two = (mg.Tensor([float(i)], requires_grad=True) for i in (1, 2))
    layer.parts = {1: one, "1": two}
    for method in (layer.state_dict, layer.named_parameters, lambda: layer.load_state_dict({"parts.1": np.ones(1)})):
        with pytest.raises(ValueError, match=r"two Tensors of this Layer have the same place, 'parts\.1'"):
            method()
    np.testing.assert_array_equal([*one.data, *two.data], [1, 2])
    layer.parts = {"a.b": one, "a": {"b": one}}  # the same one: nothing is lost
    assert list(layer.state_dict()) == ["parts.a.b"]


class Noisy(nn.Layer):
    def forward(self, x):
        if self.training:
            raise RuntimeError("training")
        return x


def test_predict_is_in_prediction_mode_and_puts_each_layer_back():
    model = nn.Sequential(Noisy(), nn.Linear(1, 1), Noisy())
    model[2].eval()
    assert model.predict([[1.0]]).shape == (1, 1)
    assert [layer.training for layer in model] == [True, True, False]
    with pytest.raises(nn.InputShapeError):
        model.predict([[1.0, 2.0]])
    assert [layer.training for layer in model] == [True, True, False]
    assert model.eval() is model
    assert not any(layer.training for _, layer in model.named_layers())
    assert model.train()[2].training


def test_predict_gives_an_array_outside_any_graph():
    model = nn.Linear(2, 1, rng=0, dtype=np.float32)
    y = model.predict(np.ones((3, 2)))
    assert type(y) is np.ndarray
    assert y.dtype == np.float32


def test_a_subclass_needs_a_forward():
    with pytest.raises(NotImplementedError, match="Layer has no forward"):
        nn.Layer()(1.0)


# -- Errors, copies and what is printed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 3), r"layer 2 of Sequential, Linear\(4, 1\), expects inputs of width 4, .*\(N, 4\); got shape \(5, 3\)"),
        ((), r"layer 0 of Sequential, Linear\(2, 3\), expects inputs of width 2.*got shape \(\)"),
        ((5, 1), r"layer 0 of Sequential.*got shape \(5, 1\)"),
    ],
)
def test_a_wrong_width_names_the_layer_by_its_place(shape, message):
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 1))
    x = np.ones((5, 2)) if shape == (5, 3) else np.ones(shape)
    with pytest.raises(nn.InputShapeError, match=message):
        model(x)


def test_a_wrong_width_deep_inside():
    model = nn.Sequential(nn.Linear(1, 2), nn.Sequential(nn.Tanh(), nn.Linear(3, 1)))
    with pytest.raises(nn.InputShapeError, match=r"layer 1\.1 of Sequential, Linear\(3, 1\)"):
        model(np.ones((5, 1)))
    with pytest.raises(nn.InputShapeError, match=r"^Linear\(1, 2\), expects .*write x\[:, None\]"):
        nn.Linear(1, 2)(np.ones(5))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(0, 1), ValueError, r"Linear\(0, 1\): in_features must be a positive integer"),
        (lambda: nn.Linear(1, 2.0), ValueError, r"out_features must be a positive integer"),
        (lambda: nn.Linear(True, 1), ValueError, "in_features"),
        (lambda: nn.Linear(1, 1, dtype=int), TypeError, "int64"),
        (lambda: nn.Linear(1, 1, weight_init=lambda rng, shape: np.ones(3)), ValueError, r"returned shape \(3,\)"),
        (lambda: nn.Sequential(nn.Linear(1, 1), nn.Tanh), TypeError, r"number 1 is the class Tanh: make one"),
        (lambda: nn.Sequential([nn.Tanh()]), TypeError, r"a list: pass the layers themselves"),
    ],
)
def test_what_layers_refuse(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_same_generator_gives_different_layers_and_the_same_seed_the_same_model():
    def make(seed):
        rng = np.random.default_rng(seed)
        return nn.Sequential(nn.Linear(3, 3, rng=rng), nn.Linear(3, 3, rng=rng))

    a, b = make(0), make(0)
    assert (a[0].weight.data != a[1].weight.data).any()
    np.testing.assert_array_equal(a[1].weight.data, b[1].weight.data)


def test_float32_draws_the_same_numbers():
    a, b = nn.Linear(3, 2, rng=0), nn.Linear(3, 2, rng=0, dtype=np.float32)
    np.testing.assert_array_equal(a.weight.data.astype(np.float32), b.weight.data)


def test_a_sequence_of_layers():
    layers = nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1)
    model = nn.Sequential(*layers)
    assert list(model) == list(layers)
    assert model[-1] is layers[2]
    assert model[1:][0] is layers[1]
    assert len(model.append(nn.ReLU())) == 4
    x = np.ones((3, 1))
    np.testing.assert_array_equal(model[2:].predict(model[:2].predict(x)), model.predict(x))
    with pytest.raises(IndexError):
        model[9]


def test_copies_and_pickles_are_independent():
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Tanh())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(np.ones((1, 2))), model.predict(np.ones((1, 2))))
        other[0].weight.data[...] = 0
        assert model[0].weight.data.any()
        assert other.parameters()[0].requires_grad


def test_repr_shows_the_structure():
    model = Branching(nn.Linear(2, 2, bias=False))
    model.tail = nn.Sequential(nn.ReLU())
    assert repr(model) == "\n".join(
        [
            "Branching(",
            "  (parts.left): Linear(2, 2)",
            "  (parts.right.0): Linear(2, 2, bias=False)",
            "  (parts.right.1.0): Linear(2, 2, bias=False)",
            "  (parts.right.1.1): Tanh()",
            "  (tail): Sequential(",
            "    (0): ReLU()",
            "  )",
            ")",
        ]
    )
