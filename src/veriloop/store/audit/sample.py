"""A row as the rules read it, whatever form it came in."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.store.areal_task import TaskRow, read_task_row
from veriloop.store.audit.form import Form
from veriloop.store.audit.tool import has_tools, name_tools
from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Note, RowError
from veriloop.store.mark import read_mark
from veriloop.store.message import MessageReader

Resolve = Callable[[str], Domain | None]
"""From the name that a row gives to the domain; None where nobody knows it. "" is a row that gives none."""

_MARKS = {"task": str, "database": str, "turns": int, "after": list}


@dataclass(slots=True)
class Sample:
    """A row.

    id: of the task, or of the dialogue; empty where the row has none. turn: its number in the dialogue. messages: the
    whole dialogue in OpenAI's form, system text first where there is one; stood: its messages as they stood. learned:
    places in `messages` of the replies to learn. tools: as the row has them. seat: whose view it is. about: the row's
    own words on itself.
    """

    form: Form
    row: int
    id: str = ""
    turn: int | None = None
    domain: Domain | None = None
    domain_name: str = ""
    seat: Seat = "agent"
    messages: list[Row] = field(default_factory=list)
    stood: list[Any] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    tools: Any = None
    about: Row = field(default_factory=dict)
    task: TaskRow | None = None
    turns: int = 0
    """Rows that the dialogue had when we exported it, 0 for rows of others."""

    @property
    def system(self) -> str:
        """The system text, empty where there is none."""
        first = self.messages[0] if self.messages else {}
        return first["content"] if first.get("role") == "system" else ""


@dataclass(frozen=True, slots=True)
class _Raw:
    """The parts of a dialogue's row before its messages are read. learned: None for every reply of the assistant's."""

    messages: Any
    learned: list[int] | None
    id: str
    about: Row
    tools: Any = None
    turn: Any = None


def read_sample(raw: Row, form: Form, file: Path, row: int, note: Note, resolve: Resolve, head: Row) -> Sample:
    """Return a row as a sample; what leaves it readable is noted. Raises RowError where it cannot be read.

    head: what a document of results has before its lists.
    """
    if form.is_task:
        return _read_task(raw, form, file, row, note, resolve)
    parts = _PARTS[form](raw)
    if not isinstance(parts.messages, list) or not parts.messages:
        raise RowError(Fault.BAD_ROW, "a row of a dialogue needs a list of messages")
    mark, own = _read_mark(raw, note) if form is Form.AREAL_SFT else ({}, False)
    name = _name_domain(raw, parts, mark, head)
    seat: Seat = "user" if "user" in (raw.get("seat"), mark.get("seat")) else "agent"
    domain = resolve(name)
    reader = MessageReader(
        note,
        own=own,
        foreign_tools=_foreign_tools(domain, seat),
        called=_list_ids(parts.messages),
        knows=lambda tool: tool in _name_own_tools(parts.tools, domain, seat),
    )
    messages = [reader.read(m, _name_place(n, parts)) for n, m in enumerate(parts.messages)]
    if form is Form.SIMULATION:
        messages = _add_policy(messages, head, domain)
    learned = parts.learned
    if learned is None:
        learned = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    if not learned or any(place >= len(messages) or messages[place]["role"] != "assistant" for place in learned):
        raise RowError(Fault.BAD_ROW, "the row has no reply of the assistant's to learn")
    return Sample(
        form=form,
        row=row,
        id=parts.id,
        turn=parts.turn if isinstance(parts.turn, int) else None,
        domain=domain,
        domain_name=domain.name if domain else name,
        seat=seat,
        messages=messages,
        stood=parts.messages,
        learned=learned,
        tools=parts.tools,
        about=parts.about,
        turns=mark.get("turns", 0),
    )


def _read_task(raw: Row, form: Form, file: Path, row: int, note: Note, resolve: Resolve) -> Sample:
    if form is Form.TASK:
        task = _read_own(raw)
        found = TaskRow(file.name, row, task.id, task, None, None, own=True)
    else:
        found = read_task_row(raw, file, row, note, packaged=form is Form.TAU2_TASK)
    domain = resolve(found.task.domain)
    return Sample(form, row, found.id, domain=domain, domain_name=found.task.domain, task=found, about=raw)


def _read_own(raw: Row) -> Task:
    try:
        return Task.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "top level"
        raise RowError(Fault.BAD_ROW, f"the task: {place}: {first['msg']}") from error


def _read_mark(raw: Row, note: Note) -> tuple[Row, bool]:
    """Return our field of a turn and whether the row is as we exported it, so that its calls are as they were meant."""
    changed: list[Fault] = []

    def watch(fault: Fault, what: str) -> None:
        changed.append(fault)
        note(fault, what)

    mark = read_mark(raw, dict(_MARKS), watch)
    return mark or {}, mark is not None and not changed


def _take_messages(raw: Row) -> _Raw:
    learned = raw.get("loss_on")
    places = learned if isinstance(learned, list) and all(isinstance(place, int) for place in learned) else None
    name = _join_id(raw.get("task_id"), raw.get("trial"), raw.get("seat")) or _first_id(raw)
    return _Raw(raw.get("messages"), places, name, raw, raw.get("tools"))


def _take_turn(raw: Row) -> _Raw:
    prompt, completion = raw.get("prompt"), raw.get("completion")
    if not isinstance(prompt, list) or not isinstance(completion, list) or not completion:
        raise RowError(Fault.BAD_ROW, "a row of a turn needs lists of messages `prompt` and `completion`")
    name = _join_id(raw.get("task_id"), raw.get("trial"), raw.get("seat")) or _first_id(raw)
    learned = [len(prompt) + place for place, said in enumerate(completion) if _role(said) == "assistant"]
    return _Raw([*prompt, *completion], learned, name, raw, raw.get("tools"), raw.get("turn"))


def _take_areal(raw: Row) -> _Raw:
    messages, answer, about = raw.get("messages"), raw.get("answer"), raw.get("metadata")
    if not isinstance(messages, list) or not isinstance(answer, dict):
        raise RowError(Fault.BAD_ROW, "a row of a dialogue needs a list `messages` and an object `answer`")
    about = about if isinstance(about, dict) else {}
    name = about.get("source_dialog_id")
    every = [*messages, {"role": "assistant", **answer}]
    name = name if isinstance(name, str) else ""
    return _Raw(every, [len(messages)], name, about, raw.get("tools"), about.get("turn_index"))


def _take_simulation(raw: Row) -> _Raw:
    """Return the agent's view: what the user calls and is answered stays with the user."""
    messages = raw.get("messages")
    seen = [_as_openai(m) for m in messages if _is_agents(m)] if isinstance(messages, list) else messages
    name = raw.get("id")
    return _Raw(seen, None, name if isinstance(name, str) else "", raw)


_PARTS: Mapping[Form, Callable[[Row], _Raw]] = {
    Form.MESSAGES: _take_messages,
    Form.TURNS: _take_turn,
    Form.AREAL_SFT: _take_areal,
    Form.SIMULATION: _take_simulation,
}


def _is_agents(message: Any) -> bool:
    if not isinstance(message, dict):
        return True
    calls = message.get("tool_calls")
    mine = message.get("requestor", "assistant") == "assistant"
    return mine if message.get("role") == "tool" else not (message.get("role") == "user" and calls)


def _as_openai(message: Any) -> Any:
    """Return a message of tau2's, whose calls are flat and whose results name their call in `id`, in OpenAI's form."""
    if not isinstance(message, dict):
        return message
    if message.get("role") == "tool":
        return {**message, "tool_call_id": message.get("id")}
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_wrap(call) for call in calls]}


def _wrap(call: Any) -> Any:
    if not isinstance(call, dict) or "function" in call:
        return call
    given = call.get("arguments")
    return {"id": call.get("id"), "function": {"name": call.get("name"), "arguments": json.dumps(given or {})}}


def _add_policy(messages: list[Row], head: Row, domain: Domain | None) -> list[Row]:
    told = _dig(head, "info", "environment_info", "policy")
    policy = told if isinstance(told, str) else domain.policy if domain else ""
    return [{"role": "system", "content": policy}, *messages] if policy else messages


def _name_domain(raw: Row, parts: _Raw, mark: Row, head: Row) -> str:
    """Return what the row calls its domain: a field, a part of its id, or what the results say."""
    told = _dig(head, "info", "environment_info", "domain_name")
    named = (mark.get("domain"), raw.get("domain"), parts.about.get("domain"), told)
    found = next((name for name in named if isinstance(name, str) and name), "")
    return found or (parts.id.partition("_dialog_")[0] if "_dialog_" in parts.id else "")


def _foreign_tools(domain: Domain | None, seat: Seat) -> frozenset[str]:
    return frozenset(name for name, tool in domain.tools.items() if tool.seat != seat) if domain else frozenset()


def _name_own_tools(given: Any, domain: Domain | None, seat: Seat) -> frozenset[str]:
    """Return the names of the tools that a seat has, by the row or else by its domain."""
    if has_tools(given) or domain is None:
        return name_tools(given)
    return frozenset(name for name, tool in domain.tools.items() if tool.seat == seat)


def _list_ids(messages: list[Any]) -> frozenset[str]:
    """Return the ids of all calls as they stand."""
    lists = [message.get("tool_calls") for message in messages if isinstance(message, dict)]
    calls = [call for calls in lists if isinstance(calls, list) for call in calls if isinstance(call, dict)]
    return frozenset(call["id"] for call in calls if isinstance(call.get("id"), str) and call["id"])


def _name_place(number: int, parts: _Raw) -> str:
    return "the answer" if parts.learned == [number] else f"message {number}"


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _join_id(*parts: Any) -> str:
    return "/".join(str(part) for part in parts) if isinstance(parts[0], str) and parts[0] else ""


def _first_id(raw: Row) -> str:
    """Return the id of a row of others; text and numbers are ids alike."""
    found = (raw.get(name) for name in ("id", "uuid", "dialogue_id", "conversation_id"))
    return next((str(name) for name in found if isinstance(name, str | int) and name != ""), "")


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
