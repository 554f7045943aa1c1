"""SFT rows of AReaL's tau2 data, read: one assistant turn with all that was said before it."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Note, RowError, drop_nulls
from veriloop.store.file import parse_json
from veriloop.store.mark import read_mark

_ROLES = ("system", "user", "assistant", "tool")
_EMBEDDED = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn to learn: `messages` before it and the `answer`, as `export --to messages` has them.

    turn: its number as the row gives it. correct, passed: what a judge and the checker said, None where the row does
    not tell. task, database: ours in rows that we exported, else empty. after: what followed the dialogue's last turn.
    """

    file: str
    row: int
    dialogue: str
    turn: int | None
    messages: list[Row]
    answer: Row
    tools: str
    correct: bool | None
    passed: bool | None
    task: str = ""
    database: str = ""
    after: tuple[Row, ...] = ()

    @property
    def own(self) -> bool:
        """True for a row that we exported."""
        return bool(self.task)


def read_turn_row(raw: dict[str, Any], file: Path, number: int, note: Note, user_tools: Collection[str]) -> TurnRow:
    """Return the turn of an SFT row; raises RowError when it cannot be read as one.

    user_tools: names of the tools that only the user has, so that their calls can be told from the agent's.
    """
    messages, answer, about = raw.get("messages"), raw.get("answer"), raw.get("metadata")
    if not isinstance(messages, list) or not isinstance(answer, dict):
        raise RowError(Fault.BAD_ROW, "a row of a dialogue needs a list `messages` and an object `answer`")
    about = about if isinstance(about, dict) else {}
    mark = read_mark(raw, {"task": str, "database": str, "after": list}, note)
    reader = _Reader(note, own=mark is not None, user_tools=frozenset(user_tools))
    correct, passed = _read_flag(about.get("correct")), _read_flag(about.get("reward"))
    if None not in (correct, passed) and correct != passed:
        note(Fault.DISAGREEMENT, f"correct is {about['correct']} and reward is {about['reward']}")
    mark, turn, tools = mark or {}, about.get("turn_index"), raw.get("tools")
    read = TurnRow(
        file=file.name,
        row=number,
        dialogue=_read_dialogue(about.get("source_dialog_id"), number, note),
        turn=turn if isinstance(turn, int) else None,
        messages=[reader.read(message, f"message {place}") for place, message in enumerate(messages)],
        answer=reader.read({"role": "assistant", **answer}, "the answer"),
        tools=tools if isinstance(tools, str) else json.dumps(tools or []),
        correct=correct,
        passed=passed,
        task=mark.get("task", ""),
        database=mark.get("database", ""),
        after=tuple(reader.read(message, "what follows") for message in mark.get("after", ())),
    )
    reader.finish()
    return read


class _Reader:
    """Reads a row's messages into OpenAI's form and notes each kind of fault once."""

    def __init__(self, note: Note, *, own: bool, user_tools: frozenset[str]) -> None:
        self._note, self._own, self._user_tools = note, own, user_tools
        self._found: dict[Fault, list[str]] = {}
        self._calls = 0
        self._open: list[str] = []

    def read(self, raw: Any, where: str) -> Row:
        """Return one message with the fields that trainers know."""
        role = raw.get("role") if isinstance(raw, dict) else None
        content = raw.get("content") if isinstance(raw, dict) else None
        if role not in _ROLES or not (content is None or isinstance(content, str)):
            raise RowError(Fault.BAD_ROW, f"{where} is no message with a role and text")
        calls = [self._read_call(call, where) for call in _listed(raw.get("tool_calls"), where)]
        content = content or ""
        if role in ("user", "assistant") and not self._own and "<tool_call>" in content:
            content, embedded = self._lift(content, where)
            calls += embedded
        if not self._own:
            self._check_seat(role, calls, where)
        message: Row = {"role": role, "content": content}
        if thinking := raw.get("thinking") or raw.get("reasoning_content"):
            message["reasoning_content"] = str(thinking)
        if calls:
            message["tool_calls"] = calls
        if role == "tool":
            message |= self._name_call(raw.get("tool_call_id"))
        self._open += [call["id"] for call in calls]
        return message

    def finish(self) -> None:
        """Hand over what was found, one finding for each kind of fault."""
        for fault, found in self._found.items():
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            self._note(fault, found[0] + more)

    def _add(self, fault: Fault, what: str) -> None:
        self._found.setdefault(fault, []).append(what)

    def _lift(self, content: str, where: str) -> tuple[str, list[Row]]:
        calls = [self._read_call(_parse(text, where), where) for text in _EMBEDDED.findall(content)]
        if not calls:
            raise RowError(Fault.BAD_CALL, f"{where} has a <tool_call> that is not closed")
        self._add(Fault.CALL_IN_TEXT, f"{where} has {len(calls)} <tool_call> in its text")
        return _EMBEDDED.sub("", content).strip(), calls

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
            arguments = drop_nulls(arguments, f"{where}: {name}", self._add)
        elif isinstance(given, str):
            return _make_call(raw, name, given, self._calls)
        return _make_call(raw, name, json.dumps(arguments, ensure_ascii=False), self._calls)

    def _name_call(self, given: Any) -> Row:
        """Return which call a result answers: the one it names, else the first that has no result yet."""
        if isinstance(given, str) and given:
            if given in self._open:
                self._open.remove(given)
            return {"tool_call_id": given}
        return {"tool_call_id": self._open.pop(0)} if self._open else {}

    def _check_seat(self, role: str, calls: list[Row], where: str) -> None:
        names = [call["function"]["name"] for call in calls]
        foreign = names if role == "user" else [name for name in names if name in self._user_tools]
        if foreign:
            self._add(Fault.MIXED_SEATS, f"{where} is the user's call of {', '.join(foreign)}")


def _make_call(raw: Row, name: str, arguments: str, number: int) -> Row:
    given = raw.get("id")
    call_id = given if isinstance(given, str) and given else f"call_{number - 1}"
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _listed(calls: Any, where: str) -> list[Any]:
    if calls is None or isinstance(calls, list):
        return calls or []
    raise RowError(Fault.BAD_CALL, f"{where} has tool_calls that are no list")


def _parse(text: str, where: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise RowError(Fault.BAD_CALL, f"{where} has a tool call that is no JSON: {error}") from error


def _read_flag(value: Any) -> bool | None:
    return value == 1 if isinstance(value, bool | int | float) else None


def _read_dialogue(value: Any, number: int, note: Note) -> str:
    if isinstance(value, str) and value:
        return value
    note(Fault.NO_ID, "the row has no metadata.source_dialog_id")
    return f"row {number}"
