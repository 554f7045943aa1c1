"""Answers as the chat API spells them: a completion, the chunks of a stream, an error."""

import json
import time
from collections.abc import Mapping
from typing import Any

from veriloop.core.message import Usage
from veriloop.rollout.endpoint import write_call
from veriloop.serve.answer import Answer
from veriloop.serve.dialogue import RequestError


def write_completion(name: str, model: str, answer: Answer) -> dict[str, Any]:
    """Return a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.content}
    if answer.calls:
        message["content"] = answer.content or None
        message["tool_calls"] = [write_call(call) for call in answer.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish, **_tell_problem(answer)}
    return _frame(name, model, "chat.completion", [choice], usage=write_usage(answer.usage))


def write_chunk(name: str, model: str, delta: Mapping[str, Any], answer: Answer | None = None) -> bytes:
    """Return one event of a stream; with the answer given it is the last that holds a choice."""
    end = {"finish_reason": answer.finish, **_tell_problem(answer)} if answer else {"finish_reason": None}
    return write_event(_frame(name, model, "chat.completion.chunk", [{"index": 0, "delta": dict(delta), **end}]))


def write_count(name: str, model: str, usage: Usage) -> bytes:
    """Return the event that counts a stream's tokens."""
    return write_event(_frame(name, model, "chat.completion.chunk", [], usage=write_usage(usage)))


def write_event(value: Any) -> bytes:
    """Return a server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the count of an answer's tokens."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def write_error(refusal: RequestError) -> dict[str, Any]:
    """Return a refusal as OpenAI's error object."""
    kind = "server_error" if refusal.status >= 500 else "invalid_request_error"
    return {"error": {"message": str(refusal), "type": kind, "param": refusal.param, "code": refusal.code}}


def _tell_problem(answer: Answer) -> dict[str, str]:
    return {"malformed_output": answer.malformed} if answer.malformed else {}


def _frame(name: str, model: str, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    frame = {"id": name, "object": kind, "created": int(time.time()), "model": model}
    return {**frame, "choices": choices, **more}
