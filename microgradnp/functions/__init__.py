"""NumPy on Tensors: each of its functions brought to the form of a row of the table, or composed of rows, by family.

To import this package is to fill the tables: each file registers its functions, and `standing` the rest of NumPy's.
"""

from dataclasses import replace

import numpy as np

from microgradnp.engine.rules import RULES
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
    ufuncs,
)

for _function, _rule in RULES.items():  # the package's own rows, before there are others
    if isinstance(_function, np.ufunc) and _function.signature is None:
        RULES[_function] = replace(_rule, pointwise=True)
