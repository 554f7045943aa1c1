"""The scripted meta-planner: writes plan pairs one after the other, each kept apart from the earlier ones."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from veriloop.core.base import derive_seed
from veriloop.domains.domain import Domain
from veriloop.engine.plan import (
    FACETS,
    RUBRIC,
    TIERS,
    EvaluationPlan,
    PlanPair,
    Reach,
    Scope,
    SynthesisPlan,
    Weights,
    find_reach,
    share,
)

FOCUS = 4.0
"""Weight of what a plan is about, where everything else weighs 1."""
CANDIDATES = 12
"""Plans drafted for each place, of which the one farthest from the earlier plans is kept."""
SIZE = 3
"""Values of a facet that a plan is about, at least; few plans have to be about more each."""


def write_plans(domain: Domain, count: int = 2, scope: Scope | None = None, seed: int = 0) -> tuple[PlanPair, ...]:
    """Write `count` plan pairs in turn; together they are about everything that the domain offers within the scope.

    Each plan takes what the earlier ones were about least, and of several such drafts the one whose nearest earlier
    plan is farthest away.
    """
    reach = find_reach(domain, scope)
    plans: list[SynthesisPlan] = []
    for _ in range(count):
        plans.append(write_next_plan(reach, plans, count, seed))
    return pair_plans(plans)


def write_next_plan(reach: Reach, earlier: Sequence[SynthesisPlan], count: int, seed: int) -> SynthesisPlan:
    """Return the plan that comes after the earlier ones, of `count` in all."""
    used = count_focus(earlier)
    drafts = [
        _draft_plan(reach, used, count, len(earlier), random.Random(derive_seed("plan", seed, len(earlier), draft)))
        for draft in range(CANDIDATES)
    ]
    return max(drafts, key=lambda plan: find_nearest(plan, earlier)[0])


def pair_plans(plans: Sequence[SynthesisPlan]) -> tuple[PlanPair, ...]:
    """Return each plan with the usual evaluation plan, numbered."""
    rubric = EvaluationPlan(rubric=RUBRIC)
    return tuple(PlanPair(id=f"plan-{number}", synthesis=plan, evaluation=rubric) for number, plan in enumerate(plans))


def count_focus(plans: Sequence[SynthesisPlan]) -> dict[str, Counter[str]]:
    """Return by facet how many plans are about each name."""
    used = {facet: Counter[str]() for facet in FACETS}
    for plan in plans:
        for facet, names in list_focus(plan).items():
            used[facet].update(names)
    return used


def measure_distance(left: SynthesisPlan, right: SynthesisPlan) -> float:
    """Return the total variation distance of two plans' weights, 0 to 1, as the mean over the facets."""
    facets = [(getattr(left, name), getattr(right, name)) for name in FACETS]
    distances = [_vary(one, other) for one, other in facets if one or other]
    return sum(distances) / len(distances) if distances else 0.0


def find_closest(pairs: Sequence[PlanPair]) -> tuple[float, str, str] | None:
    """Return the smallest distance between two plans and their ids; None for fewer than two plans."""
    found = [
        (measure_distance(one.synthesis, other.synthesis), one.id, other.id) for one, other in combinations(pairs, 2)
    ]
    return min(found, default=None)


def list_focus(plan: SynthesisPlan) -> dict[str, list[str]]:
    """Return what a plan is about, by facet: the names that weigh more there than usual."""
    usual = {"tiers": TIERS}
    found = {}
    for facet in FACETS:
        weights: Weights = getattr(plan, facet)
        found[facet] = [name for name, weight in weights.items() if weight > usual.get(facet, {}).get(name, 1.0)]
    return found


def find_nearest(plan: SynthesisPlan, earlier: Sequence[SynthesisPlan]) -> tuple[float, int]:
    """Return the distance to the nearest of the earlier plans and its number; (0, -1) when there is none."""
    return min(((measure_distance(plan, other), number) for number, other in enumerate(earlier)), default=(0.0, -1))


def _vary(left: Weights, right: Weights) -> float:
    one, other = share(left), share(right)
    # In one order, since a sum of fractions depends on it, and so does which of two equally near plans is taken.
    return sum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in sorted(one.keys() | other.keys())) / 2


def _draft_plan(
    reach: Reach, used: dict[str, Counter[str]], count: int, number: int, rng: random.Random
) -> SynthesisPlan:
    tools = _pick_least_used(list(reach.tools), used["tools"], count, rng)
    clauses = _pick_least_used(list(reach.clauses), used["clauses"], count, rng)
    # Every other plan leans on changes, the rest on one of the other kinds, where there are plans enough for each of
    # these: fewer would make far too many refusals, or none to speak of.
    others = [tier for tier in reach.tiers if tier != "single"]
    leans = number % 2 and count >= 2 * len(others)
    firm = _pick_least_used(others, used["tiers"], len(others), rng, least=1) if leans else []
    personas = _pick_least_used(list(reach.personas), used["personas"], count, rng, least=2)
    return SynthesisPlan(
        **weigh_focus(reach, {"tools": tools, "tiers": firm, "personas": personas, "clauses": clauses}),
        user_steps=(1.0, 2.0)[number // 2 % 2],
        guidelines=_say(tools, clauses, firm, personas),
    )


def weigh_focus(reach: Reach, focus: Mapping[str, Sequence[str]]) -> dict[str, Weights]:
    """Return by facet the weights of a plan that is about the names in `focus`."""
    usual = {"tiers": TIERS}
    return {
        facet: {
            name: usual.get(facet, {}).get(name, 1.0) * (FOCUS if name in focus.get(facet, ()) else 1.0)
            for name in getattr(reach, facet)
        }
        for facet in FACETS
    }


def _pick_least_used(
    names: Sequence[str], used: Counter[str], count: int, rng: random.Random, *, least: int = SIZE
) -> list[str]:
    """Return the names used least so far, ties in random order: enough that `count` plans are about all of them."""
    size = max(least, -(-len(names) // max(1, count)))
    order = rng.sample(names, len(names))
    return sorted(order, key=lambda name: used[name])[:size]


def _say(tools: Sequence[str], clauses: Sequence[str], firm: Sequence[str], personas: Sequence[str]) -> str:
    lean = f"{firm[0]} tasks" if firm else "changes that the policy allows"
    about = f"Lean on {lean}, about {', '.join(sorted(tools))}."
    refusals = f" Let refusals rest on {', '.join(sorted(clauses))}." if clauses else ""
    return f"{about}{refusals} The user is mostly {' or '.join(sorted(personas))}."
