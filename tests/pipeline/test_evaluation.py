import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.task import Task
from veriloop.engine.synthesize import SynthConfig
from veriloop.evaluate.own import EvalConfig
from veriloop.pipeline.evaluation import (
    Contest,
    name_evaluation,
    official_split,
    run_evaluation,
    run_official_evaluation,
)
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.rollout.episode import Limits
from veriloop.store.artefact import read_tasks


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


@pytest.fixture(scope="module")
def retail_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tau2")
    out = tmp_path_factory.mktemp("retail") / "run"
    run_synthesis("tau2/retail", out, SynthConfig(n=3, seed=4, evolve=False))
    return out


def test_official_scores_stand_beside_those_of_who_knows_nothing(retail_run: Path):
    tasks = list(read_tasks(retail_run))
    contest = Contest("tau2/retail", "gold", "scripted", retail_run)
    seen: list[tuple[int, int]] = []
    found = run_official_evaluation(contest, EvalConfig(trials=1), progress=lambda *done: seen.append(done))
    idle = sum(task.tags.no_write for task in tasks) / len(tasks)
    assert found["baselines"] == {"noop": pytest.approx(idle), "transfer": pytest.approx(idle)}
    assert (found["passed"], found["max_steps"], found["solo"]) == (3, 200, False)
    evals = retail_run / "evals"
    assert json.loads((evals / "official-gold-scripted.json").read_text()) == found
    (beside,) = [file for file in evals.glob("noop-*.json") if len(file.suffixes) == 1]
    assert json.loads(beside.read_text())["agent"] == "noop"
    seen.clear()
    assert run_official_evaluation(contest, EvalConfig(trials=1), progress=lambda *done: seen.append(done)) == found
    assert seen == []


def test_who_knows_nothing_plays_once_for_all_agents_of_the_same_settings(
    retail_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("tau2")
    from veriloop.evaluate import official

    played: list[str] = []
    real = official._Run._play

    def count(run: Any, place: Any, players: Any) -> Any:
        played.append(run.names["agent"])
        return real(run, place, players)

    monkeypatch.setattr(official._Run, "_play", count)
    for agent, seed in (("gold", 0), ("expert", 0), ("expert", 1)):
        contest = Contest("tau2/retail", agent, "scripted", retail_run)
        run_official_evaluation(contest, EvalConfig(trials=1, seed=seed), out=tmp_path / f"{agent}-{seed}.json")
    counts = {name: played.count(name) for name in played}
    assert counts == {"noop": 6, "transfer": 6, "gold": 3, "expert": 6}


def test_official_steps_are_those_that_are_asked_for(retail_run: Path, tmp_path: Path):
    config = EvalConfig(trials=1, limits=Limits(turns=3))
    contest = Contest("tau2/retail", "gold", "scripted", retail_run)
    found = run_official_evaluation(contest, config, out=tmp_path / "short.json")
    assert (found["passed"], found["max_steps"], found["stops"]) == (0, 3, {"max_turns": 3})


def test_nobody_works_alone_where_no_task_has_a_ticket(retail_run: Path, tmp_path: Path):
    contest = Contest("tau2/retail", "gold", "scripted", retail_run)
    with pytest.raises(InputError, match="leave out --solo"):
        run_official_evaluation(contest, EvalConfig(trials=1), solo=True, out=tmp_path / "solo.json")
