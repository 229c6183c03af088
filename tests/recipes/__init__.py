"""An input recipe for every row of the table and every function composed of rows: what `check.gradients` is run on.

A recipe draws a `Case`: a function of float arrays (the NumPy function with its other arguments chosen) and the arrays.
Arrays are 0-d, empty, broadcast, transposed, with gaps, backwards or read-only, in float64 and float32; values stay
away from kinks and poles, which ``test_edges_*.py`` visit on purpose. A row or function without a recipe fails
``test_rules.py``. One file a family of functions; `drawing` is what they share.
"""

from typing import Any

from microgradnp.engine import rules
from microgradnp.engine.dispatch import FUNCTIONS
from microgradnp.functions.shapes import CREATION, LIKENESS
from recipes import elementwise, linalg, networks, places, reductions, sequences, shapes  # noqa: F401 (they register)
from recipes.drawing import RECIPES, Case
from recipes.places import INDICES

__all__ = ["BUILT_IN", "INDICES", "RECIPES", "Case"]


def _from_a_test(f: Any) -> bool:
    return str(getattr(f, "__module__", "")).startswith("test_")


BUILT_IN = [f for f in {**rules.RULES, **FUNCTIONS} if f not in (*CREATION, *LIKENESS) and not _from_a_test(f)]
"""What needs a recipe: every row and every function, but those that make arrays out of nothing."""
