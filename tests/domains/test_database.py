from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import ValidationError

from veriloop.core.errors import InputError, ToolError
from veriloop.core.message import Change
from veriloop.domains.database import Database, Row, Table, digest_changes
from veriloop.domains.session import step_changes


class Item(Row):
    key: str
    count: int


class Shelf(Database):
    items: Table[Item]
    spares: Table[Item]


KEYS = st.sampled_from(["a", "b", "c", "d"])
BASE = {"items": {"a": Item(key="a", count=1), "b": Item(key="b", count=2)}, "spares": {}}
Write = tuple[str, str, int | None]
WRITES = st.lists(st.tuples(st.sampled_from(["items", "spares"]), KEYS, st.none() | st.integers(0, 3)), max_size=12)


def apply(db: Shelf, writes: list[Write]) -> Shelf:
    for name, key, count in writes:
        table: Table[Item] = getattr(db, name)
        if count is not None:
            table.put(key, Item(key=key, count=count))
        elif key in table:
            table.remove(key)
    return db


def rows(db: Database) -> dict[str, dict[str, int]]:
    return {table.name: {row.key: row.count for row in table} for table in db.tables()}


def undo(state: dict[str, dict[str, int]], changes: tuple[Change, ...]) -> dict[str, dict[str, int]]:
    """Take changes back from the state they led to."""
    state = {name: dict(table) for name, table in state.items()}
    for change in changes:
        state[change.table].pop(change.key, None)
        if change.before:
            state[change.table][change.key] = change.before["count"]
    return state


@given(WRITES)
def test_changes_are_the_difference_to_the_base(writes: list[Write]):
    db = apply(Shelf(BASE), writes)
    assert undo(rows(db), db.changes()) == rows(Shelf(BASE))
    assert all(change.before != change.after for change in db.changes())


@given(WRITES, WRITES)
def test_fork_is_independent(first: list[Write], second: list[Write]):
    db = apply(Shelf(BASE), first)
    before = rows(db)
    copy = db.fork()
    assert rows(copy) == before
    assert isinstance(copy, Shelf)
    apply(copy, second)
    assert rows(db) == before
    assert rows(copy) == rows(apply(Shelf(BASE), [*first, *second]))


@given(WRITES, WRITES)
def test_digests_are_equal_exactly_for_equal_states(first: list[Write], second: list[Write]):
    one, two = apply(Shelf(BASE), first), apply(Shelf(BASE), second)
    same = rows(one) == rows(two)
    assert (digest_changes("x", one.changes()) == digest_changes("x", two.changes())) == same


def test_digest_depends_on_the_database():
    assert digest_changes("x", ()) != digest_changes("y", ())


@given(WRITES, WRITES)
def test_changes_of_one_step(first: list[Write], second: list[Write]):
    db = apply(Shelf(BASE), first)
    before_rows, before = rows(db), db.changes()
    apply(db, second)
    step = step_changes(before, db.changes())
    assert undo(rows(db), step) == before_rows
    assert all(change.before != change.after for change in step)


def test_shared_base_is_never_touched():
    base = {"items": dict(BASE["items"]), "spares": {}}
    apply(Shelf(base), [("items", "a", 9), ("items", "b", None), ("spares", "c", 1)])
    assert base == {"items": BASE["items"], "spares": {}}


class TableModel(RuleBasedStateMachine):
    """A table behaves as the dict it lays over another."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Shelf(BASE).items
        self.model: dict[str, Item] = dict(BASE["items"])

    @rule(key=KEYS, count=st.integers(0, 3))
    def put(self, key: str, count: int):
        self.model[key] = self.table.put(key, Item(key=key, count=count))

    @rule(key=KEYS, count=st.integers(0, 3))
    def update(self, key: str, count: int):
        if key in self.model:
            self.model[key] = self.table.update(key, count=count)
            assert self.model[key] == Item(key=key, count=count)
        else:
            with pytest.raises(ToolError, match=f"no item '{key}'"):
                self.table.update(key, count=count)

    @rule(key=KEYS)
    def remove(self, key: str):
        if self.model.pop(key, None):
            self.table.remove(key)
        else:
            with pytest.raises(ToolError):
                self.table.remove(key)

    @rule()
    def fork(self):
        self.table = self.table.fork()

    @invariant()
    def same_content(self):
        assert {row.key: row for row in self.table} == self.model
        for key in "abcd":
            assert (key in self.table) == (key in self.model)
            assert self.table.get(key) == self.model.get(key)
        assert self.table.where(count=2) == [row for row in self.table if row.count == 2]


TestTableModel = TableModel.TestCase


@pytest.mark.parametrize("fields", [{"count": "many"}, {"colour": "red"}])
def test_update_validates(fields: dict[str, Any]):
    with pytest.raises(ValidationError):
        Shelf(BASE).items.update("a", **fields)


@pytest.mark.parametrize(
    "kind", [list[str], dict[str, int], set[int], list, tuple[list[int], ...], dict[str, int] | None]
)
def test_what_could_change_in_place_is_no_field_of_a_row(kind):
    with pytest.raises(InputError, match="row Loose: 'bag' holds a (list|dict|set)"):
        type("Loose", (Row,), {"__annotations__": {"name": str, "bag": kind}})


@pytest.mark.parametrize("kind", [str, tuple[str, ...], tuple[int, str] | None, Literal["a", "b"]])
def test_what_cannot_change_is(kind):
    assert type("Firm", (Row,), {"__annotations__": {"bag": kind}}).model_fields["bag"].annotation == kind
