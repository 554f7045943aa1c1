"""The command: where it listens, what it prints, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers.served import Client, make_loaded, serving
from veriloop.cli.main import run
from veriloop.core.errors import InputError
from veriloop.local.model import save_model
from veriloop.serve.server import ServeConfig, open_server


def start(folder: Path, *flags: str) -> tuple["subprocess.Popen[str]", str]:
    """Return the process of `veriloop serve` and the line that it printed."""
    command = [sys.executable, "-m", "veriloop.cli.main", "serve", str(folder), "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    return process, process.stdout.readline()


@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_ends_it_within_two_seconds_whatever_is_under_way(folder: Path, busy: bool):
    process, line = start(folder, "--json", "--context", "30000", "--rows", "2")
    try:
        found = json.loads(line)
        assert (found["model"], found["seat"], found["context"], found["rows"]) == ("pico", "agent", 30_000, 2)
        host, _, port = found["base_url"].removeprefix("http://").removesuffix("/v1").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            if busy:
                message = {"role": "user", "content": "parcel " * 9000}
                body = {"model": "pico", "messages": [message], "max_tokens": 9000}
                data = json.dumps(body).encode()
                head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(data)}\r\n\r\n"
                client.sendall(head.encode() + data)
                time.sleep(0.5)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0 and time.monotonic() - began < 2
            if busy:
                assert b" 503 " in client.recv(1000).partition(b"\r\n")[0]
        assert process.stdout and process.stdout.read() == ""
        assert process.stderr and "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()


def test_people_get_one_line_and_sigterm_is_no_failure(folder: Path):
    process, line = start(folder)
    assert line.startswith("serving 'pico' at http://127.0.0.1:") and line.endswith("/v1\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_port_that_is_taken_and_a_folder_without_a_model_are_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert run(["serve", str(folder), "--port", str(other.getsockname()[1])]) == 2
    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err
    assert run(["serve", str(tmp_path), "--port", "0"]) == 2
    assert "it has no config.json" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "box.example"])
def test_other_machines_need_a_key(
    folder: Path, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for key in (None, ""):
        if key is not None:
            monkeypatch.setenv("VERILOOP_API_KEY", key)
        else:
            monkeypatch.delenv("VERILOOP_API_KEY", raising=False)
        assert run(["serve", str(folder), "--host", host, "--port", "0"]) == 2
        said = capsys.readouterr().err
        assert "VERILOOP_API_KEY" in said and "127.0.0.1" in said


def test_with_a_key_it_listens_where_it_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VERILOOP_API_KEY", "k")
    with serving(folder, host="0.0.0.0") as client:
        assert client.url.startswith("http://0.0.0.0:")
        client.url = client.url.replace("0.0.0.0", "127.0.0.1")
        assert client.ask()[0] == 401
        assert client.send("/models", headers={"authorization": "Bearer k"})[0] == 200


def test_loopback_has_a_second_form(folder: Path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with serving(folder, host="::1") as client:
        assert client.url.startswith("http://[::1]:") and client.ask()[0] == 200


def test_a_folder_for_the_user_speaks_for_the_user(tmp_path: Path):
    from dataclasses import replace

    loaded = make_loaded()
    save_model(replace(loaded, settings=replace(loaded.settings, seat="user")), tmp_path / "user")
    with serving(tmp_path / "user") as client:
        assert client.running.desk.seat == "user" and client.running.model == "user"
        assert client.ask()[0] == 200


def test_a_model_whose_architecture_is_not_known_is_refused(tmp_path: Path):
    from transformers import GPT2Config, GPT2LMHeadModel

    loaded = make_loaded()
    loaded.model = GPT2LMHeadModel(GPT2Config(vocab_size=len(loaded.tokenizer), n_embd=8, n_layer=1, n_head=1))
    save_model(loaded, tmp_path / "gpt")
    with pytest.raises(InputError, match="qwen3, qwen2, llama"):
        open_server(tmp_path / "gpt", ServeConfig(port=0))


def test_the_key_is_taken_from_the_environment_alone(capsys: pytest.CaptureFixture[str]):
    assert run(["serve", "--help"]) == 0
    said = capsys.readouterr().out
    assert "VERILOOP_API_KEY" in said and "--key" not in said and os.environ.get("VERILOOP_API_KEY") is None


def test_the_name_is_the_folders_own(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    with serving(".") as client:
        assert isinstance(client, Client) and client.running.model == "pico"
