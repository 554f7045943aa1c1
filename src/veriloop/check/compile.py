"""Compiles a task into its checker: plain Python that a person can read and that runs alone."""

import pprint
import textwrap
from collections.abc import Sequence
from typing import Any

from veriloop.core.message import Change, ToolCall
from veriloop.domains.defect import keep_bound
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task

_HEADER = '''"""Checks one dialogue: {title}

check(changes, calls, messages) -> {{"passed": bool, "reason": str}}
  changes:  rows that differ at the end, {{"table", "key", "before", "after"}}
  calls:    calls made, in order, {{"seat", "name", "arguments", "error"}}
  messages: what was said aloud, in order, {{"seat", "content", "calls"}} with the number of calls made before it
"""

# What must have changed, as fields of a row by (table, key): all fields of a new row, None for a row taken away.
GOLD = {gold}

# Values that the user must have been told.
TOLD = {told}

# What must have been called though it changes nothing, whatever it was told.
CALLS = {calls}

# What must have been read before such a call or a refusal, as (tool, arguments).
READS = {reads}
REFUSES = {refuses}
'''

_FREE = """
# Tables that may end as they like.
FREE = {free}
"""

_BODY = '''
REFUSAL_WORDS = ["cannot", "can't", "can not", "unable", "not able", "not possible", "sorry", "unfortunately",
                 "not allowed", "won't", "will not", "may not", "isn't possible", "not permitted"]


def changed_fields(change):
    """Return the fields that differ, all of them for a new row, None for a row taken away."""
    before, after = change["before"], change["after"]
    if after is None:
        return None
    if before is None:
        return after
    return {name: value for name, value in after.items() if before.get(name) != value}


def plain(text):
    """Return the letters and digits of a text, so that spelling and punctuation do not matter."""
    return "".join([letter for letter in text.lower() if letter.isalnum()])


def check_state(changes):
    """Return what is wrong with the end state, or None: the gold changes and no others."""
    found = {(change["table"], change["key"]): changed_fields(change) for change in changes}
    for place, wanted in GOLD.items():
        if place not in found:
            return f"{place} was not changed"
        if found[place] != wanted:
            return f"{place} became {found[place]}, expected {wanted}"
    for place in found:
        if place not in GOLD:
            return f"{place} was changed though nobody asked for it"
    return None


def check_told(messages):
    """Return which value the user was not told, or None."""
    said = [plain(message["content"]) for message in messages if message["seat"] == "agent"]
    for value in TOLD:
        if not any([plain(value) in text for text in said]):
            return f"the user was not told {value}"
    return None


def count_needed(calls):
    """Return after how many calls everything in READS was read, None when something never was."""
    needed = 0
    for name, arguments in READS:
        made = [position for position, call in enumerate(calls)
                if call["name"] == name and call["arguments"] == arguments and not call["error"]]
        if not made:
            return None
        needed = max(needed, made[0] + 1)
    return needed


def check_calls(calls):
    """Return which call that changes nothing is missing or came too soon, or None."""
    needed = count_needed(calls)
    for wanted in CALLS:
        made = [position for position, call in enumerate(calls)
                if call["name"] == wanted and call["seat"] == "agent" and not call["error"]]
        if not made:
            return f"{wanted} was not called"
        if needed is None or made[0] < needed:
            return f"{wanted} was called before what it rests on was read"
    return None


def check_refusal(calls, messages):
    """Return what is missing for a refusal that rests on evidence, or None."""
    if not REFUSES:
        return None
    needed = count_needed(calls)
    if needed is None:
        return "what shows why was not read before refusing"
    for message in messages:
        if message["seat"] == "agent" and message["calls"] >= needed:
            if any([word in message["content"].lower() for word in REFUSAL_WORDS]):
                return None
    return "the request was not refused"


def check(changes, calls, messages):
    """Judge one dialogue."""
    problems = [check_state(changes), check_calls(calls), check_refusal(calls, messages), check_told(messages)]
    for problem in problems:
        if problem:
            return {"passed": False, "reason": problem}
    return {"passed": True, "reason": "as expected"}
'''

_SELF_CHECK = """

# A dialogue that is right, and ones that are not: this file proves itself when it is run.
RIGHT = {right}
WRONG = {wrong}

if __name__ == "__main__":
    verdict = check(*RIGHT)
    assert verdict["passed"], "the right dialogue fails: " + verdict["reason"]
    for name, case in WRONG.items():
        assert not check(*case)["passed"], "a wrong dialogue passes: " + name
    print("ok: 1 right,", len(WRONG), "wrong")
"""

Case = tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]
"""The three arguments of `check` as plain data."""


def compile_checker(domain: Domain, task: Task, changes: Sequence[Change]) -> str:
    """Return the checker's source for a task whose gold leads to `changes` (net, from the database as opened)."""
    gold = {(change.table, change.key): changed_fields(change) for change in keep_bound(changes, task.free)}
    calls = sorted({step.call.name for step in task.gold if domain.tools[step.call.name].is_handover})
    reads = [*evidence_calls(domain, task), *(opening_calls(domain, task) if calls else ())]
    return _HEADER.format(
        title=_describe(task),
        gold=_format(gold),
        told=_format(list(task.told)),
        calls=_format(calls),
        reads=_format([(call.name, call.arguments) for call in reads]),
        refuses=bool(task.refused),
    ) + (_FREE.format(free=_format(list(task.free))) + _body_with_free() if task.free else _BODY)


def _body_with_free() -> str:
    every, bound = "for change in changes}\n", 'for change in changes if change["table"] not in FREE}\n'
    return _BODY.replace(every, bound, 1)


def render_file(source: str, right: Case, wrong: dict[str, Case]) -> str:
    """Return the standalone file: the checker with a right and several wrong dialogues to prove itself on."""
    return source + _SELF_CHECK.format(right=_format(right), wrong=_format(wrong))


def changed_fields(change: Change) -> dict[str, Any] | None:
    """Return the fields of a row that differ: all for a new row, None for a deleted one."""
    if change.after is None or change.before is None:
        return change.after
    return {name: value for name, value in change.after.items() if change.before.get(name) != value}


def evidence_calls(domain: Domain, task: Task) -> list[ToolCall]:
    """Return the gold reads that show why the refused requests are refused, by the clauses they rest on."""
    found = []
    for clause in domain.clauses:
        if clause.id not in task.refused or not clause.reads:
            continue
        wanted = [call for call in task.wanted if call.name in clause.tools]
        reads = [step.call for step in task.gold if step.seat == "agent" and step.call.name in clause.reads]
        bound = [read for read in reads if any(_shares_value(read, call) for call in wanted)]
        found += bound or reads
    return found


def opening_calls(domain: Domain, task: Task) -> list[ToolCall]:
    """Return the gold reads of nothing but what the user says of themselves: by those the agent knows who calls."""
    said = {str(fact.value) for fact in task.user.identity}
    calls = [step.call for step in task.gold if step.seat == "agent" and domain.tools[step.call.name].kind == "read"]
    return [call for call in calls if call.arguments and said.issuperset(map(str, call.arguments.values()))]


def _shares_value(read: ToolCall, wanted: ToolCall) -> bool:
    return bool(set(map(str, read.arguments.values())) & set(map(str, wanted.arguments.values())))


def _describe(task: Task) -> str:
    about = ", ".join(call.name for call in task.wanted) or task.tags.combination or "gold actions"
    text = f"{task.domain}, {task.tags.tier}: {about}"
    refused = f" (refused by {', '.join(task.refused)})" if task.refused else ""
    return f"{text}{refused}."


def _format(value: Any) -> str:
    return textwrap.indent(pprint.pformat(value, width=110, sort_dicts=True), "    ").strip()
