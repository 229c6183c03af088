"""`microgradnp check`: a verdict and an exit code for every use and every misuse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from microgradnp.cli.check import check
from microgradnp.cli.main import main

MODEL = """
import numpy as np

x, t = np.linspace(0, 1, 5), np.array([1.0, 0.0, 2.0, -1.0, 0.5])
data = np.arange(3.0)

def loss(w, b):
    return np.sum((np.tanh(w * x + b) - t) ** 2)

def right(w, b):
    y = np.tanh(w * x + b)
    d = 2 * (y - t) * (1 - y**2)
    return np.sum(d * x), np.sum(d)

def wrong(w, b):
    gw, gb = right(w, b)
    return gw, -gb

def norm(v, power):
    return np.sum(np.abs(v) ** power)

if __name__ == "__main__":
    raise SystemExit("this must not run")
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(MODEL)
    return lambda *words: CliRunner().invoke(main, ["check", *words])


def test_right_gradients_exit_0(run: Any) -> None:
    result = run("model.py:loss", "--args", "0.5", "-1.0", "--hand", "right")
    assert result.exit_code == 0
    assert result.output.startswith("right: the gradients of loss by w, b (2 entries)")
    assert "backward = hand = finite differences = complex step" in result.output


def test_wrong_gradients_exit_1_with_the_diagnosis(run: Any) -> None:
    result = run("model.py:loss", "--args", "0.5", "-1.0", "--hand", "model.py:wrong")
    assert result.exit_code == 1
    assert "wrong: the gradient of loss by b, in 1 of 2 entries" in result.output
    assert "wrong is wrong: the gradient of loss by b; by w it is right" in result.output
    assert "the sign is wrong" in result.output


@pytest.mark.parametrize(
    ("words", "entries"),
    [
        (["--args", "[1.0, -2.0]", "2"], 2),
        (["--args", "[[1.0, -2.0]]", "2.0", "--argnums", "0"], 2),
        (["--args=normal(2,3)", "--args=3"], 6),
        (["--args", "uniform(4)", "1.5"], 5),
        (["--args", "uniform()", "2", "--order", "3"], 3),
        (["--args", "data", "2", "--rtol", "1e-6"], 3),
        (["--args", "v.npy", "2"], 4),
        (["--args", "v.npz:first", "2"], 5),
    ],
)
def test_ways_to_give_arguments(run: Any, words: list[str], entries: int) -> None:
    np.save("v.npy", np.array([1.0, 2.0, 3.0, -4.0]))
    np.savez("v.npz", first=np.arange(1.0, 6.0), second=np.zeros(2))
    result = run("model.py:norm", *words)
    assert result.exit_code == 0, result.output
    assert f"({entries} entries" in result.output


def test_drawn_arguments_follow_the_seed(run: Any) -> None:
    words = ("model.py:norm", "--args", "normal(3)", "2")
    assert run(*words).output == run(*words).output != run(*words, "--seed", "1").output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.py"], "names no function: write FILE.py:FUNCTION"),
        (["nothing.py:f"], "nothing.py: there is no such file"),
        (["model.py:lost"], "lost is not there; the file has loss, right, wrong, norm"),
        (["model.py:data"], "data is not a function"),
        (["broken.py:f"], "broken.py cannot be loaded: SyntaxError"),
        (["raising.py:f"], "raising.py cannot be loaded: ZeroDivisionError"),
        (["model.py:norm", "--args", "1.0", "what?"], "--args 'what?' is no number"),
        (["model.py:norm", "--args", "lost.npy", "2"], "lost.npy cannot be read"),
        (["model.py:norm", "--args", "v.npz:third", "2"], "with one of first"),
        (["model.py:norm", "--args", "v.npz", "2"], "with one of first"),
        (["model.py:norm", "--args", "1", "2"], "no float32 or float64 argument"),
        (["model.py:norm", "--args", "1.0"], "TypeError"),
        (["model.py:norm", "--args", "1.0", "2", "--argnums", "x"], "--argnums 'x'"),
        (["model.py:norm", "--args", "1.0", "2", "--hand", "lost"], "lost is not there"),
        (["model.py:norm", "--args", "1.0", "2", "--order", "4"], "--order"),
    ],
)
def test_misuse_is_one_line_and_exit_2(run: Any, words: list[str], message: str) -> None:
    Path("broken.py").write_text("def f(:\n")
    Path("raising.py").write_text("1 / 0\n")
    np.savez("v.npz", first=np.ones(2))
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_help_shows_an_example() -> None:
    result = CliRunner().invoke(check, ["--help"])
    assert result.exit_code == 0
    assert "microgradnp check model.py:loss --args" in result.output
