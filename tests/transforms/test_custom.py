"""A user's own function with its own derivative: `custom_vjp`."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg


@mg.custom_vjp(lambda g, y, x: g * (1 - y * y))
def tanh(x):
    """A loop, as a beginner writes it."""
    out = np.empty_like(x)
    for i, v in np.ndenumerate(x):
        out[i] = math.tanh(v)
    return out


@mg.custom_vjp(
    lambda g, y, a, b, scale=1.0: g * scale * b,
    lambda g, y, a, b, scale=1.0: g * scale * a,
)
def scaled(a, b, scale=1.0):
    return a * b * scale


@given(st.lists(st.floats(-3, 3), max_size=4))
def test_it_is_the_function_that_numpy_has_to_any_order(values):
    x = np.array(values)
    np.testing.assert_array_equal(tanh(x), [math.tanh(v) for v in values])
    for wrap in (lambda f: f, mg.grad, lambda f: mg.grad(lambda x: np.sum(mg.grad(f)(x) * x))):
        ours, numpys = (wrap(lambda x, f=f: np.sum(f(x) ** 3)) for f in (tanh, np.tanh))
        np.testing.assert_allclose(ours(x), numpys(x), rtol=1e-12, atol=1e-12)


def test_the_function_gets_arrays_and_keeps_its_name():
    seen = []

    @mg.custom_vjp(lambda g, y, x: g)
    def same(x):
        """Say it again."""
        seen.append(type(x))
        return x

    assert type(same(np.ones(2))) is np.ndarray
    assert type(same(mg.Tensor(np.ones(2)))) is mg.Tensor
    assert seen == [np.ndarray, np.ndarray]
    assert (same.__name__, same.__doc__) == ("same", "Say it again.")


@pytest.mark.parametrize(
    "call",
    [
        lambda a, b: scaled(a, b, scale=2.0),
        lambda a, b: scaled(a, scale=2.0, b=b),
        lambda a, b: scaled(scale=2.0, b=b, a=a),
        lambda a, b: scaled(a, b, 2.0),
    ],
)
def test_options_pass_through_and_arrays_may_be_named(call):
    value, (da, db) = mg.value_and_grad(call, (0, 1))(3.0, 5.0)
    assert (value, da, db) == (30.0, 10.0, 6.0)


def test_broadcast_arguments_get_their_own_shape():
    a, b = np.arange(3.0), np.arange(2.0)[:, None]
    da, db = mg.grad(lambda a, b: np.sum(scaled(a, b)), (0, 1))(a, b)
    np.testing.assert_array_equal(da, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(db, [[3.0], [3.0]])


def test_it_nests_in_every_transform():
    def f(x):
        return np.sum(tanh(x) * x)

    def reference(x):
        return np.sum(np.tanh(x) * x)

    x, v = np.array([0.3, -0.7]), np.array([1.0, 2.0])
    np.testing.assert_allclose(mg.hessian(f)(x), mg.hessian(reference)(x), rtol=1e-12)
    np.testing.assert_allclose(mg.jvp(f, (x,), (v,)), mg.jvp(reference, (x,), (v,)), rtol=1e-12)
    np.testing.assert_allclose(mg.hvp(f, (x,), (v,)), mg.hvp(reference, (x,), (v,)), rtol=1e-12)


def test_the_rule_is_used_and_not_the_functions_own_derivative():
    @mg.custom_vjp(lambda g, y, x: g * 7.0)
    def square(x):
        return x * x

    assert mg.grad(square)(3.0) == 7.0


def test_none_stands_for_no_derivative():
    @mg.custom_vjp(lambda g, y, x, k: g * k, None)
    def power(x, k):
        return x * k

    assert mg.grad(power)(2.0, 3.0) == 3.0
    with pytest.raises(TypeError, match=r"power has no derivative with respect to its argument 1 \(k\)"):
        mg.grad(power, 1)(2.0, 3.0)


@pytest.mark.parametrize(
    ("rule", "kind", "fact"),
    [
        (lambda g, y, x: None, TypeError, "returned None"),
        (lambda g, y, x: (g,), TypeError, "returned a tuple of 1"),
        (lambda g, y, x: [g, g], TypeError, "returned a list of 2"),
        (lambda g, y, x: "g", TypeError, "returned str"),
        (lambda g, y, x: g[:, None], ValueError, r"returned a gradient of shape \(3, 1\)"),
        (lambda g, y, x: g[:2], ValueError, r"shape \(2,\), but the argument has shape \(3,\)"),
    ],
)
def test_a_rule_that_returns_something_else_is_named(rule, kind, fact):
    @mg.custom_vjp(rule)
    def wave(phase):
        return np.sin(phase)

    with pytest.raises(kind, match=fact) as error:
        mg.grad(lambda x: np.sum(wave(x)))(np.ones(3))
    assert "wave" in str(error.value)
    assert "argument 0 (phase)" in str(error.value)


def test_an_argument_without_a_rule_is_named():
    @mg.custom_vjp(lambda g, y, a, b: g)
    def add(a, b):
        return a + b

    with pytest.raises(TypeError, match=r"rules of add serve 1 arguments, but argument 1 \(b\) needs a gradient"):
        mg.grad(add, 1)(1.0, mg.Tensor(2.0))


@pytest.mark.parametrize("value", [3.0, 0.0, [1.0, 2.0], []])
def test_a_tensor_as_an_option_is_refused(value):
    for option in (mg.Tensor(value), [mg.Tensor(value)]):
        with pytest.raises(TypeError, match=r"scaled got a Tensor as its option scale.*rules for a, b"):
            scaled(1.0, 2.0, scale=option)


def test_a_default_before_an_array_given_by_name_is_an_argument():
    @mg.custom_vjp(
        lambda g, y, a, b, c: g,
        lambda g, y, a, b, c: g * c,
        lambda g, y, a, b, c: g * b,
    )
    def line(a, b=2.0, c=3.0):
        return a + b * c

    assert mg.grad(lambda c: line(1.0, c=c))(5.0) == 2.0
    assert mg.grad(lambda a, c: line(c=c, a=a), (0, 1))(1.0, 5.0) == (1.0, 2.0)
    assert mg.grad(line)(1.0) == 1.0
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        line(b=2.0)


def test_an_option_that_is_no_number_may_be_given_by_place():
    @mg.custom_vjp(lambda g, y, x, norm=None, times=1: g * times * {None: 1.0, "half": 0.5}[norm])
    def scaled(x, norm=None, times=1):
        return x * times * {None: 1.0, "half": 0.5}[norm]

    for norm, slope in ((None, 3.0), ("half", 1.5)):
        assert mg.grad(lambda x, norm=norm: scaled(x, norm, 3))(2.0) == slope


@pytest.mark.parametrize("kind", [int, np.int8, bool])
def test_a_gradient_flows_through_a_result_of_integers(kind):
    @mg.custom_vjp(lambda g, y, x: g)
    def rounded(x):
        return np.rint(x).astype(kind)

    x, v = np.array([0.2, 1.4]), np.array([0.5, 0.25])
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(rounded(x) * v))(x), v)
    np.testing.assert_array_equal(mg.vjp(rounded, x)[1](v)[0], v)
    np.testing.assert_array_equal(mg.jvp(rounded, (x,), (v,))[1], v)
    np.testing.assert_array_equal(rounded(mg.Tensor(x)).data, [0.0, 1.0])


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("make", [lambda x: np.ma.array(x, mask=[0, 1]), np.matrix])
def test_a_result_that_would_lose_its_own_way_of_computing_is_refused(make):
    f = mg.custom_vjp(lambda g, y, x: g)(lambda x: make(x))
    with pytest.raises(TypeError, match=r"a masked array|np\.matrix"):
        f(mg.Tensor([1.0, 2.0]))


def test_tensors_inside_of_an_argument_do_not_pass_by_the_rule():
    f = mg.custom_vjp(lambda g, y, x: 7 * g * np.ones(2))(lambda x: np.sum(np.stack(x)))
    with pytest.raises(TypeError, match=r"np\.stack"):
        mg.grad(lambda x: f([x, x]))(1.0)
    assert mg.grad(lambda x: f(np.stack([x, x])))(1.0) == 14.0


@pytest.mark.parametrize(("result", "what"), [((1.0, 2.0), "tuple"), ("1", "str"), (1j * np.ones(1), "complex128")])
def test_a_function_that_returns_no_single_array_is_refused(result, what):
    @mg.custom_vjp(lambda g, y, x: g)
    def strange(x):
        return result

    with pytest.raises(TypeError, match=f"strange .*must return one array of numbers; got .*{what}"):
        strange(mg.Tensor(1.0))


def test_wrong_use_is_explained():
    with pytest.raises(TypeError, match="custom_vjp takes one callable rule"):
        mg.custom_vjp()
    with pytest.raises(TypeError, match="custom_vjp takes one callable rule"):
        mg.custom_vjp("rule")
    with pytest.raises(TypeError, match=r"2 rules for sin_of, which has 1 positional parameters \(x\)"):

        @mg.custom_vjp(lambda g, y, x: g, lambda g, y, x: g)
        def sin_of(x):
            return x

    @mg.custom_vjp
    def bare(x):
        return x

    with pytest.raises(TypeError, match=r"Write @custom_vjp\(rule\)"):
        bare(np.ones(2))
    with pytest.raises(
        TypeError, match="parameters of hypot, which is written in C: decorate a function that calls it"
    ):
        mg.custom_vjp(lambda g, y, a, b: g)(math.hypot)
    with pytest.raises(TypeError, match="custom_vjp"):
        mg.defvjp(len, lambda g, y, x: g)


def test_a_decorated_function_can_be_forgotten():
    """No table keeps it: one made anew in every step of a loop leaves nothing behind."""
    import gc
    import weakref

    @mg.custom_vjp(lambda g, y, x: g)
    def fleeting(x):
        return x

    mg.grad(fleeting)(1.0)
    gone = weakref.ref(fleeting)
    del fleeting
    gc.collect()
    assert gone() is None


def test_a_compiled_step_replays_it():
    def make():
        w = mg.Tensor(np.linspace(-1, 1, 5), requires_grad=True)
        optimizer = mg.optim.GD([w], lr=0.1)

        def one_step(x):
            optimizer.zero_grad()
            loss = np.sum((scaled(tanh(w * x), x, scale=2.0) - 0.3) ** 2)
            loss.backward()
            optimizer.step()
            return loss

        return w, one_step

    (eager, one_step), (replayed, other) = make(), make()
    compiled = mg.compile(other)
    for k in range(5):
        x = np.full(5, 0.1 * k + 0.2)
        assert compiled(x).item() == pytest.approx(one_step(x).item(), rel=1e-12)
    np.testing.assert_allclose(replayed.data, eager.data, rtol=1e-12)


# -- Rules of another signature


@pytest.mark.parametrize(
    "rule",
    [lambda: 1.0, lambda g: g, lambda g, y: g, lambda g, y, x, k, z: g, lambda g, y, *, x: g, math.sin],
    ids=["0", "1", "2", "5", "keyword", "builtin"],
)
def test_a_rule_that_cannot_be_called_as_rules_are_is_refused(rule):
    if rule is math.sin:
        f = mg.custom_vjp(rule)(lambda x: 2 * x)  # written in C: its signature is not known until it is called
        with pytest.raises(TypeError):
            mg.grad(f)(1.0)
        return
    with pytest.raises(
        TypeError, match=r"custom_vjp for double: the rule for argument 0 takes \(.*\), but is called as"
    ):

        @mg.custom_vjp(rule)
        def double(x, k=2.0):
            return k * x

    with pytest.raises(TypeError, match=r"defvjp\(<lambda>.*\): the rule for argument 0 takes"):
        mg.defvjp(np.frompyfunc(lambda x: 2 * x, 1, 1), rule)


def test_rules_of_every_right_signature_are_taken():
    class Holder:
        def rule(self, g, y, x):
            return 2 * g

    for rule in (
        Holder().rule,
        lambda *all: 2 * all[0],
        lambda g, y, x, k=2.0: k * g,
        lambda g, *rest, **options: 2 * g,
    ):
        assert mg.grad(mg.custom_vjp(rule)(lambda x: 2 * x))(1.0) == 2.0


def test_a_rule_that_does_not_take_an_option_that_was_given_is_named():
    @mg.custom_vjp(lambda g, y, x: 2 * g)
    def scale(x, k=2.0, *, clip=None):
        return k * x

    assert mg.grad(scale)(1.0) == 2.0
    for call in (lambda x: scale(x, k=2.0), lambda x: scale(x, 2.0), lambda x: scale(x, clip=1)):
        with pytest.raises(
            TypeError, match=r"scale was called with \(x, .*its rule for argument 0 \(x\) does not take"
        ):
            mg.grad(call)(1.0)
        assert call(1.0) == 2.0  # no gradient is asked for


# -- Rules that write into what they get -------------------------------------------------------------------------------


def writing_in_place(g, y, x):
    g *= x
    g *= 2
    return g


def writing_through_a_view(g, y, x):
    g[...] = g * x
    row = g.ravel() if isinstance(g, np.ndarray) else g
    row *= 2
    return g


def writing_with_out(g, y, x):
    return np.multiply(g, 2 * x, out=g) if isinstance(g, np.ndarray) else g * (2 * x)


def _by_custom_vjp(rule):
    return mg.custom_vjp(rule)(lambda x: x * x)


def _by_defvjp(rule):
    square = np.frompyfunc(lambda x: x * x, 1, 1)
    mg.defvjp(square, rule, forward=lambda x: x * x)
    return square


def _by_each(rule):
    square = np.frompyfunc(lambda x: x * x, 1, 1)
    mg.defvjp(square, each=lambda i, g, y, x: rule(g, y, x), forward=lambda x: x * x)
    return square


makers = pytest.mark.parametrize("make", [_by_custom_vjp, _by_defvjp, _by_each])


@makers
@pytest.mark.parametrize("rule", [writing_in_place, writing_through_a_view, writing_with_out])
def test_a_rule_may_write_into_its_gradient(make, rule):
    f, x = make(rule), np.array([1.0, -2.0, 3.0])
    for loss, expected, curvature in (
        (lambda x: np.sum(x + f(x)), 1 + 2 * x, 2),
        (lambda x: np.sum(f(x) + x), 1 + 2 * x, 2),
        (lambda x: np.sum(f(x) + f(x)), 4 * x, 4),
        (lambda x: np.sum(np.stack((x, f(x))).T @ np.array([1.0, 5.0])), 1 + 10 * x, 10),
    ):
        np.testing.assert_array_equal(mg.grad(loss)(x), expected)
        w = mg.Tensor(x, requires_grad=True)
        loss(w).backward()
        np.testing.assert_array_equal(w.grad, expected)
        np.testing.assert_array_equal(mg.hessian(loss)(x), curvature * np.eye(3))


@makers
def test_a_rule_leaves_the_callers_seed_alone(make):
    f, x, seed = make(writing_in_place), np.array([1.0, -2.0]), np.array([1.0, 10.0])
    _, pullback = mg.vjp(f, x)
    for _ in range(2):
        np.testing.assert_array_equal(pullback(seed)[0], [2.0, -40.0])
    w = mg.Tensor(x, requires_grad=True)
    f(w).backward(seed)
    np.testing.assert_array_equal(w.grad, [2.0, -40.0])
    np.testing.assert_array_equal(seed, [1.0, 10.0])


@pytest.mark.parametrize("change", [lambda y, x: np.add(y, 1, out=y), lambda y, x: np.add(x, 1, out=x)])
@makers
def test_a_rule_that_writes_into_what_is_shared_is_named(make, change):
    def rule(g, y, x):
        change(y, x)
        return g

    f, w = make(rule), mg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"rule of .* writes into its output or an argument .*read-only.*only g is"):
        np.sum(f(w)).backward()
    np.testing.assert_array_equal(w.data, [1.0, 2.0])
