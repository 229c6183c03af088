"""Debug mode: what it notices, whom it blames, and that it changes nothing else."""

import threading
from inspect import currentframe

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp.engine.rules import RULES, Rule
from microgradnp.engine.state import PLAIN, current
from microgradnp.engine.tensor import apply


def here() -> int:
    """The number of the line that calls this."""
    return currentframe().f_back.f_lineno


def leaf(*values, name=None):
    return mg.Tensor(values, requires_grad=True, name=name)


# -- Arrays changed between forward and backward


def by_argument(x):
    a = np.array([1.0, 2.0, 3.0])
    return np.sum(x * a), a, "argument 1, of shape (3,), of np.multiply"


def by_index(x):
    index = np.array([0, 1, 1])
    return np.sum(x[index] * 2.0), index, "the array given as index of getitem"


def by_condition(x):
    mask = np.array([True, False, True])
    return np.sum(np.where(mask, x, 0.0)), mask, "argument 0, of shape (3,), of np.where"


def by_value(x):
    y = np.exp(x)
    return np.sum(y), y.data, "argument 0 (the result of np.exp), of shape (3,), of np.sum"


def by_result(x):
    y = np.sum(np.exp(x), keepdims=True)
    return y, y.data, "the value, of shape (1,), of np.sum"


def by_leaf(x):
    return np.sum(x * x), x.data, "argument 0 (x), of shape (3,), of np.multiply"


def by_constant(x):
    c = mg.Tensor([1.0, 2.0, 3.0])
    return np.sum(c / x), c.data, "argument 0, of shape (3,), of np.divide"


@mg.custom_vjp(lambda g, y, x, *, table: g * table["numbers"][0])
def scaled(x, *, table):
    return x * table["numbers"][0]


def by_number(x):
    numbers = [2.0, 3.0]
    return np.sum(scaled(x, table={"numbers": numbers})), numbers, "the number given as table of scaled"


CAPTURES = [by_number, by_argument, by_index, by_condition, by_value, by_result, by_leaf, by_constant]


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_changed_array_is_noticed_and_the_operation_named(capture):
    x = leaf(1.0, 2.0, 4.0, name="x")
    with mg.debug():
        loss, array, what = capture(x)
        array[0] = not array[0] if np.asarray(array).dtype == bool else array[0] + 1
        with pytest.raises(RuntimeError, match="changed between forward and backward") as error:
            loss.backward()
    assert what in str(error.value)
    assert f"{__file__}:" in str(error.value)
    assert f" in {capture.__name__}," in str(error.value)
    assert x.grad is None


@pytest.mark.parametrize("capture", CAPTURES)
def test_an_array_changed_afterwards_is_nobodys_business(capture):
    x = leaf(1.0, 2.0, 4.0)
    loss, _, _ = capture(x)
    loss.backward()
    expected, x.grad = x.grad, None
    with mg.debug():
        loss, array, _ = capture(x)
        loss.backward()
        array[0] = 0
    np.testing.assert_array_equal(x.grad, expected)


@pytest.mark.parametrize("change", [lambda numbers: numbers.append(1.0), lambda numbers: numbers.clear()])
def test_an_option_that_grows_or_shrinks_is_noticed(change):
    x, numbers = leaf(1.0, 2.0), [2.0, 3.0]
    with mg.debug():
        y = np.sum(scaled(x, table={"numbers": numbers}))
        change(numbers)
        with pytest.raises(RuntimeError, match=r"an option of scaled, called at .*changed between"):
            y.backward()


def test_new_data_under_an_old_graph_is_noticed():
    x = leaf(1.0, 2.0)
    with mg.debug():
        loss = np.sum(x * x)
        with mg.no_grad():
            x -= 0.5
        with pytest.raises(RuntimeError, match=r"argument 0, of shape \(2,\), of np.multiply"):
            loss.backward()


def test_a_pullback_notices_too():
    x, a = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    with mg.debug():
        _, pullback = mg.vjp(lambda x: x * a, x)
        a[1] = 0.0
        with pytest.raises(RuntimeError, match=r"argument 1.*np\.multiply"):
            pullback(np.ones(2))


# -- The first NaN, the first infinity


@pytest.mark.parametrize(
    ("function", "value", "facts"),
    [
        (np.log, [1.0, 0.0], ["np.log", "-inf at [1]", "from the argument 0.0"]),
        (np.sqrt, [-1.0, 1.0], ["np.sqrt", "nan at [0]", "from the argument -1.0"]),
        (np.exp, [1e4], ["np.exp", "inf at [0]", "10000.0"]),
        (lambda x: 1.0 / x, [0.0], ["np.divide", "inf at [0]", "1.0 and 0.0"]),
        (lambda x: x - x, [np.inf], ["np.subtract", "nan at [0]", "inf and inf"]),
        (lambda x: np.sum(x), [1e308, 1e308], ["np.sum", "inf"]),
        (lambda x: x @ x, [1e200, 1.0], ["np.matmul", "inf"]),
    ],
)
def test_the_operation_where_it_appears_is_named(function, value, facts):
    x = mg.Tensor(value, requires_grad=True)
    with mg.debug(), pytest.raises(FloatingPointError) as error:
        function(x)
    assert all(fact in str(error.value) for fact in facts), str(error.value)


def test_the_users_line_is_named():
    x = leaf(2.0, 0.0)
    with mg.debug(), pytest.raises(FloatingPointError) as error:
        np.exp(np.mean(np.log(x) * 3.0))
    line = here() - 1
    assert f"{__file__}:{line} in test_the_users_line_is_named" in str(error.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_came_in_bad_is_not_the_operations_fault(bad):
    x = leaf(1.0, bad)
    with mg.debug():
        np.sum(np.exp(np.maximum(x, 0.0)) * 2.0)


def test_an_infinity_at_one_place_does_not_excuse_one_at_another():
    x = leaf(np.inf, 0.0)
    with mg.debug(), pytest.raises(FloatingPointError, match=r"np\.log gave -inf at \[1\]"):
        np.log(x)


def test_the_branch_not_taken_is_named():
    x = leaf(-1.0, 4.0)
    with mg.debug(), pytest.raises(FloatingPointError, match=r"np\.sqrt gave nan at \[0\]"):
        np.where(x > 0, np.sqrt(x), 0.0)


def test_a_gradient_that_blows_up_is_blamed_on_its_rule():
    x = leaf(4.0, 0.0)
    with mg.debug():
        line = here() + 1
        y = np.sqrt(x)
        loss = np.sum(y * 2.0)
        with pytest.raises(FloatingPointError) as error:
            loss.backward()
    message = str(error.value)
    assert "the derivative rule of np.sqrt for argument 0" in message
    assert "inf at [1]" in message
    assert f"{__file__}:{line}" in message


@pytest.mark.parametrize("use", [lambda x: x, lambda x: x * 1.0])
@pytest.mark.parametrize(("parts", "what"), [((1e308, 1e308), "inf"), ((1e308, 1.0, 1e308), "inf")])
def test_gradients_that_are_too_large_together_are_noticed(use, parts, what):
    x = leaf(0.0, 1e-300, name="x")
    with mg.debug():
        y = use(x)
        line = here() + 1
        losses = [np.sum(y * part) for part in parts]
        with pytest.raises(FloatingPointError) as error:
            sum(losses).backward()
        with pytest.raises(FloatingPointError, match="add up to inf"):
            mg.hessian(lambda x: sum(np.sum(x * x * (part / 2)) for part in parts))(x.data)
    message = str(error.value)
    assert ("the gradients of x" if y is x else "the gradients of the result of np.multiply") in message
    assert f"of shape (2,), add up to {what} at [0], where that of np.multiply is added" in message
    assert f"{__file__}:{line}" in message


def test_infinities_that_came_in_may_be_added():
    x = leaf(1.0, 2.0)
    with mg.debug():
        (x * 2.0 + x * 3.0).backward(np.array([1.0, np.inf]))
    np.testing.assert_array_equal(x.grad, [5.0, np.inf])


@pytest.mark.parametrize("order", [1, 2])
def test_a_function_that_changes_its_argument_is_noticed(order):
    @mg.custom_vjp(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
    def product(a, b):
        y = a * b
        b += 1.0
        return y

    x = np.array([1.0, 2.0])
    f = (lambda x: np.sum(product(2.0, x))) if order == 1 else mg.grad(lambda x: np.sum(product(2.0, x * x)))
    with mg.debug():
        line = here() - 2
        with pytest.raises(RuntimeError, match=r"product changed its argument 1 \(b\) in place") as error:
            mg.grad(f)(x)
    assert f"{__file__}:{line}" in str(error.value)


def test_a_bad_seed_is_not_a_rules_fault():
    x = leaf(1.0, 2.0)
    with mg.debug():
        np.exp(x).backward(np.array([1.0, np.nan]))
    assert np.isnan(x.grad[1])
    assert np.isfinite(x.grad[0])


def test_finite_false_lets_them_pass_but_not_the_changes():
    x, a = leaf(4.0, 0.0), np.ones(2)
    with mg.debug(finite=False), np.errstate(divide="ignore"):
        np.sum(np.sqrt(x)).backward()
        loss = np.sum(a * x)
        a += 1
        with pytest.raises(RuntimeError, match="was changed"):
            loss.backward()
    np.testing.assert_array_equal(x.grad, [0.25, np.inf])


# -- Rules that are wrong in kind


def float64_constant(g, y, x):
    return g * np.full(x.shape, 2.0)


def changes_g(g, y, x):
    g *= 2.0
    return g


def changes_x(g, y, x):
    x *= 2.0
    return g * x


@pytest.mark.parametrize(
    ("rule", "kind", "fact"),
    [
        (lambda g, y, x: None, TypeError, "returned None"),
        (lambda g, y, x: (g, g), TypeError, "returned a tuple of 2"),
        (lambda g, y, x: g * 1j, TypeError, "returned an array of dtype complex"),
        (lambda g, y, x: g[:1], ValueError, r"gradient of shape \(1,\).*argument has shape \(3,\)"),
        (lambda g, y, x: g.sum(), ValueError, r"gradient of shape \(\).*argument has shape \(3,\)"),
        (float64_constant, TypeError, "float64 from float32"),
        (changes_g, RuntimeError, "changed the gradient that it was given"),
        (changes_x, RuntimeError, "changed an array that it was given"),
    ],
)
def test_a_wrong_rule_is_named_with_its_argument_and_line(rule, kind, fact):
    def double(angle):
        return 2 * angle

    double.__name__ = "twice"
    row = Rule(double, double, (rule,))  # as in the table: a rule of the user's gets a gradient of its own
    x = mg.Tensor(np.ones(3, np.float32), requires_grad=True)
    with mg.debug():
        line = here() + 1
        loss = np.sum(apply(row, (x,)) * np.float32(3.0))
        with pytest.raises(kind, match=fact) as error:
            loss.backward()
    assert "the derivative rule of twice for argument 0 (angle)" in str(error.value)
    assert f"{__file__}:{line}" in str(error.value)


# -- It changes nothing else


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=5))
def test_gradients_of_two_orders_are_those_without_it(values):
    def f(x):
        return np.sum(np.tanh(x) * np.exp(-x * x) + np.outer(x, x) / (2.0 + np.cos(x)))

    x = np.array(values)
    plain = mg.grad(f)(x), mg.hessian(f)(x)
    with mg.debug():
        watched = mg.grad(f)(x), mg.hessian(f)(x)
    for a, b in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_rows_keep_float32(monkeypatch):
    """The rules of common elementwise rows compute in float32 what is asked in float32."""
    x = mg.Tensor(np.array([0.3, 0.6], np.float32), requires_grad=True)
    with mg.debug():
        for function, rule in RULES.items():
            numpys = isinstance(function, np.ufunc) and getattr(np, function.__name__, None) is function
            if numpys and function.nin == 1 and function is not np.arccosh:
                np.sum(function(x)).backward()
                assert x.grad.dtype == np.float32, rule.name


def test_the_state_comes_back_after_an_error_and_in_nests():
    before = np.geterr()

    @mg.debug()
    def fail():
        outer = current().machine
        with mg.debug(finite=False):
            assert not current().machine.finite
        assert current().machine is outer
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert current() is PLAIN
    assert np.geterr() == before


def test_it_belongs_to_its_thread():
    seen = []
    with mg.debug():
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen == [PLAIN]


def test_no_grad_inside_still_watches_values():
    with mg.debug(), mg.no_grad(), pytest.raises(FloatingPointError, match=r"np\.log"):
        np.log(mg.Tensor([0.0]))


def test_as_a_decorator():
    @mg.debug()
    def f(x):
        return np.log(x)

    with pytest.raises(FloatingPointError, match=r"np\.log"):
        f(leaf(0.0))
    assert current() is PLAIN


def test_a_graph_made_before_is_not_watched():
    x, a = leaf(1.0), np.array([2.0])
    loss = np.sum(x * a)
    a[0] = 3.0
    with mg.debug():
        loss.backward()
    assert x.grad == [3.0]


def test_a_rule_may_run_a_sweep_of_its_own():
    @mg.custom_vjp(lambda g, y, x: g * mg.grad(lambda t: np.sum(t * t * t))(x))
    def cube(x):
        return x**3

    x = leaf(1.0, 2.0)
    with mg.debug():
        np.sum(cube(x) * np.array([0.5, -1.0])).backward()
    assert x.grad.tolist() == [1.5, -12.0]
