"""The scripted reflector: rewrites plans and workflow from what a pilot rejected, blamed and never reached."""

from collections import Counter
from collections.abc import Sequence

from veriloop.core.base import Frozen
from veriloop.domains.domain import Domain
from veriloop.engine.plan import PlanPair, Workflow
from veriloop.engine.stream import Item

LOW_YIELD = 0.5
"""A tool or tier below this share of accepted drafts loses half of its weight."""
FLOOR = 0.25
"""No tool's weight falls below this, so that every tool stays covered."""
BOOST = 3.0
"""Weight of a clause that no refusal rested on yet, relative to the others."""


class Candidate(Frozen):
    """A rewritten plan set with the reasons, one line per change."""

    pairs: tuple[PlanPair, ...]
    workflow: Workflow
    reasons: tuple[str, ...]


def reflect(domain: Domain, pairs: Sequence[PlanPair], workflow: Workflow, items: Sequence[Item]) -> Candidate:
    """Return what the pilot's items say should change; each plan is rewritten from its own stream's items."""
    reasons: list[str] = []
    missed = _find_missed_clauses(domain, pairs, items)
    rewritten = []
    for pair in pairs:
        own = [item for item in items if item.plan.startswith(f"{pair.id}@")]
        rewritten.append(_rewrite_pair(pair, own, missed, reasons))
    return Candidate(
        pairs=tuple(rewritten), workflow=_rewrite_workflow(workflow, items, reasons), reasons=tuple(reasons)
    )


def _find_missed_clauses(domain: Domain, pairs: Sequence[PlanPair], items: Sequence[Item]) -> list[str]:
    """Return the clauses on the plans' tools that no refusal rested on."""
    met = {clause for item in items if item.task for clause in item.task.refused}
    tools = {name for pair in pairs for name in pair.synthesis.tools}
    ours = [clause for clause in domain.clauses if clause.about == "state" and not tools.isdisjoint(clause.tools)]
    return [clause.id for clause in ours if clause.id not in met]


def _rewrite_pair(pair: PlanPair, items: Sequence[Item], missed: list[str], reasons: list[str]) -> PlanPair:
    plan = pair.synthesis
    tools, tiers, clauses = dict(plan.tools), dict(plan.tiers), dict(plan.clauses)
    for name, share in _shares(items, "tools").items():
        if share < LOW_YIELD and name in tools and tools[name] > FLOOR:
            tools[name] = max(FLOOR, tools[name] / 2)
            reasons.append(f"{pair.id}: {name} has a yield of {share:.2f}, its weight falls to {tools[name]:g}")
    for name, share in _shares(items, "tier").items():
        if share < LOW_YIELD and tiers.get(name, 0) > FLOOR:
            tiers[name] = max(FLOOR, tiers[name] / 2)
            reasons.append(f"{pair.id}: tier {name} has a yield of {share:.2f}, its weight falls to {tiers[name]:g}")
    raised = [clause for clause in missed if clauses.get(clause, 1.0) < BOOST]
    if raised and "refusal" in tiers:
        clauses.update(dict.fromkeys(raised, BOOST))
        tiers["refusal"] += 1.0
        reasons.append(f"{pair.id}: no refusal rested on {', '.join(raised)}; they and refusals weigh more")
    changed = plan.model_copy(update={"tools": tools, "tiers": tiers, "clauses": clauses})
    if changed == plan:
        return pair
    return pair.model_copy(update={"version": pair.version + 1, "synthesis": changed})


def _shares(items: Sequence[Item], field: str) -> dict[str, float]:
    """Return the share of drafts accepted by tool or by tier, where at least two drafts were made."""
    accepted, rejected = Counter[str](), Counter[str]()
    for item in items:
        for rejection in item.rejections:
            rejected.update(rejection.tools if field == "tools" else [rejection.tier] if rejection.tier else [])
        if item.task:
            accepted.update(item.task.tags.tools if field == "tools" else [item.task.tags.tier])
    totals = accepted + rejected
    return {name: accepted[name] / total for name, total in sorted(totals.items()) if total >= 2}


def _rewrite_workflow(workflow: Workflow, items: Sequence[Item], reasons: list[str]) -> Workflow:
    """Give items more attempts while some end empty."""
    empty = sum(not item.accepted for item in items)
    if not empty:
        return workflow
    attempts = workflow.attempts + 4
    reasons.append(f"{empty} of {len(items)} items ended without a task; attempts rise to {attempts}")
    return workflow.model_copy(update={"attempts": attempts})
