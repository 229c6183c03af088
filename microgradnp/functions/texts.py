"""NumPy's own texts: functions that NumPy itself composes of its other functions serve Tensors as NumPy writes them.

All that stands in the way is ``asarray``, by which these texts begin. So they run in a copy of their module in which it
is `shapes.array`, which leaves a Tensor what it is; the functions that they call are NumPy's, and come back to the
tables. A function that writes into an array of its own making, or asks for a value, has no such text.
"""

from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from microgradnp.engine.dispatch import FUNCTIONS
from microgradnp.functions.shapes import array

_READING = dict.fromkeys(("asarray", "asanyarray", "array"), array)
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


# fmt: off
_TEXTS = (
    np.append, np.apply_over_axes, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.column_stack, np.diff, np.dsplit,
    np.dstack, np.expand_dims, np.flip, np.fliplr, np.flipud, np.hsplit, np.hstack, np.moveaxis, np.piecewise, np.poly,
    np.polyadd, np.polyder, np.polysub, np.polyval, np.resize, np.rollaxis, np.rot90, np.split, np.tensordot,
    np.trapezoid, np.tril, np.triu, np.vsplit, np.vstack,
    np.linalg.cross, np.linalg.diagonal, np.linalg.matmul, np.linalg.multi_dot, np.linalg.outer,
    np.linalg.svdvals, np.linalg.tensordot, np.linalg.tensorinv, np.linalg.trace, np.linalg.vecdot,
    *filter(None, [getattr(np, "unstack", None)]),
)
# fmt: on
FUNCTIONS.update((f, on_tensors(f._implementation)) for f in _TEXTS)
