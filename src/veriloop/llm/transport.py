"""How requests travel: JSON over HTTP, on connections that stay open for the next one.

aiohttp and not the openai SDK: at 64 requests in flight the SDK's HTTP library spends milliseconds of processor time a
call on looking through its connections, and as long on copying messages whose shape was known.
"""

import importlib
import json
import os
import socket
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from veriloop.core.base import Frozen
from veriloop.core.errors import InputError

OPENAI = "https://api.openai.com/v1"
"""Where models are asked that no address is given for, unless OPENAI_BASE_URL names another place."""


class ConnectionFailedError(Exception):
    """No whole response came; says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. retry_after: that header's value."""

    status: int
    body: bytes
    retry_after: str | None = None


class Problem(Frozen):
    """What an error's body says."""

    message: str
    code: str = ""


class Transport(Protocol):
    """Sends requests of one event loop."""

    async def post(self, body: bytes) -> Response:
        """Return the response to a request body; raises ConnectionFailedError or TimeoutError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def open_transport(base_url: str | None, key: str, timeout: float) -> Transport:
    """Return what sends chat requests to an API; to be called in the event loop that will use it.

    timeout: seconds until a response is there in full. aiohttp takes a fifth of a second to import, so that happens
    here.
    """
    return _Http(_find_address(base_url), key, timeout)


class _Http:
    def __init__(self, url: str, key: str, timeout: float) -> None:
        self._http: Any = importlib.import_module("aiohttp")
        self._url = url
        # Where the address holds a login, that is what the server wants.
        bearer = {} if urlsplit(url).username else {"Authorization": f"Bearer {key}"}
        self._session = self._http.ClientSession(
            headers={"Content-Type": "application/json", **bearer},
            timeout=self._http.ClientTimeout(total=timeout),
            connector=self._http.TCPConnector(limit=0),
            # Not aiohttp's own trust in the environment: it takes logins from ~/.netrc too, and stumbles over the key.
            proxy=_find_proxy(url),
        )

    async def post(self, body: bytes) -> Response:
        try:
            async with self._session.post(self._url, data=body) as response:
                return Response(response.status, await response.read(), response.headers.get("Retry-After"))
        except TimeoutError:
            raise
        except self._http.InvalidURL as error:
            raise InputError(f"{hide_login(self._url)!r} is no address; name one like http://host:8000/v1") from error
        except (self._http.ClientError, OSError) as error:
            raise ConnectionFailedError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        await self._session.close()


def check_reachable(base_url: str | None, timeout: float = 5.0) -> None:
    """Raise InputError when nothing listens where a model is said to be served; nothing is asked.

    Where a proxy stands between, nobody can tell, and nothing is raised.
    """
    url = _find_address(base_url)
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if not _find_proxy(url):
            socket.create_connection((parts.hostname or "", port), timeout).close()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"nothing answers at {hide_login(base_url or url)} ({error}); start the server, or mend the address"
        ) from error


def read_problem(body: bytes) -> Problem:
    """Return what the body of an error says, in the shape that OpenAI gives it or in that of common servers."""
    try:
        found = json.loads(body)
    except ValueError:
        return Problem(message=body.decode(errors="replace").strip())
    inner = found.get("error", found) if isinstance(found, dict) else found
    if not isinstance(inner, dict):
        return Problem(message=str(inner))
    message = next((inner[key] for key in ("message", "detail") if inner.get(key)), body.decode(errors="replace"))
    return Problem(message=str(message), code=str(inner.get("code") or ""))


def hide_login(url: str) -> str:
    """Return a URL without the user, password and query that some carry."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _find_proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _find_address(base_url: str | None) -> str:
    return _spell_address(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI)


def _spell_address(base_url: str) -> str:
    """Return where chat completions are asked for; a query, such as an API's version, stays at the end."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/chat/completions"))
