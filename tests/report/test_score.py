"""Evaluations as comparable rows, curves as figures, paired differences."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.report.score import compare_evals, make_curves, read_figures, read_scores


def summary(agent: str, per_task: dict[str, list[bool]], **more: Any) -> dict[str, Any]:
    rate = sum(map(sum, per_task.values())) / max(1, sum(map(len, per_task.values())))
    return {
        "domain": "parcel",
        "agent": agent,
        "user": "scripted",
        "tasks": len(per_task),
        "trials": 2,
        "passed": sum(map(sum, per_task.values())),
        "pass_hat": {"1": rate},
        "interval_95": {"1": [rate - 0.1, rate + 0.1]},
        "official": False,
        "per_task": per_task,
        "stops": {"user_stop": 4},
        **more,
    }


def write(run: Path, name: str, value: Any) -> None:
    (run / "evals").mkdir(parents=True, exist_ok=True)
    (run / "evals" / f"{name}.json").write_text(json.dumps(value))


GOOD, BAD = {"a": [True, True], "b": [True, False]}, {"a": [False, True], "b": [False, False]}


def test_rows_rise_by_score_and_tables_hold_what_compares(tmp_path: Path) -> None:
    write(tmp_path, "rl", summary("rl", GOOD))
    write(tmp_path, "sft", summary("sft", BAD, void=2))
    write(tmp_path, "official", summary("sft", GOOD, official=True))
    write(tmp_path, "other_tasks", summary("sft", {"c": [True]}))
    write(tmp_path, "notes", {"anything": 1})
    tables = read_scores(tmp_path)
    assert sorted(len(table.rows) for table in tables) == [1, 1, 2]
    pair = next(table for table in tables if len(table.rows) == 2)
    assert [row.name for row in pair.rows] == ["sft", "rl"]
    assert (pair.rows[0].void, pair.rows[1].void) == (2, 0)
    assert pair.rows[1].cells["1"] == (0.75, 0.65, 0.85)
    assert (pair.rows[1].passed, pair.rows[1].counted) == (3, 4)


def test_unmeasured_scores_leave_a_gap(tmp_path: Path) -> None:
    write(tmp_path, "void", summary("x", {"a": []}, pass_hat={}, interval_95={}))
    (table,) = read_scores(tmp_path)
    assert table.columns == ()
    assert table.rows[0].cells == {}


def test_known_numbers_share_a_figure_and_others_follow() -> None:
    steps = [{"step": n, "phase": "sft", "loss": 1 / n, "learning_rate": 0.1} for n in range(1, 6)]
    steps[4]["heldout_loss"] = 0.3
    curves = make_curves("m", steps)
    assert [figure.title for figure in curves.figures] == ["Loss"]
    assert curves.figures[0].series == {"loss": [(n, 1 / n) for n in range(1, 6)], "heldout_loss": [(5.0, 0.3)]}
    assert [figure.title for figure in curves.others] == ["learning_rate"]


def test_counts_of_groups_are_no_pass_rates() -> None:
    steps = [{"step": 1, "validation_pass_1": 0.2, "groups_all_passed": 3, "groups_kept": 8}]
    figures = {figure.title: set(figure.series) for figure in make_curves("m", steps).figures}
    assert figures == {"Pass rate": {"validation_pass_1"}, "Groups": {"groups_all_passed", "groups_kept"}}


def test_phases_are_lines_of_their_own() -> None:
    steps = [{"step": 1, "phase": "sft", "loss": 1.0}, {"step": 1, "phase": "rl", "loss": 2.0, "reward": 0.5}]
    curves = make_curves("m", steps)
    assert list(curves.figures[0].series) == ["loss (sft)", "loss (rl)"]
    assert [figure.title for figure in curves.figures] == ["Loss", "Reward per trajectory"]


VALUES = st.none() | st.text() | st.booleans() | st.floats() | st.integers() | st.lists(st.integers())
STEPS = st.lists(st.dictionaries(st.sampled_from(["step", "phase", "loss", "reward", "x"]), VALUES), max_size=6)


@given(STEPS)
def test_any_logged_values_are_taken_or_left(steps: list[dict[str, Any]]) -> None:
    curves = make_curves("m", steps)
    for figure in (*curves.figures, *curves.others):
        assert figure.series
        assert all(math.isfinite(n) for points in figure.series.values() for point in points for n in point)


def test_cut_last_line_of_the_log_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    (curves,) = read_figures(tmp_path)
    assert curves.figures[0].series == {"loss": [(1.0, 2.0)]}


def test_difference_is_paired_by_task(tmp_path: Path) -> None:
    write(tmp_path / "a", "sft", summary("sft", {**GOOD, "only_here": [True]}))
    write(tmp_path / "b", "sft", summary("sft", BAD))
    write(tmp_path / "b", "rl", summary("rl", GOOD))
    (row,) = compare_evals(tmp_path / "a", tmp_path / "b")
    assert (row.name, row.tasks, row.paired) == ("sft", 2, pytest.approx(0.5))
    assert row.interval == (pytest.approx(0.5), pytest.approx(0.5))


def test_runs_without_shared_tasks_have_no_difference(tmp_path: Path) -> None:
    write(tmp_path / "a", "sft", summary("sft", {"a": [True]}))
    write(tmp_path / "b", "sft", summary("sft", {"b": [True]}))
    (row,) = compare_evals(tmp_path / "a", tmp_path / "b")
    assert (row.tasks, row.paired, row.interval) == (0, None, None)
