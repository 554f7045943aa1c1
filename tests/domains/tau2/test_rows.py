"""Overlay tables: reads share, drafts copy, commits keep only what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from veriloop.core.message import Change
from veriloop.domains.tau2.rows import Rows, Store


class Card(BaseModel):
    balance: int
    marks: list[str] = []


def make_base() -> dict[str, Card]:
    return {"a": Card(balance=1), "b": Card(balance=2), "c": Card(balance=3)}


def test_a_read_hands_out_the_shared_row() -> None:
    base = make_base()
    assert Rows(base)["a"] is base["a"]


def test_a_read_refuses_to_set_or_delete() -> None:
    rows = Rows(make_base())
    with pytest.raises(TypeError, match="'a'"):
        rows["a"] = Card(balance=9)
    with pytest.raises(TypeError, match="deleted"):
        del rows["a"]


def test_a_draft_copies_deeply_and_leaves_the_base_alone() -> None:
    base = make_base()
    draft = Rows(base).draft()
    draft["a"].balance += 10
    draft["a"].marks.append("used")
    assert base["a"] == Card(balance=1)
    assert draft["a"] == Card(balance=11, marks=["used"])
    assert draft["a"] is draft["a"]


def test_iterating_a_draft_hands_out_copies_too() -> None:
    base = make_base()
    draft = Rows(base).draft()
    for _, row in draft.items():
        row.balance = 0
    assert [row.balance for row in base.values()] == [1, 2, 3]
    assert [change.key for change in draft.step_changes("cards")] == ["a", "b", "c"]


def test_looking_sees_what_the_draft_holds_and_copies_nothing() -> None:
    base = make_base()
    draft = Rows(base).draft()
    assert draft.peek("a") is base["a"]
    draft["a"].balance = 9
    draft["z"] = Card(balance=5)
    assert (draft.peek("a").balance, draft.peek("z").balance) == (9, 5)
    assert draft.peek("b") is base["b"]
    assert Rows(base).peek("c") is base["c"]
    with pytest.raises(KeyError):
        draft.peek("q")


def test_a_draft_that_changed_nothing_commits_to_what_it_was_made_of() -> None:
    rows = Rows(make_base())
    draft = rows.draft()
    draft["a"].balance += 0
    assert draft.commit() is rows


def test_a_commit_keeps_changed_rows_only() -> None:
    draft = Rows(make_base()).draft()
    draft["a"].balance = 1
    draft["b"].balance = 7
    assert draft.step_changes("cards") == [
        Change(table="cards", key="b", before={"balance": 2, "marks": []}, after={"balance": 7, "marks": []})
    ]
    assert [change.key for change in draft.commit().changes("cards")] == ["b"]


def test_a_row_that_is_put_back_is_no_change() -> None:
    draft = Rows(make_base()).draft()
    draft["b"].balance = 7
    second = draft.commit().draft()
    second["b"].balance = 2
    assert [(c.before or {})["balance"] for c in second.step_changes("cards")] == [7]
    assert second.commit().changes("cards") == []


def test_new_rows_come_last_and_have_no_before() -> None:
    draft = Rows(make_base()).draft()
    draft["z"] = Card(balance=5)
    assert list(draft) == ["a", "b", "c", "z"]
    assert len(draft) == 4
    assert "z" in draft
    committed = draft.commit()
    assert list(committed) == ["a", "b", "c", "z"]
    assert committed.changes("cards")[0].before is None


def test_missing_rows_are_missing_everywhere() -> None:
    rows = Rows(make_base())
    for table in (rows, rows.draft()):
        assert "q" not in table
        assert table.get("q") is None
        with pytest.raises(KeyError):
            table["q"]


def test_a_store_has_its_tables_as_attributes_and_no_others() -> None:
    store = Store({"cards": Rows(make_base())})
    assert store.cards["a"].balance == 1
    with pytest.raises(AttributeError, match="no table 'boxes'"):
        _ = store.boxes


def test_a_store_orders_changes_by_table_and_key() -> None:
    draft = Store({"second": Rows(make_base()), "first": Rows(make_base())}).draft()
    for table, key in (("second", "b"), ("first", "c"), ("second", "a")):
        getattr(draft, table)[key].balance = 99
    places = [(change.table, change.key) for change in draft.step_changes()]
    assert places == [("first", "c"), ("second", "a"), ("second", "b")]
    assert [(change.table, change.key) for change in draft.commit().changes()] == places


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcz"), st.integers(0, 4)), max_size=4), max_size=6))
def test_drafts_behave_like_copies_of_a_dict(writes: list[list[tuple[str, int]]]) -> None:
    base = make_base()
    rows, model = Rows(base), {key: row.balance for key, row in base.items()}
    for group in writes:
        draft = rows.draft()
        before = dict(model)
        for key, balance in group:
            if key in draft:
                draft[key].balance = balance
            else:
                draft[key] = Card(balance=balance)
            model[key] = balance
        changed = {change.key for change in draft.step_changes("cards")}
        assert changed == {key for key in model if model[key] != before.get(key)}
        rows = draft.commit()
    assert {key: row.balance for key, row in rows.items()} == model
    assert {change.key for change in rows.changes("cards")} == {
        key for key in model if key not in base or base[key].balance != model[key]
    }
    assert [row.balance for row in base.values()] == [1, 2, 3]
