"""Two, five and ten hidden layers on the chapter's data, with sigmoid and with ReLU: which layers get a gradient?"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import microgradnp as mg
from microgradnp import nn, optim

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
options.add_argument("--epochs", type=int, default=1000)
given = options.parse_args()

x, t = mg.datasets.noisy_sine(40, noise=0.05, seed=1234)
X, Y = (x[:, None] - x.mean()) / x.std(), (t[:, None] - t.mean()) / t.std()


def network(depth, activation, initializer):
    """The chapter's network with ``depth`` hidden layers instead of one; nothing else changes."""
    rng = np.random.default_rng(0)
    layers = [nn.Linear(1, 8, weight_init=initializer, rng=rng)]
    for _ in range(depth - 1):
        layers += [activation(), nn.Linear(8, 8, weight_init=initializer, rng=rng)]
    return nn.Sequential(*layers, activation(), nn.Linear(8, 1, weight_init=initializer, rng=rng))


def gradient_norms(model):
    """The length of the loss's gradient by each weight matrix, from the input to the output."""
    nn.losses.sum_squared_error(model(X), Y).backward()
    return [np.linalg.norm(p.grad) for name, p in model.named_parameters() if name.endswith("weight")]


figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex="row", sharey="row", layout="constrained")
kinds = ("Sigmoid", nn.Sigmoid, nn.initializers.glorot_normal), ("ReLU", nn.ReLU, nn.initializers.he_normal)
for (above, below), (name, activation, initializer) in zip(axes.T, kinds, strict=True):
    for depth, color, marker in (2, "#0072B2", "o"), (5, "#009E73", "s"), (10, "#D55E00", "^"):
        model = network(depth, activation, initializer)
        norms = gradient_norms(model)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        history = nn.fit(model, X, Y, loss=nn.losses.sum_squared_error, optimizer=optimizer, epochs=given.epochs)
        print(
            f"{name}, {depth} hidden layers: first layer's gradient {norms[0]:.1e}, last layer's {norms[-1]:.1e};",
            end=" ",
        )
        print(f"squared error {history.losses[0]:.1f} -> {history.losses[-1]:.3f}")
        above.semilogy(range(1, depth + 2), norms, color=color, marker=marker, label=f"{depth} hidden layers")
        below.semilogy(history.losses, color=color)
    above.set(xlabel="layer, from the input", title=f"{name}: gradient norms at the start")
    below.set(xlabel="epoch of Adam", title=f"{name}: the loss")
axes[0, 0].set_ylabel("gradient norm")
axes[1, 0].set_ylabel("squared error")
axes[0, 0].legend()
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "deeper.png", dpi=150)
