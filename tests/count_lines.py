"""What the house measures: lines of code by folder, the heart against its budget, the longest file, import circles.

    python tests/count_lines.py [folder that holds the package]

A line of code is a line with a token on it that is neither comment nor docstring. `test_architecture.py` holds the
limits that stand here; this file imports nothing of the package, so that it counts one that cannot be imported, too.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "microgradnp"
HEART = 1000
"""Lines of code that `engine/` may have, without `fast.py`, which only repeats it."""
LONGEST = 350
"""Lines of code that a file may have."""

_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(text: str) -> int:
    """The lines of a file's text that hold code: docstrings, comments and blank lines do not count."""
    docstrings = {(node.lineno, node.col_offset) for node in _docstrings(ast.parse(text))}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE and token.start not in docstrings:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines)


def _docstrings(tree: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            yield node.body[0]


def modules(root: Path) -> dict[str, Path]:
    """The package's modules by their full names; a folder goes by its ``__init__.py``."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def heart(files: dict[str, Path]) -> list[Path]:
    """The files of the heart: what `engine/` holds, but for `fast.py`."""
    return [path for name, path in files.items() if name.split(".")[1:2] == ["engine"] and path.name != "fast.py"]


# -- Imports -----------------------------------------------------------------------------------------------------------


def imports(text: str) -> set[str]:
    """All that a file's text imports, by full names: anywhere in it, in functions and under TYPE_CHECKING included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"line {node.lineno}: write the module's full name")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "import_module":
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found


def graph(files: dict[str, Path]) -> dict[str, set[str]]:
    """The package's modules that each of them imports.

    ``from a.b import c`` is an import of the module ``a.b.c`` where there is one, and otherwise of ``a.b``, where the
    name ``c`` stands. That Python runs the ``__init__.py`` of every folder on the way makes no arrow.
    """

    def module(name: str) -> str | None:
        return name if name in files else name.rpartition(".")[0] if name.rpartition(".")[0] in files else None

    found = {}
    for name, path in files.items():
        found[name] = {m for m in map(module, imports(path.read_text(encoding="utf-8"))) if m is not None}
    return found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """One circle of imports for each set of modules that import each other, as the way around; none if all is well."""
    found: list[list[str]] = []
    for start in sorted(arrows):
        way = None if any(start in circle for circle in found) else _way_around(arrows, start)
        if way:
            found.append(way)
    return found


def _way_around(arrows: dict[str, set[str]], start: str) -> list[str] | None:
    """The shortest way from a module over its imports back to it."""
    ways = [[start]]
    seen = set()
    for way in ways:  # grows while it is walked
        for name in sorted(arrows.get(way[-1], ())):
            if name == start:
                return [*way, start]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return None


# -- The report --------------------------------------------------------------------------------------------------------


def report(root: Path) -> str:
    files = modules(root)
    lines = {path: lines_of_code(path.read_text(encoding="utf-8")) for path in files.values()}
    folders: Counter[str] = Counter()
    for path, n in lines.items():
        parts = path.relative_to(root / PACKAGE).parts
        folders[parts[0] if len(parts) > 1 else "."] += n
    rows = [f"{folder:<12}{n:>7,}" for folder, n in folders.most_common()]
    longest = max(lines, key=lambda path: lines[path])
    around = circles(graph(files))
    return "\n".join(
        [
            *rows,
            f"{'package':<12}{sum(lines.values()):>7,}",
            "",
            f"heart: {sum(lines[path] for path in heart(files)):,} of at most {HEART:,} (engine/ without fast.py)",
            f"longest file: {longest.relative_to(root)}, {lines[longest]} of at most {LONGEST}",
            f"import circles: {len(around) or 'none'}",
            *("  " + " -> ".join(way) for way in around),
        ]
    )


if __name__ == "__main__":
    print(report(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]))
