import json
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.pipeline.training import Choice, SeatJob, split_items, train_rl_on_run, train_seats, train_sft_on_run
from veriloop.store.result import iter_dialogues, iter_tasks
from veriloop.store.run import create_run, open_run
from veriloop.train.grpo import RlConfig
from veriloop.train.sft import SftConfig

ONE = SftConfig(steps=1, batch=2, patience=0)


def test_every_tenth_item_is_held_out_by_its_number_alone():
    train, held_out = split_items([(number, f"v{number}") for number in (0, 3, 9, 10, 11, 20, 25, 30)])
    assert train == ["v3", "v9", "v11", "v25"]
    assert held_out == ["v0", "v10", "v20", "v30"]
    assert split_items([]) == ([], [])


def count_rows(run: Path) -> int:
    with open_run(run) as opened:
        return sum(found.item % 10 != 0 for found in iter_dialogues(opened, good=True))


def test_a_seat_is_tuned_on_the_runs_good_dialogues(small_run: Path, tmp_path: Path):
    result = train_sft_on_run(small_run, "agent", "pico", tmp_path / "sft", ONE)
    assert result.metrics["rows"] == count_rows(small_run) > 3
    assert result.out == str(tmp_path / "sft")


def test_a_limit_takes_the_first_dialogues_and_leaves_those_held_out(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = []
    monkeypatch.setattr("veriloop.pipeline.training.train_sft", lambda *arguments: seen.append(arguments[3]))
    for limit in (0, 3):
        train_sft_on_run(small_run, "user", "pico", tmp_path / "sft", ONE, choice=Choice(limit=limit))
    (train, held_out), (few, watched) = seen
    assert few == train[:3] and len(few) == 3 < len(train)
    assert watched == held_out and held_out


def test_seats_are_tuned_in_processes_and_a_finished_one_is_not_repeated(
    small_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    user, agent = tmp_path / "user", tmp_path / "agent"
    user.mkdir()
    (user / "result.json").write_text("{}")
    jobs = [SeatJob(small_run, "user", "pico", user, ONE), SeatJob(small_run, "agent", "pico", agent, ONE)]
    train_seats(jobs)
    assert capfd.readouterr().out == "", "stdout belongs to the command"
    assert [file.name for file in user.iterdir()] == ["result.json"]
    assert json.loads((agent / "result.json").read_text())["steps"] == 1
    before = (agent / "model.safetensors").stat().st_mtime_ns
    train_seats(jobs)
    assert (agent / "model.safetensors").stat().st_mtime_ns == before


def test_reinforcement_uses_the_runs_tasks_and_checkers(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = {}

    def train_rl(domain, tasks, models, out, config, *, score, progress):
        seen.update(domain=domain.name, tasks=tasks, models=models, score=score)

    monkeypatch.setattr("veriloop.pipeline.training.train_rl", train_rl)
    train_rl_on_run(small_run, "a", "b", tmp_path / "rl", RlConfig(steps=1))
    with open_run(small_run) as opened:
        tasks = list(iter_tasks(opened))
        found = list(iter_dialogues(opened))
    assert seen["domain"] == "parcel" and seen["models"] == ("a", "b")
    assert seen["tasks"][0] == [task for item, task in tasks if item % 10]
    assert seen["tasks"][1] == [task for item, task in tasks if item % 10 == 0]
    assert all(seen["score"](one.task, one.trace) == one.verdict for one in found[:3])


def test_a_run_without_tasks_or_dialogues_is_refused(tmp_path: Path):
    create_run(tmp_path / "run", {"domain": "parcel", "n": 1}).close()
    with pytest.raises(InputError, match="holds no task.*veriloop synth"):
        train_rl_on_run(tmp_path / "run", "a", "b", tmp_path / "rl", RlConfig(steps=1))
    with pytest.raises(InputError, match="no dialogues"):
        train_sft_on_run(tmp_path / "run", "agent", "pico", tmp_path / "sft", ONE)
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_a_run_whose_only_tasks_are_held_out_is_refused(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("veriloop.pipeline.training.iter_tasks", lambda run: [(0, "task"), (10, "task")])
    with pytest.raises(InputError, match="no task besides every tenth"):
        train_rl_on_run(small_run, "a", "b", tmp_path / "rl", RlConfig(steps=1))
