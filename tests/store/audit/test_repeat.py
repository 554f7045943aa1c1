"""What only shows across rows: ids, repeats, dialogues that fall apart, policies that differ, what is held out."""

import json
from pathlib import Path
from typing import Any

import pytest

from lookalike.audit import audit_files, audit_rows
from veriloop.domains.domain import Domain
from veriloop.domains.held_out import HeldOut, digest, digest_shingles
from veriloop.domains.task import UserScenario
from veriloop.store.fault import Fault

Row = dict[str, Any]
SYSTEM = "You help with orders. You must name the order in every reply."


def whole(number: int, **fields: Any) -> Row:
    said = f"Where is order number {number}, which I placed on a Monday?"
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": said},
        {"role": "assistant", "content": f"On its way, number {number}."},
    ]
    return {"messages": messages, **fields}


def turns(name: str, count: int = 4) -> list[Row]:
    """Return the rows of a dialogue in which question and answer follow on each other."""
    messages: list[Row] = [{"role": "system", "content": SYSTEM}]
    rows = []
    for turn in range(count):
        messages = [*messages, {"role": "user", "content": f"{name} asks {turn}"}]
        answer = {"role": "assistant", "content": f"{name} hears {turn}", "thinking": "so", "tool_calls": []}
        about = {"source_dialog_id": name, "turn_index": turn}
        rows.append({"messages": messages, "answer": answer, "metadata": about})
        messages = [*messages, {"role": "assistant", "content": answer["content"]}]
    return json.loads(json.dumps(rows))


def test_rows_that_stand_alone_have_no_fault(tmp_path: Path):
    assert audit_rows(tmp_path, whole(1), whole(2), *turns("one"), *turns("two")) == {}


def test_the_same_said_twice_whatever_its_spelling(tmp_path: Path):
    again = whole(1)
    again["messages"][1]["content"] = again["messages"][1]["content"].upper().replace(" ", "  ").replace(",", " -")
    assert audit_rows(tmp_path, whole(1), whole(2), again, whole(1, note="x")) == {Fault.DUPLICATE: ["3", "4"]}


def test_another_number_or_seat_is_another_row(tmp_path: Path):
    assert audit_rows(tmp_path, whole(1), whole(2), whole(1, seat="user")) == {}


def test_settings_in_a_folder_are_no_rows(tmp_path: Path):
    (tmp_path / "dataset_info.json").write_text('{"splits": {}}')
    (tmp_path / "cut.json").write_text('{"splits": ')
    assert audit_rows(tmp_path, whole(1)) == {Fault.BAD_JSON: ["cut.json:1"]}


def test_repeats_across_files_count_but_not_within_a_run(tmp_path: Path):
    files = {"a.jsonl": [whole(1)], "b.jsonl": [whole(1)]}
    assert audit_files(tmp_path, files) == {Fault.DUPLICATE: ["b.jsonl:1"]}
    assert audit_files(tmp_path, files, apart=True) == {}


def test_dialogues_may_begin_alike_but_not_be_the_same(tmp_path: Path):
    one, two = turns("one", 3), turns("one", 4)
    for row in two:
        row["metadata"]["source_dialog_id"] = "two"
    assert audit_rows(tmp_path, *one, *two) == {}
    assert audit_rows(tmp_path, *one, *two[:3]) == {Fault.DUPLICATE: ["4", "5", "6"]}
    assert audit_rows(tmp_path, *one, two[1]) == {Fault.DUPLICATE: ["4"]}, "one turn may be all there is"
    assert audit_rows(tmp_path, *one, {**two[1], "metadata": {}})[Fault.DUPLICATE] == ["4"]


def test_ids_given_twice(tmp_path: Path):
    assert audit_rows(tmp_path, whole(1, id="a"), whole(2, id="a")) == {Fault.DUPLICATE_ID: ["2"]}
    own = [whole(n, task_id="t", trial=n) for n in (0, 1)]
    assert audit_rows(tmp_path, *own) == {}
    files = {"a.jsonl": [whole(1, id=1)], "b.jsonl": [whole(2, id=1)]}
    (tmp_path / "rows.jsonl").unlink()
    assert audit_files(tmp_path, files) == {}, "files may count from 1 each"


def test_an_id_is_missed_only_where_the_form_or_the_first_row_has_one(tmp_path: Path):
    assert audit_rows(tmp_path, whole(1), whole(2, id="a"), whole(3)) == {}
    assert audit_rows(tmp_path, whole(1, id="a"), whole(2)) == {Fault.NO_ID: ["2"]}
    [row] = turns("one", 1)
    assert audit_rows(tmp_path, {**row, "metadata": None}) == {Fault.NO_ID: ["1"]}


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_row_that_does_not_go_with_the_others_is_the_one_named(place: int, tmp_path: Path):
    rows = turns("one")
    rows[place]["messages"][1]["content"] = "Something else."
    assert audit_rows(tmp_path, *turns("two"), *rows) == {Fault.BROKEN_DIALOGUE: [str(5 + place)]}


def test_arguments_in_another_order_are_the_same(tmp_path: Path):
    def calling(number: int, arguments: str) -> list[Row]:
        rows = turns("one", 3)
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
        for row in rows[1:]:
            row["messages"][2]["tool_calls"] = [call]
            row["messages"].insert(3, {"role": "tool", "tool_call_id": "c", "content": ""})
            row["messages"][0] = {"role": "system", "content": f"{SYSTEM} Tools: f(a, b)"}
        return rows[number : number + 1]

    one, other = '{"a": 1, "b": 2}', '{"b": 2, "a": 1}'
    assert audit_rows(tmp_path, *calling(1, one), *calling(2, other)) == {}
    assert audit_rows(tmp_path, *calling(1, one), *calling(2, '{"b": 2, "a": 2}')) == {Fault.BROKEN_DIALOGUE: ["2"]}


def test_rows_of_a_dialogue_may_stand_apart(tmp_path: Path):
    mixed = [row for pair in zip(turns("one"), turns("two"), strict=True) for row in pair]
    assert audit_rows(tmp_path, *mixed) == {}
    assert audit_rows(tmp_path, *reversed(turns("one"))) == {}


def with_system(number: int, text: str, **fields: Any) -> Row:
    row = whole(number, **fields)
    row["messages"][0] = {"role": "system", "content": text}
    return row


def test_the_rows_with_the_rarer_policy_are_named(tmp_path: Path):
    other = "You help with orders. You must not name the order in every reply."
    rows = [whole(1), with_system(2, other), whole(3), with_system(4, other), whole(5)]
    assert audit_rows(tmp_path, *rows) == {Fault.CONTRADICTION: ["2", "4"]}
    assert audit_rows(tmp_path, whole(1), with_system(2, other)) == {Fault.CONTRADICTION: ["2"]}, "the later of two"
    apart = [whole(1, domain="shop"), with_system(2, other, domain="bank")]
    assert audit_rows(tmp_path, *apart) == {}, "domains have policies of their own"
    assert audit_rows(tmp_path, whole(1), with_system(2, other, seat="user")) == {}, "a user has no policy"
    assert audit_rows(tmp_path, whole(1), with_system(2, f"{SYSTEM} You must be kind to every caller.")) == {}


class Held:
    """A domain that holds out one person and one instruction."""

    name = "shop"
    tools: dict[str, Any] = {}
    policy = ""
    held_out = HeldOut(
        entities=frozenset({digest("ada_lovelace_1")}),
        instructions=(
            digest_shingles(
                UserScenario(
                    persona="",
                    reason_for_call="You want to return the blue kettle that you bought last week in the shop.",
                    known_info="",
                    unknown_info="",
                    task_instructions="",
                )
            ),
        ),
    )


def test_what_is_held_out(tmp_path: Path):
    domain: Domain = Held()  # pyright: ignore[reportAssignmentType]
    about, called, returned = whole(1), whole(2), whole(3)
    about["messages"][1]["content"] += " I am ada_lovelace_1."
    function = {"name": "f", "arguments": '{"who": {"id": "ada_lovelace_1"}}'}
    calling = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }
    result = {"role": "tool", "tool_call_id": "c", "content": "ok"}
    called["messages"][2:2] = [calling, result]
    innocent = {**calling, "tool_calls": [{"id": "c", "type": "function", "function": {**function, "arguments": "{}"}}]}
    returned["messages"][2:2] = [innocent, {**result, "content": "ada_lovelace_1"}]
    words = "You want to return the blue kettle that you bought last week."
    told = whole(4, reason_for_call=words)
    user = {**with_system(5, f"Reason for call: {words}"), "seat": "user"}
    found = audit_rows(tmp_path, about, called, returned, told, user, whole(6), domain=domain)
    assert found[Fault.LEAKAGE] == ["1", "2", "4", "5"]
    assert Fault.LEAKAGE not in audit_rows(tmp_path, about, called, told, user)
