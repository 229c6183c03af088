"""What `check.diagnose` calls certain is what was done: mistakes at each place of a backpropagation by hand."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgradnp import check

N, K = 5, 4
LABELS = np.eye(K)[[0, 2, 1, 1, 3]]

Change = Callable[[Any, SimpleNamespace], Any]
"""What stands in the place of a value of the backward pass, of that value and of all the others."""

# What is changed, how, and what may be called certain then: nothing, where it is no known mistake.
# fmt: off
MISTAKES: dict[str, tuple[str, Change, set[str]]] = {
    "the sign": ("g", lambda g, _: -g, {"sign"}),
    "half": ("g", lambda g, _: g / 2, {"factor"}),
    "1/N": ("g", lambda g, _: g / N, {"factor"}),
    "one data point left out": ("g", lambda g, _: g * (np.arange(N) != 1)[:, None], {"left out"}),
    "one counted twice": ("g", lambda g, _: g * (1 + (np.arange(N) == 3))[:, None], {"counted twice"}),
    "the last alone": ("g", lambda g, _: g * (np.arange(N) == N - 1)[:, None], {"unsummed"}),
    "no derivative": ("slope", lambda s, v: np.ones_like(s), {"missing derivative"}),
    "the derivative at the output": ("slope", lambda s, v: v.derivative(v.h), {"derivative at output"}),
    "the function for its derivative": ("slope", lambda s, v: v.h, {"function for derivative"}),
    "the neighbour's weight": ("W2", lambda w, _: np.roll(w, 1, axis=0), {"shifted index"}),
    "the neighbour's data": ("X", lambda x, _: np.roll(x, 1, axis=0), {"shifted index"}),
    "z for h": ("h", lambda h, v: v.z, {"missing function"}),
    "no penalty": ("penalty", lambda p, _: 0 * p, {"left out"}),
    "the penalty doubled": ("penalty", lambda p, _: 2 * p, {"counted twice"}),
    "two data points left out": ("g", lambda g, _: g * (np.arange(N) % 3 > 0)[:, None], set()),
    "data points weighted": ("g", lambda g, _: g * np.linspace(0.5, 2, N)[:, None], set()),
    "clipped": ("g", lambda g, _: np.clip(g, -0.05, 0.05), set()),
    "its size": ("g", lambda g, _: np.abs(g), set()),
    "its cube": ("g", lambda g, _: g**3, set()),
    "one more": ("g", lambda g, _: g + 0.1, set()),
    "rows of length 1": ("g", lambda g, _: g / np.linalg.norm(g, axis=1, keepdims=True), set()),
    "another derivative": ("slope", lambda s, v: np.exp(-(v.z**2)), set()),
    "the derivative squared": ("slope", lambda s, v: s**2, set()),
    "the weights' size": ("W2", lambda w, _: np.abs(w), set()),
    "other weights": ("W2", lambda w, _: w + np.linspace(-1, 1, w.size).reshape(w.shape), set()),
    "data in disorder": ("X", lambda x, _: x[[2, 1, 0, 4, 3]], set()),
    "data squared": ("X", lambda x, _: x**2, set()),
    "h squared": ("h", lambda h, _: h**2, set()),
    "another penalty": ("penalty", lambda p, _: np.sign(p), set()),
}
# fmt: on

ACTIVATIONS = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sine": (np.sin, np.cos),
    "softplus": (lambda z: np.log1p(np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
}


def softmax(z: Any) -> Any:
    return np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)


# Each loss of the outputs and the targets, and its gradient by the outputs.
LOSSES = {
    "squares": (lambda z, t: np.sum((z - t) ** 2), lambda z, t: 2 * (z - t)),
    "mean of squares": (lambda z, t: np.mean((z - t) ** 2), lambda z, t: 2 * (z - t) / z.size),
    "hyperbola": (lambda z, t: np.sum(np.sqrt(1 + (z - t) ** 2)), lambda z, t: (z - t) / np.sqrt(1 + (z - t) ** 2)),
    "cross-entropy": (lambda z, t: -np.sum(LABELS * np.log(softmax(z))) / N, lambda z, t: (softmax(z) - LABELS) / N),
}


@st.composite
def networks_with_a_mistake(draw: Any) -> tuple[str, Any, Any, list[Any]]:
    """The mistake's name, the loss of a network, its gradients by hand with the mistake, and parameters."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    name = draw(st.sampled_from(list(MISTAKES)))
    f, derivative = ACTIVATIONS[draw(st.sampled_from(list(ACTIVATIONS)))]
    outer, delta = LOSSES[draw(st.sampled_from(list(LOSSES)))]
    X, T = rng.standard_normal((N, 2)), rng.standard_normal((N, K))
    place, change, _ = MISTAKES[name]

    def loss(W1: Any, b1: Any, W2: Any) -> Any:
        return outer(f(X @ W1 + b1) @ W2, T) + 0.3 * np.sum(W1**2)

    def hand(W1: Any, b1: Any, W2: Any) -> Any:
        v = SimpleNamespace(X=X, W2=W2, derivative=derivative, z=X @ W1 + b1, penalty=0.6 * W1)
        v.h, v.slope = f(v.z), derivative(v.z)
        v.g = delta(v.h @ W2, T)
        setattr(v, place, change(getattr(v, place), v))
        d = v.g @ v.W2.T * v.slope
        return v.X.T @ d + v.penalty, d.sum(axis=0), v.h.T @ v.g

    return name, loss, hand, [rng.standard_normal(shape) for shape in ((2, 3), 3, (3, K))]


def what_is_certain_is_so(drawn: tuple[str, Any, Any, list[Any]]) -> None:
    name, loss, hand, args = drawn
    report = check.diagnose(hand, loss, *args)
    assert not report.ok
    assert {finding.kind for finding in report.findings if finding.sure == "certain"} <= MISTAKES[name][2], (
        f"{name}\n{report}"
    )


test_what_is_certain_is_what_was_done = settings(max_examples=25)(
    given(networks_with_a_mistake())(what_is_certain_is_so)
)
test_what_is_certain_is_what_was_done_2000_times = pytest.mark.slow(
    settings(max_examples=2000)(given(networks_with_a_mistake())(what_is_certain_is_so))
)


# -- Where several mistakes lead to the same numbers -------------------------------------------------------------------

X6, T6 = np.array([1.0, -0.5, 2.0, 0.3, 0.7, -1.1]), np.array([0.5, 1.0, -1.0, 0.2, 0.4, 2.0])


def line(w: Any, b: Any) -> Any:
    return np.sum((np.tanh(w * X6) + b - T6) ** 2)


def by_hand(w: Any, b: Any, targets: Any = T6) -> Any:
    r = 2 * (np.tanh(w * X6) + b - targets)
    return np.sum(r * (1 - np.tanh(w * X6) ** 2) * X6), np.sum(r)


def test_a_factor_may_stand_for_several_numbers() -> None:
    three = np.ones(3)

    def loss(w: Any, b: Any) -> Any:
        return line(w, b) + 0.0 * np.sum(three)

    (finding, _) = check.diagnose(lambda w, b: [g / 2 for g in by_hand(w, b)], loss, 0.5, 0.1).findings
    assert finding.text.startswith("it is half the gradient: a factor 2 is missing, or it is divided by 6 instead of 3")
    rng = np.random.default_rng(0)
    X, W, labels = rng.standard_normal((3, 2)), rng.standard_normal((2, 3)), np.eye(3)[[0, 2, 1]]

    def entropy(W: Any) -> Any:
        return -np.sum(labels * np.log(softmax(X @ W)))

    (finding,) = check.diagnose(lambda W: X.T @ (softmax(X @ W) - labels) / 3, entropy, W).findings
    assert "a 1/N too many, N = 3" in finding.text
    assert "a 1/K too many (a mean over the classes), K = 3" in finding.text


def test_data_and_targets_that_are_moved_against_one_another() -> None:
    finding = check.diagnose(lambda w, b: by_hand(w, b, np.roll(T6, 1)), line, 0.5, 0.1).findings[0]
    texts = [finding.text, *finding.alternatives]
    assert (finding.kind, finding.sure) == ("shifted index", "likely")
    assert {f"an index is off by one: it computes with {name} moved by one place" for name in ("X6", "T6")} <= {*texts}
