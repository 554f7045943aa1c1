"""Whatever a row holds, it is audited, mended or left out, and never ends in a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.domains.domain import Domain
from veriloop.pipeline.audit import Settings, audit_data
from veriloop.store.audit.result import Gate

Row = dict[str, Any]
CALL = {"id": "c0", "type": "function", "function": {"name": "get_parcel", "arguments": '{"tracking": "VP1"}'}}
MESSAGES: list[Row] = [
    {"role": "system", "content": "You must do this or that. You must not do this or that."},
    {"role": "user", "content": "Please look, me@mail.org."},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c0", "content": "{}"},
    {"role": "assistant", "content": "It is VP12345 for $12.50."},
]
TOOLS = [{"type": "function", "function": {"name": "get_parcel", "parameters": {"type": "object"}}}]
ACTION = {"name": "get_parcel", "requestor": "assistant", "arguments": {"tracking": None}}
BASES: list[Row] = [
    {"messages": MESSAGES, "tools": TOOLS, "loss_on": [4], "domain": "parcel", "id": 1},
    {"prompt": MESSAGES[:4], "completion": MESSAGES[4:], "task_id": "t", "trial": 0, "turn": 1, "seat": "agent"},
    {"messages": MESSAGES[:4], "answer": MESSAGES[4], "metadata": {"source_dialog_id": "parcel_dialog_1"}},
    {"id": "parcel_1", "user_scenario": {"instructions": {"domain": "parcel"}}, "db_path": "a.json",
     "evaluation_criteria": {"actions": [ACTION]}, "initial_state": {"initialization_data": {"agent_data": {}}}},
    {"id": "1", "user_scenario": "Call them.", "evaluation_criteria": {"actions": [ACTION]}, "ticket": "x"},
    {"version": 1, "domain": "parcel", "initial": {"database": "train-0"}, "user": {}, "gold": []},
]  # fmt: skip
TEXTS = [
    "<tool_call>{}</tool_call>",
    '```json\n{"name": "get_parcel", "arguments": {"tracking": null}}\n```',
    "{",
    "[]",
    "parcel",
    "assistant",
    "tool",
    "c0",
    "get_parcel",
    "../x",
]
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=8) | st.sampled_from(TEXTS)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


@st.composite
def spoilt_rows(draw: st.DrawFn) -> Row:
    """Return a row of some form in which some places, however deep, hold something else."""
    row = json.loads(json.dumps(draw(st.sampled_from(BASES))))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = row
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.integers(0, 5)) == 0:
                del place[key]
            else:
                place[key] = draw(VALUES)
            break
    return row


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@given(
    rows=st.lists(spoilt_rows(), min_size=1, max_size=4),
    section=st.sampled_from(["", "tasks", "simulations"]),
    gate=st.sampled_from(["never", "error", "warning", "note"]),
)
def test_no_row_ends_in_a_traceback(folder: Path, parcel: Domain, rows: list[Row], section: str, gate: Gate):
    if section:
        (folder / "a.json").write_text(json.dumps({"info": {"environment_info": rows[0]}, section: rows}))
    else:
        (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / ("a.json" if section else "a.jsonl")
    found = audit_data(path, Settings(domain="parcel", gate=gate, fix=folder / f"out{path.suffix}"))
    assert found.audit.rows == len(rows)
    assert found.cleaned and found.cleaned.kept + found.cleaned.dropped == len(rows)
    assert found.after is None or found.after.passes(gate)
