"""What SciPy has beside ufuncs, on Tensors: compositions under SciPy's names, with its arguments and defaults.

SciPy's own functions of this kind turn what they get into arrays, and so refuse a Tensor. Its special functions that
are ufuncs need nothing of this: ``scipy.special.gammaln(t)`` works as it stands. On arrays each gives SciPy's values.
"""

try:
    import scipy.special  # noqa: F401  # (is it there?)
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "microgradnp.scipy needs SciPy: pip install 'microgradnp[scipy]'.", name=error.name
    ) from error

from microgradnp.scipy import linalg, signal, special, stats

__all__ = ["linalg", "signal", "special", "stats"]
