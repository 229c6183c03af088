"""The complex step: derivatives exact to rounding, of functions that compute with complex numbers as with real ones.

``f(x + ih)`` has the imaginary part ``h f'(x)`` for an ``h`` whose square is lost in rounding: nothing is subtracted,
so nothing cancels. Of a function that drops the imaginary part on its way it would say that the derivative is zero; so
the array that goes in refuses whatever does that.
"""

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from microgradnp import tree
from microgradnp.check.problem import Array


class NotAnalyticError(TypeError):
    """A function does something to a complex number that has no complex derivative."""


_ANALYTIC_NAMES = """
add subtract multiply divide negative positive square reciprocal power exp exp2 expm1 log log2 log10 log1p sqrt
sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh matmul sum prod mean cumsum cumprod
dot inner outer tensordot einsum kron cross trace diff reshape ravel transpose matrix_transpose permute_dims swapaxes
moveaxis expand_dims squeeze broadcast_to broadcast_arrays atleast_1d atleast_2d concatenate stack hstack vstack
column_stack append insert delete split array_split meshgrid flip rot90 roll repeat tile pad take take_along_axis
diagonal diag tril triu where copy zeros_like ones_like full_like empty_like shape ndim size result_type
"""
_ANALYTIC = {getattr(np, name) for name in _ANALYTIC_NAMES.split() if hasattr(np, name)}
_ANALYTIC |= {np.linalg.inv, np.linalg.solve, np.linalg.det, np.linalg.matrix_power, np.linalg.multi_dot}
_COMPARED = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isfinite, np.isnan}


class Analytic(np.ndarray[Any, Any]):
    """A complex array that lets itself be used only where the complex step is exact.

    ``np.abs`` and its like drop the imaginary part, and the derivative with it, without a word; here they refuse. A
    comparison looks at the real parts, as the real function does.
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        inputs = tuple(map(_bare, inputs))
        if ufunc in _COMPARED:
            return getattr(ufunc, method)(*(x.real if isinstance(x, np.ndarray) else x for x in inputs), **options)
        if ufunc not in _ANALYTIC:
            raise NotAnalyticError(f"np.{ufunc.__name__} has no complex derivative")
        out = tuple(map(_bare, options.pop("out", ())))
        if out:
            if any(x is not None and x.dtype.kind != "c" for x in out):
                raise NotAnalyticError(f"np.{ufunc.__name__} writes into an array of real numbers")
            options["out"] = out
        return _analytic(getattr(ufunc, method)(*inputs, **options))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function not in _ANALYTIC:
            raise NotAnalyticError(
                f"{getattr(function, '__name__', function)} is not known to have a complex derivative"
            )
        return tree.map(_analytic, function(*tree.map(_bare, args), **tree.map(_bare, options)))

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise NotAnalyticError("a complex value is taken apart")

    real = imag = property(_refuse)
    conj = conjugate = astype = max = min = argmax = argmin = clip = sort = argsort = round = item = tolist = _refuse
    __float__ = __int__ = __bool__ = __complex__ = _refuse


def _bare(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Analytic) else x


def _analytic(x: Any) -> Any:
    return np.asarray(x).view(Analytic) if isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "c" else x


_WARNINGS = threading.Lock()  # the filters of warnings are the process's: two threads must not change them at once
STEP = 2.0**-100
"""So small that its square is lost in rounding: the complex step has no truncation error and no cancellation."""


def complex_step(
    evaluate: Callable[[Array], Array], x: Array, middle: Array, directions: Sequence[Array]
) -> tuple[Array | None, str]:
    """Derivatives along ``directions``, exact to rounding, or None and the reason why the function does not allow it.

    ``evaluate`` takes a flat complex array (an `Analytic`) to the flat array of outputs.
    """
    out = np.empty((len(directions), len(middle)))
    with _WARNINGS, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        for i, u in enumerate(directions):
            z = (x + (STEP * 1j) * u).view(Analytic)
            try:
                result = np.asarray(_bare(evaluate(z)))
            except Exception as error:
                return None, f"{error}" if isinstance(error, NotAnalyticError) else f"{type(error).__name__}: {error}"
            if result.dtype.kind != "c" or result.shape != middle.shape:
                return None, "the imaginary part is dropped on the way"
            if not np.allclose(result.real, middle, rtol=1e-9, atol=1e-9 * np.abs(middle).max(initial=0) + STEP):
                return None, "the complex function has another value"
            out[i] = result.imag / STEP
    return out, ""
