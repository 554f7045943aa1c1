"""The page of an ablation, as a browser's parser reads it."""

from pathlib import Path
from typing import Any

import pytest

from veriloop.pipeline.ablation.table import compare_arms, pool_seeds
from veriloop.report.ablation import find_reach, read_rows, write_ablation_page

DATA = {
    "attempted": 12, "proved": 10, "no_write": 2, "seconds": 3.0, "closest_plans": None, "diversity": 0.71,
    "unproved": 4, "failed_dialogues": 3, "dialogues": 20, "own_tokens": 1234, "steps": 9,
    "fitness_held_out": [0.5, 0.6],
}  # fmt: skip


def evaluation(per_task: dict[str, list[int]]) -> dict[str, Any]:
    rate = sum(map(sum, per_task.values())) / max(1, sum(map(len, per_task.values())))
    return {"per_task": per_task, "pass_hat": {"1": rate, "2": 0.0}, "interval_95": {"1": [0.0, 1.0], "2": None}}


def make_result(seeds: int = 2, *, data: bool = True) -> dict[str, Any]:
    evals = {"full": evaluation({"a": [1, 1], "b": [1, 0]}), "no-<b>evolution": evaluation({"a": [1, 0], "b": [0, 0]})}
    table = [{"seed": seed, **compare_arms(evals, "full")} for seed in range(seeds)]
    for row in table:
        for arm in evals if data else ():
            row[arm]["data"] = DATA
    return {
        "what": "data", "table": table, "arms": list(evals), "base": "full", "domain": "parcel",
        "pooled": pool_seeds([evals] * seeds, "full") if data else {},
        "config": {"held_out": 2, "trials": 2, "tasks": 10},
    }  # fmt: skip


def test_the_page_shows_every_arm_of_every_seed(tmp_path: Path):
    page = write_ablation_page(make_result(), tmp_path).read_text()
    assert page.count('<th scope="row">full</th>') == 2 * 2
    assert page.count("no-&lt;b&gt;evolution") == 2 * 2 + 1 and "<b>evolution" not in page
    assert "-0.500" in page and "0.500 → 0.600" in page and "1\u202f234" in page
    assert page.count('<svg class="interval"') == 1 + 2 * 2 + 2
    assert "://" not in page and "<script" not in page


def test_an_ablation_without_pool_and_data_has_its_table(tmp_path: Path):
    page = write_ablation_page(make_result(1, data=False), tmp_path).read_text()
    assert 'id="seeds"' in page and 'id="pooled"' not in page and 'id="data"' not in page


def test_rows_carry_what_was_measured():
    base, other = read_rows(make_result(1))
    assert (base.arm, base.minus_base, base.cells["1"]) == ("full", None, (0.75, 0.0, 1.0))
    assert base.cells["2"] == (0.0, 0.0, 0.0)
    assert other.minus_base is not None and other.minus_base[0] == -0.5


@pytest.mark.parametrize(
    ("cells", "reach"),
    [([], 0.1), ([(0.0, -0.02, 0.05)], 0.1), ([(0.0, -0.31, 0.05), (0.1, 0.0, 0.2)], 0.4), ([(0.2, 0.1, 0.3)], 0.3)],
)
def test_the_scale_holds_all_intervals(cells: list[tuple[float, float, float]], reach: float):
    assert find_reach(cells) == reach
