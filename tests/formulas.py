"""Formulas as numbers, the meaning of what is written; and a whole derivation held against ``backward()``."""

import itertools
import math

import numpy as np

from microgradnp import Tensor, show
from microgradnp.show import expressions as fo

FUNCTIONS = {
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "sign", "abs", "tan", "arctan", "arcsin", "arccos")},
    **{name: getattr(np, name) for name in ("sin", "cos", "sinh", "cosh", "tanh")},
    "σ": lambda z: 1 / (1 + np.exp(-z)),
    "σ'": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "max": max,
    "min": min,
    "where": lambda c, a, b: a if c else b,
    "floor": math.floor,
    ">": lambda a, b: a > b,
    "≥": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "[]": float,
}


def evaluate(x, values, at):
    """One entry of an expression, given its symbols' arrays and the place of each index."""
    if isinstance(x, fo.Number):
        return float(x.value)
    if isinstance(x, fo.Symbol):
        return values[x.name][tuple(at[i] for i in x.at)]
    if isinstance(x, fo.Function):
        function = FUNCTIONS[x.name] if x.name in FUNCTIONS else getattr(np, x.name)
        return function(*(evaluate(a, values, at) for a in x.arguments))
    if isinstance(x, fo.Power):
        return evaluate(x.base, values, at) ** evaluate(x.exponent, values, at)
    if isinstance(x, fo.Product):
        return float(x.number) * math.prod(evaluate(f, values, at) for f in x.factors)
    if isinstance(x, fo.Addition):
        return sum(evaluate(t, values, at) for t in x.terms)
    assert isinstance(x, fo.Total)
    lengths = [length_of(i, x.body, values) for i in x.at]
    places = itertools.product(*map(range, lengths))
    return sum(evaluate(x.body, values, at | dict(zip(x.at, place, strict=True))) for place in places)


def length_of(index, x, values):
    if isinstance(x, fo.Symbol):
        return values[x.name].shape[x.at.index(index)] if index in x.at else None
    return next((n for part in x.parts() if (n := length_of(index, part, values)) is not None), None)


def gradients_by_formula(d):
    """Every line of a derivation, evaluated in the order in which they stand."""
    values = {}
    for step in d.steps:
        for x in (step.node, *step.inputs):
            name = d.names.get(x if isinstance(x, Tensor) else id(x))
            values[name] = np.squeeze(x.data if isinstance(x, Tensor) else np.asarray(x))
    for name, left, right in d.lines:
        shape = values[name].shape
        gradient = np.empty(shape)
        for place in np.ndindex(shape):
            gradient[place] = evaluate(right, values, dict(zip(left.at, place, strict=True)))
        values[left.name] = gradient
    return {name: values[left.name] for name, left, _ in d.lines}


def check(loss, *leaves):
    """The formulas and the numbers of a derivation against backward()."""
    d = show.derivation(loss)
    assert d.agrees, str(d)
    loss.backward()
    found = gradients_by_formula(d)
    for x in leaves:
        np.testing.assert_allclose(found[d.names[x]], np.squeeze(x.grad), rtol=1e-9, atol=1e-12)
    return d


def leaf(*shape, name=None, seed=1, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).uniform(0.3, 1.2, shape), requires_grad=True, name=name, dtype=dtype)
