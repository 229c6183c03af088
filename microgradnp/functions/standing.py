"""Where each of NumPy's overridable functions stands: differentiable, piecewise constant or refused.

Differentiable functions have a row of the table, or a front in a file beside this one. The others are listed here:
those whose result does not change when their floating arguments do return plain arrays; those that no rule can serve
raise, with the reason and what to use instead. `classify` says which is which, and a test holds it against NumPy's own
list, so that a function new in NumPy cannot go unnoticed.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy._core import umath

from microgradnp.engine.dispatch import CONSTANTS, FUNCTIONS, REFUSED, reason_against
from microgradnp.engine.rules import RULES
from microgradnp.engine.tensor import Tensor
from microgradnp.functions.shapes import CREATION
from microgradnp.functions.ufuncs import FOLDABLE
from microgradnp.signatures import name_of

Function = Callable[..., Any]


def _named(names: str, module: Any = np) -> list[Any]:
    """The functions of those names which this version of NumPy has."""
    return [getattr(module, name) for name in names.split() if hasattr(module, name)]


Tensor.__pandas_priority__ = 5000  # type: ignore[attr-defined]  # above a DataFrame's: df.y - t is a Tensor's to compute

# -- Piecewise constant ------------------------------------------------------------------------------------------------

_COMPARISONS = _named("equal not_equal less less_equal greater greater_equal")
_FOLDING = _named(
    """logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor left_shift right_shift gcd lcm
    floor_divide"""
)
CONSTANTS.update(_COMPARISONS, _FOLDING)
CONSTANTS.update(ufunc.outer for ufunc in (*_COMPARISONS, *_FOLDING))
CONSTANTS.update(getattr(ufunc, method) for ufunc in _FOLDING for method in ("reduce", "accumulate", "reduceat"))
CONSTANTS.update(
    _named(
        """logical_not invert bitwise_count sign signbit floor ceil trunc rint round around fix spacing angle imag
        isfinite isinf isnan isnat isneginf isposinf isclose isreal iscomplex isrealobj iscomplexobj isin in1d
        allclose array_equal array_equiv all any count_nonzero
        argmax argmin nanargmax nanargmin argsort argpartition lexsort argwhere nonzero flatnonzero searchsorted
        digitize shape ndim size result_type can_cast common_type min_scalar_type may_share_memory shares_memory
        array2string array_repr array_str einsum_path
        diag_indices_from tril_indices_from triu_indices_from unravel_index ravel_multi_index packbits unpackbits"""
    )
)
CONSTANTS.add(umath._ones_like)  # type: ignore[attr-defined]  # what np.ones_like once was
CONSTANTS.add(np.linalg.matrix_rank)

# -- Refused -----------------------------------------------------------------------------------------------------------


def _refuse(functions: Iterable[Function | str], reason: str) -> None:
    REFUSED.update(dict.fromkeys(functions, reason))


_WRITES = "it writes into its first argument, and a graph forgets what is overwritten. Use "
STRINGS = "it works on strings, and Tensors hold numbers."
_COMPLEX = (
    "it turns to complex numbers outside the real domain, and Tensors do not hold them. Use the function of that name "
    "in np itself, such as np.sqrt."
)

_refuse(
    _named("copyto place put put_along_axis putmask fill_diagonal"),
    _WRITES + "np.where, microgradnp.put or microgradnp.put_along_axis, which return the changed array.",
)
for _ufunc in [f for f in RULES if isinstance(f, np.ufunc) and f.signature is None]:
    _refuse(
        [_ufunc.at],
        _WRITES + "t + np.bincount(indices, values, minlength=n) to add up, or microgradnp.put to replace.",
    )
    if _ufunc.nin == 2 and _ufunc not in FOLDABLE:
        _refuse(
            [_ufunc.reduce, _ufunc.accumulate, _ufunc.reduceat],
            "its result as its own argument has no common use. Write the loop: "
            f"y = {name_of(_ufunc)}(y, t[i]) for each i.",
        )
_refuse(
    _named("histogram histogram2d histogramdd histogram_bin_edges"),
    "counts jump where an element passes an edge. Use np.histogram(t.data, ...), or a sum of smooth bumps.",
)
_refuse(
    _named("unique unique_all unique_counts unique_inverse unique_values union1d intersect1d setdiff1d setxor1d"),
    "the size of a set depends on values, and equal elements leave it open which one gets the gradient. Take the "
    "places from the data, such as np.unique(t.data, return_index=True)[1], and index t with them.",
)
_refuse(_named("save savez savez_compressed savetxt"), "a file keeps values and forgets the graph. Save t.data.")
_refuse(_named("roots sort_complex"), "its result is complex, which Tensors do not hold.")
_refuse(
    _named("eig eigvals", np.linalg),
    "the eigenvalues of a matrix that is not symmetric may be complex, which Tensors do not hold. For a symmetric "
    "matrix use np.linalg.eigh or np.linalg.eigvalsh.",
)
_refuse(
    _named("busday_count busday_offset is_busday datetime_as_string"),
    "it works on dates, and Tensors hold numbers.",
)
_refuse([np.nextafter], "it is the identity but for one unit of the last place. Use the argument itself, or t.data.")
_refuse([f for f in vars(umath).values() if isinstance(f, np.ufunc) and not f.types], STRINGS)

# Whole modules, most of which NumPy imports only when they are asked for.
_refuse(["numpy.char", "numpy.strings"], STRINGS)
_refuse(
    ["numpy.fft"],
    "its results are complex, which Tensors do not hold. Use np.convolve, or multiply by the matrices "
    "np.cos(2 * np.pi * np.outer(k, n) / N) and np.sin(...), the transform's real and imaginary parts. For a shift "
    "use np.roll.",
)
_refuse(["numpy.lib.scimath", "numpy.lib._scimath_impl"], _COMPLEX)  # the same, by its name in NumPy 2.0
_refuse(
    ["numpy.lib.recfunctions"],
    "it works on structured arrays, and Tensors hold numbers of one dtype. Keep each field in a Tensor of its own.",
)
_refuse(
    ["numpy.polynomial.polynomial"],
    "it works on arrays of its own making. Use np.polyval, which takes the highest power first, or np.einsum with "
    "np.vander.",
)

# -- The table ---------------------------------------------------------------------------------------------------------

Kind = Literal["differentiable", "piecewise constant", "refused", "unclassified"]


class Coverage(NamedTuple):
    """Where one function stands: its name, what kind it is, and what a Tensor gives or why it is refused."""

    name: str
    kind: Kind
    note: str


def classify(function: Function) -> Coverage:
    """Say where one of NumPy's functions stands.

    Examples
    --------
    >>> import numpy as np
    >>> classify(np.argmax)
    Coverage(name='np.argmax', kind='piecewise constant', note='a plain result')
    """
    name = name_of(function)
    public = getattr(function, "_implementation", function)  # NumPy keeps a second object for functions with like=
    if function in CREATION or public in CREATION:
        return Coverage(name, "piecewise constant", "with like=, a Tensor that needs no gradient")
    for each in (function, public):
        if each in RULES or each in FUNCTIONS:
            return Coverage(name, "differentiable", "a rule" if each in RULES else "composed of rules")
    if function in CONSTANTS:
        return Coverage(name, "piecewise constant", "a plain result")
    if (reason := reason_against(function)) is not None:
        return Coverage(name, "refused", reason)
    return Coverage(name, "unclassified", "")


def overridable() -> set[Function]:
    """NumPy's own list of the ufuncs and functions that let other arrays take over, all its modules included."""
    import numpy.char
    import numpy.fft
    import numpy.polynomial  # noqa: F401  (the functions of each are listed once it is imported)
    from numpy.testing import overrides

    return overrides.get_overridable_numpy_ufuncs() | overrides.get_overridable_numpy_array_functions()


# -- Methods of ndarray that a Tensor does not have --------------------------------------------------------------------


class Absent:
    """In the place of a method that a Tensor does not have: an error that names what to use.

    Tensor has no `__getattr__` to say so for any name: with one, reading each attribute would take ten times as long.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, t: Any, owner: Any) -> Any:
        message = f"a Tensor has no attribute {self._name!r}. Use {self._instead}."
        raise AttributeError(message, name=self._name, obj=owner if t is None else t)


INSTEAD = {
    "fill": "np.full_like(t, value)",
    "partition": "np.partition(t, kth)",
    "put": "microgradnp.put(t, index, value)",
    "resize": "np.resize(t, shape)",
    "sort": "np.sort(t)",
    "numpy": "t.data, or t.detach()",
    "zero_grad": "t.grad = None, or the optimizer's zero_grad()",
    **{name: f"t.data.{name}" for name in ("ctypes", "dump", "dumps", "flags", "strides", "tobytes", "tofile", "view")},
}
"""Methods that change an array in place or speak of its memory, and others that one may look for: what to use."""

for _name, _instead in INSTEAD.items():
    setattr(Tensor, _name, Absent(_name, _instead))
