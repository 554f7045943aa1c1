import json
from pathlib import Path

import pytest

from veriloop.core.verdict import Outcome
from veriloop.domains.task import Task
from veriloop.store.result import count_stages, iter_dialogues, read_curves, read_evals, read_results
from veriloop.store.run import Run, create_run, open_run


def test_dialogues_of_a_real_run(small_run: Path, tasks: list[Task]):
    with open_run(small_run) as run:
        dialogues = list(iter_dialogues(run))
    assert {dialogue.task.id for dialogue in dialogues} == {task.id for task in tasks}
    assert all(dialogue.trace.task_id == dialogue.task.id and dialogue.good for dialogue in dialogues)
    assert [dialogue.item for dialogue in dialogues] == sorted(dialogue.item for dialogue in dialogues)


@pytest.fixture
def run(tmp_path: Path, small_run: Path):
    """One task with four dialogues: good, failed, passed but objected to, and one that broke off."""
    with open_run(small_run) as source:
        first = next(iter(iter_dialogues(source)))
    trace = first.trace.model_dump(mode="json")
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        run.ledger.put(4, "synth", first.task.model_dump(mode="json"))
        run.ledger.put(5, "synth", {"reason": "x"}, "rejected")
        run.ledger.put(4, "proof", {})
        judged = [("pass", True), ("fail", True), ("pass", False), ("pass", True)]
        for trial, (outcome, success) in enumerate(judged):
            verdict = {"verdict": {"outcome": outcome, "reason": "r"}, "success": success, "blame": None}
            run.ledger.put(4, f"verdict:{trial}", verdict)
            run.ledger.put(4, f"rollout:{trial}", trace, "done" if trial < 3 else "failed")
        yield run


def test_only_good_dialogues_are_for_imitation(run: Run):
    assert [dialogue.trial for dialogue in iter_dialogues(run)] == [0, 1, 2]
    assert [dialogue.trial for dialogue in iter_dialogues(run, good=True)] == [0]
    failed = list(iter_dialogues(run))[1]
    assert failed.verdict.outcome is Outcome.FAIL
    assert failed.findings == {"success": True, "blame": None}


def test_funnel(run: Run):
    assert count_stages(run) == {
        "synth": {"done": 1, "rejected": 1},
        "proof": {"done": 1},
        "rollout": {"done": 3, "failed": 1},
        "verdict": {"done": 4},
    }


def test_files_of_models_and_evaluations(tmp_path: Path):
    for name in ("sft", "rl"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / "sft" / "metrics.jsonl").write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
    (tmp_path / "models" / "sft" / "result.json").write_text('{"steps": 2}')
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "noop.json").write_text(json.dumps({"pass_hat": {"1": 0.0}}))
    assert read_curves(tmp_path) == {"sft": [{"step": 1, "loss": 2.5}]}
    assert read_results(tmp_path) == {"sft": {"steps": 2}}
    assert read_evals(tmp_path) == {"noop": {"pass_hat": {"1": 0.0}}}
    assert read_evals(tmp_path / "models") == {}
