"""`veriloop ablate`: what it is asked to do becomes the settings of the ablation."""

from pathlib import Path
from typing import Any

import pytest

import veriloop.pipeline.ablate as module
from veriloop.cli.main import run
from veriloop.engine.plan import Scope
from veriloop.pipeline.lab import AblationConfig


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[AblationConfig]:
    """The settings of every ablation that was asked for; none is done."""
    found = list[AblationConfig]()

    def note(_domain: str, _seeds: int, _out: Path, config: AblationConfig, **_: Any) -> dict[str, Any]:
        found.append(config)
        return {"arms": [], "table": []}

    monkeypatch.setattr(module, "ablate_rl", note)
    return found


@pytest.mark.parametrize(
    ("options", "scope"),
    [
        ([], Scope(tools=("change_address",), tiers=("single", "refusal"))),
        (["--whole"], Scope()),
        (["--only-tools", "hold_parcel"], Scope(tools=("hold_parcel",))),
        (["--only-tiers", "single"], Scope(tiers=("single",))),
        (["--whole", "--only-tiers", "single"], Scope(tiers=("single",))),
    ],
)
def test_it_keeps_to_a_part_of_the_domain_unless_told_otherwise(
    asked: list[AblationConfig], tmp_path: Path, options: list[str], scope: Scope
):
    assert run(["ablate", "rl", "parcel", "--out", str(tmp_path), *options]) == 0
    assert [config.scope for config in asked] == [scope]


def test_sizes_are_passed_on(asked: list[AblationConfig], tmp_path: Path):
    sizes = ["--tasks", "90", "--demonstrations", "7", "--held-out", "11"]
    assert run(["ablate", "rl", "parcel", "--out", str(tmp_path), *sizes]) == 0
    assert (asked[0].tasks, asked[0].demonstrations, asked[0].held_out) == (90, 7, 11)
