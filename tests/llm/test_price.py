"""Money: what an answer costs, and that nothing is asked once the limit is reached."""

import asyncio

import pytest

from servers import faulty
from servers.faulty import FaultyServer
from veriloop.core.errors import BudgetError
from veriloop.core.message import Usage
from veriloop.llm.chat import ChatRequest
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.price import Budget, Price
from veriloop.llm.retry import Retry

ASK = ChatRequest([{"role": "user", "content": "hi"}], seed=3)
PRICE = Price(prompt=100.0, completion=1000.0)
EACH = (7 * 100 + 3 * 1000) / 1e6
"""Dollars of the server's answer of 7 prompt and 3 completion tokens."""


def ask_all(clients: list[Client], count: int) -> list[BaseException | object]:
    async def run() -> list[BaseException | object]:
        asked = [clients[number % len(clients)].complete(ASK) for number in range(count)]
        try:
            return list(await asyncio.gather(*asked, return_exceptions=True))
        finally:
            for client in clients:
                await client.close()

    return asyncio.run(run())


def test_tokens_have_their_price() -> None:
    assert Price(2.0, 8.0).cost(Usage(prompt=500_000, completion=250_000)) == pytest.approx(3.0)
    assert Price().cost(Usage(prompt=10**9)) == 0


def test_what_was_spent_is_counted_and_failed_attempts_are_free() -> None:
    with FaultyServer(faulty.status(500)) as server:
        budget = Budget()
        client = Client(Endpoint("m", server.base_url, retry=Retry(base=0.01), price=PRICE), budget)
        ask_all([client], 3)
    assert client.spent.dollars == budget.spent == pytest.approx(3 * EACH)
    assert client.spent.attempts == 4


def test_only_what_is_in_flight_overshoots() -> None:
    with FaultyServer() as server:
        budget = Budget(2.5 * EACH)
        width = 4
        client = Client(Endpoint("m", server.base_url, width=width, price=PRICE), budget)
        answers = ask_all([client], 40)
    stopped = [answer for answer in answers if isinstance(answer, BudgetError)]
    assert len(server.requests) == 40 - len(stopped) <= 3 + width - 1
    assert "--max-usd" in str(stopped[0])
    assert budget.spent <= 2.5 * EACH + width * EACH


def test_clients_share_one_budget() -> None:
    with FaultyServer() as one, FaultyServer() as other:
        budget = Budget(2 * EACH)
        clients = [Client(Endpoint("m", server.base_url, width=1, price=PRICE), budget) for server in (one, other)]
        answers = ask_all(clients, 20)
    assert sum(isinstance(answer, BudgetError) for answer in answers) >= 17


def test_a_budget_that_is_spent_already_asks_nothing() -> None:
    with FaultyServer() as server:
        client = Client(Endpoint("m", server.base_url), Budget(1.0, spent=1.0))
        assert isinstance(ask_all([client], 1)[0], BudgetError)
    assert server.requests == []
