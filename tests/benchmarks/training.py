"""Training speed against other systems: ``python tests/benchmarks/training.py`` prints a table and saves a figure.

Every comparison runs its systems in turn, round after round, so that whatever else the machine does hits all of them
alike; a ratio is the median over rounds of one round's ratio. Systems that are not installed are named and left out:
``pip install torch==2.13.0 jax autograd mygrad`` brings them. Each part runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
CHAPTER = [1, 8, 1]
LARGE = [784, 512, 512, 10]
COMPILED, EAGER = "microgradnp, compiled", "microgradnp, eager"

# -- Measuring: in a process of its own --------------------------------------------------------------------------------


def installed(names: list[str]) -> tuple[list[str], list[str]]:
    """Which systems can be imported, and which are absent."""
    from importlib.util import find_spec

    needs = {"PyTorch": "torch", "PyTorch, fused Adam": "torch", "JAX, jitted step": "jax", "autograd": "autograd"}
    needs["MyGrad"] = "mygrad"
    present = [name for name in names if name not in needs or find_spec(needs[name])]
    return present, [name for name in names if name not in present]


def race(names: list[str], sizes: list[int], n: int, dtype: str, task: str, seconds: float) -> dict[str, list[float]]:
    """Microseconds a step, a list of rounds for each system, the systems in turn in every round."""
    import numpy as np
    from systems import SYSTEMS, data

    x, y = data(sizes, n, np.dtype(dtype), task)
    steps = {}
    for name in names:
        try:
            steps[name] = SYSTEMS[name](sizes, x, y, task)
        except NotImplementedError:
            continue
    counts = {}
    for name, step in steps.items():
        for _ in range(3):
            loss = step()
        assert np.isfinite(loss), f"{name}: loss {loss}"
        start = time.perf_counter()
        step()
        counts[name] = max(1, min(500, int(0.01 / (time.perf_counter() - start))))
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(rounds[names[0]]) < 5:
        for name, step in steps.items():
            count = counts[name]
            start = time.perf_counter()
            for _ in range(count):
                step()
            rounds[name].append((time.perf_counter() - start) / count * 1e6)
    return rounds


def recording(seconds: float) -> dict[str, list[float]]:
    """Microseconds of a first call, an audited one and an eager step, for the chapter's network and for 1,000 layers.

    The first call records the step and writes its program. The 2nd, 3rd, 4th, 8th, 16th, ... are audited, which takes
    an eager step besides a replay.
    """
    import numpy as np
    from systems import data, microgradnp_step

    result: dict[str, list[float]] = {}
    for title, sizes in (("chapter", CHAPTER), ("1000 layers", [2] * 1001)):
        x, y = data(sizes, 40, np.dtype("float64"), "regression")
        rows = [result.setdefault(f"{title}, {what}", []) for what in ("eager", "first call", "audited call", "replay")]
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(rows[0]) < 2:
            eager = microgradnp_step(sizes, x, y, "regression", compiled=False)
            compiled = microgradnp_step(sizes, x, y, "regression", compiled=True)
            for _ in range(3):
                eager(x, y)
            times = [time.perf_counter()]
            for step in (eager, *(compiled for _ in range(5))):
                step(x, y)
                times.append(time.perf_counter())
            for row, end in zip(rows, (1, 2, 4, 6), strict=True):
                row.append((times[end] - times[end - 1]) * 1e6)
    return result


def fits(seconds: float) -> dict[str, list[float]]:
    """Seconds of 1,000 epochs of the chapter's training in one `fit`, and in 1,000 fits of one epoch each."""
    import numpy as np
    from systems import data

    from microgradnp import nn, optim

    x, y = data(CHAPTER, 40, np.dtype("float64"), "regression")
    rounds: dict[str, list[float]] = {"1 fit of 1,000 epochs": [], "1,000 fits of 1 epoch": []}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(rounds["1,000 fits of 1 epoch"]) < 5:
        for row, epochs in zip(rounds.values(), (1000, 1), strict=True):
            model = nn.Sequential(nn.Linear(1, 8, rng=0), nn.Sigmoid(), nn.Linear(8, 1, rng=1))
            optimizer = optim.Adam(model.parameters(), lr=0.05)
            start = time.perf_counter()
            for _ in range(1000 // epochs):
                nn.fit(model, x, y, loss=nn.losses.sum_squared_error, optimizer=optimizer, epochs=epochs)
            row.append(time.perf_counter() - start)
    return rounds


def part(name: str, seconds: float) -> dict[str, Any]:
    """One part of the measurements."""
    numpys = ["NumPy, preallocated", "NumPy, plain"]
    others = ["PyTorch", "PyTorch, fused Adam", "JAX, jitted step", "autograd", "MyGrad"]
    kind, _, size = name.partition(":")
    if kind == "recording":
        return {"rounds": recording(seconds), "absent": []}
    if kind == "fits":
        return {"rounds": fits(seconds), "absent": []}
    names, absent = installed([COMPILED, EAGER, *numpys, *others])
    if kind == "chapter":
        sizes, n, dtype, task = CHAPTER, 40, "float64", "regression"
    elif kind == "width":
        sizes, n, dtype, task = [1, int(size), 1], 40, "float64", "regression"
    elif kind == "depth":
        sizes, n, dtype, task = [1, *[8] * int(size), 1], 40, "float64", "regression"
        names = [s for s in names if s not in (EAGER, "JAX, jitted step", "autograd", "MyGrad")]
    else:
        sizes, n, dtype, task = LARGE, 128, "float32", "classes"
        names = [s for s in names if s in (COMPILED, EAGER, "PyTorch", "PyTorch, fused Adam")]
    if "PyTorch" in names:
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return {"rounds": race(names, sizes, n, dtype, task, seconds), "absent": absent}


def run_part(name: str, seconds: float, threads: int = 1) -> dict[str, Any]:
    """A part in a process of its own, with so many threads for matrix products."""
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, __file__, "--part", name, "--seconds", str(seconds)]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


# -- Whole processes: from the interpreter's start to a trained network ------------------------------------------------

PROCESSES = {
    COMPILED: """
        import microgradnp as mg
        from microgradnp import nn, optim
        model = nn.Sequential(nn.Linear(1, 8, rng=0), nn.Sigmoid(), nn.Linear(8, 1, rng=1))
        optimizer = optim.Adam(model.parameters(), lr=0.05, eps=1e-6)
        x, y = mg.datasets.noisy_sine(40, noise=0.05, seed=1234)
        y = (y - y.mean()) / y.std()
        nn.fit(model, x[:, None], y[:, None], loss=nn.losses.sum_squared_error, optimizer=optimizer, epochs=2000)
    """,
    "NumPy, plain": """
        import sys; sys.path.insert(0, {here!r})
        import numpy as np
        from systems import SYSTEMS, data
        x, y = data([1, 8, 1], 40, np.dtype("float64"), "regression")
        step = SYSTEMS["NumPy, plain"]([1, 8, 1], x, y, "regression")
        for _ in range(2000): step()
    """,
    "PyTorch": """
        import sys; sys.path.insert(0, {here!r})
        import numpy as np
        from systems import SYSTEMS, data
        x, y = data([1, 8, 1], 40, np.dtype("float64"), "regression")
        step = SYSTEMS["PyTorch"]([1, 8, 1], x, y, "regression")
        for _ in range(2000): step()
    """,
    "JAX, whole loop in fori_loop": """
        import sys; sys.path.insert(0, {here!r})
        import jax, numpy as np
        jax.config.update("jax_enable_x64", True)
        import jax.numpy as jnp
        from systems import BETA1, BETA2, EPS, LR, data, parameters
        x, y = data([1, 8, 1], 40, np.dtype("float64"), "regression")
        p = [jnp.asarray(a) for pair in parameters([1, 8, 1], x.dtype) for a in pair]
        def loss(p):
            return jnp.sum((jax.nn.sigmoid(x @ p[0] + p[1]) @ p[2] + p[3] - y) ** 2)
        def body(i, state):
            p, m, v = state
            g = jax.grad(loss)(p)
            t = i + 1.0
            m = [BETA1 * a + (1 - BETA1) * b for a, b in zip(m, g)]
            v = [BETA2 * a + (1 - BETA2) * b * b for a, b in zip(v, g)]
            scale = lambda q, a, b: q - LR * (a / (1 - BETA1**t)) / (jnp.sqrt(b / (1 - BETA2**t)) + EPS)
            return [scale(*each) for each in zip(p, m, v)], m, v
        zeros = [jnp.zeros_like(a) for a in p]
        jax.block_until_ready(jax.jit(lambda s: jax.lax.fori_loop(0, 2000, body, s))((p, zeros, zeros)))
    """,
}


def processes(repeats: int) -> dict[str, list[float]]:
    """Seconds of whole processes, in turn."""
    names, _ = installed(["PyTorch", "JAX, jitted step"])
    wanted = [COMPILED, "NumPy, plain", *(n for n in ("PyTorch",) if n in names)]
    wanted += ["JAX, whole loop in fori_loop"] * ("JAX, jitted step" in names)
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    variables.update(PYTHONDONTWRITEBYTECODE="")  # byte code is kept, as for everybody who runs a program twice
    times: dict[str, list[float]] = {name: [] for name in wanted}
    for i in range(1 + repeats):
        for name in wanted:
            code = textwrap.dedent(PROCESSES[name]).replace("{here!r}", repr(str(HERE)))
            start = time.perf_counter()
            subprocess.run([sys.executable, "-W", "ignore", "-c", code], env={**os.environ, **variables}, check=True)
            if i:
                times[name].append(time.perf_counter() - start)
    return times


# -- The table and the figure ------------------------------------------------------------------------------------------


def ratio(rounds: dict[str, list[float]], ours: str, *others: str) -> tuple[float, float, float] | None:
    """The median over rounds, and quartiles, of our time over the best of the others' present."""
    present = [rounds[name] for name in others if name in rounds]
    if not present:
        return None
    each = sorted(a / min(b) for a, *b in zip(rounds[ours], *present, strict=True))
    low, middle, high = statistics.quantiles(each, n=4)
    return middle, low, high


def table_of_targets(rows: list[tuple[str, Any, str, float]]) -> Any:
    """Each target: the ratio measured, what it must be, and the verdict."""
    from rich.table import Table

    table = Table(title="Targets: our time over theirs, median and quartiles over rounds")
    for column in ("measure", "ratio", "quartiles", "target", "verdict"):
        table.add_column(column, justify="left" if column in ("measure", "verdict") else "right")
    for measure, found, relation, target in rows:
        if found is None:
            table.add_row(measure, "-", "-", f"{relation} {target:g}", "not installed")
            continue
        middle, low, high = found
        met = middle <= target
        verdict = "[green]met[/green]" if met else "[red]missed[/red]"
        table.add_row(measure, f"{middle:.3g}", f"{low:.3g} to {high:.3g}", f"{relation} {target:.3g}", verdict)
    return table


def table_of_times(title: str, rounds: dict[str, list[float]], unit: str) -> Any:
    """What each system takes."""
    from rich.table import Table

    table = Table(title=title)
    for column in ("system", f"median, {unit}", f"least, {unit}", "quartiles"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for name, times in rounds.items():
        low, middle, high = statistics.quantiles(times, n=4)
        table.add_row(name, f"{middle:.4g}", f"{min(times):.4g}", f"{low:.4g} to {high:.4g}")
    return table


def figure(curves: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    """Step time against width and against depth, a line for each system."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = {
        COMPILED: "#D55E00", EAGER: "#E69F00", "NumPy, preallocated": "#000000", "NumPy, plain": "#888888",
        "PyTorch": "#0072B2", "PyTorch, fused Adam": "#56B4E9", "JAX, jitted step": "#009E73", "autograd": "#CC79A7",
        "MyGrad": "#B8A800",
    }  # fmt: skip
    marks = dict(zip(colours, "osD^vP*Xh", strict=True))
    drawn, axes = plt.subplots(1, len(curves), figsize=(11, 5), sharey=True, layout="constrained")
    for axis, (what, curve) in zip(axes, curves.items(), strict=True):
        for name in [s for s in colours if any(s in times for times in curve.values())]:
            sizes = [size for size in curve if name in curve[size]]
            width = 2.2 if name == COMPILED else 1.2
            axis.plot(
                sizes, [curve[size][name] for size in sizes], color=colours[name], marker=marks[name],
                markersize=5, linewidth=width, label=name,
            )  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(list(curve), [str(size) for size in curve])
        axis.minorticks_off()
        axis.set_xlabel(what)
        axis.grid(True, color="#dddddd", linewidth=0.6)
    axes[0].set_ylabel("time of one training step (microseconds)")
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    drawn.suptitle("One full-batch Adam step, 40 points, float64, one thread")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.png")
    drawn.savefig(temporary, dpi=150)
    os.replace(temporary, path)


def main() -> None:
    """Measure, print, draw."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=4.0, help="for each comparison")
    arguments.add_argument("--out", type=Path, default=Path("figures/training-speed.png"))
    arguments.add_argument("--part", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.part:
        sys.path.insert(0, str(HERE))
        print(json.dumps(part(given.part, given.seconds)))
        return
    from rich.console import Console

    console = Console(width=110)
    chapter = run_part("chapter", 3 * given.seconds)
    if chapter["absent"]:
        console.print(f"Not installed, left out: {', '.join(chapter['absent'])}.")
    console.print(
        table_of_times("The chapter's network (1-8-1, 40 points, float64, Adam), a step", chapter["rounds"], "us")
    )
    large = {threads: run_part("large", given.seconds, threads)["rounds"] for threads in (1, 2)}
    for threads, rounds in large.items():
        console.print(table_of_times(f"784-512-512-10, batch 128, float32, {threads} thread(s), a step", rounds, "us"))
    whole = processes(5)
    console.print(table_of_times("Whole process, import to 2000 epochs", whole, "s"))
    recorded = run_part("recording", given.seconds)["rounds"]
    console.print(table_of_times("First calls and audits", recorded, "us"))
    fitted = run_part("fits", given.seconds)["rounds"]
    console.print(table_of_times("The chapter's training by nn.fit, 1,000 epochs in all", fitted, "s"))
    curves: dict[str, dict[int, dict[str, float]]] = {}
    worst: dict[str, Any] = {}
    for kind, sizes, title in (
        ("width", WIDTHS, "width of the hidden layer"),
        ("depth", DEPTHS, "hidden layers of width 8"),
    ):
        curves[title] = {}
        for size in sizes:
            rounds = run_part(f"{kind}:{size}", given.seconds / 2)["rounds"]
            curves[title][size] = {name: statistics.median(times) for name, times in rounds.items()}
            rivals = ("NumPy, preallocated", "NumPy, plain", "PyTorch", "PyTorch, fused Adam")
            here = ratio(rounds, COMPILED, *rivals)
            if here is not None and (kind not in worst or here[0] > worst[kind][0]):
                worst[kind] = here
    r = chapter["rounds"]
    rows = [
        ("replay / NumPy, preallocated", ratio(r, COMPILED, "NumPy, preallocated"), "<=", 1.15),
        ("replay / NumPy, plain", ratio(r, COMPILED, "NumPy, plain"), "<=", 0.55),
        ("replay / PyTorch", ratio(r, COMPILED, "PyTorch"), "<=", 1 / 12),
        ("replay / PyTorch, fused Adam", ratio(r, COMPILED, "PyTorch, fused Adam"), "<=", 1 / 12),
        ("replay / JAX, jitted step", ratio(r, COMPILED, "JAX, jitted step"), "<=", 1 / 1.4),
        ("eager / PyTorch", ratio(r, EAGER, "PyTorch"), "<=", 1 / 4),
        ("whole process / NumPy, plain", ratio(whole, COMPILED, "NumPy, plain"), "<=", 1.0),
        ("whole process / PyTorch", ratio(whole, COMPILED, "PyTorch"), "<=", 1 / 10),
        ("whole process / JAX, fori_loop", ratio(whole, COMPILED, "JAX, whole loop in fori_loop"), "<=", 1 / 6),
        ("784-512-512-10 / PyTorch fused, 1 thread", ratio(large[1], COMPILED, "PyTorch, fused Adam"), "<=", 1.1),
        ("784-512-512-10 / PyTorch fused, 2 threads", ratio(large[2], COMPILED, "PyTorch, fused Adam"), "<=", 1.1),
        ("widths 8 to 1024 / best of NumPy, PyTorch: worst", worst.get("width"), "<=", 1.2),
        ("depths 1 to 64 / best of NumPy, PyTorch: worst", worst.get("depth"), "<=", 1.2),
        ("first call / eager step, chapter", ratio(recorded, "chapter, first call", "chapter, eager"), "<=", 50),
        ("first call / eager, 1000 layers", ratio(recorded, "1000 layers, first call", "1000 layers, eager"), "<=", 50),
        ("audited / eager step, chapter", ratio(recorded, "chapter, audited call", "chapter, eager"), "<=", 5),
        ("audited / eager, 1000 layers", ratio(recorded, "1000 layers, audited call", "1000 layers, eager"), "<=", 5),
        ("1,000 fits of 1 epoch / 1 fit of 1,000", ratio(fitted, *reversed(fitted)), "<=", 3),
    ]  # fmt: skip
    console.print(table_of_targets(rows))
    figure(curves, given.out)
    console.print(f"Figure: {given.out}")


if __name__ == "__main__":
    main()
