"""Dialogues: the episode, the players in its seats, and the drivers that run many. Produces traces, never scores."""
