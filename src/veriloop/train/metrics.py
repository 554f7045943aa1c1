"""Metrics of a training run as JSON lines, one object per logged step, and what a run returns."""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from veriloop.core.base import Frozen
from veriloop.store.file import write_lines


class TrainResult(Frozen):
    """What training made; the keys of `sft --json` and `rl --json`."""

    out: str
    steps: int
    tokens: int
    seconds: float
    metrics: dict[str, float | int | str | bool | None]


class MetricsFile(TrainerCallback):
    """Appends what the trainer logs to `metrics.jsonl`; steps at or after a resume point are written anew."""

    def __init__(self, path: Path, phase: str, progress: Any = None) -> None:
        self._path, self._phase, self._progress = path, phase, progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the lines of the steps that a checkpoint stands for, drop the later ones."""
        if not state.is_world_process_zero:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True) if self._path.exists() else []
        # A line without its end was cut by the kill.
        whole = [line.rstrip("\n") for line in lines if line.endswith("\n")]
        kept = [line for line in whole if json.loads(line)["step"] <= state.global_step] if state.global_step else []
        write_lines(self._path, kept)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Write one line of numbers."""
        numbers = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
        if numbers and state.is_world_process_zero:
            self.write(state.global_step, numbers)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report progress."""
        if self._progress:
            self._progress(state.global_step, state.max_steps)

    def write(self, step: int, numbers: dict[str, Any]) -> None:
        """Append one line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "phase": self._phase, **numbers}) + "\n")
