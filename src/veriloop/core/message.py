"""What one seat says or does in one turn, and what its tools answered."""

from typing import Any, Literal

from pydantic import JsonValue

from veriloop.core.base import Frozen

Seat = Literal["agent", "user"]


class ToolCall(Frozen):
    """One call of a tool by name with JSON arguments."""

    id: str
    name: str
    arguments: dict[str, JsonValue] = {}


class Change(Frozen):
    """One database row that differs: `before` is None for an inserted row, `after` for a deleted one."""

    table: str
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class ToolResult(Frozen):
    """What a tool answered: JSON text or an error line, and the rows the call changed."""

    call_id: str
    content: str
    error: bool = False
    changes: tuple[Change, ...] = ()


class Sampled(Frozen):
    """The exact tokens a local model produced for a turn, with the log-probability of each (same length)."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    context: dict[str, str] = {}
    """What a local renderer needs to encode the dialogue before this turn the same way again (its codec's table)."""


class Usage(Frozen):
    """Tokens spent on an answer: prompt and completion, of which `cached` were not computed again."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0


class Message(Frozen):
    """A player's answer: text for the other seat, or tool calls, never both counted as speech.

    Text beside tool calls is kept as `content` but the other seat does not see it. `malformed` holds the
    reason when the raw output could not be read as a message (bad tool JSON, cut by a token limit).
    """

    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: str | None = None
    malformed: str | None = None
    sampled: Sampled | None = None
    usage: Usage | None = None


class Turn(Message):
    """A message in its dialogue: who gave it and what its tool calls returned, in call order."""

    seat: Seat
    results: tuple[ToolResult, ...] = ()

    @property
    def spoken(self) -> str:
        """The text the other seat hears: empty when the turn calls tools."""
        return "" if self.tool_calls else self.content
