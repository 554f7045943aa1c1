"""Our sessions of the airline against the package's environment: the same answers to the byte, the same end."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from veriloop.core.message import ToolCall
from veriloop.domains.tau2.airline import load_airline
from veriloop.domains.tau2.airline_data import TABLES, legs, load_tables
from veriloop.domains.tau2.rows import Rows, Store
from veriloop.domains.tau2.session import Tau2Session

# isort: split
from tau2.data_model.message import ToolCall as Tau2Call
from tau2.domains.airline.data_model import FlightDB
from tau2.domains.airline.tools import AirlineTools
from tau2.environment.environment import Environment

DOMAIN = load_airline()
USERS = 6


def cut_tables(rng: random.Random) -> dict[str, dict[str, Any]]:
    """Return a few users with their reservations and the flights of these, some more: parsing all takes too long."""
    tables: Any = load_tables()
    users = {key: tables["users"][key] for key in rng.sample(sorted(tables["users"]), USERS)}
    reservations = {key: tables["reservations"][key] for user in users.values() for key in user.reservations}
    numbers = {flight.flight_number for found in reservations.values() for flight in found.flights}
    numbers |= set(rng.sample(sorted(tables["flights"]), 10))
    flights = {key: tables["flights"][key] for key in sorted(numbers)}
    return {"flights": flights, "reservations": reservations, "users": users}


def make_pair(rng: random.Random) -> tuple[Tau2Session, Environment, dict[str, dict[str, Any]]]:
    tables = cut_tables(rng)
    store = Store({name: Rows(rows) for name, rows in tables.items()})
    copied = {name: {k: row.model_copy(deep=True) for k, row in rows.items()} for name, rows in tables.items()}
    theirs = Environment("airline", "", AirlineTools(FlightDB(**copied)))
    return Tau2Session("train-0", store, AirlineTools, DOMAIN.tools), theirs, tables


def price(state: Any, flights: list[dict[str, str]], cabin: str, people: int, bags: int) -> int:
    days = [state.flights[f["flight_number"]].dates[f["date"]] for f in flights]
    return sum(getattr(day, "prices", {cabin: 0})[cabin] for day in days) * people + 50 * bags


def draw_arguments(name: str, ours: Tau2Session, rng: random.Random) -> dict[str, Any]:
    """Return arguments that mostly fit together, in the state as it is."""
    state = ours.state
    found = rng.choice(list(state.reservations.values())) if len(state.reservations) else None
    user = state.users[found.user_id] if found else rng.choice(list(state.users.values()))
    flight = rng.choice(list(state.flights.values()))
    day, cabin = f"2024-05-{rng.randint(10, 30)}", rng.choice(("basic_economy", "economy", "business"))
    flights = legs(found) if found and rng.random() < 0.5 else [{"flight_number": flight.flight_number, "date": day}]
    person = {"first_name": "Ada", "last_name": "Byron", "dob": "1990-12-10"}
    people = [person] * (len(found.passengers) if found and rng.random() < 0.8 else rng.randint(1, 6))
    key = {"reservation_id": found.reservation_id if found else "NONE00"}
    payment, bags = rng.choice(list(user.payment_methods)), rng.randint(0, 3)
    route = {"origin": flight.origin, "destination": flight.destination, "date": day}
    paid = [{"payment_id": payment, "amount": price(state, flights, cabin, len(people), bags)}]
    options: dict[str, dict[str, Any]] = {
        "calculate": {"expression": rng.choice(("2 + 2", "(3.5 - 1) / 0", "1e5", "2 ** 3", "7 //"))},
        "get_user_details": {"user_id": user.user_id},
        "get_reservation_details": key,
        "get_flight_status": {"flight_number": flight.flight_number, "date": day},
        "list_all_airports": {},
        "search_direct_flight": route,
        "search_onestop_flight": route,
        "book_reservation": {
            "user_id": user.user_id, "origin": flight.origin, "destination": flight.destination,
            "flight_type": "one_way", "cabin": cabin, "flights": flights, "passengers": people,
            "payment_methods": paid, "total_baggages": bags, "nonfree_baggages": bags, "insurance": "no",
        },
        "cancel_reservation": key,
        "update_reservation_baggages": {**key, "total_baggages": bags, "nonfree_baggages": bags, "payment_id": payment},
        "update_reservation_flights": {**key, "cabin": cabin, "flights": flights, "payment_id": payment},
        "update_reservation_passengers": {**key, "passengers": people},
        "send_certificate": {"user_id": user.user_id, "amount": rng.choice((50, 100, 250))},
        "transfer_to_human_agents": {"summary": "they insist"},
    }  # fmt: skip
    return options.get(name, {"whatever": 1})


def spoil(arguments: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return arguments with one of them wrong, missing or too many."""
    if not arguments or rng.random() < 0.2:
        return {**arguments, rng.choice(("extra", "tool_name", "requestor", "self")): "x"}
    name = rng.choice(sorted(arguments))
    if rng.random() < 0.3:
        return {key: value for key, value in arguments.items() if key != name}
    wrong: list[Any] = ["", "NONE00", None, 7, 1.5, True, [], [None], ["1", "2"], {}, {"a": 1}, [{"flight_number": 1}]]
    return {**arguments, name: rng.choice(wrong)}


def play(seed: int, length: int = 25) -> dict[str, int]:
    """Make random calls on both sides and compare; return how often each write took effect."""
    rng = random.Random(seed)
    ours, theirs, tables = make_pair(rng)
    before = AirlineTools(FlightDB(**tables)).get_db_hash()
    effects: dict[str, int] = {}
    names = [*DOMAIN.tools, *[name for name, tool in DOMAIN.tools.items() if tool.kind == "write"] * 2, "no_such_tool"]
    for step in range(length):
        name = rng.choice(names)
        arguments = draw_arguments(name, ours, rng)
        arguments = spoil(arguments, rng) if rng.random() < 0.3 else arguments
        seat = "user" if rng.random() < 0.03 else "agent"
        answer = ours.call(seat, ToolCall(id=str(step), name=name, arguments=arguments))
        requestor: Any = "assistant" if seat == "agent" else "user"
        expected = theirs.get_response(Tau2Call(id=str(step), name=name, arguments=arguments, requestor=requestor))
        assert (answer.content, answer.error) == (expected.content, expected.error), (name, arguments)
        assert not (answer.error and answer.changes)
        effects[name] = effects.get(name, 0) + bool(answer.changes)
    ended = FlightDB(**{name: dict(getattr(ours.state, name)) for name in TABLES})
    assert ended.get_hash() == theirs.get_db_hash()
    assert AirlineTools(FlightDB(**tables)).get_db_hash() == before
    return effects


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**40))
def test_random_calls_are_answered_as_the_package_does(seed: int) -> None:
    play(seed)


def test_the_random_calls_do_reach_every_write() -> None:
    total: dict[str, int] = {}
    for seed in range(40):
        for name, count in play(seed).items():
            total[name] = total.get(name, 0) + count
    writes = [name for name, tool in DOMAIN.tools.items() if tool.kind == "write"]
    assert all(total.get(name, 0) > 0 for name in writes), total
    assert sum(total.get(name, 0) for name, tool in DOMAIN.tools.items() if tool.kind != "write") == 0
