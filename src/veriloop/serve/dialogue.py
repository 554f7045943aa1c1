"""The messages of a request as turns of two seats."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from veriloop.core.message import Seat, ToolCall, ToolResult, Turn


class RequestError(Exception):
    """A request that is not answered: an HTTP status, what is wrong, the field it is about, OpenAI's code for it."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


class Lenient(BaseModel):
    """Fields that nobody here knows are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Function(Lenient):
    name: str
    arguments: str = "{}"


class _Call(Lenient):
    id: str
    function: _Function


class ChatMessage(Lenient):
    """One message of a request."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str | list[dict[str, Any]] | None, Field(union_mode="left_to_right")] = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


def read_dialogue(messages: Sequence[ChatMessage], seat: Seat) -> tuple[str, tuple[Turn, ...]]:
    """Return system text and turns: the assistant's are the seat's own, the user's those of the other seat."""
    other: Seat = "user" if seat == "agent" else "agent"
    count = next((place for place, message in enumerate(messages) if not _is_system(message)), len(messages))
    system = "\n\n".join(_read_text(message, place) for place, message in enumerate(messages[:count]))
    turns, place = list[Turn](), count
    while place < len(messages):
        message = messages[place]
        if message.role == "assistant":
            calls = tuple(_read_call(call, place) for call in message.tool_calls or ())
            results = _read_results(messages, place, calls)
            text = _read_text(message, place)
            turns.append(Turn(seat=seat, content=text, tool_calls=calls, results=results))
            place += len(results)
        elif message.role == "user":
            turns.append(Turn(seat=other, content=_read_text(message, place)))
        else:
            why = "it follows no call" if message.role == "tool" else "the system speaks first, and only then"
            raise RequestError(f"messages.{place}: {message.role!r} cannot stand here: {why}", param="messages")
        place += 1
    if not turns or (turns[-1].seat == seat and not turns[-1].results):
        raise RequestError(
            "the last message must be the user's or a tool's: there is nothing to reply to", param="messages"
        )
    return system, tuple(turns)


def _is_system(message: ChatMessage) -> bool:
    return message.role in ("system", "developer")


def _read_text(message: ChatMessage, place: int) -> str:
    if message.content is None and message.role != "assistant":
        raise RequestError(f"messages.{place}.content is missing", param="messages")
    if not isinstance(message.content, list):
        return message.content or ""
    for part in message.content:
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = str(part.get("type"))[:40]
            raise RequestError(f"messages.{place}.content: a part of type {kind!r} is not text", param="messages")
    return "".join(part["text"] for part in message.content)


def _read_call(call: _Call, place: int) -> ToolCall:
    try:
        arguments = json.loads(call.function.arguments or "{}", parse_constant=refuse_constant)
        json.dumps(arguments, ensure_ascii=False).encode()
        return ToolCall(id=call.id, name=call.function.name, arguments=arguments)
    except (ValueError, RecursionError):
        said = f"messages.{place}.tool_calls: arguments are no JSON object in a string, or nest too deeply"
        raise RequestError(said, param="messages") from None


def _read_results(messages: Sequence[ChatMessage], place: int, calls: Sequence[ToolCall]) -> tuple[ToolResult, ...]:
    """Return what the messages after an assistant's say its calls returned, in the order of the calls."""
    answers = messages[place + 1 : place + 1 + len(calls)]
    found = {
        answer.tool_call_id: _read_text(answer, place + 1 + number)
        for number, answer in enumerate(answers)
        if answer.role == "tool"
    }
    if found.keys() != {call.id for call in calls} or len(found) != len(calls):
        raise RequestError(
            f"messages.{place}.tool_calls: the next messages must answer each call once", param="messages"
        )
    return tuple(ToolResult(call_id=call.id, content=found[call.id]) for call in calls)


def refuse_constant(name: str) -> Any:
    """Refuse NaN and infinities, which Python reads and JSON does not know."""
    raise ValueError(f"{name} is no JSON")
