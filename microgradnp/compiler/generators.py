"""Random generators: the state of one, to see whether a step has drawn from it and to put it back.

Any draw but one by `draw` would give the same numbers at each replay, and is refused.
"""

from __future__ import annotations

import pickle
import random
import types
from typing import Any

import numpy as np


def has_state(x: Any) -> bool:
    """Whether ``x`` is a random generator of which one can see whether it was drawn from."""
    return isinstance(x, np.random.Generator | np.random.RandomState | random.Random) and not isinstance(
        x, random.SystemRandom
    )


def state_of(generator: Any) -> Any:
    """The state of a random generator, or of one of the two modules that have one: equal if nothing was drawn."""
    if isinstance(generator, random.Random | types.ModuleType) and generator is not np.random:
        return generator.getstate()
    if isinstance(generator, np.random.Generator):
        return pickle.dumps(generator.bit_generator.state)
    return pickle.dumps(generator.get_state())


def set_state(generator: Any, before: bytes) -> None:
    """Put a random generator back to a state that it had."""
    generator.bit_generator.state = pickle.loads(before)
