"""The airline domain as synthesis sees it: callers, sources, wishes in words, and tasks proved on it."""

import random
import re
from typing import Any

import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.core.message import ToolCall
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Initial
from veriloop.domains.tau2.airline import load_airline
from veriloop.domains.tau2.airline_data import (
    CABINS,
    FIRST_DAY,
    LAST_DAY,
    count_paid_bags,
    departure,
    find_direct,
    find_movable,
    is_flown,
    legs,
    load_tables,
    rows_of,
    status_of,
    statuses,
    wished_day,
    wished_trips,
)
from veriloop.domains.tau2.airline_source import CANDIDATES, SOURCES, YIELDS
from veriloop.domains.tau2.airline_topic import TOPICS
from veriloop.domains.tau2.shared import split_of
from veriloop.domains.walk import READS_PER_TOOL, Walk, draft_arguments, explore, grounds, pooled_values
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker, prove

DOMAIN = load_airline()
CALLERS = DOMAIN.callers("train-0", "train")
WRITES = [tool for tool in DOMAIN.tools.values() if tool.kind == "write"]


def open_walk(position: int) -> tuple[Any, Walk]:
    session = DOMAIN.open(Initial(database="train-0"))
    return session, explore(DOMAIN, session, CALLERS[position], random.Random(0))


def drafts(name: str, count: int = 40, tries: int = 6) -> list[tuple[Any, Walk, dict[str, Any]]]:
    """Return (session, walk, arguments) of a tool for many callers."""
    found = []
    for position in range(count):
        session, walk = open_walk(position)
        for seed in range(tries):
            arguments = draft_arguments(DOMAIN.tools[name], walk, session, random.Random(seed))
            if arguments is not None:
                found.append((session, walk, arguments))
    assert len(found) > 10
    return found


def say(name: str, parameter: str, session: Any, walk: Walk, arguments: dict[str, Any]) -> str:
    return SOURCES[name][parameter].wording(arguments[parameter], walk.scope(session, arguments))


def test_the_registry_finds_it() -> None:
    assert load_domain("tau2/airline").name == "tau2/airline"
    assert DOMAIN.policy.startswith("# Airline Agent Policy")


def test_splits_share_no_user_and_hold_all_who_are_not_held_out() -> None:
    train, test = ({c.key for c in DOMAIN.callers(f"{split}-0", split)} for split in ("train", "test"))
    assert not train & test
    assert train | test == {key for key in load_tables()["users"] if not DOMAIN.held_out.has_entity(key)}
    assert (len(train), len(test)) == (362, 90)
    assert 0.1 < len(test) / len(train | test) < 0.3
    assert all(split_of(key) == "test" for key in test)


def test_what_was_overheard_is_somebody_elses_of_the_split() -> None:
    rows: Any = load_tables()["reservations"]
    for split in ("train", "test"):
        callers = DOMAIN.callers(f"{split}-0", split)
        heard = [(caller.key, rows[caller.heard["reservation_id"]].user_id) for caller in callers if caller.heard]
        assert len(heard) > len(callers) / 5
        assert all(owner != caller and split_of(owner) == split for caller, owner in heard)


def test_sources_name_the_tools_parameters() -> None:
    for name, sources in SOURCES.items():
        assert sorted(sources) == sorted(DOMAIN.tools[name].parameters["properties"]), name
    assert set(YIELDS) | set(TOPICS) <= set(DOMAIN.tools)


def test_every_write_has_four_natural_topics() -> None:
    assert set(TOPICS) == {tool.name for tool in WRITES}
    everything = [topic for topics in TOPICS.values() for topic in topics]
    assert all(len(topics) >= 4 for topics in TOPICS.values())
    assert len(set(everything)) == len(everything)
    assert not [topic for topic in everything if re.search(r"\b(my|your|_)\b", topic)]


def test_a_walk_reads_the_callers_reservations_and_searches_what_they_may_wish() -> None:
    session, walk = open_walk(3)
    user = session.state.users[walk.caller.key]
    assert set(walk.pool["payment_id"]) == set(user.payment_methods)
    assert set(user.reservations) <= set(walk.pool["reservation_id"])
    searches = {tuple(read.call.arguments.values()) for read in walk.reads if read.call.name == "search_direct_flight"}
    for trip in wished_trips(user.user_id):
        assert (trip.origin, trip.destination, trip.out) in searches
        assert (trip.destination, trip.origin, trip.back) in searches
    for read in walk.reads:
        place = (read.call.name, tuple(map(str, read.call.arguments.values())))
        assert walk.reads[walk.origins[place][0]] is read


def test_the_status_of_a_flight_is_asked_for_on_its_day() -> None:
    asked = 0
    for position in range(8):
        session, walk = open_walk(position)
        rows = session.state.reservations
        days = {(f.flight_number, f.date) for key in walk.pool["reservation_id"] for f in rows[key].flights}
        made = [tuple(r.call.arguments.values()) for r in walk.reads if r.call.name == "get_flight_status"]
        assert set(made) <= days
        assert len(made) == min(len(days), READS_PER_TOOL)
        asked += len(made)
    assert asked > 20


@pytest.mark.parametrize("position", range(0, 60, 10))
def test_candidates_are_few_and_always_the_same(position: int) -> None:
    session, walk = open_walk(position)
    other, again = open_walk(position)
    for tool in WRITES:
        arguments = draft_arguments(tool, walk, session, random.Random(position)) or {}
        chosen: dict[str, Any] = {}
        for parameter, source in tool.sources.items():
            found = source.candidates(walk.scope(session, dict(chosen)))
            assert len(found) <= CANDIDATES, (tool.name, parameter)
            assert found == source.candidates(again.scope(other, dict(chosen)))
            if parameter in arguments:
                assert arguments[parameter] in found
                chosen[parameter] = arguments[parameter]


def test_booked_flights_are_the_wished_ones_and_paid_to_the_dollar() -> None:
    kinds = set()
    for session, walk, made in drafts("book_reservation"):
        route = made["origin"], made["destination"]
        trip = next(t for t in wished_trips(walk.caller.key) if (t.origin, t.destination) == route)
        days = [flight["date"] for flight in made["flights"]]
        assert days == ([trip.out] if made["flight_type"] == "one_way" else [trip.out, trip.back])
        assert made["nonfree_baggages"] == count_paid_bags(
            session.state.users[made["user_id"]], made["cabin"], len(made["passengers"]), made["total_baggages"]
        )
        answer = session.fork().call("agent", ToolCall(id="1", name="book_reservation", arguments=made))
        refused = answer.content if answer.error else ""
        assert "add up" not in refused and "balance" not in refused, refused
        sources = [session.state.users[made["user_id"]].payment_methods[p["payment_id"]].source
                   for p in made["payment_methods"]]  # fmt: skip
        kinds.add((made["flight_type"], len(made["passengers"]) > 1, *sources))
    assert len(kinds) > 5


def test_a_wish_to_book_says_when_who_and_how_it_is_paid() -> None:
    for session, walk, made in drafts("book_reservation", count=12):
        flights = say("book_reservation", "flights", session, walk, made)
        for flight in made["flights"]:
            assert f"on {flight['date']} that leaves at {departure(flight['flight_number'])}" in flights
        party = say("book_reservation", "passengers", session, walk, made)
        assert party.startswith("myself")
        assert all(f"{p['first_name']} {p['last_name']} (born {p['dob']})" in party for p in made["passengers"][1:])
        paid = say("book_reservation", "payment_methods", session, walk, made)
        assert ("the rest from" in paid) == (len(made["payment_methods"]) > 1)
        assert not any(p["payment_id"] in paid for p in made["payment_methods"])


def test_flights_are_moved_within_the_trip_or_kept_for_another_cabin() -> None:
    moved = kept = elsewhere = 0
    for session, walk, made in drafts("update_reservation_flights"):
        found = session.state.reservations[made["reservation_id"]]
        said = say("update_reservation_flights", "flights", session, walk, made)
        if made["flights"] == legs(found):
            kept += 1
            assert made["cabin"] != found.cabin
            assert said == "the same flights as now"
            continue
        moved += 1
        changed = [new for old, new in zip(legs(found), made["flights"], strict=True) if old != new]
        assert len(changed) == 1
        assert changed[0]["date"] in said and departure(changed[0]["flight_number"]) in said
        elsewhere += "instead" in said
        searched = [pair for pair in grounds(
            DOMAIN.tools["update_reservation_flights"], made, walk.scope(session, made)
        ) if pair[0] == "search_direct_flight"]  # fmt: skip
        assert len(searched) == 1
        assert searched[0][1][2] == changed[0]["date"]
    assert moved > 10 and kept > 10 and elsewhere > 0


def test_what_a_flown_trip_can_still_be_asked_for() -> None:
    for name in ("update_reservation_baggages", "update_reservation_passengers", "cancel_reservation"):
        for session, _, made in drafts(name, count=20, tries=3):
            assert not is_flown(session.state, session.state.reservations[made["reservation_id"]])
    flown = [
        made
        for session, _, made in drafts("update_reservation_flights")
        if is_flown(session.state, session.state.reservations[made["reservation_id"]])
    ]
    assert flown


def test_whether_a_reservation_can_be_cancelled_never_hangs_on_why() -> None:
    for session, _, made in drafts("cancel_reservation"):
        found = session.state.reservations[made["reservation_id"]]
        insured_only = found.insurance == "yes" and found.cabin != "business"
        recent = found.created_at >= "2024-05-14T15:00:00"
        assert not insured_only or recent or "cancelled" in statuses(session.state, found)


def test_passengers_are_replaced_by_name() -> None:
    more = 0
    for session, walk, made in drafts("update_reservation_passengers", count=15):
        found = session.state.reservations[made["reservation_id"]]
        said = say("update_reservation_passengers", "passengers", session, walk, made)
        if len(made["passengers"]) > len(found.passengers):
            more += 1
            assert said.endswith("in addition")
        else:
            old = [p for p in found.passengers if p.model_dump() not in made["passengers"]]
            assert len(old) == 1
            assert said.endswith(f"in place of {old[0].first_name} {old[0].last_name}")
    assert more > 0


def test_payment_methods_are_said_as_people_do() -> None:
    rows: dict[Any, dict[str, Any]] = {
        "credit_card_1": {"source": "credit_card", "brand": "visa", "last_four": "1234"},
        "gift_card_1234567": {"source": "gift_card"},
        "certificate_7654321": {"source": "certificate"},
    }
    _, walk = open_walk(0)
    walk.pool["payment_id"] = rows
    source = SOURCES["update_reservation_baggages"]["payment_id"]
    session = DOMAIN.open(Initial(database="train-0"))
    assert [source.wording(key, walk.scope(session)) for key in (*rows, "unknown")] == [
        "visa credit card ending in 1234", "gift card ending in 4567", "certificate ending in 4321", "unknown",
    ]  # fmt: skip


def test_what_the_agent_works_out_is_no_value_to_look_for() -> None:
    tool = DOMAIN.tools["update_reservation_baggages"]
    session, walk = open_walk(0)
    made = draft_arguments(tool, walk, session, random.Random(0))
    assert made is not None
    kinds = [kind for kind, _ in pooled_values(tool, made)]
    assert kinds == ["reservation_id", "total_baggages", "payment_id"]
    assert ("get_user_details", (walk.caller.key,)) in list(grounds(tool, made, walk.scope(session, made)))


def test_objects_are_pooled_by_field() -> None:
    tool = DOMAIN.tools["update_reservation_flights"]
    pairs = list(pooled_values(tool, {"flights": [{"flight_number": "HAT1", "date": "2024-05-20"}]}))
    assert pairs == [("flight.flight_number", "HAT1"), ("flight.date", "2024-05-20")]


def test_direct_flights_have_seats_and_times_of_their_own() -> None:
    state: Any = DOMAIN.open(Initial(database="train-0")).state
    routes = {(f.origin, f.destination) for f in state.flights.values()}
    for origin, destination in sorted(routes)[:60]:
        for cabin in CABINS:
            found = find_direct(state, origin, destination, "2024-05-20", cabin, 3)
            times = [departure(flight["flight_number"]) for flight in found]
            assert len(set(times)) == len(times)
            for flight in found:
                row = state.flights[flight["flight_number"]]
                assert (row.origin, row.destination) == (origin, destination)
                assert row.dates["2024-05-20"].available_seats[cabin] >= 3
    assert find_direct(state, "SFO", "XXX", "2024-05-20", "economy", 1) == []
    assert find_direct(state, *sorted(routes)[0], "2024-06-20", "economy", 1) == []


def test_wished_days_lie_within_the_trip() -> None:
    state: Any = DOMAIN.open(Initial(database="train-0")).state
    seen = 0
    for found in state.reservations.values():
        for position in find_movable(state, found):
            day = wished_day(found, position)
            if day is None:
                continue
            seen += 1
            days = [flight.date for flight in found.flights]
            days[position] = day
            assert day != found.flights[position].date
            assert days == sorted(days)
            assert FIRST_DAY <= int(day[-2:]) <= LAST_DAY
    assert seen > 100


def test_odd_rows_are_no_rows() -> None:
    assert rows_of([{"a": 1, "b": 2}], ("a",)) == [{"a": 1, "b": 2}]
    for value in (None, "x", [1], [{"b": 1}], {"a": 1}):
        assert rows_of(value, ("a",)) == ()
    state: Any = DOMAIN.open(Initial(database="train-0")).state
    assert status_of(state, "HAT999", "2024-05-20") == status_of(state, "HAT001", "2030-01-01") == ""


def test_synthesised_tasks_are_proved_and_use_every_write() -> None:
    plans = write_plans(DOMAIN, 2)
    tools, refused, proved, made = set[str](), set[str](), 0, 0
    for item in range(200):
        task = synthesise(DOMAIN, plans[item % 2], Order(seed=11, item=item))
        if task is None:
            continue
        made += 1
        proof = prove(DOMAIN, attach_checker(DOMAIN, task), shared_sandbox())
        proved += proof.ok
        if proof.ok:
            assert proof.score == 1.0
            tools |= {step.call.name for step in task.gold}
            refused |= set(task.refused)
    assert proved >= 0.9 * made > 130
    assert {tool.name for tool in WRITES} | {"get_user_details", "search_direct_flight"} <= tools
    assert len(refused) >= 5
