"""NumPy on Tensors: each of its functions brought to the form of a row of the table, or composed of rows, by family.

To import this package is to fill the tables: each file registers its functions, and `standing` the rest of NumPy's.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from microgradnp.engine.dispatch import LATER
from microgradnp.engine.rules import RULES, Rule
from microgradnp.functions import (  # noqa: F401  (they fill the tables)
    calculus,
    elementwise,
    linalg,
    padding,
    places,
    polynomials,
    products,
    reductions,
    shapes,
    special,
    standing,
    statistics,
    texts,
    ufuncs,
)

for _function, _rule in RULES.items():  # the package's own rows, before there are others
    if isinstance(_function, np.ufunc) and _function.signature is None:
        RULES[_function] = replace(_rule, pointwise=True)


def _scipy(function: Callable[..., Any]) -> Rule | None:
    """The row of one of SciPy's special functions: all of them are read when SciPy is there and a first one arrives."""
    if "scipy.special" not in sys.modules:
        return None
    from microgradnp.functions import scipy_special  # noqa: F401  (it fills the tables)

    LATER.clear()
    return RULES.get(function)


LATER.append(_scipy)
