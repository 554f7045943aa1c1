"""How the plans fared from round to round: the series of the evolution's figure."""

from collections.abc import Sequence
from typing import Any


def trace_fitness(rounds: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Return (round, fitness) of the plans in force after each round, of the proposals, and on orders never shown.

    A round that was rolled back leaves the figures of the plans in force as they were.
    """
    in_force, proposed, unseen = [], [], []
    now: float | None = None
    hidden: float | None = None
    for found in rounds:
        number, candidate = found["round"], found["fitness_candidate"]
        now = candidate if found["accepted"] and candidate is not None else found["fitness"]
        hidden = hidden if found.get("fitness_held_out") is None else found["fitness_held_out"]
        in_force.append((number, now))
        proposed += [] if candidate is None else [(number, candidate)]
        unseen += [] if hidden is None else [(number, hidden)]
    series = {"in force": in_force, "proposed": proposed, "in force, on orders no proposal saw": unseen}
    return {name: points for name, points in series.items() if points}
