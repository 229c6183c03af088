"""Fifty layers: a way around each of them, and normalisation before it, is what lets so deep a network train."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import microgradnp as mg
from microgradnp import nn, optim

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
options.add_argument("--epochs", type=int, default=150)
given = options.parse_args()
plt.style.use(Path(__file__).with_name("house.mplstyle"))

DEPTH, WIDTH = 50, 16
x, labels = mg.datasets.spirals(200, noise=0.02)

# Each layer gets the output of the one before, and nothing else.
plain = [part for _ in range(DEPTH) for part in (nn.Linear(WIDTH, WIDTH), nn.Sigmoid())]
# Each layer adds something to its input, of which it sees the normalised values.
residual = [nn.Residual(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.Sigmoid()) for _ in range(DEPTH)]

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
for name, layers in ("plain", plain), ("residual, with LayerNorm", residual):
    model = nn.Sequential(nn.Linear(2, WIDTH), *layers, nn.Linear(WIDTH, 2), rng=0)
    loss, optimizer = nn.losses.cross_entropy, optim.Adam(model.parameters(), lr=3e-3)
    loss(model(x), labels).backward()
    norms = [np.linalg.norm(p.grad) for p in model.parameters() if p.shape == (WIDTH, WIDTH)]
    history = nn.fit(model, x, labels, loss=loss, optimizer=optimizer, epochs=given.epochs)
    accuracy = nn.metrics.accuracy(model.predict(x), labels)
    print(f"{name}: gradient of the first layer {norms[0]:.1e}, of the last {norms[-1]:.1e};", end=" ")
    print(f"loss {history.losses[0]:.3f} -> {history.losses[-1]:.3f}, {accuracy:.1%} of the points right")
    left.semilogy(range(1, DEPTH + 1), norms, label=name)
    right.semilogy(history.losses)
left.set(xlabel="layer, from the input", ylabel="gradient norm", title="The gradient before training")
right.set(xlabel="epoch of Adam", ylabel="cross-entropy", title="The loss on two spirals")
figure.legend(loc="outside lower center", ncols=2)
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "fifty_layers.png")
