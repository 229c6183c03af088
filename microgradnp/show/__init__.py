"""Seeing what happens: figures, derivations and graphs."""

from microgradnp.hints import public as _public
from microgradnp.show.diagram import dot, graph
from microgradnp.show.explain import Derivation, derivation

__all__ = ["Derivation", "derivation", "dot", "graph"]

_public(globals(), __all__)
