"""A planted leak of each kind is found and named, and only that."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.message import ToolCall
from veriloop.domains.held_out import HeldOut, digest, digest_shingles
from veriloop.domains.task import Fact, Initial, Provenance, Request, SeatCall, Tags, Task, UserScenario
from veriloop.store.file import read_json
from veriloop.store.leakage import KINDS, Leak, Leakage, check_leakage, resembles
from veriloop.store.manifest import write_manifest

SETS = st.frozensets(st.sampled_from([digest(str(number)) for number in range(12)]))
REASON = "You want to send back the red shoes that came in the wrong size and get your money back on the card."
USER = UserScenario(
    persona="You are brief.",
    reason_for_call=REASON,
    known_info="Your user id is ann_lee_1.",
    unknown_info="",
    task_instructions="Say yes when you are asked.",
    identity=(Fact(label="user id", text="ann_lee_1", value="ann_lee_1", kind="user_id"),),
    requests=(Request(topic="send back shoes", facts=(Fact(label="order", text="the last one", value="#W1"),)),),
)
RETURN = ToolCall(id="1", name="return", arguments={"order": "#W1", "items": [{"id": "I7"}]})
TASK = Task(
    domain="toy",
    initial=Initial(database="train-0"),
    user=USER,
    gold=(SeatCall(seat="agent", call=RETURN),),
    tags=Tags(combination="cut_wire+unplug"),
    provenance=Provenance(caller="key-9"),
)


def hold(*entities: str, texts: tuple[UserScenario, ...] = (), keys: tuple[str, ...] = ()) -> HeldOut:
    return HeldOut(
        entities=frozenset(map(digest, entities)),
        instructions=tuple(map(digest_shingles, texts)),
        combinations=frozenset(map(digest, keys)),
    )


def find(held: HeldOut, task: Task = TASK) -> tuple[Leak, ...]:
    return check_leakage([task], held).leaks


@pytest.mark.parametrize("value", ["ann_lee_1", "#W1", "I7", "key-9"])
def test_a_person_or_what_is_theirs_is_found_wherever_it_stands(value: str) -> None:
    leak = Leak(task=TASK.id, kind="entities", what=f"is about {value}, held out")
    assert find(hold(value, "bob")) == (leak,)


def test_all_that_is_held_out_of_one_task_is_named_in_one_line() -> None:
    (leak,) = find(hold("#W1", "ann_lee_1"))
    assert leak.what == "is about #W1, ann_lee_1, held out"


def test_a_person_is_found_in_words_alone() -> None:
    words = TASK.model_copy(update={"user": USER.model_copy(update={"task_instructions": "Name bob_7."})})
    assert [leak.kind for leak in find(hold("bob_7"), words)] == ["entities"]
    assert find(hold("bob_7")) == ()


def test_the_same_instruction_is_found_whatever_its_punctuation() -> None:
    copied = USER.model_copy(update={"reason_for_call": REASON.upper().replace(".", " ..."), "persona": "Chatty."})
    (leak,) = find(hold(texts=(copied,)))
    assert (leak.kind, leak.what) == ("instructions", "has the words of an instruction that is held out")


def test_an_instruction_with_some_words_changed_is_found_as_nearly_the_same() -> None:
    changed = USER.model_copy(update={"reason_for_call": REASON.replace("red shoes", "blue boots")})
    (leak,) = find(hold(texts=(changed,)))
    assert (leak.kind, leak.what) == ("instructions", "has nearly the words of an instruction that is held out")


def test_an_instruction_that_shares_little_is_none() -> None:
    other = USER.model_copy(
        update={"reason_for_call": "You moved house and your new street is Mill Lane; tell them so."}
    )
    assert find(hold(texts=(other.model_copy(update={"known_info": "You are Bob."}),))) == ()


def test_a_combination_is_found() -> None:
    (leak,) = find(hold(keys=("cut_wire+unplug", "unplug")))
    assert (leak.kind, leak.what) == ("combinations", "breaks cut_wire+unplug, held out")
    assert find(hold(keys=("unplug",))) == ()


def test_counts_are_of_tasks_by_kind_and_go_into_the_manifest(tmp_path: Path) -> None:
    clean = TASK.model_copy(
        update={"provenance": Provenance(caller="bob"), "tags": Tags(), "user": USER.model_copy(update={"persona": ""})}
    )
    found = check_leakage([TASK, clean], hold("key-9", keys=("cut_wire+unplug",)))
    assert found.count() == {"checked": 2, "entities": 1, "instructions": 0, "combinations": 1}
    assert {leak.task for leak in found.leaks} == {TASK.id}
    write_manifest(tmp_path, found)
    assert read_json(tmp_path / "manifest.json")["leakage"] == found.count()
    write_manifest(tmp_path)
    assert "leakage" not in read_json(tmp_path / "manifest.json")
    assert Leakage(checked=0).count() == {"checked": 0, **dict.fromkeys(KINDS, 0)}


@given(SETS, SETS)
def test_resemblance_goes_both_ways_and_asks_for_half_of_the_smaller(
    one: frozenset[str], other: frozenset[str]
) -> None:
    assert resembles(one, other) == resembles(other, one)
    assert resembles(one, one) == bool(one)
    assert not resembles(one - other, other - one)
    if one:
        assert resembles(one, one | other)
    shared, fewer = len(one & other), min(len(one), len(other))
    assert resembles(one, other) == (fewer > 0 and shared / max(fewer, 1) >= 0.5)
