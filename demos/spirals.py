"""Two spirals wound around one another: no line parts them, and a small network finds a curve that does."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

import microgradnp as mg
from microgradnp import nn, optim
from microgradnp.show.figures import BLUE, VERMILLION

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
options.add_argument("--epochs", type=int, default=300)
given = options.parse_args()
plt.style.use(Path(__file__).with_name("house.mplstyle"))

x, labels = mg.datasets.spirals(400, noise=0.03, seed=0)
x_new, labels_new = mg.datasets.spirals(2000, noise=0.03, seed=1)

scale = nn.Standardizer(x)
model = nn.Sequential(
    scale, nn.Linear(2, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 2),
    rng=0,
)  # fmt: skip
loss, optimizer = nn.losses.cross_entropy, optim.Adam(model.parameters(), lr=0.01)
history = nn.fit(model, x, labels, loss=loss, optimizer=optimizer, epochs=given.epochs, batch_size=100)
accuracy = nn.metrics.accuracy(model.predict(x_new), labels_new)
print(f"cross-entropy {history.losses[0]:.3f} -> {history.losses[-1]:.3f}")
print(f"{accuracy:.2%} of {len(x_new):,} new points right")

# How sure the network is of class 1, everywhere in the plane.
side = np.linspace(-1.25, 1.25, 251)
plane = np.stack(np.meshgrid(side, side), axis=-1)
probability = nn.functional.softmax(model.predict(plane.reshape(-1, 2)))[:, 1].reshape(251, 251)

figure, axes = plt.subplots(figsize=(6.5, 5.5))
shades = LinearSegmentedColormap.from_list("classes", [VERMILLION, "white", BLUE])
surface = axes.contourf(side, side, probability, np.linspace(0, 1, 11), cmap=shades, alpha=0.5)
axes.contour(side, side, probability, [0.5], colors="black", linewidths=1)
for label, color, marker in (0, VERMILLION, "o"), (1, BLUE, "^"):
    points = x[labels == label].T
    axes.scatter(*points, s=24, color=color, marker=marker, edgecolors="white", linewidths=0.6, label=f"class {label}")
axes.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", title=f"{accuracy:.1%} of new points right")
axes.grid(visible=False)
figure.colorbar(surface, label="probability of class 1", ticks=[0, 0.5, 1])
figure.legend(loc="outside lower center", ncols=2)
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "spirals.png")
