"""State belongs to a thread and to an async task, and what many compute at once is what one computes."""

import asyncio
import contextvars
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import microgradnp as mg
from microgradnp.engine.state import PLAIN, current

THREADS = 8


def network(seed, weights):
    """The gradients of a small network by its own data and by shared weights: first order, and some of the second."""
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((16, 3)), generator.standard_normal((16, 1))

    def loss(w, v):
        return np.mean((np.tanh(x @ w) @ v - y) ** 2)

    own = [mg.Tensor(w, requires_grad=True) for w in weights]
    for _ in range(5):
        total = loss(*own)
        total.backward()
        with mg.no_grad():
            for w in own:
                w -= 0.1 * w.grad
                w.grad = None
    loss(*own).backward()
    return [w.grad for w in own], mg.hvp(loss, tuple(weights), tuple(weights)), mg.jacobian(loss, (0, 1))(*weights)


def flat(results):
    if isinstance(results, np.ndarray):
        return [results.tobytes()]
    return [b for r in results for b in flat(r)]


def test_eight_threads_give_bitwise_the_serial_result():
    generator = np.random.default_rng(0)
    weights = [generator.standard_normal((3, 5)), generator.standard_normal((5, 1))]
    serial = [flat(network(seed, weights)) for seed in range(4 * THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        parallel = list(pool.map(lambda seed: flat(network(seed, weights)), range(4 * THREADS)))
    assert parallel == serial


def test_threads_may_share_leaves_in_transforms():
    w = mg.Tensor(np.linspace(-1, 1, 7), requires_grad=True)

    def gradient(k):
        value = mg.grad(lambda x: np.sum(np.sin(w * x) * k))(w.data * 0.5)
        return mg.grad(lambda v: np.sum(v * np.cos(v)) * k)(w).data.tobytes() + value.data.tobytes()

    serial = [gradient(k) for k in range(32)]
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(gradient, range(32))) == serial
    assert w.grad is None


def test_threads_may_add_to_the_gradient_of_a_leaf_that_they_share():
    """Of whole numbers, whose sum is the same in any order."""
    for _ in range(10):
        w = mg.Tensor(np.zeros(200_000), requires_grad=True)

        def add(k, w=w):
            for _ in range(4):
                np.sum(w * float(k)).backward()

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(add, range(THREADS)))
        np.testing.assert_array_equal(w.grad, np.full(200_000, 4.0 * sum(range(THREADS))))


def test_no_grad_and_debug_stay_in_their_thread():
    x = mg.Tensor([1.0], requires_grad=True)
    with ThreadPoolExecutor(1) as pool, mg.no_grad(), mg.debug():
        assert pool.submit(current).result() is PLAIN
        assert pool.submit(lambda: (x * 2.0).requires_grad).result()
        assert not (x * 2.0).requires_grad
        # A caller who wants its own state there takes it along.
        assert not pool.submit(contextvars.copy_context().run, lambda: (x * 2.0).requires_grad).result()


@pytest.mark.parametrize("begin", [mg.no_grad, mg.debug])
def test_one_scope_may_be_entered_again_and_by_many(begin):
    scope, errors = begin(), np.geterr()

    def inside(turns):
        for _ in range(turns):
            with scope:
                within = current()
                assert within is not PLAIN
                with scope:
                    time.sleep(0)
                assert current() is within
            assert current() is PLAIN
            assert np.geterr() == errors

    async def task(delay):
        with scope:
            await asyncio.sleep(delay)
            assert current() is not PLAIN
        assert current() is PLAIN

    async def main():
        await asyncio.gather(task(0.002), task(0.0), task(0.001))

    inside(2)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(inside, [50] * THREADS))
    asyncio.run(main())


@pytest.mark.parametrize(("one", "other"), [(mg.no_grad, mg.debug), (mg.debug, mg.no_grad), (mg.no_grad, mg.no_grad)])
def test_generators_that_end_in_any_order_leave_the_state_as_it_was(one, other):
    def generator(begin):
        with begin():
            yield

    errors = np.geterr()
    first, second = generator(one), generator(other)
    next(first), next(second)
    first.close()
    assert current() is not PLAIN
    second.close()
    assert current() is PLAIN
    assert np.geterr() == errors


def test_async_tasks_do_not_see_each_others_state():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)

    async def frozen(turns):
        with mg.no_grad():
            for _ in range(turns):
                await asyncio.sleep(0)
                assert not (x * 2.0).requires_grad

    async def watched(turns):
        with mg.debug():
            for _ in range(turns):
                await asyncio.sleep(0)
                with pytest.raises(FloatingPointError):
                    np.log(x - x)

    async def recorded(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
            assert (x * 2.0).requires_grad
            with np.errstate(divide="ignore"):
                assert np.log(x - x).requires_grad
            assert current() is PLAIN

    async def failing():
        with mg.no_grad():
            await asyncio.sleep(0)
            raise KeyError

    async def main():
        results = await asyncio.gather(frozen(20), watched(20), recorded(20), failing(), return_exceptions=True)
        assert [type(r) for r in results] == [type(None)] * 3 + [KeyError]

    asyncio.run(main())
    assert current() is PLAIN


def test_a_task_started_inside_inherits_and_cannot_change_its_parent():
    x = mg.Tensor([1.0], requires_grad=True)

    async def child():
        inherited = (x * 2.0).requires_grad
        with mg.debug():
            await asyncio.sleep(0)
        return inherited

    async def main():
        with mg.no_grad():
            task = asyncio.create_task(child())
        assert (x * 2.0).requires_grad
        assert not await task
        assert current() is PLAIN

    asyncio.run(main())
