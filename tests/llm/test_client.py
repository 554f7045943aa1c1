"""The client against a server that misbehaves on purpose; every test has a deadline."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from servers import faulty
from servers.faulty import FaultyServer
from veriloop.core.errors import BudgetError, InputError, PlayerError
from veriloop.llm.chat import ChatAnswer, ChatRequest, ContextError
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.retry import Retry

ASK = ChatRequest([{"role": "user", "content": "hi"}], seed=3)
KEY = "sk-secret-4711"


def make_client(server: FaultyServer, *, attempts: int = 3, timeout: float = 5.0, width: int = 16) -> Client:
    retry = Retry(attempts=attempts, base=0.01, longest=2)
    return Client(Endpoint("m", server.base_url, "VERILOOP_TEST_KEY", timeout, width, retry))


def run(work: Awaitable[Any], deadline: float = 10.0) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work, deadline)

    return asyncio.run(bounded())


def ask(client: Client, request: ChatRequest = ASK) -> ChatAnswer:
    async def once() -> ChatAnswer:
        try:
            return await client.complete(request)
        finally:
            await client.close()

    return run(once())


@pytest.mark.parametrize(
    "fault",
    [
        faulty.status(500), faulty.status(503), faulty.status(429), faulty.status(408), faulty.cut_json(),
        faulty.cut_body(), faulty.hang_up(), faulty.empty_choices(), faulty.html_page(),
    ],
)  # fmt: skip
def test_passing_faults_are_tried_again(fault: Any) -> None:
    with FaultyServer(fault, fault) as server:
        client = make_client(server)
        assert ask(client).content == "Hello."
    assert len(server.requests) == 3
    assert (client.spent.attempts, client.spent.repeated, client.spent.answers) == (3, 2, 1)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faulty.status(500), "HTTP 500"), (faulty.cut_json(), "no chat completion"),
        (faulty.hang_up(), "connection failed"),
        (faulty.empty_choices(), "choices is empty"), (faulty.html_page(), "no chat completion"),
    ],
)  # fmt: skip
def test_lasting_faults_end_as_player_error(fault: Any, said: str) -> None:
    with FaultyServer(*[fault] * 9) as server, pytest.raises(PlayerError, match=said):
        ask(make_client(server))
    assert len(server.requests) == 3, "no retries but ours"


def test_endpoint_that_is_down() -> None:
    with FaultyServer() as server:
        client = make_client(server)
    with pytest.raises(PlayerError, match="attempt 3: connection failed"):
        ask(client)


def test_retry_after_is_kept() -> None:
    with FaultyServer(faulty.status(429, {"retry-after": "0.6"})) as server:
        ask(make_client(server))
    assert 0.6 <= server.requests[1][2] - server.requests[0][2] < 3


def test_retry_after_beyond_patience_gives_up_at_once() -> None:
    with FaultyServer(*[faulty.status(429, {"retry-after": "3600"})] * 3) as server:
        start = time.monotonic()
        with pytest.raises(PlayerError, match="HTTP 429"):
            ask(make_client(server))
    assert time.monotonic() - start < 2
    assert len(server.requests) == 1


def test_hanging_and_trickling_endpoints_time_out() -> None:
    with FaultyServer(faulty.hang(3), faulty.trickle(3)) as server:
        start = time.monotonic()
        client = make_client(server, timeout=0.5)
        assert ask(client).content == "Hello."
    assert 1.0 <= time.monotonic() - start < 3
    assert client.spent.repeated == 2


@pytest.mark.parametrize("code", [401, 403, 404])
def test_what_the_caller_must_fix_stops_the_work(code: int) -> None:
    with FaultyServer(faulty.status(code)) as server, pytest.raises(InputError, match=r"VERILOOP_TEST_KEY"):
        ask(make_client(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [faulty.status(402), faulty.status(429, error={"code": "insufficient_quota"})])
def test_exhausted_quota_is_no_rate_limit(fault: Any) -> None:
    with FaultyServer(fault) as server, pytest.raises(BudgetError, match="no quota left"):
        ask(make_client(server))
    assert len(server.requests) == 1


def test_too_long_dialogue_is_told_apart() -> None:
    with (
        FaultyServer(faulty.status(400, error={"code": "context_length_exceeded"})) as server,
        pytest.raises(ContextError),
    ):
        ask(make_client(server))
    with FaultyServer(faulty.status(400)) as server, pytest.raises(PlayerError, match="refuses the request"):
        ask(make_client(server))
    assert len(server.requests) == 1


def test_wrong_content_type_with_a_good_body_is_read() -> None:
    with FaultyServer(faulty.json_as_text()) as server:
        assert ask(make_client(server)).content == "Hello."
    assert len(server.requests) == 1


def test_key_comes_from_its_variable_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERILOOP_TEST_KEY", KEY)
    with FaultyServer(faulty.status(401, error={"message": f"bad key Bearer {KEY}"})) as server:
        client = make_client(server)
        with pytest.raises(InputError) as caught:
            ask(client)
    assert server.requests[0][1]["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value)
    assert "[key]" in str(caught.value)
    assert KEY not in repr(client.endpoint) + repr(vars(client))


def test_missing_key_is_named_unless_the_server_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERILOOP_TEST_KEY", raising=False)
    with pytest.raises(InputError, match="set the environment variable VERILOOP_TEST_KEY"):
        ask(Client(Endpoint("m", None, "VERILOOP_TEST_KEY")))
    with FaultyServer() as server:
        assert ask(make_client(server)).content == "Hello."


def test_login_in_the_address_is_not_repeated() -> None:
    with pytest.raises(PlayerError) as caught:
        ask(Client(Endpoint("m", "http://me:pass@127.0.0.1:9/v1?k=1", retry=Retry(attempts=1))))
    assert "pass" not in str(caught.value)
    assert "127.0.0.1:9/v1" in str(caught.value)


def test_requests_in_flight_are_limited() -> None:
    with FaultyServer(*[faulty.hang(0.1)] * 12) as server:
        client = make_client(server, width=3)

        async def many() -> list[ChatAnswer]:
            try:
                return await asyncio.gather(*[client.complete(ASK) for _ in range(12)])
            finally:
                await client.close()

        assert len(run(many())) == 12
    assert server.busiest == 3


@pytest.mark.parametrize(("fault", "width"), [(faulty.status(429), 4), (faulty.status(500), 8)])
def test_only_refusals_for_load_narrow_the_limit(fault: Any, width: int) -> None:
    with FaultyServer(fault, faulty.hang(0.2)) as server:
        client = make_client(server, width=8)

        async def watch() -> float:
            asking = asyncio.create_task(client.complete(ASK))
            while len(server.requests) < 2:
                await asyncio.sleep(0.01)
            link = client._line.link  # pyright: ignore[reportPrivateUsage]
            assert link is not None
            found = link.slots.width
            await asking
            assert found <= link.slots.width <= 8
            await client.close()
            return found

        assert run(watch()) == width


def test_roles_at_one_endpoint_share_its_limit() -> None:
    with FaultyServer(*[faulty.hang(0.1)] * 8) as server:
        client = make_client(server, width=3)
        others = [client.serve(role) for role in ("user", "agent")]

        async def many() -> list[ChatAnswer]:
            try:
                return await asyncio.gather(*[found.complete(ASK) for found in (client, *others) for _ in range(3)])
            finally:
                await others[0].close()

        assert len(run(many())) == 9
    assert server.busiest == 3


def test_client_serves_one_loop_after_the_other() -> None:
    with FaultyServer() as server:
        client = make_client(server)
        for _ in range(3):
            assert asyncio.run(client.complete(ASK)).content == "Hello."


def test_request_carries_only_what_is_set() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    with FaultyServer() as server:
        client = make_client(server)
        ask(client, ChatRequest([{"role": "user", "content": "é"}]))
        ask(client, ChatRequest([], [tool], 5, {"temperature": 0.5, "top_k": 3}))
    assert server.requests[0][0] == {"model": "m", "messages": [{"role": "user", "content": "é"}]}
    assert server.requests[1][0] == {
        "model": "m", "messages": [], "tools": [tool], "seed": 5, "temperature": 0.5, "top_k": 3,
    }  # fmt: skip


def test_usage_is_added_up() -> None:
    with FaultyServer(faulty.cut_json()) as server:
        client = make_client(server)
        ask(client)
        ask(client)
    assert (client.spent.usage.prompt, client.spent.usage.completion, client.spent.answers) == (14, 6, 2)


def test_aiohttp_is_not_loaded_before_the_first_request() -> None:
    code = (
        "import sys, veriloop.rollout.endpoint as e; e.EndpointPlayer('m', 'http://127.0.0.1:9/v1'); "
        "sys.exit('aiohttp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
