"""Training by SciPy's minimisers: the loss on all data is a function of one vector, that of all parameters.

L-BFGS and its kin estimate the curvature from the gradients that they have seen, and choose each step's length by
trying the loss: there is no learning rate to choose. They need the whole loss, so there are no mini-batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgradnp.compiler import compile as compiled  # `compile` is also a keyword of `minimize`
from microgradnp.nn.layers import Layer
from microgradnp.nn.layers.base import dtype_among, mode_of, named_tensors
from microgradnp.nn.optim.programs import Programs
from microgradnp.nn.parameters import flat, functional_call
from microgradnp.nn.train.data import as_data
from microgradnp.nn.train.history import DivergenceError, History
from microgradnp.nn.train.run import Run
from microgradnp.nn.train.step import Loss, loud, step_and_judge
from microgradnp.transforms.jacobians import hessian, hvp
from microgradnp.transforms.pullback import grad

_WITHOUT_GRADIENT = ("nelder-mead", "powell", "cobyla", "cobyqa")
_WITH_PRODUCTS = ("newton-cg", "trust-ncg", "trust-krylov")
_WITH_HESSIAN = ("dogleg", "trust-exact")


@dataclass(frozen=True, eq=False, repr=False)
class Minimization(History):
    """A `History` of SciPy's iterations, with what SciPy says at the end.

    Attributes
    ----------
    result : scipy.optimize.OptimizeResult or None
        ``result.success``, ``result.message``, ``result.nfev``, ...; None where TNC was stopped, which has
        no way to be.
    """

    result: Any = None


def minimize(
    model: Layer,
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss,
    method: str = "L-BFGS-B",
    iterations: int | None = None,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    callbacks: Iterable[Any] = (),
    sample_weight: ArrayLike | None = None,
    compile: bool = True,
) -> Minimization:
    """Train ``model`` on all data at once by a method of `scipy.optimize.minimize`; return how it went. Needs SciPy.

    Parameters
    ----------
    model
        A layer; its parameters are changed in place. It is in training mode meanwhile.
    x, y, loss, sample_weight
        As for `fit`.
    method
        Any of SciPy's. Those that use a gradient are given it, and those that use second derivatives are given these
        too, for which the loss may depend on the parameters through the model's predictions alone.
    iterations
        How many there may be; by default as many as the method takes, or its own limit.
    tol
        The tolerance of the method, as SciPy takes it.
    options
        The method's options, such as ``{"maxcor": 20}``.
    callbacks
        As for `fit`, after each iteration: functions of the `Run`, or `Callback`. ``run.stop()`` ends it. There is no
        ``run.optimizer``.
    compile
        Record loss and gradient once, and replay them from then on.

    Returns
    -------
    Minimization
        ``losses[k]`` is the loss after k iterations, and ``result`` what SciPy returns.

    Raises
    ------
    DivergenceError
        If the loss is NaN or infinite at the start or in the end.
    ModuleNotFoundError
        If SciPy is not installed.

    Examples
    --------
    >>> import microgradnp as mg
    >>> from microgradnp import nn
    >>> x, y = mg.datasets.noisy_sine(40, noise=0.05, seed=1234)
    >>> model = nn.Sequential(nn.Linear(1, 8, rng=0), nn.Tanh(), nn.Linear(8, 1, rng=1))
    >>> history = nn.minimize(model, x[:, None], y[:, None], loss=nn.losses.sum_squared_error, iterations=200)
    >>> bool(history.losses[-1] < 0.1 < history.losses[0])
    True
    """
    try:
        from scipy.optimize import minimize as scipys
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("minimize() needs SciPy: pip install 'microgradnp[scipy]'.", name="scipy") from error
    if not isinstance(model, Layer):
        raise TypeError(f"minimize trains a Layer; got {type(model).__name__}.")
    if iterations is not None and (isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1):
        raise ValueError(f"iterations must be a positive integer; got {iterations!r}.")
    tensors = named_tensors(model)
    data = as_data(x, y, sample_weight, dtype_among(tensors))[:]
    objective = _Objective(model, loss, data, record=compile)
    no_optimizer: Any = None
    run = Run(model, no_optimizer, iterations or 0, callbacks, np.random.default_rng())
    watcher = _Watcher(objective, run, iterations if method.lower() == "tnc" else None)
    with (
        mode_of([layer for _, layer in model.named_layers()], training=True),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        # TNC counts evaluations, not iterations: there it is stopped from here.
        limit = {} if iterations is None or method.lower() == "tnc" else {"maxiter": iterations}
        start = flat(model)[0].astype(np.float64)
        watcher.begin(start)
        try:
            result = scipys(
                objective.value if method.lower() in _WITHOUT_GRADIENT else objective,
                start,
                method=method,
                tol=tol,
                callback=watcher,
                options={**limit, **(options or {})},
                **objective.derivatives(method.lower(), start),
            )
            watcher.end(result.x)
        except StopIteration:
            result = None
        finally:
            run.tell("end")
    history = run.history()
    if not math.isfinite(history.losses[-1]):
        raise DivergenceError(f"the loss ended at {history.losses[-1]}: see history.losses.", history)
    return Minimization(history.losses, history.others, result)


class _Objective:
    """The loss as a function of the vector of all parameters, and its derivatives."""

    def __init__(self, model: Layer, loss: Loss, data: tuple[NDArray[Any], ...], *, record: bool) -> None:
        self.model, self.loss, self.data, self.record = model, loss, data, record
        self.parameters = model.parameters()
        self.latest: list[tuple[NDArray[Any], float]] = []  # since the last iteration
        holder: Any = SimpleNamespace(parameters=self.parameters, programs=Programs())
        _, judge = step_and_judge(lambda: model, lambda: loss, holder)

        def value_and_gradient(vector: Any, *data: Any) -> tuple[Any, Any]:
            self.put(vector)
            for p in self.parameters:
                p.grad = None
            value, _ = judge(*data, watched=True)
            value.backward()
            for i, p in enumerate(self.parameters):
                if p.grad is None:
                    raise RuntimeError(
                        f"parameter {i} of shape {p.shape} has no gradient: the loss does not depend on it."
                    )
            return value, np.concatenate([p.grad for p in self.parameters], axis=None).astype(np.float64)

        self.run: Callable[..., Any] = loud(compiled(value_and_gradient)) if record else value_and_gradient

    def put(self, vector: Any) -> None:
        """Let the model have these parameters."""
        start = 0
        for p in self.parameters:
            p.data[...] = vector[start : start + p.size].reshape(p.shape)
            start += p.size

    def __call__(self, vector: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        value, gradient = self.run(vector, *self.data)
        self.latest.append((vector.copy(), float(value.item())))
        return self.latest[-1][1], np.array(getattr(gradient, "data", gradient))

    def value(self, vector: NDArray[Any]) -> float:
        """The loss alone."""
        return self(vector)[0]

    def derivatives(self, method: str, start: NDArray[Any]) -> dict[str, Any]:
        """What SciPy's method takes beside the loss."""
        if method in _WITHOUT_GRADIENT:
            return {}
        if method not in _WITH_PRODUCTS + _WITH_HESSIAN:
            return {"jac": True}

        def loss(vector: Any, x: Any, y: Any, *weight: Any) -> Any:
            prediction = functional_call(self.model, vector, x)
            return self.loss(prediction, y, weight=weight[0]) if weight else self.loss(prediction, y)

        record: Callable[..., Any] = compiled if self.record else lambda f: f
        if not np.allclose(grad(loss)(start, *self.data), self(start)[1], rtol=1e-3, atol=1e-6):
            raise ValueError(
                f"method={method!r} takes second derivatives, and the loss depends on the parameters in another way "
                "than through the model's predictions: choose one that takes the gradient alone, such as 'L-BFGS-B'."
            )
        if method in _WITH_HESSIAN:
            hess = record(lambda v, *data: hessian(lambda v: loss(v, *data))(v))
            return {"jac": True, "hess": lambda v: np.array(hess(v, *self.data))}
        product = record(lambda v, p, *data: hvp(lambda v: loss(v, *data), (v,), (p,))[0])
        return {"jac": True, "hessp": lambda v, p: np.array(product(v, p, *self.data))}


class _Watcher:
    """What SciPy calls after each iteration: notes the loss, and tells the callbacks."""

    def __init__(self, objective: _Objective, run: Run, limit: int | None) -> None:
        self.objective, self.run, self.limit = objective, run, limit

    def begin(self, start: NDArray[Any]) -> None:
        """Before the first iteration."""
        self.run.columns["loss"].append(self.loss_at(start))
        if not math.isfinite(self.run.columns["loss"][0]):
            raise DivergenceError(
                f"the loss is {self.run.columns['loss'][0]} before the first iteration: look at the model's initial "
                "values, and at the scale of the data.",
                self.run.history(),
            )
        self.run.tell("begin")

    def __call__(self, vector: NDArray[Any], *_: Any) -> None:
        run = self.run
        run.columns["loss"].append(self.loss_at(vector))
        run.epoch += 1
        run.logs = {"loss": run.columns["loss"][-1]}
        run.tell("epoch_end")
        if run.stopped or run.epoch == self.limit:
            raise StopIteration

    def end(self, vector: NDArray[Any]) -> None:
        """SciPy's answer may be another point than that of the last iteration, a better one."""
        self.run.columns["loss"][-1] = self.loss_at(vector)

    def loss_at(self, vector: NDArray[Any]) -> float:
        """The loss at a point, which the model then has; SciPy mostly has asked for it already."""
        objective = self.objective
        known = [value for point, value in objective.latest if np.array_equal(point, vector)]
        value = known[-1] if known else objective.value(vector)
        objective.latest.clear()
        objective.put(vector)
        return value
