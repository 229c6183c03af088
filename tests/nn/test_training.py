"""`fit`: the chapter's numbers, the laws of training, and what it refuses."""

import warnings

import numpy as np
import pytest
from handwritten import calc_der, calc_tloss, fitAdam, fitGD, relu, relu_der, sigmoid, sigmoid_der
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim
from microgradnp.compiler import RecordingError

ACTIVATIONS = {"sigmoid": (nn.Sigmoid, sigmoid, sigmoid_der), "relu": (nn.ReLU, relu, relu_der)}


def chapter_network(W, V, bs, b0, activation=nn.Sigmoid):
    """The chapter's network with the given values."""
    model = nn.Sequential(nn.Linear(1, len(W)), activation(), nn.Linear(len(W), 1))
    model.load_state_dict({"0.weight": W[None, :], "0.bias": bs, "2.weight": V[:, None], "2.bias": np.array([b0])})
    return model


def gradients_of(model):
    """In the chapter's order: W, V, bs, b0."""
    W, bs, V, b0 = (p.grad for p in model.parameters())
    return W[0], V[:, 0], bs, b0[0]


def values_of(model):
    """In the chapter's order: W, V, bs, b0."""
    W, bs, V, b0 = (p.data for p in model.parameters())
    return W[0], V[:, 0], bs, b0[0]


@st.composite
def experiments(draw, hidden=64, points=40):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, hidden)), draw(st.integers(1, points))
    scale = draw(st.sampled_from([0.1, 1.0, 3.0]))
    x, y = rng.normal(size=m), rng.normal(size=m)
    W, V, bs, b0 = rng.normal(0, scale, n), rng.normal(0, scale, n), rng.normal(0, scale, n), rng.normal(0, scale)
    return x, y, W, V, bs, b0


@given(experiments(), st.sampled_from(["sigmoid", "relu"]))
def test_gradients_are_those_derived_by_hand(experiment, name):
    x, y, W, V, bs, b0 = experiment
    layer, acf, acfder = ACTIVATIONS[name]
    model = chapter_network(W, V, bs, b0, layer)
    nn.losses.sum_squared_error(model(x[:, None]), y[:, None]).backward()
    by_hand = calc_der(x, y, W, V, bs, b0, acf, acfder)
    # A sum over points may cancel to nearly 0: what is exact to 1e-10 of its largest terms is all that rounding allows.
    scale = max(1.0, *(float(np.max(np.abs(g))) for g in by_hand))
    for ours, theirs in zip(gradients_of(model), by_hand, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13 * scale)


@given(experiments(hidden=8, points=12), st.sampled_from([(optim.GD, fitGD, {}), (optim.Adam, fitAdam, {"eps": 1e-6})]))
def test_fit_is_the_loop_written_by_hand(experiment, optimizers):
    x, y, W, V, bs, b0 = experiment
    ours, by_hand, options = optimizers
    model = chapter_network(W, V, bs, b0)
    optimizer = ours(model.parameters(), lr=1e-3, **options)
    nn.fit(model, x[:, None], y[:, None], loss=nn.losses.sum_squared_error, optimizer=optimizer, epochs=10)
    expected = by_hand(x, y, W, V, bs, b0, sigmoid, sigmoid_der, 10, 1e-3)[:4]
    for value, reference in zip(values_of(model), expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-9, atol=1e-10)


# -- The chapter's own functions, verbatim, on Tensors ----------------------------------------------------------------


@given(experiments(hidden=6, points=8), st.sampled_from(["sigmoid", "relu"]))
def test_the_chapters_own_loss_runs_on_tensors(experiment, name):
    x, y, *parameters = experiment
    _, acf, acfder = ACTIVATIONS[name]
    tensors = [mg.Tensor(p, requires_grad=True) for p in parameters]
    assert len(tensors[0]) == len(parameters[0])
    loss = calc_tloss(x, y, *tensors, acf)
    assert loss.item() == pytest.approx(calc_tloss(x, y, *parameters, acf), rel=1e-12)
    loss.backward()
    by_hand = calc_der(x, y, *parameters, acf, acfder)
    scale = max(1.0, *(float(np.max(np.abs(g))) for g in by_hand))
    for tensor, expected in zip(tensors, by_hand, strict=True):
        np.testing.assert_allclose(tensor.grad, expected, rtol=1e-10, atol=1e-13 * scale)


# -- fit --------------------------------------------------------------------------------------------------------------

x, y = mg.datasets.noisy_sine(12, noise=0.05, seed=1234)
x, y = x[:, None], y[:, None]
sum_squared_error = nn.losses.sum_squared_error


def small(dtype=np.float64):
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(1, 4, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(4, 1, rng=rng, dtype=dtype))


def train(model, epochs, x=x, y=y, loss=sum_squared_error, optimizer=None, **options):
    optimizer = optimizer or optim.Adam(model.parameters(), lr=0.05)
    return nn.fit(model, x, y, loss=loss, optimizer=optimizer, epochs=epochs, **options)


def test_any_depth_trains():
    rng = np.random.default_rng(0)
    layers = nn.Linear(1, 8, rng=rng), nn.Sigmoid(), nn.Linear(8, 8, rng=rng), nn.ReLU(), nn.Linear(8, 1, rng=rng)
    history = train(nn.Sequential(*layers), 500)
    assert history.losses[-1] < 0.05 * history.losses[0]


@given(st.integers(0, 5), st.integers(0, 5))
def test_losses_are_those_after_each_epoch(k, more):
    model, other = small(), small()
    history, longer = train(model, k), train(other, k + more)
    assert history.losses.shape == (k + 1,)
    assert history.epochs == k
    np.testing.assert_allclose(history.losses, longer.losses[: k + 1], rtol=1e-13)
    assert history.losses[-1] == pytest.approx(sum_squared_error(model.predict(x), y), rel=1e-13)
    assert repr(history).startswith(f"History(epochs={k}, loss ")


@given(st.integers(1, 6))
def test_training_in_two_parts_is_training_in_one(k):
    model, other = small(), small()
    train(model, k + 3)
    optimizer = optim.Adam(other.parameters(), lr=0.05)
    train(other, k, optimizer=optimizer)
    train(other, 3, optimizer=optimizer)
    np.testing.assert_allclose(model.predict(x), other.predict(x), rtol=1e-12)


def test_compiled_and_eager_agree():
    model, other = small(), small()
    compiled, eager = train(model, 50), train(other, 50, compile=False)
    np.testing.assert_allclose(compiled.losses, eager.losses, rtol=1e-12)
    np.testing.assert_allclose(model.predict(x), other.predict(x), rtol=1e-12)


def test_float32_networks_train_in_float32_on_float64_data():
    model = small(np.float32)
    seen = set()

    def loss(prediction, target):
        seen.update({prediction.dtype, target.dtype})
        return sum_squared_error(prediction, target)

    train(model, 3, loss=loss)
    assert seen == {np.dtype(np.float32)}


def test_classes_stay_integers():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 2))
    labels = (points[:, 0] * points[:, 1] > 0).astype(int)
    model = nn.Sequential(nn.Linear(2, 16, rng=rng), nn.Tanh(), nn.Linear(16, 2, rng=rng))
    train(model, 200, points, labels, nn.losses.cross_entropy)
    assert np.mean(model.predict(points).argmax(axis=1) == labels) == 1


def test_lists_will_do():
    model = nn.Linear(1, 1, rng=0)
    history = train(model, 300, [[0.0], [1.0], [2.0]], [[1], [3], [5]])
    assert history.losses[-1] < 1e-3


class Modes(nn.Layer):
    def __init__(self):
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, x.requires_grad))
        return x


def test_steps_are_in_training_mode_and_the_loss_at_the_end_is_in_prediction_mode():
    modes = Modes()
    model = nn.Sequential(nn.Linear(1, 1, rng=0), modes).eval()
    train(model, 2, compile=False)
    assert modes.seen == [(True, True), (True, True), (False, False)]
    assert not model.training


def test_divergence_is_loud_and_keeps_the_losses():
    model = nn.Linear(1, 1, rng=0)
    with pytest.raises(
        nn.DivergenceError, match=r"the loss became (inf|nan) after epoch \d+ \(it was .*learning rate"
    ) as e:
        train(model, 2000, optimizer=optim.GD(model.parameters(), lr=10.0))
    losses = e.value.history.losses
    assert f"after epoch {len(losses) - 1} " in str(e.value)
    assert np.isfinite(losses[:-1]).all()
    assert not np.isfinite(losses[-1])


def test_a_loss_that_is_nan_at_once():
    model = nn.Linear(1, 1, rng=0)
    model.weight.data[...] = np.nan
    with pytest.raises(nn.DivergenceError, match="the loss is nan before the first step"):
        train(model, 10)


model = small()
adam = optim.Adam(model.parameters())
nan, text = x.copy(), [["a"]] * len(x)
nan[3, 0] = np.nan


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": x[:5]}, ValueError, "x has 5 rows and y has 12"),
        ({"x": nan}, ValueError, r"x\[3, 0\] is nan"),
        ({"y": np.full((12, 1), -np.inf)}, ValueError, r"y\[0, 0\] is -inf"),
        ({"x": text}, TypeError, "x must hold real numbers; got dtype <U1"),
        ({"y": x * 1j}, TypeError, "complex128"),
        ({"x": np.ones((0, 1)), "y": np.ones((0, 1))}, ValueError, r"x of shape \(0, 1\) is empty"),
        ({"y": 3.0}, ValueError, r"y of shape \(\) is empty"),
        ({"y": y[:, 0]}, ValueError, r"Make the targets a column: y\[:, None\]"),
        ({"x": np.ones((12, 2))}, nn.InputShapeError, "layer 0 of Sequential"),
        ({"epochs": -1}, ValueError, "epochs must be 0 or more; got -1"),
        ({"epochs": 2.0}, TypeError, r"epochs must be an integer; got 2\.0"),
        ({"epochs": True}, TypeError, "got True"),
        ({"model": np.tanh}, TypeError, "fit trains a Layer; got ufunc"),
        ({"optimizer": "adam"}, TypeError, r"such as optim\.Adam\(model\.parameters\(\)\); got str"),
        ({"loss": 3}, TypeError, "loss must be a function"),
        ({"loss": lambda p, t: 1.0}, TypeError, "the loss returned float, not a Tensor"),
        ({"loss": lambda p, t: p - t}, ValueError, r"the loss returned shape \(12, 1\)"),
        ({"model": small()}, ValueError, "not in the Sequential any more.* another model's"),
    ],
)
def test_what_fit_refuses(changes, error, message):
    arguments = {"model": model, "x": x, "y": y, "loss": sum_squared_error, "optimizer": adam, "epochs": 1, **changes}
    with pytest.raises(error, match=message):
        nn.fit(arguments.pop("model"), arguments.pop("x"), arguments.pop("y"), **arguments)


def test_an_optimizer_for_more_than_the_model_names_what_has_no_gradient():
    stray = mg.Tensor(1.0, requires_grad=True, name="stray")
    with pytest.raises(RuntimeError, match=r"\(stray\) of shape \(\) has no gradient"):
        train(model, 1, optimizer=optim.GD([*model.parameters(), stray], 0.1))


class Stateful(nn.Layer):
    """Divides by something that changes at each call."""

    def __init__(self, start):
        self.n = start

    def forward(self, x):
        return x / self.change()


class Counter(Stateful):
    def change(self):
        self.n = self.n + 1
        return self.n


class InPlace(Stateful):
    def change(self):
        self.n += 1
        return self.n


class Log(Stateful):
    def change(self):
        self.n.append(1)
        return len(self.n)


class Keyed(Stateful):
    def change(self):
        self.n["calls"] += 1
        return self.n["calls"]


class RunningMean(Stateful):
    """The mean over the batch, smoothed over the calls."""

    def forward(self, x):
        with mg.no_grad():
            self.n = 0.9 * self.n + 0.1 * np.mean(mg.stop_gradient(x), axis=0)
        return x - self.n


class RunningMeanInPlace(Stateful):
    def forward(self, x):
        with mg.no_grad():
            self.n.data = 0.9 * self.n.data + 0.1 * np.mean(mg.stop_gradient(x), axis=0)
        return x - self.n


STATEFUL = {
    "a Python counter": lambda: Counter(0),
    "a NumPy number": lambda: Counter(np.float64(0)),
    "a NumPy array set anew": lambda: Counter(np.zeros(4)),
    "a Tensor set anew": lambda: Counter(mg.Tensor(np.zeros(4))),
    "a NumPy array changed in place": lambda: InPlace(np.zeros(4)),
    "a Tensor changed in place": lambda: InPlace(mg.Tensor(np.zeros(4))),
    "a list": lambda: Log([]),
    "a dict": lambda: Keyed({"calls": 0}),
    "a running mean in NumPy": lambda: RunningMean(np.zeros(4)),
    "a running mean in a Tensor": lambda: RunningMean(mg.Tensor(np.zeros(4))),
    "a running mean in a Tensor's data": lambda: RunningMeanInPlace(mg.Tensor(np.zeros(4))),
}


@pytest.mark.parametrize("kind", STATEFUL)
def test_state_that_changes_in_forward_is_never_frozen(kind):
    def losses(compiled):
        rng = np.random.default_rng(0)
        model = nn.Sequential(nn.Linear(1, 4, rng=rng), STATEFUL[kind](), nn.Tanh(), nn.Linear(4, 1, rng=rng))
        return train(model, 5, compile=compiled).losses

    eager = losses(False)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*runs without being compiled", RuntimeWarning)
            compiled = losses(True)
    except RecordingError:
        return  # loud, and so all right
    np.testing.assert_allclose(compiled, eager, rtol=1e-12)


def positive_part(prediction, target):
    return sum_squared_error(prediction[target > 0], target[target > 0])


def by_value(prediction, target):
    return sum_squared_error(prediction, target) / target.mean().item()


def chosen(prediction, target):
    value = sum_squared_error(prediction, target)
    return value if value > 1 else 2 * value


def converted(prediction, target):
    value = sum_squared_error(prediction, target)
    return value * float(value.detach())


@pytest.mark.parametrize("loss", [positive_part, by_value, chosen, converted])
def test_what_cannot_be_recorded_names_the_way_that_works(loss):
    model, other = small(), small()
    before = model.state_dict()
    with pytest.raises(RecordingError, match=r"Write fit\(\.\.\., compile=False\)") as error:
        train(model, 3, loss=loss)
    assert "while a program is recorded" in str(error.value.__cause__)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    losses = train(model, 3, loss=loss, compile=False).losses
    np.testing.assert_array_equal(losses, train(other, 3, loss=loss, compile=False).losses)


def test_without_recording_an_error_of_what_the_user_compiled_stays_as_it_is():
    scale = mg.compile(lambda target: target.mean().item())
    with pytest.raises(RecordingError, match=r"^item\(\) asks for .* while a program is recorded"):
        train(small(), 1, loss=lambda p, t: sum_squared_error(p, t) / scale(t), compile=False)


def test_progress_is_quiet_away_from_a_terminal_and_changes_nothing(capsys):
    shown = train(small(), 5, progress=True)
    np.testing.assert_array_equal(shown.losses, train(small(), 5).losses)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_shows_in_a_notebook(monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    train(small(), 5, progress=True)
    assert "5/5" in capsys.readouterr().err


def test_progress_shows_the_loss_on_a_terminal(monkeypatch, capsys):
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train(small(), 5, progress=True)
    assert "5/5" in capsys.readouterr().err
