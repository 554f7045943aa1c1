"""Replaying calls on a fresh session, with the words a checker needs to hear."""

from collections.abc import Sequence
from dataclasses import dataclass

from veriloop.check.compile import Case
from veriloop.core.message import Change, ToolResult
from veriloop.domains.domain import Domain
from veriloop.domains.session import Session
from veriloop.domains.task import SeatCall, Task


@dataclass(frozen=True, slots=True)
class Replay:
    """What calls led to: the session, each call's result, and how many were refused."""

    session: Session
    calls: tuple[SeatCall, ...]
    results: tuple[ToolResult, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Net changes."""
        return self.session.changes()

    @property
    def digest(self) -> str:
        """Digest of the end state."""
        return self.session.digest()

    @property
    def errors(self) -> int:
        """Number of refused calls."""
        return sum(result.error for result in self.results)

    def case(self, words: Sequence[str], *, early: bool = False) -> Case:
        """Return the replay as a checker's arguments; the agent says `words` after the last call (before the first)."""
        calls = [
            {"seat": step.seat, "name": step.call.name, "arguments": step.call.arguments, "error": result.error}
            for step, result in zip(self.calls, self.results, strict=True)
        ]
        messages = [{"seat": "agent", "content": text, "calls": 0 if early else len(calls)} for text in words]
        return [change.model_dump(mode="json") for change in self.changes], calls, messages


def replay(domain: Domain, task: Task, calls: Sequence[SeatCall]) -> Replay:
    """Make calls on a fresh session of the task."""
    session = domain.open(task.initial)
    results = tuple(session.call(step.seat, step.call) for step in calls)
    return Replay(session, tuple(calls), results)


def closing_words(task: Task) -> list[str]:
    """Return what an agent that does right says at the end: the refusal where one is due, the values told."""
    refusal = ["I am sorry, I cannot do that."] if task.refused else []
    return [*refusal, *task.told] or ["That is done."]
