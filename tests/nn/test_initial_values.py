"""First weights: by name or function, as suits what follows, from one seed; and never those that somebody has set."""

import copy
import pickle

import numpy as np
import pytest
from helpers import both_dtypes, seeds
from hypothesis import given
from hypothesis import strategies as st

from microgradnp import nn, optim
from microgradnp.nn import functional, initializers

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.random.default_rng(1).normal(size=(12, 2))


def weight(name, seed=0, shape=(3, 4)):
    """What a layer of a given initializer has."""
    return nn.Linear(*shape, weight_init=name, rng=seed).weight.data


def same_state(a, b):
    """Whether two models have the same state, bit for bit."""
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(np.array_equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


# -- By name or function -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", initializers.NAMED)
def test_a_name_is_its_function(name):
    a, b = nn.Linear(3, 4, weight_init=name, rng=0), nn.Linear(3, 4, weight_init=initializers.NAMED[name], rng=0)
    np.testing.assert_array_equal(a.weight.data, b.weight.data)
    assert a.weight_init == b.weight_init == name
    assert pickle.loads(pickle.dumps(b)).weight_init == name


def test_the_documents_weights_are_standard_normal():
    w = nn.Linear(200, 300, weight_init="normal", bias_init="normal", rng=0)
    np.testing.assert_array_equal(w.weight.data, np.random.default_rng(0).normal(size=(200, 300)))
    assert np.std(w.bias.data) == pytest.approx(1, rel=0.15)


@given(seeds, st.sampled_from([(5, 3), (3, 5), (4, 4), (2, 3, 5), (2, 3, 8), (1, 1)]))
def test_orthogonal_columns_or_rows(seed, shape):
    w = initializers.orthogonal(np.random.default_rng(seed), shape).reshape(-1, shape[-1])
    product = w.T @ w if len(w) >= shape[-1] else w @ w.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-14)


def test_orthogonal_weights_are_drawn_evenly():
    rng = np.random.default_rng(0)
    signs = np.mean([np.sign(initializers.orthogonal(rng, (2, 2))) for _ in range(1000)], axis=0)
    np.testing.assert_allclose(signs, 0, atol=0.15)  # without Mezzadri's signs the diagonal is all negative


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        ("he", ValueError, r"no initializer 'he'; did you mean 'he_normal'|no initializer 'he'.*he_uniform, he_normal"),
        ("", ValueError, "no initializer ''"),
        ("glorot_unifrom", ValueError, "did you mean 'glorot_uniform'"),
        (initializers.normal, TypeError, r"initializers\.normal makes an initializer: call it"),
        (3.0, TypeError, "or the name of one; got 3.0"),
        ("orthogonal", None, ""),
    ],
)
def test_what_is_no_initializer(init, error, message):
    if error is None:
        nn.Linear(2, 3, weight_init=init)
        return
    with pytest.raises(error, match=message):
        nn.Linear(2, 3, weight_init=init)
    with pytest.raises(error, match=message):
        nn.Linear(2, 3, bias_init=init)


def test_a_bias_has_no_fans():
    with pytest.raises(ValueError, match=r"need a shape \(in, out\); got \(3,\)"):
        nn.Linear(2, 3, bias_init="orthogonal")
    with pytest.raises(ValueError, match="finite"):
        initializers.constant(np.nan)


# -- As suits what follows ---------------------------------------------------------------------------------------------

FOLLOWS = {
    "he_uniform": [nn.ReLU(), nn.LeakyReLU(), nn.ELU(), nn.GELU(), nn.SiLU(), nn.Softplus(), functional.relu],
    "lecun_uniform": [nn.SELU(), functional.selu],
    "glorot_uniform": [nn.Sigmoid(), nn.Tanh(), nn.Softmax(), np.tanh, nn.Linear(4, 2), lambda x: x, None],
}


@pytest.mark.parametrize(("name", "following"), [(name, f) for name, fs in FOLLOWS.items() for f in fs])
@both_dtypes
def test_the_activation_that_follows_decides(name, following, dtype):
    layers = [nn.Linear(3, 4, rng=0, dtype=dtype), *([] if following is None else [following])]
    one_by_one = nn.Sequential()
    for layer in copy.deepcopy(layers):
        one_by_one.append(layer)
    for model in (nn.Sequential(*layers), one_by_one):
        np.testing.assert_array_equal(model[0].weight.data, weight(name).astype(dtype), strict=True)


def test_what_keeps_the_scale_is_passed_over():
    for between in ([nn.BatchNorm1d(4)], [nn.Dropout(), nn.Flatten()], [nn.LayerNorm(4), nn.Sequential(nn.ReLU())]):
        model = nn.Sequential(nn.Linear(3, 4, rng=0), *between, nn.ReLU())
        np.testing.assert_array_equal(model[0].weight.data, weight("he_uniform"))
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 4, rng=0), nn.Dropout()), nn.ReLU())
    np.testing.assert_array_equal(model[0][0].weight.data, weight("he_uniform"))


class MyReLU(nn.ReLU):
    pass


def test_a_subclass_is_of_its_kin():
    np.testing.assert_array_equal(nn.Sequential(nn.Linear(3, 4, rng=0), MyReLU())[0].weight.data, weight("he_uniform"))


def test_he_keeps_a_deep_network_alive():
    rng = np.random.default_rng(0)
    layers = [layer for _ in range(30) for layer in (nn.Linear(100, 100), nn.ReLU())]
    y = nn.Sequential(*layers, rng=rng).predict(rng.normal(size=(50, 100)))
    assert 0.1 < np.mean(y**2) < 10


def trained(layer):
    layer.weight.data[0, 0] += 1e-3
    return layer


SETTLED = {
    "given an initializer": lambda: nn.Linear(3, 4, weight_init="glorot_uniform", rng=0),
    "given a function": lambda: nn.Linear(3, 4, weight_init=initializers.glorot_uniform, rng=0),
    "set": lambda: trained(nn.Linear(3, 4, rng=0)),
    "loaded": lambda: [layer := nn.Linear(3, 4), layer.load_state_dict(nn.Linear(3, 4, rng=7).state_dict()), layer][2],
    "of another model": lambda: nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh())[0],
    "a slice of another model": lambda: nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh())[:1],
    "a copy of another model's": lambda: copy.deepcopy(nn.Sequential(nn.Tanh(), nn.Linear(3, 4)))[1],
    "of a model whose last it was": lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 4))[2],
}


@pytest.mark.parametrize("how", SETTLED)
def test_weights_that_are_settled_stay_bit_for_bit(how):
    layer = SETTLED[how]()
    before = layer.state_dict()
    nn.Sequential(layer, nn.ReLU())
    assert all(np.array_equal(before[name], values) for name, values in layer.state_dict().items())


@given(st.slices(5))
def test_a_slice_keeps_its_weights(part):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.SELU(), nn.Linear(4, 2))
    before = model.predict(X)
    nn.Sequential(*model[part], nn.ReLU())
    model[part].append(nn.SELU())
    np.testing.assert_array_equal(model.predict(X), before)


def test_a_trained_model_stays_as_it_is():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    loss, optimizer = nn.losses.mean_squared_error, optim.Adam(model.parameters(), lr=0.01)
    nn.fit(model, X, Y, loss=loss, optimizer=optimizer, epochs=3)
    before = copy.deepcopy(model)
    nn.Sequential(*model, nn.ReLU(), rng=5)
    nn.Sequential(model, nn.ReLU(), rng=5)
    model.append(nn.SELU())
    assert same_state(model, before)


# -- One seed, one dtype -----------------------------------------------------------------------------------------------


def network(rng, dtype=None):
    return nn.Sequential(
        nn.Linear(3, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Residual(nn.LayerNorm(8), nn.Linear(8, 8, weight_init="orthogonal", bias_init="normal"), nn.Dropout(0.1)),
        nn.Parallel(nn.Linear(8, 2), nn.Sequential(nn.Linear(8, 2), np.tanh), join="sum"),
        rng=rng,
        dtype=dtype,
    )


def run(seed, compile=True, dtype=None):
    model = network(seed, dtype)
    loss, optimizer = nn.losses.mean_squared_error, optim.Adam(model.parameters(), lr=0.01)
    losses = nn.fit(model, X, Y, loss=loss, optimizer=optimizer, epochs=6, compile=compile).losses
    return model, losses


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("dtype", [None, np.float32])
def test_one_seed_makes_a_run_the_same_bit_for_bit(compile, dtype):
    (a, losses), (b, again) = run(5, compile, dtype), run(np.random.default_rng(5), compile, dtype)
    np.testing.assert_array_equal(losses, again)
    assert same_state(a, b)
    other, _ = run(6, compile, dtype)
    assert not np.array_equal(other[0].weight.data, a[0].weight.data)


def test_layers_of_one_seed_differ_and_so_do_their_dropouts():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Dropout(), nn.Dropout(), rng=0)
    assert (model[0].weight.data != model[1].weight.data).all()
    x, before = np.ones(100), model.rng.bit_generator.state
    assert (model[2](x) != model[3](x)).any()
    assert model.rng.bit_generator.state == before  # the order of the batches does not hang on the noise


def test_a_layer_keeps_its_own_generator():
    model = nn.Sequential(nn.Linear(3, 4, rng=1), nn.ReLU(), nn.Dropout(rng=2), rng=0)
    np.testing.assert_array_equal(model[0].weight.data, weight("he_uniform", 1))
    np.testing.assert_array_equal(model[2](np.ones(9)), nn.Dropout(rng=2)(np.ones(9)))
    inner = nn.Sequential(nn.Linear(3, 4), rng=1)
    before = inner.state_dict()
    nn.Sequential(inner, nn.ReLU(), rng=0)
    np.testing.assert_array_equal(inner[0].weight.data, weight("he_uniform", 1))
    assert not np.array_equal(before["0.weight"], inner[0].weight.data)


def test_one_seed_whether_layer_by_layer_or_at_once():
    at_once = network(4)
    one_by_one = nn.Sequential(rng=4)
    for layer in network(None):
        one_by_one.append(layer)
    assert same_state(at_once, one_by_one)


def test_the_seed_of_a_model_draws_as_that_of_a_layer():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), rng=0)
    np.testing.assert_array_equal(model[0].weight.data, weight("he_uniform"))


class Mixed(nn.Layer):
    def __init__(self):
        self.inner = {"a": [nn.Linear(3, 2)]}
        self.table = np.zeros(2)

    def draw_from(self, rng):
        self.table = rng.normal(size=2)

    def forward(self, x):
        return self.inner["a"][0](x) + self.table


def test_a_layer_of_ones_own_takes_part():
    a, b = nn.Sequential(Mixed(), rng=0), nn.Sequential(Mixed(), rng=0)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    assert a[0].table.any()


@both_dtypes
def test_one_dtype_for_all(dtype):
    model = network(0, dtype)
    assert {p.dtype for p in [*model.parameters(), *model.state_dict().values()]} == {np.dtype(dtype)}
    double = network(0)
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, double.state_dict()[name].astype(dtype))
    assert model.predict(X).dtype == dtype
    assert model(X.astype(dtype)).dtype == dtype
    assert model.append(nn.Linear(2, 2))[-1].dtype == dtype


def test_an_optimizer_does_not_take_a_dtype_back():
    model = nn.Sequential(nn.Linear(3, 2))
    optimizer = optim.GD(model.parameters(), lr=0.1)
    np.sum(nn.Sequential(model, dtype=np.float32)(X.astype(np.float32))).backward()
    with pytest.raises(TypeError, match=r"\(weight\) of shape \(3, 2\) was float64 .* is float32 now: make a new"):
        optimizer.step()
    assert model[0].weight.dtype == np.float32


def test_a_dtype_that_does_not_do():
    for dtype in (int, np.float16, complex):
        with pytest.raises(TypeError, match=rf"dtype={np.dtype(dtype)}\): parameters are float64 or float32"):
            nn.Sequential(dtype=dtype)
