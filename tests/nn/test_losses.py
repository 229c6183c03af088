"""Losses: their values, their gradients, and the shapes that they refuse."""

from functools import partial

import numpy as np
import pytest
from helpers import assert_same, plain, seeds, tensor
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.nn import losses
from microgradnp.nn.functional import softmax
from microgradnp.nn.losses import cross_entropy, mean_squared_error, sum_squared_error

shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@given(seeds, shapes)
def test_squared_errors(seed, shape):
    a, b = np.random.default_rng(seed).normal(size=(2, *shape))
    assert sum_squared_error(a, b) == pytest.approx(np.linalg.norm(np.ravel(a - b)) ** 2)
    assert mean_squared_error(a, b) * a.size == pytest.approx(sum_squared_error(a, b))
    check.gradients(sum_squared_error, a, b, hand=lambda a, b: (2 * (a - b), 2 * (b - a)), order=2)
    check.gradients(mean_squared_error, a, b, order=2)


@pytest.mark.parametrize("loss", [sum_squared_error, mean_squared_error])
@pytest.mark.parametrize(
    ("prediction", "target", "remedy"),
    [
        ((40, 1), (40,), r"Make the targets a column: y\[:, None\]"),
        ((40,), (40, 1), r"y\[:, 0\]"),
        ((40, 1), (39, 1), "must have the same shape"),
        ((40, 1), (), "must have the same shape"),
    ],
)
def test_shapes_that_would_broadcast_raise(loss, prediction, target, remedy):
    with pytest.raises(ValueError, match=remedy) as error:
        loss(mg.Tensor(np.ones(prediction), requires_grad=True), np.ones(target))
    assert f"predictions of shape {prediction} against targets of shape {target}" in str(error.value)


@st.composite
def classified(draw):
    rng = np.random.default_rng(draw(seeds))
    n, classes = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    logits = rng.normal(0, draw(st.sampled_from([0.1, 1.0, 5.0])), (n, classes))
    return logits, rng.integers(0, classes, n)


@given(classified())
def test_cross_entropy(drawn):
    logits, labels = drawn
    n = len(labels)
    right = softmax(logits)[np.arange(n), labels]
    assert cross_entropy(logits, labels) == pytest.approx(-np.mean(np.log(right)), rel=1e-9, abs=1e-12)

    def by_hand(logits):
        one_hot = np.eye(logits.shape[1])[labels]
        return (softmax(logits) - one_hot) / n

    # Of a class that is all but certain, the gradient is a difference of numbers of size 1.
    check.gradients(lambda z: cross_entropy(z, labels), logits, hand=by_hand, atol=1e-13)


@given(classified())
def test_cross_entropy_does_not_mind_a_shift_of_all_logits(drawn):
    logits, labels = drawn
    assert cross_entropy(logits + 300.0, labels) == pytest.approx(cross_entropy(logits, labels), rel=1e-9, abs=1e-11)


def test_cross_entropy_of_huge_and_masked_logits():
    assert cross_entropy(np.array([[1e300, -1e300], [0.0, -np.inf]]), np.array([0, 0])) == 0
    z = mg.Tensor([[5.0, -np.inf]], requires_grad=True)
    cross_entropy(z, [0]).backward()
    np.testing.assert_array_equal(z.grad, [[0, 0]])


def test_losses_keep_float32():
    z = mg.Tensor(np.ones((3, 2)), requires_grad=True, dtype=np.float32)
    for loss, target in (
        (sum_squared_error, np.zeros((3, 2), np.float32)),
        (mean_squared_error, np.zeros((3, 2), np.float32)),
        (cross_entropy, np.array([0, 1, 1])),
    ):
        assert loss(z, target).dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([0, 3, 1, 1]), ValueError, "label 3 at place 1: classes are 0 to 2"),
        (np.array([0, -1, 1, -1]), ValueError, "label -1 at place 1: .* So it is at 2 places of 4"),
        (np.array([0.0, 1, 1, 1]), TypeError, r"float64.*astype\(int\)"),
        (np.array([[0], [1], [1], [1]]), ValueError, r"labels of shape \(4, 1\).*out of their column: y\[:, 0\]"),
        (np.array([0, 1]), ValueError, r"logits of shape \(4, 3\) and labels of shape \(2,\)"),
        (np.full((4, 3), 0.5), ValueError, "row of probabilities of sum 1.5 at place 0: each row has the sum 1"),
        (np.eye(4, 3) - [0, 0.5, 0], ValueError, r"probability -0.5 at place \(0, 1\): .* not negative"),
        (np.full((4, 3), np.nan), ValueError, r"probability nan at place \(0, 0\)"),
    ],
)
def test_labels_that_cross_entropy_refuses(labels, error, message):
    with pytest.raises(error, match=message):
        losses.cross_entropy(np.ones((4, 3)), labels)


def test_labels_of_images_are_named_by_row_and_column():
    labels = np.zeros((2, 5), int)
    labels[1, 3] = 7
    with pytest.raises(ValueError, match=r"label 7 at place \(1, 3\): classes are 0 to 2"):
        losses.cross_entropy(np.ones((2, 5, 3)), labels)


@pytest.mark.parametrize("labels", [[0, 2, 1], [0.0, -0.5, 1], [1, np.nan, 0]])
def test_labels_that_binary_cross_entropy_refuses(labels):
    with pytest.raises(ValueError, match=r"label (2|-0.5|nan) at place 1: labels lie from 0 to 1\."):
        losses.binary_cross_entropy(np.ones(3), labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: losses.squared_error(x, x, reduction="average"), "reduction must be .* got 'average'"),
        (
            lambda x: losses.squared_error(x, x, weight=np.ones(2)),
            r"weights of shape \(2,\) for losses of shape \(4, 3\)",
        ),
        (
            lambda x: losses.squared_error(x, x, weight=2.0),
            r"weights of shape \(\) .* one for each row, of shape \(4,\)",
        ),
        (lambda x: losses.squared_error(x, x, weight=np.ones((4, 1))), r"of shape \(4, 1\) .*out of their column"),
        (lambda x: losses.huber(x, x, delta=0), "delta must be positive; got 0"),
        (lambda x: losses.quantile(x, x, q=1.0), "q must lie between 0 and 1.*got 1.0"),
        (lambda x: losses.quantile(x, x, q=[0.1, 0.9]), r"as many as the last axis of \(4, 3\)"),
        (lambda x: losses.gaussian_nll(x, x), r"targets of shape \(4, 3\): .* predictions of shape \(4, 6\)"),
        (lambda x: losses.gaussian_nll(x[:, :2], x[:, 0]), r"Make the targets a column: y\[:, None\]"),
        (lambda x: losses.cross_entropy(x, [0] * 4, label_smoothing=1.0), "from 0 up to 1; got 1.0"),
        (
            lambda x: losses.cross_entropy(x, [0] * 4, class_weight=[1, 2]),
            r"class_weight must have shape \(3,\).*\(2,\)",
        ),
        (
            lambda x: losses.cross_entropy(x, [0] * 4, weight=np.ones(3)),
            r"weights of shape \(3,\) for losses of shape \(4,\)",
        ),
        (lambda x: losses.binary_cross_entropy(x, x, pos_weight=-1), "pos_weight must be positive; got -1"),
    ],
)
def test_options_and_shapes_that_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((4, 3)))


# -- Every loss, with every option -------------------------------------------------------------------------------------


@st.composite
def judged(draw):
    """A loss with its options, as ours and as PyTorch has it; the predictions and the targets."""
    rng = np.random.default_rng(draw(seeds))
    n, k = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    x, y = rng.normal(0, 2, (n, k)), rng.normal(0, 2, (n, k))
    kind = draw(
        st.sampled_from(["squared", "absolute", "huber", "quantile", "gaussian", "labels", "probable", "binary"])
    )
    if kind == "squared":
        return losses.squared_error, lambda f, x, y, **o: f.mse_loss(x, y, **o), x, y
    if kind == "absolute":
        return losses.absolute_error, lambda f, x, y, **o: f.l1_loss(x, y, **o), x, y
    if kind == "huber":
        delta = draw(st.sampled_from([0.3, 1.0, 5.0]))
        return partial(losses.huber, delta=delta), lambda f, x, y, **o: f.huber_loss(x, y, delta=delta, **o), x, y
    if kind == "quantile":
        q = draw(st.sampled_from([0.5, 0.1, list(rng.uniform(0.1, 0.9, k))]))

        def pinball(f, x, y, reduction):
            level = f.relu(y - x).new_tensor(q)
            return pieces(level * f.relu(y - x) + (1 - level) * f.relu(x - y), reduction)

        return partial(losses.quantile, q=q), pinball, x, y
    if kind == "gaussian":
        x = np.concatenate([x, rng.normal(size=(n, k))], axis=1)
        options = {"full": True, "eps": 1e-300}
        return (
            losses.gaussian_nll,
            lambda f, x, y, **o: f.gaussian_nll_loss(x[:, :k], y, x[:, k:].exp(), **options, **o),
            x,
            y,
        )
    if kind == "binary":
        y = draw(st.sampled_from([rng.integers(0, 2, (n, k)).astype(float), rng.uniform(0, 1, (n, k))]))
        p = draw(st.sampled_from([1.0, 0.3, 4.0]))
        return (
            partial(losses.binary_cross_entropy, pos_weight=p),
            lambda f, x, y, **o: f.binary_cross_entropy_with_logits(x, y, pos_weight=y.new_tensor(p), **o),
            x,
            y,
        )
    y = rng.integers(0, k, n) if kind == "labels" else softmax(rng.normal(size=(n, k)))
    options = {"label_smoothing": draw(st.sampled_from([0.0, 0.1]))}
    ours = dict(options)
    if draw(st.booleans()):
        ours["class_weight"] = rng.uniform(0.1, 2, k)

    def theirs(f, x, y, **o):
        weight = x.new_tensor(ours["class_weight"]) if "class_weight" in ours else None
        return f.cross_entropy(x, y, weight=weight, **options, **o)

    return partial(losses.cross_entropy, **ours), theirs, x, y


def pieces(each, reduction):
    return {"none": lambda x: x, "sum": lambda x: x.sum(), "mean": lambda x: x.mean()}[reduction](each)


reductions = st.sampled_from(["mean", "sum", "none"])


@given(judged(), reductions)
def test_losses_beside_pytorch(drawn, reduction):
    torch = pytest.importorskip("torch")
    loss, theirs, x, y = drawn
    ours, other = tensor(x), torch.tensor(x, requires_grad=True)
    a = loss(ours, y, reduction=reduction)
    b = theirs(torch.nn.functional, other, torch.tensor(y), reduction=reduction)
    np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-10, atol=1e-12)
    a.sum().backward()
    b.sum().backward()
    np.testing.assert_allclose(ours.grad, other.grad.numpy(), rtol=1e-10, atol=1e-12)


@given(judged(), reductions)
def test_gradients_of_losses(drawn, reduction):
    loss, _, x, y = drawn
    check.gradients(lambda x: loss(x, y, reduction=reduction), x, atol=1e-11)


@given(judged(), seeds)
def test_a_weight_of_two_is_a_row_twice(drawn, seed):
    loss, _, x, y = drawn
    times = np.random.default_rng(seed).integers(0, 3, len(x))
    if not times.sum():
        return
    rows = np.repeat(np.arange(len(x)), times)
    for reduction in ("mean", "sum"):
        if reduction == "mean" and y.ndim == 2 and getattr(loss, "keywords", {}).get("class_weight") is not None:
            continue
        expected = loss(x[rows], y[rows], reduction=reduction)
        np.testing.assert_allclose(loss(x, y, weight=times, reduction=reduction), expected, rtol=1e-12)


@given(judged(), reductions, seeds)
def test_weights_of_rows_and_of_elements_agree(drawn, reduction, seed):
    loss, _, x, y = drawn
    each = loss(x, y, reduction="none")
    weight = np.random.default_rng(seed).uniform(0.1, 2, len(x))
    spread = np.broadcast_to(weight.reshape((-1,) + (1,) * (each.ndim - 1)), each.shape)
    whole = loss(x, y, weight=spread, reduction=reduction)
    np.testing.assert_array_equal(loss(x, y, weight=weight, reduction=reduction), whole)
    if reduction == "none":
        np.testing.assert_allclose(whole, spread * each, rtol=1e-15)
    if reduction == "sum":
        np.testing.assert_allclose(whole, np.sum(spread * each), rtol=1e-12)


@given(judged(), seeds, st.sampled_from([np.float32, np.float64]))
def test_losses_are_the_same_compiled_and_keep_their_dtype(drawn, seed, dtype):
    loss, _, x, y = drawn
    weight = np.random.default_rng(seed).uniform(0.1, 2, len(x))  # of float64, whatever the predictions are

    def step(x, y, weight):
        return mg.value_and_grad(lambda x: loss(x, y, weight=weight))(x)

    x, y = x.astype(dtype), y if y.dtype.kind == "i" else y.astype(dtype)
    replay = mg.compile(step)
    for k in range(3):
        rows = np.random.default_rng(k).permutation(len(x))
        ours, eager = replay(x[rows], y[rows], weight), step(x[rows], y[rows], weight)
        assert_same(ours, eager, x)
        assert ours[0].dtype == ours[1].dtype == dtype


def test_whole_numbers_as_targets_leave_float32_as_it_is():
    z = tensor(np.ones((3, 2), np.float32))
    for loss in (losses.squared_error, losses.absolute_error, losses.huber, losses.binary_cross_entropy):
        assert loss(z, np.ones((3, 2), int)).dtype == np.float32


@pytest.mark.parametrize(
    ("loss", "target", "others", "which"),
    [
        (losses.cross_entropy, [0, 2], [[1, 3], [-1, 0]], [[0, 1], [1, 0]]),
        (
            losses.cross_entropy,
            np.full((2, 3), 1 / 3),
            [[[0.4] * 3, [1, 0, 0]], [[1, 0, 0], [-1, 1, 1]]],
            [[1, 0], [0, 1]],
        ),
        (losses.binary_cross_entropy, [[0, 1, 0.5]], [[[0, 2.0, -1]]], [[[0, 1, 1]]]),
    ],
)
def test_labels_that_are_none_give_nan_in_a_replay(loss, target, others, which):
    target = np.array(target)
    logits = np.zeros((len(target), 3))
    replay = mg.compile(lambda z, y: loss(z, y, reduction="none"))
    for _ in range(5):  # the next three replays are not compared with the step itself, which would raise
        assert np.isfinite(plain(replay(logits, target))).all()
    for other, bad in zip(others, which, strict=True):
        np.testing.assert_array_equal(np.isnan(plain(replay(logits, np.array(other, target.dtype)))), bad)


def test_one_hot_rows_are_their_labels():
    z, y = np.random.default_rng(0).normal(size=(6, 4)), np.array([0, 3, 2, 2, 1, 0])
    for target in (np.eye(4)[y], np.eye(4, dtype=int)[y], np.eye(4, dtype=bool)[y]):
        assert losses.cross_entropy(z, target) == pytest.approx(losses.cross_entropy(z, y), rel=1e-14)


@given(classified(), st.sampled_from([0.0, 0.1, 0.5]), seeds)
def test_smoothed_labels_and_weighted_classes_are_probabilities_and_a_sum(drawn, smoothing, seed):
    z, y = drawn
    classes = z.shape[1]
    weight = np.random.default_rng(seed).uniform(0.1, 2, classes)
    p = (1 - smoothing) * np.eye(classes)[y] + smoothing / classes
    by_hand = -np.sum(p * weight * np.log(softmax(z)))
    loss = partial(losses.cross_entropy, z, class_weight=weight)
    assert loss(y, label_smoothing=smoothing, reduction="sum") == pytest.approx(by_hand, rel=1e-9, abs=1e-12)
    assert loss(p, reduction="sum") == pytest.approx(by_hand, rel=1e-9, abs=1e-12)
    assert loss(p) * len(y) == pytest.approx(by_hand, rel=1e-9, abs=1e-12)
    assert loss(y, label_smoothing=smoothing) * weight[y].sum() == pytest.approx(by_hand, rel=1e-9, abs=1e-12)


@given(seeds, st.sampled_from([0.2, 3.0]))
def test_a_weight_of_the_ones_is_a_weight_of_their_rows(seed, pos_weight):
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=20), rng.integers(0, 2, 20)
    loss = partial(losses.binary_cross_entropy, z, y, reduction="sum")
    assert loss(pos_weight=pos_weight) == pytest.approx(loss(weight=np.where(y == 1, pos_weight, 1.0)))
    p = 1 / (1 + np.exp(-z))
    assert loss() == pytest.approx(-np.sum(np.log(np.where(y == 1, p, 1 - p))))


def test_far_out_losses_are_finite_and_precise():
    with np.errstate(all="raise", under="ignore"):
        far = losses.binary_cross_entropy([-1000.0, 1000.0, 50.0], [1, 0, 1], reduction="none")
    np.testing.assert_allclose(far, [1000, 1000, np.exp(-50)], rtol=1e-12)
    masked = losses.cross_entropy(np.array([[0.0, 0.0, -np.inf]]), np.array([[0.5, 0.5, 0.0]]))
    assert masked == pytest.approx(np.log(2))


def test_the_losses_are_least_where_they_say():
    y = np.sort(np.random.default_rng(0).normal(size=101))
    where = {
        "mean": (losses.squared_error, np.mean(y)),
        "median": (losses.absolute_error, np.median(y)),
        "quantile": (partial(losses.quantile, q=0.2), np.quantile(y, 0.2)),
    }
    for loss, best in where.values():
        at_best = loss(np.full(101, best), y)
        for other in (best - 0.05, best + 0.05):
            assert loss(np.full(101, other), y) > at_best
    np.testing.assert_array_equal(
        losses.huber([0.0, 0.0, 0.0], [1.0, -2.0, 3.0], delta=2, reduction="none"), [0.5, 2.0, 4.0]
    )
    by_hand = losses.gaussian_nll([[1.5, np.log(4.0)]], [[0.5]])
    assert by_hand == pytest.approx(-np.log(np.exp(-1 / 8) / np.sqrt(2 * np.pi * 4)))
