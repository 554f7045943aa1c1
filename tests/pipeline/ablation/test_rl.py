import json
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.engine.plan import Scope
from veriloop.pipeline.ablation.rl import ARMS, RlAblation, RlLab, ablate_rl
from veriloop.store.artefact import read_tasks
from veriloop.train.grpo import RlConfig
from veriloop.train.sft import SftConfig

SHORT = SftConfig(steps=2, batch=4, eval_every=1, patience=2)
TINY = RlAblation(
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
    return out, ablate_rl("parcel", 1, out, config=TINY, workers=1)


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
    assert isinstance(row["sft_stopped_at_minimum"], bool)
    assert set(row["seconds"]) >= {"user", "sft", "rl", "sft-continued"}
    assert json.loads((out / "table.json").read_text()) == json.loads(json.dumps(result))
    steps = {file.stem for file in (out / "seed-0" / "steps").iterdir()}
    assert steps == set(RlLab.needs)


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
            ablate_rl(domain, 1, tmp_path / "out", config=TINY.model_copy(update={"scope": scope}))
    assert not list(tmp_path.iterdir())


def test_a_scope_that_offers_too_few_tasks_is_refused(tmp_path: Path):
    # No rule forbids a new phone number, so nobody can be refused one.
    scope = Scope(tools=("update_phone",), tiers=("refusal",))
    lab = RlLab("parcel", 0, tmp_path, TINY.model_copy(update={"scope": scope}))
    with pytest.raises(InputError, match="only 0 of 2 test tasks could be proved; take fewer --tasks"):
        lab.do("test-tasks")
    assert not lab.has_done("test-tasks")


def test_an_agent_that_never_passed_imitates_nothing(ablation: tuple[Path, dict[str, Any]]):
    models = ablation[0] / "seed-0" / "models"
    assert json.loads((ablation[0] / "seed-0" / "steps" / "own-successes.json").read_text())["steps"] == 0
    assert (models / "own-successes" / "model.safetensors").read_bytes() == (
        models / "sft" / "model.safetensors"
    ).read_bytes()


def test_a_second_call_repeats_nothing(ablation: tuple[Path, dict[str, Any]]):
    out, result = ablation
    before = times(out)
    done: list[tuple[int, int]] = []
    again = ablate_rl("parcel", 1, out, config=TINY, workers=2, progress=lambda *found: done.append(found))
    assert again["table"] == result["table"] and done == [(len(RlLab.needs), len(RlLab.needs))]
    assert times(out) == before and before


def test_other_settings_are_refused(ablation: tuple[Path, dict[str, Any]]):
    out, _ = ablation
    before = times(out)
    with pytest.raises(InputError, match="other settings"):
        ablate_rl("parcel", 1, out, config=TINY.model_copy(update={"trials": 2}))
    assert times(out) == before


def test_controls_train_on_as_many_own_tokens_as_reinforcement_did(
    ablation: tuple[Path, dict[str, Any]], tmp_path: Path
):
    steps = ablation[0] / "seed-0" / "steps"
    trained = {arm: json.loads((steps / f"{arm}.json").read_text()) for arm in ("rl", "sft-continued")}
    rows, own = (trained["sft-continued"]["metrics"][key] for key in ("rows", "own_tokens"))
    per_step = own / -(-rows // SHORT.batch)
    assert trained["sft-continued"]["steps"] == max(1, round(trained["rl"]["tokens"] / per_step))


def test_after_reinforcement_that_learned_nothing_controls_train_one_step(tmp_path: Path):
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "rl.json").write_text(json.dumps({"tokens": 0}))
    config = RlLab("parcel", 7, tmp_path, TINY).config_of_controls()
    assert (config.own_tokens, config.patience, config.seed) == (1, 0, 7)
