"""Making a request no more explicit than it must be: what nothing else could be meant by, the user leaves out."""

import random
from dataclasses import replace
from typing import Any

from veriloop.domains.domain import Caller, Domain
from veriloop.domains.session import Session
from veriloop.domains.task import Fact, Request
from veriloop.domains.tool import Tool
from veriloop.domains.walk import Walk, explore, pooled_values
from veriloop.engine.draft import Draft
from veriloop.proof.instruction import is_idle


def drop_implied(
    domain: Domain, caller: Caller, state: Session, draft: Draft, request: Request, rng: random.Random
) -> Request:
    """Return the request without the implied facts that are idle, tried in random order; others the agent can read.

    state: the session as the draft's write finds it; it is not changed. A fact whose value no read shows is kept.
    """
    tool = draft.tool
    if not any(tool.sources[fact.argument].implied for fact in request.facts):
        return request
    session = state.fork()
    for step in draft.user_steps:
        session.call("user", step)
    walk = _walk_alone(domain, caller, state, draft, rng)
    kept = list(request.facts)
    own = [value for step in draft.user_steps for value in step.arguments.values()]
    for fact in rng.sample(request.facts, len(request.facts)):
        # What the user acts on themselves they have to know.
        if fact.value in own:
            continue
        if _is_readable(tool, fact, draft.arguments, walk) and is_idle(
            tool, fact, kept, walk, session, draft.arguments
        ):
            kept.remove(fact)
    return request.model_copy(update={"facts": tuple(kept)})


def _walk_alone(domain: Domain, caller: Caller, state: Session, draft: Draft, rng: random.Random) -> Walk:
    """Explore from what the caller can say about this request: of other people's values only those that it names."""
    named = {value for _, value in pooled_values(draft.tool, draft.arguments)}
    heard = {kind: value for kind, value in caller.heard.items() if value in named}
    return explore(domain, state.fork(), replace(caller, heard=heard), rng)


def _is_readable(tool: Tool, fact: Fact, arguments: dict[str, Any], walk: Walk) -> bool:
    source = tool.sources[fact.argument]
    pairs = pooled_values(tool, {fact.argument: arguments[fact.argument]})
    return source.implied and all(walk.origins.get(pair) for pair in pairs)
