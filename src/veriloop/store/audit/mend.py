"""Rows written anew without the faults that can be mended: calls in OpenAI's form, results behind their calls.

What a reader takes from the row stays as it is: text, thoughts, the order of what was said, other fields.
"""

import json
from collections.abc import Iterator
from typing import Any

from veriloop.store.audit.form import Form
from veriloop.store.audit.sample import Sample
from veriloop.store.chat import Row
from veriloop.store.file import parse_json
from veriloop.store.mark import FIELD


def mend_row(raw: Row, sample: Sample) -> Row:
    """Return a row without null arguments, calls in text or of the other seat, results out of place, and our field.

    The field vouches for the row as it was exported, which it no longer is. Of tasks the null arguments go.
    """
    rest = {key: value for key, value in raw.items() if key != FIELD}
    if sample.form.is_task:
        return _mend_task(rest)
    learned = [sample.messages[place] for place in sample.learned]
    messages = settle_messages(sample.messages)
    places = [place for place, message in enumerate(messages) if any(message is said for said in learned)]
    return _WRITERS[sample.form](rest, messages, places) if sample.form in _WRITERS else rest


def settle_messages(messages: list[Row]) -> list[Row]:
    """Return messages without the other seat's calls, each with an id of its own and its result right behind it."""
    return list(_order(_number(_leave_out(messages))))


def _leave_out(messages: list[Row]) -> Iterator[Row]:
    """Yield messages without calls by whoever is not the assistant, their results, and what is left empty by that."""
    gone = set[str]()
    for message in messages:
        calls = message.get("tool_calls")
        if message["role"] == "tool":
            if message.get("tool_call_id") not in gone:
                yield message
        elif not calls or message["role"] == "assistant":
            gone -= {call["id"] for call in calls or ()}
            yield message
        else:
            gone |= {call["id"] for call in calls}
            if message["content"]:
                yield {key: value for key, value in message.items() if key != "tool_calls"}


def _number(messages: Iterator[Row]) -> list[Row]:
    """Return messages whose calls have ids of their own; of calls that share one the first gets the first result."""
    found = list(messages)
    ids = [call["id"] for message in found for call in message.get("tool_calls", ())]
    if len(set(ids)) == len(ids):
        return found
    fresh: dict[str, list[str]] = {}
    for count, call in enumerate(call for message in found for call in message.get("tool_calls", ())):
        fresh.setdefault(call["id"], []).append(f"call_{count}")
        call["id"] = f"call_{count}"
    for message in found:
        if waiting := fresh.get(message.get("tool_call_id", "")):
            message["tool_call_id"] = waiting.pop(0)
    return found


def _order(messages: list[Row]) -> Iterator[Row]:
    """Yield messages with every result right behind the message that calls for it; results of no call stay."""
    results: dict[str, list[Row]] = {}
    called = {call["id"] for message in messages for call in message.get("tool_calls", ())}
    for message in messages:
        if message.get("tool_call_id") in called:
            results.setdefault(message["tool_call_id"], []).append(message)
    for message in messages:
        if message.get("tool_call_id") in called:
            continue
        yield message
        for call in message.get("tool_calls", ()):
            yield from results.get(call["id"], ())[:1]


def _write_messages(rest: Row, messages: list[Row], places: list[int]) -> Row:
    loss = {"loss_on": places} if "loss_on" in rest else {}
    return {**rest, "messages": messages, **loss}


def _write_turn(rest: Row, messages: list[Row], places: list[int]) -> Row:
    start = places[0] if places else len(messages)
    return {**rest, "prompt": messages[:start], "completion": messages[start:]}


def _write_areal(rest: Row, messages: list[Row], _places: list[int]) -> Row:
    *before, last = messages
    answer = {
        "role": "assistant",
        "content": last["content"],
        "thinking": last.get("reasoning_content", ""),
        "tool_calls": last.get("tool_calls", []),
    }
    return {**rest, "messages": before, "answer": answer}


_WRITERS = {Form.MESSAGES: _write_messages, Form.TURNS: _write_turn, Form.AREAL_SFT: _write_areal}


def _mend_task(row: Row) -> Row:
    criteria, start = row.get("evaluation_criteria"), row.get("initial_state")
    if isinstance(criteria, str):
        text = json.dumps(_strip_lists(parse_json(criteria), "actions", "env_assertions"), ensure_ascii=False)
        row = {**row, "evaluation_criteria": text}
    elif criteria is not None:
        row = {**row, "evaluation_criteria": _strip_lists(criteria, "actions", "env_assertions")}
    return row if start is None else {**row, "initial_state": _strip_lists(start, "initialization_actions")}


def _strip_lists(value: Any, *names: str) -> Any:
    lists = {name: [_strip(call) for call in value[name]] for name in names if value.get(name)}
    return {**value, **lists}


def _strip(call: Row) -> Row:
    given = call.get("arguments")
    if not isinstance(given, dict):
        return call
    return {**call, "arguments": {key: value for key, value in given.items() if value is not None}}
