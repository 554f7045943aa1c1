"""What mutants are made from."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from veriloop.domains.domain import Domain
from veriloop.domains.session import Session
from veriloop.domains.task import SeatCall, Task
from veriloop.domains.walk import Walk
from veriloop.proof.dialogue import Dialogue, Line


@dataclass(frozen=True, slots=True)
class Ground:
    """A task with its right dialogue. session: in the gold end state; walk: made on the untouched one."""

    domain: Domain
    task: Task
    dialogue: Dialogue
    walk: Walk
    session: Session
    rng: random.Random

    def is_write(self, step: SeatCall) -> bool:
        """Return whether a step may change the state."""
        return self.domain.tools[step.call.name].kind == "write"

    def writes(self) -> list[int]:
        """Return the positions of the gold's writes, of both seats."""
        return [position for position, step in enumerate(self.task.gold) if self.is_write(step)]

    def handovers(self) -> list[int]:
        """Return the positions of the gold's calls that change nothing and are due all the same."""
        return [n for n, step in enumerate(self.task.gold) if self.domain.tools[step.call.name].is_handover]

    def openings(self) -> list[int]:
        """Return the positions of the agent's reads of nothing but what the user says of themselves."""
        said = {str(fact.value) for fact in self.task.user.identity}
        return [
            position
            for position, step in enumerate(self.task.gold)
            if step.seat == "agent" and step.call.arguments and not self.is_write(step)
            if said.issuperset(map(str, step.call.arguments.values()))
        ]

    def requests(self) -> Iterator[list[int]]:
        """Yield for each request that is carried out the positions of its writes: the user's own steps with it."""
        own: list[int] = []
        wanted = [(call.name, call.arguments) for call in self.task.wanted]
        for position in sorted({*self.writes(), *self.handovers()}):
            own.append(position)
            if (self.task.gold[position].call.name, self.task.gold[position].call.arguments) in wanted:
                yield own
                own = []


@dataclass(frozen=True, slots=True)
class Mutant:
    """A wrong dialogue and the class of its mistake."""

    kind: str
    lines: tuple[Line, ...]
