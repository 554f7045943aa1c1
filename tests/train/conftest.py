"""Dialogues of the small run and untrained models of the size `pico` made from them."""

from pathlib import Path

import pytest

from veriloop.domains.domain import Domain
from veriloop.local.model import LoadedModel, save_model
from veriloop.store.result import iter_dialogues
from veriloop.store.run import open_run
from veriloop.train.data import Dialogue, prepare_model


@pytest.fixture(scope="session")
def dialogues(small_run: Path) -> list[Dialogue]:
    with open_run(small_run) as run:
        return [Dialogue(found.task, found.trace) for found in iter_dialogues(run, good=True)]


@pytest.fixture(scope="session")
def agent(parcel: Domain, dialogues: list[Dialogue]) -> LoadedModel:
    """An untrained agent; tests must not change its weights."""
    loaded = prepare_model("pico", parcel, "agent", dialogues, 0)
    loaded.model.eval()
    return loaded


@pytest.fixture(scope="session")
def agent_folder(agent: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "agent"
    save_model(agent, folder)
    return folder


@pytest.fixture(scope="session")
def user_folder(parcel: Domain, dialogues: list[Dialogue], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "user"
    save_model(prepare_model("pico", parcel, "user", dialogues, 1), folder)
    return folder
