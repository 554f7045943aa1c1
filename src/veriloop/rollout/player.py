"""Players answer views; the view is all that a seat may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from veriloop.core.errors import PlayerError
from veriloop.core.message import Message, Seat, Turn
from veriloop.domains.task import UserScenario
from veriloop.domains.tool import Tool


@dataclass(frozen=True, slots=True)
class View:
    """What one seat sees when it is its turn.

    system: the policy for the agent, the instruction for the user. tools: of this seat. turns: the dialogue, the other
    seat's tool calls and silent turns left out. scenario: only for the user's seat. key: unique per episode, equal over
    its turns, so that a player may keep a cache. seed: of the episode; a player must draw from it alone.
    """

    key: str
    task_id: str
    seat: Seat
    system: str
    tools: tuple[Tool, ...]
    turns: tuple[Turn, ...]
    seed: int
    scenario: UserScenario | None = None


class Player(Protocol):
    """Anything that can sit in a seat."""

    name: str

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer every view, in order; raises PlayerError when infrastructure fails."""
        ...


class AsyncPlayer(Protocol):
    """A player that waits for somebody else: one view at a time, many at once."""

    name: str

    async def reply_async(self, view: View) -> Message:
        """Answer one view; raises PlayerError when infrastructure fails."""
        ...


class PacedPlayer(Protocol):
    """A player that writes many replies side by side, each done at its own time."""

    name: str

    def begin(self, ticket: int, view: View) -> None:
        """Take a view; its answer comes under `ticket` from one of the next calls of `advance`."""
        ...

    def advance(self) -> list[tuple[int, Message | PlayerError]]:
        """Go on by a step and return the answers that it completed, or why there is none."""
        ...

    def cancel(self) -> None:
        """Drop the answers under way."""
        ...
