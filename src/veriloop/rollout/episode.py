"""The dialogue as a state machine without input or output: ask what is pending, feed the answer, take the trace."""

from dataclasses import dataclass

from veriloop.core.message import Message, Seat, ToolCall, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import (
    end_alone,
    find_owner,
    find_place,
    open_alone,
    seat_tools,
    system_text,
    visible_turns,
)
from veriloop.domains.session import Session
from veriloop.domains.task import Task
from veriloop.rollout.player import View

GREETING = "Hi! How can I help you today?"
STOP_TOKENS = {
    "###STOP###": StopReason.USER_STOP,
    "###TRANSFER###": StopReason.TRANSFER,
    "###OUT-OF-SCOPE###": StopReason.OUT_OF_SCOPE,
}


TURNS_PER_STEP = 6
"""Turns allowed for each call of the gold where that is more than the usual limit: asked for, made, told, and more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a dialogue is cut: turns of both seats together, refused tool calls."""

    turns: int = 60
    errors: int = 8


class Episode:
    """One dialogue on a live session. The agent greets, then user and agent alternate; tool calls keep the turn.

    Where the task has a ticket, the agent works alone: see `domains/perspective.py`.
    """

    def __init__(
        self,
        domain: Domain,
        task: Task,
        *,
        seed: int = 0,
        limits: Limits | None = None,
        names: dict[Seat, str] | None = None,
    ) -> None:
        self._domain, self._task, self._seed = domain, task, seed
        self._limits = limits or Limits(turns=max(Limits().turns, TURNS_PER_STEP * len(task.gold)))
        self._names: dict[Seat, str] = names or {}
        self._session: Session = domain.open(task.initial)
        ticket = task.initial.ticket
        self._alone = ticket is not None
        self._turns: list[Turn] = [Turn(seat="agent", content=GREETING) if ticket is None else open_alone(ticket)]
        self._next: Seat = "agent" if self._alone else "user"
        self._errors = 0
        self._stop: StopReason | None = None
        self._error: str | None = None
        self._system: dict[Seat, str] = {
            "agent": system_text(domain, task, "agent"),
            "user": system_text(domain, task, "user"),
        }

    def pending(self) -> View | None:
        """Return the view of the seat whose turn it is, or None when the dialogue is over."""
        if self._stop:
            return None
        seat = self._next
        return View(
            key=f"{self._task.id}/{self._seed}",
            task_id=self._task.id,
            seat=seat,
            system=self._system[seat],
            tools=seat_tools(self._domain, seat, alone=self._alone),
            turns=visible_turns(self._turns, seat),
            seed=self._seed,
            scenario=self._task.user if seat == "user" else None,
        )

    def feed(self, message: Message) -> None:
        """Take the pending seat's answer, run its tool calls, and decide who is next."""
        if self._stop:
            raise RuntimeError("the dialogue is over; look at pending() before feed()")
        seat = self._next
        if self._alone:
            message = end_alone(message)
            seat = find_place(self._domain, message)
        results = tuple(self._session.call(self._find_hand(seat, call), call) for call in message.tool_calls)
        self._turns.append(Turn(**dict(message), seat=seat, results=results))
        self._errors += sum(result.error for result in results)
        if not message.tool_calls and not self._alone:
            self._next = "user" if seat == "agent" else "agent"
        self._stop = self._find_stop(seat, message)

    def fail(self, error: str, stop: StopReason = StopReason.PLAYER_ERROR) -> None:
        """End the dialogue because a player could not answer."""
        self._stop, self._error = stop, error

    def trace(self) -> Trace:
        """Return the finished dialogue."""
        if self._stop is None:
            raise RuntimeError("the dialogue is not over yet")
        return Trace(
            domain=self._domain.name,
            task_id=self._task.id,
            players=self._names,
            seed=self._seed,
            turns=tuple(self._turns),
            changes=self._session.changes(),
            digest=self._session.digest(),
            stop=self._stop,
            error=self._error,
        )

    def _find_hand(self, seat: Seat, call: ToolCall) -> Seat:
        return find_owner(self._domain, call) if self._alone else seat

    def _find_stop(self, seat: Seat, message: Message) -> StopReason | None:
        if message.malformed:
            self._error = f"{seat}: {message.malformed}"
            full = message.malformed.startswith(StopReason.TOO_LONG.value)
            return StopReason.TOO_LONG if full else StopReason.MALFORMED
        if self._alone and not message.tool_calls:
            return StopReason.AGENT_STOP
        if seat == "user" and not message.tool_calls:
            for token, reason in STOP_TOKENS.items():
                if token in message.content:
                    return reason
        if self._errors >= self._limits.errors:
            return StopReason.MAX_ERRORS
        if len(self._turns) >= self._limits.turns:
            return StopReason.MAX_TURNS
        return None
