"""One step of a training, eager or recorded; what was recorded is there for the next `fit` of the same three.

A program is of use as long as the model, the loss and the optimizer live: the optimizer keeps it, and it reaches the
model and the loss by weak references, so that neither is kept alive by having been trained once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from microgradnp.compiler import RecordingError
from microgradnp.compiler import compile as compiled  # `compile` is also a keyword of `fit`
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.layers import Layer
from microgradnp.nn.optim import Optimizer
from microgradnp.nn.optim.programs import weakly
from microgradnp.nn.train.watch import check_graph

Loss: TypeAlias = Callable[[Any, Any], Any]
Run: TypeAlias = Callable[[Any, Any], Tensor]


def training(model: Layer, loss: Loss, optimizer: Optimizer, *, record: bool) -> tuple[Run, Run, Run]:
    """Three functions of inputs and targets: the first step and a later one, which return the loss before; the loss.

    The first looks at its graph. What is recorded, when it is first called, looks whenever it is recorded.
    """
    kept: tuple[Run, Run, Run] | None = optimizer.programs.get(model, loss) if record else None
    if kept is not None:
        return kept
    step, loss_alone = _step_and_loss(weakly(model), weakly(loss), optimizer)
    if not record:
        return step, partial(step, watched=False), loss_alone
    first = _loud(compiled(step))
    kept = first, first, _loud(compiled(loss_alone))
    optimizer.programs.keep(kept, model, loss)
    return first, first, loss_alone  # needed once after each training: not worth recording for one


def _step_and_loss(model: Callable[[], Layer], loss: Callable[[], Loss], optimizer: Optimizer) -> tuple[Any, Run]:
    def loss_alone(x: Any, y: Any, watched: bool = False) -> Tensor:
        prediction = model()(x)
        value = loss()(prediction, y)
        if not isinstance(value, Tensor):
            raise TypeError(
                f"the loss returned {type(value).__name__}, not a Tensor: it must be computed from the predictions "
                "with NumPy functions, and end in one number."
            )
        if value.size != 1:
            raise ValueError(
                f"the loss returned shape {value.shape}: it must end in one number, such as np.sum or np.mean of it."
            )
        if watched:
            check_graph(model(), loss(), optimizer, prediction, value, len(y))
        return value

    def step(x: Any, y: Any, watched: bool = True) -> Tensor:
        optimizer.zero_grad()
        value = loss_alone(x, y, watched)
        value.backward()
        optimizer.step()
        return value

    return step, loss_alone


def _loud(run: Run) -> Run:
    """What cannot be recorded is told to somebody who may not know that anything is."""

    def loud(x: Any, y: Any) -> Tensor:
        try:
            return run(x, y)
        except RecordingError as error:
            raise RecordingError(
                "fit records the first step and replays it from then on, but the model or the loss does something that "
                "cannot be replayed (see the error above). Write fit(..., compile=False) to train without recording."
            ) from error
        except (AttributeError, TypeError) as error:  # of the Tensor that stands for an array's data in a recording
            if type(getattr(error, "obj", None)) is Tensor or str(error).endswith(("Tensor", "Tensor'")):
                said = str(error).rstrip(".")
                error.args = (
                    f"{said}. In a step that is recorded, .data is a Tensor too: if it is an array's way that is "
                    "missed, write fit(..., compile=False) to train without recording.",
                )
            raise

    return loud
