"""What `check.gradients` and `check.diagnose` make of a gradient by hand: keys, changed arguments, hints."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgradnp import check

POINT = {"W1": np.array([[0.5, -1.0], [2.0, 1.0]]), "b1": np.array([0.3, 1.1]), "n": 3, "scale": np.array([1.5, -0.5])}


def loss(p: Any) -> Any:
    return np.sum(np.sin(p["W1"]) + p["b1"] ** 3 * p["scale"]) * p["n"]


def hand(p: Any) -> dict[str, Any]:
    b, scale = p["b1"], p["scale"]
    return {"scale": 2 * b**3 * 3, "b1": 2 * 3 * b**2 * scale * 3, "W1": np.cos(p["W1"]) * 3}


@given(st.permutations(["W1", "b1", "scale", "n"]), st.booleans())
def test_keys_say_what_belongs_to_what(order: list[str], constant: bool) -> None:
    def shuffled(p: Any) -> Any:
        gradients = hand(p) | ({"n": 0} if constant else {})
        return {key: gradients[key] for key in order if key in gradients}

    assert check.gradients(loss, POINT, hand=shuffled).ok
    assert check.diagnose(shuffled, loss, POINT).ok
    nested = check.gradients(lambda q: loss(q[0]) + loss(q[1]), [POINT, POINT], hand=lambda q: [*map(shuffled, q)])
    assert nested.ok


@pytest.mark.parametrize("key", ["W1", "b1", "scale"])
def test_a_missing_key_is_named(key: str) -> None:
    def without(p: Any) -> Any:
        return {k: g for k, g in hand(p).items() if k != key} | {"n": 0}

    for run in (lambda: check.gradients(loss, POINT, hand=without), lambda: check.diagnose(without, loss, POINT)):
        with pytest.raises(TypeError, match=rf"None as the gradient by p\['{key}'\], or nothing under that key"):
            run()


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(TypeError, match=r"a gradient for p\['w1'\], but p has the keys 'W1', 'b1', 'n', 'scale'"):
        check.gradients(loss, POINT, hand=lambda p: {**hand(p), "w1": 1.0})


def test_gradients_may_be_named_by_the_arguments() -> None:
    def product(a: Any, b: Any) -> Any:
        return np.sum(a**2 * b)

    args = np.array([1.0, 2.0]), np.array([3.0, -4.0])
    assert check.gradients(product, *args, hand=lambda a, b: {"b": a**2, "a": 2 * a * b}).ok
    with pytest.raises(TypeError, match="None as the gradient by b"):
        check.gradients(product, *args, hand=lambda a, b: {"a": 2 * a * b})


def test_a_gradient_in_place_of_its_function_is_refused() -> None:
    x = np.array([0.5, -1.0])
    for run in (
        lambda: check.gradients(np.square, x, hand=2 * x),  # type: ignore[arg-type]
        lambda: check.diagnose(2 * x, np.square, x),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=r"hand must be a function .* got ndarray of shape \(2,\)"):
            run()


def test_what_a_hand_changes_is_given_back_and_said() -> None:
    x, data = np.array([0.5, -1.0]), np.array([2.0, 3.0])

    def changing(x: Any, data: Any) -> Any:
        x *= 2  # 2 x, it thinks
        data += 1
        return (data - 1) * x

    def weighted(x: Any, data: Any) -> Any:
        return np.sum(data * x**2)

    report = check.diagnose(changing, weighted, x, data, argnums=0)
    assert report.ok
    assert report.notes == [f"hand changes {name} in place: work on a copy" for name in ("x", "a constant argument")]
    with pytest.raises(check.GradientError, match="x: hand changes it in place"):
        check.gradients(weighted, x, data, hand=changing, argnums=0)
    assert x.tolist() == [0.5, -1.0]
    assert data.tolist() == [2.0, 3.0]


# -- Hints -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "at", "hint"),
    [
        (lambda x: 3 * x, -1.0, ""),  # minus the derivative, here
        (lambda x: 3 * x, 2.0, ""),  # half of it
        (lambda x: 6 * x, 1.0, ""),
        (lambda x: 3 * np.abs(x) * x, -1.0, "the sign, in some of the entries"),
        (lambda x: -3 * x**2, -1.0, "the sign: it is minus the derivative"),
        (lambda x: x**2, -1.0, "a factor: it is 1/3 times the derivative"),
    ],
)
def test_a_hint_holds_at_other_points_too(wrong: Any, at: float, hint: str) -> None:
    with pytest.raises(check.GradientError) as caught:
        check.gradients(lambda x: x**3, at, hand=wrong)
    assert caught.value.report.hint == hint


def test_a_hint_where_the_domain_is_narrow() -> None:
    with pytest.raises(check.GradientError) as caught:
        check.gradients(lambda x: np.log(x - 1.0), 1.01, hand=lambda x: -1 / (x - 1.0))
    assert caught.value.report.hint in ("", "the sign: it is minus the derivative")


# -- In pytest ---------------------------------------------------------------------------------------------------------

FAILING = """
import numpy as np
from microgradnp import check

def test_at_a_point():
    check.gradients(np.sin, 0.5, hand=np.sin)

def test_over_draws():
    check.gradients(np.square, strategy=check.arrays(max_dims=1), hand=lambda x: np.where(x > 1, x, 2 * x))
"""


def test_a_failure_in_pytest_shows_the_verdict_and_none_of_our_source(tmp_path: Path) -> None:
    file = tmp_path / "test_failing.py"
    file.write_text(FAILING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    out = done.stdout
    assert "2 failed" in out, out + done.stderr
    assert "wrong: the gradient of sin by x" in out
    assert "> " in out
    for source in ("gradcheck.py", "strategies.py", "raise GradientError", "hypothesis/core.py"):
        assert source not in out, out
