"""What is paid for once is kept; what it cost is counted however often the run was stopped."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import faulty
from servers.faulty import FaultyServer
from veriloop.core.errors import BudgetError, InputError, PlayerError
from veriloop.core.message import Usage
from veriloop.llm.cache import Cache, make_key
from veriloop.llm.chat import ChatAnswer, ChatRequest, RawCall
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.price import Budget, Price
from veriloop.llm.retry import Retry

ASK = ChatRequest([{"role": "user", "content": "hi"}], seed=3)


def make_client(server: FaultyServer, cache: Cache, role: str = "user", **options: Any) -> Client:
    endpoint = Endpoint("m", server.base_url, retry=Retry(attempts=3, base=0.01), price=Price(1e5, 1e6))
    return Client(endpoint, cache=cache, role=role, **options)


def ask(client: Client, *requests: ChatRequest) -> list[ChatAnswer]:
    async def all_of_them() -> list[ChatAnswer]:
        return await asyncio.gather(*[client.complete(request) for request in requests])

    return asyncio.run(all_of_them())


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    with FaultyServer() as server:
        for _ in range(3):
            cache = Cache(tmp_path / "cache.sqlite")
            assert ask(make_client(server, cache), ASK)[0].content == "Hello."
            cache.close()
    assert len(server.requests) == 1


def test_samples_are_kept_apart_and_not_sent() -> None:
    with FaultyServer() as server:
        client = make_client(server, Cache())
        ask(client, ASK)
        ask(client, ChatRequest(ASK.messages, seed=3, sample=1))
        ask(client, ASK)
    assert len(server.requests) == 2
    assert server.requests[0][0] == server.requests[1][0]


@pytest.mark.parametrize(
    "other",
    [
        ("n", "http://h/v1", ASK),
        ("m", "http://g/v1", ASK),
        ("m", "http://h/v1", ChatRequest([{"role": "user", "content": "ho"}], seed=3)),
        ("m", "http://h/v1", ChatRequest(ASK.messages, seed=4)),
        ("m", "http://h/v1", ChatRequest(ASK.messages, seed=3, sample=1)),
        ("m", "http://h/v1", ChatRequest(ASK.messages, seed=3, options={"temperature": 0})),
        ("m", "http://h/v1", ChatRequest(ASK.messages, [{"type": "function"}], seed=3)),
    ],
)
def test_the_key_changes_with_all_that_matters(other: tuple[str, str, ChatRequest]) -> None:
    assert make_key("m", "http://h/v1", ASK) != make_key(*other)


def test_the_key_does_not_change_with_a_secret() -> None:
    assert make_key("m", "http://me:pw@h/v1?token=1", ASK) == make_key("m", "http://h/v1", ASK)


def test_the_account_holds_failures_repetitions_and_answers() -> None:
    cache = Cache()
    with FaultyServer(*[faulty.status(500)] * 4, None, faulty.status(401)) as server:
        client = make_client(server, cache)
        with pytest.raises(PlayerError):
            ask(client, ASK)
        ask(client, ASK)
        with pytest.raises(InputError):
            ask(client, ChatRequest([], seed=1))
        ask(make_client(server, cache, "agent"), ASK)
    assert cache.add_up() == {
        "user": {
            "attempts": 3 + 2 + 1, "repeated": 2 + 1, "answers": 1, "prompt_tokens": 7, "completion_tokens": 3,
            "dollars": pytest.approx(0.7 + 3),
        },
    }  # fmt: skip
    assert len(server.requests) == 6, "the agent asked what the user had asked at the same endpoint"


def test_two_that_ask_the_same_at_once_are_both_paid() -> None:
    cache = Cache()
    with FaultyServer(*[faulty.hang(0.2)] * 2) as server:
        first, second = ask(make_client(server, cache), ASK, ASK)
    assert first == second
    assert (cache.add_up()["user"]["answers"], len(server.requests)) == (2, 2)


def test_what_the_budget_forbids_is_no_attempt() -> None:
    cache = Cache()
    with FaultyServer() as server, pytest.raises(BudgetError):
        ask(make_client(server, cache, budget=Budget(1.0, spent=1.0)), ASK)
    assert cache.add_up() == {}


def test_kept_answers_are_free_even_when_nothing_is_left() -> None:
    cache = Cache()
    with FaultyServer() as server:
        ask(make_client(server, cache), ASK)
        assert ask(make_client(server, cache, budget=Budget(0.0)), ASK)[0].content == "Hello."


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_bytes(b"nonsense" * 500)
    with pytest.raises(InputError, match=r"cache\.sqlite' cannot be used as a cache"):
        Cache(tmp_path / "cache.sqlite")


@given(
    st.text(), st.none() | st.text(), st.lists(st.tuples(st.text(), st.text(), st.none() | st.text())),
    st.integers(0, 10**6),
)  # fmt: skip
def test_what_is_kept_comes_back_as_it_was(content: str, reasoning: str | None, calls: list[Any], tokens: int) -> None:
    answer = ChatAnswer(content, reasoning, tuple(RawCall(*call) for call in calls), "stop", Usage(prompt=tokens))
    cache = Cache()
    cache.put("k", "user", answer, 1, 0.0)
    assert cache.get("k") == answer
    assert cache.get("other") is None
