import json
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.engine.plan import Scope
from veriloop.pipeline.ablation.data import ARMS, DataAblation, DataLab, ablate_data
from veriloop.store.artefact import read_tasks
from veriloop.store.result import iter_dialogues
from veriloop.store.run import open_run
from veriloop.train.sft import SftConfig

TINY = DataAblation(
    tasks=8,
    plans=4,
    few=2,
    rounds=1,
    pilot=8,
    held_out=3,
    trials=1,
    turns=6,
    slips=0.6,
    model="pico",
    sft=SftConfig(own_tokens=2000, patience=0, batch=4),
)


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("ablations") / "data"
    return out, ablate_data("parcel", 1, out, config=TINY, workers=1)


def times(out: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in out.glob("**/*") if file.parent.name in ("steps", "evals")}


def test_the_table_holds_every_arm(ablation: tuple[Path, dict[str, Any]]):
    out, result = ablation
    assert (result["what"], result["base"], result["arms"]) == ("data", "full", list(ARMS))
    (row,) = result["table"]
    assert (row["seed"], row["tasks"]) == (0, 3)
    for arm in ARMS:
        assert set(row[arm]) >= {"pass_hat", "interval_95", "data"}
        assert ("minus_full" in row[arm]) == (arm != "full")
        assert row[arm]["data"]["proved"] == 8 and 0 < row[arm]["data"]["diversity"] <= 1
    assert set(result["pooled"]) == set(ARMS) - {"full"}
    assert json.loads((out / "table.json").read_text()) == json.loads(json.dumps(result))


def test_arms_differ_in_one_thing(ablation: tuple[Path, dict[str, Any]]):
    full = TINY.of_arm("full", 5).model_dump()
    differing = {
        arm: {key for key, value in TINY.of_arm(arm, 5).model_dump().items() if value != full[key]} for arm in ARMS
    }
    assert differing == {"full": set(), "no-validation": {"verify"}, "no-evolution": {"evolve"}, "few-plans": {"plans"}}
    rounds = {arm: len(ablation[1]["table"][0][arm]["data"]["fitness_held_out"]) for arm in ARMS}
    assert rounds["no-evolution"] == 0 and min(count for arm, count in rounds.items() if arm != "no-evolution") >= 1


def test_agents_train_on_as_many_own_tokens(ablation: tuple[Path, dict[str, Any]]):
    for arm in ARMS:
        found = json.loads((ablation[0] / "seed-0" / "steps" / f"sft-{arm}.json").read_text())
        per_step = found["metrics"]["own_tokens"] / -(-found["metrics"]["rows"] // 4)
        assert abs(found["steps"] * per_step - 2000) <= per_step / 2 + 1e-6


def test_the_test_set_is_nobodys(ablation: tuple[Path, dict[str, Any]]):
    out, _ = ablation
    test = list(read_tasks(out / "test"))
    assert len(test) == 3 and TINY.of_test().verify
    for arm in ARMS:
        made = list(read_tasks(out / "seed-0" / arm))
        assert not {task.id for task in made} & {task.id for task in test}
        assert not {task.initial.database for task in made} & {task.initial.database for task in test}


def test_without_validation_nothing_is_proved_and_every_dialogue_kept(ablation: tuple[Path, dict[str, Any]]):
    out, result = ablation
    with open_run(out / "seed-0" / "no-validation") as run:
        assert not list(run.ledger.entries("proof"))
        kept = list(iter_dialogues(run))
    data = result["table"][0]["no-validation"]["data"]
    assert len(kept) == data["dialogues"] >= 8
    assert data["failed_dialogues"] == sum(not dialogue.good for dialogue in kept) > 0
    assert result["table"][0]["full"]["data"]["failed_dialogues"] == 0, "those that failed are no demonstrations"


def test_tasks_that_no_proof_would_pass_are_counted(ablation: tuple[Path, dict[str, Any]]):
    lab = DataLab("parcel", 0, ablation[0] / "seed-0", TINY, ablation[0] / "test")
    tasks = list(read_tasks(ablation[0] / "seed-0" / "full"))
    writes = [task for task in tasks if not task.tags.no_write]
    assert writes and lab.count_unproved(tasks) == 0
    spoiled = [task.model_copy(update={"gold": ()}) for task in writes]
    assert lab.count_unproved(spoiled) == len(spoiled)


def test_a_second_call_repeats_nothing(ablation: tuple[Path, dict[str, Any]]):
    out, result = ablation
    before = times(out)
    again = ablate_data("parcel", 1, out, config=TINY, workers=2)
    assert again["table"] == result["table"] and times(out) == before and before


def test_other_settings_are_refused(ablation: tuple[Path, dict[str, Any]]):
    with pytest.raises(InputError, match="other settings"):
        ablate_data("parcel", 1, ablation[0], config=TINY.model_copy(update={"trials": 2}))


def test_nothing_is_written_for_a_scope_or_domain_that_is_not_there(tmp_path: Path):
    for domain, scope in (("parcel", Scope(tools=("fly",))), ("parcels", Scope())):
        with pytest.raises(InputError):
            ablate_data(domain, 1, tmp_path / "out", config=TINY.model_copy(update={"scope": scope}))
    assert not list(tmp_path.iterdir())
