"""Proofs: replays, mutants, alternative paths, the instruction's own proof, and blame. Where rollout and check meet."""
