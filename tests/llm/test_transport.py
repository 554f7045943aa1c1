"""How requests travel: addresses, logins, keys, and what errors say."""

import asyncio
import base64
import json

import pytest

from servers import faulty
from servers.faulty import FaultyServer
from veriloop.core.errors import InputError
from veriloop.llm.transport import (
    OPENAI,
    Problem,
    Response,
    _spell_address,
    check_reachable,
    hide_login,
    open_transport,
    read_problem,
)


def post(address: str | None, key: str = "k", body: bytes = b"{}", timeout: float = 5.0) -> Response:
    async def once() -> Response:
        transport = open_transport(address, key, timeout)
        try:
            return await transport.post(body)
        finally:
            await transport.close()

    return asyncio.run(once())


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("http://h:8000/v1", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/", "http://h:8000/v1/chat/completions"),
        ("https://h/openai?api-version=2", "https://h/openai/chat/completions?api-version=2"),
        ("http://me:secret@h/v1", "http://me:secret@h/v1/chat/completions"),
    ],
)
def test_the_path_is_appended_and_the_rest_kept(base_url: str, address: str):
    assert _spell_address(base_url) == address
    assert "secret" not in hide_login(address) and "api-version" not in hide_login(address)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error": {"message": "no", "code": "insufficient_quota"}}', "no", "insufficient_quota"),
        (b'{"error": {"message": "no", "code": 40}}', "no", "40"),
        (b'{"error": "model not loaded"}', "model not loaded", ""),
        (b'{"detail": "Not Found"}', "Not Found", ""),
        (b'{"message": "busy", "code": null}', "busy", ""),
        (b'["odd"]', "['odd']", ""),
        (b"<html>busy</html>", "<html>busy</html>", ""),
        (b"\xff\xfe", "\ufffd\ufffd", ""),
        (b'{"error": {}}', '{"error": {}}', ""),
        (b"", "", ""),
    ],
)
def test_what_an_error_says_is_found_wherever_servers_put_it(body: bytes, message: str, code: str):
    assert read_problem(body) == Problem(message=message, code=code)


def test_the_key_goes_as_bearer_and_a_login_in_its_place():
    with FaultyServer() as server:
        post(server.base_url, "secret")
        post(server.base_url.replace("http://", "http://me:pass@"), "secret")
    sent = [headers["authorization"] for _, headers, _ in server.requests]
    assert sent == ["Bearer secret", f"Basic {base64.b64encode(b'me:pass').decode()}"]


def test_a_login_file_of_the_machine_does_not_replace_the_key(tmp_path, monkeypatch: pytest.MonkeyPatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultyServer() as server:
        post(server.base_url, "secret")
    assert server.requests[0][1]["authorization"] == "Bearer secret"


def test_without_an_address_the_variable_names_it(monkeypatch: pytest.MonkeyPatch):
    with FaultyServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert json.loads(post(None).body)["choices"]
    assert OPENAI.startswith("https://")


def test_the_status_and_the_wished_delay_come_with_the_body():
    with FaultyServer(faulty.status(429, {"retry-after": "7"})) as server:
        found = post(server.base_url)
    assert (found.status, found.retry_after) == (429, "7") and b"error" in found.body


@pytest.mark.parametrize("address", ["http://", "http://:80/v1", "not an address"])
def test_what_is_no_address_is_named(address: str):
    with pytest.raises(InputError, match="is no address"):
        post(address)


def test_a_proxy_of_the_environment_is_used_unless_the_host_is_excepted(monkeypatch: pytest.MonkeyPatch):
    with FaultyServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert post("http://models.invalid/v1", "secret").status == 200
        with FaultyServer() as server:
            post(server.base_url)
        assert (len(proxy.requests), len(server.requests)) == (1, 1)
    assert proxy.requests[0][1]["host"] == "models.invalid"


def test_a_server_that_listens_is_reached_without_a_request():
    with FaultyServer() as server:
        check_reachable(server.base_url)
        assert server.requests == []
        address = server.base_url
    with pytest.raises(InputError, match=r"nothing answers at http://127.0.0.1:\d+/v1"):
        check_reachable(address)


@pytest.mark.parametrize("address", ["http://", "ftp://host/v1", "http://h:port/v1", "nonsense"])
def test_an_address_that_cannot_be_reached_is_named(address: str):
    with pytest.raises(InputError, match="nothing answers at"):
        check_reachable(address)


def test_nobody_can_tell_who_listens_behind_a_proxy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    check_reachable("http://models.invalid/v1")
