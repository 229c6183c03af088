"""`scipy.signal` on Tensors: convolution in any number of dimensions.

The gradient of a convolution is one too: with the other operand reversed, where the two overlap wholly.
"""

from typing import Any

import numpy as np

from microgradnp.engine.rules import defvjp, primitive
from microgradnp.scipy.common import operand


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolve two arrays of the same number of dimensions.

    ``mode`` is "full"; "valid", where one overlaps the other wholly; or "same", the centre, of the size of ``in1``.
    ``method`` is SciPy's: "direct", "fft" or "auto".

    Examples
    --------
    >>> convolve([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
    array([0. , 1. , 2.5, 4. , 1.5])
    """
    a, b = operand(in1), operand(in2)
    if mode not in ("full", "valid", "same"):
        raise ValueError(f'convolve: mode must be "full", "valid" or "same"; got {mode!r}.')
    if a.ndim != b.ndim:
        raise ValueError(f"convolve takes two arrays of the same number of dimensions; got {a.shape} and {b.shape}.")
    if a.ndim == 0:
        return a * b
    sizes = [*zip(a.shape, b.shape, strict=True)]
    if mode == "valid" and not (all(m >= n for m, n in sizes) or all(m <= n for m, n in sizes)):
        raise ValueError(f'convolve: in mode "valid" one must be as large as the other everywhere; got {sizes}.')
    y = _full(a, b, method=method)
    if mode == "valid":
        return y[tuple(slice(min(m, n) - 1, max(m, n)) for m, n in sizes)]
    if mode == "same":
        return y[tuple(slice((n - 1) // 2, (n - 1) // 2 + m) for m, n in sizes)]
    return y


@primitive
def _full(a: Any, b: Any, *, method: str) -> Any:
    import scipy.signal

    return scipy.signal.convolve(a, b, "full", method)


@primitive
def _inside(a: Any, b: Any, *, method: str) -> Any:
    """What of the convolution lies where b, the smaller, overlaps a wholly."""
    import scipy.signal

    return scipy.signal.convolve(a, b, "valid", method)


# fmt: off
defvjp(_full,   lambda g, y, a, b, method: _inside(g, np.flip(b), method=method),
                lambda g, y, a, b, method: _inside(g, np.flip(a), method=method))
defvjp(_inside, lambda g, y, a, b, method: _full(g, np.flip(b), method=method),
                lambda g, y, a, b, method: np.flip(_inside(a, np.flip(g), method=method)))
# fmt: on
