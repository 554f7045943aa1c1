"""`veriloop serve` in a thread, a client that speaks plain HTTP to it, and models that say what they are told to."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veriloop.local.chat import CHATML_TEMPLATE
from veriloop.local.model import LoadedModel, ModelSettings
from veriloop.local.nano import make_nano
from veriloop.local.sampler import Reply
from veriloop.local.tokenizer import train_tokenizer
from veriloop.serve.desk import Desk
from veriloop.serve.server import Running, ServeConfig, open_server

TOOL = {"type": "function", "function": {"name": "get_parcel", "description": "d", "parameters": {"type": "object"}}}
HELLO = {"role": "user", "content": "I want to send parcel VP123 back to the sender, please."}


class Client:
    """Speaks plain HTTP to a server."""

    def __init__(self, running: Running) -> None:
        self.running, self.url = running, running.base_url

    def send(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Return status and JSON of an answer; body: bytes, or what is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def ask(self, *messages: dict[str, Any], **fields: Any) -> tuple[int, Any]:
        """Return status and answer to a dialogue."""
        return self.send("/chat/completions", self.body(*messages, **fields))

    def body(self, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Return a request's body."""
        return {"model": self.running.model, "messages": messages or (HELLO,), "max_tokens": 8, **fields}

    def stream(self, *messages: dict[str, Any], **fields: Any) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream up to its end."""
        data = json.dumps(self.body(*messages, stream=True, **fields)).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/chat/completions", data), timeout=60) as found:
            assert found.headers["content-type"].startswith("text/event-stream")
            lines = [line.decode().removeprefix("data: ").strip() for line in found if line.strip()]
        assert lines.pop() == "[DONE]"
        yield from map(json.loads, lines)


@contextmanager
def serving(model: str | Path, **settings: Any) -> Iterator[Client]:
    """Serve a model on a free port while the block runs."""
    running = open_server(model, ServeConfig(port=0, **settings))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield Client(running)
    finally:
        running.server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def make_loaded(*, plain: bool = False) -> LoadedModel:
    """Return an untrained model: with aliases, or one that reads the schemas of its tools."""
    texts = ["I want to send parcel back to the sender, please.", '{"tracking": "<V3>"} <tool_call></tool_call>']
    tokenizer = train_tokenizer(texts * 5, vocabulary=700)
    settings = ModelSettings(aliases=True, policy="none")
    if plain:
        tokenizer.chat_template, settings = CHATML_TEMPLATE, ModelSettings()
    return LoadedModel(make_nano(tokenizer, "pico").eval(), tokenizer, settings)


class Told:
    """Stands in for a desk's sampler: the replies are these texts in turn, a token a step, all else is as it was."""

    def __init__(self, desk: Desk, texts: Sequence[str], *, cut: bool = False) -> None:
        self._tokenizer, self._texts, self._cut = desk._loaded.tokenizer, list(texts), cut
        self._live: dict[int, tuple[list[int], int]] = {}
        self.fed: list[list[int]] = []
        self.wanted: list[dict[str, Any]] = []
        desk._sampler = self  # pyright: ignore[reportAttributeAccessIssue]

    def begin(self, ticket: int, key: str | None, context: list[int], seed: int, **wanted: Any) -> None:
        end = [] if self._cut else [self._tokenizer.eos_token_id]
        self._live[ticket] = self._tokenizer.encode(self._texts.pop(0), add_special_tokens=False) + end, 0
        self.fed.append(context)
        self.wanted.append({"seed": seed, **wanted})

    def advance(self) -> list[tuple[int, Reply]]:
        self._live = {ticket: (ids, done + 1) for ticket, (ids, done) in self._live.items()}
        complete = [ticket for ticket, (ids, done) in self._live.items() if done >= len(ids)]
        replies = [(ticket, self._live.pop(ticket)[0]) for ticket in complete]
        return [(ticket, Reply(ids, [-0.5] * len(ids), self._cut)) for ticket, ids in replies]

    def written(self) -> dict[int, list[int]]:
        return {ticket: ids[:done] for ticket, (ids, done) in self._live.items()}

    def drop(self, ticket: int) -> None:
        self._live.pop(ticket, None)

    def forget(self) -> None:
        self._live.clear()
