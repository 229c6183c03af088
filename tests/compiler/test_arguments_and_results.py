"""What a compiled step takes, and what it gives: any structure, dtype and layout; results that nobody writes over."""

from collections import namedtuple

import numpy as np
import pytest
from helpers import FRESH, assert_same, small
from hypothesis import given
from hypothesis import strategies as st

import microgradnp as mg
from microgradnp.check.strategies import LAYOUTS, lay
from microgradnp.compiler import RecordingError

# -- Arguments ---------------------------------------------------------------------------------------------------------


def test_signatures():
    compiled = mg.compile(lambda x, *, scale: {"sum": np.sum(x["a"] * scale), "parts": [x["a"], x["b"][0]]})
    a, b = np.arange(3.0), np.float32([1, 2])
    for _ in range(2):
        for dtype in (np.float32, np.float64):
            for wrapped in (lambda v: v, mg.Tensor):
                out = compiled({"a": wrapped(a.astype(dtype)), "b": (b,)}, scale=np.asarray(2.0, dtype))
                assert_same(out, {"sum": np.sum(a * 2).astype(dtype), "parts": [a.astype(dtype), b]})
    assert "2 programs>" in repr(compiled)
    with pytest.raises(TypeError):
        compiled(a)


@given(st.lists(st.sampled_from(LAYOUTS), min_size=2, max_size=5))
def test_arguments_of_any_layout_written_into_between_calls(layouts):
    def step(x):
        return x.reshape((-1,)) * 2, x.T @ x, np.sum(x, axis=0), x[1:] + x[:-1].reshape((-1,))[:3]

    compiled = mg.compile(step)
    for layout in layouts:
        x = lay(np.arange(12.0).reshape(4, 3), layout)
        assert_same(compiled(x), step(mg.Tensor(x)))
        if x.flags.writeable:
            x += 1  # the same array object, other numbers: a copy taken earlier would be stale
            assert_same(compiled(x), step(mg.Tensor(x)))
    assert "1 program>" in repr(compiled)


def test_named_tuples_of_arguments():
    point = namedtuple("point", "a b")
    compiled = mg.compile(lambda p: point(p.a * 2, p.a + p.b))
    p = point(np.arange(3.0), np.float32(1))
    for _ in range(4):
        ours = compiled(p)
        assert type(ours) is point
        assert_same(tuple(ours), (p.a * 2, p.a + p.b))
        p.a[...] += 1
    assert "1 program>" in repr(compiled)


def test_an_argument_may_be_an_array_that_the_step_also_reads_as_its_own():
    w = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    compiled = mg.compile(lambda x: np.sum(w * x))
    for x in (w.data, np.ones(3), np.arange(3.0)):  # recorded with x in the very array of w
        assert_same(compiled(x), np.sum(w.data * x))


def test_a_tensor_in_a_graph_is_no_argument():
    w = mg.Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="would not connect"):
        mg.compile(lambda x: x * 2)(w)


def test_an_argument_in_a_parameters_memory_is_refused():
    model, _, step, (x, y) = small()
    compiled = mg.compile(step)
    compiled(x, y)
    compiled(x, y)
    flat = model[0].weight.data.reshape(-1)
    with pytest.raises(ValueError, match="shares memory"):
        compiled(np.broadcast_to(flat[:2], (7, 2)), y)


def test_a_masked_argument_is_refused():
    compiled = mg.compile(lambda x: x * 2)
    with pytest.raises(TypeError, match="mask"):
        compiled(np.ma.array([1.0, 2.0], mask=[True, False]))


# -- Results -----------------------------------------------------------------------------------------------------------


def test_results_are_never_overwritten():
    compiled = mg.compile(lambda x: (x * 2, np.sum(x), x))
    first = compiled(np.ones(3))
    second = compiled(np.zeros(3))
    assert_same(first, (np.full(3, 2.0), np.float64(3), np.ones(3)))
    assert_same(second, (np.zeros(3), np.float64(0), np.zeros(3)))


def test_results_are_copies_of_what_they_show():
    table = mg.Tensor(np.ones(3), requires_grad=True)
    compiled = mg.compile(lambda x: (table.detach(), mg.Tensor([1.0, 2.0, 3.0]), table))
    for (x,) in FRESH:
        seen, made, same = compiled(x)
        assert same is table
        assert_same((seen, made), (np.ones(3), np.array([1.0, 2.0, 3.0])))
        seen.data[...] = made.data[...] = 7.0


def test_data_returned_is_the_array_itself():
    w = mg.Tensor(np.ones(3), requires_grad=True)
    compiled = mg.compile(lambda x: (w.data, w.data[1:], x * 2))
    for (x,) in FRESH:
        whole, part, _ = compiled(x)
        assert whole is w.data
        assert type(part) is np.ndarray
        assert part.flags.writeable
        assert np.shares_memory(part, whole)


def test_an_iterator_is_no_result():
    def parts(x):
        yield from (x, x * 2)

    for step in (parts, lambda x: map(np.sin, x)):
        with pytest.raises(RecordingError, match="return a list"):
            mg.compile(step)(np.ones(3))
