import json
from pathlib import Path
from typing import Any

import pytest

from veriloop.engine.plan import Scope
from veriloop.local.model import load_model
from veriloop.pipeline.ablation.user import ARMS, DOSES, USERS, UserAblation, UserLab, ablate_user
from veriloop.report.ablation import write_ablation_page
from veriloop.train.grpo import RlConfig
from veriloop.train.sft import SftConfig

SHORT = SftConfig(steps=2, batch=4, eval_every=1, patience=2)
TINY = UserAblation(
    tasks=12,
    held_out=2,
    trials=1,
    scope=Scope(tools=("return_to_sender",), tiers=("single",)),
    model="pico",
    user=SHORT,
    sft=SHORT,
    early=1,
    rl=RlConfig(steps=1, groups=1, size=2, cap=1, validate_every=0, turns=4, filtering=False),
)


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("ablations") / "user"
    return out, ablate_user("parcel", 1, out, config=TINY, workers=1)


def test_the_table_holds_every_arm_and_how_often_its_user_erred(ablation: tuple[Path, dict[str, Any]]):
    out, result = ablation
    assert result["arms"] == list(ARMS) and len(result["table"]) == 1
    row = result["table"][0]
    for arm in ARMS:
        assert set(row[arm]) >= {"pass_hat", "interval_95"}
        assert ("minus_sft" in row[arm]) == (arm != "sft")
    assert list(row["health"]) == list(USERS)
    for found in row["health"].values():
        assert set(found) == {"untold", "invented", "left_early", "leaked", "sound"}
        assert all(0 <= share <= 1 for share in found.values())
    assert {file.stem for file in (out / "seed-0" / "steps").iterdir()} == set(UserLab.needs)


def test_every_agent_practised_from_the_same_start(ablation: tuple[Path, dict[str, Any]]):
    models = ablation[0] / "seed-0" / "models"
    start = load_model(models / "sft").model.state_dict()
    for user in USERS:
        weights = load_model(models / user).model.state_dict()
        # One step of Adam moves a weight by the learning rate at most.
        moved = max(float((weights[name] - weight).abs().max()) for name, weight in start.items())
        assert moved <= 1.01 * TINY.rl.learning_rate


def test_the_early_user_is_stopped_early(ablation: tuple[Path, dict[str, Any]]):
    models = ablation[0] / "seed-0" / "models"
    steps = {name: json.loads((models / name / "result.json").read_text())["steps"] for name in ("user", "early-user")}
    assert steps == {"user": 2, "early-user": 1}


def test_doses_name_their_fault_and_share():
    assert DOSES["leak-0.25"] == ("leak", 0.25)
    assert len(DOSES) == 6 and set(DOSES) < set(USERS)


def test_nothing_done_is_done_again(ablation: tuple[Path, dict[str, Any]]):
    out, result = ablation
    files = {file: file.stat().st_mtime_ns for file in out.glob("seed-*/steps/*.json")}
    assert ablate_user("parcel", 1, out, config=TINY, workers=1) == result
    assert files == {file: file.stat().st_mtime_ns for file in out.glob("seed-*/steps/*.json")}


def test_the_page_shows_the_users(ablation: tuple[Path, dict[str, Any]], tmp_path: Path):
    text = write_ablation_page(ablation[1], tmp_path).read_text(encoding="utf-8")
    assert "How often the users erred" in text
    assert text.count("contradict-0.5") == 2
