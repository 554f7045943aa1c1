"""How good a simulated user was in one dialogue, from what it said against its script; no gold, no verdict."""

import re
from collections.abc import Iterable, Sequence

from veriloop.core.base import Frozen
from veriloop.core.message import Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.perspective import is_alone
from veriloop.domains.task import Fact, UserScenario
from veriloop.rollout.scripted import count_settled
from veriloop.rollout.wording import is_said, is_told

_VALUE = re.compile(r"(?=[\w.@+-]*\d)\w(?:[\w.@+-]*\w)?")
"""A run of letters, digits and the marks of addresses that holds a digit."""


class UserQuality(Frozen):
    """What a user did right and wrong.

    untold: facts of requests that the agent never heard. invented: values with a digit that stand neither in the script
    nor in the agent's words. early_stop: it ended with requests not settled.
    """

    goal_told: bool
    untold: tuple[str, ...] = ()
    invented: tuple[str, ...] = ()
    early_stop: bool = False
    leaked: bool = False

    @property
    def ok(self) -> bool:
        """True when the user gave the agent a fair chance."""
        return self.goal_told and not self.invented and not self.early_stop


def measure_user(trace: Trace, scenario: UserScenario) -> UserQuality:
    """Judge the user's seat of one dialogue.

    A fact of identity counts as told only if the agent asked to know who calls; what the agent never asked for after
    it had refused is not held against the user either: untold facts count only for dialogues that the user ended. Where
    an agent works alone, nobody sits in the user's seat.
    """
    if is_alone(trace.turns):
        return UserQuality(goal_told=True)
    said = " ".join(turn.content for turn in trace.turns if turn.seat == "user")
    ended = trace.stop in (StopReason.USER_STOP, StopReason.OUT_OF_SCOPE)
    raised = count_settled(trace.turns) >= len(scenario.requests)
    untold = [fact.label for fact in _request_facts(scenario) if not is_told(fact, said)] if ended else []
    refused = _agent_gave_up(trace.turns)
    return UserQuality(
        goal_told=not untold or refused,
        untold=tuple(untold),
        invented=tuple(sorted(_find_invented(trace.turns, scenario))),
        early_stop=ended and not raised and not refused,
        leaked=bool(script := " ".join(scenario.task_instructions.split())) and script in " ".join(said.split()),
    )


def _request_facts(scenario: UserScenario) -> Iterable[Fact]:
    return (fact for request in scenario.requests for fact in request.facts)


def _find_invented(turns: Sequence[Turn], scenario: UserScenario) -> set[str]:
    allowed = " ".join(
        [scenario.known_info, scenario.reason_for_call, scenario.task_instructions]
        + [turn.spoken for turn in turns if turn.seat == "agent"]
        + [result.content for turn in turns if turn.seat == "user" for result in turn.results]
    )
    said = {value.lower() for turn in turns if turn.seat == "user" for value in _VALUE.findall(turn.content)}
    return {value for value in said if not is_said(value, allowed)}


def _agent_gave_up(turns: Sequence[Turn]) -> bool:
    """Return whether the agent refused or transferred before everything was told; then silence is no fault."""
    text = " ".join(turn.spoken for turn in turns if turn.seat == "agent").lower()
    return any(word in text for word in ("cannot", "can't", "unable", "transfer"))
