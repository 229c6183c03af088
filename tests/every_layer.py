"""Examples of every layer of this package, with the shape of one input: for what must work with all of them.

A layer that is added and has no example here fails the tests that go through the table.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradnp import Tensor, nn

LAYERS: dict[str, list[tuple[Callable[[Any], nn.Layer], tuple[int, ...]]]] = {
    "AvgPool2d": [(lambda dtype: nn.AvgPool2d((2, 3), stride=1, padding=(1, 0)), (2, 5, 6))],
    "BatchNorm1d": [
        (lambda dtype: trained(nn.BatchNorm1d(4, 1e-3, 0.2, dtype=dtype)), (4,)),
        (lambda dtype: trained(nn.BatchNorm1d(4, affine=False, dtype=dtype)), (3, 4)),
        (lambda dtype: trained(nn.BatchNorm1d(3, axis=1, dtype=dtype)), (3, 2, 4)),
        (lambda dtype: trained(nn.BatchNorm1d(2, axis=1, dtype=dtype)), (2, 3, 4)),
    ],
    "Conv2d": [
        (
            lambda dtype: nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=1, dilation=2, rng=0, dtype=dtype),
            (2, 6, 7),
        ),
        (lambda dtype: nn.Conv2d(1, 2, 3, bias=False, rng=0, dtype=dtype), (1, 4, 5)),
    ],
    "Dropout": [(lambda dtype: nn.Dropout(0.25, rng=3), (4,))],
    "ELU": [(lambda dtype: nn.ELU(0.5), (4,))],
    "Flatten": [(lambda dtype: nn.Flatten(), (2, 3, 2))],
    "Function": [(lambda dtype: nn.Function(np.sin), (4,)), (lambda dtype: nn.Function(nn.functional.gelu), (4,))],
    "GELU": [(lambda dtype: nn.GELU(), (4,)), (lambda dtype: nn.GELU("tanh"), (4,))],
    "LayerNorm": [
        (lambda dtype: trained(nn.LayerNorm(4, 1e-3, dtype=dtype)), (4,)),
        (lambda dtype: nn.LayerNorm((2, 4), affine=False, dtype=dtype), (3, 2, 4)),
    ],
    "LeakyReLU": [(lambda dtype: nn.LeakyReLU(0.2), (4,))],
    "Linear": [
        (lambda dtype: nn.Linear(4, 3, rng=0, dtype=dtype), (4,)),
        (lambda dtype: nn.Linear(4, 4, bias=False, weight_init="orthogonal", rng=0, dtype=dtype), (3, 4)),
    ],
    "LogSoftmax": [(lambda dtype: nn.LogSoftmax(), (4,)), (lambda dtype: nn.LogSoftmax(axis=1), (3, 4))],
    "MaxPool2d": [(lambda dtype: nn.MaxPool2d((3, 2), stride=1, padding=(1, 0)), (2, 5, 6))],
    "Parallel": [
        (lambda dtype: nn.Parallel(nn.Linear(4, 2, dtype=dtype), nn.Tanh(), np.sin), (4,)),
        (lambda dtype: nn.Parallel(nn.Tanh(), nn.ReLU(), join="sum"), (3, 4)),
        (lambda dtype: nn.Parallel(nn.Tanh(), nn.ReLU(), axis=1), (3, 4)),
    ],
    "ReLU": [(lambda dtype: nn.ReLU(), (4,))],
    "Residual": [
        (lambda dtype: nn.Residual(nn.LayerNorm(4, dtype=dtype), nn.Linear(4, 4, dtype=dtype), np.tanh), (4,)),
        (
            lambda dtype: nn.Residual(
                nn.Linear(4, 2, dtype=dtype), projection=nn.Linear(4, 2, bias=False, dtype=dtype)
            ),
            (4,),
        ),
    ],
    "SELU": [(lambda dtype: nn.SELU(), (4,))],
    "Sequential": [
        (
            lambda dtype: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2), rng=0, dtype=dtype),
            (4,),
        ),
    ],
    "SiLU": [(lambda dtype: nn.SiLU(), (4,))],
    "Sigmoid": [(lambda dtype: nn.Sigmoid(), (4,))],
    "Softmax": [(lambda dtype: nn.Softmax(), (4,)), (lambda dtype: nn.Softmax(axis=1), (3, 4))],
    "Softplus": [(lambda dtype: nn.Softplus(), (4,))],
    "Tanh": [(lambda dtype: nn.Tanh(), (4,))],
}


def trained(layer: nn.Layer) -> nn.Layer:
    """The layer with other values than those that it begins with."""
    rng = np.random.default_rng(7)
    layer.load_state_dict(
        {name: rng.uniform(0.5, 2, size=x.shape).astype(x.dtype) for name, x in layer.state_dict().items()}
    )
    return layer


NAMES = [
    name
    for name, kind in vars(nn).items()
    if isinstance(kind, type) and issubclass(kind, nn.Layer) and kind is not nn.Layer
]
CASES = [(name, *case) for name in NAMES for case in LAYERS.get(name, [(None, ())])]
"""Every layer with its examples; None for one that has none yet."""
EVERY: dict[str, Any] = {
    "argnames": ("name", "make", "shape"),
    "argvalues": CASES,
    "ids": [f"{name}{i}" for i, (name, *_) in enumerate(CASES)],
}
"""For `pytest.mark.parametrize`."""


def model_of(name: str, make: Any, dtype: Any) -> nn.Layer:
    """An example in prediction's place: with a parameter, so that it knows its dtype."""
    assert make is not None, f"{name} has no example in this table"
    return nn.Sequential(make(dtype), Scaled(dtype))


class Scaled(nn.Layer):
    """Multiplies by a number."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.factor = Tensor(np.array(1.5, dtype), requires_grad=True)

    def forward(self, x: Any) -> Any:
        return x * self.factor
