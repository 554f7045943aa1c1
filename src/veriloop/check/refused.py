"""How what a task refuses is named: the verbs for it, and the values that nothing else of the task is about."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from veriloop.check.body.refusal import spell_out
from veriloop.core.message import ToolCall
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task

_LIGHT = {"have", "get", "let", "be", "ask", "make", "put", "keep", "want", "pick", "go", "speak", "take", "do", "give"}
_LIGHT |= {"use", "leave", "collect"}
"""Verbs that begin what people ask for and say nothing of it."""
_IRREGULAR = {"send": "sent", "make": "made", "take": "taken", "give": "given", "pay": "paid", "buy": "bought"}
_IRREGULAR |= {"put": "put", "set": "set", "cancel": "cancelled", "get": "got", "bring": "brought", "hold": "held"}
_SHORT = re.compile(r"^[^aeiou]+[aeiou][^aeiouwxy]$")
"""Verbs like stop and swap, whose last letter is doubled."""
_SHORTEST = 3
"""Characters of a value at least: a shorter one stands in any sentence."""


def refused_calls(task: Task) -> Sequence[ToolCall]:
    """Return the calls that the caller wants and must not get: the last of those wanted."""
    return task.wanted[len(task.wanted) - len(task.refused) :] if task.refused else ()


def name_acts(domain: Domain, task: Task) -> list[tuple[str, str]]:
    """Return the verbs for what is refused and for nothing that is done, each with its past participle."""
    refused = _verbs(domain, {call.name for call in refused_calls(task)})
    done = _verbs(domain, {step.call.name for step in task.gold if domain.tools[step.call.name].kind != "read"})
    return [(verb, put_in_past(verb)) for verb in refused if verb not in done]


def _verbs(domain: Domain, names: set[str]) -> list[str]:
    said = [text for name in sorted(names) for text in (name.replace("_", " "), *domain.tools[name].topics)]
    first = [text.split()[0].lower() for text in said if text.split()]
    return [verb for place, verb in enumerate(first) if verb not in _LIGHT and verb not in first[:place]]


def put_in_past(verb: str) -> str:
    """Return the past participle of an English verb."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return f"{verb[:-1]}ied"
    if verb.endswith("e"):
        return f"{verb}d"
    return f"{verb}{verb[-1]}ed" if _SHORT.match(verb) else f"{verb}ed"


def find_own_values(task: Task) -> list[str]:
    """Return the values of refused calls that nothing which is done has, and that do not only say who calls."""
    known = {str(fact.value) for fact in task.user.identity}
    done = [step.call for step in task.gold if step.seat == "agent" and _acts_on(task, step.call)]
    shared = known | {value for call in done for value in _flatten(call.arguments)}
    wanted = [value for call in refused_calls(task) for value in _flatten(call.arguments) if value not in shared]
    spelled = [" ".join(spell_out(value.lower())) for value in wanted]
    return sorted({value for value in spelled if len(value) >= _SHORTEST})


def _acts_on(task: Task, call: ToolCall) -> bool:
    return any((call.name, call.arguments) == (wanted.name, wanted.arguments) for wanted in task.wanted)


def _flatten(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flatten(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
