"""Handwritten digits: a network of two hidden layers, and a small convolution, on a fifth that neither has seen."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import microgradnp as mg
from microgradnp import nn, optim

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
options.add_argument("--epochs", type=int, default=20, help="the convolution has 12")
given = options.parse_args()
plt.style.use(Path(__file__).with_name("house.mplstyle"))

# 1,797 images of 8 x 8 pixels; the fifth set aside has as many of each digit as the rest.
x, labels = mg.datasets.digits()
images = x.reshape(-1, 1, 8, 8) / 16
seen, held_out, labels_seen, labels_held_out = nn.split(images, labels, share=0.2, rng=0, stratify=labels)

# A digit that is moved by a pixel is the same digit: five images in place of each of those that are trained on.
framed = np.pad(seen, ((0, 0), (0, 0), (1, 1), (1, 1)))
corners = (1, 1), (1, 2), (2, 1), (1, 0), (0, 1)
moved = np.concatenate([framed[:, :, i : i + 8, j : j + 8] for i, j in corners])
labels_moved = np.tile(labels_seen, len(corners))

models = {
    "two hidden layers": nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(128, 10), rng=0, dtype=np.float32,
    ),
    "a convolution": nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 10), rng=0, dtype=np.float32,
    ),
}  # fmt: skip
figure, rows = plt.subplots(2, 7, figsize=(10, 4))
for (name, model), panels in zip(models.items(), rows, strict=True):
    loss, optimizer = nn.losses.cross_entropy, optim.Adam(model.parameters(), lr=2e-3)
    epochs = min(given.epochs, 12 if name == "a convolution" else 20)
    nn.fit(model, moved, labels_moved, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=64)
    read = model.predict(held_out).argmax(axis=1)
    wrong = np.flatnonzero(read != labels_held_out)
    said = f"{nn.metrics.accuracy(read, labels_held_out):.1%} of {len(read)} held-out digits right"
    print(f"{name}: {said}")
    panels[0].text(0, 0.5, f"{name}:\n\n{said}".replace(" held", "\nheld"), va="center")
    for axes in panels:
        axes.axis("off")
    for axes, i in zip(panels[2:], wrong, strict=False):
        axes.imshow(held_out[i, 0], cmap="gray_r")
        axes.set_title(f"a {labels_held_out[i]}, read {read[i]}", fontsize=10)
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "digits.png")
