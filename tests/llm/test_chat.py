"""Reading response bodies."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.http import completion
from veriloop.llm.chat import AnswerError, RawCall, read_answer

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
NAMES = st.sampled_from(["choices", "message", "content", "tool_calls", "function", "x"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=12)


def read(message: dict[str, Any], finish: str = "stop", **more: Any) -> Any:
    return read_answer(json.dumps({**completion(message, finish), **more}).encode())


def test_plain_answer() -> None:
    answer = read({"content": "Hi"})
    assert (answer.content, answer.reasoning, answer.calls, answer.finish) == ("Hi", None, (), "stop")
    assert (answer.usage.prompt, answer.usage.completion, answer.usage.cached) == (7, 3, 0)


def test_cached_tokens_and_missing_usage() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}}
    assert read({"content": "Hi"}, usage=usage).usage.cached == 8
    assert read({"content": "Hi"}, usage=None).usage.prompt == 0


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_fields(name: str) -> None:
    assert read({"content": "Hi", name: "hm"}).reasoning == "hm"


def test_content_parts_and_refusals() -> None:
    assert read({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}).content == "ab"
    assert read({"content": None, "refusal": "I will not."}).content == "I will not."


def test_calls_are_kept_as_spelled() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{bad"}},
        {"function": {"name": "g", "arguments": {"x": 1}}},
        {"id": None, "function": {"name": None, "arguments": [1]}},
    ]
    found = read({"content": None, "tool_calls": calls}, "tool_calls").calls
    assert found == (RawCall("a", "f", "{bad"), RawCall("", "g", {"x": 1}), RawCall("", "", [1]))


def test_what_a_server_says_of_an_unread_answer() -> None:
    body = completion({"content": "<|call|>"})
    body["choices"][0]["malformed_output"] = "a call without a name"
    assert read_answer(json.dumps(body).encode()).malformed == "a call without a name"
    assert read({"content": "Hi"}).malformed is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{}]}', b'{"choices": 1}', b"\xff"]
)
def test_other_bodies_are_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(AnswerError, match="no chat completion"):
        read_answer(body)


@given(JSON)
def test_any_json_is_an_answer_or_refused(value: Any) -> None:
    try:
        read_answer(json.dumps(value).encode())
    except AnswerError:
        return
