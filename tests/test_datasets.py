"""The chapter's data and initial values, digit for digit."""

import numpy as np
import pytest

import microgradnp as mg


def create_toy_data(sample_size, std):
    """As the chapter prints it."""
    np.random.seed(1234)  # noqa: NPY002  (the chapter's own)
    x = np.linspace(0, 0.5, sample_size)
    t = np.sin(2 * np.pi * x) + np.random.normal(scale=std, size=x.shape)  # noqa: NPY002
    return x, t


def initial_values(nhl):
    """As the chapter prints it."""
    np.random.seed(1234)  # noqa: NPY002
    W = np.random.normal(0.0, 1.0, nhl)  # noqa: NPY002
    V = np.random.normal(0.0, 1.0, nhl)  # noqa: NPY002
    bs = np.random.normal(0.0, 1.0, nhl)  # noqa: NPY002
    b0 = np.random.normal()  # noqa: NPY002
    return W, V, bs, b0


@pytest.mark.parametrize(("n", "noise"), [(40, 0.05), (1, 0.05), (7, 0.0)])
def test_the_chapters_data(n, noise):
    for ours, theirs in zip(mg.datasets.noisy_sine(n, noise, 1234), create_toy_data(n, noise), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("hidden", [1, 8, 64])
def test_the_chapters_initial_values(hidden):
    for ours, theirs in zip(mg.datasets.chapter_parameters(hidden), initial_values(hidden), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_global_generator_is_left_alone():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.normal(size=3)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    mg.datasets.noisy_sine()
    mg.datasets.chapter_parameters()
    np.testing.assert_array_equal(np.random.normal(size=3), expected)  # noqa: NPY002


def test_another_seed_gives_other_noise():
    assert (mg.datasets.noisy_sine(seed=1)[1] != mg.datasets.noisy_sine(seed=2)[1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mg.datasets.noisy_sine(0), "n must be a positive integer; got 0"),
        (lambda: mg.datasets.noisy_sine(4.0), r"got 4\.0"),
        (lambda: mg.datasets.noisy_sine(4, -1), "noise must be a finite standard deviation, 0 or more; got -1"),
        (lambda: mg.datasets.noisy_sine(4, float("nan")), "got nan"),
        (lambda: mg.datasets.chapter_parameters(0), "hidden must be a positive integer; got 0"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("make", [mg.datasets.two_moons, mg.datasets.circles, mg.datasets.spirals])
def test_classes_in_a_plane(make):
    x, labels = make(101, noise=0.0)
    assert x.shape == (101, 2)
    assert set(labels.tolist()) == {0, 1}
    assert abs(labels.sum() - 50) <= 1
    np.testing.assert_array_equal(make(101, noise=0.0)[0], x)
    assert not np.array_equal(make(101, noise=0.0, seed=1)[0], x)
    noisy = make(101, noise=0.1)[0] - x
    assert 0.07 < noisy.std() < 0.13
    with pytest.raises(ValueError, match=f"{make.__name__}: noise must be"):
        make(noise=-1)


def test_the_arms_of_the_spirals_are_turned():
    x, labels = mg.datasets.spirals(3000, noise=0.0, classes=3)
    radius, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    wound = np.mod(angle - 2 * np.pi * (1.5 * radius + labels / 3) + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(wound, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("digits", (1797, 64), 10), ("breast_cancer", (569, 30), 2), ("wine", (178, 13), 3), ("iris", (150, 4), 3)],
)
def test_tables_of_scikit_learn(name, shape, classes):
    pytest.importorskip("sklearn")
    x, y = getattr(mg.datasets, name)()
    assert x.shape == shape
    assert len(np.unique(y)) == classes


def test_without_scikit_learn_its_tables_name_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r"microgradnp\[sklearn\]"):
        mg.datasets.diabetes()
