"""The house keeps its order: imports point one way, and `import microgradnp` costs NumPy and nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import microgradnp

PACKAGE = Path(microgradnp.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import from the package itself. `show`, the command line and the top level may import everything.
ARROWS = {
    "engine": {"engine"},
    "functions": {"engine", "functions"},
    "transforms": {"engine", "functions", "transforms"},
    "compiler": {"engine", "functions", "transforms", "compiler"},
    "nn": {"engine", "functions", "transforms", "compiler", "nn"},
    "check": {"tree", "debugging", "engine", "functions", "transforms", "check"},
}


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it, by their full names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write the module's full name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0]
    if part in ARROWS:
        own = {name.split(".")[1] for name in imports_of(path) if name.startswith("microgradnp.")}
        assert own <= ARROWS[part], f"{part} may import {sorted(ARROWS[part])} alone"


def test_the_engine_needs_numpy_alone() -> None:
    imported = {name.split(".")[0] for path in PACKAGE.glob("engine/**/*.py") for name in imports_of(path)}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "microgradnp"}


def modules_after(statement: str) -> set[str]:
    """The top-level modules, less the standard library's, that a fresh interpreter holds after ``statement``."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    return set(done.stdout.split()) - sys.stdlib_module_names


def test_import_pulls_in_numpy_alone() -> None:
    ours = modules_after("import microgradnp; from microgradnp import check, nn, optim")
    numpys = modules_after("import numpy, numpy.random")  # a part that NumPy itself loads only when it is used
    assert ours - numpys == {"microgradnp"}
