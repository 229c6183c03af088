"""`engine/fast.py` changes nothing but time: without it the package works, and the laws of the engine hold.

`MICROGRADNP_PLAIN=1 pytest tests/engine` runs on the plain door and sweep (`conftest.py` reads the variable); here the
same is done with few examples.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import microgradnp
from microgradnp.engine import sweep, tensor

PACKAGE = Path(microgradnp.__file__).parent
PLAIN = bool(os.environ.get("MICROGRADNP_PLAIN"))

LAWS = {
    "the way itself": ["tests/test_without_fast.py"],
    "engine": ["tests/engine"],
    "transforms": ["tests/transforms"],
    "values": ["tests/functions/test_rules.py", "-k", "test_values_are_numpys_own"],
    "derivatives": ["tests/functions/test_rules.py", "-k", "test_derivatives_are_right"],
}


def test_the_door_and_the_sweep_are_those_that_were_asked_for() -> None:
    plain = PLAIN or not (PACKAGE / "engine" / "fast.py").exists()
    files = [Path(f.__code__.co_filename).name for f in (tensor.apply, tensor.sweep, sweep.sweep)]
    assert files == (["tensor.py", "sweep.py", "sweep.py"] if plain else ["fast.py"] * 3)


def test_the_file_may_be_left_out(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("fast.py", "__pycache__"))
    statements = [
        "import numpy as np, microgradnp as mg",
        "from microgradnp import check, nn, show",
        f"assert mg.__file__.startswith({str(tmp_path)!r})",
        "assert mg.grad(lambda x: np.sum(x * x))(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(statements)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(PLAIN, reason="this is the plain way")
@pytest.mark.parametrize("laws", LAWS)
def test_the_laws_hold_on_the_plain_door_and_sweep(laws: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--hypothesis-profile=brief", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *LAWS[laws]],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "MICROGRADNP_PLAIN": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-10_000:]
