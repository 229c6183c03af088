"""Wherever a layer is kept, it is trained, or somebody says so: its place, and what to do."""

import collections
import copy
import dataclasses
import functools
import types
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim

X = np.linspace(0.1, 1, 20)[:, None]
Y = 2 + np.sin(3 * X)


def train(model, optimizer=None, y=Y, loss=nn.losses.mean_squared_error, **options):
    optimizer = optimizer or optim.Adam(model.parameters(), lr=0.05)
    return nn.fit(model, X, y, loss=loss, optimizer=optimizer, epochs=4, **options).losses


class Model(nn.Layer):
    def __init__(self, held, reach):
        self.held, self.reach, self.head = held, reach, nn.Linear(6, 1, rng=1)

    def forward(self, x):
        return self.head(np.tanh(self.reach(self.held)(x)))


@dataclasses.dataclass
class Parts:
    inner: object


@dataclasses.dataclass(slots=True, frozen=True)
class Slots:
    inner: object


class Block:
    def __init__(self, inner):
        self.inner = inner


class SlotBlock:
    __slots__ = ("inner",)

    def __init__(self, inner):
        self.inner = inner


def first(held):
    return next(iter(held))


def inner(held):
    return held.inner


FOUND = {
    "dataclass": (Parts, inner),
    "dataclass with slots": (Slots, inner),
    "namespace": (lambda layer: types.SimpleNamespace(inner=layer), inner),
    "deque": (lambda layer: collections.deque([layer]), first),
    "namespace of a list of a dataclass": (
        lambda layer: types.SimpleNamespace(a=[Parts(layer)]),
        lambda h: h.a[0].inner,
    ),
    "ordered dict": (lambda layer: collections.OrderedDict(a=layer), lambda h: h["a"]),
}
SAID = {
    "object": (Block, inner),
    "object with slots": (SlotBlock, inner),
    "object in a dataclass": (lambda layer: Parts(Block(layer)), lambda h: h.inner.inner),
    "closure": (lambda layer: lambda: layer, lambda h: h()),
    "default": (lambda layer: lambda it=layer: it, lambda h: h()),
    "partial": (lambda layer: functools.partial(layer.forward), lambda h: h),
    "bound method": (lambda layer: layer.forward, lambda h: h),
    "set": (lambda layer: {layer}, first),
}


@pytest.mark.parametrize("way", FOUND)
def test_what_is_looked_into_is_trained_saved_and_shown(way):
    hold, reach = FOUND[way]
    layer = nn.Linear(1, 6, rng=0)
    before = layer.weight.data.copy()
    model = Model(hold(layer), reach)
    train(model)
    assert not np.array_equal(before, layer.weight.data)
    assert len(model.state_dict()) == 4
    assert repr(layer) in repr(model)
    others = {name: values + 1 for name, values in model.state_dict().items()}
    y = nn.functional_call(model, others, X)
    assert not np.array_equal(y, model(X).data)
    after = copy.deepcopy(model)
    after.load_state_dict(others)
    np.testing.assert_array_equal(y, after(X).data)
    assert layer.training
    model.eval()
    assert not layer.training


@pytest.mark.parametrize("way", SAID)
def test_what_is_not_looked_into_is_told_with_its_place(way):
    hold, reach = SAID[way]
    model = Model(hold(nn.Linear(1, 6, rng=0)), reach)
    with pytest.warns(RuntimeWarning, match=r"not among the parameters: .*Model\.held.*weight of shape.*Keep them"):
        model.parameters()
    with pytest.warns(RuntimeWarning, match="not among the parameters"):
        named = optim.GD(model.parameters(), lr=0.01)
    with pytest.warns(
        RuntimeWarning, match=r"optimizer does not train .*Model\.held.*weight.*Model does not know of them"
    ):
        train(model, named, compile=False)


def test_a_variable_that_is_not_there_yet_is_passed_over():
    layer = nn.Linear(1, 6, rng=0)
    model = Model(lambda: (layer, later), lambda h: layer)
    with pytest.warns(RuntimeWarning, match="not among the parameters"):
        model.parameters()
    later = None


def test_what_is_frozen_or_found_besides_is_not_told():
    layer = nn.Linear(1, 6, rng=0)
    model = Model(Block(layer), inner)
    model.also = layer
    train(model)
    del model.also
    for p in layer.parameters():
        p.requires_grad = False
    train(model)


GLOBAL = nn.Linear(1, 6, rng=0)


@pytest.mark.parametrize("compile", [True, False])
def test_fit_tells_of_a_layer_that_it_cannot_see(compile):
    model = Model(None, lambda _: GLOBAL)
    with pytest.warns(RuntimeWarning, match=r"does not train a Tensor weight .*\(1, 6\).*Model does not know") as told:
        train(model, compile=compile)
    assert len(told) == 1


def test_a_layer_of_the_class_is_told():
    class Shared(Model):
        inner = nn.Linear(1, 6, rng=0)

        def __init__(self):
            super().__init__(None, lambda _: self.inner)

    with pytest.warns(RuntimeWarning, match=r"Shared\.inner\.weight"):
        Shared().parameters()


def network():
    return nn.Sequential(nn.Linear(1, 6, rng=0), nn.Tanh(), nn.Linear(6, 1, rng=1))


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("before", [0, 1])
def test_what_comes_after_the_optimizer_is_told(compile, before):
    model = network()
    optimizer = optim.GD(model.parameters(), lr=0.01)
    for _ in range(before):
        train(model, optimizer, compile=compile)
    model.append(nn.Linear(1, 1, rng=2))
    with pytest.warns(RuntimeWarning, match=r"does not train 3\.weight of shape \(1, 1\), 3\.bias .*optimizer anew"):
        train(model, optimizer, compile=compile)


@given(st.lists(st.booleans(), min_size=4, max_size=4).filter(any), st.booleans())
def test_what_is_unfrozen_after_the_optimizer_is_told(trained, compile):
    model = network()
    parameters = model.parameters()
    for p, train_it in zip(parameters, trained, strict=True):
        p.requires_grad = train_it
    optimizer = optim.GD(model.parameters(), lr=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, optimizer, compile=compile)
    names = []
    for p in parameters:
        p.requires_grad = True
    names = [name for (name, _), known in zip(model.named_parameters(), trained, strict=True) if not known]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        train(model, optimizer, compile=compile)
    assert len(told) == (len(names) > 0)
    assert all(name in str(told[0].message) for name in names)


@pytest.mark.parametrize("compile", [True, False])
def test_a_replaced_layer_needs_another_optimizer(compile):
    model = network()
    optimizer = optim.GD(model.parameters(), lr=0.01)
    model._layers[2] = nn.Linear(6, 1, rng=3)
    with pytest.raises(ValueError, match=r"parameter 2 \(weight\) of shape \(6, 1\) is not in the Sequential any more"):
        train(model, optimizer, compile=compile)


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("hold", [lambda w: w, lambda w: [w], lambda w: {"a": Parts(w)}])
def test_a_weight_that_is_no_leaf_is_refused_by_name(compile, hold):
    class Scaled(nn.Layer):
        def __init__(self):
            self.w = mg.Tensor(np.ones((1, 6)), requires_grad=True) * 0.1
            self.held, self.head = hold(self.w), nn.Linear(6, 1, rng=1)

        def forward(self, x):
            return self.head(np.tanh(x @ self.w))

    model = Scaled()
    said = r"Scaled\.w is no leaf: it is computed from another Tensor, by np\.multiply.*Tensor\(values, "
    with pytest.warns(RuntimeWarning, match=said):
        optimizer = optim.GD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=said):
        train(model, optimizer, compile=compile)


def test_what_a_layer_keeps_of_its_own_computation_is_no_weight():
    class Keeping(nn.Linear):
        def forward(self, x):
            self.last = super().forward(x)
            return self.last

    model = Keeping(1, 1, rng=0)
    model(X)
    model.parameters()
    train(model, compile=False)
    model.parameters()  # now backward() has freed what it was computed from


# -- In place of ... ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.zeros((1, 2)), [[0.0, 0.0]], 0.0, np.float64(0)])
def test_an_array_in_place_of_a_parameter_is_refused(value):
    layer = nn.Linear(1, 2)
    with pytest.raises(TypeError, match=r"Linear's weight is a parameter, and .* weight\.data\[\.\.\.\] = values"):
        layer.weight = value
    layer.weight = mg.Tensor(np.zeros((1, 2)), requires_grad=True)
    layer.bias = None


def test_a_layer_is_frozen_by_its_parameters():
    with pytest.raises(AttributeError, match=r"Linear\.requires_grad would have no effect.*p\.requires_grad = False"):
        nn.Linear(1, 1).requires_grad = False


@pytest.mark.parametrize("name", ["parameters", "mode", "train", "state_dict", "predict", "summary"])
@pytest.mark.parametrize("value", [[1], "fast", nn.Tanh()])
def test_an_attribute_that_hides_a_method_is_refused(name, value):
    with pytest.raises(AttributeError, match=f"Tanh.{name} would hide a method of that name, which every Layer has"):
        setattr(nn.Tanh(), name, value)
    with pytest.raises(AttributeError, match=f"Hiding.{name} would hide"):
        type("Hiding", (nn.Layer,), {name: value})


def test_a_method_may_be_replaced_by_a_function():
    model = nn.Linear(1, 1, rng=0)
    predict = model.predict
    model.predict = lambda x: 2 * predict(x)
    np.testing.assert_array_equal(model.predict(X), 2 * nn.Linear(1, 1, rng=0).predict(X))


# -- A loss of one's own -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize(
    ("y", "loss"),
    [
        (Y[:, 0], lambda p, t: np.mean((p - t) ** 2)),
        (Y[:, 0], lambda p, t: np.abs(np.subtract(t, p)).sum()),
        (Y[:, 0], lambda p, t: np.where(t > 2, p, -p).sum()),
        (Y, lambda p, t: np.mean((p[:, 0] - t) ** 2)),
        (Y, lambda p, t: np.mean((p - t) ** 2 * np.arange(20.0))),
    ],
)
def test_a_loss_that_compares_everything_with_everything_is_refused(compile, y, loss):
    with pytest.raises(ValueError, match=r"\(20, 1\).*compares every data point with every other, in shape \(20, 20\)"):
        train(network(), y=y, loss=loss, compile=compile)


@pytest.mark.parametrize(
    ("y", "loss"),
    [
        (Y[:, 0], lambda p, t: np.mean((p[:, 0] - t) ** 2)),
        (Y[:, 0], lambda p, t: np.mean((p - t[:, None]) ** 2)),
        (Y[:, 0], lambda p, t: np.mean((p - t[None, :]) ** 2)),
        (Y, lambda p, t: np.mean((p - p.T - (t - t.T)) ** 2)),
        (Y, lambda p, t: np.mean((p - t) ** 2 / np.array([2.0]))),
    ],
)
def test_a_loss_that_says_what_it_means_is_taken(y, loss):
    train(network(), y=y, loss=loss)


# -- The summary of several inputs -------------------------------------------------------------------------------------


class Two(nn.Layer):
    def __init__(self):
        self.a, self.b = nn.Linear(3, 2), nn.Linear(4, 2)

    def forward(self, u, v):
        return self.a(u) + self.b(v)


def test_a_summary_of_several_inputs(capsys):
    Two().summary(((3,), (4,)))
    assert capsys.readouterr().out.count("(N, 2)") == 2
    for shapes in (None, (3,), ((3,),), ((3,), (4,), (5,))):
        with pytest.raises(TypeError, match=r"summary\(\) runs Two\.forward\(u, v\), .*=\(\(3,\), \(3,\),\)"):
            Two().summary(shapes)
