"""A dialogue that a checker judges wrongly, in a line: what is called otherwise than it should, and how it ends."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from veriloop.check.compile import Case

T = TypeVar("T")
MARK = "; counter-example: "
"""Stands before the line in what a proof objects to."""
LONGEST = 700
"""Characters of the line."""
NOTHING = "nothing"


def tell_case(case: Case, right: Case | None = None) -> str:
    """Return what happens in a dialogue: how it differs from the right one, or all of it where there is none."""
    changes, calls, messages = case
    told = _tell_calls(calls) if right is None else _tell_difference(calls, right[1])
    if right is not None and (changes, calls) == (right[0], right[1]):
        told = f"{told}; {_tell_words(messages, right[2], len(calls))}"
    ends = "; ".join(_tell_change(change) for change in changes) or "nothing changed"
    line = f"{told}; it ends with {ends}"
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _tell_words(messages: Sequence[dict[str, Any]], right: Sequence[dict[str, Any]], calls: int) -> str:
    """Return the first that the agent says otherwise than in the right dialogue, and what it should say instead."""
    said, due = ([(m["content"], m["calls"]) for m in some if m["seat"] == "agent"] for some in (messages, right))
    added, missing = next(_subtract(said, due), None), next(_subtract(due, said), None)
    if added is None:
        return f"the agent does not say {_quote(missing[0])}" if missing else "the same is said"
    when = "" if added[1] == calls else f" after {added[1]} of {calls} calls"
    instead = f" and not {_quote(missing[0])}" if missing and missing[0] != added[0] else ""
    return f"the agent says {_quote(added[0])}{when}{instead}"


def _tell_calls(calls: Sequence[dict[str, Any]]) -> str:
    return f"it calls {', '.join(map(_tell_call, calls)) or NOTHING}"


def _tell_difference(calls: Sequence[dict[str, Any]], right: Sequence[dict[str, Any]]) -> str:
    """Return which calls are missing, which are too many, or that they are the same in another order."""
    made, due = list(map(_tell_call, calls)), list(map(_tell_call, right))
    missing, added = list(_subtract(due, made)), list(_subtract(made, due))
    parts = [f"without {', '.join(missing)}"] if missing else []
    parts += [f"with {', '.join(added)}"] if added else []
    if not parts:
        return "the right calls" if made == due else f"the right calls in another order: {', '.join(made)}"
    return f"the right calls {' and '.join(parts)}"


def _subtract(some: Sequence[T], others: Sequence[T]) -> Iterator[T]:
    left = list(others)
    for one in some:
        if one in left:
            left.remove(one)
        else:
            yield one


def _tell_call(call: dict[str, Any]) -> str:
    arguments = ", ".join(f"{name}={_quote(value)}" for name, value in call["arguments"].items())
    seat = "" if call["seat"] == "agent" else f"the {call['seat']}'s "
    return f"{seat}{call['name']}({arguments}){' (refused)' if call['error'] else ''}"


def _tell_change(change: dict[str, Any]) -> str:
    before, after, place = change["before"], change["after"], f"{change['table']} {change['key']}"
    if before is None or after is None:
        return f"{place} {'new' if before is None else 'gone'}"
    fields = [f"{name} {_quote(value)}" for name, value in after.items() if before.get(name) != value]
    return f"{place}: {', '.join(fields)}"


def _quote(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
