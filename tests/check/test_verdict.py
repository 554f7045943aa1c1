"""The verdict with the policy's word on the way: who gets to the right end by breaking a rule fails."""

import pytest

from veriloop.check.sandbox import judge
from veriloop.check.verdict import give_verdict
from veriloop.core.message import ToolCall
from veriloop.proof.dialogue import Line, perform, write_dialogue
from veriloop.proof.prove import attach_checker


@pytest.fixture
def task(parcel, tasks):
    return attach_checker(parcel, next(t for t in tasks if t.tags.tier == "single" and not t.tags.no_write))


def test_the_right_dialogue_passes(parcel, task):
    assert give_verdict(parcel, task, perform(parcel, task, write_dialogue(parcel, task).lines())).passed


def test_a_change_without_a_yes_fails_though_the_end_is_right(parcel, task):
    lines = [line for line in write_dialogue(parcel, task).lines() if line.text != "Yes, please go ahead."]
    trace = perform(parcel, task, lines)
    assert judge(task, trace).passed
    found = give_verdict(parcel, task, trace)
    assert not found.passed
    assert " breaks P3: " in found.reason


def test_the_checker_is_asked_first(parcel, task):
    trace = perform(parcel, task, write_dialogue(parcel, task).keep([]).lines())
    assert give_verdict(parcel, task, trace) == judge(task, trace)


def test_a_call_of_the_other_seats_tool_changes_nothing(parcel, task):
    write = ToolCall(id="x", name=task.wanted[0].name, arguments=task.wanted[0].arguments)
    trace = perform(parcel, task, [Line("agent", "Hello"), Line("user", calls=(write,))])
    assert trace.turns[-1].results[0].error
    assert not give_verdict(parcel, task, trace).passed
