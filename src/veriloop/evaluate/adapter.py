"""Between our players and an orchestrator that holds its own message history: turns, views, one batching queue."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.errors import PlayerError, VeriloopError
from veriloop.core.message import Message, Seat, ToolResult, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import seat_tools, system_text
from veriloop.domains.task import Task
from veriloop.domains.tool import Tool
from veriloop.rollout.player import Player, View


@dataclass(slots=True)
class SeatLog:
    """What one seat has seen of a dialogue: its own turns with their results, and what the other seat said."""

    seat: Seat
    turns: list[Turn] = field(default_factory=list)

    def hear(self, content: str) -> None:
        """Note what the other seat said."""
        other: Seat = "user" if self.seat == "agent" else "agent"
        self.turns.append(Turn(seat=other, content=content))

    def say(self, message: Message) -> None:
        """Note this seat's own message."""
        self.turns.append(Turn(**dict(message), seat=self.seat))

    def receive(self, results: Sequence[ToolResult]) -> None:
        """Note what the calls of this seat's last message returned."""
        self.turns[-1] = self.turns[-1].model_copy(update={"results": tuple(results)})


@dataclass(frozen=True, slots=True)
class Chair:
    """A player in a seat of one official dialogue.

    system, tools: instead of what the seat has in a dialogue of ours; nothing means just that.
    """

    domain: Domain
    task: Task
    task_id: str
    key: str
    seed: int
    player: Player
    system: str = ""
    tools: tuple[Tool, ...] = ()

    def ask(self, log: SeatLog) -> Message:
        """Return the player's next message; raises PlayerError when infrastructure fails."""
        view = View(
            key=self.key,
            task_id=self.task_id,
            seat=log.seat,
            system=self.system or system_text(self.domain, self.task, log.seat),
            tools=self.tools or seat_tools(self.domain, log.seat),
            turns=tuple(log.turns),
            seed=self.seed,
            scenario=self.task.user if log.seat == "user" else None,
        )
        return self.player.reply([view])[0]


class GatheringPlayer:
    """Lets many threads ask one player: whoever is served takes along all views that wait by then."""

    def __init__(self, player: Player) -> None:
        self.name = player.name
        self._player = player
        self._serving = threading.Lock()
        self._queueing = threading.Lock()
        self._waiting: list[_Ticket] = []

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer views, batched with those of other threads."""
        tickets = [_Ticket(view) for view in views]
        with self._queueing:
            self._waiting += tickets
        with self._serving:
            if any(not ticket.served for ticket in tickets):
                self._serve()
        return [ticket.take() for ticket in tickets]

    def _serve(self) -> None:
        with self._queueing:
            batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            answers: Sequence[Any] = self._player.reply([ticket.view for ticket in batch])
        except VeriloopError as error:
            # Every thread gets the error that its view shared; a bug is raised in this one, the rest go unanswered.
            answers = [error] * len(batch)
        for ticket, answer in zip(batch, answers, strict=True):
            ticket.answer, ticket.served = answer, True


@dataclass(slots=True)
class _Ticket:
    view: View
    answer: Message | Exception = field(default_factory=lambda: PlayerError("never answered"))
    served: bool = False

    def take(self) -> Message:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
