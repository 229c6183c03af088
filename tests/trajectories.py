"""Twenty problems and how PyTorch's optimizers walk on them, for tests where PyTorch is and where it is not.

Gradients are given, written by hand: what is compared is what an optimizer makes of them. Where PyTorch's walks end is
kept in ``trajectories.npz``, which this file writes: ``python tests/trajectories.py`` (PyTorch 2.13).
"""

from pathlib import Path

import numpy as np

STEPS = 200
PROBLEMS = range(20)
SHAPES = ((2, 3), (4,), ())
STORED = Path(__file__).with_name("trajectories.npz")

CONFIGURATIONS = {
    "gd": ("GD", {"lr": 0.02}),
    "gd_momentum": ("GD", {"lr": 0.005, "momentum": 0.9}),
    "gd_nesterov": ("GD", {"lr": 0.005, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "gd_norm": ("GD", {"lr": 0.05, "momentum": 0.5, "clip_norm": 0.7}),
    "gd_value": ("GD", {"lr": 0.05, "clip_value": 0.3}),
    "gd_both": ("GD", {"lr": 0.05, "clip_value": 0.3, "clip_norm": 0.6}),
    "gd_groups": ("GD", {"lr": 0.02, "momentum": 0.5, "groups": [{"weight_decay": 0.1}, {"lr": 1e-3, "momentum": 0}]}),
    "adam": ("Adam", {"lr": 0.05}),
    "adam_decay": ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.2}),
    "adam_groups": ("Adam", {"lr": 0.05, "clip_norm": 1.0, "groups": [{"betas": (0.5, 0.9)}, {"weight_decay": 0.1}]}),
    "adamw": ("AdamW", {"lr": 0.05}),
    "adamw_decay": ("AdamW", {"lr": 0.02, "weight_decay": 0.5, "groups": [{"lr": 0.1}, {"weight_decay": 0.0}]}),
    "rmsprop": ("RMSprop", {"lr": 0.01}),
    "rmsprop_momentum": ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1}),
    "rmsprop_centered": ("RMSprop", {"lr": 0.01, "alpha": 0.95, "eps": 1e-4, "centered": True, "momentum": 0.9}),
}  # fmt: skip


def problem(i):
    """Where to start, and the gradient there and then: of a quadratic, a valley, a regression, a double well.

    With noise, as of batches: where a gradient vanishes, a step over its root mean square is made of rounding alone.
    """
    rng = np.random.default_rng(i)
    size = sum(int(np.prod(shape)) for shape in SHAPES)
    a = rng.normal(size=(size, size))
    a = a @ a.T / size + 0.1 * np.eye(size)
    b, noise, x = rng.normal(size=size), rng.normal(size=(STEPS, size)), rng.normal(size=(40, size))
    labels = np.where(x @ b + rng.normal(size=40) > 0, 1.0, -1.0)

    def valley(v):
        g = 2 * (v - 1)
        g[1:] += 4 * (v[1:] - v[:-1] ** 2)
        g[:-1] -= 8 * v[:-1] * (v[1:] - v[:-1] ** 2)
        return g / 10

    def regression(v):
        return 0.1 * v - (x * (labels / (1 + np.exp(labels * (x @ v))))[:, None]).mean(0)

    def wells(v):
        return v**3 - v + 0.1 * (a @ v)

    gradient = [lambda v: a @ v - b, valley, regression, wells][i % 4]
    return rng.normal(size=size), lambda v, k: gradient(v) + noise[k]


def split(v):
    """A vector in the shapes of three parameters."""
    ends = np.cumsum([int(np.prod(shape)) for shape in SHAPES])
    return [v[end - int(np.prod(shape)) : end].reshape(shape) for shape, end in zip(SHAPES, ends, strict=True)]


def in_groups(parameters, options):
    """The parameters as one list, or in the two groups that the options name."""
    groups = options.get("groups")
    if groups is None:
        return parameters
    return [{"params": part, **own} for part, own in zip((parameters[:1], parameters[1:]), groups, strict=True)]


def walk_of_torch(name, i):
    """The vector of parameters after each step."""
    import torch

    method, options = CONFIGURATIONS[name]
    start, gradient = problem(i)
    parameters = [torch.tensor(part.copy(), requires_grad=True) for part in split(start)]
    kept = {key: x for key, x in options.items() if key not in ("clip_norm", "clip_value", "groups")}
    kind = getattr(torch.optim, {"GD": "SGD"}.get(method, method))
    optimizer = kind(in_groups(parameters, options), **kept)
    walk = []
    for k in range(STEPS):
        here = np.concatenate([p.detach().numpy().ravel() for p in parameters])
        for p, g in zip(parameters, split(gradient(here, k)), strict=True):
            p.grad = torch.tensor(g.copy())
        if "clip_value" in options:
            torch.nn.utils.clip_grad_value_(parameters, options["clip_value"])
        if "clip_norm" in options:
            torch.nn.utils.clip_grad_norm_(parameters, options["clip_norm"])
        optimizer.step()
        walk.append(np.concatenate([p.detach().numpy().ravel() for p in parameters]))
    return np.array(walk)


if __name__ == "__main__":
    ends = {name: np.array([walk_of_torch(name, i)[-1] for i in PROBLEMS]) for name in CONFIGURATIONS}
    np.savez_compressed(STORED, **ends)
