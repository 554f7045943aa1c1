"""The gate that every proposal passes or is rolled back at: fitness beyond noise, and nothing loosened on the way."""

from collections.abc import Iterator, Sequence

from veriloop.engine.anchor import AnchorSuite, find_misjudged
from veriloop.engine.evolution import Candidate
from veriloop.engine.fitness import Rise
from veriloop.engine.plan import FACETS, PlanPair, Workflow
from veriloop.engine.planner import find_closest
from veriloop.engine.stream import Bench

MARGIN = 1.64
"""Standard errors by which fitness must rise: chance alone gets there once in twenty proposals."""
CLOSEST = 0.01
"""Two plans nearer to each other than this are one plan twice."""


def decide(rise: Rise, objections: Sequence[str]) -> tuple[bool, str]:
    """Accept a proposal to which nothing is objected and whose fitness rises beyond the noise; returns the reason."""
    if objections:
        return False, f"rolled back: {objections[0]}" + (f" (and {len(objections) - 1} more)" if objections[1:] else "")
    needed = MARGIN * rise.noise
    if rise.value <= needed:
        return False, f"rolled back: fitness changes by {rise.value:+.3f}, a rise beyond noise is {needed:.3f}"
    return True, f"accepted: fitness rises by {rise.value:.3f}, beyond the noise of {needed:.3f}"


def find_objections(
    bench: Bench, suite: AnchorSuite, pairs: Sequence[PlanPair], workflow: Workflow, candidate: Candidate
) -> list[str]:
    """Return what a proposal loosens: it may shift weights, not drop what was covered, judged or executed before."""
    found = [*_find_dropped(pairs, candidate), *_find_loosened(pairs, workflow, candidate)]
    if misjudged := find_misjudged(bench, suite, candidate.pairs):
        found.append(f"it misjudges {len(misjudged)} anchors, first {misjudged[0]}")
    return found


def _find_dropped(pairs: Sequence[PlanPair], candidate: Candidate) -> Iterator[str]:
    if [pair.id for pair in pairs] != [pair.id for pair in candidate.pairs]:
        yield "it drops, adds or reorders plans"
    for facet in FACETS:
        before, after = _offered(pairs, facet), _offered(candidate.pairs, facet)
        if lost := sorted(before - after):
            yield f"no plan offers {', '.join(lost)} of its {facet} any more"
    closest, old = find_closest(candidate.pairs), find_closest(pairs)
    if closest and old and closest[0] < CLOSEST <= old[0]:
        yield f"{closest[1]} and {closest[2]} become the same plan"


def _offered(pairs: Sequence[PlanPair], facet: str) -> set[str]:
    return {name for pair in pairs for name, weight in getattr(pair.synthesis, facet).items() if weight > 0}


def _find_loosened(pairs: Sequence[PlanPair], workflow: Workflow, candidate: Candidate) -> Iterator[str]:
    if candidate.workflow.rollouts < workflow.rollouts:
        yield f"it plays {candidate.workflow.rollouts} dialogues a task instead of {workflow.rollouts}"
    rewritten = {pair.id: pair.evaluation for pair in candidate.pairs}
    for pair in pairs:
        after = rewritten.get(pair.id)
        if after is None:
            continue
        if lost := {item.id for item in pair.evaluation.rubric} - {item.id for item in after.rubric}:
            yield f"{pair.id} is no longer judged by {', '.join(sorted(lost))}"
