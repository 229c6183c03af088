"""Inputs for checks, drawn by hypothesis and shrunk to the smallest that still fails.

Values lie on a grid of 1/64: short to print, exact in float32, and often equal to one another or to zero, where
mistakes hide. A domain cuts the grid, so nothing is drawn only to be thrown away.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck, Unsatisfiable
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

Array = NDArray[Any]
Strategy = st.SearchStrategy[Any]

GRID = 1 / 64
LAYOUTS = ("C", "F", "strided", "reversed")
"""How an array may lie in memory: in C order, in Fortran order (a transposed view), with gaps, or backwards."""

dtypes: Strategy = st.sampled_from([np.dtype(np.float64), np.dtype(np.float32)])
"""The dtypes that have gradients."""


def arrays(
    shape: tuple[int, ...] | Strategy | None = None,
    *,
    min_dims: int = 0,
    max_dims: int = 2,
    min_side: int = 0,
    max_side: int = 4,
    dtype: Any = np.float64,
    layout: str | Strategy | None = None,
    low: float = -4.0,
    high: float = 4.0,
    away_from: float | Sequence[float] = (),
    margin: float = 0.25,
    distinct: bool = False,
) -> Strategy:
    """Float arrays of drawn shape, dtype, layout and values.

    Parameters
    ----------
    shape
        A shape or a strategy for shapes; if None, ``min_dims`` to ``max_dims`` axes of ``min_side`` to ``max_side``.
    dtype, layout
        What to draw, or a strategy for it (`dtypes`); all of `LAYOUTS`, if ``layout`` is None.
    low, high
        The values' range. ``low=0.25`` gives positive ones.
    away_from, margin
        Values (the function's kinks and poles) from which all entries keep a distance of ``margin``.
    distinct
        Whether no two entries may be equal, as `numpy.max` and `numpy.sort` need it.

    Examples
    --------
    >>> from microgradnp import check
    >>> positive = check.arrays((3,), low=0.25)
    >>> import numpy as np
    >>> check.gradients(np.log, strategy=positive).ok
    True
    """
    grid = _grid(low, high, away_from, margin)
    if shape is None:
        shape = hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)
    shapes = shape if isinstance(shape, st.SearchStrategy) else st.just(shape)
    kinds = dtype if isinstance(dtype, st.SearchStrategy) else st.just(np.dtype(dtype))
    lays = layout if isinstance(layout, st.SearchStrategy) else st.sampled_from(LAYOUTS if layout is None else [layout])
    place = st.integers(0, len(grid) - 1)

    @st.composite
    def draw_array(draw: Any) -> Array:
        chosen = draw(shapes)
        index = draw(hnp.arrays(np.int64, chosen, elements=place, unique=distinct))
        return lay(grid[index].astype(draw(kinds)), draw(lays) if index.size > 1 else "C")

    return draw_array()


def _grid(low: float, high: float, away_from: float | Sequence[float], margin: float) -> Array:
    """The allowed values, the simplest first, since hypothesis shrinks towards the start."""
    grid = np.arange(np.ceil(low / GRID), np.floor(high / GRID) + 1) * GRID
    for value in np.atleast_1d(np.asarray(away_from, dtype=np.float64)):
        grid = grid[np.abs(grid - value) >= margin]
    if not len(grid):
        raise ValueError(f"no value from {low} to {high} keeps a distance of {margin} from {away_from}.")
    return grid[np.lexsort((grid < 0, np.abs(grid), grid != np.round(grid)))]


def lay(a: Array, layout: str) -> Array:
    """The same values in another place in memory: see `LAYOUTS`."""
    if layout == "C":
        return np.ascontiguousarray(a).reshape(a.shape)
    if layout == "F":
        return np.asfortranarray(a)
    if layout == "strided":
        wide = np.zeros(tuple(2 * n for n in a.shape), a.dtype)
        view = wide[(slice(None, None, 2),) * a.ndim]
    elif layout == "reversed":
        view = np.zeros_like(a, order="C")[(slice(None, None, -1),) * a.ndim]
    else:
        raise ValueError(f"layout is one of {', '.join(LAYOUTS)}; got {layout!r}.")
    view[...] = a
    return view


def broadcastable(count: int = 2, **options: Any) -> Strategy:
    """Tuples of arrays whose shapes broadcast together; options as for `arrays`, ``each=`` a dict of more for each."""
    each = options.pop("each", None) or [{}] * count
    sizes = {key: options.pop(key) for key in ("min_dims", "max_dims", "min_side", "max_side") if key in options}
    shapes = hnp.mutually_broadcastable_shapes(
        num_shapes=count,
        min_dims=sizes.get("min_dims", 0),
        max_dims=sizes.get("max_dims", 2),
        min_side=sizes.get("min_side", 0),
        max_side=sizes.get("max_side", 4),
    )
    return shapes.flatmap(
        lambda drawn: st.tuples(
            *(arrays(shape, **{**options, **own}) for shape, own in zip(drawn.input_shapes, each, strict=True))
        )
    )


def for_each(strategy: Strategy, test: Callable[[Any], None]) -> None:
    """Run ``test`` on what ``strategy`` draws; a failure is shrunk, and raised for the smallest input."""
    from microgradnp.check.problem import NotFiniteError

    # No database: its key is this function's, so it would replay the failures of one user's function on another's.
    @settings(deadline=None, database=None, phases=(Phase.explicit, Phase.generate, Phase.target, Phase.shrink))
    @given(strategy)
    def run(drawn: Any) -> None:
        try:
            test(drawn)
        except NotFiniteError:
            reject()

    try:
        run()
    except (FailedHealthCheck, Unsatisfiable) as error:
        error.add_note(
            "The function is finite at too few of the drawn inputs: give the strategy its domain (low=, high=)."
        )
        raise
