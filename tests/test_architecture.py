"""The house keeps its order: the heart is small, imports point one way, and nothing is known by where it stands.

`count_lines.py` measures, and prints what it finds. Each rule here is tried on a house that breaks it, at the end.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import count_lines
import pytest
from count_lines import HEART, LONGEST, PACKAGE, lines_of_code

ROOT = Path(__file__).parents[1]
MODULES = count_lines.modules(ROOT)
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
TESTS = sorted((ROOT / "tests").rglob("*.py"))

ROOMS = """
    tree, arrays, signatures, versions, hints < scopes < engine < functions < transforms < debugging, compiler <
    nn, check, scipy < show, datasets, sklearn < cli, numpy
"""
"""What stands to the right may import what stands to the left of a `<`, and what is in the same room."""
HEARTS_ROOMS = "rules < state < table, sweep, dispatch < operators < tensor < fast"
"""The same within `engine/`, file by file."""

NODE = {"_rule", "_a", "_b", "_inputs", "_values", "_options", "_order", "_tracked", "_site"}
"""How a Tensor remembers what it came from: for `engine/` and `transforms/graph.py` alone."""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# -- Size --------------------------------------------------------------------------------------------------------------


def test_the_heart_keeps_its_budget() -> None:
    assert sum(lines_of_code(read(path)) for path in count_lines.heart(MODULES)) <= HEART


def test_no_file_of_the_package_is_too_long() -> None:
    assert too_long(TEXTS) == []


def test_no_file_of_tests_is_too_long() -> None:
    assert too_long({ids(path): read(path) for path in TESTS}) == []


def too_long(texts: dict[str, str]) -> list[str]:
    return [f"{name}: {n} lines of code" for name, text in texts.items() if (n := lines_of_code(text)) > LONGEST]


# -- Imports -----------------------------------------------------------------------------------------------------------


def test_no_circle_of_imports() -> None:
    assert count_lines.circles(count_lines.graph(MODULES)) == []


def test_imports_point_one_way() -> None:
    assert list(against_the_arrows(count_lines.graph(MODULES), ROOMS, 1)) == []


def test_imports_of_the_heart_point_one_way() -> None:
    heart = {name: to for name, to in count_lines.graph(MODULES).items() if name.startswith(f"{PACKAGE}.engine.")}
    assert list(against_the_arrows(heart, HEARTS_ROOMS, 2)) == []


def against_the_arrows(graph: dict[str, set[str]], order: str, level: int) -> Iterator[str]:
    """The imports that point to the right; rooms are told apart by the part of the name that stands at ``level``.

    What has no such part, the package's own ``__init__.py``, may import all; only the last room may import it.
    """
    place: dict[str, float] = {room.strip(): i for i, rooms in enumerate(order.split("<")) for room in rooms.split(",")}
    top = max(place.values()) - 0.5
    for name, imported in graph.items():
        room = ".".join(name.split(".")[level : level + 1])
        if room not in ("", "__main__", *place):
            yield f"{name} has no place in the order"
            continue
        for other in imported:
            to = ".".join(other.split(".")[level : level + 1])
            inside = other.split(".")[:level] == name.split(".")[:level]
            if room in place and inside and to != room and place.get(to, top) >= place[room]:
                yield f"{name} imports {other}"


def test_the_engine_needs_numpy_alone() -> None:
    texts = [text for name, text in TEXTS.items() if name.startswith(f"{PACKAGE}.engine")]
    imported = {name.split(".")[0] for text in texts for name in count_lines.imports(text)}
    assert imported - set(sys.stdlib_module_names) == {"numpy", PACKAGE}


def modules_after(statement: str) -> set[str]:
    """The top-level modules, less the standard library's, that a fresh interpreter holds after ``statement``."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split()) - sys.stdlib_module_names


def test_import_pulls_in_numpy_alone() -> None:
    ours = modules_after("import microgradnp; from microgradnp import check, nn, optim")
    numpys = modules_after("import numpy, numpy.random")  # a part that NumPy itself loads only when it is used
    assert ours - numpys == {PACKAGE}


def test_no_file_of_tests_imports_another() -> None:
    files = {path.stem for path in TESTS if path.stem.startswith("test_")}
    assert [
        ids(path) for path in TESTS if files & {name.split(".")[0] for name in count_lines.imports(read(path))}
    ] == []


# -- How a file reads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_a_module_opens_with_what_it_is_for(name: str) -> None:
    assert 1 <= opening(TEXTS[name]) <= 8


def opening(text: str) -> int:
    """The lines of a module's docstring that are not blank."""
    return sum(bool(line) for line in (ast.get_docstring(ast.parse(text)) or "").splitlines())


# -- Nothing is known by its place -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_no_code_knows_where_a_module_stands(name: str) -> None:
    assert list(places_in_strings(TEXTS[name])) == []


def places_in_strings(text: str) -> Iterator[str]:
    """The strings in a file's code that are a module's name or the beginning of one, or a file's or folder's.

    Such a string is for comparing, and breaks in silence when files move. Docstrings and the texts of errors are
    sentences, of which a name is but a part; what `import_module` is given breaks aloud.
    """
    tree = ast.parse(text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    imported = {x for call in calls if ast.unparse(call.func).endswith("import_module") for x in call.args}
    for node in ast.walk(tree):
        string = isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in imported
        if string and _PLACE.fullmatch(node.value):
            yield f"line {node.lineno}: {node.value!r}"


def _any_of(names: set[str]) -> str:
    return f"(?:{'|'.join(sorted(names))})"


_ROOM = _any_of({name.split(".")[1] for name in MODULES if "." in name})
_FOLDER = _any_of({path.parent.name for path in MODULES.values()})
_FILE = _any_of({path.stem for path in MODULES.values()})
_PLACE = re.compile(rf"{PACKAGE}\.(?:{_ROOM}[\w.]*)?|(?:[\w/]*/)?(?:{_FOLDER}/|{_FILE}\.py)")


# -- A node's underscores are the engine's -----------------------------------------------------------------------------


def test_nothing_else_touches_how_a_tensor_remembers() -> None:
    others = {name: text for name, text in TEXTS.items() if not name.startswith(_MAY_TOUCH)}
    assert [f"{name}, {where}" for name, text in others.items() for where in underscores(text)] == []


_MAY_TOUCH = (f"{PACKAGE}.engine", f"{PACKAGE}.versions", f"{PACKAGE}.transforms.graph")


def underscores(text: str) -> Iterator[str]:
    """Where a file reads or writes a node's underscore, by attribute or by its name in a string; not one of `self`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in NODE and ast.unparse(node.value) not in ("self", "cls"):
            yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Constant) and node.value in NODE:
            yield f"line {node.lineno}: {node.value!r}"


# -- Each rule finds what breaks it ------------------------------------------------------------------------------------


def test_lines_of_code_are_those_with_code() -> None:
    text = (
        '"""What\nit is."""\n\n# A comment.\ndef f(x):  # another\n    """Doc."""\n\n    return (\n        x\n    )\n'
    )
    assert lines_of_code(text) == 4
    assert lines_of_code('A = """one\n\ntwo"""\n') == 3
    assert too_long({"a": "x = 1\n" * LONGEST}) == []
    assert too_long({"a": "x = 1\n" * (LONGEST + 1)}) == [f"a: {LONGEST + 1} lines of code"]


@pytest.mark.parametrize(
    "statement",
    [
        "from microgradnp.nn import b",
        "from microgradnp.nn.b import x",
        "import microgradnp.nn.b",
        "if TYPE_CHECKING:\n    from microgradnp.nn.b import x",
        "def f():\n    from microgradnp.nn import b",
        "def f():\n    importlib.import_module('microgradnp.nn.b')",
    ],
)
def test_a_circle_is_found(tmp_path: Path, statement: str) -> None:
    for name, text in {"__init__": "", "a": statement, "b": "from microgradnp.nn import x", "c": ""}.items():
        path = tmp_path / PACKAGE / "nn" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert count_lines.circles(count_lines.graph(count_lines.modules(tmp_path))) == []
    (tmp_path / PACKAGE / "nn" / "__init__.py").write_text("from microgradnp.nn.a import x")
    around = [f"{PACKAGE}.nn", f"{PACKAGE}.nn.a", f"{PACKAGE}.nn.b", f"{PACKAGE}.nn"]
    assert count_lines.circles(count_lines.graph(count_lines.modules(tmp_path))) == [around]
    assert "import circles: 1" in count_lines.report(tmp_path)


def test_an_arrow_against_the_order_is_found() -> None:
    right = {
        "p": {"p.c.x"},
        "p.a.x": {"p.a.y"},
        "p.b": {"p.a.x"},
        "p.c.x": {"p.a.x", "p.b", "p.c", "p"},
        "p.c": {"p.c.x"},
    }
    assert list(against_the_arrows(right, "a < b < c", 1)) == []
    for name, to in {"p.a.x": "p.b", "p.b": "p.c", "p.a.y": "p"}.items():
        assert list(against_the_arrows({name: {to}}, "a < b < c", 1)) == [f"{name} imports {to}"]
    assert list(against_the_arrows({"p.b": {"p.c"}}, "a < b, c", 1)) == ["p.b imports p.c"]
    assert list(against_the_arrows({"p.d": set()}, "a < b", 1)) == ["p.d has no place in the order"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("f.__module__.startswith('microgradnp.')", True),
        ("f.__module__ == 'microgradnp.nn.losses'", True),
        ("if name.startswith('microgradnp.engine.'): pass", True),
        ("f'microgradnp.nn.{name}'", True),
        ("path.endswith('engine/tensor.py')", True),
        ("path.name == 'tensor.py'", True),
        ("'/nn/' in path", True),
        ("importlib.import_module('microgradnp.check.strategies')", False),
        ("raise TypeError('see microgradnp.nn.fit, or microgradnp.check')", False),
        ("HINT = 'microgradnp.put(t, index, value)'", False),
        ("def f():\n    'microgradnp.nn. and engine/tensor.py'", False),
        ("title = 'microgradnp'", False),
        ("f.__module__ == 'numpy.linalg'", False),
        ("open('data/table.csv'), 'a/b'", False),
    ],
)
def test_a_place_in_a_string_is_found(text: str, found: bool) -> None:
    assert bool(list(places_in_strings(text))) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("t._inputs", True),
        ("self.node._rule.name", True),
        ("t._tracked = False", True),
        ("getattr(t, '_order')", True),
        ("self._options", False),
        ("t.inputs, t._value, '_rules'", False),
    ],
)
def test_an_underscore_is_found(text: str, found: bool) -> None:
    assert bool(list(underscores(text))) == found


def test_an_opening_is_measured() -> None:
    assert [opening(text) for text in ("x = 1", '"""One."""', '"""One.\n\nThree.\n"""')] == [0, 1, 2]
