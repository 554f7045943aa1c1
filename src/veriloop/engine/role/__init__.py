"""Roles that a model can take in the engine: each a prompt file that can be edited, and the shape of its answer."""
