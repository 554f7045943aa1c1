from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.domains.source import Scope, choice, harvest, ref

ORDER = {
    "id": "O1",
    "items": [{"item": "i1", "tags": ["a", "b"]}, {"item": "i2", "tags": []}],
    "variants": {"v1": {"price": 3}, "v2": {"price": 4}},
    "owner": {"name": "Ada"},
}


@pytest.mark.parametrize(
    ("at", "values"),
    [
        ("", [ORDER]),
        ("id", ["O1"]),
        ("owner.name", ["Ada"]),
        ("items[].item", ["i1", "i2"]),
        ("items[].tags[]", ["a", "b"]),
        ("variants{}.price", [3, 4]),
        ("variants.~key", ["v1", "v2"]),
        ("missing", []),
        ("id[]", []),
        ("items{}", []),
        ("owner.name.first", []),
    ],
)
def test_paths(at: str, values: list[Any]):
    assert [value for value, _ in harvest(at, ORDER)] == values


def test_values_come_with_the_row_they_stand_in():
    assert harvest("items[].item", ORDER)[1] == ("i2", ORDER["items"][1])
    assert harvest("variants.~key", ORDER)[0] == ("v1", {"price": 3})
    assert harvest("[].id", [{"id": 1}, {"id": 2}]) == [(1, {"id": 1}), (2, {"id": 2})]
    assert harvest("[]", ["x", "y"]) == [("x", {}), ("y", {})]


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=6,
)


@given(st.lists(st.sampled_from(["a", "b", "a[]", "b{}", "[]", "{}", "~key"]), max_size=4).map(".".join), JSON)
def test_no_result_breaks_a_path(at: str, result: Any):
    assert all(isinstance(row, dict) for _, row in harvest(at, result))


def scope(**pool: dict[Any, dict[str, Any]]) -> Scope:
    return Scope(None, pool)


def test_reference_takes_what_was_read():
    source = ref("item", "item number")
    assert source.candidates(scope(item={"i1": {"name": "lamp"}, "i2": {}})) == ["i1", "i2"]
    assert source.candidates(scope()) == []
    assert source.wording("i1", scope()) == "i1"
    assert ref("item_id").label == "item id"


def test_description_of_what_a_user_cannot_know():
    source = ref("item", say=lambda value, scope: scope.pool["item"][value]["name"])
    assert source.wording("i1", scope(item={"i1": {"name": "lamp"}})) == "lamp"


def test_choice_from_a_list_or_from_the_scope():
    assert choice("day", ("monday", "friday")).candidates(scope()) == ["monday", "friday"]
    dependent = choice("other", lambda scope: [row["name"] for row in scope.rows("item")])
    assert dependent.candidates(scope(item={"i1": {"name": "lamp"}})) == ["lamp"]
    assert choice("day", (1, 2)).wording(2, scope()) == "2"
