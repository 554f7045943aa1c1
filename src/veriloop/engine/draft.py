"""Drafting what a task asks for: writes that the clauses allow, with the user's own steps, or writes they forbid."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from veriloop.core.message import ToolCall
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.domain import Domain
from veriloop.domains.remedy import find_remedies
from veriloop.domains.session import Session
from veriloop.domains.task import SeatCall
from veriloop.domains.tool import Tool
from veriloop.domains.walk import Walk, draft_arguments, pooled_values

DRAFTS_PER_TOOL = 24


@dataclass(frozen=True, slots=True)
class Draft:
    """One request: the write it is about, user steps that must come first, and the clause that forbids it if any.

    declined: names of the user's tools that would lift that and that they are not able to use.
    """

    tool: Tool
    arguments: dict[str, Any]
    user_steps: tuple[ToolCall, ...] = ()
    denied_by: str | None = None
    declined: tuple[str, ...] = ()


def draft_write(
    domain: Domain, session: Session, walk: Walk, tool: Tool, rng: random.Random, *, allowed: bool
) -> Iterator[Draft]:
    """Yield drafts of one tool that the policy allows, or forbids by exactly one clause."""
    seen: list[dict[str, Any]] = []
    judge = draft_change if allowed else draft_refusal
    for _ in range(DRAFTS_PER_TOOL):
        arguments = draft_arguments(tool, walk, session, rng)
        if arguments is None:
            return
        if arguments in seen:
            continue
        seen.append(arguments)
        call = ToolCall(id="draft", name=tool.name, arguments=arguments)
        if draft := judge(domain, session, walk, call, rng):
            yield draft


def draft_change(domain: Domain, session: Session, walk: Walk, call: ToolCall, rng: random.Random) -> Draft | None:
    """Return the draft of a call that the clauses allow, at once or after a step of the user's own."""
    steps: tuple[ToolCall, ...] = ()
    if find_denials(domain.clauses, Case(session.state, "agent", call, walk.history())):
        steps = tuple(islice(find_remedies(domain, session, walk, call, rng), 1))
        if not steps:
            return None
    trial = session.fork()
    for step in steps:
        trial.call("user", step)
    draft = Draft(domain.tools[call.name], call.arguments, user_steps=steps)
    return draft if _acts(trial, draft.tool, call) else None


def draft_refusal(domain: Domain, session: Session, walk: Walk, call: ToolCall, rng: random.Random) -> Draft | None:
    """Return the draft of a call that one clause forbids; a step by which the user could lift that is declined."""
    denials = find_denials(domain.clauses, Case(session.state, "agent", call, walk.history()))
    if len(denials) != 1:
        return None
    declined = tuple(step.name for step in find_remedies(domain, session, walk, call, rng))
    return Draft(domain.tools[call.name], call.arguments, denied_by=denials[0].clause, declined=declined)


def apply_draft(session: Session, draft: Draft) -> None:
    """Make a draft's calls on a session, unless a clause forbids them."""
    if draft.denied_by is None:
        for seat_call in draft_calls(draft):
            session.call(seat_call.seat, seat_call.call)


def draft_calls(draft: Draft) -> list[SeatCall]:
    """Return the calls of an allowed draft: the user's steps, then the write."""
    steps = [SeatCall(seat="user", call=step) for step in draft.user_steps]
    write = ToolCall(id="write", name=draft.tool.name, arguments=draft.arguments)
    return [*steps, SeatCall(seat="agent", call=write)]


def _acts(session: Session, tool: Tool, call: ToolCall) -> bool:
    result = session.call("agent", call)
    return not result.error and (bool(result.changes) or tool.is_handover)


def evidence_reads(domain: Domain, walk: Walk, draft: Draft, chain: list[int], told: frozenset[Any]) -> list[int]:
    """Return the chain with the reads added by which the clauses on a draft can be judged, as positions in the walk.

    Of the reads a clause names, those count whose arguments are the draft's own values or were read on the way.
    """
    near = {str(value) for _, value in pooled_values(draft.tool, draft.arguments)} | set(map(str, told))
    for position in chain:
        near |= _values_around(walk, position)
    made = {walk.reads[position].call.name for position in chain}
    about = [clause for clause in domain.clauses if draft.tool.name in clause.tools]
    # Of reads that show the same, one that is made anyway does.
    groups = [group for clause in about for group in clause.evidence]
    wanted = {name for group in groups for name in made & set(group) or group}
    extra = [
        position
        for position, read in enumerate(walk.reads)
        if position not in chain and read.call.name in wanted and {str(v) for v in read.call.arguments.values()} <= near
    ]
    return [*chain, *extra]


def _values_around(walk: Walk, position: int) -> set[str]:
    """Return the identifying values a read was called with or returned alone (a list of rows identifies none)."""
    read = walk.reads[position]
    returned: dict[str, list[str]] = {}
    for (kind, value), origins in walk.origins.items():
        if position in origins:
            returned.setdefault(kind, []).append(str(value))
    used = {str(value) for _, value in pooled_values(walk.domain.tools[read.call.name], read.call.arguments)}
    return used | {values[0] for values in returned.values() if len(values) == 1}
