"""What evolves and on what evidence: the currency between pilot, search and gate."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.base import Frozen
from veriloop.engine.plan import FACETS, PlanPair, Reach, SynthesisPlan, Weights, Workflow
from veriloop.engine.stream import Item

CAP, FLOOR = 64.0, 1 / 16
"""Bounds of a weight: nothing drowns out the rest and nothing goes away, so that coverage stays what it is."""


class ProposalError(Exception):
    """A search came to no usable proposal; says why. The round counts as rolled back."""


class Candidate(Frozen):
    """A rewritten plan set with the reasons, one line per change; no reason means that nothing was changed."""

    pairs: tuple[PlanPair, ...]
    workflow: Workflow
    reasons: tuple[str, ...]


TryOut = Callable[[Candidate, Sequence[int]], Iterable[Item]]
"""Makes orders of a pilot, by their numbers, with a candidate's plans."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a search may look at when it proposes: the plans in force and what their pilot made of them.

    rollbacks: proposals in a row that were rolled back since the last accepted one. history: a line for each earlier
    round with what became of it. advisable: roles that read advice. judges: roles that read an evaluation plan's
    guidelines. rng: the proposal's own randomness. try_out: what other plans make of orders of the same pilot, for a
    search that tries before it proposes.
    """

    reach: Reach
    pairs: tuple[PlanPair, ...]
    workflow: Workflow
    items: tuple[Item, ...]
    rollbacks: int = 0
    history: tuple[str, ...] = ()
    advisable: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    try_out: TryOut | None = None


Search = Callable[[Evidence], Candidate]
"""Proposes a plan set; raises ProposalError when it comes to none."""


def scale(pair: PlanPair, factors: dict[str, Weights], user_steps: float = 1.0) -> PlanPair:
    """Return the pair with its plan's weights multiplied, kept within bounds; the same pair when nothing changes."""
    plan = pair.synthesis
    update: dict[str, Weights | float] = {
        facet: {name: _bound(weight * by.get(name, 1.0)) for name, weight in getattr(plan, facet).items()}
        for facet in FACETS
        for by in [factors.get(facet, {})]
    }
    update["user_steps"] = _bound(plan.user_steps * user_steps)
    changed: SynthesisPlan = plan.model_copy(update=update)
    return pair if changed == plan else pair.model_copy(update={"version": pair.version + 1, "synthesis": changed})


def diff_plans(before: PlanPair, after: PlanPair) -> dict[str, list[Any]]:
    """Return every part that differs as {"synthesis.tools.hold_parcel": [before, after]}; None where there is none."""
    old, new = _flatten(before.model_dump(mode="json")), _flatten(after.model_dump(mode="json"))
    keys = sorted(old.keys() | new.keys())
    return {key: [old.get(key), new.get(key)] for key in keys if old.get(key) != new.get(key)}


def _bound(weight: float) -> float:
    # Rounded, so that a plan reads well and is the same on every machine.
    return round(min(CAP, max(FLOOR, weight)), 4)


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    return {
        name: part for key, inner in value.items() for name, part in _flatten(inner, f"{path}.{key}".strip(".")).items()
    }
