"""What became of the drafts: how many each stage let through, why the others were given up, and who was to blame."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from veriloop.engine.tally import generalise
from veriloop.store.run import Run

STAGES = {
    "synth": "Something to draft for the caller",
    "duplicate": "Not there already",
    "proof": "Proved",
    "review": "Nothing to object for the task verifier",
    "rollout": "Demonstrated and verified",
    "difficulty": "Neither too hard nor too easy",
}
"""Stage that may reject -> what a draft that leaves it has behind it."""
OPTIONAL = ("review", "difficulty")
"""Stages that only some runs have."""
REASONS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Step:
    """One level of the funnel: drafts that reached it, and the reasons (with counts) why some got no further."""

    label: str
    count: int
    lost: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class Funnel:
    """Counts over a run's drafts. seconds: spent making them. tried, caught: mutants before acceptance."""

    attempted: int = 0
    accepted: int = 0
    tried: int = 0
    caught: int = 0
    seconds: float = 0.0
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    blames: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float | None:
        """Accepted tasks per draft."""
        return self.accepted / self.attempted if self.attempted else None

    @property
    def mutation_score(self) -> float | None:
        """Share of mutants caught, before acceptance."""
        return self.caught / self.tried if self.tried else None

    def steps(self) -> list[Step]:
        """Return the levels from the first draft to the accepted task."""
        stages = [stage for stage in STAGES if stage not in OPTIONAL or stage in self.reasons]
        labels = ["Drafts attempted", *(STAGES[stage] for stage in stages)]
        left, found = self.attempted, list[Step]()
        for label, stage in zip(labels, stages, strict=False):
            lost = self.reasons.get(stage, Counter[str]())
            found.append(Step(label, left, tuple(lost.most_common(REASONS_SHOWN))))
            left -= lost.total()
        return [*found, Step(f"{labels[-1]}: accepted", left)]


def read_funnel(run: Run) -> Funnel:
    """Return the funnel of a run; empty when it synthesised nothing."""
    funnel = Funnel()
    for entry in run.ledger.entries("drafts"):
        _add_drafts(funnel, entry.payload)
    for entry in run.ledger.entries("synth"):
        funnel.seconds += entry.seconds
    for entry in run.ledger.entries("verdict:", "done"):
        if blame := entry.payload.get("blame"):
            funnel.blames[blame["fault"]] += 1
    return funnel


def _add_drafts(funnel: Funnel, drafts: dict[str, Any]) -> None:
    funnel.attempted += len(drafts["rejections"]) + drafts["accepted"]
    funnel.accepted += drafts["accepted"]
    funnel.tried += drafts["mutants_tried"]
    funnel.caught += drafts["mutants_caught"]
    for rejection in drafts["rejections"]:
        funnel.reasons.setdefault(rejection["stage"], Counter())[generalise(rejection["reason"])] += 1
        if rejection["fault"]:
            funnel.blames[rejection["fault"]] += 1
