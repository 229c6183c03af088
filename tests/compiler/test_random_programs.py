"""Random programs of 4 to 15 operations: against NumPy, against finite differences, and against PyTorch where it is.

A program is drawn by a seed, operation by operation, on real values: an operation is kept if its result is finite and
tame, so that a comparison means something; nothing else is left out. It is then run on arrays, on Tensors and in PyTorch.
"""

# ruff: noqa: E501  (a table with an operation on each line)

import numpy as np
import pytest

import microgradnp as mg
from microgradnp.nn import functional

try:
    import torch
except ImportError:
    torch = None

QUICK, THOROUGH, CHUNK = 200, 10_000, 500


# -- The operations: each a pair, for NumPy (arrays and Tensors) and for PyTorch --------------------------------------


def unary(numpys, torchs, when=lambda x: True):
    """Elementwise, or of any array as it is."""
    return 1, lambda rng, x: (numpys, torchs) if when(x) else None


def binary(numpys, torchs):
    """Elementwise on two arrays that broadcast."""

    def make(rng, a, b):
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return None
        return numpys, torchs

    return 2, make


def along(numpys, torchs, when=lambda x: True):
    """Something along one axis."""

    def make(rng, x):
        if not x.ndim or not x.size or not when(x):
            return None
        axis = int(rng.integers(x.ndim))
        return (lambda x: numpys(x, axis)), (lambda x: torchs(x, axis))

    return 1, make


def reduction(numpys, torchs):
    """Over one axis or all, keeping it or not."""

    def make(rng, x):
        keep = bool(rng.integers(2))
        axes = tuple(range(x.ndim)) if rng.integers(3) == 0 or not x.ndim else (int(rng.integers(x.ndim)),)
        if not x.ndim:
            return (lambda x: numpys(x, axis=None)), (lambda x: torchs(x, (), False))
        return (lambda x: numpys(x, axis=axes, keepdims=keep)), (lambda x: torchs(x, axes, keep))

    return 1, make


def of_matrix(numpys, torchs):
    """Of a matrix."""
    return unary(numpys, torchs, lambda x: x.ndim == 2 and min(x.shape) > 1)


def of_square(numpys, torchs):
    """Of a square matrix, made well-conditioned: its symmetric square and a little more."""

    def make(rng, x):
        if x.ndim != 2 or not 1 < len(x) <= 4:
            return None
        eye = 2.0 * np.eye(len(x))
        return (lambda x: numpys(x @ x.T + eye)), (lambda x: torchs(x @ x.T + torch.as_tensor(eye)))

    return 1, make


def product(numpys, torchs, fits):
    """A product of two arrays whose shapes fit."""
    return 2, lambda rng, a, b: (numpys, torchs) if fits(a, b) else None


def distinct(x):
    """No two elements alike, so that an order is one."""
    return np.unique(x).size == x.size > 0 and np.min(np.diff(np.sort(x, axis=None)), initial=1.0) > 1e-6


def _where(rng, a, b):
    if a.shape != b.shape:
        return None
    mask = rng.random(a.shape) < 0.5
    return (lambda a, b: np.where(mask, a, b)), (lambda a, b: torch.where(torch.as_tensor(mask), a, b))


def _permute(rng, x):
    axes = tuple(map(int, rng.permutation(x.ndim)))
    return (lambda x: np.transpose(x, axes)), (lambda x: x.permute(axes))


def _expand(rng, x):
    if x.ndim > 2:
        return None
    axis = int(rng.integers(x.ndim + 1))
    return (lambda x: np.expand_dims(x, axis)), (lambda x: x.unsqueeze(axis))


def _broadcast(rng, x):
    shape = (2, *x.shape)
    return (lambda x: np.broadcast_to(x, shape)), (lambda x: x.expand(shape))


def _rows(rng, x):
    if not x.ndim or not len(x):
        return None
    rows = rng.integers(0, len(x), 3)
    return (lambda x: x[rows]), (lambda x: x[torch.as_tensor(rows)])


def _mask(rng, x):
    mask = rng.random(x.shape) < 0.7
    return (lambda x: x[mask]), (lambda x: x[torch.as_tensor(mask)])


def _slice(rng, x):
    if not x.ndim or len(x) < 2:
        return None
    return (lambda x: x[..., 1:]) if x.shape[-1] > 1 else (lambda x: x[1:]), (
        (lambda x: x[..., 1:]) if x.shape[-1] > 1 else (lambda x: x[1:])
    )


def _pad(rng, x):
    if not x.ndim:
        return None
    widths = [(0, 0)] * (x.ndim - 1) + [(1, 2)]
    return (lambda x: np.pad(x, widths)), (lambda x: torch.nn.functional.pad(x, (1, 2)))


def _along_indices(rng, x):
    if not x.ndim or not x.size:
        return None
    places = rng.integers(0, x.shape[0], (2, *x.shape[1:]))
    return (
        lambda x: np.take_along_axis(x, places, 0),
        lambda x: torch.take_along_dim(x, torch.as_tensor(places), 0),
    )


def same(x):
    return x


def joins(numpys, torchs):
    """Two arrays of one shape, joined."""
    return product(lambda a, b: numpys([a, b]), lambda a, b: torchs([a, b]), lambda a, b: a.shape == b.shape and a.ndim)


LAST = {"axis": -1}

# fmt: off
OPERATIONS = {
    # Arithmetic
    "add":          binary(lambda a, b: a + b,                  lambda a, b: a + b),
    "subtract":     binary(lambda a, b: a - b,                  lambda a, b: a - b),
    "multiply":     binary(lambda a, b: a * b,                  lambda a, b: a * b),
    "divide":       binary(lambda a, b: a / (1 + b * b),        lambda a, b: a / (1 + b * b)),
    "power":        binary(lambda a, b: (1 + a * a) ** np.sin(b), lambda a, b: (1 + a * a) ** torch.sin(b)),
    "scalars":      unary(lambda x: 2 - 3 * x / 4 + 0.5,        lambda x: 2 - 3 * x / 4 + 0.5),
    "negative":     unary(np.negative,                          lambda x: -x),
    "square":       unary(lambda x: x ** 2,                     lambda x: x ** 2),
    "cube":         unary(lambda x: x ** 3 / 4,                 lambda x: x ** 3 / 4),
    "reciprocal":   unary(lambda x: 1 / (x * x + 1),            lambda x: 1 / (x * x + 1)),
    "sqrt":         unary(lambda x: np.sqrt(x * x + 1),         lambda x: torch.sqrt(x * x + 1)),
    "cbrt":         unary(lambda x: np.cbrt(x * x + 1),         lambda x: (x * x + 1) ** (1 / 3)),
    "remainder":    unary(lambda x: np.remainder(x, 1.7),       lambda x: torch.remainder(x, 1.7), lambda x: np.all(np.abs(np.remainder(x, 1.7) - 0.85) < 0.84)),
    "hypot":        binary(lambda a, b: np.hypot(a, 1 + b * b), lambda a, b: torch.hypot(a, 1 + b * b)),
    "arctan2":      binary(lambda a, b: np.arctan2(a, 1 + b * b), lambda a, b: torch.atan2(a, 1 + b * b)),
    # Exponentials, logarithms, angles
    "exp":          unary(lambda x: np.exp(np.sin(x)),          lambda x: torch.exp(torch.sin(x))),
    "exp2":         unary(lambda x: np.exp2(np.cos(x)),         lambda x: torch.exp2(torch.cos(x))),
    "expm1":        unary(lambda x: np.expm1(np.tanh(x)),       lambda x: torch.expm1(torch.tanh(x))),
    "log":          unary(lambda x: np.log(x * x + 0.5),        lambda x: torch.log(x * x + 0.5)),
    "log1p":        unary(lambda x: np.log1p(x * x),            lambda x: torch.log1p(x * x)),
    "log2":         unary(lambda x: np.log2(x * x + 0.5),       lambda x: torch.log2(x * x + 0.5)),
    "log10":        unary(lambda x: np.log10(x * x + 0.5),      lambda x: torch.log10(x * x + 0.5)),
    "logaddexp":    binary(np.logaddexp,                        lambda a, b: torch.logaddexp(*torch.broadcast_tensors(a, b))),
    "sin":          unary(np.sin,                               lambda x: torch.sin(x)),
    "cos":          unary(np.cos,                               lambda x: torch.cos(x)),
    "tan":          unary(lambda x: np.tan(np.tanh(x)),         lambda x: torch.tan(torch.tanh(x))),
    "arcsin":       unary(lambda x: np.arcsin(np.sin(x) * 0.9), lambda x: torch.asin(torch.sin(x) * 0.9)),
    "arccos":       unary(lambda x: np.arccos(np.sin(x) * 0.9), lambda x: torch.acos(torch.sin(x) * 0.9)),
    "arctan":       unary(np.arctan,                            lambda x: torch.atan(x)),
    "sinh":         unary(lambda x: np.sinh(np.sin(x)),         lambda x: torch.sinh(torch.sin(x))),
    "cosh":         unary(lambda x: np.cosh(np.sin(x)),         lambda x: torch.cosh(torch.sin(x))),
    "tanh":         unary(np.tanh,                              lambda x: torch.tanh(x)),
    "arcsinh":      unary(np.arcsinh,                           lambda x: torch.asinh(x)),
    "arccosh":      unary(lambda x: np.arccosh(x * x + 1.5),    lambda x: torch.acosh(x * x + 1.5)),
    "arctanh":      unary(lambda x: np.arctanh(np.sin(x) * 0.9), lambda x: torch.atanh(torch.sin(x) * 0.9)),
    "sinc":         unary(np.sinc,                              lambda x: torch.sinc(x)),
    "sigmoid":      unary(functional.sigmoid,                   lambda x: torch.sigmoid(x)),
    "softplus":     unary(functional.softplus,                  lambda x: torch.nn.functional.softplus(x, threshold=1e9)),
    # Choosing
    "abs":          unary(np.abs,                               lambda x: torch.abs(x)),
    "relu":         unary(functional.relu,                      lambda x: torch.relu(x)),
    "maximum":      binary(np.maximum,                          lambda a, b: torch.maximum(a, b)),
    "minimum":      binary(np.minimum,                          lambda a, b: torch.minimum(a, b)),
    "clip":         unary(lambda x: np.clip(x, -0.7, 0.9),      lambda x: torch.clamp(x, -0.7, 0.9)),
    "where":        (2, _where),
    "where by sign": unary(lambda x: np.where(x > 0, x * 2, np.sin(x)), lambda x: torch.where(x > 0, x * 2, torch.sin(x))),
    "sort":         along(lambda x, k: np.sort(x, axis=k),      lambda x, k: torch.sort(x, dim=k).values, distinct),
    "softmax":      along(lambda x, k: functional.softmax(x, axis=k), lambda x, k: torch.softmax(x, k)),
    "log_softmax":  along(lambda x, k: functional.log_softmax(x, axis=k), lambda x, k: torch.log_softmax(x, k)),
    # Reductions
    "sum":          reduction(np.sum,                           lambda x, k, keep: torch.sum(x, k, keepdim=keep)),
    "mean":         reduction(np.mean,                          lambda x, k, keep: torch.mean(x, k, keepdim=keep)),
    "max":          reduction(np.max,                           lambda x, k, keep: torch.amax(x, k, keepdim=keep)),
    "min":          reduction(np.min,                           lambda x, k, keep: torch.amin(x, k, keepdim=keep)),
    "var":          reduction(np.var,                           lambda x, k, keep: torch.var(x, k, correction=0, keepdim=keep)),
    "prod":         along(lambda x, k: np.prod(x, axis=k),      lambda x, k: torch.prod(x, k)),
    "norm":         unary(lambda x: np.linalg.norm(x + 9),      lambda x: torch.linalg.norm(x + 9), lambda x: 0 < x.ndim <= 2),
    "cumsum":       along(lambda x, k: np.cumsum(x, axis=k),    lambda x, k: torch.cumsum(x, k)),
    "cumprod":      along(lambda x, k: np.cumprod(x, axis=k),   lambda x, k: torch.cumprod(x, k)),
    "diff":         along(lambda x, k: np.diff(x, axis=k),      lambda x, k: torch.diff(x, dim=k)),
    # Products
    "matmul":       product(lambda a, b: a @ b,                 lambda a, b: a @ b, lambda a, b: a.ndim and b.ndim and a.shape[-1] == b.shape[-2 if b.ndim > 1 else 0] and min(a.ndim, b.ndim) <= 2),
    "dot":          product(np.dot,                             lambda a, b: torch.dot(a, b), lambda a, b: a.ndim == b.ndim == 1 and a.shape == b.shape),
    "outer":        product(np.outer,                           lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)), lambda a, b: a.size * b.size <= 64),
    "kron":         product(np.kron,                            lambda a, b: torch.kron(a.contiguous(), b.contiguous()), lambda a, b: a.ndim == b.ndim > 0 and a.size * b.size <= 64),
    "tensordot":    product(lambda a, b: np.tensordot(a, b, 1), lambda a, b: torch.tensordot(a, b, 1), lambda a, b: a.ndim and b.ndim and a.shape[-1] == b.shape[0]),
    "einsum":       product(lambda a, b: np.einsum("ij,kj->ik", a, b), lambda a, b: torch.einsum("ij,kj->ik", a, b), lambda a, b: a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1]),
    "einsum of one": of_matrix(lambda x: np.einsum("ij->j", x), lambda x: torch.einsum("ij->j", x)),
    "gram":         of_matrix(lambda x: x.T @ x,                lambda x: x.T @ x),
    "trace":        of_matrix(np.trace,                         lambda x: torch.diagonal(x).sum()),
    "inv":          of_square(np.linalg.inv,                    lambda x: torch.linalg.inv(x)),
    "solve":        of_square(lambda x: np.linalg.solve(x, x[0]), lambda x: torch.linalg.solve(x, x[0])),
    "logdet":       of_square(lambda x: np.linalg.slogdet(x)[1], lambda x: torch.linalg.slogdet(x)[1]),
    "cholesky":     of_square(np.linalg.cholesky,               lambda x: torch.linalg.cholesky(x)),
    # Shape and place
    "ravel":        unary(np.ravel,                             lambda x: x.reshape(-1)),
    "reshape":      unary(lambda x: np.reshape(x, (2, -1)),     lambda x: x.reshape(2, -1), lambda x: x.size > 0 and x.size % 2 == 0),
    "transpose":    (1, _permute),
    "expand":       (1, _expand),
    "squeeze":      unary(np.squeeze,                           lambda x: x.squeeze()),
    "broadcast":    (1, _broadcast),
    "flip":         along(lambda x, k: np.flip(x, k),           lambda x, k: torch.flip(x, (k,))),
    "roll":         along(lambda x, k: np.roll(x, 2, k),        lambda x, k: torch.roll(x, 2, k)),
    "repeat":       along(lambda x, k: np.repeat(x, 2, axis=k), lambda x, k: torch.repeat_interleave(x, 2, k)),
    "tile":         unary(lambda x: np.tile(x, 2),              lambda x: torch.tile(x, (2,)), lambda x: x.ndim),
    "pad":          (1, _pad),
    "concatenate":  joins(np.concatenate,                       lambda xs: torch.cat(xs)),
    "stack":        joins(lambda xs: np.stack(xs, axis=-1),     lambda xs: torch.stack(xs, -1)),
    "split":        along(lambda x, k: np.array_split(x, 2, axis=k)[0], lambda x, k: torch.tensor_split(x, 2, k)[0]),
    "slice":        (1, _slice),
    "rows":         (1, _rows),
    "mask":         (1, _mask),
    "take along":   (1, _along_indices),
    "diagonal":     of_matrix(lambda x: np.diagonal(x, 1),      lambda x: torch.diagonal(x, 1)),
    "tril":         of_matrix(np.tril,                          lambda x: torch.tril(x)),
    "triu":         of_matrix(np.triu,                          lambda x: torch.triu(x)),
}
# fmt: on

NAMES = list(OPERATIONS)
SHAPES = [(), (3,), (4,), (2, 3), (3, 3), (3, 1), (2, 3, 2), (1, 4)]


class Program:
    """A drawn program: its inputs, and its steps as (name, places of the arguments, the pair of functions)."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        shapes = [SHAPES[k] for k in rng.integers(0, len(SHAPES), 2)]
        self.inputs = [rng.uniform(-1.5, 1.5, shape) for shape in (*shapes, shapes[0])]
        self.steps = []
        values = list(self.inputs)
        for _ in range(int(rng.integers(4, 16))):
            name, places, pair, value = self._draw(rng, values)
            self.steps.append((name, places, pair))
            values.append(value)
        used = {place for _, places, _ in self.steps for place in places}
        self.ends = [k for k in range(len(values)) if k not in used]
        self.weights = {k: np.cos(np.arange(values[k].size) + k).reshape(values[k].shape) for k in self.ends}

    @staticmethod
    def _draw(rng, values):
        """An operation that fits, on recent values more often than on old ones."""
        while True:
            name = NAMES[rng.integers(len(NAMES))]
            arity, make = OPERATIONS[name]
            places = [max(int(rng.integers(len(values))), int(rng.integers(len(values)))) for _ in range(arity)]
            arguments = [values[k] for k in places]
            pair = make(rng, *arguments)
            if pair is None:
                continue
            value = np.asarray(pair[0](*arguments))
            if value.ndim <= 3 and 0 < value.size <= 64 and np.all(np.isfinite(value)) and np.abs(value).max() < 50:
                return name, places, pair, value

    def run(self, inputs, side, total, weigh):
        """The program on one side (0 NumPy, 1 PyTorch): a weighted sum of all that nothing else has used."""
        values = list(inputs)
        for _, places, pair in self.steps:
            values.append(pair[side](*(values[k] for k in places)))
        return sum(total(values[k] * weigh(self.weights[k])) for k in self.ends)

    def on_numpy(self, *inputs):
        return self.run(inputs, 0, np.sum, same)

    def __str__(self):
        return "\n".join(f"{k + len(self.inputs)}: {name} {places}" for k, (name, places, _) in enumerate(self.steps))


def in_torch(program):
    inputs = [torch.tensor(x, requires_grad=True) for x in program.inputs]
    value = program.run(inputs, 1, torch.sum, torch.as_tensor)
    gradients = torch.autograd.grad(value, inputs, allow_unused=True)
    zeros = (torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients, strict=True))
    return value.item(), [g.numpy() for g in zeros]


def close(a, b, tolerance):
    return np.all(np.abs(a - b) <= tolerance * max(1.0, float(np.max(np.abs(b), initial=0.0))))


# -- The tests --------------------------------------------------------------------------------------------------------


def test_every_operation_is_drawn():
    drawn = {name for seed in range(2 * QUICK) for name, _, _ in Program(seed).steps}
    assert drawn == set(NAMES)


@pytest.mark.parametrize("first", range(0, QUICK, 50))
def test_programs_give_numpys_values_and_the_slopes_of_finite_differences(first):
    for seed in range(first, first + 50):
        program = Program(seed)
        value, gradients = mg.value_and_grad(program.on_numpy, (0, 1, 2))(*program.inputs)
        assert close(value, program.on_numpy(*program.inputs), 1e-12), f"seed {seed}\n{program}"
        rng = np.random.default_rng(seed)
        directions = [rng.standard_normal(x.shape) for x in program.inputs]
        slope = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))

        def moved(h, program=program, directions=directions):
            return float(program.on_numpy(*(x + h * d for x, d in zip(program.inputs, directions, strict=True))))

        # A kink within the step spoils one of them, hence the best of several steps; a wrong slope has no good one.
        errors = [abs((moved(h) - moved(-h)) / (2 * h) - slope) for h in (1e-4, 1e-5, 1e-6, 1e-7)]
        assert min(errors) <= 1e-5 * max(1.0, abs(slope)), f"seed {seed}: {errors}\n{program}"


@pytest.mark.skipif(torch is None, reason="PyTorch, the reference, is not installed")
@pytest.mark.parametrize(
    "first", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(QUICK, THOROUGH, CHUNK))]
)
def test_programs_agree_with_pytorch(first):
    for seed in range(first, min(first + CHUNK, THOROUGH) if first else QUICK):
        program = Program(seed)
        value, gradients = mg.value_and_grad(program.on_numpy, (0, 1, 2))(*program.inputs)
        expected, references = in_torch(program)
        assert close(value, np.asarray(expected), 1e-9), f"seed {seed}: {value} against {expected}\n{program}"
        for k, (g, reference) in enumerate(zip(gradients, references, strict=True)):
            assert g.shape == reference.shape
            assert close(g, reference, 1e-9), f"seed {seed}, input {k}:\n{g}\n{reference}\n{program}"


@pytest.mark.skipif(torch is None, reason="PyTorch, the reference, is not installed")
@pytest.mark.parametrize("first", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(100, 2000, 100))])
def test_second_derivatives_agree_with_pytorch(first):
    """The Hessian times a vector. PyTorch gives NaN for a few (sinc at 0); here all are finite."""
    for seed in range(first, first + 100):
        program = Program(seed)
        rng = np.random.default_rng(seed)
        directions = tuple(rng.standard_normal(x.shape) for x in program.inputs)
        products = mg.hvp(program.on_numpy, tuple(program.inputs), directions)
        inputs = [torch.tensor(x, requires_grad=True) for x in program.inputs]
        value = program.run(inputs, 1, torch.sum, torch.as_tensor)
        gradients = torch.autograd.grad(value, inputs, create_graph=True, allow_unused=True)
        pairs = zip(gradients, directions, strict=True)
        slope = sum((g * torch.as_tensor(d)).sum() for g, d in pairs if g is not None)
        seconds = torch.autograd.grad(slope, inputs, allow_unused=True) if slope.requires_grad else [None] * 3
        for product_, reference in zip(products, seconds, strict=True):
            expected = np.zeros(product_.shape) if reference is None else reference.numpy(force=True)
            assert np.all(np.isfinite(product_)), f"seed {seed}\n{program}"
            assert not np.all(np.isfinite(expected)) or close(product_, expected, 1e-8), f"seed {seed}\n{program}"
