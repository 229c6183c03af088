"""The methods of ndarray on a Tensor: each gives what NumPy's gives."""

from typing import Any

import numpy as np
import pytest
from helpers import X, tensor

import microgradnp as mg

METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    **{name: ((), {}) for name in ("sum", "mean", "prod", "max", "min", "var", "std", "ravel", "flatten", "transpose")},
    **{name: ((0,), {}) for name in ("cumsum", "cumprod", "argmax", "argmin", "argsort", "any", "all", "squeeze")},
    **{name: ((), {}) for name in ("trace", "diagonal", "nonzero", "copy", "conj", "conjugate", "item", "tolist")},
    "argpartition": ((1,), {}),
    "astype": ((np.float32,), {}),
    "choose": (([X, X + 1, X + 2, X + 3],), {}),
    "clip": ((-1.0, 1.0), {}),
    "compress": (([True, False, True],), {"axis": 1}),
    "dot": ((X.T,), {}),
    "repeat": ((2,), {"axis": 1}),
    "reshape": ((3, -1), {}),
    "round": ((1,), {}),
    "searchsorted": ((0.3,), {}),
    "swapaxes": ((0, 1), {}),
    "take": (([0, 2],), {"axis": 1}),
}
ABSENT = {
    **dict.fromkeys(("fill", "partition", "put", "resize", "sort", "setfield"), "it changes the array in place"),
    **dict.fromkeys(("base", "ctypes", "flags", "strides", "setflags", "byteswap", "getfield", "view"), "about memory"),
    **dict.fromkeys(("dump", "dumps", "tobytes", "tofile"), "it writes the values, and forgets the graph"),
    **dict.fromkeys(("device", "to_device"), "there is one device"),
    **dict.fromkeys(("itemset", "newbyteorder", "ptp", "tostring"), "NumPy is about to drop it, or has"),
}


def test_every_method_of_ndarray_is_there_or_left_out_on_purpose() -> None:
    public = {name for name in dir(np.ndarray) if not name.startswith("_")}
    assert {name for name in public if not hasattr(mg.Tensor, name)} == ABSENT.keys() & public


def test_every_method_is_compared() -> None:
    methods = {name for name in dir(np.ndarray) if callable(getattr(np.ndarray, name)) and not name.startswith("_")}
    assert methods - ABSENT.keys() == METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_methods_give_what_those_of_ndarray_give(name: str) -> None:
    args, options = METHODS[name]
    x = X
    if name == "choose":
        x = np.array([[0, 1, 2], [3, 0, 1]])
    elif name == "searchsorted":
        x = np.sort(X[0])
    elif name == "squeeze":
        x = X[:1]
    elif name == "item":
        x = X[0, 0]
    result = getattr(mg.Tensor(x, requires_grad=x.dtype.kind == "f"), name)(*args, **options)
    expected = getattr(x, name)(*args, **options)
    if isinstance(expected, tuple):
        assert len(result) == len(expected)
    values = result.data if isinstance(result, mg.Tensor) else np.asarray(result)
    np.testing.assert_allclose(values, np.asarray(expected), rtol=1e-14)
    assert values.dtype == np.asarray(expected).dtype


OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"axis": 1, "where": X > -1, "keepdims": True} for name in ("mean", "var", "std", "any", "all")},
    **{name: {"axis": 0, "where": X > 0, "initial": 0.5} for name in ("sum", "prod", "max", "min")},
    **{name: {"axis": 1, "dtype": np.float32} for name in ("cumsum", "cumprod")},
    "trace": {"dtype": np.float32},
    "take": {"indices": [4, -9], "mode": "wrap"},
    "argsort": {"axis": 0, "kind": "stable"},
    "argpartition": {"kth": 1, "axis": None, "kind": "introselect"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_methods_take_numpys_options(name: str) -> None:
    result, expected = (getattr(x, name)(**OPTIONS[name]) for x in (tensor(), X))
    values = result.data if isinstance(result, mg.Tensor) else np.asarray(result)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert values.dtype == expected.dtype
    assert np.searchsorted(X[0], 0.3, sorter=[1, 0, 2]) == tensor(X[0]).searchsorted(0.3, sorter=[1, 0, 2])
    assert tensor().var(0, np.float32).dtype == np.float32


@pytest.mark.parametrize("name", ["sort", "put", "fill", "partition", "resize", "tobytes"])
def test_methods_left_out_name_what_to_use(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'. Use (np|microgradnp|t\.data)\."):
        getattr(tensor(), name)
