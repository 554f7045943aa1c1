"""Dialogues as the report shows them."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.message import Change, ToolCall, ToolResult, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.task import Task
from veriloop.report.dialogue import LONGEST, FieldChange, pick_demonstrations, pick_played, show, show_change
from veriloop.store.run import open_run


def test_changes_name_what_differs() -> None:
    row = show_change(Change(table="t", key="k", before={"a": 1, "b": "x"}, after={"a": 1, "b": "y"}))
    assert (row.place, row.verb) == ("t k", "changed")
    assert row.fields == (FieldChange("b", "x", "y"),)
    new = show_change(Change(table="t", key="k", before=None, after={"a": [1]}))
    assert (new.verb, new.fields) == ("inserted", (FieldChange("a", None, "[1]"),))
    gone = show_change(Change(table="t", key="k", before={"a": True}, after=None))
    assert (gone.verb, gone.fields) == ("deleted", (FieldChange("a", "true", None),))


def test_nested_changes_are_named_by_their_path() -> None:
    before = {"items": [{"id": 1, "price": 2.5}, {"id": 2}], "status": "open", "paid": [1]}
    after = {"items": [{"id": 1, "price": 3}, {"id": 2, "gift": True}], "status": "open", "paid": [1, 2]}
    fields = show_change(Change(table="orders", key="o1", before=before, after=after)).fields
    assert fields == (
        FieldChange("items[0].price", "2.5", "3"),
        FieldChange("items[1].gift", None, "true"),
        FieldChange("paid", "[1]", "[1, 2]"),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1), JSON, max_size=3), st.dictionaries(st.text("abc", min_size=1), JSON))
def test_a_change_has_fields_exactly_when_rows_differ(before: dict[str, Any], after: dict[str, Any]) -> None:
    fields = show_change(Change(table="t", key="k", before=before, after=after)).fields
    assert bool(fields) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))
    assert all(field.before != field.after for field in fields)
    assert len({field.name for field in fields}) == len(fields)


def test_demonstrations_show_each_tier_whole(run: Path, tasks: list[Task]) -> None:
    with open_run(run) as opened:
        shown = pick_demonstrations(opened)
    assert {item.title for item in shown} == {task.tags.tier for task in tasks}
    for item in shown:
        assert item.verdict
        assert item.verdict.passed
        assert item.scenario
        assert item.turns[0].seat == "agent"
        assert all((run / place).is_file() for place in item.links.values())
        assert len(item.links) == 2
        changed = {change.place for turn in item.turns for change in turn.changes}
        assert {change.place for change in item.net} <= changed


def test_played_show_a_win_and_a_loss_of_agents_but_not_of_baselines(run: Path) -> None:
    assert sorted(item.title for item in pick_played(run)) == ["mixed, lost", "mixed, won"]


def test_void_and_cut_lines_are_passed_over(run: Path) -> None:
    file = run / "evals" / "mixed.jsonl"
    lines = file.read_text().splitlines()
    void = {**json.loads(lines[0]), "verdict": None}
    file.write_text("\n".join([json.dumps(void), *lines[1:], lines[0][:40]]))
    assert len(pick_played(run)) == 2


def test_odd_turns_are_shown(tmp_path: Path) -> None:
    call = ToolCall(id="a", name="f", arguments={"x": "y" * 100})
    turns = (
        Turn(seat="agent", content="aside", thinking="hm", tool_calls=(call, call),
             results=(ToolResult(call_id="a", content="z" * (LONGEST + 5), error=True),)),
        Turn(seat="user", malformed="no JSON"),
    )  # fmt: skip
    trace = Trace(
        domain="d", task_id="t", players={}, seed=0, turns=turns, changes=(), digest="", stop=StopReason.MALFORMED,
        error="user: no JSON",
    )  # fmt: skip
    shown = show("x", trace, None, tmp_path)
    first, second = shown.turns
    assert (first.silent, first.thinking, first.calls[0].error, first.calls[1].result) == (True, "hm", True, "not run")
    assert first.calls[0].result.endswith(f"({LONGEST + 5} characters)")
    assert json.loads(first.calls[0].arguments) == call.arguments
    assert (second.malformed, shown.links, shown.error) == ("no JSON", {}, "user: no JSON")
