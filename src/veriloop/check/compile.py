"""Compiles a task into its checker: plain Python that a person can read and that runs alone."""

import pprint
import textwrap
from collections.abc import Sequence
from typing import Any

from veriloop.check.body import read_part
from veriloop.check.body.state import differences, same_set
from veriloop.check.refused import find_own_values, name_acts
from veriloop.core.message import Change, ToolCall
from veriloop.domains.clause import Clause
from veriloop.domains.defect import keep_bound
from veriloop.domains.domain import Domain, find_unordered
from veriloop.domains.task import Task

_HEADER = '''"""Checks one dialogue: {title}

check(changes, calls, messages) -> {{"passed": bool, "reason": str}}
  changes:  rows that differ at the end, {{"table", "key", "before", "after"}}
  calls:    calls made, in order, {{"seat", "name", "arguments", "error"}}
  messages: what was said aloud, in order, {{"seat", "content", "calls"}} with the number of calls made before it
"""

# What must have changed, as fields of a row by (table, key): all fields of a new row, None for a row taken away, of a
# nested field what differs in it. ALSO has other ends that are as right.
GOLD = {gold}
ALSO = {also}

# Lists whose order means nothing, as (table, field), and tables that may end as they like.
UNORDERED = {unordered}
FREE = {free}

# Values that the user must have been told.
TOLD = {told}

# What must have been called though it changes nothing, whatever it was told.
CALLS = {calls}

# What must have been read before such a call or a refusal, as (tool, arguments).
READS = {reads}
REFUSES = {refuses}
{named}

'''

_NAMED = """
# What is refused, as it is named in no other matter of the dialogue: verbs with their participles, and values.
ACTS = {acts}
OWN = {own}
"""

_CHECK = '''

def check(changes, calls, messages):
    """Judge one dialogue."""
    for problem in [{problems}]:
        if problem:
            return {{"passed": False, "reason": problem}}
    return {{"passed": True, "reason": "as expected"}}
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


def compile_checker(
    domain: Domain, task: Task, changes: Sequence[Change], others: Sequence[Sequence[Change]] = ()
) -> str:
    """Return the checker's source for a task whose gold leads to `changes` (net, from the database as opened).

    others: changes of other ends that are as right.
    """
    unordered = find_unordered(domain)
    gold = find_end(domain, task, changes)
    ends, known = [], [_sort_lists(domain, gold)]
    for other in others:
        end = find_end(domain, task, other)
        if _sort_lists(domain, end) not in known:
            known.append(_sort_lists(domain, end))
            ends.append(end)
    calls = sorted({step.call.name for step in task.gold if domain.tools[step.call.name].is_handover})
    reads = _drop_repeated([*evidence_calls(domain, task), *(opening_calls(domain, task) if calls else ())])
    touched = {table for table, _ in [*gold, *(place for end in ends for place in end)]}
    header = _HEADER.format(
        title=_describe(task),
        gold=_format(gold),
        also=_format(ends),
        unordered=_format([(name, field) for name in sorted(touched) for field in unordered.get(name, ())]),
        free=_format(list(task.free)),
        told=_format(list(task.told)),
        calls=_format(calls),
        reads=_format([(call.name, call.arguments) for call in reads]),
        refuses=bool(task.refused),
        named=_name_refused(domain, task) if task.refused else "",
    )
    return header + _join_parts(bool(task.refused), bool(task.told))


def _name_refused(domain: Domain, task: Task) -> str:
    return _NAMED.format(acts=_format(name_acts(domain, task)), own=_format(find_own_values(task)))


def _join_parts(refuses: bool, tells: bool) -> str:
    """Return the functions that a checker needs, with the one that calls them."""
    parts, problems = ["state", "calls"], ["check_state(changes)", "check_calls(calls)"]
    parts += ["speech"] if refuses or tells else []
    if refuses:
        parts += ["vocabulary", "refusal"]
        problems.append("check_refusal(calls, messages)")
    if tells:
        parts.append("told")
        problems.append("check_told(messages)")
    return "\n\n\n".join(map(read_part, parts)) + "\n" + _CHECK.format(problems=", ".join(problems))


def find_end(domain: Domain, task: Task, changes: Sequence[Change]) -> dict[tuple[str, str], Any]:
    """Return what changed, as fields by (table, key), but for tables that are free and lists only put in another order.

    All fields of a new row, None for a deleted one.
    """
    unordered = find_unordered(domain)
    found = {
        (change.table, change.key): changed_fields(change, unordered.get(change.table, ()))
        for change in keep_bound(changes, task.free)
    }
    return {place: fields for place, fields in found.items() if fields != {}}


def _sort_lists(domain: Domain, end: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    """Return an end with the lists sorted whose order means nothing."""
    unordered = find_unordered(domain)
    return {
        (table, key): fields
        and {name: sorted(v, key=repr) if name in unordered.get(table, ()) else v for name, v in fields.items()}
        for (table, key), fields in end.items()
    }


def render_file(source: str, right: Case, wrong: dict[str, Case]) -> str:
    """Return the standalone file: the checker with a right and several wrong dialogues to prove itself on."""
    return source + _SELF_CHECK.format(right=_format(right), wrong=_format(wrong))


def changed_fields(change: Change, unordered: Sequence[str] = ()) -> dict[str, Any] | None:
    """Return the fields of a row that differ, nested: all for a new row, None for a deleted one.

    unordered: names of lists whose order means nothing.
    """
    plain = change.model_dump(mode="json")
    before, after = plain["before"], plain["after"]
    if before and after:
        after = {
            name: before[name] if name in unordered and _is_reordered(before.get(name), value) else value
            for name, value in after.items()
        }
    return differences(change.table, before, after)


def _is_reordered(one: Any, other: Any) -> bool:
    return isinstance(one, list) and isinstance(other, list) and same_set(one, other)


def evidence_calls(domain: Domain, task: Task) -> list[ToolCall]:
    """Return the gold reads that show why the refused requests are refused, by the clauses they rest on."""
    found = []
    for clause in domain.clauses:
        if clause.id in task.refused:
            for tools in clause.evidence:
                found += _find_reads(task, clause, tools)
    return _drop_repeated(found)


def _find_reads(task: Task, clause: Clause, tools: Sequence[str]) -> list[ToolCall]:
    """Return the gold reads by some tools, those of what the refused request is about where there are such."""
    wanted = [call for call in task.wanted if call.name in clause.tools]
    reads = [step.call for step in task.gold if step.seat == "agent" and step.call.name in tools]
    return [read for read in reads if any(_shares_value(read, call) for call in wanted)] or reads


def _drop_repeated(calls: Sequence[ToolCall]) -> list[ToolCall]:
    made = [(call.name, call.arguments) for call in calls]
    return [call for place, call in enumerate(calls) if made[place] not in made[:place]]


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
