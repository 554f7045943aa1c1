"""`veriloop ablate`: what it is asked to do becomes the settings of the ablation."""

from pathlib import Path
from typing import Any

import pytest

from veriloop.cli.main import run
from veriloop.core.base import Frozen
from veriloop.engine.plan import Scope
from veriloop.pipeline.ablation import data, rl
from veriloop.pipeline.ablation.data import DataAblation
from veriloop.pipeline.ablation.rl import RlAblation


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The settings of every ablation that was asked for; none is done."""
    found = list[Any]()

    def note(_domain: str, _seeds: int, out: Path, *, config: Frozen, **_: Any) -> dict[str, Any]:
        found.append(config)
        out.mkdir(exist_ok=True)
        what = "rl" if isinstance(config, RlAblation) else "data"
        return {
            "what": what, "arms": [], "base": "full", "table": [], "domain": "parcel",
            "config": config.model_dump(mode="json"),
        }  # fmt: skip

    monkeypatch.setattr(rl, "ablate_rl", note)
    monkeypatch.setattr(data, "ablate_data", note)
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
    asked: list[Any], tmp_path: Path, options: list[str], scope: Scope
):
    assert run(["ablate", "rl", "parcel", "--out", str(tmp_path), *options]) == 0
    assert [config.scope for config in asked] == [scope]


def test_sizes_are_passed_on(asked: list[Any], tmp_path: Path):
    sizes = ["--tasks", "90", "--demonstrations", "7", "--held-out", "11"]
    assert run(["ablate", "rl", "parcel", "--out", str(tmp_path), *sizes]) == 0
    assert (asked[0].tasks, asked[0].demonstrations, asked[0].held_out) == (90, 7, 11)


def test_data_is_ablated_over_the_whole_domain(asked: list[Any], tmp_path: Path):
    assert run(["ablate", "data", "parcel", "--out", str(tmp_path), "--tasks", "50", "--held-out", "12"]) == 0
    assert asked == [DataAblation(tasks=50, held_out=12, slips=0.3)]
    assert (asked[0].plans, asked[0].few, asked[0].scope) == (64, 4, Scope())
    assert (tmp_path / "ablation.html").exists()


@pytest.mark.parametrize("option", [["--demonstrations", "0"], ["--whole"]])
def test_what_belongs_to_rl_is_refused(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
):
    assert run(["ablate", "data", "parcel", "--out", str(tmp_path / "out"), *option]) == 2
    assert "ablate rl" in capsys.readouterr().err and not asked and not (tmp_path / "out").exists()


def test_slips_belong_to_data(asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["ablate", "data", "parcel", "--out", str(tmp_path / "a"), "--slips", "0.1"]) == 0
    assert asked[0].slips == 0.1
    assert run(["ablate", "rl", "parcel", "--out", str(tmp_path / "b"), "--slips", "0.1"]) == 2
    assert "ablate data" in capsys.readouterr().err and len(asked) == 1
