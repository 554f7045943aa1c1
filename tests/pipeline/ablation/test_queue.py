from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.pipeline.ablation.data import DataLab
from veriloop.pipeline.ablation.lab import Lab
from veriloop.pipeline.ablation.queue import do_steps
from veriloop.pipeline.ablation.rl import RlLab

NEEDS = RlLab.needs


class FakeLab:
    """Notes when its steps are done; one of them may fail."""

    needs = NEEDS

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


@pytest.mark.parametrize("lab", [RlLab, DataLab])
def test_every_step_can_be_done(lab: type[Lab]):
    done: set[str] = set()
    for step, needs in lab.needs.items():
        assert done >= set(needs), step
        done.add(step)
