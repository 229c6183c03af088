"""The heart: one table, one door, one sweep, and the Tensor that ties them.

Read it in this order: ``rules`` (a row), ``table`` (the rows), ``state`` (what happens around an operation), ``tensor``
(the door), ``sweep``, ``dispatch`` (how NumPy finds the door), ``operators``. ``fast`` is the same once more, faster.
"""

try:
    from microgradnp.engine.fast import install
except ModuleNotFoundError as error:
    if error.name != f"{__name__}.fast":
        raise
else:
    install()
