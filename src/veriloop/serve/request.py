"""What a client of the chat API asks for, read into turns; what cannot be done as asked is refused by name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from veriloop.core.message import Seat, Turn
from veriloop.serve.dialogue import ChatMessage, Lenient, RequestError, read_dialogue, refuse_constant


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


class _ToolFunction(Lenient):
    name: str = Field(min_length=1)
    strict: bool | None = None


class _Tool(Lenient):
    type: Literal["function"]
    function: _ToolFunction


class _StreamOptions(Lenient):
    include_usage: bool | None = None


class _Body(Lenient):
    model: str
    messages: list[ChatMessage] = Field(min_length=1)
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
    system, turns = read_dialogue(body.messages, seat)
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
        raw = json.loads(data, parse_constant=refuse_constant)
        # Halves of surrogate pairs, which no tokenizer takes.
        json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(raw, dict):
        raise RequestError("the body is no JSON object")
    return raw


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
