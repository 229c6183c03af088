"""A training that was killed goes on from its file as if it had never ended: to the last bit, in another process."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resumable import train

from microgradnp import nn, optim

OPTIMIZERS = [kind for kind in vars(optim).values() if isinstance(kind, type) and issubclass(kind, optim.Optimizer)]
OPTIMIZERS.remove(optim.Optimizer)
TESTS = Path(__file__).parents[1]


def assert_alike(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@cache
def uninterrupted(make, compiled, folder):
    return train(make, folder / "whole.npz", compile=compiled)


@pytest.mark.parametrize("make", OPTIMIZERS)
@settings(max_examples=6)  # each writes a dozen files to the disk and waits until they are there
@given(stop=st.integers(1, 11), compiled=st.booleans())
def test_a_training_goes_on_from_its_file(make, stop, compiled, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        train(make, path, stop=stop, compile=compiled)
    assert_alike(train(make, path, resume=path, compile=compiled), uninterrupted(make, compiled, folder))


def test_it_does_in_another_process(tmp_path):
    path, results = tmp_path / "run.npz", tmp_path / "results.npz"
    whole = train(optim.Adam, path)
    script = "import sys, os, numpy as np; from microgradnp import optim; from resumable import train; "
    first = f"{script}train(optim.Adam, {str(path)!r}, stop=5, end=lambda: os._exit(9))"
    assert subprocess.run([sys.executable, "-c", first], check=False, cwd=TESTS).returncode == 9
    rest = f"{script}np.savez({str(results)!r}, **train(optim.Adam, {str(path)!r}, resume={str(path)!r}))"
    subprocess.run([sys.executable, "-c", rest], check=True, cwd=TESTS)
    with np.load(results) as there:
        assert_alike(dict(there), whole)


def test_the_best_weights_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))
    model = nn.Sequential(nn.Linear(2, 20), nn.Tanh(), nn.Linear(20, 1), rng=0)
    keeping = nn.ModelCheckpoint(tmp_path / "best.npz", best="val_loss", note="the best")
    history = nn.fit(
        model,
        x,
        y,
        loss=nn.losses.mean_squared_error,
        optimizer=optim.Adam(model.parameters(), lr=0.1),
        epochs=60,
        validation=(x[:10] + 1, y[:10]),
        callbacks=[keeping],
    )
    saved = nn.load(tmp_path / "best.npz")
    best = int(np.argmin(history["val_loss"][1:])) + 1
    assert best < 60
    assert saved.note == "the best"
    assert int(saved.run["epoch"]) == best
    loss = nn.losses.mean_squared_error(saved.model.predict(x[:10] + 1), y[:10])
    assert float(loss) == pytest.approx(history["val_loss"][best])
    with pytest.raises(ValueError, match="steps must be a positive integer; got 0"):
        nn.ModelCheckpoint("run.npz", steps=0)
