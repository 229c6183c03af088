"""One step of a training, eager or recorded; what was recorded is there for the next `fit` of the same three.

A program is of use as long as the model, the loss and the optimizer live: the optimizer keeps it, and it reaches the
model and the loss by weak references, so that neither is kept alive by having been trained once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from microgradnp.compiler import RecordingError
from microgradnp.compiler import compile as compiled  # `compile` is also a keyword of `fit`
from microgradnp.engine.tensor import Tensor
from microgradnp.nn.layers import Layer
from microgradnp.nn.optim import Optimizer
from microgradnp.nn.optim.programs import weakly
from microgradnp.nn.train.watch import check_graph

Loss: TypeAlias = Callable[..., Any]


class Steps(NamedTuple):
    """What a training runs: functions of inputs, targets and perhaps weights."""

    first: Callable[..., Tensor]
    """A step that looks at its graph; it returns the loss before. What is recorded looks whenever it is recorded."""

    later: Callable[..., Tensor]
    judge: Callable[..., Any]
    """The loss and the prediction, without a step."""

    judge_once: Callable[..., Any]
    """The same, not recorded, since it is needed once."""

    eager: Callable[..., Any]
    """A step that is not recorded and does not look."""


def steps_of(model: Layer, loss: Loss, optimizer: Optimizer, *, record: bool) -> Steps:
    """The steps of a training; those that are recorded are the same for every training of these three."""
    kept: Steps | None = optimizer.programs.get(model, loss) if record else None
    if kept is not None:
        return kept._replace(judge_once=kept.judge)
    step, judge = step_and_judge(weakly(model), weakly(loss), optimizer)
    later = partial(step, watched=False)
    if not record:
        return Steps(step, later, judge, judge, later)
    first = loud(compiled(step))
    steps = Steps(first, first, loud(compiled(judge)), judge, later)
    optimizer.programs.keep(steps._replace(judge_once=steps.judge), model, loss)
    return steps


def step_and_judge(model: Callable[[], Layer], loss: Callable[[], Loss], optimizer: Optimizer) -> tuple[Any, Any]:
    """A step of a training, and the loss with the prediction, of a model, a loss and an optimizer that still live."""

    def judge(x: Any, y: Any, *weight: Any, watched: bool = False) -> tuple[Tensor, Any]:
        prediction = model()(x)
        value = loss()(prediction, y, weight=weight[0]) if weight else loss()(prediction, y)
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
        return value, prediction

    def step(
        x: Any, y: Any, *weight: Any, begins: bool = True, ends: bool = True, share: Any = 1, watched: bool = True
    ) -> Tensor:
        if begins:
            optimizer.zero_grad()
        value, _ = judge(x, y, *weight, watched=watched)
        (value if begins and ends else value * share).backward()
        if ends:
            optimizer.step()
        return value

    return step, judge


def loud(run: Callable[..., Any]) -> Callable[..., Any]:
    """What cannot be recorded is told to somebody who may not know that anything is."""

    def loud(*data: Any, **options: Any) -> Any:
        try:
            return run(*data, **options)
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
