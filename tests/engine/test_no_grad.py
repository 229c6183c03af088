"""`no_grad`: what is not recorded, in which function and in which thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import leaf

import microgradnp as mg
from microgradnp.engine.state import PLAIN, current


def test_no_grad_is_a_context_and_a_decorator_and_nests():
    x = leaf(1.0)

    @mg.no_grad()
    def frozen(v):
        return v * 2.0

    assert not frozen(x).requires_grad
    with mg.no_grad():
        with mg.no_grad():
            assert not (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
        assert leaf(1.0).requires_grad
    assert (x * 2.0).requires_grad
    assert current() is PLAIN


@pytest.mark.parametrize("scope", [mg.no_grad, mg.debug])
def test_what_pauses_cannot_be_decorated(scope):
    """The context would be over before the function has run, and nothing would be said."""

    def generator():
        yield

    async def task():
        pass

    async def both():
        yield

    for function in (generator, task, both):
        with pytest.raises(TypeError, match=rf"{function.__name__} pauses.*'with"):
            scope()(function)


def test_a_decorated_function_may_call_itself_and_run_in_threads():
    x = leaf(2.0)

    @mg.no_grad()
    def down(n):
        return [x * 1.0, *down(n - 1)] if n else []

    with ThreadPoolExecutor(4) as pool:
        results = [t for part in pool.map(down, [5] * 20) for t in part]
    assert len(results) == 100
    assert not any(t.requires_grad for t in results)
    assert (x * 1.0).requires_grad


def test_no_grad_ends_with_an_exception():
    x = leaf(1.0)
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert (x * 2.0).requires_grad


def test_what_no_grad_computed_is_a_constant_later():
    x = leaf(3.0)
    with mg.no_grad():
        square = x * x
    (square * x).backward(np.ones(1))
    np.testing.assert_array_equal(x.grad, [9.0])


def test_backward_itself_needs_no_recording():
    x = leaf(3.0)
    y = x * x
    with mg.no_grad():
        y.backward(np.ones(1))
    np.testing.assert_array_equal(x.grad, [6.0])


def test_a_graph_may_be_swept_in_another_thread():
    x = leaf(3.0)
    y = np.sum(x * x)
    thread = threading.Thread(target=y.backward)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(x.grad, [6.0])
