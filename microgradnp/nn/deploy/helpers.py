"""What has no name in NumPy, as the text of a function that a deployed file gets when it needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HELPERS: dict[Callable[..., Any], str] = {}
"""By our function: a function of plain NumPy, called ``helper``, with the same arguments."""
