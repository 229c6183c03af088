"""The course chapter's experiment again, without a formula for the gradient, and as easily with any other network."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import microgradnp as mg
from microgradnp import nn, optim

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
options.add_argument("--epochs", type=int, default=2000)
given = options.parse_args()

# The chapter's data, standardised: one row a point, one column a variable.
x, t = mg.datasets.noisy_sine(40, noise=0.05, seed=1234)
y = (t - t.mean()) / t.std()


def chapter_model():
    """One hidden layer of eight nodes, with the chapter's first weights."""
    W, V, bs, b0 = mg.datasets.chapter_parameters(hidden=8, seed=1234)
    model = nn.Sequential(nn.Linear(1, 8), nn.Sigmoid(), nn.Linear(8, 1))
    model.load_state_dict({"0.weight": W[None, :], "0.bias": bs, "2.weight": V[:, None], "2.bias": [b0]})
    return model


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(x, t, "o", color="0.5", markerfacecolor="none", label="data")
grid = np.linspace(0, 0.5, 500)
left.plot(grid, np.sin(2 * np.pi * grid), color="black", linestyle=":", label="truth")
for name, color, rule in (
    ("gradient descent", "#D55E00", lambda parameters: optim.GD(parameters, lr=0.01)),
    ("Adam", "#0072B2", lambda parameters: optim.Adam(parameters, lr=0.05, eps=1e-6)),
):
    model = chapter_model()
    optimizer = rule(model.parameters())
    loss = nn.losses.sum_squared_error
    history = nn.fit(model, x[:, None], y[:, None], loss=loss, optimizer=optimizer, epochs=given.epochs)
    print(f"{name}: squared error {history.losses[0]:.6f} -> {history.losses[-1]:.6f}")
    left.plot(grid, model.predict(grid[:, None])[:, 0] * t.std() + t.mean(), color=color, label=name)
    right.semilogy(history.losses, color=color, label=name)
left.set(xlabel="x", ylabel="y", title=f"The fit after {given.epochs} epochs")
right.set(xlabel="epoch", ylabel="squared error", title="The loss: gradient descent on its plateau")
left.legend()
right.legend()
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "document.png", dpi=150)
