"""SciPy's special functions: their rows of the table, read when the first of them arrives on a Tensor.

Only then is this file imported, when SciPy's module is there already: this package imports no other than NumPy. The
derivatives are those of the Digital Library of Mathematical Functions (DLMF), in the form that does not cancel. An
order (of a Bessel function, say) or a shape by which there is no elementary derivative has None in its place.
"""

import math
from typing import Any

import numpy as np
import scipy.special as sp

from microgradnp.engine.dispatch import CONSTANTS, REFUSED
from microgradnp.engine.rules import RULES, Vjp, defvjp
from microgradnp.engine.table import but_zero
from microgradnp.functions.ufuncs import ufunc_methods

_ROOT_PI = math.sqrt(math.pi)
_ROOT_TAU = math.sqrt(2 * math.pi)


def _row(name: str, *rules: Vjp | None) -> None:
    """One row, where this version of SciPy has the function and it has not been given a row by someone else."""
    function = getattr(sp, name, None)
    if isinstance(function, np.ufunc) and function not in RULES:
        defvjp(function, *rules)
        if function.nin == 2:
            ufunc_methods(function)


# -- Exponentials, logarithms, powers, angles --------------------------------------------------------------------------

# fmt: off
_row("expit",        lambda g, y, x: g * (y * sp.expit(-x)))
_row("log_expit",    lambda g, y, x: g * sp.expit(-x))
_row("logit",        lambda g, y, x: g / (x * (1 - x)))
_row("exp2",         lambda g, y, x: g * (y * math.log(2)))
_row("exp10",        lambda g, y, x: g * (y * math.log(10)))
_row("expm1",        lambda g, y, x: g * np.exp(x))
_row("log1p",        lambda g, y, x: g / (1 + x))
_row("exprel",       lambda g, y, x: g * (0.5 * sp.hyp1f1(2.0, 3.0, x)))
_row("cbrt",         lambda g, y, x: g / (3 * y * y))
_row("cosm1",        lambda g, y, x: -g * np.sin(x))
_row("sindg",        lambda g, y, x: g * (sp.cosdg(x) * (math.pi / 180)))
_row("cosdg",        lambda g, y, x: -g * (sp.sindg(x) * (math.pi / 180)))
_row("tandg",        lambda g, y, x: g * ((1 + y * y) * (math.pi / 180)))
_row("cotdg",        lambda g, y, x: -g * ((1 + y * y) * (math.pi / 180)))
_row("wrightomega",  lambda g, y, x: g * (y / (1 + y)))
_row("boxcox",       lambda g, y, x, power: g * np.power(x, power - 1),
                     lambda g, y, x, power: g * _by_power(np.log(x), power))
_row("boxcox1p",     lambda g, y, x, power: g * np.power(1 + x, power - 1),
                     lambda g, y, x, power: g * _by_power(np.log1p(x), power))
_row("inv_boxcox",   lambda g, y, x, power: g * np.power(y, 1 - power),
                     lambda g, y, x, power: g * (y * _root_by_power(x, power)))
_row("inv_boxcox1p", lambda g, y, x, power: g * np.power(1 + y, 1 - power),
                     lambda g, y, x, power: g * ((1 + y) * _root_by_power(x, power)))
# fmt: on


def _by_power(log: Any, power: Any) -> Any:
    """The derivative of (x**power - 1) / power, which is log * exprel(power * log), by the power: at 0 too."""
    return 0.5 * log * log * sp.hyp1f1(2.0, 3.0, power * log)


def _root_by_power(x: Any, power: Any) -> Any:
    """The derivative of log1p(power * x) / power, which is x * 2F1(1, 1; 2; -power * x), by the power: at 0 too."""
    return -0.5 * x * x * sp.hyp2f1(2.0, 2.0, 3.0, -power * x)


# -- The error function, and the normal distribution -------------------------------------------------------------------

# fmt: off
_row("erf",          lambda g, y, x: g * (np.exp(-x * x) * (2 / _ROOT_PI)))
_row("erfc",         lambda g, y, x: -g * (np.exp(-x * x) * (2 / _ROOT_PI)))
_row("erfi",         lambda g, y, x: g * (np.exp(x * x) * (2 / _ROOT_PI)))
_row("erfcx",        lambda g, y, x: g * (2 * x * y - 2 / _ROOT_PI))
_row("dawsn",        lambda g, y, x: g * (1 - 2 * x * y))
_row("erfinv",       lambda g, y, x: g * (np.exp(y * y) * (_ROOT_PI / 2)))
_row("erfcinv",      lambda g, y, x: -g * (np.exp(y * y) * (_ROOT_PI / 2)))
_row("ndtr",         lambda g, y, x: g * (np.exp(-0.5 * x * x) / _ROOT_TAU))
_row("ndtri",        lambda g, y, x: g * (np.exp(0.5 * y * y) * _ROOT_TAU))
_row("log_ndtr",     lambda g, y, x: g * _inverse_mills(x))
_row("ndtri_exp",    lambda g, y, x: g / _inverse_mills(y))
_row("owens_t",      lambda g, y, h, a: -g * (np.exp(-0.5 * h * h) * sp.erf(a * h / math.sqrt(2)) / (2 * _ROOT_TAU)),
                     lambda g, y, h, a: g * (np.exp(-0.5 * h * h * (1 + a * a)) / (2 * math.pi * (1 + a * a))))
# fmt: on


def _inverse_mills(x: Any) -> Any:
    """The density of the normal distribution over its distribution function, right in both tails."""
    low, high = np.where(x < 0, x, 0), np.where(x < 0, 0, x)
    below = math.sqrt(2 / math.pi) / sp.erfcx(low * -math.sqrt(0.5))
    return np.where(x < 0, below, np.exp(-0.5 * high * high) / (_ROOT_TAU * sp.ndtr(high)))


# -- Entropies and losses ----------------------------------------------------------------------------------------------

# fmt: off
_row("xlogy",        lambda g, y, a, b: g * np.log(b),                     lambda g, y, a, b: g * _over(a, b))
_row("xlog1py",      lambda g, y, a, b: g * np.log1p(b),                   lambda g, y, a, b: g * _over(a, 1 + b))
_row("entr",         lambda g, y, x: -g * (np.log(x) + 1))
_row("rel_entr",     lambda g, y, a, b: g * (np.log(a / b) + 1),           lambda g, y, a, b: -g * (a / b))
_row("kl_div",       lambda g, y, a, b: g * np.log(a / b),                 lambda g, y, a, b: g * (1 - a / b))
_row("huber",        lambda g, y, d, r: g * np.maximum(np.absolute(r) - d, 0),
                     lambda g, y, d, r: g * np.clip(r, -d, d))
_row("pseudo_huber", lambda g, y, d, r: g * _by_width(d, r),
                     lambda g, y, d, r: g * (r / np.hypot(1, r / d)))
# fmt: on


def _over(a: Any, b: Any) -> Any:
    """a / b, and 0 for 0 / 0, whose derivatives by a, infinite there, and by b are right: cbrt has both at 0."""
    both = (a == 0) & (b == 0)
    return np.where(both, np.cbrt(np.where(both, a, 1)), a / np.where(both, 1, b))


def _by_width(d: Any, r: Any) -> Any:
    """The derivative of d**2 (s - 1) by d, where s = hypot(1, r / d), without cancellation."""
    s = np.hypot(1, r / d)
    part = (r / d) * (r / d) / (s + 1)
    return d * part * part / s


# -- Gamma and beta functions, and the distributions of their integrals ------------------------------------------------

# fmt: off
_row("gamma",        lambda g, y, x: g * (y * sp.psi(x)))
_row("rgamma",       lambda g, y, x: -g * (y * sp.psi(x)))
_row("gammaln",      lambda g, y, x: g * sp.psi(x))
_row("loggamma",     lambda g, y, x: g * sp.psi(x))
_row("psi",          lambda g, y, x: g * _ZETA(2.0, x))
_row("poch",         lambda g, y, z, m: g * (y * (sp.psi(z + m) - sp.psi(z))),
                     lambda g, y, z, m: g * (y * sp.psi(z + m)))
_row("binom",        lambda g, y, n, k: g * (y * (sp.psi(n + 1) - sp.psi(n - k + 1))),
                     lambda g, y, n, k: g * (y * (sp.psi(n - k + 1) - sp.psi(k + 1))))
_row("beta",         lambda g, y, a, b: g * (y * (sp.psi(a) - sp.psi(a + b))),
                     lambda g, y, a, b: g * (y * (sp.psi(b) - sp.psi(a + b))))
_row("betaln",       lambda g, y, a, b: g * (sp.psi(a) - sp.psi(a + b)),
                     lambda g, y, a, b: g * (sp.psi(b) - sp.psi(a + b)))
_row("gammainc",     None,                                           lambda g, y, a, x: g * _gamma_density(a, x))
_row("gammaincc",    None,                                           lambda g, y, a, x: -g * _gamma_density(a, x))
_row("gammaincinv",  None,                                           lambda g, y, a, p: g / _gamma_density(a, y))
_row("gammainccinv", None,                                           lambda g, y, a, p: -g / _gamma_density(a, y))
_row("chdtr",        None,                                           lambda g, y, k, x: g * _chi2_density(k, x))
_row("chdtrc",       None,                                           lambda g, y, k, x: -g * _chi2_density(k, x))
_row("pdtr",         None,                                           lambda g, y, k, m: -g * _poisson(k, m))
_row("pdtrc",        None,                                           lambda g, y, k, m: g * _poisson(k, m))
_row("betainc",      None,                                     None, lambda g, y, a, b, x: g * _beta_density(a, b, x))
_row("betaincc",     None,                                     None, lambda g, y, a, b, x: -g * _beta_density(a, b, x))
_row("betaincinv",   None,                                     None, lambda g, y, a, b, p: g / _beta_density(a, b, y))
_row("betainccinv",  None,                                     None, lambda g, y, a, b, p: -g / _beta_density(a, b, y))
_row("stdtr",        None,                                           lambda g, y, k, x: g * _t_density(k, x))
_row("stdtrit",      None,                                           lambda g, y, k, p: g / _t_density(k, y))
# fmt: on

# The derivatives of psi: Hurwitz's zeta function, which `scipy.special.zeta` of two arguments calls.
_ZETA: Any = sp._ufuncs._zeta
if _ZETA not in RULES:
    defvjp(_ZETA, None, lambda g, y, s, x: -g * (s * _ZETA(s + 1, x)))


def _gamma_density(a: Any, x: Any) -> Any:
    return np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a))


def _chi2_density(k: Any, x: Any) -> Any:
    return 0.5 * _gamma_density(0.5 * k, 0.5 * x)


def _poisson(k: Any, m: Any) -> Any:
    return _gamma_density(np.floor(k) + 1, m)


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return np.exp(sp.xlogy(a - 1, x) + sp.xlog1py(b - 1, -x) - sp.betaln(a, b))


def _t_density(k: Any, x: Any) -> Any:
    return np.exp(-0.5 * (k + 1) * np.log1p(x * x / k) - sp.betaln(0.5, 0.5 * k)) / np.sqrt(k)


# -- Bessel functions: each order's derivative from its neighbours (DLMF 10.6, 10.29) ----------------------------------

# fmt: off
_row("j0",         lambda g, y, x: -g * sp.j1(x))
_row("j1",         lambda g, y, x: g * (0.5 * (sp.j0(x) - sp.jv(2.0, x))))
_row("jv",   None, lambda g, y, v, x: g * (0.5 * (sp.jv(v - 1, x) - sp.jv(v + 1, x))))
_row("y0",         lambda g, y, x: -g * sp.y1(x))
_row("y1",         lambda g, y, x: g * (0.5 * (sp.y0(x) - sp.yv(2.0, x))))
_row("yn",   None, lambda g, y, n, x: g * (0.5 * (sp.yv(n - 1, x) - sp.yv(n + 1, x))))
_row("yv",   None, lambda g, y, v, x: g * (0.5 * (sp.yv(v - 1, x) - sp.yv(v + 1, x))))
_row("i0",         lambda g, y, x: g * sp.i1(x))
_row("i1",         lambda g, y, x: g * (0.5 * (sp.i0(x) + sp.iv(2.0, x))))
_row("iv",   None, lambda g, y, v, x: g * (0.5 * (sp.iv(v - 1, x) + sp.iv(v + 1, x))))
_row("i0e",        lambda g, y, x: g * (sp.i1e(x) - np.sign(x) * y))
_row("i1e",        lambda g, y, x: g * (0.5 * (sp.i0e(x) + sp.ive(2.0, x)) - np.sign(x) * y))
_row("ive",  None, lambda g, y, v, x: g * (0.5 * (sp.ive(v - 1, x) + sp.ive(v + 1, x)) - np.sign(x) * y))
_row("k0",         lambda g, y, x: -g * sp.k1(x))
_row("k1",         lambda g, y, x: -g * (0.5 * (sp.k0(x) + sp.kv(2.0, x))))
_row("kn",   None, lambda g, y, n, x: -g * (0.5 * (sp.kv(n - 1, x) + sp.kv(n + 1, x))))
_row("kv",   None, lambda g, y, v, x: -g * (0.5 * (sp.kv(v - 1, x) + sp.kv(v + 1, x))))
_row("k0e",        lambda g, y, x: g * (y - sp.k1e(x)))
_row("k1e",        lambda g, y, x: g * (y - 0.5 * (sp.k0e(x) + sp.kve(2.0, x))))
_row("kve",  None, lambda g, y, v, x: g * (y - 0.5 * (sp.kve(v - 1, x) + sp.kve(v + 1, x))))
# fmt: on

# -- Integrals, and hypergeometric functions ---------------------------------------------------------------------------

# fmt: off
_row("spence",       lambda g, y, x: -g * sp.hyp2f1(1.0, 1.0, 2.0, 1 - x))
_row("exp1",         lambda g, y, x: -g * (np.exp(-x) / x))
_row("expi",         lambda g, y, x: g * (np.exp(x) / x))
_row("expn",         None,           lambda g, y, n, x: -g * sp.expn(n - 1, x))
_row("ellipk",       lambda g, y, m: g * (sp.hyp2f1(1.5, 1.5, 2.0, m) * (math.pi / 8)))
_row("ellipe",       lambda g, y, m: -g * (sp.hyp2f1(0.5, 1.5, 2.0, m) * (math.pi / 8)))
_row("hyp0f1",       None,           lambda g, y, v, x: g * (sp.hyp0f1(v + 1, x) / v))
_row("hyp1f1",       None, None,     lambda g, y, a, b, x: g * (sp.hyp1f1(a + 1, b + 1, x) * (a / b)))
_row("hyp2f1",       None, None, None,
                     lambda g, y, a, b, c, x: g * (sp.hyp2f1(a + 1, b + 1, c + 1, x) * (a * b / but_zero(c))))
# fmt: on

# -- Those that have no row --------------------------------------------------------------------------------------------

CONSTANTS.add(sp.gammasgn)
for _ufunc in [f for f in (*vars(sp).values(), sp._ufuncs._lambertw) if isinstance(f, np.ufunc) and f not in RULES]:
    if _ufunc.nout > 1:
        REFUSED[_ufunc] = "it returns several arrays at once, and a rule of the table serves one."
    elif all(types.partition("->")[2] in "FD" for types in _ufunc.types):
        REFUSED[_ufunc] = "its result is complex, which Tensors do not hold."
