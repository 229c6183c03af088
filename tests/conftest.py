"""What every test shares: how many examples hypothesis draws, a headless matplotlib, and which tests are slow."""

import os
import sys

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib; subprocesses inherit it

# MICROGRADNP_PLAIN=1 pytest tests/engine: on the plain door and sweep, as if `engine/fast.py` were not there. Before
# anything imports the package; the workers of xdist inherit it.
if os.environ.get("MICROGRADNP_PLAIN"):
    sys.modules["microgradnp.engine.fast"] = None  # type: ignore[assignment]

import pytest
from hypothesis import HealthCheck, settings

from microgradnp.compiler import program
from microgradnp.compiler.ir import Call, Trace
from microgradnp.compiler.lower import lower
from microgradnp.compiler.plan import Plan
from microgradnp.compiler.verify import verify

pytest.register_assert_rewrite("helpers")  # so that a failing comparison shows its two sides, as in a test

# No deadline and no complaint about slow drawing: both measure the machine's other work, not the code.
_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("quick", max_examples=25, derandomize=bool(os.environ.get("CI")), **_COMMON)
settings.register_profile("brief", max_examples=5, **_COMMON)  # for what is run a second time, in another way
settings.register_profile("thorough", max_examples=1000, **_COMMON)
settings.load_profile("quick")  # pytest --hypothesis-profile=thorough replaces it

collect_ignore = ["benchmarks"]  # scripts, which measure and may import other frameworks


def _thorough(config: pytest.Config) -> bool:
    return bool(config.getoption("--hypothesis-profile") == "thorough")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if _thorough(config) and config.getoption("timeout", None) is None:
        config.option.timeout = 0  # forty times the examples do not fit the quick profile's time limit


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _thorough(config):
        slow = pytest.mark.skip(reason="slow: runs with --hypothesis-profile=thorough")
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(slow)


# -- Every program that any test compiles is verified: no call reads memory that holds something else.


def _lower_and_verify(trace: Trace, plan: Plan) -> list[Call]:
    calls = lower(trace, plan)
    verify(trace, plan, calls)
    return calls


def pytest_runtest_setup(item: pytest.Item) -> None:
    program.lower = lower if item.get_closest_marker("unverified") else _lower_and_verify
