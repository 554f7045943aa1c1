import sys
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.pipeline.players import AGENTS, USERS, Casting, find_player
from veriloop.rollout.driver import play
from veriloop.rollout.endpoint import EndpointPlayer
from veriloop.rollout.episode import Episode


@pytest.fixture
def casting(parcel: Domain, tasks: list[Task]) -> Casting:
    return Casting(parcel, {task.id: task for task in tasks})


@pytest.mark.parametrize("name", AGENTS)
def test_every_script_plays_the_agents_seat(casting: Casting, tasks: list[Task], name: str):
    players = {"agent": find_player(name, "agent", casting), "user": find_player("scripted", "user", casting)}
    trace = play(Episode(casting.domain, tasks[0]), players)  # pyright: ignore[reportArgumentType]
    assert players["agent"].name == name
    assert not trace.void


def test_seats_are_kept_apart(casting: Casting):
    assert set(USERS) == {"scripted"} and not set(USERS) & set(AGENTS)
    with pytest.raises(InputError, match="for the agent's seat"):
        find_player("scripted", "agent", casting)
    with pytest.raises(InputError, match="for the user's seat; use scripted"):
        find_player("noop", "user", casting)


def test_near_miss_is_suggested(casting: Casting):
    with pytest.raises(InputError, match="did you mean 'oracle'"):
        find_player("oracel", "agent", casting)


def test_endpoint_gets_its_settings(parcel: Domain):
    casting = Casting(parcel, base_url="http://127.0.0.1:9/v1", key_env="SOME_KEY", max_tokens=7, temperature=0.5)
    player = find_player("openai:small/model", "user", casting)
    assert isinstance(player, EndpointPlayer)
    assert player.name == "openai:small/model"
    endpoint = player.client.endpoint
    assert (endpoint.model, endpoint.base_url, endpoint.key_env) == ("small/model", "http://127.0.0.1:9/v1", "SOME_KEY")
    assert player._options == {"max_tokens": 7, "temperature": 0.5}
    plain = find_player("openai:m", "agent", Casting(parcel))
    assert isinstance(plain, EndpointPlayer) and plain._options == {"max_tokens": 512}


def test_folder_without_a_model(casting: Casting, tmp_path: Path):
    with pytest.raises(InputError, match=r"holds no model \(no config\.json\)"):
        find_player(str(tmp_path), "agent", casting)


def test_model_without_the_extra(casting: Casting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "config.json").write_text("{}")
    for name in [name for name in sys.modules if name.startswith("veriloop.local")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install 'veriloop\[train\]'"):
        find_player(str(tmp_path), "agent", casting)
