"""Convolution and pooling beside PyTorch: ``python tests/benchmarks/images.py`` prints a table of targets.

A batch of 64 images of 28 x 28, forward and backward by the image, the weight and the bias, eagerly and compiled; on
one thread, in processor time, so that what else the machine does hardly counts. The sides take turns in every round,
and a ratio is the median over rounds. Without PyTorch there is nothing to compare with: ``pip install torch==2.13.0``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is imported

import numpy as np
from training import ratio, table_of_targets

import microgradnp as mg
from microgradnp.nn import functional

EAGER, COMPILED, THEIRS = "eager", "compiled", "PyTorch"
CONVOLUTIONS = [(16, 16), (16, 32), (32, 32)]
POOLINGS = [(functional.max_pool2d, 32, 2, 2), (functional.max_pool2d, 16, 3, 1), (functional.max_pool2d, 16, 3, 3)]
POOLINGS += [(functional.avg_pool2d, *sizes) for _, *sizes in POOLINGS]


def steps(ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: Any) -> dict[str, Callable[[], Any]]:
    """The same function and its gradients on the three sides."""
    import torch

    torch.set_num_threads(1)
    mine = [mg.Tensor(a, requires_grad=True) for a in arrays]
    other = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    g = np.random.default_rng(1).normal(size=ours(*arrays).shape).astype(arrays[0].dtype)
    torch_g = torch.from_numpy(g)

    def step() -> Any:
        for t in mine:
            t.grad = None
        y = ours(*mine)
        y.backward(g)
        return y

    def torch_step() -> Any:
        for t in other:
            t.grad = None
        y = theirs(*other)
        y.backward(torch_g)
        return y

    compiled = mg.compile(step)
    expected = torch_step().detach().numpy()
    for y in (step(), *(compiled() for _ in range(17))):  # the 16th replay is audited, and then the 32nd
        np.testing.assert_allclose(y.data, expected, rtol=1e-3, atol=1e-3)
    return {EAGER: step, COMPILED: compiled, THEIRS: torch_step}


def race(sides: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of processor time a step, the sides in turn in every round."""
    rounds: dict[str, list[float]] = {name: [] for name in sides}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(rounds[EAGER]) < 5:
        for name, step in sides.items():
            start = time.thread_time()
            step()
            rounds[name].append((time.thread_time() - start) * 1e3)
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each comparison")
    seconds = parser.parse_args().seconds
    if not find_spec("torch"):
        print("PyTorch is not installed, so there is nothing to compare with: pip install torch==2.13.0.")
        return
    import torch.nn.functional as torch_functional
    from rich.console import Console

    rows: list[tuple[str, Any, str, float]] = []

    def compare(what: str, sides: dict[str, Callable[[], Any]]) -> None:
        rounds = race(sides, seconds)
        rows.extend((f"{what}, {side}", ratio(rounds, side, THEIRS), "<=", 2.0) for side in (EAGER, COMPILED))

    for dtype in (np.float32, np.float64):
        rng = np.random.default_rng(0)
        for channels, out in CONVOLUTIONS:
            arrays = (
                rng.normal(size=(64, channels, 28, 28)),
                rng.normal(size=(3, 3, channels, out)),
                rng.normal(size=out),
            )
            sides = steps(
                lambda x, w, b: functional.conv2d(x, w, b, padding=1),
                lambda x, w, b: torch_functional.conv2d(x, w.permute(3, 2, 0, 1), b, padding=1),
                *(a.astype(dtype) for a in arrays),
            )
            compare(f"{dtype.__name__}: 3 x 3, {channels} to {out}", sides)
        for pool, channels, kernel, stride in POOLINGS:
            their_pool = getattr(torch_functional, pool.__name__)
            sides = steps(
                lambda x, pool=pool, k=kernel, s=stride: pool(x, k, stride=s),
                lambda x, pool=their_pool, k=kernel, s=stride: pool(x, k, s),
                rng.normal(size=(64, channels, 28, 28)).astype(dtype),
            )
            compare(f"{dtype.__name__}: {pool.__name__} {kernel} by {stride}, {channels}", sides)
    Console(width=110).print(table_of_targets(rows))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
