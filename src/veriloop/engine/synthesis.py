"""The scripted task synthesiser: knows plans, walks and clauses, and no domain."""

import random
from collections.abc import Sequence
from itertools import islice

from veriloop.core.message import ToolCall
from veriloop.domains.domain import Domain
from veriloop.domains.session import Session
from veriloop.domains.task import Fact, Request, SeatCall, Task
from veriloop.domains.walk import grounds
from veriloop.engine.assembly import Outline, assemble, write_fact, write_request
from veriloop.engine.draft import Draft, apply_draft, draft_calls, draft_write, evidence_reads
from veriloop.engine.plan import REPAIR, PlanPair, SynthesisPlan, Weights, draw
from veriloop.engine.quirk import add_whim, give_manners
from veriloop.engine.repair import synthesise_repair
from veriloop.engine.request import drop_implied
from veriloop.engine.role.cast import DraftError
from veriloop.engine.setting import Order, Setting, enter_setting

SHAPES = {"single": (True,), "compound": (True, True), "refusal": (False,), "partial": (True, False)}
"""Tier -> for each request of the task whether it is allowed."""


REFUSALS = 8
"""Refusals drafted of one tool before one is picked by the plan's weights of the clauses."""
CALLERS = 6
"""Callers looked at for a case of the clause that a refusal is to rest on."""
CHANGES = 2
"""Changes drafted of one tool before one is picked by the plan's weight of the user's own steps."""


class ScriptedSynthesiser:
    """Drafts by script. It mends nothing: the next attempt draws other people and other things."""

    def start(self, domain: Domain, pair: PlanPair, order: Order) -> "_ScriptedDrafting":
        """Begin an attempt."""
        return _ScriptedDrafting(domain, pair, order)


class _ScriptedDrafting:
    def __init__(self, domain: Domain, pair: PlanPair, order: Order) -> None:
        self._work = domain, pair, order

    async def draft(self, problems: Sequence[str]) -> Task | None:
        if problems:
            return None
        task = synthesise(*self._work)
        if task is None:
            raise DraftError("nothing to draft for this caller")
        return task


def synthesise(domain: Domain, pair: PlanPair, order: Order) -> Task | None:
    """Return one task without a checker, or None when the drawn caller offers nothing of the drawn shape.

    The same order and plan give the same task.
    """
    plan, rng = pair.synthesis, order.roll("words")
    tier = draw(plan.tiers, order.roll("tier"))
    if tier == REPAIR:
        return synthesise_repair(domain, pair, order)
    persona = draw(plan.personas, order.roll("persona"))
    found = _find_requests(domain, plan, order, SHAPES[tier])
    if found is None:
        return None
    setting, drafts = found
    start, identity = _identify(setting, drafts, rng)
    if start is None:
        return None
    gold: list[SeatCall] = []
    requests: list[Request] = []
    session, quirks = setting.session.fork(), order.roll("quirks")
    for draft in drafts:
        request = drop_implied(domain, setting.caller, session, draft, write_request(setting, draft, rng), rng)
        if not order.plain:
            request = add_whim(domain, session, setting.walk, draft, request, quirks)
        scope = setting.walk.scope(session, draft.arguments)
        apply_draft(session, draft)
        told = frozenset(fact.value for fact in (*identity, *request.facts) if isinstance(fact.value, str | int))
        chain = setting.walk.chain(grounds(draft.tool, draft.arguments, scope), start, told)
        reads = evidence_reads(domain, setting.walk, draft, chain, told)
        gold += [SeatCall(seat="agent", call=setting.walk.reads[position].call) for position in reads]
        gold += draft_calls(draft) if draft.denied_by is None else []
        requests.append(request)
    (identity, wishes), asides = give_manners(setting, identity, requests, quirks, plain=order.plain)
    outline = Outline(tier, persona, identity, wishes, tuple(drafts), tuple(gold), asides)
    return assemble(setting, pair, order, outline)


def _find_requests(
    domain: Domain, plan: SynthesisPlan, order: Order, shape: tuple[bool, ...]
) -> tuple[Setting, list[Draft]] | None:
    """Return a caller and their requests, or None when the drawn callers offer nothing of the shape.

    A refusal is to rest on a clause drawn by the plan's weights. Few callers have a case of a rare one, so several are
    looked at; when none has, the first refusal of any clause is taken.
    """
    target = draw(plan.clauses, order.roll("clause")) if plan.clauses and not all(shape) else None
    first: tuple[Setting, list[Draft]] | None = None
    for number in range(CALLERS if target else 1):
        setting = enter_setting(domain, order, order.roll("caller", number))
        drafts = _draft_requests(setting, plan, shape, order.roll("requests", number), target)
        if drafts and (target is None or any(draft.denied_by == target for draft in drafts)):
            return setting, drafts
        if drafts and first is None:
            first = setting, drafts
    return first


def _draft_requests(
    setting: Setting, plan: SynthesisPlan, shape: tuple[bool, ...], rng: random.Random, target: str | None
) -> list[Draft] | None:
    """Return one draft per request, each on the state the earlier ones leave, about different things; None if stuck.

    What changes nothing may end the talk (a transfer), so it comes last or not at all.
    """
    session, drafts, tools = setting.session.fork(), list[Draft](), setting.domain.tools
    for left, allowed in zip(reversed(range(len(shape))), shape, strict=True):
        weights = dict(plan.tools) if allowed else _weigh_refusals(setting.domain, plan, target)
        asked = {draft.tool.name for draft in drafts}
        weights = {n: w for n, w in weights.items() if n not in asked and not (left and tools[n].is_handover)}
        draft = _draft_one(setting, session, plan, weights, rng, allowed, target)
        if draft is None:
            return None
        apply_draft(session, draft)
        drafts.append(draft)
    return drafts


def _draft_one(
    setting: Setting,
    session: Session,
    plan: SynthesisPlan,
    weights: Weights,
    rng: random.Random,
    allowed: bool,
    target: str | None,
) -> Draft | None:
    while weights:
        name = draw(weights, rng)
        del weights[name]
        domain = setting.domain
        drafts = draft_write(domain, session, setting.walk, domain.tools[name], rng, allowed=allowed)
        found = list(islice(drafts, CHANGES if allowed else REFUSALS))
        if wanted := [draft for draft in found if target and draft.denied_by == target]:
            return wanted[0]
        if found:
            return rng.choices(found, [_weigh_draft(plan, draft) for draft in found])[0]
    return None


def _weigh_refusals(domain: Domain, plan: SynthesisPlan, target: str | None) -> Weights:
    """Return the plan's weights of the tools that the wanted clause is about; of all where it is about none of them."""
    about = {tool for clause in domain.clauses if clause.id == target for tool in clause.tools}
    return {name: weight for name, weight in plan.tools.items() if name in about} or dict(plan.tools)


def _weigh_draft(plan: SynthesisPlan, draft: Draft) -> float:
    if draft.denied_by is not None:
        return plan.clauses.get(draft.denied_by, 1.0)
    return plan.user_steps if draft.user_steps else 1.0


def _identify(setting: Setting, drafts: list[Draft], rng: random.Random) -> tuple[int | None, tuple[Fact, ...]]:
    """Choose how the caller is identified: the opening read and the identity facts it and the user's steps need."""
    walk, known = setting.walk, setting.caller.known
    needed = {kind for draft in drafts for step in draft.user_steps for kind in _known_kinds(setting, step)}
    openings = [(position, walk.known_kinds(position) or frozenset()) for position in walk.opening_reads()]
    fitting = [opening for opening in openings if opening[1] <= needed] or openings
    if not fitting:
        return None, ()
    position, kinds = rng.choice(fitting)
    chosen = sorted(kinds | needed)
    return position, tuple(write_fact(setting, kind, known[kind]) for kind in chosen)


def _known_kinds(setting: Setting, step: ToolCall) -> set[str]:
    sources = setting.domain.tools[step.name].sources
    known = setting.caller.known
    return {source.kind for name, source in sources.items() if known.get(source.kind) == step.arguments.get(name)}
