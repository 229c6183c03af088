"""The course chapter's own way: a 1-8-1 network, its gradient derived on paper and written as loops, and timed."""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
options.add_argument("--epochs", type=int, default=2000)
given = options.parse_args()

# Forty noisy points on half a sine wave, their values standardised; then the first W, V, bs and b0.
np.random.seed(1234)
x = np.linspace(0, 0.5, 40)
t = np.sin(2 * np.pi * x) + np.random.normal(scale=0.05, size=x.shape)
y = (t - t.mean()) / t.std()
np.random.seed(1234)
first = [*np.random.normal(size=(3, 8)), np.random.normal()]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoid_der(z):
    return np.exp(-z) / (1 + np.exp(-z)) ** 2


def calc_tloss(W, V, bs, b0):
    return sum((np.dot(V, sigmoid(W * x[i] + bs)) + b0 - y[i]) ** 2 for i in range(len(x)))


def calc_der(W, V, bs, b0):
    """The chain rule for exactly this network and exactly this loss; another layer means another page of algebra."""
    dW, dV, dbs, db0 = np.zeros(8), np.zeros(8), np.zeros(8), 0.0
    for i in range(len(x)):
        g = 2 * (np.dot(V, sigmoid(W * x[i] + bs)) + b0 - y[i])
        db0 += g
        for j in range(8):
            z = W[j] * x[i] + bs[j]
            dV[j] += g * sigmoid(z)
            dW[j] += g * V[j] * sigmoid_der(z) * x[i]
            dbs[j] += g * V[j] * sigmoid_der(z)
    return dW, dV, dbs, db0


def adam(k, g, epoch):
    # The chapter keeps the averages of b0's gradient in arrays of one element. The first step makes b0 one of them too,
    # and then `dV[j] += ...` fails: NumPy 2.4 puts no array into a single element. Plain numbers are the repair.
    m[k], v[k] = 0.9 * m[k] + 0.1 * g, 0.999 * v[k] + 0.001 * g**2
    return 0.05 * (m[k] / (1 - 0.9**epoch)) / (np.sqrt(v[k] / (1 - 0.999**epoch)) + 1e-6)


figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.set(xlabel="epoch", ylabel="squared error", title="One hidden layer, its gradient derived by hand")
for name, color, rule in ("gradient descent", "#D55E00", lambda k, g, epoch: 0.01 * g), ("Adam", "#0072B2", adam):
    start, weights, m, v, losses = time.perf_counter(), first, [0.0] * 4, [0.0] * 4, [calc_tloss(*first)]
    for epoch in range(1, given.epochs + 1):
        weights = [w - rule(k, g, epoch) for k, (w, g) in enumerate(zip(weights, calc_der(*weights), strict=True))]
        losses.append(calc_tloss(*weights))
    milliseconds = 1e3 * (time.perf_counter() - start) / given.epochs
    print(f"{name}: squared error {losses[0]:.6f} -> {losses[-1]:.6f}, {milliseconds:.2f} ms an epoch")
    axes.semilogy(losses, color=color, label=f"{name}, {milliseconds:.1f} ms an epoch")
axes.legend()
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "by_hand.png", dpi=150)
