"""Automatic differentiation: Tensors, the table of rules, the backward sweep and the transforms built on it."""
