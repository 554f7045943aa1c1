"""The server's pages: what is answered, and what becomes of whoever goes away."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from veriloop.rollout.endpoint import write_call
from veriloop.serve.answer import Answer, Piece
from veriloop.serve.desk import Desk
from veriloop.serve.dialogue import RequestError
from veriloop.serve.guard import Guard, write_refusal
from veriloop.serve.reply import write_chunk, write_completion, write_count, write_error, write_event
from veriloop.serve.request import Asked, read_request

BODY_BYTES = 8 * 2**20
BODY_SECONDS = 30.0
_GONE = 499
"""What nobody reads: the client left."""


def make_app(desk: Desk, model: str, *, key: str = "") -> ASGIApp:
    """Return the application that serves `desk` as `model`; key: what clients must show, empty where none is asked."""
    pages = _Pages(desk, model)
    routes = [
        Route("/v1/chat/completions", pages.complete, methods=["POST"]),
        Route("/v1/models", pages.list_models),
        Route("/health", pages.tell_health),
    ]
    handlers: dict[Any, Any] = {RequestError: _refuse, HTTPException: _refuse_page}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), key)


class _Line:
    """One request at the desk, from the event loop's side."""

    def __init__(self, desk: Desk, asked: Asked) -> None:
        loop, self._desk = asyncio.get_running_loop(), desk
        self._events = asyncio.Queue[Piece | Answer | RequestError]()

        def tell(event: Piece | Answer | RequestError) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._events.put_nowait, event)

        self.ticket = desk.ask(asked, tell)

    async def next(self) -> Piece | Answer:
        """Return what comes next; raises RequestError."""
        event = await self._events.get()
        if isinstance(event, RequestError):
            raise event
        return event

    async def next_unless_gone(self, request: Request) -> Piece | Answer | None:
        """Return what comes next, or None once the client has left."""
        coming, leaving = asyncio.ensure_future(self.next()), asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait((coming, leaving), return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            coming.cancel()
            leaving.cancel()

    def close(self) -> None:
        """Give up what has not come."""
        self._desk.drop(self.ticket)


class _Stream(StreamingResponse):
    """A stream that frees its place at the desk however it ends."""

    def __init__(self, content: AsyncIterator[bytes], line: _Line) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"cache-control": "no-cache"})
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._line.close()


class _Pages:
    """What is answered at each address."""

    def __init__(self, desk: Desk, model: str) -> None:
        self._desk, self._model, self._since = desk, model, int(time.time())

    async def complete(self, request: Request) -> Response:
        """Answer a dialogue."""
        asked = read_request(await _read_body(request), self._model, self._desk.seat)
        line = _Line(self._desk, asked)
        streams = False
        try:
            first = await line.next_unless_gone(request)
            if first is None:
                return Response(status_code=_GONE)
            if isinstance(first, Answer) and not asked.stream:
                return JSONResponse(write_completion(self._name(line), self._model, first))
            streams = True
            return _Stream(self._write_stream(line, first, asked), line)
        finally:
            if not streams:
                line.close()

    async def list_models(self, request: Request) -> Response:
        """Name the one model."""
        entry = {"id": self._model, "object": "model", "created": self._since, "owned_by": "veriloop"}
        return JSONResponse({"object": "list", "data": [{**entry, "max_model_len": self._desk.context}]})

    async def tell_health(self, request: Request) -> Response:
        """Say whether the model can be asked, and how many replies are under way."""
        status = "ok" if self._desk.open else "stopped"
        return JSONResponse({"status": status, "busy": self._desk.busy}, 200 if self._desk.open else 503)

    def _name(self, line: _Line) -> str:
        return f"chatcmpl-{self._since:x}-{line.ticket}"

    async def _write_stream(self, line: _Line, event: Piece | Answer, asked: Asked) -> AsyncIterator[bytes]:
        name, said = self._name(line), ""
        yield write_chunk(name, self._model, {"role": "assistant", "content": ""})
        try:
            while isinstance(event, Piece):
                said += event.text
                yield write_chunk(name, self._model, {"content": event.text})
                event = await line.next()
        except RequestError as refusal:
            yield write_event(write_error(refusal))
            return
        if rest := event.content[len(said) :]:
            yield write_chunk(name, self._model, {"content": rest})
        for index, call in enumerate(event.calls):
            yield write_chunk(name, self._model, {"tool_calls": [{"index": index, **write_call(call)}]})
        yield write_chunk(name, self._model, {}, event)
        if asked.usage:
            yield write_count(name, self._model, event.usage)
        yield b"data: [DONE]\n\n"


async def _read_body(request: Request) -> bytes:
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES:
                    raise RequestError(f"the body is larger than {BODY_BYTES} bytes", status=413)
                parts.append(part)
    except TimeoutError:
        raise RequestError(f"the body did not come within {BODY_SECONDS:g} s", status=408) from None
    return b"".join(parts)


async def _refuse(_: Request, refusal: RequestError) -> Response:
    return write_refusal(refusal)


async def _refuse_page(request: Request, error: HTTPException) -> Response:
    known = "POST /v1/chat/completions, GET /v1/models and GET /health"
    said = f"{request.method} {request.url.path[:100]}: {error.detail}; there are {known}"
    return write_refusal(RequestError(said, status=error.status_code))
