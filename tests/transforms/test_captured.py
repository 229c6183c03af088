"""A gradient that is zero because the function computes with something else than it was given: said aloud."""

import warnings

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import nn

RNG = np.random.default_rng(0)
MODEL = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
X, Y = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 1))
W = mg.Tensor([1.0, 2.0], requires_grad=True, name="w")
P = np.ones(2)


def loss(*_):
    return np.mean((MODEL(X) - Y) ** 2)


CAPTURED = {
    "grad": lambda: mg.grad(loss)(dict(MODEL.named_parameters())),
    "grad by arrays": lambda: mg.grad(loss)(MODEL.state_dict()),
    "grad by the second": lambda: mg.grad(lambda x, p: np.sum(x * W), 1)(P, P),
    "one of two": lambda: mg.grad(lambda x, p: np.sum(x * W), (0, 1))(P, P),
    "value_and_grad": lambda: mg.value_and_grad(loss)(P),
    "vjp": lambda: mg.vjp(lambda p: MODEL(X), P),
    "jvp": lambda: mg.jvp(lambda p: MODEL(X), (P,), (P,)),
    "jacobian": lambda: mg.jacobian(lambda p: MODEL(X))(P),
    "hessian": lambda: mg.hessian(loss)(P),
    "hvp": lambda: mg.hvp(loss, (P,), (P,)),
    "the Tensor itself": lambda: mg.grad(lambda p: W[0])(P),
    "a leaf": lambda: mg.grad(lambda p: mg.Tensor(1.0, requires_grad=True))(P),
    "inside another": lambda: mg.grad(lambda x: x * mg.grad(lambda p: np.sum(W * W))(x))(2.0),
}

RIGHT = {
    "by the input": lambda: mg.grad(lambda x: np.sum(MODEL(x)))(X),
    "of a constant": lambda: mg.grad(lambda p: np.sum(Y))(P),
    "a second derivative of what is linear": lambda: mg.hessian(lambda x: np.sum(x * W))(P),
    "written out": lambda: mg.grad(lambda x: np.sum(mg.grad(lambda z: np.sum(z * W))(x)))(P),
    "an outer transform's variable": lambda: mg.grad(lambda y: mg.grad(lambda x: y * y)(1.0))(2.0),
    "under no_grad": lambda: mg.grad(mg.no_grad()(lambda p: np.sum(W.detach())))(P),
    "a functional call": lambda: mg.grad(lambda p: np.sum(nn.functional_call(MODEL, p, X)))(
        dict(MODEL.named_parameters())
    ),
    "a direction": lambda: mg.jvp(lambda x: x * W, (P,), (P,)),
}


@pytest.mark.parametrize("case", CAPTURED)
def test_a_captured_tensor_in_place_of_the_argument_is_said_aloud(case):
    with pytest.warns(UserWarning, match=r"does not depend on its argument \d.*functional_call"):
        CAPTURED[case]()


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_meant_passes_without_a_word(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RIGHT[case]()


def test_the_warning_names_function_argument_and_tensor():
    def f(x, p):
        return np.sum(x * W)

    with pytest.warns(UserWarning, match=r"f does not depend on its argument 1, .* a Tensor w of shape \(2,\)"):
        mg.grad(f, 1)(P, P)
