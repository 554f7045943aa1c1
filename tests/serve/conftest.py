"""Models that are served for real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")

from servers.served import Client, make_loaded, serving
from veriloop.local.model import save_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model with aliases."""
    out = tmp_path_factory.mktemp("models") / "pico"
    save_model(make_loaded(), out)
    return out


@pytest.fixture(scope="session")
def client(folder: Path) -> Iterator[Client]:
    with serving(folder) as found:
        yield found
