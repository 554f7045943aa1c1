"""Our copies against `copy.deepcopy`: equal, of the same types and shape, and nothing changeable in common."""

import copy
from collections.abc import Iterator
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from veriloop.domains.tau2.airline_data import load_tables as load_airline
from veriloop.domains.tau2.replica import copy_deeply
from veriloop.domains.tau2.telecom_session import Phone
from veriloop.domains.tau2.telecom_world import load_database

# isort: split
from tau2.domains.telecom.user_data_model import MockPhoneAttributes


class Mood(StrEnum):
    GOOD = "good"


class Leaf(BaseModel):
    name: str = ""
    marks: list[str] = []


class Branch(BaseModel):
    model_config = ConfigDict(extra="allow")

    content: Any = None
    leaf: Leaf = Leaf()
    _secret: list[int] = PrivateAttr(default_factory=lambda: [1])


class Odd(BaseModel):
    mark: str = ""

    def __deepcopy__(self, memo: Any = None) -> "Odd":
        return Odd(mark="odd")


ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3), st.just(Mood.GOOD),
    st.dates(), st.datetimes(), st.binary(max_size=2), st.tuples(st.integers(), st.text(max_size=1)),
)  # fmt: skip
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.sets(st.integers(), max_size=2),
        st.tuples(st.lists(st.integers(), max_size=2), st.integers()),
        st.builds(Leaf, name=st.text(max_size=2), marks=st.lists(st.text(max_size=1), max_size=2)),
        st.builds(Branch, content=inner),
        st.builds(Branch, content=inner, surplus=inner),
        inner.map(lambda value: [value, value]),
        inner.map(lambda value: Branch.model_construct(content=[value], other=value)),
    ),
    max_leaves=12,
)


def walk(value: Any) -> Iterator[Any]:
    """Yield everything in a value, itself first, in an order that equal values share."""
    yield value
    if isinstance(value, BaseModel):
        parts = [value.__dict__, value.__pydantic_extra__, value.__pydantic_private__]
    elif isinstance(value, dict):
        parts = [part for pair in value.items() for part in pair]
    else:
        parts = list(value) if isinstance(value, list | tuple) else []
    for part in parts:
        yield from walk(part)


def draw_shape(value: Any) -> list[tuple[type, int]]:
    """Return the types of all that is in a value, and for what can be changed which things are one and the same."""
    seen: dict[int, int] = {}
    return [
        (type(part), seen.setdefault(id(part), len(seen)) if isinstance(part, BaseModel | list | dict | set) else 0)
        for part in walk(value)
    ]


@given(VALUES)
def test_a_copy_is_what_deepcopy_makes(value: Any) -> None:
    ours, theirs = copy_deeply(value), copy.deepcopy(value)
    assert ours == theirs == value
    assert draw_shape(ours) == draw_shape(theirs)
    fields = [[part.model_fields_set for part in walk(one) if isinstance(part, BaseModel)] for one in (ours, theirs)]
    assert fields[0] == fields[1]
    changeable = {id(part) for part in walk(value) if isinstance(part, BaseModel | list | dict | set)}
    assert not changeable & {id(part) for part in walk(ours)}


def test_a_change_of_a_copy_reaches_nothing_else() -> None:
    leaf = Leaf(name="a", marks=["x"])
    branch = Branch(content={"leaf": leaf, "again": leaf}, leaf=Leaf())
    twin = copy_deeply(branch)
    twin.content["leaf"].marks.append("y")
    twin.leaf.name = "b"
    twin._secret.append(2)
    assert (leaf.marks, branch.leaf.name, branch._secret) == (["x"], "", [1])
    assert twin.content["again"] is twin.content["leaf"]
    assert branch.leaf.model_fields_set == set()
    assert twin.leaf.model_fields_set == {"name"}


@pytest.mark.parametrize("value", [date(2025, 2, 1), datetime(2025, 2, 1, 3), Mood.GOOD, "text", 1, None])
def test_what_cannot_be_changed_is_not_copied(value: Any) -> None:
    assert copy_deeply(value) is value


def test_a_model_that_copies_itself_does_so() -> None:
    assert copy_deeply([Odd()])[0].mark == "odd"


def test_the_packages_rows_and_phone_are_copied_as_deepcopy_does() -> None:
    tables: Any = load_database("train-0")[0]
    rows = [row for table in (*tables.values(), *load_airline().values()) for row in list(table.values())[:40]]
    for row in [*rows, MockPhoneAttributes.model_validate({})]:
        ours, theirs = copy_deeply(row), copy.deepcopy(row)
        assert (ours, ours.model_fields_set, repr(ours)) == (theirs, theirs.model_fields_set, repr(theirs))
        assert draw_shape(ours) == draw_shape(theirs)


def test_a_profile_in_two_places_of_a_phone_stays_one() -> None:
    phone = Phone.of(MockPhoneAttributes.model_validate({}))
    phone.device.vpn_details = phone.vpn
    draft = phone.draft()
    assert draft.device.vpn_details is draft.vpn
    assert draft.vpn is not phone.vpn
    assert draft.equals(phone)
    draft.vpn.protocol = "WireGuard"
    assert not draft.equals(phone)
    assert draft.tables["phone"]["phone"]["vpn_profile"]["protocol"] == "WireGuard"
