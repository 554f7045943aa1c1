"""Messages of anybody's rows, read into OpenAI's form: both dialects of tool calls, and what is wrong with them."""

import json
import re
from collections.abc import Collection
from typing import Any

from veriloop.store.chat import Row
from veriloop.store.embedded import Knows, cut_out, find_embedded
from veriloop.store.fault import Fault, Note, RowError, drop_nulls
from veriloop.store.file import parse_json

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
"""Roles as rows may have them -> as our rows have them."""
_EMBEDDED = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


class MessageReader:
    """Reads a row's messages, one after the other, into OpenAI's form.

    own: a row that we exported, whose calls are as they were meant. foreign_tools: what only the other seat has.
    called: the ids that calls of the row have; without it, a result may have any id. knows: tells the row's tools,
    whose calls are looked for in texts.
    """

    def __init__(
        self,
        note: Note,
        *,
        own: bool = False,
        foreign_tools: Collection[str] = (),
        called: Collection[str] | None = None,
        knows: Knows = lambda _name: False,
    ) -> None:
        self._note, self._own, self._foreign = note, own, frozenset(foreign_tools)
        self._called, self._knows = called, knows
        self._calls = 0
        self._open: list[str] = []
        self._last: list[str] = []

    def read(self, raw: Any, where: str) -> Row:
        """Return one message with the fields that trainers know."""
        role = raw.get("role") if isinstance(raw, dict) else None
        role = _ROLES.get(role) if isinstance(role, str) else None
        content = _read_text(raw.get("content")) if role else None
        if role is None or content is None:
            raise RowError(Fault.BAD_ROW, f"{where} is no message with a role and text")
        calls = [self._read_call(call, where) for call in _listed(raw, where)]
        if not self._own and role in ("user", "assistant"):
            content, embedded = self._lift(content, where, role)
            calls += embedded
        if not self._own:
            self._check_seat(role, calls, where)
        message: Row = {"role": role, "content": content}
        if thinking := raw.get("thinking") or raw.get("reasoning_content"):
            message["reasoning_content"] = str(thinking)
        if calls:
            message["tool_calls"] = calls
        if role == "tool":
            message |= self._name_call(raw.get("tool_call_id"), where)
        else:
            self._last = [call["id"] for call in calls]
            self._open += self._last
        return message

    def _lift(self, content: str, where: str, role: str) -> tuple[str, list[Row]]:
        """Return a text without the calls in it, and these."""
        calls: list[Row] = []
        if "<tool_call>" in content:
            found = [_parse(text, where) for text in _EMBEDDED.findall(content)]
            calls += [self._read_call(_spell(call), where) for call in found]
            if not calls:
                raise RowError(Fault.BAD_CALL, f"{where} has a <tool_call> that is not closed")
            self._note(Fault.CALL_IN_TEXT, f"{where} has {len(calls)} <tool_call> in its text")
            content = _EMBEDDED.sub("", content).strip()
        others = find_embedded(content, self._knows) if role == "assistant" else []
        for one in others:
            calls += [self._read_call(_spell({"name": n, "arguments": given}), where) for n, given in one.calls]
            names = ", ".join(name for name, _ in one.calls)
            self._note(Fault.CALL_IN_TEXT, f"{where} calls {names} in its text, as {one.dialect}")
        return cut_out(content, others) if others else content, calls

    def _read_call(self, raw: Any, where: str) -> Row:
        call = raw.get("function", raw) if isinstance(raw, dict) else None
        name = call.get("name") if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(name, str) or not name:
            raise RowError(Fault.BAD_CALL, f"{where} has a tool call without a name")
        given = call.get("arguments")
        arguments = _parse(given, where) if isinstance(given, str) else given or {}
        if not isinstance(arguments, dict):
            raise RowError(Fault.BAD_CALL, f"{where} calls {name} with arguments that are no object")
        self._calls += 1
        if not self._own:
            if call is raw or not isinstance(given, str):
                how = "flat" if call is raw else "with arguments as an object"
                self._note(Fault.DIALECT, f"{where} calls {name} {how}")
            arguments = drop_nulls(arguments, f"{where}: {name}", self._note)
        elif isinstance(given, str):
            return _make_call(raw, name, given, self._calls)
        return _make_call(raw, name, json.dumps(arguments, ensure_ascii=False), self._calls)

    def _name_call(self, given: Any, where: str) -> Row:
        """Return which call a result answers.

        It is the one that it names, else the first that has no result yet; where no call has the name, the only one
        right before it that has no result.
        """
        named = given if isinstance(given, str) else ""
        stray = bool(named) and self._called is not None and named not in self._called and named not in self._open
        waiting = [number for number in self._last if number in self._open]
        if named and not (stray and len(waiting) == 1):
            if stray:
                self._note(Fault.RESULT_IDS, f"{where} has the id {named!r}, which no call has")
            elif named in self._open:
                self._open.remove(named)
            return {"tool_call_id": named}
        if not self._open:
            return {}
        answered = waiting[0] if named else self._open[0]
        self._open.remove(answered)
        if self._called and answered in self._called:
            what = f"has the id {named!r}, which no call has" if named else "is a result without the id of its call"
            self._note(Fault.RESULT_IDS, f"{where} {what}")
        return {"tool_call_id": answered}

    def _check_seat(self, role: str, calls: list[Row], where: str) -> None:
        names = [call["function"]["name"] for call in calls]
        foreign = names if role == "user" else [name for name in names if name in self._foreign]
        if foreign:
            self._note(Fault.MIXED_SEATS, f"{where} is the other seat's call of {', '.join(foreign)}")


def _read_text(content: Any) -> str | None:
    """Return a message's text, which may come in parts; None where there is something else in it."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return None
    texts: list[Any] = [part.get("text") for part in content if isinstance(part, dict)]
    whole = len(texts) == len(content) and all(isinstance(text, str) for text in texts)
    return "".join(texts) if whole else None


def _make_call(raw: Row, name: str, arguments: str, number: int) -> Row:
    given = raw.get("id")
    call_id = given if isinstance(given, str) and given else f"call_{number - 1}"
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _spell(call: Any) -> Any:
    """Return a call from a text in OpenAI's form: it is flat by nature, which is no fault of its own."""
    if isinstance(call, dict) and "function" not in call:
        given = call.get("arguments")
        return {"function": {**call, "arguments": given if isinstance(given, str) else json.dumps(given or {})}}
    return call


def _listed(message: Row, where: str) -> list[Any]:
    calls, single = message.get("tool_calls"), message.get("function_call")
    if calls is None and single:
        return [single]
    if calls is None or isinstance(calls, list):
        return calls or []
    raise RowError(Fault.BAD_CALL, f"{where} has tool_calls that are no list")


def _parse(text: str, where: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise RowError(Fault.BAD_CALL, f"{where} has a tool call that is no JSON: {error}") from error
