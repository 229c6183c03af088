"""Where each of NumPy's functions stands: NumPy's own list is walked, and the documentation's table is compared."""

import pathlib
import runpy
from typing import Any

import numpy as np
import pytest

import microgradnp as mg
from microgradnp.engine.dispatch import CONSTANTS, FUNCTIONS, REFUSED
from microgradnp.engine.rules import RULES
from microgradnp.functions.shapes import CREATION
from microgradnp.functions.standing import classify, overridable
from microgradnp.signatures import name_of

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "coverage.md"


def test_every_function_of_numpys_list_is_classified() -> None:
    unclassified = sorted(c.name for c in map(classify, overridable()) if c.kind == "unclassified")
    assert not unclassified, f"give {unclassified} a row or a front, or list them in functions/standing.py"


def test_no_function_is_in_two_classes() -> None:
    differentiable = {*RULES, *FUNCTIONS}
    assert not {name_of(f) for f in differentiable & CONSTANTS}
    refused = {f for f in REFUSED if not isinstance(f, str)}
    assert not {name_of(f) for f in refused & (differentiable | CONSTANTS)}


def test_a_new_function_is_noticed() -> None:
    def brand_new(x: Any) -> Any:
        return x

    assert classify(brand_new).kind == "unclassified"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    version = ".".join(np.__version__.split(".")[:2])
    if f"NumPy {version} has" not in text:
        pytest.skip(f"docs/coverage.md is about another version than NumPy {version}")
    written = runpy.run_path(str(PAGE.with_suffix(".py")))["page"]()
    assert text == written, "write it anew: python docs/coverage.py > docs/coverage.md"


# -- What each class promises ------------------------------------------------------------------------------------------

X = np.array([[0.5, 1.5], [2.0, 2.5]])
WHOLE = np.array([[0, 1], [1, 0]])
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(["isclose", "allclose", "array_equal", "array_equiv", "isin", "in1d", "may_share_memory"], (X, X)),
    **dict.fromkeys(["shares_memory", "result_type", "common_type"], (X, X)),
    **dict.fromkeys(["searchsorted", "digitize"], (X, X[0])),
    "searchsorted": (X[0], X),
    "can_cast": (X.dtype, np.float32),
    "argpartition": (X, 1),
    "lexsort": ((X[0], X[1]),),
    "einsum_path": ("ij->ji", X),
    "unravel_index": (WHOLE, (2, 2)),
    "ravel_multi_index": ((WHOLE[0], WHOLE[1]), (2, 2)),
    **dict.fromkeys(["packbits", "unpackbits"], (WHOLE.astype(np.uint8),)),
}
"""For the piecewise constant functions that do not take just one array."""


def arguments_of(function: Any) -> tuple[Any, ...]:
    """Something that a piecewise constant function takes."""
    name = function.__name__
    ufunc = function if isinstance(function, np.ufunc) else getattr(function, "__self__", None)
    if not isinstance(ufunc, np.ufunc):
        return ARGUMENTS.get(name, (X,))
    x: Any = X if any("d" in types for types in ufunc.types) else WHOLE + 1
    if ufunc is np.isnat:
        x = np.array(["2020-01-01", "NaT"], "M8[D]")
    count = {"reduce": 1, "accumulate": 1, "outer": 2, "reduceat": 1}.get(name, ufunc.nin)
    return (x,) * count + (([0, 1],) if name == "reduceat" else ())


NUMPYS = [f for f in CONSTANTS if not str(getattr(f, "__module__", "")).startswith("microgradnp.")]


@pytest.mark.filterwarnings("ignore:`in1d`:DeprecationWarning", "ignore:numpy.fix:DeprecationWarning")  # NumPy 2.5
@pytest.mark.parametrize("function", sorted(NUMPYS, key=name_of), ids=name_of)
def test_piecewise_constant_functions_give_what_numpy_gives(function: Any) -> None:
    arguments = arguments_of(function)
    if function is np.isnat:
        with pytest.raises(TypeError, match="isnat"):  # Tensors hold no dates
            function(mg.Tensor(X))
        return
    result, expected = function(*_wrapped(arguments, {})), function(*arguments)
    parts, expected_parts = (r if isinstance(r, tuple) else (r,) for r in (result, expected))
    for part, expected_part in zip(parts, expected_parts, strict=True):
        assert not isinstance(part, mg.Tensor)
        if "empty" not in function.__name__:
            np.testing.assert_array_equal(np.asarray(part, object), np.asarray(expected_part, object))


def _wrapped(x: Any, made: dict[int, Any]) -> Any:
    """The same with Tensors in place of arrays; with a gradient, where it can have one."""
    if isinstance(x, tuple):
        return tuple(_wrapped(part, made) for part in x)
    if not isinstance(x, np.ndarray):
        return x
    return made.setdefault(id(x), mg.Tensor(x, requires_grad=x.dtype.kind == "f"))


@pytest.mark.parametrize("function", sorted((f for f in REFUSED if not isinstance(f, str)), key=name_of), ids=name_of)
def test_refused_functions_say_why_and_what_instead(function: Any) -> None:
    t = mg.Tensor(np.eye(2), requires_grad=True)
    name = function.__name__
    if name == "at":
        arguments: tuple[Any, ...] = (t, 0, t) if function.__self__.nin == 2 else (t, 0)
    elif isinstance(function, np.ufunc):
        arguments = (t,) * function.nin
    elif name.startswith("save"):
        arguments = ("nowhere", t)
    elif name == "reduceat":
        arguments = (t, [0])
    else:
        count = {"copyto": 2, "place": 3, "put": 3, "put_along_axis": 4, "putmask": 3, "fill_diagonal": 2}
        arguments = (t,) * count.get(name, 2 if name[-2:] in ("1d", "2d", "nt", "et") and "unique" not in name else 1)
    with pytest.raises(TypeError) as caught:
        function(*arguments)
    assert name_of(function) in str(caught.value)
    assert REFUSED[function] in str(caught.value)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "fftn"])
def test_a_whole_module_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"np\.fft\.{name} has no gradient here: its results are complex"):
        getattr(np.fft, name)(mg.Tensor([1.0, 2.0], requires_grad=True))
    np.testing.assert_array_equal(getattr(np.fft, name)(mg.Tensor([[1.0, 2.0]])), getattr(np.fft, name)([[1.0, 2.0]]))


@pytest.mark.parametrize("function", CREATION, ids=name_of)
def test_creation_with_like_makes_a_tensor(function: Any, tmp_path: pathlib.Path) -> None:
    t = mg.Tensor([1.0, 2.0], requires_grad=True)
    path = tmp_path / "numbers.txt"
    path.write_text("1 2\n3 4\n")
    arguments: tuple[Any, ...] = {
        np.frombuffer: (np.ones(2).tobytes(),),
        np.fromfile: (path, np.uint8),
        np.fromfunction: (lambda i: i * 2.0, (3,)),
        np.fromiter: ([1.0, 2.0], np.float64),
        np.fromstring: ("1 2",),
        np.genfromtxt: (path,),
        np.loadtxt: (path,),
    }.get(function, (3,))
    options = {"sep": " "} if function is np.fromstring else {}
    made = function(*arguments, like=t, **options)
    assert isinstance(made, mg.Tensor)
    assert not made.requires_grad
    if function is not np.empty:
        np.testing.assert_array_equal(made.data, function(*arguments, **options))
