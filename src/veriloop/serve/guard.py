"""Who may ask."""

import hmac
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from veriloop.serve.dialogue import RequestError
from veriloop.serve.reply import write_error


class Guard:
    """Refuses who shows no key, or, where none is asked, who calls us by a name that a foreign page has given us."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._key = app, key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        headers = Request(scope).headers
        refusal = self._judge(headers.get("host", ""), headers.get("origin"))
        if refusal is None and self._key and scope["path"] != "/health":
            scheme, _, given = headers.get("authorization", "").encode("latin-1").partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._key):
                refusal = RequestError("the API key is missing or wrong", status=401, code="invalid_api_key")
        await (write_refusal(refusal) if refusal else self._app)(scope, receive, send)

    def _judge(self, host: str, origin: str | None) -> RequestError | None:
        name = _host_of(f"//{host}")
        if not self._key and not is_loopback(name):
            return RequestError(f"requests for host {host[:100]!r} are not answered; use 127.0.0.1", status=403)
        if origin is not None and _host_of(origin) != name and not is_loopback(_host_of(origin)):
            return RequestError(f"pages of {origin[:100]!r} may not ask here", status=403)
        return None


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address means this machine alone."""
    with suppress(ValueError):
        return ip_address(host.strip("[]")).is_loopback
    return host.lower() == "localhost"


def write_refusal(refusal: RequestError) -> JSONResponse:
    """Return a refusal as a response."""
    return JSONResponse(write_error(refusal), refusal.status)


def _host_of(address: str) -> str:
    with suppress(ValueError):
        return urlsplit(address).hostname or ""
    return ""
