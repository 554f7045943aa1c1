"""Checkers: compiled from a task, restricted to a safe subset, run in a sandbox. Scores traces, never rolls out."""
