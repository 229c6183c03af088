"""What the tests of several files share: Tensors and gradients, compiled steps and what they are compared with."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim, tree

# -- Tensors, gradients, and NumPy's own results -----------------------------------------------------------------------


seeds = st.integers(0, 2**32 - 1)
X = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]])


def tensor(x: Any = X) -> mg.Tensor:
    """A Tensor that wants a gradient."""
    return mg.Tensor(x, requires_grad=True)


def plain(x):
    """A Tensor or number as an array."""
    return x.data if isinstance(x, mg.Tensor) else np.asarray(x)


def leaf(*values, dtype=np.float64):
    """A Tensor of the given numbers or rows that wants a gradient."""
    return tensor(np.array(values, dtype))


both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def gradient(f: Callable[..., Any], *args: Any, argnums: Any = 0, dtype: Any = np.float64) -> Any:
    """The gradient of the sum of ``f``, whose dtype must be that of the arguments."""
    arrays = tuple(np.asarray(x, dtype) for x in args)
    result = mg.grad(lambda *xs: np.sum(f(*xs)), argnums)(*arrays)
    for g in result if isinstance(result, tuple) else (result,):
        assert g.dtype == dtype
    return result


def second(f: Callable[[Any], Any], x: Any, dtype: Any = np.float64) -> Any:
    """The diagonal of the Hessian of an elementwise function."""
    return gradient(mg.grad(lambda x: np.sum(f(x))), x, dtype=dtype)


def assert_identical(t, a):
    """The Tensor holds exactly what NumPy computed, in the same dtype."""
    np.testing.assert_array_equal(plain(t), a, strict=True)


def same_as_numpy(f, *arrays):
    """NumPy's own result on a Tensor, dtype and shape included, or its kind of error."""
    outcomes = []
    for args in (arrays, [mg.Tensor(a, requires_grad=True) for a in arrays]):
        try:
            result = f(*args)
            outcomes.append(result.data if isinstance(result, mg.Tensor) else np.asarray(result))
        except Exception as error:
            outcomes.append(error)
    expected, got = outcomes
    if isinstance(expected, Exception):
        assert type(got) is type(expected), got
    else:
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-6)


# -- What a compiled step is compared with -----------------------------------------------------------------------------


def assert_same(ours, eager, inputs=()):
    """Equal to rounding: matrix products and sums may go through ndarray.dot, which adds up in another order.

    A float64 result may have been computed from ``inputs`` of float32, with their rounding.
    """
    single = any(np.asarray(plain(x)).dtype == np.float32 for x in tree.leaves(inputs))
    ours, eager = tree.leaves(ours), tree.leaves(eager)
    assert len(ours) == len(eager)
    for a, b in zip(map(plain, ours), map(plain, eager), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        relative = 1e-5 if single or b.dtype == np.float32 else 1e-12
        scale = max(1.0, float(np.max(np.abs(b), initial=0, where=np.isfinite(b)))) if b.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(a, b, rtol=relative, atol=relative * scale)


def assert_rounded_alike(ours, eager):
    """States of a training by its program and by its steps: how BLAS is built decides in which order it adds."""
    assert ours.keys() == eager.keys()
    for name, array in eager.items():
        relative, absolute = (1e-4, 1e-6) if array.dtype == np.float32 else (1e-9, 1e-11)
        np.testing.assert_allclose(ours[name], array, rtol=relative, atol=absolute, err_msg=name)


def with_gradient(f):
    """A step that gives a function's value and its gradient with respect to every argument."""

    def value_and_gradient(*args):
        value, pullback = mg.vjp(f, *args)
        seeds = [
            np.linspace(0.5, 1.5, int(np.size(v))).reshape(np.shape(v)).astype(v.dtype) for v in tree.leaves(value)
        ]
        return value, pullback(tree.like(value, seeds))

    return value_and_gradient


def scaled(args, factor):
    """The float arrays among nested arguments, smaller: still within every function's domain."""
    return tree.like(
        args,
        [
            a * a.dtype.type(factor) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
            for a in tree.leaves(args)
        ],
    )


def arrays_of(args):
    """Products of 0-d arrays are NumPy scalars: arrays again."""
    return tree.like(args, [np.asarray(a) if isinstance(a, np.generic) else a for a in tree.leaves(args)])


BY_VALUE = {"piecewise", "trim_zeros", "polymul", "polydiv", "polyfit", "lstsq"}
"""Functions whose result's shape, or whose choice of calls, depends on values: recording refuses them."""


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


# -- Trainings, as everybody writes them -------------------------------------------------------------------------------


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


def small(seed=0, dtype=np.float64, width=4):
    """A network, its optimizer, the step and a batch."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Linear(2, width, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(width, 1, rng=rng, dtype=dtype)
    )
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    x, y = rng.normal(size=(7, 2)).astype(dtype), rng.normal(size=(7, 1)).astype(dtype)
    return model, optimizer, step_of(model, optimizer, nn.losses.mean_squared_error), (x, y)
