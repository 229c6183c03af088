"""`check.mutants` makes wrong versions of a rule, sees which are caught, and leaves everything as it was."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp import check
from microgradnp.check.mutation import MUTATIONS
from microgradnp.engine.rules import RULES

A = np.array([[0.5, -1.0, 0.25], [2.0, 0.125, -0.75]])


def outcomes(report: check.MutantReport) -> dict[tuple[int, str], str]:
    return {(m.argument, m.mutation): m.outcome for m in report.mutants}


def test_every_mutation_is_caught_where_it_changes_something() -> None:
    report = check.mutants(np.divide, A + 3, np.array([1.0, 2.0, 3.0]))
    assert report.ok
    assert {m.mutation for m in report.caught} == set(MUTATIONS) - {"wrong axis"}
    assert "wrong axis" in {m.mutation for m in check.mutants(np.max, A, axis=0).caught}


@given(st.sampled_from([np.tanh, np.sin, np.exp, np.square]), check.arrays((2, 3), distinct=True, away_from=0.0))
def test_drawn_inputs_catch_all(f: Any, x: Any) -> None:
    assert not check.mutants(f, x).survived


def test_a_mutant_needs_one_input_of_several_that_gives_it_away() -> None:
    # At a single zero the gradient is zero, whatever its factor.
    assert {m.mutation for m in check.mutants(np.square, np.zeros(2)).survived} >= {"sign", "factor 2", "factor 1.01"}
    report = check.mutants(np.square, strategy=check.arrays((2, 2)))
    assert report.ok
    assert report.draws > 1


def test_what_changes_nothing_is_no_mutant() -> None:
    found = outcomes(check.mutants(np.sum, A))
    assert found[0, "transposed"] == "no mutant"  # all entries of the gradient are the same number
    assert found[0, "wrong axis"] == "no mutant"  # over all axes there is no other
    assert found[0, "dropped sum"] == "no mutant"
    assert found[0, "stale output"] == "no mutant"
    assert outcomes(check.mutants(np.tanh, A))[0, "stale output"] == "caught"
    assert outcomes(check.mutants(np.exp, A[:, :1]))[0, "transposed"] == "no mutant"
    assert check.mutants(lambda x: np.sum(x + 1.0), A).ok
    assert check.mutants(lambda x: np.mean(np.tanh(x) + x), A).ok


def test_inputs_that_are_all_alike_are_no_excuse() -> None:
    assert outcomes(check.mutants(np.prod, np.full((2, 3), 2.0)))[0, "transposed"] == "survived"


def test_broadcasting_gives_dropped_and_doubled_sums() -> None:
    found = outcomes(check.mutants(np.add, A, np.ones(3)))
    assert found[1, "dropped sum"] == found[1, "doubled sum"] == "caught"
    assert found[0, "dropped sum"] == found[0, "doubled sum"] == "no mutant"


def test_a_function_of_any_number_of_arrays() -> None:
    report = check.mutants(lambda a, b: np.concatenate((a, b)), A, A + 4)
    assert report.ok
    assert {m.argument for m in report.mutants} == {0, 1}


def test_rules_of_ones_own() -> None:
    @mg.custom_vjp(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
    def times(a: Any, b: Any) -> Any:
        return a * b

    report = check.mutants(times, A, np.array([1.5, 2.5, 0.5]))
    assert report.ok
    assert {m.rule for m in report.mutants} == {"times"}
    assert "of times are caught" in str(report)
    assert check.mutants(RULES[np.tanh], A).ok


def test_a_rule_that_is_wrong_as_it_stands_raises() -> None:
    @mg.custom_vjp(lambda g, y, x: 1.01 * g)
    def same(x: Any) -> Any:
        return x + 0

    with pytest.raises(check.GradientError):
        check.mutants(same, A)


def test_weak_inputs_show_as_survivors() -> None:
    report = check.mutants(np.square, np.zeros(1))
    assert not report.ok
    assert "survived" in str(report)
    assert len(report.caught) + len(report.survived) < len(MUTATIONS)


def test_the_table_stays_as_it_was_even_after_an_error() -> None:
    before = dict(RULES)
    check.mutants(np.multiply, A, A)
    with pytest.raises(ValueError, match="not finite"):
        check.mutants(np.log, A)
    assert before == RULES
    assert all(RULES[f] is rule for f, rule in before.items())
    assert check.gradients(np.multiply, A, A).ok


def test_other_threads_do_not_notice() -> None:
    stop, wrong = threading.Event(), []

    def watch() -> None:
        while not stop.is_set():
            if float(mg.grad(np.square)(3.0)) != 6.0:
                wrong.append(True)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for _ in range(5):
            assert check.mutants(np.square, A).ok
    finally:
        stop.set()
        thread.join()
    assert not wrong


def test_the_report_is_a_table_also_in_html() -> None:
    report = check.mutants(np.tanh, A)
    assert str(report).count("\n") == len(report.mutants) == len(MUTATIONS)
    html = report._repr_html_()
    assert html.count("<tr>") == len(report.mutants)
