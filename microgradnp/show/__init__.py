"""Seeing what happens: figures, derivations and graphs."""
