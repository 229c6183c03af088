"""How many hidden nodes? Too few cannot follow the sine, more follow the noise: only points set aside can tell."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import microgradnp as mg
from microgradnp import nn

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
options.add_argument("--epochs", type=int, default=700, help="iterations of L-BFGS")
given = options.parse_args()
plt.style.use(Path(__file__).with_name("house.mplstyle"))

WIDTHS, SPLITS = [2**k for k in range(9)], 5
x, y = (column[:, None] for column in mg.datasets.noisy_sine(40, noise=0.05, seed=1234))


def errors(width, seed):
    """Root mean squared errors on 20 points to train on, 10 to choose the width by, and 10 to judge the choice by."""
    x_rest, x_test, y_rest, y_test = nn.split(x, y, share=0.25, rng=seed)
    x_train, x_val, y_train, y_val = nn.split(x_rest, y_rest, share=1 / 3, rng=seed)
    scale_x, scale_y = nn.Standardizer(x_train), nn.Standardizer(y_train)
    model = nn.Sequential(
        nn.Linear(1, width, weight_init="normal"), nn.Sigmoid(), nn.Linear(width, 1, weight_init="normal"), rng=seed
    )
    loss = nn.losses.mean_squared_error
    nn.minimize(model, scale_x(x_train), scale_y(y_train), loss=loss, iterations=given.epochs)
    parts = (x_train, y_train), (x_val, y_val), (x_test, y_test)
    return [nn.metrics.rmse(scale_y.inverse(model.predict(scale_x(a))), b) for a, b in parts]


# The median over several ways to divide the forty points.
all_errors = np.array([[errors(width, seed) for seed in range(SPLITS)] for width in WIDTHS])
training, validation, test = np.median(all_errors, axis=1).T
print("hidden nodes  training  validation  test")
for row in zip(WIDTHS, training, validation, test, strict=True):
    print("{:12d}  {:8.3f}  {:10.3f}  {:.3f}".format(*row))
best = validation.argmin()
print(f"validation chooses {WIDTHS[best]} hidden nodes, whose error on the test points is {test[best]:.3f}")

figure, axes = plt.subplots(figsize=(7, 4.5))
for name, error, marker in ("training", training, "o"), ("validation", validation, "s"), ("test", test, "^"):
    axes.loglog(WIDTHS, error, marker=marker, label=name)
axes.axhline(0.05, color="0.4", linestyle=":", linewidth=1.5, label="noise in the data")
axes.set_xticks(WIDTHS, WIDTHS, minor=False)
axes.minorticks_off()
axes.set_yticks([0.02, 0.05, 0.1, 0.2], [0.02, 0.05, 0.1, 0.2])
axes.set(xlabel="hidden nodes", ylabel=f"root mean squared error, median of {SPLITS}")
axes.set_title("One node is too few; from four on they fit the noise")
figure.legend(loc="outside lower center", ncols=4)
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "widths.png")
