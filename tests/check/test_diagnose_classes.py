"""`check.diagnose` on classification and on penalties: known mistakes are named, and of others nothing is certain."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgradnp import check

# -- A layer before a softmax with cross-entropy, and a penalty --------------------------------------------------------

N, K, DECAY = 8, 3, 0.3
RNG = np.random.default_rng(4)
X, LABELS = RNG.standard_normal((N, 4)), np.array([0, 2, 1, 1, 0, 2, 2, 1])
ONE_HOT = np.eye(K)[LABELS]
W, B = RNG.standard_normal((4, K)), RNG.standard_normal(K)


def softmax(z: Any, axis: int | None = 1) -> Any:
    e = np.exp(z - np.max(z, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def by_one_hot(z: Any) -> Any:
    return -np.sum(ONE_HOT * np.log(softmax(z))) / N


def by_label(z: Any) -> Any:
    return -np.mean(np.log(softmax(z)[np.arange(N), LABELS]))


def by_logsumexp(z: Any) -> Any:
    return np.mean(np.log(np.sum(np.exp(z), axis=1)) - np.sum(ONE_HOT * z, axis=1))


def of_delta(delta: Callable[[Any], Any], penalty: float = 1) -> Any:
    """Gradients by hand from those by the scores."""

    def hand(W: Any, b: Any) -> Any:
        d = delta(X @ W + b)
        return X.T @ d + penalty * DECAY * W, d.sum(axis=0)

    return hand


def minus_one_at_all_labels(z: Any) -> Any:
    p = softmax(z)
    p[:, LABELS] -= 1
    return p / N


def right(z: Any) -> Any:
    return (softmax(z) - ONE_HOT) / N


MISTAKES: dict[str, tuple[Any, str, str]] = {
    "whole batch": (of_delta(lambda z: (softmax(z, None) - ONE_HOT) / N), "softmax axis", "over the whole batch"),
    "axis 0": (of_delta(lambda z: (softmax(z, 0) - ONE_HOT) / N), "softmax axis", "along axis 0"),
    "labels": (of_delta(lambda z: (softmax(z) - LABELS[:, None]) / N), "one-hot", "where one-hot ones are meant"),
    "columns": (of_delta(minus_one_at_all_labels), "one-hot", "in the columns of all labels"),
    "mean over classes": (of_delta(lambda z: right(z) / K), "factor", "K = 3 being the number of classes"),
    "1/N": (of_delta(lambda z: right(z) * N), "factor", "1/N is missing, N = 8"),
    "1/K for 1/N": (of_delta(lambda z: right(z) * N / K), "factor", "divided by 3 instead of 8"),
    "swapped": (of_delta(lambda z: -right(z)), "sign", "sign"),
    "element-wise": (of_delta(lambda z: -ONE_HOT * (1 - softmax(z)) / N), "softmax element-wise", "full matrix"),
    "extra factor": (of_delta(lambda z: right(z) * softmax(z) * (1 - softmax(z))), "extra derivative", "too many"),
    "no labels": (of_delta(lambda z: softmax(z) / N), "missing term", "labels are not subtracted"),
    "no softmax": (of_delta(lambda z: (z - ONE_HOT) / N), "missing function", "softmax is missing"),
    "no sum": (of_delta(lambda z: (np.exp(z) - ONE_HOT) / N), "missing normalisation", "not divided by its sum"),
    "penalty forgotten": (of_delta(right, 0), "left out", "the penalty that depends on W is forgotten"),
    "penalty doubled": (of_delta(right, 2), "counted twice", "the penalty that depends on W is counted twice: doubled"),
    "penalty halved": (of_delta(right, 0.5), "factor", "the penalty that depends on W is half what it should be"),
    "penalty subtracted": (of_delta(right, -1), "sign", "the penalty that depends on W has the wrong sign"),
}


@pytest.mark.parametrize("entropy", [by_one_hot, by_label, by_logsumexp])
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_classification_are_named(name: str, entropy: Any) -> None:
    hand, kind, words = MISTAKES[name]

    def loss(W: Any, b: Any) -> Any:
        return entropy(X @ W + b) + DECAY / 2 * np.sum(W**2)

    report = check.diagnose(hand, loss, W, B)
    first = report.findings[0]
    assert (first.parameter, first.kind) == ("W", kind), str(report)
    assert words in first.text
    assert "data point " not in first.text
    assert not any("data point " in text for text in first.alternatives)
    assert check.diagnose(of_delta(right), loss, W, B).ok


def test_arguments_in_the_wrong_order_are_named_whatever_their_shapes() -> None:
    def hand(W: Any, b: Any) -> Any:
        return of_delta(right, 0)(W, b)[::-1]

    report = check.diagnose(hand, lambda W, b: by_label(X @ W + b), W, B)
    assert [finding.kind for finding in report.findings] == ["swapped", "swapped"]


# -- Nothing is certain of what is unknown -----------------------------------------------------------------------------


def square(z: Any) -> Any:
    return np.mean((z - ONE_HOT) ** 2)


def logistic(z: Any) -> Any:
    return np.sum(np.log(1 + np.exp(z)) - ONE_HOT * z)


Spoil = Callable[[Any, Any, "np.random.Generator"], Any]
SPOILS: dict[str, Spoil] = {
    "each entry by its own factor": lambda g, w, rng: g * rng.uniform(0.2, 3.0, g.shape),
    "a constant array more": lambda g, w, rng: g + rng.standard_normal(g.shape),
    "unrelated": lambda g, w, rng: np.sin(3 * w) + rng.standard_normal(),
    "a cube": lambda g, w, rng: np.arange(1.0, g.size + 1).reshape(g.shape) + w**3,
    "a constant array": lambda g, w, rng: rng.standard_normal(g.shape),
    "one number": lambda g, w, rng: np.full(g.shape, rng.integers(-4, 5) + 0.5),
    "its square": lambda g, w, rng: g**2,
    "squashed": lambda g, w, rng: np.tanh(rng.uniform(1, 3) * g),
    "its size": lambda g, w, rng: np.abs(g),
    "its sign": lambda g, w, rng: np.sign(g),
    "scaled to length 1": lambda g, w, rng: g / np.linalg.norm(g),
    "clipped": lambda g, w, rng: np.clip(g, -0.3 * np.abs(g).max(), 0.1 * np.abs(g).max()),
    "sorted": lambda g, w, rng: np.sort(g, axis=None).reshape(g.shape),
    "less its mean": lambda g, w, rng: g - g.mean() + 0.1,
    "mixed": lambda g, w, rng: (rng.standard_normal((g.size, g.size)) @ g.ravel()).reshape(g.shape),
    "something of the weights": lambda g, w, rng: g + rng.uniform(0.5, 2) * np.sqrt(1 + w**2),
    "times the size of the weights": lambda g, w, rng: g * np.abs(w).sum(),
    "a little": lambda g, w, rng: g * (1 + 1e-3 * rng.standard_normal(g.shape)),
}


@st.composite
def wrong_gradients(draw: Any) -> tuple[str, Any, Any, tuple[Any, ...]]:
    """A loss, a gradient by hand that is wrong in no known way, and parameters."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outer = draw(st.sampled_from([by_one_hot, by_label, by_logsumexp, square, logistic]))
    hidden, decay, bias = draw(st.booleans()), draw(st.sampled_from([0.0, 0.1])), draw(st.booleans())
    name = draw(st.sampled_from(sorted(SPOILS)))
    x, seed = rng.standard_normal((N, 2)), int(rng.integers(2**32))
    shapes: list[tuple[int, ...]] = [(2, 3), (3, K)] if hidden else [(2, K)]
    args = [rng.standard_normal(shape) for shape in shapes] + ([rng.standard_normal(K)] if bias else [])
    spoilt = draw(st.integers(0, len(args) - 1))

    def loss(*p: Any) -> Any:
        z = np.tanh(x @ p[0]) @ p[1] if hidden else x @ p[0]
        return outer(z + p[-1] if bias else z) + decay * np.sum(p[0] ** 2)

    def hand(*p: Any) -> Any:
        from microgradnp import grad

        gradients = list(grad(loss, tuple(range(len(p))))(*p))
        with np.errstate(all="ignore"):
            gradients[spoilt] = SPOILS[name](gradients[spoilt], p[spoilt], np.random.default_rng(seed))
        return tuple(gradients)

    return name, loss, hand, tuple(args)


def nothing_is_certain(drawn: tuple[str, Any, Any, tuple[Any, ...]]) -> None:
    name, loss, hand, args = drawn
    report = check.diagnose(hand, loss, *args)
    assert all(finding.sure != "certain" for finding in report.findings), f"{name}\n{report}"


test_nothing_is_certain_of_a_mistake_of_no_known_kind = settings(max_examples=25)(
    given(wrong_gradients())(nothing_is_certain)
)
test_nothing_is_certain_of_10000_mistakes_of_no_known_kind = pytest.mark.slow(
    settings(max_examples=10_000)(given(wrong_gradients())(nothing_is_certain))
)
