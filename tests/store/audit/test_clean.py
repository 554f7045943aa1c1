"""Cleaned copies: what is mended, what is left out, that the list of changes says so, and that the input stays."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lookalike.audit import places
from veriloop.core.errors import InputError
from veriloop.store.audit.auditor import Auditor, Rules
from veriloop.store.audit.clean import Cleaned, Cleaner, check_out, show_change
from veriloop.store.audit.result import Gate
from veriloop.store.fault import Fault

Row = dict[str, Any]


def rules() -> Rules:
    return Rules(lambda name: None, lambda domain, task: None, 32_768)


def clean(path: Path, out: Path, gate: Gate = "error") -> tuple[Cleaned, list[Row], dict[Fault, list[str]]]:
    """Return what was written, the changes, and what an audit of the copy finds."""
    auditor = Auditor(rules())
    auditor.audit(path, list, lambda done, total: None)
    done = Cleaner(rules(), auditor.tally, gate).write(path, out)
    changes = [json.loads(line) for line in Path(done.changes).read_text().splitlines()]
    after = places(Auditor(rules()).audit(out, list, lambda done, total: None)) if out.exists() else {}
    return done, changes, after


def call(number: str, arguments: Any = '{"a": 1}', name: str = "f") -> Row:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def asks(*calls: Row, content: str = "", role: str = "assistant") -> Row:
    return {"role": role, "content": content, "tool_calls": list(calls)}


def answers(number: str | None, content: str = "{}") -> Row:
    return {"role": "tool", "tool_call_id": number, "content": content}


SYSTEM: Row = {"role": "system", "content": "Help."}
ASKED: Row = {"role": "user", "content": "Please do."}
DONE: Row = {"role": "assistant", "content": "Done."}


def chat(*middle: Row) -> list[Row]:
    return [SYSTEM, ASKED, *middle, DONE]


TOOLS = [{"type": "function", "function": {"name": "f"}}]
TOOLS[0]["function"]["parameters"] = {"type": "object", "properties": {"a": {}, "b": {}}}
FLAT = {"id": "c0", "name": "f", "arguments": {"a": 1}}
MENDS: list[tuple[Fault, list[Row], list[Row]]] = [
    (Fault.NULL_ARGUMENTS, chat(asks(call("c0", '{"a": 1, "b": null}')), answers("c0")),
     chat(asks(call("c0")), answers("c0"))),
    (Fault.DIALECT, chat(asks(FLAT), answers("c0")), chat(asks(call("c0")), answers("c0"))),
    (Fault.CALL_IN_TEXT,
     chat({"role": "assistant", "content": 'So. <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'},
          answers(None)),
     chat(asks(call("call_0"), content="So."), answers("call_0"))),
    (Fault.CALL_IN_TEXT,
     chat({"role": "assistant", "content": "<function=f>{\"a\": 1}</function>"}, answers("y"), asks(call("x", "{}")),
          answers("x")),
     chat(asks(call("call_0")), answers("call_0"), asks(call("x", "{}")), answers("x"))),
    (Fault.RESULT_IDS, chat(asks(call("c0")), answers(None)), chat(asks(call("c0")), answers("c0"))),
    (Fault.RESULT_IDS, chat(asks(call("c0"), call("c1", "{}")), answers("c1"), answers("c7")),
     chat(asks(call("c0"), call("c1", "{}")), answers("c1"), answers("c0"))),
    (Fault.TOOL_ORDER, chat(answers("c0"), asks(call("c0"))), chat(asks(call("c0")), answers("c0"))),
    (Fault.TOOL_ORDER, chat(asks(call("c0")), ASKED, answers("c0")), chat(asks(call("c0")), answers("c0"), ASKED)),
    (Fault.CALL_IDS, chat(asks({**call("c0"), "id": None}), answers(None)),
     chat(asks(call("call_0")), answers("call_0"))),
    (Fault.CALL_IDS, chat(asks(call("c"), call("c", "{}")), answers("c", "1"), answers("c", "2")),
     chat(asks(call("call_0"), call("call_1", "{}")), answers("call_0", "1"), answers("call_1", "2"))),
    (Fault.TOOL_ORDER, chat(answers("c", "1"), asks(call("c")), asks(call("c", "{}")), answers("c", "2")),
     chat(asks(call("call_0")), answers("call_0", "1"), asks(call("call_1", "{}")), answers("call_1", "2"))),
    (Fault.MIXED_SEATS, chat(asks(call("u0"), role="user"), answers("u0"), asks(call("c0")), answers("c0")),
     chat(asks(call("c0")), answers("c0"))),
    (Fault.MIXED_SEATS, chat(asks(call("u0"), role="user", content="Look."), answers("u0")),
     chat({"role": "user", "content": "Look."})),
]  # fmt: skip


def as_messages(messages: list[Row]) -> Row:
    return {"messages": messages, "loss_on": [len(messages) - 1], "note": "kept"}


def as_turn(messages: list[Row]) -> Row:
    return {"prompt": messages[:-1], "completion": messages[-1:], "note": "kept"}


def as_areal(messages: list[Row]) -> Row:
    answer = {"role": "assistant", "content": "Done.", "thinking": "", "tool_calls": []}
    return {"messages": messages[:-1], "answer": answer, "metadata": {"source_dialog_id": "d", "turn_index": 1}}


@pytest.mark.parametrize("form", [as_messages, as_turn, as_areal])
@pytest.mark.parametrize(("fault", "before", "after"), MENDS)
def test_what_can_be_mended_is(fault: Fault, before: list[Row], after: list[Row], form, tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    before, after = {"tools": TOOLS, **form(before)}, {"tools": TOOLS, **form(after)}
    path.write_text(json.dumps(before) + "\n")
    done, changes, found = clean(path, tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == after
    assert (done.kept, done.mended, done.dropped) == (1, 1, 0)
    assert fault.value in [change["fault"] for change in changes]
    for change in changes:
        assert (change["file"], change["row"], change["action"]) == ("rows.jsonl", 1, "mended")
        assert change["what"] and change["before"] != change["after"]
    assert found == {}
    assert path.read_text() == json.dumps(before) + "\n"


def test_thoughts_stay(tmp_path: Path):
    row = as_areal(chat(asks(FLAT), answers("c0")))
    row["answer"]["thinking"] = "It is done."
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    clean(tmp_path / "a.jsonl", tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["answer"]["thinking"] == "It is done."


def sound(number: int, **fields: Any) -> Row:
    return {"messages": [SYSTEM, {"role": "user", "content": f"Do {number}."}, DONE], **fields}


def write(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row, indent=None).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_rows_that_cannot_be_mended_are_left_out_and_the_others_kept_to_the_letter(tmp_path: Path):
    odd = b'{"messages":   [{"role": "assistant",\t"content": "Hi."}]}'
    path = write(tmp_path / "a.jsonl", sound(1), b"{", odd, {"x": 1}, sound(1), sound(2, id="i"))
    done, changes, found = clean(path, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes().splitlines() == [
        json.dumps(sound(1)).encode(), odd, json.dumps(sound(2, id="i")).encode()
    ]  # fmt: skip
    assert (done.kept, done.mended, done.dropped) == (3, 0, 3)
    assert [(c["row"], c["fault"], c["action"]) for c in changes] == [
        (2, "bad_json", "dropped"), (4, "bad_row", "dropped"), (5, "duplicate", "dropped")
    ]  # fmt: skip
    assert all(change["what"] and change["before"] for change in changes)
    assert found == {}


def test_a_mended_row_that_is_still_at_fault_is_left_out(tmp_path: Path):
    messages = chat(asks(FLAT), answers("c0"), answers("c9"))
    done, changes, _ = clean(write(tmp_path / "a.jsonl", as_messages(messages), sound(1)), tmp_path / "out.jsonl")
    assert (done.kept, done.dropped) == (1, 1)
    assert {change["action"] for change in changes} == {"dropped"}


def test_what_the_gate_lets_pass_stays(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", sound(1, correct=1, reward=0.0), b"{")
    assert clean(path, tmp_path / "b.jsonl", "error")[2] == {Fault.DISAGREEMENT: ["b.jsonl:1"]}
    done, _, _ = clean(path, tmp_path / "c.jsonl", "warning")
    assert done.kept == 0 and not (tmp_path / "c.jsonl").exists(), "no row is no file"
    assert clean(path, tmp_path / "d.jsonl", "never")[0].kept == 1, "what is no row is never kept"


def test_packed_files_are_packed_again(tmp_path: Path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(sound(1)).encode() + b"\n{\n"))
    done, _, found = clean(path, tmp_path / "out.jsonl.gz")
    assert (done.kept, done.dropped, found) == (1, 1, {})
    assert gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()) == json.dumps(sound(1)).encode() + b"\n"


def test_documents_keep_their_shape(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    simulation = {"id": "s", "messages": [ASKED, DONE]}
    results = {"timestamp": "t", "info": {"n": 1}, "tasks": [], "simulations": [simulation, {"id": "x"}]}
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "list.json").write_text(json.dumps([sound(1), {}, sound(2)], indent=2))
    (folder / "one.json").write_text(json.dumps(sound(3)))
    done, changes, found = clean(folder, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == {
        "timestamp": "t", "info": {"n": 1}, "simulations": [simulation]
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "list.json").read_text()) == [sound(1), sound(2)]
    assert json.loads((tmp_path / "out" / "one.json").read_text()) == sound(3)
    assert (done.kept, done.dropped, found) == (4, 2, {})
    assert done.changes == str(tmp_path / "out.changes.jsonl")
    assert {change["file"] for change in changes} == {"results.json", "list.json"}


def test_the_input_is_never_written_to(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", sound(1))
    (tmp_path / "link.jsonl").symlink_to(path)
    (tmp_path / "hard.jsonl").hardlink_to(path)
    for out in (path, tmp_path / "link.jsonl", tmp_path / "hard.jsonl"):
        with pytest.raises(InputError, match="is the input itself"):
            check_out(path, out)
    for out in (tmp_path, tmp_path / "sub", tmp_path.parent):
        with pytest.raises(InputError, match="is the input itself|inside or around"):
            check_out(tmp_path, out)
    with pytest.raises(InputError, match="name a file in it"):
        check_out(path, tmp_path)
    other = tmp_path.parent / f"{tmp_path.name}.file"
    other.write_text("")
    with pytest.raises(InputError, match="name a folder"):
        check_out(tmp_path, other)
    check_out(path, tmp_path / "new.jsonl")


def test_a_change_is_shown_where_it_is():
    assert show_change({"a": 1}, None) == ('{"a": 1}', "null")
    before, after = show_change("x" * 300 + "old" + "y" * 300, "x" * 300 + "new" + "y" * 300)
    assert before == "…" + "x" * 40 + "old" + "y" * 117 and after == "…" + "x" * 40 + "new" + "y" * 117
    assert show_change("x" * 500, None) == ('"' + "x" * 159, "null")


def mend(row: Row, folder: Path, gate: Gate = "error") -> tuple[Row, list[tuple[str, str, Any, Any]]]:
    """Return the row as it stands in the copy and its changes as (fault, place, before, after)."""
    done, changes, _ = clean(write(folder / "a.jsonl", row), folder / "out.jsonl", gate)
    assert done.kept == 1
    told = [(c["fault"], c["place"], json.loads(c["before"]), json.loads(c["after"])) for c in changes]
    return json.loads((folder / "out.jsonl").read_text()), told


def test_every_change_is_told_with_its_fault_its_place_and_what_stood_there(tmp_path: Path):
    """One row with many faults; what none is about stays to the letter."""
    padded = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":2,"b":null}'}, "index": 0}
    messages = [
        {"role": "developer", "content": "Help.", "weight": 0},
        {"role": "user", "content": [{"type": "text", "text": "Please do."}]},
        {"role": "assistant", "content": None, "tool_calls": [FLAT], "refusal": None},
        answers(None),
        asks(padded),
        {"role": "user", "content": "Well?", "name": "Ann"},
        answers("c1"),
        {"role": "assistant", "content": 'Let me see.\n```json\n{"name": "f", "arguments": {"a": 3}}\n```'},
        answers(None),
        asks(call("c3", '{"a":4}')),
        answers("c9"),
        DONE,
    ]
    tool = {"name": "f", "description": "Do.", "parameters": {"type": "object"}}
    row = {"messages": messages, "tools": [tool, tool], "loss_on": [2, 11], "note": None}
    fresh, told = mend(row, tmp_path)
    flat = {"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    lifted = {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": '{"a": 3}'}}
    whole = {"type": "function", "function": tool}
    assert told == [
        ("dialect", "messages[2].tool_calls[0]", FLAT, flat),
        ("result_ids", "messages[3].tool_call_id", None, "c0"),
        ("null_arguments", "messages[4].tool_calls[0].arguments", '{"a":2,"b":null}', '{"a": 2}'),
        ("call_in_text", "messages[7]", messages[7]["content"], {"content": "Let me see.", "tool_calls": [lifted]}),
        ("call_in_text", "messages[8].tool_call_id", None, "call_2"),
        ("result_ids", "messages[10].tool_call_id", "c9", "c3"),
        ("tool_order", "messages[6]", "behind messages[5]", "behind messages[4]"),
        ("tool_dialect", "tools[0]", tool, whole),
        ("duplicate_tool", "tools[1]", tool, None),
    ]
    assert fresh == {
        "messages": [
            *messages[:2],
            {**messages[2], "tool_calls": [flat]},
            answers("c0"),
            asks({**padded, "function": {"name": "f", "arguments": '{"a": 2}'}}),
            messages[6],
            messages[5],
            asks(lifted, content="Let me see."),
            answers("call_2"),
            messages[9],
            answers("c3"),
            DONE,
        ],
        "tools": [whole],
        "loss_on": [2, 11],
        "note": None,
    }


def test_what_is_gone_or_moves_the_replies_to_learn_is_told(tmp_path: Path):
    looks = asks(call("u0"), role="user", content="Look.")
    row = as_messages(chat(asks(call("u1"), role="user"), answers("u1"), looks, answers("u0")))
    fresh, told = mend(row, tmp_path)
    assert fresh == {**row, "messages": chat({"role": "user", "content": "Look."}), "loss_on": [3]}
    assert told == [
        ("mixed_seats", "messages[2]", row["messages"][2], None),
        ("mixed_seats", "messages[3]", row["messages"][3], None),
        ("mixed_seats", "messages[5]", row["messages"][5], None),
        ("mixed_seats", "messages[4]", looks, {"role": "user", "content": "Look."}),
        ("mixed_seats", "loss_on", [6], [3]),
    ]


def test_numbers_of_calls_are_told_with_why_they_changed(tmp_path: Path):
    twice = chat(asks(call("c"), call("c", "{}")), answers("c", "1"), answers("c", "2"))
    _, told = mend(as_turn(twice), tmp_path)
    assert told == [
        ("call_ids", "prompt[2].tool_calls[0].id", "c", "call_0"),
        ("call_ids", "prompt[2].tool_calls[1].id", "c", "call_1"),
        ("call_ids", "prompt[3].tool_call_id", "c", "call_0"),
        ("call_ids", "prompt[4].tool_call_id", "c", "call_1"),
    ]
    surplus = chat(asks(call("c")), answers("c", "1"), answers("c", "2"))
    _, told = mend(as_areal(surplus), tmp_path)
    assert told == [("tool_order", "messages[4]", answers("c", "2"), None)]


def test_an_old_function_call_is_one_change(tmp_path: Path):
    old = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    fresh, told = mend(as_areal([*chat(old, answers(None))]), tmp_path)
    [fault, place, before, after] = told[0]
    assert (fault, place, before) == ("dialect", "messages[2].function_call", old["function_call"])
    assert fresh["messages"][2] == {"role": "assistant", "content": None, "tool_calls": [after]}
    assert told[1:] == [("dialect", "messages[3].tool_call_id", None, "call_0")]


def test_tools_in_json_text_stay_json_text(tmp_path: Path):
    schema = {"type": "object", "properties": {}}
    tools = [{"name": "f", "description": "Do.", "input_schema": schema}, {"type": "function", "name": "g"}]
    fresh, told = mend({**sound(1), "tools": json.dumps(tools)}, tmp_path)
    assert json.loads(fresh["tools"]) == [
        {"type": "function", "function": {"name": "f", "description": "Do.", "parameters": schema}},
        {"type": "function", "function": {"name": "g"}},
    ]
    assert [(fault, place) for fault, place, _, _ in told] == [
        ("tool_dialect", "tools[0]"), ("tool_dialect", "tools[1]")
    ]  # fmt: skip


def test_two_tools_of_one_name_that_differ_are_both_kept(tmp_path: Path):
    tools = [{"type": "function", "function": {"name": "f", "description": text}} for text in ("Do.", "Do not.")]
    row = {**sound(1), "tools": tools}
    fresh, told = mend(row, tmp_path)
    assert (fresh, told) == (row, []), "a warning does not cost the row"
    done, changes, _ = clean(tmp_path / "a.jsonl", tmp_path / "strict.jsonl", "warning")
    assert (done.kept, [change["fault"] for change in changes]) == (0, ["duplicate_tool"])


GATES: list[Gate] = ["never", "error", "warning", "note"]


@pytest.mark.parametrize("gate", GATES)
def test_rows_are_left_out_for_nothing_but_what_the_gate_names_and_cannot_be_mended(gate: Gate, tmp_path: Path):
    open_call = chat(asks(FLAT), ASKED)  # a warning that is mended, an error that cannot be
    warned = {**as_messages(chat(asks(FLAT), answers("c0"))), "correct": 1, "reward": 0.0}
    path = write(tmp_path / "a.jsonl", as_messages(open_call), warned, sound(1), {"x": 1}, b"{", sound(1))
    done, changes, _ = clean(path, tmp_path / "out.jsonl", gate)
    out = {change["row"] for change in changes if change["action"] == "dropped"}
    strict = GATES.index(gate)
    assert out == {5, 6} | ({1, 4} if strict >= 1 else set()) | ({2} if strict >= 2 else set())
    assert done.kept == 6 - len(out) and done.dropped == len(out)
    if gate == "never":
        rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert rows[0]["messages"][2]["tool_calls"] == [call("c0")], "what can be mended is"
        assert rows[3] == {"x": 1}
