"""Data to try things on: the noisy sine of the chapter that this framework starts from, digit for digit."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    if not 0 <= noise < math.inf:
        raise ValueError(f"noisy_sine: noise must be a finite standard deviation, 0 or more; got {noise!r}.")
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


def _check_count(function: str, name: str, n: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"{function}: {name} must be a positive integer; got {n!r}.")
