"""The endpoint player: what it sends, how it reads answers, and whole dialogues over loopback."""

import asyncio
import gc
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import faulty
from servers.faulty import FaultyServer
from servers.http import completion
from veriloop.core.errors import InputError, PlayerError
from veriloop.core.message import Message, ToolCall, ToolResult, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Initial, Request, Task, UserScenario
from veriloop.llm.chat import ChatAnswer, RawCall, Usage
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.retry import Retry
from veriloop.rollout.baseline import Noop
from veriloop.rollout.driver import play, play_async
from veriloop.rollout.endpoint import EndpointPlayer, read_message, split_thinking, write_messages
from veriloop.rollout.episode import Episode, Limits
from veriloop.rollout.player import View
from veriloop.rollout.scripted import ScriptedUser

DOMAIN = load_parcel()
USER = UserScenario(
    persona="terse",
    reason_for_call="You want help.",
    known_info="",
    unknown_info="",
    task_instructions="",
    requests=(Request(topic="get help with a parcel"),),
)
TASK = Task(domain="parcel", initial=Initial(database="train-0"), user=USER, gold=())
FAST = Retry(attempts=2, base=0.01)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


def make_player(server: FaultyServer, **options: Any) -> EndpointPlayer:
    return EndpointPlayer("m", client=Client(Endpoint("m", server.base_url, timeout=5, retry=FAST)), **options)


def make_view(*turns: Turn, seat: Any = "agent") -> View:
    tools = tuple(tool for tool in DOMAIN.tools.values() if tool.seat == seat)
    return View("k", TASK.id, seat, "SYSTEM", tools, turns, seed=4, scenario=USER if seat == "user" else None)


CALL = ToolCall(id="c1", name="get_parcel", arguments={"tracking": "T1"})
TURNS = (
    Turn(seat="agent", content="Hi!"),
    Turn(seat="user", content="Where is T1?"),
    Turn(seat="agent", content="Let me look.", tool_calls=(CALL,), results=(ToolResult(call_id="c1", content="{}"),)),
    Turn(seat="agent", content="At the depot."),
)


def test_agent_sees_its_turns_as_the_assistants() -> None:
    arguments = json.dumps({"tracking": "T1"}, separators=(",", ":"))
    call = {"id": "c1", "type": "function", "function": {"name": "get_parcel", "arguments": arguments}}
    assert write_messages(make_view(*TURNS)) == [
        {"role": "system", "content": "SYSTEM"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Where is T1?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "{}"},
        {"role": "assistant", "content": "At the depot."},
    ]


def test_user_seat_has_the_roles_flipped() -> None:
    sent = write_messages(make_view(TURNS[0], TURNS[1], TURNS[3], seat="user"))
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert sent[0]["content"].endswith("SYSTEM")
    assert "###STOP###" in sent[0]["content"]


@pytest.mark.parametrize(
    ("content", "thinking", "speech"),
    [
        ("Hello.", "", "Hello."),
        ("<think>a\nb</think>\n\nHello.", "a\nb", "Hello."),
        ("a</think>Hello.", "a", "Hello."),
        ("<think>a</think><think>b</think>Hi", "a\nb", "Hi"),
        ("<think>never closed", "never closed", ""),
        ("Hi <think>late", "late", "Hi"),
        ("<think></think>", "", ""),
    ],
)
def test_thinking_is_kept_apart(content: str, thinking: str, speech: str) -> None:
    assert split_thinking(content) == (thinking, speech)


@given(st.text(st.sampled_from("ab <>/")).map(lambda text: text.replace("<a", "<think>").replace("</b", "</think>")))
def test_speech_holds_no_closed_thought(content: str) -> None:
    _, speech = split_thinking(content)
    assert "<think>" not in speech


def read(content: str = "", *calls: RawCall, finish: str = "stop", reasoning: str | None = None) -> Message:
    return read_message(ChatAnswer(content, reasoning, calls, finish, Usage(prompt=2)), TURNS)


def test_reasoning_field_and_tags_end_up_in_thinking() -> None:
    message = read("<think>b</think>Hi", reasoning="a")
    assert (message.thinking, message.content, message.malformed) == ("a\nb", "Hi", None)
    assert message.usage == Usage(prompt=2)


@pytest.mark.parametrize("arguments", ["", None, "{}", {}])
def test_calls_without_arguments(arguments: Any) -> None:
    assert read("", RawCall("x", "f", arguments)).tool_calls == (ToolCall(id="x", name="f"),)


@pytest.mark.parametrize(
    "arguments",
    ['{"a": 1', "[1]", "3", "null", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "[" * 100_000, [1], 5,
     '{"a": ' + "[" * 5000 + "]" * 5000 + "}"],
)  # fmt: skip
def test_bad_arguments_are_the_models_fault(arguments: Any) -> None:
    message = read("", RawCall("x", "get_parcel", arguments))
    assert message.malformed
    assert "get_parcel" in message.malformed
    assert len(message.malformed) < 400
    assert message.tool_calls == ()


@given(st.dictionaries(st.text(), JSON))
def test_good_arguments_are_kept(arguments: dict[str, Any]) -> None:
    message = read("", RawCall("x", "f", json.dumps(arguments)))
    assert message.malformed is None
    assert message.tool_calls[0].arguments == arguments


@given(st.text())
def test_any_arguments_give_a_message(arguments: str) -> None:
    message = read("", RawCall("x", "f", arguments))
    assert bool(message.malformed) != bool(message.tool_calls)


@given(st.lists(st.sampled_from(["", "c1", "x", "call_1", "call_2"]), min_size=1, max_size=6))
def test_call_ids_never_repeat(ids: list[str]) -> None:
    calls = read("", *[RawCall(id_, "f", "{}") for id_ in ids]).tool_calls
    assert len({"c1", *(call.id for call in calls)}) == len(ids) + 1


def test_cut_and_empty_answers_are_malformed() -> None:
    assert read("Hel", finish="length").malformed == "the answer was cut by the token limit"
    assert read("", RawCall("x", "f", "{}"), finish="length").tool_calls == ()
    assert "empty answer" in (read("").malformed or "")
    assert "empty answer" in (read("<think>only").malformed or "")
    assert "no name" in (read("", RawCall("x", "", "{}")).malformed or "")


@pytest.mark.parametrize("text", ['<tool_call>{"name": "f"}</tool_call>', 'Hm. <tool_call>{"na', "[TOOL_CALLS] [{}]"])
def test_calls_that_the_server_left_in_the_text_are_not_spoken(text: str) -> None:
    assert "tool call unread" in (read(text).malformed or "")
    assert read(text, RawCall("x", "f", "{}")).malformed is None


def test_request_holds_tools_seed_and_options() -> None:
    with FaultyServer() as server:
        player = make_player(server, options={"max_tokens": 9})
        assert player.reply([make_view(*TURNS)])[0].content == "Hello."
        player.reply([make_view(*TURNS)])
        player.reply([make_view(*TURNS[:2])])
        make_player(server, send_seed=False).reply([make_view(*TURNS)])
    bodies = [request[0] for request in server.requests]
    assert {tool["function"]["name"] for tool in bodies[0]["tools"]} == {
        tool.name for tool in DOMAIN.tools.values() if tool.seat == "agent"
    }
    assert bodies[0]["max_tokens"] == 9
    assert bodies[0]["seed"] == bodies[1]["seed"] != bodies[2]["seed"]
    assert 0 <= bodies[0]["seed"] < 2**31
    assert "seed" not in bodies[3]


def test_batch_keeps_its_order_and_fails_as_one() -> None:
    with FaultyServer(faulty.hang(0.2), good=completion({"content": "later"})) as server:
        player = make_player(server)
        assert len(player.reply([make_view(*TURNS)] * 3)) == 3
    with FaultyServer(*[faulty.status(500)] * 9) as server, pytest.raises(PlayerError, match="HTTP 500"):
        make_player(server).reply([make_view(*TURNS)] * 2)


def play_many(player: EndpointPlayer, count: int, seat: str = "agent") -> list[Trace]:
    other: Any = {"user": ScriptedUser()} if seat == "agent" else {"agent": Noop()}
    episodes = [Episode(DOMAIN, TASK, seed=seed, limits=Limits(turns=8)) for seed in range(count)]

    async def collect() -> list[Trace]:
        try:
            return [trace async for _, trace in play_async(episodes, {seat: player, **other}, width=4)]
        finally:
            await player.close()

    return asyncio.run(asyncio.wait_for(collect(), 20))


def test_dialogue_with_calls_bad_calls_and_outages() -> None:
    script = [faulty.call('{"tracking": "nobody"}'), faulty.call("{}", "no_such_tool"), faulty.status(500)]
    with FaultyServer(*script, good=completion({"content": "Anything else?"})) as server:
        trace = play_many(make_player(server), 1)[0]
    assert trace.stop is StopReason.USER_STOP
    results = [result for turn in trace.turns for result in turn.results]
    assert [result.error for result in results] == [True, True]
    assert "unknown tool 'no_such_tool'" in results[1].content
    assert [call.id for turn in trace.turns for call in turn.tool_calls] == ["a", "call_1"]


def test_bad_json_ends_the_dialogue_as_malformed() -> None:
    with FaultyServer(faulty.call('{"tracking": ')) as server:
        trace = play_many(make_player(server), 1)[0]
    assert trace.stop is StopReason.MALFORMED
    assert not trace.void
    assert trace.error
    assert "get_parcel" in trace.error


def test_context_overflow_counts_against_the_player() -> None:
    with FaultyServer(faulty.status(400, error={"code": "context_length_exceeded"})) as server:
        trace = play_many(make_player(server), 1)[0]
    assert trace.stop is StopReason.MALFORMED
    assert "context" in (trace.error or "")


def test_outage_voids_only_the_dialogue_it_hits() -> None:
    with FaultyServer(*[faulty.status(503)] * 2, good=completion({"content": "Anything else?"})) as server:
        player = EndpointPlayer("m", client=Client(Endpoint("m", server.base_url, width=1, retry=FAST)))
        traces = play_many(player, 6)
    assert sum(trace.void for trace in traces) == 1
    assert {trace.stop for trace in traces} == {StopReason.PLAYER_ERROR, StopReason.USER_STOP}


def test_refused_key_stops_everything() -> None:
    with FaultyServer(*[faulty.status(401)] * 9) as server, pytest.raises(InputError, match="OPENAI_API_KEY"):
        play_many(make_player(server), 3)


def test_many_refusals_at_once_leave_one_error(caplog: pytest.LogCaptureFixture) -> None:
    with FaultyServer(*[faulty.status(401)] * 40) as server, pytest.raises(InputError):
        play_many(make_player(server), 20)
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_user_seat_over_an_endpoint() -> None:
    good = completion({"content": "No, that is all. ###STOP###"})
    with FaultyServer(faulty.say({"content": "Where is my parcel?"}), good=good) as server:
        trace = play_many(make_player(server), 1, "user")[0]
    assert trace.stop is StopReason.USER_STOP
    assert [turn.seat for turn in trace.turns] == ["agent", "user", "agent", "user"]
    names = {tool["function"]["name"] for tool in server.requests[0][0]["tools"]}
    assert names == {tool.name for tool in DOMAIN.tools.values() if tool.seat == "user"}


def test_sequential_driver_works_too() -> None:
    with FaultyServer(good=completion({"content": "Anything else?"})) as server:
        trace = play(Episode(DOMAIN, TASK), {"agent": make_player(server), "user": ScriptedUser()})
    assert trace.stop is StopReason.USER_STOP
    assert all(turn.usage for turn in trace.turns[1:] if turn.seat == "agent")


def test_what_the_server_could_not_read_is_not_spoken() -> None:
    good = completion({"content": "well <|user|>"})
    good["choices"][0]["malformed_output"] = "control tokens in text"
    with FaultyServer(good=good) as server:
        trace = play(Episode(DOMAIN, TASK), {"agent": make_player(server), "user": ScriptedUser()})
    assert trace.stop is StopReason.MALFORMED and "control tokens in text" in (trace.error or "")


class TestDrawingAgain:
    BAD = (faulty.call("{", "get_parcel"), faulty.call("{}", "no_such_tool"), faulty.say({"content": ""}))

    def reply(self, server: FaultyServer, **options: Any) -> Message:
        return make_player(server, **options).reply([make_view(Turn(seat="user", content="Hi"))])[0]

    def test_an_unusable_answer_is_drawn_again_with_another_seed(self) -> None:
        with FaultyServer(*self.BAD) as server:
            assert self.reply(server, samples=4).content == "Hello."
        bodies = [body for body, *_ in server.requests]
        assert all(body["messages"] == bodies[0]["messages"] for body in bodies)
        assert len({body["seed"] for body in bodies}) == 4

    def test_the_last_one_counts_when_none_can_be_used(self) -> None:
        with FaultyServer(*self.BAD) as server:
            assert (self.reply(server, samples=3).malformed or "").startswith("empty answer")

    def test_by_default_the_first_answer_counts(self) -> None:
        with FaultyServer(*self.BAD) as server:
            assert self.reply(server).malformed
        assert len(server.requests) == 1


def test_guidelines_and_advice_stand_around_what_the_seat_is_told() -> None:
    view = make_view(Turn(seat="user", content="Hi"))
    with FaultyServer() as server:
        plain = make_player(server, guidelines="Be kind.\n")
        advised = plain.advise(("Ask first.", "Read twice."))
        advised.reply([view])
        plain.reply([view])
    first, second = (body["messages"][0]["content"] for body, *_ in server.requests)
    assert first == f"Be kind.\n{view.system}\n\nWhat earlier work taught:\n- Ask first.\n- Read twice."
    assert second == f"Be kind.\n{view.system}"
