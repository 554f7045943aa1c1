import json
from pathlib import Path

import pytest

from veriloop.train import checkpoint
from veriloop.train.checkpoint import drop_checkpoints, find_checkpoint


def make_checkpoint(out: Path, step: int, *files: str) -> Path:
    folder = out / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_text("{}")
    return folder


def test_the_newest_complete_checkpoint_is_taken_up(tmp_path: Path):
    make_checkpoint(tmp_path, 9, "trainer_state.json")
    complete = make_checkpoint(tmp_path, 10, "model.safetensors", "trainer_state.json")
    cut = make_checkpoint(tmp_path, 20, "model.safetensors")
    assert find_checkpoint(tmp_path) == str(complete)
    assert not cut.exists()


@pytest.mark.parametrize("written", [0, 1, 20, 50])
def test_a_checkpoint_whose_last_file_is_cut_is_not_taken_up(tmp_path: Path, written: int):
    state = json.dumps({"global_step": 20, "log_history": [{"loss": 0.5}]}).encode()
    whole = make_checkpoint(tmp_path, 10, "trainer_state.json")
    cut = make_checkpoint(tmp_path, 20)
    (cut / "trainer_state.json").write_bytes(state[:written])
    assert len(state) > 50 and find_checkpoint(tmp_path) == str(whole)
    assert not cut.exists()
    (make_checkpoint(tmp_path, 30) / "trainer_state.json").write_bytes(state)
    assert find_checkpoint(tmp_path) == str(tmp_path / "checkpoint-30")


def test_another_last_file_may_be_wanted(tmp_path: Path):
    make_checkpoint(tmp_path, 10, "trainer_state.json")
    assert find_checkpoint(tmp_path, "state.json") is None
    assert list(tmp_path.iterdir()) == []


def test_no_folder_has_no_checkpoint(tmp_path: Path):
    assert find_checkpoint(tmp_path / "none") is None


def test_a_checkpoint_half_removed_is_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make_checkpoint(tmp_path, 10, "model.safetensors", "trainer_state.json")
    remove = checkpoint.shutil.rmtree

    def kill(path: Path) -> None:
        (path / "model.safetensors").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.shutil, "rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        drop_checkpoints(tmp_path)
    monkeypatch.setattr(checkpoint.shutil, "rmtree", remove)
    assert folder.exists() and find_checkpoint(tmp_path) is None
    make_checkpoint(tmp_path, 20, "trainer_state.json")
    drop_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []
