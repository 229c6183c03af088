"""NumPy's own texts: functions that NumPy itself composes of its other functions serve Tensors as NumPy writes them.

All that stands in the way is ``asarray``, by which these texts begin. So they run in a copy of their module in which it
is `reading`, which leaves a Tensor what it is; the functions that they call are NumPy's, and come back to the
tables. A function that writes into an array of its own making, or asks for a value, has no such text.
"""

from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from microgradnp.engine.dispatch import FUNCTIONS
from microgradnp.engine.tensor import Tensor, plain
from microgradnp.functions.common import holds_tensors
from microgradnp.functions.shapes import array


def reading(x: Any, dtype: Any = None, **options: Any) -> Any:
    """``numpy.asarray``, but for Tensors and sequences of them."""
    y = array(x, dtype, **options)
    return y if type(x) is Tensor or holds_tensors(x) else plain(y)


_READING = dict.fromkeys(("asarray", "asanyarray", "array"), reading)
_modules: dict[str, dict[str, Any]] = {}


def on_tensors(text: Any) -> Any:
    """A Python function of NumPy's, in a copy of its module in which ``asarray`` leaves Tensors what they are."""
    names = text.__globals__
    if names["__name__"] not in _modules:
        _modules[names["__name__"]] = copy = dict(names)
        for name, x in names.items():
            if isinstance(x, FunctionType) and x.__globals__ is names:
                copy[name] = _within(copy, x)
            elif isinstance(x, ModuleType) and hasattr(x, "asarray"):  # NumPy, by one of its names
                copy[name] = SimpleNamespace(**{**vars(x), **_READING})
        copy.update({name: read for name, read in _READING.items() if name in copy})
    return _within(_modules[names["__name__"]], text)


def _within(names: dict[str, Any], function: FunctionType) -> FunctionType:
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_TEXTS = """
    append apply_over_axes array_split atleast_1d atleast_2d atleast_3d column_stack cumulative_prod cumulative_sum diff
    dsplit dstack expand_dims extract flip fliplr flipud hsplit hstack matrix_transpose moveaxis piecewise poly polyadd
    polyder polyint polysub polyval real real_if_close resize rollaxis rot90 split tensordot trapezoid tril trim_zeros
    triu unstack vsplit vstack
"""
_TEXTS_OF_LINALG = """
    cross diagonal matmul matrix_transpose multi_dot outer svdvals
    tensordot tensorinv trace vecdot
"""
for _module, _names in ((np, _TEXTS), (np.linalg, _TEXTS_OF_LINALG)):
    for _function in [getattr(_module, name) for name in _names.split() if hasattr(_module, name)]:
        FUNCTIONS[_function] = on_tensors(_function._implementation)
