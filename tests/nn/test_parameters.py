"""A model as a function of its parameters."""

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import nn

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 2)), RNG.normal(size=(8, 1))


def network():
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))


class Odd(nn.Layer):
    """Parameters in a tuple, a dict, a list of layers, and one Tensor at two places."""

    def __init__(self):
        self.w = mg.Tensor(RNG.normal(size=(2, 2)), requires_grad=True)
        self.pair = (self.w, mg.Tensor(np.ones(2), requires_grad=True))
        self.table = {"layer": nn.Linear(2, 1)}
        self.twice = [self.table["layer"]]
        self.scale = mg.Tensor(2.0)

    def forward(self, x, power=1):
        x = (np.tanh(x @ self.w) @ self.pair[0] + self.pair[1]) * self.scale
        return (self.table["layer"](x) + self.twice[0](x)) ** power


@pytest.mark.parametrize("make", [network, Odd])
def test_with_its_own_parameters_it_is_the_model(make):
    model = make()
    vector, parameters = nn.flat(model)
    for own in (dict(model.named_parameters()), model.state_dict(), vector, parameters(vector), {}):
        np.testing.assert_array_equal(nn.functional_call(model, own, X).data, model(X).data)


@pytest.mark.parametrize("make", [network, Odd])
def test_with_others_it_is_the_model_that_has_them(make):
    model, other = make(), make()
    vector, _ = nn.flat(other)
    before = model.state_dict()
    y = nn.functional_call(model, vector, X)
    for name, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], value)
    model.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(y, model(X).data)


@pytest.mark.parametrize("make", [network, Odd])
def test_its_gradient_is_what_backward_leaves(make):
    model = make()
    np.mean((model(X) - Y) ** 2).backward()
    given = {name: p.data for name, p in model.named_parameters()}
    gradients = mg.grad(lambda p: np.mean((nn.functional_call(model, p, X) - Y) ** 2))(given)
    assert gradients.keys() == given.keys()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(gradients[name], p.grad, rtol=1e-12)


@pytest.mark.parametrize("make", [network, Odd])
def test_hessian_of_a_network_against_differences(make):
    model = make()
    vector, _ = nn.flat(model)

    def gradient(v):
        return mg.grad(lambda v: np.mean((nn.functional_call(model, v, X) - Y) ** 2))(v)

    hessian = mg.hessian(lambda v: np.mean((nn.functional_call(model, v, X) - Y) ** 2))(vector)
    h = 1e-5
    differences = [(gradient(vector + h * e) - gradient(vector - h * e)) / (2 * h) for e in np.eye(vector.size)]
    np.testing.assert_allclose(hessian, differences, atol=1e-7)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)


def test_jacobian_of_a_network():
    model = network()
    vector, parameters = nn.flat(model)
    by_vector = mg.jacobian(lambda v: nn.functional_call(model, v, X))(vector)
    by_name = mg.jacobian(lambda p: nn.functional_call(model, p, X))(parameters(vector))
    assert by_vector.shape == (8, 1, 13)
    np.testing.assert_allclose(
        by_vector, np.concatenate([block.reshape(8, 1, -1) for block in by_name.values()], -1), rtol=1e-12
    )


def test_scipy_minimises_a_network():
    optimize = pytest.importorskip("scipy.optimize")
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, rng=1))  # from some weights BFGS gets lost
    vector, _ = nn.flat(model)

    def loss(v):
        return np.mean((nn.functional_call(model, v, X) - Y) ** 2)

    found = optimize.minimize(loss, vector, jac=mg.grad(loss), method="BFGS")
    assert found.fun < 0.5 * loss(vector)
    assert np.max(np.abs(mg.grad(loss)(found.x))) < 1e-4


def test_single_precision_stays():
    layer = nn.Linear(2, 1)
    layer.weight = mg.Tensor(np.ones((2, 1), np.float32), requires_grad=True)
    layer.bias = mg.Tensor(np.ones(1, np.float32), requires_grad=True)
    vector, parameters = nn.flat(layer)
    assert vector.dtype == np.float32
    assert {p.dtype for p in parameters(vector.astype(np.float64)).values()} == {np.dtype(np.float32)}


def test_options_reach_forward():
    model = Odd()
    np.testing.assert_array_equal(nn.functional_call(model, {}, X, power=2).data, model(X, power=2).data)


def test_training_goes_on_with_the_model_itself():
    model = network()
    before = model(X).data
    vector, _ = nn.flat(model)
    nn.functional_call(model, vector + 1, X)
    np.testing.assert_array_equal(model(X).data, before)
    assert all(type(p) is mg.Tensor and p.is_leaf for p in model.parameters())


def test_what_does_not_fit_is_refused():
    model = network()
    vector, parameters = nn.flat(model)
    with pytest.raises(ValueError, match=r"Sequential has no parameter 'weigth'; it has 0\.weight, 0\.bias"):
        nn.functional_call(model, {"weigth": np.ones((2, 3))}, X)
    with pytest.raises(ValueError, match=r"parameter '0\.weight' .* has shape \(2, 3\); the given one has \(3, 2\)"):
        nn.functional_call(model, {"0.weight": np.ones((3, 2))}, X)
    for call in (parameters, lambda v: nn.functional_call(model, v, X)):
        with pytest.raises(ValueError, match=r"13 parameters, .* shape \(13,\); got shape \(12,\)"):
            call(vector[1:])
    with pytest.raises(TypeError, match="takes a Layer as its first argument; got a function"):
        nn.functional_call(lambda x: x, {}, X)
