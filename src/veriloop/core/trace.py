"""The one currency between layers: a finished dialogue with everything that happened in it."""

from enum import StrEnum

from veriloop.core.base import Frozen
from veriloop.core.message import Change, Seat, Turn

TRACE_VERSION = 1


class StopReason(StrEnum):
    """Why a dialogue ended."""

    USER_STOP = "user_stop"
    """The user said that everything is settled (`###STOP###`)."""
    AGENT_STOP = "agent_stop"
    """An agent who works alone ended its work."""
    TRANSFER = "transfer"
    """The user was handed to a person (`###TRANSFER###`)."""
    OUT_OF_SCOPE = "out_of_scope"
    """The user found its script does not cover the question (`###OUT-OF-SCOPE###`)."""
    MAX_TURNS = "max_turns"
    """The turn limit was reached; the players caused it, so it counts as a failure."""
    MAX_ERRORS = "max_errors"
    """Too many tool calls were refused; counts as a failure."""
    MALFORMED = "malformed"
    """A player produced something that is no message; counts as that player's failure."""
    TOO_LONG = "too_long"
    """A local model's context was full; counts as a failure."""
    PLAYER_ERROR = "player_error"
    """Infrastructure failed (endpoint down, time-out): the dialogue is void and enters no statistic."""


class Trace(Frozen):
    """One finished dialogue: turns in order, net database changes, why it stopped."""

    version: int = TRACE_VERSION
    domain: str
    task_id: str
    players: dict[Seat, str]
    seed: int
    turns: tuple[Turn, ...]
    changes: tuple[Change, ...]
    digest: str
    stop: StopReason
    error: str | None = None

    @property
    def void(self) -> bool:
        """True when infrastructure, not a player, ended the dialogue."""
        return self.stop is StopReason.PLAYER_ERROR
