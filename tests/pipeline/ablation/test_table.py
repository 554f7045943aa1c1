from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.pipeline.ablation.table import compare_arms, pool_seeds

TASKS = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.integers(0, 1), min_size=1, max_size=4), min_size=1)


def evaluation(per_task: dict[str, list[int]]) -> dict[str, Any]:
    return {"per_task": per_task, "pass_hat": {"1": 0.0}, "interval_95": [0.0, 1.0]}


def compare(others: dict[str, list[int]], base: dict[str, list[int]]) -> dict[str, Any]:
    return compare_arms({"sft": evaluation(base), "rl": evaluation(others)}, "sft")


def test_differences_are_paired_by_task():
    base = {"a": [0, 0], "b": [1, 0], "c": [1, 1], "void": []}
    row = compare({"a": [1, 1], "b": [1, 0], "c": [1, 0], "only-here": [1], "void": [1]}, base)
    assert row["tasks"] == 3
    assert row["rl"]["minus_sft"] == pytest.approx((1 + 0 - 0.5) / 3)
    low, high = row["rl"]["minus_sft_interval_95"]
    assert -0.5 <= low <= row["rl"]["minus_sft"] <= high <= 1
    assert "minus_sft" not in row["sft"]


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


def test_seeds_are_pooled_by_task():
    base = evaluation({"a": [0, 0], "b": [0, 0], "c": [0]})
    first, second = evaluation({"a": [1, 1], "b": [1, 0]}), evaluation({"a": [1, 1], "b": [0, 0], "c": [1]})
    found = pool_seeds([{"sft": base, "no-rl": first}, {"sft": base, "no-rl": second}], "sft")
    assert list(found) == ["no-rl"]
    # c was not counted with the first seed: the mean is over a and b, each seed's own over what it has.
    assert found["no-rl"]["mean"] == pytest.approx((1 + 0.25) / 2)
    assert found["no-rl"]["by_seed"] == pytest.approx([0.75, 2 / 3])
    low, high = found["no-rl"]["interval_95"]
    assert 0.25 <= low <= high <= 1


@given(TASKS, TASKS)
def test_one_seed_pools_to_its_own_difference(base: dict[str, list[int]], others: dict[str, list[int]]):
    evals = {"sft": evaluation(base), "rl": evaluation(others)}
    pooled, row = pool_seeds([evals], "sft")["rl"], compare_arms(evals, "sft")["rl"]
    assert pooled["mean"] == row["minus_sft"] == pooled["by_seed"][0]
    assert pooled["interval_95"] == row["minus_sft_interval_95"]
