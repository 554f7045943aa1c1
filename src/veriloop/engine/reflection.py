"""The scripted reflector: rewrites plans and workflow so that what is made comes nearer to what is wanted.

It counts what a pilot made, rejected and blamed, and moves every weight by a power of (wanted share / found share) and
of (yield / mean yield): exponentiated gradient steps on the fitness, smaller where a difference may be chance, and
halved after each rollback.
"""

from collections.abc import Sequence

from veriloop.engine.evolution import Candidate, Evidence, scale
from veriloop.engine.fitness import list_facets
from veriloop.engine.plan import Weights, Workflow
from veriloop.engine.stream import Item
from veriloop.engine.tally import Row, count_pilot
from veriloop.proof.blame import Fault

LARGEST = 4.0
"""A weight changes by this factor at most in one round."""
NOTABLE = 1.25
"""Changes by less than this factor are made and not told."""
HOPELESS = 5.0
"""What was asked for more often than this in a pilot and never came does not exist, or nearly so."""
MOST_STEPS = 8.0
"""The weight of requests with a user's step is not raised beyond this: what is still missing then cannot be had."""
UNPLAYED = 0.1
"""Share of drafts, true as far as the proof can tell, that may be lost because no dialogue of theirs passed."""
MOST_ROLLOUTS = 4
"""Dialogues a task are not raised beyond this."""


def reflect(evidence: Evidence) -> Candidate:
    """Return what a pilot's items say should change; after n rollbacks in a row with steps of half the n-th power."""
    step, reasons = 0.5**evidence.rollbacks, list[str]()
    factors: dict[str, Weights] = {}
    for row in count_pilot(evidence):
        factor, why = _find_factor(row, step)
        factors.setdefault(row.facet, {})[row.name] = factor
        if not 1 / NOTABLE < factor < NOTABLE:
            reasons.append(f"{row.facet}: {row.name} {why}; its weights change by {factor:.2f}")
    steps = _find_user_steps(evidence, reasons)
    pairs = tuple(scale(pair, factors, steps) for pair in evidence.pairs)
    workflow = _rewrite_workflow(evidence.workflow, evidence.items, reasons)
    if pairs == evidence.pairs and workflow == evidence.workflow:
        return Candidate(pairs=pairs, workflow=workflow, reasons=())
    return Candidate(pairs=pairs, workflow=workflow, reasons=tuple(reasons) or ("many small changes of weights",))


def _find_factor(row: Row, step: float) -> tuple[float, str]:
    """Return by what to multiply a name's weights, and why."""
    asked = row.asked * row.total
    if not row.made and asked > HOPELESS:
        return 1 / LARGEST, f"was asked for {asked:.0f} times and never came"
    if not row.made and row.asked < row.wanted / 2:
        return 1.0, "was given up in an earlier round; to ask for it again would waste what it wasted then"
    # As if one task more for each name had been made, as wanted: what was not seen yet is rare, not impossible.
    found = (row.made + row.names * row.wanted) / (row.total + row.names)
    factor = ((row.wanted / found) ** _measure_certainty(row) * (row.rate or 1.0)) ** step
    return min(LARGEST, max(1 / LARGEST, factor)), f"was {row.made} of {row.total}, wanted {row.wanted * row.total:.0f}"


def _measure_certainty(row: Row) -> float:
    """Return by how much of the way to go from what was found to what is wanted, 0 to 1.

    What was counted differs from what is wanted by chance too, as the count of rare events does: its variance is its
    mean. The part of the squared difference that is more than chance is what is known to be amiss (James and Stein).
    """
    expected = row.wanted * row.total
    surplus = (row.made - expected) ** 2 / expected
    return surplus / (1 + surplus)


def _find_user_steps(evidence: Evidence, reasons: list[str]) -> float:
    """Return the factor for requests that begin with a step of the user's own: doubled while such steps are missing."""
    made = {name for item in evidence.items for name in list_facets(item).get("user_tools", ())}
    missing = [name for name in evidence.reach.user_tools if name not in made]
    heaviest = max(pair.synthesis.user_steps for pair in evidence.pairs)
    if not missing or heaviest >= MOST_STEPS or not any(item.task for item in evidence.items):
        return 1.0
    reasons.append(f"no task has the user do {', '.join(missing)}; requests that begin with such a step weigh twice")
    return 2.0


def _rewrite_workflow(workflow: Workflow, items: Sequence[Item], reasons: list[str]) -> Workflow:
    """Give items more attempts while some end empty, and tasks more dialogues while players spoil many of them."""
    changes = dict[str, int]()
    if empty := sum(not item.accepted for item in items):
        changes["attempts"] = workflow.attempts + 4
        reasons.append(f"{empty} of {len(items)} items ended without a task; attempts rise to {changes['attempts']}")
    rejections = [rejection for item in items for rejection in item.rejections]
    drafts = len(rejections) + sum(item.accepted for item in items)
    spoilt = sum(found.stage == "rollout" and found.fault in (Fault.AGENT, Fault.USER) for found in rejections)
    if spoilt > UNPLAYED * drafts and workflow.rollouts < MOST_ROLLOUTS:
        changes["rollouts"] = workflow.rollouts + 1
        reasons.append(
            f"{spoilt} of {drafts} drafts were lost because agent or user failed in all {workflow.rollouts} dialogues; "
            f"dialogues a task rise to {changes['rollouts']}"
        )
    return workflow.model_copy(update=changes) if changes else workflow
