"""Recipes for the functions of networks that are not elementwise."""

from functools import partial

from hypothesis import strategies as st

from microgradnp.check.strategies import dtypes
from microgradnp.nn import functional
from microgradnp.nn.convolution import convolution, image_gradient, weight_gradient
from microgradnp.nn.pooling import spread_over_windows, sums_of_windows
from microgradnp.nn.windows import Windows
from recipes.drawing import Case, array, axis_of, recipe


@recipe(functional.softmax, functional.log_softmax, functional.logsumexp)
def _softmax(draw, f):
    x = array(draw, dims=(1, 3), sides=(1, 3))
    axis = axis_of(draw, x, none=f is functional.logsumexp)
    return Case(lambda x: f(x, axis=axis), x)


def _windows(draw, *, dilated=False):
    """Windows, and the height and width of images that they fit into, with a rest that no window covers."""
    pairs = st.tuples(st.integers(1, 2), st.integers(1, 2))
    kernel, stride = draw(pairs), draw(st.just((1, 1)) | pairs)  # (1, 1) has a way of its own
    padding = tuple(draw(st.integers(0, k // 2 if not dilated else 2)) for k in kernel)
    windows = Windows(kernel, stride, padding, draw(pairs) if dilated else (1, 1))
    reach = zip(windows.reach, padding, strict=True)
    return windows, tuple(max(1, r - 2 * p) + draw(st.integers(0, 2)) for r, p in reach)


def _sizes(draw, n):
    return draw(st.integers(0, 2)), *(draw(st.integers(1, 2)) for _ in range(n))


@recipe(convolution)
def _convolution(draw, f):
    windows, size = _windows(draw, dilated=True)
    n, channels, out = _sizes(draw, 2)
    dtype = draw(dtypes)
    arrays = [
        array(draw, (n, channels, *size), dtype=dtype),
        array(draw, (*windows.kernel, channels, out), dtype=dtype),
    ]
    bias = [array(draw, (out,), dtype=dtype)] if draw(st.booleans()) else []
    return Case(partial(f, **windows._asdict()), *arrays, *bias)


@recipe(image_gradient)
def _image_gradient(draw, f):
    windows, size = _windows(draw, dilated=True)
    n, channels, out = _sizes(draw, 2)
    dtype = draw(dtypes)
    g = array(draw, (n, out, *windows.grid(size)), dtype=dtype)
    return Case(
        partial(f, size=size, **windows._asdict()), g, array(draw, (*windows.kernel, channels, out), dtype=dtype)
    )


@recipe(weight_gradient)
def _weight_gradient(draw, f):
    windows, size = _windows(draw, dilated=True)
    n, channels, out = _sizes(draw, 2)
    dtype = draw(dtypes)
    g = array(draw, (n, out, *windows.grid(size)), dtype=dtype)
    return Case(partial(f, **windows._asdict()), g, array(draw, (n, channels, *size), dtype=dtype))


@recipe(sums_of_windows)
def _sums(draw, f):
    windows, size = _windows(draw)
    return Case(partial(f, **windows._asdict()), array(draw, (*_sizes(draw, 1), *size)))


@recipe(spread_over_windows)
def _spread(draw, f):
    windows, size = _windows(draw)
    return Case(partial(f, size=size, **windows._asdict()), array(draw, (*_sizes(draw, 1), *windows.grid(size))))


@recipe(functional.max_pool2d, functional.avg_pool2d)
def _pool(draw, f):
    windows, size = _windows(draw)
    x = array(draw, (*_sizes(draw, 1), *size), distinct=True)
    return Case(partial(f, kernel_size=windows.kernel, stride=windows.stride, padding=windows.padding), x)
