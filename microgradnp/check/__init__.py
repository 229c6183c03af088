"""Gradients that can be trusted: check them, draw inputs for them, break them on purpose, say what is wrong with them.

Importing this needs NumPy alone; hypothesis is imported when a strategy is first used.
"""

from typing import Any

from microgradnp.check.diagnosis.findings import Diagnosis, diagnose
from microgradnp.check.gradcheck import GradientError, assert_gradients, gradients
from microgradnp.check.mutation import MutantReport, mutants
from microgradnp.check.report import Entry, Report

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


def __getattr__(name: str) -> Any:
    if name in ("arrays", "strategies"):
        import importlib

        strategies = importlib.import_module("microgradnp.check.strategies")
        return strategies if name == "strategies" else strategies.arrays
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
