"""Saving: what is loaded is what was saved, whatever a model is made of; a resumed training is the whole one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from every_layer import EVERY, Scaled, model_of
from helpers import both_dtypes, plain

from microgradnp import Tensor, nn, optim


class Gated(nn.Layer):
    """A layer of a user's own that says what it was made with."""

    def __init__(self, width, activation=np.tanh, inner=nn.ReLU, dtype=np.float64):
        self.width, self.activation, self.inner = width, activation, inner
        self.gate = nn.Sequential(nn.Linear(width, width, dtype=dtype), inner())
        self.noise = np.random.default_rng(5)

    def forward(self, x):
        return x * self.activation(self.gate(x))


class Mute(nn.Layer):
    """One that does not."""

    def __init__(self, width):
        self.inner = nn.Linear(width, width)

    def forward(self, x):
        return self.inner(x)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


def net(dtype=np.float64):
    return nn.Sequential(
        nn.Linear(2, 5, rng=0, dtype=dtype), nn.Tanh(), nn.Linear(5, 1, bias=False, rng=1, dtype=dtype)
    )


def assert_alike(a, b):
    assert repr(a) == repr(b)
    x = np.linspace(-1, 1, 14).reshape(7, 2)
    np.testing.assert_array_equal(a.predict(x), b.predict(x), strict=True)
    mine, other = a.state_dict(), b.state_dict()
    assert list(mine) == list(other)
    for name in mine:
        np.testing.assert_array_equal(mine[name], other[name], strict=True)


# -- What is loaded is what was saved ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_is_built_again(path, dtype):
    model = net(dtype)
    nn.save(path, model)
    assert_alike(nn.load(path).model, model)


def test_numpy_reads_the_file(path):
    model = net()
    nn.save(path, model)
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["model/0.weight"], model[0].weight.data)


def test_the_same_is_saved_in_the_same_bytes(path):
    nn.save(path, net())
    first = path.read_bytes()
    nn.save(path, nn.load(path).model)
    assert path.read_bytes() == first


def test_values_come_back_as_they_were(path):
    values = {
        "numbers": [1, -2.5, True, None, float("inf"), 10**40],
        "tuple": (1, ("a", [])),
        "named by numbers": {1: "one", (2, 3): {"$": 4, "": 5}},
        "half a letter": "\ud800",
        "texts": np.array(["setosa", "日本"]),
        "empty": np.zeros((0, 3), np.float32),
        "by columns": np.arange(6.0).reshape(2, 3).T,
        "scalar": np.float32(0.1),
        "zero axes": np.array(7),
        "big endian": np.arange(3, dtype=">i4"),
        "dtype": np.dtype("float32"),
        "../a name\0of\nits own": np.arange(2),
    }
    nn.save(path, net(), values=values, epoch=3)
    saved = nn.load(path)
    assert saved.epoch == 3
    assert repr(saved.values) == repr(values)
    assert saved.values["big endian"].dtype == ">i4"
    with np.load(path) as arrays:
        assert not any(".." in name for name in arrays)
    assert np.isnan(save_and_load(path, float("nan")))


def save_and_load(path, value):
    nn.save(path, net(), value=value)
    return nn.load(path).value


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_a_generator_goes_on(path, kind):
    rng = np.random.Generator(getattr(np.random, kind)(7))
    rng.integers(0, 10, 3, dtype=np.int32)  # half of a word is kept back
    loaded = save_and_load(path, rng)
    np.testing.assert_array_equal(loaded.integers(0, 10, 9, dtype=np.int32), rng.integers(0, 10, 9, dtype=np.int32))


def test_a_layer_of_ones_own_needs_its_class(path):
    model = nn.Sequential(
        nn.Linear(2, 3), Gated(3, np.sin, nn.Sigmoid), Gated(3, nn.functional.softplus, dtype=np.float64)
    )
    nn.save(path, model)
    with pytest.raises(nn.CheckpointError, match=r"layer Gated.*layers=\[Gated\].*model=yours"):
        nn.load(path)
    for wrong in (Gated(2), ["Gated"], int):
        with pytest.raises(TypeError, match="takes classes of layers"):
            nn.load(path, layers=wrong)
    assert_alike(nn.load(path, layers=Gated).model, model)
    loaded = nn.load(path, layers=[Gated]).model
    assert_alike(loaded, model)
    assert loaded[1].activation is np.sin
    assert loaded[2].activation is nn.functional.softplus


def test_a_layer_that_does_not_say_how_it_is_made_is_given(path):
    model = nn.Sequential(Mute(2), nn.Linear(2, 1))
    nn.save(path, model)
    with pytest.raises(nn.CheckpointError, match=r"argument width in self\.width.*model=yours"):
        nn.load(path, layers=[Mute])
    mine = nn.Sequential(Mute(2), nn.Linear(2, 1))
    assert nn.load(path, model=mine).model is mine
    assert_alike(mine, model)


def test_a_name_of_ours_is_not_taken_for_a_users(path):
    ours = nn.Linear(2, 2)
    theirs = type("Linear", (nn.Linear,), {"forward": lambda self, x: -super(type(self), self).forward(x)})
    model = nn.Sequential(ours, theirs(2, 2))
    nn.save(path, model)
    with pytest.raises(nn.CheckpointError, match="layer Linear"):
        nn.load(path)
    assert_alike(nn.load(path, layers=[theirs]).model, model)


def test_shared_layers_and_tensors_stay_shared(path):
    inner = nn.Linear(2, 2)
    model = nn.Sequential(inner, nn.Tanh(), inner, nn.Linear(2, 2))
    model[3].weight = inner.weight
    nn.save(path, model)
    loaded = nn.load(path).model
    assert_alike(loaded, model)
    assert loaded[0] is loaded[2]
    assert loaded[3].weight is loaded[0].weight
    assert len(loaded.parameters()) == len(model.parameters()) == 3


def test_frozen_parameters_and_modes_are_kept(path):
    model = net()
    model[0].weight.requires_grad = False
    model[1].eval()
    nn.save(path, model)
    loaded = nn.load(path).model
    assert [name for name, _ in loaded.named_parameters()] == ["0.bias", "2.weight"]
    assert [layer.training for _, layer in loaded.named_layers()] == [True, True, False, True]


def test_one_generator_in_many_hands_stays_one(path):
    model, rng = nn.Sequential(Gated(2), Gated(2)), np.random.default_rng(0)
    model[0].noise = model[1].noise = rng
    nn.save(path, model, rng=rng)
    expected = rng.random(3)
    saved = nn.load(path, layers=[Gated])
    assert saved.model[0].noise is saved.model[1].noise is saved.rng
    np.testing.assert_array_equal(saved.rng.random(3), expected)
    mine, again = nn.Sequential(Gated(2), Gated(2)), np.random.default_rng(9)
    nn.load(path, model=mine, rng=again)
    np.testing.assert_array_equal(mine[1].noise.random(3), expected)
    np.testing.assert_array_equal(again.random(3), expected)


def test_a_standardizer_is_there_again(path):
    standardizer = nn.Standardizer(np.random.default_rng(0).normal(3, 2, size=(9, 2)))
    nn.save(path, net(), standardizer=standardizer)
    x = np.random.default_rng(1).normal(size=(4, 2))
    np.testing.assert_array_equal(nn.load(path).standardizer(x), standardizer(x))
    mine = nn.Standardizer(np.zeros((1, 2)))
    assert nn.load(path, standardizer=mine).standardizer is mine
    np.testing.assert_array_equal(mine(x), standardizer(x))


def test_a_model_without_its_generator_gets_it(path):
    model = nn.Sequential(nn.Linear(2, 1), rng=3)
    nn.save(path, model)
    expected = model.rng.random()
    mine = nn.Sequential(nn.Linear(2, 1))
    nn.load(path, model=mine)
    assert mine.rng.random() == expected
    nn.save(path, nn.Sequential(Mute(2), nn.Dropout(0.5)))
    with pytest.raises(nn.CheckpointError, match=r"a random generator at 1\.rng, and this one has no place for it"):
        nn.load(path, model=nn.Sequential(Mute(2), nn.ReLU()))


def test_several_models_in_one_file(path):
    generator, discriminator = net(), nn.Linear(3, 1)
    nn.save(path, generator, discriminator=discriminator)
    np.testing.assert_array_equal(nn.load(path).discriminator.weight.data, discriminator.weight.data)


@both_dtypes
@pytest.mark.parametrize(**EVERY)
def test_every_layer_is_built_again(path, name, make, shape, dtype):
    """Whatever is added to the layers keeps its constructor's arguments."""
    model, x = model_of(name, make, dtype), np.random.default_rng(0).normal(size=(5, *shape)).astype(dtype)
    nn.save(path, model)
    loaded = nn.load(path, layers=[Scaled]).model
    assert repr(loaded) == repr(model)
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x), strict=True)
    np.testing.assert_array_equal(plain(loaded(x)), plain(model(x)), strict=True)  # while training: the same noise
    for a, b in zip(loaded.parameters(), model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data, strict=True)


# -- What does not fit -------------------------------------------------------------------------------------------------


class Counter:
    """Anything with a state."""

    def __init__(self, n):
        self.n = n

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        if state["n"] < 0:
            raise ValueError("n is negative")
        self.n = state["n"]


def test_all_or_nothing_is_loaded(path):
    nn.save(path, net(), first=Counter(1), rng=np.random.default_rng(1), last=Counter(-1))
    model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1, bias=False))
    rng, first, last = np.random.default_rng(2), Counter(2), Counter(2)
    before = model.state_dict(), rng.bit_generator.state
    with pytest.raises(nn.CheckpointError, match="last: n is negative"):
        nn.load(path, model=model, first=first, rng=rng, last=last)
    assert (first.n, last.n) == (2, 2)
    assert rng.bit_generator.state == before[1]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[0][name])
    saved = nn.load(path, model=model, first=first)
    assert first.n == 1
    assert saved.last == {"n": -1}


def test_what_does_not_fit_is_told_at_once(path):
    nn.save(path, net())
    other = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1))
    with pytest.raises(nn.CheckpointError) as error:
        nn.load(path, model=other)
    for part in (
        "missing '1.weight'",
        "missing '1.bias'",
        "unexpected '2.weight'",
        "'0.weight' has shape (2, 5), but (3, 5)",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("into", "said"),
    [
        ({"optimiser": Counter(1)}, "no optimiser; it has model, counter, epoch, rng"),
        ({"counter": 3}, "takes what has load_state_dict"),
        ({"counter": Counter}, "takes what has load_state_dict"),
        ({"epoch": Counter(1)}, "saved as a value"),
        ({"rng": np.random.Generator(np.random.MT19937(0))}, "must be for a MT19937"),
        ({"counter": net()}, "counter: the state does not fit Sequential"),
    ],
)
def test_what_is_given_must_be_there_and_fit(path, into, said):
    nn.save(path, net(), counter=Counter(1), epoch=3, rng=np.random.default_rng(0))
    with pytest.raises(nn.CheckpointError, match=said):
        nn.load(path, **into)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "value is a object"),
        ([1, {"a": lambda: 0}], "value/1/a is a function"),
        (np.array([object()]), "value is an array of dtype object"),
        (np.zeros(2, [("a", "f8")]), "value is an array of dtype"),
        (Tensor(1.0), "value is a Tensor"),
    ],
)
def test_what_cannot_be_saved_leaves_the_old_file(path, value, said):
    nn.save(path, net(), epoch=1)
    before = path.read_bytes()
    with pytest.raises(TypeError, match=said):
        nn.save(path, net(), value=value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_function_of_ones_own_is_named(path):
    nn.save(path, nn.Sequential(nn.Linear(2, 1), lambda x: 2 * x))
    with pytest.raises(
        nn.CheckpointError, match=r"model\.layers/1\.function is <lambda>.*without its code.*model=yours"
    ):
        nn.load(path)


def test_how_a_layer_began_is_kept(path):
    nn.save(path, nn.Sequential(nn.Linear(2, 3, weight_init="orthogonal"), nn.ReLU(), nn.Linear(3, 1)))
    loaded = nn.load(path).model
    assert [loaded[0].weight_init, loaded[2].weight_init] == ["orthogonal", None]


def test_a_model_that_was_changed_since_is_not_guessed(path):
    model = net()
    model[0].extra = Tensor([1.0], requires_grad=True)
    nn.save(path, model)
    with pytest.raises(nn.CheckpointError, match=r"changed after it was made.*0\.extra"):
        nn.load(path)


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="has no optimizer; it has model"):
        nn.Checkpoint(model=1).optimizer  # noqa: B018


def test_places_where_nothing_can_be_saved(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        nn.save(tmp_path / "missing" / "run.npz", net())
    with pytest.raises(ValueError, match="a folder or a device"):
        nn.save(tmp_path, net())
    with pytest.raises(TypeError, match="saves a Layer"):
        nn.save(tmp_path / "run.npz", {"a": 1})
    with pytest.raises(FileNotFoundError):
        nn.load(tmp_path / "run.npz")


# -- Going on ----------------------------------------------------------------------------------------------------------

RUN = """
import sys
import numpy as np
from microgradnp import nn, optim

def begin(kind, dtype):
    rng = np.random.default_rng(3)
    between = nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3)
    model = nn.Sequential(nn.Linear(2, 6), *between, nn.Linear(6, 1), rng=rng, dtype=dtype)
    return model, kind(model.parameters(), lr=0.01), rng

def go_on(model, optimizer, rng, batches):
    data = np.random.default_rng(0)
    x, y = data.normal(size=(24, 2)), data.normal(size=(24, 1))
    for _ in range(batches):
        rows = rng.permutation(24)[:8]
        nn.fit(
            model, x[rows], y[rows], loss=nn.losses.mean_squared_error, optimizer=optimizer, epochs=1, compile=COMPILE
        )

COMPILE = sys.argv[3] == "compiled"
what, folder = sys.argv[1:3]
for name, kind in vars(optim).items():
    if not isinstance(kind, type) or not issubclass(kind, optim.Optimizer) or kind is optim.Optimizer:
        continue
    dtype = "float32" if COMPILE else "float64"
    path = f"{folder}/{name}-{dtype}.npz"
    if what == "second":
        saved = nn.load(path)
        model, rng = saved.model, saved.rng
        optimizer = kind(model.parameters(), lr=0.5)
        nn.load(path, model=model, optimizer=optimizer, rng=rng)
    else:
        model, optimizer, rng = begin(kind, dtype)
    go_on(model, optimizer, rng, 8 if what == "whole" else 4)
    nn.save(path, model, optimizer=optimizer, rng=rng)
"""


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path, how):
    """Bit for bit, in a fresh process, for every optimizer, with noise and running means: the files are the same."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for what, folder in (("whole", whole), ("first", parts), ("second", parts)):
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-c", RUN, what, str(folder), how]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    files = sorted(file.name for file in whole.iterdir())
    assert len(files) >= len({optim.GD, optim.Adam})
    assert [name for name in files if (whole / name).read_bytes() != (parts / name).read_bytes()] == []
