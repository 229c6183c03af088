"""One training step in each system: the same network, loss and optimizer, ready to be timed.

A system is a function ``(sizes, x, y, task) -> step`` where ``step()`` trains once and returns the loss. ``task`` is
"regression" (sigmoid layers, summed squared error) or "classes" (ReLU layers, cross-entropy). All start from the same
numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

LR, BETA1, BETA2, EPS = 0.05, 0.9, 0.999, 1e-6

Step = Callable[[], float]
SYSTEMS: dict[str, Callable[..., Step]] = {}


def system(name: str) -> Callable[[Any], Any]:
    """Register a system under its name in tables and figures."""

    def register(build: Any) -> Any:
        SYSTEMS[name] = build
        return build

    return register


def parameters(sizes: list[int], dtype: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights (in, out) and biases (out,), Glorot-scaled."""
    rng = np.random.default_rng(0)
    return [
        ((rng.normal(size=(a, b)) * (2 / (a + b)) ** 0.5).astype(dtype), np.zeros(b, dtype)) for a, b in pairwise(sizes)
    ]


def data(sizes: list[int], n: int, dtype: Any, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets; for one input and one output the chapter's noisy sine."""
    rng = np.random.default_rng(1)
    if task == "classes":
        return rng.normal(size=(n, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], n)
    x = np.linspace(0, 0.5, n)[:, None] if sizes[0] == 1 else rng.normal(size=(n, sizes[0]))
    y = np.sin(2 * np.pi * x[:, :1]) + rng.normal(scale=0.05, size=(n, 1))
    y = (y - y.mean()) / y.std()
    return x.astype(dtype), np.broadcast_to(y, (n, sizes[-1])).astype(dtype)


# -- By hand -----------------------------------------------------------------------------------------------------------


@system("NumPy, plain")
def numpy_plain(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    """Vectorised NumPy as one writes it first: a new array for every result, Adam for each parameter."""
    if task != "regression":
        raise NotImplementedError
    p = [array for pair in parameters(sizes, x.dtype) for array in pair]
    m, v = [np.zeros_like(a) for a in p], [np.zeros_like(a) for a in p]
    t = 0

    def step() -> float:
        nonlocal t
        layers = [x]
        for k in range(0, len(p), 2):
            z = layers[-1] @ p[k] + p[k + 1]
            layers.append(1 / (1 + np.exp(-z)) if k + 2 < len(p) else z)
        rest = layers[-1] - y
        loss = np.sum(rest**2)
        g = 2 * rest
        gradients = []
        for k in range(len(p) - 2, -1, -2):
            h = layers[k // 2]
            gradients += [np.sum(g, axis=0), h.T @ g]
            if k:
                g = (g @ p[k].T) * (h * (1 - h))
        gradients.reverse()
        t += 1
        for k, g in enumerate(gradients):
            m[k] = BETA1 * m[k] + (1 - BETA1) * g
            v[k] = BETA2 * v[k] + (1 - BETA2) * g**2
            p[k] = p[k] - LR * (m[k] / (1 - BETA1**t)) / (np.sqrt(v[k] / (1 - BETA2**t)) + EPS)
        return float(loss)

    return step


@system("NumPy, preallocated")
def numpy_preallocated(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    """NumPy as fast as we can write it: every result into a buffer, all parameters in one vector, the fastest calls."""
    if task != "regression":
        raise NotImplementedError
    n, dtype = len(x), x.dtype
    first = parameters(sizes, dtype)
    flat = np.concatenate([array.ravel() for pair in first for array in pair])
    gradient, m, v, a, b = (np.zeros_like(flat) for _ in range(5))

    def split(vector: np.ndarray) -> list[np.ndarray]:
        parts, start = [], 0
        for pair in first:
            for array in pair:
                parts.append(vector[start : start + array.size].reshape(array.shape))
                start += array.size
        return parts

    p, g = split(flat), split(gradient)
    layers = [x] + [np.empty((n, size), dtype) for size in sizes[1:]]
    deltas = [np.empty((n, size), dtype) for size in sizes[1:]]
    scratch = [np.empty((n, size), dtype) for size in sizes[1:]]
    transposed = [layer.T for layer in layers]
    weights_transposed = [w.T for w in p[::2]]
    ones = np.ones(n, dtype)
    loss = np.zeros((), dtype)
    flat_rest, last = deltas[-1].reshape(-1), len(sizes) - 2
    one, two, beta1, beta2, rest1, rest2, eps, lr = (
        np.array(c, dtype) for c in (1, 2, BETA1, BETA2, 1 - BETA1, 1 - BETA2, EPS, LR)
    )
    scale1, scale2 = np.ones((), dtype), np.ones((), dtype)
    t = 0
    dot = np.ndarray.dot  # np.dot looks for overrides first, which takes as long again
    add, subtract, multiply, divide = np.add, np.subtract, np.multiply, np.divide
    exp, negative, square, sqrt = np.exp, np.negative, np.square, np.sqrt

    def step() -> float:
        nonlocal t
        for k in range(last + 1):
            z = layers[k + 1]
            dot(layers[k], p[2 * k], z)
            add(z, p[2 * k + 1], z)
            if k < last:
                negative(z, z)
                exp(z, z)
                add(z, one, z)
                divide(one, z, z)
        subtract(layers[-1], y, deltas[-1])
        dot(flat_rest, flat_rest, loss)
        multiply(deltas[-1], two, deltas[-1])
        for k in range(last, -1, -1):
            dot(ones, deltas[k], g[2 * k + 1])
            dot(transposed[k], deltas[k], g[2 * k])
            if k:
                dot(deltas[k], weights_transposed[k], deltas[k - 1])
                subtract(one, layers[k], scratch[k - 1])
                multiply(scratch[k - 1], layers[k], scratch[k - 1])
                multiply(deltas[k - 1], scratch[k - 1], deltas[k - 1])
        t += 1
        scale1[()] = 1 - BETA1**t
        scale2[()] = 1 - BETA2**t
        multiply(m, beta1, m)
        multiply(gradient, rest1, a)
        add(m, a, m)
        multiply(v, beta2, v)
        square(gradient, a)
        multiply(a, rest2, a)
        add(v, a, v)
        divide(m, scale1, a)
        divide(v, scale2, b)
        sqrt(b, b)
        add(b, eps, b)
        divide(a, b, a)
        multiply(a, lr, a)
        subtract(flat, a, flat)
        return float(loss)

    return step


# -- This framework ----------------------------------------------------------------------------------------------------


def microgradnp_step(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str, compiled: bool) -> Any:
    """The step itself, as `nn.fit` makes it."""
    import microgradnp as mg
    from microgradnp import nn, optim

    layers: list[Any] = []
    for k, (a, b) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(a, b, rng=0, dtype=x.dtype))
        if k < len(sizes) - 2:
            layers.append(nn.Sigmoid() if task == "regression" else nn.ReLU())
    model = nn.Sequential(*layers)
    for layer, (w, b) in zip(layers[::2], parameters(sizes, x.dtype), strict=True):
        layer.weight.data, layer.bias.data = w, b
    optimizer = optim.Adam(model.parameters(), lr=LR, betas=(BETA1, BETA2), eps=EPS)
    loss = nn.losses.sum_squared_error if task == "regression" else nn.losses.cross_entropy

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    return mg.compile(step) if compiled else step


@system("microgradnp, compiled")
def microgradnp_compiled(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    step = microgradnp_step(sizes, x, y, task, compiled=True)
    return lambda: step(x, y).item()  # type: ignore[no-any-return]


@system("microgradnp, eager")
def microgradnp_eager(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    step = microgradnp_step(sizes, x, y, task, compiled=False)
    return lambda: step(x, y).item()  # type: ignore[no-any-return]


# -- Others ------------------------------------------------------------------------------------------------------------


def _torch(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str, **options: Any) -> Step:
    import torch

    layers: list[Any] = []
    for k, (w, b) in enumerate(parameters(sizes, x.dtype)):
        linear = torch.nn.Linear(*w.shape, dtype=torch.from_numpy(w).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers.append(linear)
        if k < len(sizes) - 2:
            layers.append(torch.nn.Sigmoid() if task == "regression" else torch.nn.ReLU())
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, betas=(BETA1, BETA2), eps=EPS, **options)
    loss = torch.nn.MSELoss(reduction="sum") if task == "regression" else torch.nn.CrossEntropyLoss()
    tx, ty = torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(y))

    def step() -> float:
        optimizer.zero_grad()
        value = loss(model(tx), ty)
        value.backward()
        optimizer.step()
        return float(value.item())

    return step


@system("PyTorch")
def pytorch(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    return _torch(sizes, x, y, task)


@system("PyTorch, fused Adam")
def pytorch_fused(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    return _torch(sizes, x, y, task, fused=True)


@system("JAX, jitted step")
def jax_jitted(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    if task != "regression":
        raise NotImplementedError
    p = [array for pair in parameters(sizes, x.dtype) for array in pair]

    def loss(p: Any) -> Any:
        h = x
        for k in range(0, len(p), 2):
            z = h @ p[k] + p[k + 1]
            h = jax.nn.sigmoid(z) if k + 2 < len(p) else z
        return jnp.sum((h - y) ** 2)

    @jax.jit
    def update(p: Any, m: Any, v: Any, t: Any) -> Any:
        value, g = jax.value_and_grad(loss)(p)
        m = [BETA1 * a + (1 - BETA1) * b for a, b in zip(m, g, strict=True)]
        v = [BETA2 * a + (1 - BETA2) * b * b for a, b in zip(v, g, strict=True)]
        c1, c2 = 1 - BETA1**t, 1 - BETA2**t
        p = [q - LR * (a / c1) / (jnp.sqrt(b / c2) + EPS) for q, a, b in zip(p, m, v, strict=True)]
        return value, p, m, v, t + 1

    state: list[Any] = [p, [np.zeros_like(a) for a in p], [np.zeros_like(a) for a in p], 1.0]

    def step() -> float:
        value, *state[:] = update(*state)
        return float(value)

    return step


@system("autograd")
def hips_autograd(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    import autograd
    import autograd.numpy as anp

    if task != "regression":
        raise NotImplementedError
    p = [array for pair in parameters(sizes, x.dtype) for array in pair]

    def loss(p: Any) -> Any:
        h = x
        for k in range(0, len(p), 2):
            z = anp.dot(h, p[k]) + p[k + 1]
            h = 1 / (1 + anp.exp(-z)) if k + 2 < len(p) else z
        return anp.sum((h - y) ** 2)

    gradient = autograd.value_and_grad(loss)
    return _with_adam(p, lambda: gradient(p))


@system("MyGrad")
def mygrad(sizes: list[int], x: np.ndarray, y: np.ndarray, task: str) -> Step:
    import mygrad as mg

    if task != "regression":
        raise NotImplementedError
    p = [array for pair in parameters(sizes, x.dtype) for array in pair]

    def value_and_gradient() -> tuple[Any, list[np.ndarray]]:
        tensors = [mg.tensor(a) for a in p]
        h: Any = x
        for k in range(0, len(p), 2):
            z = mg.matmul(h, tensors[k]) + tensors[k + 1]
            h = 1 / (1 + mg.exp(-z)) if k + 2 < len(p) else z
        value = mg.sum((h - y) ** 2)
        value.backward()
        return value.item(), [t.grad for t in tensors]

    return _with_adam(p, value_and_gradient)


def _with_adam(p: list[np.ndarray], value_and_gradient: Callable[[], tuple[Any, Any]]) -> Step:
    """Adam in plain NumPy, for systems that have no optimizer of their own."""
    m, v = [np.zeros_like(a) for a in p], [np.zeros_like(a) for a in p]
    t = 0

    def step() -> float:
        nonlocal t
        value, gradients = value_and_gradient()
        t += 1
        for k, g in enumerate(gradients):
            m[k] = BETA1 * m[k] + (1 - BETA1) * g
            v[k] = BETA2 * v[k] + (1 - BETA2) * g**2
            p[k] = p[k] - LR * (m[k] / (1 - BETA1**t)) / (np.sqrt(v[k] / (1 - BETA2**t)) + EPS)
        return float(value)

    return step
