"""Starting values for parameters: each initializer is called as ``initializer(rng, shape)`` and returns an array.

A weight has shape (in, out), or (..., in, out) with any number of axes that are summed over besides. The two named
families keep the spread of the activations the same from layer to layer, so that a deep network starts to learn at all:

- Glorot: X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
  2010, equation 16: variance 2 / (in + out), for activations that are near the identity at 0 (sigmoid's kin, tanh).
- He: K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015, equation 10: variance 2 / in, for
  ReLU, which lets half of the spread through.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
Initializer: TypeAlias = "Callable[[np.random.Generator, Shape], NDArray[Any]]"  # quoted: numpy.random loads lazily


def glorot_uniform(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Uniform with variance 2 / (in + out).

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> initializers.glorot_uniform(np.random.default_rng(0), (3, 2)).shape
    (3, 2)
    """
    return _uniform(rng, shape, 2 / sum(_fans(shape)))


def glorot_normal(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Normal with variance 2 / (in + out)."""
    return rng.normal(0.0, math.sqrt(2 / sum(_fans(shape))), shape)


def he_uniform(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Uniform with variance 2 / in."""
    return _uniform(rng, shape, 2 / _fans(shape)[0])


def he_normal(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Normal with variance 2 / in."""
    return rng.normal(0.0, math.sqrt(2 / _fans(shape)[0]), shape)


def zeros(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """All 0: for biases. A weight of zeros never starts to learn, since its units stay all alike."""
    return np.zeros(shape)


def normal(std: float = 1.0, mean: float = 0.0) -> Initializer:
    """Return an initializer that draws from a normal distribution.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> initializers.normal(std=0.1)(np.random.default_rng(0), (2,)).round(3)
    array([ 0.013, -0.013])
    """
    if not (math.isfinite(mean) and 0 <= std < math.inf):
        raise ValueError(f"normal(std={std}, mean={mean}): both must be finite, and std not negative.")
    return lambda rng, shape: rng.normal(mean, std, shape)


def uniform(low: float = -1.0, high: float = 1.0) -> Initializer:
    """Return an initializer that draws evenly from the interval [low, high).

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> initializers.uniform(0.0, 2.0)(np.random.default_rng(0), (2,)).round(3)
    array([1.274, 0.54 ])
    """
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"uniform(low={low}, high={high}): both must be finite, and low at most high.")
    return lambda rng, shape: rng.uniform(low, high, shape)


def _uniform(rng: np.random.Generator, shape: Shape, variance: float) -> NDArray[Any]:
    limit = math.sqrt(3 * variance)  # a uniform distribution on [-a, a] has variance a**2 / 3
    return rng.uniform(-limit, limit, shape)


def _fans(shape: Shape) -> tuple[int, int]:
    """How many inputs each output sums over, and how many outputs each input feeds."""
    if len(shape) < 2:
        raise ValueError(
            f"Glorot's and He's initializers scale by a weight's inputs and outputs, so they need a shape (in, out); "
            f"got {shape}. For a bias use zeros, normal or uniform."
        )
    window = math.prod(shape[:-2])
    return max(window * shape[-2], 1), max(window * shape[-1], 1)
