"""Gradients that can be trusted: check them, draw inputs for them, break them on purpose, say what is wrong with them.

Importing this needs NumPy alone; hypothesis is imported when a strategy is first used.
"""

from typing import Any

from microgradnp.check.diagnosis.findings import Diagnosis, diagnose
from microgradnp.check.gradcheck import GradientError, assert_gradients, gradients
from microgradnp.check.mutation import MutantReport, mutants
from microgradnp.check.report import Entry, Report
from microgradnp.hints import public as _public

__all__ = [
    "Diagnosis",
    "Entry",
    "GradientError",
    "MutantReport",
    "Report",
    "arrays",
    "assert_gradients",
    "diagnose",
    "gradients",
    "mutants",
    "strategies",
]


_missing = _public(globals(), __all__)


def __getattr__(name: str) -> Any:
    if name in ("arrays", "strategies"):
        import importlib

        strategies = importlib.import_module("microgradnp.check.strategies")
        return strategies if name == "strategies" else strategies.arrays
    return _missing(name)
