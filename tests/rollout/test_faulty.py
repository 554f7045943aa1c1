"""Users that err in a known way: in which dialogues, and how it shows."""

import pytest

from veriloop.core.errors import InputError
from veriloop.core.trace import StopReason
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.faulty import FaultyUser
from veriloop.rollout.quality import measure_user
from veriloop.rollout.scripted import ScriptedUser


def play_all(parcel: Domain, tasks: list[Task], user):
    players = {"agent": load_expert("parcel"), "user": user}
    return [play(Episode(parcel, task, seed=number), players) for number, task in enumerate(tasks)]


def share(tasks: list[Task], traces, name: str) -> float:
    found = [bool(getattr(measure_user(trace, task.user), name)) for task, trace in zip(tasks, traces, strict=True)]
    return sum(found) / len(found)


def test_a_user_that_never_errs_is_the_script(parcel: Domain, tasks: list[Task]):
    for fault in ("leak", "contradict", "stop"):
        ours, script = (play_all(parcel, tasks, user) for user in (FaultyUser(fault, 0), ScriptedUser()))
        assert [trace.turns for trace in ours] == [trace.turns for trace in script]


def test_a_user_that_leaks_reads_its_instruction_out_once(parcel: Domain, tasks: list[Task]):
    traces = play_all(parcel, tasks, FaultyUser("leak", 1))
    assert share(tasks, traces, "leaked") == 1
    assert share(tasks, play_all(parcel, tasks, ScriptedUser()), "leaked") == 0
    for task, trace in zip(tasks, traces, strict=True):
        said = [turn.spoken for turn in trace.turns if turn.seat == "user"]
        assert sum(task.user.task_instructions in text for text in said) == 1


def test_a_user_that_stops_leaves_before_anything_is_settled(parcel: Domain, tasks: list[Task]):
    traces = play_all(parcel, tasks, FaultyUser("stop", 1))
    assert all(trace.stop is StopReason.USER_STOP for trace in traces)
    assert all(not trace.changes for trace in traces)
    assert all(sum(turn.seat == "user" and bool(turn.spoken) for turn in trace.turns) == 2 for trace in traces)
    assert share(tasks, traces, "early_stop") > 0.5


def test_a_user_that_contradicts_gets_something_else_than_its_script_says(parcel: Domain, tasks: list[Task]):
    traces, script = (play_all(parcel, tasks, user) for user in (FaultyUser("contradict", 1), ScriptedUser()))
    with_facts = [place for place, task in enumerate(tasks) if any(request.facts for request in task.user.requests)]
    assert with_facts
    for place in with_facts:
        facts = [fact for request in tasks[place].user.requests for fact in request.facts]
        said = " ".join(turn.spoken for turn in traces[place].turns if turn.seat == "user")
        assert any(fact.text not in said for fact in facts)
    assert [trace.changes for trace in traces] != [trace.changes for trace in script]


def test_the_share_is_kept_and_the_same_dialogues_are_spoilt_again(parcel: Domain, tasks: list[Task]):
    many = tasks * 12
    played = play_all(parcel, many, FaultyUser("leak", 0.5))
    assert 0.3 < share(many, played, "leaked") < 0.7
    again = play_all(parcel, many, FaultyUser("leak", 0.5))
    assert [trace.turns for trace in again] == [trace.turns for trace in played]


@pytest.mark.parametrize(("fault", "rate"), [("lie", 0.5), ("leak", 1.5), ("stop", -0.1)])
def test_what_is_no_fault_or_no_share_is_refused(fault: str, rate: float):
    with pytest.raises(InputError, match="no fault of users" if fault == "lie" else "give a number from 0 to 1"):
        FaultyUser(fault, rate)
