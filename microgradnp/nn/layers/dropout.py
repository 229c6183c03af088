"""`Dropout`: noise that keeps units from relying on each other, and that only training hears."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradnp.compiler import draw
from microgradnp.nn.layers.activations import finite
from microgradnp.nn.layers.base import Layer


class Dropout(Layer):
    """Sets each element to 0 with probability ``p`` while training, and divides the others by ``1 - p``.

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014). In
    prediction mode (`Layer.eval`, `Layer.predict`) it gives back its input.

    Parameters
    ----------
    p
        The probability of being dropped: at least 0 and below 1.
    rng
        A `numpy.random.Generator`, or a seed for one; by default one that the model gives it, see `Sequential`.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> nn.Dropout(0.5, rng=0)(np.ones(6))
    array([2., 0., 0., 0., 2., 2.])
    >>> nn.Dropout(0.5).predict(np.ones(6))
    array([1., 1., 1., 1., 1., 1.])
    """

    keeps_scale = True

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | int | None = None) -> None:
        self.p = finite("Dropout", "p", p)
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p is the probability of being dropped, at least 0 and below 1; got {p!r}.")
        self.rng = np.random.default_rng(rng)
        self._given = rng is not None

    def forward(self, x: Any) -> Any:
        """Drop elements, in training mode."""
        if not self.training or self.p == 0:
            return x
        kept = draw(self.rng.random, np.shape(x)) >= self.p
        return np.where(kept, x / (1 - self.p), 0)

    def draw_from(self, rng: np.random.Generator) -> None:
        """Take a generator of its own from the model's, unless it was given one itself."""
        if not self._given:
            self.rng, self._given = np.random.default_rng(rng.integers(2**63)), True

    def extra_repr(self) -> str:
        """``p``."""
        return f"{self.p}"
