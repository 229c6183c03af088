"""Seeing what happens: figures, derivations and graphs."""

from microgradnp.show.explain import Derivation as Derivation
from microgradnp.show.explain import derivation as derivation
