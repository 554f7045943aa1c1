"""What a caller can do themselves, with their own tools, about a clause that forbids what they want."""

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from veriloop.core.message import ToolCall
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.domain import Domain
from veriloop.domains.session import Session
from veriloop.domains.tool import Tool
from veriloop.domains.walk import Walk, draft_arguments

TRIES = 6
"""Choices of arguments tried for each of the user's tools."""


def find_remedies(
    domain: Domain, session: Session, walk: Walk, call: ToolCall, rng: random.Random
) -> Iterator[ToolCall]:
    """Yield one step of each of the user's tools after which no clause forbids the call.

    A step whose arguments overlap with the call's goes first: photographing the parcel that the claim is about.
    """
    wanted = set(map(str, call.arguments.values()))

    def overlap(arguments: dict[str, Any]) -> int:
        return len(wanted & set(map(str, arguments.values())))

    def lifts(step: ToolCall) -> bool:
        trial = session.fork()
        if trial.call("user", step).error:
            return False
        return not find_denials(domain.clauses, Case(trial.state, "agent", call, walk.history()))

    for tool in domain.tools.values():
        if tool.seat != "user" or tool.kind != "write":
            continue
        drafts = sorted(_draft_steps(tool, walk, session, call, rng), key=overlap, reverse=True)
        steps = (ToolCall(id="step", name=tool.name, arguments=arguments) for arguments in drafts)
        yield from islice(filter(lifts, steps), 1)


def _draft_steps(tool: Tool, walk: Walk, session: Session, call: ToolCall, rng: random.Random) -> list[dict[str, Any]]:
    """Return different arguments for a user's step, with the call's own value wherever both share a parameter."""
    found: list[dict[str, Any]] = []
    for _ in range(TRIES):
        drafted = draft_arguments(tool, walk, session, rng)
        if drafted is not None:
            bound = {name: call.arguments.get(name, value) for name, value in drafted.items()}
            found += [] if bound in found else [bound]
    return found
