"""Putting a task together: what the user can say about their requests, and the task with all its parts."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from veriloop.core.message import ToolCall
from veriloop.domains.task import Fact, Initial, Provenance, Request, SeatCall, Tags, Task
from veriloop.domains.tool import Tool
from veriloop.engine.draft import Draft
from veriloop.engine.plan import PlanPair
from veriloop.engine.scenario import pick_topic, render_user
from veriloop.engine.setting import Order, Setting


@dataclass(frozen=True, slots=True)
class Outline:
    """What a task is to be.

    drafts: what each of `requests` amounts to, in the same order. persona: name of one. asides: see `UserScenario`.
    """

    tier: str
    persona: str
    identity: tuple[Fact, ...]
    requests: tuple[Request, ...]
    drafts: tuple[Draft, ...]
    gold: tuple[SeatCall, ...]
    asides: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    checker: str = ""


def assemble(setting: Setting, pair: PlanPair, order: Order, outline: Outline) -> Task:
    """Return the task of an outline."""
    domain, drafts = setting.domain, outline.drafts
    return Task(
        domain=domain.name,
        initial=Initial(database=setting.database),
        user=render_user(
            setting.caller.name, outline.persona, outline.identity, outline.requests, outline.asides, plain=order.plain
        ),
        gold=number_calls(_drop_repeated(outline.gold), "call"),
        told=outline.told,
        wanted=tuple(
            ToolCall(id=f"wanted_{position}", name=draft.tool.name, arguments=draft.arguments)
            for position, draft in enumerate(drafts)
        ),
        refused=tuple(draft.denied_by for draft in drafts if draft.denied_by),
        checker=outline.checker,
        tags=Tags(
            tools=tuple(sorted({draft.tool.name for draft in drafts})),
            clauses=tuple(sorted({c.id for c in domain.clauses for draft in drafts if draft.tool.name in c.tools})),
            no_write=not any(domain.tools[step.call.name].kind == "write" for step in outline.gold),
            tier=outline.tier,  # pyright: ignore[reportArgumentType]
        ),
        provenance=Provenance(plan=pair.name, seed=order.seed, item=order.item, caller=setting.caller.key),
    )


def write_fact(setting: Setting, kind: str, value: str) -> Fact:
    """Return what a caller can say of themselves."""
    source = setting.domain.kinds[kind]
    return Fact(
        label=source.label, text=source.wording(value, setting.walk.scope(setting.session)), value=value, kind=kind
    )


def write_request(setting: Setting, draft: Draft, rng: random.Random) -> Request:
    """Return a request in words, with every fact that a user has to tell for it."""
    facts = []
    for name, value in draft.arguments.items():
        source = draft.tool.sources[name]
        # Who calls is said once, when the agent asks; it is no part of the wish.
        if source.told and setting.caller.known.get(source.kind) != value:
            text = source.wording(value, setting.walk.scope(setting.session, draft.arguments))
            known = value if str(value) in text or source.say is None else None
            forms = source.list_forms(text)
            facts.append(Fact(label=source.label, text=text, value=known, kind=source.kind, argument=name, forms=forms))
    topic = _name_action(draft.tool, rng)
    declines = {name: _name_action(setting.domain.tools[name], rng) for name in draft.declined}
    return Request(topic=topic, facts=tuple(facts), declines=declines)


def _name_action(tool: Tool, rng: random.Random) -> str:
    return pick_topic(tool.topics, tool.description, rng)


def number_calls(steps: Iterable[SeatCall], name: str) -> tuple[SeatCall, ...]:
    """Return the steps with every call's id set to the name and its position."""
    return tuple(
        step.model_copy(update={"call": step.call.model_copy(update={"id": f"{name}_{position}"})})
        for position, step in enumerate(steps)
    )


def _drop_repeated(gold: Iterable[SeatCall]) -> Iterable[SeatCall]:
    kept: dict[str, SeatCall] = {}
    for step in gold:
        kept.setdefault(f"{step.seat} {step.call.name} {sorted(step.call.arguments.items())!r}", step)
    return kept.values()
