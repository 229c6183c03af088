"""An input recipe for every row of the table and every function composed of rows: what `check.gradients` is run on.

A recipe draws a `Case`: a function of float arrays (the NumPy function with its other arguments chosen) and the arrays.
Arrays are 0-d, empty, broadcast, transposed, with gaps, backwards or read-only, in float64 and float32; values stay
away from kinks and poles, which ``test_edges_*.py`` visit on purpose. A row or function without a recipe fails
``test_rules.py``. One file a family of functions; `drawing` is what they share.
"""

from typing import Any

import numpy as np
from numpy._core import umath

from microgradnp.engine import rules
from microgradnp.engine.dispatch import FUNCTIONS
from microgradnp.functions.shapes import CREATION, LIKENESS
from recipes import elementwise, linalg, networks, places, reductions, sequences, shapes  # noqa: F401 (they register)
from recipes.drawing import RECIPES, Case
from recipes.places import INDICES

__all__ = ["BUILT_IN", "INDICES", "RECIPES", "Case"]


def _from_a_test(f: Any) -> bool:
    return str(getattr(f, "__module__", "")).startswith("test_")


def _for_scipy(f: Any) -> bool:
    """Whether it is one of SciPy's, which are tried in tests of their own."""
    owner = getattr(f, "__self__", f)  # of a ufunc's method
    if isinstance(owner, np.ufunc):
        return vars(umath).get(owner.__name__) is not owner
    return "scipy" in str(getattr(f, "__module__", ""))


_ALL = [f for f in {**rules.RULES, **FUNCTIONS} if f not in (*CREATION, *LIKENESS)]
BUILT_IN = [f for f in _ALL if not _from_a_test(f) and not _for_scipy(f)]
"""What needs a recipe: every row and every function, but those that make arrays out of nothing."""
