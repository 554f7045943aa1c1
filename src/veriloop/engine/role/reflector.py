"""The reflector as a model: reads what a pilot made, answers with edits of the plans' weights."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from veriloop.core.base import Frozen
from veriloop.domains.domain import Domain
from veriloop.engine.evolution import Candidate, Evidence, ProposalError, scale
from veriloop.engine.plan import FACETS, PlanPair, Weights
from veriloop.engine.role.prompt import render_prompt
from veriloop.engine.role.transcript import write_transcript
from veriloop.engine.tally import count_failures, count_pilot, generalise
from veriloop.llm.chat import ChatRequest
from veriloop.llm.client import Client
from veriloop.llm.structured import REDRAWS, ShapeError, ask_shaped

LOWEST, HIGHEST = 0.125, 8.0
"""Bounds of one edit's factor."""
FAILURES = 12
"""Kinds of failures that the model is shown, the most frequent ones."""
EXAMPLES, EXAMPLE_SIZE = 4, 2500
"""Failed dialogues that the model is shown, and how many characters of each at most, its end."""
LINES = 10
"""Lines of advice that a role reads at most; the oldest make room."""


class Edit(Frozen):
    """One change: multiply the weight of `name` in a facet of one plan, or of "all"."""

    plan: str
    facet: Literal["tools", "tiers", "personas", "clauses"]
    name: str
    factor: float = Field(ge=LOWEST, le=HIGHEST)
    reason: str = Field(min_length=1, max_length=400)


class Line(Frozen):
    """A line of advice to a role that a model plays."""

    role: str
    text: str = Field(min_length=1, max_length=300)
    reason: str = Field(min_length=1, max_length=400)


class Guideline(Frozen):
    """New words for what a plan's tasks are to be like, or for how they are to be judged; "all" for every plan."""

    plan: str
    part: Literal["synthesis", "evaluation"] = "synthesis"
    text: str = Field(min_length=1, max_length=1200)
    reason: str = Field(min_length=1, max_length=400)


class Proposal(Frozen):
    """A model's answer. attempts, repairs, rollouts: of the workflow; None leaves them."""

    edits: tuple[Edit, ...] = Field(max_length=60)
    advice: tuple[Line, ...] = Field(default=(), max_length=6)
    guidelines: tuple[Guideline, ...] = Field(default=(), max_length=16)
    attempts: int | None = Field(ge=1, le=32)
    repairs: int | None = Field(default=None, ge=0, le=8)
    rollouts: int | None = Field(default=None, ge=1, le=8)


class ModelReflector:
    """Asks a model for the next proposal; a `Search` as the scripted reflector is one."""

    def __init__(self, client: Client, domain: Domain, *, prompts: Path | None = None, tries: int = 3) -> None:
        """Take the model's client and the domain whose rules it is told. prompts: folder of edited prompts."""
        self._client, self._domain, self._prompts, self._tries = client, domain, prompts, tries

    def __call__(self, evidence: Evidence) -> Candidate:
        """Return the model's proposal; raises ProposalError when none of its answers can be used."""
        return asyncio.run(self._propose_alone(evidence))

    async def _propose_alone(self, evidence: Evidence) -> Candidate:
        try:
            return await self.propose(evidence)
        finally:
            await self._client.close()

    async def propose(self, evidence: Evidence, tries: int | None = None) -> Candidate:
        """Return the model's proposal, as a call does, from within an event loop."""
        messages = [{"role": "user", "content": self.write_prompt(evidence)}]
        request = ChatRequest(messages, seed=evidence.rng.randrange(2**31))
        try:
            shaped = await ask_shaped(
                self._client,
                request,
                Proposal,
                check=lambda found: find_problems(found, evidence),
                tries=tries or self._tries,
                redraws=REDRAWS,
            )
        except ShapeError as error:
            raise ProposalError(str(error)) from None
        return apply_proposal(shaped.value, evidence)

    def write_prompt(self, evidence: Evidence) -> str:
        """Return what the model is asked for the next proposal."""
        rows = count_pilot(evidence)
        named = {row.name for row in rows if row.facet == "clauses"}
        return render_prompt(
            "reflector",
            self._prompts,
            domain=self._domain.name,
            accepted=sum(item.accepted for item in evidence.items),
            drafts=sum(len(item.rejections) + item.accepted for item in evidence.items),
            lowest=LOWEST,
            highest=HIGHEST,
            rows=rows,
            failures=count_failures(evidence)[:FAILURES],
            clauses=[clause for clause in self._domain.clauses if clause.id in named],
            pairs=evidence.pairs,
            history=evidence.history,
            advice={role: evidence.workflow.advice.get(role, ()) for role in evidence.advisable},
            judges=evidence.judges,
            examples=_pick_examples(evidence),
            workflow=evidence.workflow,
        )


def _pick_examples(evidence: Evidence) -> list[tuple[str, str]]:
    """Return the blames of some failed dialogues with how they went, one for each evidence as far as it goes."""
    found: dict[str, tuple[str, str]] = {}
    for failure in (failure for item in evidence.items for failure in item.failures):
        if blame := failure.judgement.blame:
            told = f"{blame.fault.value}: {blame.evidence}"
            found.setdefault(generalise(told), (told, write_transcript(failure.trace)[-EXAMPLE_SIZE:]))
    return list(found.values())[:EXAMPLES]


def find_problems(proposal: Proposal, evidence: Evidence) -> list[str]:
    """Return what cannot be carried out of a proposal, each with what there is instead."""
    problems = list[str]()
    plans = ["all", *(pair.id for pair in evidence.pairs)]
    for number, edit in enumerate(proposal.edits):
        names: Weights = getattr(evidence.reach, edit.facet)
        if edit.name not in names:
            problems.append(f"edits.{number}.name: {edit.name!r} is none of the {edit.facet}: {', '.join(names)}")
        if edit.plan not in plans:
            problems.append(f"edits.{number}.plan: there is no {edit.plan!r}; name one of {', '.join(plans[:20])}")
    problems += [
        f"advice.{number}.role: {line.role!r} reads none; those who do: {', '.join(evidence.advisable) or 'nobody'}"
        for number, line in enumerate(proposal.advice)
        if line.role not in evidence.advisable
    ]
    problems += [
        f"guidelines.{number}.plan: there is no {change.plan!r}; name one of {', '.join(plans[:20])}"
        for number, change in enumerate(proposal.guidelines)
        if change.plan not in plans
    ]
    problems += [
        f"guidelines.{number}.part: nobody reads those of the evaluation, no model verifies"
        for number, change in enumerate(proposal.guidelines)
        if change.part == "evaluation" and not evidence.judges
    ]
    return problems


def apply_proposal(proposal: Proposal, evidence: Evidence) -> Candidate:
    """Return the plans with a proposal's edits; an empty one gives no reason."""
    pairs = tuple(_edit(pair, proposal.edits) for pair in evidence.pairs)
    reasons = [
        f"{edit.plan}: {edit.facet}: {edit.name} by {edit.factor:g}: {edit.reason}"
        for edit in proposal.edits
        if edit.factor != 1
    ]
    for change in proposal.guidelines:
        pairs = tuple(_reword(pair, change) for pair in pairs)
        reasons.append(f"{change.plan}: new guidelines of the {change.part}: {change.reason}")
    workflow = evidence.workflow
    for line in proposal.advice:
        told = (*workflow.advice.get(line.role, ()), line.text)[-LINES:]
        workflow = workflow.model_copy(update={"advice": {**workflow.advice, line.role: told}})
        reasons.append(f"advice to the {line.role}: {line.text}: {line.reason}")
    for name in ("attempts", "repairs", "rollouts"):
        before, after = getattr(workflow, name), getattr(proposal, name)
        if after not in (None, before):
            reasons.append(f"{name} change from {before} to {after}")
            workflow = workflow.model_copy(update={name: after})
    return Candidate(pairs=pairs, workflow=workflow, reasons=tuple(reasons))


def _reword(pair: PlanPair, change: Guideline) -> PlanPair:
    plan = getattr(pair, change.part)
    if change.plan not in ("all", pair.id) or change.text == plan.guidelines:
        return pair
    reworded = plan.model_copy(update={"guidelines": change.text})
    return pair.model_copy(update={"version": pair.version + 1, change.part: reworded})


def _edit(pair: PlanPair, edits: Sequence[Edit]) -> PlanPair:
    """Return the pair with the edits that are about it; of several about one weight the product counts."""
    factors: dict[str, Weights] = {facet: {} for facet in FACETS}
    for edit in edits:
        if edit.plan in ("all", pair.id):
            factors[edit.facet][edit.name] = factors[edit.facet].get(edit.name, 1.0) * edit.factor
    return scale(pair, factors)
