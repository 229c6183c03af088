"""Every row of the table and every function composed of rows, over its recipe: values as NumPy's, derivatives right.

The derivatives are compared with finite differences, first and second order (and third in the thorough profile); the
same check must catch every row made wrong on purpose.
"""

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import BUILT_IN, RECIPES, Case

import microgradnp as mg
from microgradnp import check, tree
from microgradnp.engine.rules import RULES
from microgradnp.functions.special import signed
from microgradnp.signatures import name_of

PROFILE = settings.get_profile(settings.get_current_profile_name())
THOROUGH = PROFILE.max_examples >= 1000
ORDER = 3 if THOROUGH else 2

# There are 250 functions, most of them composed of the same few rows: a quarter of the examples each will do.
some = settings(max_examples=PROFILE.max_examples if THOROUGH else PROFILE.max_examples // 4)

# Entries that sum to zero leave the rounding of their terms behind, which no relative tolerance covers.
ATOL = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-5}

# Wrong versions that are no different: the rule does not ask for what was changed, or the gradient is zero.
EQUIVALENT = {
    (np.unwrap, 0, "wrong axis"): "the gradient is the same along every axis",
    (np.copysign, 0, "stale output"): "only the sign of the output is used",
    (np.fmod, 1, "stale output"): "only the whole quotient that it leaves is used",
}
ZERO = {(np.copysign, 1), (np.heaviside, 0), (signed, 1)}

functions = pytest.mark.parametrize("function", RECIPES, ids=name_of)


def test_every_row_and_every_function_has_a_recipe() -> None:
    missing = sorted(name_of(f) for f in BUILT_IN if f not in RECIPES)
    assert not missing, f"no recipe for {missing}: give each one in tests/recipes/"


@functions
def test_values_are_numpys_own(function: Any) -> None:
    @some
    @given(st.one_of(RECIPES[function]))
    def same(case: Case) -> None:
        expected = case.f(*case.args)
        assert_equal(case.f(*(mg.Tensor(x, requires_grad=True) for x in case.args)), expected)
        with mg.no_grad():
            assert_equal(case.f(*(mg.Tensor(x) for x in case.args)), expected)

    same()


def assert_equal(result: Any, expected: Any) -> None:
    """Equal in shape, dtype and value, but for rounding; plain where there is no gradient."""
    if isinstance(expected, tuple | list):
        assert len(result) == len(expected)
        for part, expected_part in zip(result, expected, strict=True):
            assert_equal(part, expected_part)
        return
    values = np.asarray(result.data if isinstance(result, mg.Tensor) else result)
    expected = np.asarray(expected.data if isinstance(expected, mg.Tensor) else expected)
    assert (values.shape, values.dtype) == (expected.shape, expected.dtype)
    few = 256 * float(np.finfo(expected.dtype).eps) if expected.dtype.kind == "f" else 0.0
    np.testing.assert_allclose(values, expected, rtol=few, atol=few)


@functions
def test_derivatives_are_right(function: Any) -> None:
    @some
    @given(st.one_of(RECIPES[function]))
    def right(case: Case) -> None:
        check.gradients(case.f, *case.args, order=ORDER, atol=max(ATOL[x.dtype] for x in case.args))

    right()


@pytest.mark.parametrize("function", [f for f in BUILT_IN if f in RULES], ids=name_of)
def test_a_wrong_rule_is_caught(function: Any) -> None:
    outcomes: dict[tuple[int, str], set[str]] = defaultdict(set)

    def break_it(case: Case) -> None:
        if not all(x.size for x in case.args):
            return
        try:
            report = check.mutants(case.f, *case.args)
        except check.GradientError:  # by rounding, for lack of ATOL: the rule itself is judged by the test above
            return
        for mutant in report.mutants:
            where = mutant.argument, mutant.mutation
            alike = (function, *where) in EQUIVALENT or (function, mutant.argument) in ZERO
            if mutant.rule == name_of(function) and not alike:
                outcomes[where].add(mutant.outcome)

    # Draws go on as long as something is not caught, so that nothing depends on luck.
    for examples in (4, 20, 200):
        settings(max_examples=examples)(given(st.one_of(RECIPES[function]))(break_it))()
        survivors = [where for where, found in outcomes.items() if "survived" in found and "caught" not in found]
        if not survivors and any("caught" in found for found in outcomes.values()):
            return
    pytest.fail(f"wrong versions of {name_of(function)} pass the check: {survivors}")


@functions
def test_where_the_data_lie_does_not_matter(function: Any) -> None:
    """A broadcast view repeats one element without storing it twice; a copy must give the same, errors included."""

    @some
    @given(st.one_of(RECIPES[function]))
    def same(case: Case) -> None:
        views = tuple(np.broadcast_to(x.ravel()[:1].reshape((1,) * x.ndim), x.shape) for x in case.args if x.size)
        if len(views) == len(case.args):
            one, two = outcome(case.f, views), outcome(case.f, tuple(x.copy() for x in views))
            if isinstance(one, str):
                assert one == two
                return
            for x, y in zip(one, two, strict=True):
                few = 1000 * float(np.finfo(x.dtype).eps) if x.dtype.kind == "f" else 0.0  # sums in another order
                np.testing.assert_allclose(x, y, rtol=few, atol=few)

    same()


def outcome(f: Any, args: tuple[Any, ...]) -> Any:
    """The value and the gradients, or the kind of error."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a matrix of equal entries has equal eigenvalues
        try:
            value, pullback = mg.vjp(f, *args)
            results = [np.asarray(r) for r in tree.leaves(value)]
            return results + list(pullback(tree.like(value, [np.ones(r.shape) for r in results])))
        except (ValueError, TypeError, np.linalg.LinAlgError) as error:
            return type(error).__name__
