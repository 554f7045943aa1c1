"""Readers of a run: its proved tasks, its judged dialogues, its evaluations and the curves of its models."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from veriloop.core.trace import Trace
from veriloop.core.verdict import Verdict
from veriloop.domains.task import Task
from veriloop.store.file import read_json
from veriloop.store.ledger import Entry
from veriloop.store.run import Run

STAGES = ("synth", "proof", "rollout:", "verdict:")
FIDELITY = "fidelity.json"
"""The file in a run that lays its tasks beside the benchmark's."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One played and judged dialogue of a proved task; `findings` is what else the verdict's row holds (blame)."""

    item: int
    trial: int
    task: Task
    trace: Trace
    verdict: Verdict
    findings: dict[str, Any]

    @property
    def good(self) -> bool:
        """True when the checker passed it and the trajectory verifier, where it was asked, had no objection."""
        return self.verdict.passed and self.findings.get("success", True)

    def read_opinion(self, of: str) -> bool | None:
        """Return whether a model thinks it good, the trajectory verifier (`opinion`) or the `judge`; None for none."""
        found = self.findings.get(of)
        return found["success"] if found else None


def iter_tasks(run: Run) -> Iterator[tuple[int, Task]]:
    """Yield (item, task) for every accepted task, in item order; a draft that was not proved is a rejected row."""
    for entry in run.ledger.entries("synth", "done"):
        yield entry.item, Task.model_validate_json(entry.text)


def iter_dialogues(run: Run, *, good: bool = False) -> Iterator[Dialogue]:
    """Yield the judged dialogues in order of item and trial; with `good` only those worth imitating."""
    for entry in run.ledger.entries("verdict:", "done"):
        payload = entry.payload
        verdict = Verdict.model_validate(payload["verdict"])
        trial = int(entry.stage.partition(":")[2])
        rollout = run.ledger.get(entry.item, f"rollout:{trial}")
        if rollout is None or rollout.status != "done":
            continue
        findings = {key: value for key, value in payload.items() if key != "verdict"}
        task = _load_task(run, entry.item)
        dialogue = Dialogue(entry.item, trial, task, Trace.model_validate_json(rollout.text), verdict, findings)
        if dialogue.good or not good:
            yield dialogue


def iter_all_dialogues(run: Run) -> Iterator[Dialogue]:
    """Yield the demonstrations and, after those of their item, the failed dialogues of accepted tasks.

    Trials go on counting; dialogues about drafts that were given up are left out: nothing is proved of those.
    """
    for item, task in iter_tasks(run):
        trial = 0
        for stage in ("verdict", "failure"):
            for number in count():
                entry = run.ledger.get(item, f"{stage}:{number}")
                if entry is None:
                    break
                found = _read_verdict(run, entry) if stage == "verdict" else _read_failure(entry, task.id)
                if found:
                    judgement, trace = found
                    findings = {key: value for key, value in judgement.items() if key != "verdict"}
                    yield Dialogue(item, trial, task, trace, Verdict.model_validate(judgement["verdict"]), findings)
                    trial += 1


def _read_verdict(run: Run, entry: Entry) -> tuple[dict[str, Any], Trace] | None:
    rollout = run.ledger.get(entry.item, f"rollout:{entry.stage.partition(':')[2]}")
    return (entry.payload, Trace.model_validate_json(rollout.text)) if rollout else None


def _read_failure(entry: Entry, task: str) -> tuple[dict[str, Any], Trace] | None:
    trace = Trace.model_validate(entry.payload["trace"])
    return (entry.payload["judgement"], trace) if trace.task_id == task else None


def count_stages(run: Run) -> dict[str, dict[str, int]]:
    """Return the yield funnel: for each stage how many rows have each status."""
    counts = {stage: Counter[str]() for stage in STAGES}
    for entry in run.ledger.entries():
        name = entry.stage if entry.stage in counts else f"{entry.stage.partition(':')[0]}:"
        counts.setdefault(name, Counter())[entry.status] += 1
    return {stage.rstrip(":"): dict(sorted(count.items())) for stage, count in counts.items()}


def read_fidelity(run: Path) -> dict[str, Any] | None:
    """Return how the run's tasks compare with the benchmark's; None where nobody has measured it."""
    file = run / FIDELITY
    return read_json(file) if file.is_file() else None


def read_evals(run: Path) -> dict[str, dict[str, Any]]:
    """Return every evaluation's summary by its name."""
    return {file.stem: read_json(file) for file in sorted((run / "evals").glob("*.json"))}


def read_curves(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the logged training steps of every model by the model's name; a line cut by a kill is left out."""
    files = sorted((run / "models").glob("*/metrics.jsonl"))
    return {file.parent.name: list(_read_lines(file)) for file in files}


def read_results(run: Path) -> dict[str, dict[str, Any]]:
    """Return the summary of every finished training by the model's name."""
    return {file.parent.name: read_json(file) for file in sorted((run / "models").glob("*/result.json"))}


def _load_task(run: Run, item: int) -> Task:
    entry = run.ledger.get(item, "synth")
    assert entry is not None, f"item {item} has a later stage but no synth row"
    return Task.model_validate_json(entry.text)


def _read_lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
