"""The client of one OpenAI-compatible endpoint: bounded concurrency, one retry layer, counted usage.

Three kinds of failure are kept apart. What passes (rate limits, server faults, time-outs, cut or empty answers) is
tried again and ends as PlayerError: the dialogue is void. What no repetition mends and the caller must fix (wrong key,
unknown model) is an InputError, an exhausted quota a BudgetError: both stop the work. What the model or the dialogue
itself got wrong is in the answer, or a ContextError, for the player to judge.
"""

import asyncio
import copy
import importlib
import os
import random
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from veriloop.core.base import derive_seed
from veriloop.core.errors import BudgetError, InputError, PlayerError, VeriloopError
from veriloop.core.message import Usage
from veriloop.llm.cache import Cache, make_key
from veriloop.llm.chat import AnswerError, ChatAnswer, ChatRequest, ContextError, RefusedError, read_answer
from veriloop.llm.limit import AdaptiveLimit
from veriloop.llm.price import Budget, Price
from veriloop.llm.retry import Retry, find_delay, is_transient, read_retry_after


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served and how it is asked.

    base_url: of the API ("http://127.0.0.1:8000/v1"); None means the SDK's default. key_env: name of the environment
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
    """The SDK's client and the limit on requests in flight; both belong to one event loop."""

    loop: asyncio.AbstractEventLoop
    sdk: Any
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
                        answer = await self._attempt(link.sdk, request)
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
            await link.sdk.close()

    def _connect(self) -> _Link:
        loop = asyncio.get_running_loop()
        if self._line.link is None or self._line.link.loop is not loop:
            sdk = _open_sdk(self.endpoint, self.read_key())
            self._line.link = _Link(loop, sdk, AdaptiveLimit(self.endpoint.width))
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
        return "none"  # local servers ask for no key, but the SDK wants one

    async def _attempt(self, sdk: Any, request: ChatRequest) -> ChatAnswer:
        openai = importlib.import_module("openai")
        self.spent.attempts += 1
        try:
            # The SDK's own time-out starts anew with each byte; an endpoint that trickles must end as well.
            async with asyncio.timeout(self.endpoint.timeout):
                response = await sdk.chat.completions.with_raw_response.create(**_spell(self.endpoint.model, request))
            answer = read_answer(response.content)
        except (TimeoutError, openai.APITimeoutError):
            raise _TransientError(f"no answer within {self.endpoint.timeout:g} s", busy=True) from None
        except openai.APIStatusError as error:
            raise self._judge_status(error) from None
        except openai.APIConnectionError as error:
            raise _TransientError(self._redact(f"connection failed: {error.__cause__ or error}")) from None
        except AnswerError as error:
            raise _TransientError(self._redact(str(error))) from None
        self.spent.answers += 1
        self.spent.usage = _add(self.spent.usage, answer.usage)
        dollars = self.endpoint.price.cost(answer.usage)
        self.spent.dollars += dollars
        self.budget.charge(dollars)
        return answer

    def _judge_status(self, error: Any) -> Exception:
        """Return what a status of 4xx or 5xx means."""
        status: int = error.status_code
        said = self._redact(f"HTTP {status}: {error.message}")[:500]
        if status == 402 or error.code == "insufficient_quota":
            return BudgetError(f"{self._name()} has no quota left: {said}")
        if is_transient(status):
            asked = read_retry_after(error.response.headers.get("retry-after"), time.time())
            return _TransientError(said, asked, busy=status in (408, 429, 503))
        if status in (401, 403, 404):
            key = f"the key in ${self.endpoint.key_env}"
            return InputError(f"{self._name()} refuses: {said}; check the model's name, the base URL and {key}")
        if error.code == "context_length_exceeded" or "context length" in said:
            return ContextError(said)
        return RefusedError(f"{self._name()} refuses the request: {said}")

    def _redact(self, text: str) -> str:
        """Return the text without the key: some servers repeat the headers in their error."""
        key = os.environ.get(self.endpoint.key_env)
        return text.replace(key, "[key]") if key else text

    def _name(self) -> str:
        url = self.endpoint.base_url
        return f"model {self.endpoint.model!r} at {_hide_login(url) if url else 'the default endpoint'}"


def _open_sdk(endpoint: Endpoint, key: str) -> Any:
    """Return the SDK's client; importing the SDK takes most of a second, so it happens at the first request."""
    try:
        openai = importlib.import_module("openai")
    except ImportError as error:  # a core dependency, so only a broken installation comes here
        raise VeriloopError(f"the openai package cannot be imported ({error}); run: pip install openai") from error
    return openai.AsyncOpenAI(api_key=key, base_url=endpoint.base_url, max_retries=0, timeout=endpoint.timeout)


def _hide_login(url: str) -> str:
    """Return a URL without the user, password and query that some carry."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _spell(model: str, request: ChatRequest) -> dict[str, Any]:
    """Return the arguments of the SDK's call; unset fields are not sent, since not every server knows them."""
    fields: dict[str, Any] = {"model": model, "messages": request.messages}
    if request.tools:
        fields["tools"] = request.tools
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.options:
        fields["extra_body"] = request.options
    return fields


def _add(left: Usage, right: Usage) -> Usage:
    return Usage(
        prompt=left.prompt + right.prompt,
        completion=left.completion + right.completion,
        cached=left.cached + right.cached,
    )
