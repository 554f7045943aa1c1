"""What a client of the chat API asks for, read into turns; what cannot be done as asked is refused by name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from veriloop.core.message import Seat, ToolCall, ToolResult, Turn


class RequestError(Exception):
    """A request that is not answered: an HTTP status, what is wrong, the field it is about, OpenAI's code for it."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


@dataclass(frozen=True, slots=True)
class Asked:
    """A reply that is wanted: the dialogue so far as turns of two seats, and how to draw what comes next.

    tools: OpenAI schemas; none where they may not be called. limit: tokens at most, None: as many as fit. usage:
    whether a stream ends with the count of tokens.
    """

    system: str
    turns: tuple[Turn, ...]
    tools: tuple[dict[str, Any], ...] = ()
    temperature: float = 1.0
    limit: int | None = None
    seed: int | None = None
    stream: bool = False
    usage: bool = False


NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "top_p": (1,),
    "top_k": (0, -1),
    "min_p": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "stop": ([],),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
    "parallel_tool_calls": (True,),
    "functions": ([],),
    "function_call": ("auto", "none"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
}
"""Fields that would change the answer and are not provided for -> the values that ask for nothing."""


class _Lenient(BaseModel):
    """Fields that nobody here knows are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Function(_Lenient):
    name: str
    arguments: str = "{}"


class _Call(_Lenient):
    id: str
    function: _Function


class _Message(_Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str | list[dict[str, Any]] | None, Field(union_mode="left_to_right")] = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _ToolFunction(_Lenient):
    name: str = Field(min_length=1)
    strict: bool | None = None


class _Tool(_Lenient):
    type: Literal["function"]
    function: _ToolFunction


class _StreamOptions(_Lenient):
    include_usage: bool | None = None


class _Body(_Lenient):
    model: str
    messages: list[_Message] = Field(min_length=1)
    tools: list[_Tool] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


def read_request(data: bytes, model: str, seat: Seat) -> Asked:
    """Return what a request's body asks of a model that speaks for `seat`; raises RequestError."""
    raw = _read_json(data)
    try:
        body = _Body.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RequestError(f"{where}: {first['msg']}", param=where) from None
    if body.model != model:
        raise RequestError(f"{body.model!r} is not served here; ask for {model!r}", status=404, code="model_not_found")
    _check_fields(raw, body.tools or [])
    system, turns = _read_dialogue(body.messages, seat)
    return Asked(
        system=system,
        turns=turns,
        # As they were sent: a template shows them to the model.
        tools=tuple(raw.get("tools") or ()) if raw.get("tool_choice") != "none" else (),
        temperature=1.0 if body.temperature is None else body.temperature,
        limit=body.max_completion_tokens or body.max_tokens,
        seed=body.seed,
        stream=bool(body.stream),
        usage=bool(body.stream_options and body.stream_options.include_usage),
    )


def _read_json(data: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(data, parse_constant=_refuse_constant)
        # Halves of surrogate pairs, which no tokenizer takes.
        json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(raw, dict):
        raise RequestError("the body is no JSON object")
    return raw


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _check_fields(raw: dict[str, Any], tools: Sequence[_Tool]) -> None:
    for name, neutral in NEUTRAL.items():
        value = raw.get(name)
        if value is not None and value not in neutral:
            allowed = "".join(f", or send {json.dumps(one)}" for one in neutral)
            raise RequestError(
                f"{name} = {json.dumps(value)[:80]} cannot be honoured; leave it out{allowed}", param=name
            )
    if any(tool.function.strict for tool in tools):
        raise RequestError("strict schemas cannot be honoured; send tools without strict", param="tools")


def _read_dialogue(messages: Sequence[_Message], seat: Seat) -> tuple[str, tuple[Turn, ...]]:
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


def _is_system(message: _Message) -> bool:
    return message.role in ("system", "developer")


def _read_text(message: _Message, place: int) -> str:
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
        arguments = json.loads(call.function.arguments or "{}", parse_constant=_refuse_constant)
        json.dumps(arguments, ensure_ascii=False).encode()
        return ToolCall(id=call.id, name=call.function.name, arguments=arguments)
    except (ValueError, RecursionError):
        said = f"messages.{place}.tool_calls: arguments are no JSON object in a string, or nest too deeply"
        raise RequestError(said, param="messages") from None


def _read_results(messages: Sequence[_Message], place: int, calls: Sequence[ToolCall]) -> tuple[ToolResult, ...]:
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
