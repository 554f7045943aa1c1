"""Our players in the seats of tau2's orchestrator, and turns as the package's messages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from veriloop.evaluate.official_package import (  # first: it quiets tau2 before that is imported
    SEATS,
    AgentBase,
    AgentError,
    UserBase,
    UserError,
)

# isort: split
from tau2.agent.llm_agent import LLMSoloAgent
from tau2.data_model import message as tau2_message
from tau2.user.user_simulator import DummyUser, UserSimulator

from veriloop.core.message import Message, Seat, ToolCall, ToolResult, Turn
from veriloop.domains.perspective import end_alone, open_alone
from veriloop.domains.tau2.session import REQUESTORS
from veriloop.evaluate.adapter import Chair, SeatLog


class PlayerAgent(AgentBase):
    """One of our players as the package's agent. Text beside tool calls is dropped: nobody hears it."""

    def __init__(self, tools: list[Any], policy: str, chair: Chair) -> None:
        super().__init__(tools=tools, domain_policy=policy)
        self._chair = chair

    def get_init_state(self, message_history: list[Any] | None = None) -> SeatLog:
        """Start from the greeting."""
        return SeatLog("agent", [turn for turn, _ in read_turns(message_history or [])])

    def generate_next_message(self, message: Any, state: SeatLog) -> tuple[Any, SeatLog]:
        """Note what came and ask the player."""
        return _answer(self._chair, state, message, tau2_message.AssistantMessage, AgentError), state

    def set_seed(self, seed: int) -> None:
        """Do nothing: a player draws from the seed in its view."""


class PlayerUser(UserBase):
    """One of our players as the package's user."""

    def __init__(self, instructions: str, chair: Chair) -> None:
        super().__init__(instructions=instructions)
        self._chair = chair

    def get_init_state(self, message_history: list[Any] | None = None) -> SeatLog:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start from nothing; the greeting comes as the first message."""
        return SeatLog("user", [turn for turn, _ in read_turns(message_history or [])])

    def generate_next_message(self, message: Any, state: SeatLog) -> tuple[Any, SeatLog]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Note what came and ask the player."""
        return _answer(self._chair, state, message, tau2_message.UserMessage, UserError), state

    @classmethod
    def is_stop(cls, message: Any) -> bool:
        """Return whether the package's own user would end with this message."""
        return UserSimulator.is_stop(message)

    def set_seed(self, seed: int) -> None:
        """Do nothing: a player draws from the seed in its view."""


class SoloAgent(LLMSoloAgent):
    """One of our players alone at the package's telecom, with the tools of both seats and a ticket.

    What it says to end its work (see `end_alone`) is the package's own stop token.
    """

    def __init__(self, tools: list[Any], policy: str, task: Any, chair: Chair) -> None:
        super().__init__(tools=tools, domain_policy=policy, task=task, llm=chair.player.name)
        self._chair = chair

    def get_init_state(self, message_history: list[Any] | None = None) -> SeatLog:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start from the ticket: nobody greets."""
        history = [turn for turn, _ in read_turns(message_history or [])]
        return SeatLog("agent", [open_alone(self.task.ticket or ""), *history])

    def generate_next_message(self, message: Any, state: SeatLog) -> tuple[Any, SeatLog]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Note what came and ask the player."""
        return _answer(self._chair, state, message, tau2_message.AssistantMessage, AgentError, end=end_alone), state

    def set_seed(self, seed: int) -> None:
        """Do nothing: a player draws from the seed in its view."""


class NoUser(DummyUser):
    """Nobody: the package wants its own dummy in the user's seat."""

    def __init__(self) -> None:
        # The dummies of some versions want a model's name, those of others take none.
        UserSimulator.__init__(self, llm="nobody")


def _answer(
    chair: Chair,
    log: SeatLog,
    incoming: Any,
    form: type[Any],
    error: type[Exception],
    end: Callable[[Message], Message] = lambda message: message,
) -> Any:
    """Ask the player for the next message; `end` makes the package's own stop of what ends a player's work."""
    if isinstance(incoming, tau2_message.MultiToolMessage):
        log.receive([_read_result(message) for message in incoming.tool_messages])
    elif isinstance(incoming, tau2_message.ToolMessage):
        log.receive([_read_result(incoming)])
    elif incoming is not None:
        log.hear(incoming.content or "")
    answer = chair.ask(log)
    if answer.malformed or not (answer.tool_calls or answer.content.strip()):
        raise error(answer.malformed or "an empty message")
    answer = end(answer)
    log.say(answer)
    return _write_message(log.seat, answer, form)


def _write_message(seat: Seat, message: Message, form: type[Any]) -> Any:
    calls = [
        tau2_message.ToolCall(id=call.id, name=call.name, arguments=call.arguments, requestor=REQUESTORS[seat])
        for call in message.tool_calls
    ]
    role = REQUESTORS[seat]
    return form(role=role, content=None if calls else message.content, tool_calls=calls or None, cost=0.0)


def _read_result(message: Any) -> ToolResult:
    return ToolResult(call_id=message.id, content=message.content or "", error=message.error)


def read_call(id_: str, name: str, arguments: Mapping[str, Any]) -> ToolCall:
    """Return a call of the package's as ours."""
    return ToolCall(id=id_, name=name, arguments=dict(arguments))


def read_turns(messages: Sequence[Any]) -> Iterator[tuple[Turn, list[ToolCall]]]:
    """Yield the turns of the package's messages, tool results with the turn that called, and each turn's calls."""
    waiting = list(messages)
    while waiting:
        message = waiting.pop(0)
        count = len(message.tool_calls or [])
        results, waiting = waiting[:count], waiting[count:]
        calls = [read_call(call.id, call.name, call.arguments) for call in message.tool_calls or []]
        yield (
            Turn(
                seat=SEATS[message.role],
                content=message.content or "",
                tool_calls=tuple(calls),
                results=tuple(map(_read_result, results)),
            ),
            calls,
        )


def write_messages(turns: Sequence[Turn]) -> list[Any]:
    """Return turns of ours as the package's messages, results after the calls."""
    messages: list[Any] = []
    for turn in turns:
        form = tau2_message.AssistantMessage if turn.seat == "agent" else tau2_message.UserMessage
        messages.append(_write_message(turn.seat, turn, form))
        messages += [_write_result(turn.seat, result) for result in turn.results]
    return messages


def _write_result(seat: Seat, result: ToolResult) -> Any:
    return tau2_message.ToolMessage(
        id=result.call_id, role="tool", content=result.content, error=result.error, requestor=REQUESTORS[seat]
    )
