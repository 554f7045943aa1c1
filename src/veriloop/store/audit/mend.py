"""Rows written anew without the faults that can be mended, and what was changed for which fault.

Whatever no fault is about stays as it is: text, thoughts, the order of what was said, other fields, spellings.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from veriloop.core.base import canonical_json
from veriloop.store.audit.call import find_bad_ids
from veriloop.store.audit.form import Form
from veriloop.store.audit.sample import Sample
from veriloop.store.audit.settle import Placed, settle_places
from veriloop.store.audit.tool import has_tools, is_odd, respell_tool
from veriloop.store.chat import Row
from veriloop.store.fault import Fault
from veriloop.store.file import parse_json
from veriloop.store.mark import FIELD


@dataclass(frozen=True, slots=True)
class Change:
    """A part of a row that was written anew: the fault it was for, its path in the row, what stood there and stands."""

    fault: Fault
    place: str
    before: Any
    after: Any


def mend_row(raw: Row, sample: Sample) -> tuple[Row, list[Change]]:
    """Return a row without the faults that can be mended, and every change that this took.

    Our field vouches for the row as it was exported, so it goes with the first change.
    """
    changes: list[Change] = []
    if sample.form.is_task:
        fresh = _mend_task(raw, changes)
    elif sample.form in _WRITERS:
        fresh = _mend_tools(_Dialogue(raw, sample, changes).write(), changes)
    else:
        return raw, []
    if FIELD in raw:
        changes.append(Change(Fault.CHANGED, FIELD, raw[FIELD], None))
    return {key: value for key, value in fresh.items() if key != FIELD}, changes


class _Dialogue:
    """The messages of one row, as they stood and as they are settled."""

    def __init__(self, raw: Row, sample: Sample, changes: list[Change]) -> None:
        self._raw, self._sample, self._changes = raw, sample, changes
        self._settled = settle_places(sample.messages)
        self._ids_at_fault = any(True for _ in find_bad_ids(sample.stood))
        self._reasons: dict[str, Fault] = {}

    def write(self) -> Row:
        """Return the row with its messages written anew."""
        self._tell_gone()
        placed = [(place, self._write_message(place, message)) for place, message in self._settled]
        self._tell_moved()
        return _WRITERS[self._sample.form](self._raw, placed, self._sample.learned, self._changes)

    def _note(self, fault: Fault, place: str, before: Any, after: Any) -> None:
        self._changes.append(Change(fault, place, before, after))

    def _name(self, place: int) -> str:
        """Return the path of a message in its row."""
        if self._sample.form is Form.AREAL_SFT and place == len(self._sample.messages) - 1:
            return "answer"
        start = len(self._raw["prompt"]) if self._sample.form is Form.TURNS else 0
        if self._sample.form is Form.TURNS:
            return f"prompt[{place}]" if place < start else f"completion[{place - start}]"
        return f"messages[{place}]"

    def _tell_gone(self) -> None:
        kept = {place for place, _ in self._settled}
        foreign = set[str]()
        for place, message in enumerate(self._sample.messages):
            if message["role"] == "user":
                foreign |= {call["id"] for call in message.get("tool_calls", ())}
            if place not in kept:
                theirs = message["role"] == "user" or message.get("tool_call_id") in foreign
                fault = Fault.MIXED_SEATS if theirs else Fault.TOOL_ORDER
                self._note(fault, self._name(place), self._sample.stood[place], None)

    def _tell_moved(self) -> None:
        """Tell results that stand behind another message than before."""
        kept = sorted(place for place, _ in self._settled)
        before = dict(zip(kept[1:], kept[:-1], strict=True))
        order = [place for place, _ in self._settled]
        for at, (place, message) in enumerate(self._settled):
            stood, stands = before.get(place), order[at - 1] if at else None
            if message["role"] == "tool" and stood != stands:
                self._note(Fault.TOOL_ORDER, self._name(place), self._behind(stood), self._behind(stands))

    def _behind(self, place: int | None) -> str:
        return "at the beginning" if place is None else f"behind {self._name(place)}"

    def _write_message(self, place: int, message: Row) -> Row:
        stood: Row = self._sample.stood[place]
        path = self._name(place)
        if message["role"] == "tool":
            return self._write_result(stood, message, path)
        if message["role"] == "user" and self._sample.messages[place].get("tool_calls"):
            rest = {key: value for key, value in stood.items() if key not in ("tool_calls", "function_call")}
            fresh = {**rest, "content": message["content"]}
            self._note(Fault.MIXED_SEATS, path, stood, fresh)
            return fresh
        raw_calls, calls = _list_raw_calls(stood), message.get("tool_calls", [])
        old = "tool_calls" not in stood or stood["tool_calls"] is None
        written = [
            self._write_call(raw, call, f"{path}.function_call" if old else f"{path}.tool_calls[{number}]", old=old)
            for number, (raw, call) in enumerate(zip(raw_calls, calls, strict=False))
        ]
        lifted = calls[len(raw_calls) :]
        if lifted:
            self._reasons |= dict.fromkeys((call["id"] for call in lifted), Fault.CALL_IN_TEXT)
            after = {"content": message["content"], "tool_calls": lifted}
            self._note(Fault.CALL_IN_TEXT, path, stood.get("content"), after)
        if not lifted and written == raw_calls and "function_call" not in stood:
            return stood
        rest = {key: value for key, value in stood.items() if key != "function_call"}
        text = {"content": message["content"]} if lifted else {}
        return {**rest, **text, **({"tool_calls": [*written, *lifted]} if calls else {})}

    def _write_call(self, raw: Row, call: Row, path: str, *, old: bool) -> Row:
        """Return a call as it stood but for its faults. old: a message's `function_call`, which has no id."""
        function = raw.get("function", raw)
        given, mended = function.get("arguments"), call["function"]["arguments"]
        plain = _parse(given)
        if plain == json.loads(mended):
            mended = given if isinstance(given, str) else mended
        elif isinstance(plain, dict):
            self._note(Fault.NULL_ARGUMENTS, f"{path}.arguments", given, mended)
        fresh = {"id": call["id"], "type": "function", "function": {**call["function"], "arguments": mended}}
        if function is raw or not isinstance(given, str):
            self._note(Fault.DIALECT, path, raw, fresh)
        else:
            fresh = {**raw, "id": call["id"], "function": {**function, "arguments": mended}}
        if old:
            self._reasons[call["id"]] = Fault.DIALECT
        elif raw.get("id") != call["id"]:
            fault = Fault.CALL_IDS if self._ids_at_fault else Fault.TOOL_ORDER
            self._note(fault, f"{path}.id", raw.get("id"), call["id"])
            self._reasons[call["id"]] = fault
        return fresh

    def _write_result(self, stood: Row, message: Row, path: str) -> Row:
        before, after = stood.get("tool_call_id"), message.get("tool_call_id")
        if (before or None) == (after or None):
            return stood
        self._note(self._reasons.get(str(after), Fault.RESULT_IDS), f"{path}.tool_call_id", before, after)
        return {**stood, "tool_call_id": after}


def _list_raw_calls(message: Row) -> list[Row]:
    calls = message.get("tool_calls")
    single = message.get("function_call")
    return calls or ([single] if calls is None and single else [])


def _parse(arguments: Any) -> Any:
    return parse_json(arguments) if isinstance(arguments, str) else arguments or {}


def _write_messages(raw: Row, placed: list[Placed], learned: list[int], changes: list[Change]) -> Row:
    messages = [message for _, message in placed]
    if "loss_on" not in raw:
        return {**raw, "messages": messages}
    places = [at for at, (place, _) in enumerate(placed) if place in learned]
    moved = [change.fault for change in changes if change.fault in (Fault.TOOL_ORDER, Fault.MIXED_SEATS)]
    if not moved or places == raw["loss_on"]:
        return {**raw, "messages": messages}
    changes.append(Change(moved[0], "loss_on", raw["loss_on"], places))
    return {**raw, "messages": messages, "loss_on": places}


def _write_turn(raw: Row, placed: list[Placed], learned: list[int], _changes: list[Change]) -> Row:
    places = [at for at, (place, _) in enumerate(placed) if place in learned]
    messages = [message for _, message in placed]
    start = places[0] if places else len(messages)
    return {**raw, "prompt": messages[:start], "completion": messages[start:]}


def _write_areal(raw: Row, placed: list[Placed], learned: list[int], _changes: list[Change]) -> Row:
    [last] = [message for place, message in placed if place in learned]
    answer = {key: value for key, value in last.items() if key != "role" or "role" in raw["answer"]}
    return {**raw, "messages": [message for place, message in placed if place not in learned], "answer": answer}


_WRITERS = {Form.MESSAGES: _write_messages, Form.TURNS: _write_turn, Form.AREAL_SFT: _write_areal}


def _mend_tools(row: Row, changes: list[Change]) -> Row:
    """Return a row whose tools are in OpenAI's form, each once; two that differ are both kept."""
    given = row.get("tools")
    tools = parse_json(given) if isinstance(given, str) and has_tools(given) else given
    if not isinstance(tools, list):
        return row
    written: list[Row] = []
    seen = set[str]()
    before = len(changes)
    for number, tool in enumerate(tools):
        fresh = respell_tool(tool) if is_odd(tool) else tool
        key = canonical_json(fresh)
        if key in seen:
            changes.append(Change(Fault.DUPLICATE_TOOL, f"tools[{number}]", tool, None))
            continue
        if fresh is not tool:
            changes.append(Change(Fault.TOOL_DIALECT, f"tools[{number}]", tool, fresh))
        seen.add(key)
        written.append(fresh)
    if len(changes) == before:
        return row
    return {**row, "tools": json.dumps(written, ensure_ascii=False) if isinstance(given, str) else written}


def _mend_task(row: Row, changes: list[Change]) -> Row:
    criteria, start = row.get("evaluation_criteria"), row.get("initial_state")
    whole: Any = parse_json(criteria) if isinstance(criteria, str) else criteria
    if isinstance(whole, dict):
        count = len(changes)
        whole = {**whole, **dict(_strip_lists(whole, "evaluation_criteria", ("actions", "env_assertions"), changes))}
        if len(changes) > count:
            text = json.dumps(whole, ensure_ascii=False) if isinstance(criteria, str) else whole
            row = {**row, "evaluation_criteria": text}
    if isinstance(start, dict):
        row = {**row, "initial_state": {**start, **dict(
            _strip_lists(start, "initial_state", ("initialization_actions",), changes))}}  # fmt: skip
    return row


def _strip_lists(
    value: Row, path: str, names: tuple[str, ...], changes: list[Change]
) -> Iterator[tuple[str, list[Any]]]:
    """Yield (name, list) of a task's lists of calls, without arguments that are null."""
    for name in names:
        if isinstance(value.get(name), list):
            where = f"{path}.{name}"
            yield name, [_strip(call, f"{where}[{n}].arguments", changes) for n, call in enumerate(value[name])]


def _strip(call: Any, place: str, changes: list[Change]) -> Any:
    given = call.get("arguments") if isinstance(call, dict) else None
    if not isinstance(given, dict) or None not in given.values():
        return call
    kept = {key: value for key, value in given.items() if value is not None}
    changes.append(Change(Fault.NULL_ARGUMENTS, place, given, kept))
    return {**call, "arguments": kept}
