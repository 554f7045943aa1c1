"""Every known fault of released rows is named with its line, and no line whatever stops the reader."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.store.areal import SFT_FILE, to_areal_rl
from veriloop.store.areal_read import Joined, TaskRow, TurnRow, join_dialogues, read_areal
from veriloop.store.export import export
from veriloop.store.fault import FIXES, MENDS, SEVERITIES, Fault, Finding
from veriloop.store.run import open_run

Row = dict[str, Any]
ACTION = {"action_id": "a", "requestor": "assistant", "name": "get_order_details", "arguments": {"order_id": "#W1"}}
DB_PATH = "tau2_rl_database/tau2_retail_new_db_1.json"
TOOLS = [{"type": "function", "function": {"name": "cancel_order"}}]
FATAL = {Fault.BAD_JSON, Fault.BAD_ROW, Fault.BAD_CRITERIA, Fault.BAD_CALL, Fault.NEWER}


def rl_row(number: int = 0, **fields: Any) -> Row:
    instructions = {
        "domain": "retail",
        "reason_for_call": "You want to cancel an order.",
        "known_info": "Your name is Ada.",
        "unknown_info": None,
        "task_instructions": "Say nothing else.",
    }
    return {
        "id": f"retail_{number}",
        "description": {"purpose": "test"},
        "user_scenario": {"persona": None, "instructions": instructions},
        "initial_state": None,
        "evaluation_criteria": json.dumps({"actions": [ACTION], "communicate_info": ["12.50"]}),
        "db_path": DB_PATH,
        **fields,
    }


def call(name: str, arguments: Any, **fields: Any) -> Row:
    return {"id": "c0", "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


HISTORY: list[Row] = [
    {"role": "system", "content": "policy"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "Cancel my order."},
    {"role": "assistant", "content": "", "tool_calls": [call("get_order", '{"order": "W1"}')]},
    {"role": "tool", "content": "{}", "tool_call_id": "c0"},
    {"role": "assistant", "content": "Which one?"},
    {"role": "user", "content": "That one."},
]


def sft_row(turn: int = 0, dialogue: str = "retail_dialog_1", **fields: Any) -> Row:
    length, answer = [(3, HISTORY[3]), (5, HISTORY[5]), (7, {"content": "Done."})][turn]
    about = {"source_dialog_id": dialogue, "turn_index": turn, "correct": 1, "reward": 1.0}
    return {
        "messages": HISTORY[:length],
        "answer": {"role": "assistant", "thinking": "so", **answer},
        "metadata": {**about, **fields.pop("metadata", {})},
        **fields,
    }


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines))
    database = folder / DB_PATH
    database.parent.mkdir(exist_ok=True)
    database.write_text("{}")
    return path


def read(folder: Path, *rows: Any, **options: Any) -> tuple[list[TaskRow | TurnRow], list[Finding]]:
    found = list(read_areal(write(folder, *rows), **options))
    return [x for x in found if not isinstance(x, Finding)], [x for x in found if isinstance(x, Finding)]


def answer(**fields: Any) -> Row:
    return sft_row(answer={"role": "assistant", "content": "", **fields})


def criteria(**fields: Any) -> Row:
    return rl_row(7, evaluation_criteria=json.dumps({"actions": [ACTION], **fields}))


def said(role: str, **fields: Any) -> Row:
    return sft_row(messages=[*HISTORY[:3], {"role": role, "content": "", **fields}])


PLANTED: list[tuple[Fault, Any]] = [
    (Fault.BAD_JSON, b"{"),
    (Fault.BAD_JSON, b"[1]"),
    (Fault.BAD_JSON, b"\xff"),
    (Fault.BAD_JSON, b'{"id": NaN}'),
    (Fault.BAD_JSON, b'{"id": "\\ud800"}'),
    (Fault.BAD_JSON, b"[" * 100_000),
    (Fault.BAD_ROW, {"id": "x"}),
    (Fault.BAD_ROW, rl_row(7, user_scenario="call them")),
    (Fault.BAD_ROW, rl_row(7, initial_state={"initialization_actions": [{"func_name": "f"}]})),
    (Fault.BAD_ROW, sft_row(messages="hi")),
    (Fault.BAD_ROW, sft_row(messages=["hi"])),
    (Fault.BAD_ROW, said("critic")),
    (Fault.BAD_ROW, said("user", content=[{"type": "text"}])),
    (Fault.BAD_CRITERIA, rl_row(7, evaluation_criteria="{'actions': []}")),
    (Fault.BAD_CRITERIA, rl_row(7, evaluation_criteria="[]")),
    (Fault.BAD_CRITERIA, rl_row(7, evaluation_criteria=None)),
    (Fault.BAD_CRITERIA, criteria(actions=[{"arguments": {}}])),
    (Fault.BAD_CALL, answer(tool_calls=[call("f", "{")])),
    (Fault.BAD_CALL, answer(tool_calls=[call("f", "[]")])),
    (Fault.BAD_CALL, answer(tool_calls=[call("", {})])),
    (Fault.BAD_CALL, answer(tool_calls="f()")),
    (Fault.BAD_CALL, answer(content="<tool_call>f()</tool_call>")),
    (Fault.BAD_CALL, answer(content="<tool_call>")),
    (Fault.NEWER, rl_row(7, veriloop='{"version": 9, "task": {}}')),
    (Fault.NO_ID, rl_row(7, id=None)),
    (Fault.NO_ID, rl_row(7, id=5)),
    (Fault.NO_ID, sft_row(metadata={"source_dialog_id": ""})),
    (Fault.DUPLICATE_ID, rl_row(0)),
    (Fault.DUPLICATE_ID, sft_row(0, "first")),
    (Fault.NO_DOMAIN, rl_row(7, id="x", user_scenario={"instructions": "Call them."})),
    (Fault.NO_DB_PATH, rl_row(7, db_path=None)),
    (Fault.NO_DB_PATH, rl_row(7, db_path=3)),
    (Fault.UNSAFE_DB_PATH, rl_row(7, db_path="/etc/passwd")),
    (Fault.UNSAFE_DB_PATH, rl_row(7, db_path="tau2_rl_database/../../secret.json")),
    (Fault.UNSAFE_DB_PATH, rl_row(7, db_path="..\\secret.json")),
    (Fault.UNSAFE_DB_PATH, rl_row(7, db_path="C:\\secret.json")),
    (Fault.UNSAFE_DB_PATH, rl_row(7, db_path="a\0b")),
    (Fault.NO_DATABASE, rl_row(7, db_path="tau2_rl_database/none.json")),
    (Fault.NO_DATABASE, rl_row(7, db_path="tau2_rl_database")),
    (Fault.NO_DATABASE, rl_row(7, db_path="x" * 5000)),
    (Fault.NULL_ARGUMENTS, criteria(actions=[{**ACTION, "arguments": {"order_id": "#W1", "zip": None}}])),
    (Fault.NULL_ARGUMENTS, answer(tool_calls=[call("f", {"a": 1, "b": None})])),
    (Fault.NULL_ARGUMENTS, said("assistant", tool_calls=[call("f", '{"a": null}')])),
    (Fault.LOST, criteria(nl_assertions=["is polite"])),
    (Fault.LOST, criteria(env_assertions=[{"env_type": "user", "func_name": "f", "assert_value": False}])),
    (Fault.LOST, rl_row(7, initial_state={"message_history": [{"role": "user", "content": "hi"}]})),
    (Fault.CHANGED, rl_row(7, veriloop="{}")),
    (Fault.CHANGED, rl_row(7, veriloop={"version": 2, "task": {}})),
    (Fault.CHANGED, rl_row(7, veriloop='{"version": 2, "fields": {}, "task": {"gold": {"9": [1]}}}')),
    (Fault.CHANGED, sft_row(veriloop='{"version": 2, "fields": {}, "task": 1}')),
    (Fault.DIALECT, answer(tool_calls=[{"name": "f", "arguments": "{}"}])),
    (Fault.DIALECT, said("assistant", tool_calls=[call("f", {"a": 1})])),
    (Fault.DIALECT, said("assistant", function_call={"name": "f", "arguments": "{}"})),
    (Fault.CALL_IN_TEXT, answer(content='<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>')),
    (Fault.CALL_IN_TEXT, said("assistant", content='<tool_call>{"name": "f"}</tool_call>')),
    (Fault.MIXED_SEATS, said("user", tool_calls=[call("check_app", "{}")])),
    (Fault.MIXED_SEATS, said("user", content='<tool_call>{"name": "check_app"}</tool_call>')),
    (Fault.DISAGREEMENT, sft_row(metadata={"correct": 0})),
    (Fault.DISAGREEMENT, sft_row(metadata={"reward": 0.0})),
    (Fault.TURN_ROWS, sft_row(1, "first")),
    (Fault.NOT_REPLAYABLE, sft_row()),
]


@pytest.mark.parametrize(("fault", "planted"), PLANTED, ids=lambda value: value if isinstance(value, Fault) else "")
def test_a_planted_fault_is_named_with_its_row(fault: Fault, planted: Any, tmp_path: Path):
    """It stands in the third line, after an empty one, among rows that have no such fault before it."""
    before = sft_row(0, "first") if fault in (Fault.TURN_ROWS,) or planted == sft_row(0, "first") else rl_row(0)
    rows, findings = read(tmp_path, before, b"", planted, rl_row(1))
    [named] = [finding for finding in findings if finding.fault is fault]
    assert (named.file, named.row) == ("rows.jsonl", 3)
    assert str(named).startswith("rows.jsonl:3: ") and named.fix == FIXES[fault]
    others = [row.row for row in rows]
    lost = fault in FATAL or "does not fit its other fields" in named.what
    assert others == ([1, 4] if lost else [1, 3, 4])


ELSEWHERE = {
    Fault.BROKEN_DIALOGUE, Fault.BAD_GOLD,
    # told by an audit alone
    Fault.BAD_FILE, Fault.CALL_IDS, Fault.TOOL_ORDER, Fault.BAD_TOOLS, Fault.UNKNOWN_TOOL, Fault.BAD_ARGUMENTS,
    Fault.UNGROUNDED, Fault.DUPLICATE, Fault.LEAKAGE, Fault.CONTRADICTION, Fault.TOO_LONG, Fault.PERSONAL_DATA,
    Fault.RESULT_IDS, Fault.NO_TOOLS, Fault.TOOL_DIALECT, Fault.DUPLICATE_TOOL, Fault.EMPTY_REPLY,
}  # fmt: skip


def test_every_fault_can_be_planted_or_is_told_elsewhere():
    assert {fault for fault, _ in PLANTED} == set(Fault) - ELSEWHERE
    assert set(FIXES) == set(SEVERITIES) == set(MENDS) == set(Fault)


def test_sound_rows_have_no_fault(tmp_path: Path):
    rows, findings = read(tmp_path, rl_row(0), rl_row(1))
    assert findings == []
    [row, _] = rows
    assert isinstance(row, TaskRow)
    assert (row.id, row.own, row.database) == ("retail_0", False, tmp_path / DB_PATH)
    task = row.task
    assert (task.domain, task.initial.database, task.told) == ("tau2/retail", DB_PATH, ("12.50",))
    assert task.user.known_info == "Your name is Ada."
    [step] = task.gold
    assert (step.seat, step.call.name, step.call.arguments) == ("agent", "get_order_details", {"order_id": "#W1"})


def test_criteria_may_be_an_object_as_tau2_has_it(tmp_path: Path):
    [row], findings = read(tmp_path, rl_row(evaluation_criteria={"actions": [ACTION]}))
    assert findings == [] and isinstance(row, TaskRow) and len(row.task.gold) == 1


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path):
    (tmp_path / "secret.json").write_text("{}")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    [row], [finding] = read(folder, rl_row(db_path="link.json"))
    assert finding.fault is Fault.UNSAFE_DB_PATH
    assert isinstance(row, TaskRow) and row.database is None


def test_both_dialects_become_one(tmp_path: Path):
    text = 'Let me see. <tool_call>\n{"name": "get_order", "arguments": {"order": "W1", "zip": null}}\n</tool_call>'
    result = {"role": "tool", "content": "{}"}
    [row], _ = read(
        tmp_path, sft_row(messages=[{"role": "assistant", "content": text}, result], answer={"content": text})
    )
    assert isinstance(row, TurnRow)
    assert row.answer["content"] == "Let me see."
    assert row.answer["tool_calls"] == [call("get_order", '{"order": "W1"}', id="call_1")]
    assert row.messages[0]["tool_calls"] == [call("get_order", '{"order": "W1"}', id="call_0")]
    assert row.messages[1] == {**result, "tool_call_id": "call_0"}
    [flat], _ = read(tmp_path, answer(tool_calls=[{"name": "get_order", "arguments": {"order": "W1"}}]))
    assert isinstance(flat, TurnRow)
    assert flat.answer["tool_calls"][0]["function"] == {"name": "get_order", "arguments": '{"order": "W1"}'}


def test_a_policy_that_explains_tool_calls_is_no_call(tmp_path: Path):
    system = {"role": "system", "content": "Write <tool_call>...</tool_call>"}
    [row], findings = read(tmp_path, sft_row(messages=[system]))
    assert isinstance(row, TurnRow) and row.messages == [system]
    assert {finding.fault for finding in findings} == {Fault.NOT_REPLAYABLE}


def test_the_users_calls_are_known_by_the_domain(parcel: Domain, tmp_path: Path):
    name = next(tool.name for tool in parcel.tools.values() if tool.seat == "user")
    row = said("assistant", tool_calls=[call(name, "{}")])
    faults = [{f.fault for f in read(tmp_path, row, **options)[1]} for options in ({}, {"domain": parcel})]
    assert Fault.MIXED_SEATS not in faults[0]
    assert Fault.MIXED_SEATS in faults[1]


def test_turns_are_counted_and_joined(tmp_path: Path):
    rows = [sft_row(n, name) for name in ("one", "two") for n in range(3)]
    found, findings = read(tmp_path, *rows)
    assert [(f.fault, f.row, f.count) for f in findings] == [(Fault.TURN_ROWS, 2, 6), (Fault.NOT_REPLAYABLE, 1, 6)]
    assert "6 rows are turns of 2 dialogues" in findings[0].what
    one, two = join_dialogues(found)
    assert isinstance(one, Joined) and isinstance(two, Joined)
    assert (one.dialogue, two.dialogue, one.produced) == ("one", "two", [3, 5, 7])
    whole = [*HISTORY, {"role": "assistant", "content": "Done."}]
    assert [{k: v for k, v in message.items() if k != "reasoning_content"} for message in one.messages] == whole
    assert [place for place, message in enumerate(one.messages) if "reasoning_content" in message] == one.produced


OTHER_START = [*HISTORY[:2], {"role": "user", "content": "Something else."}]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([sft_row(0, messages=OTHER_START), sft_row(1)], 1),
        ([sft_row(1), sft_row(0, answer={"content": "No."})], 2),
        ([sft_row(0), sft_row(0, "other"), sft_row(1)], 3),
        ([sft_row(0), sft_row(0)], 2),
    ],
)
def test_rows_that_do_not_belong_together_are_named(rows: list[Row], line: int, tmp_path: Path):
    found, _ = read(tmp_path, *rows)
    [broken] = [x for x in join_dialogues(found) if isinstance(x, Finding)]
    assert (broken.fault, broken.row) == (Fault.BROKEN_DIALOGUE, line)


def test_order_does_not_matter_within_a_dialogue_nor_at_all_when_asked(tmp_path: Path):
    near, _ = read(tmp_path, *[sft_row(n, name) for name in ("one", "two") for n in (2, 0, 1)])
    far, _ = read(tmp_path, *[sft_row(n, name) for n in (2, 0, 1) for name in ("one", "two")])
    whole = [*join_dialogues(near)]
    assert [(x.dialogue, x.produced) for x in whole if isinstance(x, Joined)] == [
        ("one", [3, 5, 7]),
        ("two", [3, 5, 7]),
    ]
    loose = [x for x in join_dialogues(far, together=False) if isinstance(x, Joined)]
    assert [x.messages for x in loose] == [x.messages for x in whole if isinstance(x, Joined)]
    assert sum(isinstance(x, Finding) for x in join_dialogues(far)) == 4


EDITS: list[tuple[str, Callable[[Row], Any]]] = [
    ("user_scenario", lambda row: edit_reason(row["user_scenario"])),
    ("db_path", lambda row: "other.json"),
    ("user_tools", lambda row: ["a_tool"]),
    ("evaluation_criteria", lambda row: row["evaluation_criteria"].replace('"actions": [', '"actions": [' + EXTRA)),
    ("user_scenario", lambda row: {**row["user_scenario"], "persona": "You shout."}),
    ("ticket", lambda row: "It is off."),
    ("id", lambda row: "parcel_0"),
    ("description", lambda row: None),
]


def edit_reason(scenario: Row) -> Row:
    return {**scenario, "instructions": {**scenario["instructions"], "reason_for_call": "You want something else."}}


EXTRA = '{"action_id": "x", "requestor": "user", "name": "check_app", "arguments": {}}, '


@pytest.mark.parametrize(("field", "edit"), EDITS, ids=[name for name, _ in EDITS])
def test_an_edited_row_of_ours_is_named(field: str, edit: Callable[[Row], Any], tasks: list[Task], tmp_path: Path):
    row = to_areal_rl(tasks[0], None, DB_PATH)
    path = write(tmp_path, row)
    assert [x.task for x in read_areal(path) if isinstance(x, TaskRow)] == [tasks[0]]
    assert edit(row) != row[field]
    _, findings = read(tmp_path, {**row, field: edit(row)})
    [changed] = [finding for finding in findings if finding.fault is Fault.CHANGED]
    assert changed.what.startswith(f"changed since the export: {field}")
    assert {finding.fault for finding in findings} <= {Fault.CHANGED, Fault.NO_DATABASE}


def own_turns(small_run: Path, parcel: Domain, folder: Path) -> list[Row]:
    with open_run(small_run) as run:
        export(run, parcel, "areal", out=folder)
    return [json.loads(line) for line in (folder / SFT_FILE).read_text().splitlines()]


TURN_EDITS: list[tuple[str, Callable[[Row], Any]]] = [
    ("answer", lambda row: {**row["answer"], "content": "Something else."}),
    ("messages", lambda row: row["messages"][:-1]),
    ("metadata", lambda row: {**row["metadata"], "reward": 0.5}),
    ("metadata", lambda row: {**row["metadata"], "correct": 0}),
    ("tools", lambda row: "[]"),
]


@pytest.mark.parametrize(("field", "edit"), TURN_EDITS)
def test_an_edited_turn_of_ours_is_named(
    field: str, edit: Callable[[Row], Any], small_run: Path, parcel: Domain, tmp_path: Path
):
    rows = own_turns(small_run, parcel, tmp_path / "rows")
    assert read(tmp_path, *rows)[1] == []
    rows[2] = {**rows[2], field: edit(rows[2])}
    _, findings = read(tmp_path, *rows)
    [changed] = [finding for finding in findings if finding.fault is Fault.CHANGED]
    assert (changed.row, changed.what) == (3, f"changed since the export: {field}")


def test_turns_of_ours_that_were_taken_out_are_missed(small_run: Path, parcel: Domain, tmp_path: Path):
    rows = own_turns(small_run, parcel, tmp_path / "rows")
    name = rows[0]["metadata"]["source_dialog_id"]
    count = sum(row["metadata"]["source_dialog_id"] == name for row in rows)
    _, [gone] = read(tmp_path, *rows[: count - 1], *rows[count:])
    assert (gone.fault, gone.row, gone.what) == (Fault.CHANGED, 1, f"1 of the {count} rows of {name} are gone")
    assert read(tmp_path, *rows[count:])[1] == []


def test_a_row_padded_by_a_reader_is_no_changed_one(small_run: Path, parcel: Domain, tmp_path: Path):
    rows = own_turns(small_run, parcel, tmp_path / "rows")
    padded = [
        {**row, "messages": [{"tool_calls": None, "tool_call_id": None, **message} for message in row["messages"]]}
        for row in rows
    ]
    assert read(tmp_path, *padded)[1] == []


def test_null_arguments_that_a_task_of_ours_has_stay(tasks: list[Task], tmp_path: Path):
    step = tasks[0].gold[0]
    odd = step.model_copy(update={"call": step.call.model_copy(update={"arguments": {"a": None, "b": 1.0}})})
    task = tasks[0].model_copy(update={"gold": (odd, *tasks[0].gold[1:])})
    [row], findings = read(tmp_path, to_areal_rl(task, None, DB_PATH))
    assert findings == [] and isinstance(row, TaskRow)
    assert row.task == task and row.task.id == task.id


@pytest.mark.parametrize("make", [lambda p: p / "none.jsonl", lambda p: p])
def test_nothing_to_read(make: Callable[[Path], Path], tmp_path: Path):
    with pytest.raises(InputError, match=r"no \.jsonl file nor a folder with any"):
        list(read_areal(make(tmp_path)))


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("<tool_call>{}</tool_call>")
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
FIELDS = sorted({*rl_row(), *sft_row(), "tools", "veriloop", "ticket", "initial_state"})
PLACES = [
    ("user_scenario", "instructions"), ("user_scenario", "persona"), ("initial_state", "initialization_data"),
    ("initial_state", "initialization_actions"), ("metadata", "turn_index"), ("metadata", "correct"),
    ("answer", "tool_calls"), ("answer", "content"), ("answer", "thinking"), ("answer", "role"),
]  # fmt: skip


def read_all(folder: Path, line: bytes) -> list[TaskRow | TurnRow | Finding]:
    found = list(read_areal(write(folder, line, rl_row(1))))
    assert any(isinstance(x, TaskRow) and x.row == 2 for x in found) or line.count(b"\n")
    for x in found:
        if isinstance(x, TaskRow):
            assert len(x.task.id) == 16
    list(join_dialogues(found))
    return found


@given(st.binary(max_size=60))
def test_no_line_stops_the_reader(tmp_path_factory: pytest.TempPathFactory, line: bytes):
    read_all(tmp_path_factory.mktemp("any"), line.replace(b"\n", b" "))


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES), st.booleans())
@example({"veriloop": '{"version": 2, "fields": {}, "task": {"gold": ["\\ud800"]}}'}, True)
@example({"evaluation_criteria": '{"actions": [{"name": "\\ud800"}]}'}, True)
@example({"evaluation_criteria": "[" * 100_000}, True)
@example({"veriloop": '{"version": 2, "fields": {}, "task": {"domain": [3]}}'}, True)
def test_no_object_stops_the_reader(tmp_path_factory: pytest.TempPathFactory, fields: Row, task: bool):
    base = rl_row() if task else sft_row()
    found = read_all(tmp_path_factory.mktemp("any"), json.dumps({**base, **fields}).encode())
    assert any(x.row == 1 for x in found)


@given(st.sampled_from(PLACES), VALUES)
def test_nothing_inside_stops_the_reader(tmp_path_factory: pytest.TempPathFactory, place: tuple[str, str], value: Any):
    base: Row = {**rl_row(initial_state={})} if place[0] in rl_row() else sft_row()
    row = {**base, place[0]: {**base[place[0]], place[1]: value}}
    assert any(x.row == 1 for x in read_all(tmp_path_factory.mktemp("any"), json.dumps(row).encode()))


@given(VALUES)
def test_no_criteria_stop_the_reader(tmp_path_factory: pytest.TempPathFactory, value: Any):
    for content in (value, {"actions": value}, {"actions": [{"name": "f", "arguments": {"a": value}}]}):
        row = rl_row(evaluation_criteria=json.dumps(content))
        assert any(x.row == 1 for x in read_all(tmp_path_factory.mktemp("any"), json.dumps(row).encode()))
