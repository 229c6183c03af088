"""Two networks against one another: one learns to make points of a spiral, the other to tell them apart."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import microgradnp as mg
from microgradnp import nn, optim
from microgradnp.show.figures import BLUE, VERMILLION

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
options.add_argument("--epochs", type=int, default=3000, help="steps of each network")
given = options.parse_args()
plt.style.use(Path(__file__).with_name("house.mplstyle"))

rng = np.random.default_rng(0)
generator = nn.Sequential(
    nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2), rng=rng, dtype=np.float32
)
critic = nn.Sequential(
    nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1), rng=rng,
    dtype=np.float32,
)  # fmt: skip
generates, criticises = (optim.Adam(model.parameters(), lr=1e-3, betas=(0.5, 0.999)) for model in (generator, critic))


def made(n):
    """Points that the generator makes of noise, which is drawn anew at each replay."""
    return generator(mg.draw(rng.standard_normal, (n, 4), np.float32))


@mg.compile
def criticise(real):
    """One step of the critic: real points shall score high, made ones low (Goodfellow and others 2014)."""
    criticises.zero_grad()
    loss = np.mean(np.logaddexp(0, -critic(real))) + np.mean(np.logaddexp(0, critic(made(len(real)).detach())))
    loss.backward()
    criticises.step()


@mg.compile
def generate(real):
    """One step of the generator: what it makes shall score high."""
    generates.zero_grad()
    np.mean(np.logaddexp(0, -critic(made(len(real))))).backward()
    generates.step()


def distance(a, b):
    """The energy distance of two samples, near 0 if they come from one distribution (Szekely and Rizzo 2013)."""
    between, within_a, within_b = (np.linalg.norm(p[:, None] - q, axis=-1).mean() for p, q in ((a, b), (a, a), (b, b)))
    return 2 * between - within_a - within_b


points, _ = mg.datasets.spirals(4000, classes=1, turns=1)
points = points.astype(np.float32)
fresh, _ = mg.datasets.spirals(1000, classes=1, turns=1, seed=1)
schedules = optim.CosineLR(generates, given.epochs), optim.CosineLR(criticises, given.epochs)
steps, distances = range(0, given.epochs + 1, max(given.epochs // 20, 1)), []
for step in range(given.epochs + 1):
    if step in steps:
        sample = generator.predict(rng.standard_normal((1000, 4), np.float32))
        distances.append(distance(sample, fresh))
    real = rng.choice(points, 128)
    criticise(real)
    generate(real)
    for schedule in schedules:
        schedule.step()
same = distance(points[:1000], fresh)
print(f"energy distance of made and real points: {distances[0]:.4f} -> {distances[-1]:.4f}")
print(f"energy distance of real and other real points: {same:.4f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
left.scatter(*fresh.T, s=14, color=BLUE, marker="o", linewidths=0, alpha=0.5, label="real")
left.scatter(*sample.T, s=14, color=VERMILLION, marker="^", linewidths=0, alpha=0.5, label="made of noise")
left.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", title="Points after training")
right.semilogy(steps, distances, color=VERMILLION, marker="^", linestyle="--")
right.axhline(same, color=BLUE)
right.annotate("other real points", (0, same), xytext=(0, -4), textcoords="offset points", va="top", color=BLUE)
right.set(ylim=(same / 5, 3))
right.set(xlabel="step", ylabel="energy distance to real points", title="How well they match")
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, markerscale=2)
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "gan.png")
