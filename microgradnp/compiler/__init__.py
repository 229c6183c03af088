"""Recording a step once and replaying it as a flat list of NumPy calls: see `compile`."""

from microgradnp.compiler.compiled import Compiled, compile, draw
from microgradnp.compiler.program import Program
from microgradnp.compiler.record import RecordingError

__all__ = ["Compiled", "Program", "RecordingError", "compile", "draw"]
