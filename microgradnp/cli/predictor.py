"""A network trained on a table, with what it takes to use it on another: the file between ``fit`` and ``predict``.

The file is one of `nn.save`, and its parts are plain: ``columns`` and ``target`` are names, ``inputs`` is a
`Standardizer`; a regression has ``outputs``, another, and a classification ``classes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microgradnp import nn
from microgradnp.cli.output import InputError
from microgradnp.cli.tasks import Array, Classification, Regression, Task


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network, the columns that it takes, and what its outputs mean."""

    model: nn.Layer
    columns: list[str]
    inputs: nn.Standardizer
    task: Task

    def __call__(self, x: Array) -> Array:
        """Predictions for inputs of shape (N, columns), both in the table's own units."""
        return self.task.decoded(self.model.predict(self.inputs(x)))

    def save(self, path: Path) -> None:
        """Write the file, and its folder if that is not there."""
        task = self.task
        own: dict[str, Any] = {"outputs": task.scale} if isinstance(task, Regression) else {"classes": task.classes}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            nn.save(path, self.model, columns=self.columns, target=task.target, inputs=self.inputs, **own)
        except (OSError, ValueError) as error:
            raise InputError(f"--save {path}: {getattr(error, 'strerror', None) or error}.") from None

    @classmethod
    def load(cls, path: Path) -> Predictor:
        """Read the file; one that is none is an `InputError`."""
        try:
            saved = vars(nn.load(path))
        except nn.CheckpointError as error:
            raise InputError(str(error)) from None
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}.") from None
        lacking = [name for name in ("columns", "target", "inputs") if name not in saved]
        if lacking or not {"outputs", "classes"} & saved.keys():
            raise InputError(
                f"{path} has a model, but no {', '.join(lacking) or 'outputs or classes'}: it is not a file that "
                "microgradnp fit --save has written."
            )
        task: Task = (
            Classification(saved["target"], list(saved["classes"]))
            if "classes" in saved
            else Regression(saved["target"], saved["outputs"])
        )
        return cls(saved["model"], saved["columns"], saved["inputs"], task)
