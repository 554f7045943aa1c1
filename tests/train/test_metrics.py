import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from veriloop.train.metrics import MetricsFile

LINES = "".join(json.dumps({"step": step, "phase": "sft", "loss": 1.0}) + "\n" for step in (0, 5, 10, 15))


def begin(path: Path, step: int) -> list[int]:
    MetricsFile(path, "sft").on_train_begin(None, SimpleNamespace(global_step=step, is_world_process_zero=True), None)
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("step", "kept"), [(0, []), (5, [0, 5]), (10, [0, 5, 10]), (99, [0, 5, 10, 15])])
def test_lines_after_the_checkpoint_are_dropped(tmp_path: Path, step: int, kept: list[int]):
    path = tmp_path / "model" / "metrics.jsonl"
    path.parent.mkdir()
    path.write_text(LINES)
    assert begin(path, step) == kept


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_line_cut_by_a_kill_is_left_out(tmp_path: Path, cut: int):
    path = tmp_path / "metrics.jsonl"
    path.write_text(LINES[:-cut])
    assert begin(path, 99) == [0, 5, 10]


def test_numbers_alone_are_logged(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    assert begin(path, 0) == []
    logged: dict[str, Any] = {"loss": 0.5, "note": "text"}
    MetricsFile(path, "rl").on_log(None, SimpleNamespace(global_step=3, is_world_process_zero=True), None, logged)
    MetricsFile(path, "rl").on_log(
        None, SimpleNamespace(global_step=4, is_world_process_zero=True), None, {"note": "text"}
    )
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"step": 3, "phase": "rl", "loss": 0.5}]
