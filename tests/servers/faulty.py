"""A server that misbehaves on purpose: each request takes the next fault of a script, and after it all is well."""

import json
import threading
import time
from typing import Any, Self

from servers.http import ChatServer, Handler, completion

GOOD = completion({"content": "Hello."})


class FaultyServer(ChatServer):
    """Plays `script`, one entry per request; `requests` keeps (body, headers, time) of each."""

    def __init__(self, *script: Any, good: dict[str, Any] | None = None) -> None:
        super().__init__(self._play)
        self._script = list(script)
        self._good = good or GOOD
        self._lock = threading.Lock()
        self._inside = 0
        self.busiest = 0
        self.requests: list[tuple[dict[str, Any], dict[str, str], float]] = []

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def _play(self, handler: Handler, body: dict[str, Any]) -> None:
        with self._lock:
            headers = {name.lower(): value for name, value in handler.headers.items()}
            self.requests.append((body, headers, time.monotonic()))
            fault = self._script.pop(0) if self._script else None
            self._inside += 1
            self.busiest = max(self.busiest, self._inside)
        try:
            if fault is None:
                handler.send_json(self._good)
            else:
                fault(handler)
        finally:
            with self._lock:
                self._inside -= 1


def status(code: int, headers: dict[str, str] | None = None, error: dict[str, Any] | None = None) -> Any:
    """An error status with an OpenAI-style error body."""
    body = {"error": {"message": "no", "type": "x", "code": None, **(error or {})}}
    return lambda handler: handler.send_json(body, code, headers)


def hang(seconds: float) -> Any:
    """Say nothing for a while, then answer."""

    def play(handler: Handler) -> None:
        time.sleep(seconds)
        handler.send_json(GOOD)

    return play


def trickle(seconds: float) -> Any:
    """Send a byte of the answer now and then, so that no read ever times out."""

    def play(handler: Handler) -> None:
        data = json.dumps(GOOD).encode()
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        end = time.monotonic() + seconds
        for byte in data:
            if time.monotonic() > end:
                break
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.05)

    return play


def cut_json() -> Any:
    """A complete response whose JSON ends in the middle."""
    data = json.dumps(GOOD).encode()[:-40]
    return lambda handler: handler.send_bytes(data, 200, {"content-type": "application/json"})


def cut_body() -> Any:
    """A response shorter than its content-length, the connection closed."""

    def play(handler: Handler) -> None:
        data = json.dumps(GOOD).encode()
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:50])
        handler.close_connection = True

    return play


def hang_up() -> Any:
    """Close the connection without a word."""

    def play(handler: Handler) -> None:
        handler.close_connection = True

    return play


def empty_choices() -> Any:
    """A completion without a choice."""
    return lambda handler: handler.send_json({**GOOD, "choices": []})


def html_page() -> Any:
    """A proxy's page under status 200."""
    return lambda handler: handler.send_bytes(b"<html>busy</html>", 200, {"content-type": "text/html"})


def json_as_text() -> Any:
    """A good completion under a wrong content type."""
    return lambda handler: handler.send_bytes(json.dumps(GOOD).encode(), 200, {"content-type": "text/plain"})


def say(message: dict[str, Any], finish: str = "stop") -> Any:
    """A completion with this message."""
    return lambda handler: handler.send_json(completion(message, finish))


def call(arguments: Any, name: str = "get_parcel", id_: str | None = "a") -> Any:
    """A completion that calls a tool with arguments as they are."""
    calls = [{"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}]
    return say({"content": None, "tool_calls": calls}, "tool_calls")
