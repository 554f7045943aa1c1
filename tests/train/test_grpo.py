import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from veriloop.core.trace import Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.train import grpo
from veriloop.train.grpo import RlConfig, train_rl

QUICK = RlConfig(steps=2, groups=2, size=4, cap=4, micro_batch=4, learning_rate=1e-2, validate_every=1, turns=6)
PASS, FAIL, BROKEN = (Verdict(outcome=outcome, reason="") for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.ERROR))
CHILD = """
import sys
from pathlib import Path
from veriloop.core.message import Message
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.parcel import load_parcel
from veriloop.store.artefact import read_tasks
from veriloop.local.player import LocalPlayer
from veriloop.train import grpo

tasks = list(read_tasks(Path(sys.argv[1])))
LocalPlayer.reply, answer = (
    lambda self, views: [Message(content="Where?") for _ in views] if self.seat == "user" else answer(self, views)
), LocalPlayer.reply
inner = grpo._trl_config
def often(out, config):
    args = inner(out, config)
    args.save_steps = 1
    return args
grpo._trl_config = often
def score(task, trace):
    return Verdict(outcome=Outcome.PASS if trace.seed % 2 else Outcome.FAIL, reason="")
config = grpo.RlConfig.model_validate_json(sys.argv[5])
models = (sys.argv[3], sys.argv[4])
grpo.train_rl(load_parcel(), (tasks[2:], tasks[:2]), models, Path(sys.argv[2]), config, score=score)
"""
Run = Callable[..., Any]


def by_seed(task: Task, trace: Trace) -> Verdict:
    return PASS if trace.seed % 2 else FAIL


@pytest.fixture
def run(
    parcel: Domain, tasks: list[Task], agent_folder: Path, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Train on all tasks but two; a user without training only babbles, so a malformed turn of its is the agent's."""
    monkeypatch.setattr("veriloop.train.rollout.reward_of", _blame_nobody)

    def start(out: Path, config: RlConfig = QUICK, score: Any = by_seed, **rest: Any) -> Any:
        return train_rl(parcel, (tasks[2:], tasks[:2]), (agent_folder, user_folder), out, config, score=score, **rest)

    return start


def _blame_nobody(trace: Trace, verdict: Verdict) -> float | None:
    return None if verdict.outcome is Outcome.ERROR else float(verdict.passed)


@pytest.fixture(autouse=True)
def quiet_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained user is cut at once, and the agent would never speak: let it say one line instead."""
    from veriloop.core.message import Message
    from veriloop.local.player import LocalPlayer

    inner = LocalPlayer.advance

    def advance(self: LocalPlayer) -> list[tuple[int, Message]]:
        if self.seat == "user":
            asked, self._asked = self._asked, {}
            return [(ticket, Message(content="Where is my parcel?")) for ticket in asked]
        return inner(self)

    monkeypatch.setattr(LocalPlayer, "advance", advance)


def read_lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_two_steps_change_the_weights_and_leave_a_folder(run: Run, agent_folder: Path, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    seen: list[tuple[int, int]] = []
    out = tmp_path / "rl"
    config = QUICK.model_copy(update={"validate_every": 0})
    result = run(out, config, progress=lambda done, steps: seen.append((done, steps)))
    assert seen == [(1, 2), (2, 2)]
    assert result.steps == 2 and result.tokens > 0 and result.metrics["skipped_steps"] == 0
    assert result.metrics["best_step"] is None and result.metrics["best_pass_1"] is None
    assert json.loads((out / "result.json").read_text()) == result.model_dump(mode="json")
    before, after = load_file(agent_folder / "model.safetensors"), load_file(out / "model.safetensors")
    assert any(not before[name].equal(after[name]) for name in before)
    assert not list(out.glob("checkpoint-*")) and not (out / "best").exists()
    AutoModelForCausalLM.from_pretrained(out)
    measured = [line for line in read_lines(out) if "groups_sampled" in line]
    assert [line["step"] for line in measured] == [1, 2]
    assert all(line["phase"] == "rl" and 1 <= line["groups_kept"] <= 2 for line in measured)
    assert sum(line["agent_tokens"] for line in measured) == result.tokens
    assert {line["step"] for line in read_lines(out) if "loss" in line} == {1, 2}


def test_advantages_are_rewards_minus_the_groups_valid_mean(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rewards: list[list[float | None]] = []
    batches: list[dict[str, Any]] = []
    pack, generate = grpo.Rollout.__call__, grpo.GRPOTrainer._generate_and_score_completions

    def spy_pack(self: Any, prompts: Any, trainer: Any) -> Any:
        packed = pack(self, prompts, trainer)
        rewards.append(packed["reward"])
        return packed

    def spy_generate(self: Any, inputs: Any) -> Any:
        batches.append(generate(self, inputs))
        return batches[-1]

    monkeypatch.setattr(grpo.Rollout, "__call__", spy_pack)
    monkeypatch.setattr(grpo.GRPOTrainer, "_generate_and_score_completions", spy_generate)
    verdicts = iter([PASS, FAIL, BROKEN, FAIL, FAIL, FAIL, PASS, PASS] * 20)
    run(tmp_path / "rl", QUICK.model_copy(update={"validate_every": 0}), lambda task, trace: next(verdicts))
    assert len(rewards) == len(batches) == 2
    for found, batch in zip(rewards, batches, strict=True):
        expected = []
        for group in (found[:4], found[4:]):
            valid = [reward for reward in group if reward is not None]
            mean = sum(valid) / len(valid)
            expected += [0.0 if reward is None else reward - mean for reward in group]
        assert found[2] is None and len(set(expected)) > 3
        assert batch["advantages"].tolist() == pytest.approx(expected, abs=1e-6)
        trained = (batch["completion_mask"] * batch["tool_mask"]).sum(dim=1)
        assert [bool(count) for count in trained] == [reward is not None for reward in found]


def test_the_divergence_is_from_the_agent_as_it_was(run: Run, tmp_path: Path):
    free = QUICK.model_copy(update={"validate_every": 0, "steps": 3})
    run(tmp_path / "free", free)
    run(tmp_path / "held", free.model_copy(update={"kl": 1.0}))
    assert not [line for line in read_lines(tmp_path / "free") if "kl" in line]
    # The rate warms up from zero: the second step is the first that moves the weights.
    first, second, third = (line["kl"] for line in read_lines(tmp_path / "held") if "kl" in line)
    assert first == second == pytest.approx(0, abs=1e-6) and third > 1e-4


@pytest.mark.parametrize("verdict", [PASS, FAIL, BROKEN])
def test_a_step_without_a_signal_leaves_the_weights_bit_identical(
    run: Run, agent_folder: Path, tmp_path: Path, verdict: Verdict
):
    result = run(tmp_path / "rl", QUICK.model_copy(update={"validate_every": 0}), lambda task, trace: verdict)
    assert result.metrics["skipped_steps"] == 2 and result.tokens == 0
    before, after = load_file(agent_folder / "model.safetensors"), load_file(tmp_path / "rl" / "model.safetensors")
    assert all(before[name].equal(after[name]) for name in before)


def test_an_empty_step_after_a_full_one_is_not_moved_by_momentum(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    weights: list[torch.Tensor] = []
    keep = grpo._Keeper.on_step_end

    def spy(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        keep(self, args, state, control, **rest)
        weights.append(torch.cat([value.detach().flatten().clone() for value in rest["model"].parameters()]))

    monkeypatch.setattr(grpo._Keeper, "on_step_end", spy)
    # Eight dialogues are the first step; only its groups are mixed.
    verdicts = iter([PASS, FAIL] * 4 + [FAIL] * 100)
    config = QUICK.model_copy(update={"validate_every": 0, "steps": 4})
    result = run(tmp_path / "rl", config, lambda task, trace: next(verdicts))
    assert result.metrics["skipped_steps"] == 3
    assert weights[0].equal(weights[1]) and weights[1].equal(weights[2]) and weights[2].equal(weights[3])


def test_the_best_weights_by_validation_are_kept(
    run: Run, tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    validation = {task.id for task in tasks[:2]}
    rates = iter([FAIL] * 4 + [PASS] * 4 + [PASS, FAIL] * 2 + [FAIL] * 4)
    saved: list[Path] = []
    inner = grpo.save_model
    monkeypatch.setattr(grpo, "save_model", lambda loaded, path: (saved.append(path), inner(loaded, path)))

    def score(task: Task, trace: Trace) -> Verdict:
        return next(rates) if task.id in validation else by_seed(task, trace)

    out = tmp_path / "rl"
    result = run(out, QUICK.model_copy(update={"steps": 3}), score)
    found = [(line["step"], line["validation_pass_1"]) for line in read_lines(out) if "validation_pass_1" in line]
    assert found == [(0, 0.0), (1, 1.0), (2, 0.5), (3, 0.0)]
    assert (result.metrics["best_step"], result.metrics["best_pass_1"]) == (1, 1.0)
    assert saved == [out / "best"] * 2
    assert (out / "model.safetensors").exists() and (out / "veriloop.json").exists()
    assert not (out / "best").exists()


def test_the_step_trains_all_its_groups_when_the_micro_batch_does_not_divide_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    places: list[int] = []
    pack = grpo.Rollout.__call__
    monkeypatch.setattr(
        grpo.Rollout,
        "__call__",
        lambda self, prompts, trainer: (places.append(len(prompts)), pack(self, prompts, trainer))[1],
    )
    config = QUICK.model_copy(update={"groups": 3, "micro_batch": 5, "validate_every": 0, "steps": 1})
    run(tmp_path / "rl", config)
    assert places == [12]


def test_a_killed_run_goes_on_from_its_checkpoint(
    run: Run, small_run: Path, agent_folder: Path, user_folder: Path, tmp_path: Path
):
    out, config = tmp_path / "rl", QUICK.model_copy(update={"steps": 10, "validate_every": 0})
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    command = [sys.executable, str(script), *map(str, (small_run, out, agent_folder, user_folder))]
    child = subprocess.Popen(
        [*command, config.model_dump_json()], env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoint-*/veriloop-state.json")):
        assert child.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (out / "result.json").exists()
    first: list[int] = []
    result = run(out, config, progress=lambda done, _: first.append(done))
    assert first[0] > 1 and first[-1] == result.steps == 10
    measured = [line for line in read_lines(out) if "groups_sampled" in line]
    assert [line["step"] for line in measured] == list(range(1, 11))
    assert result.tokens == sum(line["agent_tokens"] for line in measured)
    assert not list(out.glob("checkpoint-*"))
