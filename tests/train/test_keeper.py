"""The end of reinforcement may itself be killed and done again."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from veriloop.local.model import LoadedModel, load_model, save_model
from veriloop.train import grpo
from veriloop.train.grpo import RlConfig


def make_keeper(out: Path, loaded: LoadedModel) -> Any:
    rollout: Any = SimpleNamespace()
    return grpo._Keeper(out, loaded, rollout, [], RlConfig())


def change(loaded: LoadedModel) -> None:
    loaded.model.model.embed_tokens.weight.data.mul_(2)


@pytest.mark.parametrize("gone", ["checkpoint-10", "best"])
def test_a_kill_while_the_best_weights_are_put_in_place_loses_nothing(
    agent_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
):
    last = load_model(agent_folder)
    best = load_model(agent_folder)
    change(last)
    save_model(best, tmp_path / "best")
    (tmp_path / "checkpoint-10").mkdir()
    remove = shutil.rmtree

    def kill(path: Path, **rest: Any) -> None:
        if path.name == gone:
            raise KeyboardInterrupt
        remove(path, **rest)

    monkeypatch.setattr(grpo.shutil, "rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        make_keeper(tmp_path, last).finish()
    monkeypatch.setattr(grpo.shutil, "rmtree", remove)
    make_keeper(tmp_path, last).finish()
    wanted = best.model.state_dict()
    assert all(wanted[name].equal(value) for name, value in load_model(tmp_path).model.state_dict().items())
    assert not (tmp_path / "best").exists() and not (tmp_path / "checkpoint-10").exists()


def test_without_validation_the_last_weights_stay(agent_folder: Path, tmp_path: Path):
    last = load_model(agent_folder)
    change(last)
    make_keeper(tmp_path, last).finish()
    wanted = last.model.state_dict()
    assert all(wanted[name].equal(value) for name, value in load_model(tmp_path).model.state_dict().items())


def test_without_validation_tasks_nothing_is_validated(agent_folder: Path, tmp_path: Path):
    keeper = make_keeper(tmp_path, load_model(agent_folder))
    keeper._rollout.metrics, keeper._rollout.empty = {}, False
    start = SimpleNamespace(global_step=0, max_steps=1)
    keeper.on_train_begin(None, start, None)
    keeper.on_step_end(None, SimpleNamespace(global_step=1, max_steps=1), None)
    assert (keeper.best, keeper.best_step) == (None, None)
    assert not (tmp_path / "best").exists()
