"""The numbers of a derivation: the gradients that flow through each step, and finite differences of the graph itself.

The differences move one entry of what one step takes in and compute the rest of the graph again. They know nothing of
the rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from microgradnp.engine.state import Machine, state
from microgradnp.engine.sweep import fitted, sweep
from microgradnp.engine.tensor import Tensor
from microgradnp.transforms.graph import Operation, again, dependents, operation


class Flow(Machine):
    """A machine that keeps what flows into each node of a sweep and out to each of its inputs."""

    def __init__(self, result: Tensor) -> None:
        self.into: dict[Tensor, Any] = {}
        self.out: dict[tuple[Tensor, int], Any] = {}
        with state(machine=self):
            sweep({result: np.ones(result.shape, result.dtype)}, retain=True)

    def passed(self, node: Tensor, i: int, vjp: Any, g: Any, y: Any, arguments: Any) -> Any:
        """Run one rule of the sweep, and note what went in and what came out."""
        gx = super().passed(node, i, vjp, g, y, arguments)
        o = operation(node)
        assert o is not None
        self.into[node] = g
        self.out[node, i] = np.array(fitted(gx, o.values[i], o.rule, i))
        return gx


def largest(g: Any) -> tuple[float, tuple[int, ...]]:
    """The entry of largest magnitude, and where it is."""
    if not g.size:
        return 0.0, ()
    at = tuple(int(k) for k in np.unravel_index(np.argmax(np.abs(g)), g.shape))
    return float(g[at]), at


def difference(
    graph: Sequence[Operation], result: Tensor, entrance: tuple[Operation, int], at: tuple[int, ...]
) -> float:
    """The slope of the result by one entry of what one operation takes in: central differences, extrapolated once.

    The step starts at 1e-4 of the entry, and shrinks where the extrapolation says that it was too large.
    """
    o, i = entrance
    x = np.array(o.values[i], np.float64)
    if not x.size:
        return 0.0
    later = dependents(graph, o.result)

    def moved_by(step: float) -> float:
        moved = x.copy()
        moved[at] += step
        values = [moved if k == i else _wide(v) for k, v in enumerate(o.values)]
        anew = again(later, {o.result: Tensor(o.rule.forward(*values, **o.options))})
        return float(anew[result].item())

    def slope(h: float) -> float:
        return (moved_by(h) - moved_by(-h)) / (2 * h)

    best = (math.inf, math.nan)
    with state(machine=Machine(), recording=False), np.errstate(all="ignore"):
        for size in (1e-4, 1e-5, 1e-6, 1e-7):
            h = size * max(1.0, abs(float(x[at])))
            coarse, fine = slope(h), slope(h / 2)
            best = min(best, (abs(fine - coarse), (4 * fine - coarse) / 3))
            if best[0] <= 1e-7 * abs(fine):
                break
    return best[1]


def _wide(v: Any) -> Any:
    return v.astype(np.float64) if isinstance(v, np.ndarray) and v.dtype == np.float32 else v
