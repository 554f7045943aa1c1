"""Which tokens the model's replies were, so that a dialogue that goes on is read exactly as it was written."""

from collections.abc import Sequence
from dataclasses import dataclass

from veriloop.core.base import content_hash
from veriloop.core.message import Message, Sampled, Seat, ToolCall, Turn
from veriloop.serve.request import Asked

KEPT = 4096
"""Replies remembered. One that is forgotten is read from its text, which may make other tokens of it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A dialogue with the tokens of those replies that are remembered; digest: of all that was said."""

    turns: tuple[Turn, ...]
    digest: str


class Memory:
    """Replies by the dialogue that they ended; call ids do not count, for clients that give their own."""

    def __init__(self, seat: Seat, size: int = KEPT) -> None:
        self._seat: Seat = seat
        self._size = size
        self._replies: dict[str, Sampled] = {}

    def recall(self, asked: Asked) -> Known:
        """Return the dialogue with the tokens of its replies."""
        turns, digest = list[Turn](), content_hash([asked.system, list(asked.tools)], 32)
        for turn in asked.turns:
            digest = _extend(digest, turn, turn.seat)
            sampled = self._replies.get(digest) if turn.seat == self._seat else None
            turns.append(turn.model_copy(update={"sampled": sampled}) if sampled else turn)
            if turn.results:
                digest = content_hash([digest, [result.content for result in turn.results]], 32)
        return Known(tuple(turns), digest)

    def keep(self, digest: str, content: str, calls: Sequence[ToolCall], sampled: Sampled) -> None:
        """Remember a reply to a dialogue; the oldest are forgotten."""
        self._replies[_extend(digest, Message(content=content, tool_calls=tuple(calls)), self._seat)] = sampled
        while len(self._replies) > self._size:
            self._replies.pop(next(iter(self._replies)))


def _extend(digest: str, message: Message, seat: Seat) -> str:
    if message.tool_calls:
        # What is said beside calls is heard by nobody, and some clients leave it out.
        return content_hash([digest, seat, [[call.name, call.arguments] for call in message.tool_calls]], 32)
    return content_hash([digest, seat, message.content], 32)
