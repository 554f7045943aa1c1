"""An agent who works alone: a ticket instead of a user, and the tools of both seats."""

from collections.abc import Sequence
from typing import Any

import pytest

from veriloop.core.message import Message, ToolCall, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import (
    DONE,
    STOP,
    end_alone,
    find_owner,
    is_alone,
    open_alone,
    seat_tools,
    visible_turns,
)
from veriloop.domains.task import Initial, Task, UserScenario
from veriloop.rollout.driver import play, play_batch
from veriloop.rollout.episode import Episode, Limits
from veriloop.rollout.player import View
from veriloop.rollout.quality import UserQuality, measure_user

SCENARIO = UserScenario(persona="p", reason_for_call="r", known_info="k", unknown_info="u", task_instructions="t")
TASK = Task(domain="parcel", initial=Initial(database="train-0", ticket="Locker L1 jams."), user=SCENARIO, gold=())


def do(*names: str, **arguments: Any) -> Message:
    return Message(tool_calls=tuple(ToolCall(id=f"c_{name}", name=name, arguments=arguments) for name in names))


class Script:
    """Gives its messages one after the other; keeps what it saw."""

    name = "script"

    def __init__(self, *messages: Message) -> None:
        self.messages, self.views = messages, list[View]()

    def reply(self, views: Sequence[View]) -> list[Message]:
        self.views += views
        return [self.messages[len(view.turns) - 1] for view in views]


def run(parcel: Domain, *messages: Message, **options: Any) -> tuple[Trace, list[View]]:
    agent = Script(*messages)
    return play(Episode(parcel, TASK, **options), {"agent": agent}), agent.views


def email(parcel: Domain) -> str:
    return parcel.callers("train-0", "train")[0].known["email"]


def test_turns_stand_under_the_seat_whose_tool_they_call_and_are_all_the_agents_to_it(parcel: Domain) -> None:
    known = {"email": email(parcel)}
    trace, views = run(parcel, do("find_customer", **known), do("check_app", **known), Message(content="Done."))
    assert [turn.seat for turn in trace.turns] == ["user", "agent", "user", "agent"]
    assert not any(result.error for turn in trace.turns for result in turn.results)
    assert [turn.seat for turn in views[-1].turns] == ["user", "agent", "agent"]
    assert visible_turns(trace.turns, "agent")[:3] == views[-1].turns
    assert (trace.stop, trace.turns[-1].content) == (StopReason.AGENT_STOP, STOP)


def test_it_reads_the_ticket_and_holds_every_tool(parcel: Domain) -> None:
    _, (view,) = run(parcel, Message(content="Done."))
    assert [turn.content for turn in view.turns] == ["Ticket: Locker L1 jams."]
    assert (view.seat, view.scenario, view.system) == ("agent", None, parcel.policy)
    assert view.tools == seat_tools(parcel, "agent", alone=True) == (*parcel.tools.values(), DONE)


@pytest.mark.parametrize("last", [do("done"), Message(content="I am through."), do("find_lockers", "done")])
def test_done_or_words_end_its_work(parcel: Domain, last: Message) -> None:
    trace, _ = run(parcel, last)
    assert (trace.stop, len(trace.turns), trace.turns[-1].tool_calls) == (StopReason.AGENT_STOP, 2, ())


def test_limits_and_what_is_no_message_count_against_it(parcel: Domain) -> None:
    assert run(parcel, *[do("nothing")] * 9, limits=Limits(errors=3))[0].stop is StopReason.MAX_ERRORS
    assert run(parcel, *[do("nothing")] * 9, limits=Limits(turns=4))[0].stop is StopReason.MAX_TURNS
    trace, _ = run(parcel, Message(malformed="no JSON"))
    assert (trace.stop, trace.error) == (StopReason.MALFORMED, "agent: no JSON")


def test_calls_of_both_seats_in_one_message_are_made_by_their_owners(parcel: Domain) -> None:
    trace, _ = run(parcel, do("find_customer", "check_app", email=email(parcel)), Message(content="Done."))
    assert [result.error for result in trace.turns[1].results] == [False, False]
    assert trace.turns[1].seat == "agent"


def test_several_work_side_by_side(parcel: Domain) -> None:
    agent = Script(do("find_customer", email=email(parcel)), Message(content="Done."))
    episodes = [Episode(parcel, TASK, seed=seed) for seed in range(3)]
    traces = dict(play_batch(episodes, {"agent": agent, "user": agent}))
    assert [len(traces[place].turns) for place in range(3)] == [3, 3, 3]


def test_nobody_is_blamed_for_a_user_who_is_not_there(parcel: Domain) -> None:
    trace, _ = run(parcel, Message(content="Done."))
    assert measure_user(trace, SCENARIO) == UserQuality(goal_told=True)


def test_what_is_no_work_alone() -> None:
    assert not is_alone([]) and not is_alone([Turn(seat="user", content="Hello")])
    assert not is_alone([Turn(seat="agent", content="Ticket: 1")]) and is_alone([open_alone("1")])


def test_ends_and_owners(parcel: Domain) -> None:
    broken = Message(malformed="x")
    assert end_alone(broken) is broken
    assert end_alone(do("check_app")) == do("check_app")
    calls = do("check_app", "find_customer", "nothing").tool_calls
    assert [find_owner(parcel, call) for call in calls] == ["user", "agent", "agent"]
