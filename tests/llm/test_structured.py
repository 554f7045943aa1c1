"""Answers of a given shape from servers that keep to it, nearly do, refuse the field, or never will."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from servers import faulty
from servers.faulty import FaultyServer
from veriloop.core.base import Frozen
from veriloop.core.errors import PlayerError
from veriloop.llm.chat import ChatRequest
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.retry import Retry
from veriloop.llm.structured import Shaped, ShapeError, ask_shaped, find_json


class Wish(Frozen):
    """What is asked for in these tests."""

    name: str
    count: int = Field(ge=1)


GOOD = '{"name": "tea", "count": 2}'
ASK = ChatRequest([{"role": "user", "content": "What do you want?"}], seed=5, options={"temperature": 0.5})


def say(text: str, finish: str = "stop") -> Any:
    return faulty.say({"content": text}, finish)


def ask(server: FaultyServer, **options: Any) -> Shaped[Wish]:
    async def once() -> Shaped[Wish]:
        client = Client(Endpoint("m", server.base_url, retry=Retry(attempts=2, base=0.01)))
        try:
            return await asyncio.wait_for(ask_shaped(client, ASK, Wish, **options), 10)
        finally:
            await client.close()

    return asyncio.run(once())


@pytest.mark.parametrize(
    "text",
    [
        GOOD, f"```json\n{GOOD}\n```", f"Here you are:\n{GOOD}\nEnjoy!", f"<think>Is {{tea}} fine?</think>{GOOD}",
        f"```\n{GOOD}```", f"hm {{no}} </think> {GOOD}",
    ],
)  # fmt: skip
def test_what_models_put_around_json_is_taken_off(text: str) -> None:
    with FaultyServer(say(text)) as server:
        assert ask(server) == Shaped(Wish(name="tea", count=2), 1)


def test_the_schema_is_sent_both_ways() -> None:
    with FaultyServer(say(GOOD)) as server:
        ask(server)
    body = server.requests[0][0]
    assert body["response_format"]["json_schema"]["schema"] == Wish.model_json_schema()
    assert '"count"' in body["messages"][-1]["content"]
    assert (body["temperature"], body["seed"]) == (0.5, 5)


def test_what_is_wrong_goes_back_to_the_model() -> None:
    with FaultyServer(say('{"name": "tea", "count": 0}'), say("tea"), say(GOOD)) as server:
        assert ask(server).tries == 3
    second, third = (request[0]["messages"] for request in server.requests[1:])
    assert second[-2] == {"role": "assistant", "content": '{"name": "tea", "count": 0}'}
    assert "count: Input should be greater than or equal to 1" in second[-1]["content"]
    assert "Invalid JSON" in third[-1]["content"]
    assert len({request[0]["seed"] for request in server.requests}) == 3, "the same seed would say the same again"


def test_what_holds_no_json_is_drawn_again_without_a_word() -> None:
    with FaultyServer(say("tea"), say('{"name": "tea"}'), say("two"), say("", "length"), say(GOOD)) as server:
        assert ask(server, redraws=2).tries == 3
    bodies = [body for body, *_ in server.requests]
    assert bodies[0]["messages"] == bodies[1]["messages"] != bodies[2]["messages"] == bodies[3]["messages"]
    assert "be shorter" in bodies[4]["messages"][-1]["content"], "the third one without JSON is talked about"
    assert len({body["seed"] for body in bodies}) == 5


def test_objections_beyond_the_shape_go_back_too() -> None:
    with FaultyServer(say('{"name": "gin", "count": 1}'), say(GOOD)) as server:
        assert ask(server, check=lambda wish: ["name: no gin here"] if wish.name == "gin" else []).tries == 2
    assert "no gin here" in server.requests[1][0]["messages"][-1]["content"]


def test_a_cut_answer_is_told_to_be_shorter() -> None:
    with FaultyServer(say(GOOD[:-5], "length"), say(GOOD)) as server:
        ask(server)
    assert "be shorter" in server.requests[1][0]["messages"][-1]["content"]


def test_a_server_that_refuses_the_field_is_asked_without() -> None:
    with FaultyServer(
        faulty.status(400, error={"message": "unknown field response_format"}), say("tea"), say(GOOD)
    ) as server:
        assert ask(server).value.name == "tea"
    assert ["response_format" in request[0] for request in server.requests] == [True, False, False]


def test_a_server_that_refuses_everything_is_an_error() -> None:
    with FaultyServer(*[faulty.status(400)] * 4) as server, pytest.raises(PlayerError, match="refuses the request"):
        ask(server)
    assert len(server.requests) == 2


def test_a_model_that_never_will_is_named_with_its_last_fault() -> None:
    with (
        FaultyServer(*[say('{"name": 3}')] * 9) as server,
        pytest.raises(ShapeError, match=r"Wish in 2 answers.*count"),
    ):
        ask(server, tries=2)
    assert len(server.requests) == 2


def test_faults_of_the_line_are_not_the_models() -> None:
    faults = [faulty.status(503), faulty.cut_json(), *[faulty.status(500)] * 9]
    with FaultyServer(*faults) as server, pytest.raises(PlayerError):
        ask(server)
    with FaultyServer(faulty.status(503), say(GOOD)) as server:
        assert ask(server).tries == 1


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=4), st.text("ab \n", max_size=9)
)
def test_an_object_is_found_in_words_without_braces(value: dict[str, Any], words: str) -> None:
    assert json.loads(find_json(f"{words}{json.dumps(value)}{words}")) == value or any("```" in str(v) for v in value)


def test_text_without_an_object_is_left_as_it_is() -> None:
    assert find_json("no") == "no"
    assert find_json("} {") == "} {"
