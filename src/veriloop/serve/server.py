"""A server on a socket of this machine, from the moment it listens to the signal that ends it."""

import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from veriloop.core.errors import InputError
from veriloop.local.model import load_model
from veriloop.serve.app import make_app
from veriloop.serve.desk import Desk
from veriloop.serve.guard import is_loopback

KEY = "VERILOOP_API_KEY"
"""The environment variable that holds what clients must show."""
STOP_SECONDS = 1
"""How long answers under way may take to be given up."""


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """How a model is served; see the options of `veriloop serve`."""

    host: str = "127.0.0.1"
    port: int = 8000
    rows: int = 16
    context: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens. base_url: what clients are given. model: the name they ask for."""

    base_url: str
    model: str
    desk: Desk
    server: "Server"
    socket: socket.socket

    def heed_signals(self) -> None:
        """Let Ctrl-C and SIGTERM end the server from now on, be it before it runs."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.server.handle_exit)

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM, then stop within two seconds."""
        self.server.run(sockets=[self.socket])


class Server(uvicorn.Server):
    """Ends as a finished command does, whichever signal says so."""

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; when told a second time, without waiting for anybody."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have the desk refuse what is under way first, so that no connection waits for it."""
        self._desk.close()
        await super().shutdown(sockets)


def open_server(model: str | Path, config: ServeConfig) -> Running:
    """Load a model and listen; raises InputError when the model, the address or the key will not do."""
    key = os.environ.get(KEY, "")
    if not is_loopback(config.host) and not key:
        raise InputError(
            f"host {config.host!r} is reached from other machines, so clients must show a key; put one into the "
            f"environment variable {KEY}, or serve on 127.0.0.1"
        )
    listener = _listen(config.host, config.port)
    try:
        desk = Desk(load_model(model), rows=config.rows, context=config.context, seed=config.seed)
    except InputError:
        listener.close()
        raise
    name = Path(model).resolve().name if Path(model).is_dir() else str(model)
    settings = uvicorn.Config(
        make_app(desk, name, key=key), http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, timeout_graceful_shutdown=STOP_SECONDS,
    )  # fmt: skip
    host = f"[{config.host}]" if ":" in config.host else config.host
    return Running(f"http://{host}:{listener.getsockname()[1]}/v1", name, desk, Server(settings, desk), listener)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen on {host}:{port}: {error}; choose another --port, or 0 for any") from None
