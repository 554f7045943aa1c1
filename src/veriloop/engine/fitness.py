"""How good a plan set is, from its pilot: verified yield x diversity x share in the difficulty band - cost."""

import random
from collections.abc import Sequence

from veriloop.core.base import Frozen
from veriloop.domains.domain import Domain, agent_writes
from veriloop.engine.stream import Item


class Fitness(Frozen):
    """The figure and its parts, each from 0 to 1; noise is the bootstrap standard error of the figure over items."""

    value: float
    verified_yield: float
    diversity: float
    in_band: float
    cost: float
    noise: float


def measure_fitness(domain: Domain, items: Sequence[Item], *, in_band: float = 1.0, cost: float = 0.0) -> Fitness:
    """Return the fitness of a pilot's items. in_band: share of tasks whose solver pass rate is in the plan's band."""
    verified, diversity = _measure_parts(domain, items)
    return Fitness(
        value=verified * diversity * in_band - cost,
        verified_yield=verified,
        diversity=diversity,
        in_band=in_band,
        cost=cost,
        noise=_estimate_noise(domain, items, in_band),
    )


def _measure_parts(domain: Domain, items: Sequence[Item]) -> tuple[float, float]:
    """Return (accepted tasks per draft, share of write tools and refusing clauses that the accepted tasks cover)."""
    drafts = sum(len(item.rejections) + item.accepted for item in items)
    tasks = [item.task for item in items if item.task]
    if not drafts or not tasks:
        return 0.0, 0.0
    writes = {tool.name for tool in agent_writes(domain)}
    refusable = {clause.id for clause in domain.clauses if clause.about == "state"}
    tools = {name for task in tasks for name in task.tags.tools} & writes
    refused = {clause for task in tasks for clause in task.refused} & refusable
    return len(tasks) / drafts, (len(tools) / max(1, len(writes)) + len(refused) / max(1, len(refusable))) / 2


def _estimate_noise(domain: Domain, items: Sequence[Item], in_band: float, draws: int = 50) -> float:
    """Return the standard deviation of the figure over resampled items (the bootstrap, items with replacement)."""
    if len(items) < 2:
        return 0.0
    rng = random.Random(0)
    values = []
    for _ in range(draws):
        verified, diversity = _measure_parts(domain, rng.choices(items, k=len(items)))
        values.append(verified * diversity * in_band)
    mean = sum(values) / draws
    return (sum((value - mean) ** 2 for value in values) / (draws - 1)) ** 0.5
