"""The meta-planner as a model: writes plans one after the other, each told of the earlier ones and kept apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from veriloop.core.base import Frozen, derive_seed
from veriloop.domains.domain import Domain
from veriloop.engine.plan import FACETS, PlanPair, Reach, Scope, SynthesisPlan, Weights, find_reach
from veriloop.engine.planner import count_focus, find_nearest, list_focus, pair_plans, weigh_focus, write_next_plan
from veriloop.engine.role.prompt import render_prompt
from veriloop.llm.chat import ChatRequest
from veriloop.llm.client import Client
from veriloop.llm.structured import REDRAWS, ShapeError, ask_shaped

LEAST = 0.05
"""A plan this near to an earlier one is no other plan."""


class PlanAnswer(Frozen):
    """A plan as a model writes it: what it is about, by names, and the same in words for whoever writes its tasks."""

    tools: tuple[str, ...] = Field(min_length=1, max_length=8)
    tiers: tuple[str, ...] = Field(max_length=2)
    personas: tuple[str, ...] = Field(min_length=1, max_length=4)
    clauses: tuple[str, ...] = Field(max_length=8)
    user_steps: float = Field(default=1.0, ge=0.25, le=4.0)
    guidelines: str = Field(min_length=1, max_length=1200)


class ModelPlanner:
    """Asks a model for plans. A plan that none of its answers gives is written by script instead, which is counted."""

    def __init__(self, client: Client, *, options: dict[str, Any] | None = None, prompts: Path | None = None) -> None:
        """Take the model's client. options: fields of every request. prompts: folder of edited prompts."""
        self._client, self._options, self._prompts = client, options or {}, prompts

    async def write_plans(
        self, domain: Domain, count: int, scope: Scope, seed: int
    ) -> tuple[tuple[PlanPair, ...], tuple[str, ...]]:
        """Return `count` plan pairs, and for each one that had to be written by script why."""
        reach, plans, notes = find_reach(domain, scope), list[SynthesisPlan](), list[str]()
        try:
            for number in range(count):
                try:
                    plans.append(await self.propose(domain, reach, plans, count, derive_seed("planner", seed, number)))
                except ShapeError as error:
                    plans.append(write_next_plan(reach, plans, count, seed))
                    notes.append(f"plan-{number} is written by script: {error}")
        finally:
            await self._client.close()
        return pair_plans(plans), tuple(notes)

    async def propose(
        self, domain: Domain, reach: Reach, earlier: Sequence[SynthesisPlan], count: int, seed: int, tries: int = 3
    ) -> SynthesisPlan:
        """Return the model's plan that comes after the earlier ones; raises ShapeError when no answer can be used."""
        prompt = self.write_prompt(domain, reach, earlier, count)
        request = ChatRequest([{"role": "user", "content": prompt}], seed=seed % 2**31, options=self._options)
        shaped = await ask_shaped(
            self._client,
            request,
            PlanAnswer,
            check=lambda answer: find_plan_problems(answer, reach, earlier),
            tries=tries,
            redraws=REDRAWS,
        )
        return _build_plan(shaped.value, reach)

    def write_prompt(self, domain: Domain, reach: Reach, earlier: Sequence[SynthesisPlan], count: int) -> str:
        """Return what the model is asked for the plan that comes after the earlier ones."""
        used = count_focus(earlier)
        return render_prompt(
            "planner",
            self._prompts,
            domain=domain.name,
            policy=domain.policy,
            number=len(earlier) + 1,
            count=count,
            reach={facet: {name: used[facet][name] for name in getattr(reach, facet)} for facet in FACETS},
            clauses=[clause for clause in domain.clauses if clause.id in reach.clauses],
            earlier=[(n, list_focus(plan), plan.guidelines) for n, plan in enumerate(earlier)],
        )


def find_plan_problems(answer: PlanAnswer, reach: Reach, earlier: Sequence[SynthesisPlan]) -> list[str]:
    """Return names that do not exist, or the earlier plan that this one repeats."""
    problems = list[str]()
    for facet in FACETS:
        names: Weights = getattr(reach, facet)
        if unknown := [name for name in getattr(answer, facet) if name not in names]:
            problems.append(f"{facet}: there is no {', '.join(unknown)}; choose from {', '.join(names)}")
    if not problems and earlier:
        distance, number = find_nearest(_build_plan(answer, reach), earlier)
        if distance < LEAST:
            problems.append(f"this is plan-{number} again (distance {distance:.3f}); write one about something else")
    return problems


def _build_plan(answer: PlanAnswer, reach: Reach) -> SynthesisPlan:
    focus = {facet: getattr(answer, facet) for facet in FACETS}
    return SynthesisPlan(**weigh_focus(reach, focus), user_steps=answer.user_steps, guidelines=answer.guidelines)
