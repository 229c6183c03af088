"""A small reverse-mode autodiff framework on NumPy, with gradients that can be checked."""

from microgradnp import check, datasets, nn
from microgradnp.compiler import compile, draw
from microgradnp.debugging import debug
from microgradnp.engine.state import no_grad
from microgradnp.engine.tensor import Tensor
from microgradnp.functions.places import put, put_along_axis
from microgradnp.hints import TOP as _TOP
from microgradnp.hints import public as _public
from microgradnp.nn import optim
from microgradnp.transforms.custom import custom_vjp, defvjp
from microgradnp.transforms.jacobians import hessian, hvp, jacobian, jvp
from microgradnp.transforms.pullback import grad, stop_gradient, value_and_grad, vjp

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "check",
    "compile",
    "custom_vjp",
    "datasets",
    "debug",
    "defvjp",
    "draw",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "nn",
    "no_grad",
    "optim",
    "put",
    "put_along_axis",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

_public(globals(), [*__all__, "__version__"], {name: f"it is nn.{name}" for name in nn.__all__} | _TOP)
