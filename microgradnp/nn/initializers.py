"""Starting values for parameters: each initializer is called as ``initializer(rng, shape)`` and returns an array.

A weight has shape (in, out), or (..., in, out) with any number of axes that are summed over besides. Three families
keep the spread of the activations the same from layer to layer, so that a deep network starts to learn at all:
Glorot's, for activations that are near the identity at 0 (sigmoid's kin, tanh), He's, for ReLU, which lets half of the
spread through, and LeCun's, for SELU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from microgradnp.hints import INITIALIZERS, names_in, public

Shape: TypeAlias = tuple[int, ...]
Initializer: TypeAlias = "Callable[[np.random.Generator, Shape], NDArray[Any]]"  # quoted: numpy.random loads lazily


def glorot_uniform(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Uniform with variance 2 / (in + out).

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    equation 16.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> initializers.glorot_uniform(np.random.default_rng(0), (3, 2)).shape
    (3, 2)
    """
    return _uniform(rng, shape, 2 / sum(_fans(shape)))


def glorot_normal(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Normal with variance 2 / (in + out).

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> weight = initializers.glorot_normal(np.random.default_rng(0), (300, 100))
    >>> print(f"{weight.var():.3f} {2 / 400:.3f}")
    0.005 0.005
    """
    return rng.normal(0.0, math.sqrt(2 / sum(_fans(shape))), shape)


def he_uniform(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Uniform with variance 2 / in.

    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> weight = initializers.he_uniform(np.random.default_rng(0), (300, 100))
    >>> print(f"{weight.var():.3f} {2 / 300:.3f}")
    0.007 0.007
    """
    return _uniform(rng, shape, 2 / _fans(shape)[0])


def he_normal(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Normal with variance 2 / in.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> weight = initializers.he_normal(np.random.default_rng(0), (300, 100))
    >>> print(f"{weight.var():.3f} {2 / 300:.3f}")
    0.007 0.007
    """
    return rng.normal(0.0, math.sqrt(2 / _fans(shape)[0]), shape)


def lecun_uniform(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Uniform with variance 1 / in.

    Y. LeCun, L. Bottou, G. Orr and K.-R. Müller, "Efficient backprop", 1998, equation 16.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> weight = initializers.lecun_uniform(np.random.default_rng(0), (300, 100))
    >>> print(f"{weight.var():.3f} {1 / 300:.3f}")
    0.003 0.003
    """
    return _uniform(rng, shape, 1 / _fans(shape)[0])


def lecun_normal(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Normal with variance 1 / in.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> weight = initializers.lecun_normal(np.random.default_rng(0), (300, 100))
    >>> print(f"{weight.var():.3f} {1 / 300:.3f}")
    0.003 0.003
    """
    return rng.normal(0.0, math.sqrt(1 / _fans(shape)[0]), shape)


def orthogonal(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Columns, or rows where there are fewer, that are orthonormal: lengths stay from layer to layer.

    A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", ICLR 2014; drawn evenly as in F. Mezzadri, Notices of the AMS 54, 2007. All axes but the last
    count as inputs.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> w = initializers.orthogonal(np.random.default_rng(0), (4, 3))
    >>> bool(np.allclose(w.T @ w, np.eye(3)))
    True
    """
    _fans(shape)  # raises for a bias
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diagonal(r))
    return np.reshape(q if rows >= columns else q.T, shape)


def zeros(rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """All 0: for biases. A weight of zeros never starts to learn, since its units stay all alike.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> initializers.zeros(np.random.default_rng(0), (2,))
    array([0., 0.])
    """
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
    return partial(_normal, mean=float(mean), std=float(std))


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
    return partial(_evenly, low=float(low), high=float(high))


def constant(value: float) -> Initializer:
    """Return an initializer that gives one number everywhere.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> initializers.constant(0.1)(np.random.default_rng(0), (2,))
    array([0.1, 0.1])
    """
    if not math.isfinite(value):
        raise ValueError(f"constant({value}): it must be finite.")
    return partial(_constant, value=float(value))


def named(initializer: Initializer | str) -> Initializer:
    """The initializer of a name, such as ``"he_normal"``; one that is a function is given back.

    ``"normal"`` is N(0, 1), and ``"uniform"`` draws from [-1, 1).

    Raises
    ------
    ValueError
        If there is none of that name.
    TypeError
        If it is neither a name nor a function.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> initializers.named("zeros")(np.random.default_rng(0), (2,))
    array([0., 0.])
    """
    if isinstance(initializer, str):
        if initializer not in NAMED:
            close = get_close_matches(initializer, NAMED, 1)
            raise ValueError(
                f"there is no initializer {initializer!r}"
                + (f"; did you mean {close[0]!r}?" if close else ".")
                + f" The names are {', '.join(NAMED)}; or pass a function of (rng, shape)."
            )
        return NAMED[initializer]
    name = getattr(initializer, "__name__", "")
    if name in ("normal", "uniform", "constant") and initializer is globals()[name]:
        raise TypeError(f"initializers.{name} makes an initializer: call it, initializers.{name}(...).")
    if not callable(initializer):
        raise TypeError(f"an initializer is a function of (rng, shape), or the name of one; got {initializer!r}.")
    return initializer


def name_of(initializer: Initializer | str | None) -> Initializer | str | None:
    """What was given as an initializer, by its name if it has one.

    Examples
    --------
    >>> from microgradnp.nn import initializers
    >>> initializers.name_of(initializers.he_normal), initializers.name_of(None)
    ('he_normal', None)
    """
    return next((name for name, function in NAMED.items() if function is initializer), initializer)


def _normal(rng: np.random.Generator, shape: Shape, *, mean: float, std: float) -> NDArray[Any]:
    return rng.normal(mean, std, shape)


def _evenly(rng: np.random.Generator, shape: Shape, *, low: float, high: float) -> NDArray[Any]:
    return rng.uniform(low, high, shape)


def _constant(rng: np.random.Generator, shape: Shape, *, value: float) -> NDArray[Any]:
    return np.full(shape, value)


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


NAMED: dict[str, Initializer] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "orthogonal": orthogonal,
    "normal": normal(),
    "uniform": uniform(),
    "zeros": zeros,
    "ones": constant(1.0),
}
"""Those that need no more than a name."""

public(globals(), names_in(globals()), INITIALIZERS)
