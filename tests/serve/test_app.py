"""What clients see: shapes, streams, refusals, and what happens when they go away."""

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from servers.served import HELLO, TOOL, Client, Told, serving
from veriloop.serve import app
from veriloop.serve.guard import is_loopback

CALL = '<|call|>get_parcel {"tracking": "<V0>"}'


@pytest.fixture
def told(folder: Path):
    """A client whose model says what it is told to."""
    with serving(folder) as client:
        yield lambda *texts, **more: (client, Told(client.running.desk, texts, **more))[0]


def wait_until(condition: Any, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_an_answer_has_the_shape_of_a_completion(client: Client):
    status, found = client.ask(seed=1)
    assert status == 200 and found["object"] == "chat.completion" and found["model"] == "pico"
    choice, usage = found["choices"][0], found["usage"]
    assert choice["message"]["role"] == "assistant" and isinstance(choice["message"]["content"], str)
    assert choice["finish_reason"] == "length" and usage["completion_tokens"] == 8
    assert usage["total_tokens"] == usage["prompt_tokens"] + 8 and len(found["choices"]) == 1
    again = client.ask(seed=1)[1]
    assert again["choices"] == found["choices"] and again["id"] != found["id"]
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"] - 1


def test_calls_have_ids_and_arguments_in_a_string(told):
    status, found = told(CALL).ask(tools=[TOOL])
    choice = found["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert status == 200 and choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    assert call["type"] == "function" and call["function"]["name"] == "get_parcel" and call["id"].startswith("call_0_")
    assert json.loads(call["function"]["arguments"]) == {"tracking": "VP123"}


def test_what_cannot_be_read_is_text_and_marked(told):
    choice = told("<|call|>get_parcel {").ask(tools=[TOOL])[1]["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "<|call|>get_parcel {"}
    assert choice["finish_reason"] == "stop" and "no JSON" in choice["malformed_output"]


@pytest.mark.parametrize("text", ["I want to send it back.", CALL, f"I look. {CALL}", "", "well <|user|>"])
def test_a_stream_says_what_a_whole_answer_says(told, text: str):
    client = told(text, text)
    whole = client.ask(tools=[TOOL])[1]
    events = list(client.stream(tools=[TOOL], stream_options={"include_usage": True}))
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events}) == 1 and events[0]["choices"][0]["delta"]["role"] == "assistant"
    *chunks, count = events
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    message = whole["choices"][0]["message"]
    assert "".join(delta.get("content") or "" for delta in deltas) == (message["content"] or "")
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert calls == [{"index": n, **call} for n, call in enumerate(message.get("tool_calls", ()))]
    last = chunks[-1]["choices"][0]
    for field in ("finish_reason", "malformed_output"):
        assert last.get(field) == whole["choices"][0].get(field)
    assert count["choices"] == [] and count["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"]
    if text.startswith("I want"):
        assert len(deltas) > 4


def test_a_stream_that_is_not_asked_to_count_does_not(told):
    assert all(event["choices"] for event in told("hello").stream())


def test_models_and_health(client: Client):
    status, found = client.send("/models")
    assert status == 200 and [entry["id"] for entry in found["data"]] == ["pico"]
    assert found["data"][0]["max_model_len"] == client.running.desk.context == 2048
    root = Client(client.running)
    root.url = client.url.removesuffix("/v1")
    assert root.send("/health") == (200, {"status": "ok", "busy": 0})


def check_error(answer: tuple[int, Any], status: int, said: str, **more: Any) -> None:
    assert answer[0] == status
    error = answer[1]["error"]
    assert error.keys() == {"message", "type", "param", "code"} and said in error["message"]
    assert all(error[name] == value for name, value in more.items())


def test_refusals_are_openais_error_objects(client: Client):
    check_error(client.ask(n=2), 400, "n = 2 cannot be honoured", param="n", type="invalid_request_error")
    check_error(client.ask(model="x"), 404, "ask for 'pico'", code="model_not_found")
    check_error(client.ask(stream=True, n=2), 400, "n = 2")
    long = {"role": "user", "content": "parcel back " * 2000}
    for stream in (False, True):
        check_error(client.ask(long, stream=stream), 400, "context length", code="context_length_exceeded")
    check_error(client.send("/chat/completions", b"{"), 400, "no JSON")
    check_error(client.send("/chat/completions"), 405, "there are POST /v1/chat/completions")
    check_error(client.send("/embeddings", {}), 404, "/v1/embeddings: Not Found")


def test_large_and_slow_bodies_are_refused(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(app, "BODY_BYTES", 1000)
    check_error(client.ask({"role": "user", "content": "x" * 2000}), 413, "larger than 1000 bytes")
    monkeypatch.setattr(app, "BODY_SECONDS", 0.2)
    with connect(client) as line:
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{")
        assert b"408" in line.recv(1000).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:1", None, 200), ("localhost", None, 200), ("[::1]:80", None, 200),
        ("evil.example", None, 403), ("", None, 403), ("127.0.0.1.evil.example", None, 403), ("[", None, 403),
        ("127.0.0.1", "http://localhost:3000", 200), ("127.0.0.1", "http://127.0.0.1", 200),
        ("127.0.0.1", "https://evil.example", 403), ("127.0.0.1", "null", 403),
        ("127.0.0.1", "http://localhost.evil.example", 403),
    ],
)  # fmt: skip
def test_foreign_hosts_and_pages_are_refused(client: Client, host: str, origin: str | None, status: int):
    headers = {"host": host, **({"origin": origin} if origin else {})}
    found, answer = client.send("/models", headers=headers)
    assert found == status and ("error" in answer) == (status == 403)


def test_with_a_key_nothing_but_health_is_told_without_it(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VERILOOP_API_KEY", "secret-é")
    with serving(folder) as client:
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}, {"authorization": "x"}):
            check_error(client.send("/models", headers=given), 401, "API key", code="invalid_api_key")
        good = {"authorization": "Bearer " + "secret-é".encode().decode("latin-1")}
        assert client.send("/models", headers=good)[0] == 200
        assert client.send("/models", headers={"authorization": good["authorization"].replace("B", "b")})[0] == 200
        # Who knows the key is no page that was tricked: other names of this machine are fine, foreign pages are not.
        assert client.send("/models", headers={**good, "host": "box.example"})[0] == 200
        assert client.send("/models", headers={**good, "host": "box.example", "origin": "http://a.example"})[0] == 403
        client.url = client.url.removesuffix("/v1")
        assert client.send("/health")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "::1", "[::1]", "127.8.8.8"])
def test_this_machine(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", ""])
def test_not_this_machine(host: str):
    assert not is_loopback(host)


@contextlib.contextmanager
def connect(client: Client):
    host, _, port = client.url.removeprefix("http://").removesuffix("/v1").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        yield line


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_place(folder: Path, stream: bool):
    with serving(folder, rows=1, context=30_000) as client:
        data = json.dumps({**client.body(max_tokens=29_000), "stream": stream}).encode()
        desk = client.running.desk
        with connect(client) as line:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(data)}\r\n\r\n"
            line.sendall(head.encode() + data)
            assert wait_until(lambda: desk._sampler._writing == 1)
            if stream:
                assert b"200" in line.recv(1000).partition(b"\r\n")[0]
        assert wait_until(lambda: not desk.busy and not desk._sampler._writing)
        assert client.ask()[0] == 200


def test_requests_share_a_connection_and_many_come_at_once(client: Client):
    host = client.url.removeprefix("http://").removesuffix("/v1")
    line = http.client.HTTPConnection(host, timeout=30)
    for _ in range(3):
        line.request("POST", "/v1/chat/completions", json.dumps(client.body()))
        assert json.loads(line.getresponse().read())["object"] == "chat.completion"
    others = [http.client.HTTPConnection(host, timeout=30) for _ in range(40)]
    for number, other in enumerate(others):
        other.request("POST", "/v1/chat/completions", json.dumps(client.body(HELLO, seed=number)))
    together = [json.loads(other.getresponse().read())["choices"][0]["message"]["content"] for other in others]
    assert together == [client.ask(seed=number)[1]["choices"][0]["message"]["content"] for number in range(40)]
    assert len(set(together)) == 40
    for one in (line, *others):
        one.close()
