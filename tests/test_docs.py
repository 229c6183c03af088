"""The README and the docs cannot rot: code blocks run, links lead somewhere, and public names have examples."""

import ast
import doctest
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from count_lines import heart, lines_of_code, modules
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import microgradnp as mg
from microgradnp import check, nn, optim, show

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md"))
documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def run_in_shell(example: Example) -> None:
    """Run a block of shell commands with this Python's environment."""
    if "venv" in example.parsed or "pip install" in example.parsed:
        return  # commands that set up an environment: .ci/run runs them, in a fresh clone
    commands = 'set -e; microgradnp() { python -m microgradnp "$@"; }\n' + example.parsed
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", commands],
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{example.parsed}\n{done.stdout}\n{done.stderr}"


@documents
def test_code_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "scipy" in path.read_text(encoding="utf-8") and path.stem == "autograd":
        pytest.importorskip("scipy", reason="SciPy is not installed, and the page shows its functions")
    if path.stem == "sklearn":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed, and the page shows its tools")
    for folder in ("demos", "docs", "tests"):  # what the commands name; what they write stays in the temporary folder
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    python = PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    sybil = Sybil([python, CodeBlockParser("sh", run_in_shell), SkipParser()], path=str(ROOT))
    for example in sybil.parse(path).examples():
        example.evaluate()


@documents
def test_code_blocks_say_their_language(path: Path) -> None:
    fences = re.findall(r"^ *```(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert set(fences[::2]) <= {"python", "sh", "text"}, "only python and sh blocks are run; mark output as text"


@documents
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert not missing


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    unlinked = [page for path in DOCUMENTS if f"({(page := path.relative_to(ROOT).as_posix())})" not in readme]
    assert unlinked == ["README.md"]


def public_names() -> dict[str, object]:
    """The functions and classes of the package's public modules."""
    return {
        f"{module.__name__}.{name}": thing
        for module in (mg, mg.datasets, nn, nn.functional, nn.initializers, nn.losses, optim, check, show)
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and (thing.__module__ == module.__name__ or name in getattr(module, "__all__", ()) or module is show)
    }


@pytest.mark.parametrize("name", public_names())
def test_public_names_explain_themselves(name: str) -> None:
    """In a sentence; and a function with an example too, which runs as a doctest."""
    thing = public_names()[name]
    text = thing.__doc__ or ""
    assert text.strip()
    assert inspect.isclass(thing) or ">>>" in text


@pytest.mark.parametrize(("file", "name"), [("tensor.py", "apply"), ("sweep.py", "sweep")])
def test_the_design_shows_the_engine_as_it_is(file: str, name: str) -> None:
    text = (ROOT / "microgradnp" / "engine" / file).read_text(encoding="utf-8")
    function = next(node for node in ast.parse(text).body if getattr(node, "name", None) == name)
    source = ast.get_source_segment(text, function)
    assert source
    assert source in (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_readme_counts_the_heart() -> None:
    lines = sum(lines_of_code(path.read_text(encoding="utf-8")) for path in heart(modules(ROOT)))
    assert f"{lines:,} lines of code" in (ROOT / "README.md").read_text(encoding="utf-8")
