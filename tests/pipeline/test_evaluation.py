import json
import shutil
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.task import Task
from veriloop.evaluate.own import EvalConfig
from veriloop.pipeline.evaluation import (
    Contest,
    name_evaluation,
    official_split,
    run_evaluation,
    run_official_evaluation,
)


@pytest.mark.parametrize(
    ("agent", "user", "name"),
    [
        ("noop", "scripted", "noop-scripted"),
        ("runs/a/models/sft", "runs/a/models/user", "sft-user"),
        ("openai:org/model-7B", "scripted", "model_7B-scripted"),
        ("openai:gpt-x", "scripted", "openai_gpt_x-scripted"),
    ],
)
def test_names_of_result_files(agent: str, user: str, name: str):
    assert name_evaluation(agent, user) == name


@pytest.mark.parametrize(
    ("tasks", "split"),
    [
        ("official", "base"),
        ("official:test", "test"),
        ("official:train", "train"),
        ("runs/official", None),
        ("x:y", None),
    ],
)
def test_official_tasks_by_name(tasks: str, split: str | None):
    assert official_split(Path(tasks)) == split


def test_results_go_into_the_run_and_are_taken_up_again(small_run: Path, tasks: list[Task], tmp_path: Path):
    run = Path(shutil.copytree(small_run, tmp_path / "run"))
    contest = Contest("parcel", "expert", "scripted", run)
    seen: list[tuple[int, int]] = []
    first = run_evaluation(contest, EvalConfig(trials=2), progress=lambda *done: seen.append(done))
    assert first["tasks"] == len(tasks) and first["pass_hat"]["1"] > 0.5
    assert seen[-1] == (2 * len(tasks), 2 * len(tasks))
    assert json.loads((run / "evals" / "expert-scripted.json").read_text()) == first
    seen.clear()
    assert run_evaluation(contest, EvalConfig(trials=2), progress=lambda *done: seen.append(done)) == first
    assert seen == []


def test_task_folder_has_no_place_for_results(small_run: Path, tmp_path: Path):
    folder = Path(shutil.copytree(small_run / "tasks", tmp_path / "tasks"))
    before = sorted(folder.iterdir())
    found = run_evaluation(Contest("parcel", "noop", "scripted", folder), EvalConfig(trials=1))
    assert found["passed"] == 0
    assert sorted(folder.iterdir()) == before
    run_evaluation(Contest("parcel", "noop", "scripted", folder), EvalConfig(trials=1), out=tmp_path / "mine.json")
    assert (tmp_path / "mine.json").is_file()


def test_official_needs_a_place(small_run: Path):
    pytest.importorskip("tau2")
    with pytest.raises(InputError, match="name a file with --out"):
        run_official_evaluation(Contest("tau2/retail", "noop", "scripted", Path("official:test")), EvalConfig(trials=1))
