import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.core.message import Sampled, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.engine.plan import Scope
from veriloop.pipeline.ablate import ablate_rl, compare_arms, do_steps
from veriloop.pipeline.lab import ARMS, NEEDS, AblationConfig, Lab, count_own_tokens
from veriloop.store.artefact import read_tasks
from veriloop.train.grpo import RlConfig
from veriloop.train.sft import SftConfig

SHORT = SftConfig(steps=2, batch=4, eval_every=1, patience=2)
TINY = AblationConfig(
    tasks=12,
    held_out=2,
    trials=1,
    scope=Scope(tools=("return_to_sender",), tiers=("single", "refusal")),
    model="pico",
    user=SHORT,
    sft=SHORT,
    rl=RlConfig(steps=2, groups=1, size=2, cap=1, validate_every=0, turns=4),
)


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("ablations") / "rl"
    return out, ablate_rl("parcel", 1, out, TINY, workers=1)


def times(out: Path) -> dict[str, int]:
    files = [*out.glob("seed-*/steps/*.json"), *out.glob("seed-*/models/*/*"), *out.glob("seed-*/evals/*")]
    return {str(file): file.stat().st_mtime_ns for file in files}


def test_the_table_holds_every_arm(ablation: tuple[Path, dict[str, Any]]):
    out, result = ablation
    assert result["arms"] == list(ARMS) and len(result["table"]) == 1
    row = result["table"][0]
    assert row["seed"] == 0 and row["tasks"] == 2
    for arm in ARMS:
        assert set(row[arm]) >= {"pass_hat", "interval_95"}
        assert ("minus_sft" in row[arm]) == (arm != "sft")
    assert set(row["seconds"]) >= {"user", "sft", "rl", "sft-continued"}
    assert json.loads((out / "table.json").read_text()) == json.loads(json.dumps(result))
    steps = {file.stem for file in (out / "seed-0" / "steps").iterdir()}
    assert steps == set(NEEDS)


def test_tasks_are_held_out_on_other_databases(ablation: tuple[Path, dict[str, Any]]):
    databases = {
        split: {task.initial.database for task in read_tasks(ablation[0] / "seed-0" / split)}
        for split in ("train", "test")
    }
    assert databases["train"] and databases["test"] and not databases["train"] & databases["test"]


def test_tasks_keep_to_the_scope(ablation: tuple[Path, dict[str, Any]]):
    for split in ("train", "test"):
        tasks = list(read_tasks(ablation[0] / "seed-0" / split))
        assert tasks and all(task.tags.tools == ("return_to_sender",) for task in tasks)


def test_nothing_is_written_for_a_scope_or_domain_that_is_not_there(tmp_path: Path):
    for domain, scope in (("parcel", Scope(tools=("fly",))), ("parcels", Scope())):
        with pytest.raises(InputError):
            ablate_rl(domain, 1, tmp_path / "out", TINY.model_copy(update={"scope": scope}))
    assert not list(tmp_path.iterdir())


def test_a_scope_that_offers_too_few_tasks_is_refused(tmp_path: Path):
    # No rule forbids a new phone number, so nobody can be refused one.
    scope = Scope(tools=("update_phone",), tiers=("refusal",))
    lab = Lab("parcel", 0, tmp_path, TINY.model_copy(update={"scope": scope}))
    with pytest.raises(InputError, match="only 0 of 2 test tasks could be proved; take fewer --tasks"):
        lab.do("test-tasks")
    assert not lab.has_done("test-tasks")


def test_an_agent_that_never_passed_imitates_nothing(ablation: tuple[Path, dict[str, Any]]):
    models = ablation[0] / "seed-0" / "models"
    assert json.loads((ablation[0] / "seed-0" / "steps" / "own-successes.json").read_text())["steps"] == 0
    assert (models / "own-successes" / "model.safetensors").read_bytes() == (
        models / "sft" / "model.safetensors"
    ).read_bytes()


def test_more_fine_tuning_trains_as_many_own_tokens_as_reinforcement_did(tmp_path: Path):
    steps = tmp_path / "steps"
    steps.mkdir()
    (steps / "rl.json").write_text(json.dumps({"tokens": 9000}))
    lab = Lab("parcel", 7, tmp_path, TINY)
    # A pass over 10 rows takes 3 steps of at most 4 rows; two rows fill half of a step.
    assert [lab.control_config(rows, 90 * rows).steps for rows in (10, 8, 2)] == [30, 25, 50]
    config = lab.control_config(10, 900)
    assert (config.patience, config.seed) == (0, 7)


def test_only_what_the_agents_model_drew_counts_as_own_tokens():
    drawn = Sampled(token_ids=(4, 5, 6), logprobs=(0.0, 0.0, 0.0))
    turns = (
        Turn(seat="agent", content="Hi!"),
        Turn(seat="user", content="a", sampled=drawn),
        Turn(seat="agent", content="b", sampled=drawn),
        Turn(seat="agent", content="c", sampled=drawn),
    )
    trace = Trace(
        domain="d", task_id="t", players={}, seed=0, turns=turns, changes=(), digest="", stop=StopReason.USER_STOP
    )
    assert count_own_tokens(trace) == 6


def test_a_second_call_repeats_nothing(ablation: tuple[Path, dict[str, Any]]):
    out, result = ablation
    before = times(out)
    done: list[tuple[int, int]] = []
    again = ablate_rl("parcel", 1, out, TINY, workers=2, progress=lambda *found: done.append(found))
    assert again["table"] == result["table"] and done == [(len(NEEDS), len(NEEDS))]
    assert times(out) == before and before


class FakeLab:
    """Notes when its steps are done; one of them may fail."""

    def __init__(self, log: Path, seed: int, failing: str = "") -> None:
        self.log, self.seed, self.failing = log, seed, failing

    def has_done(self, step: str) -> bool:
        return (self.log / f"{self.seed} {step}").exists()

    def do(self, step: str) -> None:
        if step == self.failing:
            raise InputError(f"{step} of seed {self.seed} failed")
        assert all(self.has_done(need) for need in NEEDS[step])
        (self.log / f"{self.seed} {step}").touch()


@pytest.mark.parametrize("workers", [1, 2])
def test_steps_are_done_once_what_they_need_is_done(tmp_path: Path, workers: int):
    labs: Any = {seed: FakeLab(tmp_path, seed) for seed in range(3)}
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(workers) as pool:
        do_steps(labs, pool, workers, lambda *found: seen.append(found))
    assert seen == [(count, 3 * len(NEEDS)) for count in range(3 * len(NEEDS) + 1)]


def test_a_failing_step_ends_the_ablation_and_a_second_call_goes_on(tmp_path: Path):
    labs: Any = {seed: FakeLab(tmp_path, seed, "rl" if seed else "") for seed in range(2)}
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match="rl of seed 1 failed"):
        do_steps(labs, pool, 1, lambda *_: None)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert kept and not (tmp_path / "1 rl").exists()
    whole: Any = {seed: FakeLab(tmp_path, seed) for seed in range(2)}
    with ThreadPoolExecutor(1) as pool:
        do_steps(whole, pool, 1, lambda *_: None)
    assert len(list(tmp_path.iterdir())) == 2 * len(NEEDS)
    assert all(file.stat().st_mtime_ns == when for file, when in kept.items())


def test_every_step_can_be_done():
    done: set[str] = set()
    for step, needs in NEEDS.items():
        assert done >= set(needs), step
        done.add(step)


def test_other_settings_are_refused(ablation: tuple[Path, dict[str, Any]]):
    out, _ = ablation
    before = times(out)
    with pytest.raises(InputError, match="other settings"):
        ablate_rl("parcel", 1, out, TINY.model_copy(update={"trials": 2}))
    assert times(out) == before


def evaluation(per_task: dict[str, list[int]]) -> dict[str, Any]:
    return {"per_task": per_task, "pass_hat": {"1": 0.0}, "interval_95": [0.0, 1.0]}


def compare(others: dict[str, list[int]], base: dict[str, list[int]]) -> dict[str, Any]:
    evals = {arm: evaluation(base if arm == "sft" else others) for arm in ARMS}
    results = {"sft": {"metrics": {"stopped_at_minimum": True}, "seconds": 2.0}}
    return compare_arms(results | {f"eval-{arm}": found for arm, found in evals.items()}, 0)


def test_differences_are_paired_by_task():
    base = {"a": [0, 0], "b": [1, 0], "c": [1, 1], "void": []}
    row = compare({"a": [1, 1], "b": [1, 0], "c": [1, 0], "only-here": [1], "void": [1]}, base)
    assert row["tasks"] == 3
    assert row["rl"]["minus_sft"] == pytest.approx((1 + 0 - 0.5) / 3)
    low, high = row["rl"]["minus_sft_interval_95"]
    assert -0.5 <= low <= row["rl"]["minus_sft"] <= high <= 1
    assert "minus_sft" not in row["sft"]
    assert row["sft_stopped_at_minimum"] is True and row["seconds"] == {"sft": 2.0}


def test_an_equal_gain_on_every_task_has_no_spread():
    names = [f"t{number}" for number in range(20)]
    base = {name: [number % 2, 0] for number, name in enumerate(names)}
    row = compare({name: [number % 2, 1] for number, name in enumerate(names)}, base)
    assert row["rl"]["minus_sft"] == 0.5
    assert list(row["rl"]["minus_sft_interval_95"]) == [0.5, 0.5]


def test_arms_without_a_task_in_common_have_no_difference():
    row = compare({"a": []}, {"a": [1]})
    assert row["rl"]["minus_sft"] is None and row["rl"]["minus_sft_interval_95"] is None


def test_a_gain_on_few_tasks_has_an_interval_that_holds_zero():
    names = [f"t{number}" for number in range(20)]
    row = compare({name: [int(name == "t0")] for name in names}, {name: [0] for name in names})
    low, high = row["rl"]["minus_sft_interval_95"]
    assert low == 0 < high
