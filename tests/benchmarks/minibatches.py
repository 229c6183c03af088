"""`fit` in mini-batches against a compiled loop written by hand: ``python tests/benchmarks/minibatches.py``.

Both shuffle, gather the rows of each batch, take the same steps and watch the loss; they run in turn, some epochs each,
and a ratio is that of two neighbouring runs. The target is 1.15.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

import microgradnp as mg
from microgradnp import nn, optim

CASES = {  # sizes, rows, batch size
    "1-8-1, 40 rows in batches of 8": ([1, 8, 1], 40, 8),
    "1-8-1, 1,000 rows in batches of 32": ([1, 8, 1], 1000, 32),
    "64-64-64-10, 1,437 rows in batches of 32": ([64, 64, 64, 10], 1437, 32),
    "64-64-64-10, 1,437 rows in batches of 128": ([64, 64, 64, 10], 1437, 128),
}


def network(sizes: list[int]) -> nn.Sequential:
    """Linear maps with tanh between them."""
    rng = np.random.default_rng(0)
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b, rng=rng), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def by_fit(sizes: list[int], x: np.ndarray, y: np.ndarray, size: int) -> Callable[[int], None]:
    """Some epochs of `nn.fit`."""
    model = network(sizes)
    optimizer = optim.Adam(model.parameters())
    rng = np.random.default_rng(0)
    loss = nn.losses.mean_squared_error

    def run(epochs: int) -> None:
        nn.fit(model, x, y, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=size, rng=rng)

    return run


def by_hand(sizes: list[int], x: np.ndarray, y: np.ndarray, size: int) -> Callable[[int], None]:
    """The same, in a loop of one's own."""
    model = network(sizes)
    optimizer = optim.Adam(model.parameters())
    rng = np.random.default_rng(0)
    losses = []

    @mg.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.losses.mean_squared_error(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def run(epochs: int) -> None:
        for _ in range(epochs):
            order = rng.permutation(len(x))
            total = 0.0
            for start in range(0, len(x), size):
                rows = order[start : start + size]
                loss = step(x[rows], y[rows]).item()
                total += loss * len(rows)
                if not np.isfinite(loss):
                    raise FloatingPointError(f"loss {loss}")
            losses.append(total / len(x))

    return run


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="how often each side runs (default: 30)")
    rounds = parser.parse_args().rounds
    for name, (sizes, n, size) in CASES.items():
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(n, sizes[0])), rng.normal(size=(n, sizes[-1]))
        sides = [make(sizes, x, y, size) for make in (by_fit, by_hand)]
        for run in sides:
            run(20)  # recordings and their first audits
        batches = -(-n // size)
        epochs = max(5, 400 // batches)
        times: list[list[float]] = [[], []]
        for _ in range(rounds):
            for side, run in enumerate(sides):
                start = time.perf_counter()
                run(epochs)
                times[side].append((time.perf_counter() - start) / epochs / batches * 1e6)
        ratios = [ours / theirs for ours, theirs in zip(*times, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:42s} fit {statistics.median(times[0]):6.1f} us a step, by hand {statistics.median(times[1]):6.1f}: "
            f"{middle:.3f} ({low:.3f}-{high:.3f})"
        )


if __name__ == "__main__":
    main()
