"""What is sent to a chat endpoint and what is read from its answer, apart from how it travels."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from veriloop.core.errors import PlayerError
from veriloop.core.message import Usage


class AnswerError(ValueError):
    """An endpoint answered with something that is no chat completion; says what is wrong with it."""


class RefusedError(PlayerError):
    """The endpoint does not take this very request, whoever asks: a field it does not know, or one that is wrong."""


class ContextError(Exception):
    """The request is longer than the model's context: what the players said made it so, no repetition mends it."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request: OpenAI messages and tool schemas, and the seed of this very answer.

    options: further fields of the request body by name (temperature, max_tokens, ...), sent as they are. sample: which
    of several answers to the same words this is; never sent, but kept apart by a cache.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)
    seed: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    sample: int = 0


@dataclass(frozen=True, slots=True)
class RawCall:
    """A tool call as the endpoint spelled it; `arguments` should be the text of a JSON object."""

    id: str
    name: str
    arguments: JsonValue


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """One answer: text, reasoning that came in a field of its own, tool calls, why it ended, tokens spent.

    malformed: why the server could not read what the model wrote; `veriloop serve` says so.
    """

    content: str
    reasoning: str | None
    calls: tuple[RawCall, ...]
    finish: str | None
    usage: Usage
    malformed: str | None = None


class _Lenient(BaseModel):
    """Servers add fields of their own; those are ignored."""

    model_config = ConfigDict(extra="ignore")


class _Function(_Lenient):
    name: str | None = None
    arguments: JsonValue = None


class _Call(_Lenient):
    id: str | None = None
    function: _Function


class _Part(_Lenient):
    text: str | None = None


class _Message(_Lenient):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(_Lenient):
    message: _Message
    finish_reason: str | None = None
    malformed_output: str | None = None


class _Details(_Lenient):
    cached_tokens: int | None = None


class _Usage(_Lenient):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Completion(_Lenient):
    choices: list[_Choice]
    usage: _Usage | None = None


def read_answer(body: bytes) -> ChatAnswer:
    """Return the answer in a response body; raises AnswerError when it is no chat completion or holds no choice."""
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise AnswerError(f"no chat completion: {where}: {first['msg']}") from None
    if not completion.choices:
        raise AnswerError("no chat completion: choices is empty")
    choice = completion.choices[0]
    message = choice.message
    return ChatAnswer(
        content=_read_content(message),
        reasoning=message.reasoning_content or message.reasoning,
        calls=tuple(_read_call(call) for call in message.tool_calls or ()),
        finish=choice.finish_reason,
        usage=_read_usage(completion.usage),
        malformed=choice.malformed_output,
    )


def _read_content(message: _Message) -> str:
    if isinstance(message.content, list):
        return "".join(part.text or "" for part in message.content)
    return message.content or message.refusal or ""


def _read_call(call: _Call) -> RawCall:
    return RawCall(call.id or "", call.function.name or "", call.function.arguments)


def _read_usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(prompt=usage.prompt_tokens or 0, completion=usage.completion_tokens or 0, cached=cached or 0)
