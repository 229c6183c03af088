"""Data to try things on: the chapter's noisy sine, digit for digit; classes in a plane; some well-known tables."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgradnp.hints import names_in, public


def noisy_sine(n: int = 40, noise: float = 0.05, seed: int = 1234) -> tuple[NDArray[Any], NDArray[Any]]:
    """Half a period of a sine at ``n`` evenly spaced points, with normal noise.

    The defaults are the chapter's data. NumPy's older generator is used, since the newer one gives other numbers for
    the same seed; its global state is left alone.

    Returns
    -------
    x, y : ndarrays of shape (n,)

    Raises
    ------
    ValueError
        If ``n`` is not a positive integer, or ``noise`` is negative or not finite.

    Examples
    --------
    >>> import microgradnp as mg
    >>> x, y = mg.datasets.noisy_sine(40, noise=0.05, seed=1234)
    >>> x.shape, y[:2].round(6)
    ((40,), array([0.023572, 0.020918]))
    """
    _check_count("noisy_sine", "n", n)
    _check_noise("noisy_sine", noise)
    x = np.linspace(0, 0.5, n)
    return x, np.sin(2 * np.pi * x) + np.random.RandomState(seed).normal(scale=noise, size=x.shape)


def chapter_parameters(hidden: int = 8, seed: int = 1234) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], float]:
    """The chapter's initial values: standard normal numbers for W, V, bs and b0, drawn in that order after one seeding.

    Returns
    -------
    W, V, bs : ndarrays of shape (hidden,)
    b0 : float

    Examples
    --------
    >>> import microgradnp as mg
    >>> W, V, bs, b0 = mg.datasets.chapter_parameters()
    >>> W.shape, round(b0, 6)
    ((8,), 1.318152)
    """
    _check_count("chapter_parameters", "hidden", hidden)
    random = np.random.RandomState(seed)
    W, V, bs = (random.normal(0.0, 1.0, hidden) for _ in range(3))
    return W, V, bs, float(random.normal())


# -- Two classes in a plane, or more -----------------------------------------------------------------------------------


def two_moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two half circles that reach into one another, in equal parts, with normal noise.

    Returns
    -------
    x : ndarray of shape (n, 2)
    labels : ndarray of shape (n,)
        0 and 1.

    Examples
    --------
    >>> import microgradnp as mg
    >>> x, labels = mg.datasets.two_moons(100)
    >>> x.shape, labels.sum()
    ((100, 2), np.int64(50))
    """
    labels, angle, rng = _classes("two_moons", n, noise, 2, seed)
    angle = np.pi * angle
    x = np.stack(
        [np.where(labels, 1 - np.cos(angle), np.cos(angle)), np.where(labels, 0.5 - np.sin(angle), np.sin(angle))]
    )
    return x.T + rng.normal(scale=noise, size=(n, 2)), labels


def circles(
    n: int = 200, noise: float = 0.05, seed: int = 0, *, factor: float = 0.5
) -> tuple[NDArray[Any], NDArray[Any]]:
    """A circle of radius 1 (class 0) around one of radius ``factor`` (class 1), with normal noise.

    Returns
    -------
    x : ndarray of shape (n, 2)
    labels : ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np, microgradnp as mg
    >>> x, labels = mg.datasets.circles(100, noise=0.0)
    >>> np.unique(np.hypot(*x[labels == 1].T).round(12))
    array([0.5])
    """
    labels, angle, rng = _classes("circles", n, noise, 2, seed)
    radius = np.where(labels, factor, 1.0)
    x = radius * np.stack([np.cos(2 * np.pi * angle), np.sin(2 * np.pi * angle)])
    return x.T + rng.normal(scale=noise, size=(n, 2)), labels


def spirals(
    n: int = 300, noise: float = 0.05, seed: int = 0, *, classes: int = 2, turns: float = 1.5
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Arms of a spiral wound around one another, one a class, each ``turns`` times around, out to radius 1.

    Returns
    -------
    x : ndarray of shape (n, 2)
    labels : ndarray of shape (n,)

    Examples
    --------
    >>> import microgradnp as mg
    >>> x, labels = mg.datasets.spirals(90, classes=3)
    >>> x.shape, sorted(set(labels.tolist()))
    ((90, 2), [0, 1, 2])
    """
    _check_count("spirals", "classes", classes)
    labels, along, rng = _classes("spirals", n, noise, classes, seed)
    radius = np.sqrt(along)  # as many points to a length of the arm everywhere, nearly
    angle = 2 * np.pi * (turns * radius + labels / classes)
    x = radius * np.stack([np.cos(angle), np.sin(angle)])
    return x.T + rng.normal(scale=noise, size=(n, 2)), labels


def _classes(
    function: str, n: int, noise: float, classes: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[Any], np.random.Generator]:
    """Labels in turn, and for each point how far along its class's curve it lies, from 0 to 1."""
    _check_count(function, "n", n)
    _check_noise(function, noise)
    rng = np.random.default_rng(seed)
    return np.arange(n) % classes, rng.random(n), rng


# -- Real data ---------------------------------------------------------------------------------------------------------


def digits() -> tuple[NDArray[Any], NDArray[Any]]:
    """1797 handwritten digits of 8x8 pixels from 0 to 16 (Alpaydin and Kaynak 1998); needs scikit-learn.

    Returns
    -------
    x : ndarray of shape (1797, 64)
    labels : ndarray of shape (1797,)
        0 to 9.

    Examples
    --------
    >>> import microgradnp as mg
    >>> x, labels = mg.datasets.digits()
    >>> x.shape
    (1797, 64)
    """
    return _bundled("digits")


def breast_cancer() -> tuple[NDArray[Any], NDArray[Any]]:
    """30 measures of 569 tumours (Wolberg and others 1993), malignant (0) or benign (1); needs scikit-learn.

    Returns
    -------
    x : ndarray of shape (569, 30)
    labels : ndarray of shape (569,)

    Examples
    --------
    >>> import microgradnp as mg
    >>> x, labels = mg.datasets.breast_cancer()
    >>> x.shape
    (569, 30)
    """
    return _bundled("breast_cancer")


def wine() -> tuple[NDArray[Any], NDArray[Any]]:
    """13 measures of 178 wines from three growers (Forina and others 1991); needs scikit-learn.

    Returns
    -------
    x : ndarray of shape (178, 13)
    labels : ndarray of shape (178,)

    Examples
    --------
    >>> import microgradnp as mg
    >>> x, labels = mg.datasets.wine()
    >>> x.shape
    (178, 13)
    """
    return _bundled("wine")


def iris() -> tuple[NDArray[Any], NDArray[Any]]:
    """4 measures in cm of 150 irises of three species (Anderson 1935, Fisher 1936); needs scikit-learn.

    Returns
    -------
    x : ndarray of shape (150, 4)
    labels : ndarray of shape (150,)

    Examples
    --------
    >>> import microgradnp as mg
    >>> x, labels = mg.datasets.iris()
    >>> x.shape
    (150, 4)
    """
    return _bundled("iris")


def diabetes() -> tuple[NDArray[Any], NDArray[Any]]:
    """10 measures of 442 patients, and a number for their illness a year later (Efron and others 2004).

    The measures are brought to mean 0 and one scale. Needs scikit-learn.

    Returns
    -------
    x : ndarray of shape (442, 10)
    y : ndarray of shape (442,)

    Examples
    --------
    >>> import microgradnp as mg
    >>> x, y = mg.datasets.diabetes()
    >>> x.shape
    (442, 10)
    """
    return _bundled("diabetes")


def _bundled(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"datasets.{name}() reads what scikit-learn bundles: pip install 'microgradnp[sklearn]'.", name="sklearn"
        ) from error
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y


def _check_count(function: str, name: str, n: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"{function}: {name} must be a positive integer; got {n!r}.")


def _check_noise(function: str, noise: float) -> None:
    if not 0 <= noise < math.inf:
        raise ValueError(f"{function}: noise must be a finite standard deviation, 0 or more; got {noise!r}.")


public(globals(), names_in(globals()))
