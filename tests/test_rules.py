"""Every row of the table and every function composed of rows, over its recipe: values as NumPy's, derivatives right.

The derivatives are compared with finite differences, first and second order (and third in the thorough profile); the
same check must catch every row made wrong on purpose.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import RECIPES, Case

import microgradnp as mg
from microgradnp import check
from microgradnp.engine.functions import CREATION
from microgradnp.engine.rules import RULES, name_of
from microgradnp.engine.tensor import FUNCTIONS

THOROUGH = settings.get_current_profile_name() == "thorough"
ORDER = 3 if THOROUGH else 2

# Entries that sum to zero leave the rounding of their terms behind, which no relative tolerance covers.
ATOL = 1e-11

functions = pytest.mark.parametrize("function", RECIPES, ids=name_of)


def test_every_row_and_every_function_has_a_recipe() -> None:
    own = [f for f in {**RULES, **FUNCTIONS} if f not in CREATION and f.__module__ != "test_custom"]
    missing = sorted(name_of(f) for f in own if f not in RECIPES)
    assert not missing, f"no recipe for {missing}: give each one in tests/recipes.py"


@functions
def test_values_are_numpys_own(function: Any) -> None:
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
    @given(st.one_of(RECIPES[function]))
    def right(case: Case) -> None:
        check.gradients(case.f, *case.args, order=ORDER, atol=ATOL)

    right()


@pytest.mark.parametrize("function", RULES, ids=name_of)
def test_a_wrong_rule_is_caught(function: Any) -> None:
    outcomes: dict[tuple[int, str], set[str]] = defaultdict(set)
    name = name_of(function)

    @given(st.one_of(RECIPES[function]))
    def break_it(case: Case) -> None:
        if all(x.size for x in case.args):
            for mutant in check.mutants(case.f, *case.args).mutants:
                if mutant.rule == name:
                    outcomes[mutant.argument, mutant.mutation].add(mutant.outcome)

    break_it()
    survived = [where for where, found in outcomes.items() if "survived" in found and "caught" not in found]
    assert not survived, f"wrong versions of {name} pass the check: {survived}"
    assert any("caught" in found for found in outcomes.values())
