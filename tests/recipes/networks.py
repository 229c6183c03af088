"""Recipes for the functions of networks that are not elementwise."""

from microgradnp.nn import functional
from recipes.drawing import Case, array, axis_of, recipe


@recipe(functional.softmax, functional.log_softmax, functional.logsumexp)
def _softmax(draw, f):
    x = array(draw, dims=(1, 3), sides=(1, 3))
    axis = axis_of(draw, x, none=f is functional.logsumexp)
    return Case(lambda x: f(x, axis=axis), x)
