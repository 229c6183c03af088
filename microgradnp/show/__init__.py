"""Seeing what happens: figures, derivations and graphs."""

from microgradnp.show.explain import Derivation as Derivation
from microgradnp.show.explain import derivation as derivation
from microgradnp.show.graph import dot as dot
from microgradnp.show.graph import graph as graph
