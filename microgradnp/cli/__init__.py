"""The command ``microgradnp``: one file for each thing that it does, and `main`, which they hang from."""
