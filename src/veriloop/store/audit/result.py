"""What an audit found: counts by kind of fault, the rows, and what the files are."""

from collections import Counter
from typing import Literal

from pydantic import BaseModel, Field

from veriloop.core.base import Frozen
from veriloop.store.audit.form import Form
from veriloop.store.fault import FIXES, MENDS, SEVERITIES, Fault, Finding, Mend, Severity

Gate = Literal["error", "warning", "note", "never"]
EXAMPLES = 25
"""Findings of a kind that are kept in words."""


class FileFacts(BaseModel):
    """What one file is: its rows by form, by domain, the dialogues of its turns, the tasks whose gold was replayed."""

    file: str
    rows: int = 0
    forms: Counter[str] = Field(default_factory=Counter)
    domains: Counter[str] = Field(default_factory=Counter)
    dialogues: int = 0
    tasks: int = 0
    replayed: int = 0


class Kind(Frozen):
    """All findings of one kind of fault: how many rows have it and which, by file where there are several."""

    severity: Severity
    mend: Mend
    fix: str
    count: int
    rows: list[int]
    places: list[str]
    examples: list[Finding]


class Audit(Frozen):
    """The result. rows: rows read. unknown: domains that rows name and nobody could load."""

    path: str
    rows: int
    files: list[FileFacts]
    findings: dict[Fault, Kind]
    unknown: list[str]
    seconds: float

    def passes(self, gate: Gate) -> bool:
        """Return whether no finding is as severe as the gate or more."""
        return not any(is_gated(fault, gate) for fault in self.findings)


class Tally:
    """Gathers findings as they come; of most only the place is kept."""

    def __init__(self) -> None:
        self._places: dict[Fault, dict[tuple[str, int], int]] = {}
        self._examples: dict[Fault, list[Finding]] = {}

    def add(self, finding: Finding) -> None:
        """Take a finding in."""
        places = self._places.setdefault(finding.fault, {})
        place = (finding.file, finding.row)
        if place not in places:
            places[place] = finding.count
            examples = self._examples.setdefault(finding.fault, [])
            if len(examples) < EXAMPLES:
                examples.append(finding)

    def faults(self, file: str, row: int) -> list[Fault]:
        """Return the faults of a row."""
        return [fault for fault, places in self._places.items() if (file, row) in places]

    def kinds(self) -> dict[Fault, Kind]:
        """Return all kinds of fault that were found, the most severe first."""
        ordered = sorted(self._places, key=lambda fault: (-SEVERITIES[fault].rank, list(Fault).index(fault)))
        return {fault: self._sum_up(fault) for fault in ordered}

    def _sum_up(self, fault: Fault) -> Kind:
        places = sorted(self._places[fault])
        return Kind(
            severity=SEVERITIES[fault],
            mend=MENDS[fault],
            fix=FIXES[fault],
            count=len(places),
            rows=[row for _, row in places],
            places=[f"{file}:{row}" for file, row in places],
            examples=self._examples[fault],
        )


def gather_files(files: list[FileFacts]) -> list[FileFacts]:
    """Return files with those of a run's task files that stand in one folder taken together."""
    kept: list[FileFacts] = []
    folders: dict[str, FileFacts] = {}
    for facts in files:
        if set(facts.forms) != {Form.TASK}:
            kept.append(facts)
            continue
        name = f"{facts.file.rpartition('/')[0] or '.'}/*.json"
        if name not in folders:
            kept.append(folders.setdefault(name, FileFacts(file=name)))
        whole = folders[name]
        whole.rows, whole.tasks, whole.replayed = (
            whole.rows + facts.rows, whole.tasks + facts.tasks, whole.replayed + facts.replayed
        )  # fmt: skip
        whole.forms += facts.forms
        whole.domains += facts.domains
    return kept


def describe_file(facts: FileFacts) -> str:
    """Return what a file holds, in words."""
    parts = [
        f"{count:,} {form}" + (f" of {facts.dialogues:,} dialogues" if Form(form).is_turn else "")
        for form, count in facts.forms.most_common()
    ]
    if facts.tasks:
        parts.append(f"gold of {facts.replayed:,} replayed")
    parts += [name for name in sorted(facts.domains) if name]
    return ", ".join(parts) or "nothing that can be read"


def is_gated(fault: Fault, gate: Gate) -> bool:
    """Return whether a fault is as severe as the gate or more."""
    return gate != "never" and SEVERITIES[fault].rank >= Severity(gate).rank
