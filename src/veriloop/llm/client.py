"""The client of one OpenAI-compatible endpoint: bounded concurrency, one retry layer, counted usage.

Three kinds of failure are kept apart. What passes (rate limits, server faults, time-outs, cut or empty answers) is
tried again and ends as PlayerError: the dialogue is void. What no repetition mends and the caller must fix (wrong key,
unknown model) is an InputError, an exhausted quota a BudgetError: both stop the work. What the model or the dialogue
itself got wrong is in the answer, or a ContextError, for the player to judge.
"""

import asyncio
import copy
import json
import os
import random
import time
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.errors import BudgetError, InputError, PlayerError
from veriloop.core.message import Usage
from veriloop.llm.cache import Cache, make_key
from veriloop.llm.chat import AnswerError, ChatAnswer, ChatRequest, ContextError, RefusedError, read_answer
from veriloop.llm.limit import AdaptiveLimit
from veriloop.llm.price import Budget, Price
from veriloop.llm.retry import Retry, find_delay, is_transient, read_retry_after
from veriloop.llm.transport import (
    ConnectionFailedError,
    Response,
    Transport,
    hide_login,
    open_transport,
    read_problem,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served and how it is asked.

    base_url: of the API ("http://127.0.0.1:8000/v1"); None means OpenAI's own. key_env: name of the environment
    variable that holds the key; only the name is ever stored. timeout: seconds for one whole attempt. width: requests
    in flight at most, a request that waits for its next attempt included; refusals for load and time-outs halve it and
    good answers widen it again.
    """

    model: str
    base_url: str | None = None
    key_env: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    width: int = 16
    retry: Retry = field(default_factory=Retry)
    price: Price = field(default_factory=Price)


@dataclass(slots=True)
class Spent:
    """What a client has used so far: attempts sent, of which repeated, answers read, their tokens and dollars."""

    attempts: int = 0
    repeated: int = 0
    answers: int = 0
    usage: Usage = field(default_factory=Usage)
    dollars: float = 0.0


@dataclass(slots=True)
class _Link:
    """The connections and the limit on requests in flight; both belong to one event loop."""

    loop: asyncio.AbstractEventLoop
    transport: Transport
    slots: AdaptiveLimit


@dataclass(slots=True)
class _Line:
    """The one line to an endpoint, which roles share."""

    link: _Link | None = None


class _TransientError(Exception):
    """An attempt failed in a way that may pass.

    asked: the wait in seconds that the endpoint named. busy: whether load is the likely reason.
    """

    def __init__(self, reason: str, asked: float | None = None, *, busy: bool = False) -> None:
        super().__init__(reason)
        self.asked, self.busy = asked, busy


class Client:
    """Asks one endpoint; may be used from one event loop at a time, and again from another later."""

    def __init__(
        self, endpoint: Endpoint, budget: Budget | None = None, *, cache: Cache | None = None, role: str = ""
    ) -> None:
        """Take the endpoint and the money that it may use up together with other clients.

        cache: keeps answers and what they cost, under the name of the role that asks.
        """
        self.endpoint, self.budget = endpoint, budget or Budget()
        self.spent = Spent()
        self._cache, self.role = cache, role
        self._line = _Line()

    def serve(self, role: str) -> "Client":
        """Return a client on the same line, with the same limit on requests in flight, that counts for another role."""
        other = copy.copy(self)
        other.role = role
        return other

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Return the answer to a request; raises PlayerError, InputError, BudgetError or ContextError.

        An answer that the cache holds is neither asked for nor paid again.
        """
        if self._cache is None:
            return (await self._ask(request))[0]
        key = make_key(self.endpoint.model, self.endpoint.base_url, request)
        if kept := self._cache.get(key):
            return kept
        answer, attempts = await self._ask(request)
        self._cache.put(key, self.role, answer, attempts, self.endpoint.price.cost(answer.usage))
        return answer

    async def _ask(self, request: ChatRequest) -> tuple[ChatAnswer, int]:
        """Return the answer and the attempts it took; attempts that end without one are counted as well."""
        link = self._connect()
        rng = random.Random(derive_seed("retry", self.endpoint.model, request.seed or 0))
        sent, answer = 0, None
        try:
            async with link.slots:
                while sent < self.endpoint.retry.attempts:
                    epoch = link.slots.epoch
                    self.budget.check()
                    sent += 1
                    try:
                        answer = await self._attempt(link.transport, request)
                        link.slots.widen()
                        return answer, sent
                    except _TransientError as error:
                        if error.busy:
                            link.slots.narrow(epoch)
                        delay = find_delay(self.endpoint.retry, sent, error.asked, rng)
                        if delay is None:
                            raise PlayerError(f"{self._name()} failed at attempt {sent}: {error}") from None
                    self.spent.repeated += 1
                    await asyncio.sleep(delay)
            raise PlayerError(f"{self._name()} was not asked: the retry policy allows no attempt")
        finally:
            if self._cache is not None and sent and answer is None:
                self._cache.note_failure(self.role, sent)

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        link, self._line.link = self._line.link, None
        if link is not None:
            await link.transport.close()

    def _connect(self) -> _Link:
        loop = asyncio.get_running_loop()
        if self._line.link is None or self._line.link.loop is not loop:
            transport = open_transport(self.endpoint.base_url, self.read_key(), self.endpoint.timeout)
            self._line.link = _Link(loop, transport, AdaptiveLimit(self.endpoint.width))
        return self._line.link

    def read_key(self) -> str:
        """Return the key from the environment; raises InputError where one is needed and none is set."""
        key = os.environ.get(self.endpoint.key_env)
        if key:
            return key
        if self.endpoint.base_url is None:
            raise InputError(
                f"no key for model {self.endpoint.model!r}: set the environment variable {self.endpoint.key_env}, "
                "or name a local server by its base URL"
            )
        return "none"  # local servers ask for no key

    async def _attempt(self, transport: Transport, request: ChatRequest) -> ChatAnswer:
        self.spent.attempts += 1
        try:
            response = await transport.post(_spell(self.endpoint.model, request))
            if response.status >= 300:
                raise self._judge_status(response)
            answer = read_answer(response.body)
        except TimeoutError:
            raise _TransientError(f"no answer within {self.endpoint.timeout:g} s", busy=True) from None
        except ConnectionFailedError as error:
            raise _TransientError(self._redact(f"connection failed: {error}")) from None
        except AnswerError as error:
            raise _TransientError(self._redact(str(error))) from None
        self.spent.answers += 1
        self.spent.usage = _add(self.spent.usage, answer.usage)
        dollars = self.endpoint.price.cost(answer.usage)
        self.spent.dollars += dollars
        self.budget.charge(dollars)
        return answer

    def _judge_status(self, response: Response) -> Exception:
        """Return what a status that is no success means."""
        status, problem = response.status, read_problem(response.body)
        said = self._redact(f"HTTP {status}: {problem.message}")[:500]
        if status == 402 or problem.code == "insufficient_quota":
            return BudgetError(f"{self._name()} has no quota left: {said}")
        if is_transient(status):
            asked = read_retry_after(response.retry_after, time.time())
            return _TransientError(said, asked, busy=status in (408, 429, 503))
        if status in (401, 403, 404):
            key = f"the key in ${self.endpoint.key_env}"
            return InputError(f"{self._name()} refuses: {said}; check the model's name, the base URL and {key}")
        if problem.code == "context_length_exceeded" or "context length" in said:
            return ContextError(said)
        return RefusedError(f"{self._name()} refuses the request: {said}")

    def _redact(self, text: str) -> str:
        """Return the text without the key: some servers repeat the headers in their error."""
        key = os.environ.get(self.endpoint.key_env)
        return text.replace(key, "[key]") if key else text

    def _name(self) -> str:
        url = self.endpoint.base_url
        return f"model {self.endpoint.model!r} at {hide_login(url) if url else 'the default endpoint'}"


def _spell(model: str, request: ChatRequest) -> bytes:
    """Return the body of a request; unset fields are not sent, since not every server knows them."""
    fields: dict[str, Any] = {"model": model, "messages": request.messages}
    if request.tools:
        fields["tools"] = request.tools
    if request.seed is not None:
        fields["seed"] = request.seed
    return json.dumps(fields | request.options).encode()


def _add(left: Usage, right: Usage) -> Usage:
    return Usage(
        prompt=left.prompt + right.prompt,
        completion=left.completion + right.completion,
        cached=left.cached + right.cached,
    )
