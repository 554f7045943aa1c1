"""A chat-completions server on a free loopback port whose answers a function decides."""

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class Handler(BaseHTTPRequestHandler):
    """Reads a request body as JSON and hands it with itself to the server's `answer`."""

    protocol_version = "HTTP/1.1"
    server: "ChatServer"

    def do_POST(self) -> None:
        """Answer one request."""
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length))
        self.server.answer(self, body)

    def send_json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send a value as JSON."""
        self.send_bytes(json.dumps(value).encode(), status, {"content-type": "application/json", **(headers or {})})

    def send_bytes(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send bytes under a status with headers."""
        self.send_response(status)
        for name, value in {"content-length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""


class ChatServer(ThreadingHTTPServer):
    """Serves while the `with` block runs; `base_url` is what a client is given."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: Callable[[Handler, dict[str, Any]], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer

    @property
    def base_url(self) -> str:
        """The API's address."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hung up: some tests do so on purpose."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def completion(message: dict[str, Any], finish: str = "stop", usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a chat completion with one choice."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "local",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": usage or {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
