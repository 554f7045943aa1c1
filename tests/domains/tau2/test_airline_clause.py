"""Every clause of the airline with a case it allows and one it denies, on real rows; every citation checked."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from veriloop.core.message import Seat, ToolCall, ToolResult, Turn
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.task import Initial
from veriloop.domains.tau2.airline import load_airline
from veriloop.domains.tau2.airline_clause import CLAUSES, TRANSFER, WRITES
from veriloop.domains.tau2.airline_data import is_flown, is_recent, legs, statuses

DOMAIN = load_airline()
SESSION = DOMAIN.open(Initial(database="train-0"))
STATE: Any = SESSION.state
BY_ID = {clause.id: clause for clause in CLAUSES}
Calls = list[tuple[ToolCall, str]]


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments)


def turn(seat: Seat, content: str) -> Turn:
    return Turn(seat=seat, content=content)


def find(fits: Callable[[Any], bool]) -> Any:
    """Return the first reservation that fits."""
    return next(r for r in STATE.reservations.values() if fits(r))


def owner(reservation: Any) -> Any:
    return STATE.users[reservation.user_id]


def ask(
    clause: str, made: ToolCall, calls: Calls | None = None, turns: list[Turn] | None = None, state: Any = STATE
) -> str | None:
    """Return the clause's objection, after making sure that it is asked about this tool at all."""
    assert made.name in BY_ID[clause].tools
    return BY_ID[clause].deny(Case(state, "agent", made, tuple(calls or ()), tuple(turns or ())))


def ahead(reservation: Any) -> bool:
    return set(statuses(STATE, reservation)) == {"available"}


def method(user: Any, source: str) -> str:
    return next(m.id for m in user.payment_methods.values() if m.source == source)


def has(user: Any, *sources: str) -> bool:
    return set(sources) <= {m.source for m in user.payment_methods.values()}


PLAIN = find(lambda r: ahead(r) and r.cabin == "economy" and r.insurance == "no" and not is_recent(r))
CANCEL = call("cancel_reservation", reservation_id=PLAIN.reservation_id)
LOOKUP = (call("get_user_details", user_id=PLAIN.user_id), "{}")
GREETING = turn("agent", "Hi! How can I help you today?")


def book(user: Any = None, **changed: Any) -> ToolCall:
    """Return a booking of one passenger in economy who pays by card."""
    user = user or owner(PLAIN)
    person = {"first_name": "A", "last_name": "B", "dob": "1990-01-01"}
    arguments = {
        "user_id": user.user_id, "origin": "SFO", "destination": "JFK", "flight_type": "one_way", "cabin": "economy",
        "flights": [{"flight_number": "HAT001", "date": "2024-05-20"}], "passengers": [person],
        "payment_methods": [], "total_baggages": 0, "nonfree_baggages": 0, "insurance": "no",
    }  # fmt: skip
    return call("book_reservation", **(arguments | changed))


def rebook(reservation: Any, **changed: Any) -> ToolCall:
    arguments = {
        "reservation_id": reservation.reservation_id, "cabin": reservation.cabin, "flights": legs(reservation),
        "payment_id": next(iter(owner(reservation).payment_methods)),
    }  # fmt: skip
    return call("update_reservation_flights", **(arguments | changed))


def test_confirmation() -> None:
    asked = [
        GREETING,
        turn("user", "Cancel it."),
        turn("agent", "Cancel it, because plans changed?"),
        turn("user", "Yes"),
    ]
    assert ask("A1", CANCEL, turns=asked) is None
    assert ask("A1", CANCEL, turns=asked[:3]) == "the customer has not said yes"
    assert "details" in (ask("A1", CANCEL, turns=[GREETING, turn("user", "Yes, cancel it.")]) or "")


def test_one_call_at_a_time() -> None:
    done = Turn(seat="agent", tool_calls=(LOOKUP[0],), results=(ToolResult(call_id="1", content="{}"),))
    assert ask("A2", CANCEL, [LOOKUP], [GREETING, done]) is None
    assert ask("A2", CANCEL, [LOOKUP, LOOKUP], [GREETING, done]) is not None


def test_transfer() -> None:
    transfer = call(TRANSFER, summary="wants a person")
    assert ask("A3", transfer, turns=[GREETING]) is not None
    assert ask("A3", transfer, turns=[GREETING, turn("user", "A person, please.")]) is None


def test_the_customer_gives_their_user_id() -> None:
    assert ask("A4", CANCEL, turns=[GREETING, turn("user", f"I am {PLAIN.user_id}.")]) is None
    assert ask("A4", CANCEL, turns=[turn("agent", f"Are you {PLAIN.user_id}?"), turn("user", "Hm.")]) is not None


def test_another_customers_reservation() -> None:
    other = (call("get_user_details", user_id=next(u for u in STATE.users if u != PLAIN.user_id)), "{}")
    assert ask("A5", CANCEL, [LOOKUP]) is None
    assert ask("A5", CANCEL, [other]) is not None
    assert ask("A5", CANCEL) is None, "nobody was looked up: that is A4's matter"
    assert ask("A5", book(), [other]) is not None


@pytest.mark.parametrize(("people", "fine"), [(1, True), (5, True), (6, False)])
def test_five_passengers_at_most(people: int, fine: bool) -> None:
    person = {"first_name": "A", "last_name": "B", "dob": "1990-01-01"}
    assert (ask("A6", book(passengers=[person] * people)) is None) is fine


@pytest.mark.parametrize("source", ["certificate", "credit_card", "gift_card"])
def test_payment_methods_of_a_kind(source: str) -> None:
    most = {"certificate": 1, "credit_card": 1, "gift_card": 3}[source]
    user = next(u for u in STATE.users.values() if has(u, source))
    paid = {"payment_id": method(user, source), "amount": 1}
    assert ask("A7", book(user, payment_methods=[paid] * most)) is None
    assert source.replace("_", " ") in (ask("A7", book(user, payment_methods=[paid] * (most + 1))) or "")


def test_only_saved_payment_methods() -> None:
    user, unknown = owner(PLAIN), {"payment_id": "credit_card_1", "amount": 1}
    known = {"payment_id": next(iter(user.payment_methods)), "amount": 1}
    assert ask("A8", book(user, payment_methods=[known])) is None
    assert ask("A8", book(user, payment_methods=[known, unknown])) is not None
    assert ask("A8", rebook(PLAIN)) is None
    assert ask("A8", rebook(PLAIN, payment_id="gift_card_1")) is not None


@pytest.mark.parametrize("membership", ["regular", "silver", "gold"])
@pytest.mark.parametrize("cabin", ["basic_economy", "economy", "business"])
def test_free_bags(membership: str, cabin: str) -> None:
    """The table of lines 83 to 94, counted anew."""
    free = {
        "regular": {"basic_economy": 0, "economy": 1, "business": 2},
        "silver": {"basic_economy": 1, "economy": 2, "business": 3},
        "gold": {"basic_economy": 2, "economy": 3, "business": 4},
    }[membership][cabin]
    user = next(u for u in STATE.users.values() if u.membership == membership)
    person = {"first_name": "A", "last_name": "B", "dob": "1990-01-01"}
    for people in (1, 3):
        for total in range(2 * people * free + 3):
            right = max(0, total - free * people)
            for paid in range(total + 1):
                made = book(
                    user, cabin=cabin, passengers=[person] * people, total_baggages=total, nonfree_baggages=paid
                )
                assert (ask("A9", made) is None) is (paid == right)


def test_all_reservations_of_the_package_keep_the_allowance() -> None:
    for found in list(STATE.reservations.values())[:300]:
        made = call(
            "update_reservation_baggages", reservation_id=found.reservation_id, payment_id="",
            total_baggages=found.total_baggages, nonfree_baggages=found.nonfree_baggages,
        )  # fmt: skip
        assert ask("A9", made) is None


def test_bags_nobody_spoke_of() -> None:
    assert ask("A10", book(total_baggages=2), turns=[GREETING, turn("user", "Book it.")]) is not None
    assert ask("A10", book(total_baggages=2), turns=[GREETING, turn("user", "With 2 of them.")]) is None
    assert ask("A10", book(total_baggages=0), turns=[GREETING]) is None


def test_insurance_is_offered() -> None:
    assert ask("A11", book(), turns=[GREETING]) is not None
    assert ask("A11", book(), turns=[turn("agent", "Do you want travel insurance?")]) is None
    assert ask("A11", book(), turns=[turn("agent", BY_ID["A11"].say)]) is None


def test_basic_economy_is_not_rebooked() -> None:
    basic = find(lambda r: ahead(r) and r.cabin == "basic_economy")
    moved = [{**flight, "date": "2024-05-29"} for flight in legs(basic)]
    assert ask("A12", rebook(basic, flights=moved)) is not None
    assert ask("A12", rebook(basic, cabin="economy")) is None
    assert ask("A12", rebook(PLAIN, flights=[{**legs(PLAIN)[0], "date": "2024-05-29"}])) is None


@pytest.mark.parametrize("kind", ["one_way", "round_trip"])
def test_the_trip_stays_the_same(kind: str) -> None:
    found = find(lambda r: ahead(r) and r.flight_type == kind and r.cabin == "economy" and len(r.flights) == 2)
    now = legs(found)
    assert ask("A13", rebook(found)) is None
    assert ask("A13", rebook(found, flights=now[:1])) is not None, "it ends elsewhere"
    assert ask("A13", rebook(found, flights=now[::-1])) is not None, "it begins elsewhere"
    assert ask("A13", rebook(found, flights=[now[0], *now])) is not None, "its flights do not follow on each other"
    far = next(n for n, f in STATE.flights.items() if f.origin == found.origin and f.destination != found.destination
               and f.destination != STATE.flights[now[0]["flight_number"]].destination)  # fmt: skip
    assert ask("A13", rebook(found, flights=[{"flight_number": far, "date": "2024-05-20"}])) is not None
    assert ask("A13", rebook(found, flights=[{"flight_number": "HAT999", "date": "x"}])) is None, "the tool's matter"


def test_the_cabin_of_a_flown_trip_stays() -> None:
    flown = find(lambda r: is_flown(STATE, r) and r.cabin == "economy")
    assert ask("A14", rebook(flown, cabin="business")) is not None
    assert ask("A14", rebook(flown)) is None
    assert ask("A14", rebook(PLAIN, cabin="business")) is None


def test_changes_are_not_paid_with_certificates() -> None:
    found = find(lambda r: has(owner(r), "certificate", "credit_card"))
    assert ask("A15", rebook(found, payment_id=method(owner(found), "certificate"))) is not None
    assert ask("A15", rebook(found, payment_id=method(owner(found), "credit_card"))) is None


def test_bags_are_added_only() -> None:
    packed = find(lambda r: r.total_baggages == 2)
    for total, fine in ((1, False), (2, True), (3, True)):
        made = call("update_reservation_baggages", reservation_id=packed.reservation_id, total_baggages=total)
        assert (ask("A16", made) is None) is fine


def test_the_number_of_passengers_stays() -> None:
    pair = find(lambda r: len(r.passengers) == 2)
    person = {"first_name": "A", "last_name": "B", "dob": "1990-01-01"}
    for count, fine in ((1, False), (2, True), (3, False)):
        made = call("update_reservation_passengers", reservation_id=pair.reservation_id, passengers=[person] * count)
        assert (ask("A17", made) is None) is fine


def test_a_reason_for_cancelling() -> None:
    asked, told = turn("agent", "What is the reason?"), turn("user", "Cancel it because I must.")
    assert ask("A18", CANCEL, turns=[GREETING, turn("user", "Cancel it.")]) is not None
    assert ask("A18", CANCEL, turns=[GREETING, told]) is None
    assert ask("A18", CANCEL, turns=[GREETING, asked, turn("user", "No matter.")]) is None
    assert ask("A18", CANCEL, turns=[GREETING, asked]) is not None, "asked and not waited for"


def test_nothing_flown_is_cancelled() -> None:
    flown = find(lambda r: is_flown(STATE, r) and r.cabin == "business")
    assert ask("A19", call("cancel_reservation", reservation_id=flown.reservation_id)) is not None
    assert ask("A19", CANCEL) is None


@pytest.mark.parametrize(
    ("why", "fits"),
    [
        ("business", lambda r: r.cabin == "business"),
        ("recent", lambda r: r.cabin == "economy" and r.insurance == "no" and r.created_at >= "2024-05-14T15:00:00"),
        ("insured", lambda r: r.cabin == "economy" and r.insurance == "yes" and not is_recent(r)),
        ("cancelled", lambda r: r.insurance == "no" and r.cabin != "business" and "cancelled" in statuses(STATE, r)),
    ],
)
def test_what_may_be_cancelled(why: str, fits: Callable[[Any], bool]) -> None:
    found = find(fits)
    assert ask("A20", call("cancel_reservation", reservation_id=found.reservation_id)) is None, why


def test_what_may_not_be_cancelled() -> None:
    assert "older than a day" in (ask("A20", CANCEL) or "")
    late = find(lambda r: r.created_at.startswith("2024-05-14T1") and not is_recent(r) and r.insurance == "no"
                and r.cabin == "economy" and ahead(r))  # fmt: skip
    assert ask("A20", call("cancel_reservation", reservation_id=late.reservation_id)) is not None


def certificate(user: Any, amount: int) -> ToolCall:
    return call("send_certificate", user_id=user.user_id, amount=amount)


def test_compensation_is_asked_for_and_checked() -> None:
    made, read = certificate(owner(PLAIN), 100), (call("get_reservation_details", reservation_id="X"), "{}")
    assert ask("A21", made, turns=[GREETING, turn("user", "My flight was cancelled!")]) is not None
    assert ask("A21", made, turns=[GREETING, turn("user", "I want a voucher for that.")]) is None
    assert ask("A22", made, turns=[GREETING]) is not None
    assert ask("A22", made, [read], [GREETING]) is None


def only_trouble(user: Any, status: str) -> Any:
    """Return the user's only reservation with a flight of that status; None where there are several or none."""
    own = [STATE.reservations[key] for key in user.reservations]
    found = [r for r in own if status in statuses(STATE, r)]
    return found[0] if len(found) == 1 else None


def find_complaint(status: str, fits: Callable[[Any, Any], bool]) -> tuple[Any, Any]:
    users = [(u, only_trouble(u, status)) for u in STATE.users.values()]
    return next((u, r) for u, r in users if r is not None and fits(u, r))


def test_who_is_compensated() -> None:
    poor, _ = find_complaint(
        "cancelled", lambda u, r: u.membership == "regular" and r.insurance == "no" and r.cabin != "business"
    )
    insured, _ = find_complaint("cancelled", lambda u, r: u.membership == "regular" and r.insurance == "yes")
    gold, _ = find_complaint("cancelled", lambda u, r: u.membership == "gold" and r.insurance == "no")
    assert ask("A23", certificate(poor, 100)) is not None
    assert ask("A23", certificate(insured, 100)) is None
    assert ask("A23", certificate(gold, 100)) is None


def test_what_a_cancelled_flight_is_worth() -> None:
    user, found = find_complaint("cancelled", lambda u, r: len(r.passengers) == 2)
    assert ask("A24", certificate(user, 200)) is None
    assert ask("A24", certificate(user, 100)) is not None
    assert ask("A24", certificate(user, 300)) is not None
    assert found.reservation_id in user.reservations


def test_a_delayed_flight_is_worth_something_once_it_was_changed() -> None:
    user, found = find_complaint("delayed", lambda u, r: only_trouble(u, "cancelled") is None)
    amount, changed = 50 * len(found.passengers), (rebook(found), "{}")
    assert ask("A24", certificate(user, amount)) is not None
    assert ask("A24", certificate(user, amount), [changed]) is None
    assert ask("A24", certificate(user, 2 * amount), [changed]) is not None


def test_a_delay_seen_before_the_flights_were_replaced_counts() -> None:
    user = owner(PLAIN)
    amount, changed = 50 * len(PLAIN.passengers), (rebook(PLAIN), "{}")
    seen = (call("get_flight_status", flight_number="HAT001", date="2024-05-15"), "delayed")
    assert ask("A24", certificate(user, amount), [changed]) is not None
    assert ask("A24", certificate(user, amount), [seen, changed]) is None


def test_unknown_reservations_and_users_are_left_to_the_tools() -> None:
    for arguments in ({}, {"reservation_id": "NONE00"}, {"reservation_id": None}, {"user_id": 3}, {"user_id": []}):
        for name in WRITES:
            assert find_denials(CLAUSES, Case(STATE, "agent", call(name, **arguments), (LOOKUP,))) == []


@pytest.mark.parametrize("value", [None, "x", [], ["x"], [None], {"a": 1}, 5, [{"flight_number": None, "date": 3}]])
def test_odd_arguments_raise_nothing(value: Any) -> None:
    names = (
        "cabin", "flights", "passengers", "payment_methods", "payment_id", "total_baggages", "nonfree_baggages",
        "amount", "insurance",
    )  # fmt: skip
    for name in WRITES:
        for who in ({"reservation_id": PLAIN.reservation_id}, {"user_id": PLAIN.user_id}):
            find_denials(CLAUSES, Case(STATE, "agent", call(name, **who, **dict.fromkeys(names, value)), (LOOKUP,)))


def test_citations_point_at_lines_that_say_so() -> None:
    lines = DOMAIN.policy.splitlines()
    for clause in CLAUSES:
        cited = re.fullmatch(r"policy\.md:(\d+(?:,\d+)*)", clause.source)
        assert cited, clause.id
        assert all(lines[int(number) - 1].strip() for number in cited[1].split(","))


def test_every_rule_about_a_change_is_cited() -> None:
    """Lines that bind the agent when it changes something, read off the policy by their words."""
    cited = {int(n) for clause in CLAUSES for n in clause.source.removeprefix("policy.md:").split(",")}
    explained = {
        9: "about wording, no change",
        13: "what every clause is for",
        15: "A3",
        67: "what the tool's parameters demand",
        70: "the tool takes one cabin for all flights",
        75: "the tool takes one list of flights for all",
        107: "about looking up, no change",
        113: "what the other clauses are for",
        118: "the tool takes one cabin for all flights",
        119: "the tool charges it",
        120: "the tool refunds it",
        124: "there is no tool for it",
        137: "about looking up, no change",
        149: "what the other clauses are for",
    }
    binding = {
        number
        for number, line in enumerate(DOMAIN.policy.splitlines(), start=1)
        if number > 4
        and re.search(r"\b(must|should|cannot|required|at most|only|Do not)\b", line)
        and not re.match(r"- If the status", line)
    }
    assert binding - cited == set(explained) - cited


def test_every_write_is_constrained_and_clauses_name_real_tools() -> None:
    writes = {name for name, tool in DOMAIN.tools.items() if tool.kind == "write"}
    assert {name for clause in CLAUSES for name in clause.tools} == writes | {TRANSFER}
    for clause in CLAUSES:
        assert all(DOMAIN.tools[name].kind == "read" for name in clause.reads)
        assert (clause.about == "dialogue") <= (not clause.reads)
    assert len({clause.id for clause in CLAUSES}) == len(CLAUSES)
