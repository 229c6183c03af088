"""Random programs with in-place statements, views and second names: NumPy's values, gradients of differences."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg

VIEWS = {
    "itself": lambda a: a,
    "rows": lambda a: a[1:],
    "backwards": lambda a: a[::-1],
    "a row": lambda a: a[0],
    "an axis more": lambda a: a[None],
    "turned": lambda a: a.T,
    "in one line": lambda a: a.reshape(-1),
    "columns": lambda a: a[..., :1],
}
COMPUTED = {
    "sine": np.sin,
    "scaled": lambda a: 0.5 * a,
    "zeros": np.zeros_like,
    "a copy": lambda a: a.copy(),
    "sum taken off": lambda a: a - 0.1 * np.sum(a),
}
OPERATORS = {
    "+=": lambda a, b: a.__iadd__(b),
    "-=": lambda a, b: a.__isub__(b),
    "*=": lambda a, b: a.__imul__(np.sin(b)),
    "/=": lambda a, b: a.__itruediv__(2 + b * b),
}
PLACES = {
    "the first": lambda a: 0,
    "the last ones": lambda a: slice(-2, None),
    "every other": lambda a: slice(None, None, 2),
    "by a mask": lambda a: np.arange(a.size).reshape(a.shape) % 3 == 0,
    "by numbers, one twice": lambda a: [0, -1, 0],
    "all": lambda a: ...,
}


@st.composite
def statements(draw: st.DrawFn) -> tuple[Any, ...]:
    kind = draw(st.sampled_from(["view", "compute", "operate", "put", "add at", "rows"]))
    i, j = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    table = {"view": VIEWS, "compute": COMPUTED, "operate": OPERATORS}.get(kind, PLACES)
    return kind, draw(st.sampled_from(sorted(table))), i, j


def run(program: list[tuple[Any, ...]], x: Any) -> Any:
    """All names that the program leaves; a statement that NumPy refuses is left out."""
    names = [x * 1.0]
    for kind, how, i, j in program:
        a, b = names[i % len(names)], names[j % len(names)]
        b = b if b.shape == a.shape else 0.1 * np.sum(b)
        if kind == "view" and a.ndim and a.size:
            names.append(VIEWS[how](a))
        elif kind == "compute":
            names.append(COMPUTED[how](a))
        elif not a.ndim or not a.size:
            continue
        elif kind == "operate":
            OPERATORS[how](a, b)
        elif kind == "put":
            a[PLACES[how](a)] = 0.3 * np.sum(np.cos(b))
        elif kind == "add at":
            a[PLACES[how](a)] += 0.2
        elif kind == "rows" and a.ndim > 1:
            for row in a:
                row *= 0.7
                row += 0.1 * row[0]
    return names


def total(program: list[tuple[Any, ...]], x: Any) -> Any:
    return sum(np.sum(np.sin(a + k)) for k, a in enumerate(run(program, x)))


X = np.array([[0.3, -1.1], [0.8, 0.4], [-0.6, 1.7]])


@given(st.lists(statements(), min_size=1, max_size=8))
def test_values_are_numpys_and_gradients_those_of_differences(program: list[tuple[Any, ...]]) -> None:
    expected = run(program, X)
    for requires_grad in (False, True):
        found = run(program, mg.Tensor(X, requires_grad=requires_grad))
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b.data, a, rtol=1e-12, atol=1e-14)
    value, gradient = mg.value_and_grad(lambda x: total(program, x))(X)
    assert abs(value - total(program, X)) <= 1e-12 * max(1, abs(value))
    step = 1e-6
    slopes = np.empty_like(X)
    for k in np.ndindex(X.shape):
        ahead, behind = X.copy(), X.copy()
        ahead[k] += step
        behind[k] -= step
        slopes[k] = (total(program, ahead) - total(program, behind)) / (2 * step)
    # Differences are off by step**2 times a third derivative, and by a rounding of the sum divided by the step.
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6 * max(1, np.abs(slopes).max()))


@given(st.lists(statements(), min_size=1, max_size=6))
def test_what_was_used_before_keeps_its_gradient(program: list[tuple[Any, ...]]) -> None:
    x = mg.Tensor(X, requires_grad=True)
    y = x * 2.0
    used = np.sum(y * y)
    run(program, y)
    for kind, how, _, j in program:
        if kind == "operate":
            OPERATORS[how](y, 0.1 * j)
    used.backward()
    np.testing.assert_allclose(x.grad, 8 * X, rtol=1e-15)
