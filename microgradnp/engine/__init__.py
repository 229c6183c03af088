"""The heart: one table, one door, one sweep, and the Tensor that ties them.

Read it in this order: ``rules`` (a row), ``table`` (the rows), ``state`` (what happens around an operation), ``tensor``
(the door), ``sweep``, ``dispatch`` (how NumPy finds the door), ``operators``. ``fast`` is the same once more, faster.
"""

try:
    from microgradnp.engine import fast
except ModuleNotFoundError as error:
    if error.name != "microgradnp.engine.fast":
        raise
else:
    fast.install()
