"""Dialogues replayed beside the policy."""

import pytest

from veriloop.check.clause import find_gold_violations, find_violations
from veriloop.core.message import ToolCall
from veriloop.domains.task import SeatCall
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.scripted import ScriptedUser


@pytest.fixture(scope="module")
def played(parcel, tasks):
    players = {"agent": load_expert("parcel"), "user": ScriptedUser()}
    return [(task, play(Episode(parcel, task, seed=3), players)) for task in tasks]


def test_demonstrations_break_nothing(parcel, played):
    for task, trace in played:
        assert find_violations(parcel, task.initial, trace.turns) == []


def test_a_change_without_a_yes_breaks_the_confirmation_rule(parcel, played):
    found = 0
    for task, trace in played:
        mute = [t.model_copy(update={"content": "..."}) if t.seat == "user" and t.spoken else t for t in trace.turns]
        violations = find_violations(parcel, task.initial, mute)
        assert {violation.clause for violation in violations} <= {"P3"}
        found += len(violations)
    assert found


def test_violations_say_where_they_are(parcel, played):
    task, trace = next((task, trace) for task, trace in played if trace.changes)
    mute = [t.model_copy(update={"content": "no"}) if t.seat == "user" and t.spoken else t for t in trace.turns]
    violation = find_violations(parcel, task.initial, mute)[0]
    calls = [call for turn in trace.turns for call in turn.tool_calls]
    assert calls[violation.position] == violation.call
    assert violation.reason


def test_golds_are_allowed_without_a_word(parcel, tasks):
    for task in tasks:
        assert find_gold_violations(parcel, task.initial, task.gold) == []


def test_a_gold_without_identification_is_denied(parcel, tasks):
    task = next(task for task in tasks if not task.tags.no_write)
    writes = [step for step in task.gold if parcel.tools[step.call.name].kind == "write" and step.seat == "agent"]
    assert "P1" in {violation.clause for violation in find_gold_violations(parcel, task.initial, writes)}


def test_calls_that_the_tools_refuse_are_not_asked_about(parcel, tasks):
    bad = SeatCall(seat="agent", call=ToolCall(id="1", name="return_to_sender", arguments={"tracking": "VP0"}))
    clauses = {violation.clause for violation in find_gold_violations(parcel, tasks[0].initial, [bad])}
    assert clauses <= {"P1"}
