"""`Flatten`: from images and other arrays to rows of features."""

import math
from typing import Any

import numpy as np

from microgradnp.nn.layers.base import InputShapeError, Layer


class Flatten(Layer):
    """Brings each item of a batch to one row: from shape (N, ...) to (N, features).

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> nn.Flatten()(np.ones((5, 8, 8))).shape
    (5, 64)
    """

    keeps_scale = True

    def forward(self, x: Any) -> Any:
        """Bring the input to two axes."""
        shape = np.shape(x)
        if not shape:
            raise InputShapeError(self, "expects inputs of shape (N, ...); got a single number.")
        return np.reshape(x, (shape[0], math.prod(shape[1:])))
