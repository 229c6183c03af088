"""What recipes are made of: the registry, and draws of arrays, axes and groups that broadcast together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from microgradnp.check.strategies import LAYOUTS, arrays, broadcastable, dtypes, lay


@dataclass
class Case:
    """A function of float arrays, and the arrays."""

    f: Callable[..., Any]
    args: tuple[Any, ...]

    def __init__(self, f: Callable[..., Any], *args: Any) -> None:
        self.f, self.args = f, args


RECIPES: dict[Callable[..., Any], list[st.SearchStrategy[Case]]] = {}


def recipe(*functions: Any) -> Any:
    """Register a recipe: ``recipe(draw, function)`` for each of the functions."""

    def register(build: Any) -> Any:
        for function in functions:
            RECIPES.setdefault(function, []).append(st.composite(build)(function))
        return build

    return register


def numpy_has(*names: str, module: Any = np) -> list[Any]:
    """Those of the functions that this NumPy has."""
    return [getattr(module, name) for name in names if hasattr(module, name)]


def array(
    draw: Any, shape: Any = None, *, dims: tuple[int, int] = (0, 2), sides: tuple[int, int] = (0, 3), **options: Any
) -> Any:
    """One array; every fifth is read-only."""
    options.setdefault("dtype", dtypes)
    sizes = (
        {"min_dims": dims[0], "max_dims": dims[1], "min_side": sides[0], "max_side": sides[1]} if shape is None else {}
    )
    x = draw(arrays(shape, **sizes, **options))
    if draw(st.integers(0, 4)) == 0:
        x.flags.writeable = False
    return x


def group(draw: Any, *each: dict[str, Any], dims: int = 2, side: int = 3) -> tuple[Any, ...]:
    """Arrays that broadcast together, all of one dtype."""
    dtype = draw(dtypes)
    return draw(broadcastable(len(each), each=list(each), dtype=dtype, max_dims=dims, max_side=side))


def axis_of(draw: Any, x: Any, none: bool = False) -> Any:
    """One axis of ``x``, counted from either end."""
    choices = st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.nothing()
    return draw(st.none() | choices if none or not x.ndim else choices)


def axes_of(draw: Any, x: Any) -> Any:
    """The axes of a reduction: None, one or several."""
    several = st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1).map(tuple) if x.ndim else st.just(())
    return draw(st.none() | several | (st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.nothing()))


booleans = st.booleans()


def spread(draw: Any, shape: Any = None, **options: Any) -> Any:
    """Distinct entries for a standard deviation s, whose third derivative is made of terms as large as s**-2.

    They cancel, to exactly 0 where two entries are left, and float32 leaves 6e-8 of them: in float32 no two entries are
    closer than 1/4, so that this stays below the tolerance of 1e-5. In float64 they may be as close as the grid has it.
    """
    dtype = draw(dtypes)
    if dtype == np.float64:
        return array(draw, shape, dtype=dtype, **options)
    return lay(array(draw, shape, dtype=dtype, low=-0.25, high=0.25, **options) * 16, draw(st.sampled_from(LAYOUTS)))


def telling(draw: Any, *each: dict[str, Any]) -> tuple[Any, ...]:
    """One array of shape (2, 3) and others that broadcast to it, entries distinct: no sum or order goes unnoticed."""
    dtype, place = draw(dtypes), draw(st.integers(0, len(each) - 1))
    shapes = [(2, 3) if i == place else draw(st.sampled_from(_PARTS)) for i in range(len(each))]
    return tuple(
        array(draw, shape, dtype=dtype, distinct=True, **options) for shape, options in zip(shapes, each, strict=True)
    )


_PARTS = [(2, 3), (3,), (2, 1), (1, 3), ()]
