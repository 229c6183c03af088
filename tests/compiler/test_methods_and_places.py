"""What a step may be (a method, a prediction, a gradient), and the places that it computes before it looks there."""

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import nn
from microgradnp.compiler.record import RecordingError

RNG = np.random.default_rng(0)
W = mg.Tensor(RNG.normal(size=4), requires_grad=True)
TABLE = mg.Tensor(RNG.normal(size=(4, 3)), requires_grad=True)


class Descent:
    def __init__(self, start):
        self.w = mg.Tensor(np.full(3, start), requires_grad=True)
        self.lr = 0.1

    @mg.compile
    def step(self, x):
        """One step."""
        self.w.grad = None
        loss = np.sum((self.w * x) ** 2)
        loss.backward()
        self.w.data -= self.lr * self.w.grad
        return loss


class DescentOfALayer(nn.Layer):
    __init__ = Descent.__init__
    step = vars(Descent)["step"]


@pytest.mark.parametrize("kind", [Descent, DescentOfALayer])
def test_a_method_knows_its_object(kind):
    x = np.array([0.1, 0.2, 0.3])
    objects, expected = [kind(1.0), kind(2.0)], [np.full(3, 1.0), np.full(3, 2.0)]
    for k in range(10):
        objects[0].lr = 0.1 if k < 5 else 0.5
        for i, one in enumerate(objects):
            assert one.step(x).item() == pytest.approx(np.sum((expected[i] * x) ** 2))
            expected[i] = expected[i] - one.lr * 2 * expected[i] * x * x
            np.testing.assert_allclose(one.w.data, expected[i])
    assert kind.step.__doc__ == "One step."
    assert "multiply" in str(objects[0].step.program)


def test_a_models_prediction():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    predict = mg.compile(model.predict)
    for _ in range(5):
        x = RNG.normal(size=(5, 3))
        y = predict(x)
        assert type(y) is np.ndarray
        np.testing.assert_allclose(y, model.predict(x), rtol=1e-14)
        model[0].weight.data = model[0].weight.data * 1.1


def wavy(x, y=1.0):
    return np.sum(np.sin(x) * x * y)


@pytest.mark.parametrize(
    "make",
    [
        mg.grad,
        mg.value_and_grad,
        mg.hessian,
        lambda f: mg.grad(f, (0, 1)),
        lambda f: mg.jacobian(lambda x, y: np.sin(x) * y),
        lambda f: mg.grad(lambda x, y: (f(x, y), {"aux": x * y}), has_aux=True),
    ],
)
def test_a_compiled_gradient_returns_what_the_gradient_returns(make):
    plain, compiled = make(wavy), mg.compile(make(wavy))
    for _ in range(5):
        x, y = RNG.normal(size=3), RNG.normal(size=3)
        expected, found = plain(x, y), compiled(x, y)
        for a, b in zip(leaves(expected), leaves(found), strict=True):
            assert type(a) is type(b) is np.ndarray
            np.testing.assert_allclose(b, a, rtol=1e-13)


def leaves(x):
    if isinstance(x, dict):
        x = tuple(x.values())
    return [leaf for part in x for leaf in leaves(part)] if isinstance(x, tuple) else [x]


def test_scipy_takes_a_compiled_gradient():
    optimize = pytest.importorskip("scipy.optimize")

    def f(x):
        return np.sum((x - np.array([1.0, 2.0])) ** 2 + x**4)

    found = optimize.minimize(f, np.zeros(2), jac=mg.compile(mg.grad(f)), method="BFGS")
    assert type(found.jac) is np.ndarray
    np.testing.assert_allclose(mg.grad(f)(found.x), 0, atol=1e-4)


def test_a_compiled_gradient_inside_a_step_is_part_of_it():
    gradient = mg.compile(mg.grad(wavy))
    step = mg.compile(lambda x: np.sum(gradient(x) ** 2))
    for _ in range(5):
        x = RNG.normal(size=3)
        np.testing.assert_allclose(step(x).item(), np.sum(mg.grad(wavy)(x) ** 2))


def squares(p, x):
    return np.sum((p * x) ** 2)


def into_data(w, x):
    w.data -= 0.1 * mg.grad(squares)(w.data, x)


def into_an_array(w, x):
    array = w.data if isinstance(w, mg.Tensor) else w
    array[...] -= 0.1 * mg.grad(squares)(array, x)


def with_the_value(w, x):
    value, gradient = mg.value_and_grad(squares)(w.data, x)
    w.data[...] = w.data - 0.1 * gradient / (1 + 0 * value)


@pytest.mark.parametrize(
    ("make", "descend"),
    [(mg.Tensor, into_data), (mg.Tensor, into_an_array), (np.array, into_an_array), (mg.Tensor, with_the_value)],
)
def test_a_functional_gradient_inside_a_step(make, descend):
    w, expected = make(np.full(3, 2.0)), np.full(3, 2.0)
    compiled = mg.compile(lambda x: descend(w, x))
    for k in range(9):
        x = np.array([0.1, 0.2, 0.3]) * k
        compiled(x)
        expected = expected - 0.1 * 2 * expected * x * x
        np.testing.assert_allclose(w.data if make is mg.Tensor else w, expected, rtol=1e-14)
    assert "1 program>" in repr(compiled)


def test_least_squares():
    compiled = mg.compile(lambda a, b: np.linalg.lstsq(a, b, rcond=None))
    for shape in ((5, 2), (2, 5), (3, 3)):
        for _ in range(5):
            a, b = RNG.normal(size=shape), RNG.normal(size=shape[0])
            for ours, numpy in zip(compiled(a, b), np.linalg.lstsq(a, b, rcond=None), strict=True):
                np.testing.assert_allclose(np.asarray(ours), numpy, rtol=1e-10, atol=1e-12)
    a = np.ones((4, 2))
    x, residuals, rank, _ = compiled(a, np.arange(4.0))
    np.testing.assert_allclose(x.data, np.linalg.lstsq(a, np.arange(4.0), rcond=None)[0])
    assert rank.item() == 1
    assert np.all(np.isnan(residuals.data))  # NumPy gives none


# -- Numbers of NumPy --------------------------------------------------------------------------------------------------

ROWS, LIST = np.arange(12.0).reshape(4, 3), [1.0, 5.0, 7.0]
NUMBERS = {
    "a row": lambda k, x: x * ROWS[k],
    "a column": lambda k, x: x * ROWS[:3, k],
    "a list": lambda k, x: x * LIST[k],
    "a range": lambda k, x: sum((x * i for i in range(k)), x * 0),
    "a condition": lambda k, x: x * 2 if k else x,
    "a shape": lambda k, x: np.reshape(x, (-1, int(k) + 1))[0] if int(k) != 1 else x,
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_program_is_made_for_a_number_that_the_step_asks_for(name):
    step = NUMBERS[name]
    compiled = mg.compile(step)
    for k in (0, 1, 2, 2, 1, 0, 1, 2, 2):
        x = RNG.normal(size=3)
        np.testing.assert_array_equal(compiled(np.int64(k), x).data, np.asarray(step(k, x)))
    assert compiled(np.int64(1), np.ones(3)).shape == (3,)


def test_a_number_that_the_step_computes_with_is_data():
    compiled = mg.compile(lambda k, x: x * k)
    for k in range(12):
        assert compiled(np.int64(k), np.ones(1)).item() == k
    assert "1 program>" in repr(compiled)


def test_places_of_an_ndarray_that_a_step_computes_are_refused_with_the_way_that_works():
    with pytest.raises(RecordingError, match=r"microgradnp\.Tensor\(array\)\[places\]"):
        mg.compile(lambda places: sum(ROWS[:, k].sum() for k in places))(np.array([0, 2]))
    rows = mg.Tensor(ROWS)
    compiled = mg.compile(lambda places: sum(rows[:, k].sum() for k in places))
    for places in (np.array([0, 2]), np.array([1, 1])):
        assert compiled(places).item() == ROWS[:, places].sum()


# -- Computed places ---------------------------------------------------------------------------------------------------


def vectors():
    return (RNG.normal(size=4),)


STEPS = {
    "argsort": (lambda x: np.sum(W[np.argsort(W * x)] * np.arange(4.0) * x), vectors),
    "argmax": (lambda x: W[np.argmax(W * x)] ** 2, vectors),
    "a column": (lambda x: np.sum(TABLE[:, np.argmin(x[:3])] * x), vectors),
    "the largest two": (lambda x: np.sum(W[np.argpartition(x, 2)[:2]]), vectors),
    "places given": (lambda i: np.sum(TABLE[i] ** 2), lambda: (RNG.integers(0, 4, 5),)),
    "pairs": (lambda i, j: np.sum(TABLE[i, j] ** 2), lambda: (RNG.integers(0, 4, 5), RNG.integers(0, 3, 5))),
    "a list of places": (lambda i: sum(np.sum(TABLE[k]) ** 2 for k in i), lambda: ([*RNG.integers(0, 4, 3)],)),
    "a NumPy integer": (lambda x: W[np.int64(1)] * np.sum(TABLE[:, np.int64(2)] * x), vectors),
    "a loop over NumPy's": (lambda x: sum(W[o] * x[o] for o in np.array([0, 2])), vectors),
}


@pytest.mark.parametrize("name", STEPS)
def test_computed_places_are_looked_up_anew(name):
    f, arguments = STEPS[name]

    def step(*args):
        W.grad = TABLE.grad = None
        loss = f(*args)
        loss.backward()
        return loss

    compiled = mg.compile(step)
    for _ in range(9):
        args = arguments()
        expected = [step(*args).data, *(None if p.grad is None else p.grad.copy() for p in (W, TABLE))]
        for a, b in zip(expected, [compiled(*args).data, W.grad, TABLE.grad], strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(b, a, rtol=1e-12)
    assert len(compiled._programs) == 1


def test_values_put_at_computed_places_are_refused():
    @mg.compile
    def step(x):
        h = W * 1.0
        h[np.argsort(x)] = W * x
        return np.sum(h)

    with pytest.raises(RecordingError, match=r"t\[i\] = v at computed places.*np\.where"):
        step(RNG.normal(size=4))
