import json
from typing import Any

import pytest

from veriloop.core.message import Seat
from veriloop.serve.dialogue import RequestError
from veriloop.serve.request import NEUTRAL, Asked, read_request

USER = {"role": "user", "content": "hello"}
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
    ],
}
DEEP = '{"a": ' + "[" * 400 + "]" * 400 + "}"
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}, "extra": 1}]


def result(call: str, text: str = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text}


def read(*messages: dict[str, Any], seat: Seat = "agent", **fields: Any) -> Asked:
    body = {"model": "m", "messages": messages or (USER,), **fields}
    return read_request(json.dumps(body).encode(), "m", seat)


def refuse(*messages: dict[str, Any], **fields: Any) -> RequestError:
    with pytest.raises(RequestError) as found:
        read(*messages, **fields)
    return found.value


def test_a_dialogue_becomes_turns_of_two_seats():
    asked = read(
        {"role": "system", "content": "be"},
        {"role": "developer", "content": "kind"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": [{"type": "text", "text": "do "}, {"type": "text", "text": "it"}]},
        CALLS,
        result("b", "two"),
        result("a", "one"),
        {"role": "user", "content": "and?"},
    )
    assert asked.system == "be\n\nkind"
    assert [(turn.seat, turn.content) for turn in asked.turns] == [
        ("agent", "Hi!"), ("user", "do it"), ("agent", ""), ("user", "and?"),
    ]  # fmt: skip
    calls = asked.turns[2]
    assert [(call.name, call.arguments) for call in calls.tool_calls] == [("f", {"x": 1}), ("g", {})]
    assert [(found.call_id, found.content) for found in calls.results] == [("a", "one"), ("b", "two")]


def test_the_users_seat_is_the_assistant_of_its_own_dialogue():
    asked = read({"role": "system", "content": "s"}, USER, CALLS, result("a"), result("b"), seat="user")
    assert [turn.seat for turn in asked.turns] == ["agent", "user"]


def test_what_is_asked_for_is_read_and_the_rest_has_defaults():
    plain = read()
    assert (plain.temperature, plain.limit, plain.seed, plain.stream, plain.usage) == (1.0, None, None, False, False)
    full = read(
        temperature=0, max_tokens=5, seed=7, stream=True, stream_options={"include_usage": True}, tools=TOOLS, user="u",
        something_new=[1],
    )  # fmt: skip
    assert (full.temperature, full.limit, full.seed, full.stream, full.usage) == (0, 5, 7, True, True)
    assert full.tools == tuple(TOOLS)
    assert read(max_tokens=5, max_completion_tokens=6).limit == 6
    assert read(tools=TOOLS, tool_choice="none").tools == ()


def test_fields_that_ask_for_nothing_are_taken():
    for name, neutral in NEUTRAL.items():
        for value in (*neutral, None):
            assert read(**{name: value}).turns


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2), ("top_p", 0.9), ("top_k", 40), ("stop", ["x"]), ("logprobs", True), ("logit_bias", {"1": 2}),
        ("tool_choice", "required"), ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("parallel_tool_calls", False), ("response_format", {"type": "json_object"}), ("reasoning_effort", "low"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(field: str, value: Any):
    error = refuse(**{field: value})
    assert (error.status, error.param) == (400, field)
    assert f"{field} = " in str(error) and "leave it out" in str(error)


def test_strict_schemas_are_refused():
    strict = {"type": "function", "function": {"name": "f", "strict": True}}
    assert refuse(tools=[strict]).param == "tools"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "system", "content": "s"}], "nothing to reply to"),
        ([USER, {"role": "assistant", "content": "a"}], "nothing to reply to"),
        ([USER, {"role": "system", "content": "s"}], "the system speaks first"),
        ([USER, result("a")], "it follows no call"),
        ([USER, CALLS, result("a")], "answer each call once"),
        ([USER, CALLS, result("a"), result("a")], "answer each call once"),
        ([USER, CALLS, result("a"), USER], "answer each call once"),
        ([USER, CALLS, result("a"), result("b"), result("b")], "it follows no call"),
        ([{"role": "user"}], "messages.0.content is missing"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "a part of type 'image_url' is not text"),
        ([{"role": "robot", "content": "x"}], "messages.0.role"),
        ([USER, {**CALLS, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "[1]"}}]}, result("a")],
         "no JSON object in a string"),
        ([USER, {**CALLS, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": DEEP}}]}, result("a")],
         "nest too deeply"),
        ([USER, {**CALLS, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]}, result("a")],
         "no JSON object in a string"),
        ([USER, {**CALLS, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"a":"\\ud800"}'}}]},
          result("a")], "no JSON object in a string"),
    ],
)  # fmt: skip
def test_dialogues_that_are_none_are_refused(messages: list[dict[str, Any]], said: str):
    assert said in str(refuse(*messages))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"model": "m", "temperature": NaN}', "NaN is no JSON"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', "no JSON"),
        (b'{"messages": []}', "model: Field required"),
        (b'{"model": "m", "messages": []}', "messages: List should have at least 1 item"),
    ],
)
def test_bodies_that_are_none_are_refused(data: bytes, said: str):
    with pytest.raises(RequestError, match=said) as found:
        read_request(data, "m", "agent")
    assert found.value.status == 400


@pytest.mark.parametrize(
    "fields", [{"temperature": -1}, {"temperature": "hot"}, {"max_tokens": 0}, {"seed": 1.5}, {"stream": "yes"}]
)
def test_values_out_of_range_are_refused(fields: dict[str, Any]):
    assert refuse(**fields).param == next(iter(fields))


def test_another_model_is_not_served():
    error = refuse(model="other")
    assert (error.status, error.code) == (404, "model_not_found") and "ask for 'm'" in str(error)
