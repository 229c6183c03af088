"""Every demo runs from any folder, without a warning, and leaves its figure where it is told to."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEMOS = sorted((ROOT / "demos").glob("*.py"))
# Enough epochs to reach every line, too few to wait for.
SHORT = {"by_hand": ["--epochs", "20"], "document": ["--epochs", "20"], "deeper": ["--epochs", "20"]}


@pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.stem)
def test_demo_draws_its_figure(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(demo), "--out", "new/folder", *SHORT.get(demo.stem, [])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert done.stdout, "a demo tells its story in numbers too"
    figure = tmp_path / "new" / "folder" / f"{demo.stem}.png"
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_demos_numbers_are_the_chapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework's demo ends where the chapter's own code does: 31.42682918 and 0.89838996."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, str(ROOT / "demos" / "document.py"), "--out", str(tmp_path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    last = [float(line.split()[-1]) for line in lines]
    assert last[0] == pytest.approx(31.426829182338306, rel=1e-7)  # six decimals are printed
    assert last[1] == pytest.approx(0.89838996, rel=1e-4)  # rounding grows over 2000 steps
