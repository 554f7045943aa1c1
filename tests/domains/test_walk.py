"""Walks: what a session shows to a caller, by which reads, and what can be asked for from there."""

import random
from collections import Counter

import pytest

from servers.library import load_library
from veriloop.core.message import ToolCall
from veriloop.domains.domain import Caller
from veriloop.domains.task import Initial
from veriloop.domains.walk import READS_PER_TOOL, Read, Walk, draft_arguments, explore, pooled_values


@pytest.fixture(scope="module")
def library():
    return load_library()


def walked(domain, caller=0, database="train-0", seed=0, **known):
    session = domain.open(Initial(database=database))
    person = list(domain.callers(database, "train"))[caller]
    if known:
        person = Caller(person.key, person.name, known.get("known", person.known), known.get("heard", {}))
    return session, explore(domain, session, person, random.Random(seed))


class TestExploring:
    def test_somebody_unknown_sees_nothing(self, parcel):
        _, walk = walked(parcel, known={"email": "nobody@post.example"})
        assert walk.reads == []
        assert walk.opening_reads() == []
        assert walk.origins == {}

    def test_one_way_of_identification_is_enough_for_everything_one_owns(self, parcel):
        session = parcel.open(Initial(database="train-3"))
        person = parcel.callers("train-3", "train")[5]
        own = {row.tracking for row in session.state.parcels if row.customer_id == person.key}
        for kind in ("email", "phone"):
            only = Caller(person.key, person.name, {kind: person.known[kind]})
            walk = explore(parcel, session, only, random.Random(0))
            assert own == set(walk.pool["tracking"])

    def test_refused_reads_leave_nothing_behind(self, parcel):
        _, walk = walked(parcel, known={"email": "nobody@post.example", "phone": "555-000-0000"})
        assert walk.history() == []

    def test_what_was_heard_can_be_read_but_has_no_origin_before(self, parcel):
        session = parcel.open(Initial(database="train-0"))
        foreign = next(iter(session.state.parcels))
        caller = next(p for p in parcel.callers("train-0", "train") if p.key != foreign.customer_id)
        person = Caller(caller.key, caller.name, caller.known, {"tracking": foreign.tracking})
        walk = explore(parcel, session, person, random.Random(0))
        assert foreign.tracking in walk.pool["tracking"]
        read = walk.reads[walk.origins["tracking", foreign.tracking][0]]
        assert read.call.arguments == {"tracking": foreign.tracking}

    def test_rows_come_with_what_the_reads_said_of_them(self, parcel):
        session, walk = walked(parcel, caller=1)
        for code, row in walk.pool["locker_id"].items():
            assert row["name"] == session.state.lockers[code].name
        for code, row in walk.pool["tracking"].items():
            assert row["sender"] == session.state.parcels[code].sender

    def test_reads_are_made_once_and_numbered(self, parcel):
        _, walk = walked(parcel, caller=4)
        calls = [(read.call.name, repr(read.call.arguments)) for read in walk.reads]
        assert len(calls) == len(set(calls))
        assert [read.call.id for read in walk.reads] == [f"read_{number}" for number in range(len(calls))]

    def test_writes_and_the_users_tools_are_never_called(self, parcel, library):
        for domain in (parcel, library):
            _, walk = walked(domain, caller=3)
            assert {(domain.tools[read.call.name].kind, domain.tools[read.call.name].seat) for read in walk.reads} == {
                ("read", "agent")
            }

    def test_the_seed_changes_the_order_and_not_what_is_found(self, parcel):
        walks = [walked(parcel, caller=2, seed=seed)[1] for seed in range(8)]
        contents = {frozenset((read.call.name, read.content) for read in walk.reads) for walk in walks}
        assert len(contents) == 1
        assert len({tuple(read.call.name for read in walk.reads) for walk in walks}) > 1

    def test_a_caller_with_much_is_read_up_to_the_limit(self, parcel, monkeypatch):
        def most(caller):
            _, walk = walked(parcel, caller=caller)
            return max(Counter(read.call.name for read in walk.reads).values())

        owner = next(caller for caller in range(60) if most(caller) > 3)
        assert most(owner) <= READS_PER_TOOL
        monkeypatch.setattr("veriloop.domains.walk.READS_PER_TOOL", 3)
        assert most(owner) == 3


def handmade(parcel):
    """Identify, list, open one of two parcels; the number of each was read twice."""
    walk = Walk(parcel, Caller("C1", "Bo", {"email": "bo@post.example"}, {"tracking": "VP9"}))
    for number, (name, arguments) in enumerate(
        [
            ("find_customer", {"email": "bo@post.example"}),
            ("list_parcels", {"customer_id": "C1"}),
            ("get_parcel", {"tracking": "VP1"}),
            ("find_lockers", {"customer_id": "C1"}),
            ("get_parcel", {"tracking": "VP9"}),
        ]
    ):
        walk.reads.append(Read(ToolCall(id=f"read_{number}", name=name, arguments=arguments), "{}"))
    walk.origins = {
        ("customer_id", "C1"): [0],
        ("tracking", "VP1"): [1, 2],
        ("locker_id", "LK1"): [3],
        ("tracking", "VP9"): [4],
    }
    return walk


class TestChains:
    def test_openings_need_nothing_but_what_the_caller_is(self, parcel):
        walk = handmade(parcel)
        assert walk.opening_reads() == [0]
        assert walk.known_kinds(0) == {"email"}
        assert walk.known_kinds(1) is None
        assert walk.known_kinds(4) is None

    def test_a_value_is_reached_through_all_that_it_rests_on(self, parcel):
        assert handmade(parcel).chain([("tracking", "VP1")], 0, frozenset()) == [0, 1]
        assert handmade(parcel).chain([("locker_id", "LK1")], 0, frozenset()) == [0, 3]

    def test_values_share_their_way(self, parcel):
        pairs = [("tracking", "VP1"), ("locker_id", "LK1")]
        assert handmade(parcel).chain(pairs, 0, frozenset()) == [0, 1, 3]

    def test_told_values_are_the_end_of_the_way(self, parcel):
        walk = handmade(parcel)
        assert walk.chain([("tracking", "VP1")], 0, frozenset({"VP1"})) == [0]
        assert walk.chain([("locker_id", "LK1"), ("tracking", "VP1")], 0, frozenset({"VP1", "C1"})) == [0, 3]

    def test_a_value_of_no_read_needs_none(self, parcel):
        assert handmade(parcel).chain([("day", "monday"), ("tracking", "VP77")], 0, frozenset()) == [0]

    def test_the_start_comes_first_even_if_it_was_read_later(self, parcel):
        walk = handmade(parcel)
        assert walk.chain([("tracking", "VP1")], 4, frozenset()) == [4, 0, 1]

    def test_the_history_is_what_clauses_expect(self, parcel):
        walk = handmade(parcel)
        assert walk.history()[0] == (walk.reads[0].call, "{}")
        assert len(walk.history()) == 5


class TestArguments:
    def test_lists_are_taken_apart(self, parcel):
        tool = parcel.tools["hold_parcel"]
        assert list(pooled_values(tool, {"tracking": "VP1", "days": 3})) == [("tracking", "VP1"), ("days", 3)]
        assert list(pooled_values(tool, {"tracking": ["VP1", "VP2"]})) == [("tracking", "VP1"), ("tracking", "VP2")]
        assert list(pooled_values(tool, {"unknown": 1})) == []

    def test_arguments_fit_the_schema_and_exist(self, parcel):
        session, walk = walked(parcel, caller=6)
        rng = random.Random(0)
        for tool in parcel.tools.values():
            if tool.kind != "write" or tool.seat != "agent":
                continue
            for _ in range(20):
                arguments = draft_arguments(tool, walk, session, rng)
                assert arguments is not None
                assert set(arguments) == set(tool.parameters["properties"])
                result = session.fork().call("agent", ToolCall(id="1", name=tool.name, arguments=arguments))
                assert not result.error or "no free compartment" in result.content

    def test_nothing_read_means_nothing_to_ask_for(self, parcel):
        session, walk = walked(parcel, known={"email": "nobody@post.example"})
        assert draft_arguments(parcel.tools["hold_parcel"], walk, session, random.Random(0)) is None

    def test_equal_draws_are_equal_and_others_differ(self, parcel):
        session, walk = walked(parcel, caller=6)
        tool = parcel.tools["change_address"]
        drawn = [draft_arguments(tool, walk, session, random.Random(seed)) for seed in range(20)]
        assert drawn == [draft_arguments(tool, walk, session, random.Random(seed)) for seed in range(20)]
        assert len({repr(arguments) for arguments in drawn}) > 3

    def test_what_is_chosen_freely_depends_on_the_caller(self, parcel):
        source = parcel.tools["change_address"].sources["street"]
        streets = []
        for caller in range(5):
            session, walk = walked(parcel, caller=caller)
            first, second = (tuple(source.candidates(walk.scope(session))) for _ in range(2))
            assert first == second
            streets.append(first)
        assert len(set(streets)) == 5
