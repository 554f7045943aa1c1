"""How far models that read dialogues agree with the checkers; their word stands beside the verdict, never in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.metric import cohen_kappa
from veriloop.core.verdict import Outcome, Verdict
from veriloop.store.ledger import Entry
from veriloop.store.run import Run

READERS = {"judge": "judge", "opinion": "trajectory verifier"}
"""Key of an opinion in a judgement -> whose it is."""
SHOWN = 20
"""Disagreements told one by one."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A dialogue on which the two differ. place: item and stage in the ledger. links: title -> path."""

    place: str
    checker: str
    reader: str
    links: dict[str, str]


@dataclass(slots=True)
class Agreement:
    """Dialogues that both judged: passed by both, by the checker alone, by the reader alone, by none."""

    reader: str
    both: int = 0
    checker: int = 0
    alone: int = 0
    none: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Dialogues that both judged."""
        return self.both + self.checker + self.alone + self.none

    @property
    def share(self) -> float:
        """Share of them on which the two agree."""
        return (self.both + self.none) / self.count

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa."""
        return cohen_kappa(self.both, self.checker, self.alone, self.none)


def read_agreement(run: Run) -> list[Agreement]:
    """Return the agreement of everybody who gave an opinion; dialogues that no checker could judge are left out."""
    found = {key: Agreement(name) for key, name in READERS.items()}
    for entry, judgement in _iter_judgements(run):
        verdict = Verdict.model_validate(judgement["verdict"])
        for key, agreement in found.items():
            opinion = judgement.get(key)
            if opinion and verdict.outcome is not Outcome.ERROR and _count(agreement, verdict, opinion["success"]):
                agreement.disagreements.append(_tell(run, entry, verdict, opinion))
    return [agreement for agreement in found.values() if agreement.count]


def tell_opinion(opinion: dict[str, Any]) -> str:
    """Return what somebody thinks of a dialogue and why."""
    return f"{'pass' if opinion['success'] else 'fail'}: {opinion['evidence'] or 'without evidence'}"


def _iter_judgements(run: Run) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Yield the judgements of all dialogues played, those of rejected drafts included."""
    for entry in run.ledger.entries("verdict:", "done"):
        yield entry, entry.payload
    for entry in run.ledger.entries("failure:", "done"):
        yield entry, entry.payload["judgement"]


def _count(agreement: Agreement, verdict: Verdict, good: bool) -> bool:
    """Add a dialogue and return whether the two differ on it."""
    passed = verdict.passed
    agreement.both += passed and good
    agreement.checker += passed and not good
    agreement.alone += good and not passed
    agreement.none += not passed and not good
    return passed != good


def _tell(run: Run, entry: Entry, verdict: Verdict, opinion: dict[str, Any]) -> Disagreement:
    accepted = run.ledger.get(entry.item, "accepted")
    task = accepted.payload["id"] if accepted else ""
    if entry.stage.startswith("failure"):
        task = entry.payload["trace"]["task_id"]
    places = {"task": f"tasks/{task}.json", "checker": f"checkers/{task}.py"}
    return Disagreement(
        place=f"item {entry.item}, {entry.stage}",
        checker=f"{verdict.outcome.value}: {verdict.reason}",
        reader=tell_opinion(opinion),
        links={f"{name} {task}": place for name, place in places.items() if (run.path / place).is_file()},
    )
