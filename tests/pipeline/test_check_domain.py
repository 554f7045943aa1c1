"""Each defect is planted in a sound domain, and the check must name it, its place and its repair."""

import itertools
import random
from dataclasses import replace
from typing import Annotated, Any

import pytest

from veriloop.core.errors import ToolError
from veriloop.domains.clause import Case, Clause
from veriloop.domains.database import Database, Row, Table
from veriloop.domains.domain import Caller, ToolkitDomain
from veriloop.domains.source import Yield, choice, ref
from veriloop.domains.tool import tool
from veriloop.pipeline import check_domain as module
from veriloop.pipeline.check_domain import check_behaviour, check_declarations, check_domain, check_people, make_visits
from veriloop.pipeline.coverage import check_coverage
from veriloop.pipeline.finding import Finding

KEY = ref("key", "key number")
ROOM = choice("room", ("east", "west", "north"), "room")


class Key(Row):
    key: str
    owner: str
    room: str
    lost: bool


class Hotel(Database):
    keys: Table[Key]


class Desk:
    def __init__(self, db: Hotel) -> None:
        self.db = db

    @tool("read", yields=(Yield("key", "[].key"),))
    def list_keys(self, owner: Annotated[str, ref("owner")]) -> list[Key]:
        """List a guest's keys."""
        return self.db.keys.where(owner=owner)

    @tool("write", topics=("move a key to another room",))
    def move(self, key: Annotated[str, KEY], room: Annotated[str, ROOM]) -> Key:
        """Give a key another room."""
        return self.db.keys.update(key, room=room)

    @tool("generic")
    def transfer(self, reason: str) -> str:
        """Call the manager."""
        return "coming"


def deny_lost(case: Case) -> str | None:
    key = case.state.keys.get(str(case.call.arguments.get("key")))
    return "the key is lost" if key and key.lost else None


CLAUSE = Clause("1", "No lost key is moved.", ("move",), deny_lost, read="list_keys")


def load(database: str) -> dict[str, dict[str, Key]]:
    start = {"train": 0, "test": 5000}[database.split("-", maxsplit=1)[0]] + 100 * int(database.split("-")[1])
    names = [(f"K{start + n}", f"G{start + n // 3}", ("east", "west")[n % 2], n % 3 == 0) for n in range(30)]
    return {"keys": {key: Key(key=key, owner=owner, room=room, lost=lost) for key, owner, room, lost in names}}


def callers(db: Any) -> list[Caller]:
    return [Caller(owner, f"Guest {owner}", {"owner": owner}) for owner in {key.owner: 0 for key in db.keys}]


def make(
    toolkit: type = Desk, clauses: tuple[Clause, ...] = (CLAUSE,), policy: str = "1. No lost key is moved."
) -> ToolkitDomain:
    kinds = {"key": KEY, "owner": ref("owner", "guest number")}
    return ToolkitDomain("hotel", policy, toolkit, Hotel, load, callers, clauses, kinds)


def behaviour(toolkit: type) -> list[Finding]:
    domain = make(toolkit)
    return [finding for visit in make_visits(domain) for finding in check_behaviour(domain, visit, random.Random(0))]


def test_sound_domain(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "load_domain", lambda _name: make())
    calls: list[tuple[int, int]] = []
    assert check_domain("hotel", progress=lambda done, total: calls.append((done, total))) == []
    assert calls[-1][0] == calls[-1][1]


def test_built_in_domain_has_nothing_undeclared(parcel: Any):
    assert list(check_declarations(parcel)) == []


def test_empty_policy():
    [finding] = check_declarations(make(policy=" \n"))
    assert finding.where == "policy"


def test_write_without_words_or_sources():
    class Bare(Desk):
        @tool("write")
        def move(self, key: str, room: Annotated[str, ROOM]) -> Key:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Give a key another room."""
            return self.db.keys.update(key, room=room)

    found = list(check_declarations(make(Bare)))
    assert [finding.where for finding in found] == ["tool move", "tool move"]
    assert "value of 'key' comes from" in found[0].what and "ref('key')" in found[0].fix
    assert "no words" in found[1].what and "topics=" in found[1].fix


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"tools": ("mvoe",)}, "unknown tool 'mvoe'"),
        ({"read": "move"}, "'move' is no read tool"),
        ({"read": "nothing"}, "'nothing' is no read tool"),
    ],
)
def test_clause_that_names_nothing(changes: dict[str, Any], what: str):
    [finding] = check_declarations(make(clauses=(replace(CLAUSE, **changes),)))
    assert finding.where == "clause 1" and what in finding.what


def test_clause_ids_given_twice():
    [finding] = check_declarations(make(clauses=(CLAUSE, CLAUSE)))
    assert "given twice" in finding.what


def test_read_that_changes_something():
    class Sly(Desk):
        @tool("read", yields=(Yield("key", "[].key"),))
        def list_keys(self, owner: Annotated[str, ref("owner")]) -> list[Key]:
            """List a guest's keys."""
            found = self.db.keys.where(owner=owner)
            for key in found:
                self.db.keys.update(key.key, room="seen")
            return found

    found = behaviour(Sly)
    assert any("reads changed it" in finding.what for finding in found)
    assert any(f.where == "tool list_keys" and "`write`" in f.fix for f in found)


def test_tool_that_depends_on_more_than_its_arguments():
    count = itertools.count()

    class Moody(Desk):
        @tool("write", topics=("move a key",))
        def move(self, key: Annotated[str, KEY], room: Annotated[str, ROOM]) -> Key:
            """Give a key another room."""
            return self.db.keys.update(key, room=f"{room}{next(count)}")

    assert any(f.where == "tool move" and "differently on two fresh sessions" in f.what for f in behaviour(Moody))


def test_tool_that_crashes_on_what_is_unknown():
    class Fragile(Desk):
        @tool("write", topics=("move a key",))
        def move(self, key: Annotated[str, KEY], room: Annotated[str, ROOM]) -> Key:
            """Give a key another room."""
            if self.db.keys.get(key) is None:
                raise KeyError(key)
            return self.db.keys.update(key, room=room)

    crashes = [finding for finding in behaviour(Fragile) if "raised KeyError" in finding.what]
    assert crashes and crashes[0].where == "tool move" and "ToolError" in crashes[0].fix


def test_refused_write_is_taken_back_by_the_session():
    class Hasty(Desk):
        @tool("write", topics=("move a key",))
        def move(self, key: Annotated[str, KEY], room: Annotated[str, ROOM]) -> Key:
            """Give a key another room."""
            self.db.keys.update(key, room=room)
            raise ToolError("too late")

    assert behaviour(Hasty) == []


def test_seat_that_may_call_everything():
    class Open:
        """A domain that asks nobody which seat calls."""

        def __init__(self, inner: ToolkitDomain) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def open(self, initial: Any) -> Any:
            session = self.inner.open(initial)
            answer = session.call

            class Lax:
                state = session.state
                changes, digest, fork = session.changes, session.digest, session.fork

                def call(self, seat: Any, call: Any) -> Any:
                    return answer("agent", call)

            return Lax()

    domain: Any = Open(make())
    visits = list(make_visits(make()))
    found = list(check_behaviour(domain, visits[0], random.Random(0)))
    assert any("the user could call it" in finding.what for finding in found)


def test_clause_that_nothing_meets_or_breaks():
    never = Clause("2", "Nothing is moved.", ("move",), lambda case: "no")
    always = Clause("3", "Everything may be moved.", ("move",), lambda case: None)
    found = {(finding.where, finding.what.split(":")[0]) for finding in check_coverage(make(clauses=(CLAUSE, always)))}
    assert ("clause 3", "nothing broke it") in found
    assert ("clause 1", "nothing broke it") not in found
    found = {(finding.where, finding.what.split(":")[0]) for finding in check_coverage(make(clauses=(CLAUSE, never)))}
    assert ("clause 2", "nothing met it") in found


def test_clause_that_breaks():
    broken = Clause("2", "Broken.", ("move",), lambda case: case.call.arguments["colour"])
    found = [finding for finding in check_coverage(make(clauses=(CLAUSE, broken))) if "raised KeyError" in finding.what]
    assert [finding.where for finding in found] == ["clause 2"]


def test_tool_that_nothing_leads_to():
    class Wide(Desk):
        @tool("read")
        def look(self, drawer: Annotated[str, ref("drawer")]) -> str:
            """Look into a drawer that nobody knows of."""
            return drawer

    assert "tool look" in {finding.where for finding in check_coverage(make(Wide))}


def test_domain_in_which_nothing_can_be_asked_for():
    class Silent(Desk):
        @tool("write", topics=("move a key",))
        def move(self, key: Annotated[str, KEY], room: Annotated[str, ref("unknown")]) -> Key:
            """Give a key another room."""
            return self.db.keys.update(key, room=room)

    [finding] = check_coverage(make(Silent, clauses=()))
    assert finding.where == "synthesis"


class TestPeople:
    def test_sound_people(self, parcel: Any):
        assert list(check_people(parcel)) == list(check_people(make())) == []

    def test_who_is_met_in_both_splits_is_named(self):
        both = replace(make(), load=lambda database: load(database.replace("test", "train")))
        [finding] = check_people(both)
        assert finding.where == "callers" and "train-0 are in test-0 too" in finding.what and "G0" in finding.what

    def test_what_kinds_leave_out_is_named_and_nobody_is_visited(self, monkeypatch: pytest.MonkeyPatch):
        bare = replace(make(), kinds={"key": KEY})
        monkeypatch.setattr(module, "load_domain", lambda _name: bare)
        [finding] = check_domain("hotel")
        assert finding.where == "kinds" and "'owner'" in finding.what

    def test_callers_that_are_none(self, monkeypatch: pytest.MonkeyPatch):
        bare = replace(make(), find_callers=lambda db: [{"owner": "G0"}])
        monkeypatch.setattr(module, "load_domain", lambda _name: bare)
        [finding] = check_domain("hotel")
        assert "it is a dict" in finding.what
