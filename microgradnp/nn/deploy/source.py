"""A model's prediction as one readable Python file that needs NumPy alone.

It is not written layer by layer: the prediction is recorded, as a training step is, and what was recorded is written
down. So a layer of one's own, and what is computed before and after the model, is written as well as a `Linear`. The
weights stand in the file itself, because two files get separated: in decimals where somebody may read them, else in
base 64; both are exact.
"""

from __future__ import annotations

import ast
import base64
import re

import numpy as np

from microgradnp.arrays import Array
from microgradnp.compiler.ir import Trace
from microgradnp.compiler.listing import Listing
from microgradnp.compiler.rows import NAME
from microgradnp.nn.deploy.helpers import HELPERS, WINDOWS

READABLE = 1000
"""Elements: an array up to that size is written in decimals."""
_WIDTH = 100


def source(trace: Trace, title: str) -> str:
    """The source of a module with a function ``predict(x)`` that computes what was recorded.

    Raises
    ------
    TypeError
        If a function in it has no counterpart in NumPy.
    """
    listing = Listing(trace)
    helpers: list[str] = []
    arrays: list[str] = []
    for name, what in listing.arguments.items():
        if isinstance(what, np.ndarray):
            arrays.append(_assigned(name, what))
        elif what in HELPERS:
            helpers.append(HELPERS[what].replace("helper", name))
        else:
            raise TypeError(f"to_numpy() cannot write {getattr(what, '__name__', what)!r} in NumPy.")
    if any("_windows(" in helper for helper in helpers):
        helpers.insert(0, WINDOWS)
    return _module(title, trace, listing, helpers, arrays)


def _module(title: str, trace: Trace, listing: Listing, helpers: list[str], arrays: list[str]) -> str:
    (x,) = trace.inputs
    shape = x.shape[1:]
    body = listing.body
    given = f"({', '.join(map(str, (NAME, *shape)))}{',' * (not shape)})"
    packed = any("_unpacked(" in array for array in arrays)
    head = [
        f'"""The prediction of {title}, in NumPy alone; written by microgradnp."""',
        "",
        *(["import base64", ""] if packed else []),
        "import numpy as np",
        "",
        *([_UNPACKED] if packed else []),
        *helpers,
        *(["# -- What was learned", "", *arrays, ""] if arrays else []),
        "",
        f"def predict({x.name}):",
        f'    """Predict for n rows: {x.name} has shape {given}, and is taken as {x.dtype}."""',
        f"    {x.name} = np.asarray({x.name}, np.{x.dtype})",
        f"    if {x.name}.shape[1:] != {shape} or not {x.name}.ndim:",
        f'        raise ValueError(f"predict takes an array of shape {given}; got {{{x.name}.shape}}.")',
    ]
    if any(re.search(rf"\b{NAME}\b", line) for line in body if not line.lstrip().startswith("#")):
        head.append(f"    {NAME} = len({x.name})")
    return "\n".join([*head, *(f"    {line}" for line in body), ""])


_UNPACKED = '''
def _unpacked(text, dtype, shape):
    """An array whose bytes stand in a text of base 64."""
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)

'''


def _assigned(name: str, array: Array) -> str:
    """The line, or lines, after which ``name`` is the array, to the last bit."""
    if 0 < array.size <= READABLE and np.isfinite(array).all():
        numbers = np.array2string(
            array,
            separator=", ",
            threshold=READABLE + 1,
            max_line_width=_WIDTH,
            floatmode="unique",
            prefix=f"{name} = np.array(",
        )
        if np.array_equal(np.array(ast.literal_eval(numbers), array.dtype), array):  # no digit short
            return f"{name} = np.array({numbers}, np.{array.dtype})"
    packed = base64.encodebytes(array.tobytes()).decode()
    return f'{name} = _unpacked("""\n{packed}""", "{array.dtype.str}", {array.shape})'
