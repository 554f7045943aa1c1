"""What makes a caller harder to serve: identifiers they first get wrong, and wishes they change at the last moment.

The gold stays what it is, since the right value holds in the end; a quirk is only given where that is sure.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from veriloop.core.message import ToolCall, Turn
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.domain import Domain
from veriloop.domains.session import Session
from veriloop.domains.task import Fact, Request
from veriloop.domains.walk import Walk
from veriloop.engine.aside import draw_asides
from veriloop.engine.draft import Draft, draft_change
from veriloop.engine.setting import Setting
from veriloop.rollout.wording import PLAIN_FORMS

SLIPS, WHIMS = 0.12, 0.2
"""Share of the tasks in which an identifier is first told wrong, and of the changes first wished otherwise."""
OTHERS = 3
"""Other values looked at for one fact."""
_DIGITS = re.compile(r"\d{2,}")


Told = tuple[tuple[Fact, ...], tuple[Request, ...]]
"""What a caller says of themselves, and what they want."""


def give_manners(
    setting: Setting, identity: Sequence[Fact], requests: Sequence[Request], rng: random.Random, *, plain: bool
) -> tuple[Told, tuple[str, ...]]:
    """Return how a caller tells things, with a slip in a share of the cases, and what is true of them besides.

    plain: told in few ways, without slips, and nothing besides.
    """
    if plain:
        return _map_facts(identity, requests, _put_plainly), ()
    return _add_slip(setting, identity, requests, rng), draw_asides(rng)


def _map_facts(identity: Sequence[Fact], requests: Sequence[Request], change: Callable[[Fact], Fact]) -> Told:
    return tuple(map(change, identity)), tuple(
        request.model_copy(update={"facts": tuple(map(change, request.facts))}) for request in requests
    )


def _exchange(old: Fact, new: Fact) -> Callable[[Fact], Fact]:
    """Return what replaces every fact that is equal to `old`: two requests may be about one thing."""
    return lambda fact: new if fact == old else fact


def _put_plainly(fact: Fact) -> Fact:
    return fact.model_copy(update={"forms": PLAIN_FORMS})


def _add_slip(setting: Setting, identity: Sequence[Fact], requests: Sequence[Request], rng: random.Random) -> Told:
    """Return what a caller tells, in a share of the cases with a slip in one of the facts, wherever it is told.

    Only what a read looks things up by can be one: with the wrong value that read has to find nothing.
    """
    facts = [*identity, *(fact for request in requests for fact in request.facts if not fact.whim)]
    if rng.random() < SLIPS:
        for fact in rng.sample(facts, len(facts)):
            slip = _misspell(fact, rng)
            if slip and _finds_nothing(setting.walk, setting.session, fact, slip):
                return _map_facts(identity, requests, _exchange(fact, fact.model_copy(update={"slip": slip})))
    return tuple(identity), tuple(requests)


def _misspell(fact: Fact, rng: random.Random) -> str:
    """Return the fact's text with a digit of a number changed; nothing where there is none."""
    if str(fact.value) != fact.text or not (found := list(_DIGITS.finditer(fact.text))):
        return ""
    place = rng.randrange(found[-1].start() + 1, found[-1].end())
    digit = rng.choice([other for other in "0123456789" if other != fact.text[place]])
    return fact.text[:place] + digit + fact.text[place + 1 :]


def _finds_nothing(walk: Walk, session: Session, fact: Fact, slip: str) -> bool:
    """Return whether a read takes the fact, and all that do are refused with the slip in its place."""
    reads = [read.call for read in walk.reads if fact.value in read.call.arguments.values()]
    wrong = [
        call.model_copy(
            update={"arguments": {name: slip if v == fact.value else v for name, v in call.arguments.items()}}
        )
        for call in reads
    ]
    return bool(wrong) and all(session.fork().call("agent", call).error for call in wrong)


def add_whim(
    domain: Domain, session: Session, walk: Walk, draft: Draft, request: Request, rng: random.Random
) -> Request:
    """Return the request, in a share of the cases with a value that is wished until the agent asks to confirm it.

    session: the state that the draft's write finds. What is first wished has to be allowed as well, so that the agent
    comes to ask, and the policy has to demand that it asks.
    """
    if rng.random() >= WHIMS or draft.denied_by or draft.user_steps:
        return request
    # Who mistakes one order for another has slipped; what they want of it is what they may think about again.
    choices = [fact for fact in request.facts if not _is_looked_up(walk, draft.arguments[fact.argument])]
    for fact in rng.sample(choices, len(choices)):
        for arguments in _list_others(draft, walk, session, fact, rng):
            call = ToolCall(id="whim", name=draft.tool.name, arguments=arguments)
            text = draft.tool.sources[fact.argument].wording(arguments[fact.argument], walk.scope(session, arguments))
            apart = text.lower() not in fact.text.lower() and fact.text.lower() not in text.lower()
            if apart and _must_ask(domain, session, walk, call) and _is_allowed(domain, session, walk, call, rng):
                changed = fact.model_copy(update={"whim": text})
                facts = tuple(changed if other is fact else other for other in request.facts)
                return request.model_copy(update={"facts": facts})
    return request


def _is_looked_up(walk: Walk, value: Any) -> bool:
    """Return whether a read takes a value."""
    return any(value in read.call.arguments.values() for read in walk.reads)


def _list_others(
    draft: Draft, walk: Walk, session: Session, fact: Fact, rng: random.Random
) -> Iterator[dict[str, Any]]:
    """Yield the draft's arguments with another value for the fact's, where what is told besides still fits."""
    names = list(draft.arguments)
    before = {name: draft.arguments[name] for name in names[: names.index(fact.argument)]}
    candidates = draft.tool.sources[fact.argument].candidates(walk.scope(session, before))
    others = [value for value in candidates if value != draft.arguments[fact.argument]]
    for value in rng.sample(others, min(OTHERS, len(others))):
        arguments = {**before, fact.argument: value}
        if all(_take_over(draft, walk, session, arguments, name) for name in names[len(before) + 1 :]):
            yield arguments


def _take_over(draft: Draft, walk: Walk, session: Session, arguments: dict[str, Any], name: str) -> bool:
    """Add a later argument to the others, worked out anew where it is; return whether there is one that fits them."""
    source = draft.tool.sources.get(name)
    candidates = source.candidates(walk.scope(session, arguments)) if source else [draft.arguments[name]]
    worked_out = candidates[:1] if source and source.worked_out else []
    fitting = worked_out or [value for value in candidates if value == draft.arguments[name]]
    if fitting:
        arguments[name] = fitting[0]
    return bool(fitting)


def _is_allowed(domain: Domain, session: Session, walk: Walk, call: ToolCall, rng: random.Random) -> bool:
    draft = draft_change(domain, session, walk, call, rng)
    return draft is not None and not draft.user_steps


def _must_ask(domain: Domain, session: Session, walk: Walk, call: ToolCall) -> bool:
    """Return whether some clause denies a change that the user wished and did not confirm."""
    wish = (Turn(seat="agent", content="How can I help?"), Turn(seat="user", content="I have a wish."))
    return bool(find_denials(domain.clauses, Case(session.state, "agent", call, walk.history(), wish)))
