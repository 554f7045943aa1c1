"""How good a plan set is, from its pilot: verified yield x diversity.

Tasks outside the difficulty band count as drafts that failed, so that their share is part of the yield. What drafts
cost is not weighed.
"""

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence

from veriloop.core.base import Frozen
from veriloop.engine.plan import PERSONAS, Reach, Weights
from veriloop.engine.stream import Item

DRAWS = 200
"""Resamplings of the bootstrap."""
_PERSONA_NAMES = {text: name for name, text in PERSONAS.items()}


class Fitness(Frozen):
    """The figure and its parts, each from 0 to 1. facets: evenness over tools, tiers, personas, clauses, user tools."""

    value: float
    verified_yield: float
    diversity: float
    facets: dict[str, float]


class Rise(Frozen):
    """By how much a candidate's fitness differs from the current one's; noise is the standard error of that."""

    value: float
    noise: float


def measure_fitness(reach: Reach, items: Sequence[Item]) -> Fitness:
    """Return the fitness of a pilot's items."""
    verified, facets = _measure_parts(reach, [_count(item) for item in items])
    diversity = sum(facets.values()) / len(facets) if facets else 0.0
    return Fitness(
        value=verified * diversity,
        verified_yield=verified,
        diversity=diversity,
        facets=facets,
    )


def measure_rise(reach: Reach, current: Sequence[Item], candidate: Sequence[Item], value: float) -> Rise:
    """Return a rise in fitness of `value` with its noise.

    Noise is the standard deviation of the rise over resampled orders (bootstrap). Both pilots made the same orders, so
    what was drawn for the one is drawn for the other: what a hard caller costs both of them is no noise.
    """
    before, after = [_count(item) for item in current], [_count(item) for item in candidate]
    if len(before) < 2 or len(before) != len(after):
        return Rise(value=value, noise=math.inf)
    rng, rises = random.Random(0), list[float]()
    for _ in range(DRAWS):
        drawn = rng.choices(range(len(before)), k=len(before))
        rises.append(_value(reach, [after[n] for n in drawn]) - _value(reach, [before[n] for n in drawn]))
    mean = sum(rises) / DRAWS
    return Rise(value=value, noise=(sum((rise - mean) ** 2 for rise in rises) / (DRAWS - 1)) ** 0.5)


def list_facets(item: Item) -> dict[str, tuple[str, ...]]:
    """Return what an accepted item adds to each facet of `Reach`; nothing for an empty one."""
    task = item.task
    if task is None:
        return {}
    return {
        "tools": task.tags.tools,
        "tiers": (task.tags.tier,),
        "personas": (_PERSONA_NAMES.get(task.user.persona, task.user.persona),),
        "clauses": tuple(sorted(set(task.refused))),
        "user_tools": tuple(sorted({step.call.name for step in task.gold if step.seat == "user"})),
    }


def measure_evenness(counts: Counter[str], wanted: Weights) -> float:
    """Return how near the counts come to the wanted shares: exp(-KL(found, wanted)), 1 when they agree, 0 for none.

    Where all are wanted alike this is the perplexity of what was found as a share of the number of names.
    """
    found = {name: counts[name] for name in wanted if counts[name]}
    total = sum(found.values())
    divergence = sum(count / total * math.log(count / total / wanted[name]) for name, count in found.items())
    return math.exp(-divergence) if found else 0.0


_Counted = tuple[int, bool, dict[str, tuple[str, ...]]]
"""Drafts made, whether one was accepted, and what it adds to each facet."""


def _count(item: Item) -> _Counted:
    return len(item.rejections) + item.accepted, item.accepted, list_facets(item)


def _value(reach: Reach, counted: Sequence[_Counted]) -> float:
    verified, facets = _measure_parts(reach, counted)
    return verified * sum(facets.values()) / len(facets) if facets else 0.0


def _measure_parts(reach: Reach, counted: Iterable[_Counted]) -> tuple[float, dict[str, float]]:
    """Return accepted tasks per draft and the evenness of what they are about, by facet."""
    drafts = accepted = 0
    counts = {facet: Counter[str]() for facet, names in reach if names}
    for made, good, facets in counted:
        drafts += made
        accepted += good
        for facet, names in facets.items():
            if facet in counts:
                counts[facet].update(names)
    shares = {facet: measure_evenness(found, getattr(reach, facet)) for facet, found in counts.items()}
    return (accepted / drafts if drafts else 0.0), shares
