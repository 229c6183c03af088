"""`.data` of a leaf while a step is recorded: what Tensors write is recorded, what NumPy alone writes is refused."""

import numpy as np
import pytest
from helpers import FRESH, run_alike

import microgradnp as mg
from microgradnp.compiler import RecordingError

BY_NUMPY_ALONE = {
    "within its bounds": lambda w: np.clip(w.data, -9, 9, out=w.data),
    "a product of zeros": lambda w: np.multiply(w.data, 0.99, out=w.data),
    "in place": lambda w: w.data.__imul__(0.99),
    "an element": lambda w: w.data.__setitem__(0, 0.0),
    "a part": lambda w: w.data[1:].__iadd__(0.0),
    "copied": lambda w: np.copyto(w.data, 0.0),
    "filled": lambda w: w.data.fill(0.0),
    "sorted": lambda w: w.data.sort(),
    "put": lambda w: np.put(w.data, [0], [0.0]),
    "in a variable, after a Tensor": lambda w: [data := w.data, data.__isub__(w.detach()), data.__imul__(0.5)],
}


@pytest.mark.parametrize("how", BY_NUMPY_ALONE)
def test_data_written_by_numpy_alone_is_refused_though_it_changes_nothing(how):
    w = mg.Tensor(np.zeros(3), requires_grad=True)

    def step(x):
        w.grad = None
        np.sum(w * x).backward()
        BY_NUMPY_ALONE[how](w)

    with pytest.raises(RecordingError, match=r"read-only.*out=t.data"):
        mg.compile(step)(np.ones(3))
    assert w.data.flags.writeable


@pytest.mark.parametrize("share", [False, True])
def test_data_written_by_tensors(share):
    def make():
        memory = np.linspace(-1.0, 1.0, 6)
        w = mg.Tensor(np.zeros(3), requires_grad=True)
        w.data = memory[::2] if share else memory[:3].copy()
        array = w.data

        def step(x):
            w.grad = None
            before = np.sum(w.data * x) + np.sum(w.data[1:] * x[1:])
            np.sum(np.square(w * x)).backward()
            w.data -= 0.1 * w.grad
            w.data[1:] *= mg.Tensor(0.5)
            w.data[::-1][:2] += x[:2]
            np.clip(w.detach(), -0.5, 2.0, out=w.data)
            parts = w.data
            parts[0:1] += x[1:2]
            fresh = w.data.copy()
            fresh *= 0.0
            return before, np.sum(w.data * x), x + fresh

        return step, [w], array

    def pair():
        step, (w,), array = make()
        kept.append((w, array))
        return step, [w]

    kept: list = []
    run_alike(pair, *FRESH)
    for w, array in kept:
        assert w.data is array
        assert array.flags.writeable
