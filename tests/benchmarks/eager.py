"""Eager speed against other systems: ``python tests/benchmarks/eager.py`` prints a table of targets.

The cost of a small operation, forward and backward, on the chapter's network and on a chain of 16 elements; a chain of
a million operations, its time and its peak memory, each system in a process of its own; and how our cost of an
operation grows with the graph, with Python's garbage collector and without. Systems that are not installed are named
and left out: ``pip install torch==2.13.0 autograd mygrad`` brings them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from systems import data, parameters
from training import ratio, table_of_targets, table_of_times

OURS = "microgradnp"
MODULES = {OURS: "microgradnp", "PyTorch": "torch", "autograd": "autograd", "MyGrad": "mygrad"}
CHAIN = 100  # operations of the chain of 16 elements
TURN = 200  # steps before the next system's turn: enough that what the others left in the caches counts for little
LENGTHS = [10**k for k in range(1, 7)]


def systems() -> tuple[list[str], list[str]]:
    """Which systems can be imported, and which are absent."""
    present = [name for name, module in MODULES.items() if find_spec(module)]
    return present, [name for name in MODULES if name not in present]


def tensors(name: str) -> tuple[Callable[[Any], Any], Any]:
    """How a system makes a variable, and its functions."""
    if name == OURS:
        import microgradnp as mg

        return lambda a: mg.Tensor(a, requires_grad=True), np
    if name == "PyTorch":
        import torch

        torch.set_num_threads(1)
        return lambda a: torch.tensor(a, requires_grad=True), torch
    import mygrad

    return mygrad.tensor, mygrad


def network(name: str) -> Callable[[], None]:
    """Forward and backward through the chapter's network."""
    x, y = data([1, 8, 1], 40, np.dtype("float64"), "regression")
    (w, b), (v, c) = parameters([1, 8, 1], np.float64)
    if name == "autograd":
        import autograd
        import autograd.numpy as anp

        gradient = autograd.grad(
            lambda w, b, v, c: anp.sum((anp.dot(1 / (1 + anp.exp(-(anp.dot(x, w) + b))), v) + c - y) ** 2), (0, 1, 2, 3)
        )
        return lambda: gradient(w, b, v, c) and None
    make, f = tensors(name)
    if name == "PyTorch":
        import torch

        x, y = torch.from_numpy(x), torch.from_numpy(y.copy())
    p = [make(a) for a in (w, b, v, c)]

    def step() -> None:
        hidden = 1 / (1 + f.exp(-(f.matmul(x, p[0]) + p[1])))
        f.sum((f.matmul(hidden, p[2]) + p[3] - y) ** 2).backward()
        for t in p:
            if name == "MyGrad":
                t.null_grad()
            else:
                t.grad = None

    return step


def chain(name: str, length: int) -> Callable[[], None]:
    """Forward and backward through a chain of multiplications and additions of 16 elements."""
    start = np.linspace(0.5, 1.5, 16)
    if name == "autograd":
        import autograd
        import autograd.numpy as anp

        def through(x: Any) -> Any:
            t = x
            for _ in range(length // 2):
                t = t * 0.999 + 0.001
            return anp.sum(t)

        gradient = autograd.grad(through)
        return lambda: gradient(start) is None and None
    make, f = tensors(name)

    def step() -> None:
        x = make(start)
        t = x
        for _ in range(length // 2):
            t = t * 0.999 + 0.001
        f.sum(t).backward()
        assert x.grad is not None

    return step


def race(steps: dict[str, Callable[[], None]], operations: int, seconds: float) -> dict[str, list[float]]:
    """Microseconds an operation, the systems in turn in every round."""
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(rounds[OURS]) < 5:
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(TURN):
                step()
            rounds[name].append((time.perf_counter() - start) / TURN / operations * 1e6)
    return rounds


def million(name: str) -> dict[str, float]:
    """Seconds and peak megabytes of a chain of a million operations."""
    if name == "autograd":
        sys.setrecursionlimit(10**6)
    step = chain(name, 10)
    step()
    gc.collect()
    start = time.perf_counter()
    chain(name, 10**6)()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def run(*options: str) -> dict[str, Any]:
    """A part of this script in a process of its own: what `million` or `growth` found."""
    command = [sys.executable, "-W", "ignore", __file__, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def growth() -> dict[str, list[float]]:
    """Microseconds an operation of a chain of single numbers, the least of several, by the length of the chain."""
    import microgradnp as mg

    def least(length: int) -> float:
        times = []
        for _ in range(max(3, min(50, 200_000 // length))):
            x = mg.Tensor(1.0, requires_grad=True)
            start = time.perf_counter()
            t = x
            for _ in range(length):
                t = t * 1.0000001
            t.backward()
            times.append((time.perf_counter() - start) / length * 1e6)
            del t
        return min(times)

    found: dict[str, list[float]] = {}
    for collector, switch in (("on", gc.enable), ("off", gc.disable)):
        switch()
        found[collector] = list(map(least, LENGTHS))
    return found


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=6.0, help="for each race")
    arguments.add_argument("--million", help=argparse.SUPPRESS)
    arguments.add_argument("--growth", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.million:
        print(json.dumps(million(given.million)))
        return
    if given.growth:
        print(json.dumps(growth()))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(width=110)
    present, absent = systems()
    if absent:
        console.print(f"Not installed, left out: {', '.join(absent)}.")
    networks = race({name: network(name) for name in present}, 11, given.seconds)
    console.print(table_of_times("The chapter's network, forward and backward, an operation", networks, "us"))
    chains = race({name: chain(name, CHAIN) for name in present}, CHAIN, given.seconds)
    console.print(table_of_times("A chain of 16 elements, forward and backward, an operation", chains, "us"))
    millions = {name: run("--million", name) for name in present}
    table = Table(title="A chain of a million operations, forward and backward")
    for column in ("system", "seconds", "peak memory, MB"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for name, found in millions.items():
        table.add_row(name, f"{found['seconds']:.2f}", f"{found['MB']:.0f}")
    console.print(table)
    grown = run("--growth")
    table = Table(title="A chain of single numbers, forward and backward, us an operation, by its length")
    for column in ("garbage collector", *(f"{length:,}" for length in LENGTHS)):
        table.add_column(column, justify="right")
    for collector, costs in grown.items():
        table.add_row(collector, *(f"{cost:.2f}" for cost in costs))
    console.print(table)
    rows: list[tuple[str, Any, str, float]] = []
    for title, rounds in (("network", networks), ("chain", chains)):
        rows += [(f"{title} / {other}", ratio(rounds, OURS, other), "<=", 1 / 3) for other in MODULES if other != OURS]
    for what in ("seconds", "MB"):
        for other in MODULES:
            if other != OURS:
                r = millions[OURS][what] / millions[other][what] if other in millions else None
                rows.append((f"million, {what} / {other}", None if r is None else (r, r, r), "<=", 1.0))
    for collector, costs in grown.items():
        r = costs[LENGTHS.index(10**6)] / costs[LENGTHS.index(10**3)]
        rows.append((f"operation of 10^6 / of 10^3, collector {collector}", (r, r, r), "<=", 1.5))
    console.print(table_of_targets(rows))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
