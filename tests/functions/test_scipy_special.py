"""SciPy's special functions on Tensors: values as SciPy's, derivatives of both orders right, over each one's domain.

The rows are read when the first of the functions arrives; this package itself never imports SciPy.
"""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from helpers import leaf
from hypothesis import given, settings
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.engine.dispatch import unsupported
from microgradnp.engine.rules import RULES

sp = pytest.importorskip("scipy.special", reason="SciPy is not installed: its functions' rows have nothing to serve")

LINE, POSITIVE, UNIT, SMALL = (-2.5, 2.5), (0.3, 4.0), (0.05, 0.95), (0.1, 1.5)


def each(named: str, *domain: Any) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(named.split(), domain)


DOMAINS = (
    each("expit log_expit softplus exp2 exp10 expm1 exprel cosm1 sindg cosdg wrightomega", LINE)
    | each("erf erfc erfi erfcx dawsn ndtr log_ndtr j0 j1 i0 i1", LINE)
    | each("cbrt log1p tandg cotdg entr gamma rgamma gammaln loggamma psi", POSITIVE)
    | each("y0 y1 k0 k1 k0e k1e i0e i1e spence exp1 expi", POSITIVE)
    | each("logit erfinv erfcinv ndtri ellipk ellipe", UNIT)
    | each("ndtri_exp", (-4.0, -0.3))
    | each("xlogy xlog1py rel_entr kl_div poch beta betaln owens_t", POSITIVE, POSITIVE)
    | each("boxcox boxcox1p inv_boxcox inv_boxcox1p", POSITIVE, SMALL)
    | each("huber", SMALL, LINE)
    | each("pseudo_huber", POSITIVE, LINE)
    | each("binom", (4.0, 6.0), POSITIVE)
)
BY_THE_LAST = (
    each("gammainc gammaincc chdtr chdtrc pdtr pdtrc jv yv iv ive kv kve stdtr hyp0f1", POSITIVE, POSITIVE)
    | each("gammaincinv gammainccinv stdtrit", POSITIVE, UNIT)
    | each("yn kn expn", 3, POSITIVE)
    | each("betainc betaincc betaincinv betainccinv hyp1f1", POSITIVE, POSITIVE, UNIT)
    | each("hyp2f1", SMALL, SMALL, POSITIVE, (0.05, 0.8))
    | each("zeta", (1.5, 4.0), POSITIVE)
)
"""The functions, with an interval for each argument; an order or a shape is no variable of those by the last alone."""

KNOWN = sorted(name for name in DOMAINS | BY_THE_LAST if hasattr(sp, name))
names = pytest.mark.parametrize("name", KNOWN)
some = settings(max_examples=5)


@st.composite
def arguments(draw: Any, name: str) -> list[Any]:
    """An array for each interval, one of them perhaps a row that is broadcast."""
    domain = (DOMAINS | BY_THE_LAST)[name]
    drawn = []
    for i, interval in enumerate(domain):
        if isinstance(interval, int):
            drawn.append(interval)
            continue
        shape = draw(st.sampled_from([(), (3,), (2, 3)] if i == 0 else [(2, 3)]))
        size = int(np.prod(shape))
        steps = draw(st.lists(st.integers(0, 1000), min_size=size, max_size=size))  # none below 1e-3: SciPy's values
        drawn.append(np.reshape(np.interp(steps, [0, 1000], interval), shape))  # are not right at all of 1e-320
    return drawn


def variables_of(name: str, args: list[Any]) -> tuple[Any, list[Any]]:
    """The function of those arguments by which it has a derivative, and these."""
    f = getattr(sp, name)
    return (f, args) if name in DOMAINS else (lambda x: f(*args[:-1], x), args[-1:])


def test_every_row_is_tried() -> None:
    sp.erf(leaf(1.0))  # the rows are there from now on
    rows = {f.__name__ for f in RULES if isinstance(f, np.ufunc) and getattr(sp, f.__name__, None) is f}
    assert rows == {getattr(sp, name).__name__ for name in KNOWN} - {"zeta", "softplus"}


@names
def test_values_are_scipys_own(name: str) -> None:
    @some
    @given(arguments(name))
    def same(args: list[Any]) -> None:
        f, xs = variables_of(name, args)
        result = f(*(mg.Tensor(x, requires_grad=True) for x in xs))
        np.testing.assert_array_equal(result.data, np.asarray(f(*xs)), strict=True)

    same()


@names
def test_derivatives_of_both_orders_are_right(name: str) -> None:
    @some
    @given(arguments(name))
    def right(args: list[Any]) -> None:
        f, xs = variables_of(name, args)
        check.gradients(f, *xs, order=2, atol=1e-9, rtol=1e-6)

    right()


@names
def test_a_wrong_rule_is_caught(name: str) -> None:
    rng = np.random.default_rng(0)
    args = [x if isinstance(x, int) else rng.uniform(*x, size=3) for x in (DOMAINS | BY_THE_LAST)[name]]
    f, xs = variables_of(name, args)
    outcomes = {m.mutation: m.outcome for m in check.mutants(f, *xs).mutants if m.rule == getattr(sp, name).__name__}
    assert "survived" not in outcomes.values()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: sp.boxcox(2.0 + x, 0.0),
        lambda x: sp.boxcox(3.0, x),
        lambda x: sp.inv_boxcox1p(1.5, x),
        lambda x: sp.xlogy(x, 2.0),
        lambda x: sp.gammainc(1.0, x + 0.5),
        lambda x: sp.spence(1 + x),
        *(getattr(sp, name) for name in ("erf", "i1", "j1", "exprel", "cosm1", "dawsn", "ellipk", "ellipe")),
    ],
)
def test_at_zero_where_the_textbook_formula_is_zero_by_zero(f: Any) -> None:
    assert check.gradients(f, 0.0, order=2).ok


@pytest.mark.parametrize(
    ("name", "x", "first", "second"),
    [
        ("expit", 40.0, np.exp(-40), -np.exp(-40)),
        ("log_expit", 40.0, np.exp(-40), -np.exp(-40)),
        ("expm1", -100.0, np.exp(-100), np.exp(-100)),
        ("erfc", 20.0, -2 / np.sqrt(np.pi) * np.exp(-400), 80 / np.sqrt(np.pi) * np.exp(-400)),
        ("log_ndtr", 30.0, np.exp(-450) / np.sqrt(2 * np.pi), -30 * np.exp(-450) / np.sqrt(2 * np.pi)),
        ("log_ndtr", 50.0, 0.0, 0.0),
        ("log_ndtr", -1e3, 1000.000999998, -0.999999000006),
    ],
)
def test_tails_are_right(name: str, x: float, first: float, second: float) -> None:
    f = getattr(sp, name)
    np.testing.assert_allclose(mg.grad(f)(x), first, rtol=1e-12)
    np.testing.assert_allclose(mg.grad(mg.grad(f))(x), second, rtol=1e-12 if name != "log_ndtr" else 1e-8)


def test_xlogy_at_the_origin_is_right_or_not_finite() -> None:
    with np.errstate(divide="ignore"):
        assert [float(g) for g in mg.grad(sp.xlogy, (0, 1))(0.0, 0.0)] == [-np.inf, 0.0]
    hessian = mg.hessian(lambda v: sp.xlogy(v[0], v[1]))
    np.testing.assert_array_equal(hessian(np.array([0.0, 2.0])), [[0, 0.5], [0.5, 0]])
    with np.errstate(all="ignore"):
        assert not np.any(np.isfinite(hessian(np.zeros(2))))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_dtype_stays(dtype: str) -> None:
    def f(x: Any) -> Any:
        return np.sum(sp.log_ndtr(x) + sp.boxcox(x, 0.5) + sp.spence(x) + sp.jv(2, x) + sp.zeta(2, x) + sp.huber(1, x))

    assert mg.grad(f)(np.array([0.5, 1.5], dtype)).dtype == dtype


def test_outer_and_a_compiled_step() -> None:
    x = np.array([0.5, 1.5, 2.0])

    def loss(w: Any) -> Any:
        return np.sum(sp.beta.outer(w, x) + sp.log_ndtr(w) + sp.xlogy(w, w + 1))

    check.gradients(loss, x)
    step = mg.compile(mg.value_and_grad(loss))
    for factor in (1.0, 2.0, 3.0, 4.0):
        for ours, eager in zip(step(x * factor), mg.value_and_grad(loss)(x * factor), strict=True):
            np.testing.assert_allclose(np.asarray(ours), eager, rtol=1e-13)


def test_a_rule_of_ones_own_is_kept() -> None:
    code = (
        "import scipy.special as sp, microgradnp as mg\n"
        "mg.defvjp(sp.erf, lambda g, y, x: g * 7)\n"
        "print(float(mg.grad(sp.expit)(0.0)), float(mg.grad(sp.erf)(1.0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.25", "7.0"]


# -- What is refused, and what this package does not import ------------------------------------------------------------

X = leaf(1.0, 2.0)
# fmt: off
REFUSED = {
    "by an order": (lambda: np.sum(sp.jv(X, 1.0)).backward(), ["jv", "argument 0", "stop_gradient"]),
    "by a shape": (lambda: np.sum(sp.gammainc(X, 1.0)).backward(), ["gammainc", "argument 0"]),
    "several results": (lambda: sp.sici(X), ["sici", "several arrays"]),
    "complex results": (lambda: sp.hankel1(1, X), ["hankel1", "complex"]),
    "lambertw": (lambda: sp.lambertw(X), ["lambertw", "complex"]),
    "no rule": (lambda: sp.struve(1, X), ["struve has no derivative rule for Tensors. Give it one"]),
    "no rule, a far name": (lambda: sp.ellipkinc(X, 0.5), ["ellipkinc has no derivative rule for Tensors. G"]),
    "a method": (lambda: sp.beta.reduce(X), ["beta.reduce has no derivative rule for Tensors. Give"]),
    "where=": (lambda: sp.erf(X, where=[True, False]), ["erf", "where=", "np.where"]),
    "out=": (lambda: sp.erf(X, out=np.zeros(2)), ["erf", "out=", "Leave out= away"]),
}
# fmt: on


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_derivative_says_so(case: str) -> None:
    f, words = REFUSED[case]
    with pytest.raises(TypeError) as caught:
        f()
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_sign_is_a_plain_result() -> None:
    np.testing.assert_array_equal(sp.gammasgn(leaf(-0.5, 2.0)), [-1.0, 1.0])


@pytest.mark.parametrize(
    ("name", "hint"), [("fdtr", None), ("bdtri", None), ("voigt", None), ("logadexp", "np.logaddexp")]
)
def test_only_near_names_are_suggested(name: str, hint: str | None) -> None:
    def function() -> None: ...

    function.__name__ = name
    message = unsupported(function, {})
    assert ("nearest" in message) == (hint is not None)
    assert hint is None or f"nearest supported function is {hint}." in message


@pytest.mark.parametrize("statement", ["mg.grad(np.sin)(1.0)", "np.frompyfunc(abs, 1, 1)(mg.Tensor(1.0))"])
def test_scipy_is_not_imported(statement: str) -> None:
    code = f"import sys, numpy as np, microgradnp as mg\n{statement}\nprint('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
