"""How ends are compared: nested fields by what differs in them, unordered lists as sets, sums with their rounding."""

import pytest

from veriloop.check.body import state
from veriloop.check.body.state import GONE, check_state, differences, same, same_set


def change(before, after, table="t", key="1"):
    return {"table": table, "key": key, "before": before, "after": after}


@pytest.fixture
def expect(monkeypatch):
    def put(gold, also=(), unordered=(), free=()):
        monkeypatch.setattr(state, "GOLD", gold)
        monkeypatch.setattr(state, "ALSO", list(also))
        monkeypatch.setattr(state, "UNORDERED", list(unordered))
        monkeypatch.setattr(state, "FREE", list(free))

    return put


def test_equal_values():
    assert same(1, 1.0)
    assert same(0.1 + 0.2, 0.3)
    assert same({"a": [1, {"b": 2.0}]}, {"a": [1.0, {"b": 2}]})
    assert same_set([{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 1}])


def test_different_values():
    assert not same(True, 1)
    assert not same(1, 1.01)
    assert not same([1, 2], [2, 1])
    assert not same({"a": 1}, {"b": 1})
    assert not same("1", 1)
    assert not same_set([1, 1, 2], [1, 2, 2])
    assert not same_set([1], [1, 1])


def test_only_what_differs_in_a_nested_field():
    before = {"dates": {"05-01": {"seats": 3}, "05-02": {"seats": 4}}, "name": "x", "old": 1}
    after = {"dates": {"05-01": {"seats": 2}, "05-02": {"seats": 4}}, "name": "x", "new": {"a": 1}}
    assert differences("t", before, after) == {"dates": {"05-01": {"seats": 2}}, "old": GONE, "new": {"a": 1}}
    assert differences("t", {"methods": {"a": 1, "b": 2}}, {"methods": {"b": 2}}) == {"methods": {"a": GONE}}
    assert differences("t", None, after) == after
    assert differences("t", before, None) is None


def test_the_end_is_as_expected(expect):
    expect({("t", "1"): {"x": 2}})
    assert check_state([change({"x": 1, "y": 1}, {"x": 2, "y": 1})]) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([], "was not changed"),
        ([change({"x": 1}, {"x": 3})], "x became 3, expected 2"),
        ([change({"x": 1, "y": 1}, {"x": 1, "y": 2})], "x was not changed"),
        ([change({"x": 1, "y": 1}, {"x": 2, "y": 2})], "y was changed though nobody asked"),
        ([change({"x": 1}, None)], "became None"),
        ([change({"x": 1}, {"x": 2}), change(None, {"z": 1}, key="2")], "was changed though nobody asked"),
        ([change({"x": 1}, {"x": 2}, key="2")], "was not changed"),
    ],
)
def test_what_is_wrong_is_named(expect, changes, reason):
    expect({("t", "1"): {"x": 2}})
    assert reason in check_state(changes)


TWICE = [
    [change({"x": 1}, {"x": 2}), change({"x": 1}, {"x": 2})],
    [change({"x": 1}, {"x": 3}), change({"x": 3}, {"x": 2})],
    [change({"x": 1}, {"x": 2}), change({"x": 2}, {"x": 2})],
    [change({"x": 1}, {"x": 2}), change({"x": 1}, {"x": 1}, key="2"), change({"x": 1}, {"x": 1}, key="2")],
    [change({"x": 1}, {"x": 2}), change({}, {"y": 1}, table="free"), change({}, {"y": 2}, table="free")],
]


@pytest.mark.parametrize("changes", TWICE)
def test_a_row_that_changed_twice_is_not_passed(expect, changes):
    """A session reports the net change of a row; whatever says more is not the end of a dialogue."""
    expect({("t", "1"): {"x": 2}}, free=["free"])
    assert "stands among the changes twice" in check_state(changes)


def test_a_new_row_without_a_field_is_a_change(expect):
    expect({("t", "1"): {"x": 2}})
    wanted = change({"x": 1}, {"x": 2})
    assert "was changed though nobody asked" in check_state([wanted, change(None, {}, key="2")])
    assert "was changed though nobody asked" in check_state([wanted, change({}, None, key="2")])


@pytest.mark.parametrize("row", [{"x": 1}, {}, None])
def test_a_row_that_is_as_it_was_is_no_change(expect, row):
    expect({("t", "1"): {"x": 2}})
    assert check_state([change({"x": 1}, {"x": 2}), change(row, row, key="2")]) is None
    expect({("t", "1"): None})
    assert check_state([change(row, row)]) == "('t', '1') was not changed", "it is not gone for never having been there"


def test_a_row_taken_away(expect):
    expect({("t", "1"): None})
    assert check_state([change({"x": 1}, None)]) is None
    assert check_state([change({"x": 1}, {"x": 2})])


def test_another_end_that_is_as_right(expect):
    expect({("t", "1"): {"x": 2}}, also=[{("t", "1"): {"x": 3}}])
    assert check_state([change({"x": 1}, {"x": 3})]) is None
    assert "expected 2" in check_state([change({"x": 1}, {"x": 4})])


def test_an_order_that_means_nothing(expect):
    gold = {("t", "1"): {"people": ["a", "b"]}}
    swapped = [change({"people": ["c"]}, {"people": ["b", "a"]})]
    expect(gold, unordered=[("t", "people")])
    assert check_state(swapped) is None
    assert check_state([change({"people": ["c"]}, {"people": ["b", "b"]})])
    expect(gold)
    assert check_state(swapped)


def test_a_list_only_put_in_another_order_is_no_change(expect):
    expect({}, unordered=[("t", "people")])
    assert check_state([change({"people": ["a", "b"]}, {"people": ["b", "a"]})]) is None


def test_free_tables_end_as_they_like(expect):
    expect({}, free=["t"])
    assert check_state([change({"x": 1}, {"x": 2})]) is None
