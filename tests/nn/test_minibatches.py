"""`fit` in mini-batches: the loop that one would write by hand, whole or in parts, recorded or not."""

import csv
import os
import signal
import threading

import numpy as np
import pytest
from helpers import assert_rounded_alike
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import nn, optim

mse = nn.losses.mean_squared_error


def network(dtype=np.float64):
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(2, 4, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(4, 1, rng=rng, dtype=dtype))


def data(n=13):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 2))
    return x, np.sin(x[:, :1]) * x[:, 1:]


def state(model, optimizer):
    return model.state_dict() | optimizer.state_dict()


def assert_alike(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def train(model, optimizer, epochs, n=13, **options):
    options = {"batch_size": 4, "rng": 5, **options}
    return nn.fit(model, *data(n), loss=mse, optimizer=optimizer, epochs=epochs, **options)


def trained(epochs, *, make=optim.Adam, dtype=np.float64, **options):
    model = network(dtype)
    optimizer = make(model.parameters(), lr=0.05)
    history = train(model, optimizer, epochs, **options)
    return state(model, optimizer), history


@given(st.integers(1, 14), st.integers(0, 3), st.booleans(), st.booleans())
def test_it_is_the_loop_written_by_hand(size, epochs, shuffle, compiled):
    got, history = trained(epochs, batch_size=size, shuffle=shuffle, compile=compiled)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    (x, y), rng, losses = data(), np.random.default_rng(5), []
    for _ in range(epochs):
        order = rng.permutation(13) if shuffle and size < 13 else np.arange(13)
        total = 0.0
        for start in range(0, 13, size):
            rows = order[start : start + size]
            optimizer.zero_grad()
            loss = mse(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / 13)
    (assert_rounded_alike if compiled else assert_alike)(got, state(model, optimizer))
    np.testing.assert_allclose(history.losses[:-1], losses, rtol=1e-10)
    np.testing.assert_allclose(history.losses[-1], mse(model(x), y).item(), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [optim.GD, optim.Adam])
def test_recorded_and_eager_are_alike(make, dtype):
    ours, history = trained(12, make=make, dtype=dtype)
    theirs, other = trained(12, make=make, dtype=dtype, compile=False)
    assert_rounded_alike(ours, theirs)
    np.testing.assert_allclose(history.losses, other.losses, rtol=1e-10 if dtype is np.float64 else 1e-5)
    assert ours["0.weight"].dtype == dtype


@given(st.lists(st.integers(1, 3), min_size=2, max_size=4), st.booleans())
def test_parts_of_a_training_are_the_whole(parts, compiled):
    whole, history = trained(sum(parts), rng=np.random.default_rng(3), compile=compiled)
    model = network()
    optimizer, rng = optim.Adam(model.parameters(), lr=0.05), np.random.default_rng(3)
    losses = [train(model, optimizer, n, rng=rng, compile=compiled).losses[:-1] for n in parts]
    assert_alike(state(model, optimizer), whole)
    np.testing.assert_array_equal(np.concatenate(losses), history.losses[:-1])


def test_without_a_generator_another_fit_shuffles_on():
    model = network()
    model.rng = np.random.default_rng(3)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(2):
        train(model, optimizer, 2, rng=None)
    assert_alike(state(model, optimizer), trained(4, rng=3)[0])
    orders = []
    own = network()
    for _ in range(2):
        train(
            own, optim.GD(own.parameters(), lr=0.0), 1, rng=None, callbacks=[lambda run: orders.append(run.shuffling)]
        )
    assert orders[0] != orders[1]


@given(st.integers(1, 11), st.booleans())
def test_a_training_goes_on_in_the_middle_of_an_epoch(stop, compiled):
    whole, history = trained(3, compile=compiled, validation=data(5))
    saved = {}

    class Stop(nn.Callback):
        def step_end(self, run):
            self.steps = getattr(self, "steps", 0) + 1
            if self.steps == stop:
                saved.update(run=run.state_dict(), model=run.model.state_dict(), optimizer=run.optimizer.state_dict())
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(3, compile=compiled, callbacks=[Stop()], validation=data(5))
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    rest = train(model, optimizer, 3, resume=saved["run"], compile=compiled, rng=77, validation=data(5))
    assert_alike(state(model, optimizer), whole)
    for name in history:
        np.testing.assert_array_equal(rest[name], history[name])


@given(st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_batches_whose_gradients_add_up_are_one_batch(size, count, compiled):
    options = {"shuffle": False, "make": optim.GD, "compile": compiled}
    one, _ = trained(3, batch_size=size * count, **options)
    added, _ = trained(3, batch_size=size, accumulate=count, **options)
    for name in one:
        np.testing.assert_allclose(added[name], one[name], rtol=1e-10, atol=1e-14)


# -- Judging -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 4])
def test_validation_data_are_judged_and_not_trained_on(size):
    x, y = data(7)
    seen = []
    plain, _ = trained(3, batch_size=size)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    history = train(
        model,
        optimizer,
        3,
        batch_size=size,
        validation=(x, y),
        metrics=[nn.metrics.r2, nn.metrics.mae],
        callbacks=[lambda run: seen.append((run.epoch, *run.logs))],
    )
    assert_alike(state(model, optimizer), plain)
    assert list(history) == ["loss", "val_loss", "val_r2", "val_mae"]
    assert all(column.shape == (4,) for column in history.values())
    np.testing.assert_allclose(history["val_loss"][0], mse(network()(x), y).item())
    np.testing.assert_allclose(history["val_mae"][-1], nn.metrics.mae(model.predict(x), y))
    assert seen == [(k, "loss", "val_loss", "val_r2", "val_mae") for k in (1, 2, 3)]
    assert "val_mae" in str(history)
    with pytest.raises(KeyError, match="no 'accuracy'; it has loss, val_loss"):
        history["accuracy"]


def test_a_history_is_a_table_of_pandas():
    pytest.importorskip("pandas")
    _, history = trained(3, validation=data(5))
    frame = history.to_dataframe()
    assert frame.shape == (4, 2)
    assert frame.index.name == "epoch"
    np.testing.assert_array_equal(frame["val_loss"], history["val_loss"])


def test_a_share_set_aside_is_the_same_in_the_next_fit():
    histories = []
    for _ in range(2):
        model = network()
        histories.append(
            train(model, optim.GD(model.parameters(), lr=0.0), 1, validation=0.25, rng=None, batch_size=None)
        )
    assert histories[0]["val_loss"][0] == histories[1]["val_loss"][0]
    x, y = data()
    rest = (13 * mse(network()(x), y).item() - 3 * histories[0]["val_loss"][0]) / 10
    assert histories[0].losses[0] == pytest.approx(rest)


def test_metrics_without_validation_are_those_of_the_training_data():
    model = network()
    history = train(model, optim.Adam(model.parameters()), 2, metrics={"error": nn.metrics.rmse})
    assert history["error"][-1] ** 2 == pytest.approx(history.losses[-1])


def test_early_stopping_puts_the_best_weights_back():
    model = network()
    kept = []
    stopping = nn.EarlyStopping(patience=3)
    history = train(
        model,
        optim.Adam(model.parameters(), lr=0.5),
        200,
        validation=data(40),
        callbacks=[stopping, lambda run: kept.append(run.model.state_dict())],
    )
    best = int(np.argmin(history["val_loss"][1:])) + 1
    assert stopping.best_epoch == best
    assert history.epochs == best + 3 < 200
    assert_alike(model.state_dict(), kept[best - 1])
    x, y = data(40)
    assert mse(model(x), y).item() == pytest.approx(history["val_loss"][best])
    with pytest.raises(KeyError, match="no 'val_loss' to look at; there is loss"):
        train(model, optim.Adam(model.parameters()), 1, callbacks=[nn.EarlyStopping()])


def test_the_log_has_a_line_for_each_epoch(tmp_path):
    for _ in range(2):  # another training replaces it
        _, history = trained(3, validation=data(5), callbacks=[nn.CSVLog(tmp_path / "log.csv")])
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"][1:].tolist()


def test_weights_of_rows_are_handed_to_the_loss():
    def weighted(prediction, target, weight):
        return np.sum(weight[:, None] * (prediction - target) ** 2)

    x, y = data()
    weight = np.arange(13.0)
    model = network()
    nn.fit(
        model,
        x,
        y,
        loss=weighted,
        optimizer=optim.GD(model.parameters(), lr=0.01),
        epochs=1,
        batch_size=5,
        shuffle=False,
        sample_weight=weight,
    )
    other = network()
    optimizer = optim.GD(other.parameters(), lr=0.01)
    for rows in (slice(0, 5), slice(5, 10), slice(10, 13)):
        optimizer.zero_grad()
        weighted(other(x[rows]), y[rows], weight[rows]).backward()
        optimizer.step()
    assert_alike(model.state_dict(), other.state_dict())


# -- From a file -------------------------------------------------------------------------------------------------------


def test_what_lies_in_a_file_is_read_batch_by_batch(tmp_path):
    x, y = data(30)
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    results = []
    for given_x in (mapped, np.array(mapped)):
        model = network()
        optimizer = optim.Adam(model.parameters())
        nn.fit(model, given_x, y, loss=mse, optimizer=optimizer, epochs=2, batch_size=8, rng=0)
        results.append(state(model, optimizer))
    assert_alike(*results)
    written = np.load(tmp_path / "x.npy", mmap_mode="r+")
    written[20, 1] = np.nan
    with pytest.raises(ValueError, match=r"x\[4, 1\] is nan"):
        nn.fit(model, written, y, loss=mse, optimizer=optimizer, epochs=1, batch_size=8, shuffle=False)
    with pytest.raises(ValueError, match=r"memmap.*give a pair"):
        nn.fit(model, mapped, y, loss=mse, optimizer=optimizer, epochs=1, batch_size=8, validation=0.2)


# -- When it ends early ------------------------------------------------------------------------------------------------


def test_ctrl_c_waits_until_the_step_is_whole():
    ended = []

    class Interrupting(nn.Callback):
        def epoch_end(self, run):
            if run.epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)
                self.seen = True  # and still here

        def end(self, run):
            ended.append(run.epoch)

    callback = Interrupting()
    with pytest.raises(KeyboardInterrupt) as stop:
        trained(5, callbacks=[callback])
    assert callback.seen
    assert ended == [2]
    np.testing.assert_array_equal(stop.value.history.losses, trained(5)[1].losses[:2])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_training_in_a_thread_leaves_signals_alone():
    done = []
    thread = threading.Thread(target=lambda: done.append(trained(2)))
    thread.start()
    thread.join()
    assert_alike(done[0][0], trained(2)[0])


@pytest.mark.parametrize("compiled", [True, False])
def test_a_nan_is_traced_to_epoch_batch_and_layer(compiled):
    class Log(nn.Layer):
        def forward(self, x):
            return np.log(x)

    x = np.ones((12, 1))
    x[7] = -1.0
    model = nn.Sequential(nn.Linear(1, 1, weight_init=lambda rng, shape: np.ones(shape)), Log(), nn.Linear(1, 1, rng=0))
    with pytest.raises(nn.DivergenceError) as stop:
        nn.fit(
            model,
            x,
            x,
            loss=mse,
            optimizer=optim.GD(model.parameters(), lr=0.0),
            epochs=3,
            batch_size=4,
            shuffle=False,
            compile=compiled,
        )
    said = str(stop.value)
    assert "the loss became nan in epoch 1, batch 2" in said
    assert "It began in layer 1, Log(): np.log gave nan at [3, 0], from the argument -1.0" in said
    assert np.isfinite(model[2].weight.data).all()  # the step of that batch was not taken


def test_a_weight_that_overflows_is_traced_to_its_step():
    model = nn.Linear(1, 1, rng=0)
    with pytest.raises(nn.DivergenceError, match=r"after epoch \d+ .* It began in (the step|layer 0)"):
        nn.fit(
            model, [[1.0], [2.0]], [[1.0], [2.0]], loss=mse, optimizer=optim.GD(model.parameters(), lr=10.0), epochs=900
        )


@pytest.mark.parametrize("size", [None, 4])
def test_a_training_that_ran_away_in_its_first_epoch_is_loud(size):
    x, y = data(12)
    model = network()
    with pytest.raises(nn.DivergenceError, match=r"ended at .* the training ran away"):
        nn.fit(model, x, y, loss=mse, optimizer=optim.GD(model.parameters(), lr=1e4), epochs=1, batch_size=size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a positive integer; got 0"),
        ({"batch_size": True}, "got True"),
        ({"accumulate": 1.5}, r"accumulate must be a positive integer; got 1\.5"),
        ({"accumulate": 2, "batch_size": None}, "accumulate=2 needs mini-batches: give a batch_size below 13"),
        ({"validation": 1.0}, r"between 0 and 1; got 1\.0"),
        ({"validation": 0.01}, r"validation=0\.01 of 13 rows leaves no row"),
        ({"validation": (1, 2, 3, 4)}, "got 4 parts"),
        ({"sample_weight": np.ones(3)}, "sample_weight has 3 numbers for 13 rows"),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        trained(1, **options)


def test_metrics_need_names():
    with pytest.raises(TypeError, match="functions of different names"):
        trained(1, metrics=[nn.metrics.mae, nn.metrics.mae])


def test_dropout_of_the_users_own_is_drawn_for_each_batch():
    class Dropout(nn.Layer):
        def __init__(self, rng):
            self.rng = rng

        def forward(self, x):
            return x * (mg.draw(self.rng.random, x.shape) < 0.5) * 2 if self.training else x

    def run(compiled):
        rng = np.random.default_rng(0)
        model = nn.Sequential(nn.Linear(2, 4, rng=rng), Dropout(rng), nn.Linear(4, 1, rng=rng))
        model.rng = rng
        optimizer = optim.Adam(model.parameters())
        history = train(model, optimizer, 6, rng=None, compile=compiled, validation=data(5))
        return state(model, optimizer), history

    (ours, history), (theirs, other) = run(True), run(False)
    assert_rounded_alike(ours, theirs)
    np.testing.assert_allclose(history["val_loss"], other["val_loss"], rtol=1e-9)
