"""Calls and their results: tools that there are, arguments that they take, results right behind their calls."""

import json
import re
from collections.abc import Iterator
from typing import Any

from veriloop.core.base import canonical_json
from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.store.audit.form import Form
from veriloop.store.audit.memo import Memo
from veriloop.store.audit.sample import Sample
from veriloop.store.audit.tool import Toolbox, has_tools, read_toolbox, take_toolbox
from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Note, RowError


class Calls:
    """Checks the calls of samples; what concerns a list of tools is found out once."""

    def __init__(self) -> None:
        self._toolboxes, self._answers = Memo(), Memo()
        self._of_domains: dict[tuple[str, Seat], Toolbox] = {}

    def check(self, sample: Sample, note: Note) -> None:
        """Note calls of unknown tools or with arguments that they do not take, and tools told oddly or not at all.

        Raises RowError for tools that are none.
        """
        toolbox = self._find_toolbox(sample)
        if toolbox is None:
            _check_untold(sample, note)
            return
        for what in toolbox.odd:
            note(Fault.TOOL_DIALECT, what)
        for what in toolbox.twice:
            note(Fault.DUPLICATE_TOOL, what)
        other = {n for n, t in sample.domain.tools.items() if t.seat != sample.seat} if sample.domain else set[str]()
        for place, call in _list_calls(sample):
            name, text = call["function"]["name"], call["function"]["arguments"]
            if name not in toolbox.validators:
                if name not in other:
                    note(Fault.UNKNOWN_TOOL, f"message {place} calls {name!r}, which is none of the tools")
                continue
            problem = self._answers.ask(
                lambda _, toolbox=toolbox, name=name, text=text: toolbox.find_problem(name, json.loads(text)),
                f"{toolbox.key}\n{name}\n{text}",
            )
            if problem:
                note(Fault.BAD_ARGUMENTS, f"message {place} calls {name}: {problem}")

    def _find_toolbox(self, sample: Sample) -> Toolbox | None:
        given = sample.tools
        if not has_tools(given):
            return self._take_domain(sample.domain, sample.seat) if sample.domain else None
        found = self._toolboxes.ask(read_toolbox, given if isinstance(given, str) else canonical_json(given))
        if isinstance(found, str):
            raise RowError(Fault.BAD_TOOLS, found)
        return found

    def _take_domain(self, domain: Domain, seat: Seat) -> Toolbox:
        key = (domain.name, seat)
        if key not in self._of_domains:
            self._of_domains[key] = take_toolbox(domain, seat)
        return self._of_domains[key]


def _list_calls(sample: Sample) -> Iterator[tuple[int, Row]]:
    """Yield (place, call) of the assistant's calls."""
    for place, message in enumerate(sample.messages):
        if message["role"] == "assistant":
            yield from ((place, call) for call in message.get("tool_calls", ()))


def _check_untold(sample: Sample, note: Note) -> None:
    """Note calls of tools that the system text does not name either; results of tau2 have no place for tools."""
    if sample.form is Form.SIMULATION:
        return
    called = dict.fromkeys(call["function"]["name"] for _, call in _list_calls(sample))
    untold = [name for name in called if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sample.system)]
    if untold:
        how = "has no tools" if sample.tools is None else "has an empty list of tools"
        note(Fault.NO_TOOLS, f"the row {how} and calls {', '.join(untold)}")


def check_replies(sample: Sample, note: Note) -> None:
    """Note replies to learn that say and do nothing."""
    for place in sample.learned:
        message = sample.messages[place]
        if not message["content"].strip() and not message.get("tool_calls"):
            note(Fault.EMPTY_REPLY, f"message {place} is a reply to learn with neither text nor calls")


def check_order(sample: Sample, note: Note) -> None:
    """Note results that do not stand behind their call, and calls without a result, but for those at the end."""
    for place, what in find_disorder(sample.messages):
        note(Fault.TOOL_ORDER, f"message {place} {what}")


def find_disorder(messages: list[Row]) -> Iterator[tuple[int, str]]:
    """Yield (place, what is wrong) where calls and results do not follow on each other."""
    open_calls: list[str] = []
    caller = 0
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            given = message.get("tool_call_id", "")
            if given in open_calls:
                open_calls.remove(given)
            else:
                yield place, "is a result of no call right before it"
            continue
        if open_calls:
            yield caller, "has a call that no result follows"
        open_calls = [call["id"] for call in message.get("tool_calls", ())]
        caller = place
    if open_calls and caller != len(messages) - 1:
        yield caller, "has a call that no result follows"


def check_ids(raw: list[Any], note: Note) -> None:
    """Note calls without an id, or with that of another call of their message, in messages as they stood."""
    for place, what in find_bad_ids(raw):
        note(Fault.CALL_IDS, f"message {place} {what}")


def find_bad_ids(raw: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield (place, what is wrong) of messages whose calls cannot be told apart by their ids."""
    for place, message in enumerate(raw):
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        ids = [call.get("id") if isinstance(call, dict) else None for call in calls or ()]
        if any(not isinstance(given, str) or not given for given in ids):
            yield place, "has a call without an id"
        elif len(set(ids)) < len(ids):
            yield place, "has two calls of one id"
