"""The scripted reflector: rewrites plans and workflow so that what is made comes nearer to what is wanted.

It counts what a pilot made, rejected and blamed, and moves every weight by a power of (wanted share / found share) and
of (yield / mean yield): exponentiated gradient steps on the fitness, whose size is halved after each rollback.
"""

from collections import Counter
from collections.abc import Sequence

from veriloop.engine.evolution import Candidate, Evidence, scale
from veriloop.engine.fitness import list_facets
from veriloop.engine.plan import FACETS, Weights, Workflow, share
from veriloop.engine.stream import Item

LARGEST = 4.0
"""A weight changes by this factor at most in one round."""
NOTABLE = 1.25
"""Changes by less than this factor are made and not told."""
HOPELESS = 5.0
"""What was asked for more often than this in a pilot and never came does not exist, or nearly so."""
MOST_STEPS = 8.0
"""The weight of requests with a user's step is not raised beyond this: what is still missing then cannot be had."""


def reflect(evidence: Evidence) -> Candidate:
    """Return what a pilot's items say should change; after n rollbacks in a row with steps of half the n-th power."""
    items, step = evidence.items, 0.5**evidence.rollbacks
    reasons = list[str]()
    factors = {facet: _find_factors(evidence, facet, step, reasons) for facet in FACETS}
    steps = _find_user_steps(evidence, reasons)
    pairs = tuple(scale(pair, factors, steps) for pair in evidence.pairs)
    workflow = _rewrite_workflow(evidence.workflow, items, reasons)
    if pairs == evidence.pairs and workflow == evidence.workflow:
        return Candidate(pairs=pairs, workflow=workflow, reasons=())
    return Candidate(pairs=pairs, workflow=workflow, reasons=tuple(reasons) or ("many small changes of weights",))


def _find_factors(evidence: Evidence, facet: str, step: float, reasons: list[str]) -> Weights:
    """Return by what to multiply the weights of a facet's names, the reasons added."""
    wanted: Weights = getattr(evidence.reach, facet)
    made = Counter(name for item in evidence.items for name in list_facets(item).get(facet, ()))
    total = sum(made[name] for name in wanted)
    if not total:
        return {}
    asked, yields = _measure_asked(evidence, facet), _measure_yields(evidence.items, facet)
    factors: Weights = {}
    for name, part in wanted.items():
        # One more of each than was seen: what was not seen yet is rare, not impossible.
        found = (made[name] + 1) / (total + len(wanted))
        why = f"was {made[name]} of {total}, wanted {part * total:.0f}"
        factor = (part / found * yields.get(name, 1.0)) ** step
        if not made[name] and asked[name] * total > HOPELESS:
            factor, why = 1 / LARGEST, f"was asked for {asked[name] * total:.0f} times and never came"
        elif not made[name] and asked[name] < part / 2:
            factor = 1.0  # given up in an earlier round; to ask for it again would waste what it wasted then
        factors[name] = factor = min(LARGEST, max(1 / LARGEST, factor))
        if not 1 / NOTABLE < factor < NOTABLE:
            reasons.append(f"{facet}: {name} {why}; its weights change by {factor:.2f}")
    return factors


def _measure_asked(evidence: Evidence, facet: str) -> Weights:
    """Return the share of each name in what the plans in force ask for."""
    shares = [share(getattr(pair.synthesis, facet)) for pair in evidence.pairs]
    return {
        name: sum(found.get(name, 0.0) for found in shares) / len(shares) for name in getattr(evidence.reach, facet)
    }


def _measure_yields(items: Sequence[Item], facet: str) -> Weights:
    """Return each tool's or tier's accepted drafts per draft, relative to that of all; other facets have none."""
    if facet not in ("tools", "tiers"):
        return {}
    accepted, drafts = Counter[str](), Counter[str]()
    for item in items:
        for rejection in item.rejections:
            drafts.update(rejection.tools if facet == "tools" else [rejection.tier] if rejection.tier else [])
        names = list_facets(item).get(facet, ())
        accepted.update(names)
        drafts.update(names)
    mean = accepted.total() / max(1, drafts.total())
    # Drawn towards the mean by two drafts, so that one unlucky draft decides nothing.
    return {name: (accepted[name] + 2 * mean) / (count + 2) / mean for name, count in drafts.items()} if mean else {}


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
    """Give items more attempts while some end empty."""
    empty = sum(not item.accepted for item in items)
    if not empty:
        return workflow
    attempts = workflow.attempts + 4
    reasons.append(f"{empty} of {len(items)} items ended without a task; attempts rise to {attempts}")
    return workflow.model_copy(update={"attempts": attempts})
