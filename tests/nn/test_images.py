"""Convolution and pooling of images: by their definition, by laws, at their edges, and beside PyTorch.

Their rows are held against finite differences in both orders, with `tests/recipes/networks.py`.
"""

import numpy as np
import pytest
from helpers import assert_same, both_dtypes, seeds, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp.nn import windows
from microgradnp.nn.functional import avg_pool2d, conv2d, max_pool2d

POOLS = pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])


def numbers(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def pairs(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def convolutions(draw):
    """Images, a weight and the options of a convolution that fit together, with and without a rest."""
    kernel, padding, dilation = (draw(pairs(*ends)) for ends in ((1, 3), (0, 2), (1, 2)))
    stride = draw(st.just((1, 1)) | pairs(1, 3))  # (1, 1) has a way of its own
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [max(1, r - 2 * p) + draw(st.integers(0, 4)) for r, p in zip(reach, padding, strict=True)]
    n, channels, out = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(seeds))
    arrays = rng.normal(size=(n, channels, *size)), rng.normal(size=(*kernel, channels, out)), rng.normal(size=out)
    return arrays, {"stride": stride, "padding": padding, "dilation": dilation}


@st.composite
def poolings(draw):
    """Images with equal elements, and the options of a pooling that fit."""
    kernel, stride = draw(pairs(1, 3)), draw(pairs(1, 3))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = [max(1, k - 2 * p) + draw(st.integers(0, 4)) for k, p in zip(kernel, padding, strict=True)]
    rng = np.random.default_rng(draw(seeds))
    x = rng.integers(0, draw(st.sampled_from([3, 1000])), (draw(st.integers(0, 3)), draw(st.integers(1, 2)), *size))
    return x.astype(float), {"kernel_size": kernel, "stride": stride, "padding": padding}


def padded(x, padding, value=0.0):
    (p, q) = padding
    return np.pad(x, ((0, 0), (0, 0), (p, p), (q, q)), constant_values=value)


def window(x, i, j, kernel, stride, dilation=(1, 1)):
    """The window in row ``i`` and column ``j``, of every image."""
    (h, w), (s, t), (d, e) = kernel, stride, dilation
    return x[:, :, i * s : i * s + d * (h - 1) + 1 : d, j * t : j * t + e * (w - 1) + 1 : e]


# -- By definition


@given(convolutions())
def test_a_convolution_is_the_sum_of_products_over_each_window(drawn):
    (x, weight, bias), options = drawn
    y = conv2d(x, weight, bias, **options)
    whole = padded(x, options["padding"])
    for i, j in np.ndindex(y.shape[2:]):
        part = window(whole, i, j, weight.shape[:2], options["stride"], options["dilation"])
        np.testing.assert_allclose(y[:, :, i, j], np.einsum("nchw,hwco->no", part, weight) + bias, atol=1e-12)
    # There is no room for another row or column of windows.
    beyond = window(whole, *y.shape[2:], weight.shape[:2], options["stride"], options["dilation"]).shape[2:]
    assert beyond[0] < weight.shape[0]
    assert beyond[1] < weight.shape[1]


@given(poolings())
def test_pooling_is_the_maximum_or_the_mean_of_each_window(drawn):
    x, options = drawn
    for pool, of, value in ((max_pool2d, np.max, -np.inf), (avg_pool2d, np.mean, 0.0)):
        y, whole = pool(x, **options), padded(x, options["padding"], value)
        for i, j in np.ndindex(y.shape[2:]):
            part = window(whole, i, j, options["kernel_size"], options["stride"])
            np.testing.assert_allclose(y[:, :, i, j], of(part, axis=(2, 3)), rtol=1e-14)


def test_the_gradient_of_a_maximum_goes_to_the_first_of_equals_row_by_row():
    x = tensor([[[[1.0, 3, 0], [3, 3, 3], [0, 1, 0]]]])
    max_pool2d(x, 2, stride=1).sum().backward()
    np.testing.assert_array_equal(x.grad[0, 0], [[0, 2, 0], [1, 1, 0], [0, 0, 0]])


# -- Laws


@given(convolutions())
def test_a_linear_function_is_its_gradient_times_its_argument(drawn):
    (x, weight, _), options = drawn
    g = numbers(conv2d(x, weight, **options).shape)
    tensors = tensor(x), tensor(weight)
    value = np.sum(g * conv2d(*tensors, **options))
    value.backward()
    for t in tensors:
        np.testing.assert_allclose(np.sum(t.grad * t.data), value.data, rtol=1e-10, atol=1e-10)


@given(poolings())
def test_a_mean_over_windows_is_its_gradient_times_its_argument(drawn):
    x, options = tensor(drawn[0]), drawn[1]
    y = avg_pool2d(x, **options)
    y.backward(g := numbers(y.shape))
    np.testing.assert_allclose(np.sum(x.grad * x.data), np.sum(g * y.data), rtol=1e-10, atol=1e-8)


@given(convolutions())
def test_one_image_at_a_time_is_the_same_bit_for_bit(drawn):
    (x, weight, bias), options = drawn
    y = conv2d(x, weight, bias, **options)
    for i in range(len(x)):
        np.testing.assert_array_equal(conv2d(x[i : i + 1], weight, bias, **options), y[i : i + 1])


@given(convolutions(), st.sampled_from([1, 20, 60]))
@settings(max_examples=10)
def test_how_much_is_worked_on_at_once_does_not_matter(drawn, cached):
    (x, weight, bias), options = drawn

    def results():
        tensors = tensor(x), tensor(weight), tensor(bias)
        y = conv2d(*tensors, **options)
        pooled = max_pool2d(y, 1), avg_pool2d(y, 1)
        (y * y + pooled[0] * pooled[1]).sum().backward()
        return y.data, *(t.grad for t in tensors)

    whole, before = results(), windows.CACHED
    try:
        windows.CACHED = cached
        for a, b in zip(results(), whole, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    finally:
        windows.CACHED = before


def test_without_a_bias_it_is_zero():
    x, weight = numbers((2, 3, 5, 5)), numbers((3, 3, 3, 4))
    np.testing.assert_array_equal(conv2d(x, weight), conv2d(x, weight, np.zeros(4)))


@both_dtypes
def test_a_step_with_images_is_the_same_compiled_and_keeps_its_dtype(dtype):
    weight, bias = mg.Tensor(numbers((3, 2, 2, 3), dtype=dtype), requires_grad=True), tensor(np.ones(3, dtype))

    def step(x):
        weight.grad = bias.grad = None
        y = max_pool2d(np.tanh(conv2d(x, weight, bias, stride=(1, 2), padding=1)), 2)
        loss = np.sum(avg_pool2d(y, 2, stride=1) ** 2)
        loss.backward()
        return loss, weight.grad, bias.grad

    replay = mg.compile(step)
    for k in range(5):
        x = numbers((4, 2, 7, 9), seed=k, dtype=dtype)
        ours, eager = replay(x), step(x)
        assert_same(ours, eager, x)
        assert {part.dtype for part in ours} == {np.dtype(dtype)}


def test_integers_are_images_too():
    x = np.array([[[[200, 100], [250, 250]]]], np.uint8)
    np.testing.assert_array_equal(max_pool2d(x, 2), [[[[250]]]], strict=False)
    assert max_pool2d(x, 2).dtype == np.uint8
    np.testing.assert_array_equal(avg_pool2d(x, 2), [[[[200.0]]]], strict=True)
    weight = np.ones((2, 2, 1, 1), np.float32)
    np.testing.assert_array_equal(conv2d(x, weight), np.array([[[[800]]]], np.float32), strict=True)
    np.testing.assert_array_equal(conv2d(x, weight.astype(int)), [[[[800.0]]]], strict=True)


# -- At the edges


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@POOLS
def test_what_is_no_finite_number_stays_in_its_windows(pool, value):
    x = numbers((2, 1, 6, 6))
    x[1, 0, 3, 1] = value
    y, without = pool(x, 2), pool(np.where(np.isfinite(x), x, -1e9), 2)
    where = np.zeros(y.shape, bool)
    where[1, 0, 1, 0] = True
    np.testing.assert_array_equal(y[~where], without[~where])
    if pool is avg_pool2d or value != -np.inf:
        np.testing.assert_array_equal(y[where], value)


def test_a_window_of_minus_infinity_alone_finds_its_maximum_in_the_image():
    x = tensor(np.full((1, 1, 3, 3), -np.inf))
    y = max_pool2d(x, 3, padding=1, stride=2)
    np.testing.assert_array_equal(y.data, np.full((1, 1, 2, 2), -np.inf))
    y.backward(np.array([[[[1.0, 2], [3, 4]]]]))
    np.testing.assert_array_equal(x.grad[0, 0], [[1, 2, 0], [3, 4, 0], [0, 0, 0]])


def test_no_images_give_no_images():
    weight = tensor(numbers((3, 3, 2, 4)))
    y = avg_pool2d(max_pool2d(conv2d(np.ones((0, 2, 8, 8)), weight), 2), 3)
    assert y.shape == (0, 4, 1, 1)
    y.sum().backward()
    np.testing.assert_array_equal(weight.grad, np.zeros(weight.shape))


def test_one_image_is_larger_than_what_is_worked_on_at_once():
    x, weight = numbers((2, 1, 200, 200)), numbers((3, 3, 1, 1))
    y = conv2d(x, weight, padding=1)
    np.testing.assert_allclose(y[1, 0, 99, 99], np.sum(x[1, 0, 98:101, 98:101] * weight[:, :, 0, 0]))
    np.testing.assert_array_equal(max_pool2d(x, 200)[:, 0, 0, 0], x.max(axis=(1, 2, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: conv2d(x[0], np.ones((3, 3, 2, 1))), r"shape \(2, 5, 6\).*x\[None\] for a single image"),
        (lambda x: conv2d(x, np.ones((3, 3, 1, 2))), r"have 2 channels.*takes 1.*\(height, width, in, out\)"),
        (lambda x: conv2d(x, np.ones((3, 3))), r"weight of shape \(height, width, in, out\); got shape \(3, 3\)"),
        (lambda x: conv2d(x, np.ones((6, 3, 2, 1))), "window of 6 x 3 does not fit into images of 5 x 6: make"),
        (lambda x: conv2d(x, np.ones((3, 3, 2, 1)), dilation=(4, 1), padding=1), "9 x 3 .* 7 x 8, padding included"),
        (lambda x: conv2d(x, np.ones((3, 3, 2, 1)), np.ones(2)), r"bias must have shape \(1,\); got \(2,\)"),
        (lambda x: conv2d(x, np.ones((3, 3, 2, 1)), stride=0), "stride is a whole number from 1 on.*got 0"),
        (lambda x: conv2d(x, np.ones((3, 3, 2, 1)), padding="same"), "padding is a whole number from 0 on.*got 'same'"),
        (lambda x: max_pool2d(x, (2, 2, 2)), r"kernel_size is a whole number .* got \(2, 2, 2\)"),
        (lambda x: max_pool2d(x, 2.0), "kernel_size is a whole number .* got 2.0"),
        (
            lambda x: avg_pool2d(x, 3, padding=2),
            r"padding may be half of kernel_size.*padding=\(2, 2\) and kernel_size=\(3, 3\)",
        ),
        (lambda x: avg_pool2d(x, 7), "window of 7 x 7 does not fit into images of 5 x 6"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    for x in (np.ones((3, 2, 5, 6)), mg.Tensor(np.ones((3, 2, 5, 6)), requires_grad=True)):
        with pytest.raises(ValueError, match=message):
            call(x)


# -- Beside PyTorch


def beside(ours, theirs, *arrays):
    """A function's value and its gradients, ours and PyTorch's."""
    torch = pytest.importorskip("torch")
    x, t = [tensor(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*x), theirs(torch.nn.functional, *t)
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-10, atol=1e-10)
    g = numbers(y.shape)
    y.backward(g)
    z.backward(torch.tensor(g))
    for a, b in zip(x, t, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-10, atol=1e-10)


@given(convolutions())
def test_convolution_beside_pytorch(drawn):
    arrays, options = drawn
    beside(
        lambda x, w, b: conv2d(x, w, b, **options),
        lambda f, x, w, b: f.conv2d(x, w.permute(3, 2, 0, 1), b, **options),
        *arrays,
    )


@given(poolings())
def test_pooling_beside_pytorch(drawn):
    x, options = drawn
    if not len(x):
        return  # PyTorch's has no gradient there
    given = options["kernel_size"], options["stride"], options["padding"]
    beside(lambda x: max_pool2d(x, **options), lambda f, x: f.max_pool2d(x, *given), x)
    beside(lambda x: avg_pool2d(x, **options), lambda f, x: f.avg_pool2d(x, *given), x)
