"""The dialogues of an evaluation on disk, one JSON line each, so that a killed one goes on where it was."""

from dataclasses import dataclass
from pathlib import Path

from veriloop.core.base import Frozen, canonical_json
from veriloop.core.errors import InputError
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.store.file import write_lines

Place = tuple[str, int]
"""(task id, trial)."""


class Played(Frozen):
    """One line: a dialogue of a task with its verdict, None when infrastructure voided the dialogue."""

    task_id: str
    trial: int
    verdict: Verdict | None
    trace: Trace


@dataclass(frozen=True, slots=True)
class Score:
    """What the statistics need of a dialogue: `passed` is None when it must not count (void, or the checker broke).

    error: why it is void.
    """

    passed: bool | None
    stop: StopReason
    outcome: Outcome | None
    error: str | None = None


def score_of(played: Played) -> Score:
    """Return the part of a line that is kept in memory."""
    verdict = played.verdict
    counts = verdict is not None and verdict.outcome is not Outcome.ERROR
    passed = verdict.passed if verdict and counts else None
    error = played.trace.error if verdict is None else None
    return Score(passed, played.trace.stop, verdict.outcome if verdict else None, error)


class Record:
    """A file of played dialogues, or none at all when `path` is None."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def load(self) -> dict[Place, Played]:
        """Return what was played, the last line of each place; a line cut by a kill is taken off the file.

        Raises InputError when some other line is broken.
        """
        if self.path is None or not self.path.exists():
            return {}
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
        found: dict[Place, Played] = {}
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                played = Played.model_validate_json(line)
            except ValueError as error:
                why = str(error).splitlines()[0]
                raise InputError(
                    f"{str(self.path)!r}, line {number}, is no dialogue of an evaluation ({why}); "
                    "restore the file, or remove it to start anew"
                ) from None
            found[played.task_id, played.trial] = played
        return found

    def add(self, played: Played) -> None:
        """Append a line; once this returns, killing the process does not lose it."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(spell(played) + "\n")

    def settle(self, order: list[Place]) -> None:
        """Rewrite the file in the order of places, one line each: equal evaluations give equal bytes."""
        if self.path is None:
            return
        played = self.load()
        write_lines(self.path, [spell(played[place]) for place in order if place in played])


def spell(played: Played) -> str:
    """Return the JSON line of a dialogue."""
    return canonical_json(played.model_dump(mode="json"))
