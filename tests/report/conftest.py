"""A run with everything that a report shows."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from veriloop.check.sandbox import judge
from veriloop.core.message import Message
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.evaluate.own import EvalConfig, evaluate_tasks
from veriloop.rollout.baseline import Noop, RandomCaller
from veriloop.rollout.experts import load_expert
from veriloop.rollout.player import View
from veriloop.rollout.scripted import ScriptedUser


class Mixed:
    """An agent that is the expert in half of the dialogues and idle in the others."""

    name = "mixed"

    def __init__(self) -> None:
        self._expert, self._noop = load_expert("parcel"), Noop()

    def reply(self, views: Sequence[View]) -> list[Message]:
        return [(self._expert if view.seed % 2 else self._noop).reply([view])[0] for view in views]


@pytest.fixture(scope="session")
def played_run(tmp_path_factory: pytest.TempPathFactory, small_run: Path, parcel: Domain, tasks: list[Task]) -> Path:
    """The small run with three evaluations and a model's log."""
    path = Path(shutil.copytree(small_run, tmp_path_factory.mktemp("played") / "run"))
    for agent in (Noop(), RandomCaller(), Mixed()):
        players: Any = {"agent": agent, "user": ScriptedUser()}
        out = path / "evals" / f"{agent.name}.json"
        evaluate_tasks(parcel, tasks, players, EvalConfig(trials=2), score=judge, out=out)
    folder = path / "models" / "agent_sft"
    folder.mkdir(parents=True)
    steps = [{"step": n, "phase": "sft", "loss": 2 / n, "heldout_loss": 2.5 / n, "speed": 0.1} for n in range(1, 30)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    return path


@pytest.fixture
def run(tmp_path: Path, played_run: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(played_run, tmp_path / "run"))
