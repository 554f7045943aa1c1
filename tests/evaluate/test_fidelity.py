"""What a set of tasks is like, counted by hand, and laid beside another set."""

import pytest

from veriloop.core.message import ToolCall
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Initial, SeatCall, Task, UserScenario
from veriloop.evaluate.fidelity import compare_profiles, profile_tasks, read_instruction

PARCEL = load_domain("parcel")


def make_task(*calls: str, reason: str = "You want help.", known: str = "") -> Task:
    steps = tuple(SeatCall(seat="agent", call=ToolCall(id=str(n), name=name)) for n, name in enumerate(calls))
    user = UserScenario(
        persona="", reason_for_call=reason, known_info=known, unknown_info="", task_instructions="Be brief."
    )
    return Task(domain="parcel", initial=Initial(database="train-0"), user=user, gold=steps)


def test_calls_are_counted_by_kind_and_tools_by_task() -> None:
    tasks = [
        make_task("find_customer", "get_parcel", "get_parcel", "hold_parcel"),
        make_task("find_customer", "transfer_to_human"),
        make_task("no_such_tool"),
        make_task("hold_parcel", "update_phone"),
    ]
    found = profile_tasks(PARCEL, tasks, turns=9.5)
    assert (found.tasks, found.reads, found.writes, found.no_write, found.turns) == (4, 1.0, 0.75, 0.5, 9.5)
    assert found.tools == {
        "find_customer": 0.5, "get_parcel": 0.25, "hold_parcel": 0.5, "transfer_to_human": 0.25, "update_phone": 0.25,
    }  # fmt: skip


def test_variety_is_told_by_as_many_instructions_as_wanted() -> None:
    alike = [make_task(reason="one two three four", known="five six") for _ in range(30)]
    whole, part = profile_tasks(PARCEL, alike), profile_tasks(PARCEL, alike, sample=3)
    assert part.vocabulary == pytest.approx(10 * whole.vocabulary, rel=0.01)
    assert (part.tasks, part.words) == (whole.tasks, whole.words)
    assert profile_tasks(PARCEL, alike, sample=99) == whole


def test_words_and_their_variety() -> None:
    same = [make_task(reason="one two three four", known="five six")] * 2
    assert read_instruction(same[0].user) == "one two three four five six Be brief."
    found = profile_tasks(PARCEL, same)
    assert (found.words, found.vocabulary, found.variety) == (8.0, 500.0, 0.0)
    other = profile_tasks(PARCEL, [same[0], make_task(reason="six five four three", known="two one")])
    assert (other.words, other.vocabulary, other.variety) == (8.0, 500.0, 1.0)


def test_an_empty_set_is_all_zero() -> None:
    found = profile_tasks(PARCEL, [])
    assert (found.tasks, found.tools, found.reads, found.words, found.variety) == (0, {}, 0.0, 0.0, 0.0)


def test_the_distance_is_that_of_the_tools_shares() -> None:
    ours = profile_tasks(PARCEL, [make_task("hold_parcel"), make_task("find_customer")])
    theirs = profile_tasks(PARCEL, [make_task("hold_parcel")])
    assert compare_profiles(PARCEL, "base", ours, ours).distance == 0
    found = compare_profiles(PARCEL, "base", ours, theirs)
    assert (found.domain, found.split) == ("parcel", "base")
    assert found.distance == pytest.approx(0.5)
