"""Rules about what was said that the package's policies share, as clauses ask them."""

import re

from veriloop.domains.clause import Case

_YES = re.compile(r"\b(yes|yeah|yep|sure|correct|go ahead|please do|proceed|that's right|ok|okay|confirm(ed)?)\b", re.I)


def deny_unconfirmed(case: Case) -> str | None:
    """Deny a change that the customer was not told of, or did not say yes to last."""
    spoken = [turn for turn in case.turns if turn.spoken]
    last = next((place for place in reversed(range(len(spoken))) if spoken[place].seat == "user"), None)
    if last is None or not _YES.search(spoken[last].spoken):
        return "the customer has not said yes"
    asked = any(turn.seat == "user" for turn in spoken[:last]) and spoken[last - 1].seat == "agent"
    return None if asked else "the customer was not told the details before saying yes"


def deny_parallel(case: Case) -> str | None:
    """Deny a call made in one message with another."""
    recorded = sum(not result.error for turn in case.turns for result in turn.results)
    return "another call was made in the same message" if len(case.calls) > recorded else None


def deny_early_transfer(case: Case) -> str | None:
    """Deny a transfer before the customer has said anything."""
    asked = any(turn.seat == "user" and turn.spoken for turn in case.turns)
    return None if asked else "the customer has not asked for anything yet"
