"""The data engine: plans steer synthesis, proofs and dialogues judge it, reflection rewrites the plans."""
