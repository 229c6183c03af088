"""Every demo runs from any folder, without a warning, leaves its figure where it is told to, and its claim holds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DEMOS = sorted((ROOT / "demos").glob("*.py"))
# Enough epochs to reach every line, too few to wait for.
SHORT = {"by_hand": 20, "document": 20, "deeper": 20, "digits": 1, "widths": 5, "gan": 40}
NEEDS = {"digits": "sklearn", "widths": "scipy"}


def numbers(lines: str) -> list[list[float]]:
    """The numbers of each line."""
    return [
        [float(n.replace(",", "")) for n in re.findall(r"-?\d[\d,]*\.?\d*(?:e-?\d+)?", line)]
        for line in lines.splitlines()
    ]


def digits_are_read(said: str) -> bool:
    dense, convolution = (line[0] for line in numbers(said))
    return dense >= 98.5 and convolution >= 99


def validation_finds_the_width(said: str) -> bool:
    _, *rows, _ = numbers(said)
    width, training, validation, test = np.array(rows).T
    best = validation.argmin()
    underfits = min(training[0], validation[0], test[0]) > 2 * max(training[best], validation[best], test[best])
    overfits = training[-1] < 0.8 * training[best] and validation[-1] > validation[best] and test[-1] > test[best]
    noise = 0.05
    return 1 < width[best] < 256 and underfits and overfits and training[-1] < noise < min(validation.min(), test.min())


def spirals_are_told_apart(said: str) -> bool:
    return numbers(said)[1][0] > 99


def fifty_layers_train(said: str) -> bool:
    plain, residual = said.splitlines()
    right = [float(line.split()[-5].rstrip("%")) for line in (plain, residual)]
    return right[0] == 50 and right[1] > 95


def made_points_match(said: str) -> bool:
    (first, last), (same,) = numbers(said)
    return last < 4 * same and last < first / 100


CLAIMS = {
    "digits": digits_are_read,
    "widths": validation_finds_the_width,
    "spirals": spirals_are_told_apart,
    "fifty_layers": fifty_layers_train,
    "gan": made_points_match,
}


def run(demo: Path, folder: Path, *options: str) -> str:
    """What a demo prints; its figure is in new/folder."""
    if demo.stem in NEEDS:
        pytest.importorskip(NEEDS[demo.stem])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(demo), "--out", "new/folder", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    figure = folder / "new" / "folder" / f"{demo.stem}.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    return done.stdout


@pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.stem)
def test_demo_draws_its_figure(demo: Path, tmp_path: Path) -> None:
    said = run(demo, tmp_path, *(["--epochs", str(SHORT[demo.stem])] if demo.stem in SHORT else []))
    assert said, "a demo tells its story in numbers too"
    if demo.stem in CLAIMS and demo.stem not in SHORT:
        assert CLAIMS[demo.stem](said), said


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CLAIMS if name in SHORT])
def test_a_whole_demo_shows_what_it_claims(name: str, tmp_path: Path) -> None:
    said = run(ROOT / "demos" / f"{name}.py", tmp_path)
    assert CLAIMS[name](said), said


def test_the_demos_numbers_are_the_chapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework's demo ends where the chapter's own code does: 31.42682918 and 0.89838996."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, str(ROOT / "demos" / "document.py"), "--out", str(tmp_path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    last = [float(line.split()[-1]) for line in lines]
    assert last[0] == pytest.approx(31.426829182338306, rel=1e-7)  # six decimals are printed
    assert last[1] == pytest.approx(0.89838996, rel=1e-4)  # rounding grows over 2000 steps
