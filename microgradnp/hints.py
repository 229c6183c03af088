"""What a public module says of a name that it does not have: ours for it, and in `dir()` its public names alone.

People come with the names of PyTorch and Keras. Where the same thing has another name here, the error says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Never


def public(
    space: dict[str, Any], names: Iterable[str], elsewhere: Mapping[str, str] | None = None
) -> Callable[[str], Never]:
    """Give a module ``__getattr__`` and ``__dir__``.

    They are put into its ``globals()`` and not defined in its text, where a type checker would take every name for one
    that is there.

    Parameters
    ----------
    space
        Its ``globals()``.
    names
        Its public names, such as ``__all__``.
    elsewhere
        What to say of names that other libraries have: ``{"Dense": "it is nn.Linear"}``.

    Returns
    -------
    What raises for a name that the module does not have.

    Examples
    --------
    >>> from microgradnp.hints import public
    >>> missing = public({"__name__": "library"}, ["Linear"], {"Dense": "it is library.Linear"})
    >>> missing("Dense")
    Traceback (most recent call last):
    AttributeError: library has no 'Dense': it is library.Linear.
    >>> missing("linear")
    Traceback (most recent call last):
    AttributeError: library has no 'linear'; did you mean 'Linear'?
    """
    module, ours = space["__name__"], sorted(names)
    lower = {name.lower(): name for name in ours}
    told = {name.lower(): said for name, said in (elsewhere or {}).items()}

    def missing(name: str) -> Never:
        said = f"{module} has no {name!r}"
        if name.startswith("__"):  # what Python itself and its tools look for
            raise AttributeError(said)
        close = get_close_matches(name.lower(), lower, 1, 0.75)
        if name.lower() in told and name.lower() not in lower:
            said += f": {told[name.lower()]}."
        elif close:
            said += f"; did you mean {lower[close[0]]!r}?"
        else:
            said += f"; dir({module}) lists what it has."
        raise AttributeError(said)

    space["__getattr__"], space["__dir__"] = missing, lambda: ours
    return missing


def names_in(space: Mapping[str, Any]) -> list[str]:
    """The public functions and classes that a module itself makes: for one without ``__all__``."""
    return [
        name
        for name, value in space.items()
        if not name.startswith("_") and getattr(value, "__module__", None) == space["__name__"]
    ]


# -- What is called otherwise elsewhere --------------------------------------------------------------------------------

_OWN = "write it as a layer of your own, which takes a few lines: docs/howto/layers.md"
_LISTED = "a plain list or dict in an attribute of a Layer is looked into"
_FUNCTION = "it is no class here but the function "

NN = {
    "Dense": "it is nn.Linear",
    "Affine": "it is nn.Linear",
    "LazyLinear": "it is nn.Linear, which takes the width of its input",
    "Module": "it is nn.Layer",
    "Model": "subclass nn.Layer, or put layers into an nn.Sequential",
    "ModuleList": _LISTED,
    "ModuleDict": _LISTED,
    "ParameterList": _LISTED,
    "ParameterDict": _LISTED,
    "Parameter": "it is mg.Tensor(values, requires_grad=True), in an attribute of a Layer",
    "Buffer": "it is mg.Tensor(values), in an attribute of a Layer",
    "Identity": "an empty nn.Sequential() is one",
    "Lambda": "put the function itself into the nn.Sequential, or see nn.Function",
    "Activation": "put the function itself into the nn.Sequential, np.tanh say",
    "Swish": "it is nn.SiLU",
    "Logistic": "it is nn.Sigmoid",
    "BatchNormalization": "it is nn.BatchNorm1d",
    "BatchNorm": "it is nn.BatchNorm1d",
    "BatchNorm2d": "it is nn.BatchNorm1d(channels, axis=1)",
    "LayerNormalization": "it is nn.LayerNorm",
    "Add": "it is nn.Residual, or nn.Parallel(..., join='sum')",
    "Concatenate": "it is nn.Parallel",
    "init": "it is nn.initializers",
    "MSELoss": _FUNCTION + "nn.losses.mean_squared_error",
    "L1Loss": _FUNCTION + "nn.losses.absolute_error",
    "HuberLoss": _FUNCTION + "nn.losses.huber",
    "SmoothL1Loss": _FUNCTION + "nn.losses.huber",
    "CrossEntropyLoss": _FUNCTION + "nn.losses.cross_entropy",
    "NLLLoss": "give the logits, without LogSoftmax, to the function nn.losses.cross_entropy",
    "BCELoss": "give the logits, without Sigmoid, to the function nn.losses.binary_cross_entropy",
    "BCEWithLogitsLoss": _FUNCTION + "nn.losses.binary_cross_entropy",
    "GaussianNLLLoss": _FUNCTION + "nn.losses.gaussian_nll",
    "RNN": _OWN,
    "LSTM": _OWN,
    "GRU": _OWN,
    "Attention": _OWN,
    "MultiheadAttention": _OWN,
    "Embedding": _OWN,
}

LOSSES = {
    "mse": "it is nn.losses.mean_squared_error",
    "mse_loss": "it is nn.losses.mean_squared_error",
    "mae": "it is nn.losses.absolute_error",
    "l1_loss": "it is nn.losses.absolute_error",
    "mean_absolute_error": "it is nn.losses.absolute_error",
    "huber_loss": "it is nn.losses.huber",
    "smooth_l1_loss": "it is nn.losses.huber",
    "pinball": "it is nn.losses.quantile",
    "nll_loss": "give the logits to nn.losses.cross_entropy",
    "sparse_categorical_crossentropy": "it is nn.losses.cross_entropy, of logits",
    "categorical_crossentropy": "it is nn.losses.cross_entropy, of logits",
    "bce": "it is nn.losses.binary_cross_entropy, of logits",
    "binary_cross_entropy_with_logits": "it is nn.losses.binary_cross_entropy",
    **{name: said.removeprefix("it is no class here but ") for name, said in NN.items() if name.endswith("Loss")},
}

OPTIM = {
    "SGD": "it is optim.GD",
    "GradientDescent": "it is optim.GD",
    "Momentum": "it is optim.GD(..., momentum=0.9)",
    "CosineAnnealingLR": "it is optim.CosineLR",
    "lr_scheduler": "schedules stand in optim itself",
    "MultiStepLR": "it is optim.StepLR with a list of steps",
    "LinearLR": "every schedule takes warmup=, and optim.LambdaLR any function",
    "LBFGS": "it is nn.minimize(model, x, y, loss=..., method='L-BFGS-B')",
    **dict.fromkeys(
        ("Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Lion", "Ftrl"),
        "write it as a subclass of optim.Optimizer, which takes a few lines: docs/howto/optimizers.md",
    ),
}

INITIALIZERS = {
    "xavier_uniform": "it is nn.initializers.glorot_uniform",
    "xavier_normal": "it is nn.initializers.glorot_normal",
    "kaiming_uniform": "it is nn.initializers.he_uniform",
    "kaiming_normal": "it is nn.initializers.he_normal",
    "ones": "it is nn.initializers.constant(1.0)",
    "randn": "it is nn.initializers.normal",
    "zeros_": "it is nn.initializers.zeros",
}

TOP = {
    "tensor": "it is mg.Tensor",
    "Variable": "it is mg.Tensor(values, requires_grad=True)",
    "Parameter": "it is mg.Tensor(values, requires_grad=True)",
    "jit": "it is mg.compile",
    "jacrev": "it is mg.jacobian",
    "jacfwd": "it is mg.jacobian",
    "gradient": "it is mg.grad",
    "elementwise_grad": "it is mg.grad of the sum, lambda x: np.sum(f(x))",
    "vmap": "write NumPy on whole arrays",
    "detach": "it is mg.stop_gradient, or a Tensor's own detach()",
    "manual_seed": "give the model a seed, nn.Sequential(..., rng=0)",
    "Module": "it is nn.Layer",
    "save": "it is nn.save",
    "load": "it is nn.load",
    "losses": "it is nn.losses",
    "layers": "they stand in nn itself",
    "functional": "it is nn.functional",
    **{name: f"import it first, import microgradnp.{name}" for name in ("show", "scipy", "numpy")},
}
