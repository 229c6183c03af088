"""Seeing what happens: figures, derivations and graphs."""

from microgradnp.show.diagram import dot as dot
from microgradnp.show.diagram import graph as graph
from microgradnp.show.explain import Derivation as Derivation
from microgradnp.show.explain import derivation as derivation
