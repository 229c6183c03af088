"""`Linear`: the affine map, which holds nearly all parameters of a network.

The weight has shape (in, out) and the input its features on the last axis, so that ``x @ weight + bias`` is the formula
and the code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from microgradnp.arrays import constant_array
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.initializers import Initializer
from microgradnp.nn.layers.base import InputShapeError
from microgradnp.nn.layers.drawn import DrawnLayer


class Linear(DrawnLayer):
    """An affine map: ``x @ weight + bias``.

    Parameters
    ----------
    in_features, out_features
        The lengths of the last axis of the input and of the output.
    bias
        Whether to add a bias.
    weight_init, bias_init
        Called as ``initializer(rng, shape)``, or the name of one; see `microgradnp.nn.initializers`. By default the
        bias is 0 and the weight by Glorot, or as suits the activation that follows in a `Sequential`.
    rng
        A `numpy.random.Generator`, or a seed for one. Give the layers of a model the same Generator, or give one to the
        `Sequential` that they stand in: the same *seed* would give them the same numbers.
    dtype
        float64 or float32.

    Attributes
    ----------
    weight : Tensor of shape (in_features, out_features)
    bias : Tensor of shape (out_features,), or None

    Raises
    ------
    InputShapeError
        When called with an input whose last axis is not ``in_features`` long.

    Examples
    --------
    >>> import numpy as np
    >>> from microgradnp import nn
    >>> layer = nn.Linear(3, 2, rng=0)
    >>> layer(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_init: Initializer | str | None = None,
        bias_init: Initializer | str | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        for what, n in (("in_features", in_features), ("out_features", out_features)):
            if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
                raise ValueError(f"Linear({in_features!r}, {out_features!r}): {what} must be a positive integer.")
        n, m = int(in_features), int(out_features)
        self.draw_parameters((n, m), (m,) if bias else None, weight_init, bias_init, rng, dtype)

    @property
    def in_features(self) -> int:
        """The width of an input."""
        return self.weight.shape[0]

    @property
    def out_features(self) -> int:
        """The width of an output."""
        return self.weight.shape[1]

    def forward(self, x: Any) -> Any:
        """Multiply by the weight and add the bias; the input has shape (..., in_features)."""
        if type(x) is not Tensor:
            x = np.asarray(constant_array(x))
        if not x.ndim or x.shape[-1] != self.weight.shape[0]:
            raise InputShapeError(self, self._misfit(x.shape))
        y = x @ self.weight
        return y if self.bias is None else y + self.bias

    def _misfit(self, shape: tuple[int, ...]) -> str:
        width = self.weight.shape[0]
        hint = (
            "write x[:, None] for a column of single numbers"
            if width == 1 and len(shape) == 1
            else ("match it to what the layer before gives, or to the number of columns of the data")
        )
        return f"expects inputs of width {width}, that is of shape (N, {width}); got shape {shape}: {hint}."

    def default_input_shape(self) -> tuple[int, ...]:
        """``(in_features,)``."""
        return self.weight.shape[:1]

    def extra_repr(self) -> str:
        """``in_features, out_features``."""
        n, m = self.weight.shape
        return f"{n}, {m}" + (", bias=False" if self.bias is None else "")
