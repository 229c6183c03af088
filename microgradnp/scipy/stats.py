"""`scipy.stats` on Tensors: densities, distribution functions and their logarithms, by the values and the parameters.

A distribution is its standard form, two formulas; `Continuous` does for all what location, scale, the support and
parameters that are not allowed (NaN, as in SciPy) ask for. A distribution function of a family whose shape has no
elementary derivative (of gamma and beta, say) is differentiated by the values, location and scale alone.
"""

import math
from typing import Any

import numpy as np
from scipy import special as sp

from microgradnp.functions.common import detached
from microgradnp.scipy.common import operand

_LOG_TAU = math.log(2 * math.pi)


class Continuous:
    """A family of continuous distributions; ``shapes`` names the arguments that come before ``loc`` and ``scale``."""

    shapes: tuple[str, ...] = ()
    low, high, middle = -math.inf, math.inf, 0.0
    """The support of the standard form, and a place inside it."""

    def _logpdf(self, z: Any, *shapes: Any) -> Any:
        raise NotImplementedError

    def _cdf(self, z: Any, *shapes: Any) -> Any:
        raise NotImplementedError

    def _sf(self, z: Any, *shapes: Any) -> Any:
        raise NotImplementedError

    def _logcdf(self, z: Any, *shapes: Any) -> Any:
        return _log(self._cdf(z, *shapes))

    def _logsf(self, z: Any, *shapes: Any) -> Any:
        return _log(self._sf(z, *shapes))

    def logpdf(self, x: Any, *args: Any, **named: Any) -> Any:
        """The logarithm of the density at ``x``: ``logpdf(x, *shapes, loc=0, scale=1)``."""
        z, shapes, scale = self._standard(x, args, named)
        inside, outside = self._places(z)
        return np.where(outside, -math.inf, self._logpdf(inside, *shapes) - np.log(scale))

    def pdf(self, x: Any, *args: Any, **named: Any) -> Any:
        """The density at ``x``."""
        return np.exp(self.logpdf(x, *args, **named))

    def cdf(self, x: Any, *args: Any, **named: Any) -> Any:
        """The probability of at most ``x``."""
        return self._cumulative(self._cdf, 0.0, 1.0, x, args, named)

    def sf(self, x: Any, *args: Any, **named: Any) -> Any:
        """The probability of more than ``x``."""
        return self._cumulative(self._sf, 1.0, 0.0, x, args, named)

    def logcdf(self, x: Any, *args: Any, **named: Any) -> Any:
        """The logarithm of `cdf`."""
        return self._cumulative(self._logcdf, -math.inf, 0.0, x, args, named)

    def logsf(self, x: Any, *args: Any, **named: Any) -> Any:
        """The logarithm of `sf`."""
        return self._cumulative(self._logsf, 0.0, -math.inf, x, args, named)

    def _cumulative(self, f: Any, below: float, above: float, x: Any, args: Any, named: Any) -> Any:
        z, shapes, _ = self._standard(x, args, named)
        inside, _ = self._places(z)
        return np.where(z < self.low, below, np.where(z > self.high, above, f(inside, *shapes)))

    def _places(self, z: Any) -> tuple[Any, Any]:
        """The places with another one in the stead of those outside of the support, and which these are."""
        outside = (z < self.low) | (z > self.high)
        return np.where(outside, self.middle, z), outside

    def _standard(self, x: Any, args: Any, named: Any) -> tuple[Any, Any, Any]:
        """The places in the standard form, the shapes, and the scale: NaN where a parameter is not allowed."""
        names = (*self.shapes, "loc", "scale")
        given = dict(zip(names, args, strict=False)) | named
        missing = [name for name in self.shapes if name not in given]
        if len(args) > len(names) or given.keys() - {*names} or missing or named.keys() & {*names[: len(args)]}:
            raise TypeError(
                f"{type(self).__name__.lower()} takes x and then {', '.join(names)} (the last two may be left out); "
                f"got {len(args)} after x by place, and {', '.join(named) or 'none'} by name."
            )
        scale = _positive(given.get("scale", 1.0))
        z = (operand(x) - operand(given.get("loc", 0.0))) / scale
        shapes = [_positive(given[name]) for name in self.shapes]
        for shape in shapes:
            z = np.where(np.isnan(shape), math.nan, z)
        return z, shapes, scale


def _positive(x: Any) -> Any:
    x = operand(x)
    return np.where(x > 0, x, math.nan)


def _log(y: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(y)


class Norm(Continuous):
    """The normal distribution."""

    def _logpdf(self, z: Any) -> Any:
        return -0.5 * z * z - 0.5 * _LOG_TAU

    def _cdf(self, z: Any) -> Any:
        return sp.ndtr(z)

    def _sf(self, z: Any) -> Any:
        return sp.ndtr(-z)

    def _logcdf(self, z: Any) -> Any:
        return sp.log_ndtr(z)

    def _logsf(self, z: Any) -> Any:
        return sp.log_ndtr(-z)


class T(Continuous):
    """Student's t distribution of ``df`` degrees of freedom."""

    shapes = ("df",)

    def _logpdf(self, z: Any, df: Any) -> Any:
        return -0.5 * (df + 1) * np.log1p(z * z / df) - sp.betaln(0.5, 0.5 * df) - 0.5 * np.log(df)

    def _cdf(self, z: Any, df: Any) -> Any:
        return sp.stdtr(df, z)

    def _sf(self, z: Any, df: Any) -> Any:
        return sp.stdtr(df, -z)


class Gamma(Continuous):
    """The gamma distribution of shape ``a``."""

    shapes = ("a",)
    low, middle = 0.0, 1.0

    def _logpdf(self, z: Any, a: Any) -> Any:
        return sp.xlogy(a - 1, z) - z - sp.gammaln(a)

    def _cdf(self, z: Any, a: Any) -> Any:
        return sp.gammainc(a, z)

    def _sf(self, z: Any, a: Any) -> Any:
        return sp.gammaincc(a, z)


class Chi2(Gamma):
    """The chi-squared distribution of ``df`` degrees of freedom."""

    shapes = ("df",)

    def _logpdf(self, z: Any, df: Any) -> Any:
        return super()._logpdf(0.5 * z, 0.5 * df) - math.log(2)

    def _cdf(self, z: Any, df: Any) -> Any:
        return super()._cdf(0.5 * z, 0.5 * df)

    def _sf(self, z: Any, df: Any) -> Any:
        return super()._sf(0.5 * z, 0.5 * df)


class Beta(Continuous):
    """The beta distribution of shapes ``a`` and ``b``."""

    shapes = ("a", "b")
    low, high, middle = 0.0, 1.0, 0.5

    def _logpdf(self, z: Any, a: Any, b: Any) -> Any:
        return sp.xlogy(a - 1, z) + sp.xlog1py(b - 1, -z) - sp.betaln(a, b)

    def _cdf(self, z: Any, a: Any, b: Any) -> Any:
        return sp.betainc(a, b, z)

    def _sf(self, z: Any, a: Any, b: Any) -> Any:
        return sp.betaincc(a, b, z)


class Poisson:
    """The Poisson distribution of mean ``mu``, differentiated by the mean; the counts ``k`` are whole."""

    def logpmf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of ``k``."""
        k, mu = _counts(k, mu, loc)
        possible = (k >= 0) & (k == np.floor(k))
        inside = np.where(possible, k, 0)
        y = np.where(possible, sp.xlogy(inside, mu) - mu - sp.gammaln(inside + 1), -math.inf)
        return np.where(np.isnan(k), math.nan, y)

    def pmf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The probability of ``k``."""
        return np.exp(self.logpmf(k, mu, loc))

    def cdf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The probability of at most ``k``."""
        k, mu = _counts(k, mu, loc)
        return np.where(k < 0, 0.0, sp.gammaincc(np.floor(np.where(k < 0, 0, k)) + 1, mu))

    def sf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The probability of more than ``k``."""
        k, mu = _counts(k, mu, loc)
        return np.where(k < 0, 1.0, sp.gammainc(np.floor(np.where(k < 0, 0, k)) + 1, mu))

    def logcdf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The logarithm of `cdf`."""
        return _log(self.cdf(k, mu, loc))

    def logsf(self, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The logarithm of `sf`."""
        return _log(self.sf(k, mu, loc))


def _counts(k: Any, mu: Any, loc: Any) -> tuple[Any, Any]:
    """The counts, plain, and the mean; the counts NaN where the mean is not allowed."""
    mu = operand(mu)
    k = operand(detached(k)) - operand(detached(loc))
    return np.where(mu >= 0, k, math.nan), np.where(mu >= 0, mu, math.nan)


class MultivariateNormal:
    """The normal distribution of vectors, which lie along the last axis of ``x``.

    ``mean`` is zero by default. ``cov`` is a symmetric positive definite matrix, the variances as a vector, or one
    variance; the gradient by a matrix is symmetric. A singular one raises `numpy.linalg.LinAlgError`.
    """

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1) -> Any:
        """The logarithm of the density at ``x``."""
        x, cov = operand(x), operand(cov)
        mean = None if mean is None else np.ravel(operand(mean))
        n = len(cov) if cov.ndim and mean is None else 1 if mean is None else len(mean)  # as SciPy finds it
        if x.ndim < 2:
            x = np.reshape(x, (-1, 1) if n == 1 else (1, -1))
        if cov.ndim < 2:
            cov = cov * np.eye(n, dtype=cov.dtype)
        if cov.shape != (n, n) or x.shape[-1] != n:
            raise ValueError(
                f"multivariate_normal of {n} variables, as many as the mean or else the covariance has: got x of shape "
                f"{x.shape} and a covariance of shape {cov.shape}."
            )
        z = x if mean is None else x - mean
        root = np.linalg.cholesky(0.5 * (cov + cov.T))
        white = np.linalg.solve(root, np.reshape(z, (-1, n)).T)
        square = np.reshape(np.sum(white * white, axis=0), z.shape[:-1])
        return np.squeeze(-0.5 * (n * _LOG_TAU + square) - np.sum(np.log(np.diag(root))))

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1) -> Any:
        """The density at ``x``."""
        return np.exp(self.logpdf(x, mean, cov))


norm, t, gamma, chi2, beta = Norm(), T(), Gamma(), Chi2(), Beta()
poisson = Poisson()
multivariate_normal = MultivariateNormal()
