"""Cleaned copies: what is mended, what is left out, that the list of changes says so, and that the input stays."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lookalike.audit import places
from veriloop.core.errors import InputError
from veriloop.store.audit.auditor import Auditor, Rules
from veriloop.store.audit.clean import Cleaned, Cleaner, check_out, show_difference
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


FLAT = {"id": "c0", "name": "f", "arguments": {"a": 1}}
MENDS: list[tuple[Fault, list[Row], list[Row]]] = [
    (Fault.NULL_ARGUMENTS, chat(asks(call("c0", '{"a": 1, "b": null}')), answers("c0")),
     chat(asks(call("c0")), answers("c0"))),
    (Fault.DIALECT, chat(asks(FLAT), answers("c0")), chat(asks(call("c0")), answers("c0"))),
    (Fault.CALL_IN_TEXT,
     chat({"role": "assistant", "content": 'So. <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'},
          answers(None)),
     chat(asks(call("call_0"), content="So."), answers("call_0"))),
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
    path.write_text(json.dumps(form(before)) + "\n")
    done, changes, found = clean(path, tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == form(after)
    assert (done.kept, done.mended, done.dropped) == (1, 1, 0)
    assert fault.value in [change["fault"] for change in changes]
    for change in changes:
        assert (change["file"], change["row"], change["action"]) == ("rows.jsonl", 1, "mended")
        assert change["what"] and change["before"] != change["after"]
    assert found == {}
    assert path.read_text() == json.dumps(form(before)) + "\n"


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


def test_a_difference_is_shown_where_it_is():
    before = {"a": 1, "messages": [{"x": 1}, {"x": 2, "y": 3}]}
    after = {"a": 1, "messages": [{"x": 1}, {"x": 2, "y": 4}]}
    assert show_difference(before, after) == ("3", "4")
    assert show_difference({"a": [1]}, {"a": [1, 2]}) == ("[1]", "[1, 2]")
    spelled = {"messages": [{"content": None}, {"x": 2}]}, {"messages": [{"content": ""}, {"x": 3}]}
    assert show_difference(*spelled) == ("2", "3"), "null for an empty text is no news"
    assert show_difference({"m": {"content": None}}, {"m": {"content": ""}}) == ("null", '""'), (
        "unless there is no other"
    )
    assert show_difference({"v": "x" * 500}, {}) == ('"' + "x" * 159, "null")
