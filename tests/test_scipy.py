"""`microgradnp.scipy`: values as SciPy's on arrays and on Tensors, derivatives of both orders right."""

# ruff: noqa: E501  (a table with a case on each line)

import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import microgradnp as mg
from microgradnp import check

scipy = pytest.importorskip("scipy", reason="SciPy is not installed, which microgradnp.scipy is held against")

from microgradnp.scipy import linalg, signal, special, stats  # noqa: E402

PLACES = np.array([-3.0, -0.5, 0.0, 0.3, 0.7, 1.0, 2.5, np.nan, np.inf, -np.inf])
COUNTS = np.array([-1, 0, 1, 2.5, 3, 10, np.nan])
A = np.array([[0.3, -1.0, 2.0], [0.0, 2.0, 1.0]])
SIGNED = np.array([[1.0, -0.5, 0.2], [-3.0, 1.0, 0.1]])
COVARIANCE = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.5]])
MEAN = np.array([0.1, 0.2, -0.3])
ROWS = np.array([[0.3, 0.5, -1.0], [1.0, 2.0, 0.5]])
SQUARE = COVARIANCE + np.array([[0, 5, 1.0], [2, 0, 1], [1, 1, 0]])


def agrees(ours: Any, scipys: Any, *args: Any, **options: Any) -> None:
    """The same value and shape on arrays, and on Tensors that want a gradient."""
    with np.errstate(all="ignore"):
        expected = scipys(*args, **options)
        lifted = [mg.Tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x for x in args]
        for got in (ours(*args, **options), ours(*lifted, **options)):
            got = got.data if isinstance(got, mg.Tensor) else got
            assert np.shape(got) == np.shape(expected)
            np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


# -- stats -------------------------------------------------------------------------------------------------------------

FAMILIES = {"norm": (), "t": (2.5,), "gamma": (1.7,), "chi2": (3.0,), "beta": (1.5, 2.5)}
families = pytest.mark.parametrize("family", FAMILIES)
methods = pytest.mark.parametrize("method", ["pdf", "logpdf", "cdf", "sf", "logcdf", "logsf"])


@families
@methods
def test_a_family_has_scipys_values(family: str, method: str) -> None:
    ours, scipys = (getattr(getattr(module, family), method) for module in (stats, scipy.stats))
    shapes = FAMILIES[family]
    for rest in [(), (0.1,), (0.1, 1.3), (0.0, -1.0), (0.0, np.array([[1.0], [2.0]]))]:  # a negative scale is NaN
        agrees(ours, scipys, PLACES, *shapes, *rest)
    agrees(ours, scipys, 0.3, *shapes, scale=2.0)
    for i in range(len(shapes)):
        agrees(ours, scipys, PLACES, *(-s if i == j else s for j, s in enumerate(shapes)))


@families
@methods
def test_a_family_has_right_derivatives(family: str, method: str) -> None:
    f = getattr(getattr(stats, family), method)
    shapes = FAMILIES[family]
    if "pdf" in method:
        check.gradients(f, np.array([0.2, 0.5, 0.9]), *shapes, 0.05, 1.2, order=2)
    else:  # by the values, location and scale; the normal distribution has no more
        check.gradients(lambda x, loc, scale: f(x, *shapes, loc, scale), np.array([0.2, 0.5, 0.9]), 0.05, 1.2, order=2)


def test_outside_of_the_support_nothing_depends_on_anything() -> None:
    for gradient in mg.grad(lambda *args: np.sum(stats.gamma.pdf(*args)), (0, 1, 2, 3))(
        np.array([-1.0]), 2.0, 0.5, 2.0
    ):
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_what_a_family_takes_is_said() -> None:
    with pytest.raises(TypeError, match=r"beta takes x and then a, b, loc, scale .* got 1 after x"):
        stats.beta.pdf(0.5, 2.0)
    with pytest.raises(TypeError, match=r"norm takes x and then loc, scale .* sigma by name"):
        stats.norm.pdf(0.5, sigma=2.0)


def test_a_shape_without_a_derivative_is_refused() -> None:
    with pytest.raises(TypeError, match="gammainc has no derivative with respect to its argument 0"):
        mg.grad(stats.gamma.cdf, 1)(0.5, 2.0)


@pytest.mark.parametrize("method", ["pmf", "logpmf", "cdf", "sf", "logcdf", "logsf"])
def test_poisson(method: str) -> None:
    ours, scipys = getattr(stats.poisson, method), getattr(scipy.stats.poisson, method)
    for rest in [(2.5,), (2.5, 1), (-1.0,), (0.0,)]:
        agrees(ours, scipys, COUNTS, *rest)
    agrees(ours, scipys, 3, 2.5)
    check.gradients(lambda mu: ours(np.array([0, 1, 4]), mu), np.array([2.5, 0.3, 3.0]), order=2)


VECTORS: list[tuple[Any, ...]] = [
    (ROWS, MEAN, COVARIANCE), (ROWS[0], MEAN, COVARIANCE), (ROWS, None, COVARIANCE), (ROWS, MEAN), (ROWS, MEAN, 2.0),
    (ROWS, MEAN, np.array([1.0, 2.0, 3.0])), (0.3,), (ROWS[0],), (ROWS[0], 1.0, 2.0), (ROWS[None], MEAN, COVARIANCE),
]  # fmt: skip


@pytest.mark.parametrize("method", ["pdf", "logpdf"])
@pytest.mark.parametrize("case", range(len(VECTORS)))
def test_multivariate_normal(method: str, case: int) -> None:
    f = getattr(stats.multivariate_normal, method)
    agrees(f, getattr(scipy.stats.multivariate_normal, method), *VECTORS[case])
    check.gradients(f, *VECTORS[case], order=2)


def test_multivariate_normal_says_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"of 3 variables.* x of shape \(1, 2\) and a covariance of shape \(3, 3\)"):
        stats.multivariate_normal.logpdf(np.ones(2), MEAN, COVARIANCE)


# -- special -----------------------------------------------------------------------------------------------------------

SUMS: list[dict[str, Any]] = [
    {}, {"axis": 0}, {"axis": 1, "keepdims": True}, {"axis": (0, 1)}, {"keepdims": True}, {"b": np.array([1.0, 0.0, 2.0])},
    {"axis": -1, "b": np.abs(SIGNED)}, {"axis": -1, "b": SIGNED},
]  # fmt: skip


@pytest.mark.parametrize("options", SUMS)
def test_logsumexp(options: dict[str, Any]) -> None:
    agrees(special.logsumexp, scipy.special.logsumexp, A, **options)
    for part in (0, 1):
        pick = lambda f, part=part: lambda a: f(a, return_sign=True, **options)[part]
        agrees(pick(special.logsumexp), pick(scipy.special.logsumexp), A)
    check.gradients(lambda a: special.logsumexp(a, return_sign=True, **options)[0], A, order=2)
    check.gradients(lambda b: special.logsumexp(A, 1, b, return_sign=True)[0], SIGNED, order=2)


@pytest.mark.parametrize("a", [[-np.inf, -np.inf], [np.inf, 1.0], [-np.inf, 2.0], [1e5, 1e5], [np.nan, 1.0], 3.0])
def test_logsumexp_of_the_infinite(a: Any) -> None:
    agrees(special.logsumexp, scipy.special.logsumexp, np.array(a))


def test_what_adds_nothing_gets_no_gradient() -> None:
    np.testing.assert_array_equal(mg.grad(special.logsumexp)(np.array([-np.inf, 2.0])), [0.0, 1.0])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_softmax(name: str, axis: Any) -> None:
    agrees(getattr(special, name), getattr(scipy.special, name), A, axis)
    agrees(getattr(special, name), getattr(scipy.special, name), 1e4 * A, axis)
    check.gradients(lambda x: getattr(special, name)(x, axis), A, order=2)


@pytest.mark.parametrize("n", [0, 1, 2, np.array([[0], [1], [3]])])
def test_polygamma(n: Any) -> None:
    x = np.array([0.5, 2.0, 3.0])
    agrees(lambda x: special.polygamma(n, x), lambda x: scipy.special.polygamma(n, x), x)
    check.gradients(lambda x: special.polygamma(n, x), x, order=2)
    agrees(lambda a: special.multigammaln(a + 1.5, 3), lambda a: scipy.special.multigammaln(a + 1.5, 3), x)


def test_other_names_are_scipys() -> None:
    assert special.gammaln is scipy.special.gammaln
    with pytest.raises(AttributeError):
        special.no_such_function  # noqa: B018


# -- linalg and signal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lower", [False, True])
def test_cholesky(lower: bool) -> None:
    agrees(linalg.cholesky, scipy.linalg.cholesky, SQUARE * np.eye(3) + 0.1 * SQUARE, lower)
    check.gradients(linalg.cholesky, COVARIANCE, lower=lower, order=2)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
@pytest.mark.parametrize("unit_diagonal", [False, True])
def test_solve_triangular(lower: bool, trans: Any, unit_diagonal: bool) -> None:
    for b in (MEAN, ROWS.T):
        agrees(linalg.solve_triangular, scipy.linalg.solve_triangular, SQUARE, b, trans, lower, unit_diagonal)
    check.gradients(lambda a, b: linalg.solve_triangular(a, b, trans, lower, unit_diagonal), SQUARE, ROWS.T, order=2)


@pytest.mark.parametrize(
    "a", [SQUARE, 0.01 * SQUARE, 5 * SQUARE, np.zeros((3, 3)), np.eye(1), np.stack([COVARIANCE, SQUARE])]
)
def test_expm(a: Any) -> None:
    agrees(linalg.expm, scipy.linalg.expm, a)
    check.gradients(linalg.expm, a, order=2, atol=1e-9)


def test_linalg_says_what_does_not_fit() -> None:
    for f, args, words in [
        (linalg.cholesky, (np.ones((2, 3)),), r"cholesky takes square matrices; got shape \(2, 3\)"),
        (linalg.expm, (MEAN,), r"expm takes square matrices; got shape \(3,\)"),
        (linalg.cholesky, (np.diag([1.0, np.nan]),), "infs or NaNs"),
        (linalg.solve_triangular, (SQUARE, MEAN, 3), "trans must be"),
        (signal.convolve, (MEAN, SQUARE), r"same number of dimensions; got \(3,\) and \(3, 3\)"),
        (signal.convolve, (MEAN, MEAN, "half"), "mode must be"),
        (signal.convolve, (ROWS, ROWS.T, "valid"), "as large as the other everywhere"),
    ]:
        with pytest.raises(ValueError, match=words):
            f(*args)  # type: ignore[operator]


SHAPES = [
    ((5,), (3,)),
    ((3,), (5,)),
    ((4,), (4,)),
    ((4, 5), (2, 3)),
    ((2, 3), (4, 5)),
    ((3, 4, 2), (2, 2, 2)),
    ((), ()),
]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_convolve(mode: str, shapes: Any) -> None:
    a, b = (np.random.default_rng(i).normal(size=shape) for i, shape in enumerate(shapes))
    for method in ("auto", "direct", "fft") if a.ndim else ("auto",):
        agrees(signal.convolve, scipy.signal.convolve, np.asarray(a), np.asarray(b), mode, method)
    check.gradients(lambda a, b: signal.convolve(a, b, mode), a, b, order=2)


# -- All of it ---------------------------------------------------------------------------------------------------------


def everything(w: Any) -> Any:
    return (
        np.sum(linalg.expm(w)) + np.sum(signal.convolve(w, w)) + special.logsumexp(w)
        + np.sum(linalg.solve_triangular(w, w)) + np.sum(linalg.cholesky(w))
        + np.sum(stats.t.logpdf(w, w[0] + 3, 2.0)) + np.sum(stats.poisson.logpmf([1.0, 2.0, 3.0], w))
        + np.sum(stats.multivariate_normal.logpdf(w, w[0], w)) + np.sum(stats.gamma.cdf(w, 2.0))
    )  # fmt: skip


def test_a_compiled_step_computes_the_same() -> None:
    step = mg.compile(mg.grad(everything))
    for i in range(4):
        w = COVARIANCE + i * np.eye(3)
        np.testing.assert_allclose(np.asarray(step(w)), mg.grad(everything)(w), rtol=1e-11)


@pytest.mark.parametrize("module", [special, stats, linalg, signal])
def test_integers_and_lists_are_taken(module: ModuleType) -> None:
    calls: dict[ModuleType, Any] = {
        special: lambda: special.softmax([1, 1]) - 0.5,
        stats: lambda: stats.norm.cdf(0) - 0.5,
        linalg: lambda: linalg.expm([[0, 0], [0, 0]]) - np.eye(2),
        signal: lambda: signal.convolve([1, 2], [1]) - [1, 2],
    }
    assert not np.any(calls[module]())


def test_without_scipy_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['scipy'] = None\nimport microgradnp\nimport microgradnp.scipy"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "microgradnp.scipy needs SciPy: pip install 'microgradnp[scipy]'." in done.stderr
