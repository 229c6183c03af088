"""Recording a step once and replaying it as a flat list of NumPy calls: see `compile`."""

from microgradnp.engine.replay.compiled import Compiled, compile, draw
from microgradnp.engine.replay.program import Program
from microgradnp.engine.tensor import RecordingError

__all__ = ["Compiled", "Program", "RecordingError", "compile", "draw"]
