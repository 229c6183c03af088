"""What a step finds in its arguments and around it is seen to change, whatever it is and however large."""

import array
import collections
import contextvars
import os
import random
import time
import types
import warnings
from functools import partial

import numpy as np
import pytest
from helpers import assert_same
from numpy.linalg import LinAlgError

import microgradnp as mg
from microgradnp import nn
from microgradnp.compiler import RecordingError
from microgradnp.compiler.guards import holds

X = np.array([4.0])

OWN = types.ModuleType("of_a_test")
INNER = types.ModuleType("of_a_test.inner")
exec("RATE = 1.0\ndef scale(x): return x * RATE\nclass Settings: factor = 1.0", OWN.__dict__)
INNER.rates, OWN.inner = [1.0, 2.0], INNER
VARIABLE = contextvars.ContextVar("VARIABLE", default=1.0)
RATES = [1.0]


class Config:
    def __init__(self, k):
        self.k = k


class Scale(nn.Layer):
    def __init__(self):
        self.weight, self.k = mg.Tensor([1.0], requires_grad=True), 1.0

    def forward(self, x):
        return x * self.weight * self.k


# -- Arguments: a step, an argument, and a change in it ------------------------------------------------------------


def append(x, part):
    x.append(part)


ARGUMENTS = {
    "attribute": (lambda x, c: x * c.k, lambda: Config(1.0), lambda c: setattr(c, "k", 5.0)),
    "attribute of an attribute": (lambda x, c: x * c.k.k, lambda: Config(Config(1.0)), lambda c: setattr(c.k, "k", 5)),
    "new attribute": (lambda x, c: x * getattr(c, "j", 1), lambda: Config(1), lambda c: setattr(c, "j", 5)),
    "an array in it": (lambda x, c: x * c.k, lambda: Config(np.ones(1)), lambda c: c.k.fill(5.0)),
    "an array replaced": (lambda x, c: x * c.k, lambda: Config(np.ones(1)), lambda c: setattr(c, "k", np.zeros(1))),
    "layer": (lambda x, m: m(x), Scale, lambda m: setattr(m, "k", 5.0)),
    "mode of a layer": (lambda x, m: x * (2.0 if m.training else 1.0), Scale, lambda m: m.train(not m.training)),
    "object in a tuple": (lambda x, t: x * t[0].k, lambda: (Config(1.0), 1), lambda t: setattr(t[0], "k", 5.0)),
    "object in a dict": (lambda x, d: x * d["c"].k, lambda: {"c": Config(1.0)}, lambda d: setattr(d["c"], "k", 5.0)),
    "list in an object": (lambda x, c: x * sum(c.k), lambda: Config([1.0]), lambda c: c.k.insert(0, 5.0)),
    "list": (lambda x, n: x * sum(n), lambda: [1.0], lambda n: append(n, 5.0)),
    "dict": (lambda x, d: x * d["k"], lambda: {"k": 1.0}, lambda d: d.update(k=5.0)),
    "set": (lambda x, s: x * len(s), lambda: {1, 2}, lambda s: s.add(3)),
    "deque": (lambda x, q: x * q[-1], lambda: collections.deque([1.0]), lambda q: append(q, 5.0)),
    "array.array": (lambda x, a: x * a[0], lambda: array.array("d", [1.0]), lambda a: a.__setitem__(0, 5.0)),
    "function": (lambda x, f: f(x), lambda: partial(np.multiply, 2.0), None),
}


@pytest.mark.filterwarnings("ignore:.*recorded anew at each:RuntimeWarning")
@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("calls", [1, 3, 5, 6])
def test_what_changes_in_an_argument_is_seen(name, calls):
    step, make, change = ARGUMENTS[name]
    given = make()
    compiled = mg.compile(step)
    for _ in range(calls):
        assert_same(compiled(X, given), step(mg.Tensor(X), given).detach())
    if change is not None:
        change(given)
    for _ in range(3):
        assert_same(compiled(X, given), step(mg.Tensor(X), given).detach())


@pytest.mark.parametrize(
    "nest", [lambda r: r, lambda r: {"rng": r}, Config], ids=["itself", "in a dict", "in an object"]
)
@pytest.mark.parametrize(
    "make", [np.random.default_rng, np.random.RandomState, random.Random], ids=["Generator", "RandomState", "Random"]
)
def test_a_generator_in_an_argument_is_refused(make, nest):
    def step(x, given):
        rng = given["rng"] if isinstance(given, dict) else getattr(given, "k", given)
        return x + (rng.random() if isinstance(rng, random.Random) else rng.standard_normal(1))

    with pytest.raises(RecordingError, match=r"microgradnp\.draw"):
        mg.compile(step)(X, nest(make(0)))


def test_a_list_or_dict_that_a_step_is_given_and_changes_is_refused():
    for step, given in ((lambda x, d: d.update(k=2.0) or x, {"k": 1.0}), (lambda x, n: n.append(x) or x, [1.0])):
        with pytest.raises(RecordingError, match="given as an argument"):
            mg.compile(step)(X, given)


def test_an_array_that_is_given_twice_is_one():
    compiled = mg.compile(lambda a, b: a * 2 if a is b else a + b)
    a, b = np.array([1.0]), np.array([3.0])
    for x, y in ((a, a), (a, b), (b, b), (a, b), (b, a), (a, a)):
        assert compiled(x, y).item() == (x * 2 if x is y else x + y).item()
    assert "2 programs" in repr(compiled)


# -- Around a step ---------------------------------------------------------------------------------------------------


def function_with_an_attribute():
    def f(x):
        return x * f.k

    f.k = 1.0
    return f, lambda: setattr(f, "k", 5.0)


def name_defined_later():
    def f(x):
        try:
            return x * DEFINED_LATER
        except NameError:
            return x

    globals().pop("DEFINED_LATER", None)
    return f, lambda: globals().update(DEFINED_LATER=5.0)


def cell_set_later():
    def f(x):
        try:
            return x * later
        except NameError:
            return x

    def change():
        nonlocal later
        later = 5.0

    if not X.size:
        later = None
    return f, change


def captured(make, step, change):
    """A source whose step reads what ``make`` gives, and which ``change`` changes."""

    def source():
        held = make()
        return lambda x: step(x, held), lambda: change(held)

    return source


AROUND = {
    "number of a module": lambda: (lambda x: x * OWN.RATE, lambda: setattr(OWN, "RATE", 5.0)),
    "global of a function of a module": lambda: (lambda x: OWN.scale(x), lambda: setattr(OWN, "RATE", 6.0)),
    "class of a module": lambda: (lambda x: x * OWN.Settings.factor, lambda: setattr(OWN.Settings, "factor", 5.0)),
    "module of a module": lambda: (lambda x: x * OWN.inner.rates[0], lambda: INNER.rates.__setitem__(0, 5.0)),
    "function of a module": lambda: (lambda x: OWN.scale(x), lambda: setattr(OWN, "scale", lambda x: x * 7.0)),
    "environment": lambda: (
        lambda x: x * float(os.environ.get("RATE_OF_A_TEST", "1")), lambda: os.environ.update(RATE_OF_A_TEST="5"),
    ),
    "context variable": lambda: (lambda x: x * VARIABLE.get(), lambda: VARIABLE.set(5.0)),
    "list of the module that grows": lambda: (lambda x: x * RATES[-1], lambda: RATES.append(5.0)),
    "attribute of a function": function_with_an_attribute,
    "name defined later": name_defined_later,
    "cell set later": cell_set_later,
    "deque": captured(lambda: collections.deque([1.0]), lambda x, q: x * q[-1], lambda q: q.append(5.0)),
    "array.array": captured(lambda: array.array("d", [1.0]), lambda x, a: x * a[0], lambda a: a.insert(0, 5.0)),
    "bytearray": captured(lambda: bytearray([1]), lambda x, a: x * a[0], lambda a: a.insert(0, 5)),
    "object in a set": captured(lambda: {Config(1.0)}, lambda x, s: x * min(s, key=id).k,
                                lambda s: setattr(min(s, key=id), "k", 5.0)),
    "default dict": captured(lambda: collections.defaultdict(float, k=1.0), lambda x, d: x * d["k"],
                             lambda d: d.update(k=5.0)),
    "namespace": captured(lambda: types.SimpleNamespace(k=1.0), lambda x, n: x * n.k, lambda n: setattr(n, "k", 5.0)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*recorded anew at each:RuntimeWarning")
@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("calls", [1, 3, 5, 6])
def test_what_changes_around_a_step_is_seen(name, calls, monkeypatch):
    monkeypatch.delenv("RATE_OF_A_TEST", raising=False)
    VARIABLE.set(1.0)
    step, change = AROUND[name]()
    compiled = mg.compile(step)
    for _ in range(calls):
        assert_same(compiled(X), step(mg.Tensor(X)))
    change()
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if "grows" in name else "error")  # the audit, when a list has grown
            assert_same(compiled(X), step(mg.Tensor(X)))


# -- At every call ---------------------------------------------------------------------------------------------------


def caught(x):
    try:
        return np.linalg.cholesky(x)
    except LinAlgError:
        return x * 0.0


def test_a_step_that_catches_the_error_of_an_operation_is_refused():
    assert np.all(mg.compile(caught)(np.eye(2)).data == np.eye(2))
    with pytest.raises(RecordingError, match=r"goes on after an error in np\.linalg\.cholesky"):
        mg.compile(caught)(-np.eye(2))


def test_a_generator_made_in_the_step_is_found_at_the_second_call():
    for make in (np.random.default_rng, np.random.RandomState, random.Random):
        compiled = mg.compile(lambda x, make=make: x + (make().uniform(0.0, 1.0)))
        compiled(X)
        with pytest.warns(RuntimeWarning, match="runs without being compiled"):
            compiled(X)


# -- However large ---------------------------------------------------------------------------------------------------

N = 20_000
LARGE = {
    "list": lambda: [0.1 * i for i in range(N)],
    "tuple": lambda: tuple(0.1 * i for i in range(N)),
    "dict": lambda: {i: 0.1 * i for i in range(N)},
    "set": lambda: set(range(N)),
    "deque": lambda: collections.deque(range(N)),
    "array.array": lambda: array.array("d", range(N)),
    "bytearray": lambda: bytearray(N),
    "rows": lambda: [[0.1 * i, 1.0] for i in range(N)],
    "records": lambda: [{"x": 0.1 * i} for i in range(N)],
    "objects": lambda: [Config(0.1 * i) for i in range(N)],
    "arrays": lambda: [np.ones(1) for i in range(N)],
    "object of many attributes": lambda: types.SimpleNamespace(**{f"a{i}": 0.1 * i for i in range(N)}),
    "lists of lists": lambda: [[0.1 * i for i in range(30)] for _ in range(30)],
    "dicts of dicts": lambda: {i: {j: 0.1 * j for j in range(30)} for i in range(30)},
    "pairs": lambda: [(0.1 * i, 1.0) for i in range(N)],
    "text": lambda: "a" * N,
    "array": lambda: np.ones(100 * N),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_a_step_can_reach_costs_a_replay_nothing(name):
    data = LARGE[name]()
    compiled = mg.compile(lambda x: x * 2.0 if data is not None else x)
    compiled(X)
    entry = compiled.program._entry
    assert len(entry.lines) < 40
    assert len(compiled.program.trace.guards) < 50
    times = []
    for _ in range(300):
        start = time.perf_counter()
        compiled(X)
        times.append(time.perf_counter() - start)
    assert sorted(times)[150] < 50e-6  # some 5: one comparison of all would take 100 and more


MEDIUM = {
    "list": (lambda: [0.5] * 50, 2),
    "dict": (lambda: dict.fromkeys(range(50), 0.5), 3),
    "deque": (lambda: collections.deque([0.5] * 50), 3),
    "arrays": (lambda: {k: np.full(5, 0.5) for k in range(20)}, 11),
    "rows": (lambda: [[0.5, 1.0] for _ in range(20)], 23),
    "attributes": (lambda: types.SimpleNamespace(**{f"a{k}": 0.5 for k in range(20)}).__dict__, 3),
}


@pytest.mark.parametrize("name", MEDIUM)
def test_a_container_of_some_dozens_is_compared_at_once_in_few_comparisons(name):
    make, most = MEDIUM[name]
    data = make()
    compiled = mg.compile(lambda x: x * 2.0 if data is not None else x)
    compiled(X)
    assert len(compiled.program.trace.guards) <= most
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        before, data[key] = data[key], 7.5
        assert any(not holds(guard) for guard in compiled.program.trace.guards)
        data[key] = before
        assert all(map(holds, compiled.program.trace.guards))


def test_an_equal_number_of_another_type_in_a_long_list_is_found_at_the_next_audit():
    data = [1] * 50
    compiled = mg.compile(lambda x: x * data[7])
    x = np.arange(3)
    for _ in range(5):
        compiled(x)
    data[7] = 1.0
    assert [compiled(x).dtype.kind for _ in range(2)] == ["i", "i"]
    with pytest.warns(RuntimeWarning, match="replays 5 to 7 may have repeated old values"):
        assert compiled(x).dtype == float


@pytest.mark.parametrize("make", [lambda: [0.5] * N, lambda: dict.fromkeys(range(N), 0.5), lambda: [[0.5, 1.0]] * N])
def test_a_large_argument_is_compared_at_once_and_whole(make):
    compiled = mg.compile(lambda x, data: x * np.sum(data[0]))
    data = make()
    for number in (0.5, 2.0, 2.0, 0.5, 3.0, 3.0, 3.0):
        data[0] = number
        assert compiled(X, data).item() == 4 * number
    assert len(compiled.program._entry.lines) < 40


def test_a_list_that_grows_in_an_object_is_compared_at_once():
    config = Config([1.0])
    compiled = mg.compile(lambda x: x * config.k[-1])
    for _ in range(5):
        compiled(X)
    config.k.append(5.0)
    with pytest.warns(RuntimeWarning, match=r"At replay 6 .*the step gives \[20"):
        assert compiled(X).item() == 20.0


def test_a_long_list_that_grows_is_a_log_once_three_audits_have_found_no_difference():
    log = [0.5] * 100
    compiled = mg.compile(lambda x: x * len(log[:1]))
    for _ in range(40):
        assert compiled(X).item() == 4.0
        log.append(0.5)
    assert "1 program>" in repr(compiled)


def test_a_large_container_is_seen_to_get_another_length():
    data = collections.deque([0.5] * N)
    compiled = mg.compile(lambda x: x * sum(data))
    for _ in range(6):
        assert compiled(X).item() == 4 * sum(data)
    data.append(1.0)
    assert compiled(X).item() == 4 * sum(data)


@pytest.mark.filterwarnings("ignore:.*recorded anew at each:RuntimeWarning")
def test_many_layers_are_all_watched():
    layers = [Scale() for _ in range(100)]

    def step(x):
        for layer in layers:
            x = layer(x)
        return x

    compiled = mg.compile(step)
    for i in range(5):
        assert_same(compiled(X), step(mg.Tensor(X)).detach())
        layers[17 * i].k = 2.0
        assert_same(compiled(X), step(mg.Tensor(X)).detach())
        layers[19 * i] = Scale()
