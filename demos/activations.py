"""Why deep networks took to ReLU: a sigmoid passes at most a quarter of the gradient, and a ReLU all of it, or nothing.

No derivative is written down here: they are what automatic differentiation gives for the functions drawn above.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import microgradnp as mg

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figure (default: figures)")
given = options.parse_args()

ACTIVATIONS = {
    "sigmoid": ("#0072B2", "-", lambda z: 1 / (1 + np.exp(-z))),
    "tanh": ("#009E73", "--", np.tanh),
    "ReLU": ("#D55E00", "-.", lambda z: np.maximum(z, 0)),
}

z = np.linspace(-6, 6, 601)
figure, (above, below) = plt.subplots(2, 1, figsize=(6, 7), sharex=True, layout="constrained")
for name, (color, style, f) in ACTIVATIONS.items():
    # Element by element, f(z)[i] depends on z[i] alone, so the gradient of the sum holds every single derivative.
    derivative = mg.grad(lambda z, f=f: np.sum(f(z)))(z)
    above.plot(z, f(z), color=color, linestyle=style, label=name)
    below.plot(z, derivative, color=color, linestyle=style, label=f"{name}, at most {derivative.max():.2f}")
    print(f"{name}: at most {derivative.max():.4f}, over ten layers {derivative.max() ** 10:.1e}")
above.set(ylabel="f(z)", ylim=(-1.2, 3), title="Activations")
below.set(xlabel="z", ylabel="f'(z)", title="Their derivatives, by automatic differentiation")
above.legend()
below.legend()
given.out.mkdir(parents=True, exist_ok=True)
figure.savefig(given.out / "activations.png", dpi=150)
