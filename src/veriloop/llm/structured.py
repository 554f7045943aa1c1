"""Answers of a given shape: asked for by JSON schema, checked, and asked for again with what was wrong with them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from veriloop.llm.chat import ChatAnswer, ChatRequest, ContextError, RefusedError
from veriloop.llm.client import Client

T = TypeVar("T", bound=BaseModel)
_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_THOUGHT = re.compile(r"\A.*</think>", re.DOTALL)

REDRAWS = 3
"""Answers without JSON that a role's request may have drawn again."""


class ShapeError(Exception):
    """A model gave no answer of the wanted shape in all its tries; says what was wrong with the last one."""


@dataclass(frozen=True, slots=True)
class Shaped(Generic[T]):
    """An answer of the wanted shape. tries: answers it took, the last one included."""

    value: T
    tries: int


async def ask_shaped(
    client: Client,
    request: ChatRequest,
    shape: type[T],
    *,
    check: Callable[[T], list[str]] = lambda _value: [],
    tries: int = 3,
    redraws: int = 0,
) -> Shaped[T]:
    """Return an answer that is a `shape` and to which `check` has no objection.

    Each failed answer goes back to the model with the objections, but up to `redraws` answers in all that hold no JSON
    are drawn again without a word, as failed calls are. The schema is sent as `response_format` and stands in the first
    message too, since servers differ in whether they keep to it; one that refuses the field is asked without. Raises
    ShapeError after `tries` answers, PlayerError, InputError or BudgetError as the client does.
    """
    messages = [*request.messages, {"role": "user", "content": explain(shape)}]
    options = {**request.options, "response_format": _format(shape)}
    problems: list[str] = []
    number = drawn = 0
    while number < tries:
        seed = None if request.seed is None else request.seed + number + tries * drawn
        answer, options = await _draw(client, ChatRequest(messages, seed=seed, options=options, sample=drawn), request)
        if drawn < redraws and not _is_json(answer.content):
            drawn += 1
            continue
        number += 1
        value, problems = _read(answer.content, shape, check)
        if value is not None:
            return Shaped(value, number)
        if answer.finish == "length":
            problems = ["the answer was cut by the token limit; be shorter", *problems]
        messages = [
            *messages,
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": "That cannot be used:\n- " + "\n- ".join(problems) + "\nAnswer again in full."},
        ]
    raise ShapeError(f"no usable {shape.__name__} in {tries} answers, last: {'; '.join(problems)[:500]}")


async def _draw(client: Client, request: ChatRequest, plain: ChatRequest) -> tuple[ChatAnswer, dict[str, Any]]:
    """Return an answer and the options it was given under: those of the plain request where others are refused."""
    try:
        try:
            return await client.complete(request), request.options
        except RefusedError:
            if request.options == plain.options:
                raise
            return await client.complete(replace(request, options=plain.options)), plain.options
    except ContextError as error:
        raise ShapeError(f"the request is longer than the model's context: {error}") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(find_json(text))
    except ValueError:
        return False
    return True


def find_json(text: str) -> str:
    """Return the part of an answer that is meant as JSON: without thoughts, fences and words around the braces."""
    text = _THOUGHT.sub("", text)
    if fenced := _FENCED.search(text):
        text = fenced[1]
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text.strip()


def _read(text: str, shape: type[T], check: Callable[[T], list[str]]) -> tuple[T | None, list[str]]:
    try:
        value = shape.model_validate_json(find_json(text))
    except ValidationError as error:
        return None, [_say(found) for found in error.errors()[:8]]
    problems = check(value)
    return (None, problems) if problems else (value, [])


def _say(error: Any) -> str:
    where = ".".join(map(str, error["loc"])) or "the answer"
    return f"{where}: {error['msg']}"


def _format(shape: type[BaseModel]) -> dict[str, Any]:
    schema = shape.model_json_schema()
    return {"type": "json_schema", "json_schema": {"name": shape.__name__, "schema": schema, "strict": True}}


def explain(shape: type[BaseModel]) -> str:
    """Return how a model is told which shape its answer must have."""
    schema = json.dumps(shape.model_json_schema(), ensure_ascii=False)
    return f"Answer with one JSON object of this schema and nothing else:\n{schema}"
